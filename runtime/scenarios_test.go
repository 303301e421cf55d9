package runtime_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
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

// bare is a host without an executor of its own.
func bare(c *runtime.Config) { c.Executor = nil }

// takes is a host whose process may have the sessions of any other.
func takes(c *runtime.Config) { c.Executor, c.Gone = nil, gone }

// cold reads the session as a process sees it that does not own it.
func (w *world) cold() machine.State {
	w.Helper()
	q := w.host(bare)
	st, err := q.State(w.ctx, sid)
	w.ok(err)
	q.close()
	return st
}

// has fails unless the session is there, with or without an executor.
func (p *place) has(there, executor bool) {
	p.w.Helper()
	if got, err := p.ContainsSession(p.w.ctx, sid); err != nil || got != there {
		p.w.Errorf("contained: %t, %v, want %t", got, err, there)
	}
	if got, err := p.SessionHasExecutor(p.w.ctx, sid); err != nil || got != executor {
		p.w.Errorf("has an executor: %t, %v, want %t", got, err, executor)
	}
}

// Scenario: S1
func TestR53_a_session_that_is_registered_is_idle_and_contained_and_has_no_executor(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(bare)
		p.has(false, false)
		p.register(sid)
		p.has(true, false)
		if p.phase() != "idle" || p.state().Lifecycle.Epoch == "" {
			w.Fatalf("phase %s, epoch %q", p.phase(), p.state().Lifecycle.Epoch)
		}
		p.close()
	})
}

// Scenario: S2
func TestR53_a_session_that_is_registered_twice_is_one_with_one_epoch(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(nil)
		fresh := runtime.Registration{Profile: &run.Profile{Model: "m"}}
		made := make(chan error, 8)
		for range cap(made) {
			go func() { made <- p.RegisterSession(w.ctx, sid, fresh) }()
		}
		first := 0
		for range cap(made) {
			switch err := <-made; {
			case err == nil:
				first++
			case !errors.Is(err, runtime.ErrExists):
				w.Fatal(err)
			}
		}
		before := p.state()
		w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{}))
		w.is(p.RegisterSession(w.ctx, sid, fresh), runtime.ErrExists)
		after := p.state()
		if first != 1 || count[event.SessionRegistered](p.events()) != 1 || after.Version != before.Version {
			w.Fatalf("%d were the first, %d told, version %d after %d", first, count[event.SessionRegistered](p.events()), after.Version, before.Version)
		}
		if after.Lifecycle.Epoch != before.Lifecycle.Epoch || after.Lifecycle.Epoch == "" {
			w.Fatalf("epoch %q after %q", after.Lifecycle.Epoch, before.Lifecycle.Epoch)
		}
		p.close()
	})
}

// lateSignals is an orchestrator that answers the first signal when the test does, and takes all others.
type lateSignals struct {
	asked  chan struct{}
	answer chan error
	calls  atomic.Int64
}

func (s *lateSignals) Signal(context.Context, id.Session, run.Signal) error {
	if s.calls.Add(1) > 1 {
		return nil
	}
	close(s.asked)
	return <-s.answer
}

// Scenario: S12
func TestR58_a_preparation_that_fails_late_leaves_a_later_registration_alone(t *testing.T) {
	bubble(t, func(w *world) {
		to := &lateSignals{asked: make(chan struct{}), answer: make(chan error)}
		p := w.host(func(c *runtime.Config) { c.Signals = to })
		late := later(func() error { _, err := p.PrepareBindings(w.ctx, sid, runtime.Registration{}); return err })
		<-to.asked
		old := p.state().Lifecycle.Epoch
		w.ok(p.UnregisterSession(w.ctx, sid))
		anew, err := p.PrepareBindings(w.ctx, sid, runtime.Registration{})
		w.ok(err)
		before := p.state()

		to.answer <- errors.New("nobody is there")
		w.is(<-late, runtime.ErrSignal)
		p.has(true, true)
		here := machine.Placement{Runtime: runtime.RuntimeOf(sid)}
		if st := p.state(); st.Version != before.Version || st.Lifecycle.Epoch != anew.Epoch || anew.Epoch == old || st.Transient.Placement != here {
			w.Fatalf("version %d after %d, epoch %q after %q, at %+v", st.Version, before.Version, st.Lifecycle.Epoch, old, st.Transient.Placement)
		}
		p.close()
	})
}

