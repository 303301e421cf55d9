package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/storetest"
	"github.com/meerkat-go/meerkat/transcript"
)

// bindings are those of the session's registration.
func (p *place) bindings() executor.Bindings {
	p.w.Helper()
	b, err := p.PrepareBindings(p.w.ctx, sid, runtime.Registration{})
	p.w.ok(err)
	return b
}

// refusal is what a handle was refused with.
func (w *world) refusal(err error) executor.Refused {
	w.Helper()
	var no *executor.Refused
	if !errors.As(err, &no) {
		w.Fatalf("got %v, want a refusal", err)
	}
	return *no
}

func (w *world) begin(o executor.Operations, ops ...string) {
	w.Helper()
	for _, op := range ops {
		w.ok(o.Register(w.ctx, op, executor.OperationSpec{Name: "the " + op}))
		w.ok(o.Start(w.ctx, op))
	}
}

func TestR94_background_operations_are_told_and_read_through_a_handle(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		o := p.bindings().Operations
		child := executor.OperationSpec{Work: executor.MemberChild, Name: "a member", Child: "c", ExpectsPeer: true}
		w.ok(o.Register(w.ctx, "m", child))
		w.ok(o.Start(w.ctx, "m"))
		w.ok(o.PeerReady(w.ctx, "m"))
		w.ok(o.Progress(w.ctx, "m"))
		w.ok(o.Retire(w.ctx, "m"))
		pass(3 * time.Second)
		got, err := o.Get(w.ctx, "m")
		w.ok(err)
		if got.Status != executor.Retiring || !got.PeerReady || got.Progress != 1 || got.OperationSpec != child || got.Elapsed != 3*time.Second ||
			got.Status.Terminal() {
			w.Fatalf("%+v", got)
		}
		w.ok(o.MarkRetired(w.ctx, "m"))
		w.begin(o, "t")
		w.ok(o.Complete(w.ctx, "t", executor.OperationResult{Content: "all green", Tokens: 7}))
		w.ok(o.Register(w.ctx, "a", executor.OperationSpec{}))
		w.ok(o.Abort(w.ctx, "a", "no room"))
		w.begin(o, "f", "c", "x")
		w.ok(o.Fail(w.ctx, "f", "no such file"))
		w.ok(o.Cancel(w.ctx, "c", "enough"))
		w.ok(o.TerminateOwner(w.ctx, "the owner left"))
		all, err := o.List(w.ctx)
		w.ok(err)
		var ends []string
		for _, one := range all {
			ends = append(ends, fmt.Sprintf("%d %s %s %q", one.Seq, one.ID, one.Outcome.Status, one.Outcome.Reason))
		}
		want := []string{`1 m retired ""`, `2 t completed ""`, `3 a aborted "no room"`, `4 f failed "no such file"`, `5 c cancelled "enough"`,
			`6 x terminated "the owner left"`}
		if !slices.Equal(ends, want) {
			w.Fatalf("%q", ends)
		}
		if r := all[1].Outcome.Result; r == nil || r.Content != "all green" || r.Tokens != 7 || all[1].Name != "the t" {
			w.Fatalf("%+v", all[1])
		}
		page, err := o.Since(w.ctx, 4)
		if err != nil || page.Watermark != 6 || len(page.Entries) != 2 || page.Entries[1].ID != "x" || page.Missed != 0 {
			w.Fatalf("%+v, %v", page, err)
		}
		if n := count[event.BackgroundJobCompleted](p.events()); n != 5 { // the member tells its end itself
			w.Fatalf("told %d ends", n)
		}
		p.close()
	})
}

