package inbox

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/internal/golden"
	"github.com/meerkat-go/meerkat/machine/fsm/fsmtest"
)

// cells drives the table through items that tell all its guards apart.
func cells() (string, error) {
	plain := Judge(prompt("i", input.Options{}), idle).Item
	again, last := plain, plain
	again.Attempts, last.Attempts = MaxAttempts-1, MaxAttempts
	states := []Item{plain, again, last}
	for _, in := range []input.Input{prompt("i", steering), answer("i", input.HandlingSteer), progress("i", "s"), goOn("i", "s", input.Continuation{}), news("i")} {
		states = append(states, Judge(in, idle).Item)
	}
	var events []Event
	for _, scope := range []Scope{{}, {input.KindPeerProgress, "s"}, {input.KindContinuation, "s"}} {
		events = append(events, Event{Scope: scope}, Event{Scope: scope, By: "i"}, Event{Scope: scope, By: "j", Run: "r"}, Event{Scope: scope, Seq: 9})
	}
	return fsmtest.Cells(Table, states, events, func(e Event, k Kind) Event { e.Kind = k; return e })
}

// Scenario: M7
func TestR17_every_cell_is_decided_as_written_down(t *testing.T) {
	t.Parallel()
	got, err := cells()
	if err != nil {
		t.Error(err)
	}
	golden.Equal(t, "testdata/cells.txt", []byte(got))
}

// Scenario: M7
func TestR17_the_diagram_in_docs_is_that_of_the_table(t *testing.T) {
	t.Parallel()
	diagram := strings.Replace(Table.Diagram(), "go test ./machine -update", "go test ./machine/inbox -update", 1)
	golden.Equal(t, "../../docs/machine/inbox.mmd", []byte(diagram))
}

// The table is swapped for faulty ones, so this test may not run beside others: it does not call t.Parallel, and those that do wait until
// it is over.
// Scenario: M6
func TestR17_a_fault_in_any_rule_is_noticed(t *testing.T) {
	alone := fsmtest.Survey(t, &Table, cells, func() error {
		for seed := range uint64(12) {
			r := rand.New(rand.NewPCG(seed, 1))
			if err := wander(60, func(n int, _ string) int { return r.IntN(n) }); err != nil {
				return err
			}
		}
		return nil
	})
	for _, name := range alone {
		if !strings.Contains(name, "without the guard") {
			t.Errorf("no session behaves otherwise for %s", name)
		}
	}
}