// Scenario: S23
func TestR56_an_executor_is_attached_to_a_session_at_rest_with_all_that_is_durable_of_it(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(bare)
		p.submit("a", "hello")
		p.close()

		q := w.host(bare)
		q.has(true, false)
		got, err := q.EnsureSessionWithExecutor(w.ctx, sid, hands{q.tasks})
		if err != nil || got != runtime.Attached {
			w.Fatalf("%v, %v", got, err)
		}
		w.ok(q.task(run.CallModel).replies("hi"))
		q.ended("a", "completed")
		q.close()

		other := id.Session("00000000-0000-7000-8000-0000000000ff")
		r := w.host(bare)
		_, err = r.EnsureSessionWithExecutor(w.ctx, other, hands{r.tasks})
		w.is(err, runtime.ErrNotFound)
		if there, err := r.ContainsSession(w.ctx, other); err != nil || there {
			w.Fatalf("contained: %t, %v", there, err)
		}
		r.close()
	})
}

// Scenario: S28
func TestR02_an_executor_is_not_attached_to_a_session_that_is_replaced_meanwhile(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(bare)
		attach := func() error { _, err := p.EnsureSessionWithExecutor(w.ctx, sid, hands{p.tasks}); return err }

		// It waits behind a commit that takes its time, and while it does the session is registered anew.
		w.store.decide(next(1, delayed))
		first := later(func() error { return p.PublishEvent(w.ctx, sid, "note", nil) })
		gone := later(func() error { return p.UnregisterSession(w.ctx, sid) })
		attached := later(attach)
		w.pending(attached)
		w.ok(<-first)
		w.is(<-attached, runtime.ErrUnregisterInProgress)
		w.ok(<-gone)
		w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{}))
		p.has(true, false)

		// And while it does another process takes the session over.
		w.store.decide(next(1, delayed))
		first = later(func() error { return p.PublishEvent(w.ctx, sid, "note", nil) })
		attached = later(attach)
		q := w.host(takes)
		_, err := q.WakeSession(w.ctx, sid)
		w.ok(err)
		w.is(<-first, runtime.ErrOwnedElsewhere)
		w.is(<-attached, runtime.ErrOwnedElsewhere)
		q.has(true, false)
		q.submit("a", "hello")
		p.nothing()
		q.nothing()
		q.close()
		p.close()
	})
}

// Scenario: S29
func TestR54_R55_a_foreign_executor_is_not_attached_to_what_takes_no_work_any_more(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		p.submit("b", "and then")
		p.task(run.CallModel)
		_, err := p.Retire(w.ctx, sid)
		w.ok(err)
		p.close()
		p = w.host(nil) // that of the host is attached, and carries out what there is
		_, err = p.WakeSession(w.ctx, sid)
		w.ok(err)
		w.ok(p.task(run.CallModel).replies("one"))
		w.ok(p.task(run.CallModel).replies("two"))
		p.ended("b", "completed")
		p.close()

		q := w.host(bare)
		for _, c := range []struct {
			phase string
			want  error
		}{{"retired", runtime.ErrRetired}, {"destroyed", runtime.ErrDestroyed}} {
			if c.phase == "destroyed" {
				_, err := q.Destroy(w.ctx, sid)
				w.ok(err)
			}
			before := q.state()
			_, err := q.EnsureSessionWithExecutor(w.ctx, sid, hands{q.tasks})
			var no *machine.Refusal
			if !errors.Is(err, c.want) || !errors.As(err, &no) || no.Phase != c.phase {
				w.Fatalf("refused by %v", err)
			}
			if st := q.state(); st.Version != before.Version || st.Transient != before.Transient || q.phase() != c.phase {
				w.Fatalf("phase %s, version %d after %d, %+v", q.phase(), st.Version, before.Version, st.Transient)
			}
			q.has(true, false)
		}
		q.close()
	})
}

// Scenario: S31
func TestR43_a_stopped_session_that_is_revived_is_not_stopped_in_the_store_either(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(bare)
		for name, revive := range map[string]func() error{
			"registered": func() error { return p.RegisterSession(w.ctx, sid, runtime.Registration{}) },
			"attached":   func() error { _, err := p.EnsureSessionWithExecutor(w.ctx, sid, hands{p.tasks}); return err },
		} {
			w.ok(p.StopRuntimeExecutor(w.ctx, sid, "enough", 0))
			if st := w.cold(); st.Phase() != "stopped" {
				w.Fatalf("stored as %s", st.Phase())
			}
			w.ok(revive())
			if st := w.cold(); st.Phase() != "idle" || st.Lifecycle.Reason != "" {
				w.Errorf("%s anew, and stored as %s because of %q", name, st.Phase(), st.Lifecycle.Reason)
			}
		}
		p.close()
		q := w.host(nil)
		q.submit("a", "hello")
		w.ok(q.task(run.CallModel).replies("hi"))
		q.ended("a", "completed")
		q.close()
	})
}