func TestR94_R95_a_refused_operation_says_which_one_and_how_it_stands(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		o := p.bindings().Operations
		no := w.refusal(o.Complete(w.ctx, "x", executor.OperationResult{}))
		if no.ID != "x" || no.Status != "absent" || no.Action != "complete" || no.Why != executor.WhyUnknown {
			w.Fatalf("%+v", no)
		}
		w.begin(o, "x")
		if no = w.refusal(o.Register(w.ctx, "x", executor.OperationSpec{})); no.Why != executor.WhyDuplicate || no.Status != "running" {
			w.Fatalf("%+v", no)
		}
		w.ok(o.Fail(w.ctx, "x", "no"))
		err := o.Cancel(w.ctx, "x", "")
		if no = w.refusal(err); no.Why != executor.WhyEnded || no.Status != "failed" {
			w.Fatalf("%+v", no)
		}
		w.is(err, runtime.ErrNotReady)
		w.ok(o.SetLimits(w.ctx, 1, 2))
		w.begin(o, "y", "z")
		err = o.Register(w.ctx, "one too many", executor.OperationSpec{})
		if no = w.refusal(err); no.Why != executor.WhyTooMany || no.Limit != 2 || no.Active != 2 || no.ID != "one too many" {
			w.Fatalf("%+v", no)
		}
		if fault.CodeOf(err) != fault.Overloaded {
			w.Fatalf("code %s", fault.CodeOf(err))
		}
		w.is(o.Register(w.ctx, "odd", executor.OperationSpec{Work: "odd"}), runtime.ErrInvalid)
		_, err = o.Get(w.ctx, "nobody")
		w.is(err, runtime.ErrNoOperation)
		if fault.CodeOf(err) != fault.NotFound || w.refusal(err).Why != executor.WhyUnknown {
			w.Fatalf("%v", err)
		}
		// What is not listed any more is found by its row.
		w.ok(o.Complete(w.ctx, "y", executor.OperationResult{}))
		if got, err := o.Get(w.ctx, "x"); err != nil || got.Outcome.Reason != "no" {
			w.Fatalf("%+v, %v", got, err)
		}
		p.close()
	})
}

func TestR120_a_watcher_is_told_the_end_exactly_once(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		o := p.bindings().Operations
		w.begin(o, "x", "y")
		watch := func(ctx context.Context, op string) <-chan executor.OperationOutcome {
			ch, err := o.Watch(ctx, op)
			w.ok(err)
			return ch
		}
		first, second := watch(w.ctx, "x"), watch(w.ctx, "x")
		left, leave := context.WithCancel(w.ctx)
		gone := watch(left, "x")
		if got, err := o.Get(w.ctx, "x"); err != nil || got.Watchers != 3 {
			w.Fatalf("%+v, %v", got, err)
		}
		leave()
		if how, told := <-gone; told {
			w.Fatalf("told %+v", how)
		}
		w.ok(o.Complete(w.ctx, "x", executor.OperationResult{Content: "done"}))
		late := watch(w.ctx, "x")
		for _, ch := range []<-chan executor.OperationOutcome{first, second, late} {
			if how, told := <-ch; !told || how.Status != executor.Completed || how.Result.Content != "done" {
				w.Fatalf("told %+v", how)
			}
			if how, told := <-ch; told {
				w.Fatalf("told again: %+v", how)
			}
		}
		if got, err := o.Get(w.ctx, "x"); err != nil || got.Watchers != 0 {
			w.Fatalf("%+v, %v", got, err)
		}
		_, err := o.Watch(w.ctx, "nobody")
		w.is(err, runtime.ErrNoOperation)
		p.close()
	})
}

func TestR120_a_watcher_is_told_when_its_session_leaves_this_process(t *testing.T) {
	t.Parallel()
	for name, leave := range map[string]func(w *world, p *place) error{
		"unregistered":  func(w *world, p *place) error { return p.UnregisterSession(w.ctx, sid) },
		"closed":        func(w *world, p *place) error { return p.Close(w.ctx) },
		"owned by else": func(w *world, p *place) error { return w.steal() },
		"destroyed":     func(w *world, p *place) error { _, err := p.Destroy(w.ctx, sid); return err },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				p := w.registered(func(c *runtime.Config) { c.Executor = nil })
				o := p.bindings().Operations
				w.begin(o, "x")
				ch, err := o.Watch(w.ctx, "x")
				w.ok(err)
				advance := later(func() error { _, err := o.WaitForAdvance(w.ctx, 9); return err })
				wait := later(func() error { _, err := o.WaitAll(w.ctx, "w", []string{"x"}); return err })
				w.ok(leave(w, p))
				if how := <-ch; how.Status != executor.Terminated || how.Reason == "" {
					w.Fatalf("told %+v", how)
				}
				if err := <-advance; err == nil {
					w.Fatal("the feed has advanced")
				}
				if err := <-wait; (err == nil) != (name == "destroyed") { // which ends the operation
					w.Fatalf("the wait ended with %v", err)
				}
				p.close()
			})
		})
	}
}

