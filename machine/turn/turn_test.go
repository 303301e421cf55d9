package turn_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/fsm"
	. "github.com/meerkat-go/meerkat/machine/turn"
	"github.com/meerkat-go/meerkat/run"
	"pgregory.net/rapid"
)

// naive says in plain words where an event leads; false: it is refused. It is written from docs/machine/turn.md and not from the table.
func naive(s State, e Event) (Phase, bool) {
	calling := s.Phase == CallingLlm || s.Phase == ErrorRecovery && !s.Answered
	searching := s.Phase == Extracting || s.Phase == ErrorRecovery && s.Answered
	underWay := s.Phase != Ready && !s.Phase.Terminal()
	if e.Kind == Start || e.Kind == StartImmediate {
		return ApplyingPrimitive, !underWay && e.Run != ""
	}
	if !underWay || s.Run != e.Run {
		return 0, false
	}
	if s.Phase == DrainingBoundary {
		return naiveBoundary(s, e)
	}
	switch e.Kind {
	case PrimitiveApplied:
		switch {
		case s.Cancel:
			return Cancelled, s.Phase == ApplyingPrimitive
		case s.Immediate:
			return Completed, s.Phase == ApplyingPrimitive
		}
		return CallingLlm, s.Phase == ApplyingPrimitive
	case ReturnedCalls:
		return WaitingForOps, calling && e.N > 0
	case ReturnedFinal:
		return DrainingBoundary, calling
	case CallSettled:
		return WaitingForOps, s.Phase == WaitingForOps && s.Pending > 0
	case CallsResolved:
		return DrainingBoundary, s.Phase == WaitingForOps && s.Pending == 0
	case ExtractionReplied:
		if e.Verdict == run.OutputInvalid && s.Tries+1 < s.MaxTries && !s.Cancel {
			return Extracting, searching
		}
		return Completed, searching
	case RecoverableFailure:
		switch {
		case e.Attempt != s.Attempt || !calling && !searching:
			return 0, false
		case s.Cancel && searching:
			return Completed, true
		case s.Cancel:
			return Cancelled, true
		}
		return ErrorRecovery, e.Attempts > s.Attempt
	case BudgetExhausted:
		if s.Phase == Extracting {
			return Completed, !s.Cancel // with one asked for there is no other try to be bought
		}
		return Failed, s.Phase == ApplyingPrimitive
	case CancelAfterBoundary:
		if s.Phase != ErrorRecovery {
			return s.Phase, true
		}
		fallthrough
	case CancelNow:
		if searching {
			return Completed, true
		}
		return Cancelled, true
	case FatalFailure, TimeBudgetExceeded:
		if searching {
			return Completed, true
		}
		return Failed, e.Kind == TimeBudgetExceeded || e.Cause != ""
	case RunReported:
		if s.Cancel {
			return Cancelled, s.Phase == ApplyingPrimitive && !s.Immediate
		}
		return Completed, s.Phase == ApplyingPrimitive && !s.Immediate
	case ExecutorLost:
		return s.Phase, s.Resumes < e.Resumes
	case Start, StartImmediate, BoundaryContinue, BoundaryComplete, EnterExtraction, TurnLimitReached:
	}
	return 0, false
}

// naiveBoundary is naive between two rounds, where a cancel comes before all else.
func naiveBoundary(s State, e Event) (Phase, bool) {
	to, ok := map[Kind]Phase{BoundaryContinue: CallingLlm, BoundaryComplete: Completed, EnterExtraction: Extracting, TurnLimitReached: Failed,
		BudgetExhausted: Completed, TimeBudgetExceeded: Failed}[e.Kind]
	switch {
	case ok && s.Cancel:
		return Cancelled, true
	case ok:
		return to, true
	case e.Kind == CancelNow:
		return Cancelled, true
	case e.Kind == CancelAfterBoundary:
		return DrainingBoundary, true
	case e.Kind == FatalFailure:
		return Failed, e.Cause != ""
	}
	return 0, false
}

// taken steps and holds what comes of it against naive and Check.
func taken(s State, e Event) (State, error) {
	next, err := Table.Step(s, e)
	phase, ok := naive(s, e)
	switch {
	case ok != (err == nil), ok && next.Phase != phase:
		return next, fmt.Errorf("R17: %+v on %+v leads to %s, %v; in words it is %s, %t", e, s, next.Phase, err, phase, ok)
	case err != nil && next != s:
		return next, fmt.Errorf("R18: refused, and %+v became %+v", s, next)
	}
	var no *fsm.Refusal
	if err != nil && !errors.As(err, &no) {
		return next, err
	}
	return next, errors.Join(Check(next), again(next))
}

// again reads a state as it is stored.
func again(s State) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	var loaded State
	if err := json.Unmarshal(data, &loaded); err != nil || loaded != s {
		return fmt.Errorf("R22: %s is read as %+v, %v", data, loaded, err)
	}
	return nil
}

