package runtime

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/transcript"
)

// activation is one executor at work on one run.
type activation struct {
	session *session
	run     id.Run
	driver  *driver.Driver
	cancel  context.CancelFunc
	done    chan struct{}     // closed when the executor has returned
	leave   func()            // takes it off the count of those to wait for; once
	given   map[id.Effect]int // attempt handed out, by id; the drainer's
	grace   *time.Timer       // runs once it is cancelled; the drainer's

	mu       sync.Mutex
	queue    []run.Directive
	over     bool          // nothing is open for it: the iterator may end
	finished bool          // the iterator has ended because of that, and yields nothing any more
	wake     chan struct{} // holds one
}

// reconcile makes the world follow the state. It looks at what is, not at what changed.
func (s *session) reconcile() {
	st := s.driver.State()
	if s.live != nil && s.live.run != st.Run() {
		s.letGo()
	}
	if st.Transient.Draining && s.live != nil {
		s.letGo()
	}
	if s.live == nil {
		s.tellQuiet(st)
	}
	s.signal(st)
	s.pursue(st)
	switch {
	case st.Run() == "" || !forExecutor(st) || st.Transient.Draining:
		if s.live != nil {
			s.live.end()
		}
		return
	case s.host.closing.Load():
		return
	case s.host.settling.Load():
		s.rest()
		return
	case !s.leased():
		return // whoever renews it looks again
	case s.live == nil && s.executor != nil && st.Attached():
		s.start(st)
	}
	if s.live == nil || s.live.run != st.Run() {
		return
	}
	for eff, d := range st.Open.All() {
		switch {
		case !executors(d) || s.live.given[eff] >= d.Attempt:
		case s.live.give(d):
			s.live.given[eff] = d.Attempt
		default: // it is for the next, which is put to work when this one has returned
			s.letGo()
			return
		}
	}
}

// forExecutor reports whether something open is an executor's to carry out.
func forExecutor(st machine.State) bool {
	for _, d := range st.Open.All() {
		if executors(d) {
			return true
		}
	}
	return false
}

// executors reports whether an open entry is an executor's to carry out: not the host's, not a caller's, and not one that waits for a word.
func executors(d run.Directive) bool {
	return d.Kind != run.Deliver && !d.Caller && d.Held == run.NoHold
}

// letGo cancels an activation whose run is over, and gives it up if it does not return in time.
func (s *session) letGo() {
	if s.live.grace != nil {
		return
	}
	a := s.live
	a.cancel()
	a.grace = time.AfterFunc(s.host.config.Grace, func() {
		s.own(func() {
			if s.live == a {
				s.live = nil
				a.giveUp()
			}
		})
	})
}

// giveUp counts an executor that did not let go. Nobody waits for it any more, and its reports are stale.
func (a *activation) giveUp() {
	a.session.host.abandoned.Add(1)
	a.leave()
}

// leased reports whether the lease is certainly good. If it is not, whoever renews it makes the session look again.
func (s *session) leased() bool {
	if s.leaseHolds() {
		return true
	}
	s.heldBack.Store(true)
	return s.leaseHolds() // it may have been renewed before the mark could be seen
}

func (s *session) holdUntil(end time.Time) { s.leaseEnds.Store(&end) }

// leaseHolds goes by two clocks: that of the wall, which others go by, and the monotonic one, which nobody sets back.
func (s *session) leaseHolds() bool {
	now, ends := s.host.config.Now(), *s.leaseEnds.Load()
	return now.Before(ends) && now.Round(0).Before(ends.Round(0))
}

// own makes the drainer do something, and look.
func (s *session) own(local func()) {
	// A session that takes no mail any more has nothing left to reconcile.
	_ = s.put(&letter{rank: outcomes, own: true, local: local})
}

