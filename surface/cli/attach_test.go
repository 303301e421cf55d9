package cli

import (
	"encoding/json"
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
)

// watched is a process of whose session a run goes on somewhere else.
func watched(t *testing.T) *process {
	t.Helper()
	p := newProcess(t)
	p.env["RKAT_REALM"] = "r"
	makeRealm(t, p)
	p.plane.sessions = []control.Session{{ID: theSession, Phase: "running", Messages: 3, Cursor: 2, Unfinished: true,
		Run: &control.Run{ID: theRun, Inputs: []id.Input{theInput}}}}
	return p
}

// look lets a process look at the store once more, which has the payloads after its first two events.
func (p *process) look(payloads ...event.Payload) {
	p.ticks <- p.now // it has read what there was and watches
	p.plane.past = nil
	for n, x := range payloads {
		p.plane.past = append(p.plane.past, event.Event{Session: theSession, Cursor: uint64(n + 3), Time: p.now, Run: theRun, Payload: x})
	}
	s := p.plane.sessions[0]
	s.Cursor = uint64(len(payloads) + 2)
	p.plane.sessions = []control.Session{s}
	for range lookEvery - 1 {
		p.ticks <- p.now
	}
}

func TestA_session_of_another_process_is_watched_through_the_store_until_its_run_ends(t *testing.T) {
	t.Parallel()
	p := watched(t)
	p.start("attach", "--once")
	p.look(event.TurnStarted{}, event.TextComplete{Content: "so it is"}, event.RunCompleted{Result: "so it is", Rounds: 2}, event.InputEnded{})
	if code := <-p.done; code != 0 {
		t.Errorf("exit code %d", code)
	}
	says(t, p.out.String(), "── user\nhello\n", "── assistant (offline)")
	if !strings.HasSuffix(p.out.String(), "\n\nso it is\n") {
		t.Errorf("stdout %q", p.out.String())
	}
	says(t, p.err.String(), "Watching session 019a8c2e-41f0, which is unfinished. (Ctrl-C leaves and interrupts nothing.)", "Turns: 2")
	if len(p.plane.submitted) > 0 || p.closed != 1 {
		t.Errorf("submitted %v, closed %d times", p.plane.submitted, p.closed)
	}
}

func TestOne_run_that_fails_is_the_exit_code_of_whoever_waits_for_it(t *testing.T) {
	t.Parallel()
	p := watched(t)
	p.start("attach", "--once", "--no-stream", string(theSession)[:13])
	p.look(event.RunFailed{Class: "llm", Cause: "llm_failure", Kind: "rate_limited", Error: "no"})
	if code := <-p.done; code != ExitFailed {
		t.Errorf("exit code %d", code)
	}
	says(t, p.err.String(), "Error: the run failed: no. The provider limits how much you may ask.")
}

func TestWatching_stays_until_the_session_is_over_and_shows_what_others_say(t *testing.T) {
	t.Parallel()
	p := watched(t)
	p.start("attach")
	p.look(event.RunCompleted{Result: "one"}, event.RunStarted{Prompt: "and then?"}, event.Steered{Text: "be quick"}, event.RunCompleted{Result: "two"}, event.SessionArchived{})
	if code := <-p.done; code != 0 {
		t.Errorf("exit code %d: %s", code, p.err.String())
	}
	says(t, p.out.String(), "one\n\n── user\nand then?\n\n\n── user\nbe quick\n\ntwo\n")
	says(t, p.err.String(), "The session is archived: nothing more comes.")
}

func TestCtrl_C_leaves_what_is_watched_alone(t *testing.T) {
	t.Parallel()
	for s, code := range map[os.Signal]int{os.Interrupt: ExitInterrupted, syscall.SIGTERM: ExitTerminated} {
		p := watched(t)
		p.start("attach", "last")
		p.ticks <- p.now // it watches
		p.signals <- s
		if got := <-p.done; got != code {
			t.Errorf("exit code %d, want %d", got, code)
		}
		says(t, p.err.String(), "Left. Nothing was interrupted: 'rkat attach 019a8c2e-41f0' comes back.")
		if len(p.plane.stopped) > 0 || p.closed != 1 {
			t.Errorf("%d interrupts, closed %d times", len(p.plane.stopped), p.closed)
		}
	}
}

func TestWhere_nothing_runs_one_run_is_not_waited_for(t *testing.T) {
	t.Parallel()
	p := watched(t)
	p.plane.sessions = []control.Session{{ID: theSession, Phase: "idle", Messages: 3}}
	if code := p.run("attach", "--once"); code != 0 {
		t.Errorf("exit code %d: %s", code, p.err.String())
	}
	p.plane.sessions = []control.Session{{ID: theSession, Phase: "archived", Messages: 3}}
	if code := p.run("attach"); code != 0 {
		t.Errorf("of a record: exit code %d: %s", code, p.err.String())
	}
	p.plane.sessions = nil
	if code := p.run("attach", "ffff"); code != 1 {
		t.Errorf("of none: exit code %d: %s", code, p.err.String())
	}
}

func TestA_session_at_a_server_is_watched_live(t *testing.T) {
	t.Parallel()
	p, s := atServer(t)
	p.outTerm = true
	s.plane.sessions = []control.Session{{ID: theSession, Phase: "running", Messages: 3, Run: &control.Run{ID: theRun}}}
	p.start("attach", "--server", s.URL, "--once")
	s.happen(event.TurnStarted{}, event.TextDelta{Delta: "so "}, event.TextDelta{Delta: "it is"}, event.TextComplete{Content: "so it is"}, event.RunCompleted{Result: "so it is"})
	if code := <-p.done; code != 0 {
		t.Errorf("exit code %d: %s", code, p.err.String())
	}
	if !strings.HasSuffix(p.out.String(), "\n\nso it is\n") || strings.Count(p.out.String(), "so it is") != 1 {
		t.Errorf("stdout %q", p.out.String())
	}
	untouched(t, p)
}

func TestEvents_of_a_session_can_be_read_by_a_program(t *testing.T) {
	t.Parallel()
	p, s := atServer(t)
	s.plane.sessions = []control.Session{{ID: theSession, Phase: "running", Messages: 3, Run: &control.Run{ID: theRun}}}
	p.start("attach", "--server", s.URL, "--json")
	s.happen(event.TurnStarted{}, event.TextDelta{Delta: "x"}, event.RunCompleted{Result: "x"}, event.SessionDestroyed{})
	if code := <-p.done; code != 0 {
		t.Errorf("exit code %d: %s", code, p.err.String())
	}
	var types []string
	for l := range strings.Lines(p.out.String()) {
		var e struct{ Type string }
		if err := json.Unmarshal([]byte(l), &e); err != nil {
			t.Errorf("%q: %v", l, err)
		}
		types = append(types, e.Type)
	}
	if got := strings.Join(types, " "); got != "turn_started text_delta run_completed session_destroyed" {
		t.Errorf("got %s", got)
	}
	if p.err.Len() > 0 {
		t.Errorf("stderr %q", p.err.String())
	}
}
