package crash

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/internal/programs"
)

var (
	kills = flag.Int("kills", 12, "how many processes to kill")
	seed  = flag.Uint64("seed", 1, "of the moments")
)

// built holds the two programs.
var built programs.Programs

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(programs.Main(m, &built, "linux"))
}

// script is a run of four rounds: two calls at once, a write, a command, and the end. What the model says depends on how many results
// it has seen, so a process that comes back gets the reply it would have got.
const script = `{"rules": [
  {"when": {"results_since_user": 0}, "reply": {"text": "First I look and note that I began.", "chunk_delay_ms": 2, "tool_calls": [
     {"id": "look", "name": "read_file", "args": {"path": "notes.txt"}},
     {"id": "begin", "name": "shell", "args": {"command": "echo $RKAT_TOOL_CALL_ID >> ran.log; sleep 0.03"}}]}},
  {"when": {"results_since_user": 2}, "reply": {"text": "Then I write.", "chunk_delay_ms": 2, "tool_calls": [
     {"id": "write", "name": "write_file", "args": {"path": "out.txt", "content": "result\n"}}]}},
  {"when": {"results_since_user": 3}, "reply": {"text": "Then I finish.", "chunk_delay_ms": 2, "tool_calls": [
     {"id": "finish", "name": "shell", "args": {"command": "sleep 0.02; echo $RKAT_TOOL_CALL_ID >> ran.log"}}]}},
  {"when": {"results_since_user": 4}, "reply": {"text": "All done.", "chunk_delay_ms": 5}}
]}`

// replyAfter says which reply of the script answers a conversation with so many results.
var replyAfter = map[int]int{0: 0, 2: 1, 3: 2, 4: 3}

// world is one workspace, one realm and one model.
type world struct {
	*programs.World
	t      *testing.T
	random *rand.Rand
	took   time.Duration // of a run nobody killed: kills fall within it
}

func newWorld(t *testing.T, n uint64, took time.Duration) *world {
	w := &world{World: built.NewWorld(t), t: t, random: rand.New(rand.NewPCG(*seed, n)), took: took}
	w.Write("notes.txt", "three things to do\n")
	w.Model(script)
	return w
}

// rkat runs the program and kills it after a time; 0: lets it end. It returns what was printed and whether it was killed.
func (w *world) rkat(after time.Duration, args ...string) (stdout, stderr string, err error, killed bool) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	if after > 0 {
		ctx, cancel = context.WithTimeout(context.Background(), after)
	}
	defer cancel()
	cmd := w.Command(ctx, args...) // killed with SIGKILL
	var o, e bytes.Buffer
	cmd.Stdout, cmd.Stderr = &o, &e
	err = cmd.Run()
	var exit *exec.ExitError
	killed = errors.As(err, &exit) && exit.ExitCode() == -1
	if after > 0 && errors.Is(err, context.DeadlineExceeded) {
		err = nil // it ended just before it was to be killed, and well: else it would be an ExitError
	}
	if killed && after == 0 {
		w.t.Fatalf("rkat %q was still running after a minute\n%s", args, e.String())
	}
	return o.String(), e.String(), err, killed
}

// shown is what rkat sessions show tells.
type shown struct {
	Unfinished bool      `json:"unfinished"`
	Messages   []message `json:"messages"`
}

type message struct {
	Role  string `json:"role"`
	Entry struct {
		ToolUseID string `json:"tool_use_id"`
		Code      string `json:"code"`
	} `json:"entry"`
}

// show reads the session; false: there is none yet.
func (w *world) show() (shown, bool) {
	out, stderr, err, _ := w.rkat(0, "sessions", "show", "last", "--json")
	if err != nil {
		if strings.Contains(stderr+out, "no session") {
			return shown{}, false
		}
		w.t.Fatalf("sessions show: %v\n%s%s", err, out, stderr)
	}
	var s shown
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		w.t.Fatalf("sessions show: %v\n%s", err, out)
	}
	return s, true
}

func (s shown) replies() int {
	n := 0
	for _, m := range s.Messages {
		if m.Role == "block_assistant" {
			n++
		}
	}
	return n
}

func (s shown) accepted() bool {
	return slices.ContainsFunc(s.Messages, func(m message) bool { return m.Role == "user" })
}

// requests returns, for each request the model got, which reply it asked for.
func (w *world) requests() []int {
	data, err := os.ReadFile(w.Log)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		w.t.Fatal(err)
	}
	var out []int
	for line := range bytes.Lines(data) {
		var r struct {
			Results int `json:"results_since_user"`
		}
		if err := json.Unmarshal(line, &r); err != nil {
			w.t.Fatalf("request log: %v", err)
		}
		n, ok := replyAfter[r.Results]
		if !ok {
			w.t.Fatalf("the model was asked with %d results", r.Results)
		}
		out = append(out, n)
	}
	return out
}

