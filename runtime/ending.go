package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
)

// InterruptCurrentRun ends the named run at once: what it has open settles as cancelled, its inputs end, and the executor is told to
// stop. When it returns the end is durable. ErrNotRunning, ErrNotCurrent: nothing was done. ErrInterruptUnknown: the run is over, and the
// executor could not be told.
func (h *Host) InterruptCurrentRun(ctx context.Context, sid id.Session, r id.Run, reason string) error {
	s, err := h.open(ctx, sid, existing)
	if err != nil {
		return failed("interrupt", sid, err)
	}
	var ex executor.Executor
	l := &letter{rank: control, event: machine.Interrupt{Run: r, Reason: reason}, local: func() { ex = s.executor }}
	if _, err := s.ask(ctx, l); err != nil {
		return failed("interrupt", sid, err)
	}
	if i, ok := ex.(executor.Interrupter); ok {
		err = h.bounded(func(ctx context.Context) error { return i.Interrupt(ctx, executor.Run{Session: sid, Run: r}, reason) })
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrInterruptUnknown, err)
	}
	return failed("interrupt", sid, err)
}

// bounded calls foreign code that may panic, or not return. It gets the grace time, and is not waited for beyond it.
func (h *Host) bounded(call func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(h.work, h.config.Grace)
	defer cancel()
	done := make(chan error, 1)
	h.calls.add()
	go func() {
		err := errors.New("it ended its goroutine")
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("it panicked: %v", p)
			}
			done <- err
			h.calls.done()
		}()
		err = call(ctx)
	}()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		select {
		case err := <-done:
			return err
		default:
			return fmt.Errorf("it did not return within %v: %w", h.config.Grace, ctx.Err())
		}
	}
}

// StopRuntimeExecutor takes no more input and ends the session when its run ends; what waits is abandoned. It returns when the stop
// is durable, nothing of the session runs any more and the executor has cleaned up; an error of its is told, and the session is stopped all the
// same. patience bounds how long the run may take; then it is interrupted. 0: it may take for ever.
func (h *Host) StopRuntimeExecutor(ctx context.Context, sid id.Session, reason string, patience time.Duration) error {
	return failed("stop", sid, h.stopSession(ctx, sid, reason, patience))
}

func (h *Host) stopSession(ctx context.Context, sid id.Session, reason string, patience time.Duration) error {
	s, err := h.open(ctx, sid, existing)
	if err != nil {
		return err
	}
	quiet := &stopping{done: make(chan error, 1)}
	// Waiting begins with the decision: the reconcile that follows it must see who waits, and where there is no stop nobody is to clean up.
	l := &letter{rank: control, event: machine.Stop{Reason: reason}}
	l.after = func(err error) {
		if err == nil {
			s.quiet = append(s.quiet, quiet)
		}
	}
	if _, err = s.ask(ctx, l); err != nil {
		return err
	}
	var late <-chan time.Time
	if patience > 0 {
		t := time.NewTimer(patience)
		defer t.Stop()
		late = t.C
	}
	for {
		select {
		case err := <-quiet.done:
			return err
		case <-s.gone:
			if quiet.over.Load() {
				return <-quiet.done // the stop is durable, and what lets the session go may be its own cleanup
			}
			return s.reasonEnded()
		case <-late:
			late = nil
			r := s.state().Run()
			if r == "" {
				continue
			}
			err := h.InterruptCurrentRun(ctx, sid, r, "stopped: "+reason)
			if err != nil && !errors.Is(err, ErrNotRunning) && !errors.Is(err, ErrInterruptUnknown) {
				return err
			}
		case <-ctx.Done():
			return fmt.Errorf("the stop goes on: %w", ctx.Err())
		}
	}
}

// stopping is one who waits for a stop.
type stopping struct {
	done chan error  // holds one
	over atomic.Bool // the stop is done: what is waited for is the cleanup, which has a bound
}

// tellQuiet answers those who wait for nothing to run: of a stop, once the executor has cleaned up; of an unregistration, at once. The
// drainer's, called while no executor is at work.
func (s *session) tellQuiet(st machine.State) {
	if st.Transient.Draining || st.Lifecycle.Phase == lifecycle.Destroyed { // while it was to be unregistered
		for _, ch := range s.leaving {
			ch <- nil
		}
		s.leaving = nil
	}
	if st.Lifecycle.Stopping || len(s.quiet) == 0 {
		return // the stop is done, although the session may have been revived since
	}
	waiting := s.quiet
	s.quiet = nil
	for _, one := range waiting {
		one.over.Store(true)
	}
	s.cleaned(func(err error) {
		for _, one := range waiting {
			one.done <- err
		}
	})
}

