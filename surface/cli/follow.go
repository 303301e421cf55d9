package cli

import (
	"context"
	"errors"
	"os"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
)

// settleWait is how long the last events of a run may lag behind its outcome.
const settleWait = 2 * time.Second

// follower watches a session while inputs of ours go through it. Its loop is the only one that draws.
type follower struct {
	c       *command
	plane   Plane
	session id.Session
	view    *view
	cursor  uint64       // of the last event shown
	lost    <-chan error // the way to a server; nil: there is none

	run         id.Run // the one that goes on; empty: none that we know of
	over        map[id.Run]bool
	interrupted bool
}

// mail is what the goroutines of a follower tell its loop; exactly one field is set.
type mail struct {
	receipt *control.Receipt
	outcome *control.Outcome
	event   *event.Event
	err     error // of the submission, or of waiting for its end: the input is lost to us
	silent  error // of the event stream: the rest of the run is not seen
	stop    error // of an interrupt
}

// errLeave is a second Ctrl-C: leave at once, wait for nothing.
var errLeave = &failure{code: fault.Cancelled, what: "left at once", exit: ExitInterrupted}

// errTerminated is a SIGTERM or SIGHUP.
var errTerminated = &failure{code: fault.Cancelled, what: "terminated", exit: ExitTerminated}

// follow submits by start and shows what happens until the input has ended. Start names the input to wait for.
func (f *follower) follow(ctx context.Context, start func(context.Context) (control.Receipt, error)) (control.Outcome, error) {
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	post := make(chan mail)
	tell := func(m mail) {
		select {
		case post <- m:
		case <-ctx.Done():
		}
	}
	wg.Go(func() {
		for e, err := range f.plane.Events(ctx, f.session, f.cursor) {
			if err != nil {
				tell(mail{silent: err})
				return
			}
			tell(mail{event: &e})
		}
	})
	wg.Go(func() {
		r, err := start(ctx)
		if err != nil {
			tell(mail{err: err})
			return
		}
		tell(mail{receipt: &r})
		o, err := f.plane.Wait(ctx, f.session, r.Input)
		if err != nil {
			tell(mail{err: err})
			return
		}
		tell(mail{outcome: &o})
	})
	stop := func() {
		run := f.run
		wg.Go(func() {
			if err := f.interrupt(ctx, run); err != nil {
				tell(mail{stop: err})
			}
		})
	}
	o, err := f.loop(ctx, post, stop)
	cancel()
	if !errors.Is(err, errLeave) {
		wg.Wait()
	}
	return o, err
}

// loop draws until the outcome is there and its run has been seen to end. Stop asks for an interrupt.
func (f *follower) loop(ctx context.Context, post <-chan mail, stop func()) (control.Outcome, error) {
	ticks, done := f.c.Tick()
	defer done()
	var outcome *control.Outcome
	var settle <-chan time.Time
	f.over = map[id.Run]bool{}
	f.run = ""
	blind := false
	for {
		select {
		case m := <-post:
			switch {
			case m.err != nil:
				return control.Outcome{}, m.err
			case m.receipt != nil:
				if m.receipt.Run != "" && f.run == "" && !f.over[m.receipt.Run] {
					f.run = m.receipt.Run
				}
				if f.interrupted {
					stop()
				}
			case m.outcome != nil:
				outcome = m.outcome
				settle = time.After(settleWait)
			case m.silent != nil:
				blind = true
				if f.view.opt.verbose {
					f.view.note("The events of this run cannot be shown: %v", m.silent)
				}
			case m.stop != nil:
				f.view.note("The interrupt was refused: %v", m.stop)
			case m.event != nil:
				f.see(*m.event, stop)
			}
		case err := <-f.lost:
			f.c.way(f.view, err)
		case <-ticks:
			f.view.tick()
		case <-settle:
			blind = true
		case s := <-f.c.Signals:
			if err := f.signal(s, stop); err != nil {
				return control.Outcome{}, err
			}
		case <-ctx.Done():
			return control.Outcome{}, ctx.Err()
		}
		if outcome != nil && (blind || outcome.Run == "" || f.over[outcome.Run]) {
			f.view.outcome(*outcome)
			return *outcome, nil
		}
	}
}

// see takes an event in.
func (f *follower) see(e event.Event, stop func()) {
	if e.Cursor > 0 {
		f.cursor = e.Cursor
	}
	over := false
	switch p := e.Payload.(type) {
	case event.RunStarted:
		f.run = e.Run
		if f.interrupted {
			stop()
		}
	case event.RunCompleted:
		over = !p.ExtractionRequired
	case event.RunFailed, event.ExtractionSucceeded, event.ExtractionFailed:
		over = true
	}
	if over {
		f.over[e.Run] = true
		if f.run == e.Run {
			f.run = ""
		}
	}
	f.view.event(e)
}

// signal acts on what the user or the system wants; an error ends the following.
func (f *follower) signal(s os.Signal, stop func()) error {
	if s != os.Interrupt {
		f.view.endAnswerLine()
		return errTerminated
	}
	if f.interrupted {
		f.view.endAnswerLine()
		return errLeave
	}
	f.interrupted = true
	f.view.doing("interrupting")
	if !f.view.opt.quiet {
		f.view.note("Interrupting the run. (Ctrl-C again leaves at once.)")
	}
	stop()
	return nil
}

// interrupt stops the run that goes on, which is named if it is known.
func (f *follower) interrupt(ctx context.Context, run id.Run) error {
	if run == "" {
		s, err := f.plane.Session(ctx, string(f.session))
		if err != nil {
			return err
		}
		if s.Run == nil {
			return nil // it will be stopped when it starts
		}
		run = s.Run.ID
	}
	err := f.plane.Interrupt(ctx, f.session, run)
	switch fault.CodeOf(err) {
	case fault.NotRunning, fault.Stale, fault.Cancelled:
		return nil // it ended by itself
	}
	return err
}
