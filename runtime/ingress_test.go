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

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/storetest"
	"github.com/meerkat-go/meerkat/transcript"
)

// accept submits and returns the handle.
func (p *place) accept(in runtime.Input) (machine.Verdict, *runtime.Completion) {
	p.w.Helper()
	v, c, err := p.AcceptWithCompletion(p.w.ctx, sid, in)
	p.w.ok(err)
	return v, c
}

func (c *place) completed(h *runtime.Completion, text string) {
	c.w.Helper()
	o, err := h.Wait(c.w.ctx)
	c.w.ok(err)
	if done, ok := o.(runtime.Completed); !ok || done.Text != text {
		c.w.Fatalf("told %#v, want %q", o, text)
	}
}

// Scenario: S48, S49, S50, S51, S61
func TestR33_a_duplicate_leads_to_the_first_and_has_no_handle_once_that_has_ended(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		v, first := p.accept(runtime.Input{ID: "a", Key: "k", Content: says("hello")})
		row, err := w.memory.InputByID(w.ctx, sid, "a")
		w.ok(err)
		if !row.Live || row.Key != "k" || v.Duplicate {
			w.Fatalf("row %+v, verdict %+v", row, v)
		}
		m := p.task(run.CallModel)
		version := p.state().Version
		again, second := p.accept(runtime.Input{Key: "k", Content: says("hello")})
		if !again.Duplicate || again.Input != "a" || again.Run != v.Run || second.Input != "a" || p.state().Version != version {
			w.Fatalf("again %+v with a handle on %s, version %d after %d", again, second.Input, p.state().Version, version)
		}
		w.ok(m.replies("hi"))
		p.completed(first, "hi")
		p.completed(second, "hi")
		for range 2 {
			version = p.state().Version
			for _, in := range []runtime.Input{{ID: "a", Content: says("x")}, {Key: "k", Content: says("x")}, {ID: "b", Key: "k", Content: says("x")}} {
				if v, h := p.accept(in); !v.Duplicate || v.Input != "a" || h != nil {
					w.Errorf("%+v: %+v, handle %v", in, v, h)
				}
			}
			if p.state().Version != version {
				w.Error("a duplicate was written")
			}
			p.close()
			p = w.host(nil) // and after a restart
		}
		p.close()
	})
}

// Scenario: S52, S53
func TestR33_a_key_is_free_a_day_after_the_end_and_that_of_an_attention_at_once(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		attention := func(in id.Input) runtime.Input {
			return runtime.Input{ID: in, Key: "watch", Of: &input.Input{Source: input.Source{Kind: input.SourceSystem},
				Body: input.Continuation{Reason: input.ReasonAttention, Turn: input.Entries{transcript.Notice{Kind: "n", Text: "look"}}}}}
		}
		run1 := func(in runtime.Input) {
			w.Helper()
			v, h := p.accept(in)
			if v.Duplicate || v.Input != in.ID || h == nil {
				w.Fatalf("%s: %+v", in.ID, v)
			}
			w.ok(p.task(run.CallModel).replies("so"))
			p.completed(h, "so")
		}
		run1(attention("w1"))
		run1(attention("w2")) // the key was free, and the first is still known by its id
		if v, h := p.accept(attention("w1")); !v.Duplicate || h != nil {
			w.Errorf("by its id: %+v", v)
		}
		run1(runtime.Input{ID: "a", Key: "k", Content: says("hello")})
		pass(machine.KeyLife - time.Second)
		if v, _ := p.accept(runtime.Input{ID: "b", Key: "k", Content: says("hello")}); !v.Duplicate || v.Input != "a" {
			w.Errorf("within the day: %+v", v)
		}
		pass(time.Second)
		run1(runtime.Input{ID: "c", Key: "k", Content: says("hello")})
		how, err := p.InputByKey(w.ctx, sid, "k")
		w.ok(err)
		if how.Item.ID != "c" {
			w.Errorf("the key is that of %s", how.Item.ID)
		}
		if how, err = p.InputState(w.ctx, sid, "a"); err != nil || how.Ended == nil || how.Item.Key != "" {
			w.Errorf("a: %+v %v", how, err)
		}
		p.close()
	})
}

