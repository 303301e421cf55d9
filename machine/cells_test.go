package machine_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/internal/golden"
	"github.com/meerkat-go/meerkat/machine/fsm/fsmtest"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/operation"
	"github.com/meerkat-go/meerkat/machine/turn"
	"github.com/meerkat-go/meerkat/run"
)

// The cells of each region, driven through variants that tell all its guards apart.

func lifecycleCells() (string, error) {
	states := []lifecycle.State{{Run: "r1"}, {Run: "r1", Stopping: true}, {Run: "r1", Retiring: true}, {Away: true}, {Archived: true}}
	events := []lifecycle.Event{{Run: "r1"}, {Run: "r2"}, {}}
	return fsmtest.Cells(lifecycle.Table, states, events, func(e lifecycle.Event, k lifecycle.Kind) lifecycle.Event { e.Kind = k; return e })
}

func operationCells() (string, error) {
	var states []operation.State
	for _, attempt := range []int{1, operation.MaxAttempts} {
		states = append(states, operation.State{Attempt: attempt}, operation.State{Attempt: attempt, Repeatable: true})
	}
	states = append(states, operation.State{For: operation.Approval}, operation.State{For: operation.Callback}, operation.State{Yields: true})
	events := []operation.Event{{}, {IsError: true}, {Repeatable: true}, {For: operation.Approval}, {For: operation.Callback}}
	cells, err := fsmtest.Cells(operation.Table, states, events, func(e operation.Event, k operation.Kind) operation.Event { e.Kind = k; return e })
	return cells, errors.Join(err, heldCalls())
}

// heldCalls plays calls that wait for a word: what cells do not show of them is what they remember.
func heldCalls() error {
	approval := operation.Event{Kind: operation.Hold, For: operation.Approval, Repeatable: true, Yields: true}
	callback := operation.Event{Kind: operation.Hold, For: operation.Callback}
	settle, bad := operation.Event{Kind: operation.Settle}, operation.Event{Kind: operation.Settle, IsError: true}
	release, reissue, yield := operation.Event{Kind: operation.Release}, operation.Event{Kind: operation.Reissue}, operation.Event{Kind: operation.Yield}
	refuse, cancel := operation.Event{Kind: operation.Refuse}, operation.Event{Kind: operation.Cancel}
	start := operation.Event{Kind: operation.Start, Yields: true}
	var errs []error
	for _, play := range [][]operation.Event{{approval, callback, settle}, {callback, bad}, {approval, refuse}, {approval, cancel},
		{approval, release, reissue, yield}, {start, yield}} {
		s := operation.State{}
		for _, e := range play {
			next, err := operation.Table.Step(s, e)
			errs = append(errs, err, operation.Check(next))
			s = next
		}
	}
	return errors.Join(errs...)
}

func turnCells() (string, error) {
	states, events := turnVariants()
	cells, err := fsmtest.Cells(turn.Table, states, events, func(e turn.Event, k turn.Kind) turn.Event { e.Kind = k; return e })
	return cells, errors.Join(err, contextRuns())
}

// contextRuns plays runs that only add to the context, from any rest, with what cells do not show of them.
func contextRuns() error {
	var errs []error
	play := func(want turn.State, kinds ...turn.Kind) {
		s := turn.State{Run: "r1", Phase: turn.Failed, Cause: turn.CauseFatal, Round: 3, Calls: 1, Cancel: true, Deadline: time.Unix(9, 0)}
		for _, k := range kinds {
			next, err := turn.Table.Step(s, turn.Event{Kind: k, Run: "r2"})
			errs = append(errs, err, turn.Check(next))
			s = next
		}
		if s != want {
			errs = append(errs, fmt.Errorf("R112: %v leads to %+v, want %+v", kinds, s, want))
		}
	}
	play(turn.State{Run: "r2", Phase: turn.Completed, Immediate: true}, turn.StartImmediate, turn.PrimitiveApplied)
	play(turn.State{Run: "r2", Phase: turn.Cancelled, Immediate: true, Cause: turn.CauseCancelled}, turn.StartImmediate, turn.CancelAfterBoundary,
		turn.PrimitiveApplied)
	return errors.Join(errs...)
}

var regions = map[string]func() (string, error){"lifecycle": lifecycleCells, "operation": operationCells, "turn": turnCells}

// Scenario: M1, M6, M7
func TestR17_every_cell_of_every_region_is_decided_as_written_down(t *testing.T) {
	t.Parallel()
	for name, drive := range regions {
		got, err := drive()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		golden.Equal(t, "testdata/cells/"+name+".txt", []byte(got))
	}
}

func turnVariants() (states []turn.State, events []turn.Event) {
	for n := range 16 {
		s := turn.State{Run: "r1", Attempt: 1, Cancel: n&1 != 0}
		if n&2 != 0 {
			s.Pending, s.Immediate = 1, true
		}
		if n&4 != 0 {
			s.Resumes = 5
		}
		if n&8 != 0 {
			s.Answered, s.MaxTries = true, 2
		}
		states = append(states, s)
	}
	states = append(states, turn.State{Run: "r1", Attempt: 1, Answered: true, MaxTries: 2, Tries: 1})
	for n := range 16 {
		e := turn.Event{Run: "r1", Attempt: 1, Attempts: 2, Resumes: 5, N: n & 1, Tries: 2, Verdict: run.OutputVerdict(n % 3)}
		if n&2 != 0 {
			e.Attempt = 2
		}
		if n&4 != 0 {
			e.Attempts = 1
		}
		if n&8 != 0 {
			e.Cause = turn.CauseFatal
		}
		other, none := e, e
		other.Run, none.Run = "r2", ""
		events = append(events, e, other, none)
	}
	return states, events
}

// Scenario: M7
func TestR17_the_diagrams_in_docs_are_those_of_the_tables(t *testing.T) {
	t.Parallel()
	for name, diagram := range map[string]string{
		"lifecycle": lifecycle.Table.Diagram(),
		"turn":      turn.Table.Diagram(),
		"operation": operation.Table.Diagram(),
	} {
		golden.Equal(t, "../docs/machine/"+name+".mmd", []byte(diagram))
	}
}