// applies answers a whole run.
func (t task) applies(text string) error {
	return t.turn.Report(t.ctx, run.RunApplied{ID: t.ID, Appends: []transcript.Entry{transcript.Assistant{Blocks: says(text), Stop: transcript.StopEndTurn}}})
}

// waiting lists the inputs that have not ended, those of the run first.
func (p *place) waiting() string {
	p.w.Helper()
	var out []string
	for i := range p.state().Inbox.All() {
		out = append(out, fmt.Sprintf("%s %s %d", i.ID, i.Phase, i.Attempts))
	}
	return strings.Join(out, ", ")
}

// Scenario: S73, S74, S75, S76
func TestR105_what_an_executor_refuses_is_tried_three_times_at_once_and_holds_nobody_up(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(whole)
		began := time.Now()
		p.submit("a", "hello")
		told := p.Completion(sid, "a")
		w.ok(p.task(run.ApplyRun).refuses())
		if got := p.waiting(); got != "a staged 2" { // nobody woke it
			w.Fatalf("alone and refused once: %s", got)
		}
		p.submit("b", "and I")
		second := p.task(run.ApplyRun)
		w.ok(second.refuses())
		third := p.task(run.ApplyRun)
		if got := p.waiting(); got != "b staged 1, a queued 2" || third.Run == second.Run {
			w.Fatalf("refused twice, and not alone: %s", got)
		}
		w.ok(third.applies("yes"))
		p.ended("b", "completed")
		w.ok(p.task(run.ApplyRun).refuses())
		p.nothing()
		o, err := told.Wait(w.ctx)
		w.ok(err)
		end, ok := o.(runtime.AbandonedWithError)
		if !ok || end.Reason != "max_attempts_exhausted" || end.Error != (runtime.Failure{Kind: "max_attempts_exhausted", Failure: "setup", Detail: "not now"}) {
			w.Fatalf("told %#v", o)
		}
		if how := p.ended("a", "abandoned"); how.Ended.Attempts != 3 || time.Since(began) != 0 || p.waiting() != "" {
			w.Fatalf("%d attempts in %v, waiting: %s", how.Ended.Attempts, time.Since(began), p.waiting())
		}
		pass(time.Hour)
		p.nothing()
		p.close()
	})
}

// Scenario: S72, S78
func TestR105_R109_an_input_that_contradicts_those_before_it_is_refused_alone_and_told_why(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(bare)
		step := func(in id.Input, model string) *runtime.Completion {
			_, told, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{ID: in, Of: &input.Input{Source: input.Source{Kind: input.SourceFlow, Flow: "f"},
				Body: input.FlowStep{Step: string(in), Instructions: "do it", Run: input.Options{Identity: identity.Request{Model: model}}}}})
			w.ok(err)
			return told
		}
		first, odd, last := step("a", "small"), step("b", "large"), step("c", "small")
		_, err := p.EnsureSessionWithExecutor(w.ctx, sid, hands{p.tasks})
		w.ok(err)
		o, err := odd.Wait(w.ctx)
		w.ok(err)
		end, ok := o.(runtime.AbandonedWithError)
		if !ok || end.Reason != "max_attempts_exhausted" || !strings.Contains(end.Error.Detail, "model") {
			w.Fatalf("told %#v", o)
		}
		if got := p.waiting(); got != "a staged 1, c staged 1" {
			w.Fatalf("the others: %s", got)
		}
		w.ok(p.task(run.CallModel).replies("done"))
		for _, told := range []*runtime.Completion{first, last} {
			if o, err := told.Wait(w.ctx); err != nil || o.(runtime.Completed).Text != "done" {
				w.Fatalf("told %#v, %v", o, err)
			}
		}
		p.close()
	})
}

