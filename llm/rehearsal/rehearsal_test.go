package rehearsal

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/transcript"
)

// talk is a conversation under test: rows in the order a session would commit them.
type talk struct {
	rows []transcript.Row
	at   int
}

func (k *talk) add(e transcript.Entry) {
	k.at++
	k.rows = append(k.rows, transcript.Row{At: transcript.Position{Message: k.at}, Entry: e})
}

func (k *talk) user(text string) *talk {
	k.add(transcript.User{Content: transcript.TextBlocks(text)})
	return k
}

// settle commits a reply and a result for each of its calls.
func (k *talk) settle(a transcript.Assistant, result func(transcript.ToolUse) transcript.ToolResult) {
	k.add(a)
	for _, u := range a.Blocks.ToolUses() {
		r := result(u)
		r.Call = u.ID
		k.add(r)
	}
}

func said(text string) func(transcript.ToolUse) transcript.ToolResult {
	return func(u transcript.ToolUse) transcript.ToolResult {
		return transcript.ToolResult{Name: u.Name, Content: transcript.TextBlocks(text)}
	}
}

// outcome is what a stream came to.
type outcome struct {
	reply transcript.Assistant
	parts []llm.Part
	err   error
	done  bool
}

func (o outcome) text() string { return o.reply.Blocks.Plain() }

func hear(ctx context.Context, m llm.Model, req llm.Request) outcome {
	var o outcome
	var text, reasoning strings.Builder
	var calls []transcript.ToolUse
	for p, err := range m.Stream(ctx, req) {
		if err != nil {
			o.err = err
			break
		}
		o.parts = append(o.parts, p)
		switch p := p.(type) {
		case llm.TextPart:
			text.WriteString(p.Text)
		case llm.ReasoningPart:
			reasoning.WriteString(p.Text)
		case llm.CallPart:
			if p.Index == len(calls) {
				calls = append(calls, transcript.ToolUse{ID: p.ID, Name: p.Name})
			}
			calls[p.Index].Args = append(calls[p.Index].Args, p.Args...)
		case llm.UsagePart:
			o.reply.Usage = &p.Usage
		case llm.Done:
			o.done, o.reply.Stop = true, p.Stop
		}
	}
	if reasoning.Len() > 0 {
		o.reply.Blocks = append(o.reply.Blocks, transcript.Reasoning{Text: reasoning.String()})
	}
	if text.Len() > 0 {
		o.reply.Blocks = append(o.reply.Blocks, transcript.Text{Text: text.String()})
	}
	for _, c := range calls {
		o.reply.Blocks = append(o.reply.Blocks, c)
	}
	return o
}

func model(t *testing.T, script string) *Model {
	t.Helper()
	s, err := Parse([]byte(script))
	if err != nil {
		t.Fatal(err)
	}
	m, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func kindOf(t *testing.T, err error) llm.Kind {
	t.Helper()
	var e *llm.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *llm.Error", err)
	}
	return e.Kind
}

func Test_steps_without_conditions_are_played_in_order(t *testing.T) {
	t.Parallel()
	m := model(t, `{"steps": [{"reply": {"text": "one"}}, {"times": 2, "reply": {"text": "two {{turn}}"}}, {"reply": {"text": "last"}}]}`)
	k := new(talk)
	var got []string
	for range 4 {
		o := hear(t.Context(), m, llm.Request{Rows: k.user("go on").rows})
		if o.err != nil || !o.done {
			t.Fatalf("got %v, done %v", o.err, o.done)
		}
		got = append(got, o.text())
		k.settle(o.reply, nil)
	}
	if diff := cmp.Diff([]string{"one", "two 1", "two 2", "last"}, got); diff != "" {
		t.Error(diff)
	}
	o := hear(t.Context(), m, llm.Request{Rows: k.user("more").rows})
	if kindOf(t, o.err) != llm.InvalidRequest || fault.CodeOf(o.err) != fault.Invalid {
		t.Errorf("got %v, want an invalid request", o.err)
	}
	for _, want := range []string{"turn 4, round 0, reply 4", `user "more"`, "steps[0]: used up", "steps[2]: used up"} {
		if !strings.Contains(o.err.Error(), want) {
			t.Errorf("%q does not say %q", o.err, want)
		}
	}
}

