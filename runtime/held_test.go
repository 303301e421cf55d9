package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/storetest"
	"github.com/meerkat-go/meerkat/transcript"
)

// asks answers a model call with calls of which some wait for a word.
func (t task) asks(calls ...run.Intent) error {
	r := run.ModelReplied{ID: t.ID, Reply: transcript.Assistant{Stop: transcript.StopToolUse}, Calls: calls}
	for n := range calls {
		c := &calls[n].Call
		c.ID, c.Args = id.Call(fmt.Sprintf("call-%s-%d", t.ID, n)), []byte("{}")
		r.Reply.Blocks = append(r.Reply.Blocks, *c)
	}
	return t.turn.Report(t.ctx, r)
}

func held(name string, h run.Hold) run.Intent {
	return run.Intent{Call: transcript.ToolUse{Name: name}, Hold: h}
}

// at counts the activations that are at work.
func at(work *atomic.Int64) func(*runtime.Config) {
	return func(c *runtime.Config) {
		h := c.Executor
		c.Executor = scripted{apply: func(ctx context.Context, r executor.Run, b executor.Bindings) error {
			work.Add(1)
			defer work.Add(-1)
			return h.Apply(ctx, r, b)
		}}
	}
}

// approvals are the calls that wait to be allowed, which must have these names.
func (p *place) approvals(names ...string) []runtime.HeldCall {
	p.w.Helper()
	got, err := p.PendingApprovals(p.w.ctx, sid)
	return p.named(got, err, names)
}

func (p *place) callbacks(names ...string) []runtime.HeldCall {
	p.w.Helper()
	got, err := p.PendingCallbacks(p.w.ctx, sid)
	return p.named(got, err, names)
}

func (p *place) named(got []runtime.HeldCall, err error, names []string) []runtime.HeldCall {
	p.w.Helper()
	p.w.ok(err)
	var have []string
	for _, c := range got {
		have = append(have, c.Call.Name)
	}
	if !slices.Equal(have, names) {
		p.w.Fatalf("waiting: %q, want %q", have, names)
	}
	return got
}

func (p *place) decide(c runtime.HeldCall, granted bool) error {
	return p.DecideApproval(p.w.ctx, sid, c.Effect, granted, "ann", "because")
}

func results(calls []runtime.HeldCall) (out []runtime.CallResult) {
	for _, c := range calls {
		out = append(out, runtime.CallResult{ID: c.Effect, Result: transcript.ToolResult{Content: says("brought for " + c.Call.Name)}})
	}
	slices.Reverse(out)
	return out
}

func TestR128_a_run_that_only_waits_for_words_has_nobody_at_work(t *testing.T) {
	bubble(t, func(w *world) {
		var work atomic.Int64
		p := w.registered(at(&work))
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).asks(held("x", run.Approval), held("y", run.NoHold), held("z", run.Callback)))
		y := p.task(run.RunTool)
		if p.nothing(); work.Load() != 1 || y.Call.Name != "y" {
			w.Fatalf("%d at work on %s", work.Load(), y.Call.Name)
		}
		w.ok(y.settles("ok"))
		if p.nothing(); work.Load() != 0 {
			w.Fatal("somebody is at work on a run that only waits")
		}
		pass(100 * time.Hour)
		if err := p.decide(p.callbacks("z")[0], true); !errors.Is(err, runtime.ErrDecided) {
			w.Fatalf("a decision about a callback: %v", err)
		}
		w.ok(p.decide(p.approvals("x")[0], true))
		x := p.task(run.RunTool)
		if x.Call.Name != "x" || x.Attempt != 1 || x.Decision == nil || x.Decision.By != "ann" {
			w.Fatalf("handed out %+v", x.Directive)
		}
		w.ok(x.settles("ok"))
		if p.nothing(); work.Load() != 0 {
			w.Fatal("somebody is at work on a run that only waits")
		}
		w.ok(p.SettleCallbacks(w.ctx, sid, p.state().Run(), results(p.callbacks("z"))))
		w.ok(p.task(run.CallModel).replies("done"))
		p.ended("a", "completed")
		if got := p.results(); !slices.Equal(got, []string{"x: ok", "y: ok", "z: brought for z"}) {
			w.Fatalf("results %q", got)
		}
		p.approvals()
		p.close()
	})
}

