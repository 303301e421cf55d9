package runtime_test

import (
	"context"
	"errors"
	"maps"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
)

var ann = executor.Peer{ID: "ann", Name: "Ann", Key: "ed25519:ann"}

// uses are all that can be done with handles, each once.
func uses(w *world, b executor.Bindings) map[string]func() error {
	ctx := w.ctx
	o, t, i, v := b.Operations, b.Toolservers, b.Interactions, b.Supervision
	just := func(_ any, err error) error { return err }
	all := usesOfModels(w, b)
	maps.Copy(all, map[string]func() error{
		"Operations.Register":       func() error { return o.Register(ctx, "x", executor.OperationSpec{}) },
		"Operations.Start":          func() error { return o.Start(ctx, "x") },
		"Operations.Progress":       func() error { return o.Progress(ctx, "x") },
		"Operations.Complete":       func() error { return o.Complete(ctx, "x", executor.OperationResult{}) },
		"Operations.Fail":           func() error { return o.Fail(ctx, "x", "no") },
		"Operations.Cancel":         func() error { return o.Cancel(ctx, "x", "no") },
		"Operations.Abort":          func() error { return o.Abort(ctx, "x", "no") },
		"Operations.Retire":         func() error { return o.Retire(ctx, "x") },
		"Operations.MarkRetired":    func() error { return o.MarkRetired(ctx, "x") },
		"Operations.PeerReady":      func() error { return o.PeerReady(ctx, "x") },
		"Operations.TerminateOwner": func() error { return o.TerminateOwner(ctx, "no") },
		"Operations.SetLimits":      func() error { return o.SetLimits(ctx, 1, 1) },
		"Operations.Get":            func() error { return just(o.Get(ctx, "x")) },
		"Operations.List":           func() error { return just(o.List(ctx)) },
		"Operations.Watch":          func() error { return just(o.Watch(ctx, "x")) },
		"Operations.WaitAll":        func() error { return just(o.WaitAll(ctx, "w", []string{"x"})) },
		"Operations.Since":          func() error { return just(o.Since(ctx, 0)) },
		"Operations.WaitForAdvance": func() error { return just(o.WaitForAdvance(ctx, 0)) },

		"Completions.Cursors":  func() error { return just(b.Completions.Cursors(ctx)) },
		"Completions.News":     func() error { return just(b.Completions.News(ctx)) },
		"Completions.Announce": func() error { return b.Completions.Announce(ctx, 0) },

		"Toolservers.Add":           func() error { return t.Add(ctx, "files", "f") },
		"Toolservers.Remove":        func() error { return t.Remove(ctx, "files") },
		"Toolservers.Reload":        func() error { return t.Reload(ctx, "files") },
		"Toolservers.SetTimeout":    func() error { return t.SetTimeout(ctx, time.Minute) },
		"Toolservers.SetRetries":    func() error { return t.SetRetries(ctx, 1) },
		"Toolservers.List":          func() error { return just(t.List(ctx)) },
		"Toolservers.Owed":          func() error { return just(t.Owed(ctx)) },
		"Toolservers.Wanted":        func() error { return just(t.Wanted(ctx, "files")) },
		"Toolservers.Connected":     func() error { return t.Connected(ctx, executor.ToolserverConnect{Server: "files"}) },
		"Toolservers.ConnectFailed": func() error { return t.ConnectFailed(ctx, executor.ToolserverConnect{Server: "files"}, "no") },
		"Toolservers.Lost":          func() error { return t.Lost(ctx, "files", 1, "no") },
		"Toolservers.Relisted":      func() error { return t.Relisted(ctx, "files", 1) },
		"Toolservers.Aligned":       func() error { return t.Aligned(ctx, 0) },
		"Toolservers.Changed":       func() error { return just(t.Changed(ctx, 0)) },
		"Toolservers.CallStarted":   func() error { return just(t.CallStarted(ctx, "files")) },
		"Toolservers.CallFinished":  func() error { return t.CallFinished(ctx, "files", 1) },

		"MCPStatus.All":        func() error { return just(b.MCPStatus.All(ctx)) },
		"MCPStatus.Connecting": func() error { return just(b.MCPStatus.Connecting(ctx)) },

		"Peers.SetLocal":     func() error { return b.Peers.SetLocal(ctx, ann) },
		"Peers.Add":          func() error { return b.Peers.Add(ctx, ann) },
		"Peers.Remove":       func() error { return b.Peers.Remove(ctx, "ann") },
		"Peers.ApplyOverlay": func() error { return b.Peers.ApplyOverlay(ctx, 1, []executor.Peer{ann}) },
		"Peers.List":         func() error { return just(b.Peers.List(ctx)) },
		"Peers.Trust":        func() error { return just(b.Peers.Trust(ctx)) },

		"Supervision.Current":       func() error { return just(v.Current(ctx)) },
		"Supervision.Bind":          func() error { return v.Bind(ctx, "ann", ann, 1) },
		"Supervision.Authorize":     func() error { return v.Authorize(ctx, "ann", ann, 2) },
		"Supervision.Revoke":        func() error { return v.Revoke(ctx, "ann", 1) },
		"Supervision.Owed":          func() error { return just(v.Owed(ctx)) },
		"Supervision.Published":     func() error { return v.Published(ctx, "ann", 1) },
		"Supervision.PublishFailed": func() error { return v.PublishFailed(ctx, "ann", 1) },
		"Supervision.Withdrawn":     func() error { return v.Withdrawn(ctx, "ann", 1) },

		"Interactions.Sent":       func() error { return i.Sent(ctx, executor.PeerRequest{ID: "q", Peer: "ann"}) },
		"Interactions.Progressed": func() error { return i.Progressed(ctx, "q", "ann") },
		"Interactions.Answered":   func() error { return just(i.Answered(ctx, "q", "ann")) },
		"Interactions.TimedOut":   func() error { return i.TimedOut(ctx, "q") },
		"Interactions.Received":   func() error { return i.Received(ctx, executor.PeerRequest{ID: "q", Peer: "ann"}) },
		"Interactions.Replied":    func() error { return i.Replied(ctx, "q") },
		"Interactions.Open":       func() error { return just(i.Open(ctx)) },
		"Interactions.Reserve":    func() error { return i.Reserve(ctx, "q") },
		"Interactions.Attach":     func() error { return i.Attach(ctx, "q") },
		"Interactions.Complete":   func() error { return i.Complete(ctx, "q") },
		"Interactions.Close":      func() error { return i.Close(ctx, "q") },
		"Interactions.Expire":     func() error { return i.Expire(ctx, "q") },

		"Drain.SetContext":   func() error { return just(b.Drain.SetContext(ctx, executor.IngressContext{KeepAlive: true})) },
		"Drain.NotifyExited": func() error { return b.Drain.NotifyExited(ctx, executor.CommsRuntime{}, executor.ExitFailed) },
		"Drain.Abort":        func() error { return b.Drain.Abort(ctx) },
		"Drain.Wait":         func() error { return b.Drain.Wait(ctx) },
		"Drain.Status":       func() error { return just(b.Drain.Status(ctx)) },

		"Context.Advance":          func() error { return b.Context.Advance(ctx, 1) },
		"Context.Watermark":        func() error { return just(b.Context.Watermark(ctx)) },
		"Context.SetSilentIntents": func() error { return b.Context.SetSilentIntents(ctx, []string{"hush"}) },
		"Context.SilentIntents":    func() error { return just(b.Context.SilentIntents(ctx)) },

		"Admission.Submit":            func() error { return just(b.Admission.Submit(ctx, given("a"))) },
		"Admission.SubmitWithoutWake": func() error { return just(b.Admission.SubmitWithoutWake(ctx, given("b"))) },

		"Claim.Held": func() error { return b.Claim.Held(ctx) },
	})
	return all
}

