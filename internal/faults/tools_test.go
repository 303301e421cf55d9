package faults

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/meerkat-go/meerkat/internal/programs"
)

// first is a rule that asks for tools in the first round only.
func first(calls string) string {
	return `{"when": {"results_since_user": 0}, "times": 1, "reply": {"tool_calls": [` + calls + `]}}`
}

// A call that cannot be made is answered with what is wrong, and the model mends it: nothing is run, and nothing outside the workspace
// is touched (R49).
// Scenario: V24
func Test_R48_a_wrong_tool_call_is_told_to_the_model_which_mends_it(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		call, code string
		told       []string
	}{
		"arguments that break the schema": {`{"id": "c1", "name": "read_file", "args": {"pth": 7}}`, "invalid_arguments", []string{`"path"`, "missing", "did you mean"}},
		"arguments of the wrong type":     {`{"id": "c1", "name": "read_file", "args": {"path": {"a": 1}}}`, "invalid_arguments", []string{`"path"`, "string"}},
		"an unknown tool":                 {`{"id": "c1", "name": "launch_missiles", "args": {}}`, "tool_not_found", []string{"launch_missiles", "read_file"}},
		"a tool the preset denies":        {`{"id": "c1", "name": "shell", "args": {"command": "touch trace"}}`, "access_denied", []string{"shell", "read_file"}},
		"a path that leads outside":       {`{"id": "c1", "name": "write_file", "args": {"path": "../trace", "content": "x"}}`, "", []string{"outside"}},
		"a file that is not there":        {`{"id": "c1", "name": "read_file", "args": {"path": "nothing.txt"}}`, "", []string{"nothing.txt"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := scripted(t, first(c.call), `{"when": {"results_since_user": 1}, "times": 1,
				"reply": {"tool_calls": [{"id": "c2", "name": "read_file", "args": {"path": "notes.txt"}}]}}`)
			w.Write("notes.txt", "three things\n")
			w.answered(w.Rkat("run", "go"), "Fine.")
			s := w.show()
			code, text := s.result(0)
			if c.code != "" && code != c.code {
				t.Errorf("the code is %q", code)
			}
			for _, part := range c.told {
				if !strings.Contains(text, part) {
					t.Errorf("the model is not told %q but %s", part, text)
				}
			}
			if _, text := s.result(1); !strings.Contains(text, "three things") {
				t.Errorf("the mended call answered %q", text)
			}
			for _, p := range []string{filepath.Join(w.Workspace, "trace"), filepath.Join(w.Dir, "trace")} {
				if _, err := os.Stat(p); err == nil {
					t.Errorf("%s is there", p)
				}
			}
		})
	}
}

func Test_R50_a_tool_that_prints_100_MB_leaves_a_short_result(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ command, told string }{
		"of text":     {"yes | head -c 100000000", "100,000,000 bytes"},
		"of noise":    {"head -c 100000000 /dev/urandom", "binary output, 100,000,000 bytes"},
		"on one line": {`head -c 100000000 /dev/zero | tr '\\0' x`, "100,000,000"},
		"of errors":   {"yes | head -c 100000000 >&2", "100,000,000 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := scripted(t, first(`{"id": "c1", "name": "shell", "args": {"command": "`+c.command+`"}}`))
			w.answered(w.Rkat("run", "--tools", "full", "go"), "Fine.")
			code, text := w.show().result(0)
			if code != "" || !strings.Contains(text, c.told) || len(text) > 120_000 {
				t.Errorf("the result has code %q and %d bytes: %.200s", code, len(text), text)
			}
			if info, err := os.Stat(w.Database()); err != nil || info.Size() > 4<<20 {
				t.Errorf("the database has %d bytes: %v", info.Size(), err)
			}
		})
	}
}

func Test_a_file_of_100_MB_is_read_piece_by_piece(t *testing.T) {
	t.Parallel()
	w := scripted(t, first(`{"id": "c1", "name": "read_file", "args": {"path": "big"}}, {"id": "c2", "name": "search", "args": {"pattern": "needle"}}`))
	f, err := os.Create(filepath.Join(w.Workspace, "big"))
	if err == nil {
		err = f.Truncate(100_000_000)
	}
	if err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	w.answered(w.Rkat("run", "go"), "Fine.")
	if _, text := w.show().result(0); len(text) > 120_000 || text == "" {
		t.Errorf("the result has %d bytes", len(text))
	}
}

// sleeper is a shell call that starts a second process, tells both their numbers, and never ends by itself.
func sleeper(timeout int) string {
	return fmt.Sprintf(`{"id": "c1", "name": "shell", "args": {"command": "sleep 1000 & echo $! $$ > pids.new; mv pids.new pids; sleep 1000", "timeout_secs": %d}}`, timeout)
}

// sleepers waits until the call runs, and returns the numbers of its processes.
func (w *world) sleepers() []int {
	w.t.Helper()
	var pids []int
	programs.Eventually(w.t, "the tool runs", func() bool {
		data, err := os.ReadFile(filepath.Join(w.Workspace, "pids"))
		for _, f := range strings.Fields(string(data)) {
			if n, err := strconv.Atoi(f); err == nil {
				pids = append(pids, n)
			}
		}
		return err == nil
	})
	return pids
}

