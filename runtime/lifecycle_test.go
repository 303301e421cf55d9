package runtime_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/storetest"
	"github.com/meerkat-go/meerkat/transcript"
)

// outcome waits for an input as a handle does.
func (p *place) outcome(in id.Input) runtime.Outcome {
	p.w.Helper()
	o, err := p.Completion(sid, in).Wait(p.w.ctx)
	p.w.ok(err)
	return o
}

func (p *place) phase() string {
	p.w.Helper()
	phase, err := p.RuntimeState(p.w.ctx, sid)
	p.w.ok(err)
	return phase
}

// Scenario: S111, S112, S113
func TestR54_a_session_that_retires_in_mid_run_carries_out_what_it_has(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		p.submit("b", "and then")
		m := p.task(run.CallModel)
		r, err := p.Retire(w.ctx, sid)
		w.ok(err)
		if r != (runtime.Retirement{Pending: 2}) || p.phase() != "retired" {
			w.Fatalf("%+v in phase %s", r, p.phase())
		}
		_, _, err = p.AcceptWithCompletion(w.ctx, sid, runtime.Input{ID: "c", Content: says("late")})
		w.is(err, runtime.ErrRetired)
		w.is(err, runtime.ErrNotReady)
		w.ok(m.replies("one"))
		w.ok(p.task(run.CallModel).replies("two"))
		for _, in := range []id.Input{"a", "b"} {
			if o, ok := p.outcome(in).(runtime.Completed); !ok || o.Text == "" {
				w.Fatalf("%s ended %#v", in, o)
			}
		}
		if r, err = p.Retire(w.ctx, sid); err != nil || r != (runtime.Retirement{}) || p.phase() != "retired" || p.state().Run() != "" {
			w.Fatalf("again: %+v, %v, phase %s", r, err, p.phase())
		}
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if _, err := p.Retire(w.ctx, sid); err != nil {
					w.Error(err)
				}
			})
		}
		all.Wait()
		if n := count[event.SessionRetired](p.events()); n != 1 {
			w.Fatalf("told %d times", n)
		}
		p.close()
	})
}

// Scenario: S110, S117, S118, S119, S121
func TestR54_R55_what_waits_is_given_up_with_a_reason_that_fits(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		ended := func(in id.Input, why string) {
			w.Helper()
			if o := p.outcome(in); o != (runtime.Terminated{Reason: why}) {
				w.Fatalf("%s ended %#v", in, o)
			}
		}
		p.submit("a", "1")
		n, err := p.Reset(w.ctx, sid)
		w.ok(err)
		ended("a", "runtime reset")
		p.submit("b", "2")
		kept, err := p.Recycle(w.ctx, sid)
		w.ok(err)
		found, err := p.Recover(w.ctx, sid)
		w.ok(err)
		if n != 1 || kept != 1 || found != (runtime.Recovery{Recovered: 1, Requeued: 1}) {
			w.Fatalf("reset gave up %d, recycled %d, recovered %+v", n, kept, found)
		}
		r, err := p.Retire(w.ctx, sid)
		w.ok(err)
		if r != (runtime.Retirement{Abandoned: 1}) {
			w.Fatalf("%+v", r)
		}
		ended("b", "retired without runtime loop")
		_, err = p.Reset(w.ctx, sid)
		w.ok(err)
		p.submit("c", "3")
		n, err = p.Destroy(w.ctx, sid)
		w.ok(err)
		ended("c", "runtime destroyed")
		again, err := p.Destroy(w.ctx, sid)
		if n != 1 || again != 0 || err != nil || p.phase() != "destroyed" {
			w.Fatalf("destroyed %d, then %d, %v, phase %s", n, again, err, p.phase())
		}
		p.close()
	})
}

// Scenario: S3, S22, S58, S121
func TestR55_a_destroyed_session_answers_destroyed_warm_and_cold(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		_, err := p.Destroy(w.ctx, sid)
		w.ok(err)
		for _, warm := range []bool{true, false} {
			if !warm {
				p.close()
				p = w.host(nil)
			}
			version := p.state().Version
			for name, do := range commands(w, p) {
				if err := do(); !errors.Is(err, runtime.ErrDestroyed) && name != "destroy" {
					w.Errorf("%s: %v", name, err)
				}
			}
			if p.state().Version != version {
				w.Error("something was written")
			}
		}
		p.close()
	})
}

