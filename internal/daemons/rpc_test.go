package daemons

import (
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/meerkat-go/meerkat/internal/programs"
)

// watched passes on what is written, and is looked into.
type watched struct {
	to io.Writer

	mu   sync.Mutex
	data bytes.Buffer
}

// Write keeps and passes on.
func (w *watched) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.data.Write(p)
	w.mu.Unlock()
	return w.to.Write(p)
}

// after is the rest of the first line in which a text stands.
func (w *watched) after(text string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	_, rest, _ := strings.Cut(w.data.String(), text)
	line, _, whole := strings.Cut(rest, "\n")
	if !whole {
		return ""
	}
	return line
}

// rpc starts the program under the name rkat-rpc.
func rpc(t *testing.T, w *programs.World, args ...string) (*programs.Running, io.WriteCloser) {
	t.Helper()
	in, out, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := w.Run(func(c *exec.Cmd) { c.Args[0], c.Stdin = "rkat-rpc", in }, args...)
	if err := in.Close(); err != nil { // the process has its own
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = out.Close() }) // a test may have closed it
	return p, out
}

func say(t *testing.T, to io.Writer, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if _, err := io.WriteString(to, l+"\n"); err != nil {
			t.Fatal(err)
		}
	}
}

const hello = `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}`

func TestA_client_that_goes_away_ends_its_process_and_what_was_said_is_kept(t *testing.T) {
	t.Parallel()
	for _, how := range []string{"EOF", "SIGTERM"} {
		w := world(t)
		w.Env["RKAT_TEST_CLIENT"] = "1"
		p, in := rpc(t, w, "--realm", "mine")
		say(t, in, hello, `{"jsonrpc":"2.0","id":2,"method":"session/create","params":{"prompt":"hi","model":"any"}}`)
		p.AwaitOutput(`"id":2`)
		if how == "EOF" {
			if err := in.Close(); err != nil {
				t.Fatal(err)
			}
		} else {
			p.Signal(syscall.SIGTERM)
		}
		r := p.Wait()
		if r.Exit != 0 {
			t.Errorf("%s: %v", how, r)
		}
		for n, line := range strings.Split(strings.TrimSuffix(r.Stdout, "\n"), "\n") {
			var m map[string]any
			if err := json.Unmarshal([]byte(line), &m); err != nil || m["jsonrpc"] != "2.0" || n == 0 && m["id"] != 1.0 {
				t.Errorf("%s: line %d is no protocol: %s", how, n, line)
			}
		}
		if r := w.Rkat("sessions", "--realm", "mine", "--json"); !strings.Contains(r.Stdout, `"message_count"`) {
			t.Errorf("%s: the session is gone: %v", how, r)
		}
	}
}

func TestFlags_that_mean_nothing_here_are_refused_in_words(t *testing.T) {
	t.Parallel()
	w := world(t)
	for _, args := range [][]string{{"--realm", "a", "--isolated"}, {"--realm-backend", "jsonl"}, {"--realm-backend", "x"}, {"--live-ws", "127.0.0.1:0"},
		{"--live-webrtc"}, {"--realm", "../a"}, {"--nonsense"}, {"word"}, {"--tcp", "0.0.0.0:0"}, {"--tcp", "0.0.0.0:0", "--allow-remote"}} {
		p, in := rpc(t, w, args...)
		if err := in.Close(); err != nil {
			t.Fatal(err)
		}
		if r := p.Wait(); r.Exit == 0 || r.Stdout != "" || r.Stderr == "" {
			t.Errorf("%v: %v", args, r)
		}
	}
}
