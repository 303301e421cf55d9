package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/transcript"
)

// Registration describes a session that is to exist.
type Registration struct {
	Profile *run.Profile // nil: revive or wake an existing session; ErrNotFound if there is none
	System  string       // system prompt of a new session
	// Seed is what a new session begins with, in place of System: rows of another transcript, from its first on and in order. They are copied: each
	// message gets the next number, and a call whose result is not among them is answered as not executed, so that the session can go on from any
	// row. ErrInvalid: they are no conversation, as when a result has no call, or System is given too.
	Seed []transcript.Row
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
	ev := machine.Register{Profile: r.Profile, System: r.System, Seed: r.Seed}
	if r.Profile != nil {
		ev.Model, ev.Status = h.named(*r.Profile)
	}
	l := s.registration(ev)
	missing := false
	if r.Profile == nil {
		l.local = func() {
			if missing = s.driver != nil && s.driver.State().Version == 0; missing { // somebody else is about to make it
				l.event, l.after = nil, nil
			}
		}
	}
	if _, err = s.ask(ctx, l); err != nil {
		s.unlessRegistered(ctx, err, r.Profile != nil)
	} else if missing {
		err = ErrNotFound
	}
	return err
}

// AmendSession replaces the profile of a session in which nothing was said yet: one that was made to run later. Its model, its tools and the system
// prompt that its first run writes follow. Inputs that wait stay. ErrBegun: it has said something, or a run is bound.
func (h *Host) AmendSession(ctx context.Context, sid id.Session, profile run.Profile) error {
	s, err := h.open(ctx, sid, existing)
	if err != nil {
		return failed("amend", sid, err)
	}
	ev := machine.Amend{Profile: profile}
	ev.Model, ev.Status = h.named(profile)
	l := &letter{rank: control, event: ev}
	l.local = func() { // which tools there are depends on the profile: the run that begins next must be offered those
		if s.driver == nil || s.executor == nil || !s.driver.State().Attached() {
			return
		}
		ev.Attachment, ev.Catalogue = s.driver.State().Transient.Attachment.ID, s.offer(s.executor, &profile)
		l.event = ev
	}
	_, err = s.ask(ctx, l)
	return failed("amend", sid, err)
}

// registration is the letter that registers the session, and wires the host's own executor in if there is none.
func (s *session) registration(ev machine.Register) *letter {
	l := &letter{rank: control, event: ev}
	ex := s.host.config.Executor
	if ex == nil {
		return l
	}
	profile := ev.Profile
	if profile == nil {
		profile = s.state().Profile
	}
	wired := s.attachment(ex, profile)
	ev.Attachment = wired.event.(machine.Attach).Attachment
	l.event = ev
	l.after = func(err error) {
		if err == nil && s.state().Transient.Attachment == ev.Attachment {
			wired.after(nil)
		}
	}
	return l
}

// unlessRegistered takes the session out of memory if it is not registered, as it was before: what it was opened for has failed. One that does not
// exist yet is left to whoever makes it. It is waited for as long as the caller likes.
func (s *session) unlessRegistered(ctx context.Context, why error, maker bool) {
	done := make(chan answer, 1)
	l := &letter{rank: work, answer: done}
	l.after = func(error) {
		if s.driver == nil {
			return
		}
		switch st := s.driver.State(); { // what is told to others who came meanwhile
		case st.Version > 0 && !st.Lifecycle.Away, st.Version == 0 && !maker:
			return
		case st.Lifecycle.Away:
			why = ErrUnregistered
		case refused(why):
			why = ErrNotFound
		}
		s.discard(why)
		s.driver = nil
	}
	if s.put(l) != nil {
		return // it has been taken out already
	}
	select {
	case <-done:
	case <-ctx.Done():
	}
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
	_, err = s.ask(ctx, s.attachment(ex, s.state().Profile))
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
	e := h.wait(ctx, sid, in, false)
	return e.how, failed("wait for an input of", sid, e.err)
}

