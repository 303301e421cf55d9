package runtime_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/storetest"
)

// later runs a command beside the test and returns where its error arrives.
func later(do func() error) <-chan error {
	ch := make(chan error, 1)
	go func() { ch <- do() }()
	synctest.Wait()
	return ch
}

// pending fails if a command has returned.
func (w *world) pending(ch <-chan error) {
	w.Helper()
	synctest.Wait()
	select {
	case err := <-ch:
		w.Fatalf("returned %v", err)
	default:
	}
}

// Scenario: S101
func TestR40_an_interrupt_is_the_end_whatever_still_runs(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		r := p.submit("a", "hello").Run
		w.ok(p.task(run.CallModel).replies("", call{"x", run.Once}, call{"y", run.ReadOnly}))
		x, y := p.task(run.RunTool), p.task(run.RunTool)
		w.ok(x.settles("ok"))
		w.ok(p.InterruptCurrentRun(w.ctx, sid, r, "enough"))
		if p.state().Run() != "" {
			w.Fatal("a run is bound")
		}
		synctest.Wait()
		if y.ctx.Err() == nil {
			w.Fatal("the tool was not told to stop")
		}
		w.is(y.settles("too late"), executor.ErrStale)
		p.ended("a", "cancelled")
		if got := p.results(); !slices.Equal(got, []string{"x: ok", "y: cancelled"}) {
			w.Fatalf("results %q", got)
		}
		if n := count[event.RunFailed](p.events()); n != 1 {
			w.Fatalf("%d ends", n)
		}
		p.close()
	})
}

// Scenario: S97, S101, S102
func TestR41_an_interrupt_and_a_cancel_name_their_run(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		w.is(p.InterruptCurrentRun(w.ctx, sid, "any", ""), runtime.ErrNotRunning)
		w.is(p.CancelAfterBoundary(w.ctx, sid, "any"), runtime.ErrNotRunning)
		first := p.submit("a", "hello").Run
		w.ok(p.task(run.CallModel).replies("hi"))
		second := p.submit("b", "hello").Run
		m := p.task(run.CallModel)
		w.is(p.InterruptCurrentRun(w.ctx, sid, first, ""), runtime.ErrNotCurrent)
		w.is(p.CancelAfterBoundary(w.ctx, sid, first), runtime.ErrNotCurrent)
		if p.state().Run() != second || m.ctx.Err() != nil {
			w.Fatal("the second run was touched")
		}
		w.ok(m.replies("hi"))
		p.ended("b", "completed")
		p.close()
	})
}

// Scenario: S98, S99
func TestR42_a_cancel_at_the_boundary_is_written_once_and_dies_with_its_run(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		r := p.submit("a", "hello").Run
		w.ok(p.task(run.CallModel).replies("", call{"x", run.Once}))
		x := p.task(run.RunTool)
		w.ok(p.CancelAfterBoundary(w.ctx, sid, r))
		version := p.state().Version
		w.ok(p.CancelAfterBoundary(w.ctx, sid, r))
		if p.state().Version != version {
			w.Fatal("the repeat was written")
		}
		if x.ctx.Err() != nil {
			w.Fatal("the tool was told to stop")
		}
		p.submit("b", "next")
		w.ok(x.settles("ok"))
		p.ended("a", "cancelled")
		w.ok(p.task(run.CallModel).replies("", call{"y", run.Once}))
		w.ok(p.task(run.RunTool).settles("ok"))
		w.ok(p.task(run.CallModel).replies("done"))
		p.ended("b", "completed")
		p.close()
	})
}

// Scenario: S58, S104, S105
func TestR43_a_stop_waits_for_the_run_and_abandons_what_waits(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		m := p.task(run.CallModel)
		p.submit("b", "next")
		stopped := later(func() error { return p.StopRuntimeExecutor(w.ctx, sid, "closing time", 0) })
		w.pending(stopped)
		_, _, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{Content: says("more")})
		w.is(err, runtime.ErrStopping)
		w.ok(m.replies("done"))
		w.ok(<-stopped)
		p.ended("a", "completed")
		p.ended("b", "abandoned")
		_, _, err = p.AcceptWithCompletion(w.ctx, sid, runtime.Input{Content: says("more")})
		w.is(err, runtime.ErrNotReady)
		w.ok(p.StopRuntimeExecutor(w.ctx, sid, "again", 0)) // a repeat is no error
		w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{}))
		p.submit("c", "back")
		w.ok(p.task(run.CallModel).replies("hi"))
		p.ended("c", "completed")
		p.close()
	})
}