func Test_a_condition_chooses_the_step(t *testing.T) {
	t.Parallel()
	m := model(t, `{"steps": [
		{"when": {"round": 1, "result": {"tool": "probe", "code": "outcome_unknown"}}, "always": true, "reply": {"text": "unknown"}},
		{"when": {"round": 1, "result": {"error": true, "matches": "^no "}}, "always": true, "reply": {"text": "refused"}},
		{"when": {"round": 1, "result": {"error": false, "contains": "42"}}, "always": true, "reply": {"text": "it is {{tool:probe}}"}},
		{"when": {"user": "PROBE", "tools": ["probe"]}, "always": true, "reply": {"calls": [{"tool": "probe", "args": {"of": ["{{user}}", 1e3]}}]}},
		{"when": {"user_matches": "^h(i|ello)$"}, "always": true, "reply": {"text": "hello"}},
		{"always": true, "reply": {"text": "pardon?"}}
	]}`)
	ask := llm.Request{Rows: new(talk).user("please probe it").rows}
	if got := hear(t.Context(), m, ask).text(); got != "pardon?" {
		t.Errorf("without the tool got %q", got)
	}
	if got := hear(t.Context(), m, llm.Request{Rows: new(talk).user("hi").rows}).text(); got != "hello" {
		t.Errorf("got %q, want hello", got)
	}
	ask.Tools = []llm.Tool{{Name: "probe"}}
	first := hear(t.Context(), m, ask)
	uses := first.reply.Blocks.ToolUses()
	if len(uses) != 1 || string(uses[0].Args) != `{"of":["please probe it",1e3]}` || first.reply.Stop != transcript.StopToolUse {
		t.Fatalf("got %+v", first.reply)
	}
	for _, c := range []struct {
		result transcript.ToolResult
		want   string
	}{
		{transcript.ToolResult{Content: transcript.TextBlocks("42")}, "it is 42"},
		{transcript.ToolResult{Name: "probe", Content: transcript.TextBlocks("no way"), IsError: true}, "refused"},
		{transcript.ToolResult{Content: transcript.TextBlocks("?"), IsError: true, Code: transcript.ResultOutcomeUnknown}, "unknown"},
	} {
		k := new(talk).user("please probe it")
		k.settle(first.reply, func(transcript.ToolUse) transcript.ToolResult { return c.result })
		if got := hear(t.Context(), m, llm.Request{Rows: k.rows, Tools: ask.Tools}).text(); got != c.want {
			t.Errorf("after %+v got %q, want %q", c.result, got, c.want)
		}
	}
}

func Test_a_step_given_back_by_the_conversation_is_the_same_in_another_process(t *testing.T) {
	t.Parallel()
	k := new(talk).user("do it")
	for range 5 {
		one, two := demoModel(t), demoModel(t)
		a := hear(t.Context(), one, llm.Request{Rows: k.rows})
		b := hear(t.Context(), two, llm.Request{Rows: slices.Clone(k.rows)})
		if diff := cmp.Diff(a.parts, b.parts); diff != "" {
			t.Fatal(diff)
		}
		if len(a.reply.Blocks.ToolUses()) == 0 {
			return
		}
		k.settle(a.reply, said("ok"))
	}
	t.Error("the demo did not come to its end")
}

func Test_call_ids_differ_within_a_conversation_and_between_conversations(t *testing.T) {
	t.Parallel()
	m := model(t, `{"steps": [{"always": true, "reply": {"calls": [{"tool": "a"}, {"tool": "a"}, {"tool": "b", "id": "mine"}]}}]}`)
	seen := map[id.Call]bool{}
	for _, start := range []time.Time{time.Unix(1, 0), time.Unix(2, 0)} {
		k := new(talk).user("go")
		k.rows[0].Time = start
		for range 3 {
			o := hear(t.Context(), m, llm.Request{Rows: k.rows})
			for _, u := range o.reply.Blocks.ToolUses() {
				if u.Name == "b" {
					if u.ID != "mine" {
						t.Errorf("got id %q, want the script's", u.ID)
					}
				} else if seen[u.ID] {
					t.Errorf("id %s came twice", u.ID)
				}
				seen[u.ID] = true
			}
			k.settle(o.reply, said("ok"))
		}
	}
	if len(seen) != 13 {
		t.Errorf("got %d ids, want 13", len(seen))
	}
}

func Test_failures_come_first_and_each_conversation_has_its_own(t *testing.T) {
	t.Parallel()
	m := model(t, `{"steps": [{
		"failures": [
			{"status": 429, "retry_after": "3s", "times": 2},
			{"kind": "connection_reset", "after": 2, "message": "gone"},
			{"kind": "cut", "after": 100}
		],
		"reply": {"text": "here at last", "usage": {"input_tokens": 7, "output_tokens": 3}}
	}]}`)
	for _, start := range []time.Time{time.Unix(1, 0), time.Unix(2, 0)} {
		k := new(talk).user("go")
		k.rows[0].Time = start
		req := llm.Request{Rows: k.rows}
		for range 2 {
			e := llm.AsError(hear(t.Context(), m, req).err)
			if e.Kind != llm.RateLimited || e.Status != 429 || e.RetryAfter != 3*time.Second {
				t.Fatalf("got %+v", e)
			}
		}
		o := hear(t.Context(), m, req)
		if kindOf(t, o.err) != llm.ConnectionReset || o.text() != "here at " {
			t.Fatalf("got %v after %q", o.err, o.text())
		}
		o = hear(t.Context(), m, req)
		if o.err != nil || o.done || o.text() != "here at last" {
			t.Fatalf("a cut stream gave %+v", o)
		}
		o = hear(t.Context(), m, req)
		if o.err != nil || !o.done || o.text() != "here at last" || *o.reply.Usage != (transcript.Usage{Input: 7, Output: 3}) {
			t.Fatalf("got %+v", o)
		}
	}
	if len(m.attempts) != 0 {
		t.Errorf("%d conversations are still remembered", len(m.attempts))
	}
}

