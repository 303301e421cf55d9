package runtime

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
)

// runtimePrefix begins the runtime id of a session that is its own place. The session's id alone is no runtime id.
const runtimePrefix = "rt:session:"

// RuntimeOf returns the runtime id under which a session binds itself.
func RuntimeOf(sid id.Session) string { return runtimePrefix + string(sid) }

// PrepareBindings registers a session if need be, binds it to itself (its own runtime id, fence and generation 0) and returns its handles.
// Repeated, it returns handles of the same registration and binds nothing. ErrBound: the session is bound to another runtime id, which the error
// names; one that was registered by this very call is unregistered again, and only that registration.
func (h *Host) PrepareBindings(ctx context.Context, sid id.Session, r Registration) (executor.Bindings, error) {
	b, err := h.prepareBindings(ctx, sid, r, true)
	return b, failed("prepare bindings of", sid, err)
}

// PrepareLocalSessionBindings is PrepareBindings without a place: an orchestrator binds the session later, with BindPlacement.
func (h *Host) PrepareLocalSessionBindings(ctx context.Context, sid id.Session, r Registration) (executor.Bindings, error) {
	b, err := h.prepareBindings(ctx, sid, r, false)
	return b, failed("prepare local bindings of", sid, err)
}

func (h *Host) prepareBindings(ctx context.Context, sid id.Session, r Registration, bind bool) (executor.Bindings, error) {
	made := false
	err := h.register(ctx, sid, Registration{})
	if errors.Is(err, ErrNotFound) {
		if r.Profile == nil {
			r.Profile = &run.Profile{}
		}
		err = h.register(ctx, sid, r)
		made = err == nil
		if errors.Is(failed("", sid, err), ErrExists) { // by somebody else, meanwhile
			err = h.register(ctx, sid, Registration{})
		}
	}
	if err != nil {
		return executor.Bindings{}, err
	}
	s, err := h.open(ctx, sid, existing)
	if err != nil {
		return executor.Bindings{}, err
	}
	epoch := s.state().Lifecycle.Epoch
	if !bind {
		return s.bindings(epoch, 0), nil
	}
	if err = h.bindPlacement(ctx, s, epoch, machine.Placement{Runtime: RuntimeOf(sid)}); err != nil {
		if made {
			err = errors.Join(err, s.leave(ctx, &epoch))
		}
		return executor.Bindings{}, err
	}
	return s.bindings(epoch, 0), nil
}

// BindPlacement puts a session at the place an orchestrator gives it, for the registration whose epoch it was told. The same place again is no
// change, and told to nobody. ErrBound: it is bound elsewhere. ErrStaleEpoch: that registration is over. If Config.Signals does not take the news
// the session is unbound again.
func (h *Host) BindPlacement(ctx context.Context, sid id.Session, epoch id.Epoch, p machine.Placement) error {
	s, err := h.open(ctx, sid, existing)
	if err == nil {
		err = h.bindPlacement(ctx, s, epoch, p)
	}
	return failed("bind", sid, err)
}

func (h *Host) bindPlacement(ctx context.Context, s *session, epoch id.Epoch, p machine.Placement) error {
	a := s.await(ctx, &letter{rank: control, event: machine.Bind{Placement: p, Epoch: &epoch}})
	var no *machine.Refusal
	if errors.As(a.err, &no) && no.Guard == machine.GuardPlace {
		return &BoundError{Bound: s.state().Transient.Placement.Runtime, Asked: p.Runtime, Refusal: no}
	}
	if a.err != nil || !a.verdict.Bound || h.config.Signals == nil {
		return a.err
	}
	sig := run.Signal{Kind: run.RuntimeBound, Runtime: p.Runtime, Fence: p.Fence, Generation: p.Generation}
	err := h.bounded(func(ctx context.Context) error { return h.config.Signals.Signal(ctx, s.id, sig) })
	if err == nil {
		return nil
	}
	_, undone := s.ask(h.ctx, &letter{rank: control, event: machine.Unbind{Placement: p}})
	return errors.Join(fmt.Errorf("%w: %w", ErrSignal, err), undone)
}

// BoundError says that a session is bound to one place and was to be bound to another.
type BoundError struct {
	Bound, Asked string // runtime ids
	Refusal      *machine.Refusal
}

// Error names both.
func (e *BoundError) Error() string {
	return fmt.Sprintf("%v to %q, and was to be bound to %q", ErrBound, e.Bound, e.Asked)
}

// Unwrap returns ErrBound and the refusal.
func (e *BoundError) Unwrap() []error { return []error{ErrBound, e.Refusal} }

// SessionOf finds the session of a runtime id: the one that is its own place under it, or the one that lives here and was put at that place.
// ErrNotFound: none; ErrAmbiguous: several. It is never guessed.
func (h *Host) SessionOf(runtime string) (id.Session, error) {
	var found []id.Session
	for _, s := range h.sessions() {
		if runtime != "" && s.state().Transient.Placement.Runtime == runtime {
			found = append(found, s.id)
		}
	}
	if own, ok := strings.CutPrefix(runtime, runtimePrefix); ok && len(found) == 0 {
		if sid, err := id.ParseSession(own); err == nil {
			found = append(found, sid)
		}
	}
	switch len(found) {
	case 0:
		return "", fmt.Errorf("runtime %q: %w", runtime, ErrNotFound)
	case 1:
		return found[0], nil
	}
	return "", fmt.Errorf("runtime %q is that of %d sessions: %w", runtime, len(found), ErrAmbiguous)
}

// bindings is the bundle of handles for one registration and, if it is not 0, one attachment.
func (s *session) bindings(epoch id.Epoch, attachment uint64) executor.Bindings {
	return executor.Bindings{Session: s.id, Epoch: epoch, Handles: s.handles(epoch, attachment)}
}