// cleaned lets the executor clean up, outside the drainer, and then says how it went. While it is at it nobody else lets it, or waits for it: it
// may be what it does that leads here.
func (s *session) cleaned(then func(error)) {
	c, ok := s.executor.(executor.Cleaner)
	if !ok || s.cleaning.Swap(true) {
		then(nil)
		return
	}
	s.host.calls.add()
	go func() {
		defer s.host.calls.done()
		err := s.host.bounded(func(ctx context.Context) error { return c.Clean(ctx, s.id) })
		s.cleaning.Store(false)
		if err != nil {
			err = fmt.Errorf("%w: %w", ErrCleanup, err)
		}
		then(err)
	}()
}

// UnregisterSession ends the registration of a session in an orderly way: nothing new is taken, its executor is let go or given up after
// Config.Grace, whoever waits is told ErrUnregistered, and then the end is made durable and the session leaves memory. What waits goes on waiting and a
// bound run stays bound, for the next RegisterSession. Callers join. An error leaves the session where it is, refusing everything but another
// attempt; ErrUnregisterUnknown says that the end may be durable.
func (h *Host) UnregisterSession(ctx context.Context, sid id.Session) error {
	s, err := h.open(ctx, sid, existing)
	if err != nil {
		return failed("unregister", sid, err)
	}
	return failed("unregister", sid, s.leave(ctx, nil))
}

// leave joins the unregistration that is under way, or begins one. With an epoch: only of that registration.
func (s *session) leave(ctx context.Context, epoch *id.Epoch) error {
	for {
		t, mine := s.parts(epoch)
		select {
		case <-t.done:
			if !mine && refused(t.err) {
				continue // that was about the session as it was before this one asked, or about another registration
			}
			return t.err
		case <-ctx.Done():
			return fmt.Errorf("the unregistration goes on: %w", ctx.Err())
		}
	}
}

// parts returns the unregistration that is under way. It is the caller's own if none was.
func (s *session) parts(epoch *id.Epoch) (_ *parting, mine bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parting != nil {
		return s.parting, false
	}
	t := &parting{done: make(chan struct{})}
	s.parting = t
	s.host.calls.add()
	go func() { // not the caller's: whoever joins must not depend on the first
		defer s.host.calls.done()
		t.err = s.part(t, epoch)
		s.decided(t)
		close(t.done)
	}()
	return t, true
}

// decided lets nobody join an unregistration any more: whoever asks now may have seen its end.
func (s *session) decided(t *parting) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.parting == t {
		s.parting = nil
	}
}

// parting is an unregistration that is under way.
type parting struct {
	done chan struct{}
	err  error
}

// part unregisters the session.
func (s *session) part(t *parting, epoch *id.Epoch) error {
	ctx := s.host.ctx
	still := make(chan error, 1)
	var begin machine.Event = machine.Drain{}
	if epoch != nil {
		begin = machine.Handled{Epoch: *epoch, Event: begin}
	}
	if _, err := s.ask(ctx, &letter{rank: control, event: begin, local: func() { s.leaving = append(s.leaving, still) }}); err != nil {
		return err
	}
	select {
	case <-still:
	case <-s.gone:
		return s.reasonEnded()
	}
	cleaned := make(chan error, 1)
	s.own(func() { s.cleaned(func(err error) { cleaned <- err }) })
	var failure error
	select {
	case failure = <-cleaned:
	case <-s.gone:
		return s.reasonEnded()
	}
	s.waiters.fail(ErrUnregistered)
	l := &letter{rank: control, event: machine.Unregister{}}
	l.after = func(err error) {
		// It may have been registered again, or destroyed, in the very same commit: then it stays.
		if err == nil && s.driver != nil && s.driver.State().Lifecycle.Away {
			s.driver = nil
			s.discard(ErrUnregistered)
		}
	}
	s.decided(t)
	_, err := s.ask(ctx, l)
	switch {
	case errors.Is(err, errUnknown):
		return fmt.Errorf("%w: %w", ErrUnregisterUnknown, err)
	case err != nil:
		return err
	}
	return failure
}
