package meerkat_test

import (
	"context"
	"encoding/json"
	"errors"
	"iter"
	"slices"
	"sync"
	"testing"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/transcript"
)

// voice is a model that says its name; the first time it is asked it wants a tool, if it is to.
type voice struct {
	name string
	tool string
	mu   sync.Mutex
	got  [][]string // the tools it was offered, for each call
}

func (v *voice) Stream(_ context.Context, req llm.Request) iter.Seq2[llm.Part, error] {
	return func(yield func(llm.Part, error) bool) {
		v.mu.Lock()
		var offered []string
		for _, t := range req.Tools {
			offered = append(offered, t.Name)
		}
		v.got = append(v.got, offered)
		first := len(v.got) == 1 && v.tool != ""
		v.mu.Unlock()
		if first {
			_ = yield(llm.CallPart{ID: "c1", Name: v.tool, Args: "{}"}, nil) && yield(llm.Done{Stop: transcript.StopToolUse}, nil)
			return
		}
		_ = yield(llm.TextPart{Text: "I am " + v.name}, nil) && yield(llm.Done{Stop: transcript.StopEndTurn}, nil)
	}
}

func (v *voice) offered() [][]string {
	v.mu.Lock()
	defer v.mu.Unlock()
	return slices.Clone(v.got)
}

// meddler is a tool that does something to its session while it runs.
type meddler struct {
	name string
	do   func(ctx context.Context) error
}

func (m meddler) Spec() tool.Spec {
	return tool.Spec{Name: m.name, Description: "for tests", Class: run.Once, Schema: json.RawMessage(`{"type":"object"}`)}
}

func (m meddler) Run(ctx context.Context, _ tool.Call) (tool.Result, error) {
	if err := m.do(ctx); err != nil {
		return tool.Errorf(transcript.ResultFailed, "%v", err), nil
	}
	return tool.Text("done"), nil
}