// Scenario: S42, S44, S46
func TestR100_R132_what_is_wrong_with_an_input_is_told_by_the_rule_it_breaks(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		peer := input.Source{Kind: input.SourcePeer, Peer: string(sid), Display: "it"}
		for name, c := range map[string]struct {
			in     input.Input
			reason input.Reason
		}{
			"nothing":                   {input.Input{}, input.Malformed},
			"a derived prompt":          {input.Input{Durability: input.Derived, Body: input.Prompt{Text: "x"}}, input.DurabilityViolation},
			"progress with a mode":      {input.Input{Source: peer, Body: input.Peer{Convention: input.Progress{Request: string(sid)}, Handling: input.HandlingQueue}}, input.PeerHandlingModeInvalid},
			"an answer to nothing":      {input.Input{Source: peer, Body: input.Peer{Convention: input.Terminal{Request: " "}}}, input.PeerResponseTerminalInvalid},
			"an answer of nobody":       {input.Input{Source: input.Source{Kind: input.SourcePeer, Peer: "nobody", Display: "it"}, Body: input.Peer{Convention: input.Terminal{Request: string(sid)}}}, input.PeerResponseTerminalInvalid},
			"an answer without a name":  {input.Input{Source: input.Source{Kind: input.SourcePeer, Peer: string(sid)}, Body: input.Peer{Convention: input.Terminal{Request: string(sid)}}}, input.PeerResponseTerminalInvalid},
			"a cleared and given value": {input.Input{Body: input.Prompt{Text: "x", Run: input.Options{Identity: identity.Request{ClearParams: true, Params: "{}"}}}}, input.Malformed},
		} {
			version := p.state().Version
			in := runtime.Input{ID: "a", Of: &c.in}
			_, h, with := p.AcceptWithCompletion(w.ctx, sid, in)
			_, without := p.AcceptWithoutWake(w.ctx, sid, in)
			_, ingested := p.Ingest(w.ctx, runtime.RuntimeOf(sid), in)
			_, prepared := p.Prepare(w.ctx, sid, in)
			for door, err := range map[string]error{"accept": with, "without wake": without, "ingest": ingested, "prepare": prepared} {
				var no *input.Rejection
				if !errors.As(err, &no) || no.Reason != c.reason || !errors.Is(err, runtime.ErrInvalid) || fault.CodeOf(err) != fault.Invalid {
					w.Errorf("%s, %s: %v", name, door, err)
				}
			}
			if h != nil || p.state().Version != version {
				w.Errorf("%s left a trace", name)
			}
		}
		if _, err := p.InputState(w.ctx, sid, "a"); !errors.Is(err, runtime.ErrNoInput) {
			w.Errorf("it is there: %v", err)
		}
		p.close()
	})
}

// Scenario: S58
func TestR56_R132_a_session_that_takes_no_input_says_in_which_phase_it_is(t *testing.T) {
	bubble(t, func(w *world) {
		for n, c := range []struct {
			make  func(p *place, s id.Session)
			want  error
			phase string
			code  fault.Code
		}{
			{func(p *place, s id.Session) { w.ok(p.StopRuntimeExecutor(w.ctx, s, "", 0)) }, runtime.ErrStopped, "stopped", fault.NotReady},
			{func(p *place, s id.Session) { _, err := p.Retire(w.ctx, s); w.ok(err) }, runtime.ErrRetired, "retired", fault.NotReady},
			{func(p *place, s id.Session) { _, err := p.Destroy(w.ctx, s); w.ok(err) }, runtime.ErrDestroyed, "destroyed", fault.NotFound},
		} {
			p := w.host(nil)
			s := id.Session(fmt.Sprintf("00000000-0000-7000-8000-0000000000a%d", n))
			p.register(s)
			c.make(p, s)
			_, _, err := p.AcceptWithCompletion(w.ctx, s, runtime.Input{Content: says("x")})
			var no *machine.Refusal
			if !errors.Is(err, c.want) || !errors.Is(err, runtime.ErrNotReady) || !errors.As(err, &no) || no.Phase != c.phase || fault.CodeOf(err) != c.code {
				w.Errorf("%s: %v", c.phase, err)
			}
			p.close()
		}
	})
}

// Scenario: S47
func TestR31_news_of_an_operation_is_consumed_at_once_and_there_is_nothing_to_wait_for(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		v, h := p.accept(runtime.Input{ID: "o", Of: &input.Input{Source: input.Source{Kind: input.SourceSystem}, Body: input.Operation{Operation: "op", Event: "started"}}})
		if !v.Consumed || v.Duplicate || h != nil {
			w.Fatalf("%+v, handle %v", v, h)
		}
		how, err := p.InputState(w.ctx, sid, "o")
		w.ok(err)
		if how.Ended == nil || how.Ended.Status != machine.StatusCompleted {
			w.Fatalf("%+v", how)
		}
		p.nothing()
		p.close()
	})
}

// Scenario: S57
func TestR103_R107_what_is_accepted_without_waking_starts_nothing_and_rides_along(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		_, err := p.AcceptWithoutWake(w.ctx, sid, runtime.Input{ID: "aside", Content: says("by the way")})
		w.ok(err)
		p.nothing()
		if st := p.state(); st.Run() != "" || st.Phase() != "attached" {
			w.Fatalf("phase %s, run %s", st.Phase(), st.Run())
		}
		v := p.submit("a", "hello")
		w.ok(p.task(run.CallModel).replies("hi"))
		p.ended("a", "completed")
		if how := p.ended("aside", "completed"); how.Ended.Run != v.Run {
			w.Fatalf("it was part of %s, want %s", how.Ended.Run, v.Run)
		}
		p.close()
	})
}

