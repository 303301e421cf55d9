package runtime

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/store"
)

// clock is the one timer of a host. It sleeps until the earliest time that a session wants to be told, and tells it then (R117). Between two
// such times nobody looks. What it goes by:
//
//	a session that lives here     what it said when something was decided last; told to it as machine.Tick
//	a session at rest             the store's index of wakes, read at the start and whenever the timer fires, if Config.Tend is set. It is
//	                              opened, and lives here from then on
//	a session held elsewhere      told by its holder; looked at again when that lease runs out, should it still be due
//	one that cannot be opened     not tried again while it stays as it is, if its rows are to blame; else after Config.LeaseTTL
//
// A wake that another process leaves behind is found when the timer fires next, or by the next process that tends.
type clock struct {
	mu     sync.Mutex
	timer  *time.Timer              // nil: it was never needed
	armed  time.Time                // when it fires; zero: it does not
	wakes  map[*session]time.Time   // of the sessions that live here
	look   time.Time                // when the store is to be looked at again; zero: when the timer fires anyway
	later  map[id.Session]time.Time // at rest and due, and not to be tried before
	dead   map[id.Session]uint64    // cannot be opened as they stand: their versions
	busy   bool                     // the store is being looked at
	again  bool                     // and the timer has fired meanwhile
	closed bool
}

// follow hears from the drainer of a session what has become of it.
func (h *Host) follow(s *session, st machine.State) {
	at, _ := st.WakeHere()
	if at.Equal(s.alarm) {
		return
	}
	s.alarm = at
	h.expect(s, at)
}

// expect tells a session the time when that has come; zero: never.
func (h *Host) expect(s *session, at time.Time) {
	c := &h.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	if at.IsZero() {
		delete(c.wakes, s)
		return
	}
	if c.wakes == nil {
		c.wakes = map[*session]time.Time{}
	}
	c.wakes[s] = at
	h.arm(at)
}

// tick is the letter that tells a session the time. It is not dropped if the store refuses what comes of it. Where it changed nothing it came too
// early, because the clock was set back, or it did not help: then it is told again after a while.
func (s *session) tick() *letter {
	var was time.Time
	local := func() { was = s.alarm }
	after := func(error) {
		if s.alarm.IsZero() || !s.alarm.Equal(was) {
			return
		}
		at := s.alarm
		if now := s.host.config.Now(); !at.After(now) {
			at = now.Add(s.host.config.LeaseTTL)
		}
		s.host.expect(s, at)
	}
	return &letter{rank: control, own: true, event: machine.Tick{}, local: local, after: after}
}

// forget leaves a session out that does not live here any more. What it waited for is up to whoever owns it now: us too, if nobody does.
func (h *Host) forget(s *session) {
	c := &h.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.wakes, s)
	if h.config.Tend && !c.closed {
		h.postpone(s.id, h.config.Now().Add(h.config.LeaseTTL))
	}
}

// postpone keeps a session at rest from being tried before a time, and looks at it then. Called with the clock locked.
func (h *Host) postpone(sid id.Session, at time.Time) {
	c := &h.clock
	if c.later == nil {
		c.later = map[id.Session]time.Time{}
	}
	c.later[sid] = at
	h.lookAt(at)
}

// lookAt looks at the store at a time, or before. Called with the clock locked.
func (h *Host) lookAt(at time.Time) {
	if c := &h.clock; c.look.IsZero() || at.Before(c.look) {
		c.look = at
	}
	h.arm(at)
}

// arm makes the timer fire at a time, or before. Called with the clock locked.
func (h *Host) arm(at time.Time) {
	c := &h.clock
	if c.closed || !c.armed.IsZero() && !at.Before(c.armed) {
		return
	}
	c.armed = at
	wait := max(at.Sub(h.config.Now()), 0)
	if c.timer == nil {
		c.timer = time.AfterFunc(wait, h.ring)
		return
	}
	c.timer.Reset(wait)
}

