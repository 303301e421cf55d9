// Package fsmtest drives transition tables through all their cells, and plants faults in them that must be noticed.
package fsmtest

import (
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/meerkat-go/meerkat/machine/fsm"
)

// Cells drives a table through every phase, every event and every given variant of both. It returns one line for each cell with
// all that may come of it, and an error if a rule was never used or a refusal is not the declared one.
func Cells[P, K ~uint8, S, E any](table *fsm.Table[P, K, S, E], states []S, events []E, aim func(E, K) E) (string, error) {
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
