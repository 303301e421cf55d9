package runtime_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/storetest"
)

var full = storetest.Fault{Fail: store.ErrFull}

// Scenario: S59
func TestA_full_disk_is_told_at_once_and_nothing_is_half_written(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		before := p.state().Version
		w.store.decide(always(full))
		began := time.Now()
		_, _, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{ID: "a", Content: says("hello")})
		w.is(err, store.ErrFull)
		if fault.CodeOf(err) != fault.Storage || time.Since(began) > time.Second {
			w.Fatalf("code %s after %v", fault.CodeOf(err), time.Since(began))
		}
		if p.state().Version != before {
			w.Fatal("the state has moved")
		}
		p.nothing()
		w.store.decide(nil)
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).replies("hi"))
		p.ended("a", "completed")
		p.close()
	})
}

// Submits may be refused for as long as the disk is full: their callers know. That is no reason to close a session.
func TestA_session_stays_open_while_only_submits_are_refused(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		w.store.decide(always(full))
		for range 5 {
			_, _, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{Content: says("hello")})
			w.is(err, store.ErrFull)
			if errors.Is(err, runtime.ErrStore) {
				w.Fatal("the session was closed")
			}
			pass(10 * time.Second)
		}
		w.store.decide(nil)
		p.close()
	})
}

func TestR09_a_report_is_kept_through_failures_of_the_store(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		m := p.task(run.CallModel)
		w.store.decide(next(50, full))
		w.ok(m.replies("", call{"x", run.Once}))
		x := p.task(run.RunTool)
		w.store.decide(next(50, storetest.Fault{Fail: store.ErrBusy}))
		w.ok(x.settles("ok"))
		w.ok(p.task(run.CallModel).replies("done"))
		p.ended("a", "completed")
		p.close()
	})
}

func TestR09_a_store_that_fails_too_long_closes_the_session_in_memory_and_the_run_is_left_for_later(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		m := p.task(run.CallModel)
		waiting := make(chan error, 1)
		go func() { _, err := p.Wait(w.ctx, sid, "a"); waiting <- err }()
		synctest.Wait()
		listener := p.hub.Subscribe(sid, p.state().Cursor)
		defer listener.Close()
		w.store.decide(always(full))
		began := time.Now()
		w.is(m.replies("lost"), executor.ErrStale)
		if e, err := listener.Next(w.ctx); err != nil || e.Payload != (event.StoreFailing{Error: e.Payload.(event.StoreFailing).Error, Patience: 15 * time.Second}) {
			w.Fatalf("a listener hears %+v %v", e, err)
		}
		if took := time.Since(began); took < 15*time.Second || took > 20*time.Second {
			w.Fatalf("gave up after %v", took)
		}
		w.is(<-waiting, runtime.ErrStore)
		w.store.decide(nil)
		if st := p.state(); st.Run() == "" {
			w.Fatal("the run is gone")
		}
		_, err := p.WakeSession(w.ctx, sid)
		w.ok(err)
		w.ok(p.task(run.CallModel).replies("again"))
		p.ended("a", "completed")
		p.close()
	})
}

// hidden tries a body with every way in which the outcome of a commit may be unknown.
func hidden(t *testing.T, body func(w *world, hide storetest.Fault)) {
	t.Parallel()
	for name, hide := range map[string]storetest.Hiding{"written": storetest.HideWritten, "lost": storetest.HideLost} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) { body(w, storetest.Fault{Hide: hide}) })
		})
	}
}

func TestR25_an_unknown_outcome_is_looked_up(t *testing.T) {
	hidden(t, func(w *world, hide storetest.Fault) {
		p := w.registered(nil)
		listen := p.hub.Subscribe(sid, p.state().Cursor)
		defer listen.Close()
		w.store.decide(next(1, hide))
		if v := p.submit("a", "hello"); v.Duplicate || v.Run == "" {
			w.Fatalf("verdict %+v", v)
		}
		m := p.task(run.CallModel)
		w.store.decide(next(1, hide))
		w.ok(m.replies("", call{"x", run.Once}))
		x := p.task(run.RunTool)
		w.store.decide(next(1, hide))
		w.ok(x.settles("ok"))
		m = p.task(run.CallModel)
		// R12: whoever waits hears of the end although nobody saw its commit return.
		waiting := make(chan error, 1)
		go func() { _, err := p.Wait(w.ctx, sid, "a"); waiting <- err }()
		synctest.Wait()
		w.store.decide(next(1, hide))
		w.ok(m.replies("done"))
		synctest.Wait()
		select {
		case err := <-waiting:
			w.ok(err)
		default:
			w.Fatal("the waiter was not told")
		}
		p.nothing()
		// R46: listeners too.
		all := p.events()
		for _, want := range all[1:] { // the session was registered before
			got, err := listen.Next(w.ctx)
			w.ok(err)
			if got.Cursor != want.Cursor {
				w.Fatalf("heard %d %s, stored %d %s", got.Cursor, got.Payload.Type(), want.Cursor, want.Payload.Type())
			}
		}
		if count[event.RunCompleted](all) != 1 || len(p.results()) != 1 {
			w.Fatalf("results %v", p.results())
		}
		p.close()
	})
}

