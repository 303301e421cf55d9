package present_test

import (
	"encoding/json"
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/surface/present"
	"github.com/meerkat-go/meerkat/transcript"
	"github.com/meerkat-go/meerkat/wire"
)

func create(text string) (control.CreateSession, control.Submit, error) {
	var p wire.CreateParams
	if err := wire.Decode(json.RawMessage(text), &p); err != nil {
		return control.CreateSession{}, control.Submit{}, err
	}
	return present.CreateSession(p)
}

func turn(text string) (control.Submit, error) {
	var p wire.TurnParams
	if err := wire.Decode(json.RawMessage(text), &p); err != nil {
		return control.Submit{}, err
	}
	return present.Turn(one, p)
}

func TestEverything_said_of_a_new_session_is_passed_on(t *testing.T) {
	t.Parallel()
	made, said, err := create(`{"prompt":"hi","model":"claude-x","provider":"anthropic","system_prompt":"be kind","max_tokens":100,"output_schema":{"type":"object"},
		"structured_output_retries":0,"provider_params":{"a":1},"budget_limits":{"max_tokens":5,"max_duration":{"secs":1,"nanos":500000000},"max_tool_calls":2},
		"enable_builtins":true,"enable_shell":false,"enable_memory":false,"enable_web_search":false,"tool_filter":{"Deny":["b","a"]},
		"external_tools":[{"name":"t","description":"d","input_schema":{"type":"object"}}],"keep_alive":false,"labels":{"team":"red"},"app_context":{"x":1},
		"additional_instructions":["one","two"],"shell_env":{"A":"b"},"skill_refs":[],"hooks_override":{"entries":[],"disable":[]},"auth_binding":null,"verbose":true}`)
	if err != nil {
		t.Fatal(err)
	}
	yes, no := true, false
	want := control.CreateSession{System: "be kind", Extra: []string{"one", "two"}, Provider: "anthropic", Builtins: &yes, Shell: &no,
		Profile: run.Profile{Filter: scope.Deny("a", "b"), Model: "claude-x", MaxOutput: 100, Schema: json.RawMessage(`{"type":"object"}`), SchemaRetries: -1, Params: json.RawMessage(`{"a":1}`),
			Budget: run.Budget{Tokens: 5, Calls: 2, Duration: 1500 * time.Millisecond}, Env: map[string]string{"A": "b"}, Labels: map[string]string{"team": "red"},
			App: json.RawMessage(`{"x":1}`), Client: []run.ToolDef{{Name: "t", Description: "d", Schema: json.RawMessage(`{"type":"object"}`)}}}}
	if diff := cmp.Diff(want, made); diff != "" {
		t.Error(diff)
	}
	if !cmp.Equal(said, control.Submit{Content: transcript.TextBlocks("hi"), RequireIdle: true}) {
		t.Errorf("%v", said)
	}
}

func TestWhat_is_not_said_of_a_new_session_is_not_passed_on(t *testing.T) {
	t.Parallel()
	for _, text := range []string{`{"prompt":"hi"}`, `{"prompt":"hi","model":null,"max_tokens":null,"budget_limits":null,"tool_filter":"All","output_schema":null,"labels":null,"initial_turn":"run_immediately"}`} {
		made, _, err := create(text)
		if err != nil || !cmp.Equal(made, control.CreateSession{}) {
			t.Errorf("%v, %v", made, err)
		}
	}
	made, said, err := create(`{"prompt":"later","initial_turn":"deferred","session_id":"` + string(one) + `"}`)
	if err != nil || !made.Deferred || made.ID != one || !cmp.Equal(made.Prompt, transcript.TextBlocks("later")) || said.Content != nil {
		t.Errorf("%v, %v, %v", made, said, err)
	}
}

