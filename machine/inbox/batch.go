package inbox

import (
	"slices"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/input"
)

// Batch is what the next run is made of.
type Batch struct {
	Items       []Item // in admission order
	ContextOnly bool   // nothing drives: what they say is added, and no model is called
}

// Next says which of the waiting inputs make up the next run, of a session that takes new input. Nil: nothing that could start one.
func (b Box) Next() []Item { return b.Batch(false).Items }

// Batch says which of the waiting inputs make up the next run (R106, R107).
//
// What steers comes before the queue. From the head of its lane on, all that is of one class with the head goes in: the same boundary,
// execution, intent and overlay. In the queue a prompt goes alone, and what is none stops before it. All passengers ride along. A request
// to go on comes before all, alone: it is about the transcript as it was when it was admitted. An input whose stamp is damaged goes alone.
//
// Draining: no input will come any more, so passengers are taken without anything that drives.
func (b Box) Batch(draining bool) Batch {
	head, lane := b.head()
	switch {
	case head == nil && draining && b.riders.Len() > 0:
		return Batch{values(b.riders), true}
	case head == nil:
		return Batch{}
	case head.alone():
		return Batch{Items: []Item{*head}}
	}
	var out []Item
	for s, i := range lane.All() {
		if s != head.Seq && !i.with(*head) {
			break
		}
		out = append(out, *i)
	}
	return Batch{Items: board(out, b.riders)}
}

// head finds the input that drives the next run, and its lane.
func (b Box) head() (*Item, lane) {
	_, first, queued := b.queue.First()
	if queued && first.Continue {
		return first, b.queue
	}
	if _, steer, ok := b.steers.First(); ok {
		return steer, b.steers
	}
	return first, b.queue
}

// alone reports whether nothing may go with the input.
func (i Item) alone() bool { return i.Continue || i.Unstamped() }

// with reports whether an input behind the head of its lane goes with it.
func (i Item) with(head Item) bool {
	if i.alone() || i.Lane == Queue && (head.Kind() == input.KindPrompt || i.Kind() == input.KindPrompt) {
		return false
	}
	a, b := i.Means(), head.Means()
	o, p := i.options().Overlay, head.options().Overlay
	return a.Boundary == b.Boundary && a.Execution == b.Execution && a.Terminal == b.Terminal && o.Equal(p) && o.Dispatch == p.Dispatch
}

// board adds passengers to drivers, in admission order.
func board(drivers []Item, riders lane) []Item {
	if len(drivers) == 0 || riders.Len() == 0 {
		return drivers
	}
	for _, i := range riders.All() {
		drivers = append(drivers, *i)
	}
	slices.SortFunc(drivers, func(i, j Item) int { return i.Seq.Compare(j.Seq) })
	return drivers
}

// Steers returns what the running run takes in at a boundary, in order: what steers and asks for nothing that only a new run can give, and
// with it the passengers that wait for a boundary. What is only to be known goes in by itself (R108).
func (b Box) Steers() []Item {
	if b.ready.Len() == 0 {
		return values(b.facts)
	}
	return board(values(b.ready), b.along)
}

// Appends returns what the batch adds to the transcript, in order.
func (b Batch) Appends() []Append { return Appends(b.Items) }

// Execution returns what the run does.
func (b Batch) Execution() Execution { return b.lead().Means().Execution }

// Lead names the input that drives the run, the first if there are several; empty: none does.
func (b Batch) Lead() id.Input { return b.lead().ID }

// lead is an input that drives; the zero Item: none does.
func (b Batch) lead() Item {
	for _, i := range b.Items {
		if !i.rides() {
			return i
		}
	}
	return Item{}
}