// commands are all that can be asked of a session, each as it would be on one at rest.
func commands(w *world, p *place) map[string]func() error {
	just := func(_ any, err error) error { return err }
	return map[string]func() error{
		"register": func() error { return p.RegisterSession(w.ctx, sid, runtime.Registration{}) },
		"attach": func() error {
			return just(p.EnsureSessionWithExecutor(w.ctx, sid, hands{p.tasks}))
		},
		"submit": func() error {
			_, _, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{Content: says("x")})
			return err
		},
		"prepare":          func() error { return just(p.Prepare(w.ctx, sid, runtime.Input{Content: says("x")})) },
		"prepare a turn":   func() error { return just(p.PrepareServiceTurn(w.ctx, sid)) },
		"prepare bindings": func() error { return just(p.PrepareBindings(w.ctx, sid, runtime.Registration{})) },
		"bind":             func() error { return p.BindPlacement(w.ctx, sid, "", machine.Placement{Runtime: "x"}) },
		"retire":           func() error { return just(p.Retire(w.ctx, sid)) },
		"reset":            func() error { return just(p.Reset(w.ctx, sid)) },
		"recycle":          func() error { return just(p.Recycle(w.ctx, sid)) },
		"recover":          func() error { return just(p.Recover(w.ctx, sid)) },
		"archive":          func() error { return p.Archive(w.ctx, sid) },
		"stop":             func() error { return p.StopRuntimeExecutor(w.ctx, sid, "", 0) },
		"abandon":          func() error { return just(p.AbandonRetired(w.ctx, sid)) },
		"publish":          func() error { return p.PublishEvent(w.ctx, sid, "note", nil) },
		"destroy":          func() error { return just(p.Destroy(w.ctx, sid)) },
		"unregister":       func() error { return p.UnregisterSession(w.ctx, sid) },
	}
}

// Scenario: S4, S5, S16, S58
func TestR56_an_unknown_session_is_not_found_whatever_is_asked(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(nil)
		all := commands(w, p)
		delete(all, "prepare bindings") // which makes one
		for name, do := range all {
			if err := do(); !errors.Is(err, runtime.ErrNotFound) {
				w.Errorf("%s: %v", name, err)
			}
		}
		if ok, err := p.ContainsSession(w.ctx, sid); ok || err != nil {
			w.Errorf("contained: %t, %v", ok, err)
		}
		p.close()
	})
}

// Scenario: S5, S6, S49, S142
func TestR57_an_unregistered_session_keeps_what_waits_and_goes_on_when_it_is_registered_again(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		p.submit("b", "waits")
		before := p.state().Lifecycle.Epoch
		w.ok(p.task(run.CallModel).replies("", call{"once", run.Once}, call{"read", run.ReadOnly}))
		once, read := p.task(run.RunTool), p.task(run.RunTool)
		told := later(func() error {
			if o := p.outcome("b"); o != (runtime.Terminated{Reason: "runtime session unregistered"}) {
				return errors.New("told otherwise")
			}
			return nil
		})
		w.ok(p.UnregisterSession(w.ctx, sid))
		w.ok(<-told)
		if once.ctx.Err() == nil || read.ctx.Err() == nil {
			w.Fatal("the executor was not let go")
		}
		w.is(once.settles("too late"), executor.ErrStale)
		if ok, err := p.ContainsSession(w.ctx, sid); ok || err != nil {
			w.Fatalf("contained: %t, %v", ok, err)
		}
		_, _, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{ID: "c", Content: says("x")})
		w.is(err, runtime.ErrNotFound)
		w.is(p.UnregisterSession(w.ctx, sid), runtime.ErrNotFound)
		if how, err := p.InputState(w.ctx, sid, "b"); err != nil || how.Ended != nil {
			w.Fatalf("input b: %+v, %v", how, err)
		}
		p.nothing()
		w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{}))
		if after := p.state().Lifecycle.Epoch; after == before || after == "" {
			w.Fatalf("epoch %q after %q", after, before)
		}
		again := p.task(run.RunTool)
		if again.ID != read.ID || again.Attempt != 2 {
			w.Fatalf("handed out %+v", again.Directive)
		}
		w.ok(again.settles("read"))
		w.ok(p.task(run.CallModel).replies("one"))
		w.ok(p.task(run.CallModel).replies("two"))
		p.ended("b", "completed")
		if got := p.results(); !slices.Equal(got, []string{"once: outcome_unknown", "read: read"}) {
			w.Fatalf("results %q", got)
		}
		p.close()
	})
}

