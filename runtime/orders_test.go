package runtime_test

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/storetest"
)

// A commit whose outcome stays unknown for longer than its caller waits, and that was written: what had to follow it in this process follows.
func TestR25_an_executor_is_put_to_work_although_nobody_could_say_that_it_was_attached(t *testing.T) {
	hidden(t, func(w *world, hide storetest.Fault) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		p.submit("a", "hello")
		tasks := make(chan task)
		p.tasks = tasks
		w.store.decide(next(1, hide))
		w.store.loads(failing(20))
		_, err := p.EnsureSessionWithExecutor(w.ctx, sid, hands{tasks})
		w.is(err, store.ErrUnknown)
		pass(10 * time.Second)
		how, err := p.EnsureSessionWithExecutor(w.ctx, sid, hands{tasks})
		w.ok(err)
		if written := hide.Hide == storetest.HideWritten; written != (how == runtime.AlreadyAttached) {
			w.Fatalf("attached: %v", how)
		}
		w.ok(p.task(run.CallModel).replies("hi"))
		p.ended("a", "completed")
		p.close()
	})
}

func TestR57_a_session_whose_unregistration_was_written_unseen_is_left_to_others(t *testing.T) {
	hidden(t, func(w *world, hide storetest.Fault) {
		p := w.registered(nil)
		w.store.decide(next(1, hide))
		w.store.loads(failing(20))
		w.is(p.UnregisterSession(w.ctx, sid), runtime.ErrUnregisterUnknown)
		pass(10 * time.Second)
		if hide.Hide == storetest.HideLost {
			w.ok(p.UnregisterSession(w.ctx, sid))
		}
		q := w.host(nil)
		w.ok(q.RegisterSession(w.ctx, sid, runtime.Registration{}))
		q.close()
		p.close()
	})
}

// cleans counts how often the executor of a host is told to clean up.
func (w *world) cleans(into *atomic.Int64) func(*runtime.Config) {
	return func(c *runtime.Config) {
		c.Executor = cleaner{c.Executor.(hands), func(context.Context, id.Session) error { into.Add(1); return nil }}
	}
}

func TestR43_an_executor_does_not_clean_up_for_a_stop_that_did_not_come(t *testing.T) {
	bubble(t, func(w *world) {
		var n atomic.Int64
		p := w.registered(w.cleans(&n))
		w.store.decide(always(full))
		w.is(p.StopRuntimeExecutor(w.ctx, sid, "enough", 0), store.ErrFull)
		w.store.decide(nil)
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).replies("hi"))
		p.ended("a", "completed")
		synctest.Wait()
		if n.Load() != 0 {
			w.Fatal("it cleaned up, and goes on")
		}
		_, err := p.Destroy(w.ctx, sid)
		w.ok(err)
		w.is(p.StopRuntimeExecutor(w.ctx, sid, "enough", 0), runtime.ErrDestroyed)
		synctest.Wait()
		if n.Load() != 0 {
			w.Fatal("it cleaned up for a stop that was refused")
		}
		p.close()
	})
}

// The stop waits for the run, an unregistration comes in between, and the lease is lost while the executor cleans up for that.
func TestR02_a_stop_ends_with_the_lease_also_while_the_executor_cleans_up_for_something_else(t *testing.T) {
	bubble(t, func(w *world) {
		free := make(chan struct{})
		p := w.registered(func(c *runtime.Config) {
			c.Grace = time.Hour
			c.Executor = cleaner{c.Executor.(hands), func(context.Context, id.Session) error { <-free; return nil }}
		})
		p.submit("a", "hello")
		p.task(run.CallModel)
		stopped := later(func() error { return p.StopRuntimeExecutor(w.ctx, sid, "enough", 0) })
		left := later(func() error { return p.UnregisterSession(w.ctx, sid) })
		w.pending(stopped)
		w.lost()
		pass(time.Minute)
		w.is(<-left, runtime.ErrOwnedElsewhere)
		close(free)
		select {
		case err := <-stopped:
			w.is(err, runtime.ErrOwnedElsewhere)
		case <-time.After(time.Hour):
			w.Fatal("the stop hangs")
		}
		p.close()
	})
}