// gone waits until none of the processes is left.
func (w *world) gone(pids []int) {
	w.t.Helper()
	for _, pid := range pids {
		programs.Eventually(w.t, fmt.Sprintf("process %d of the tool is gone", pid), func() bool { return !runs(pid) })
	}
}

// runs reports whether a process runs. One that has ended and was not reaped by its parent does not.
func runs(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return false
	}
	out, err := exec.Command("ps", "-o", "stat=", "-p", strconv.Itoa(pid)).Output()
	return err == nil && !strings.HasPrefix(strings.TrimSpace(string(out)), "Z")
}

func Test_R50_a_tool_that_never_ends_is_stopped_at_its_limit(t *testing.T) {
	t.Parallel()
	w := scripted(t, first(sleeper(1)))
	p := w.Start("run", "--tools", "full", "go")
	pids := w.sleepers()
	w.answered(p.Wait(), "Fine.")
	w.gone(pids)
	if _, text := w.show().result(0); !strings.Contains(text, "timed_out: true") {
		t.Errorf("the model was told %q", text)
	}
}

func Test_R40_a_signal_stops_the_tool_with_its_group_and_the_session_goes_on(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		signal  syscall.Signal
		exit    int
		says    string
		code    string // of the call, after the resume
		dies    bool   // by the signal itself
		standby bool   // the run is unfinished afterwards
	}{
		"Ctrl-C interrupts":           {syscall.SIGINT, 130, "Interrupted", "cancelled", false, false},
		"SIGTERM leaves it to resume": {syscall.SIGTERM, 143, "unfinished", "outcome_unknown", false, true},
		"a closed terminal as well":   {syscall.SIGHUP, 143, "unfinished", "outcome_unknown", false, true},
		"SIGKILL takes the tool down": {syscall.SIGKILL, -1, "", "outcome_unknown", true, true},
		"SIGQUIT is a crash as well":  {syscall.SIGQUIT, 2, "", "outcome_unknown", true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := scripted(t, first(sleeper(600)))
			p := w.Start("run", "--tools", "full", "go")
			pids := w.sleepers()
			p.Signal(c.signal)
			r := p.Wait()
			if c.dies {
				if r.Exit != c.exit {
					t.Errorf("%s", r)
				}
			} else {
				w.held(r, c.exit, c.says, "rkat resume")
			}
			w.gone(pids)
			if s := w.show(); s.Unfinished != c.standby {
				t.Errorf("unfinished: %v", s.Unfinished)
			}
			w.answered(w.Rkat("resume"), "Fine.")
			if code, text := w.show().result(0); code != c.code {
				t.Errorf("the call ended as %q: %s", code, text)
			}
			if w.requests() != 2 {
				t.Errorf("%d requests", w.requests())
			}
		})
	}
}

func Test_a_second_Ctrl_C_leaves_at_once_and_loses_nothing(t *testing.T) {
	t.Parallel()
	w := scripted(t, first(`{"id": "c1", "name": "shell", "args": {"command": "trap '' INT TERM; touch pids; while :; do sleep 1; done", "timeout_secs": 600}}`))
	p := w.Start("run", "--tools", "full", "go")
	w.sleepers()
	p.Signal(os.Interrupt)
	p.Signal(os.Interrupt)
	if r := p.Wait(); r.Exit != 130 || !strings.Contains(r.Stderr, "rkat resume") {
		t.Error(r)
	}
	w.answered(w.Rkat("resume"), "Fine.")
}

func Test_a_thousand_calls_in_one_reply_are_all_answered_in_order(t *testing.T) {
	t.Parallel()
	var calls []string
	for i := range 1000 {
		calls = append(calls, fmt.Sprintf(`{"id": "c%d", "name": "read_file", "args": {"path": "f%d.txt"}}`, i, i%10))
	}
	w := scripted(t, first(strings.Join(calls, ",")))
	for i := range 10 {
		w.Write(fmt.Sprintf("f%d.txt", i), fmt.Sprintf("this is file %d\n", i))
	}
	w.answered(w.Rkat("run", "go"), "Fine.")
	s := w.show()
	for i := range 1000 {
		if _, text := s.result(i); !strings.Contains(text, fmt.Sprintf("this is file %d", i%10)) {
			t.Fatalf("result %d is %q", i, text)
		}
	}
}

func Test_a_workspace_that_is_deleted_under_the_run_is_told_to_the_model(t *testing.T) {
	t.Parallel()
	w := scripted(t, first(`{"id": "c1", "name": "shell", "args": {"command": "rm -rf ../work"}}`),
		`{"when": {"results_since_user": 1}, "reply": {"tool_calls": [{"id": "c2", "name": "read_file", "args": {"path": "a.txt"}},
			{"id": "c3", "name": "shell", "args": {"command": "pwd"}}]}}`)
	w.answered(w.Rkat("run", "--tools", "full", "go"), "Fine.")
	r := w.Run(func(c *exec.Cmd) { c.Dir = w.Dir }, "sessions", "show", "last")
	w.held(r.Wait(), 0)
	// The folder named for the next command is not there any more; nor is the one the session knows.
	w.held(w.Run(func(c *exec.Cmd) { c.Dir = w.Dir }, "run", "-C", w.Workspace, "go").Wait(), 2, "does not exist", "--workspace")
	w.held(w.Run(func(c *exec.Cmd) { c.Dir = w.Dir }, "resume", "last", "go on").Wait(), 1, "does not exist", "make it again")
}
