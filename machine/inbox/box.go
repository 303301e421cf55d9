package inbox

import (
	"iter"
	"strings"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/pmap"
)

// name is an input id or an idempotency key.
type name struct {
	key  bool
	text string
}

func idOf(in id.Input) name { return name{text: string(in)} }

func keyOf(key string) name { return name{key: true, text: key} }

// Compare orders ids before keys.
func (n name) Compare(o name) int {
	switch {
	case n.key == o.key:
		return strings.Compare(n.text, o.text)
	case o.key:
		return -1
	}
	return 1
}

// Box holds the live inputs of a session. It is a value: a change makes a new one, and costs as much as the logarithm of how many are
// live. Ended inputs are not in it.
type Box struct {
	queue  lane // what drives in the queue lane
	steers lane // what drives in the steer lane
	riders lane // passengers of both lanes
	staged lane
	// What follows finds again what stands above.
	ready  lane // of the steers: what a boundary may take in
	along  lane // of the riders: what goes in with it
	facts  lane // of those: what goes in by itself
	names  pmap.Map[name, id.Seq]
	scopes pmap.Map[Scope, lane] // queued ones that a newcomer may replace
}

// lane holds items by pointer, so that a change copies a path of small nodes. What a pointer leads to is never changed.
type lane = pmap.Map[id.Seq, *Item]

// lanes lists where an item can be: the staged, then the steers, then the queue, then what rides along.
func (b *Box) lanes() [4]*lane { return [...]*lane{&b.staged, &b.steers, &b.queue, &b.riders} }

// at finds the lane an item belongs to; nil: none.
func (b *Box) at(i Item) *lane {
	switch {
	case i.Phase == Staged:
		return &b.staged
	case i.Phase != Queued:
		return nil
	case i.rides():
		return &b.riders
	case i.Lane == Queue:
		return &b.queue
	}
	return &b.steers
}

// Put returns b with the item at its place: in its lane while it is queued, among the staged, or nowhere once it has ended.
func (b Box) Put(i Item) Box {
	was, known := b.names.Get(idOf(i.ID))
	if known {
		b.take(was)
	}
	to := b.at(i)
	switch {
	case to == nil && known:
		b.names = b.names.Delete(idOf(i.ID)).Delete(keyOf(i.Key))
		return b
	case to == nil:
		return b
	}
	*to = to.Set(i.Seq, &i)
	if i.atBoundary() {
		switch to {
		case &b.steers:
			b.ready = b.ready.Set(i.Seq, &i)
		case &b.riders:
			b.along = b.along.Set(i.Seq, &i)
			if i.fact() {
				b.facts = b.facts.Set(i.Seq, &i)
			}
		}
	}
	if s := i.Scope(); s != (Scope{}) && i.Phase == Queued {
		same, _ := b.scopes.Get(s)
		b.scopes = b.scopes.Set(s, same.Set(i.Seq, &i))
	}
	if !known || was != i.Seq {
		b.names = b.names.Set(idOf(i.ID), i.Seq).Set(keyOf(i.Key), i.Seq)
	}
	return b
}

// take takes out what stands at a sequence.
func (b *Box) take(s id.Seq) {
	for _, m := range b.lanes() {
		i, ok := m.Get(s)
		if !ok {
			continue
		}
		*m = m.Delete(s)
		b.ready, b.along, b.facts = b.ready.Delete(s), b.along.Delete(s), b.facts.Delete(s)
		if same, ok := b.scopes.Get(i.Scope()); ok {
			if same = same.Delete(s); same.Len() == 0 {
				b.scopes = b.scopes.Delete(i.Scope())
			} else {
				b.scopes = b.scopes.Set(i.Scope(), same)
			}
		}
	}
}

// Find returns the live input of that id, or of that key.
func (b Box) Find(in id.Input, key string) (Item, bool) {
	s, ok := b.names.Get(idOf(in))
	if !ok {
		s, ok = b.names.Get(keyOf(key))
	}
	if !ok {
		return Item{}, false
	}
	for _, m := range b.lanes() {
		if i, ok := m.Get(s); ok {
			return *i, true
		}
	}
	return Item{}, false
}

// Targets returns the queued inputs that one which arrives replaces: those of its scope. For most inputs there are none.
func (b Box) Targets(i Item) []Item {
	same, _ := b.scopes.Get(i.Scope())
	return values(same)
}

// Front returns a sequence before that of every live input.
func (b Box) Front() id.Seq {
	var low id.Seq = 1
	for _, m := range b.lanes() {
		if s, _, ok := m.First(); ok {
			low = min(low, s)
		}
	}
	return low - 1
}

// Len returns how many inputs are live.
func (b Box) Len() int { return b.Waiting() + b.staged.Len() }

// Waiting returns how many inputs are queued.
func (b Box) Waiting() int { return b.Driving() + b.Riding() }

// Driving returns how many of the queued inputs would start a run. While there are any, something can go on.
func (b Box) Driving() int { return b.queue.Len() + b.steers.Len() }

// Riding returns how many of the queued inputs are passengers.
func (b Box) Riding() int { return b.riders.Len() }

// All yields the live inputs: the staged, then those that steer, then the queue, then the passengers, each in admission order.
func (b Box) All() iter.Seq[Item] {
	return func(yield func(Item) bool) {
		for _, m := range b.lanes() {
			for _, i := range m.All() {
				if !yield(*i) {
					return
				}
			}
		}
	}
}

// Staged returns the inputs of the bound run, in order.
func (b Box) Staged() []Item { return values(b.staged) }

func values(m lane) []Item {
	if m.Len() == 0 {
		return nil
	}
	out := make([]Item, 0, m.Len())
	for _, i := range m.All() {
		out = append(out, *i)
	}
	return out
}
