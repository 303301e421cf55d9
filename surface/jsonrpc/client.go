package jsonrpc

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/internal/jsonrpc2"
	"github.com/meerkat-go/meerkat/wire"
)

// Bounds of one connection.
const (
	// MaxOpen is how many requests may be open, and MaxOpenBytes how many bytes of them. One more is refused with code overloaded.
	MaxOpen      = 1024
	MaxOpenBytes = 64 << 20
	// MaxReads is how many requests whose answer may be large are carried out at once; others wait.
	MaxReads = 8
	// MaxLong is how many bytes of long lines may be in memory for all connections of a server together.
	MaxLong = 128 << 20
	// MaxWaiting is how many bytes may wait to be written for all connections of a server together, beyond jsonrpc2.FreeWaiting of each. An answer that
	// would be more is refused with code overloaded, and a notification dropped.
	MaxWaiting = 128 << 20
	// MaxWork is how many requests whose answer may be large are carried out at once for all connections.
	MaxWork = 4
	// strangerLine is how long a line may be of a client that has not shown its key yet.
	strangerLine = 64 << 10
)

// client is one connection. It carries tools out (run.ToolHandler).
type client struct {
	server    *Server
	conn      *jsonrpc2.Conn
	transport string
	ctx       context.Context // ends when the connection has
	work      sync.WaitGroup  // everything that was begun for it
	reads     chan struct{}

	// Only the goroutine that handles lines writes these; others read them under mu.
	mu       sync.Mutex
	plane    *control.Plane // nil: it has not come in yet
	token    string
	met      map[*control.Plane]bool  // planes that are to be told when it leaves
	open     map[jsonrpc2.ID]*request // not answered yet
	owed     int                      // requests whose answer is not off our hands yet
	bytes    int                      // of them
	emitters map[id.Session]*emitter
	streams  map[string]*stream
	closed   closedStreams
}

func newClient(s *Server, conn *jsonrpc2.Conn, ctx context.Context, transport string) *client {
	s.share()
	conn.SetBudget(s.long, s.waiting)
	return &client{server: s, conn: conn, transport: transport, ctx: ctx, reads: make(chan struct{}, MaxReads), met: map[*control.Plane]bool{},
		open: map[jsonrpc2.ID]*request{}, emitters: map[id.Session]*emitter{}, streams: map[string]*stream{}}
}

var errStranger = &jsonrpc2.Error{Code: jsonrpc2.CodeRequest, Message: "authentication required: call initialize with api_key first"}

// enter shows a token at the door.
func (c *client) enter(token string) error {
	p, err := c.server.Door.Enter(c.ctx, token)
	if err != nil {
		if fault.CodeOf(err) == fault.Unidentified && c.current() == nil {
			c.conn.SetMaxLine(strangerLine)
		}
		return err
	}
	c.conn.SetMaxLine(0)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.plane, c.token = p, token
	c.met[p] = true
	return nil
}

func (c *client) current() *control.Plane {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.plane
}

// watchKey looks from time to time whether the key is still good, and ends the connection if it is not. Who has shown none when it looks for the
// second time holds a place that others need.
func (c *client) watchKey(ctx context.Context, leave context.CancelCauseFunc) {
	tick := time.NewTicker(cmp.Or(c.server.recheck, Recheck))
	defer tick.Stop()
	for looks := 1; ; looks++ {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		c.mu.Lock()
		p, token := c.plane, c.token
		c.mu.Unlock()
		if p == nil && looks < 2 {
			continue
		}
		// Only a "no" counts: a store that cannot be read now says nothing about the key.
		if _, err := c.server.Door.Enter(ctx, token); fault.CodeOf(err) == fault.Unidentified {
			why := "the key is not good any more"
			if p == nil {
				why = "no key was shown in time"
			}
			leave(errors.New(why))
			return
		}
	}
}

// drain is called when nothing more is read: who waits for a run is told, what is short is answered, and everything is waited for.
func (c *client) drain(stop context.CancelCauseFunc) {
	c.mu.Lock()
	var waiting []*request
	for _, r := range c.open {
		if r.method.long {
			waiting = append(waiting, r)
		}
	}
	for _, s := range c.streams {
		s.stop(nil)
	}
	c.mu.Unlock()
	for _, r := range waiting {
		r.leave(errLeaving)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c.work.Wait()
	}()
	select {
	case <-done:
	case <-time.After(Grace):
	}
	stop(errLeaving)
	<-done
	for p := range c.met {
		p.Leave(c)
	}
}

