package registry

import (
	"slices"

	"github.com/meerkat-go/meerkat/machine/pmap"
)

// Wait is for the ends of some operations. It remembers those that came, so that it does not matter how long the feed keeps them.
type Wait struct {
	Token string                `json:"token"`
	IDs   []ID                  `json:"ids"` // in the order asked for. Never changed in place
	Ended pmap.Map[ID, Outcome] `json:"ended,omitzero"`
}

// Awaited is how one operation of a wait ended.
type Awaited struct {
	ID      ID
	Outcome Outcome
}

func await(s State, e Event) State {
	w := Wait{Token: e.Token, IDs: slices.Clone(e.IDs)}
	for _, i := range w.IDs {
		if o, _ := s.find(i); o.Status.Terminal() {
			w.Ended = w.Ended.Set(i, o.Outcome())
		}
	}
	s.Wait = &w
	return s
}

// note returns w with the end of an operation, if that is awaited.
func (w *Wait) note(o Op) *Wait {
	if w == nil || !slices.Contains(w.IDs, o.ID) {
		return w
	}
	next := *w
	next.Ended = w.Ended.Set(o.ID, o.Outcome())
	return &next
}

func (w *Wait) over() bool { return w.Ended.Len() == len(w.IDs) }

// WaitSatisfied returns how the awaited operations ended, in the order in which they were asked for, once all of them have. False: nobody
// waits, or one of them is still at work.
func (s State) WaitSatisfied() ([]Awaited, bool) {
	if s.Wait == nil || !s.Wait.over() {
		return nil, false
	}
	out := make([]Awaited, 0, len(s.Wait.IDs))
	for _, i := range s.Wait.IDs {
		o, _ := s.Wait.Ended.Get(i)
		out = append(out, Awaited{i, o})
	}
	return out, true
}

// repeated returns the first id that stands twice; empty: none does.
func repeated(ids []ID) ID {
	seen := make(map[ID]bool, len(ids))
	for _, i := range ids {
		if seen[i] {
			return i
		}
		seen[i] = true
	}
	return ""
}

// unknown returns the first id that is neither at work nor in the feed; empty: all are.
func (s State) unknown(ids []ID) ID {
	for _, i := range ids {
		if _, ok := s.find(i); !ok {
			return i
		}
	}
	return ""
}

// blame returns the operation a refused wait failed for.
func blame(s State, e Event, guard string) ID {
	switch guard {
	case GuardDistinct:
		return repeated(e.IDs)
	case GuardKnown:
		return s.unknown(e.IDs)
	}
	return ""
}
