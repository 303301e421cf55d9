package siege

import (
	"bufio"
	"context"
	"fmt"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"

	"github.com/meerkat-go/meerkat/internal/programs"
)

// What was acknowledged while the disk filled up is done when there is room, and what was refused is not.
func TestR24_what_a_server_acknowledged_on_a_full_disk_is_kept(t *testing.T) {
	t.Parallel()
	w := world(t)
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	mount := func(flags uintptr, size string) error {
		return syscall.Mount("tmpfs", w.State, "tmpfs", flags, "mode=0700,size="+size)
	}
	if err := os.Mkdir(w.State, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := mount(0, "1500k"); err != nil {
		if os.Getenv("RKAT_CI") != "" {
			t.Fatal(err)
		}
		t.Skipf("root may not mount here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(w.State, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	w.Env["RKAT_TEST_CLIENT"] = "1"
	s := start(t, w, "--log-level", "warn")
	id := field(t, s.must("", "POST", "/sessions", `{"prompt":"","initial_turn":"deferred","model":"test"}`), "session_id")
	acks, refused := map[string]string{}, 0
	for n := 0; refused < 5; n++ {
		said := fmt.Sprintf("n%d-%s", n, strings.Repeat("x", 40_000))
		status, body, err := s.ask("", "POST", "/sessions/"+id+"/inputs", fmt.Sprintf(`{"prompt":%q}`, said))
		switch {
		case err != nil:
			t.Fatal(err)
		case status < 300:
			acks[said] = field(t, body, "input_id")
		case status == http.StatusInternalServerError || status < 500 && status != http.StatusTooManyRequests:
			t.Fatalf("a full disk is told as %d %s", status, body)
		default:
			refused++
		}
	}
	if status, body, err := s.ask("", "GET", "/sessions?limit=1", ""); err != nil || status != 200 {
		t.Errorf("reading on a full disk: %d %s %v", status, body, err)
	}
	s.Signal(syscall.SIGKILL)
	s.Wait()
	if err := mount(syscall.MS_REMOUNT, "64m"); err != nil {
		t.Fatal(err)
	}
	s = start(t, w, "--log-level", "warn")
	for said, in := range acks {
		if body := s.must("", "GET", "/sessions/"+id+"/inputs/"+in+"?wait=60", ""); !strings.Contains(body, "outcome") {
			t.Errorf("the acknowledged input %s: %s", said[:5], body)
		}
	}
	t.Logf("%d acknowledged, %d refused", len(acks), refused)
	s.finish()
}

// follow reads a session's events from a cursor on until a text comes or the stream ends, and returns the last cursor.
func (s *server) follow(ctx context.Context, id, cursor, until string) (last string, found bool) {
	last = cursor
	req, err := http.NewRequestWithContext(ctx, "GET", "http://"+s.http+"/sessions/"+id+"/events", nil)
	if err != nil {
		return last, false
	}
	req.Header.Set("Last-Event-ID", cursor)
	resp, err := plain.Do(req)
	if err != nil {
		return last, false
	}
	defer func() { _ = resp.Body.Close() }() // it is read as far as it goes
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		if id, ok := strings.CutPrefix(lines.Text(), "id: "); ok {
			last = id
			found = found || until == ""
		}
		if until != "" && strings.Contains(lines.Text(), until) {
			return last, true
		}
	}
	return last, found
}

// Scenario: S131
func TestReaders_who_all_come_back_at_once_after_a_kill_miss_nothing(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Env["RKAT_TEST_CLIENT"] = "1"
	s := start(t, w, "--log-level", "warn")
	id := field(t, s.must("", "POST", "/sessions", `{"prompt":"hello","model":"test"}`), "session_id")
	const readers = 200
	var cursors [readers]string
	var listening atomic.Int64
	var wg sync.WaitGroup
	ctx, cancel := context.WithTimeout(t.Context(), programs.Limit)
	defer cancel()
	for n := range readers {
		wg.Go(func() {
			listening.Add(1)
			cursors[n], _ = s.follow(ctx, id, "0", "")
		})
	}
	programs.Eventually(t, "all read", func() bool { return listening.Load() == readers })
	for range 5 {
		s.must("", "POST", "/sessions/"+id+"/messages", `{"prompt":"before"}`)
	}
	s.Signal(syscall.SIGKILL)
	s.Wait()
	wg.Wait()
	s = start(t, w, "--log-level", "warn")
	s.must("", "POST", "/sessions/"+id+"/messages", `{"prompt":"the last word"}`)
	var missed atomic.Int64
	for n := range readers {
		wg.Go(func() {
			if _, found := s.follow(ctx, id, cursors[n], "the last word"); !found {
				missed.Add(1)
			}
		})
	}
	worst := s.others(wg.Wait)
	if missed.Load() > 0 {
		t.Errorf("%d of %d missed it", missed.Load(), readers)
	}
	s.stands("readers who come back", worst, 400, 60)
	s.finish()
}

func TestA_stream_ends_soon_after_its_key_was_revoked(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Env["RKAT_TEST_CLIENT"] = "1"
	_, admin := key(t, w, "r", "admin")
	kid, k := key(t, w, "r", "read")
	s := start(t, w)
	id := field(t, s.must(admin, "POST", "/sessions", `{"prompt":"hello","model":"test"}`), "session_id")
	req, err := http.NewRequestWithContext(t.Context(), "GET", "http://"+s.http+"/sessions/"+id+"/events?after=0", nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+k)
	resp, err := plain.Do(req)
	if err != nil || resp.StatusCode != 200 {
		t.Fatal(resp, err)
	}
	l := s.dial(k)
	if r := w.Rkat("keys", "revoke", kid); r.Exit != 0 {
		t.Fatal(r)
	}
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() { // to its end, at the next heartbeat
	}
	if err := resp.Body.Close(); err != nil {
		t.Error(err)
	}
	for { // to its end too
		if _, err := l.in.ReadByte(); err != nil {
			break
		}
	}
	s.finish()
}