func TestA_new_session_that_cannot_be_is_refused_with_the_fields_name(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, field string
		code        fault.Code
	}{
		{`"provider":"acme"`, "provider", fault.Invalid},
		{`"labels":{"mob_id":"x"}`, "labels", fault.Invalid},
		{`"labels":{"role":"x"}`, "labels", fault.Invalid},
		{`"labels":{"meerkat_id":"x"}`, "labels", fault.Invalid},
		{`"labels":{"meerkat.x":"x"}`, "labels", fault.Invalid},
		{`"app_context":{"meerkat.x":"x"}`, "app_context", fault.Invalid},
		{`"skill_references":null`, "skill_references", fault.Invalid},
		{`"skill_references":[]`, "skill_references", fault.Invalid},
		{`"keep_alive":true`, "keep_alive", fault.Invalid},
		{`"keep_alive":true,"comms_name":"me"`, "keep_alive", fault.Unavailable},
		{`"comms_name":"me"`, "comms_name", fault.Unavailable},
		{`"peer_meta":{"description":"d"}`, "peer_meta", fault.Unavailable},
		{`"enable_memory":true`, "enable_memory", fault.Unavailable},
		{`"enable_schedule":true`, "enable_schedule", fault.Unavailable},
		{`"enable_workgraph":true`, "enable_workgraph", fault.Unavailable},
		{`"enable_mob":true`, "enable_mob", fault.Unavailable},
		{`"enable_web_search":true`, "enable_web_search", fault.Unavailable},
		{`"hooks_override":{"entries":[{}]}`, "hooks_override", fault.Unavailable},
		{`"preload_skills":[{"source_uuid":"a","skill_name":"b"}]`, "preload_skills", fault.Unavailable},
		{`"skill_refs":[{"kind":"structured"}]`, "skill_refs", fault.Unavailable},
		{`"auth_binding":{"realm":"a","binding":"b"}`, "auth_binding", fault.Unavailable},
		{`"max_tokens":0`, "max_tokens", fault.Invalid},
		{`"budget_limits":{"max_tokens":0}`, "budget_limits.max_tokens", fault.Invalid},
		{`"budget_limits":{"max_tool_calls":18446744073709551615}`, "budget_limits.max_tool_calls", fault.Invalid},
		{`"budget_limits":{"max_duration":0}`, "budget_limits.max_duration", fault.Invalid},
		{`"provider_params":[1]`, "provider_params", fault.Invalid},
		{`"output_schema":"x"`, "output_schema", fault.Invalid},
		{`"external_tools":[{"name":" "}]`, "external_tools", fault.Invalid},
		{`"external_tools":[{"name":"a","input_schema":[]}]`, "external_tools", fault.Invalid},
		{`"shell_env":{"A=B":"c"}`, "shell_env", fault.Invalid},
		{`"shell_env":{"":"c"}`, "shell_env", fault.Invalid},
		{`"shell_env":{"A":"\u0000"}`, "shell_env", fault.Invalid},
		{`"hooks_override":{"entries":[[[]]]}`, "hooks_override", fault.Unavailable},
		{`"skill_refs":"x"`, "skill_refs", fault.Unavailable},
		{`"initial_turn":"never"`, "initial_turn", fault.Invalid},
		{`"session_id":"x"`, "session_id", fault.Invalid},
		{`"prompt":[{"type":"video"}]`, "prompt", fault.Invalid},
	} {
		_, _, err := create(`{"prompt":"hi",` + c.text + `}`)
		refused(t, c.text, err, c.field, c.code)
	}
	for _, text := range []string{`"tool_filter":"Some"`, `"tool_filter":{"Allow":["a"],"Deny":[]}`, `"budget_limits":{"max_duration":-1}`, `"max_tokens":1.5`, `"prompt":null`} {
		if _, _, err := create(`{"prompt":"hi",` + text + `}`); fault.CodeOf(err) != fault.Invalid || err == nil {
			t.Errorf("%s: %v", text, err)
		}
	}
}

