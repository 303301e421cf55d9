package sdk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/internal/programs"
)

func TestA_process_ends_as_its_client_likes_and_keeps_what_was_said(t *testing.T) {
	t.Parallel()
	ends := map[string]func(*client) programs.Result{
		"end of input":      func(c *client) programs.Result { return c.leave(false) },
		"with SIGTERM":      func(c *client) programs.Result { return c.leave(true) },
		"SIGTERM by itself": func(c *client) programs.Result { return c.told(syscall.SIGTERM) },
	}
	for name, end := range ends {
		for _, busy := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, busy %v", name, busy), func(t *testing.T) {
				t.Parallel()
				w, model := scripted(t, slowly)
				c := spawn(t, w, here(w)...).connect()
				s := c.do("session/create", object{"prompt": "quick", "model": model})["session_id"].(string)
				c.do("turn/start", object{"session_id": s, "prompt": "quick again"})
				var turn *asked
				if busy {
					turn = c.ask("turn/start", object{"session_id": s, "prompt": "long"})
					c.sees(s, "text_delta", 4)
				}
				began := time.Now()
				if r := end(c); r.Exit != 0 {
					t.Errorf("%v", r)
				}
				t.Logf("it took %v to end", time.Since(began))
				if busy {
					if r := turn.get(); r.err == nil {
						t.Errorf("a run that did not end was answered: %v", r.result)
					}
				}
				again := spawn(t, w, here(w)...).connect()
				l := again.do("session/list", nil)["sessions"].([]any)
				if len(l) != 1 || l[0].(map[string]any)["session_id"] != s {
					t.Fatalf("listed afterwards: %v", l)
				}
				want := "user block_assistant user block_assistant"
				if busy {
					want += " user"
				}
				if got := roles(again.do("session/history", object{"session_id": s})); got != want {
					t.Errorf("history afterwards: %s", got)
				}
				if busy { // the run goes on, or was ended: what is sure is that it can be ended
					again.do("turn/interrupt", object{"session_id": s})
				}
				r := again.ask("turn/start", object{"session_id": s, "prompt": "quick"}).get()
				if r.err != nil || r.result["text"] != "Done." {
					t.Errorf("a turn afterwards: %v %v", r.result, r.err)
				}
			})
		}
	}
}

// told ends the process by a signal alone; the input stays open until it is over.
func (c *client) told(s os.Signal) programs.Result {
	c.t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	c.process.Signal(s)
	return c.ended(ctx, began)
}

func TestWhat_was_answered_survives_a_kill(t *testing.T) {
	t.Parallel()
	w := world(t)
	c := spawn(t, w, here(w)...).connect()
	s := c.do("session/create", object{"prompt": "one"})["session_id"].(string)
	c.do("turn/start", object{"session_id": s, "prompt": "two"})
	c.told(syscall.SIGKILL)
	again := spawn(t, w, here(w)...).connect()
	if got := roles(again.do("session/history", object{"session_id": s})); got != "user block_assistant user block_assistant" {
		t.Errorf("history: %s", got)
	}
	if r := again.do("turn/start", object{"session_id": s, "prompt": "three"}); r["text"] != "ok" {
		t.Errorf("%v", r)
	}
}

func TestTwenty_sessions_run_side_by_side_on_one_connection(t *testing.T) {
	t.Parallel()
	w, model := scripted(t, `{"steps": [{"always": true, "reply": {"delay": "20ms", "text": "{{user}} one two three four five"}}]}`)
	c := spawn(t, w).connect()
	var made []*asked
	for i := range 20 {
		made = append(made, c.ask("session/create", object{"prompt": fmt.Sprintf("number-%d", i), "model": model}))
	}
	for i, a := range made {
		r := a.get()
		if r.err != nil {
			t.Fatal(r.err)
		}
		if want := fmt.Sprintf("number-%d one two three four five", i); r.result["text"] != want {
			t.Errorf("%v, and not %s", r.result["text"], want)
		}
		c.inOrder(r.result["session_id"].(string), 0, r.at)
	}
	if l := c.do("session/list", nil)["sessions"].([]any); len(l) != 20 {
		t.Errorf("%d sessions", len(l))
	}
}

