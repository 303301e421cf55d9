package jsonrpc2

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"sync"
	"time"
)

// ErrClosed says that the connection has ended.
var ErrClosed = errors.New("the connection is closed")

// Handler is given what the other end sends, in the order of the lines, by one goroutine. Nothing that takes long may be done in it.
type Handler interface {
	// Request is to be answered with Conn.Answer or Conn.Refuse, sooner or later, by any goroutine.
	Request(m Message)
	// Notification wants no answer.
	Notification(m Message)
}

// Conn is one connection. Make it with New, then Run it. Every other method may be called concurrently.
type Conn struct {
	in     io.Reader
	out    io.Writer
	reader *Reader
	queue  *queue

	mu      sync.Mutex
	next    uint64
	waiting map[ID]chan Message // requests of ours that are not answered
	ended   chan struct{}       // closed once nothing more is read
}

// New makes a connection that reads in and writes out.
func New(in io.Reader, out io.Writer) *Conn {
	return &Conn{in: in, out: out, reader: NewReader(in, 0), queue: newQueue(), waiting: map[ID]chan Message{}, ended: make(chan struct{})}
}

// SetBudget says which bounds the connection shares with others: of long lines that are read, and of what waits to be written. It is set before the
// connection runs.
func (c *Conn) SetBudget(reading, waiting *Budget) {
	c.reader.budget, c.queue.budget = reading, waiting
}

// SetMaxLine says how long a line may be from the next one on; 0: MaxLine.
func (c *Conn) SetMaxLine(max int) { c.reader.SetMax(max) }

// incoming is what one reading came to.
type incoming struct {
	Message
	err error
}

// Run reads until the input ends, reading or writing fails, or ctx ends; then drain is called, which sends what is still to be sent, and the rest of
// the queue is written, for at most grace. The end of the input is no error.
//
// An input or output that can be interrupted is, by a deadline or by being closed. Another, such as the standard input of a process, is left with the
// goroutine that waits for it, which ends with it.
func (c *Conn) Run(ctx context.Context, h Handler, drain func(), grace time.Duration) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	written := make(chan struct{})
	go func() {
		defer close(written)
		if err := c.queue.write(c.out); err != nil {
			stop(fmt.Errorf("write: %w", err))
		}
	}()
	lines, read := make(chan incoming), make(chan struct{})
	go func() {
		defer close(read)
		c.read(ctx, lines)
	}()
	err := c.handle(ctx, h, lines)
	if errors.Is(err, context.Canceled) { // somebody wants it to end, and that is all there is to say
		err = nil
	}
	stop(err)
	c.end()
	drain()
	c.queue.close()
	if unblock(c.in, false) {
		<-read
	}
	select {
	case <-written:
		return err
	case <-time.After(grace):
	}
	if unblock(c.out, true) {
		<-written
	}
	return errors.Join(err, errors.New("what was still to be sent was not read"))
}

// read passes lines on until there are no more, or nobody wants them.
func (c *Conn) read(ctx context.Context, lines chan<- incoming) {
	for {
		m, err := c.reader.Next()
		select {
		case lines <- incoming{m, err}:
		case <-ctx.Done():
			m.Release()
			return
		}
		var bad *LineError
		if err != nil && !errors.As(err, &bad) {
			return
		}
	}
}

func (c *Conn) handle(ctx context.Context, h Handler, lines <-chan incoming) error {
	for {
		if err := c.queue.waitRoom(ctx); err != nil {
			return context.Cause(ctx)
		}
		var m incoming
		select {
		case m = <-lines:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		var bad *LineError
		switch {
		case errors.As(m.err, &bad):
			c.Refuse(bad.ID, bad.Err, nil)
		case errors.Is(m.err, io.EOF):
			return nil
		case m.err != nil:
			return fmt.Errorf("read: %w", m.err)
		case m.Answer():
			m.Release()
			c.answered(m.Message)
		case m.Request():
			h.Request(m.Message)
		default:
			m.Release()
			h.Notification(m.Message)
		}
	}
}

// unblock ends a reading or writing that is under way, and reports whether it can.
func unblock(s any, writing bool) bool {
	if d, ok := s.(interface {
		SetReadDeadline(t time.Time) error
		SetWriteDeadline(t time.Time) error
	}); ok {
		set := d.SetReadDeadline
		if writing {
			set = d.SetWriteDeadline
		}
		if set(time.Unix(1, 0)) == nil {
			return true
		}
	}
	if _, file := s.(*os.File); file {
		return false // closing it would not end what waits for it
	}
	c, ok := s.(io.Closer)
	return ok && c.Close() == nil
}

// end tells whoever waits for an answer that there will be none.
func (c *Conn) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	close(c.ended)
	c.waiting = nil
}