// What a caller hears whose time runs out, and what is then true.
// Scenario: S62
func TestR132_a_submit_that_ran_out_of_time_and_its_repetition_are_one_run(t *testing.T) {
	for name, hide := range map[string]storetest.Fault{"slow": {Delay: 10 * time.Second}, "never written": {Delay: 10 * time.Second, Fail: store.ErrFailed}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				p := w.registered(nil)
				w.store.decide(next(1, hide))
				hasty, cancel := context.WithTimeout(w.ctx, time.Second)
				defer cancel()
				began := time.Now()
				_, h, err := p.AcceptWithCompletion(hasty, sid, runtime.Input{Key: "k", Content: says("hello")})
				w.is(err, store.ErrUnknown)
				w.is(err, context.DeadlineExceeded)
				if fault.CodeOf(err) != fault.OutcomeUnknown || h != nil || time.Since(began) != time.Second {
					w.Fatalf("code %s after %v", fault.CodeOf(err), time.Since(began))
				}
				var all []id.Input
				for range 3 { // the first while the commit is still on its way
					v, h, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{Key: "k", Content: says("hello")})
					w.ok(err)
					if all = append(all, v.Input); h == nil {
						w.Fatal("no handle")
					}
				}
				w.ok(p.task(run.CallModel).replies("hi"))
				p.nothing()
				if len(slices.Compact(all)) != 1 {
					w.Fatalf("admitted as %v", all)
				}
				p.ended(all[0], "completed")
				p.close()
			})
		})
	}
}

// Scenario: S62
func TestR132_a_submit_whose_time_ran_out_while_the_session_was_woken_was_not_told(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.close()
		release := make(chan struct{})
		w.store.loads(func() error { <-release; return nil })
		q := w.host(nil)
		hasty, cancel := context.WithTimeout(w.ctx, time.Second)
		defer cancel()
		_, h, err := q.AcceptWithCompletion(hasty, sid, runtime.Input{ID: "a", Content: says("hello")})
		w.is(err, runtime.ErrNotTold)
		if errors.Is(err, store.ErrUnknown) || fault.CodeOf(err) != fault.Overloaded || h != nil {
			w.Fatal(err)
		}
		close(release)
		synctest.Wait()
		if _, err := q.InputState(w.ctx, sid, "a"); !errors.Is(err, runtime.ErrNoInput) {
			w.Fatalf("it is there: %v", err)
		}
		q.submit("a", "hello")
		w.ok(q.task(run.CallModel).replies("hi"))
		q.ended("a", "completed")
		q.close()
	})
}

// Scenario: S124
func TestR45_a_session_whose_store_hangs_holds_up_no_other(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.register(second)
		var hung atomic.Int64
		w.store.decide(func(b *store.Batch) storetest.Fault {
			if b.Session != sid {
				return storetest.Fault{}
			}
			hung.Add(1)
			return storetest.Fault{Delay: time.Hour}
		})
		stuck := later(func() error {
			_, _, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{ID: "a", Content: says("hello")})
			return err
		})
		began := time.Now()
		_, h, err := p.AcceptWithCompletion(w.ctx, second, runtime.Input{ID: "b", Content: says("hello")})
		w.ok(err)
		w.ok(p.task(run.CallModel).replies("hi"))
		p.completed(h, "hi")
		_, err = p.Retire(w.ctx, second)
		w.ok(err)
		w.ok(p.UnregisterSession(w.ctx, second))
		st, err := p.Status(w.ctx, sid) // and it can be looked at itself
		w.ok(err)
		if st.Waiting != 0 || time.Since(began) != 0 || hung.Load() != 1 {
			w.Fatalf("%+v after %v", st, time.Since(began))
		}
		w.pending(stuck)
		w.ok(<-stuck)
		w.store.decide(nil)
		w.ok(p.task(run.CallModel).replies("hi"))
		p.ended("a", "completed")
		p.close()
	})
}

// Scenario: S6
func TestR57_a_handle_tells_of_an_unregistration_that_came_before_anybody_waited(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		_, h := p.accept(runtime.Input{ID: "a", Content: says("hello")})
		w.ok(p.UnregisterSession(w.ctx, sid))
		o, err := h.Wait(w.ctx)
		w.ok(err)
		if o != (runtime.Terminated{Reason: "runtime session unregistered"}) {
			w.Fatalf("told %#v", o)
		}
		p.close()
	})
}