// asRPC makes a command one of rkat-rpc, by a link.
func asRPC(t *testing.T) func(*exec.Cmd) {
	link := filepath.Join(t.TempDir(), "rkat-rpc")
	if err := os.Symlink(built.Path("rkat"), link); err != nil {
		t.Fatal(err)
	}
	return func(cmd *exec.Cmd) { cmd.Path, cmd.Args[0] = link, link }
}

var listening = regexp.MustCompile(`rkat-rpc listening on tcp://(\S+)`)

func TestTwo_clients_over_TCP_see_the_same_sessions_and_each_its_own_events(t *testing.T) {
	t.Parallel()
	w := world(t)
	told, tell, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = told.Close() }() // only read from
	p := w.Run(func(cmd *exec.Cmd) {
		asRPC(t)(cmd)
		cmd.Stderr = tell
	}, "--tcp", "127.0.0.1:0")
	if err := tell.Close(); err != nil { // the process has its own
		t.Fatal(err)
	}
	address := ""
	said := bufio.NewReader(told)
	for address == "" {
		l, err := said.ReadString('\n')
		if err != nil {
			t.Fatalf("%v: %q", err, l)
		}
		if m := listening.FindStringSubmatch(l); m != nil {
			address = m[1]
		}
	}
	one, two := dial(t, address).connect(), dial(t, address).connect()
	r := one.do("session/create", object{"prompt": "x"})
	s := r["session_id"].(string)
	if l := two.do("session/list", nil)["sessions"].([]any); len(l) != 1 {
		t.Errorf("%v", l)
	}
	two.do("session/read", object{"session_id": s})
	done := two.ask("turn/start", object{"session_id": s, "prompt": "y"}).get()
	if done.err != nil {
		t.Fatal(done.err)
	}
	two.inOrder(s, 0, done.at)
	if got := len(one.events(s, 0, 1<<30)); got != 6 {
		t.Errorf("the first saw %d events, and not those of its own run: %s", got, kinds(one.events(s, 0, 1<<30)))
	}
	if err := one.in.Close(); err != nil {
		t.Error(err)
	}
	two.do("session/archive", object{"session_id": s})
	p.Signal(syscall.SIGTERM)
	if r := p.Wait(); r.Exit != 0 || r.Stdout != "" {
		t.Errorf("%v", r)
	}
	if _, err := net.DialTimeout("tcp", address, time.Second); err == nil {
		t.Error("somebody listens still")
	}
}

func TestWhat_cannot_be_served_is_refused_before_anything_is_said(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{
		"isolated":       {"--isolated", "--realm", "x"},
		"allow-remote":   {"--tcp", "0.0.0.0:0"},
		"jsonl":          {"--realm-backend", "jsonl"},
		"no-such-option": {"--no-such-option"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := world(t).Run(asRPC(t), args...).Wait()
			if r.Exit <= 0 || r.Stdout != "" || !strings.Contains(r.Stderr, name) {
				t.Errorf("%v", r)
			}
		})
	}
	for _, arg := range []string{"--version", "--help"} {
		if r := world(t).Run(asRPC(t), arg).Wait(); r.Exit != 0 || r.Stdout+r.Stderr == "" {
			t.Errorf("%v", r)
		}
	}
}

func TestEach_of_the_options_of_connect_is_taken(t *testing.T) {
	t.Parallel()
	w := world(t)
	c := spawn(t, w, "--realm", "here", "--instance", "one", "--realm-backend", "sqlite", "--state-root", w.State, "--context-root", w.Workspace,
		"--user-config-root", filepath.Join(w.Dir, "conf")).connect()
	s := c.do("session/create", object{"prompt": "x"})
	if ref := s["session_ref"]; ref != fmt.Sprint("here:", s["session_id"]) {
		t.Errorf("ref: %v", ref)
	}
	h := c.do("runtime/host_info", nil)
	if h["host_id"] != "realm-instance:here:one" || h["process_name"] != "meerkat-rpc" || h["host_id_scope"] != "realm_instance" {
		t.Errorf("host: %v", h)
	}
	if r := c.do("config/get", nil); r["realm_id"] != "here" || r["instance_id"] != "one" || r["backend"] != "sqlite" {
		t.Errorf("config: %v", r)
	}
	alone := spawn(t, w, "--isolated").connect()
	ref := alone.do("session/create", object{"prompt": "x"})["session_ref"].(string)
	if strings.HasPrefix(ref, "here:") {
		t.Errorf("isolated: %s", ref)
	}
	neither := spawn(t, w, "--state-root", w.State).connect()
	if ref := neither.do("session/create", object{"prompt": "x"})["session_ref"].(string); !strings.HasPrefix(ref, "realm-") {
		t.Errorf("neither: %s", ref)
	}
	if h := neither.do("runtime/host_info", nil); !strings.HasPrefix(h["host_id"].(string), "process:") && !strings.HasPrefix(h["host_id"].(string), "realm-instance:") {
		t.Errorf("host: %v", h)
	}
}

