// Package catalog holds the models we know, as data.
//
// Nothing here decides who answers: a llm.Directory takes the list and the configured providers, and whoever has models of
// his own appends them. A provider's newest model works before it is listed, by its full name; what is missing then is the size of
// its context.
package catalog

import (
	"slices"
	"time"

	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/llm"
)

// The providers of the catalogue.
const (
	Anthropic = "anthropic"
	OpenAI    = "openai"
	Gemini    = "gemini"
)

// models is the list, for each provider its default first.
var models = []llm.Known{
	model(Anthropic, "claude-opus-5", 1_000_000, 128_000, 300),
	model(Anthropic, "claude-fable-5", 1_000_000, 128_000, 300),
	model(Anthropic, "claude-opus-4-8", 1_000_000, 128_000, 300),
	model(Anthropic, "claude-opus-4-7", 1_000_000, 128_000, 300),
	model(Anthropic, "claude-opus-4-5", 200_000, 64_000, 300),
	model(Anthropic, "claude-sonnet-4-6", 1_000_000, 64_000, 120),
	model(Anthropic, "claude-sonnet-4-5", 200_000, 64_000, 120),
	model(Anthropic, "claude-haiku-4-5", 200_000, 64_000, 60),

	model(OpenAI, "gpt-5.6-sol", 1_050_000, 128_000, 600),
	model(OpenAI, "gpt-5.6-terra", 1_050_000, 128_000, 600),
	model(OpenAI, "gpt-5.6-luna", 1_050_000, 128_000, 600),
	model(OpenAI, "gpt-5.6", 1_050_000, 128_000, 600),
	model(OpenAI, "gpt-5.5", 1_050_000, 128_000, 600),
	model(OpenAI, "gpt-5.5-pro", 1_050_000, 128_000, 7200),
	model(OpenAI, "gpt-5.4", 1_050_000, 128_000, 600),
	model(OpenAI, "gpt-5.4-mini", 128_000, 16_384, 600),
	model(OpenAI, "gpt-5.3-codex", 400_000, 128_000, 600),

	model(Gemini, "gemini-3.5-flash", 1_048_576, 65_536, 120),
	model(Gemini, "gemini-3.1-pro-preview", 1_048_576, 65_536, 600),
	model(Gemini, "gemini-3.1-flash-lite-preview", 1_048_576, 65_536, 120),
}

// surfaces are what the models of a provider can do. Pictures in results of tools depend on the wire format: Chat Completions has no place for them.
var surfaces = map[string]identity.Surface{
	Anthropic: {Temperature: true, Thinking: true, Reasoning: true, Vision: true, ImageInput: true, ImageToolResults: true},
	OpenAI:    {Reasoning: true, Vision: true, ImageInput: true},
	Gemini:    {Temperature: true, Thinking: true, Reasoning: true, Vision: true, ImageInput: true},
}

func model(provider, name string, context, maxOutput, timeout int) llm.Known {
	surface := surfaces[provider]
	surface.CallTimeoutSecs = timeout
	return llm.Known{Info: llm.Info{Name: provider + "/" + name, Provider: provider, Context: context, MaxOutput: maxOutput,
		CallTimeout: time.Duration(timeout) * time.Second}, Surface: surface}
}

// Models returns the list: grouped by provider, the default of each first. It is the caller's own.
func Models() []llm.Known { return slices.Clone(models) }

// Default returns the model of a provider that is taken where nobody names one.
func Default(provider string) (llm.Known, bool) {
	i := slices.IndexFunc(models, func(k llm.Known) bool { return k.Provider == provider })
	if i < 0 {
		return llm.Known{}, false
	}
	return models[i], true
}

// Lookup finds a model by its full name or by its name alone, with or without the date of a fixed version.
func Lookup(name string) (llm.Known, bool) {
	d := llm.Directory{Catalog: models}
	known, err := d.Lookup(name)
	return known, err == nil && known.Context > 0
}