// ring is what the timer does: it tells the time to the sessions it has come for, and sleeps again.
func (h *Host) ring() {
	c := &h.clock
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		return
	}
	h.drainers.add()
	defer h.drainers.done()
	now := h.config.Now()
	c.armed = time.Time{}
	var due []*session
	next := c.look
	if h.config.Tend {
		h.tend()
		next = time.Time{} // it says itself when it wants to look again
	}
	for s, at := range c.wakes {
		switch {
		case !at.After(now):
			due = append(due, s)
			delete(c.wakes, s)
		case next.IsZero() || at.Before(next):
			next = at
		}
	}
	if !next.IsZero() {
		h.arm(next)
	}
	c.mu.Unlock()
	for _, s := range due {
		_ = s.put(s.tick()) // if it has ended meanwhile, it is as if it had been lost before
	}
}

// tend looks at the store, in a goroutine of its own: a session that waits is not to wait for one that is slow to open. Called with the clock
// locked.
func (h *Host) tend() {
	c := &h.clock
	if c.again = c.busy; c.busy {
		return
	}
	c.busy = true
	h.drainers.add()
	go func() {
		defer h.drainers.done()
		for {
			h.wakeDue()
			c.mu.Lock()
			if !c.again || c.closed {
				c.busy = false
				c.mu.Unlock()
				return
			}
			c.again = false
			c.mu.Unlock()
		}
	}()
}

// atOnce is how many sessions at rest are opened at the same time.
const atOnce = 8

// wakeDue opens the sessions at rest whose time has come, and finds out when to look again.
func (h *Host) wakeDue() {
	c := &h.clock
	now := h.config.Now()
	c.mu.Lock()
	c.look = time.Time{}
	c.mu.Unlock()
	due, err := h.config.Store.Sessions(h.work, store.Query{DueBefore: now, Limit: -1})
	var next []store.SessionRow
	if err == nil {
		slots := make(chan struct{}, atOnce)
		for _, row := range due {
			if h.untimely(row, now) {
				continue
			}
			slots <- struct{}{}
			h.drainers.add()
			go func() {
				defer h.drainers.done()
				h.wakeOne(row)
				<-slots
			}()
		}
		for range atOnce {
			slots <- struct{}{}
		}
		next, err = h.config.Store.Sessions(h.work, store.Query{DueAfter: now, Limit: 1})
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if err != nil {
		h.lookAt(now.Add(h.config.LeaseTTL))
	}
	for _, row := range next {
		h.lookAt(row.Head.Wake)
	}
	for sid, at := range c.later {
		if !at.After(now) {
			delete(c.later, sid) // it was tried, or is not due any more
			continue
		}
		h.lookAt(at)
	}
}

// untimely reports whether a session that is due is not to be opened now: it lives here, or it is known that it cannot be.
func (h *Host) untimely(row store.SessionRow, now time.Time) bool {
	here := h.resident(row.Session) != nil
	c := &h.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	version, dead := c.dead[row.Session]
	return here || c.later[row.Session].After(now) || dead && version == row.Version
}

// wakeOne opens a session at rest. From then on it says itself when it wants to be told.
func (h *Host) wakeOne(row store.SessionRow) {
	_, err := h.open(h.work, row.Session, existing)
	var held *store.HeldError
	var damage *driver.Damage
	c := &h.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case err == nil, errors.Is(err, ErrClosed), errors.Is(err, context.Canceled):
	case errors.As(err, &held):
		h.postpone(row.Session, held.Lease.Expires)
	case errors.As(err, &damage), errors.Is(err, ErrNotFound):
		if c.dead == nil {
			c.dead = map[id.Session]uint64{}
		}
		c.dead[row.Session] = row.Version
	default:
		h.postpone(row.Session, h.config.Now().Add(h.config.LeaseTTL))
	}
}

// stopClock keeps the timer from firing.
func (h *Host) stopClock() {
	c := &h.clock
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.timer != nil {
		c.timer.Stop()
	}
}
