package runtime

import (
	"context"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// HeldCall is a tool call that waits for a word: it has not run, no executor has it, and it may wait for days, also with nobody at work on the
// session, and beyond the end of this process.
type HeldCall struct {
	Effect id.Effect // what the word is to name
	Run    id.Run
	Round  int
	Call   transcript.ToolUse
	Class  run.Class
	For    run.Hold // what it waits for
}

// CallResult is what a client brings for a call that was held for it.
type CallResult = run.ToolSettled

// PendingApprovals lists the calls of a session that wait to be allowed, in order, live or at rest. It takes no lease and wakes nothing.
func (h *Host) PendingApprovals(ctx context.Context, sid id.Session) ([]HeldCall, error) {
	return h.waiting(ctx, sid, machine.State.Approvals)
}

// PendingCallbacks lists the calls of a session that wait for a client to bring their results, as PendingApprovals does.
func (h *Host) PendingCallbacks(ctx context.Context, sid id.Session) ([]HeldCall, error) {
	return h.waiting(ctx, sid, machine.State.Callbacks)
}

func (h *Host) waiting(ctx context.Context, sid id.Session, which func(machine.State) []run.Directive) ([]HeldCall, error) {
	st, err := h.State(ctx, sid)
	if err != nil {
		return nil, err
	}
	return calls(which(st)), nil
}

func calls(held []run.Directive) []HeldCall {
	var out []HeldCall
	for _, d := range held {
		out = append(out, HeldCall{Effect: d.ID, Run: d.Run, Round: d.Round, Call: d.Call, Class: d.Class, For: d.Held})
	}
	return out
}

// DecideApproval says whether a call may be run, who says so, and, if it may not, what the model is told. It wakes the session. Granted, the call is
// released in the commit that holds the decision; denied, it is answered in it. Of two words the first counts, and the other is ErrDecided, as is one
// about a call that waits for none. ErrInvalid: nobody is named.
func (h *Host) DecideApproval(ctx context.Context, sid id.Session, e id.Effect, granted bool, by, message string) error {
	return failed("decide about a call of", sid, h.tell(ctx, sid, machine.Decide{Effect: e, Granted: granted, By: by, Message: message}))
}

// SettleCallbacks brings the results of the calls of a run that wait for a client: one for each that PendingCallbacks lists, in any order. It wakes the
// session. ErrCallbacks: they are not exactly those, and none was taken; a result of a call that is not open any more is stale.
func (h *Host) SettleCallbacks(ctx context.Context, sid id.Session, r id.Run, results []CallResult) error {
	return failed("settle the callbacks of", sid, h.tell(ctx, sid, machine.SettleCallbacks{Run: r, Results: results}))
}

// CallbackPending: the input has not ended: all that is open in its run waits for clients. Whoever waits again once the results are there is told
// how it ends.
type CallbackPending struct {
	Run   id.Run
	Calls []HeldCall // all of them, in order
}

func (CallbackPending) outcome() {}

// suspended says what an input waits for, if its run waits for clients alone; nil: it does not.
func suspended(st machine.State, in id.Input) *CallbackPending {
	if !st.Suspended() {
		return nil
	}
	i, ok := st.Inbox.Find(in, "")
	if !ok || i.Run != st.Run() {
		return nil
	}
	return &CallbackPending{Run: st.Run(), Calls: calls(st.Callbacks())}
}
