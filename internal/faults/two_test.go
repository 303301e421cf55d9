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