// Scenario: S79
func TestR32_why_a_whole_run_failed_is_told_as_its_executor_says_it(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(whole)
		for n, c := range []struct {
			cause string
			class string
		}{{run.CauseLLMFailure, "llm"}, {run.CauseTurnLimit, "max_turns"}, {run.CauseTime, "budget"}, {run.CauseFatal, "internal"}, {"", "internal"}} {
			in := id.Input(fmt.Sprint("i", n))
			p.submit(in, "hello")
			d := p.task(run.ApplyRun)
			r := run.RunApplied{ID: d.ID, Cause: "whatever", Failed: &run.Failure{Kind: "far_side", Message: "it broke"}}
			before := p.state()
			var no *machine.Refusal
			if err := d.turn.Report(d.ctx, r); !errors.As(err, &no) || no.Guard != machine.GuardCause {
				w.Fatalf("an unknown cause: %v", err)
			}
			if st := p.state(); st.Version != before.Version || st.Run() != d.Run || len(st.Inbox.Staged()) != 1 {
				w.Fatalf("an unknown cause changed something: %+v", st.Control)
			}
			r.Cause = c.cause
			w.ok(d.turn.Report(d.ctx, r))
			cause := cmp.Or(c.cause, run.CauseRuntimeApply)
			want := runtime.AbandonedWithError{Run: d.Run, Reason: cause, Error: runtime.Failure{Kind: cause, Failure: "far_side", Detail: "it broke"}}
			if o := p.outcome(in); o != want {
				w.Errorf("told %#v, want %#v", o, want)
			}
			if how := p.ended(in, "failed"); how.Ended.Kind != "far_side" || how.Ended.Cause != cause {
				w.Errorf("stored %+v", how.Ended)
			}
			all := p.events()
			if e := all[len(all)-2].Payload.(event.RunFailed); e.Cause != cause || e.Class != c.class || e.Kind != "far_side" || e.Error != "it broke" {
				w.Errorf("heard %+v", e)
			}
		}
		p.submit("z", "hello")
		d := p.task(run.ApplyRun)
		w.ok(d.turn.Report(d.ctx, run.RunApplied{ID: d.ID, Cause: run.CauseBudget,
			Appends: []transcript.Entry{transcript.Assistant{Blocks: says("so far"), Stop: transcript.StopEndTurn}}}))
		if o, ok := p.outcome("z").(runtime.Completed); !ok || o.Cause != run.CauseBudget || o.Text != "so far" {
			w.Fatalf("told %#v", o)
		}
		mine, err := p.PrepareServiceTurn(w.ctx, sid)
		w.ok(err)
		w.is(p.Commit(w.ctx, mine, run.RunApplied{Cause: run.CauseFatal}), runtime.ErrInvalid) // it has not failed
		w.ok(p.Commit(w.ctx, mine, run.RunApplied{}))
		p.close()
	})
}

// annSays is what a peer says.
func annSays(in id.Input, what input.Convention, text, scope string) runtime.Input {
	return runtime.Input{ID: in, Of: &input.Input{Supersession: scope, Body: input.Peer{Convention: what, Body: text},
		Source: input.Source{Kind: input.SourcePeer, Peer: "01890000-0000-7000-8000-0000000000aa", Display: "ann"}}}
}

// Scenario: S55
func TestR104_who_waits_for_progress_is_told_what_took_its_place(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(bare)
		how := input.Progress{Request: "01890000-0000-7000-8000-0000000000bb", Phase: "on the way"}
		_, first := p.accept(annSays("a", how, "a quarter", "s"))
		_, other := p.accept(annSays("b", how, "something else", "another"))
		told := make(chan runtime.Outcome, 1)
		go func() { o, _ := first.Wait(w.ctx); told <- o }()
		synctest.Wait()
		p.accept(annSays("c", how, "half", "s"))
		if o := <-told; o != (runtime.Abandoned{Reason: "coalesced", By: "c"}) {
			w.Fatalf("told %#v", o)
		}
		w.pending(later(func() error { _, err := other.Wait(w.ctx); return err }))
		if got := p.waiting(); got != "b queued 0, c queued 0" {
			w.Fatalf("waiting: %s", got)
		}
		_, err := p.Reset(w.ctx, sid)
		w.ok(err)
		p.close()
	})
}

