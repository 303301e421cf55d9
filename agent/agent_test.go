package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/agent"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/executor/executortest"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/transcript"
)

// model answers with what it is given, and is the source of itself under any name.
type model struct {
	parts []llm.Part
	err   error
	hang  bool
	panic bool
	mu    sync.Mutex
	got   []llm.Request
	at    []time.Time
}

func (m *model) Model(_ context.Context, name string) (llm.Model, llm.Info, error) {
	if name == "unknown" {
		return nil, llm.Info{}, &llm.Error{Kind: llm.UnknownModel, Message: "nobody knows it"}
	}
	return m, llm.Info{Name: "fake/" + name, Provider: "fake", CallTimeout: time.Hour}, nil
}

func (m *model) Stream(ctx context.Context, req llm.Request) iter.Seq2[llm.Part, error] {
	return func(yield func(llm.Part, error) bool) {
		m.mu.Lock()
		m.got, m.at = append(m.got, req), append(m.at, time.Now())
		m.mu.Unlock()
		if m.panic {
			panic("boom")
		}
		if m.hang {
			<-ctx.Done()
			yield(nil, ctx.Err())
			return
		}
		for _, p := range m.parts {
			if !yield(p, nil) {
				return
			}
		}
		if m.err != nil {
			yield(nil, m.err)
		}
	}
}

// box is a tool made of a function.
type box struct {
	name  string
	class run.Class
	run   func(context.Context, tool.Call) (tool.Result, error)
}

func (b box) Spec() tool.Spec {
	return tool.Spec{Name: b.name, Class: b.class, Description: "for tests", Schema: json.RawMessage(`{"type":"object","properties":{"n":{"type":"integer"}}}`)}
}

func (b box) Run(ctx context.Context, c tool.Call) (tool.Result, error) { return b.run(ctx, c) }

func newAgent(t *testing.T, m *model, tools ...tool.Tool) *agent.Executor {
	r, err := tool.NewRegistry(tool.Limits{}, tools...)
	if err != nil {
		t.Fatal(err)
	}
	return &agent.Executor{Models: m, Parallel: 2, Tools: func(id.Session, run.Profile) (*tool.Registry, error) { return r, nil }}
}

var (
	call = run.Directive{ID: id.Effect{Version: 1}, Kind: run.CallModel, Attempt: 1, Run: "r", Upto: 2}
	done = []llm.Part{llm.TextPart{Text: "hello"}, llm.UsagePart{Usage: transcript.Usage{Input: 3, Output: 1}}, llm.Done{Stop: transcript.StopEndTurn}}
	rows = []transcript.Row{{At: transcript.Position{Message: 1}, Entry: transcript.User{Content: transcript.TextBlocks("hi")}}}
)

func toolDirective(n int, name string) run.Directive {
	return run.Directive{ID: id.Effect{Version: 2, Ordinal: uint32(n)}, Kind: run.RunTool, Attempt: 1, Run: "r",
		Call: transcript.ToolUse{ID: id.Call(name), Name: name, Args: json.RawMessage(`{}`)}}
}

func Test_the_agent_keeps_the_contract_of_executors(t *testing.T) {
	t.Parallel()
	executortest.Run(t, executortest.Subject{
		New:   func(t *testing.T) executor.Executor { return newAgent(t, &model{parts: done}) },
		Hangs: func(t *testing.T) executor.Executor { return newAgent(t, &model{hang: true}) },
		First: call, Profile: run.Profile{Model: "m"}, Rows: rows,
	})
}

// apply runs one activation and returns what was reported.
func apply(t *testing.T, ex *agent.Executor, p run.Profile, delta func(executor.Delta), ds ...run.Directive) ([]run.Report, error) {
	t.Helper()
	turn := executortest.NewTurn(nil, ds...)
	if delta == nil {
		delta = func(executor.Delta) {}
	}
	err := ex.Apply(t.Context(), executor.Run{Session: "s", Run: "r"}, executor.Bindings{Turn: turn, Profile: p, Delta: delta,
		Transcript: func(context.Context, int) ([]transcript.Row, error) { return rows, nil }})
	return turn.Reports(), err
}

