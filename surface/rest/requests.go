package rest

import (
	"context"
	"fmt"
	"sync"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
)

const (
	// maxRequestID bounds the name that a client gives to a request, in bytes.
	maxRequestID = 256
	// remembered is how many names of requests that are over are kept, so that whoever is late to call one off is told so.
	remembered = 1024
)

// requests knows the requests that their clients gave a name. A name counts within a realm.
type requests struct {
	mu   sync.Mutex
	live map[string]*request
	over map[string]bool
	ring [remembered]string
	next int
}

// request is one that is under way. A nil one was given no name.
type request struct {
	of   *requests
	name string

	mu      sync.Mutex
	off     bool // it was called off
	taken   bool // its input is durable
	session id.Session
	run     id.Run
	leave   func() // ends the waiting and nothing else
}

func newRequests() *requests { return &requests{live: map[string]*request{}, over: map[string]bool{}} }

// begin takes a request up under the name it was given, if it was given one.
func (q *requests) begin(c *call) (*request, error) {
	name := c.r.Header.Get("X-Meerkat-Request-Id")
	if name == "" {
		return nil, nil
	}
	if len(name) > maxRequestID {
		return nil, &control.Error{Code: fault.Invalid, Message: fmt.Sprintf("X-Meerkat-Request-Id has at most %d bytes", maxRequestID)}
	}
	full := c.plane.Realm + "\x00" + name
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.live[full] != nil {
		return nil, errTwice
	}
	r := &request{of: q, name: full}
	q.live[full] = r
	return r, nil
}

// end forgets a request that was answered, but for its name.
func (r *request) end() {
	if r == nil {
		return
	}
	q := r.of
	q.mu.Lock()
	defer q.mu.Unlock()
	delete(q.live, r.name)
	if q.over[r.name] {
		return
	}
	delete(q.over, q.ring[q.next])
	q.ring[q.next] = r.name
	q.over[r.name] = true
	q.next = (q.next + 1) % remembered
}

// called reports whether the request was called off before it had an input.
func (r *request) called() bool {
	if r == nil {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.off
}

// accepted says what the request waits for, and how it waits no more. If it was called off meanwhile, that is ended at once.
func (r *request) accepted(ctx context.Context, p *control.Plane, s id.Session, got control.Receipt, leave func()) {
	if r == nil {
		return
	}
	r.mu.Lock()
	r.taken, r.session, r.run, r.leave = true, s, got.Run, leave
	off := r.off
	r.mu.Unlock()
	if off {
		_, _ = r.stop(ctx, p) // whoever called it off was told that it is; if it cannot be ended, the request is answered with what it came to
	}
}

// stop ends the run that the request waits for, and reports whether there was one. An input that is in none was accepted before, for another request:
// only the waiting for it is this one's to end.
func (r *request) stop(ctx context.Context, p *control.Plane) (bool, error) {
	if r.run == "" {
		r.leave()
		return true, nil
	}
	err := p.Interrupt(ctx, r.session, r.run)
	if fault.CodeOf(err) == fault.NotRunning {
		return false, nil
	}
	return err == nil, err
}

// cancel calls a request off. known: there is, or was, one of that name.
func (q *requests) cancel(c *call, name string) (ended, known bool, err error) {
	full := c.plane.Realm + "\x00" + name
	q.mu.Lock()
	r, over := q.live[full], q.over[full]
	q.mu.Unlock()
	if r == nil {
		return false, over, nil
	}
	r.mu.Lock()
	r.off = true
	taken := r.taken
	r.mu.Unlock()
	if !taken {
		return true, true, nil
	}
	ended, err = r.stop(c.ctx(), c.plane)
	return ended, true, err
}
