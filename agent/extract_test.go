package agent_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/agent"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/executor/executortest"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/llm/llmtest"
	"github.com/meerkat-go/meerkat/llm/llmtest/script"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/transcript"
)

var (
	wants = run.Directive{ID: id.Effect{Version: 7}, Kind: run.Extract, Attempt: 2, Run: "r", Round: 1, Upto: 5}

	counted = run.Profile{Model: "m", Schema: []byte(`{"schema":{"type":"object", "properties":{"n":{"type":"integer"}},"required":["n"]},"name":"count"}`)}
)

// scripted is the source of one scripted model.
type scripted struct {
	llm  *llmtest.Model
	info llm.Info
}

func (s scripted) Model(context.Context, string) (llm.Model, llm.Info, error) {
	return s.llm, s.info, nil
}

// tried carries one try at an output out, behind an answer that used a tool. It returns the report, the request, and how often something was shown.
func tried(t *testing.T, p run.Profile, d run.Directive, reply script.Reply) (run.Report, llm.Request, int) {
	t.Helper()
	m := llmtest.New(script.Rule{Reply: reply})
	registry, err := tool.NewRegistry(tool.Limits{}, box{"count", run.ReadOnly, nil})
	if err != nil {
		t.Fatal(err)
	}
	ex := &agent.Executor{Models: scripted{m, llm.Info{Name: "fake/m", Provider: "fake"}}, Tools: func(id.Session, run.Profile) (*tool.Registry, error) { return registry, nil }}
	use := transcript.ToolUse{ID: "c1", Name: "count", Args: []byte(`{}`)}
	said := []transcript.Entry{transcript.User{Content: transcript.TextBlocks("count them")},
		transcript.Assistant{Blocks: transcript.Blocks{transcript.Reasoning{Text: "hm"}, use}}, transcript.ToolResult{Call: "c1", Name: "count", Content: transcript.TextBlocks("3 of them")},
		transcript.Assistant{Blocks: transcript.TextBlocks("there are three")}}
	rows := make([]transcript.Row, len(said))
	for n, e := range said {
		rows[n] = transcript.Row{At: transcript.Position{Message: n + 1}, Entry: e}
	}
	shown := 0
	turn := executortest.NewTurn(nil, d)
	err = ex.Apply(t.Context(), executor.Run{Session: "s", Run: "r"}, executor.Bindings{Turn: turn, Profile: p, Delta: func(executor.Delta) { shown++ },
		Transcript: func(_ context.Context, upto int) ([]transcript.Row, error) { return rows[:upto-1], nil }})
	if err != nil || len(turn.Reports()) != 1 || turn.Reports()[0].Answers() != d.ID {
		t.Fatalf("err %v, reports %+v", err, turn.Reports())
	}
	var req llm.Request
	if seen := m.Requests(); len(seen) > 0 {
		req = seen[0]
	}
	return turn.Reports()[0], req, shown
}

func Test_an_output_is_asked_for_without_tools_and_out_of_sight(t *testing.T) { // R110, R111
	t.Parallel()
	report, req, shown := tried(t, counted, wants, script.Reply{Text: "```json\n{\"count\":{\"n\":3}}\n```"})
	r, ok := report.(run.Extracted)
	if !ok || r.Verdict != run.OutputValid || string(r.Output) != `{"n":3}` || r.Attempt != 2 || r.Usage != (transcript.Usage{Input: 10, Output: 5}) {
		t.Errorf("%+v", report)
	}
	if len(req.Tools) != 0 || shown != 0 || req.ID != "7.0/2" {
		t.Errorf("tools %v, shown %d, id %q", req.Tools, shown, req.ID)
	}
	var said []string
	for _, row := range req.Rows {
		switch e := row.Entry.(type) {
		case transcript.User:
			said = append(said, "user: "+e.Content.Plain())
		case transcript.Notice:
			said = append(said, "notice: "+e.Text)
		case transcript.Assistant:
			said = append(said, "assistant: "+e.Blocks.Plain())
		}
	}
	got := strings.Join(said, "\n")
	want := "user: count them\nnotice: count: 3 of them\nassistant: there are three\nuser: Give your answer as one JSON object that fits this JSON Schema."
	if !strings.HasPrefix(got, want) || !strings.HasSuffix(got, `{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}`) {
		t.Errorf("asked\n%s", got)
	}
}