// Scenario: S81
func TestR31_a_receipt_that_names_other_inputs_or_another_run_changes_nothing(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(bare)
		p.accept(annSays("a", input.Message{}, "one", ""))
		p.accept(annSays("b", input.Message{}, "two", ""))
		_, err := p.EnsureSessionWithExecutor(w.ctx, sid, scripted{executor.Profile{Grain: run.Whole}, hands{p.tasks}.Apply})
		w.ok(err)
		d := p.task(run.ApplyRun)
		if !slices.Equal(d.Inputs, []id.Input{"a", "b"}) {
			w.Fatalf("handed out %v", d.Inputs)
		}
		before := p.state()
		unchanged := func() {
			w.Helper()
			if st := p.state(); st.Version != before.Version || st.Run() != d.Run || p.waiting() != "a staged 1, b staged 1" {
				w.Fatalf("version %d after %d, run %s, %s", st.Version, before.Version, st.Run(), p.waiting())
			}
		}
		for _, inputs := range [][]id.Input{{"b", "a"}, {"a"}, {"a", "b", "c"}, {"a", "c"}, {}} {
			var no *machine.Refusal
			if err := d.turn.Report(d.ctx, run.RunApplied{ID: d.ID, Inputs: inputs}); !errors.As(err, &no) || no.Guard != machine.GuardReceipt {
				w.Errorf("%v: %v", inputs, err)
			}
			unchanged()
		}
		elsewhere := d.ID
		elsewhere.Version++
		w.is(d.turn.Report(d.ctx, run.RunApplied{ID: elsewhere}), executor.ErrStale)
		w.is(p.Commit(w.ctx, runtime.Prepared{Session: sid, Run: "another"}, run.RunApplied{}), runtime.ErrNotCurrent)
		w.is(p.Commit(w.ctx, runtime.Prepared{Session: sid, Run: d.Run}, run.RunApplied{}), runtime.ErrNotCallers)
		unchanged()
		w.ok(d.turn.Report(d.ctx, run.RunApplied{ID: d.ID, Inputs: []id.Input{"a", "b"}}))
		p.ended("a", "completed")
		p.ended("b", "completed")
		p.close()
	})
}

// Scenario: S83
func TestR23_the_end_of_a_run_is_one_write(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*runtime.Config)
		kind   run.Kind
		end    func(task) error
	}{
		"step by step": {nil, run.CallModel, func(m task) error { return m.replies("hi") }},
		"whole":        {whole, run.ApplyRun, func(m task) error { return m.applies("hi") }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				p := w.registered(c.change)
				p.submit("a", "hello")
				m := p.task(c.kind)
				before := p.state()
				writes := make(chan store.Batch, 9)
				w.store.decide(func(b *store.Batch) storetest.Fault { writes <- *b; return storetest.Fault{} })
				w.ok(c.end(m))
				p.ended("a", "completed")
				p.nothing()
				st := w.cold()
				if b := <-writes; len(writes) != 0 || b.From != before.Version || b.To != before.Version+1 || st.Version != b.To {
					w.Fatalf("from %d to %d, %d more, stored as %d", b.From, b.To, len(writes), st.Version)
				}
				if st.Phase() != "idle" || st.Run() != "" || st.Inbox.Len() != 0 || st.Open.Len() != 0 || st.Message != 2 {
					w.Fatalf("phase %s, run %q, %d inputs, %d open, %d messages", st.Phase(), st.Run(), st.Inbox.Len(), st.Open.Len(), st.Message)
				}
				if n := count[event.RunCompleted](p.events()); n != 1 {
					w.Fatalf("told %d times", n)
				}
				p.close()
			})
		})
	}
}

// Scenario: S85
func TestR09_R24_the_end_of_a_failed_run_is_not_seen_before_it_is_durable(t *testing.T) {
	t.Parallel()
	failure := &run.Failure{Kind: "far_side", Message: "it broke"}
	for name, c := range map[string]struct {
		change func(*runtime.Config)
		kind   run.Kind
		end    func(task) error
	}{
		"step by step": {nil, run.CallModel, func(m task) error { return m.fails(1, false) }},
		"whole":        {whole, run.ApplyRun, func(m task) error { return m.turn.Report(m.ctx, run.RunApplied{ID: m.ID, Failed: failure}) }},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				p := w.registered(c.change)
				p.submit("a", "hello")
				m := p.task(c.kind)
				before := p.state()
				told := later(func() error { _, err := p.Wait(w.ctx, sid, "a"); return err })
				w.store.decide(always(full))
				reported := later(func() error { return c.end(m) })
				pass(5 * time.Second)
				w.pending(told)
				for which, st := range map[string]machine.State{"live": p.state(), "stored": w.cold()} {
					if st.Version != before.Version || st.Turn != before.Turn || st.Run() != m.Run || len(st.Inbox.Staged()) != 1 || st.Open.Len() != 1 {
						w.Errorf("%s: version %d after %d, turn %s, run %q", which, st.Version, before.Version, st.Turn.Phase, st.Run())
					}
				}
				if n := count[event.RunFailed](p.events()); n != 0 {
					w.Errorf("told %d times", n)
				}
				w.store.decide(nil)
				w.ok(<-reported)
				w.ok(<-told)
				p.ended("a", "failed")
				p.close()
			})
		})
	}
}