// lost takes the session over for somebody else.
func (w *world) lost() {
	w.Helper()
	_, err := w.memory.Acquire(w.ctx, store.Claim{Session: sid, Owner: store.Owner{ID: "other"}, Now: time.Now(), TTL: time.Hour, Break: 1})
	w.ok(err)
}

// heldUp is a store that holds commits up while it is told to.
type heldUp struct {
	store.Store
	hold atomic.Pointer[chan struct{}]
}

func (h *heldUp) Commit(ctx context.Context, b *store.Batch) error {
	if ch := h.hold.Load(); ch != nil {
		<-*ch
	}
	return h.Store.Commit(ctx, b)
}

// The end of a registration and the beginning of the next are one commit, so the session never leaves memory.
func TestR96_a_wait_ends_with_its_registration_also_if_the_session_stays_in_memory(t *testing.T) {
	bubble(t, func(w *world) {
		slow := &heldUp{Store: w.store}
		cleaned := make(chan struct{})
		p := w.registered(func(c *runtime.Config) {
			c.Store = slow
			c.Executor = cleaner{c.Executor.(hands), func(context.Context, id.Session) error { <-cleaned; return nil }}
		})
		o := p.bindings().Operations
		for _, op := range []string{"x", "y"} {
			w.ok(o.Register(w.ctx, op, executor.OperationSpec{Work: executor.MemberChild, Name: op, Child: "c", Durable: true}))
			w.ok(o.Start(w.ctx, op))
		}
		wait := later(func() error { _, err := o.WaitAll(w.ctx, "w", []string{"x"}); return err })
		left := later(func() error { return p.UnregisterSession(w.ctx, sid) })
		free := make(chan struct{})
		slow.hold.Store(&free)
		ended := later(func() error { return o.Complete(w.ctx, "y", executor.OperationResult{}) })
		close(cleaned)
		synctest.Wait()
		back := later(func() error { return p.RegisterSession(w.ctx, sid, runtime.Registration{}) })
		w.pending(wait)
		close(free)
		w.ok(<-ended)
		w.ok(<-left)
		w.ok(<-back)
		select {
		case err := <-wait:
			w.is(err, executor.ErrStaleHandle)
		case <-time.After(time.Hour):
			w.Error("the wait hangs")
		}
		p.close()
	})
}

// The session retires in the very commit that begins the change.
func TestR78_a_change_of_model_that_ends_with_the_session_is_answered(t *testing.T) {
	for name, end := range map[string]func(*world, *place) error{
		"retire":  func(w *world, p *place) error { _, err := p.Retire(w.ctx, sid); return err },
		"destroy": func(w *world, p *place) error { _, err := p.Destroy(w.ctx, sid); return err },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				slow := &heldUp{Store: w.store}
				p := w.registered(func(c *runtime.Config) { c.Store, c.Models = slow, &shop{} })
				_, err := p.ReconfigureSessionLLMIdentity(w.ctx, sid, identity.Request{Model: "beta"})
				w.ok(err)
				free := make(chan struct{})
				slow.hold.Store(&free)
				said := later(func() error { return p.PublishEvent(w.ctx, sid, "k", nil) })
				change := later(func() error {
					_, err := p.ReconfigureSessionLLMIdentity(w.ctx, sid, identity.Request{Model: "alpha"})
					return err
				})
				over := later(func() error { return end(w, p) })
				close(free)
				w.ok(<-said)
				w.ok(<-over)
				select {
				case err := <-change:
					w.is(err, runtime.ErrNotReady)
				case <-time.After(time.Hour):
					w.Error("the change hangs")
				}
				p.close()
			})
		})
	}
}