func TestR110_R112_whatever_a_turn_is_told_it_does_what_the_words_say(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		draw := func(n int, what string) int { return rapid.IntRange(0, n).Draw(t, what) }
		s := State{}
		for range draw(60, "steps") {
			e := Event{Kind: Kind(draw(int(ExecutorLost), "kind")), Run: []id.Run{s.Run, s.Run, s.Run, "r1", "r2", ""}[draw(5, "run")], N: draw(2, "calls"),
				Tries: 1 + draw(2, "tries"), Attempt: s.Attempt + draw(1, "late"), Attempts: 3, Resumes: 2, Verdict: run.OutputVerdict(draw(2, "verdict")),
				Cause: []string{"", CauseLLMFailure}[draw(1, "cause")]}
			e.Spared = draw(e.N, "spared")
			next, err := taken(s, e)
			if err != nil {
				t.Fatal(err)
			}
			s = next
		}
	})
}

// Every state that one run can get into, and a second one behind it, is visited: two rounds of two calls, two attempts, three tries.
func TestR110_every_state_of_a_small_turn_keeps_the_rules_and_can_be_ended(t *testing.T) {
	t.Parallel()
	seen, next := map[State]string{{}: ""}, []State{{}}
	ends := map[Phase]int{}
	for len(next) > 0 {
		s := next[0]
		next = next[1:]
		if s.Phase != Ready && !s.Phase.Terminal() {
			end, err := taken(s, Event{Kind: CancelNow, Run: s.Run})
			if err != nil || !end.Phase.Terminal() || s.Answered != (end.Phase == Completed) {
				t.Fatalf("R110: after%s an interrupt leads to %s, %v", seen[s], end.Phase, err)
			}
		}
		for _, e := range smallEvents(s) {
			to, err := taken(s, e)
			if err != nil {
				t.Fatalf("%v\nafter%s", err, seen[s])
			}
			if s.Answered && !s.Phase.Terminal() && !to.Answered {
				t.Fatalf("R110: after%s %s forgets the answer", seen[s], Table.Events[e.Kind])
			}
			if _, known := seen[to]; known || to.Round > 2 {
				continue
			}
			seen[to] = seen[s] + " " + Table.Events[e.Kind]
			ends[to.Phase]++
			next = append(next, to)
		}
	}
	if len(ends) != len(Table.Phases)-1 {
		t.Errorf("not all phases were reached: %v", ends)
	}
	t.Logf("%d states: %v", len(seen), ends)
}

func smallEvents(s State) []Event {
	out := []Event{{Kind: Start, Run: "r1"}, {Kind: StartImmediate, Run: "r2"}, {Kind: ReturnedCalls, Run: s.Run, N: 2},
		{Kind: ReturnedCalls, Run: s.Run, N: 2, Spared: 2}, {Kind: RecoverableFailure, Run: s.Run, Attempt: s.Attempt, Attempts: 2},
		{Kind: FatalFailure, Run: s.Run, Cause: CauseFatal}, {Kind: EnterExtraction, Run: s.Run, Tries: 3}, {Kind: ExecutorLost, Run: s.Run, Resumes: 1}}
	for v := run.OutputFailed; v <= run.OutputValid; v++ {
		out = append(out, Event{Kind: ExtractionReplied, Run: s.Run, Verdict: v})
	}
	for _, k := range []Kind{PrimitiveApplied, ReturnedFinal, CallSettled, CallsResolved, BoundaryContinue, BoundaryComplete, TurnLimitReached,
		BudgetExhausted, TimeBudgetExceeded, CancelAfterBoundary, CancelNow, RunReported} {
		out = append(out, Event{Kind: k, Run: s.Run})
	}
	return out
}

// A state that was stored before there was a search for an output is read as it was.
func TestR22_an_old_state_is_read(t *testing.T) {
	t.Parallel()
	for stored, want := range map[string]State{
		`{"phase":8,"run":"r1","round":1,"cause":"cancelled"}`:   {Phase: Cancelled, Run: "r1", Round: 1, Cause: CauseCancelled},
		`{"phase":3,"run":"r1","round":1,"pending":2,"calls":2}`: {Phase: WaitingForOps, Run: "r1", Round: 1, Pending: 2, Calls: 2},
	} {
		var s State
		if err := json.Unmarshal([]byte(stored), &s); err != nil || s != want || Check(s) != nil {
			t.Errorf("%s is read as %+v, %v, %v", stored, s, err, Check(s))
		}
	}
	if Phase(10).Known() || !Extracting.Known() || Extracting.Terminal() || !Cancelled.Terminal() {
		t.Error("phases are told apart wrongly")
	}
}

func TestCheck_notices_what_no_turn_may_be(t *testing.T) {
	t.Parallel()
	for rule, s := range map[string]State{
		"R22":  {Phase: 10},
		"R30":  {Phase: CallingLlm, Attempt: 1},
		"R42":  {Phase: Completed, Run: "r", Cancel: true},
		"R51":  {Phase: CallingLlm, Run: "r", Attempt: 1, Pending: 1},
		"R10":  {Phase: CallingLlm, Run: "r"},
		"R110": {Phase: Failed, Run: "r", Cause: CauseFatal, Answered: true, MaxTries: 1},
		"R111": {Phase: Extracting, Run: "r", Attempt: 1, Answered: true, Tries: 1, MaxTries: 1},
		"R112": {Phase: Completed, Run: "r", Cause: CauseTime},
		"R32":  {Phase: Failed, Run: "r"},
	} {
		if err := Check(s); err == nil || len(err.Error()) < 5 || err.Error()[:len(rule)+1] != rule+":" {
			t.Errorf("want %s of %+v, got %v", rule, s, err)
		}
	}
}
