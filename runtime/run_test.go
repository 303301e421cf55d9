package runtime_test

import (
	"context"
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
)

// Scenario: S34
func TestR32_a_run_without_tools_ends_with_one_event(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		v := p.submit("a", "hello")
		m := p.task(run.CallModel)
		if v.Run == "" || m.Run != v.Run || m.Attempt != 1 {
			w.Fatalf("run %q, handed out %+v", v.Run, m.Directive)
		}
		w.ok(m.replies("hi"))
		how := p.ended("a", "completed")
		if how.Ended.Reply != 2 {
			w.Fatalf("reply at %d", how.Ended.Reply)
		}
		if n := count[event.RunCompleted](p.events()); n != 1 {
			w.Fatalf("%d ends", n)
		}
		p.close()
	})
}

func TestR01_a_directive_is_handed_out_once_to_an_activation(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).replies("", call{"x", run.Once}, call{"y", run.ReadOnly}))
		x, y := p.task(run.RunTool), p.task(run.RunTool)
		// Every one of these commits, and each commit reconciles.
		for _, in := range []id.Input{"b", "c", "d"} {
			p.submit(in, "later")
		}
		p.steer("e", "now")
		p.nothing()
		w.ok(y.settles("from y"))
		p.nothing()
		w.ok(x.settles("from x"))
		if got := p.results(); !slices.Equal(got, []string{"x: from x", "y: from y"}) {
			w.Fatalf("results %q", got)
		}
		w.ok(p.task(run.CallModel).replies("done"))
		p.ended("e", "completed")
		p.close()
	})
}

func TestR07_R52_results_settle_in_any_order_and_are_told_in_the_order_of_the_calls(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).replies("", call{"x", 0}, call{"y", 0}, call{"z", 0}))
		tasks := []task{p.task(run.RunTool), p.task(run.RunTool), p.task(run.RunTool)}
		for _, n := range []int{2, 0, 1} {
			w.ok(tasks[n].settles("ok"))
		}
		var told []string
		for _, e := range p.events() {
			if done, ok := e.Payload.(event.ToolExecutionCompleted); ok {
				told = append(told, done.Name)
			}
		}
		if !slices.Equal(told, []string{"x", "y", "z"}) {
			w.Fatalf("told %q", told)
		}
		w.ok(p.task(run.CallModel).replies("done"))
		p.close()
	})
}

func TestR36_an_answer_to_what_is_not_open_is_stale_and_changes_nothing(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		m := p.task(run.CallModel)
		w.ok(m.replies("", call{"x", run.Once}))
		w.is(m.replies("another"), executor.ErrStale)
		x := p.task(run.RunTool)
		w.ok(x.settles("first"))
		version := p.state().Version
		w.is(x.settles("second"), executor.ErrStale)
		w.is(m.fails(1, true), executor.ErrStale)
		if got := p.state().Version; got != version {
			w.Fatalf("version %d became %d", version, got)
		}
		if got := p.results(); !slices.Equal(got, []string{"x: first"}) {
			w.Fatalf("results %q", got)
		}
		w.ok(p.task(run.CallModel).replies("done"))
		p.ended("a", "completed")
		p.close()
	})
}

func TestR10_a_failure_counts_against_its_own_attempt(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		first := p.task(run.CallModel)
		w.ok(first.fails(1, true))
		second := p.task(run.CallModel)
		if second.ID != first.ID || second.Attempt != 2 || second.NotBefore.IsZero() {
			w.Fatalf("second attempt: %+v", second.Directive)
		}
		w.is(first.fails(1, true), executor.ErrStale)
		w.ok(first.replies("late, and good")) // an answer need not name its attempt
		w.is(second.replies("too late"), executor.ErrStale)
		p.ended("a", "completed")
		p.close()
	})
}

func TestR39_a_failed_attempt_leaves_nothing_in_the_transcript(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		for attempt := 1; attempt <= 4; attempt++ {
			m := p.task(run.CallModel)
			if m.Attempt != attempt {
				w.Fatalf("attempt %d, want %d", m.Attempt, attempt)
			}
			w.ok(m.fails(attempt, true))
		}
		if how := p.ended("a", "failed"); how.Ended.Cause != "retry_exhausted" {
			w.Fatalf("cause %s", how.Ended.Cause)
		}
		rows, err := p.Transcript(w.ctx, sid, 1, 0)
		w.ok(err)
		if len(rows) != 1 {
			w.Fatalf("%d rows", len(rows))
		}
		p.close()
	})
}

// Scenario: S90
func TestR38_a_steer_is_part_of_the_run_from_its_next_boundary(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		run1 := p.submit("a", "hello").Run
		m := p.task(run.CallModel)
		p.steer("s", "and quickly")
		w.ok(m.replies("", call{"x", 0}))
		w.ok(p.task(run.RunTool).settles("ok"))
		if how := p.ended("s", "completed"); how.Ended.Run != run1 {
			w.Fatalf("steered run %s", how.Ended.Run)
		}
		m = p.task(run.CallModel)
		if m.Run != run1 || m.Upto != 5 { // user, reply, results, steer
			w.Fatalf("call %+v", m.Directive)
		}
		w.ok(m.replies("done"))
		p.ended("a", "completed")
		p.close()
	})
}

