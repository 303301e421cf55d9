package siege

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/internal/programs"
)

// connect opens a connection and says something on it; nil: it was not taken.
func connect(t testing.TB, addr, said string) net.Conn {
	nc, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil
	}
	t.Cleanup(func() { _ = nc.Close() }) // the server may have closed it
	if _, err := io.WriteString(nc, said); err != nil {
		return nil // it was closed already
	}
	return nc
}

// others asks small things while do is at work, and returns how long the slowest took. All of them are to be answered.
func (s *server) others(do func()) (worst time.Duration) {
	s.t.Helper()
	done := make(chan struct{})
	go func() {
		defer close(done)
		do()
	}()
	for n := 1; ; n++ {
		began := time.Now()
		status, body, err := s.ask("", "GET", "/sessions?limit=1", "")
		if err != nil || status != 200 {
			s.t.Errorf("somebody else is answered: %d %s %v", status, body, err)
		}
		worst = max(worst, time.Since(began))
		select {
		case <-done:
			if n >= 3 {
				return worst
			}
		default:
		}
	}
}

// sane is how long a small request may take while the server is attacked. The tests of others run meanwhile.
const sane = 5 * time.Second

func (s *server) stands(what string, worst time.Duration, most, files int) {
	s.t.Helper()
	now, peak := s.resident()
	s.t.Logf("%s: the slowest answer to others took %v, %d MiB of memory at most and %d now, %d files", what, worst.Round(time.Millisecond), peak, now, s.files())
	if worst > sane {
		s.t.Errorf("%s: others waited for %v", what, worst)
	}
	if peak > most {
		s.t.Errorf("%s: %d MiB of memory", what, peak)
	}
	programs.Eventually(s.t, fmt.Sprintf("after %s no more than %d files are open", what, files), func() bool { return s.files() <= files })
}

func steady(t *testing.T) (*server, string) {
	t.Helper()
	w := world(t)
	w.Env["RKAT_TEST_CLIENT"] = "1"
	s := start(t, w, "--log-level", "warn")
	return s, field(t, s.must("", "POST", "/sessions", `{"prompt":"hello","model":"test"}`), "session_id")
}

func TestConnections_that_say_nothing_or_say_it_slowly_keep_nobody_out(t *testing.T) {
	t.Parallel()
	s, _ := steady(t)
	files := s.files()
	for what, said := range map[string]string{
		"silent connections": "",
		"slow headers":       "GET / HTTP/1.1\r\nX-A: ",
		"slow bodies":        "POST /console/login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n\r\nk",
		"bodies unread":      "GET /metrics HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n\r\nk",
	} {
		var all []net.Conn
		worst := s.others(func() {
			for range 4300 { // more than there are places
				if nc := connect(t, s.http, said); nc != nil {
					all = append(all, nc)
				}
			}
		})
		for _, nc := range all {
			_ = nc.Close() // the server may have closed it
		}
		s.stands(what, worst, 400, files+20)
	}
	s.finish()
}

// filled is a text of so many bytes that is made as it is read.
func filled(n int64) io.Reader { return io.LimitReader(letters{}, n) }

type letters struct{}

func (letters) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = 'a'
	}
	return len(p), nil
}

func TestBodies_forms_and_lines_of_any_size_take_a_bounded_memory(t *testing.T) {
	t.Parallel()
	s, session := steady(t)
	files := s.files()
	each := func(n int, do func()) func() {
		return func() {
			var wg sync.WaitGroup
			for range n {
				wg.Go(do)
			}
			wg.Wait()
		}
	}
	send := func(path, media string, body io.Reader) {
		ctx, cancel := context.WithTimeout(t.Context(), programs.Limit)
		defer cancel()
		req, err := http.NewRequestWithContext(ctx, "POST", "http://"+s.http+path, body)
		if err != nil {
			t.Error(err)
			return
		}
		req.Header.Set("Content-Type", media)
		resp, err := plain.Do(req)
		if err != nil {
			return // it was cut off while it was sending
		}
		_ = resp.Body.Close() // what it says does not matter here
		if resp.StatusCode < 300 {
			t.Errorf("%s took it: %d", path, resp.StatusCode)
		}
	}
	worst := s.others(each(40, func() {
		send("/console/sessions/"+session+"/inputs", "application/x-www-form-urlencoded", io.MultiReader(strings.NewReader("text="), filled(28<<20)))
	}))
	s.stands("forms of 28 MB", worst, 500, files+20)
	worst = s.others(each(16, func() {
		send("/sessions/"+session+"/inputs", "application/json", io.MultiReader(strings.NewReader(`{"prompt":"`), filled(100<<20)))
	}))
	s.stands("bodies of 100 MB", worst, 900, files+20)
	worst = s.others(each(16, func() {
		nc := connect(t, s.rpc, `{"jsonrpc":"2.0","id":1,"method":"input/submit","params":{"x":"`)
		if nc == nil {
			return
		}
		_, _ = io.Copy(nc, filled(100<<20)) // it may be cut off
		_ = nc.Close()
	}))
	s.stands("lines of 100 MB", worst, 900, files+20)
	s.finish()
}

func TestClients_that_never_read_take_a_bounded_memory_and_do_not_hold_up_the_end(t *testing.T) {
	t.Parallel()
	s, session := steady(t)
	for range 6 {
		s.must("", "POST", "/sessions/"+session+"/messages", fmt.Sprintf(`{"prompt":%q}`, strings.Repeat("x", 900_000)))
	}
	told := field(t, s.must("", "POST", "/sessions", `{"prompt":"hello","model":"test"}`), "session_id")
	for range 20 {
		s.must("", "POST", "/sessions/"+told+"/messages", fmt.Sprintf(`{"prompt":%q}`, strings.Repeat("x", 20_000)))
	}
	goroutines, files := s.measure("", "go_goroutines"), s.files()
	var deaf []net.Conn
	worst := s.others(func() {
		ask := strings.Builder{}
		for n := range 20 {
			fmt.Fprintf(&ask, `{"jsonrpc":"2.0","id":%d,"method":"session/history","params":{"session_id":%q}}`+"\n", n, session)
		}
		for range 100 {
			deaf = append(deaf, connect(t, s.rpc, ask.String()))
		}
		for _, path := range []string{"/sessions/", "/console/sessions/"} {
			for range 50 {
				deaf = append(deaf, connect(t, s.http, "GET "+path+told+"/events?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n"))
			}
		}
		s.must("", "POST", "/sessions/"+told+"/messages", `{"prompt":"and they do not hold up a run"}`)
	})
	half := len(deaf) / 2
	for _, nc := range deaf[:half] {
		if nc != nil {
			_ = nc.Close() // the server may have closed it
		}
	}
	s.stands("clients that never read", worst, 1200, files+half+20)
	for _, nc := range deaf[half:] {
		if nc != nil {
			_ = nc.Close()
		}
	}
	programs.Eventually(t, "their goroutines have ended", func() bool { return s.measure("", "go_goroutines") <= goroutines+10 })
	for range 50 {
		connect(t, s.http, "GET /sessions/"+session+"/events?after=0 HTTP/1.1\r\nHost: localhost\r\n\r\n")
		connect(t, s.rpc, `{"jsonrpc":"2.0","id":1,"method":"session/history","params":{"session_id":"`+session+`"}}`+"\n")
	}
	began := time.Now()
	s.Signal(syscall.SIGTERM)
	if r := s.Wait(); r.Exit != 0 || time.Since(began) > 15*time.Second {
		t.Errorf("told to end: %v", r)
	}
	t.Logf("told to end with 100 of them, it took %v", time.Since(began).Round(time.Millisecond))
}