// A run survives kills at any moment: the same turn is finished, no committed reply is bought again (R34), no call that is not
// declared repeatable is run twice (R35), and the conversation is well formed (R37).
// Scenario: S131, S141
func Test_a_killed_run_is_finished_with_nothing_lost_and_nothing_done_twice(t *testing.T) {
	t.Parallel()
	if built == "" {
		t.Skip("process groups and kills are tested on Linux")
	}
	total := *kills
	if testing.Short() {
		total = min(total, 4)
	}
	began := time.Now()
	calm := newWorld(t, 0, 0)
	if out, stderr, err, _ := calm.rkat(0, "run", "--tools", "full", "do the three things"); err != nil || !strings.Contains(out, "All done.") {
		t.Fatalf("without a kill: %v\n%s%s", err, out, stderr)
	}
	took := time.Since(began)
	done, unknown, early := 0, 0, 0
	for n := uint64(1); done < total && !t.Failed(); n++ {
		w := newWorld(t, n, took)
		k, u, accepted := w.round()
		done += k
		unknown += u
		if !accepted {
			early++
		}
	}
	t.Logf("%d kills within runs of %v: %d calls ended as outcome_unknown, %d runs were killed before they were accepted", done, took.Round(time.Millisecond), unknown, early)
}

// round runs one prompt to its end through one or more kills.
func (w *world) round() (kills, unknown int, accepted bool) {
	args := []string{"run", "--tools", "full", "do the three things"}
	for range 1 + w.random.IntN(3) {
		_, _, err, killed := w.rkat(time.Duration(1+w.random.Int64N(int64(w.took))), args...)
		if !killed {
			if err != nil {
				w.t.Fatalf("seed %d: %q ended by itself: %v", *seed, args, err)
			}
			break
		}
		kills++
		s, found := w.show()
		if !found || !s.accepted() {
			w.nothingHappened()
			continue // not acknowledged: the same prompt again
		}
		accepted = true
		args = []string{"resume"}
		before := len(w.requests())
		_, stderr, err, killed := w.rkat(time.Duration(1+w.random.Int64N(int64(w.took))), args...)
		switch {
		case killed:
			kills++
		case err != nil:
			w.t.Fatalf("seed %d: %q ended by itself: %v\n%s", *seed, args, err, stderr)
		}
		w.notBoughtAgain(before, s.replies())
	}
	s, found := w.show()
	if found && s.accepted() {
		accepted = true
		before := len(w.requests())
		out, stderr, err, _ := w.rkat(0, "resume")
		if err != nil {
			w.t.Fatalf("seed %d: the last resume: %v\n%s%s", *seed, err, out, stderr)
		}
		w.notBoughtAgain(before, s.replies())
		unknown = w.check()
	}
	return kills, unknown, accepted
}

func (w *world) nothingHappened() {
	if _, err := os.Stat(filepath.Join(w.Workspace, "ran.log")); !errors.Is(err, os.ErrNotExist) {
		w.t.Errorf("seed %d: a tool ran for a prompt that was not accepted", *seed)
	}
}

func (w *world) notBoughtAgain(before, committed int) {
	for _, r := range w.requests()[before:] {
		if r < committed {
			w.t.Errorf("seed %d: reply %d was committed and was bought again", *seed, r)
		}
	}
}

// check looks at a finished session.
func (w *world) check() (unknown int) {
	s, _ := w.show()
	if s.Unfinished || s.replies() != 4 {
		w.t.Errorf("seed %d: unfinished %v, %d replies", *seed, s.Unfinished, s.replies())
	}
	codes := map[string]string{}
	for _, m := range s.Messages {
		if m.Role != "tool_result" {
			continue
		}
		if _, twice := codes[m.Entry.ToolUseID]; twice {
			w.t.Errorf("seed %d: two results of %s", *seed, m.Entry.ToolUseID)
		}
		codes[m.Entry.ToolUseID] = m.Entry.Code
		if m.Entry.Code == "outcome_unknown" {
			unknown++
		}
	}
	ran, err := os.ReadFile(filepath.Join(w.Workspace, "ran.log"))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		w.t.Fatal(err)
	}
	for _, call := range []string{"look", "begin", "write", "finish"} {
		code, settled := codes[call]
		times := strings.Count(string(ran), call+"\n")
		switch {
		case !settled:
			w.t.Errorf("seed %d: call %s has no result", *seed, call)
		case times > 1:
			w.t.Errorf("seed %d: call %s ran %d times", *seed, call, times)
		case code != "" && code != "outcome_unknown":
			w.t.Errorf("seed %d: call %s ended as %s", *seed, call, code)
		case code == "" && times == 0 && (call == "begin" || call == "finish"):
			w.t.Errorf("seed %d: call %s is said to have run and did not", *seed, call)
		case code != "" && (call == "look" || call == "write"):
			w.t.Errorf("seed %d: call %s may be repeated and ended as %s", *seed, call, code)
		}
	}
	return unknown
}
