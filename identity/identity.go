// Package identity says which model a session talks to, what that model can do, and how a request for another one is resolved.
//
// All of it is values that compare with ==. What was decided about models and is told to clients is here too: changes and what they
// changed, switches, approvals, pictures. Who decides is machine/model.
package identity

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// Provider is who answers for a model. The zero value is nobody.
type Provider string

// The providers. Other is somebody we know nothing of.
const (
	Anthropic  Provider = "anthropic"
	OpenAI     Provider = "openai"
	Gemini     Provider = "gemini"
	SelfHosted Provider = "self_hosted"
	Other      Provider = "other"
)

// Known reports whether p is one of the providers.
func (p Provider) Known() bool {
	switch p {
	case Anthropic, OpenAI, Gemini, SelfHosted, Other:
		return true
	}
	return false
}

// Binding names the credentials that pay for and sign the calls: a binding of a realm, and the profile if it has several. The zero value
// names none, which leaves the choice to whoever resolves credentials. It holds no secret.
type Binding struct {
	Realm   string `json:"realm"`
	Binding string `json:"binding"`
	Profile string `json:"profile,omitempty"`
}

// IsZero reports whether b names nothing.
func (b Binding) IsZero() bool { return b == Binding{} }

// Identity is the model of a session. Two identities are the same exactly if they are equal with ==. The zero value is none.
type Identity struct {
	Model            string   `json:"model"` // the provider's own name, or the alias of a self-hosted one
	Provider         Provider `json:"provider"`
	SelfHostedServer string   `json:"self_hosted_server_id,omitempty"` // SelfHosted only, and always there
	Params           Params   `json:"provider_params,omitempty"`
	AuthBinding      Binding  `json:"auth_binding,omitzero"`
}

// MaxParams is the size of provider parameters, in bytes of their canonical text. More is refused.
const MaxParams = 64 << 10

// Params are parameters for the provider: the canonical text of a JSON object, or empty for none. Make them with ParseParams.
type Params string

// NoParams are parameters that were named and are empty. They are for requests; an Identity has none instead.
const NoParams Params = "{}"

// ParseParams brings parameters into their canonical text: keys sorted, no white space, numbers as they were spelled. Empty text is
// no parameters, {} is NoParams. Anything but an object, and more than MaxParams, is an *Invalid.
func ParseParams(text []byte) (Params, error) {
	if len(bytes.TrimSpace(text)) == 0 {
		return "", nil
	}
	var object map[string]any
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := d.Decode(&object); err != nil || object == nil {
		return "", &Invalid{Why: ErrParams, Field: "provider_params", Detail: "they are one JSON object"}
	}
	if _, err := d.Token(); err != io.EOF {
		return "", &Invalid{Why: ErrParams, Field: "provider_params", Detail: "something follows the object"}
	}
	out, err := json.Marshal(object)
	if err != nil || len(out) > MaxParams {
		return "", &Invalid{Why: ErrParams, Field: "provider_params", Detail: fmt.Sprintf("they may have %d bytes", MaxParams)}
	}
	return Params(out), nil
}

// MarshalJSON encodes the object itself; no parameters are null.
func (p Params) MarshalJSON() ([]byte, error) {
	if p == "" {
		return []byte("null"), nil
	}
	return []byte(p), nil
}

// UnmarshalJSON reads an object, or null, by the rules of ParseParams.
func (p *Params) UnmarshalJSON(text []byte) error {
	if string(text) == "null" {
		*p = ""
		return nil
	}
	parsed, err := ParseParams(text)
	if err == nil {
		*p = parsed
	}
	return err
}

// Surface is what a model can do. The zero value is a model that takes text and answers with text.
type Surface struct {
	Temperature      bool `json:"supports_temperature,omitempty"`
	Thinking         bool `json:"thinking,omitempty"`
	Reasoning        bool `json:"reasoning,omitempty"`
	InlineVideo      bool `json:"inline_video,omitempty"`
	Vision           bool `json:"vision,omitempty"`
	ImageInput       bool `json:"image_input,omitempty"`
	ImageToolResults bool `json:"image_tool_results,omitempty"` // a tool's result may hold pictures
	WebSearch        bool `json:"web_search,omitempty"`
	ImageGeneration  bool `json:"image_generation,omitempty"`
	Realtime         bool `json:"realtime,omitempty"`
	CallTimeoutSecs  int  `json:"call_timeout_secs,omitempty"` // for one call, reply and all; 0: no limit of its own
}

// ViewImage is the tool whose results are pictures.
const ViewImage = "view_image"

// CapabilityFilter is what a model's inability takes from the tools: the name of the one tool it denies, or empty for none.
type CapabilityFilter string

// Filter returns the filter that follows from what the model can do: without pictures in results there is no ViewImage.
func (s Surface) Filter() CapabilityFilter {
	if s.ImageToolResults {
		return ""
	}
	return ViewImage
}

// Denies reports whether the filter denies the tool.
func (f CapabilityFilter) Denies(tool string) bool { return f != "" && string(f) == tool }

// Status says whether what a session's model can do is known. The zero value: the session has no model yet.
type Status string

// The statuses.
const (
	Resolved   Status = "resolved"
	Unresolved Status = "unresolved" // the model is named, and its surface is a guess
)
