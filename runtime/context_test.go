package runtime_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/transcript"
)

// knows adds context, and fails unless it was not there.
func (p *place) knows(key, text string) machine.Verdict {
	p.w.Helper()
	v, err := p.AddContext(p.w.ctx, sid, key, transcript.Notice{Kind: "context", Text: text})
	p.w.ok(err)
	if v.Duplicate || v.Run != "" {
		p.w.Fatalf("%+v", v)
	}
	return v
}

func TestR108_context_starts_nothing_and_is_known_from_the_next_model_call_on(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		first := p.knows("k", "it rains")
		p.nothing()
		p.close()

		p = w.host(nil)
		if waits, err := p.ListActiveInputs(w.ctx, sid); err != nil || len(waits) != 1 || waits[0] != first.Input {
			t.Errorf("%v, %v", waits, err)
		}
		p.submit("a", "how is it?")
		d := p.task(run.CallModel)
		p.knows("", "it snows")
		if got := p.told(sid); got != "notice:it rains | user:how is it?" || d.Upto != 3 {
			t.Errorf("%s, up to %d", got, d.Upto)
		}
		w.ok(d.replies("", call{"look", run.ReadOnly}))
		look := p.task(run.RunTool)
		p.quiet("b", "later")
		w.ok(look.settles("ok"))
		last := p.task(run.CallModel)
		if got := p.told(sid); !strings.HasSuffix(got, "| result:ok | notice:it snows") || last.Upto != 6 {
			t.Errorf("%s, up to %d", got, last.Upto)
		}
		third := p.knows("", "it hails")
		w.ok(last.replies("cold"))
		p.ended("a", "completed")
		p.nothing() // nobody asks for another run
		p.submit("c", "and now?")
		w.ok(p.task(run.CallModel).replies("colder"))
		p.ended(third.Input, "completed")
		if got := p.told(sid); !strings.HasSuffix(got, "| reply:cold | user:later | notice:it hails | user:and now? | reply:colder") {
			t.Error(got)
		}
		p.close()
	})
}

// loops is an executor with a loop of its own.
type loops struct{ hands }

func (loops) Profile() executor.Profile {
	return executor.Profile{Grain: run.Whole, Class: run.ReadOnly}
}

func TestR108_an_executor_with_a_loop_of_its_own_is_told_context_at_its_boundary(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = loops{c.Executor.(hands)} })
		p.submit("a", "hello")
		d := p.task(run.ApplyRun)
		at, err := d.turn.Boundary(d.ctx, d.ID)
		if w.ok(err); len(at.Steers) > 0 {
			t.Errorf("%+v", at)
		}
		v := p.knows("k", "it rains")
		at, err = d.turn.Boundary(d.ctx, d.ID)
		if w.ok(err); len(at.Steers) != 1 || at.Steers[0].Input != v.Input || at.Steers[0].Content.Plain() != "it rains" {
			t.Errorf("%+v", at)
		}
		p.ended(v.Input, "completed")
		w.ok(d.turn.Report(d.ctx, run.RunApplied{ID: d.ID}))
		p.ended("a", "completed")
		p.close()
	})
}

func TestR33_the_same_context_again_is_a_duplicate_and_other_context_under_its_key_is_refused(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		again := func(when, key, text string, want machine.Verdict) {
			t.Helper()
			v, err := p.AddContext(w.ctx, sid, key, transcript.Notice{Kind: "context", Text: text})
			if err != nil || v != want {
				t.Errorf("%s: %+v, %v", when, v, err)
			}
			v, err = p.AddContext(w.ctx, sid, key, transcript.Notice{Kind: "context", Text: text + "!"})
			var first *runtime.DuplicateError
			if !errors.Is(err, runtime.ErrDuplicate) || !errors.As(err, &first) || first.Input != want.Input || fault.CodeOf(err) != fault.Invalid || v != (machine.Verdict{}) {
				t.Errorf("%s: %+v, %v", when, v, err)
			}
		}
		v := p.knows("k", "it rains")
		v.Duplicate = true
		again("while it waits", "k", "it rains", v)
		p.submit("a", "hello")
		d := p.task(run.CallModel)
		v.Run = p.state().Run()
		again("while its run goes on", "k", "it rains", v)
		w.ok(d.replies("hi"))
		p.ended("a", "completed")
		v.Run = ""
		again("after its end", "k", "it rains", v)
		p.close()
		p = w.host(nil)
		again("in another process", "k", "it rains", v)
		_, err := p.AddContext(w.ctx, sid, "a", transcript.Notice{Kind: "context", Text: "hello"}) // a prompt's key
		w.is(err, runtime.ErrDuplicate)
		if got := p.told(sid); got != "notice:it rains | user:hello | reply:hi" {
			t.Error(got)
		}
		w.ok(p.StopRuntimeExecutor(w.ctx, sid, "enough", 0))
		_, err = p.AddContext(w.ctx, sid, "", transcript.Notice{Kind: "context", Text: "too late"})
		w.is(err, runtime.ErrStopped)
		p.close()
	})
}
