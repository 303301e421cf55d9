package agent_test

import (
	"context"
	"errors"
	"slices"
	"testing"

	"github.com/meerkat-go/meerkat/agent"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/executor/executortest"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/transcript"
)

// called carries one model call out that is made as c says, and returns what was reported.
func called(t *testing.T, m *model, c executor.Call, tools ...tool.Tool) {
	t.Helper()
	turn := executortest.NewTurn(nil, call)
	b := executor.Bindings{Turn: turn, Profile: run.Profile{Model: "m"}, Delta: func(executor.Delta) {},
		Transcript: func(context.Context, int) ([]transcript.Row, error) { return rows, nil },
		Call:       func(e id.Effect) (executor.Call, bool) { return c, e == call.ID }}
	if err := newAgent(t, m, tools...).Apply(t.Context(), executor.Run{Session: "s", Run: "r"}, b); err != nil {
		t.Fatal(err)
	}
}

// visible offers tools of a registry: those that are named.
func visible(t *testing.T, tools []tool.Tool, pending scope.Names, names ...string) *scope.VisibleSet {
	t.Helper()
	r, err := tool.NewRegistry(tool.Limits{}, tools...)
	if err != nil {
		t.Fatal(err)
	}
	return &scope.VisibleSet{Tools: r.Catalogue().Witnesses(scope.NamesOf(names...)), Pending: pending}
}

// The set that the session holds calls against is the one the model is told of, by whose the tools are and not by their names alone.
func TestR67_the_model_is_offered_exactly_what_the_session_offers(t *testing.T) {
	t.Parallel()
	tools := []tool.Tool{box{"read", run.ReadOnly, nil}, box{"write", run.Once, nil}, box{"find", run.ReadOnly, nil}}
	others, err := scope.Collect(scope.Claim{Name: "read", Witness: scope.WitnessOf(scope.Provenance{Kind: scope.MCP, Source: "others"})})
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		call executor.Call
		want []string
	}{
		"some":                         {executor.Call{Gated: true, Visible: visible(t, tools, scope.Names{}, "write", "find")}, []string{"find", "write"}},
		"none":                         {executor.Call{Gated: true, Visible: &scope.VisibleSet{}}, nil},
		"another's":                    {executor.Call{Gated: true, Visible: &scope.VisibleSet{Tools: others}}, nil},
		"the session does not decide":  {executor.Call{}, []string{"find", "read", "write"}},
		"and neither does a leftover:": {executor.Call{Visible: &scope.VisibleSet{}}, []string{"find", "read", "write"}},
	} {
		m := &model{parts: done}
		called(t, m, c.call, tools...)
		var got []string
		for _, offered := range m.got[0].Tools {
			got = append(got, offered.Name)
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %v", name, got)
		}
	}
}

func TestSources_that_are_still_being_connected_are_told_in_the_call_alone(t *testing.T) {
	t.Parallel()
	m := &model{parts: done}
	before := len(rows)
	called(t, m, executor.Call{Gated: true, Visible: visible(t, nil, scope.NamesOf("files", "web"))})
	last, ok := m.got[0].Rows[len(m.got[0].Rows)-1].Entry.(transcript.Notice)
	if !ok || last.Kind != "mcp_pending" || last.Text != "Still being connected, and not to be used yet: files, web." || len(rows) != before {
		t.Errorf("the model is told %+v", last)
	}
	if err := m.got[0].Validate(); err != nil {
		t.Error(err)
	}
}