// Scenario: S109, S126, S127, S128
func TestR57_an_unregistration_is_joined_bounded_and_refuses_what_comes_meanwhile(t *testing.T) {
	bubble(t, func(w *world) {
		release := make(chan struct{})
		stubborn := scripted{apply: func(ctx context.Context, _ executor.Run, b executor.Bindings) error {
			<-release
			return ctx.Err()
		}}
		p := w.registered(func(c *runtime.Config) { c.Executor = stubborn })
		p.submit("a", "hello")
		began := time.Now()
		first := later(func() error { return p.UnregisterSession(w.ctx, sid) })
		second := later(func() error { return p.UnregisterSession(w.ctx, sid) })
		w.is(p.RegisterSession(w.ctx, sid, runtime.Registration{}), runtime.ErrUnregisterInProgress)
		for _, name := range []string{"submit", "retire", "reset", "bind", "publish", "stop", "attach"} {
			w.is(commands(w, p)[name](), runtime.ErrUnregisterInProgress)
		}
		w.ok(<-first)
		w.ok(<-second)
		if took := time.Since(began); took != 5*time.Second || p.Abandoned() != 1 {
			w.Fatalf("took %v, %d executors given up", took, p.Abandoned())
		}
		close(release)
		p.close()
	})
}

// cleaner is an executor that does something when its session is let go.
type cleaner struct {
	hands
	clean func(context.Context, id.Session) error
}

func (c cleaner) Clean(ctx context.Context, s id.Session) error { return c.clean(ctx, s) }

// Scenario: S109
func TestR43_a_stop_tells_whether_the_executor_cleaned_up_and_the_cleanup_may_call_back(t *testing.T) {
	bubble(t, func(w *world) {
		var p *place
		var mode atomic.Value
		p = w.registered(func(c *runtime.Config) {
			c.Executor = cleaner{c.Executor.(hands), func(ctx context.Context, s id.Session) error {
				switch mode.Load() {
				case "fail":
					return errors.New("the far side is gone")
				case "panic":
					panic("no")
				case "hang":
					<-ctx.Done()
					return ctx.Err()
				case "re-enter":
					return p.UnregisterSession(ctx, s)
				}
				return nil
			}}
		})
		for _, m := range []string{"fail", "panic", "hang"} {
			mode.Store(m)
			err := p.StopRuntimeExecutor(w.ctx, sid, "enough", 0)
			if m == "hang" {
				w.is(err, context.DeadlineExceeded)
			}
			w.is(err, runtime.ErrCleanup)
			if p.phase() != "stopped" {
				w.Fatalf("phase %s", p.phase())
			}
			w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{}))
		}
		mode.Store("re-enter")
		w.ok(p.StopRuntimeExecutor(w.ctx, sid, "enough", 0))
		mode.Store("")
		w.is(p.UnregisterSession(w.ctx, sid), runtime.ErrNotFound)
		p.close()
	})
}

// interrupter is an executor with a far side.
type interrupter struct {
	scripted
	interrupt func(context.Context, executor.Run, string) error
}

func (i interrupter) Interrupt(ctx context.Context, r executor.Run, why string) error {
	return i.interrupt(ctx, r, why)
}

// Scenario: S98, S100
func TestR40_a_far_side_is_told_of_an_interrupt_and_cannot_undo_it(t *testing.T) {
	bubble(t, func(w *world) {
		var p *place
		var calls atomic.Int64
		ex := interrupter{scripted{executor.Profile{Grain: run.Whole}, func(ctx context.Context, _ executor.Run, b executor.Bindings) error {
			for range b.Turn.Directives(ctx) {
				<-ctx.Done()
			}
			return ctx.Err()
		}}, func(ctx context.Context, r executor.Run, why string) error {
			calls.Add(1)
			if why == "re-enter" { // no lock is held: the host may be called
				return p.CancelAfterBoundary(ctx, r.Session, r.Run)
			}
			panic("no")
		}}
		p = w.registered(func(c *runtime.Config) { c.Executor = ex })
		for n, why := range []string{"re-enter", "panic"} {
			in := id.Input([]string{"a", "b"}[n])
			r := p.submit(in, "hello").Run
			err := p.InterruptCurrentRun(w.ctx, sid, r, why)
			w.is(err, runtime.ErrInterruptUnknown)
			p.ended(in, "cancelled")
		}
		if calls.Load() != 2 {
			w.Fatalf("told %d times", calls.Load())
		}
		p.close()
	})
}