func TestR119_no_method_of_a_handle_is_left_out_of_these_tests(t *testing.T) {
	bubble(t, func(w *world) {
		all := uses(w, executor.Bindings{})
		handles := reflect.TypeFor[executor.Handles]()
		for n := range handles.NumField() {
			f := handles.Field(n)
			if f.Type.Kind() != reflect.Interface {
				continue
			}
			for m := range f.Type.NumMethod() {
				if name := f.Name + "." + f.Type.Method(m).Name; all[name] == nil {
					w.Errorf("%s is not tried", name)
				}
			}
		}
	})
}

// stale fails unless everything that can be done with handles is refused for that reason, and nothing is changed.
func (p *place) stale(b executor.Bindings, why error, but ...string) {
	p.w.Helper()
	before, _ := p.State(p.w.ctx, sid)
	for name, do := range uses(p.w, b) {
		err := do()
		if err == nil && slices.Contains(but, name) {
			continue
		}
		if !errors.Is(err, executor.ErrStaleHandle) || !errors.Is(err, why) || fault.CodeOf(err) != fault.Stale {
			p.w.Errorf("%s: %v", name, err)
		}
	}
	if after, _ := p.State(p.w.ctx, sid); after.Version != before.Version || after.Transient != before.Transient {
		p.w.Errorf("something was changed: %+v", after.Transient)
	}
}

