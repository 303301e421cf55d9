package driver

import (
	"context"
	"slices"
	"sync"

	"github.com/meerkat-go/meerkat/transcript"
)

// cache keeps the decoded transcript of a live session, without which the cost of a turn would grow with the session.
//
// The rows before a position that a model call is pinned to are all there when the call is opened, so a slice given out is never
// changed: later rows are put behind it.
type cache struct {
	read func(context.Context) ([]transcript.Row, error)

	mu    sync.Mutex
	whole bool             // rows holds the transcript from its beginning
	rows  []transcript.Row // in order; if not whole, some of the latest
}

// before returns the rows before message upto, reading the store the first time.
func (c *cache) before(ctx context.Context, upto int) ([]transcript.Row, error) {
	c.mu.Lock()
	if !c.whole {
		c.mu.Unlock()
		stored, err := c.read(ctx)
		if err != nil {
			return nil, err
		}
		c.mu.Lock()
		if !c.whole {
			recent := c.rows
			c.rows, c.whole = stored, true
			c.insert(recent)
		}
	}
	defer c.mu.Unlock()
	n, _ := c.search(transcript.Position{Message: upto})
	return c.rows[:n:n], nil
}

// add puts committed rows at their places.
func (c *cache) add(rows []transcript.Row) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.insert(rows)
}

func (c *cache) insert(rows []transcript.Row) {
	for _, r := range rows {
		if n, found := c.search(r.At); !found {
			c.rows = slices.Insert(c.rows, n, r)
		}
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

// forget makes the next reader go to the store again. Slices given out stay good.
func (c *cache) forget() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.rows, c.whole = nil, false
}

func (c *cache) search(p transcript.Position) (int, bool) {
	return slices.BinarySearchFunc(c.rows, p, func(r transcript.Row, p transcript.Position) int { return r.At.Compare(p) })
}