func TestR25_several_letters_of_one_unknown_commit_have_their_effect_once(t *testing.T) {
	hidden(t, func(w *world, hide storetest.Fault) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		// The first commit takes its time, so that the rest waits and is one batch.
		n := 0
		w.store.decide(func(*store.Batch) storetest.Fault {
			n++
			switch n {
			case 1:
				return storetest.Fault{Delay: time.Second}
			case 2:
				return hide
			}
			return storetest.Fault{}
		})
		done := make(chan bool, 4)
		for _, in := range []string{"a", "b", "c", "b"} {
			go func() {
				v, _, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{ID: id.Input(in), Content: says(in)})
				done <- err == nil && !v.Duplicate
			}()
			synctest.Wait()
		}
		fresh := 0
		for range 4 {
			if <-done {
				fresh++
			}
		}
		list, err := p.ListActiveInputs(w.ctx, sid)
		w.ok(err)
		if fresh != 3 || len(list) != 3 {
			w.Fatalf("%d fresh, active %v", fresh, list)
		}
		p.close()
	})
}

// The look-up itself may fail; what was written is found all the same, without anybody asking again.
func TestR25_an_unknown_outcome_is_looked_up_until_it_is_known(t *testing.T) {
	hidden(t, func(w *world, hide storetest.Fault) {
		p := w.registered(nil)
		w.store.decide(next(1, hide))
		var failures atomic.Int64
		w.store.loads(func() error {
			if failures.Add(1) < 10 {
				return store.ErrFailed
			}
			return nil
		})
		_, _, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{ID: "a", Content: says("hello")})
		if err != nil {
			w.is(err, store.ErrUnknown)
		}
		pass(time.Second)
		if hide.Hide == storetest.HideLost {
			p.submit("a", "hello")
		}
		w.ok(p.task(run.CallModel).replies("hi"))
		p.ended("a", "completed")
		p.close()
	})
}

func TestR25_a_lost_executor_counts_once_though_its_commit_is_unknown(t *testing.T) {
	hidden(t, func(w *world, hide storetest.Fault) {
		p := w.registered(nil)
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).replies("", call{"x", run.ReadOnly}))
		p.task(run.RunTool)
		w.store.decide(next(1, hide))
		q := w.host(func(c *runtime.Config) { c.Gone = gone })
		_, err := q.WakeSession(w.ctx, sid)
		w.ok(err)
		x := q.task(run.RunTool)
		if x.Attempt != 2 || count[event.Resumed](q.events()) != 1 || q.state().Turn.Resumes != 1 {
			w.Fatalf("attempt %d, resumed %d times", x.Attempt, q.state().Turn.Resumes)
		}
		w.ok(x.settles("ok"))
		w.ok(q.task(run.CallModel).replies("done"))
		q.close()
		p.close()
	})
}

// What is lost with an executor is decided before anything is handed out again, also when that decision cannot be written at first
// and other mail can.
// Scenario: S136
func TestR04_R35_a_decision_that_could_not_be_written_goes_before_what_comes_later(t *testing.T) {
	bubble(t, func(w *world) {
		var applied atomic.Int64
		var starts []string
		die := make(chan struct{})
		p := w.host(nil)
		h := hands{p.tasks}
		ex := scripted{apply: func(ctx context.Context, r executor.Run, b executor.Bindings) error {
			if applied.Add(1) > 1 {
				return h.Apply(ctx, r, b)
			}
			for d := range b.Turn.Directives(ctx) {
				if d.Kind == run.RunTool {
					starts = append(starts, d.Call.Name)
					<-die
					return errors.New("lost in the middle of a call")
				}
				w.ok(task{d, b.Turn, ctx, b.Call}.replies("", call{"x", run.Once}))
			}
			return nil
		}}
		p.register(sid)
		q := w.host(func(c *runtime.Config) { c.Executor = ex; c.Gone = gone })
		q.tasks = p.tasks
		_, err := q.WakeSession(w.ctx, sid)
		w.ok(err)
		q.submit("a", "hello")
		synctest.Wait()
		// The loss of the executor cannot be written; a submit a moment later can.
		w.store.decide(always(full))
		close(die)
		synctest.Wait()
		w.store.decide(nil)
		q.submit("b", "more")
		m := q.task(run.CallModel) // and not x once more
		if got := q.results(); !slices.Equal(got, []string{"x: outcome_unknown"}) || len(starts) != 1 {
			w.Fatalf("results %v, starts %v", got, starts)
		}
		w.ok(m.replies("done"))
		w.ok(q.task(run.CallModel).replies("done"))
		q.ended("b", "completed")
		q.close()
		p.close()
	})
}

func TestA_failing_look_up_of_an_earlier_input_is_no_new_input(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).replies("hi"))
		p.ended("a", "completed")
		w.store.inputs(func() error { return store.ErrFailed })
		_, _, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{ID: "a", Content: says("hello")})
		w.is(err, store.ErrFailed)
		w.store.inputs(nil)
		if v := p.submit("a", "hello"); !v.Duplicate {
			w.Fatal("admitted twice")
		}
		p.nothing()
		p.close()
	})
}
