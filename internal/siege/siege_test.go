package siege

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/internal/programs"
)

var long = flag.Duration("siege", 8*time.Second, "how long what is repeated is repeated")

var built programs.Programs

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(programs.Main(m, &built, "linux"))
}

func world(t *testing.T) *programs.World {
	t.Helper()
	if runtime.GOOS != "linux" {
		t.Skip("kills, and how much memory a process has, are those of Linux")
	}
	return built.NewWorld(t)
}

// told keeps what a process prints while it runs.
type told struct {
	to   io.Writer
	mu   sync.Mutex
	data bytes.Buffer
}

func (w *told) Write(p []byte) (int, error) {
	w.mu.Lock()
	w.data.Write(p)
	w.mu.Unlock()
	return w.to.Write(p)
}

func (w *told) text() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.data.String()
}

// server is a daemon under attack.
type server struct {
	*programs.Running
	t      testing.TB
	stderr *told
	http   string // host:port
	rpc    string
}

func start(t testing.TB, w *programs.World, args ...string) *server {
	t.Helper()
	s := &server{t: t, stderr: &told{}}
	s.Running = w.Run(func(c *exec.Cmd) { s.stderr.to, c.Stderr = c.Stderr, s.stderr },
		append([]string{"serve", "--http", "127.0.0.1:0", "--rpc", "127.0.0.1:0"}, args...)...)
	s.Await("rkat-rpc listening on tcp://")
	programs.Eventually(t, "the addresses are told", func() bool {
		s.http, s.rpc = after(s.stderr.text(), "http on http://"), after(s.stderr.text(), "listening on tcp://")
		return s.http != "" && s.rpc != ""
	})
	return s
}

func after(text, mark string) string {
	_, rest, _ := strings.Cut(text, mark)
	line, _, whole := strings.Cut(rest, "\n")
	if !whole {
		return ""
	}
	return line
}

var plain = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}

// ask makes a request, and returns its status and body; 0 and an error: there was no whole answer. Where it asks too fast it asks again.
func (s *server) ask(key, method, path, body string, headers ...string) (status int, answer string, err error) {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		status, answer, err = s.once(key, method, path, body, headers...)
		if status != http.StatusTooManyRequests || !strings.Contains(answer, "RATE_LIMITED") {
			return status, answer, err
		}
		<-again.C
	}
}

func (s *server) once(key, method, path, body string, headers ...string) (int, string, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), programs.Limit)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, method, "http://"+s.http+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if key != "" {
		req.Header.Set("Authorization", "Bearer "+key)
	}
	for n := 0; n+1 < len(headers); n += 2 {
		if headers[n] == "Host" {
			req.Host = headers[n+1]
		}
		req.Header.Set(headers[n], headers[n+1])
	}
	resp, err := plain.Do(req)
	if err != nil {
		return 0, "", err
	}
	data, err := io.ReadAll(resp.Body)
	if err := errors.Join(err, resp.Body.Close()); err != nil {
		return 0, "", err
	}
	return resp.StatusCode, string(data), nil
}

// must makes a request that is to be answered well.
func (s *server) must(key, method, path, body string) string {
	s.t.Helper()
	status, answer, err := s.ask(key, method, path, body)
	if err != nil || status >= 300 {
		s.t.Fatalf("%s %s: %d %s %v", method, path, status, answer, err)
	}
	return answer
}

// field reads a text of an answer.
func field(t testing.TB, body, name string) string {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal([]byte(body), &m); err != nil {
		t.Fatalf("%s: %v", body, err)
	}
	text, _ := m[name].(string)
	if text == "" {
		t.Fatalf("no %s in %s", name, body)
	}
	return text
}

// finish tells the server to end and expects that it does so well.
func (s *server) finish() programs.Result {
	s.t.Helper()
	s.Signal(syscall.SIGTERM)
	r := s.Wait()
	if r.Exit != 0 {
		s.t.Errorf("told to end: %v", r)
	}
	return r
}

// resident is how many MiB of memory the server has; peak, had at most.
func (s *server) resident() (now, peak int) {
	s.t.Helper()
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.Pid()))
	if err != nil {
		s.t.Fatal(err)
	}
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		n, _ := strconv.Atoi(f[1])
		switch f[0] {
		case "VmRSS:":
			now = n >> 10
		case "VmHWM:":
			peak = n >> 10
		}
	}
	return now, peak
}

// files is how many files the server has open.
func (s *server) files() int {
	s.t.Helper()
	list, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.Pid()))
	if err != nil {
		s.t.Fatal(err)
	}
	return len(list)
}

// measure reads one of the server's measures.
func (s *server) measure(key, name string) float64 {
	s.t.Helper()
	for line := range strings.Lines(s.must(key, "GET", "/metrics", "")) {
		if f := strings.Fields(line); len(f) == 2 && f[0] == name {
			v, err := strconv.ParseFloat(f[1], 64)
			if err != nil {
				s.t.Fatal(err)
			}
			return v
		}
	}
	s.t.Fatalf("there is no measure %s", name)
	return 0
}

// key makes a key.
func key(t testing.TB, w *programs.World, realm, level string) (id, token string) {
	t.Helper()
	made := w.Rkat("keys", "create", "--name", realm+"-"+level, "--realm", realm, "--level", level, "--json")
	var k struct{ ID, Token string }
	if err := json.Unmarshal([]byte(made.Stdout), &k); err != nil || k.Token == "" {
		t.Fatal(made)
	}
	return k.ID, k.Token
}

// line is a client of JSON-RPC over TCP.
type line struct {
	net.Conn
	t  testing.TB
	in *bufio.Reader
	n  int
}

func newLine(t testing.TB, nc net.Conn) *line { return &line{Conn: nc, t: t, in: bufio.NewReader(nc)} }

// dial connects to the server's JSON-RPC, and shows a key if there is one.
func (s *server) dial(key string) *line {
	s.t.Helper()
	nc, err := (&net.Dialer{}).DialContext(s.t.Context(), "tcp", s.rpc)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { _ = nc.Close() }) // a test may have closed it
	l := newLine(s.t, nc)
	if key != "" {
		if out, err := l.call("initialize", fmt.Sprintf(`{"api_key":%q}`, key)); err != nil || out["result"] == nil {
			s.t.Fatal(out, err)
		}
	}
	return l
}

// call makes a request and returns its answer, passing over what else comes.
func (l *line) call(method, params string) (map[string]any, error) {
	l.n++
	if err := l.SetDeadline(time.Now().Add(programs.Limit)); err != nil {
		return nil, err
	}
	if _, err := fmt.Fprintf(l, `{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`+"\n", l.n, method, params); err != nil {
		return nil, err
	}
	for {
		text, err := l.in.ReadBytes('\n')
		if err != nil {
			return nil, err
		}
		var m map[string]any
		if err := json.Unmarshal(text, &m); err != nil {
			return nil, fmt.Errorf("%s: %w", text, err)
		}
		if m["id"] == float64(l.n) {
			return m, nil
		}
	}
}

// nowhere expects that a text stands in no file below a folder, and in nothing a server printed.
func nowhere(t testing.TB, secret, dir string, printed ...string) {
	t.Helper()
	for _, p := range printed {
		if strings.Contains(p, secret) {
			t.Errorf("the secret %s… is printed", secret[:6])
		}
	}
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && bytes.Contains(data, []byte(secret)) {
			t.Errorf("the secret %s… is in %s", secret[:6], path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