func TestTwo_processes_share_a_realm(t *testing.T) {
	t.Parallel()
	w := world(t)
	one, two := spawn(t, w, here(w)...).connect(), spawn(t, w, here(w)...).connect()
	a := one.do("session/create", object{"prompt": "x"})["session_id"].(string)
	b := two.do("session/create", object{"prompt": "x"})["session_id"].(string)
	for _, c := range []*client{one, two} {
		if l := c.do("session/list", nil)["sessions"].([]any); len(l) != 2 {
			t.Errorf("%v", l)
		}
		c.do("session/history", object{"session_id": a})
		c.do("session/history", object{"session_id": b})
	}
	// The owner of a session is one process. Another is told so, or takes it over: it never hangs, and never does it twice.
	if r := two.ask("turn/start", object{"session_id": a, "prompt": "y"}).get(); r.err != nil && r.err.raw["code"] != json.Number("-32603") {
		t.Errorf("a session of the other: %v", r.err)
	}
	one.leave(false)
	if r := two.do("turn/start", object{"session_id": a, "prompt": "z"}); r["text"] != "ok" {
		t.Errorf("when the other has left: %v", r)
	}
}

func TestA_trace_file_holds_what_is_logged_and_stdout_nothing_of_it(t *testing.T) {
	t.Parallel()
	w := world(t)
	file := filepath.Join(w.Dir, "trace.log")
	w.Env["RKAT_RPC_TRACE_FILE"], w.Env["RUST_LOG"] = file, "debug"
	if err := os.WriteFile(file, []byte("before\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	c := spawn(t, w).connect()
	c.do("session/create", object{"prompt": "x"})
	if r := c.leave(true); r.Exit != 0 {
		t.Errorf("%v", r)
	}
	data, err := os.ReadFile(file)
	if err != nil || !bytes.HasPrefix(data, []byte("before\n")) || len(data) == len("before\n") {
		t.Errorf("%v: %q", err, data)
	}
}

func TestMany_streams_and_turns_at_once_mix_nothing_up(t *testing.T) {
	t.Parallel()
	c := spawn(t, world(t)).connect()
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			s, _ := c.ask("session/create", object{"prompt": "x"}).get().result["session_id"].(string)
			open, _ := c.ask("session/stream_open", object{"session_id": s}).get().result["stream_id"].(string)
			for range 5 {
				if r := c.ask("turn/start", object{"session_id": s, "prompt": "y"}).get(); r.err != nil || r.result["session_id"] != s {
					t.Errorf("%v %v", r.result, r.err)
				}
			}
			c.ask("session/stream_close", object{"stream_id": open}).get()
			c.mu.Lock()
			defer c.mu.Unlock()
			if got := strings.Count(c.streamKinds(open), "run_completed"); got != 5 {
				t.Errorf("a stream saw %d runs end", got)
			}
		})
	}
	all.Wait()
}

func TestA_client_that_knows_only_rkat_or_a_longer_name_finds_the_server(t *testing.T) {
	t.Parallel()
	for name, args := range map[string][]string{"rkat": {"rpc"}, "rkat-rpc-0.6.29": nil} {
		w := world(t)
		link := filepath.Join(t.TempDir(), name)
		if err := os.Symlink(built.Path("rkat"), link); err != nil {
			t.Fatal(err)
		}
		p := w.Run(func(cmd *exec.Cmd) {
			cmd.Path, cmd.Args[0] = link, link
			cmd.Stdin = strings.NewReader(`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}` + "\n")
		}, args...)
		if r := p.Wait(); r.Exit != 0 || !strings.HasPrefix(r.Stdout, `{"jsonrpc":"2.0","id":1,"result":`) {
			t.Errorf("%s: %v", name, r)
		}
	}
}
