package jsonrpc

import (
	"context"
	"errors"
	"fmt"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/internal/jsonrpc2"
	"github.com/meerkat-go/meerkat/surface/present"
	"github.com/meerkat-go/meerkat/wire"
)

func createSession(r *request) (any, error) {
	var p wire.CreateParams
	if err := wire.Decode(r.params, &p); err != nil {
		return nil, err
	}
	create, submit, err := present.CreateSession(p)
	if err != nil {
		return nil, err
	}
	return r.make(create, submit)
}

func askHelp(r *request) (any, error) {
	var p wire.HelpParams
	if err := wire.Decode(r.params, &p); err != nil {
		return nil, err
	}
	create, submit, err := present.Help(p)
	if err != nil {
		return nil, err
	}
	return r.make(create, submit)
}

// make makes a session and runs its first turn, unless that is put off.
func (r *request) make(create control.CreateSession, submit control.Submit) (any, error) {
	if err := r.begin(); err != nil {
		return nil, err
	}
	made, err := r.plane.CreateSession(r.ctx, create)
	if err != nil {
		return nil, err
	}
	if create.Deferred {
		return present.Deferred(r.plane.Realm, made), nil
	}
	submit.Session = made.ID
	if r.wasCancelled() {
		return nil, r.unmake(made.ID, errCancelled)
	}
	result, err := r.run(submit)
	switch {
	case err == nil:
		return result, nil
	case errors.Is(err, errCancelled):
		return nil, r.unmake(made.ID, err)
	}
	if e := refusal(err); e.Data == nil {
		return nil, &detailed{err, present.Created(r.plane.Realm, made)}
	}
	return nil, err
}

// unmake makes a record of a session whose maker does not want it any more.
func (r *request) unmake(s id.Session, err error) error {
	ctx, stop := context.WithTimeout(context.WithoutCancel(r.ctx), Grace)
	defer stop()
	if archived := r.plane.Archive(ctx, s); archived != nil {
		return fmt.Errorf("archive session %s, which was to be given up: %w", s, archived)
	}
	return err
}

func startTurn(r *request) (any, error) {
	var p wire.TurnParams
	if err := wire.Decode(r.params, &p); err != nil {
		return nil, err
	}
	s, err := r.locate(p.Session)
	if err != nil {
		return nil, err
	}
	submit, err := present.Turn(s, p)
	if err != nil {
		return nil, err
	}
	if err := r.begin(); err != nil {
		return nil, err
	}
	result, err := r.run(submit)
	return result, about(s, err)
}

// run carries a turn out, and tells its events before it returns.
func (r *request) run(submit control.Submit) (any, error) {
	submit.Client = r.client
	e, done := r.client.emitting(submit.Session)
	defer done()
	var of id.Run
	accepted := func(got control.Receipt) {
		of = got.Run
		if got.Run == "" { // it waits, or was accepted before: only the waiting for it is this request's to end
			r.undoing(func() { r.end(errCancelled) })
			return
		}
		r.undoing(func() { r.interrupt(submit.Session, got.Run) })
	}
	result, err := r.plane.Turn(r.ctx, submit, accepted, func(ev event.Event) error {
		// What ends just now may be somebody else's.
		if of == "" || ev.Run == "" || ev.Run == of {
			e.tell(ev)
		}
		return nil
	})
	var ended *control.RunError
	switch {
	case err == nil:
		return present.Result(r.plane.Realm, result), nil
	case errors.As(err, &ended) && fault.CodeOf(err) == fault.Cancelled && r.wasCancelled():
		return nil, errCancelled
	case errors.As(err, &ended):
		return nil, err
	case r.ctx.Err() != nil: // nobody waits any more
		return nil, context.Cause(r.ctx)
	}
	return nil, err
}

// interrupt ends a run that the client does not want any more.
func (r *request) interrupt(s id.Session, run id.Run) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(r.ctx), Grace)
	defer stop()
	err := r.plane.Interrupt(ctx, s, run)
	if err != nil && fault.CodeOf(err) != fault.NotRunning {
		r.client.server.log().Warn("a request was cancelled, and its run could not be interrupted", "session", s, "error", err)
	}
}

func interruptTurn(r *request) (any, error) {
	s, err := r.session()
	if err != nil {
		return nil, err
	}
	ended, err := r.plane.Interrupting(r.ctx, s)
	if err != nil {
		return nil, about(s, err)
	}
	if !ended { // there was nothing to end, which is no error unless the session is over
		now, err := r.plane.Session(r.ctx, string(s))
		if err != nil {
			return nil, about(s, err)
		}
		if now.Phase == "archived" || now.Phase == "destroyed" {
			return nil, &missing{s, errOver}
		}
	}
	return wire.Interrupted{Interrupted: true}, nil
}

var errOver = errors.New("the session is over")

// cancelTurn ends the session's run at its next boundary.
func cancelTurn(r *request) (any, error) {
	s, err := r.session()
	if err != nil {
		return nil, err
	}
	run, err := r.plane.Cancelling(r.ctx, s)
	if err != nil {
		return nil, about(s, err)
	}
	return cancelling{run != "", run}, nil
}

// cancelling answers turn/cancel.
type cancelling struct {
	Cancelling bool   `json:"cancelling"` // false: there was nothing to cancel
	Run        id.Run `json:"run_id,omitempty"`
}

// session is for methods that take a session and nothing else.
func (r *request) session() (id.Session, error) {
	var p wire.SessionParams
	if err := wire.Decode(r.params, &p); err != nil {
		return "", err
	}
	return r.locate(p.Session)
}

// locate finds the id in a locator.
func (r *request) locate(locator string) (id.Session, error) {
	return present.Session(r.plane.Realm, locator)
}

// invalid refuses params.
func invalid(format string, args ...any) error {
	return &jsonrpc2.Error{Code: wire.InvalidParams, Message: "Invalid params: " + fmt.Sprintf(format, args...)}
}
