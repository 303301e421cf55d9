package identity_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/identity"
)

var (
	opus = identity.Identity{Model: "opus", Provider: identity.Anthropic, Params: `{"effort":"low"}`,
		AuthBinding: identity.Binding{Realm: "r", Binding: "work"}}
	local = identity.Identity{Model: "llama", Provider: identity.SelfHosted, SelfHostedServer: "cellar"}
)

// registry knows two vendors' models, and aliases at self-hosted servers.
var registry = identity.Lookups{
	Owner: func(model string) identity.Provider {
		return map[string]identity.Provider{"opus": identity.Anthropic, "haiku": identity.Anthropic, "gpt": identity.OpenAI}[model]
	},
	Server: func(model, server string) (string, bool) {
		has := map[string][]string{"llama": {"cellar", "attic"}, "qwen": {"attic"}}
		for _, s := range has[model] {
			if server == "" || server == s {
				return s, true
			}
		}
		return "", false
	},
	Surface: func(id identity.Identity) (identity.Surface, bool) {
		return identity.Surface{ImageToolResults: id.Model != "haiku"}, id.Model != "unheard-of"
	},
}

// Scenario: L4
func TestR81_a_request_that_cannot_be_is_refused_with_the_field_and_the_reason(t *testing.T) {
	t.Parallel()
	binding := identity.Binding{Realm: "r", Binding: "b"}
	for name, c := range map[string]struct {
		from  identity.Identity
		ask   identity.Request
		why   error
		field string
	}{
		"a provider without a model":     {opus, identity.Request{Provider: identity.OpenAI}, identity.ErrProviderWithoutModel, "provider"},
		"cleared and given parameters":   {opus, identity.Request{ClearParams: true, Params: `{"a":1}`}, identity.ErrClearAndValue, "provider_params"},
		"cleared and given empty ones":   {opus, identity.Request{ClearParams: true, Params: identity.NoParams}, identity.ErrClearAndValue, "provider_params"},
		"a cleared and given binding":    {opus, identity.Request{ClearAuthBinding: true, AuthBinding: binding}, identity.ErrClearAndValue, "auth_binding"},
		"another provider's model":       {opus, identity.Request{Model: "gpt", Provider: identity.Anthropic}, identity.ErrWrongProvider, "provider"},
		"one, the provider inherited":    {opus, identity.Request{Model: "gpt"}, identity.ErrWrongProvider, "provider"},
		"an unknown provider":            {opus, identity.Request{Model: "gpt", Provider: "acme"}, identity.ErrProvider, "provider"},
		"nobody's model, first of all":   {identity.Identity{}, identity.Request{Model: "mine"}, identity.ErrProvider, "provider"},
		"a model nobody heard of":        {opus, identity.Request{Model: "unheard-of"}, identity.ErrUnknownModel, "model"},
		"an alias nobody registered":     {opus, identity.Request{Model: "phi", Provider: identity.SelfHosted}, identity.ErrNotRegistered, "model"},
		"an alias at another server":     {local, identity.Request{Model: "qwen", SelfHostedServer: "cellar"}, identity.ErrNotRegistered, "self_hosted_server_id"},
		"the alias at no such server":    {local, identity.Request{SelfHostedServer: "moon"}, identity.ErrNotRegistered, "self_hosted_server_id"},
		"a server for a vendor's model":  {opus, identity.Request{SelfHostedServer: "cellar"}, identity.ErrServer, "self_hosted_server_id"},
		"no model at all":                {identity.Identity{}, identity.Request{}, identity.ErrNoModel, "model"},
		"parameters that are none":       {opus, identity.Request{Params: `[1]`}, identity.ErrParams, "provider_params"},
		"parameters in another spelling": {opus, identity.Request{Params: `{ "a":1}`}, identity.ErrParams, "provider_params"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := identity.Resolve(c.from, c.ask, registry)
			var no *identity.Invalid
			if !errors.Is(err, c.why) || !errors.As(err, &no) || no.Field != c.field || fault.CodeOf(err) != fault.Invalid || got != (identity.Target{}) {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
	if _, err := identity.Resolve(opus, identity.Request{}, identity.Lookups{}); !errors.Is(err, identity.ErrUnknownModel) {
		t.Errorf("a registry that knows nothing: %v", err)
	}
	if _, err := identity.Resolve(local, identity.Request{}, identity.Lookups{Surface: registry.Surface}); !errors.Is(err, identity.ErrNotRegistered) {
		t.Errorf("a registry that knows no server: %v", err)
	}
}

func TestR81_what_a_request_leaves_out_stays_as_it_is(t *testing.T) {
	t.Parallel()
	change := func(from identity.Identity, f func(*identity.Identity)) identity.Identity { f(&from); return from }
	for name, c := range map[string]struct {
		from identity.Identity
		ask  identity.Request
		want identity.Identity
	}{
		"everything":           {opus, identity.Request{}, opus},
		"all but the model":    {opus, identity.Request{Model: "haiku"}, change(opus, func(i *identity.Identity) { i.Model = "haiku" })},
		"all but the provider": {opus, identity.Request{Model: "gpt", Provider: identity.OpenAI}, change(opus, func(i *identity.Identity) { i.Model, i.Provider = "gpt", identity.OpenAI })},
		"all but parameters":   {opus, identity.Request{Params: `{"a":1}`}, change(opus, func(i *identity.Identity) { i.Params = `{"a":1}` })},
		"parameters cleared":   {opus, identity.Request{ClearParams: true}, change(opus, func(i *identity.Identity) { i.Params = "" })},
		"parameters emptied":   {opus, identity.Request{Params: identity.NoParams}, change(opus, func(i *identity.Identity) { i.Params = "" })},
		"the binding given": {opus, identity.Request{AuthBinding: identity.Binding{Realm: "r", Binding: "b", Profile: "p"}},
			change(opus, func(i *identity.Identity) { i.AuthBinding = identity.Binding{Realm: "r", Binding: "b", Profile: "p"} })},
		"the binding cleared":    {opus, identity.Request{ClearAuthBinding: true}, change(opus, func(i *identity.Identity) { i.AuthBinding = identity.Binding{} })},
		"the server of an alias": {local, identity.Request{Params: `{"a":1}`}, change(local, func(i *identity.Identity) { i.Params = `{"a":1}` })},
		"another server":         {local, identity.Request{SelfHostedServer: "attic"}, change(local, func(i *identity.Identity) { i.SelfHostedServer = "attic" })},
		"another alias":          {local, identity.Request{Model: "qwen"}, change(local, func(i *identity.Identity) { i.Model, i.SelfHostedServer = "qwen", "attic" })},
		"self-hosting is over":   {local, identity.Request{Model: "gpt", Provider: identity.OpenAI}, identity.Identity{Model: "gpt", Provider: identity.OpenAI}},
		"nothing to inherit":     {identity.Identity{}, identity.Request{Model: "gpt"}, identity.Identity{Model: "gpt", Provider: identity.OpenAI}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := identity.Resolve(c.from, c.ask, registry)
			if err != nil || got.Identity != c.want || got.Surface.ImageToolResults != (c.want.Model != "haiku") {
				t.Errorf("got %+v, %v", got, err)
			}
		})
	}
}

func TestR22_parameters_are_one_text_however_they_are_spelled(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]identity.Params{
		"": "", "  ": "", " { } ": identity.NoParams, `{"b":1.50,"a":{"d":[1, 2],"c":"<é>"}}`: `{"a":{"c":"\u003cé\u003e","d":[1,2]},"b":1.50}`,
		`{"n":12345678901234567890}`: `{"n":12345678901234567890}`,
	} {
		got, err := identity.ParseParams([]byte(text))
		if err != nil || got != want {
			t.Errorf("%s: %s, %v", text, got, err)
		}
		again, err := identity.ParseParams([]byte(got))
		if err != nil || again != got {
			t.Errorf("%s is not canonical: %s, %v", got, again, err)
		}
		in := identity.Identity{Model: "m", Params: got}
		out, err := json.Marshal(in)
		var back identity.Identity
		if err != nil || json.Unmarshal(out, &back) != nil || back != in {
			t.Errorf("%s became %v, %v", out, back, err)
		}
	}
	long := `{"a":"` + strings.Repeat("x", identity.MaxParams) + `"}`
	for _, text := range []string{"null", "1", `"a"`, "[]", "{", `{"a":1}{}`, `{"a":1} x`, long} {
		if got, err := identity.ParseParams([]byte(text)); !errors.Is(err, identity.ErrParams) || got != "" {
			t.Errorf("%.20s: %q, %v", text, got, err)
		}
	}
}

func TestR22_the_payload_of_a_picture_survives_whatever_it_holds(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		in := identity.ImageEnd{Operation: "o", Terminal: identity.Generated, Payload: identity.Payload(rapid.SliceOf(rapid.Byte()).Draw(t, "bytes"))}
		out, err := json.Marshal(in)
		var back identity.ImageEnd
		if err != nil || json.Unmarshal(out, &back) != nil || back != in {
			t.Fatalf("%q became %q through %s: %v", in.Payload, back.Payload, out, err)
		}
	})
	var p identity.Payload
	if p.UnmarshalText([]byte("!")) == nil || p != "" {
		t.Errorf("what is no payload is %q", p)
	}
}

