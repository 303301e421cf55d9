// Package fsm is the table kernel: a small state machine written as data, stepped without side effects.
//
// A table says for every phase and every event what happens: a rule, or a declared refusal. A cell with neither is a defect that
// New reports. The diagram in docs/machine and the exhaustiveness tests read the very table that runs.
package fsm

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// The sorts of refusal: compare with errors.Is.
var (
	ErrPhase = errors.New("not in this phase")    // the cell is a declared refusal
	ErrGuard = errors.New("guard not met")        // rules exist, and no guard of theirs held
	ErrStale = errors.New("answers nothing open") // a report the state has overtaken
)

// Refusal is a "no" that changes nothing. It says which region said it, in which phase, to which event, and the reason by name.
type Refusal struct {
	Sort   error // ErrPhase, ErrGuard or ErrStale
	Region string
	Phase  string
	Event  string
	Guard  string // name of the guard that did not hold, or of the declared refusal
}

// Error names everything.
func (r *Refusal) Error() string {
	return fmt.Sprintf("%s: %s refused in phase %s: %s", r.Region, r.Event, r.Phase, r.Guard)
}

// Unwrap returns the sort.
func (r *Refusal) Unwrap() error { return r.Sort }

// Guard is a named condition.
type Guard[S, E any] struct {
	Name string
	OK   func(S, E) bool
}

// Rule is one transition: in any of the From phases, on the event, if the guards hold, to the phase To with the change Do.
type Rule[P, K ~uint8, S, E any] struct {
	On   K
	From []P
	When []Guard[S, E]
	To   P
	Stay bool         // the phase does not change; To is not used
	Do   func(S, E) S // nil: only the phase changes. Must not change what its argument points to
}

// No declares that an event is refused in some phases, and why.
type No[P, K ~uint8] struct {
	On   K
	From []P
	Why  string
}

// Table is a machine as data. P counts phases, K kinds of event, S is the state, E an event.
type Table[P, K ~uint8, S, E any] struct {
	Region string
	Phases []string // names, by P
	Events []string // names, by K
	Phase  func(S) P
	Move   func(S, P) S
	Kind   func(E) K
	Rules  []Rule[P, K, S, E]
	Refuse []No[P, K]

	cells [][]cell[P, K, S, E]
}

type cell[P, K ~uint8, S, E any] struct {
	rules []*Rule[P, K, S, E]
	why   string
}

// New completes a table. It returns an error that names every cell that is decided twice, or not at all.
func New[P, K ~uint8, S, E any](t Table[P, K, S, E]) (*Table[P, K, S, E], error) {
	t.room()
	var errs []error
	for i := range t.Rules {
		r := &t.Rules[i]
		for _, p := range r.From {
			c := &t.cells[p][r.On]
			if n := len(c.rules); n > 0 && len(c.rules[n-1].When) == 0 {
				errs = append(errs, fmt.Errorf("%s: a rule for %s in %s can never apply", t.Region, t.Events[r.On], t.Phases[p]))
			}
			c.rules = append(c.rules, r)
		}
	}
	for _, no := range t.Refuse {
		for _, p := range no.From {
			c := &t.cells[p][no.On]
			if len(c.rules) > 0 || c.why != "" {
				errs = append(errs, fmt.Errorf("%s: %s in %s is decided twice", t.Region, t.Events[no.On], t.Phases[p]))
			}
			c.why = no.Why
		}
	}
	for p := range t.cells {
		for k := range t.cells[p] {
			if c := t.cells[p][k]; len(c.rules) == 0 && c.why == "" {
				errs = append(errs, fmt.Errorf("%s: %s in %s is not decided", t.Region, t.Events[k], t.Phases[p]))
			}
		}
	}
	return &t, errors.Join(errs...)
}

// room makes the cells, and room in each for the rules that will stand there. Programs pay for this at every start: it is three allocations.
func (t *Table[P, K, S, E]) room() {
	kinds := len(t.Events)
	flat := make([]cell[P, K, S, E], len(t.Phases)*kinds)
	counts, all := make([]int, len(flat)), 0
	for i := range t.Rules {
		for _, p := range t.Rules[i].From {
			counts[int(p)*kinds+int(t.Rules[i].On)]++
			all++
		}
	}
	rules := make([]*Rule[P, K, S, E], all)
	for n := range flat {
		flat[n].rules, rules = rules[:0:counts[n]], rules[counts[n]:]
	}
	t.cells = make([][]cell[P, K, S, E], len(t.Phases))
	for p := range t.cells {
		t.cells[p] = flat[p*kinds : (p+1)*kinds : (p+1)*kinds]
	}
}

// Must is New for tables that are part of the program.
func Must[P, K ~uint8, S, E any](t Table[P, K, S, E]) *Table[P, K, S, E] {
	full, err := New(t)
	if err != nil {
		panic(err)
	}
	return full
}

// Step returns what comes of e in s, or a *Refusal. It changes neither.
func (t *Table[P, K, S, E]) Step(s S, e E) (S, error) {
	p, k := t.Phase(s), t.Kind(e)
	c := &t.cells[p][k]
	failed := ""
	for _, r := range c.rules {
		if name := unmet(r.When, s, e); name != "" {
			if failed == "" {
				failed = name
			}
			continue
		}
		if r.Do != nil {
			s = r.Do(s, e)
		}
		if !r.Stay {
			s = t.Move(s, r.To)
		}
		return s, nil
	}
	if failed != "" {
		return s, &Refusal{ErrGuard, t.Region, t.Phases[p], t.Events[k], failed}
	}
	return s, &Refusal{ErrPhase, t.Region, t.Phases[p], t.Events[k], c.why}
}

func unmet[S, E any](guards []Guard[S, E], s S, e E) string {
	for _, g := range guards {
		if !g.OK(s, e) {
			return g.Name
		}
	}
	return ""
}

// Diagram returns the table as a Mermaid state diagram.
func (t *Table[P, K, S, E]) Diagram() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%%%% generated from the table of region %s: go test ./machine -update\nstateDiagram-v2\n", t.Region)
	fmt.Fprintf(&b, "    [*] --> %s\n", t.Phases[0])
	for _, r := range t.Rules {
		for _, p := range r.From {
			to := t.Phases[r.To]
			if r.Stay {
				to = t.Phases[p]
			}
			fmt.Fprintf(&b, "    %s --> %s: %s", t.Phases[p], to, t.Events[r.On])
			for i, g := range r.When {
				sep := ", "
				if i == 0 {
					sep = " ["
				}
				fmt.Fprint(&b, sep, g.Name)
			}
			if len(r.When) > 0 {
				b.WriteString("]")
			}
			b.WriteString("\n")
		}
	}
	return b.String()
}

// Refusals returns the declared refusals, one line each: event, phase, why.
func (t *Table[P, K, S, E]) Refusals() []string {
	var out []string
	for p := range t.cells {
		for k := range t.cells[p] {
			if why := t.cells[p][k].why; why != "" {
				out = append(out, fmt.Sprintf("%s | %s | %s", t.Events[k], t.Phases[p], why))
			}
		}
	}
	slices.Sort(out)
	return out
}
