package llmtest_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/llm/llmtest"
	"github.com/meerkat-go/meerkat/llm/llmtest/script"
	"github.com/meerkat-go/meerkat/transcript"
)

func always(r script.Reply) script.Rule { return script.Rule{Reply: r} }

func TestA_scripted_model_answers_by_what_the_conversation_holds(t *testing.T) {
	t.Parallel()
	m := llmtest.New(
		script.Rule{When: script.When{ResultsSinceUser: script.N(0), SystemContains: "careful"}, Reply: script.Reply{ToolCalls: []script.Call{{ID: "c1", Name: "list", Args: json.RawMessage(`{"a":1}`)}}}},
		script.Rule{When: script.When{ToolResults: script.N(1)}, Times: 1, Reply: script.Reply{Text: "once"}},
		script.Rule{When: script.When{Model: "fake-1"}, Reply: script.Reply{Text: "ever after"}})
	req := llmtest.Ask("hi")
	req.Rows = llmtest.Rows(transcript.System{Text: "be careful"}, req.Rows[0].Entry)
	first, err := llm.Collect(m.Stream(t.Context(), req), nil)
	if err != nil || first.Stop != transcript.StopToolUse || string(first.Blocks.ToolUses()[0].Args) != `{"a":1}` {
		t.Fatalf("%v, %v", first, err)
	}
	req.Rows = llmtest.Rows(req.Rows[0].Entry, req.Rows[1].Entry, first, transcript.ToolResult{Call: "c1", Content: transcript.TextBlocks("x")})
	for _, want := range []string{"once", "ever after", "ever after"} {
		got, err := llm.Collect(m.Stream(t.Context(), req), nil)
		if err != nil || got.Blocks.Plain() != want {
			t.Errorf("%v, %v", got, err)
		}
	}
	req.Model = "other"
	if _, err := llm.Collect(m.Stream(t.Context(), req), nil); err == nil || llm.AsError(err).Kind != llm.InvalidRequest {
		t.Errorf("a conversation that no rule answers: %v", err)
	}
	if n := len(m.Requests()); n != 5 {
		t.Errorf("%d requests are kept", n)
	}
}

func TestA_scripted_model_fails_as_an_adapter_would(t *testing.T) {
	t.Parallel()
	for want, r := range map[llm.Kind]script.Reply{
		llm.ConnectionReset: {Text: "abc", Fault: script.Reset}, llm.Truncated: {Text: "abc", Fault: script.Cut}, llm.Garbled: {Text: "abc", Fault: script.Garbage},
		llm.RateLimited: {Status: 429, RetryAfter: "2.5"}, llm.Overloaded: {Text: "abc", Fault: script.Fail, Error: &script.Error{Type: "overloaded", Message: "busy"}},
		llm.InvalidArguments: {ToolCalls: []script.Call{{Name: "a", Args: json.RawMessage(`"no"`)}}}, llm.Empty: {},
	} {
		_, err := llm.Collect(llmtest.New(always(r)).Stream(t.Context(), llmtest.Ask("hi")), nil)
		var e *llm.Error
		if !errors.As(err, &e) || e.Kind != want {
			t.Errorf("%s: %v", want, err)
		}
		if want == llm.RateLimited && e.RetryAfter != 2500*time.Millisecond {
			t.Errorf("the hint is %v", e.RetryAfter)
		}
	}
}

func TestA_scripted_model_waits_in_the_tests_own_time_and_ends_with_its_context(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		slow := llmtest.New(always(script.Reply{Text: "abc", DelayMS: 5000, ChunkDelayMS: 1000, NoUsage: true}))
		if _, err := llm.Collect(slow.Stream(t.Context(), llmtest.Ask("hi")), nil); err != nil || time.Since(start) != 8*time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		for _, f := range []script.Fault{script.Hang, script.Stall} {
			ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
			_, err := llm.Collect(llmtest.New(always(script.Reply{Text: "abc", Fault: f})).Stream(ctx, llmtest.Ask("hi")), nil)
			cancel()
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("%s: %v", f, err)
			}
		}
	})
}

func TestBefore_holds_a_call_and_may_fail_it(t *testing.T) {
	t.Parallel()
	m := llmtest.New(always(script.Reply{Text: "ok"}))
	refused := errors.New("refused")
	m.Before = func(_ context.Context, n int, _ llm.Request) error {
		if n == 2 {
			return refused
		}
		return nil
	}
	if _, err := llm.Collect(m.Stream(t.Context(), llmtest.Ask("hi")), nil); err != nil {
		t.Error(err)
	}
	if _, err := llm.Collect(m.Stream(t.Context(), llmtest.Ask("hi")), nil); !errors.Is(err, refused) {
		t.Error(err)
	}
}