// steal takes the session away from whoever has it, who hears of it at the next renewal.
func (w *world) steal() error {
	q := w.host(func(c *runtime.Config) { c.Gone, c.Executor = gone, nil })
	_, err := q.WakeSession(w.ctx, sid)
	pass(5 * time.Second)
	q.close()
	return err
}

// An end whose commit nobody was told of is told when it is found out.
func TestR21_R120_watchers_and_waits_outlast_a_commit_whose_outcome_is_unknown(t *testing.T) {
	t.Parallel()
	for name, hide := range map[string]storetest.Hiding{"written": storetest.HideWritten, "lost": storetest.HideLost} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				p := w.registered(func(c *runtime.Config) { c.Executor = nil })
				o := p.bindings().Operations
				w.begin(o, "x")
				ch, err := o.Watch(w.ctx, "x")
				w.ok(err)
				wait := later(func() error { _, err := o.WaitAll(w.ctx, "w", []string{"x"}); return err })
				advance := later(func() error { _, err := o.WaitForAdvance(w.ctx, 0); return err })
				w.store.decide(next(1, storeFault{Hide: hide}))
				w.ok(o.Complete(w.ctx, "x", executor.OperationResult{Content: "done"}))
				if how := <-ch; how.Status != executor.Completed {
					w.Fatalf("told %+v", how)
				}
				w.ok(<-wait)
				w.ok(<-advance)
				// One that cannot be looked up for a while: its caller gives up, and those who wait do not.
				w.begin(o, "y")
				ch, err = o.Watch(w.ctx, "y")
				w.ok(err)
				w.store.decide(next(1, storeFault{Hide: storetest.HideWritten}))
				w.store.loads(func() error { return store.ErrFailed })
				w.is(o.Fail(w.ctx, "y", "no"), store.ErrUnknown)
				w.store.loads(nil)
				pass(time.Second)
				if how := <-ch; how.Status != executor.Failed {
					w.Fatalf("told %+v", how)
				}
				p.close()
			})
		})
	}
}

// Scenario: S125
func TestR96_a_wait_for_several_operations_outlasts_what_becomes_of_the_session(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		o := p.bindings().Operations
		w.begin(o, "x", "y", "z")
		var got []executor.Awaited
		wait := later(func() (err error) { got, err = o.WaitAll(w.ctx, "w", []string{"z", "x", "y"}); return err })
		_, err := o.WaitAll(w.ctx, "another", []string{"x"})
		if no := w.refusal(err); no.Why != executor.WhyWaiting {
			w.Fatalf("%+v", no)
		}
		w.ok(o.Complete(w.ctx, "x", executor.OperationResult{}))
		for _, do := range []string{"recycle", "recover", "reset", "retire", "stop", "register"} {
			w.ok(commands(w, p)[do]())
			w.pending(wait)
		}
		w.ok(o.Fail(w.ctx, "y", "no"))
		w.pending(wait)
		w.ok(commands(w, p)["destroy"]())
		w.ok(<-wait)
		if len(got) != 3 || got[0].ID != "z" || got[0].Outcome.Status != executor.Terminated || got[1].Outcome.Status != executor.Completed ||
			got[2].Outcome != (executor.OperationOutcome{Status: executor.Failed, Reason: "no"}) {
			w.Fatalf("%+v", got)
		}
		p.close()
	})
}

func TestR96_a_wait_ends_with_its_context_and_another_may_begin(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		o := p.bindings().Operations
		w.begin(o, "x")
		for range 3 {
			ctx, cancel := context.WithCancel(w.ctx)
			wait := later(func() error { _, err := o.WaitAll(ctx, "w", []string{"x"}); return err })
			w.pending(wait)
			cancel()
			w.is(<-wait, context.Canceled)
		}
		for _, bad := range [][]string{nil, {"x", "x"}, {"x", "nobody"}} {
			no := w.refusal(func() error { _, err := o.WaitAll(w.ctx, "w", bad); return err }())
			if no.Of != "registry" {
				w.Fatalf("%+v", no)
			}
		}
		w.refusal(func() error { _, err := o.WaitAll(w.ctx, "", []string{"x"}); return err }())
		w.ok(o.Complete(w.ctx, "x", executor.OperationResult{}))
		got, err := o.WaitAll(w.ctx, "w", []string{"x"}) // at once
		if err != nil || len(got) != 1 || got[0].Outcome.Status != executor.Completed {
			w.Fatalf("%+v, %v", got, err)
		}
		p.close()
	})
}

