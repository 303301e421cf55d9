package runtime_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/storetest"
)

// An executor that is lost leaves its model call open under the same attempt, since nothing is known of it. So its number alone does
// not tell a late failure of it from one of its successor.
func TestR10_a_failure_told_by_an_activation_that_has_ended_does_not_count_against_its_successor(t *testing.T) {
	bubble(t, func(w *world) {
		held := make(chan task)
		first := true
		ex := scripted{executor.Profile{Grain: run.Fine}, func(ctx context.Context, _ executor.Run, b executor.Bindings) error {
			for d := range b.Turn.Directives(ctx) {
				held <- task{d, b.Turn, ctx, b.Call}
				if first {
					first = false
					return errors.New("gives up")
				}
			}
			return ctx.Err()
		}}
		p := w.registered(func(c *runtime.Config) { c.Executor = ex })
		p.submit("a", "hello")
		dead, living := <-held, <-held
		if dead.ID != living.ID || dead.Attempt != living.Attempt {
			w.Fatalf("handed out %s/%d, then %s/%d", dead.ID, dead.Attempt, living.ID, living.Attempt)
		}
		late := run.ModelFailed{ID: dead.ID, Attempt: dead.Attempt, Failure: run.Failure{Kind: "invalid_request", Message: "late"}}
		w.is(dead.turn.Report(w.ctx, late), executor.ErrStale)
		w.ok(living.replies("done"))
		p.ended("a", "completed")
		p.close()
	})
}

// A clock that is set back makes a lease that had run out good again before anybody renewed it.
func TestR03_what_was_held_back_is_handed_out_after_the_renewal_also_if_the_clock_was_set_back(t *testing.T) {
	bubble(t, func(w *world) {
		var offset atomic.Int64
		p := w.registered(func(c *runtime.Config) {
			c.Now = func() time.Time { return time.Now().Add(time.Duration(offset.Load())).Round(0) }
		})
		p.submit("a", "hello")
		m := p.task(run.CallModel)
		offset.Store(int64(time.Hour)) // the lease seems to have run out
		w.ok(m.replies("", call{"x", run.ReadOnly}))
		p.nothing()
		offset.Store(0)
		w.ok(p.task(run.RunTool).settles("done"))
		w.ok(p.task(run.CallModel).replies("done"))
		p.ended("a", "completed")
		p.close()
	})
}

// Somebody asks for a session that does not exist, and while that is looked up somebody else makes it.
func TestA_registration_is_not_answered_by_somebody_elses_lookup(t *testing.T) {
	bubble(t, func(w *world) {
		slow := &slowAcquire{Store: w.store, asked: make(chan struct{}), free: make(chan struct{})}
		p := w.host(func(c *runtime.Config) { c.Store = slow })
		lookup := later(func() error { _, err := p.WakeSession(w.ctx, sid); return err })
		<-slow.asked
		made := later(func() error {
			return p.RegisterSession(w.ctx, sid, runtime.Registration{Profile: &run.Profile{Model: "m"}})
		})
		synctest.Wait()
		close(slow.free)
		w.is(<-lookup, runtime.ErrNotFound)
		w.ok(<-made)
		p.close()
	})
}

// slowAcquire holds the first acquisition up.
type slowAcquire struct {
	store.Store
	asked, free chan struct{}
	held        bool
}

func (s *slowAcquire) Acquire(ctx context.Context, c store.Claim) (store.Lease, error) {
	if !s.held {
		s.held = true
		close(s.asked)
		<-s.free
	}
	return s.Store.Acquire(ctx, c)
}

// The drainer has looked whether the host is closing, and goes on to put the executor to work.
func TestClose_waits_for_an_executor_that_is_put_to_work_while_it_closes(t *testing.T) {
	bubble(t, func(w *world) {
		armed, written := new(atomic.Bool), new(atomic.Bool)
		stalled, goOn, letGo := make(chan struct{}), make(chan struct{}), make(chan struct{})
		started := new(atomic.Bool)
		p := w.registered(func(c *runtime.Config) {
			c.Store = notingCommit{c.Store, func() { written.Store(armed.Swap(false)) }}
			c.Now = func() time.Time {
				if written.Swap(false) { // what is looked at first is the lease
					close(stalled)
					<-goOn
				}
				return time.Now()
			}
			c.Executor = scripted{executor.Profile{Grain: run.Fine}, func(context.Context, executor.Run, executor.Bindings) error {
				started.Store(true)
				<-letGo
				return nil
			}}
		})
		armed.Store(true)
		p.submit("a", "hello")
		<-stalled
		closed := later(func() error { return p.Close(w.ctx) })
		synctest.Wait()
		close(goOn)
		synctest.Wait()
		if !started.Load() {
			w.Fatal("the executor was not put to work: the test proves nothing")
		}
		select {
		case err := <-closed:
			w.Fatalf("closed with an executor at work: %v", err)
		default:
		}
		close(letGo)
		w.ok(<-closed)
	})
}

// What failed once and was settled without another write does not count when the store fails again much later.
func TestR09_only_failures_that_follow_each_other_close_a_session(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		m := p.task(run.CallModel)
		w.store.decide(always(storetest.Fault{Hide: storetest.HideLost}))
		w.store.loads(func() error { return store.ErrBusy })
		_, _, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{ID: "b", Content: says("lost")})
		w.is(err, store.ErrUnknown)
		w.store.decide(nil)
		w.store.loads(nil)
		<-time.After(time.Hour) // it is looked up, and was not written
		w.store.decide(next(4, full))
		w.ok(m.replies("done"))
		p.ended("a", "completed")
		p.close()
	})
}

// notingCommit says when a commit has been made.
type notingCommit struct {
	store.Store
	note func()
}

func (s notingCommit) Commit(ctx context.Context, b *store.Batch) error {
	err := s.Store.Commit(ctx, b)
	s.note()
	return err
}