// An approval outlives the process that asked for it, and the decision outlives the one that took it (P8).
func TestR128_R129_a_restart_between_the_question_and_the_decision(t *testing.T) {
	for name, orderly := range map[string]bool{"closed": true, "killed": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				p := w.registered(nil)
				p.submit("a", "hello")
				w.ok(p.task(run.CallModel).asks(held("x", run.Approval), held("y", run.Approval)))
				p.nothing()
				if orderly {
					p.close()
				}
				q := w.host(func(c *runtime.Config) { c.Gone = gone })
				asked := q.approvals("x", "y") // at rest: from the rows
				if asked[0].For != run.Approval || asked[0].Run == "" {
					w.Fatalf("waiting: %+v", asked[0])
				}
				for range 2 * machine.MaxResumes { // nobody is lost by being woken again and again
					w.ok(q.Close(w.ctx))
					q = w.host(func(c *runtime.Config) { c.Gone = gone })
					_, err := q.WakeSession(w.ctx, sid)
					w.ok(err)
					q.nothing()
				}
				w.ok(q.decide(asked[0], true))
				x := q.task(run.RunTool)
				w.ok(q.decide(asked[1], false))
				w.ok(x.settles("ok"))
				w.ok(q.task(run.CallModel).replies("done"))
				q.ended("a", "completed")
				if got := q.results(); !slices.Equal(got, []string{"x: ok", "y: access_denied"}) {
					w.Fatalf("results %q", got)
				}
				q.close()
				if !orderly {
					p.close()
				}
			})
		})
	}
}

func TestR129_the_decision_and_the_release_are_one_commit(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).asks(held("x", run.Approval)))
		x := p.approvals("x")[0]
		w.store.decide(always(full))
		w.is(p.decide(x, true), store.ErrFull) // nothing of it is there
		p.nothing()
		p.approvals("x")
		var batches []*store.Batch
		w.store.decide(func(b *store.Batch) storetest.Fault {
			batches = append(batches, b)
			return storetest.Fault{Hide: storetest.HideWritten} // nor is it lost, or spoken twice, when its fate is unknown
		})
		_ = p.decide(x, true)
		w.store.decide(nil)
		tool := p.task(run.RunTool)
		if n := len(batches[0].Effects); len(batches) != 1 || n != 1 || !batches[0].Effects[0].Open {
			w.Fatalf("%d commits, the first with %d entries", len(batches), n)
		}
		st := p.state()
		if d, open := st.Open.Get(x.Effect); !open || d.Held != run.NoHold || d.Attempt != 1 || !d.Decision.Granted || d.Decision.Message != "because" {
			w.Fatalf("stored: %+v", d)
		}
		w.ok(tool.settles("ok"))
		w.ok(p.task(run.CallModel).replies("done"))
		p.ended("a", "completed")
		all := p.events()
		if count[event.ToolCallHeld](all) != 1 || count[event.ToolCallDecided](all) != 1 || count[event.ToolExecutionStarted](all) != 1 {
			w.Fatalf("told: %v", all)
		}
		p.close()
	})
}

// The process dies between the decision and the execution: what was allowed is an ordinary call, and its class decides.
func TestR129_a_crash_after_the_decision_does_not_forget_it(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		for _, class := range []run.Class{run.Idempotent, run.Once} {
			p.submit(id.Input(class.String()), "hello")
			x := held("x", run.Approval)
			x.Class = class
			w.ok(p.task(run.CallModel).asks(x))
			p.nothing()
			q := w.host(func(c *runtime.Config) { c.Gone, c.Executor = gone, nil }) // it has nobody to hand the call to, and dies
			w.ok(q.decide(q.approvals("x")[0], true))
			p = w.host(func(c *runtime.Config) { c.Gone = gone })
			_, err := p.WakeSession(w.ctx, sid)
			w.ok(err)
			if class == run.Idempotent {
				again := p.task(run.RunTool)
				if again.Attempt != 2 || again.Decision == nil {
					w.Fatalf("handed out %+v", again.Directive)
				}
				w.ok(again.settles("ok"))
			}
			w.ok(p.task(run.CallModel).replies("done"))
			p.ended(id.Input(class.String()), "completed")
		}
		if got := p.results(); !slices.Equal(got, []string{"x: ok", "x: outcome_unknown"}) {
			w.Fatalf("results %q", got)
		}
		p.close()
	})
}

func TestR129_of_two_deciders_one_wins(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).asks(held("x", run.Approval)))
		x := p.approvals("x")[0]
		const n = 20
		said := make(chan error, n)
		for k := range n {
			go func() {
				said <- p.DecideApproval(w.ctx, sid, x.Effect, k%2 == 0, fmt.Sprint("decider ", k), "")
			}()
		}
		won := 0
		for range n {
			if err := <-said; err == nil {
				won++
			} else if w.is(err, runtime.ErrDecided); fault.CodeOf(err) != fault.Stale {
				w.Fatalf("code %s", fault.CodeOf(err))
			}
		}
		all := p.events()
		if won != 1 || count[event.ToolCallDecided](all) != 1 {
			w.Fatalf("%d won, %d decisions are told", won, count[event.ToolCallDecided](all))
		}
		for _, e := range all {
			d, ok := e.Payload.(event.ToolCallDecided)
			switch {
			case !ok:
			case d.Granted:
				w.ok(p.task(run.RunTool).settles("ok"))
			case !slices.Equal(p.results(), []string{"x: access_denied"}):
				w.Fatalf("results %q", p.results())
			}
		}
		w.ok(p.task(run.CallModel).replies("done"))
		w.is(p.DecideApproval(w.ctx, sid, x.Effect, true, "", ""), runtime.ErrDecided)
		p.close()
	})
}

