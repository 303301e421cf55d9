package jsonrpc

import (
	"context"
	"encoding/json"
	"sync"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/internal/jsonrpc2"
	"github.com/meerkat-go/meerkat/wire"
)

// request is one that is not answered yet.
type request struct {
	client *client
	id     jsonrpc2.ID
	method *method
	params json.RawMessage
	size   int
	plane  *control.Plane
	ctx    context.Context // ends with the connection, and when whoever asked waits no more
	end    context.CancelCauseFunc
	free   func() // gives back its place among the large ones; nil: it has none

	release func() // gives back what its line holds

	mu        sync.Mutex
	begun     bool
	cancelled bool
	undo      func() // ends what was begun; nil: nothing was
}

// Answers to a request that the client cancelled.
var (
	errNeverBegun = &jsonrpc2.Error{Code: wire.RequestCancelled, Message: "request cancelled before start"}
	errCancelled  = &jsonrpc2.Error{Code: wire.RequestCancelled, Message: "request cancelled before response publish"}
)

// begin is called right before anything is done for the request. Its error: it was cancelled, or nobody waits for it any more.
func (r *request) begin() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.cancelled {
		return errNeverBegun
	}
	if err := context.Cause(r.ctx); err != nil {
		return err
	}
	r.begun = true
	return nil
}

// cancel is what the client's notification does. A request that has not begun never does; of another, what was begun is ended.
func (r *request) cancel() {
	r.mu.Lock()
	undo := r.undo
	first := !r.cancelled
	r.cancelled = true
	begun := r.begun
	r.mu.Unlock()
	switch {
	case !first:
	case !begun:
		r.end(errNeverBegun) // it may be waiting for its turn
	case undo != nil:
		r.client.work.Go(undo)
	}
}

// undoing says how what was begun is ended, and ends it now if the client wants that already.
func (r *request) undoing(undo func()) {
	r.mu.Lock()
	r.undo = undo
	now := r.cancelled
	r.mu.Unlock()
	if now {
		undo()
	}
}

func (r *request) wasCancelled() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.cancelled
}

// leave ends the waiting and nothing else.
func (r *request) leave(why error) { r.end(why) }
