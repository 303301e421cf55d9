package machine_test

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/internal/golden"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/operation"
	"github.com/meerkat-go/meerkat/machine/turn"
)

// cells drives a table through every phase, every event and every given variant of both. It returns one line for each cell with
// all that may come of it, and an error if a rule was never used or a refusal is not the declared one.
func cells[P, K ~uint8, S, E any](table *fsm.Table[P, K, S, E], states []S, events []E, aim func(E, K) E) (string, error) {
	used := make([]int, len(table.Rules))
	watched := *table
	watched.Rules = slices.Clone(table.Rules)
	for i := range watched.Rules {
		do := watched.Rules[i].Do
		watched.Rules[i].Do = func(s S, e E) S {
			used[i]++
			if do != nil {
				s = do(s, e)
			}
			return s
		}
	}
	full, err := fsm.New(watched)
	errs := []error{err}
	refused := map[string]bool{}
	var out strings.Builder
	for p := range table.Phases {
		fmt.Fprintf(&out, "%s\n", table.Phases[p])
		for k := range table.Events {
			outcomes := map[string]int{}
			for _, s := range states {
				for _, e := range events {
					outcome, err := decided(table, full, table.Move(s, P(p)), aim(e, K(k)))
					if err != nil {
						errs = append(errs, err)
					}
					if why, ok := strings.CutPrefix(outcome, "never: "); ok {
						refused[fmt.Sprintf("%s | %s | %s", table.Events[k], table.Phases[p], why)] = true
					}
					outcomes[outcome]++
				}
			}
			fmt.Fprintf(&out, "    %-22s %s\n", table.Events[k], shares(outcomes))
		}
	}
	for i, n := range used {
		if n == 0 {
			errs = append(errs, fmt.Errorf("R17: rule %d, for %s, decides nothing", i, table.Events[table.Rules[i].On]))
		}
	}
	for _, line := range table.Refusals() {
		if !refused[line] {
			errs = append(errs, fmt.Errorf("R18: the declared refusal %q was never given", line))
		}
	}
	return out.String(), errors.Join(errs...)
}

// shares says in how many of the variants each outcome came; just the outcome if it always did.
func shares(outcomes map[string]int) string {
	var parts []string
	for _, o := range slices.Sorted(maps.Keys(outcomes)) {
		if len(outcomes) > 1 {
			o = fmt.Sprintf("%s (%d)", o, outcomes[o])
		}
		parts = append(parts, o)
	}
	return strings.Join(parts, " / ")
}

// decided steps both the table and its watched copy and says what came of it.
func decided[P, K ~uint8, S, E any](table, watched *fsm.Table[P, K, S, E], s S, e E) (string, error) {
	next, err := table.Step(s, e)
	again, againErr := watched.Step(s, e)
	if !reflect.DeepEqual(next, again) || !reflect.DeepEqual(err, againErr) {
		return "", fmt.Errorf("R20: %+v on %+v: %+v %w and %+v %w", e, s, next, err, again, againErr)
	}
	if err == nil {
		return "to " + table.Phases[table.Phase(next)], nil
	}
	var no *fsm.Refusal
	if !errors.As(err, &no) || no.Region != table.Region || no.Phase != table.Phases[table.Phase(s)] || no.Event != table.Events[table.Kind(e)] || no.Guard == "" {
		return "", fmt.Errorf("R18: refusal %#v does not name everything", err)
	}
	if !reflect.DeepEqual(next, s) {
		return "", fmt.Errorf("R18: %+v was refused and changed %+v to %+v", e, s, next)
	}
	if errors.Is(err, fsm.ErrPhase) {
		return "never: " + no.Guard, nil
	}
	return "unless " + no.Guard, nil
}

// The cells of each region, driven through variants that tell all its guards apart.

func lifecycleCells() (string, error) {
	states := []lifecycle.State{{Run: "r1"}, {Run: "r1", Stopping: true}}
	events := []lifecycle.Event{{Run: "r1"}, {Run: "r2"}, {}}
	return cells(lifecycle.Table, states, events, func(e lifecycle.Event, k lifecycle.Kind) lifecycle.Event { e.Kind = k; return e })
}

func inboxCells() (string, error) {
	states := []inbox.Item{{Lane: inbox.Queue}, {Lane: inbox.Steer}}
	events := []inbox.Event{{Run: "r1"}, {}}
	return cells(inbox.Table, states, events, func(e inbox.Event, k inbox.Kind) inbox.Event { e.Kind = k; return e })
}

func operationCells() (string, error) {
	var states []operation.State
	for _, attempt := range []int{1, operation.MaxAttempts} {
		states = append(states, operation.State{Attempt: attempt}, operation.State{Attempt: attempt, Repeatable: true})
	}
	events := []operation.Event{{}, {IsError: true}, {Repeatable: true}}
	return cells(operation.Table, states, events, func(e operation.Event, k operation.Kind) operation.Event { e.Kind = k; return e })
}

func turnCells() (string, error) {
	states, events := turnVariants()
	return cells(turn.Table, states, events, func(e turn.Event, k turn.Kind) turn.Event { e.Kind = k; return e })
}

var regions = map[string]func() (string, error){"lifecycle": lifecycleCells, "inbox": inboxCells, "operation": operationCells, "turn": turnCells}

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
	for n := range 8 {
		s := turn.State{Run: "r1", Attempt: 1, Cancel: n&1 != 0}
		if n&2 != 0 {
			s.Pending = 1
		}
		if n&4 != 0 {
			s.Resumes = 5
		}
		states = append(states, s)
	}
	for n := range 16 {
		e := turn.Event{Run: "r1", Attempt: 1, Attempts: 2, Resumes: 5, N: n & 1}
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

func TestR17_the_diagrams_in_docs_are_those_of_the_tables(t *testing.T) {
	t.Parallel()
	for name, diagram := range map[string]string{
		"lifecycle": lifecycle.Table.Diagram(),
		"inbox":     inbox.Table.Diagram(),
		"turn":      turn.Table.Diagram(),
		"operation": operation.Table.Diagram(),
	} {
		golden.Equal(t, "../docs/machine/"+name+".mmd", []byte(diagram))
	}
}