func TestR128_what_is_held_when_its_run_ends_was_never_executed(t *testing.T) {
	for name, end := range map[string]func(w *world, p *place, r id.Run) error{
		"interrupted": func(w *world, p *place, r id.Run) error { return p.InterruptCurrentRun(w.ctx, sid, r, "enough") },
		"stopped":     func(w *world, p *place, _ id.Run) error { return p.StopRuntimeExecutor(w.ctx, sid, "", time.Minute) },
		"destroyed":   func(w *world, p *place, _ id.Run) error { _, err := p.Destroy(w.ctx, sid); return err },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				p := w.registered(nil)
				r := p.submit("a", "hello").Run
				w.ok(p.task(run.CallModel).asks(held("x", run.Approval), held("y", run.Callback), held("z", run.ApprovedCallback)))
				p.nothing()
				x, y := p.approvals("x", "z")[0], p.callbacks("y")
				w.ok(end(w, p, r))
				if got := p.results(); !slices.Equal(got, []string{"x: not_executed", "y: not_executed", "z: not_executed"}) {
					w.Fatalf("results %q", got)
				}
				p.approvals()
				p.callbacks()
				if err := p.decide(x, true); err == nil {
					w.Fatal("a decision about a call of a run that is over")
				}
				if err := p.SettleCallbacks(w.ctx, sid, r, results(y)); err == nil {
					w.Fatal("results for a run that is over")
				}
				p.nothing()
				p.close()
			})
		})
	}
}

func TestR128_unregistering_leaves_what_is_held_where_it_is(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).asks(held("x", run.Approval)))
		p.nothing()
		x := p.approvals("x")[0]
		w.ok(p.UnregisterSession(w.ctx, sid))
		p.approvals("x")
		w.is(p.decide(x, true), runtime.ErrNotFound)
		w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{}))
		w.ok(p.decide(x, true))
		w.ok(p.task(run.RunTool).settles("ok"))
		w.ok(p.task(run.CallModel).replies("done"))
		p.ended("a", "completed")
		p.close()
	})
}

// The executor was told that there is nothing for it, and has not returned yet when the call is allowed.
func TestR129_a_call_that_is_allowed_while_the_executor_leaves_is_for_the_next_one(t *testing.T) {
	for name, returns := range map[string]bool{"that returns": true, "that hangs": false} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				free := make(chan struct{})
				var applied atomic.Int64
				p := w.registered(func(c *runtime.Config) {
					h := c.Executor
					c.Executor = scripted{apply: func(ctx context.Context, r executor.Run, b executor.Bindings) error {
						first := applied.Add(1) == 1
						err := h.Apply(ctx, r, b)
						if first {
							<-free
						}
						return err
					}}
				})
				p.submit("a", "hello")
				w.ok(p.task(run.CallModel).asks(held("x", run.Approval)))
				p.nothing()
				w.ok(p.decide(p.approvals("x")[0], true))
				p.nothing()
				began := time.Now()
				if returns {
					close(free)
				}
				x := p.task(run.RunTool)
				if x.Attempt != 1 || applied.Load() != 2 {
					w.Fatalf("attempt %d by the executor put to work as number %d", x.Attempt, applied.Load())
				}
				if took := time.Since(began); returns != (took == 0) {
					w.Fatalf("after %v", took)
				}
				if !returns {
					close(free)
				}
				w.ok(x.settles("ok"))
				w.ok(p.task(run.CallModel).replies("done"))
				p.ended("a", "completed")
				if all := p.events(); count[event.Resumed](all) != 0 {
					w.Fatal("somebody was lost")
				}
				p.close()
			})
		})
	}
}

