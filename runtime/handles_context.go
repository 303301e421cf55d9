package runtime

import (
	"context"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/peer"
)

// SetSilentIntents replaces the set of intents whose requests wait without waking the session, whatever they ask for. A stopped session accepts it and
// has none; a stop, a reset and the end of the registration forget them.
func (h *Host) SetSilentIntents(ctx context.Context, sid id.Session, intents []string) error {
	return failed("set silent intents of", sid, h.tell(ctx, sid, machine.Peers{Event: peer.Event{Kind: peer.SetSilent, Intents: intents}}))
}

// sessionContext implements executor.SessionContext.
type sessionContext struct{ hold }

func (c sessionContext) Advance(ctx context.Context, watermark uint64) error {
	return c.say(ctx, "advance the context of", machine.Peers{Event: peer.Event{Kind: peer.Advance, Watermark: watermark}})
}

func (c sessionContext) Watermark(ctx context.Context) (uint64, error) {
	s, err := c.known(ctx, "read the context of")
	return s.Watermark, err
}

func (c sessionContext) SetSilentIntents(ctx context.Context, intents []string) error {
	return c.say(ctx, "set silent intents of", machine.Peers{Event: peer.Event{Kind: peer.SetSilent, Intents: intents}})
}

func (c sessionContext) SilentIntents(ctx context.Context) ([]string, error) {
	s, err := c.known(ctx, "read silent intents of")
	return append([]string(nil), s.Silent.Names()...), err
}

// admission implements executor.Admission.
type admission struct{ hold }

func (a admission) Submit(ctx context.Context, in input.Input) (executor.Admitted, error) {
	return a.submit(ctx, in, false)
}

func (a admission) SubmitWithoutWake(ctx context.Context, in input.Input) (executor.Admitted, error) {
	return a.submit(ctx, in, true)
}

func (a admission) submit(ctx context.Context, in input.Input, quiet bool) (executor.Admitted, error) {
	told, err := a.tell(ctx, "submit to", machine.Submit{Input: in, WithoutWake: quiet})
	if err != nil {
		return executor.Admitted{}, err
	}
	v := told.verdict
	return executor.Admitted{Input: v.Input, Run: v.Run, Duplicate: v.Duplicate, Consumed: v.Consumed}, nil
}