func refused(t *testing.T, text string, err error, field string, code fault.Code) {
	t.Helper()
	var e *wire.Error
	if !errors.As(err, &e) || e.Field != field || e.Code != code || e.Message == "" {
		t.Errorf("%s: %v", text, err)
	}
}

func TestEverything_said_of_a_turn_is_passed_on(t *testing.T) {
	t.Parallel()
	said, err := turn(`{"session_id":"s","prompt":"hi","flow_tool_overlay":{"allowed_tools":["a"],"blocked_tools":null},"additional_instructions":["one"],"keep_alive":false,
		"model":"gpt-5","provider":"openai","provider_params":{"a":1},"max_tokens":5,"system_prompt":"","output_schema":{},"structured_output_retries":0,
		"input_id":"i","idempotency_key":"k","clear_auth_binding":true}`)
	if err != nil {
		t.Fatal(err)
	}
	n, never, none := 5, -1, ""
	want := control.Submit{Session: one, Input: "i", Key: "k", Content: transcript.TextBlocks("hi"), RequireIdle: true, Asks: control.Asks{
		Overlay: scope.Overlay{Restricts: true, Allowed: scope.NamesOf("a")}, Instructions: []string{"one"}, Model: "gpt-5", Provider: "openai",
		Params: json.RawMessage(`{"a":1}`), System: &none, MaxOutput: &n, Schema: json.RawMessage(`{}`), SchemaRetries: &never}}
	if diff := cmp.Diff(want, said); diff != "" {
		t.Error(diff)
	}
	if said, err = turn(`{"session_id":"s","prompt":"hi"}`); err != nil || !cmp.Equal(said, control.Submit{Session: one, Content: transcript.TextBlocks("hi"), RequireIdle: true}) {
		t.Errorf("%v, %v", said, err)
	}
}

func TestA_turn_that_cannot_be_is_refused_with_the_fields_name(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text, field string
		code        fault.Code
	}{
		{`"provider":"openai"`, "provider", fault.Invalid},
		{`"model":"x","provider":"acme"`, "provider", fault.Invalid},
		{`"provider_params":{},"clear_provider_params":true`, "clear_provider_params", fault.Invalid},
		{`"skill_refs":[{}]`, "skill_refs", fault.Unavailable},
		{`"skill_references":[]`, "skill_references", fault.Invalid},
		{`"auth_binding":{"realm":"a"}`, "auth_binding", fault.Unavailable},
		{`"keep_alive":true`, "keep_alive", fault.Invalid},
		{`"max_tokens":0`, "max_tokens", fault.Invalid},
		{`"output_schema":1`, "output_schema", fault.Invalid},
		{`"prompt":{}`, "prompt", fault.Invalid},
	} {
		text := `{"session_id":"s","prompt":"hi",` + c.text + `}`
		_, err := turn(text)
		refused(t, c.text, err, c.field, c.code)
	}
}

func TestA_submit_has_a_lane_and_needs_something_to_say_or_to_go_on_with(t *testing.T) {
	t.Parallel()
	got, err := present.Submit(one, wire.SubmitParams{Input: "i", Key: "k", Prompt: json.RawMessage(`"hi"`), Lane: "steer"})
	if err != nil || !cmp.Equal(got, control.Submit{Session: one, Input: "i", Key: "k", Lane: control.LaneSteer, Content: transcript.TextBlocks("hi")}) {
		t.Errorf("%v, %v", got, err)
	}
	if got, err = present.Submit(one, wire.SubmitParams{Continue: true, RequireIdle: true}); err != nil || !got.Continue || !got.RequireIdle {
		t.Errorf("%v, %v", got, err)
	}
	_, err = present.Submit(one, wire.SubmitParams{Prompt: json.RawMessage(`"hi"`), Lane: "fast"})
	refused(t, "lane", err, "lane", fault.Invalid)
	_, err = present.Submit(one, wire.SubmitParams{})
	refused(t, "nothing", err, "prompt", fault.Invalid)
}

