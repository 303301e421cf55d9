package machine_test

import (
	"errors"
	"fmt"
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
// all that may come of it, and fails the test if a rule was never used or a refusal is not the declared one.
func cells[P, K ~uint8, S, E any](t *testing.T, table *fsm.Table[P, K, S, E], states []S, events []E, aim func(E, K) E) string {
	t.Helper()
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
	if err != nil {
		t.Fatal(err)
	}
	refused := map[string]bool{}
	var out strings.Builder
	for p := range table.Phases {
		fmt.Fprintf(&out, "%s\n", table.Phases[p])
		for k := range table.Events {
			var outcomes []string
			for _, s := range states {
				for _, e := range events {
					s, e := table.Move(s, P(p)), aim(e, K(k))
					outcome := decided(t, table, full, s, e)
					if why, ok := strings.CutPrefix(outcome, "never: "); ok {
						refused[fmt.Sprintf("%s | %s | %s", table.Events[k], table.Phases[p], why)] = true
					}
					if !slices.Contains(outcomes, outcome) {
						outcomes = append(outcomes, outcome)
					}
				}
			}
			slices.Sort(outcomes)
			fmt.Fprintf(&out, "    %-22s %s\n", table.Events[k], strings.Join(outcomes, " / "))
		}
	}
	for i, n := range used {
		if n == 0 {
			t.Errorf("R17: rule %d, for %s, decides nothing", i, table.Events[table.Rules[i].On])
		}
	}
	for _, line := range table.Refusals() {
		if !refused[line] {
			t.Errorf("R18: the declared refusal %q was never given", line)
		}
	}
	return out.String()
}

// decided steps both the table and its watched copy and says what came of it.
func decided[P, K ~uint8, S, E any](t *testing.T, table, watched *fsm.Table[P, K, S, E], s S, e E) string {
	t.Helper()
	was := fmt.Sprintf("%+v", s)
	next, err := table.Step(s, e)
	again, againErr := watched.Step(s, e)
	if fmt.Sprint(next, err) != fmt.Sprint(again, againErr) {
		t.Fatalf("R20: %+v on %+v: %+v %v and %+v %v", e, s, next, err, again, againErr)
	}
	if fmt.Sprintf("%+v", s) != was {
		t.Fatalf("R19: %+v changed its argument", e)
	}
	if err == nil {
		return "to " + table.Phases[table.Phase(next)]
	}
	var no *fsm.Refusal
	if !errors.As(err, &no) || no.Region != table.Region || no.Phase != table.Phases[table.Phase(s)] || no.Event != table.Events[table.Kind(e)] || no.Guard == "" {
		t.Fatalf("R18: refusal %#v does not name everything", err)
	}
	if fmt.Sprintf("%+v", next) != was {
		t.Fatalf("R18: %+v was refused and changed %s to %+v", e, was, next)
	}
	if errors.Is(err, fsm.ErrPhase) {
		return "never: " + no.Guard
	}
	return "unless " + no.Guard
}

func TestR17_every_cell_of_every_region_is_decided_as_written_down(t *testing.T) {
	t.Parallel()
	t.Run("lifecycle", func(t *testing.T) {
		t.Parallel()
		var states []lifecycle.State
		for _, stopping := range []bool{false, true} {
			states = append(states, lifecycle.State{Run: "r1", Stopping: stopping})
		}
		events := []lifecycle.Event{{Run: "r1"}, {Run: "r2"}, {}}
		golden.Equal(t, "testdata/cells/lifecycle.txt", []byte(cells(t, lifecycle.Table, states, events,
			func(e lifecycle.Event, k lifecycle.Kind) lifecycle.Event { e.Kind = k; return e })))
	})
	t.Run("inbox", func(t *testing.T) {
		t.Parallel()
		states := []inbox.Item{{Lane: inbox.Queue}, {Lane: inbox.Steer}}
		events := []inbox.Event{{Run: "r1"}, {}}
		golden.Equal(t, "testdata/cells/inbox.txt", []byte(cells(t, inbox.Table, states, events,
			func(e inbox.Event, k inbox.Kind) inbox.Event { e.Kind = k; return e })))
	})
	t.Run("operation", func(t *testing.T) {
		t.Parallel()
		var states []operation.State
		for _, attempt := range []int{1, operation.MaxAttempts} {
			states = append(states, operation.State{Attempt: attempt}, operation.State{Attempt: attempt, Repeatable: true})
		}
		events := []operation.Event{{}, {IsError: true}, {Repeatable: true}}
		golden.Equal(t, "testdata/cells/operation.txt", []byte(cells(t, operation.Table, states, events,
			func(e operation.Event, k operation.Kind) operation.Event { e.Kind = k; return e })))
	})
	t.Run("turn", func(t *testing.T) {
		t.Parallel()
		states, events := turnVariants()
		golden.Equal(t, "testdata/cells/turn.txt", []byte(cells(t, turn.Table, states, events,
			func(e turn.Event, k turn.Kind) turn.Event { e.Kind = k; return e })))
	})
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