func TestR43_a_stop_loses_its_patience(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		p.task(run.CallModel)
		began := time.Now()
		w.ok(p.StopRuntimeExecutor(w.ctx, sid, "now", 3*time.Second))
		if took := time.Since(began); took < 3*time.Second || took > 4*time.Second {
			w.Fatalf("took %v", took)
		}
		p.ended("a", "cancelled")
		p.close()
	})
}

func TestR43_a_stop_waits_for_an_executor_that_does_not_let_go_and_then_gives_it_up(t *testing.T) {
	bubble(t, func(w *world) {
		free := make(chan struct{})
		p := w.registered(func(c *runtime.Config) {
			c.Executor = scripted{apply: func(context.Context, executor.Run, executor.Bindings) error { <-free; return nil }}
		})
		p.submit("a", "hello")
		began := time.Now()
		w.ok(p.StopRuntimeExecutor(w.ctx, sid, "now", time.Second))
		if took := time.Since(began); took < 6*time.Second || p.Abandoned() != 1 {
			w.Fatalf("took %v, %d abandoned", took, p.Abandoned())
		}
		w.ok(p.StopRuntimeExecutor(w.ctx, sid, "again", time.Second))
		close(free)
		p.close()
	})
}

func TestR43_a_stop_ends_when_the_session_is_revived_meanwhile(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		// The first commit takes its time, so that stop and revival are one batch.
		w.store.decide(next(1, storetest.Fault{Delay: time.Second}))
		first := later(func() error {
			_, _, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{ID: "a", Content: says("x")})
			return err
		})
		stopped := later(func() error { return p.StopRuntimeExecutor(w.ctx, sid, "now", time.Minute) })
		revived := later(func() error { return p.RegisterSession(w.ctx, sid, runtime.Registration{}) })
		w.ok(<-first)
		w.ok(<-revived)
		m := p.task(run.CallModel)
		w.ok(m.replies("done"))
		w.ok(<-stopped)
		p.close()
	})
}

// Scenario: S103
func TestR43_stop_and_revival_in_one_batch(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		w.store.decide(next(1, storetest.Fault{Delay: time.Second}))
		first := later(func() error {
			_, _, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{ID: "a", Content: says("x")})
			return err
		})
		stopped := later(func() error { return p.StopRuntimeExecutor(w.ctx, sid, "now", 0) })
		revived := later(func() error { return p.RegisterSession(w.ctx, sid, runtime.Registration{}) })
		w.ok(<-first)
		w.ok(<-revived)
		w.ok(<-stopped)
		p.ended("a", "abandoned")
		p.close()
	})
}

// Scenario: S106
func TestR43_a_stop_that_cannot_be_written_says_so_and_is_not_done(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		w.store.decide(always(full))
		w.is(p.StopRuntimeExecutor(w.ctx, sid, "now", 0), store.ErrFull)
		w.store.decide(nil)
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).replies("hi"))
		p.close()
	})
}

func TestA_stop_hears_that_the_host_is_closed(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		p.task(run.CallModel)
		stopped := later(func() error { return p.StopRuntimeExecutor(context.Background(), sid, "now", 0) })
		p.close()
		w.is(<-stopped, runtime.ErrClosed)
	})
}

func TestA_stop_whose_caller_leaves_goes_on(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		m := p.task(run.CallModel)
		ctx, leave := context.WithCancel(w.ctx)
		stopped := later(func() error { return p.StopRuntimeExecutor(ctx, sid, "now", 0) })
		leave()
		w.is(<-stopped, context.Canceled)
		w.ok(m.replies("hi"))
		synctest.Wait()
		if got := p.state().Phase(); got != "stopped" {
			w.Fatalf("phase %s", got)
		}
		p.close()
	})
}