func Test_a_reply_is_reported_whole_and_streams_while_it_comes(t *testing.T) {
	t.Parallel()
	var streamed strings.Builder
	reports, err := apply(t, newAgent(t, &model{parts: done}), run.Profile{Model: "m"}, func(d executor.Delta) { streamed.WriteString(d.Text) }, call)
	if err != nil {
		t.Fatal(err)
	}
	r, ok := reports[0].(run.ModelReplied)
	if !ok || r.Reply.Blocks.Plain() != "hello" || r.Reply.Model != "fake/m" || r.Reply.Usage.Input != 3 || len(r.Calls) != 0 {
		t.Fatalf("%+v", reports[0])
	}
	if streamed.String() != "hello" {
		t.Fatalf("streamed %q", &streamed)
	}
}

func Test_intents_carry_the_class_of_each_tool_and_the_refusal_of_what_must_not_run(t *testing.T) { // R05, R48
	t.Parallel()
	ask := func(n int, name, args string) llm.Part {
		return llm.CallPart{Index: n, ID: id.Call(name), Name: name, Args: args}
	}
	m := &model{parts: []llm.Part{ask(0, "reads", `{}`), ask(1, "missing", `{}`), ask(2, "changes", `{"n":"three"}`), llm.Done{Stop: transcript.StopToolUse}}}
	never := func(context.Context, tool.Call) (tool.Result, error) {
		t.Error("it ran")
		return tool.Result{}, nil
	}
	reports, err := apply(t, newAgent(t, m, box{"reads", run.ReadOnly, never}, box{"changes", run.Once, never}), run.Profile{Model: "m"}, nil, call)
	if err != nil {
		t.Fatal(err)
	}
	calls := reports[0].(run.ModelReplied).Calls
	if calls[0].Class != run.ReadOnly || calls[0].Refusal != nil {
		t.Errorf("reads: %+v", calls[0])
	}
	if calls[1].Refusal == nil || calls[1].Refusal.Code != transcript.ResultNotFound {
		t.Errorf("missing: %+v", calls[1].Refusal)
	}
	if calls[2].Refusal == nil || calls[2].Refusal.Code != transcript.ResultInvalid {
		t.Errorf("changes: %+v", calls[2].Refusal)
	}
}

func Test_a_failed_attempt_is_reported_with_its_kind_and_its_attempt_and_voids_what_streamed(t *testing.T) { // R10, R47
	t.Parallel()
	tests := map[string]struct {
		m       *model
		profile string
		kind    llm.Kind
		again   bool
	}{
		"a cut stream":     {&model{parts: done[:1]}, "m", llm.Truncated, true},
		"a rate limit":     {&model{err: &llm.Error{Kind: llm.RateLimited, RetryAfter: time.Second}}, "m", llm.RateLimited, true},
		"a wrong key":      {&model{err: &llm.Error{Kind: llm.Unauthenticated, Status: 401}}, "m", llm.Unauthenticated, false},
		"a panic":          {&model{panic: true}, "m", llm.Unclassified, true},
		"an unknown model": {&model{}, "unknown", llm.UnknownModel, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			voided := false
			d := call
			d.Attempt = 3
			reports, err := apply(t, newAgent(t, tt.m), run.Profile{Model: tt.profile}, func(d executor.Delta) { voided = d.Kind == executor.DeltaRestart }, d)
			if err != nil {
				t.Fatal(err)
			}
			f, ok := reports[0].(run.ModelFailed)
			if !ok || f.Attempt != 3 || f.Failure.Kind != string(tt.kind) || f.Failure.Retryable != tt.again || !voided {
				t.Fatalf("%+v, voided %v", reports[0], voided)
			}
		})
	}
}

func Test_a_retry_waits_until_its_time(t *testing.T) { // R39
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &model{parts: done}
		d := call
		d.Attempt, d.NotBefore = 2, time.Now().Add(20*time.Second)
		if _, err := apply(t, newAgent(t, m), run.Profile{Model: "m"}, nil, d); err != nil {
			t.Fatal(err)
		}
		if m.at[0].Before(d.NotBefore) {
			t.Fatalf("called at %v, not before %v", m.at[0], d.NotBefore)
		}
	})
}