// Scenario: S94
func TestR38_a_steer_that_a_foreign_executor_could_not_take_runs_later(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(whole)
		p.submit("a", "hello")
		d := p.task(run.ApplyRun)
		p.steer("s", "and quickly")
		w.store.decide(always(full))
		ctx, cancel := context.WithTimeout(d.ctx, 3*time.Second)
		defer cancel()
		_, err := d.turn.Boundary(ctx, d.ID)
		w.is(err, context.DeadlineExceeded)
		w.store.decide(nil)
		if got := p.waiting(); got != "a staged 1, s queued 0" {
			w.Fatalf("waiting: %s", got)
		}
		if _, err := p.LoadBoundaryReceipt(w.ctx, sid, d.Run, 2); !errors.Is(err, store.ErrNotFound) || count[event.Steered](p.events()) != 0 {
			w.Fatalf("a receipt of a boundary: %v", err)
		}
		w.ok(d.applies("done"))
		again := p.task(run.ApplyRun)
		if again.Run == d.Run || !slices.Equal(again.Inputs, []id.Input{"s"}) {
			w.Fatalf("handed out %+v", again.Directive)
		}
		w.ok(again.applies("done quickly"))
		if o, ok := p.outcome("s").(runtime.Completed); !ok || o.Text != "done quickly" {
			w.Fatalf("told %#v", o)
		}
		p.close()
	})
}

// Scenario: S96
func TestR108_what_a_peer_says_without_asking_to_steer_waits_for_a_run_of_its_own(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		r := p.submit("a", "hello").Run
		w.ok(p.task(run.CallModel).replies("", call{"x", run.Once}))
		x := p.task(run.RunTool)
		p.accept(annSays("m", input.Message{}, "by the way", ""))
		if x.ctx.Err() != nil {
			w.Fatal("the tool was told to stop")
		}
		w.ok(x.settles("ok"))
		m := p.task(run.CallModel)
		if m.Run != r || m.Upto != 4 || p.waiting() != "a staged 1, m queued 0" { // user, reply, results
			w.Fatalf("the call sees %d messages; %s", m.Upto-1, p.waiting())
		}
		w.ok(m.replies("done"))
		m = p.task(run.CallModel)
		if m.Run == r || count[event.Steered](p.events()) != 0 {
			w.Fatal("it was taken into the run")
		}
		w.ok(m.replies("so I hear"))
		p.ended("m", "completed")

		q := w.host(func(c *runtime.Config) { whole(c); c.Gone = gone }) // nor is an executor with boundaries of its own given it
		q.submit("b", "hello")
		d := q.task(run.ApplyRun)
		q.accept(annSays("n", input.Message{}, "by the way", ""))
		if b, err := d.turn.Boundary(d.ctx, d.ID); err != nil || len(b.Steers) != 0 {
			w.Fatalf("took %v, %v", b.Steers, err)
		}
		w.ok(d.applies("done"))
		w.ok(q.task(run.ApplyRun).applies("so I hear"))
		q.ended("n", "completed")
		q.close()
		p.close()
	})
}

// Scenario: S99
func TestR42_a_cancel_that_is_repeated_leaves_the_next_run_to_be_cancelled_like_the_first(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		p.submit("b", "hello again")
		p.submit("c", "and again")
		for _, in := range []id.Input{"a", "b"} {
			m := p.task(run.CallModel)
			before := p.state().Version
			for range 3 {
				w.ok(p.CancelAfterBoundary(w.ctx, sid, m.Run))
			}
			if after := p.state().Version; after != before+1 {
				w.Fatalf("%s: version %d after %d", in, after, before)
			}
			w.ok(m.replies("as far as I came"))
			p.ended(in, "cancelled")
			w.is(p.CancelAfterBoundary(w.ctx, sid, m.Run), runtime.ErrNotCurrent)
		}
		w.ok(p.task(run.CallModel).replies("done"))
		p.ended("c", "completed")
		p.close()
	})
}