// start puts the executor to work.
func (s *session) start(st machine.State) {
	ctx, cancel := context.WithCancel(s.host.work)
	a := &activation{session: s, run: st.Run(), driver: s.driver, cancel: cancel, given: map[id.Effect]int{},
		wake: make(chan struct{}, 1), done: make(chan struct{}), leave: sync.OnceFunc(s.host.activations.done)}
	s.live = a
	b := executor.Bindings{Session: s.id, Epoch: st.Lifecycle.Epoch, Turn: a, Transcript: a.driver.Transcript, Delta: a.delta, Call: a.call,
		Handles: s.handles(st.Lifecycle.Epoch, st.Transient.Attachment.ID)}
	if st.Profile != nil {
		b.Profile = *st.Profile
	}
	ex := s.executor
	s.host.activations.add()
	go func() {
		err := errors.New("the executor ended its goroutine")
		defer func() { // also if it did
			cancel()
			s.returned(a, err)
			close(a.done)
			s.host.unlinger(a)
			a.leave()
		}()
		err = apply(ctx, ex, executor.Run{Session: s.id, Run: a.run}, b)
	}()
}

// apply runs the executor; a panic is an executor that returned early.
func apply(ctx context.Context, ex executor.Executor, r executor.Run, b executor.Bindings) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("executor panicked: %v", p)
		}
	}()
	return ex.Apply(ctx, r, b)
}

// returned clears the activation away. What it was given and did not answer is lost; the drainer says so before it looks again.
func (s *session) returned(a *activation, err error) {
	l := &letter{rank: outcomes, own: true}
	l.local = func() {
		if s.live != a {
			return
		}
		if a.grace != nil {
			a.grace.Stop()
		}
		s.live = nil
		if s.driver == nil {
			return
		}
		st := s.driver.State()
		given := map[id.Effect]bool{}
		for eff := range st.Open.All() {
			if a.given[eff] > 0 {
				given[eff] = true
			}
		}
		// While the session is being unregistered nothing is decided about them: that is done when it is registered again.
		if st.Run() == a.run && len(given) > 0 && !s.host.closing.Load() && !st.Transient.Draining {
			reason := "the executor returned early"
			if err != nil {
				reason = err.Error()
			}
			l.event = machine.ExecutorLost{Run: a.run, Given: given, Reason: reason}
		}
	}
	_ = s.put(l) // refused only by a session that has ended, which has nothing left to clear
}

// give hands a directive out. It reports false if the executor was told already that there is nothing for it: it is about to return, and takes nothing.
func (a *activation) give(d run.Directive) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.finished {
		return false
	}
	a.queue, a.over = append(a.queue, d), false
	a.signal()
	return true
}

func (a *activation) end() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.over = true
	a.signal()
}

func (a *activation) signal() {
	select {
	case a.wake <- struct{}{}:
	default:
	}
}

// Directives implements executor.Turn.
func (a *activation) Directives(ctx context.Context) iter.Seq[run.Directive] {
	return func(yield func(run.Directive) bool) {
		for ctx.Err() == nil {
			a.mu.Lock()
			var d run.Directive
			some := len(a.queue) > 0 && a.session.leased()
			if some {
				d, a.queue = a.queue[0], a.queue[1:]
			}
			a.finished = a.finished || a.over && !some
			over := a.finished
			a.mu.Unlock()
			switch {
			case some:
				if !yield(d) {
					return
				}
				continue
			case over:
				return
			}
			select {
			case <-a.wake:
			case <-ctx.Done():
				return
			}
		}
	}
}

