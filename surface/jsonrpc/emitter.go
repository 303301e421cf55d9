package jsonrpc

import (
	"context"
	"encoding/json"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/wire"
)

// maxEmitters is how many sessions a connection counts its events of, besides those that are running. One that is forgotten begins at 1 again.
const maxEmitters = 4096

// emitter tells the events of one session on one connection.
type emitter struct {
	client  *client
	session id.Session
	users   int // requests that tell by it; under client.mu

	mu      sync.Mutex
	stream  *wire.Stream
	seq     uint64
	last    uint64 // cursor of the last event that was told: two requests may tell the same one
	started map[id.Call]bool
	told    chan struct{} // closed when something was told; nil: nobody waits
}

// emitting returns a session's emitter. done gives it back.
func (c *client) emitting(s id.Session) (e *emitter, done func()) {
	c.mu.Lock()
	defer c.mu.Unlock()
	e = c.emitters[s]
	if e == nil {
		e = &emitter{client: c, session: s, stream: wire.NewStream(s), started: map[id.Call]bool{}}
		c.emitters[s] = e
	}
	if e.users++; e.users == 1 {
		e.mu.Lock()
		clear(e.started) // calls of an earlier run, whose names may come again
		e.mu.Unlock()
	}
	return e, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		if e.users--; e.users == 0 && len(c.emitters) > maxEmitters {
			delete(c.emitters, s)
		}
		e.wake()
	}
}

// sessionEvent is what session/event says. It is put together here, since every token of every reply goes through it.
func sessionEvent(s id.Session, e json.RawMessage) json.RawMessage {
	out := make(json.RawMessage, 0, len(e)+len(s)+32)
	out = append(append(out, `{"session_id":"`...), s...)
	out = append(append(out, `","event":`...), e...)
	return append(out, '}')
}

// tell sends what there is to be sent of an event. What does not fit is dropped: the run does not wait for a reader.
func (e *emitter) tell(ev event.Event) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if ev.Cursor > 0 && ev.Cursor <= e.last {
		return
	}
	e.last = max(e.last, ev.Cursor)
	for _, env := range e.stream.Tell(ev) {
		if env.Additive {
			continue
		}
		e.seq++
		env.Seq = e.seq // of what this protocol tells, without gaps; what is dropped counts
		e.client.conn.Notify("session/event", sessionEvent(e.session, env.Superset()))
	}
	switch p := ev.Payload.(type) {
	case event.RunStarted:
		clear(e.started)
	case event.ToolExecutionStarted:
		e.started[p.Call] = true
	}
	e.wakeLocked()
}

func (e *emitter) wake() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.wakeLocked()
}

func (e *emitter) wakeLocked() {
	if e.told != nil {
		close(e.told)
		e.told = nil
	}
}

// startWait bounds how long a call waits for its own event: it may have been lost on the way, or be told to nobody.
const startWait = time.Second

// afterStart waits until it was told that a call began, if somebody is telling: a client hears of it before it is asked to carry it out.
func (c *client) afterStart(ctx context.Context, s id.Session, call id.Call) {
	c.mu.Lock()
	e := c.emitters[s]
	c.mu.Unlock()
	if e == nil {
		return
	}
	limit := time.NewTimer(startWait)
	defer limit.Stop()
	for {
		c.mu.Lock()
		busy := e.users > 0
		c.mu.Unlock()
		e.mu.Lock()
		if !busy || e.started[call] {
			e.mu.Unlock()
			return
		}
		if e.told == nil {
			e.told = make(chan struct{})
		}
		told := e.told
		e.mu.Unlock()
		select {
		case <-told:
		case <-limit.C:
			return
		case <-ctx.Done():
			return
		}
	}
}
