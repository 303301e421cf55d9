package runtime_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
)

func TestA_session_that_is_held_elsewhere_names_its_holder(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		q := w.host(nil)
		_, _, err := q.AcceptWithCompletion(w.ctx, sid, runtime.Input{Content: says("hello")})
		w.is(err, runtime.ErrOwnedElsewhere)
		var held *store.HeldError
		if !errors.As(err, &held) || held.Lease.Owner.PID != 41 || !strings.Contains(err.Error(), "process 41") {
			w.Fatalf("got %v", err)
		}
		if fault.CodeOf(err) != fault.OwnedElsewhere {
			w.Fatalf("code %s", fault.CodeOf(err))
		}
		// Reading needs no lease.
		if _, err := q.State(w.ctx, sid); err != nil {
			w.Fatal(err)
		}
		q.close()
		p.close()
	})
}

func TestR26_a_takeover_fences_the_old_owner_which_writes_nothing_more(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).replies("", call{"x", run.Once}))
		x := p.task(run.RunTool)
		waiting := later(func() error { _, err := p.Wait(w.ctx, sid, "a"); return err })

		q := w.host(func(c *runtime.Config) { c.Gone = gone })
		_, err := q.WakeSession(w.ctx, sid)
		w.ok(err)
		m := q.task(run.CallModel)
		version := q.state().Version
		// R02: the old owner hears of it with its next letter, and is over at once.
		w.is(x.settles("from the dead"), executor.ErrStale)
		w.is(<-waiting, runtime.ErrOwnedElsewhere)
		synctest.Wait()
		if x.ctx.Err() == nil {
			w.Fatal("the old activation goes on")
		}
		p.nothing()
		if got := q.state().Version; got != version {
			w.Fatalf("version %d became %d", version, got)
		}
		_, _, err = p.AcceptWithCompletion(w.ctx, sid, runtime.Input{Content: says("hello")})
		w.is(err, runtime.ErrOwnedElsewhere)
		w.ok(m.replies("done"))
		q.ended("a", "completed")
		q.close()
		p.close()
	})
}

func TestR02_a_renewal_that_was_lost_ends_the_session_at_once(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		m := p.task(run.CallModel)
		waiting := later(func() error { _, err := p.Wait(w.ctx, sid, "a"); return err })
		_, err := w.memory.Acquire(w.ctx, store.Claim{Session: sid, Owner: store.Owner{ID: "thief"}, Now: time.Now(), TTL: time.Minute,
			Break: 1})
		w.ok(err)
		w.is(<-waiting, runtime.ErrOwnedElsewhere) // after at most one renewal, with nothing to commit
		if m.ctx.Err() == nil {
			w.Fatal("the activation goes on")
		}
		if p.state().Attached() {
			w.Fatal("still live")
		}
		p.close()
	})
}

func TestR03_an_owner_whose_lease_may_have_run_out_hands_nothing_out(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		m := p.task(run.CallModel)
		w.store.renews(func() error { return store.ErrFailed })
		pass(11 * time.Second)
		w.ok(m.replies("", call{"x", run.Once})) // nobody has taken the lease: it still commits
		p.nothing()
		pass(5 * time.Second)
		p.nothing()
		w.store.renews(nil)
		w.ok(p.task(run.RunTool).settles("ok")) // after the next renewal
		w.ok(p.task(run.CallModel).replies("done"))
		p.ended("a", "completed")
		p.close()
	})
}

// What was put into the iterator before the lease ran out is not taken from it after.
func TestR03_what_waits_in_the_iterator_waits_for_the_lease(t *testing.T) {
	bubble(t, func(w *world) {
		took := make(chan run.Directive, 10)
		slow := make(chan struct{})
		p := w.registered(func(c *runtime.Config) {
			c.Executor = scripted{apply: func(ctx context.Context, _ executor.Run, b executor.Bindings) error {
				for d := range b.Turn.Directives(ctx) {
					took <- d
					if d.Kind == run.CallModel {
						_ = task{d, b.Turn, ctx, b.Call}.replies("", call{"x", run.Once}, call{"y", run.Once})
						continue
					}
					<-slow
					_ = task{d, b.Turn, ctx, b.Call}.settles("ok")
				}
				return nil
			}}
		})
		p.submit("a", "hello")
		synctest.Wait()
		w.store.renews(func() error { return store.ErrFailed })
		pass(11 * time.Second)
		slow <- struct{}{} // x settles; y waits in the iterator
		synctest.Wait()
		if len(took) != 2 {
			w.Fatalf("%d taken", len(took))
		}
		w.store.renews(nil)
		slow <- struct{}{} // y, once it is handed out
		p.interrupt(w)
		close(slow)
		p.close()
	})
}

// interrupt ends whatever runs.
func (p *place) interrupt(w *world) {
	synctest.Wait()
	if r := p.state().Run(); r != "" {
		w.ok(p.InterruptCurrentRun(w.ctx, sid, r, "the test is over"))
	}
}

func TestA_lease_that_ran_out_is_taken_over_without_knowing_that_its_holder_is_gone(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		p.task(run.CallModel)
		w.store.renews(func() error { return store.ErrFailed })
		q := w.host(nil)
		_, err := q.WakeSession(w.ctx, sid)
		w.is(err, runtime.ErrOwnedElsewhere)
		pass(10 * time.Second)
		_, err = q.WakeSession(w.ctx, sid)
		w.ok(err)
		w.ok(q.task(run.CallModel).replies("done"))
		q.ended("a", "completed")
		q.close()
		p.close()
	})
}

// A session that is lost and comes back to the same process waits for the executor that is still at it.
func TestAn_executor_is_never_on_the_same_session_twice_at_once(t *testing.T) {
	bubble(t, func(w *world) {
		var at atomic.Int64
		free := make(chan struct{})
		p := w.registered(func(c *runtime.Config) {
			c.Gone = gone
			h := c.Executor
			c.Executor = scripted{apply: func(ctx context.Context, r executor.Run, b executor.Bindings) error {
				if at.Add(1) > 1 {
					t := "twice at once"
					w.Error(t)
				}
				defer at.Add(-1)
				select {
				case <-free:
					return h.Apply(ctx, r, b)
				default:
				}
				<-free // does not let go
				return ctx.Err()
			}}
		})
		p.submit("a", "hello")
		synctest.Wait()
		steal := store.Claim{Session: sid, Owner: store.Owner{ID: "thief"}, Now: time.Now(), TTL: time.Minute, Break: 1}
		_, err := w.memory.Acquire(w.ctx, steal)
		w.ok(err)
		pass(4 * time.Second) // a renewal finds out
		woken := later(func() error { _, err := p.WakeSession(w.ctx, sid); return err })
		w.pending(woken)
		close(free)
		w.ok(<-woken)
		w.ok(p.task(run.CallModel).replies("done"))
		p.ended("a", "completed")
		p.close()
	})
}

func TestWaking_goes_on_when_its_caller_leaves(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.close()
		release := make(chan struct{})
		w.store.loads(func() error { <-release; return nil })
		q := w.host(nil)
		ctx, leave := context.WithCancel(w.ctx)
		woken := later(func() error { _, err := q.WakeSession(ctx, sid); return err })
		leave()
		w.is(<-woken, context.Canceled)
		close(release)
		synctest.Wait()
		if !q.state().Attached() {
			w.Fatal("not live")
		}
		q.close()
	})
}