// Scenario: S87
func TestR97_five_ends_at_rest_are_one_continuation_and_the_cursor_follows(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		b := p.bindings()
		w.begin(b.Operations, "1", "2", "3", "4", "5")
		w.ok(b.Operations.Register(w.ctx, "m", executor.OperationSpec{Work: executor.MemberChild}))
		w.ok(b.Operations.TerminateOwner(w.ctx, "gone"))
		news, err := b.Completions.News(w.ctx)
		if c, e := b.Completions.Cursors(w.ctx); err != nil || e != nil || len(news) != 5 || c.Announced != 0 || c.Watermark != 6 {
			w.Fatalf("%+v, %+v, %v, %v", news, c, err, e)
		}
		_, err = p.EnsureSessionWithExecutor(w.ctx, sid, hands{p.tasks})
		w.ok(err)
		w.ok(p.task(run.CallModel).replies("I see"))
		p.nothing()
		if n := count[event.RunStarted](p.events()); n != 1 {
			w.Fatalf("%d runs", n)
		}
		// At rest the next end begins a run in its own step; an end during that run is a notice in the next round.
		w.begin(b.Operations, "6", "7")
		w.ok(b.Operations.Complete(w.ctx, "6", executor.OperationResult{Content: "six"}))
		m := p.task(run.CallModel)
		w.ok(b.Operations.Complete(w.ctx, "7", executor.OperationResult{Content: "seven"}))
		w.ok(m.replies("", call{"x", run.ReadOnly}))
		w.ok(p.task(run.RunTool).settles("ok"))
		w.ok(p.task(run.CallModel).replies("thanks"))
		p.nothing()
		if n := count[event.RunStarted](p.events()); n != 2 {
			w.Fatalf("%d runs", n)
		}
		if c, err := b.Completions.Cursors(w.ctx); err != nil || c.Announced != 8 || c.Watermark != 8 {
			w.Fatalf("%+v, %v", c, err)
		}
		w.refusal(b.Completions.Announce(w.ctx, 9))
		w.ok(b.Completions.Announce(w.ctx, 3)) // it never goes back
		p.close()
	})
}

func TestR45_R119_a_handle_works_from_within_Apply(t *testing.T) {
	bubble(t, func(w *world) {
		var first id.Run
		p := w.registered(func(c *runtime.Config) {
			c.Executor = scripted{apply: func(ctx context.Context, r executor.Run, b executor.Bindings) error {
				if first == "" {
					first = r.Run
				}
				for d := range b.Turn.Directives(ctx) {
					o := b.Operations
					w.ok(b.Claim.Held(ctx))
					if r.Run != first {
						return b.Turn.Report(ctx, task{d, b.Turn, ctx, b.Call}.reply("nothing more"))
					}
					w.begin(o, "x")
					ch, err := o.Watch(ctx, "x")
					w.ok(err)
					w.ok(o.Complete(ctx, "x", executor.OperationResult{}))
					if how := <-ch; how.Status != executor.Completed {
						w.Errorf("told %+v", how)
					}
					if _, err := o.WaitAll(ctx, "w", []string{"x"}); err != nil {
						w.Error(err)
					}
					if n, err := o.WaitForAdvance(ctx, 0); n != 1 || err != nil {
						w.Errorf("advanced to %d, %v", n, err)
					}
					got, err := b.Admission.Submit(ctx, given("next"))
					if err != nil || got.Run != "" || got.Duplicate {
						w.Errorf("%+v, %v", got, err)
					}
					w.ok(b.Toolservers.Add(ctx, "files", "f"))
					w.ok(b.Context.Advance(ctx, 1))
					if spawned, err := b.Drain.SetContext(ctx, executor.IngressContext{KeepAlive: true, Runtime: executor.CommsRuntime{ID: "c"}}); !spawned || err != nil {
						w.Errorf("spawned %t, %v", spawned, err)
					}

					return b.Turn.Report(ctx, task{d, b.Turn, ctx, b.Call}.reply("done"))
				}
				return nil
			}}
		})
		p.submit("a", "hello")
		p.ended("a", "completed")
		p.ended("next", "completed")
		p.close()
	})
}