func TestR11_a_registration_whose_caller_leaves_is_not_waited_for(t *testing.T) {
	bubble(t, func(w *world) {
		free := make(chan struct{})
		slow := &heldUp{Store: w.store}
		slow.hold.Store(&free)
		p := w.host(func(c *runtime.Config) { c.Store = slow })
		ctx, cancel := context.WithTimeout(w.ctx, time.Second)
		defer cancel()
		made := later(func() error {
			return p.RegisterSession(ctx, sid, runtime.Registration{Profile: &run.Profile{Model: "m"}})
		})
		select {
		case err := <-made:
			w.is(err, store.ErrUnknown)
		case <-time.After(time.Minute):
			w.Error("it does not leave")
		}
		close(free)
		synctest.Wait()
		p.close()
	})
}

// A steer may be what a peer says, too, and stands in the transcript as a notice.
func TestR38_a_peers_words_reach_a_foreign_executor_through_a_failing_store(t *testing.T) {
	bubble(t, func(w *world) {
		step, at, loop := stepping()
		p := w.registered(func(c *runtime.Config) { c.Executor = loop })
		p.submit("a", "hello")
		peer := func(in id.Input) {
			_, _, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{ID: in, Of: &input.Input{Source: input.Source{Kind: input.SourcePeer, Peer: "bob"},
				Durability: input.Durable, Body: input.Peer{Convention: input.Message{}, Body: "from " + string(in), Handling: input.HandlingSteer}}})
			w.ok(err)
		}
		peer("s")
		synctest.Wait()
		w.store.decide(next(1, storetest.Fault{Hide: storetest.HideWritten}))
		w.store.loads(failing(20))
		step <- true
		select {
		case got := <-at:
			if len(got.Steers) != 1 || got.Steers[0].Content.Plain() == "" {
				w.Errorf("took %+v", got.Steers)
			}
		case <-time.After(time.Minute):
			w.Fatal("nothing came")
		}
		step <- false
		p.ended("a", "completed")
		p.close()
	})
}

func TestR133_a_destroy_that_is_refused_takes_nothing_of_a_session_that_is_away(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		w.ok(p.UnregisterSession(w.ctx, sid))
		old := id.Epoch("of another")
		_, err := p.Route(w.ctx, runtime.Routed{Command: runtime.RouteDestroy, Session: sid, Epoch: &old})
		w.is(err, runtime.ErrStaleEpoch)
		w.store.decide(always(full))
		_, err = p.Destroy(w.ctx, sid)
		w.is(err, store.ErrFull)
		w.store.decide(nil)
		q := w.host(nil)
		w.ok(q.RegisterSession(w.ctx, sid, runtime.Registration{}))
		q.close()
		p.close()
	})
}

func TestR54_who_archives_a_session_beside_another_joins(t *testing.T) {
	bubble(t, func(w *world) {
		free := make(chan struct{})
		p := w.registered(func(c *runtime.Config) {
			c.Executor = cleaner{c.Executor.(hands), func(context.Context, id.Session) error { <-free; return nil }}
		})
		first := later(func() error { return p.Archive(w.ctx, sid) })
		second := later(func() error { return p.Archive(w.ctx, sid) })
		close(free)
		w.ok(<-first)
		w.ok(<-second)
		w.ok(p.Archive(w.ctx, sid))
		p.close()
	})
}

func TestR86_a_switch_that_is_waited_for_ends_with_its_session(t *testing.T) {
	bubble(t, func(w *world) {
		dealer := &shop{}
		p := w.registered(dealer.selling)
		w.ok(p.SetModelBaseline(w.ctx, sid, identity.Route{Model: "m"}))
		dealer.set(make(chan struct{}), nil)
		change := later(func() error {
			_, err := p.RequestModelSwitch(w.ctx, sid, executor.SwitchRequest{ID: "q", Target: identity.Route{Model: "n"}, Approval: identity.ApprovalNotRequired})
			return err
		})
		w.pending(change)
		_, err := p.Destroy(w.ctx, sid)
		w.ok(err)
		select {
		case err := <-change:
			w.is(err, runtime.ErrDestroyed)
		case <-time.After(time.Hour):
			w.Error("the switch hangs")
		}
		p.close()
	})
}