// inFlight lets a command wait for its commit, and says how the session looks meanwhile, live and stored.
func (p *place) inFlight(do func() error) (told <-chan error, live, stored machine.State) {
	p.w.Helper()
	p.w.store.decide(next(1, delayed))
	told = later(do)
	p.w.pending(told)
	return told, p.state(), p.w.cold()
}

// Scenario: S106
func TestR24_R43_nobody_sees_a_stop_before_it_is_durable(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(bare)
		p.submit("a", "hello")
		before := p.state()
		stopped, live, stored := p.inFlight(func() error { return p.StopRuntimeExecutor(w.ctx, sid, "enough", 0) })
		for which, st := range map[string]machine.State{"live": live, "stored": stored} {
			if st.Version != before.Version || st.Phase() != "idle" || st.Inbox.Len() != 1 {
				w.Errorf("%s: version %d after %d, phase %s, %d inputs", which, st.Version, before.Version, st.Phase(), st.Inbox.Len())
			}
		}
		w.ok(<-stopped)
		if st := w.cold(); p.phase() != "stopped" || st.Phase() != "stopped" {
			w.Fatalf("phase %s, stored as %s", p.phase(), st.Phase())
		}
		p.ended("a", "abandoned")
		p.close()
	})
}

// deaf is an orchestrator that takes no news of one kind.
type deaf struct {
	signals
	to run.SignalKind
}

func (s *deaf) Signal(ctx context.Context, of id.Session, sig run.Signal) error {
	if sig.Kind == s.to {
		return errors.New("nobody is there")
	}
	return s.signals.Signal(ctx, of, sig)
}

// unheard ends a session whose orchestrator does not hear of it, and then has another process tell the orchestrator.
func unheard(t *testing.T, kind run.SignalKind, end func(w *world, p *place) error, phase string) {
	bubble(t, func(w *world) {
		not := &deaf{to: kind}
		p := w.host(func(c *runtime.Config) { c.Signals = not })
		_, err := p.PrepareBindings(w.ctx, sid, runtime.Registration{})
		w.ok(err)
		w.ok(end(w, p))
		pass(time.Minute) // and nothing it tries in it helps
		if st := w.cold(); p.phase() != phase || st.Phase() != phase || slices.Contains(not.heard(), kind) {
			w.Fatalf("phase %s, stored as %s, heard %v", p.phase(), st.Phase(), not.heard())
		}
		p.close()

		to := &signals{fail: 2}
		q := w.host(func(c *runtime.Config) { c.Signals = to })
		_, err = q.WakeSession(w.ctx, sid)
		w.ok(err)
		pass(time.Minute)
		if got := to.heard(); !slices.Equal(got, []run.SignalKind{kind}) || q.phase() != phase || q.state().Open.Len() != 0 {
			w.Fatalf("heard %v, phase %s, %d open", got, q.phase(), q.state().Open.Len())
		}
		q.close()
		r := w.host(func(c *runtime.Config) { c.Signals = to })
		_, err = r.WakeSession(w.ctx, sid)
		w.ok(err)
		pass(time.Minute)
		if got := to.heard(); len(got) != 1 {
			w.Fatalf("heard %v", got)
		}
		r.close()
	})
}

// Scenario: S114
func TestR59_a_retirement_that_nobody_hears_of_is_one_and_is_told_until_somebody_does(t *testing.T) {
	unheard(t, run.RuntimeRetired, func(w *world, p *place) error { _, err := p.Retire(w.ctx, sid); return err }, "retired")
}

// Scenario: S123
func TestR59_a_destruction_that_nobody_hears_of_is_one_and_is_told_until_somebody_does(t *testing.T) {
	unheard(t, run.RuntimeDestroyed, func(w *world, p *place) error { _, err := p.Destroy(w.ctx, sid); return err }, "destroyed")
}

