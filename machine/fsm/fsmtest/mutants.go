package fsmtest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/meerkat-go/meerkat/machine/fsm"
)

// Mutants makes copies of a table that each have one fault: a rule less, a guard less, a change that is forgotten, a wrong target.
func Mutants[P, K ~uint8, S, E any](table *fsm.Table[P, K, S, E]) map[string]*fsm.Table[P, K, S, E] {
	out := map[string]*fsm.Table[P, K, S, E]{}
	for i, r := range table.Rules {
		plant := func(what string, spoil func([]fsm.Rule[P, K, S, E]) []fsm.Rule[P, K, S, E]) {
			c := *table
			c.Rules = spoil(slices.Clone(table.Rules))
			bad, _ := fsm.New(c) // a hole is part of the fault
			out[fmt.Sprintf("%s rule %d (%s): %s", table.Region, i, table.Events[r.On], what)] = bad
		}
		plant("left out", func(rules []fsm.Rule[P, K, S, E]) []fsm.Rule[P, K, S, E] { return slices.Delete(rules, i, i+1) })
		for g := range r.When {
			plant("without the guard "+r.When[g].Name, func(rules []fsm.Rule[P, K, S, E]) []fsm.Rule[P, K, S, E] {
				rules[i].When = slices.Delete(slices.Clone(r.When), g, g+1)
				return rules
			})
		}
		if r.Do != nil {
			plant("changes nothing", func(rules []fsm.Rule[P, K, S, E]) []fsm.Rule[P, K, S, E] { rules[i].Do = nil; return rules })
		}
		plant("leads elsewhere", func(rules []fsm.Rule[P, K, S, E]) []fsm.Rule[P, K, S, E] {
			to := r.To
			if r.Stay {
				to = r.From[0]
			}
			rules[i].Stay, rules[i].To = false, (to+1)%P(len(table.Phases))
			return rules
		})
	}
	return out
}

// Survey plants each fault of Mutants in the table at place and looks for it twice: with behaves, which plays what the region is for
// and returns nil if it noticed nothing, and in the cells. A fault that escapes both fails the test. It returns the names of those
// that show in the cells alone. The table is swapped meanwhile, so no other test may run beside it.
func Survey[P, K ~uint8, S, E any](t testing.TB, place **fsm.Table[P, K, S, E], cells func() (string, error), behaves func() error) (alone []string) {
	t.Helper()
	good := *place
	defer func() { *place = good }()
	want, err := cells()
	if err == nil {
		err = behaves()
	}
	if err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	planted := Mutants(good)
	for name, bad := range planted {
		*place = bad
		if guarded(behaves) != nil {
			continue
		}
		alone = append(alone, name)
		if got, err := cells(); err == nil && got == want {
			t.Errorf("nothing notices %s", name)
		}
	}
	t.Logf("%s: %d faults, %d show in the cells alone", good.Region, len(planted), len(alone))
	return alone
}

func guarded(f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return f()
}
