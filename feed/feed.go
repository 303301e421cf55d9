// Package feed fans committed events out to whoever listens, and never waits for a listener.
//
// A listener has a bounded buffer. If it is full, the buffer is emptied and the listener is told of its gap; it then reads what it
// missed from the store, by cursor. So a slow listener costs nobody anything and misses nothing that is durable.
package feed

import (
	"context"
	"slices"
	"sync"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
)

// Buffer is how many events wait for one listener. Deltas that do not fit are gone, so it holds a whole reply of a model that takes no time.
const Buffer = 4096

// ErrClosed says that nothing more will come: the hub or the subscription was closed.
var ErrClosed = fault.New(fault.NotReady, "feed closed")

// Hub passes events on. The zero value is ready.
type Hub struct {
	// Watch is told of every event before listeners are, deltas included; nil: nobody is. It is set before the first event, and must be quick.
	Watch func(event.Event)

	mu     sync.Mutex
	closed bool
	subs   map[id.Session]map[*Subscription]struct{}
}

// Subscription is one listener's end. It must be closed.
type Subscription struct {
	hub     *Hub
	session id.Session
	wake    chan struct{} // holds one: there is something to look at

	mu     sync.Mutex
	events []event.Event
	gap    bool
	last   uint64 // cursor of the last durable event taken, where a gap begins
	head   uint64 // cursor of the last durable event that came
	past   uint64 // deltas are of the past until the event at this cursor comes
	closed bool
}

// Subscribe listens to a session from now on. after is the cursor the listener has seen already; earlier events are not delivered.
func (h *Hub) Subscribe(s id.Session, after uint64) *Subscription {
	sub := &Subscription{hub: h, session: s, wake: make(chan struct{}, 1), last: after}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		sub.closed = true
		return sub
	}
	if h.subs == nil {
		h.subs = map[id.Session]map[*Subscription]struct{}{}
	}
	if h.subs[s] == nil {
		h.subs[s] = map[*Subscription]struct{}{}
	}
	h.subs[s][sub] = struct{}{}
	return sub
}

// Publish passes events of one session on, in order. It never blocks.
func (h *Hub) Publish(s id.Session, events ...event.Event) {
	if h.Watch != nil {
		for _, e := range events {
			h.Watch(e)
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for sub := range h.subs[s] {
		sub.put(events)
	}
}

// Close ends every subscription once it has taken what waits for it.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.closed = true
	for _, subs := range h.subs {
		for sub := range subs {
			sub.end()
		}
	}
	h.subs = nil
}

func (s *Subscription) put(events []event.Event) {
	s.mu.Lock()
	defer s.mu.Unlock()
	events = s.current(events)
	if len(s.events)+len(events) > Buffer {
		s.events, s.gap = nil, true
	} else {
		s.events = append(s.events, events...)
	}
	s.signal()
}

// current leaves out deltas that are of the past, and keeps in mind how far the durable events have come.
func (s *Subscription) current(events []event.Event) []event.Event {
	if s.head >= s.past {
		for _, e := range events {
			s.head = max(s.head, e.Cursor)
		}
		return events
	}
	var kept []event.Event // a copy: others listen to the same
	for _, e := range events {
		s.head = max(s.head, e.Cursor)
		if e.Cursor > 0 || s.head >= s.past {
			kept = append(kept, e)
		}
	}
	return kept
}

func (s *Subscription) end() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.closed = true
	s.signal()
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // it has a look to do already
	}
}

// Next returns the next event. After a gap it returns event.Gap once, and then what came since: read the store from its cursor, and
// pass over durable events you have seen. It blocks until there is something, ctx ends, or the feed is closed (ErrClosed).
func (s *Subscription) Next(ctx context.Context) (event.Event, error) {
	for {
		if e, ok, err := s.take(); ok || err != nil {
			return e, err
		}
		select {
		case <-s.wake:
		case <-ctx.Done():
			return event.Event{}, ctx.Err()
		}
	}
}

func (s *Subscription) take() (event.Event, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.gap:
		s.gap = false
		return event.Event{Session: s.session, Payload: event.Gap{From: s.last}}, true, nil
	case len(s.events) > 0:
		e := s.events[0]
		s.events = s.events[1:]
		if e.Cursor > s.last {
			s.last = e.Cursor
		}
		return e, true, nil
	case s.closed:
		return event.Event{}, false, ErrClosed
	}
	return event.Event{}, false, nil
}

// Pass drops what waits up to the durable event at a cursor, which was read from the store meanwhile: deltas before it are of the past. That event may
// have been read before it comes here. Then it comes, and deltas that come before it are dropped, if an earlier one has come: where none has, it may
// as well have been published before anybody listened, and nothing is dropped.
func (s *Subscription) Pass(cursor uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last = max(s.last, cursor)
	if s.head > 0 && s.head < cursor {
		s.events, s.past = nil, cursor
		return
	}
	for n, e := range slices.Backward(s.events) {
		if e.Cursor > 0 && e.Cursor <= cursor {
			s.events = s.events[n+1:]
			return
		}
	}
}

// Close stops listening.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	delete(s.hub.subs[s.session], s)
	if len(s.hub.subs[s.session]) == 0 {
		delete(s.hub.subs, s.session)
	}
	s.hub.mu.Unlock()
	s.end()
}
