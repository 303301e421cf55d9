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

// Box holds the live inputs of a session. It is a value: a change makes a new one. Ended inputs are not in it.
type Box struct {
	queue, steers, staged lane
	names                 pmap.Map[name, id.Seq]
}

// lane holds items by pointer, so that a change copies a path of small nodes. What a pointer leads to is never changed.
type lane = pmap.Map[id.Seq, *Item]

// Put returns b with the item at its place: in its lane while it is queued, among the staged, or nowhere once it has ended.
func (b Box) Put(i Item) Box {
	b = b.drop(i.Seq)
	switch i.Phase {
	case Queued:
		if i.Lane == Steer {
			b.steers = b.steers.Set(i.Seq, &i)
		} else {
			b.queue = b.queue.Set(i.Seq, &i)
		}
	case Staged:
		b.staged = b.staged.Set(i.Seq, &i)
	case Absent, Consumed, Abandoned:
		b.names = b.names.Delete(idOf(i.ID)).Delete(keyOf(i.Key))
		return b
	}
	if _, ok := b.names.Get(idOf(i.ID)); !ok {
		b.names = b.names.Set(idOf(i.ID), i.Seq).Set(keyOf(i.Key), i.Seq)
	}
	return b
}

func (b Box) drop(s id.Seq) Box {
	b.queue, b.steers, b.staged = b.queue.Delete(s), b.steers.Delete(s), b.staged.Delete(s)
	return b
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
	for _, m := range [...]lane{b.staged, b.queue, b.steers} {
		if i, ok := m.Get(s); ok {
			return *i, true
		}
	}
	return Item{}, false
}

// Len returns how many inputs are live.
func (b Box) Len() int { return b.queue.Len() + b.steers.Len() + b.staged.Len() }

// Waiting returns how many inputs are queued.
func (b Box) Waiting() int { return b.queue.Len() + b.steers.Len() }

// All yields the live inputs: the staged, then the steers, then the queue, each in admission order.
func (b Box) All() iter.Seq[Item] {
	return func(yield func(Item) bool) {
		for _, m := range [...]lane{b.staged, b.steers, b.queue} {
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

// Steers returns the steers that wait, in order.
func (b Box) Steers() []Item { return values(b.steers) }

// Next says which of the waiting inputs make up the next run: every steer that waits, in order; if none does, the first of the
// queue, alone. A continuation comes before all, alone: it is about the transcript as it was when it was admitted. Nil: nothing
// waits.
func (b Box) Next() []Item {
	_, oldest, queued := b.queue.First()
	if queued && oldest.Continue {
		return []Item{*oldest}
	}
	if b.steers.Len() > 0 {
		return values(b.steers)
	}
	if queued {
		return []Item{*oldest}
	}
	return nil
}

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
