package runtime_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/transcript"
)

// told lists a transcript, a word for each row and a bar between messages.
func (p *place) told(s id.Session) string {
	p.w.Helper()
	rows, err := p.Transcript(p.w.ctx, s, 1, 0)
	p.w.ok(err)
	var out []string
	for n, r := range rows {
		if n > 0 && r.At.Message != rows[n-1].At.Message {
			out = append(out, "|")
		}
		switch e := r.Entry.(type) {
		case transcript.System:
			out = append(out, "system:"+e.Text)
		case transcript.Notice:
			out = append(out, "notice:"+e.Text)
		case transcript.User:
			out = append(out, "user:"+e.Content.Plain())
		case transcript.Assistant:
			out = append(out, "reply:"+e.Blocks.Plain())
		case transcript.ToolResult:
			out = append(out, "result:"+e.Code+e.Content.Plain()[:min(2, len(e.Content.Plain()))])
		}
	}
	return strings.Join(out, " ")
}

func (p *place) quiet(in id.Input, text string) {
	p.w.Helper()
	v, err := p.AcceptWithoutWake(p.w.ctx, sid, runtime.Input{ID: in, Content: says(text)})
	p.w.ok(err)
	if v.Run != "" {
		p.w.Fatalf("%s is part of %s", in, v.Run)
	}
}

func TestR136_a_session_that_is_made_to_run_later_keeps_its_prompts_over_a_restart_and_can_be_amended(t *testing.T) {
	bubble(t, func(w *world) {
		s := &shop{}
		p := w.host(s.selling)
		profile := run.Profile{Model: "m", System: "be brief", Labels: map[string]string{"team": "x"}}
		w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{Profile: &profile}))
		p.quiet("stash", "once upon a time")
		p.nothing()
		p.close()

		p = w.host(s.selling)
		waits, err := p.ListActiveInputs(w.ctx, sid)
		w.ok(err)
		if !slices.Equal(waits, []id.Input{"stash"}) || p.told(sid) != "" {
			t.Errorf("%v wait; told %s", waits, p.told(sid))
		}
		listed, err := w.memory.Sessions(w.ctx, store.Query{Fresh: true, Labels: map[string]string{"team": "x"}})
		if err != nil || len(listed) != 1 || listed[0].Head.Messages != 0 || listed[0].Head.Title != "once upon a time" {
			t.Errorf("listed: %+v, %v", listed, err)
		}
		profile.Model, profile.System, profile.Labels = "m2", "be long", map[string]string{"team": "y"}
		w.ok(p.AmendSession(w.ctx, sid, profile))
		p.close()

		p = w.host(s.selling)
		p.submit("go", "there was")
		d := p.task(run.CallModel).answers(w, "m2")
		if got := p.told(sid); got != "system:be long | user:once upon a time | user:there was" || d.Upto != 4 {
			t.Errorf("told %s; the model reads up to %d", got, d.Upto)
		}
		err = p.AmendSession(w.ctx, sid, profile)
		if w.is(err, runtime.ErrBegun); fault.CodeOf(err) != fault.Invalid {
			t.Error(err)
		}
		w.ok(d.replies("a king"))
		p.ended("stash", "completed")
		p.ended("go", "completed")
		w.is(p.AmendSession(w.ctx, sid, profile), runtime.ErrBegun)
		_, err = p.Destroy(w.ctx, sid)
		w.ok(err)
		w.is(p.AmendSession(w.ctx, sid, profile), runtime.ErrDestroyed)
		w.is(p.AmendSession(w.ctx, "00000000-0000-7000-8000-000000000099", profile), runtime.ErrNotFound)
		p.close()
	})
}

// presets is an executor whose tools are those that the profile names.
type presets struct{ hands }

func (presets) Catalogue(_ context.Context, _ id.Session, p run.Profile) (*scope.Catalogue, error) {
	if p.Tools == "broken" {
		return nil, errors.New("no such preset")
	}
	return catalogue(p.Tools), nil
}

func TestR136_the_tools_of_an_amended_session_are_those_of_its_profile(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(func(c *runtime.Config) { c.Executor = presets{c.Executor.(hands)} })
		w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{Profile: &run.Profile{Model: "m", Tools: "read"}}))
		w.ok(p.AmendSession(w.ctx, sid, run.Profile{Model: "m", Tools: "read write"}))
		p.submit("a", "hello")
		d := p.task(run.CallModel)
		if c, _ := d.call(d.ID); !c.Gated || !c.Visible.Allows("write") || c.Visible.Len() != 2 {
			t.Errorf("offered: %+v", c.Visible)
		}
		w.ok(d.replies("hi"))
		p.close()
	})
}

