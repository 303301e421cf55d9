// Package jsonrpc serves a realm by JSON-RPC 2.0, one message a line, over standard input and output or TCP. docs/rpc.md says what it speaks.
//
// Each request is carried out on its own, so answers may come in any order. All events of a run are sent before its answer. A client that goes away
// ends its connection and nothing else: runs are the sessions' affair.
package jsonrpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/internal/jsonrpc2"
)

// MaxConnections is how many clients may be connected at once over TCP, where nothing else is said.
const MaxConnections = 256

// Grace is how long a connection that ends has for what is being answered and for what is still to be written.
const Grace = 2 * time.Second

// Recheck is how often it is looked whether the key of a connection is still good.
const Recheck = 10 * time.Second

// Server speaks the protocol. Set it up, then use it; one may serve any number of connections and listeners.
type Server struct {
	Door           *control.Door // says whose realm a connection has
	MaxConnections int           // over TCP, for each listener; 0: MaxConnections
	Log            *slog.Logger  // nil: nothing is logged
	// Observe is told of each request that was carried out: its method, and the code of its error; 0: it has none. nil: nobody is.
	Observe func(method string, code int)

	// For tests. started is told of a request before it is carried out, and may hold it up; recheck is instead of Recheck.
	started func(ctx context.Context, method string)
	recheck time.Duration

	once    sync.Once // makes what connections share
	long    *jsonrpc2.Budget
	waiting *jsonrpc2.Budget
	work    chan struct{}
}

// share makes what the connections share.
func (s *Server) share() {
	s.once.Do(func() {
		s.long, s.waiting, s.work = jsonrpc2.NewBudget(MaxLong), jsonrpc2.NewBudget(MaxWaiting), make(chan struct{}, MaxWork)
	})
}

func (s *Server) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

// Serve speaks with one client until in ends or ctx does, and returns once nothing of the connection is left. That in ends is no error: what is short
// is still answered, who waits for a run is told that he does not wait any more, and the run goes on. out gets protocol and nothing else.
func (s *Server) Serve(ctx context.Context, in io.Reader, out io.Writer) error {
	return s.serve(ctx, in, out, "stdio")
}

func (s *Server) serve(ctx context.Context, in io.Reader, out io.Writer, transport string) error {
	// Requests outlive ctx for a moment: those that are short are answered.
	work, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer stop(nil)
	c := newClient(s, jsonrpc2.New(in, out), work, transport)
	var watch sync.WaitGroup
	ctx, leave := context.WithCancelCause(ctx)
	watch.Go(func() { c.watchKey(ctx, leave) })
	err := c.conn.Run(ctx, c, func() { c.drain(stop) }, Grace)
	leave(nil)
	watch.Wait()
	return err
}

// Listen speaks with whoever connects until ctx ends, closes the listener, and returns once all connections have ended.
func (s *Server) Listen(ctx context.Context, l net.Listener) error {
	max := s.MaxConnections
	if max <= 0 {
		max = MaxConnections
	}
	places := make(chan struct{}, max)
	var all sync.WaitGroup
	defer all.Wait()
	release := context.AfterFunc(ctx, func() { _ = l.Close() }) // ends Accept; there is nothing to be done about its error
	defer func() {
		if release() {
			_ = l.Close()
		}
	}()
	for {
		nc, err := l.Accept()
		switch {
		case ctx.Err() != nil:
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept: %w", err)
		case err != nil: // such as too many open files: it passes
			s.log().Warn("a connection was not accepted", "error", err)
			select {
			case <-time.After(50 * time.Millisecond):
			case <-ctx.Done():
			}
			continue
		}
		select {
		case places <- struct{}{}:
			all.Go(func() {
				defer func() { <-places }()
				s.connection(ctx, nc)
			})
		default:
			s.log().Warn("a connection was refused: there are too many", "connections", max)
			all.Go(func() { turnAway(nc, max) })
		}
	}
}

// observe tells of a request that was carried out. Its params and its answer are nobody else's affair.
func (s *Server) observe(method string, err error) {
	code := 0
	if err != nil {
		code = refusal(err).Code
	}
	if s.Observe != nil {
		s.Observe(method, code)
	}
	s.log().Debug("carried out", "method", method, "code", code)
}

// turnAway says why and closes.
func turnAway(nc net.Conn, max int) {
	_ = nc.SetDeadline(time.Now().Add(time.Second))
	_, _ = fmt.Fprintf(nc, `{"jsonrpc":"2.0","id":null,"error":{"code":-32603,"message":"%d clients are connected, and more are not taken","data":{"reason":"overloaded","retry_after_ms":1000}}}`+"\n", max)
	_ = nc.Close()
}

func (s *Server) connection(ctx context.Context, nc net.Conn) {
	who := nc.RemoteAddr().String()
	s.log().Debug("connected", "client", who)
	err := errors.Join(s.serve(ctx, nc, &patient{Conn: nc}, "tcp"), nc.Close())
	s.log().Debug("disconnected", "client", who, "error", err)
}

// Patience is how long a client over TCP may take nothing of what is written to it, until it is let go: what waits for it is memory that others need.
const Patience = 30 * time.Second

// patient is a connection that is written to for as long as the other end takes something of it now and then.
type patient struct {
	net.Conn
	over atomic.Bool // somebody else has set when it ends
}

// Write writes, a part at a time.
func (p *patient) Write(b []byte) (n int, err error) {
	const part = 64 << 10
	for n < len(b) && err == nil {
		if err = p.Conn.SetWriteDeadline(time.Now().Add(Patience)); err != nil {
			break
		}
		if p.over.Load() { // looked up after the deadline was moved, so that it is not moved past the end for good
			return n, os.ErrDeadlineExceeded
		}
		var m int
		m, err = p.Conn.Write(b[n:min(len(b), n+part)])
		n += m
	}
	return n, err
}

// SetWriteDeadline ends patience.
func (p *patient) SetWriteDeadline(t time.Time) error {
	p.over.Store(true)
	return p.Conn.SetWriteDeadline(t)
}