// Report implements executor.Turn. The sender keeps the answer until it is durable or refused, so the mailbox need not.
func (a *activation) Report(ctx context.Context, r run.Report) error {
	rank := outcomes
	switch r.(type) {
	case run.ModelReplied, run.ModelFailed, run.Extracted:
		rank = work // so that an interrupt beats a reply that waits beside it
	case run.ToolSettled, run.RunApplied, run.RunRefused, run.BoundaryReached, run.Delivered:
	}
	for {
		if ctx.Err() != nil {
			return a.void(ctx, r)
		}
		l := &letter{rank: rank, event: machine.Reported{Report: r}}
		dead := false
		if _, failure := r.(run.ModelFailed); failure {
			// The call was issued again under the same attempt when its executor was lost, and this says nothing of that.
			l.local = func() {
				if dead = a.session.live != a; dead {
					l.event = nil
				}
			}
		}
		// What is on its way to the store is not abandoned: the answer is waited for even if ctx ends.
		_, err := a.session.ask(context.WithoutCancel(ctx), l)
		switch {
		case err == nil && !dead:
			return nil
		case dead, errors.Is(err, fsm.ErrStale), a.session.reasonEnded() != nil:
			return executor.ErrStale
		case refused(err):
			return err
		}
		select {
		case <-time.After(a.session.host.config.StorePause):
		case <-ctx.Done():
			return a.void(ctx, r)
		}
	}
}

// Boundary implements executor.Turn.
func (a *activation) Boundary(ctx context.Context, e id.Effect) (run.Boundary, error) {
	before, unsure := a.session.state().Message, false
	for ctx.Err() == nil {
		l := &letter{rank: work, event: machine.Reported{Report: run.BoundaryReached{ID: e}}}
		told := a.session.await(context.WithoutCancel(ctx), l)
		unsure = unsure || errors.Is(told.err, store.ErrUnknown)
		switch {
		case told.err == nil && unsure:
			return a.taken(ctx, *told.verdict.Boundary, before, told.state.Message)
		case told.err == nil:
			return *told.verdict.Boundary, nil
		case errors.Is(told.err, fsm.ErrStale), a.session.reasonEnded() != nil:
			return run.Boundary{}, executor.ErrStale
		case refused(told.err):
			return run.Boundary{}, told.err
		}
		select {
		case <-time.After(a.session.host.config.StorePause):
		case <-ctx.Done():
		}
	}
	return run.Boundary{}, ctx.Err()
}

// taken finds the steers of a boundary whose commit was not known to be written when it was asked for again: they stand in the transcript.
func (a *activation) taken(ctx context.Context, b run.Boundary, before, last int) (run.Boundary, error) {
	rows, err := a.driver.Transcript(ctx, last+1)
	if err != nil {
		return run.Boundary{}, err
	}
	known := b.Steers
	b.Steers = nil
	for _, r := range rows {
		if r.At.Message <= before {
			continue
		}
		switch e := r.Entry.(type) {
		case transcript.User:
			b.Steers = append(b.Steers, run.Steer{Content: e.Content})
		case transcript.Notice: // what is said by others than the user
			b.Steers = append(b.Steers, run.Steer{Content: transcript.TextBlocks(e.Text)})
		}
	}
	for n, s := range known { // the last ones are those of the second commit
		b.Steers[len(b.Steers)-len(known)+n].Input = s.Input
	}
	return b, nil
}

// void says what a report is whose sender's context has ended: not wanted, if that was because the directive was closed.
func (a *activation) void(ctx context.Context, r run.Report) error {
	if _, open := a.session.state().Open.Get(r.Answers()); !open || a.session.reasonEnded() != nil {
		return executor.ErrStale
	}
	return ctx.Err()
}

// delta shows a piece of a reply that still streams.
func (a *activation) delta(d executor.Delta) {
	st := a.session.snapshot.Load()
	if st == nil {
		return
	}
	open, ok := st.Open.Get(d.ID)
	if !ok || open.Run != a.run {
		return // nobody waits for it any more
	}
	e := event.Event{Session: a.session.id, Time: a.session.host.config.Now(), Run: a.run, Round: open.Round}
	switch d.Kind {
	case executor.DeltaText:
		e.Payload = event.TextDelta{Delta: d.Text}
	case executor.DeltaReasoning:
		e.Payload = event.ReasoningDelta{Delta: d.Text}
	case executor.DeltaRestart:
		e.Payload = event.AttemptVoided{}
	}
	a.session.host.config.Feed.Publish(a.session.id, e)
}
