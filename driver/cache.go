package driver

import (
	"container/list"
	"context"
	"slices"
	"sync"

	"github.com/meerkat-go/meerkat/transcript"
)

// Budget bounds how much of their transcripts many drivers keep decoded. Set Max, then share it; the zero value keeps nothing but what
// was read last.
type Budget struct {
	Max int64 // bytes

	mu   sync.Mutex
	used int64
	list list.List // of *cache, the one used last in front
}

// note says that c was used and holds so many bytes now. Of the others those go that were not used for the longest time.
func (b *Budget) note(c *cache, bytes int64) {
	if b == nil {
		return
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if c.place == nil {
		c.place = b.list.PushFront(c)
	}
	b.list.MoveToFront(c.place)
	b.used += bytes - c.noted
	c.noted = bytes
	for b.used > b.Max && b.list.Len() > 1 {
		last := b.list.Back().Value.(*cache)
		b.list.Remove(last.place)
		b.used -= last.noted
		last.place, last.noted = nil, 0
		last.forget()
	}
}

// cache keeps the decoded transcript of a live session, without which the cost of a turn would grow with the session.
//
// The rows before a position that a model call is pinned to are all there when the call is opened. A slice given out is never changed:
// later rows are put behind it, or into a new slice, and it stays good when the cache is emptied.
type cache struct {
	read   func(context.Context) ([]transcript.Row, error)
	budget *Budget
	place  *list.Element // the budget's
	noted  int64         // the budget's

	mu    sync.Mutex
	whole bool             // rows holds the transcript from its beginning
	rows  []transcript.Row // in order; if not whole, some of the latest
	bytes int64
	given int // how many rows somebody may hold
	life  int // counts how often it was emptied
}

// before returns the rows before message upto, reading the store the first time.
func (c *cache) before(ctx context.Context, upto int) ([]transcript.Row, error) {
	for {
		if rows, ok := c.kept(upto); ok {
			return rows, nil
		}
		c.mu.Lock()
		life := c.life
		c.mu.Unlock()
		stored, err := c.read(ctx)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		if !c.whole && c.life == life { // else what was committed meanwhile is missing
			recent := c.rows
			c.rows, c.bytes, c.given, c.whole = nil, 0, 0, true
			c.insert(stored)
			c.insert(recent)
		}
		c.mu.Unlock()
	}
}

func (c *cache) kept(upto int) ([]transcript.Row, bool) {
	c.mu.Lock()
	if !c.whole {
		c.mu.Unlock()
		return nil, false
	}
	n, _ := c.search(transcript.Position{Message: upto})
	rows, bytes := c.rows[:n:n], c.bytes
	c.given = max(c.given, n)
	c.mu.Unlock()
	c.budget.note(c, bytes)
	return rows, true
}

// add puts committed rows at their places.
func (c *cache) add(rows []transcript.Row) {
	c.mu.Lock()
	c.insert(rows)
	bytes := c.bytes
	c.mu.Unlock()
	c.budget.note(c, bytes)
}

// forget makes the next reader go to the store again.
func (c *cache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows, c.bytes, c.given, c.whole, c.life = nil, 0, 0, false, c.life+1
}

// weigh estimates what a row holds in memory.
func weigh(r transcript.Row) int64 {
	const row, block = 160, 64
	var blocks transcript.Blocks
	n := row
	switch e := r.Entry.(type) {
	case transcript.System:
		n += len(e.Text)
	case transcript.Notice:
		n += len(e.Text)
	case transcript.User:
		blocks = e.Content
	case transcript.Assistant:
		blocks = e.Blocks
	case transcript.ToolResult:
		blocks = e.Content
	}
	meta := func(m *transcript.Meta) {
		if m != nil {
			n += len(m.Data)
		}
	}
	for _, x := range blocks {
		n += block
		switch x := x.(type) {
		case transcript.Text:
			n += len(x.Text)
			meta(x.Meta)
		case transcript.Reasoning:
			n += len(x.Text)
			meta(x.Meta)
		case transcript.ToolUse:
			n += len(x.Args)
			meta(x.Meta)
		case transcript.Media:
			n += len(x.Data)
		}
	}
	return int64(n)
}

func (c *cache) insert(rows []transcript.Row) {
	for _, r := range rows {
		switch n, found := c.search(r.At); {
		case found:
			continue
		case n >= c.given: // results settle in any order, behind what a model call is pinned to
			c.rows = slices.Insert(c.rows, n, r)
		default: // who has read the round meanwhile keeps what was given
			c.rows = slices.Concat(c.rows[:n], []transcript.Row{r}, c.rows[n:])
		}
		c.bytes += weigh(r)
	}
}

// at returns the row at a position, if it is at hand.
func (c *cache) at(p transcript.Position) (transcript.Row, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	n, found := c.search(p)
	if !found {
		return transcript.Row{}, false
	}
	return c.rows[n], true
}

func (c *cache) search(p transcript.Position) (int, bool) {
	return slices.BinarySearchFunc(c.rows, p, func(r transcript.Row, p transcript.Position) int { return r.At.Compare(p) })
}