func TestR38_a_steer_that_comes_too_late_begins_the_next_run(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		run1 := p.submit("a", "hello").Run
		m := p.task(run.CallModel)
		p.steer("s", "wait")
		w.ok(m.replies("done"))
		m = p.task(run.CallModel)
		if m.Run == run1 {
			w.Fatal("the same run")
		}
		p.ended("a", "completed")
		w.ok(m.replies("done too"))
		p.ended("s", "completed")
		p.close()
	})
}

// Scenario: S48, S49
func TestR33_the_same_id_or_key_is_one_input(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		accept := func(in id.Input, key string) (id.Input, bool) {
			v, _, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{ID: in, Key: key, Content: says("hello")})
			w.ok(err)
			return v.Input, v.Duplicate
		}
		want := func(in id.Input, key string, first id.Input, dup bool) {
			w.Helper()
			if got, d := accept(in, key); got != first || d != dup {
				w.Fatalf("%s/%s: %s %t", in, key, got, d)
			}
		}
		want("a", "k", "a", false)
		want("a", "k", "a", true)
		want("b", "k", "a", true)
		want("a", "other", "a", true)
		w.ok(p.task(run.CallModel).replies("done"))
		p.ended("a", "completed")
		// R06: ended inputs have left the state, and still count.
		want("a", "k", "a", true)
		want("c", "k", "a", true)
		want("a", "other", "a", true)
		want("d", "", "d", false)
		w.ok(p.task(run.CallModel).replies("done"))
		p.ended("d", "completed")
		p.close()
	})
}

func TestR33_the_same_input_submitted_by_many_at_once_is_one(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		const n = 50
		fresh := make(chan bool, n)
		for range n {
			go func() {
				v, _, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{ID: "a", Content: says("hello")})
				fresh <- err == nil && !v.Duplicate && v.Input == "a"
			}()
		}
		first := 0
		for range n {
			if <-fresh {
				first++
			}
		}
		if first != 1 {
			w.Fatalf("%d were the first", first)
		}
		w.ok(p.task(run.CallModel).replies("done"))
		p.ended("a", "completed")
		p.nothing()
		p.close()
	})
}

// Scenario: S61, S130
func TestR24_an_acknowledged_input_survives_the_process(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		p.submit("a", "hello")
		q := w.host(func(c *runtime.Config) { c.Gone = gone })
		if _, err := q.WakeSession(w.ctx, sid); err != nil {
			w.Fatal(err)
		}
		w.ok(q.task(run.CallModel).replies("hi"))
		q.ended("a", "completed")
		q.close()
		p.close()
	})
}

func TestWaiting_for_what_is_not_there_says_so(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		_, err := p.Wait(w.ctx, sid, "nobody")
		if fault.CodeOf(err) != fault.NotFound {
			w.Fatalf("unknown input: %v", err)
		}
		_, err = p.Wait(w.ctx, "no-session", "nobody")
		if fault.CodeOf(err) != fault.NotFound {
			w.Fatalf("unknown session: %v", err)
		}
		_, _, err = p.AcceptWithCompletion(w.ctx, "no-session", runtime.Input{Content: says("hello")})
		w.is(err, runtime.ErrNotFound)
		_, err = p.WakeSession(w.ctx, "no-session")
		w.is(err, runtime.ErrNotFound)
		w.is(p.RegisterSession(w.ctx, "no-session", runtime.Registration{}), runtime.ErrNotFound)
		p.close()
	})
}

func TestWaiting_by_the_key_of_an_input_is_not_waiting_for_it(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		_, _, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{ID: "a", Key: "b", Content: says("hello")})
		w.ok(err)
		if _, err := p.Wait(w.ctx, sid, "b"); fault.CodeOf(err) != fault.NotFound {
			w.Fatalf("got %v", err)
		}
		w.ok(p.task(run.CallModel).replies("done"))
		p.close()
	})
}

func TestR11_a_waiter_may_leave_and_the_input_goes_on(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		ctx, leave := context.WithCancel(w.ctx)
		left := make(chan error, 1)
		go func() {
			_, err := p.Wait(ctx, sid, "a")
			left <- err
		}()
		synctest.Wait()
		leave()
		if err := <-left; !errors.Is(err, ctx.Err()) {
			w.Fatalf("got %v", err)
		}
		w.ok(p.task(run.CallModel).replies("hi"))
		p.ended("a", "completed")
		p.close()
	})
}

func TestR44_a_session_at_rest_has_no_goroutine(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(nil)
		p.register(sid)
		for _, s := range []id.Session{"s2", "s3", "s4"} {
			p.register(s)
		}
		synctest.Wait()
		before := goroutines()
		for n := range 50 {
			p.register(id.Session("more-" + string(rune('a'+n))))
		}
		synctest.Wait()
		if after := goroutines(); after != before {
			w.Fatalf("%d goroutines became %d", before, after)
		}
		p.close()
	})
}

// Scenario: S35, S66, S88
func TestR30_inputs_run_one_after_another_in_the_order_they_came(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		for _, in := range []id.Input{"a", "b", "c"} {
			p.submit(in, string(in))
		}
		list, err := p.ListActiveInputs(w.ctx, sid)
		w.ok(err)
		if !slices.Equal(list, []id.Input{"a", "b", "c"}) {
			w.Fatalf("active %v", list)
		}
		for _, in := range []id.Input{"a", "b", "c"} {
			m := p.task(run.CallModel)
			p.nothing()
			w.ok(m.replies("to " + string(in)))
			p.ended(in, "completed")
		}
		p.close()
	})
}
