package registry

import (
	"math/rand/v2"
	"testing"

	"github.com/meerkat-go/meerkat/internal/golden"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/fsm/fsmtest"
)

func operationCells() (string, error) {
	child := Spec{Work: MemberChild, ExpectsPeer: true}
	states := []Op{{Spec: child}, {Spec: child, PeerReady: true}, {Spec: Spec{ExpectsPeer: true}}, {Spec: Spec{Work: MemberChild}}}
	events := []Event{{ID: "a"}, {}, {ID: "\xff"}}
	return fsmtest.Cells(Operations, states, events, func(e Event, k Kind) Event { e.Kind = k; return e })
}

func registryCells() (string, error) {
	var states []State
	for n := range 2 {
		s, err := play(State{}, Event{Kind: Register, ID: "a"}, Event{Kind: Register, ID: "b"}, Event{Kind: Cancel, ID: "b"},
			Event{Kind: RequestWaitAll, Token: "w", IDs: []ID{"a", "b"}})
		if n == 1 {
			s, err = play(s, Event{Kind: Cancel, ID: "a"})
		}
		if err != nil {
			return "", err
		}
		states = append(states, s)
	}
	events := []Event{{}, {Token: "w", IDs: []ID{"b", "a"}}, {Token: "w", IDs: []ID{"a", "a"}}, {Token: "w", IDs: []ID{"a", "z"}},
		{Token: "x"}, {IDs: []ID{"a"}}, {Token: "\xff", IDs: []ID{"a"}}, {Upto: 9}, {Keep: -1}, {Limit: -1}}
	return fsmtest.Cells(Table, states, events, func(e Event, k level) Event { e.Kind = Kind(k) + RequestWaitAll; return e })
}

// Scenario: M7
func TestR17_every_cell_of_both_tables_is_decided_as_written_down(t *testing.T) {
	t.Parallel()
	for name, drive := range map[string]func() (string, error){"operations": operationCells, "registry": registryCells} {
		got, err := drive()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		golden.Equal(t, "testdata/cells/"+name+".txt", []byte(got))
	}
}

// Scenario: M7
func TestR17_the_diagrams_in_docs_are_those_of_both_tables(t *testing.T) {
	t.Parallel()
	golden.Equal(t, "../../../docs/machine/operation-background.mmd", []byte(Operations.Diagram()))
	golden.Equal(t, "../../../docs/machine/operation-registry.mmd", []byte(Table.Diagram()))
}

// behaves takes some walks.
func behaves() error {
	for seed := range uint64(10) {
		r := rand.New(rand.NewPCG(seed, 94))
		if err := wander(func(n int, _ string) int { return r.IntN(n) }, false, 100); err != nil {
			return err
		}
	}
	return nil
}

// The tables are swapped for faulty ones, so this test may not run beside others: it does not call t.Parallel.
// Scenario: M6
func TestR17_a_fault_in_any_rule_of_both_tables_is_noticed(t *testing.T) {
	survey(t, &Operations, operationCells)
	survey(t, &Table, registryCells)
}

func survey[P, K ~uint8, S any](t *testing.T, place **fsm.Table[P, K, S, Event], cells func() (string, error)) {
	t.Helper()
	for _, name := range fsmtest.Survey(t, place, cells, behaves) {
		t.Errorf("nothing behaves otherwise for %s", name)
	}
}