func TestR80_the_filter_follows_from_what_the_model_can_do(t *testing.T) {
	t.Parallel()
	blind, seeing := identity.Surface{Vision: true, ImageInput: true}, identity.Surface{ImageToolResults: true}
	if f := blind.Filter(); !f.Denies(identity.ViewImage) || f.Denies("read_file") || f.Denies("") {
		t.Errorf("without pictures in results: %q", f)
	}
	if f := seeing.Filter(); f != "" || f.Denies(identity.ViewImage) || f.Denies("") {
		t.Errorf("with pictures in results: %q", f)
	}
}

// Each closed set knows its members and nothing else, the zero value least of all.
func TestR86_answers_and_reasons_that_are_none_are_not_taken_for_one(t *testing.T) {
	t.Parallel()
	for _, p := range []identity.Provider{identity.Anthropic, identity.OpenAI, identity.Gemini, identity.SelfHosted, identity.Other} {
		if !p.Known() {
			t.Errorf("%s is not known", p)
		}
	}
	for a, granted := range map[identity.Approval]bool{identity.ApprovalNotRequired: true, identity.Approved: true, identity.DeniedByUser: false, identity.RequiredButUnavailable: false} {
		if !a.Known() || a.Granted() != granted {
			t.Errorf("%s: granted %v", a, a.Granted())
		}
	}
	for _, d := range []identity.Denial{identity.CapabilityPolicy, identity.ApprovalRequiredButUnavailable, identity.DeniedDuringApproval,
		identity.ScopedOverrideConflict, identity.RealtimeTransportConflict, identity.ReconfigureFailed, identity.SessionEnded} {
		if !d.Known() {
			t.Errorf("%s is not known", d)
		}
	}
	for end, ok := range map[identity.ImageTerminal]bool{identity.Generated: true, identity.ImageFailed: true, identity.ImageTimeout: true,
		identity.ImageDenied: false, identity.ScopedRestoreFailed: false} {
		if end.Outcome() != ok {
			t.Errorf("%s: %v", end, !ok)
		}
	}
	for _, none := range []string{"", "ANTHROPIC", "yes"} {
		if identity.Provider(none).Known() || identity.Approval(none).Known() || identity.Approval(none).Granted() || identity.Denial(none).Known() || identity.ImageTerminal(none).Outcome() {
			t.Errorf("%q is taken for something", none)
		}
	}
}
