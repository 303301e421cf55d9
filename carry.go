package meerkat

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// carrier goes on with runs that nobody is at: those of a process that died, and those that a command left.
type carrier struct {
	runtime *Runtime
	stop    context.CancelFunc
	done    sync.WaitGroup
	failed  map[id.Session]uint64 // cannot be woken as they stand, since they are damaged: their versions
}

// Between two looks: as long as a lease lasts, since before that nobody can take a session from a process that may yet live.
const (
	carryEvery  = 10 * time.Second
	carryAtOnce = 8
)

func newCarrier(r *Runtime) *carrier { return &carrier{runtime: r, failed: map[id.Session]uint64{}} }

// carryOn starts a carrier. It looks at once.
func carryOn(r *Runtime) *carrier {
	ctx, cancel := context.WithCancel(context.Background())
	c := newCarrier(r)
	c.stop = cancel
	c.done.Go(func() {
		timer := time.NewTimer(0)
		defer timer.Stop()
		for {
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
			timer.Reset(c.look(ctx))
		}
	})
	return c
}

// end stops looking and waits for what is being woken.
func (c *carrier) end() {
	if c != nil {
		c.stop()
		c.done.Wait()
	}
}

// look wakes what is unfinished and says when to look again: when the first lease runs out that somebody else holds.
func (c *carrier) look(ctx context.Context) time.Duration {
	rows, err := c.runtime.store.Sessions(ctx, store.Query{Unfinished: true, Limit: -1})
	if err != nil {
		return carryEvery // whoever asks for work meanwhile is told of the store
	}
	rows = slices.DeleteFunc(rows, func(r store.SessionRow) bool {
		v, known := c.failed[r.Session]
		return known && v == r.Version
	})
	next := carryEvery
	var mu sync.Mutex
	var wg sync.WaitGroup
	slots := make(chan struct{}, carryAtOnce)
	for _, row := range rows {
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			_, err := c.runtime.host.WakeSession(ctx, row.Session)
			mu.Lock()
			defer mu.Unlock()
			var held *store.HeldError
			switch {
			case err == nil:
				delete(c.failed, row.Session)
			case errors.As(err, &held):
				next = min(next, max(time.Until(held.Lease.Expires), 50*time.Millisecond))
			case fault.CodeOf(err) == fault.Corrupt: // anything else may pass, such as a store that fails
				c.failed[row.Session] = row.Version
			}
		})
	}
	wg.Wait()
	return next
}