func TestWhat_happened_outside_has_a_type(t *testing.T) {
	t.Parallel()
	no := false
	got, err := present.ExternalEvent(one, wire.ExternalEventParams{Kind: "generic_json", Type: "mail", Payload: json.RawMessage(`1`), Blocks: json.RawMessage(`"b"`), Wake: &no})
	if err != nil || !got.NoWake || got.Type != "mail" || string(got.Payload) != "1" || !cmp.Equal(got.Blocks, transcript.TextBlocks("b")) {
		t.Errorf("%v, %v", got, err)
	}
	_, err = present.ExternalEvent(one, wire.ExternalEventParams{Kind: "odd", Type: "mail"})
	refused(t, "kind", err, "kind", fault.Invalid)
	_, err = present.ExternalEvent(one, wire.ExternalEventParams{Kind: "generic_json", Type: " "})
	refused(t, "type", err, "event_type", fault.Invalid)
	_, err = present.ExternalEvent(one, wire.ExternalEventParams{Kind: "generic_json", Type: "a", Blocks: json.RawMessage(`1`)})
	refused(t, "blocks", err, "blocks", fault.Invalid)
	_, err = present.Context(one, wire.ContextParams{Text: " \n"})
	refused(t, "text", err, "text", fault.Invalid)
}

func TestA_session_is_named_by_its_id_or_with_this_realm(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		locator string
		ok      bool
	}{
		{string(one), true}, {"lab:" + string(one), true},
		{"", false}, {"x", false}, {"else:" + string(one), false}, {":" + string(one), false}, {"lab:", false}, {"lab:x", false}, {"lab:lab:" + string(one), false},
		{string(other) + ":" + string(one), false}, {"-lab:" + string(one), false}, {"{" + string(one) + "}", false},
	} {
		got, err := present.Session("lab", c.locator)
		switch {
		case c.ok && (err != nil || got != one):
			t.Errorf("%s: %s, %v", c.locator, got, err)
		case !c.ok:
			refused(t, c.locator, err, "session_id", fault.Invalid)
		}
	}
	if _, err := present.Session("", ":"+string(one)); err == nil {
		t.Error("no realm is not the name of one")
	}
}

func FuzzSession(f *testing.F) {
	for _, seed := range []string{"", ":", string(one), "lab:" + string(one), "LAB:" + string(one), "urn:uuid:" + string(one), "a:b:c"} {
		f.Add("lab", seed)
	}
	f.Fuzz(func(t *testing.T, realm, locator string) {
		s, err := present.Session(realm, locator)
		if err != nil {
			if fault.CodeOf(err) != fault.Invalid || s != "" {
				t.Fatalf("%q, %v", s, err)
			}
			return
		}
		if back, err := id.ParseSession(string(s)); err != nil || back != s {
			t.Fatalf("%q is no session: %v", s, err)
		}
	})
}

func FuzzCreateAndTurn(f *testing.F) {
	for _, seed := range []string{`{"prompt":"x"}`, `{"prompt":"x","session_id":"s","hooks_override":{"a":{"b":[]}},"app_context":[1],"skill_refs":{}}`,
		`{"prompt":"x","session_id":"s","flow_tool_overlay":{"allowed_tools":[]},"budget_limits":{"max_duration":1e9}}`, `{"prompt":"","external_tools":[{}],"output_schema":{}}`} {
		f.Add([]byte(seed))
	}
	codes := []fault.Code{fault.Invalid, fault.Unavailable}
	f.Fuzz(func(t *testing.T, data []byte) {
		if _, _, err := create(string(data)); err != nil && !slices.Contains(codes, fault.CodeOf(err)) {
			t.Fatal(err)
		}
		if _, err := turn(string(data)); err != nil && !slices.Contains(codes, fault.CodeOf(err)) {
			t.Fatal(err)
		}
	})
}
