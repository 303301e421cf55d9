package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/internal/sse"
	"github.com/meerkat-go/meerkat/wire"
)

const (
	// silence is how long a stream may say nothing before it counts as broken: three of the server's heartbeats.
	silence = 45 * time.Second
	// maxEvent bounds one event, in bytes.
	maxEvent = 64 << 20
)

// Events yields the durable events of a session after a cursor, then what comes, deltas included, until ctx ends, the session is over and its server says
// that nothing more will come, or an error that trying again does not mend was yielded.
//
// A stream that breaks is taken up again after its last cursor for as long as ctx lasts, at growing distances. Durable events come in the order of their
// cursors, each once, and none is left out. Deltas in between may be lost: after such a break, and where the server says that it dropped some, comes an
// event of type stream_truncated, without a cursor.
func (c *Client) Events(ctx context.Context, s id.Session, after uint64) iter.Seq2[wire.NativeEvent, error] {
	return func(yield func(wire.NativeEvent, error) bool) {
		r := &reader{client: c, session: s, after: after, yield: yield}
		r.run(ctx)
	}
}

// reader reads one session's events through as many connections as that takes.
type reader struct {
	client  *Client
	session id.Session
	after   uint64 // the last durable event that was yielded
	yield   func(wire.NativeEvent, error) bool

	opened bool // a stream was there before this one
	moved  bool // this stream brought something new
	gaps   int  // streams in a row that left durable events out
}

// errLeft ends a stream whose reader has had enough.
var errLeft = errors.New("the reader left")

func (r *reader) run(ctx context.Context) {
	for attempt := 0; ; attempt++ {
		r.moved = false
		began := time.Now()
		err := r.stream(ctx)
		switch {
		case ctx.Err() != nil, errors.Is(err, errLeft):
			return
		case err == nil: // the server says that this is all
			over, err := r.over(ctx)
			if ctx.Err() != nil || over {
				return
			}
			if err != nil && !passing(err) {
				r.yield(wire.NativeEvent{}, err)
				return
			}
		case !passing(err):
			r.yield(wire.NativeEvent{}, err)
			return
		}
		if r.moved || time.Since(began) > silence {
			attempt = 0
		}
		if err == nil {
			err = &Error{Op: r.op(), Code: fault.Overloaded, Message: "the server ended the stream", Err: ErrUnreachable}
		}
		if r.client.lost != nil {
			r.client.lost(err)
		}
		delay := backoff(attempt)
		var e *Error
		if errors.As(err, &e) {
			delay = max(delay, e.RetryAfter)
		}
		if pause(ctx, delay) != nil {
			return
		}
	}
}

// passing reports whether a stream that ended so may be taken up again.
func passing(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Status == 0 && errors.Is(e, ErrUnreachable) || e.Status == http.StatusTooManyRequests || e.Status/100 == 5
}

// over reports whether nothing can happen to the session any more.
func (r *reader) over(ctx context.Context) (bool, error) {
	d, err := r.client.Session(ctx, string(r.session))
	return err == nil && (d.Phase == "archived" || d.Phase == "destroyed") && d.Cursor <= r.after, err
}

func (r *reader) op() string { return "follow session " + string(r.session) }

// stream reads one connection to its end. nil: the server said that nothing more comes.
func (r *reader) stream(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(answerWait, func() { cancel(errSilent) })
	defer watchdog.Stop()
	k := call{op: r.op(), method: http.MethodGet, path: []string{"sessions", string(r.session), "events"}, again: true,
		query: url.Values{"format": {"native"}, "after": {strconv.FormatUint(r.after, 10)}}}
	resp, err := r.client.send(ctx, k, nil)
	if err != nil {
		return silent(ctx, k, err)
	}
	defer resp.Body.Close()
	if r.client.lost != nil && r.opened {
		r.client.lost(nil)
	}
	if r.opened && !r.tell(wire.NativeEvent{Session: r.session, Type: event.Gap{}.Type(), Payload: json.RawMessage(fmt.Sprintf(`{"from_cursor":%d}`, r.after))}) {
		return errLeft
	}
	r.opened = true
	in := sse.NewReader(&heard{resp.Body, watchdog}, maxEvent)
	for {
		e, err := in.Next()
		if err != nil {
			return silent(ctx, k, r.broken(k, err))
		}
		switch e.Name {
		case "done":
			return nil
		case "error": // the server could not read on
			return r.told(k, e.Data)
		case "session_loaded":
			continue
		}
		if err := r.take(k, e.Data); err != nil {
			return err
		}
	}
}

// errSilent is the reason for which a stream is cut off that says nothing.
var errSilent = errors.New("it has said nothing for too long")

// silent names the reason why a request was cut off by us.
func silent(ctx context.Context, k call, err error) error {
	if cause := context.Cause(ctx); errors.Is(cause, errSilent) {
		return unreachable(k, cause, true)
	}
	return err
}

// broken is the error of a stream that could not be read on.
func (r *reader) broken(k call, err error) error {
	if errors.Is(err, sse.ErrTooLong) {
		return &Error{Op: k.op, Message: fmt.Sprintf("an event after cursor %d is longer than %d MiB", r.after, maxEvent>>20), Err: err}
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("the stream broke off")
	}
	return unreachable(k, err, true)
}

// told is the error that a server tells on a stream which it had begun.
func (r *reader) told(k call, data []byte) error {
	var p struct {
		Status int `json:"status"`
	}
	if json.Unmarshal(data, &p) != nil || p.Status < 400 {
		p.Status = http.StatusInternalServerError
	}
	return r.client.hidden(refused(k, &http.Response{StatusCode: p.Status}, data))
}

// take yields an event, unless it was yielded before.
func (r *reader) take(k call, data []byte) error {
	var e wire.NativeEvent
	if err := json.Unmarshal(data, &e); err != nil || e.Type == "" {
		return &Error{Op: k.op, Message: "the server's events are not what this client knows; is it another version?", Err: err}
	}
	switch {
	case e.Cursor == 0:
	case e.Cursor <= r.after:
		return nil
	case e.Cursor > r.after+1:
		if r.gaps++; r.gaps > 2 {
			return &Error{Op: k.op, Code: fault.Corrupt, Message: fmt.Sprintf("the server has event %d after %d, and not what was between them", e.Cursor, r.after),
				Err: errors.New("events are missing")}
		}
		return &Error{Op: k.op, Code: fault.Overloaded, Message: "the stream left events out", Err: ErrUnreachable}
	default:
		r.gaps, r.moved = 0, true
		r.after = e.Cursor
	}
	if !r.tell(e) {
		return errLeft
	}
	return nil
}

func (r *reader) tell(e wire.NativeEvent) bool { return r.yield(e, nil) }

// heard reads a stream and tells the watchdog whenever something came.
type heard struct {
	r        io.Reader
	watchdog *time.Timer
}

func (h *heard) Read(p []byte) (int, error) {
	n, err := h.r.Read(p)
	if n > 0 {
		h.watchdog.Reset(silence)
	}
	return n, err
}
