package rest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/wire"
)

// ahead is how many events are read before those that a client has not taken yet. Beyond it the plane waits, and then tells of a gap.
const ahead = 64

// told is an event on its way to a client, or the reason why there are no more.
type told struct {
	event event.Event
	err   error
}

// stream is one client that reads a session's events.
type stream struct {
	c       *call
	session id.Session
	after   uint64 // cursor of the last event before it
	over    bool   // nothing more will happen to the session
	native  bool
	teller  *wire.Stream
	buf     bytes.Buffer
}

func streamEvents(c *call) {
	s, first, err := c.newStream()
	if err != nil {
		c.h.fail(c.w, c.r, err)
		return
	}
	closed, err := c.h.streams.open(c.who)
	if err != nil {
		c.h.fail(c.w, c.r, err)
		return
	}
	defer closed()
	c.w.Header().Set("Content-Type", "text/event-stream")
	c.w.Header().Set("X-Accel-Buffering", "no") // a proxy that gathers would hold events back
	c.w.WriteHeader(http.StatusOK)
	s.frame("session_loaded", 0, first)
	if err := s.run(); err != nil && c.w.cause == "" {
		c.w.cause = err.Error()
	}
}

// loaded is the first thing on a stream.
type loaded struct {
	Session  id.Session `json:"session_id"`
	Messages int        `json:"message_count"`
}

// newStream finds out what is to be told, and from where on.
func (c *call) newStream() (*stream, loaded, error) {
	sid, err := c.session()
	if err != nil {
		return nil, loaded{}, err
	}
	native, err := c.native()
	if err != nil {
		return nil, loaded{}, err
	}
	after, given, err := c.cursor()
	if err != nil {
		return nil, loaded{}, err
	}
	st, err := c.plane.Session(c.ctx(), string(sid))
	if err != nil {
		return nil, loaded{}, err
	}
	switch {
	case !given:
		after = st.Cursor
	case after > st.Cursor:
		return nil, loaded{}, &control.Error{Code: fault.Invalid, Message: fmt.Sprintf("the cursor %d is ahead of the latest, %d", after, st.Cursor)}
	}
	return &stream{c: c, session: sid, after: after, over: st.Phase == "archived" || st.Phase == "destroyed", native: native, teller: wire.NewStream(sid)}, loaded{sid, st.Messages}, nil
}

// cursor reads from where on events are wanted. The header counts before the query: a browser that comes back keeps the address it began with.
func (c *call) cursor() (after uint64, given bool, err error) {
	text := c.r.Header.Get("Last-Event-ID")
	if text == "" {
		text = c.r.URL.Query().Get("after")
	}
	if text == "" {
		return 0, false, nil
	}
	if after, err = strconv.ParseUint(text, 10, 64); err != nil {
		return 0, false, &control.Error{Code: fault.Invalid, Message: "a cursor is a whole number: the id of the last event that was seen"}
	}
	return after, true, nil
}

// run tells events until the session's stream ends, the client leaves or is too slow, or the server goes down. Whoever reads from the plane is waited
// for.
func (s *stream) run() error {
	ctx, free := s.c.h.leaving(s.c.ctx())
	defer free()
	ctx, cancel := context.WithCancel(ctx)
	source := s.c.plane.Events(ctx, s.session, s.after)
	if s.over {
		source = s.rest(ctx)
	}
	events := make(chan told, ahead)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(events)
		for e, err := range source {
			select {
			case events <- told{e, err}:
			case <-ctx.Done():
				return
			}
		}
	})
	defer wg.Wait()
	defer cancel()
	beat := time.NewTicker(s.c.h.Heartbeat)
	defer beat.Stop()
	if err := s.flush(); err != nil {
		return err
	}
	for {
		select {
		case t, ok := <-events:
			if more, err := s.take(t, ok, events); !more || err != nil {
				return err
			}
		case <-beat.C:
			if err := s.c.still(ctx); err != nil {
				_, err = s.take(told{err: err}, true, nil)
				return err
			}
			s.buf.WriteString(": keep-alive\n\n")
			if err := s.flush(); err != nil {
				return err
			}
		}
	}
}

// rest yields what there is of a session to which nothing happens any more.
func (s *stream) rest(ctx context.Context) iter.Seq2[event.Event, error] {
	return func(yield func(event.Event, error) bool) {
		for after, more := s.after, true; more; {
			page, err := s.c.plane.EventsSince(ctx, s.session, after, 0)
			if err != nil {
				yield(event.Event{}, err)
				return
			}
			for _, e := range page.Events {
				if !yield(e, nil) {
					return
				}
				after = e.Cursor
			}
			more = page.More
		}
	}
}

// take tells an event and what follows it already. more is false where the stream has ended.
func (s *stream) take(t told, ok bool, events <-chan told) (more bool, err error) {
	for {
		switch {
		case !ok:
			s.frame("done", 0, struct{}{})
			return false, s.flush()
		case t.err != nil:
			p, _ := problemOf(t.err)
			s.frame("error", 0, p)
			return false, errors.Join(t.err, s.flush())
		}
		if err := s.tell(t.event); err != nil {
			return false, err
		}
		if s.buf.Len() >= chunk {
			if err := s.flush(); err != nil {
				return false, err
			}
		}
		select {
		case t, ok = <-events:
		default:
			return true, s.flush()
		}
	}
}

// tell writes an event as a client reads it. Where one event of the session is two of the protocol, the last of them has the id: whoever breaks off in
// between is told both again.
func (s *stream) tell(e event.Event) error {
	if s.native {
		n, err := wire.Native(e)
		if err == nil {
			s.frame(n.Type, n.Cursor, n)
		}
		return err
	}
	list := s.teller.Tell(e)
	for n, env := range list {
		cursor := e.Cursor
		if n < len(list)-1 {
			cursor = 0
		}
		s.frame(env.Type, cursor, env)
	}
	if len(list) == 0 && e.Cursor > 0 {
		fmt.Fprintf(&s.buf, "id: %d\n\n", e.Cursor) // nothing to be seen, and a place to go on from
	}
	return nil
}

// frame writes one event of the stream. JSON has no line breaks of its own.
func (s *stream) frame(name string, cursor uint64, data any) {
	body, err := json.Marshal(data)
	if err != nil {
		s.c.w.cause = err.Error()
		body = []byte("{}")
	}
	fmt.Fprintf(&s.buf, "event: %s\n", name)
	if cursor > 0 {
		fmt.Fprintf(&s.buf, "id: %d\n", cursor)
	}
	s.buf.WriteString("data: ")
	s.buf.Write(body)
	s.buf.WriteString("\n\n")
}

// flush hands the client what was written. One that does not take it in time is let go.
func (s *stream) flush() error {
	if err := s.c.h.put(s.c.w, s.buf.Bytes()); err != nil {
		return err
	}
	s.buf.Reset()
	if s.buf.Cap() > 4*chunk {
		s.buf = bytes.Buffer{}
	}
	s.c.h.deadline(s.c.w)
	return http.NewResponseController(s.c.w.ResponseWriter).Flush()
}
