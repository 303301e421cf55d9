package machine

import (
	"fmt"

	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/pmap"
)

// MaxSaid is how many keys of context lines a session remembers. Beyond it the oldest is forgotten, and a line of it would be said again.
const MaxSaid = 256

// Said remembers under which keys context stands in the transcript, so that what is told twice is said once.
type Said struct {
	Keys  pmap.Map[pmap.Name, uint64] `json:"keys,omitzero"`  // when it was said: a number that rises
	Order pmap.Map[number, pmap.Name] `json:"order,omitzero"` // the oldest first
	Last  uint64                      `json:"last,omitempty"`
}

type number uint64

func (n number) Compare(o number) int {
	switch {
	case n < o:
		return -1
	case n > o:
		return 1
	}
	return 0
}

// Check says what is wrong with what is remembered: nil, or an error that begins with R101.
func (s Said) Check() error {
	if s.Keys.Len() != s.Order.Len() || s.Order.Len() > MaxSaid {
		return fmt.Errorf("R101: %d keys in an order of %d", s.Keys.Len(), s.Order.Len())
	}
	for at, name := range s.Order.All() {
		if is, ok := s.Keys.Get(name); !ok || is != uint64(at) || is > s.Last {
			return fmt.Errorf("R101: key %q was said at %d, and is filed at %d of %d", name, is, at, s.Last)
		}
	}
	return nil
}

func (s Said) has(key string) bool {
	_, ok := s.Keys.Get(pmap.Name(key))
	return ok
}

func (s Said) with(key string) Said {
	s.Last++
	s.Keys = s.Keys.Set(pmap.Name(key), s.Last)
	s.Order = s.Order.Set(number(s.Last), pmap.Name(key))
	for s.Order.Len() > MaxSaid {
		oldest, name, _ := s.Order.First()
		s.Order, s.Keys = s.Order.Delete(oldest), s.Keys.Delete(name)
	}
	return s
}

// reasonOf is why an input is abandoned, as its row tells it.
func reasonOf(how Ended) inbox.Reason {
	switch how.Status {
	case StatusCancelled:
		return inbox.Cancelled
	case StatusAbandoned:
	default:
		return inbox.NoReason
	}
	switch how.Cause {
	case CauseStopped:
		return inbox.Stopped
	case CauseRetired:
		return inbox.Retired
	case CauseReset:
		return inbox.Reset
	case CauseDestroyed:
		return inbox.Destroyed
	}
	return inbox.OutcomeUnknown
}
