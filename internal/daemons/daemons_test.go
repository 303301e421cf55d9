package daemons

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/internal/programs"
)

var built programs.Programs

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(programs.Main(m, &built, programs.Unix...))
}

func world(t *testing.T) *programs.World {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("signals are those of Unix")
	}
	return built.NewWorld(t)
}

// server is a daemon that listens.
type server struct {
	*programs.Running
	t   *testing.T
	url string
	key string
}

func start(t *testing.T, w *programs.World, args ...string) *server {
	t.Helper()
	var stderr watched
	s := &server{t: t}
	s.Running = w.Run(func(c *exec.Cmd) { stderr.to, c.Stderr = c.Stderr, &stderr }, append([]string{"serve", "--http", "127.0.0.1:0"}, args...)...)
	s.Await("rkat serve: http on http://127.0.0.1:")
	programs.Eventually(t, "the address is told", func() bool { s.url = stderr.after("http on "); return s.url != "" })
	return s
}

// do makes a request and returns its status and body.
func (s *server) do(method, path, body string) (int, string) {
	s.t.Helper()
	req, err := http.NewRequestWithContext(s.t.Context(), method, s.url+path, strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if s.key != "" {
		req.Header.Set("Authorization", "Bearer "+s.key)
	}
	resp, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if err := resp.Body.Close(); err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

// finish tells the server to end and expects that it does so well.
func (s *server) finish() {
	s.t.Helper()
	s.Signal(syscall.SIGTERM)
	if r := s.Wait(); r.Exit != 0 {
		s.t.Errorf("told to end: %v", r)
	}
}

// An answer takes two seconds to stream.
var slow = `{"rules": [{"when": {}, "reply": {"text": "` + strings.Repeat("word ", 40) + `end", "chunk_delay_ms": 50}}]}`

func session(t *testing.T, body string) string {
	t.Helper()
	var s struct {
		Session string `json:"session_id"`
	}
	if err := json.Unmarshal([]byte(body), &s); err != nil || s.Session == "" {
		t.Fatalf("no session in %s: %v", body, err)
	}
	return s.Session
}

func TestA_server_that_is_told_to_end_leaves_a_run_that_the_next_goes_on_with(t *testing.T) {
	t.Parallel()
	for _, how := range []os.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		w := world(t)
		w.Model(slow)
		w.Env["RKAT_MODEL"] = "openai/slow"
		first := start(t, w, "--shutdown-timeout", "50ms")
		status, body := first.do("POST", "/sessions", `{"prompt":"","initial_turn":"deferred","model":"openai/slow"}`)
		if status >= 300 {
			t.Fatalf("create: %d %s", status, body)
		}
		id := session(t, body)
		if status, body := first.do("POST", "/sessions/"+id+"/inputs", `{"content":"go","prompt":"go"}`); status >= 300 {
			t.Fatalf("submit: %d %s", status, body)
		}
		asked := func(n int) func() bool {
			return func() bool {
				data, err := os.ReadFile(w.Log)
				return err == nil && bytes.Count(data, []byte("\n")) >= n
			}
		}
		programs.Eventually(t, "the model is asked", asked(1))
		began := time.Now()
		first.Signal(how)
		if r := first.Wait(); how == syscall.SIGTERM && (r.Exit != 0 || time.Since(began) > 5*time.Second) {
			t.Errorf("after %v: %v", time.Since(began), r)
		}
		began = time.Now()
		second := start(t, w)
		programs.Eventually(t, "the model is asked again, and nobody had to ask for it", asked(2))
		t.Logf("after %v the run went on %v after the start", how, time.Since(began).Round(time.Millisecond))
		programs.Eventually(t, "the run is over", func() bool {
			_, body := second.do("GET", "/sessions/"+id+"/history", "")
			return strings.Contains(body, "word end")
		})
		second.finish()
	}
}

func TestOf_two_servers_of_a_realm_the_second_is_told_of_the_first(t *testing.T) {
	t.Parallel()
	w := world(t)
	s := start(t, w)
	r := w.Rkat("serve", "--http", "127.0.0.1:0")
	if r.Exit != 1 || !strings.Contains(r.Stderr, fmt.Sprintf("process %d", s.Pid())) || !strings.Contains(r.Stderr, s.url) {
		t.Error(r)
	}
	if !strings.Contains(r.Stderr, "Use that server") {
		t.Errorf("what to do about it: %v", r)
	}
	if r := w.Rkat("sessions"); r.Exit != 0 {
		t.Errorf("a command beside the server: %v", r)
	}
	s.Signal(syscall.SIGKILL)
	s.Wait()
	start(t, w).finish()
}

func TestWhere_others_come_in_there_are_keys_or_there_is_no_server(t *testing.T) {
	t.Parallel()
	w := world(t)
	for _, args := range [][]string{{"--http", "0.0.0.0:0"}, {"--http", ":0"}, {"--http", "[::]:0"}, {"--http", "off", "--rpc", "0.0.0.0:0"},
		{"--http", "off", "--rpc", "0.0.0.0:0", "--allow-remote"}, {"--http", "nonsense"}} {
		if r := w.Rkat(append([]string{"serve"}, args...)...); r.Exit == 0 || !strings.Contains(r.Stderr, "Error: ") {
			t.Errorf("%v: %v", args, r)
		}
	}
}

func TestKeys_count_from_when_they_are_made_until_they_are_revoked(t *testing.T) {
	t.Parallel()
	w := world(t)
	s := start(t, w)
	if status, body := s.do("GET", "/sessions", ""); status != 200 {
		t.Fatalf("without keys: %d %s", status, body)
	}
	made := w.Rkat("keys", "create", "--name", "test", "--level", "read", "--json")
	var k struct{ ID, Token string }
	if err := json.Unmarshal([]byte(made.Stdout), &k); err != nil {
		t.Fatal(made)
	}
	for _, path := range []string{"/sessions", "/metrics"} {
		if status, _ := s.do("GET", path, ""); status != 401 {
			t.Errorf("%s without the key: %d", path, status)
		}
	}
	s.key = k.Token
	for _, path := range []string{"/sessions", "/metrics"} {
		if status, body := s.do("GET", path, ""); status != 200 {
			t.Errorf("%s with the key: %d %s", path, status, body)
		}
	}
	if status, _ := s.do("POST", "/sessions", `{"prompt":"x","model":"offline"}`); status != 403 {
		t.Errorf("a key to look makes a session: %d", status)
	}
	if r := w.Rkat("keys", "revoke", k.ID); r.Exit != 0 {
		t.Fatal(r)
	}
	if status, _ := s.do("GET", "/sessions", ""); status != 401 {
		t.Errorf("with a revoked key: %d", status)
	}
	s.finish()
}