// wait is Wait. Early, it does not wait while the run of the input waits for clients alone.
func (h *Host) wait(ctx context.Context, sid id.Session, in id.Input, early bool) ended {
	s := h.resident(sid)
	if s == nil {
		how, err := h.reader().Input(ctx, sid, in)
		if err != nil || how.Ended != nil {
			return ended{how: how, err: err}
		}
		if s, err = h.open(ctx, sid, existing); err != nil {
			return ended{how: how, err: err}
		}
	}
	one := s.waiters.add(in, early)
	defer s.waiters.drop(in, one)
	if why := s.reasonEnded(); why != nil {
		return ended{err: why}
	}
	// The snapshot is published before waiters are told: an input that is live in it has not been told of.
	st := s.state()
	if !live(st, in) {
		how, err := h.reader().Input(ctx, sid, in)
		if err != nil || how.Ended != nil {
			return ended{how: how, err: err}
		}
	}
	if pending := suspended(st, in); early && pending != nil {
		return ended{pending: pending}
	}
	select {
	case e := <-one.ch:
		return e
	case <-ctx.Done():
		return ended{err: ctx.Err()}
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

// ContainsSession reports whether a session is registered, live here or at rest. Of one that is live here it reads the published snapshot, and
// takes no lock that a run holds; any other is looked up in the store each time, so that an error is never read as a no. A destroyed session is there.
func (h *Host) ContainsSession(ctx context.Context, sid id.Session) (bool, error) {
	st, err := h.State(ctx, sid)
	if errors.Is(err, ErrNotFound) {
		return false, nil
	}
	return err == nil && !st.Lifecycle.Away, err
}

// SessionHasExecutor reports whether somebody here could carry out a run of the session: an executor is attached, or the host has one of its own
// that is attached when the session is woken. It reads as ContainsSession does.
func (h *Host) SessionHasExecutor(ctx context.Context, sid id.Session) (bool, error) {
	if st, ok := h.published(sid); ok {
		return st.Attached(), nil
	}
	st, err := h.State(ctx, sid)
	switch {
	case errors.Is(err, ErrNotFound):
		return false, nil
	case err != nil || h.config.Executor == nil || st.Lifecycle.Away:
		return false, err
	}
	switch st.Lifecycle.Phase {
	case lifecycle.Idle, lifecycle.Running, lifecycle.Retired:
		return true, nil
	case lifecycle.Unregistered, lifecycle.Stopped, lifecycle.Destroyed:
	}
	return false, nil
}

// published returns what was committed last of a session that is live here.
func (h *Host) published(sid id.Session) (machine.State, bool) {
	s := h.resident(sid)
	if s == nil {
		return machine.State{}, false
	}
	st := s.state()
	return st, st.Version > 0
}

// State returns the committed state of a session: of a live one the published snapshot, else what is stored.
func (h *Host) State(ctx context.Context, sid id.Session) (machine.State, error) {
	if st, ok := h.published(sid); ok {
		return st, nil
	}
	st, err := h.reader().State(ctx, sid)
	if errors.Is(err, store.ErrNotFound) {
		err = ErrNotFound
	}
	return st, failed("read", sid, err)
}

// InputState returns one input, live or ended, from its row: the session need not be live here, nor registered. ErrNoInput: there is none.
func (h *Host) InputState(ctx context.Context, sid id.Session, in id.Input) (machine.InputChange, error) {
	how, err := h.reader().Input(ctx, sid, in)
	return how, failed("read an input of", sid, noInput(err))
}

// InputByKey is InputState by the idempotency key. An ended input may have lost its key to a later one, a day after its end.
func (h *Host) InputByKey(ctx context.Context, sid id.Session, key string) (machine.InputChange, error) {
	how, err := h.reader().InputByKey(ctx, sid, key)
	return how, failed("read an input of", sid, noInput(err))
}

func noInput(err error) error {
	if errors.Is(err, store.ErrNotFound) {
		return fmt.Errorf("%w: %w", ErrNoInput, err)
	}
	return err
}

// ListActiveInputs returns the ids of the inputs that have not ended: those of the run, then those that wait, in the order they will
// be taken, and last those that ride along. The session need not be registered. Of a damaged one it returns those that can be read, with
// ErrRepairBlocked.
func (h *Host) ListActiveInputs(ctx context.Context, sid id.Session) ([]id.Input, error) {
	var live []inbox.Item
	st, ok := h.published(sid)
	if ok {
		live = slices.Collect(st.Inbox.All())
	}
	var err error
	if !ok {
		live, err = h.reader().Live(ctx, sid)
	}
	if errors.Is(err, store.ErrNotFound) {
		err = ErrNotFound
	}
	var out []id.Input
	for _, i := range live {
		out = append(out, i.ID)
	}
	return out, failed("read the inputs of", sid, err)
}

// Waiting is how many wait for one input to end.
type Waiting struct {
	Input id.Input
	Count int
}

// Waiters lists who waits in this process for inputs of a session, by input id. It is for diagnosis: nothing is decided by who waits.
func (h *Host) Waiters(sid id.Session) []Waiting {
	if s := h.resident(sid); s != nil {
		return s.waiters.counts()
	}
	return nil
}

// LoadBoundaryReceipt returns the receipt of a run with that sequence. The receipts of a run are numbered from 1 without a gap, in the order of its
// boundaries, and are never changed. store.ErrNotFound: there is none.
func (h *Host) LoadBoundaryReceipt(ctx context.Context, sid id.Session, of id.Run, sequence int) (machine.Receipt, error) {
	r, err := h.reader().Receipt(ctx, sid, of, sequence)
	return r, failed("read a receipt of", sid, err)
}
