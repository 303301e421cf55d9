package runtime

import (
	"context"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/transcript"
)

// Input is what a session is given to do.
type Input struct {
	ID          id.Input // empty: minted
	Key         string   // idempotency key; empty: the id
	Steer       bool     // taken into the running run at its next boundary; false: starts a run of its own, in turn
	Content     transcript.Blocks
	Continue    bool
	RequireIdle bool
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
	lane := inbox.Queue
	if in.Steer {
		lane = inbox.Steer
	}
	return s.ask(ctx, &letter{rank: work, minted: minted, event: machine.Submit{ID: in.ID, Key: in.Key, Lane: lane,
		Content: in.Content, Continue: in.Continue, RequireIdle: in.RequireIdle, Caller: caller}})
}
