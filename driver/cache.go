package driver

import (
	"context"
	"slices"
	"sync"

	"github.com/meerkat-go/meerkat/transcript"
)

// cache keeps the decoded transcript of a live session, without which the cost of a turn would grow with the session.
//
// The rows before a position that a model call is pinned to are all there when the call is opened. A slice given out is never changed:
// later rows are put behind it, or into a new slice.
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
		switch n, found := c.search(r.At); {
		case found:
		case n == len(c.rows):
			c.rows = append(c.rows, r)
		default: // results settle in any order; who reads the round meanwhile keeps what was given
			c.rows = slices.Concat(c.rows[:n], []transcript.Row{r}, c.rows[n:])
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

func (c *cache) search(p transcript.Position) (int, bool) {
	return slices.BinarySearchFunc(c.rows, p, func(r transcript.Row, p transcript.Position) int { return r.At.Compare(p) })
}