func TestR119_handles_are_stale_when_their_registration_is_over(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		old := p.bindings()
		w.ok(old.Claim.Held(w.ctx))
		w.ok(p.UnregisterSession(w.ctx, sid))
		p.stale(old, runtime.ErrStaleEpoch)
		w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{}))
		p.stale(old, runtime.ErrStaleEpoch)
		fresh := p.bindings()
		w.ok(fresh.Claim.Held(w.ctx))
		w.begin(fresh.Operations, "x")
		if fresh.Epoch == old.Epoch {
			w.Fatalf("epoch %s again", old.Epoch)
		}
		p.close()
	})
}

func TestR119_handles_of_an_executor_are_stale_when_another_is_attached(t *testing.T) {
	bubble(t, func(w *world) {
		given := make(chan executor.Bindings, 9)
		p := w.registered(func(c *runtime.Config) {
			h := c.Executor
			c.Executor = scripted{apply: func(ctx context.Context, r executor.Run, b executor.Bindings) error {
				given <- b
				return h.Apply(ctx, r, b)
			}}
		})
		registration := p.bindings()
		p.submit("a", "hello")
		old := <-given
		w.ok(p.task(run.CallModel).replies("one"))
		p.submit("b", "hello")
		if again := <-given; again.Handles != old.Handles { // another activation of the same executor
			w.Fatal("other handles")
		}
		m := p.task(run.CallModel)
		w.ok(old.Claim.Held(w.ctx))
		w.ok(w.steal())
		p.stale(old, runtime.ErrStaleExecutor) // nobody is attached
		_, err := p.WakeSession(w.ctx, sid)
		w.ok(err)
		fresh := <-given
		// What has ended has ended, whoever says so.
		p.stale(old, runtime.ErrStaleExecutor, "Toolservers.CallFinished", "Drain.NotifyExited")
		if fresh.Epoch != old.Epoch {
			w.Fatalf("epoch %s after %s", fresh.Epoch, old.Epoch)
		}
		w.ok(fresh.Claim.Held(w.ctx))
		w.ok(registration.Claim.Held(w.ctx)) // it is of no executor
		w.begin(registration.Operations, "x")
		w.is(m.replies("too late"), executor.ErrStale)
		w.ok(p.task(run.CallModel).replies("two"))
		p.ended("b", "completed")
		p.close()
	})
}

// Scenario: S33
func TestR25_an_attachment_whose_caller_has_left_is_one_that_works(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		p.submit("a", "hello")
		w.store.decide(next(1, delayed))
		first := later(func() error { p.submit("b", "more"); return nil })
		ctx, leave := context.WithCancel(w.ctx)
		attach := later(func() error { _, err := p.EnsureSessionWithExecutor(ctx, sid, hands{p.tasks}); return err })
		leave()
		w.is(<-attach, store.ErrUnknown)
		w.ok(<-first)
		w.ok(p.task(run.CallModel).replies("one")) // attached, and at work
		w.ok(p.task(run.CallModel).replies("two"))
		p.ended("b", "completed")
		left, leave := context.WithCancel(w.ctx)
		leave()
		_, err := p.EnsureSessionWithExecutor(left, sid, hands{p.tasks})
		w.is(err, context.Canceled)
		p.close()
	})
}

