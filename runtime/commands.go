package runtime

import (
	"context"
	"errors"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/store"
)

// Registration describes a session that is to exist.
type Registration struct {
	Profile *run.Profile // nil: revive or wake an existing session; ErrNotFound if there is none
	System  string       // system prompt of a new session
}

// RegisterSession makes a session exist, or revives a stopped one (docs/commands.md). ErrExists: it exists and a profile was given.
func (h *Host) RegisterSession(ctx context.Context, sid id.Session, r Registration) error {
	return failed("register", sid, h.register(ctx, sid, r))
}

func (h *Host) register(ctx context.Context, sid id.Session, r Registration) error {
	opening := returning
	if r.Profile != nil {
		opening = creating
	}
	s, err := h.open(ctx, sid, opening)
	if err != nil {
		return err
	}
	if _, err = s.ask(ctx, &letter{rank: control, event: machine.Register{Profile: r.Profile, System: r.System}}); err != nil {
		s.unlessRegistered(err)
		return err
	}
	if s.state().Attached() {
		return nil
	}
	return s.attachDefault(ctx)
}

// unlessRegistered takes the session out of memory if nothing was ever committed to it: its registration has failed.
func (s *session) unlessRegistered(why error) {
	l := &letter{rank: work}
	l.after = func(error) {
		if s.driver == nil || s.driver.State().Version > 0 {
			return
		}
		s.discard(why)
		s.driver = nil
	}
	// The answer tells only whether it has been taken out already.
	_, _ = s.ask(s.host.ctx, l)
}

func (s *session) state() machine.State { return *s.snapshot.Load() }

// WakeSession makes a session live in this process: its lease is taken, and an unfinished run goes on. It returns the state then.
func (h *Host) WakeSession(ctx context.Context, sid id.Session) (machine.State, error) {
	s, err := h.open(ctx, sid, existing)
	if err != nil {
		return machine.State{}, failed("wake", sid, err)
	}
	return s.state(), nil
}

// Attachment is the result of EnsureSessionWithExecutor.
type Attachment uint8

// The results.
const (
	Attached Attachment = iota
	AlreadyAttached
)

// EnsureSessionWithExecutor wires an executor into a registered session that has none. What waits starts.
func (h *Host) EnsureSessionWithExecutor(ctx context.Context, sid id.Session, ex executor.Executor) (Attachment, error) {
	s, err := h.open(ctx, sid, existing)
	if err != nil {
		return 0, failed("attach executor to", sid, err)
	}
	_, err = s.ask(ctx, s.attachment(ex))
	var r *machine.Refusal
	if errors.As(err, &r) && r.Guard == machine.GuardAttached {
		return AlreadyAttached, nil
	}
	return Attached, failed("attach executor to", sid, err)
}

// tell opens the session and tells it a control event.
func (h *Host) tell(ctx context.Context, sid id.Session, ev machine.Event) error {
	s, err := h.open(ctx, sid, existing)
	if err != nil {
		return err
	}
	_, err = s.ask(ctx, &letter{rank: control, event: ev})
	return err
}

// Wait blocks until an input has ended, and says how. The session is woken if it is at rest. What it waits for is the input, not an
// attempt at it. ErrOwnedElsewhere, ErrStore and ErrClosed say that this process will not learn the end; the input goes on.
func (h *Host) Wait(ctx context.Context, sid id.Session, in id.Input) (machine.InputChange, error) {
	how, err := h.wait(ctx, sid, in)
	return how, failed("wait for an input of", sid, err)
}

func (h *Host) wait(ctx context.Context, sid id.Session, in id.Input) (machine.InputChange, error) {
	s := h.resident(sid)
	if s == nil {
		how, err := h.reader().Input(ctx, sid, in)
		if err != nil || how.Ended != nil {
			return how, err
		}
		if s, err = h.open(ctx, sid, existing); err != nil {
			return how, err
		}
	}
	ch := s.waiters.add(in)
	defer s.waiters.drop(in, ch)
	if why := s.reasonEnded(); why != nil {
		return machine.InputChange{}, why
	}
	// The snapshot is published before waiters are told: an input that is live in it has not been told of.
	if st := s.state(); !live(st, in) {
		how, err := h.reader().Input(ctx, sid, in)
		if err != nil || how.Ended != nil {
			return how, err
		}
	}
	select {
	case e := <-ch:
		return e.how, e.err
	case <-ctx.Done():
		return machine.InputChange{}, ctx.Err()
	}
}

func live(st machine.State, in id.Input) bool {
	_, ok := st.Inbox.Find(in, "") // by its id alone: a key may name another input
	return ok
}

// CancelAfterBoundary ends the named run where it would next call the model or complete. A repeat changes nothing.
func (h *Host) CancelAfterBoundary(ctx context.Context, sid id.Session, r id.Run) error {
	return failed("cancel", sid, h.tell(ctx, sid, machine.CancelAfterBoundary{Run: r}))
}

// ContainsSession reports whether a session is registered, live here or at rest.
func (h *Host) ContainsSession(ctx context.Context, sid id.Session) (bool, error) {
	st, err := h.State(ctx, sid)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && !st.Lifecycle.Away, err
}

// SessionHasExecutor reports whether the session is live here with an executor attached. It takes no lock that a run holds.
func (h *Host) SessionHasExecutor(sid id.Session) bool {
	s := h.resident(sid)
	return s != nil && s.state().Attached()
}

// State returns the committed state of a session: of a live one the published snapshot, else what is stored.
func (h *Host) State(ctx context.Context, sid id.Session) (machine.State, error) {
	if s := h.resident(sid); s != nil {
		if st := s.state(); st.Version > 0 {
			return st, nil
		}
	}
	st, err := h.reader().State(ctx, sid)
	if errors.Is(err, store.ErrNotFound) {
		err = ErrNotFound
	}
	return st, failed("read", sid, err)
}

// InputState returns one input, live or ended.
func (h *Host) InputState(ctx context.Context, sid id.Session, in id.Input) (machine.InputChange, error) {
	how, err := h.reader().Input(ctx, sid, in)
	return how, failed("read an input of", sid, err)
}

// ListActiveInputs returns the ids of the inputs that have not ended: those of the run, then those that wait, in the order they will
// be taken.
func (h *Host) ListActiveInputs(ctx context.Context, sid id.Session) ([]id.Input, error) {
	st, err := h.State(ctx, sid)
	if err != nil {
		return nil, err
	}
	var out []id.Input
	for i := range st.Inbox.All() {
		out = append(out, i.ID)
	}
	return out, nil
}

// LoadBoundaryReceipt returns the receipt of a run with that sequence. store.ErrNotFound: there is none.
func (h *Host) LoadBoundaryReceipt(ctx context.Context, sid id.Session, of id.Run, sequence int) (machine.Receipt, error) {
	r, err := h.reader().Receipt(ctx, sid, of, sequence)
	return r, failed("read a receipt of", sid, err)
}
