package operation

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/fsm/fsmtest"
	"pgregory.net/rapid"
)

func play(s State, events ...Event) (State, error) {
	for _, e := range events {
		next, err := Table.Step(s, e)
		if err != nil {
			return s, err
		}
		s = next
	}
	return s, nil
}

var (
	approval = Event{Kind: Hold, For: Approval, Repeatable: true, Yields: true}
	callback = Event{Kind: Hold, For: Callback}
	release  = Event{Kind: Release}
	settle   = Event{Kind: Settle}
)

// lives are calls from their intent to their end, with what is known of them then.
var lives = []struct {
	name   string
	events []Event
	want   State
}{
	{"allowed and run", []Event{approval, release, settle}, State{Phase: Completed, Repeatable: true, Yields: true, Attempt: 1}},
	{"allowed, lost and run again", []Event{approval, release, {Kind: Reissue}, settle}, State{Phase: Completed, Repeatable: true, Yields: true, Attempt: 2}},
	{"denied", []Event{approval, {Kind: Refuse}}, State{Phase: Failed, Repeatable: true, Yields: true}},
	{"interrupted while it is held", []Event{approval, {Kind: Cancel}}, State{Phase: Cancelled, Repeatable: true, Yields: true}},
	{"answered by a client", []Event{callback, settle}, State{Phase: Completed}},
	{"answered by a client with an error", []Event{callback, {Kind: Settle, IsError: true}}, State{Phase: Failed}},
	{"taken over by a client that came", []Event{callback, release, settle}, State{Phase: Completed, Attempt: 1}},
	{"allowed, then answered by a client", []Event{approval, callback, settle}, State{Phase: Completed, Repeatable: true, Yields: true}},
	{"gives way to new input", []Event{{Kind: Start, Yields: true}, {Kind: Yield}}, State{Phase: Completed, Yields: true, Attempt: 1}},
	{"lost for good", []Event{{Kind: Start}, {Kind: Abandon}}, State{Phase: Terminated, Attempt: 1}},
	{"never run", []Event{{Kind: Refuse}}, State{Phase: Failed}},
	{"run and failed", []Event{{Kind: Start, Repeatable: true}, {Kind: Settle, IsError: true}}, State{Phase: Failed, Repeatable: true, Attempt: 1}},
	{"interrupted", []Event{{Kind: Start}, {Kind: Cancel}}, State{Phase: Cancelled, Attempt: 1}},
}

func behaves() error {
	var errs []error
	for _, l := range lives {
		s := State{}
		for _, e := range l.events {
			next, err := play(s, e)
			errs = append(errs, err, Check(next))
			s = next
		}
		if s != l.want {
			errs = append(errs, errors.New(l.name+" ends otherwise"))
		}
	}
	again := Event{Kind: Reissue}
	if s, err := play(State{}, Event{Kind: Start, Repeatable: true}, again, again, again); err == nil || s.Attempt != MaxAttempts {
		errs = append(errs, errors.New("R04: handed out without an end"))
	}
	r := rand.New(rand.NewPCG(99, 1))
	for range 3000 {
		errs = append(errs, wander(func(n int) int { return r.IntN(n) }))
	}
	return errors.Join(errs...)
}

// wander tells a call anything, in any order.
func wander(choose func(int) int) error {
	s := State{}
	out := 0 // how often it was handed out
	for range 12 {
		e := Event{Kind: Kind(choose(len(kinds))), Repeatable: choose(2) == 0, Yields: choose(2) == 0, IsError: choose(2) == 0, For: Word(choose(3))}
		next, err := Table.Step(s, e)
		if err == nil && (e.Kind == Start || e.Kind == Release || e.Kind == Reissue) {
			out++
		}
		switch {
		case err != nil && next != s:
			return errors.New("R18: refused, and changed")
		case s.Phase >= Completed && err == nil:
			return errors.New("R36: an end was followed by " + kinds[e.Kind])
		case next.Attempt != out:
			return errors.New("R04: handed out, and not counted")
		case s.Phase == Held && (next.Phase == Terminated || e.Kind == Reissue && err == nil):
			return errors.New("R99: held, and taken for lost")
		case e.Kind == Settle && err == nil && s.Phase == Held && s.For != Callback:
			return errors.New("R99: a result came from nobody who was asked")
		case e.Kind == Yield && err == nil && !s.Yields:
			return errors.New("R99: an ordinary call gave way")
		case out > 1 && !next.Repeatable:
			return errors.New("R35: handed out twice")
		}
		if err := Check(next); err != nil {
			return err
		}
		s = next
	}
	return nil
}

func TestR99_a_held_call_has_not_run_and_ends_by_a_word(t *testing.T) {
	t.Parallel()
	for _, l := range lives {
		if s, err := play(State{}, l.events...); err != nil || s != l.want {
			t.Errorf("%s: %+v, want %+v: %v", l.name, s, l.want, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		if err := wander(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }); err != nil {
			t.Fatal(err)
		}
	})
}

func TestR99_a_held_call_is_not_lost_with_a_process_and_not_answered_for_its_approver(t *testing.T) {
	t.Parallel()
	held, err := play(State{}, approval)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		kind Kind
		sort error
		why  string
	}{
		{Reissue, fsm.ErrPhase, WhyHeld},
		{Abandon, fsm.ErrPhase, WhyHeld},
		{Yield, fsm.ErrPhase, WhyHeld},
		{Settle, fsm.ErrGuard, GuardCallback},
	} {
		next, err := Table.Step(held, Event{Kind: c.kind})
		if !errors.Is(err, c.sort) || !strings.Contains(err.Error(), c.why) || next != held {
			t.Errorf("%s: %v, and then %+v", kinds[c.kind], err, next)
		}
	}
	if back, err := play(State{}, callback, approval); err == nil {
		t.Errorf("what a client is to run waits for an approval again: %+v", back)
	}
}

func TestR99_a_state_that_cannot_be_is_noticed(t *testing.T) {
	t.Parallel()
	for rule, states := range map[string][]State{
		"R99": {{Phase: Held}, {Phase: Held, For: Approval, Attempt: 1}, {Phase: Running, Attempt: 1, For: Callback}, {Phase: Running}, {Attempt: 1}, {Phase: Terminated}},
		"R04": {{Phase: Running, Attempt: 2}, {Phase: Running, Attempt: MaxAttempts + 1, Repeatable: true}},
	} {
		for _, s := range states {
			if err := Check(s); err == nil || !strings.HasPrefix(err.Error(), rule) {
				t.Errorf("%+v: %v, want %s", s, err, rule)
			}
		}
	}
}

// The table is swapped for faulty ones, so this test may not run beside others: it does not call t.Parallel.
// Scenario: M6
func TestR17_a_fault_in_any_rule_of_a_call_is_noticed(t *testing.T) {
	cells := func() (string, error) {
		states := []State{{Attempt: 1}, {Attempt: MaxAttempts, Repeatable: true}, {Repeatable: true}, {For: Approval}, {For: Callback}, {Yields: true}}
		events := []Event{{}, {IsError: true}, {For: Approval}, {For: Callback}}
		return fsmtest.Cells(Table, states, events, func(e Event, k Kind) Event { e.Kind = k; return e })
	}
	for _, name := range fsmtest.Survey(t, &Table, cells, behaves) {
		t.Errorf("nothing behaves otherwise for %s", name)
	}
}
