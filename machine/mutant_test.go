package machine_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/operation"
	"github.com/meerkat-go/meerkat/machine/turn"
)

// mutants makes copies of a table that each have one fault: a rule less, a guard less, a change that is forgotten, a wrong target.
func mutants[P, K ~uint8, S, E any](table *fsm.Table[P, K, S, E]) map[string]*fsm.Table[P, K, S, E] {
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

// behaves plays the scripts and takes some walks. It says what it noticed: nil, nothing.
func behaves() (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil {
		return err
	}
	for _, file := range files {
		want, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		if got, err := play(string(want), true); err != nil {
			return err
		} else if got != string(want) {
			return fmt.Errorf("%s comes out otherwise", file)
		}
	}
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		choose := func(n int, _ string) int { return r.IntN(n) }
		w := begun(choose)
		w.quick = true
		if err := wander(w, 40, choose); err != nil {
			return err
		}
	}
	return nil
}

// The tables are swapped for faulty ones, so this test may not run beside others: it does not call t.Parallel, and those that do
// wait until it is over.
func TestR17_a_fault_in_any_rule_of_any_region_is_noticed(t *testing.T) {
	if err := behaves(); err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	survey(t, &lifecycle.Table)
	survey(t, &inbox.Table)
	survey(t, &operation.Table)
	survey(t, &turn.Table)
}

// survey plants each fault and looks for it twice: in what sessions do, and in the cells. Nothing may escape both. What shows in
// the cells alone are guards of what the caller already knows when it asks, such as which run is bound; and where an operation is
// led, since an ended one leaves the state.
func survey[P, K ~uint8, S, E any](t *testing.T, place **fsm.Table[P, K, S, E]) {
	t.Helper()
	good := *place
	defer func() { *place = good }()
	want, err := regions[good.Region]()
	if err != nil {
		t.Fatal(err)
	}
	planted, alone := mutants(good), 0
	for name, bad := range planted {
		*place = bad
		if behaves() != nil {
			continue
		}
		alone++
		if got, err := regions[good.Region](); err == nil && got == want {
			t.Errorf("nothing notices %s", name)
		}
		if !strings.Contains(name, "without the guard") && good.Region != "operation" {
			t.Errorf("no session behaves otherwise for %s", name)
		}
	}
	t.Logf("%s: %d faults, %d show in the cells alone", good.Region, len(planted), alone)
}