func Test_a_try_is_told_what_was_wrong_with_the_one_before(t *testing.T) { // R111
	t.Parallel()
	d := wants
	d.Misfit = &run.Misfit{Text: "three", Error: "it is not valid JSON"}
	report, req, _ := tried(t, counted, d, script.Reply{Text: `{"n":"three"}`})
	r := report.(run.Extracted)
	if r.Verdict != run.OutputInvalid || r.Text != `{"n":"three"}` || !strings.Contains(r.Error, `"n": expected integer, got string "three"`) {
		t.Errorf("%+v", r)
	}
	n := len(req.Rows)
	before, last := req.Rows[n-2].Entry.(transcript.Assistant), req.Rows[n-1].Entry.(transcript.User)
	if before.Blocks.Plain() != "three" || !strings.Contains(last.Content.Plain(), "it is not valid JSON") {
		t.Errorf("told %+v, %+v", before, last)
	}
	d.Misfit = &run.Misfit{Error: "it was empty"}
	if _, req, _ := tried(t, counted, d, script.Reply{Text: `{"n":1}`}); len(req.Rows) != n-1 {
		t.Errorf("a try that said nothing is told as %+v", req.Rows)
	}
}

func Test_what_another_try_would_not_cure_is_a_failure_and_what_it_may_is_not(t *testing.T) {
	t.Parallel()
	bad := counted
	bad.Schema = []byte(`{"type":"string"}`)
	for name, c := range map[string]struct {
		profile run.Profile
		reply   script.Reply
		verdict run.OutputVerdict
		says    string
	}{
		"a tool is asked for":     {counted, script.Reply{Text: "wait", ToolCalls: []script.Call{{ID: "c9", Name: "count"}}}, run.OutputFailed, "asked for a tool"},
		"nothing is said":         {counted, script.Reply{Reasoning: "hm"}, run.OutputFailed, "said nothing"},
		"the schema is none":      {bad, script.Reply{Text: "{}"}, run.OutputFailed, "the schema cannot be used"},
		"it is cut off":           {counted, script.Reply{Text: `{"n":`, Stop: transcript.StopMaxTokens}, run.OutputInvalid, "it was cut off"},
		"a member is left out":    {counted, script.Reply{Text: `{}`}, run.OutputInvalid, `"n": missing`},
		"nobody counted its cost": {counted, script.Reply{Text: `{"n":1}`, NoUsage: true}, run.OutputValid, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			report, _, _ := tried(t, c.profile, wants, c.reply)
			r, ok := report.(run.Extracted)
			if !ok || r.Verdict != c.verdict || r.Attempt != 2 || !strings.Contains(r.Error, c.says) || (r.Output != nil) != (c.verdict == run.OutputValid) {
				t.Fatalf("%+v", report)
			}
		})
	}
	report, _, shown := tried(t, counted, wants, script.Reply{Status: 529})
	if f, ok := report.(run.ModelFailed); !ok || f.Attempt != 2 || !f.Failure.Retryable || shown != 0 {
		t.Errorf("a provider that fails: %+v, shown %d", report, shown)
	}
}

func Test_a_reply_is_no_longer_than_a_budget_leaves(t *testing.T) { // R113
	t.Parallel()
	for name, c := range map[string]struct{ profile, budget, own, want int }{
		"no limit":                          {0, 0, 0, 0},
		"the profile's":                     {500, 0, 64000, 500},
		"the budget's, as the session says": {500, 200, 64000, 200},
		"less than the model's own":         {0, 200, 64000, 200},
		"more than the model's own":         {0, 90000, 64000, 0},
		"less than is usual":                {0, 200, 0, 200},
		"more than is usual":                {0, 90000, 0, 16384},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := llmtest.New(script.Rule{Reply: script.Reply{Text: "hello"}})
			registry, err := tool.NewRegistry(tool.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			ex := &agent.Executor{Models: scripted{m, llm.Info{Name: "fake/m", Provider: "fake", MaxOutput: c.own, CallTimeout: time.Hour}},
				Tools: func(id.Session, run.Profile) (*tool.Registry, error) { return registry, nil }}
			d := call
			d.MaxOutput = c.budget
			if _, err := apply(t, ex, run.Profile{Model: "m", MaxOutput: c.profile}, nil, d); err != nil {
				t.Fatal(err)
			}
			if got := m.Requests()[0].MaxOutput; got != c.want {
				t.Errorf("%d tokens, want %d", got, c.want)
			}
		})
	}
}

func Test_the_agent_keeps_the_contract_of_executors_for_outputs_too(t *testing.T) {
	t.Parallel()
	executortest.Run(t, executortest.Subject{
		New: func(t *testing.T) executor.Executor {
			return newAgent(t, &model{parts: []llm.Part{llm.TextPart{Text: `{"n":1}`}, llm.Done{Stop: transcript.StopEndTurn}}})
		},
		Hangs: func(t *testing.T) executor.Executor { return newAgent(t, &model{hang: true}) },
		First: wants, Profile: counted, Rows: rows,
	})
}
