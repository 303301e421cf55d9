package llm_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/llm"
)

// named is a model that knows only what it was opened for.
type named struct {
	llm.Model
	name string
}

func open(name string) (llm.Model, error) { return named{name: name}, nil }

func directory() *llm.Directory {
	known := func(provider, name string, context int) llm.Known {
		return llm.Known{Info: llm.Info{Name: provider + "/" + name, Provider: provider, Context: context, MaxOutput: 10}}
	}
	return &llm.Directory{
		Providers: map[string]llm.Provider{
			"anthropic": {Open: open, Missing: "ANTHROPIC_API_KEY"},
			"openai":    {Missing: "OPENAI_API_KEY"},
			"proxy":     {Open: open},
			"offline":   {Open: open},
			"broken":    {Open: func(string) (llm.Model, error) { return nil, &llm.Error{Kind: llm.NotConfigured, Message: "bad URL"} }},
		},
		Catalog: []llm.Known{known("anthropic", "claude-opus-5", 1000), known("anthropic", "claude-haiku-4-5", 200), known("openai", "gpt-5.6-sol", 1050),
			known("openai", "shared", 7), known("proxy", "shared", 8)},
	}
}

func TestA_model_is_found_by_every_name_it_has(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]struct {
		full, own string
		context   int
	}{
		"anthropic/claude-opus-5":             {"anthropic/claude-opus-5", "claude-opus-5", 1000},
		"claude-opus-5":                       {"anthropic/claude-opus-5", "claude-opus-5", 1000},
		" claude-opus-5 ":                     {"anthropic/claude-opus-5", "claude-opus-5", 1000},
		"claude-haiku-4-5-20251001":           {"anthropic/claude-haiku-4-5-20251001", "claude-haiku-4-5-20251001", 200},
		"anthropic/claude-haiku-4-5-20251001": {"anthropic/claude-haiku-4-5-20251001", "claude-haiku-4-5-20251001", 200},
		"anthropic/claude-next":               {"anthropic/claude-next", "claude-next", 0},
		"proxy/meta-llama/llama-3":            {"proxy/meta-llama/llama-3", "meta-llama/llama-3", 0},
		"shared":                              {"proxy/shared", "shared", 8},
		"offline":                             {"offline", "offline", 0},
	} {
		m, info, err := directory().Model(context.Background(), name)
		if err != nil {
			t.Errorf("%q: %v", name, err)
			continue
		}
		if info.Name != want.full || m.(named).name != want.own || info.Context != want.context {
			t.Errorf("%q is %q with context %d, opened as %q", name, info.Name, info.Context, m.(named).name)
		}
	}
}

func TestA_name_that_leads_nowhere_is_answered_with_what_to_do(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		kind llm.Kind
		says string
	}{
		{"claude-opus-6", llm.UnknownModel, "anthropic/claude-opus-5"},
		{"opus", llm.UnknownModel, "anthropic/claude-opus-5"},
		{"antropic/claude-opus-5", llm.UnknownModel, "anthropic/claude-opus-5"},
		{"Claude-Haiku-4-5", llm.UnknownModel, "anthropic/claude-haiku-4-5"},
		{"xyzzy", llm.UnknownModel, "provider/model"},
		{"", llm.UnknownModel, "no model is named"},
		{strings.Repeat("m", 1<<20), llm.UnknownModel, "more characters"},
		{"gpt-5.6-sol", llm.NotConfigured, "set OPENAI_API_KEY"},
		{"openai/anything", llm.NotConfigured, "set OPENAI_API_KEY"},
		{"broken/x", llm.NotConfigured, "bad URL"},
	} {
		_, _, err := directory().Model(context.Background(), c.name)
		var e *llm.Error
		if !errors.As(err, &e) || e.Kind != c.kind || !strings.Contains(e.Message, c.says) || len(e.Message) > 2000 {
			t.Errorf("%.40q: %.300v", c.name, err)
		}
	}
	if _, _, err := directory().Model(context.Background(), "xyzzy"); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("an unknown model has the code %v", fault.CodeOf(err))
	}
}