// A prompt without wake that comes while a run goes on waits for the next run.
func TestR107_a_prompt_without_wake_rides_along_with_the_next_run_and_not_with_the_one_that_is_bound(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		d := p.task(run.CallModel)
		p.quiet("b", "by the way")
		w.ok(d.replies("", call{"read", run.ReadOnly}))
		w.ok(p.task(run.RunTool).settles("ok"))
		w.ok(p.task(run.CallModel).replies("hi"))
		p.ended("a", "completed")
		p.nothing()
		p.submit("c", "and now")
		w.ok(p.task(run.CallModel).replies("bye"))
		if got := p.told(sid); got != "user:hello | reply: | result:ok | reply:hi | user:by the way | user:and now | reply:bye" {
			t.Error(got)
		}
		p.close()
	})
}

func TestR137_a_session_can_begin_with_what_another_said_up_to_any_message(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(nil)
		w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{Profile: &run.Profile{Model: "m"}, System: "be kind"}))
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).replies("", call{"x", run.ReadOnly}, call{"y", run.ReadOnly}))
		w.ok(p.task(run.RunTool).settles("ok"))
		w.ok(p.task(run.RunTool).settles("ok"))
		w.ok(p.task(run.CallModel).replies("hi"))
		p.ended("a", "completed")
		rows, err := p.Transcript(w.ctx, sid, 1, 0)
		w.ok(err)
		source := p.told(sid)
		want := []string{"", "system:be kind", "system:be kind | user:hello", "system:be kind | user:hello | reply: | result:not_executedno result:not_executedno",
			"system:be kind | user:hello | reply: | result:ok result:ok", "system:be kind | user:hello | reply: | result:ok result:ok | reply:hi"}
		for n, began := range want {
			s := id.Session(fmt.Sprintf("00000000-0000-7000-8000-0000000001%02d", n))
			cut := slices.IndexFunc(rows, func(r transcript.Row) bool { return r.At.Message > n })
			if cut < 0 {
				cut = len(rows)
			}
			w.ok(p.RegisterSession(w.ctx, s, runtime.Registration{Profile: &run.Profile{Model: "m"}, Seed: rows[:cut]}))
			if got := p.told(s); got != began {
				t.Errorf("with %d messages: %s", n, got)
			}
			st, err := p.State(w.ctx, s)
			w.ok(err)
			title := map[bool]string{true: "hello"}[n > 1]
			if st.Title != title || st.Pending() != (n > 1 && n < 5) || st.Message != strings.Count(" | "+began, " | ")-map[bool]int{true: 1}[n == 0] {
				t.Errorf("with %d messages: title %q, pending %t, %d messages", n, st.Title, st.Pending(), st.Message)
			}
			_, _, err = p.AcceptWithCompletion(w.ctx, s, runtime.Input{ID: "go", Content: says("and?")})
			w.ok(err)
			d := p.task(run.CallModel)
			if d.Upto != st.Message+2 {
				t.Errorf("with %d messages the model reads up to %d", n, d.Upto)
			}
			w.ok(d.replies("so"))
			synctest.Wait()
			said := p.told(s)
			p.close()
			p = w.host(nil)
			if st, err := p.WakeSession(w.ctx, s); err != nil || st.Title != "and?" && st.Title != title || p.told(s) != said {
				t.Errorf("with %d messages, after a restart: %+v, %v, %s", n, st.Control, err, p.told(s))
			}
		}
		if p.told(sid) != source {
			t.Errorf("the source has become %s", p.told(sid))
		}
		p.close()
	})
}

func TestR137_what_is_no_conversation_begins_no_session(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		user := transcript.Row{Entry: transcript.User{Content: says("hello")}}
		result := transcript.Row{Entry: transcript.ToolResult{Call: "x", Content: says("ok")}}
		profile := &run.Profile{Model: "m"}
		const other = id.Session("00000000-0000-7000-8000-000000000002")
		for _, r := range []runtime.Registration{{Profile: profile, Seed: []transcript.Row{user, result}}, {Profile: profile, Seed: []transcript.Row{{}}},
			{Profile: profile, System: "be kind", Seed: []transcript.Row{user}}} {
			err := p.RegisterSession(w.ctx, other, r)
			w.is(err, runtime.ErrInvalid)
			var no *machine.Refusal
			if there, err2 := p.ContainsSession(w.ctx, other); !errors.As(err, &no) || err2 != nil || there {
				t.Errorf("%v; it is there: %t, %v", err, there, err2)
			}
		}
		w.is(p.RegisterSession(w.ctx, sid, runtime.Registration{Seed: []transcript.Row{user}}), runtime.ErrExists)
		w.is(p.RegisterSession(w.ctx, sid, runtime.Registration{Profile: profile, Seed: []transcript.Row{user}}), runtime.ErrExists)
		w.is(p.RegisterSession(w.ctx, other, runtime.Registration{Seed: []transcript.Row{user}}), runtime.ErrNotFound)
		p.close()
	})
}

var _ executor.Offerer = presets{}
