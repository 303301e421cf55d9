package runtime

import (
	"context"

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

// AcceptWithCompletion admits an input. When it returns without an error the input is durable. Duplicate in the verdict says it had
// been admitted before, under the id given there. store.ErrUnknown: it may be durable; ask again with the same id.
func (h *Host) AcceptWithCompletion(ctx context.Context, sid id.Session, in Input) (machine.Verdict, error) {
	v, err := h.accept(ctx, sid, in, false)
	return v, failed("submit to", sid, err)
}

// accept is the one way in for all inputs.
func (h *Host) accept(ctx context.Context, sid id.Session, in Input, caller bool) (machine.Verdict, error) {
	s, err := h.open(ctx, sid, existing)
	if err != nil {
		return machine.Verdict{}, err
	}
	minted := in.ID == "" && in.Key == ""
	if in.ID == "" {
		in.ID = id.Input(id.New())
	}
	return s.ask(ctx, &letter{rank: work, minted: minted, event: machine.Submit{Input: in.given(), Continue: in.Continue,
		RequireIdle: in.RequireIdle, WithoutWake: in.WithoutWake, Caller: caller}})
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