// Scenario: S129
func TestR57_an_unregistration_that_cannot_be_written_is_tried_again(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		p.task(run.CallModel)
		broken := errors.New("disk on fire")
		w.store.decide(always(storetest.Fault{Fail: broken}))
		err := p.UnregisterSession(w.ctx, sid)
		if err == nil {
			w.Fatal("it was written")
		}
		w.is(p.RegisterSession(w.ctx, sid, runtime.Registration{}), runtime.ErrUnregisterInProgress)
		w.store.decide(nil)
		w.ok(p.UnregisterSession(w.ctx, sid))
		w.is(p.UnregisterSession(w.ctx, sid), runtime.ErrNotFound)
		p.close()
	})
}

// Scenario: S144, S145
func TestPrepare_binds_a_run_that_the_caller_carries_out(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		in := runtime.Input{ID: "a", Key: "k", Content: says("mine")}
		mine, err := p.Prepare(w.ctx, sid, in)
		w.ok(err)
		p.nothing()
		_, err = p.Prepare(w.ctx, sid, runtime.Input{ID: "b", Content: says("x")})
		w.is(err, runtime.ErrBusy)
		var dup *runtime.DuplicateError
		if _, err = p.Prepare(w.ctx, sid, in); !errors.As(err, &dup) || dup.Input != "a" || dup.Run != mine.Run {
			w.Fatalf("again: %v", err)
		}
		reply := run.RunApplied{Appends: []transcript.Entry{transcript.Assistant{Blocks: says("done"), Stop: transcript.StopEndTurn}}}
		wrong := reply
		wrong.Inputs = []id.Input{"z"}
		w.is(p.Commit(w.ctx, mine, wrong), runtime.ErrInvalid)
		w.is(p.Commit(w.ctx, runtime.Prepared{Session: sid, Run: "other"}, reply), runtime.ErrNotCurrent)
		w.is(p.CommitServiceTurnTerminalReceipt(w.ctx, sid, reply), runtime.ErrNotCallers)
		if p.state().Run() != mine.Run {
			w.Fatal("the run is not bound any more")
		}
		reply.Inputs = []id.Input{"a"}
		w.ok(p.Commit(w.ctx, mine, reply))
		if o, ok := p.outcome("a").(runtime.Completed); !ok || o.Text != "done" {
			w.Fatalf("%#v", o)
		}
		w.is(p.Commit(w.ctx, mine, reply), runtime.ErrNotRunning)

		mine, err = p.Prepare(w.ctx, sid, runtime.Input{ID: "c", Content: says("x")})
		w.ok(err)
		w.is(p.Fail(w.ctx, mine, run.Failure{}), runtime.ErrInvalid)
		w.ok(p.Fail(w.ctx, mine, run.Failure{Message: "it broke"}))
		if o, ok := p.outcome("c").(runtime.AbandonedWithError); !ok || o.Error.Detail != "it broke" {
			w.Fatalf("%#v", o)
		}

		served, err := p.PrepareServiceTurn(w.ctx, sid)
		w.ok(err)
		p.submit("d", "waits for the turn to end")
		p.nothing()
		reply.Inputs = nil
		w.ok(p.CommitServiceTurnTerminalReceipt(w.ctx, sid, reply))
		if served.Run == p.state().Run() {
			w.Fatal("the turn is still bound")
		}
		w.is(p.CommitServiceTurnTerminalReceipt(w.ctx, sid, reply), runtime.ErrNotCallers) // of the executor
		w.ok(p.task(run.CallModel).replies("and on"))
		p.ended("d", "completed")
		w.is(p.CommitServiceTurnTerminalReceipt(w.ctx, sid, reply), runtime.ErrNotRunning)
		p.close()
	})
}