func TestR119_a_claim_is_held_while_this_process_surely_owns_the_session(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		c := p.bindings().Claim
		w.ok(c.Held(w.ctx))
		w.store.renews(func() error { return errors.New("no store") })
		pass(11 * time.Second)
		w.is(c.Held(w.ctx), runtime.ErrOwnedElsewhere)
		w.store.renews(nil)
		pass(4 * time.Second)
		w.ok(c.Held(w.ctx))
		_, err := p.Destroy(w.ctx, sid)
		w.ok(err)
		w.is(c.Held(w.ctx), runtime.ErrDestroyed)
		p.close()
		if err := c.Held(w.ctx); err == nil {
			w.Fatal("held by a host that is closed")
		}
	})
}

// What only says that something has ended is taken as long as the session is here.
func TestR119_what_has_begun_may_end_while_the_session_is_unregistered(t *testing.T) {
	bubble(t, func(w *world) {
		var p *place
		var b executor.Bindings
		clean := func(ctx context.Context) error {
			w.ok(b.Operations.Complete(ctx, "x", executor.OperationResult{Content: "in time"}))
			w.ok(b.Toolservers.CallFinished(ctx, "files", 1))
			w.is(b.Operations.Register(ctx, "y", executor.OperationSpec{}), runtime.ErrUnregisterInProgress)
			w.is(b.Toolservers.Add(ctx, "web", ""), runtime.ErrUnregisterInProgress)
			_, err := b.Admission.Submit(ctx, given("late"))
			w.is(err, runtime.ErrUnregisterInProgress)
			return nil
		}
		p = w.registered(func(c *runtime.Config) {
			c.Executor = cleaner{c.Executor.(hands), func(ctx context.Context, _ id.Session) error { return clean(ctx) }}
		})
		b = p.bindings()
		w.begin(b.Operations, "x")
		ch, err := b.Operations.Watch(w.ctx, "x")
		w.ok(err)
		w.ok(p.UnregisterSession(w.ctx, sid))
		if how := <-ch; how.Status != executor.Completed || how.Result.Content != "in time" {
			w.Fatalf("told %+v", how)
		}
		p.close()
	})
}

func TestR33_an_input_may_come_through_a_handle(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Mailbox = 2 })
		a := p.bindings().Admission
		got, err := a.SubmitWithoutWake(w.ctx, given("quiet"))
		if err != nil || got.Input != "quiet" || got.Run != "" {
			w.Fatalf("%+v, %v", got, err)
		}
		p.nothing()
		got, err = a.Submit(w.ctx, given("a"))
		if err != nil || got.Run == "" {
			w.Fatalf("%+v, %v", got, err)
		}
		if got, err = a.Submit(w.ctx, given("a")); err != nil || !got.Duplicate || got.Input != "a" {
			w.Fatalf("%+v, %v", got, err)
		}
		m := p.task(run.CallModel)
		w.store.decide(next(1, delayed))
		first := later(func() error { p.submit("b", "x"); return nil })
		var all []<-chan error
		for _, in := range []id.Input{"c", "d", "e", "f"} {
			all = append(all, later(func() error { _, err := a.Submit(w.ctx, given(in)); return err }))
		}
		w.ok(<-first)
		refused := 0
		for _, ch := range all {
			if err := <-ch; err != nil {
				w.is(err, runtime.ErrOverloaded)
				refused++
			}
		}
		if refused != 2 {
			w.Fatalf("%d refused", refused)
		}
		w.ok(m.replies("one"))
		p.interrupt(w)
		p.interrupt(w)
		p.interrupt(w)
		p.close()
	})
}