// What there is may change while a run goes on, so it is looked up for each call.
func TestR67_the_tools_of_a_session_are_looked_up_for_each_call(t *testing.T) {
	t.Parallel()
	registry := func(tools ...tool.Tool) *tool.Registry {
		r, err := tool.NewRegistry(tool.Limits{}, tools...)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	late := box{"late", run.ReadOnly, func(context.Context, tool.Call) (tool.Result, error) { return tool.Text("came"), nil }}
	asked := 0
	m := &model{parts: done}
	ex := &agent.Executor{Models: m, Parallel: 1, Edition: func() uint64 { return uint64(asked) }, Tools: func(s id.Session, p run.Profile) (*tool.Registry, error) {
		if asked++; s != "s" || p.Model != "m" {
			return nil, errors.New("asked for another session")
		}
		if asked == 1 {
			return registry(), nil
		}
		return registry(late), nil
	}}
	for _, d := range []run.Directive{call, toolDirective(0, "late"), call} {
		reports, err := apply(t, ex, run.Profile{Model: "m"}, nil, d)
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := reports[0].(run.ToolSettled); ok && r.Result.IsError {
			t.Errorf("%+v", r.Result)
		}
	}
	if len(m.got[0].Tools) != 0 || len(m.got[1].Tools) != 1 || asked != 3 || ex.OfferEdition() != 3 || (&agent.Executor{}).OfferEdition() != 0 {
		t.Errorf("offered %v, then %v; asked %d times", m.got[0].Tools, m.got[1].Tools, asked)
	}
}

// Where the session has decided about its model it has decided about the parameters too: they may have been cleared.
func TestR122_the_parameters_of_the_profile_go_with_the_model_of_the_profile(t *testing.T) {
	t.Parallel()
	for want, who := range map[string]*identity.Identity{`{"b":2}`: nil, "": {Model: "m"}, `{"a":1}`: {Model: "m", Params: `{"a":1}`}} {
		m := &model{parts: done}
		d := call
		d.Model = who
		if _, err := apply(t, newAgent(t, m), run.Profile{Model: "m", Params: []byte(`{"b":2}`)}, nil, d); err != nil {
			t.Fatal(err)
		}
		if got := string(m.got[0].Extra); got != want {
			t.Errorf("%+v: %s", who, got)
		}
	}
}

// named is a source that remembers which model it was asked for.
type named struct {
	*model
	asked []string
}

func (n *named) Model(ctx context.Context, name string) (llm.Model, llm.Info, error) {
	n.asked = append(n.asked, name)
	return n.model.Model(ctx, name)
}

func TestR122_a_call_is_made_with_the_model_that_the_session_says(t *testing.T) {
	t.Parallel()
	for want, who := range map[string]*identity.Identity{
		"m":                nil,
		"other":            {Model: "other"},
		"openai/gpt":       {Model: "gpt", Provider: identity.OpenAI, Params: `{"a":1}`},
		"openai/own/llama": {Model: "openai/own/llama", Provider: identity.OpenAI},
		"groq/llama":       {Model: "groq/llama", Provider: identity.Other},
		"cellar/llama":     {Model: "llama", Provider: identity.SelfHosted, SelfHostedServer: "cellar"},
	} {
		n := &named{model: &model{parts: done}}
		ex := newAgent(t, n.model)
		ex.Models = n
		turn := executortest.NewTurn(nil, call)
		b := executor.Bindings{Turn: turn, Profile: run.Profile{Model: "m"}, Delta: func(executor.Delta) {},
			Transcript: func(context.Context, int) ([]transcript.Row, error) { return rows, nil }}
		d := call
		d.Model = who
		if b.Turn = executortest.NewTurn(nil, d); want != "other" { // else what the directive says counts
			b.Turn = turn
			b.Call = func(id.Effect) (executor.Call, bool) { return executor.Call{Model: who}, true }
		}
		if err := ex.Apply(t.Context(), executor.Run{Session: "s", Run: "r"}, b); err != nil {
			t.Fatal(err)
		}
		params := ""
		if who != nil {
			params = string(who.Params)
		}
		if !slices.Equal(n.asked, []string{want}) || string(n.got[0].Extra) != params {
			t.Errorf("%s: asked for %v with %s", want, n.asked, n.got[0].Extra)
		}
	}
}

func TestA_call_that_nobody_wants_any_more_is_not_made(t *testing.T) {
	t.Parallel()
	m := &model{parts: done}
	ctx, cancel := context.WithCancel(t.Context())
	turn := executortest.NewTurn(nil, call)
	b := executor.Bindings{Turn: turn, Profile: run.Profile{Model: "m"}, Delta: func(executor.Delta) {},
		Transcript: func(context.Context, int) ([]transcript.Row, error) { return rows, nil },
		Call:       func(id.Effect) (executor.Call, bool) { cancel(); return executor.Call{}, false }} // as when its run is over
	if err := newAgent(t, m).Apply(ctx, executor.Run{Session: "s", Run: "r"}, b); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if reports := turn.Reports(); len(reports) > 0 || len(m.got) > 0 {
		t.Errorf("reported %v, asked %d times", reports, len(m.got))
	}
}

func TestR123_the_agent_says_which_tools_there_are(t *testing.T) {
	t.Parallel()
	ex := newAgent(t, &model{}, box{"read", run.ReadOnly, nil})
	c, err := ex.Catalogue(t.Context(), "s", run.Profile{})
	if e, ok := c.Get("read"); err != nil || !ok || !e.Witness.Proven() || e.Volume == 0 || e.Deferrable {
		t.Errorf("%+v, %v", e, err)
	}
	broken := errors.New("no folder")
	ex.Tools = func(id.Session, run.Profile) (*tool.Registry, error) { return nil, broken }
	if c, err := ex.Catalogue(t.Context(), "s", run.Profile{}); !errors.Is(err, broken) || c != nil {
		t.Errorf("%v, %v", c, err)
	}
}