// signals is an orchestrator that writes down what it hears.
type signals struct {
	mu   sync.Mutex
	told []run.SignalKind
	fail int
}

func (s *signals) Signal(_ context.Context, _ id.Session, sig run.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail > 0 {
		s.fail--
		return errors.New("not now")
	}
	s.told = append(s.told, sig.Kind)
	return nil
}

func (s *signals) heard() []run.SignalKind {
	synctest.Wait()
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.told)
}

// Scenario: S8, S9, S10, S13, S14, S15
func TestR58_R59_a_place_is_bound_once_and_its_orchestrator_hears_of_it(t *testing.T) {
	bubble(t, func(w *world) {
		to := &signals{}
		p := w.host(func(c *runtime.Config) { c.Signals = to })
		own, err := p.PrepareBindings(w.ctx, sid, runtime.Registration{})
		w.ok(err)
		again, err := p.PrepareBindings(w.ctx, sid, runtime.Registration{})
		w.ok(err)
		if own.Epoch != again.Epoch || own.Epoch == "" || p.state().Transient.Placement != (machine.Placement{Runtime: "rt:session:" + string(sid)}) {
			w.Fatalf("epochs %q %q, placed at %+v", own.Epoch, again.Epoch, p.state().Transient.Placement)
		}
		if got := to.heard(); !slices.Equal(got, []run.SignalKind{run.RuntimeBound}) {
			w.Fatalf("heard %v", got)
		}
		if found, err := p.SessionOf("rt:session:" + string(sid)); err != nil || found != sid {
			w.Fatalf("%s, %v", found, err)
		}
		_, err = p.SessionOf(string(sid))
		w.is(err, runtime.ErrNotFound)

		other := id.Session("00000000-0000-7000-8000-000000000002")
		local, err := p.PrepareLocalSessionBindings(w.ctx, other, runtime.Registration{})
		w.ok(err)
		if local.Epoch == own.Epoch {
			w.Fatal("two sessions share an epoch")
		}
		place := machine.Placement{Runtime: "mob-1", Fence: 4, Generation: 2}
		w.is(p.BindPlacement(w.ctx, other, "older", place), runtime.ErrStaleEpoch)
		to.fail = 1
		w.is(p.BindPlacement(w.ctx, other, local.Epoch, place), runtime.ErrSignal)
		st, err := p.State(w.ctx, other)
		w.ok(err)
		if st.Transient.Placement != (machine.Placement{}) {
			w.Fatalf("still placed at %+v", st.Transient.Placement)
		}
		w.ok(p.BindPlacement(w.ctx, other, local.Epoch, place))
		_, err = p.PrepareBindings(w.ctx, other, runtime.Registration{})
		w.is(err, runtime.ErrBound)
		if ok, _ := p.ContainsSession(w.ctx, other); !ok {
			w.Fatal("a session that was there before was taken away")
		}
		to.fail = 3
		_, err = p.Retire(w.ctx, other)
		w.ok(err)
		_, err = p.Destroy(w.ctx, other)
		w.ok(err)
		<-time.After(time.Minute)
		want := []run.SignalKind{run.RuntimeBound, run.RuntimeBound, run.RuntimeDestroyed, run.RuntimeRetired}
		got := to.heard()
		slices.Sort(got)
		if !slices.Equal(got, want) {
			w.Fatalf("heard %v", got)
		}
		p.close()
	})
}

// Scenario: S11
func TestR58_bindings_that_cannot_be_made_leave_no_registration_behind(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(func(c *runtime.Config) { c.Signals = &signals{fail: 1} })
		_, err := p.PrepareBindings(w.ctx, sid, runtime.Registration{})
		w.is(err, runtime.ErrSignal)
		if ok, err := p.ContainsSession(w.ctx, sid); ok || err != nil {
			w.Fatalf("contained: %t, %v", ok, err)
		}
		p.close()
	})
}

