package toolset

import (
	"math/rand/v2"
	"testing"

	"github.com/meerkat-go/meerkat/internal/golden"
	"github.com/meerkat-go/meerkat/machine/fsm/fsmtest"
	"github.com/meerkat-go/meerkat/scope"
)

// variants tell all guards of the region apart: for each kind an event that is accepted somewhere, and one for each guard that is not.
func variants() (states []State, events []Event) {
	w1 := claims("x", source("s1"))
	base := State{Durable: Durable{
		Active: Side{Restriction{scope.Allow("a"), claims("a", source("s1"))}, scope.Witnesses{}, 3},
		Staged: Side{Restriction{scope.Deny("zzz"), claims("zzz", source("s1"))}, w1, 5},
	}, Next: 5}
	superseded, inherited, overlaid := base, base, base
	superseded.Active.Revision, superseded.Next = 6, 6
	inherited.Inherited = Inherited{Restriction{scope.Allow("a"), claims("a", source("s1"))}, true}
	overlaid.Overlay, overlaid.Run = scope.Overlay{Restricts: true, Allowed: set("a", "gone")}, "r1"
	states = []State{{}, base, superseded, inherited, overlaid}

	both := func(p Published) Event { return Event{Active: p, Staged: p} }
	good := Published{scope.All(), set("x"), w1, 9}
	ahead := both(good)
	ahead.Active.Revision = 10
	behind, differs, unstaged, uncovered, unscoped := ahead, both(good), ahead, both(good), both(good)
	behind.Staged.Revision = 11
	differs.Active.Filter = scope.Deny("a")
	unstaged.Staged.Names, unstaged.Staged.Authorities = set(), scope.Witnesses{}
	uncovered.Active.Authorities, uncovered.Staged.Authorities = scope.Witnesses{}, scope.Witnesses{}
	unscoped.Active.Names, unscoped.Staged.Names = set(), set()
	unproven, back, reused, unidentified, filtersControl := both(good), both(good), ahead, both(good), both(good)
	unproven.Active.Authorities, unproven.Staged.Authorities = claims("x", owner("s1")), claims("x", owner("s1"))
	back.Active.Revision, back.Staged.Revision = 1, 1
	reused.Staged.Revision = 5
	unidentified.Witnesses = claims("a", scope.Witness{})
	filtersControl.Active.Filter, filtersControl.Staged.Filter = scope.Deny("find"), scope.Deny("find")
	events = append(events, ahead, behind, differs, unstaged, uncovered, unscoped, unproven, back, reused, unidentified, filtersControl)

	restored := func(change func(*Event)) {
		d := Durable{Active: Side{Restriction{scope.Allow("a"), claims("a", source("s1"))}, w1, 9}}
		d.Staged = d.Active
		d.Inherited = Inherited{Restriction{scope.Allow("a"), claims("a", source("s1"))}, true}
		e := Event{Restored: &d, Resolved: true, ImageResults: true}
		change(&e)
		events = append(events, e)
	}
	restored(func(*Event) {})
	restored(func(e *Event) { *e.Restored = base.Durable })
	restored(func(e *Event) { e.Restored.Inherited.Filter = scope.Allow("x") })
	restored(func(e *Event) { e.Restored.Inherited.Witnesses = scope.Witnesses{} })
	restored(func(e *Event) { e.Restored.Active.Witnesses = claims("a", scope.Witness{}) })
	restored(func(e *Event) { e.Restored.Active.Witnesses = claims("a", source("s2")) })
	restored(func(e *Event) { e.Restored.Staged.Filter = scope.Deny("find") })
	restored(func(e *Event) { e.Restored.Active.Granted = claims("x", owner("s1")) })
	restored(func(e *Event) { e.Restored.Active.Granted = claims("x", source("s2")) })
	restored(func(e *Event) { e.Restored.Active.Filter = scope.All() })
	restored(func(e *Event) { e.Restored.Capability = CapabilityBaseFilter(false) })
	restored(func(e *Event) { e.Restored.Active.Revision = 1 })
	restored(func(e *Event) { e.Restored.Staged.Revision = 5 })
	restored(func(e *Event) { e.Restored, e.Resolved = nil, false })

	for _, f := range []scope.Filter{scope.Allow("a"), scope.Deny("find"), scope.Deny("nobody"), scope.Deny("zzz")} {
		for _, w := range []scope.Witnesses{{}, claims("a", source("s1"), "zzz", source("s1")), claims("a", source("s2"), "zzz", source("s2")), claims("a", scope.Witness{})} {
			events = append(events, Event{Filter: f, Witnesses: w, Overlay: scope.Overlay{Restricts: true, Allowed: f.Names()}, Run: "r1"})
		}
	}
	for _, w := range []scope.Witnesses{w1, claims("x", source("s2")), claims("x", owner("s1")), claims("a", source("s1"))} {
		events = append(events, Event{Witnesses: w})
	}
	events = append(events, Event{Overlay: scope.Overlay{Allowed: set("a")}, Run: "r1"}, Event{Overlay: scope.Overlay{Restricts: true}},
		Event{ImageResults: false, Resolved: true}, Event{Cause: "down"})
	return states, withCatalogues(events)
}

func withCatalogues(events []Event) []Event {
	var out []Event
	for _, e := range events {
		for _, c := range []int{0, 1, 5, 6, 7} {
			e.Catalogue = catalogues[c]
			out = append(out, e)
		}
	}
	return out
}

func cells() (string, error) {
	states, events := variants()
	// An event of another kind may lack what its own kind needs: what stands behind a pointer is guarded, the rest has a zero value.
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
	golden.Equal(t, "../../docs/machine/toolset.mmd", []byte(Table.Diagram()))
}

func behaves() error {
	for seed := range uint64(150) {
		r := rand.New(rand.NewPCG(seed, 1))
		if err := wander(func(n int, _ string) int { return r.IntN(n) }, 30); err != nil {
			return err
		}
	}
	return nil
}

// The table is swapped for faulty ones, so this test may not run beside others: it does not call t.Parallel.
// Scenario: M6
func TestR17_a_fault_in_any_rule_is_noticed(t *testing.T) {
	for _, name := range fsmtest.Survey(t, &Table, cells, behaves) {
		t.Errorf("no session behaves otherwise for %s", name)
	}
}