// Scenario: S130
func TestClosing_leaves_a_run_unfinished_for_the_next_process(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).replies("", call{"x", run.ReadOnly}, call{"y", run.Once}))
		x, y := p.task(run.RunTool), p.task(run.RunTool)
		waiting := later(func() error { _, err := p.Wait(w.ctx, sid, "a"); return err })
		p.close()
		w.is(<-waiting, runtime.ErrClosed)
		if x.ctx.Err() == nil || y.ctx.Err() == nil {
			w.Fatal("tools were not told to stop")
		}
		for name, err := range map[string]error{
			"wake": func() error { _, err := p.WakeSession(w.ctx, sid); return err }(),
			"wait": func() error { _, err := p.Wait(w.ctx, sid, "a"); return err }(),
			"stop": p.StopRuntimeExecutor(w.ctx, sid, "", 0),
		} {
			if !errors.Is(err, runtime.ErrClosed) {
				w.Fatalf("%s: %v", name, err)
			}
		}
		// The lease was given up: nobody has to be gone, and no time has to pass.
		q := w.host(nil)
		_, err := q.WakeSession(w.ctx, sid)
		w.ok(err)
		again := q.task(run.RunTool)
		if again.Call.Name != "x" || again.Attempt != 2 {
			w.Fatalf("handed out %+v", again.Directive)
		}
		w.ok(again.settles("ok"))
		w.ok(q.task(run.CallModel).replies("done"))
		q.ended("a", "completed")
		if got := q.results(); !slices.Equal(got, []string{"x: ok", "y: outcome_unknown"}) {
			w.Fatalf("results %q", got)
		}
		q.close()
	})
}

func TestClosing_with_an_executor_that_hangs_ends_with_its_context(t *testing.T) {
	bubble(t, func(w *world) {
		free := make(chan struct{})
		p := w.registered(func(c *runtime.Config) {
			c.Executor = scripted{apply: func(context.Context, executor.Run, executor.Bindings) error { <-free; return nil }}
		})
		p.submit("a", "hello")
		synctest.Wait()
		ctx, cancel := context.WithTimeout(w.ctx, 30*time.Second)
		defer cancel()
		w.is(p.Close(ctx), context.DeadlineExceeded)
		close(free)
	})
}

// Close may give up while a session is being woken. Whoever waits for that session hears of it all the same.
func TestClosing_in_a_hurry_leaves_nobody_waiting(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		p.submit("a", "hello")
		p.close()
		release := make(chan struct{})
		w.store.loads(func() error { <-release; return nil })
		q := w.host(func(c *runtime.Config) { c.Executor = nil })
		waiting := later(func() error { _, err := q.Wait(context.Background(), sid, "a"); return err })
		ctx, cancel := context.WithCancel(w.ctx)
		cancel()
		w.is(q.Close(ctx), context.Canceled)
		w.pending(waiting)
		close(release)
		if err := <-waiting; err == nil {
			w.Fatal("the wait has an end")
		}
	})
}

func TestClosing_does_not_wait_for_an_executor_that_was_given_up(t *testing.T) {
	bubble(t, func(w *world) {
		free := make(chan struct{})
		p := w.registered(func(c *runtime.Config) {
			c.Executor = scripted{apply: func(context.Context, executor.Run, executor.Bindings) error { <-free; return nil }}
		})
		r := p.submit("a", "hello").Run
		w.ok(p.InterruptCurrentRun(w.ctx, sid, r, ""))
		pass(10 * time.Second)
		if p.Abandoned() != 1 {
			w.Fatalf("%d abandoned", p.Abandoned())
		}
		p.close()
		close(free)
	})
}

func TestClosing_releases_every_lease(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.register("s2")
		p.register("s3")
		p.close()
		q := w.host(nil)
		for _, s := range []id.Session{sid, "s2", "s3"} {
			_, err := q.WakeSession(w.ctx, s)
			w.ok(err)
		}
		q.close()
	})
}
