package siege

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/internal/programs"
)

// lane is one session and what was acknowledged for it.
type lane struct {
	session string
	log     string            // what its tool wrote
	acks    map[string]string // input by what it says
	sent    int
}

// Each input makes the model call a tool that notes what it was told. The daemon is killed right after it acknowledged some.
// Scenario: S131
func TestR24_what_a_server_acknowledged_is_done_once_however_often_it_is_killed(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Model(`{"rules": [{"when": {"results_since_user": 0}, "reply": {"tool_calls": [{"id": "note", "name": "shell", "args": {"command": "echo $RKAT_TOOL_CALL_ID >> ran.log"}}]}},
		{"when": {}, "reply": {"text": "done", "chunk_delay_ms": 1}}]}`)
	s := start(t, w, "--log-level", "warn")
	lanes := make([]*lane, 6)
	for n := range lanes {
		dir := filepath.Join(w.Workspace, fmt.Sprint(n))
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
		lanes[n] = &lane{acks: map[string]string{}, log: filepath.Join(dir, "ran.log"), session: field(t, s.must("", "POST", "/sessions",
			fmt.Sprintf(`{"prompt":"","initial_turn":"deferred","model":"openai/m","tools_preset":"full","workspace":%q}`, dir)), "session_id")}
	}
	began, kills, acked := time.Now(), 0, 0
	var worst time.Duration
	for time.Since(began) < *long || kills < 3 {
		acked += s.press(lanes, kills)
		s.Signal(syscall.SIGKILL)
		s.Wait()
		kills++
		again := time.Now()
		s = start(t, w, "--log-level", "warn")
		worst = max(worst, time.Since(again))
	}
	unknown, calls := 0, 0
	for _, l := range lanes {
		unknown += s.settle(l)
	}
	s.finish()
	for _, l := range lanes {
		calls += l.once(t)
	}
	t.Logf("%d kills, %d inputs acknowledged, %d calls ran, %d of unknown outcome; the slowest restart took %v", kills, acked, calls, unknown, worst.Round(time.Millisecond))
}

// press submits to all lanes at once, each by its own way in, until a few inputs of each are acknowledged.
func (s *server) press(lanes []*lane, round int) (acked int) {
	var wg sync.WaitGroup
	for n, l := range lanes {
		wg.Go(func() {
			for range 1 + (round+n)%3 {
				l.sent++
				said := fmt.Sprintf("%d-%d", n, l.sent)
				in, err := s.submit(n%2 == 0, l.session, said)
				if err != nil {
					s.t.Errorf("round %d: %v", round, err)
					return
				}
				l.acks[said] = in
			}
		})
	}
	wg.Wait()
	for n := range lanes {
		acked += 1 + (round+n)%3
	}
	return acked
}

func (s *server) submit(rest bool, session, said string) (string, error) {
	if rest {
		status, body, err := s.ask("", "POST", "/sessions/"+session+"/inputs", fmt.Sprintf(`{"prompt":%q,"idempotency_key":%q}`, said, said))
		if err != nil || status >= 300 {
			return "", fmt.Errorf("submit: %d %s %w", status, body, err)
		}
		var out struct {
			Input string `json:"input_id"`
		}
		return out.Input, json.Unmarshal([]byte(body), &out)
	}
	l, err := s.reach()
	if err != nil {
		return "", err
	}
	defer l.Close()
	out, err := l.call("input/submit", fmt.Sprintf(`{"session_id":%q,"prompt":%q,"idempotency_key":%q}`, session, said, said))
	if err != nil {
		return "", err
	}
	result, _ := out["result"].(map[string]any)
	in, _ := result["input_id"].(string)
	if in == "" {
		return "", fmt.Errorf("submit: %v", out)
	}
	return in, nil
}

// reach is dial for other goroutines than the test's.
func (s *server) reach() (*line, error) {
	nc, err := net.DialTimeout("tcp", s.rpc, programs.Limit)
	if err != nil {
		return nil, err
	}
	return newLine(s.t, nc), nil
}

// settle waits until all inputs of a lane have ended, and finds each of them in the transcript once, with one answer. It returns how many calls ended
// as outcome_unknown.
func (s *server) settle(l *lane) (unknown int) {
	s.t.Helper()
	for said, in := range l.acks {
		status, body, err := s.ask("", "GET", "/sessions/"+l.session+"/inputs/"+in+"?wait=60", "")
		if err != nil || status != 200 || !strings.Contains(body, "outcome") {
			s.t.Errorf("the acknowledged input %s: %d %s %v", said, status, body, err)
		}
		// Sent again it is the same input.
		again, err := s.submit(true, l.session, said)
		if err != nil || again != in {
			s.t.Errorf("%s sent again is %s, not %s: %v", said, again, in, err)
		}
	}
	rows := s.must("", "GET", "/sessions/"+l.session+"/transcript", "")
	for said := range l.acks {
		if n := strings.Count(rows, fmt.Sprintf("%q", said)); n != 1 {
			s.t.Errorf("%s stands in the transcript %d times", said, n)
		}
	}
	return bytes.Count([]byte(rows), []byte("outcome_unknown"))
}

// once expects that no call ran twice, and returns how many ran.
func (l *lane) once(t *testing.T) int {
	t.Helper()
	data, err := os.ReadFile(l.log)
	if err != nil {
		t.Fatal(err)
	}
	ran := map[string]bool{}
	for call := range strings.FieldsSeq(string(data)) {
		if ran[call] {
			t.Errorf("call %s ran twice", call)
		}
		ran[call] = true
	}
	return len(ran)
}
