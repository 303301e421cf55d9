package llm

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"net/url"
	"os"
	"time"

	"github.com/meerkat-go/meerkat/internal/sse"
)

// Event is one event of a stream.
type Event = sse.Event

// Stream is an answer that is arriving. It is owned by one goroutine.
type Stream struct {
	e        *Endpoint
	parent   context.Context // the caller's
	ctx      context.Context // the call's own, which the watchdog ends
	cancel   context.CancelCauseFunc
	idle     time.Duration
	body     io.ReadCloser
	events   *sse.Reader
	header   http.Header
	complete bool
}

func (s *Stream) attach(resp *http.Response) {
	s.body, s.header = resp.Body, resp.Header
	s.events = sse.NewReader(resp.Body, MaxEvent)
}

// guard ends the call with the given cause unless the returned function is called before the stream has been idle for too long.
func (s *Stream) guard(cause *Error) (stop func()) {
	if s.idle < 0 {
		return func() {}
	}
	t := time.AfterFunc(s.idle, func() { s.cancel(cause) })
	return func() { t.Stop() }
}

// IsEvents reports whether the answer is to be read as a stream of events: unless it calls itself a document, since not every
// server names the type of its stream.
func (s *Stream) IsEvents() bool {
	kind := s.MediaType()
	return kind != "application/json" && kind != "text/html"
}

// MediaType is the type of the answer, without parameters.
func (s *Stream) MediaType() string {
	kind, _, err := mime.ParseMediaType(s.header.Get("Content-Type"))
	if err != nil {
		return s.header.Get("Content-Type")
	}
	return kind
}

// Next returns the next event. Its error is io.EOF where the stream ends in good order, and otherwise explains what broke it. The
// watchdog runs only while Next waits: a consumer that takes its time is not a stalled stream.
func (s *Stream) Next() (Event, error) {
	stop := s.guard(&Error{Kind: StreamStalled, Provider: s.e.Provider, Message: fmt.Sprintf("no event of the stream for %v", s.idle)})
	ev, err := s.events.Next()
	stop()
	if err == io.EOF {
		s.complete = true
		return Event{}, io.EOF
	}
	if err != nil {
		return Event{}, s.explain(err)
	}
	return ev, nil
}

// Whole returns an answer that is no stream of events, at most MaxEvent bytes of it.
func (s *Stream) Whole() ([]byte, error) {
	stop := s.guard(&Error{Kind: StreamStalled, Provider: s.e.Provider, Message: fmt.Sprintf("the answer did not end within %v", s.idle)})
	defer stop()
	data, err := io.ReadAll(io.LimitReader(s.body, MaxEvent+1))
	if err != nil {
		return nil, s.explain(err)
	}
	if len(data) > MaxEvent {
		return nil, s.e.Fail(Garbled, fmt.Sprintf("the answer is longer than %d bytes", MaxEvent))
	}
	return data, nil
}

// Limit sets how long Next waits from now on.
func (s *Stream) Limit(idle time.Duration) { s.idle = idle }

// Finish says that the reply is whole, so that Close may keep the connection for the next call.
func (s *Stream) Finish() {
	if s.complete || s.parent.Err() != nil {
		return
	}
	// What follows the reply is of no use but for reaching the end, without which the connection cannot be used again.
	t := time.AfterFunc(drainLimit, func() { s.cancel(nil) })
	defer t.Stop()
	_, _ = io.CopyN(io.Discard, s.body, 4096)
}

// Close abandons what has not arrived, connection and all.
func (s *Stream) Close() {
	s.cancel(nil)
	_ = s.body.Close() // nothing was written through it, so nothing can be lost
}

// explain classifies why the answer could not be had or read to its end.
func (s *Stream) explain(err error) error {
	if s.parent.Err() != nil {
		return s.e.ended(s.parent)
	}
	var own *Error
	if errors.As(context.Cause(s.ctx), &own) {
		return own
	}
	var wrapped *url.Error
	if errors.As(err, &wrapped) {
		err = wrapped.Err // the address may hold a credential
	}
	var certificate *tls.CertificateVerificationError
	var network net.Error
	switch {
	case errors.Is(err, sse.ErrTooLong):
		return s.e.fail(Garbled, fmt.Sprintf("an event of the stream is longer than %d bytes", MaxEvent), err)
	case errors.As(err, &certificate):
		return s.e.fail(NotConfigured, "the server's certificate is not trusted", err)
	case errors.As(err, &network) && network.Timeout():
		return s.e.fail(NetworkTimeout, "no connection in time", err)
	case s.body == nil:
		if closed(err) {
			return s.e.broke(s.e.host()+" closed the connection without an answer", err)
		}
		return s.e.broke("no connection to "+s.e.host()+": "+plain(err).Error(), err)
	case closed(err):
		return s.e.broke(s.e.host()+" closed the connection while the reply was arriving", err)
	}
	return s.e.broke("the connection broke while the reply was arriving: "+plain(err).Error(), err)
}

// closed reports whether the other side closed the connection. What the error says of it ("EOF") is no word for users.
func closed(err error) bool { return errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) }

// plain takes what a user needs from an error of the network: what the system said, without the call it said it to.
func plain(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err
}

// broke is a connection that ended too early, for a reason that the message says in full.
func (e *Endpoint) broke(message string, cause error) *Error {
	err := e.Fail(ConnectionReset, message)
	err.Err = cause
	return err
}

func (e *Endpoint) host() string {
	if u, err := url.Parse(e.URL); err == nil {
		return u.Host
	}
	return e.Provider
}
