package faults

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/meerkat-go/meerkat/internal/programs"
)

// Two processes never work on one session: the second is told whose it is, and has it as soon as the first is dead.
func Test_a_second_rkat_on_a_session_is_told_who_has_it_and_gets_it_when_that_dies(t *testing.T) {
	t.Parallel()
	w := scripted(t, first(sleeper(600)))
	p := w.Start("run", "--tools", "full", "go")
	pids := w.sleepers()
	holder := fmt.Sprintf("process %d", p.Pid())
	for _, args := range [][]string{{"resume"}, {"resume", "last", "and now"}, {"run", "--resume=last", "and now"}} {
		w.rkat(1, []string{"in use by", holder, "Another rkat"}, args...)
	}
	r := w.rkat(1, []string{holder}, "resume", "--json")
	var told struct{ Error struct{ Code, Advice string } }
	if err := json.Unmarshal([]byte(r.Stdout), &told); err != nil || told.Error.Code != "owned_elsewhere" {
		t.Errorf("%v\n%s", err, r)
	}
	if s := w.show(); !s.Unfinished || s.roles() != "system user block_assistant" {
		t.Errorf("while it runs, the session holds %q", s.roles())
	}
	w.rkat(0, nil, "sessions")
	p.Signal(syscall.SIGKILL)
	p.Wait()
	w.gone(pids)
	// What the run that was taken over says, and what the prompt is answered.
	w.answered(w.Rkat("resume", "last", "and now"), "Fine.\nFine.")
	s := w.show()
	if code, _ := s.result(0); code != "outcome_unknown" || s.Unfinished ||
		s.roles() != "system user block_assistant tool_result block_assistant user block_assistant" {
		t.Errorf("the session holds %q, the call ended as %q", s.roles(), code)
	}
}

func Test_runs_in_parallel_in_one_folder_do_not_notice_each_other(t *testing.T) {
	t.Parallel()
	w := scripted(t, `{"when": {"results_since_user": 0}, "reply": {"tool_calls": [{"name": "write_file", "args": {"path": "a.txt", "content": "x"}},
		{"name": "shell", "args": {"command": "echo ran >> ran.log"}}]}}`)
	const n = 6
	var wg sync.WaitGroup
	results := make([]programs.Result, n)
	for i := range n {
		p := w.Start("run", "--tools", "full", "go")
		wg.Go(func() { results[i] = p.Wait() })
	}
	wg.Wait()
	for _, r := range results {
		w.answered(r, "Fine.")
	}
	r := w.rkat(0, nil, "sessions")
	if got := strings.Count(r.Stdout, "idle"); got != n || w.requests() != 2*n {
		t.Errorf("%d sessions, %d requests\n%s", got, w.requests(), r)
	}
	data, err := os.ReadFile(w.Workspace + "/ran.log")
	if got := strings.Count(string(data), "ran\n"); err != nil || got != n {
		t.Errorf("%d of %d calls ran: %v", got, n, err)
	}
}

// Whoever comes back to a dead run at the same time as others: one of them finishes it, once.
func Test_of_many_that_resume_a_dead_run_one_finishes_it_and_nothing_is_done_twice(t *testing.T) {
	t.Parallel()
	w := scripted(t, first(sleeper(600)), `{"when": {"results_since_user": 1}, "reply": {"tool_calls": [{"id": "c2", "name": "shell", "args": {"command": "echo ran >> ran.log"}}]}}`)
	p := w.Start("run", "--tools", "full", "go")
	pids := w.sleepers()
	p.Signal(syscall.SIGKILL)
	p.Wait()
	w.gone(pids)
	const n = 6
	results := make([]programs.Result, n)
	var wg sync.WaitGroup
	for i := range n {
		p := w.Start("resume")
		wg.Go(func() { results[i] = p.Wait() })
	}
	wg.Wait()
	finished := 0
	for _, r := range results {
		switch {
		case r.Exit == 0 && r.Stdout == "Fine.\n":
			finished++
			w.held(r, 0)
		case r.Exit == 0:
			w.held(r, 0, "nothing to resume")
		default:
			w.held(r, 1, "in use by process")
		}
	}
	data, err := os.ReadFile(w.Workspace + "/ran.log")
	if finished != 1 || w.requests() != 3 || string(data) != "ran\n" {
		t.Errorf("%d finished it, after %d requests, the tool left %q (%v)", finished, w.requests(), data, err)
	}
	if s := w.show(); s.Unfinished || s.roles() != "system user block_assistant tool_result block_assistant tool_result block_assistant" {
		t.Errorf("the session holds %q", s.roles())
	}
}

func Test_the_demo_leaves_nothing_behind_however_it_ends(t *testing.T) {
	t.Parallel()
	for _, signal := range []syscall.Signal{0, syscall.SIGINT, syscall.SIGTERM} {
		t.Run(signal.String(), func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.Env["TMPDIR"] = w.Dir + "/tmp"
			if err := os.Mkdir(w.Env["TMPDIR"], 0o700); err != nil {
				t.Fatal(err)
			}
			p := w.Start("demo")
			exit := 0
			if signal != 0 {
				p.AwaitOutput("fetch: begun")
				p.Signal(signal)
				exit = 128 + int(signal)
			}
			w.held(p.Wait(), exit)
			left, err := os.ReadDir(w.Env["TMPDIR"])
			if err != nil || len(left) > 0 {
				t.Errorf("it left %v: %v", left, err)
			}
		})
	}
}