// unwritten asks for the end of a session whose store is full, and then of one whose store takes its time.
func unwritten(t *testing.T, end func(w *world, p *place) error, phase string) {
	bubble(t, func(w *world) {
		p := w.registered(bare)
		p.submit("a", "hello")
		p.submit("b", "and then")
		before := p.state()
		unchanged := func(which string, st machine.State) {
			w.Helper()
			if st.Version != before.Version || st.Phase() != "idle" || st.Inbox.Waiting() != 2 {
				w.Errorf("%s: version %d after %d, phase %s, %d inputs wait", which, st.Version, before.Version, st.Phase(), st.Inbox.Waiting())
			}
		}
		told := later(func() error { _, err := p.Wait(w.ctx, sid, "a"); return err })
		w.store.decide(always(full))
		w.is(end(w, p), store.ErrFull)
		w.store.decide(nil)
		unchanged("refused", p.state())
		unchanged("refused, as stored", w.cold())
		w.pending(told)
		done, live, stored := p.inFlight(func() error { return end(w, p) })
		unchanged("on its way", live)
		unchanged("on its way, as stored", stored)
		w.pending(told)
		w.ok(<-done)
		w.ok(<-told)
		if st := w.cold(); p.phase() != phase || st.Phase() != phase || st.Inbox.Len() != 0 {
			w.Fatalf("phase %s, stored as %s with %d inputs", p.phase(), st.Phase(), st.Inbox.Len())
		}
		p.close()
	})
}

// Scenario: S115
func TestR24_R54_a_retirement_that_cannot_be_written_has_not_happened(t *testing.T) {
	unwritten(t, func(w *world, p *place) error { _, err := p.Retire(w.ctx, sid); return err }, "retired")
}

// Scenario: S122
func TestR24_R55_a_destruction_that_cannot_be_written_has_not_happened(t *testing.T) {
	unwritten(t, func(w *world, p *place) error { _, err := p.Destroy(w.ctx, sid); return err }, "destroyed")
}

// Scenario: S120
func TestR12_whoever_waits_goes_on_waiting_through_a_recovery_unless_the_input_has_ended(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(bare)
		p.submit("a", "hello")
		p.submit("b", "and then")
		waits := func(in id.Input) <-chan error {
			return later(func() error { _, err := p.Wait(w.ctx, sid, in); return err })
		}
		a, b := waits("a"), waits("b")
		found, err := p.Recover(w.ctx, sid)
		w.ok(err)
		if found != (runtime.Recovery{Recovered: 2, Requeued: 2}) {
			w.Fatalf("%+v", found)
		}
		w.pending(a)
		w.pending(b)

		// Nobody saw that what waits was given up, nor can it be looked up for a while.
		w.store.decide(next(1, storetest.Fault{Hide: storetest.HideWritten}))
		w.store.loads(func() error { return store.ErrFailed })
		began := time.Now()
		_, err = p.Reset(w.ctx, sid)
		w.is(err, store.ErrUnknown)
		w.pending(a)
		w.store.loads(nil)
		if _, err = p.Recover(w.ctx, sid); err != nil {
			w.is(err, store.ErrUnknown) // of the reset, which is looked up first
		}
		w.ok(<-a)
		w.ok(<-b)
		if time.Since(began) != 0 {
			w.Fatal("it was not the recovery that answered them")
		}
		if found, err = p.Recover(w.ctx, sid); err != nil || found != (runtime.Recovery{}) {
			w.Fatalf("%+v, %v", found, err)
		}
		w.ok(<-waits("a"))
		p.close()
	})
}

// Scenario: M5
func TestR58_R133_what_is_meant_for_somebody_who_is_not_there_fails_where_it_began(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { bare(c); c.Signals = &deaf{to: run.RuntimeBound} })
		other := id.Session("00000000-0000-7000-8000-000000000002")
		p.register(other)
		here, before := machine.Placement{Runtime: "mob-1", Fence: 1}, p.state().Version
		w.is(p.BindPlacement(w.ctx, sid, p.state().Lifecycle.Epoch, here), runtime.ErrSignal)
		_, err := p.Ingest(w.ctx, here.Runtime, runtime.Input{Content: says("hello")})
		w.is(err, runtime.ErrNotFound)
		if st := p.state(); st.Transient.Placement != (machine.Placement{}) || st.Version != before {
			w.Fatalf("placed at %+v, version %d after %d", st.Transient.Placement, st.Version, before)
		}
		p.close()

		q := w.host(bare)
		for _, s := range []id.Session{sid, other} {
			st, err := q.WakeSession(w.ctx, s)
			w.ok(err)
			w.ok(q.BindPlacement(w.ctx, s, st.Lifecycle.Epoch, here))
		}
		_, err = q.Ingest(w.ctx, here.Runtime, runtime.Input{Content: says("hello")})
		w.is(err, runtime.ErrAmbiguous)
		for _, s := range []id.Session{sid, other} {
			if list, err := q.ListActiveInputs(w.ctx, s); err != nil || len(list) != 0 {
				w.Errorf("%s was given %v, %v", s, list, err)
			}
		}
		q.close()
	})
}