func TestR119_the_registry_is_one_for_the_life_of_a_registration(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		first, ok := p.OpsLifecycleRegistry(sid)
		if again, _ := p.OpsLifecycleRegistry(sid); !ok || again != first || p.bindings().Operations != first {
			w.Fatal("another registry")
		}
		w.ok(p.StopRuntimeExecutor(w.ctx, sid, "", 0))
		w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{}))
		if again, _ := p.OpsLifecycleRegistry(sid); again != first {
			w.Fatal("another registry after a stop")
		}
		w.ok(p.UnregisterSession(w.ctx, sid))
		if _, ok := p.OpsLifecycleRegistry(sid); ok {
			w.Fatal("there is a registry of a session that is not registered")
		}
		w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{}))
		if again, ok := p.OpsLifecycleRegistry(sid); !ok || again == first {
			w.Fatal("the registry of a registration that is over")
		}
		if _, ok := p.OpsLifecycleRegistry("nobody"); ok {
			w.Fatal("there is a registry of nobody")
		}
		p.close()
	})
}

// Hundreds work on one registry at once: every end is told to each watcher once, and readers of the feed see each once, in order.
func TestR45_R120_a_crowd_at_one_registry(t *testing.T) {
	bubble(t, func(w *world) {
		const workers, each, readers = 200, 4, 20
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		o := p.bindings().Operations
		ctx, cancel := context.WithCancel(w.ctx)
		var all, reading sync.WaitGroup
		var told atomic.Int64
		for n := range workers {
			all.Go(func() {
				for m := range each {
					op := fmt.Sprintf("op-%d-%d", n, m)
					w.begin(o, op)
					ch, err := o.Watch(ctx, op)
					w.ok(err)
					all.Go(func() {
						how, ok := <-ch
						if _, again := <-ch; !ok || again || !how.Status.Terminal() {
							w.Errorf("%s: %+v, %t, %t", op, how, ok, again)
						}
						told.Add(1)
					})
					switch m % 3 {
					case 0:
						w.ok(o.Complete(ctx, op, executor.OperationResult{Content: op}))
					case 1:
						w.ok(o.Fail(ctx, op, "no"))
					case 2:
						w.ok(o.Cancel(ctx, op, ""))
					}
				}
			})
		}
		for range readers {
			reading.Go(func() {
				var cursor uint64
				for cursor < workers*each {
					if _, err := o.WaitForAdvance(ctx, cursor); err != nil {
						w.Error(err)
						return
					}
					page, err := o.Since(ctx, cursor)
					w.ok(err)
					for _, e := range page.Entries {
						if cursor++; e.Seq != cursor {
							w.Errorf("end %d where %d is due", e.Seq, cursor)
						}
					}
				}
			})
		}
		all.Wait()
		reading.Wait()
		cancel()
		if n := told.Load(); n != workers*each {
			w.Errorf("%d ends were told", n)
		}
		if st := p.state(); st.Work.Active() != 0 {
			w.Errorf("%d are at work", st.Work.Active())
		}
		if n := goroutines(); n > 2 { // the test's own, and who renews leases
			w.Errorf("%d goroutines are left", n)
		}
		p.close()
	})
}

func TestR24_what_a_handle_was_told_survives_the_process(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		b := p.bindings()
		w.begin(b.Operations, "lost", "ended")
		w.ok(b.Operations.Register(w.ctx, "kept", executor.OperationSpec{Durable: true}))
		w.ok(b.Operations.Complete(w.ctx, "ended", executor.OperationResult{Content: "done"}))
		w.ok(b.Peers.Add(w.ctx, ann))
		q := w.host(func(c *runtime.Config) { c.Gone, c.Executor = gone, nil })
		_, err := q.WakeSession(w.ctx, sid)
		w.ok(err)
		o, _ := q.OpsLifecycleRegistry(sid)
		var got []string
		all, err := o.List(w.ctx)
		w.ok(err)
		for _, one := range all {
			got = append(got, one.ID+" "+string(one.Status))
		}
		if !slices.Equal(got, []string{"kept provisioning", "ended completed", "lost terminated"}) {
			w.Fatalf("%q", got)
		}
		synctest.Wait()
		q.close()
		p.close()
	})
}

// given is something to do.
func given(in id.Input) input.Input {
	return input.Input{ID: in, Body: input.Prompt{Blocks: says("say " + string(in))}}
}

func (t task) reply(text string) run.Report {
	return run.ModelReplied{ID: t.ID, Reply: transcript.Assistant{Blocks: says(text), Stop: transcript.StopEndTurn}}
}
