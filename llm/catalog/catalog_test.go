package catalog_test

import (
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/llm/catalog"
)

func TestEvery_model_is_whole_and_has_a_name_of_its_own(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, k := range catalog.Models() {
		own, ok := strings.CutPrefix(k.Name, k.Provider+"/")
		if !ok || own == "" || k.Context <= 0 || k.MaxOutput <= 0 || k.MaxOutput > k.Context || k.CallTimeout <= 0 {
			t.Errorf("%+v", k)
		}
		if seen[own] {
			t.Errorf("%s is listed twice", own)
		}
		seen[own] = true
	}
}

func TestEach_provider_has_a_default(t *testing.T) {
	t.Parallel()
	for provider, want := range map[string]string{catalog.Anthropic: "anthropic/claude-opus-5", catalog.OpenAI: "openai/gpt-5.6-sol", catalog.Gemini: "gemini/gemini-3.5-flash"} {
		if got, ok := catalog.Default(provider); !ok || got.Name != want {
			t.Errorf("%s: %s", provider, got.Name)
		}
	}
	if _, ok := catalog.Default("nobody"); ok {
		t.Error("nobody has a default")
	}
}

func TestA_model_is_looked_up_by_full_bare_and_dated_name(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"claude-haiku-4-5", "anthropic/claude-haiku-4-5", "claude-haiku-4-5-20251001"} {
		if k, ok := catalog.Lookup(name); !ok || k.Context != 200_000 || k.Provider != catalog.Anthropic {
			t.Errorf("%s: %+v", name, k)
		}
	}
	if _, ok := catalog.Lookup("anthropic/claude-next"); ok {
		t.Error("a model that is not listed was found")
	}
}

func TestThe_list_is_the_callers_own(t *testing.T) {
	t.Parallel()
	catalog.Models()[0].Name = "changed"
	if catalog.Models()[0].Name == "changed" {
		t.Error("a caller changed the catalogue")
	}
}
