package jsonrpc

import (
	"context"
	"fmt"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/wire"
)

// MaxStreams is how many streams a connection may have open.
const MaxStreams = 256

// maxClosed is how many streams that have ended are remembered.
const maxClosed = 1024

// stream tells a session's events, whoever causes them.
type stream struct {
	name    string
	session id.Session
	stop    context.CancelCauseFunc
	ended   chan struct{} // closed once its end was told
}

// Ends of a stream.
const (
	explicitClose = "explicit_close"
	remoteEnd     = "remote_end"
	terminalError = "terminal_error"
)

type streamEvent struct {
	Stream   string        `json:"stream_id"`
	Sequence uint64        `json:"sequence"`
	Session  id.Session    `json:"session_id"`
	Event    wire.Envelope `json:"event"`
}

type streamEnd struct {
	Stream  string       `json:"stream_id"`
	Session id.Session   `json:"session_id"`
	Ended   bool         `json:"ended"`
	Outcome string       `json:"outcome"`
	Error   *streamError `json:"error,omitempty"`
}

type streamError struct {
	Code    string `json:"code"`
	Message string `json:"message"`
}

func openStream(r *request) (any, error) {
	var p wire.StreamOpenParams
	if err := wire.DecodeStrict(r.params, &p); err != nil {
		return nil, err
	}
	of, err := r.locate(p.Session)
	if err != nil {
		return nil, err
	}
	now, err := r.plane.Session(r.ctx, string(of))
	if err != nil {
		return nil, about(of, err)
	}
	c := r.client
	ctx, stop := context.WithCancelCause(c.ctx)
	s := &stream{name: id.New(), session: of, stop: stop, ended: make(chan struct{})}
	c.mu.Lock()
	full := len(c.streams) >= MaxStreams
	if !full {
		c.streams[s.name] = s
	}
	c.mu.Unlock()
	if full {
		stop(nil)
		return nil, &control.Error{Code: fault.Overloaded, Message: fmt.Sprintf("%d streams are open on this connection, and more are not possible", MaxStreams)}
	}
	listening := make(chan struct{})
	c.work.Go(func() {
		defer stop(nil)
		c.follow(ctx, s, r.plane, now.Cursor, listening)
	})
	select {
	case <-listening:
	case <-r.ctx.Done():
		return nil, context.Cause(r.ctx)
	}
	return wire.StreamOpened{Stream: s.name, Session: of, Opened: true}, nil
}

// follow tells what happens until somebody wants no more, and then how the stream ended. listening is closed once nothing can be missed.
func (c *client) follow(ctx context.Context, s *stream, p *control.Plane, cursor uint64, listening chan struct{}) {
	end := c.tellStream(ctx, s, p, cursor, listening)
	c.mu.Lock()
	delete(c.streams, s.name)
	c.closed.add(s.name)
	c.mu.Unlock()
	if err := c.conn.Tell("session/stream_end", end); err != nil {
		c.server.log().Debug("the end of a stream was not told: the connection has ended", "stream", s.name)
	}
	close(s.ended)
}

func (c *client) tellStream(ctx context.Context, s *stream, p *control.Plane, cursor uint64, listening chan struct{}) streamEnd {
	open := listening
	ready := func() {
		if open != nil {
			close(open)
			open = nil
		}
	}
	defer ready()
	end := streamEnd{Stream: s.name, Session: s.session, Ended: true, Outcome: remoteEnd}
	teller, sequence := wire.NewStream(s.session), uint64(0)
	if cursor == 0 { // nothing has happened that could tell
		ready()
	}
	// Beginning one event earlier tells, when that comes, that the feed is listened to.
	for e, err := range p.Events(ctx, s.session, max(cursor, 1)-1) {
		if err != nil {
			end.Outcome, end.Error = terminalError, &streamError{fault.CodeOf(err).String(), err.Error()}
			return end
		}
		ready()
		if e.Cursor > 0 && e.Cursor <= cursor {
			continue
		}
		for _, env := range teller.Tell(e) {
			if env.Additive {
				continue
			}
			sequence++
			env.Seq = sequence
			if !c.conn.Notify("session/stream_event", streamEvent{s.name, sequence, s.session, env}) {
				end.Outcome, end.Error = terminalError, &streamError{"stream_queue_overflow", "events came faster than they were read"}
				return end
			}
		}
		if gone(e) {
			return end
		}
	}
	if ctx.Err() != nil {
		end.Outcome = explicitClose
	}
	return end
}

// gone reports whether an event is the last one of its session.
func gone(e event.Event) bool {
	switch e.Payload.(type) {
	case event.SessionArchived, event.SessionDestroyed:
		return true
	}
	return false
}

func closeStream(r *request) (any, error) {
	var p wire.StreamCloseParams
	if err := wire.DecodeStrict(r.params, &p); err != nil {
		return nil, err
	}
	known, err := id.ParseSession(p.Stream) // the same form
	if err != nil {
		return nil, invalid("stream_id is not a UUID")
	}
	name := string(known)
	c := r.client
	c.mu.Lock()
	s, already := c.streams[name], c.closed.take(name)
	c.mu.Unlock()
	if s == nil {
		return wire.StreamClosed{Stream: name, Closed: true, Already: already}, nil
	}
	s.stop(nil)
	<-s.ended
	return wire.StreamClosed{Stream: name, Closed: true}, nil
}

// closedStreams remembers the last streams that ended, until each was asked for once.
type closedStreams struct {
	names map[string]bool
	order []string
}

func (c *closedStreams) add(name string) {
	if c.names == nil {
		c.names = map[string]bool{}
	}
	c.names[name] = true
	c.order = append(c.order, name)
	if len(c.order) > maxClosed {
		delete(c.names, c.order[0])
		c.order = c.order[1:]
	}
}

func (c *closedStreams) take(name string) bool {
	known := c.names[name]
	delete(c.names, name)
	return known
}