// Scenario: S64
func TestR129_a_handle_says_that_its_run_waits_for_clients_and_then_how_it_ended(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		v, done, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{ID: "a", Content: says("hello")})
		w.ok(err)
		cleaned := 0
		chained := done.Then(func(context.Context, runtime.Outcome) error { cleaned++; return nil })
		early := make(chan runtime.Outcome, 3)
		for _, c := range []*runtime.Completion{done, done, chained} {
			go func() { o, _ := c.Wait(w.ctx); early <- o }()
		}
		plain := later(func() error { _, err := p.Wait(w.ctx, sid, "a"); return err })
		p.submit("b", "next") // waits, and is no part of it
		m := p.task(run.CallModel)
		w.ok(m.asks(held("x", run.Callback), held("y", run.NoHold), held("z", run.ApprovedCallback)))
		w.ok(p.task(run.RunTool).settles("ok"))
		if p.nothing(); len(early) != 0 {
			w.Fatal("told that it waits for clients while an approval is out")
		}
		w.ok(p.decide(p.approvals("z")[0], true))
		for range 3 {
			pendingCalls(w, soon(w, early), v.Run, "x", "z")
		}
		o, err := done.Wait(w.ctx) // and again, as long as it is so
		w.ok(err)
		pendingCalls(w, o, v.Run, "x", "z")
		other := later(func() error { _, err := p.Completion(sid, "b").Wait(w.ctx); return err })
		late := later(func() error { _, err := p.Wait(w.ctx, sid, "a"); return err })

		both := results(p.callbacks("x", "z"))
		w.is(p.SettleCallbacks(w.ctx, sid, v.Run, both[:1]), runtime.ErrCallbacks)
		w.is(p.SettleCallbacks(w.ctx, sid, v.Run, append(both[:1:1], both[0])), runtime.ErrCallbacks)
		w.is(p.SettleCallbacks(w.ctx, sid, "another", both), runtime.ErrNotCurrent)
		if err := p.SettleCallbacks(w.ctx, sid, v.Run, append(both[:2:2], runtime.CallResult{ID: m.ID})); fault.CodeOf(err) != fault.Stale {
			w.Fatalf("a result of what is not open: %v", err)
		}
		p.callbacks("x", "z") // nothing was taken
		w.ok(p.SettleCallbacks(w.ctx, sid, v.Run, both))
		last := make(chan runtime.Outcome, 2)
		for _, c := range []*runtime.Completion{done, chained} {
			go func() { o, _ := c.Wait(w.ctx); last <- o }()
		}
		synctest.Wait()
		if len(last)+len(plain)+len(late)+len(other) != 0 || cleaned != 0 {
			w.Fatal("told of an end before there is one")
		}
		w.ok(p.task(run.CallModel).replies("done"))
		for range 2 {
			if c, ok := soon(w, last).(runtime.Completed); !ok || c.Text != "done" || c.Run != v.Run {
				w.Fatalf("got %+v", c)
			}
		}
		w.ok(soon(w, plain))
		w.ok(soon(w, late))
		if cleaned != 1 {
			w.Fatalf("cleaned up %d times", cleaned)
		}
		if got := p.results(); !slices.Equal(got, []string{"x: brought for x", "y: ok", "z: brought for z"}) {
			w.Fatalf("results %q", got)
		}
		if err := p.SettleCallbacks(w.ctx, sid, v.Run, both); err == nil {
			w.Fatal("taken twice")
		}
		w.ok(p.task(run.CallModel).replies("done"))
		w.ok(soon(w, other))
		p.close()
	})
}

// soon takes what a channel has, or will have within the hour.
func soon[V any](w *world, ch <-chan V) (v V) {
	w.Helper()
	select {
	case v = <-ch:
	case <-time.After(time.Hour):
		w.Fatal("nobody was told anything")
	}
	return v
}

func pendingCalls(w *world, o runtime.Outcome, r id.Run, names ...string) {
	w.Helper()
	c, ok := o.(runtime.CallbackPending)
	if !ok || c.Run != r || len(c.Calls) != len(names) {
		w.Fatalf("got %+v, want the calls %q", o, names)
	}
	for n, name := range names {
		if c.Calls[n].Call.Name != name || c.Calls[n].Call.ID == "" {
			w.Fatalf("got %+v, want the calls %q", o, names)
		}
	}
}

func TestR129_a_handle_in_the_next_process_follows_the_same_run(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		r := p.submit("a", "hello").Run
		w.ok(p.task(run.CallModel).asks(held("x", run.Callback)))
		p.nothing()
		p.close()
		q := w.host(nil)
		o, err := q.Completion(sid, "a").Wait(w.ctx)
		w.ok(err)
		pendingCalls(w, o, r, "x")
		w.is(func() error {
			_, _, err := q.AcceptWithCompletion(w.ctx, sid, runtime.Input{Content: says("now"), RequireIdle: true})
			return err
		}(), runtime.ErrBusy)
		w.ok(q.SettleCallbacks(w.ctx, sid, r, results(q.callbacks("x"))))
		end := q.Completion(sid, "a")
		w.ok(q.task(run.CallModel).replies("done"))
		o, err = end.Wait(w.ctx)
		if c, ok := o.(runtime.Completed); err != nil || !ok || c.Run != r {
			w.Fatalf("got %+v, %v", o, err)
		}
		q.close()
	})
}
