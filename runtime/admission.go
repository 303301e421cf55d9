package runtime

import (
	"context"
	"errors"
	"fmt"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/transcript"
)

// Input is what a session is given to do.
type Input struct {
	ID          id.Input // empty: minted
	Key         string   // idempotency key; empty: the id
	Steer       bool     // taken into the running run at its next boundary; false: starts a run of its own, in turn
	Content     transcript.Blocks
	Continue    bool         // go on with the transcript as it is, which must wait for a reply
	RequireIdle bool         // ErrBusy unless nothing runs, and nothing waits that could start a run
	WithoutWake bool         // it starts nothing, and rides along with what does
	Of          *input.Input // an input that is no prompt of the operator, in place of Steer and Content. Its id and key are those above
}

// AcceptWithCompletion admits an input, and returns a handle on its end. When it returns without an error the input is durable. Duplicate in the
// verdict says that it had been admitted before, under the id given there, which is that of the handle. The handle is nil if there is nothing to
// wait for: the input was consumed at once, or is a duplicate of one that has ended.
//
// ctx bounds it. If it ends first, ErrNotTold (or, cancelled, its own error) says that the session has not heard of the input, and store.ErrUnknown
// that it may be durable: the same id or key may be submitted again, and makes no second input. What is wrong with the input itself, whatever
// the session is like, is ErrInvalid with an *input.Rejection in its tree; a refusal by the session's phase is ErrStopped, ErrStopping, ErrRetired or
// ErrDestroyed with the machine's refusal in its tree.
func (h *Host) AcceptWithCompletion(ctx context.Context, sid id.Session, in Input) (machine.Verdict, *Completion, error) {
	a := h.accept(ctx, sid, in, false)
	if a.err != nil {
		return machine.Verdict{}, nil, failed("submit to", sid, a.err)
	}
	if !live(a.state, a.verdict.Input) {
		return a.verdict, nil, nil
	}
	return a.verdict, h.Completion(sid, a.verdict.Input), nil
}

// AcceptWithoutWake admits an input that starts nothing: it rides along with the next that does. Errors are those of AcceptWithCompletion.
func (h *Host) AcceptWithoutWake(ctx context.Context, sid id.Session, in Input) (machine.Verdict, error) {
	in.WithoutWake = true
	a := h.accept(ctx, sid, in, false)
	return a.verdict, failed("submit to", sid, a.err)
}

// Ingest admits an input for the session of a runtime id (SessionOf). Errors are those of AcceptWithCompletion, ErrNotFound and ErrAmbiguous.
func (h *Host) Ingest(ctx context.Context, runtime string, in Input) (machine.Verdict, error) {
	sid, err := h.SessionOf(runtime)
	if err != nil {
		return machine.Verdict{}, err
	}
	a := h.accept(ctx, sid, in, false)
	return a.verdict, failed("ingest into", sid, a.err)
}

// accept is the one way in for all inputs.
func (h *Host) accept(ctx context.Context, sid id.Session, in Input, caller bool) answer {
	s, err := h.open(ctx, sid, existing)
	if err == nil {
		err = ctx.Err()
	}
	if err != nil {
		return answer{err: untold(ctx, err)}
	}
	return s.await(ctx, in.letter(caller))
}

// letter is the input as a session is told of it. caller: whoever submits carries the run out.
func (in Input) letter(caller bool) *letter {
	minted := in.ID == "" && in.Key == ""
	if in.ID == "" {
		in.ID = id.Input(id.New())
	}
	return &letter{rank: work, minted: minted, event: machine.Submit{Input: in.given(), Continue: in.Continue, RequireIdle: in.RequireIdle,
		WithoutWake: in.WithoutWake, Caller: caller}}
}

// untold says of an error that it came before the session was told anything: the caller's time ran out while it was being woken.
func untold(ctx context.Context, err error) error {
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() != nil {
		return fmt.Errorf("%w: %w", ErrNotTold, err)
	}
	return err
}

// given is the input with its body.
func (in Input) given() input.Input {
	if in.Of != nil {
		of := *in.Of
		of.ID, of.Key = in.ID, in.Key
		return of
	}
	body := input.Prompt{Blocks: in.Content}
	if in.Steer {
		body.Run.Handling = input.HandlingSteer
	}
	return input.Input{ID: in.ID, Key: in.Key, Body: body}
}