func Test_a_step_without_a_reply_fails_for_ever(t *testing.T) {
	t.Parallel()
	m := model(t, `{"steps": [{"failures": [{"kind": "overloaded"}, {"kind": "authentication_failed", "status": 401}]}]}`)
	var got []llm.Kind
	for range 4 {
		got = append(got, kindOf(t, hear(t.Context(), m, llm.Request{Rows: new(talk).user("go").rows}).err))
	}
	if diff := cmp.Diff([]llm.Kind{llm.Overloaded, llm.Unauthenticated, llm.Unauthenticated, llm.Unauthenticated}, got); diff != "" {
		t.Error(diff)
	}
}

func Test_waits_and_delays_are_kept_and_end_with_the_context(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := model(t, `{"steps": [{"always": true, "reply": {"wait": "2s", "delay": "1s", "pieces": ["a", "b", "c"]}}]}`)
		req := llm.Request{Rows: new(talk).user("go").rows}
		start := time.Now()
		if o := hear(t.Context(), m, req); o.err != nil || o.text() != "abc" {
			t.Fatalf("got %+v", o)
		}
		if took := time.Since(start); took != 4*time.Second {
			t.Errorf("took %v, want 4s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
		defer cancel()
		o := hear(ctx, m, req)
		if o.text() != "a" || kindOf(t, o.err) != llm.CallTimeout || !errors.Is(o.err, context.DeadlineExceeded) {
			t.Errorf("got %q and %v", o.text(), o.err)
		}
	})
}

func Test_a_hanging_stream_ends_with_its_context(t *testing.T) {
	t.Parallel()
	m := model(t, `{"steps": [{"failures": [{"kind": "hang", "after": 1}], "reply": {"text": "some words"}}]}`)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var got string
	for p, err := range m.Stream(ctx, llm.Request{Rows: new(talk).user("go").rows}) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Errorf("got %v", err)
			}
			got += "|cancelled"
			break
		}
		got += p.(llm.TextPart).Text
		cancel()
	}
	if got != "some |cancelled" {
		t.Errorf("got %q", got)
	}
}

func Test_a_consumer_may_stop_at_any_part(t *testing.T) {
	t.Parallel()
	m := demoModel(t)
	req := llm.Request{Rows: new(talk).user("go").rows}
	all := len(hear(t.Context(), m, req).parts)
	for n := 1; n <= all; n++ {
		seen := 0
		for range m.Stream(t.Context(), req) {
			if seen++; seen == n {
				break
			}
		}
		if seen != n {
			t.Errorf("stopped after %d parts, want %d", seen, n)
		}
	}
}

func demoModel(t *testing.T) *Model {
	t.Helper()
	s := Demo()
	for i := range s.Steps {
		s.Steps[i].Reply.Delay = 0
	}
	m, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func Test_the_demo_asks_for_each_step_once_and_tells_what_became_of_it(t *testing.T) {
	t.Parallel()
	unknown := transcript.ToolResult{Content: transcript.TextBlocks("may have run"), IsError: true, Code: transcript.ResultOutcomeUnknown}
	for name, c := range map[string]struct {
		results map[string]transcript.ToolResult
		steps   string
		final   string
	}{
		"all go well":             {nil, "fetch build publish", "All three steps are done, each once:"},
		"build is not known":      {map[string]transcript.ToolResult{"build": unknown}, "fetch build publish", "` (outcome_unknown): may have run"},
		"fetch is not known":      {map[string]transcript.ToolResult{"fetch": unknown}, "fetch build publish", "did not repeat it"},
		"publish is not known":    {map[string]transcript.ToolResult{"publish": unknown}, "fetch build publish", "did not repeat it"},
		"build fails of its own":  {map[string]transcript.ToolResult{"build": {Content: transcript.TextBlocks("broken"), IsError: true}}, "fetch build", "I stop here"},
		"all three are not known": {map[string]transcript.ToolResult{"fetch": unknown, "build": unknown, "publish": unknown}, "fetch build publish", "did not repeat it"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, k := demoModel(t), new(talk).user("go")
			for range 2 { // and once more in the same session
				var steps []string
				var o outcome
				for range 4 {
					if o = hear(t.Context(), m, llm.Request{Rows: k.rows}); o.err != nil {
						t.Fatal(o.err)
					}
					k.settle(o.reply, func(u transcript.ToolUse) transcript.ToolResult {
						step := strings.Split(string(u.Args), `"`)[3]
						steps = append(steps, step)
						if r, ok := c.results[step]; ok {
							return r
						}
						return said("done")(u)
					})
					if o.reply.Stop == transcript.StopEndTurn {
						break
					}
				}
				if got := strings.Join(steps, " "); got != c.steps {
					t.Errorf("asked for %q, want %q", got, c.steps)
				}
				if !strings.Contains(o.text(), c.final) || !strings.Contains(o.text(), "- `step {\"name\":\"fetch\"}`") {
					t.Errorf("said %q, want it to contain %q and what became of fetch", o.text(), c.final)
				}
				k.user("again")
			}
		})
	}
}
