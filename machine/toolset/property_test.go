package toolset

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/scope"
	"pgregory.net/rapid"
)

// A state can be compared: what changes nothing returns the very same.
var _ = map[State]bool{}

// wander takes a session through events of chance and says what it noticed.
func wander(c choose, steps int) error {
	var s State
	n := view(s)
	for range steps {
		e := drawEvent(c, s)
		next, err := tell(s, n, e)
		if err == nil && next != s {
			err = lasting(next)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", kinds[e.Kind], err)
		}
		if next != s {
			n = n.told(e)
		}
		s = next
	}
	return nil
}

// tell tells a session something and compares what becomes of it with what must.
func tell(s State, n naive, e Event) (State, error) {
	before, beforeEvent := written(s), written(e)
	next, err := Step(s, e)
	if n.accepts(e) != (err == nil) {
		return s, fmt.Errorf("%s\ntold %+v\nis refused as %v, or accepted, wrongly", before, e, err)
	}
	if written(s) != before || written(e) != beforeEvent {
		return s, fmt.Errorf("R19: the step changed its argument %s", before)
	}
	if err != nil {
		var no *fsm.Refusal
		if !errors.As(err, &no) || next != s {
			return s, fmt.Errorf("R18: refused as %w, and the state is %s", err, written(next))
		}
		return s, nil
	}
	if err := Check(next); err != nil {
		return s, fmt.Errorf("%s\nbecomes %s: %w", before, written(next), err)
	}
	if want, got := n.told(e).String(), view(next).String(); want != got {
		return s, fmt.Errorf("%s\nbecomes\n%s\nwant\n%s", before, got, want)
	}
	if written(next) == before && next != s {
		return s, fmt.Errorf("R21: %s is the same and another", before)
	}
	return next, transitions(s, next, e)
}

// transitions checks what only two states together show.
func transitions(s, next State, e Event) error {
	if next.Active.Revision < s.Active.Revision || next.Staged.Revision < s.Staged.Revision || next.Next < s.Next {
		return fmt.Errorf("R62: revisions go back from %d, %d, %d to %d, %d, %d", s.Active.Revision, s.Staged.Revision, s.Next,
			next.Active.Revision, next.Staged.Revision, next.Next)
	}
	if s.Inherited.Set && next.Inherited != s.Inherited {
		return errors.New("R69: the inherited filter changed")
	}
	if e.Kind != CommitBoundary && e.Kind != FailClosed && next.Round != s.Round {
		return errors.New("R61: the round's set changed, and no model is called")
	}
	if (e.Kind == SetOverlay || e.Kind == ClearOverlay) && (next.Durable != s.Durable || next.Next != s.Next) {
		return errors.New("R66: an overlay changed what outlives its run")
	}
	return nil
}

// lasting checks that a state that is written and read is the same and decides alike.
func lasting(s State) error {
	loaded, err := again(s)
	if err != nil {
		return err
	}
	for _, c := range catalogues[:2] {
		a, b := Boundary(s, c), Boundary(loaded, c)
		if written(a) != written(b) {
			return fmt.Errorf("R22: %s decides otherwise once loaded:\n%s\n%s", written(s), written(a), written(b))
		}
		if err := seen(a, c); err != nil {
			return err
		}
	}
	return nil
}

// seen checks what a boundary offers against what must never be offered.
func seen(s State, c *scope.Catalogue) error {
	v := s.Round.Visible
	if !v.Equal(Visible(s, c)) {
		return fmt.Errorf("R61: the round has %v and the query says %v", v, Visible(s, c))
	}
	if s.Phase == FailedClosed {
		return nil
	}
	for t := range c.All() {
		if t.Control && !v.Allows(t.Name) {
			return fmt.Errorf("R60: control tool %s is not offered", t.Name)
		}
		for _, f := range []scope.Filter{s.Capability, s.Inherited.Filter, s.Active.Filter} {
			if !t.Control && f.Mode() == scope.ModeDeny && f.Names().Has(t.Name) && v.Allows(t.Name) {
				return fmt.Errorf("R63: %s is denied by %v and offered", t.Name, f)
			}
		}
		if w, ok := s.Active.Granted.Get(t.Name); deferrable(t) && v.Allows(t.Name) && Exposure(c) == scope.Deferred && (!ok || w.Provenance != t.Witness.Provenance) {
			return fmt.Errorf("R64: %s is offered and was not granted", t.Name)
		}
		if v.Deferred.Has(t.Name) && v.Allows(t.Name) {
			return fmt.Errorf("R64: %s is offered and can be asked for", t.Name)
		}
	}
	return nil
}

func TestR61_R62_R65_R66_R69_any_events_leave_a_state_that_holds_and_that_a_naive_model_agrees_with(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		steps := rapid.IntRange(1, 25).Draw(t, "steps")
		if err := wander(func(n int, label string) int { return rapid.IntRange(0, n-1).Draw(t, label) }, steps); err != nil {
			t.Fatal(err)
		}
	})
}

// How often chance is accepted: a walk that is always refused shows nothing.
func TestChance_is_accepted_often_enough_by_every_row(t *testing.T) {
	t.Parallel()
	accepted := map[Kind]int{}
	var s State
	r := rand.New(rand.NewPCG(7, 7))
	c := func(n int, _ string) int { return r.IntN(n) }
	for i := range 6000 {
		if i%40 == 0 {
			s = State{}
		}
		e := drawEvent(c, s)
		if next, err := Step(s, e); err == nil {
			if next != s {
				accepted[e.Kind]++
			}
			s = next
		}
	}
	for k := range kinds {
		if accepted[Kind(k)] < 20 {
			t.Errorf("%s changed something %d times", kinds[k], accepted[Kind(k)])
		}
	}
}