// Ended is closed once nothing more is read.
func (c *Conn) Ended() <-chan struct{} { return c.ended }

// Answer answers a request. written is called once the answer is off our hands, or never will be; nil: nobody wants to know.
func (c *Conn) Answer(id ID, result any, written func()) {
	value, err := encode(result)
	if err != nil {
		c.Refuse(id, &Error{Code: -32603, Message: "the answer cannot be written: " + err.Error()}, written)
		return
	}
	if c.queue.put(entry{line: line(id, "", "result", value), written: written}) {
		return
	}
	// The connection has ended, or too much waits that others do not read.
	c.Refuse(id, &Error{Code: -32603, Message: "too many answers wait to be read: ask again", Data: json.RawMessage(`{"reason":"overloaded","retry_after_ms":1000}`)}, written)
}

// Refuse answers a request, or with an empty id a line that was none, with an error.
func (c *Conn) Refuse(id ID, e *Error, written func()) {
	if id == "" {
		id = "null"
	}
	value, err := encode(e)
	if err != nil {
		value, _ = encode(&Error{Code: e.Code, Message: e.Message}) // two plain values: it cannot fail
	}
	c.owe(line(id, "", "error", value), written)
}

func (c *Conn) owe(b []byte, written func()) {
	if !c.queue.put(entry{line: b, written: written, must: true}) && written != nil {
		written()
	}
}

// Notify sends a notification, unless too many wait, and reports whether it did. It never blocks.
func (c *Conn) Notify(method string, params any) bool {
	value, err := encode(params)
	return err == nil && c.queue.put(entry{line: line("", method, "params", value), note: true})
}

// Tell sends a notification that is never dropped. There must be a bound on how many of them there can be.
func (c *Conn) Tell(method string, params any) error {
	value, err := encode(params)
	if err != nil {
		return fmt.Errorf("encode %s: %w", method, err)
	}
	if !c.queue.put(entry{line: line("", method, "params", value), must: true}) {
		return ErrClosed
	}
	return nil
}

// Call sends a request under an id of its own, srv-0 and on, and returns what it was answered: *Error if that is a refusal, ErrClosed if the
// connection ends before. If ctx ends, an answer that still comes is passed over.
func (c *Conn) Call(ctx context.Context, method string, params any) (json.RawMessage, error) {
	value, err := encode(params)
	if err != nil {
		return nil, fmt.Errorf("encode %s: %w", method, err)
	}
	got := make(chan Message, 1)
	c.mu.Lock()
	if c.waiting == nil {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	id := ID(`"srv-` + strconv.FormatUint(c.next, 10) + `"`)
	c.next++
	c.waiting[id] = got
	// Put under the lock, so that the ids stand in the order of the lines.
	ok := c.queue.put(entry{line: line(id, method, "params", value), must: true})
	c.mu.Unlock()
	defer c.forget(id)
	if !ok {
		return nil, ErrClosed
	}
	select {
	case m := <-got:
		if m.Err != nil {
			return nil, m.Err
		}
		return m.Result, nil
	case <-c.ended:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

func (c *Conn) forget(id ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.waiting, id)
}

// answered passes an answer on to whoever waits for it. One that nobody waits for comes too late, or was never asked for.
func (c *Conn) answered(m Message) {
	c.mu.Lock()
	got := c.waiting[m.ID]
	delete(c.waiting, m.ID)
	c.mu.Unlock()
	if got != nil {
		got <- m
	}
}