// Scenario: S146
func TestProbe_computes_from_what_waits(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		if d := p.Probe(w.ctx, sid); d.Health != runtime.Healthy {
			w.Fatalf("%+v", d)
		}
		p.submit("a", "hello")
		p.task(run.CallModel)
		<-time.After(3 * time.Minute)
		if d := p.Probe(w.ctx, sid); d.Health != runtime.Degraded || len(d.Reasons) != 1 {
			w.Fatalf("%+v", d)
		}
		if d := p.Probe(w.ctx, "00000000-0000-7000-8000-0000000000ff"); d.Health != runtime.Unreadable {
			w.Fatalf("%+v", d)
		}
		p.close()
		w.store.loads(func() error { return store.ErrFailed })
		p = w.host(nil)
		if d := p.Probe(w.ctx, sid); d.Health != runtime.Unreadable || !errors.Is(d.Error, store.ErrFailed) {
			w.Fatalf("%+v", d)
		}
		w.store.loads(nil)
		p.close()
	})
}

// Scenario: S90, S91, S92
func TestR38_a_foreign_executor_takes_steers_at_its_own_boundaries_also_through_a_failing_store(t *testing.T) {
	bubble(t, func(w *world) {
		step, at, loop := stepping()
		p := w.registered(func(c *runtime.Config) { c.Executor = loop })
		r := p.submit("a", "hello").Run
		says := func(b run.Boundary) (out []string) {
			for _, s := range b.Steers {
				out = append(out, string(s.Input)+": "+s.Content.Plain())
			}
			return out
		}
		p.steer("s", "left")
		p.steer("t", "right")
		step <- true
		if got := says(<-at); !slices.Equal(got, []string{"s: left", "t: right"}) {
			w.Fatalf("took %q", got)
		}
		if o := p.outcome("s"); o != (runtime.CompletedWithoutResult{Run: r}) {
			w.Fatalf("%#v", o)
		}
		step <- true
		if got := says(<-at); len(got) != 0 {
			w.Fatalf("took %q twice", got)
		}
		p.steer("u", "faster")
		w.store.decide(next(1, storetest.Fault{Hide: storetest.HideWritten}))
		w.store.loads(failing(2))
		step <- true
		if got := says(<-at); !slices.Equal(got, []string{": faster"}) && !slices.Equal(got, []string{"u: faster"}) {
			w.Fatalf("took %q", got)
		}
		w.ok(p.CancelAfterBoundary(w.ctx, sid, r))
		step <- true
		if b := <-at; !b.Cancel {
			w.Fatal("the cancel was not told")
		}
		step <- false
		p.ended("a", "cancelled")
		receipt, err := p.LoadBoundaryReceipt(w.ctx, sid, r, 2)
		w.ok(err)
		if receipt.Boundary != "run_checkpoint" || !slices.Equal(receipt.Inputs, []id.Input{"s", "t"}) {
			w.Fatalf("%+v", receipt)
		}
		p.close()
	})
}

// failing is a read that fails n times.
func failing(n int) func() error {
	return func() error {
		if n--; n >= 0 {
			return store.ErrFailed
		}
		return nil
	}
}

// Scenario: S26
func TestA_registration_and_an_attachment_at_once_make_one_session(t *testing.T) {
	bubble(t, func(w *world) {
		w.registered(nil).close()
		for range 20 {
			p := w.host(func(c *runtime.Config) { c.Executor = nil })
			var both sync.WaitGroup
			both.Go(func() { w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{})) })
			both.Go(func() {
				if _, err := p.EnsureSessionWithExecutor(w.ctx, sid, hands{p.tasks}); err != nil {
					w.Error(err)
				}
			})
			both.Wait()
			if has, err := p.SessionHasExecutor(w.ctx, sid); !has || err != nil {
				w.Fatalf("has an executor: %t, %v", has, err)
			}
			in := id.Input(id.New())
			p.submit(in, "hello")
			w.ok(p.task(run.CallModel).replies("hi"))
			p.ended(in, "completed")
			p.close()
		}
	})
}

// Scenario: S30
func TestAn_executor_that_is_attached_to_a_stopped_session_revives_it(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		w.ok(p.StopRuntimeExecutor(w.ctx, sid, "enough", 0))
		how, err := p.EnsureSessionWithExecutor(w.ctx, sid, hands{p.tasks})
		if err != nil || how != runtime.Attached || p.phase() != "attached" {
			w.Fatalf("%v, %v, phase %s", how, err, p.phase())
		}
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).replies("hi"))
		p.ended("a", "completed")
		p.close()
	})
}