func Test_a_call_that_takes_too_long_is_given_up_and_may_be_tried_again(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		reports, err := apply(t, newAgent(t, &model{hang: true}), run.Profile{Model: "m"}, nil, call)
		if err != nil {
			t.Fatal(err)
		}
		f, ok := reports[0].(run.ModelFailed)
		if !ok || f.Failure.Kind != string(llm.CallTimeout) || !f.Failure.Retryable {
			t.Fatalf("%+v", reports[0])
		}
	})
}

func Test_what_comes_of_a_tool_is_reported_as_it_is(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		run  func(context.Context, tool.Call) (tool.Result, error)
		code string
		is   bool
	}{
		"a result":            {func(context.Context, tool.Call) (tool.Result, error) { return tool.Text("ok"), nil }, "", false},
		"an error result":     {func(context.Context, tool.Call) (tool.Result, error) { return tool.Errorf("", "no"), nil }, "", true},
		"a lost connection":   {func(context.Context, tool.Call) (tool.Result, error) { return tool.Result{}, tool.ErrOutcomeUnknown }, transcript.ResultOutcomeUnknown, true},
		"a panic":             {func(context.Context, tool.Call) (tool.Result, error) { panic("boom") }, transcript.ResultFailed, true},
		"an error of its own": {func(context.Context, tool.Call) (tool.Result, error) { return tool.Result{}, errors.New("no") }, transcript.ResultFailed, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			reports, err := apply(t, newAgent(t, &model{}, box{"x", run.Once, tt.run}), run.Profile{}, nil, toolDirective(0, "x"))
			if err != nil {
				t.Fatal(err)
			}
			r, ok := reports[0].(run.ToolSettled)
			if !ok || r.Result.Code != tt.code || r.Result.IsError != tt.is {
				t.Fatalf("%+v", reports[0])
			}
		})
	}
}

func Test_no_more_tools_run_at_once_than_the_limit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		now, most := 0, 0
		slow := func(context.Context, tool.Call) (tool.Result, error) {
			mu.Lock()
			now++
			most = max(most, now)
			mu.Unlock()
			<-time.After(time.Second) // virtual
			mu.Lock()
			now--
			mu.Unlock()
			return tool.Text("ok"), nil
		}
		var ds []run.Directive
		for n := range 7 {
			ds = append(ds, toolDirective(n, "x"))
		}
		reports, err := apply(t, newAgent(t, &model{}, box{"x", run.ReadOnly, slow}), run.Profile{}, nil, ds...)
		if err != nil || len(reports) != 7 || most != 2 {
			t.Fatalf("err %v, %d reports, %d at once", err, len(reports), most)
		}
	})
}

func Test_a_transcript_that_cannot_be_read_is_no_failure_of_the_model(t *testing.T) {
	t.Parallel()
	m, turn, broken := &model{parts: done}, executortest.NewTurn(nil, call), errors.New("disk")
	err := newAgent(t, m).Apply(t.Context(), executor.Run{Run: "r"}, executor.Bindings{Turn: turn, Delta: func(executor.Delta) {},
		Transcript: func(context.Context, int) ([]transcript.Row, error) { return nil, broken }})
	if !errors.Is(err, broken) || len(turn.Reports()) != 0 || len(m.got) != 0 {
		t.Fatalf("err %v, reports %v, %d calls", err, turn.Reports(), len(m.got))
	}
}

func Test_a_directive_that_is_not_for_the_agent_ends_the_activation_with_an_error(t *testing.T) {
	t.Parallel()
	reports, err := apply(t, newAgent(t, &model{}), run.Profile{}, nil, run.Directive{ID: id.Effect{Version: 9}, Kind: run.ApplyRun})
	if err == nil || len(reports) != 0 {
		t.Fatalf("err %v, reports %v", err, reports)
	}
}

func Test_the_tool_is_given_the_call_id_as_its_idempotency_key(t *testing.T) {
	t.Parallel()
	var got tool.Call
	d := toolDirective(0, "x")
	d.Attempt, d.Call.Args = 2, nil
	_, err := apply(t, newAgent(t, &model{}, box{"x", run.Idempotent, func(_ context.Context, c tool.Call) (tool.Result, error) {
		got = c
		return tool.Text("ok"), nil
	}}), run.Profile{}, nil, d)
	if err != nil || got.ID != "x" || got.Attempt != 2 || string(got.Args) != "{}" {
		t.Fatalf("err %v, call %+v", err, got)
	}
}
