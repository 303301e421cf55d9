//go:build !race

// As the exploration, this runs in make explore.

package machine_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/fsm/fsmtest"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/operation"
	"github.com/meerkat-go/meerkat/machine/turn"
)

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
// Scenario: M6
func TestR17_a_fault_in_any_rule_of_any_region_is_noticed(t *testing.T) {
	if err := behaves(); err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	survey(t, &lifecycle.Table)
	survey(t, &operation.Table)
	survey(t, &turn.Table)
}

// tooEarly reports whether a fault is in the rule for a cancel that was asked for while the inputs of a run were being applied.
func tooEarly(fault string) bool {
	for n, r := range turn.Table.Rules {
		for _, g := range r.When {
			if r.On == turn.PrimitiveApplied && g.Name == turn.GuardCancel && strings.HasPrefix(fault, fmt.Sprintf("turn rule %d (", n)) {
				return true
			}
		}
	}
	return false
}

// survey plants each fault and looks for it twice: in what sessions do, and in the cells. Nothing may escape both. What shows in
// the cells alone are guards of what the caller already knows when it asks, such as which run is bound; and where an operation is
// led, since an ended one leaves the state; and what becomes of a cancel that was asked for before a run had begun, which nobody can.
func survey[P, K ~uint8, S, E any](t *testing.T, place **fsm.Table[P, K, S, E]) {
	t.Helper()
	region := (*place).Region
	for _, name := range fsmtest.Survey(t, place, regions[region], behaves) {
		if !strings.Contains(name, "without the guard") && region != "operation" && !tooEarly(name) {
			t.Errorf("no session behaves otherwise for %s", name)
		}
	}
}
