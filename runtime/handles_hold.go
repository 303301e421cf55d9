package runtime

import (
	"context"
	"errors"
	"fmt"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/machine/peer"
)

// Conditions of handles, beside those of the host.
var (
	ErrNoOperation    = fault.New(fault.NotFound, "no such operation")
	ErrOperationLimit = fault.New(fault.Overloaded, "as many operations are at work as may be")
)

// hold is what every handle is made of: which session, under which registration and, if it is not 0, which attachment. It is a value without a
// state of its own, so two of one registration are the same one.
type hold struct {
	host       *Host
	sid        id.Session
	epoch      id.Epoch
	attachment uint64
}

// handles are those of one registration and, if it is not 0, one attachment.
func (s *session) handles(epoch id.Epoch, attachment uint64) executor.Handles {
	h := hold{s.host, s.id, epoch, attachment}
	return executor.Handles{Operations: operations{h}, Completions: completions{h}, Toolservers: toolservers{h}, MCPStatus: mcpStatus{h},
		Toolset: tools{h}, Models: models{h}, Routing: routes{h},
		Peers: peers{h}, Supervision: supervision{h}, Interactions: interactions{h}, Drain: drain{h}, Context: sessionContext{h},
		Admission: admission{h}, Claim: claim{h}}
}

// session finds the session, waking it for a handle of a registration. An executor of a session that is not here is attached no more.
func (h hold) session(ctx context.Context) (*session, error) {
	if s := h.host.resident(h.sid); s != nil { // also while the host closes: what has begun may end
		return s, nil
	}
	if h.attachment != 0 {
		return nil, ErrStaleExecutor
	}
	return h.host.open(ctx, h.sid, existing)
}

// tell tells the session an event through the handle.
func (h hold) tell(ctx context.Context, command string, ev machine.Event) (answer, error) {
	s, err := h.session(ctx)
	if err != nil {
		return answer{}, h.failed(command, err)
	}
	r := control
	if _, submit := ev.(machine.Submit); submit {
		r = work
	}
	a := s.await(ctx, &letter{rank: r, event: machine.Handled{Epoch: h.epoch, Attachment: h.attachment, Event: ev}})
	return a, h.failed(command, a.err)
}

func (h hold) say(ctx context.Context, command string, ev machine.Event) error {
	_, err := h.tell(ctx, command, ev)
	return err
}

// over tells the session that something has ended. It counts whoever is attached now, and is not given up with the caller.
func (h hold) over(ctx context.Context, command string, ev machine.Event) error {
	s, err := h.session(ctx)
	if err == nil {
		_, err = s.ask(context.WithoutCancel(ctx), &letter{rank: control, event: machine.Handled{Epoch: h.epoch, Event: ev}})
	}
	return h.failed(command, err)
}

// look returns what is committed, if the handle is still good.
func (h hold) look(ctx context.Context, command string) (*session, machine.State, error) {
	s, err := h.session(ctx)
	if err != nil {
		return nil, machine.State{}, h.failed(command, err)
	}
	st := s.state()
	if err = s.reasonEnded(); err == nil {
		err = h.good(st)
	}
	return s, st, h.failed(command, err)
}

// good says what is wrong with the handle in a state.
func (h hold) good(st machine.State) error {
	switch {
	case st.Lifecycle.Away || st.Lifecycle.Epoch != h.epoch:
		return ErrStaleEpoch
	case st.Lifecycle.Phase == lifecycle.Destroyed:
		return ErrDestroyed
	case h.attachment != 0 && h.attachment != st.Transient.Attachment.ID:
		return ErrStaleExecutor
	}
	return nil
}

// failed wraps what went wrong with something that a handle was told.
func (h hold) failed(command string, err error) error {
	if err == nil {
		return nil
	}
	if errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnregistered) {
		err = fmt.Errorf("%w: %w", ErrStaleEpoch, err)
	}
	told := failed(command, h.sid, err)
	if errors.Is(told, ErrStaleEpoch) || errors.Is(told, ErrStaleExecutor) {
		return fmt.Errorf("%w: %w", executor.ErrStaleHandle, told)
	}
	var no *machine.Refusal
	if !errors.As(err, &no) || no.Region == "session" || no.Region == "inbox" || no.Region == "lifecycle" {
		return told
	}
	r := &executor.Refused{Of: no.Region, Status: no.Phase, Action: no.Event, Why: no.Guard, Cause: peer.Cause(err), Err: told}
	var op *registry.Refusal
	if errors.As(err, &op) {
		r.ID, r.Limit, r.Active = string(op.ID), op.Limit, op.Active
	}
	switch no.Guard {
	case registry.WhyUnknown, registry.GuardKnown:
		r.Err = fmt.Errorf("%w: %w", ErrNoOperation, told)
	case registry.GuardRoom:
		r.Err = fmt.Errorf("%w: %w", ErrOperationLimit, told)
	}
	return r
}

// about names what a refusal is about, where the refusal does not know.
func about(name string, err error) error {
	var r *executor.Refused
	if errors.As(err, &r) && r.ID == "" {
		r.ID = name
	}
	return err
}

// claim implements executor.Claim.
type claim struct{ hold }

func (c claim) Held(context.Context) error {
	const command = "claim"
	s := c.host.resident(c.sid)
	switch {
	case s == nil && c.attachment != 0:
		return c.failed(command, ErrStaleExecutor)
	case s == nil:
		return c.failed(command, ErrStaleEpoch)
	}
	err := s.reasonEnded()
	if err == nil {
		err = c.good(s.state())
	}
	if err == nil && !s.leaseHolds() {
		err = fmt.Errorf("%w, or may do so", ErrOwnedElsewhere)
	}
	return c.failed(command, err)
}