var errLeaving = &jsonrpc2.Error{Code: wire.RequestCancelled, Message: "request cancelled: the connection has ended; what was accepted is kept and goes on"}

// Request implements jsonrpc2.Handler.
func (c *client) Request(m jsonrpc2.Message) {
	method, known := methods[m.Method]
	if m.Method == "initialize" {
		result, err := c.initialize(m.Params)
		c.answer(m.ID, result, err, m.Release)
		return
	}
	if c.current() == nil {
		if err := c.enter(""); err != nil {
			if fault.CodeOf(err) == fault.Unidentified {
				err = errStranger
			}
			c.answer(m.ID, nil, err, m.Release)
			return
		}
	}
	if !known {
		c.conn.Refuse(m.ID, &jsonrpc2.Error{Code: jsonrpc2.CodeMethod, Message: "Method not found: " + shorten(m.Method)}, m.Release)
		return
	}
	r, err := c.admit(m, method)
	if err != nil {
		c.answer(m.ID, nil, err, m.Release)
		return
	}
	if method.inline {
		result, err := method.call(r)
		c.finish(r, result, err)
		return
	}
	c.work.Go(func() { c.carryOut(r) })
}

// shorten keeps what a client made up from filling its answer.
func shorten(s string) string {
	const most = 200
	if len(s) <= most {
		return s
	}
	for n := most; ; n-- { // not within a letter
		if s[n]&0xc0 != 0x80 {
			return s[:n] + "…"
		}
	}
}

// Notification implements jsonrpc2.Handler. One that is not known is passed over, and so is one of a stranger.
func (c *client) Notification(m jsonrpc2.Message) {
	if m.Method != "cancel" {
		return
	}
	var p struct {
		Request json.RawMessage `json:"request_id"`
	}
	if json.Unmarshal(m.Params, &p) != nil || len(p.Request) == 0 {
		return // a notification has no answer that could say so
	}
	c.mu.Lock()
	r := c.open[jsonrpc2.ID(p.Request)]
	c.mu.Unlock()
	if r != nil && r.method.long {
		r.cancel()
	}
}

// admit makes a request an open one.
func (c *client) admit(m jsonrpc2.Message, method *method) (*request, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.open[m.ID] != nil:
		return nil, &jsonrpc2.Error{Code: jsonrpc2.CodeRequest, Message: "Invalid request: another one with this id is open"}
	case c.owed >= MaxOpen, c.bytes+m.Size > MaxOpenBytes && c.owed > 0:
		return nil, &control.Error{Code: fault.Overloaded, Message: "too many requests are open on this connection"}
	}
	r := &request{client: c, id: m.ID, method: method, params: m.Params, size: m.Size, plane: c.plane, release: m.Release}
	r.ctx, r.end = context.WithCancelCause(c.ctx)
	c.open[m.ID] = r
	c.owed++
	c.bytes += m.Size
	return r, nil
}

func (c *client) carryOut(r *request) {
	if c.server.started != nil {
		c.server.started(r.ctx, r.method.name)
	}
	if r.method.large {
		select {
		case c.reads <- struct{}{}:
			r.free = func() { <-c.reads }
		case <-r.ctx.Done():
			c.finish(r, nil, context.Cause(r.ctx))
			return
		}
		select { // it is not held while the answer waits to be read
		case c.server.work <- struct{}{}:
			defer func() { <-c.server.work }()
		case <-r.ctx.Done():
			c.finish(r, nil, context.Cause(r.ctx))
			return
		}
	}
	result, err := r.method.call(r)
	c.server.observe(r.method.name, err)
	c.finish(r, result, err)
}

// finish answers. The request counts until its answer is off our hands, so that whoever does not read cannot have any number of them.
func (c *client) finish(r *request, result any, err error) {
	r.end(nil)
	r.params = nil
	c.mu.Lock()
	delete(c.open, r.id)
	c.mu.Unlock()
	c.answer(r.id, result, err, func() {
		if r.free != nil {
			r.free()
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		r.release()
		c.owed--
		c.bytes -= r.size
	})
}

func (c *client) answer(to jsonrpc2.ID, result any, err error, written func()) {
	if err != nil {
		c.conn.Refuse(to, refusal(err), written)
		return
	}
	c.conn.Answer(to, result, written)
}
