package llm

import (
	"strings"

	"github.com/meerkat-go/meerkat/identity"
)

// NameOf is the name by which a Source finds the model of an identity. One that names no provider has the model's name as it is.
func NameOf(id identity.Identity) string {
	switch id.Provider {
	case identity.Anthropic, identity.OpenAI, identity.Gemini:
		if prefix := string(id.Provider) + "/"; !strings.HasPrefix(id.Model, prefix) {
			return prefix + id.Model
		}
	case identity.SelfHosted:
		return id.SelfHostedServer + "/" + id.Model
	case identity.Other:
	}
	return id.Model
}
