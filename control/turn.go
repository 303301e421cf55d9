package control

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/feed"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/transcript"
)

// Asks is what a submit wants of its run, or of the session from then on. The zero value wants nothing.
type Asks struct {
	Overlay      scope.Overlay // which tools this run may see
	Instructions []string      // said to the model beside this input

	// From this input on: another model. Provider without Model is refused. Params replaces the provider's parameters.
	Model, Provider string
	Params          json.RawMessage
	ClearParams     bool

	// Of a session that has said nothing yet, and of no other: what it was made with is changed.
	System        *string
	MaxOutput     *int
	Schema        json.RawMessage
	SchemaRetries *int
}

// Result is what a turn came to.
type Result struct {
	Session id.Session
	Outcome
	Total transcript.Usage // of the session so far
}

// RunError is a run that did not complete.
type RunError struct{ Result Result }

// Error says how the run ended.
func (e *RunError) Error() string {
	o := e.Result.Outcome
	switch {
	case e.cancelled():
		return "request cancelled"
	case o.Error != "":
		return o.Error
	case o.Cause != "":
		return "the run ended: " + o.Cause
	}
	return "the run " + o.Status
}

// cancelled: somebody ended the run, or its session with it.
func (e *RunError) cancelled() bool {
	o := e.Result.Outcome
	return o.Status == Cancelled || o.Status == Abandoned && runtime.Terminates(o.Cause)
}

// FaultCode is cancelled, budget, provider, or internal, by the cause.
func (e *RunError) FaultCode() fault.Code {
	o := e.Result.Outcome
	switch {
	case e.cancelled():
		return fault.Cancelled
	case o.Cause == run.CauseBudget, o.Cause == run.CauseTime:
		return fault.Budget
	case o.Cause == run.CauseLLMFailure, o.Cause == run.CauseRetryExhausted:
		return fault.Provider
	}
	return fault.Internal
}

// Turn submits, tells every event of the session from then on until the input has ended, and returns what it came to: *RunError if its run did not
// complete. Events come in order, and all of them before Turn returns; one of an event.Gap's length that the listener missed is read from the store.
//
// accepted is called once the input is durable, before the first event. If ctx ends the caller leaves with its error, and the run goes on. tell may
// be nil; an error of it ends the telling, not the run, and is returned.
func (p *Plane) Turn(ctx context.Context, req Submit, accepted func(Receipt), tell func(event.Event) error) (Result, error) {
	if err := p.may(Writer); err != nil {
		return Result{}, err
	}
	var sub *feed.Subscription
	cursor := uint64(0)
	if tell != nil { // it listens before anything happens, so that no delta is missed
		sub = p.Feed.Subscribe(req.Session, 0)
		defer sub.Close()
		st, err := p.Host.ReadStatus(ctx, req.Session)
		if err != nil {
			return Result{}, err
		}
		cursor = st.Cursor
		sub.Pass(cursor)
	}
	got, err := p.Submit(ctx, req)
	if err != nil {
		return Result{}, err
	}
	if accepted != nil {
		accepted(got)
	}
	if tell != nil && !got.Duplicate {
		if err := p.tellUntilEnded(ctx, req.Session, got.Input, sub, cursor, tell); err != nil {
			return Result{}, err
		}
	}
	out, err := p.Wait(ctx, req.Session, got.Input)
	if err != nil {
		return Result{}, err
	}
	return p.result(ctx, req.Session, out)
}

// tellUntilEnded passes events on until the input's end is among them.
func (p *Plane) tellUntilEnded(ctx context.Context, s id.Session, in id.Input, sub *feed.Subscription, after uint64, tell func(event.Event) error) error {
	var failed error
	ended := false
	p.follow(ctx, s, sub, after, func(e event.Event, err error) bool {
		if failed = err; failed == nil {
			failed = tell(e)
		}
		end, is := e.Payload.(event.InputEnded)
		ended = ended || is && end.Input == in
		return failed == nil && !ended
	})
	switch {
	case failed != nil || ended:
		return failed
	case ctx.Err() != nil:
		return context.Cause(ctx)
	}
	return fmt.Errorf("follow session %s: %w", s, runtime.ErrClosed)
}

// result adds what the session has used, and makes an error of a run that did not complete.
func (p *Plane) result(ctx context.Context, s id.Session, o Outcome) (Result, error) {
	st, err := p.Host.ReadStatus(ctx, s)
	if err != nil {
		return Result{}, err
	}
	r := Result{Session: s, Outcome: o, Total: st.Usage}
	if o.Status != Completed {
		return r, &RunError{Result: r}
	}
	return r, nil
}

// InputStatus is how an input stands.
type InputStatus struct {
	Input   id.Input `json:"input_id"`
	State   string   `json:"state"` // queued, staged, applied, consumed, superseded, coalesced, abandoned
	Lane    string   `json:"lane,omitempty"`
	Run     id.Run   `json:"run_id,omitempty"`
	Outcome *Outcome `json:"outcome,omitempty"` // nil: it has not ended
}

// Interrupting ends whatever run the session has at once, and reports whether it had one. That there is none is no error. Codes: those of looking the
// session up.
func (p *Plane) Interrupting(ctx context.Context, s id.Session) (bool, error) {
	if err := p.may(Writer); err != nil {
		return false, err
	}
	st, err := p.Host.ReadStatus(ctx, s)
	if err != nil || st.Run == "" {
		return false, err
	}
	err = p.Interrupt(ctx, s, st.Run)
	if fault.CodeOf(err) == fault.NotRunning {
		return false, nil
	}
	return err == nil, err
}

// Cancelling ends whatever run the session has at its next boundary, and returns that run; empty: it had none, which is no error. Codes: those of
// looking the session up.
func (p *Plane) Cancelling(ctx context.Context, s id.Session) (id.Run, error) {
	if err := p.may(Writer); err != nil {
		return "", err
	}
	st, err := p.Host.ReadStatus(ctx, s)
	if err != nil || st.Run == "" {
		return "", err
	}
	err = p.CancelAfterBoundary(ctx, s, st.Run)
	switch {
	case err == nil:
		return st.Run, nil
	case fault.CodeOf(err) == fault.NotRunning:
		return "", nil
	}
	return "", err
}