// A tool of the run changes the model and filters itself away; the next call of the same run is the other model's, without the tool.
//
// Scenario: V3, L8
func TestR61_R122_model_and_tools_of_a_session_change_in_the_middle_of_a_run(t *testing.T) {
	t.Parallel()
	one, two := &voice{name: "one", tool: "meddle"}, &voice{name: "two", tool: ""}
	var rt *meerkat.Runtime
	p := make(chan func(context.Context) error, 1)
	m := meddler{"meddle", func(ctx context.Context) error { return (<-p)(ctx) }}
	rt, err := meerkat.Open(t.Context(), meerkat.Config{Models: map[string]llm.Model{"one": one, "two": two}, Tools: []tool.Tool{m, meddler{name: "other"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	}()
	plane, host := rt.Plane(), rt.Host()
	s, err := plane.CreateSession(t.Context(), control.CreateSession{Profile: run.Profile{Model: "one", Tools: "none"}})
	if err != nil {
		t.Fatal(err)
	}
	p <- func(ctx context.Context) error {
		r, err := host.ReconfigureSessionLLMIdentity(ctx, s.ID, identity.Request{Model: "two"})
		if err != nil || r.Previous.Model != "one" || r.New.Model != "two" {
			return errors.Join(err, errors.New("no report"))
		}
		only := scope.Deny("meddle")
		witness, _ := scope.Collect(scope.Claim{Name: "meddle", Witness: m.Spec().Witness()})
		_, err = host.StagePersistentFilter(ctx, s.ID, only, witness)
		return err
	}
	in, err := plane.Submit(t.Context(), say(s.ID, "who are you?"))
	if err != nil {
		t.Fatal(err)
	}
	out, err := plane.Wait(t.Context(), s.ID, in.Input)
	if err != nil || out.Text != "I am two" || out.Rounds != 2 {
		t.Errorf("%+v %v", out, err)
	}
	if got := one.offered(); len(got) != 1 || !slices.Equal(got[0], []string{"meddle", "other"}) {
		t.Errorf("the first was offered %v", got)
	}
	if got := two.offered(); len(got) != 1 || !slices.Equal(got[0], []string{"other"}) {
		t.Errorf("the second was offered %v", got)
	}
}

// What a name means, in all its spellings, and what is known of the model: through the door that a user has.
func TestR81_models_are_asked_for_by_any_name_they_have(t *testing.T) {
	t.Parallel()
	rt, err := meerkat.Open(t.Context(), meerkat.Config{Models: map[string]llm.Model{"echo": echo{}}, Providers: []config.Provider{
		{Name: "openai", Kind: config.Compat, BaseURL: config.OpenAIURL, Key: "k"}, {Name: "cellar", Kind: config.Compat, BaseURL: "http://127.0.0.1:1"}}})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	}()
	host, s := rt.Host(), create(t, rt.Plane())
	for _, c := range []struct {
		ask  identity.Request
		want identity.Identity
	}{
		{identity.Request{Model: "gpt-5.5"}, identity.Identity{Model: "gpt-5.5", Provider: identity.OpenAI}},
		{identity.Request{Model: "openai/gpt-5.5"}, identity.Identity{Model: "gpt-5.5", Provider: identity.OpenAI}},
		{identity.Request{Model: "gpt-5.4", Provider: identity.OpenAI}, identity.Identity{Model: "gpt-5.4", Provider: identity.OpenAI}},
		{identity.Request{Model: "cellar/llama"}, identity.Identity{Model: "cellar/llama", Provider: identity.Other}},
		{identity.Request{Model: "echo"}, identity.Identity{Model: "echo", Provider: identity.Other}},
	} {
		r, err := host.ReconfigureSessionLLMIdentity(t.Context(), s, c.ask)
		if err != nil || r.New != c.want {
			t.Errorf("%+v: %+v, %v", c.ask, r.New, err)
		}
	}
	for why, ask := range map[error]identity.Request{
		identity.ErrUnknownModel:         {Model: "openai/gpt-99"},
		identity.ErrWrongProvider:        {Model: "gpt-5.5", Provider: identity.Anthropic},
		identity.ErrProvider:             {Model: "nobody's", Provider: "acme"},
		runtime.ErrModelClient:           {Model: "anthropic/claude-opus-5"}, // not configured
		identity.ErrClearAndValue:        {Params: `{"a":1}`, ClearParams: true},
		identity.ErrNotRegistered:        {Model: "llama", Provider: identity.SelfHosted},
		identity.ErrProviderWithoutModel: {Provider: identity.OpenAI},
	} {
		if r, err := host.ReconfigureSessionLLMIdentity(t.Context(), s, ask); !errors.Is(err, why) {
			t.Errorf("%+v: %+v, %v", ask, r, err)
		}
	}
	if err := host.SetModelBaseline(t.Context(), s, identity.Route{Model: "echo"}); err != nil {
		t.Fatal(err)
	}
	// A switch goes by the model's own name, as the identity does, so that one until changed is seen to be what was asked for.
	st, err := host.RequestModelSwitch(t.Context(), s, executor.SwitchRequest{ID: "q", Target: identity.Route{Model: "openai/gpt-5.5"}, Approval: identity.ApprovalNotRequired})
	if err != nil || st.End == nil || st.End.Terminal != identity.PersistentReconfigureApplied || st.Target.Model != "gpt-5.5" {
		t.Errorf("%+v, %v", st, err)
	}
	live, err := rt.Plane().Session(t.Context(), string(s))
	if err != nil || live.Model != "gpt-5.5" {
		t.Errorf("the session is shown with %q, %v", live.Model, err)
	}
	page, err := rt.Plane().Sessions(t.Context(), control.ListSessions{})
	if err != nil || page[0].Model != "gpt-5.5" {
		t.Errorf("and listed with %+v, %v", page, err)
	}
	if surface, known, err := host.ResolvedSessionLLMCapabilities(t.Context(), s); err != nil || !known || !surface.Vision || surface.ImageToolResults {
		t.Errorf("%+v %t %v", surface, known, err)
	}
}
