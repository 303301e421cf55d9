package present

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
	"github.com/meerkat-go/meerkat/wire"
)

func invalid(field, format string, args ...any) error {
	return &wire.Error{Code: fault.Invalid, Field: field, Message: fmt.Sprintf(format, args...)}
}

func unavailable(field, what string) error {
	return &wire.Error{Code: fault.Unavailable, Field: field, Message: what + " are not there in this server"}
}

// Content reads a prompt: a string, or blocks of text and inline images.
func Content(raw json.RawMessage) (transcript.Blocks, error) { return content("prompt", raw) }

func content(field string, raw json.RawMessage) (transcript.Blocks, error) {
	blocks, err := wire.DecodeContent(raw)
	if err != nil {
		return nil, invalid(field, "%v", err)
	}
	return blocks, nil
}

// realmName reports whether a realm may be called so: 1 to 64 letters, digits, - and _, a letter or digit first.
func realmName(name string) bool {
	for i, r := range []byte(name) {
		alphanumeric := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !alphanumeric && (i == 0 || r != '-' && r != '_') {
			return false
		}
	}
	return name != "" && len(name) <= 64
}

// Session reads a locator: a session id, or realm:id, where the realm must be this one. An id of another form is invalid, not unknown.
func Session(realm, locator string) (id.Session, error) {
	name, ref, ok := strings.Cut(locator, ":")
	if !ok {
		name, ref = "", locator
	}
	s, err := id.ParseSession(ref)
	switch {
	case err != nil:
		return "", invalid("session_id", "%v", err)
	case !ok:
		return s, nil
	case !realmName(name):
		return "", invalid("session_id", "%q is not the name of a realm", name)
	case name != realm:
		return "", invalid("session_id", "the session is of another realm than this server's")
	}
	if _, err := id.ParseSession(name); err == nil {
		return "", invalid("session_id", "a realm is not named like a session")
	}
	return s, nil
}

// CreateSession reads what a new session is to be, and what is said in it first. A deferred one has its prompt in the first, and the second is not to
// be carried out. Codes: invalid; unavailable for what this server does not have. The error names the field.
func CreateSession(p wire.CreateParams) (control.CreateSession, control.Submit, error) {
	var none control.CreateSession
	if err := absentFeatures(p); err != nil {
		return none, control.Submit{}, err
	}
	said, err := Content(p.Prompt)
	if err != nil {
		return none, control.Submit{}, err
	}
	profile, err := profileOf(p)
	if err != nil {
		return none, control.Submit{}, err
	}
	out := control.CreateSession{Profile: profile, System: p.System, Extra: p.AdditionalInstruction, Provider: p.Provider, Builtins: p.EnableBuiltins, Shell: p.EnableShell}
	if p.ToolFilter != nil {
		out.Profile.Filter = *p.ToolFilter
	}
	if p.Session != "" {
		if out.ID, err = id.ParseSession(string(p.Session)); err != nil {
			return none, control.Submit{}, invalid("session_id", "%v", err)
		}
	}
	switch p.InitialTurn {
	case "", "run_immediately":
		first := control.Submit{Session: out.ID, Content: said, RequireIdle: true}
		return out, first, first.Check() // before a session is made for it
	case "deferred":
		out.Deferred, out.Prompt = true, said
		return out, control.Submit{}, nil
	}
	return none, control.Submit{}, invalid("initial_turn", "it is run_immediately or deferred, not %q", p.InitialTurn)
}

// profileOf reads what is kept of a session for all its runs.
func profileOf(p wire.CreateParams) (run.Profile, error) {
	out := run.Profile{Model: p.Model, Labels: p.Labels, Env: p.ShellEnv, Client: p.ExternalTools}
	if err := provider(p.Provider); err != nil {
		return out, err
	}
	if err := labels(p.Labels); err != nil {
		return out, err
	}
	if err := appContext(p.AppContext); err != nil {
		return out, err
	}
	if err := firstError(tools(p.ExternalTools), environment(p.ShellEnv)); err != nil {
		return out, err
	}
	var err error
	if out.Params, err = object("provider_params", p.ProviderParams); err != nil {
		return out, err
	}
	if out.Schema, err = object("output_schema", p.OutputSchema); err != nil {
		return out, err
	}
	if !nothing(p.AppContext) {
		out.App = p.AppContext
	}
	if out.Budget, err = budget(p.Budget); err != nil {
		return out, err
	}
	if p.MaxTokens != nil {
		if *p.MaxTokens == 0 {
			return out, invalid("max_tokens", "it is at least 1")
		}
		out.MaxOutput = int(*p.MaxTokens)
	}
	out.SchemaRetries = retries(p.OutputRetries)
	return out, own(p, &out)
}

// presets are the sets of tools that have a name.
var presets = []string{"none", "safe", "workspace", "full"}

// own reads what our own clients may ask for besides.
func own(p wire.CreateParams, out *run.Profile) error {
	if p.Workspace != "" && !filepath.IsAbs(p.Workspace) {
		return invalid("workspace", "it is a folder of the server, named in full, not %q", p.Workspace)
	}
	if p.ToolsPreset != "" && !slices.Contains(presets, p.ToolsPreset) {
		return invalid("tools_preset", "it is none, safe, workspace or full, not %q", p.ToolsPreset)
	}
	out.Workspace, out.Tools = p.Workspace, p.ToolsPreset
	if p.MaxRounds != nil {
		if *p.MaxRounds == 0 {
			return invalid("max_rounds", "it is at least 1")
		}
		out.MaxRounds = int(*p.MaxRounds)
	}
	return nil
}

// retries is a profile's way to say how often: there 0 is not said, and never is below 0.
func retries(n *uint32) int {
	switch {
	case n == nil:
		return 0
	case *n == 0:
		return -1
	}
	return int(*n)
}

// Turn reads what is to be said in a session next, which has to be idle. Codes as of CreateSession.
func Turn(s id.Session, p wire.TurnParams) (control.Submit, error) {
	out := control.Submit{Session: s, Input: p.Input, Key: p.Key, RequireIdle: true}
	if err := firstError(
		retired(p.SkillReferences), wanted("skill_refs", "skills", p.SkillRefs), wanted("hooks_override", "hooks", p.HooksOverride),
		wanted("auth_binding", "auth bindings", p.AuthBinding), wanted("peer_meta", "peers", p.PeerMeta), keepAlive(p.KeepAlive, p.CommsName),
		provider(p.Provider)); err != nil {
		return out, err
	}
	var err error
	if out.Content, err = Content(p.Prompt); err != nil {
		return out, err
	}
	out.Asks, err = asks(p)
	return out, err
}

func asks(p wire.TurnParams) (control.Asks, error) {
	out := control.Asks{Instructions: p.AdditionalInstruction, Model: p.Model, Provider: p.Provider, ClearParams: p.ClearProviderParams, System: p.System}
	if p.Overlay != nil {
		out.Overlay = p.Overlay.Public()
	}
	if p.Provider != "" && p.Model == "" {
		return out, invalid("provider", "it needs a model beside it")
	}
	var err error
	if out.Params, err = object("provider_params", p.ProviderParams); err != nil {
		return out, err
	}
	if out.ClearParams && out.Params != nil {
		return out, invalid("clear_provider_params", "it cannot stand beside provider_params")
	}
	if out.Schema, err = object("output_schema", p.OutputSchema); err != nil {
		return out, err
	}
	if p.MaxTokens != nil {
		n := int(*p.MaxTokens)
		if n == 0 {
			return out, invalid("max_tokens", "it is at least 1")
		}
		out.MaxOutput = &n
	}
	if p.OutputRetries != nil {
		n := retries(p.OutputRetries)
		out.SchemaRetries = &n
	}
	return out, nil
}

// Submit reads what a session is to do without anybody waiting for it.
func Submit(s id.Session, p wire.SubmitParams) (control.Submit, error) {
	out := control.Submit{Session: s, Input: p.Input, Key: p.Key, Lane: p.Lane, Continue: p.Continue, RequireIdle: p.RequireIdle}
	if !slices.Contains([]string{"", control.LaneQueue, control.LaneSteer}, p.Lane) {
		return out, invalid("lane", "it is queue or steer, not %q", p.Lane)
	}
	if nothing(p.Prompt) && p.Continue {
		return out, nil
	}
	var err error
	out.Content, err = Content(p.Prompt)
	return out, err
}

// ExternalEvent reads what happened outside.
func ExternalEvent(s id.Session, p wire.ExternalEventParams) (control.ExternalEvent, error) {
	out := control.ExternalEvent{Session: s, Key: p.Key, Type: p.Type, Payload: p.Payload, NoWake: p.Wake != nil && !*p.Wake}
	if p.Kind != "generic_json" {
		return out, invalid("kind", "it is generic_json, not %q", p.Kind)
	}
	if strings.TrimSpace(p.Type) == "" {
		return out, invalid("event_type", "it is not empty")
	}
	if nothing(p.Blocks) {
		return out, nil
	}
	var err error
	out.Blocks, err = content("blocks", p.Blocks)
	return out, err
}

// Context reads what a model is to know.
func Context(s id.Session, p wire.ContextParams) (control.Context, error) {
	if strings.TrimSpace(p.Text) == "" {
		return control.Context{}, invalid("text", "it is not blank")
	}
	return control.Context{Session: s, Text: p.Text, Source: p.Source, Key: p.Key}, nil
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

// absentFeatures refuses what this server does not have, if it is asked for.
func absentFeatures(p wire.CreateParams) error {
	return firstError(
		retired(p.SkillReferences),
		off("enable_memory", "memories", p.EnableMemory), off("enable_schedule", "schedules", p.EnableSchedule),
		off("enable_workgraph", "work graphs", p.EnableWorkgraph), off("enable_mob", "mobs", p.EnableMob),
		off("enable_web_search", "searches of the web", p.EnableWebSearch),
		wanted("auth_binding", "auth bindings", p.AuthBinding), wanted("hooks_override", "hooks", p.HooksOverride),
		wanted("preload_skills", "skills", p.PreloadSkills), wanted("skill_refs", "skills", p.SkillRefs),
		keepAlive(p.KeepAlive, p.CommsName), wanted("peer_meta", "peers", p.PeerMeta))
}

func retired(raw json.RawMessage) error {
	if len(raw) > 0 {
		return invalid("skill_references", "it is not taken any more; use skill_refs")
	}
	return nil
}

func off(field, what string, on *bool) error {
	if on != nil && *on {
		return unavailable(field, what)
	}
	return nil
}

// wanted refuses a value that asks for something. Null, and a list or an object with nothing in it, ask for nothing.
func wanted(field, what string, raw json.RawMessage) error {
	if nothing(raw) || empty(raw) {
		return nil
	}
	return unavailable(field, what)
}

// empty reports whether a value is a list with nothing in it, or an object whose fields are all nothing or such lists and objects. It looks no deeper.
func empty(raw json.RawMessage) bool {
	if hollow(raw) {
		return true
	}
	var fields map[string]json.RawMessage
	if json.Unmarshal(raw, &fields) != nil {
		return false
	}
	for _, v := range fields {
		if !nothing(v) && !hollow(v) {
			return false
		}
	}
	return true
}

// hollow reports whether there is nothing between the brackets.
func hollow(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	n := len(raw)
	return n >= 2 && (raw[0] == '[' || raw[0] == '{') && len(bytes.TrimSpace(raw[1:n-1])) == 0
}

func nothing(raw json.RawMessage) bool {
	raw = bytes.TrimSpace(raw)
	return len(raw) == 0 || string(raw) == "null"
}

// keepAlive refuses sessions that others can reach.
func keepAlive(on *bool, name string) error {
	switch {
	case on != nil && *on && name == "":
		return invalid("keep_alive", "it needs a comms_name beside it")
	case on != nil && *on:
		return unavailable("keep_alive", "sessions that wait for peers")
	case name != "":
		return unavailable("comms_name", "peers")
	}
	return nil
}

func provider(name string) error {
	switch identity.Provider(name) {
	case "", identity.Anthropic, identity.OpenAI, identity.Gemini, identity.SelfHosted:
		return nil
	}
	return invalid("provider", "there is no provider %q: it is anthropic, openai, gemini or self_hosted", name)
}

// reservedKey reports whether a key is kept for those who run many sessions together.
func reservedKey(key string) bool {
	return key == "mob_id" || key == "role" || key == "meerkat_id" || strings.HasPrefix(key, "meerkat.")
}

func labels(m map[string]string) error {
	for key := range m {
		if reservedKey(key) {
			return invalid("labels", "the key %q is reserved", key)
		}
	}
	return nil
}

// environment refuses names and values that no process could be given.
func environment(env map[string]string) error {
	for name, value := range env {
		if name == "" || strings.ContainsAny(name, "=\x00") || strings.Contains(value, "\x00") {
			return invalid("shell_env", "%q cannot be the name of a variable, or its value holds a zero byte", name)
		}
	}
	return nil
}

func appContext(raw json.RawMessage) error {
	var fields map[string]json.RawMessage
	if nothing(raw) || json.Unmarshal(raw, &fields) != nil { // anything else than an object has no keys
		return nil
	}
	for key := range fields {
		if reservedKey(key) {
			return invalid("app_context", "the key %q is reserved", key)
		}
	}
	return nil
}

// object reads a field that is an object; nil: it was not given.
func object(field string, raw json.RawMessage) (json.RawMessage, error) {
	if nothing(raw) {
		return nil, nil
	}
	if raw = bytes.TrimSpace(raw); raw[0] != '{' {
		return nil, invalid(field, "it is an object")
	}
	return raw, nil
}

// tools refuses definitions that no model could be shown.
func tools(defs []run.ToolDef) error {
	for n, d := range defs {
		if err := tool(d); err != nil {
			return invalid("external_tools", "tool %d: %v", n, err)
		}
	}
	return nil
}

func tool(d run.ToolDef) error {
	if strings.TrimSpace(d.Name) == "" {
		return fmt.Errorf("it has no name")
	}
	if !nothing(d.Schema) && bytes.TrimSpace(d.Schema)[0] != '{' {
		return fmt.Errorf("the input_schema of %s is not an object", d.Name)
	}
	return nil
}

// Tools reads the definitions of tools that a client offers.
func Tools(p wire.ToolsParams) ([]run.ToolDef, error) {
	for n, d := range p.Tools {
		if err := tool(d); err != nil {
			return nil, invalid("tools", "tool %d: %v", n, err)
		}
	}
	return p.Tools, nil
}

func budget(b *wire.BudgetLimits) (run.Budget, error) {
	var out run.Budget
	if b == nil {
		return out, nil
	}
	count := func(field string, n *uint64, to *int) error {
		switch {
		case n == nil:
		case *n == 0 || *n > math.MaxInt:
			return invalid("budget_limits."+field, "it is at least 1")
		default:
			*to = int(*n)
		}
		return nil
	}
	if err := firstError(count("max_tokens", b.Tokens, &out.Tokens), count("max_tool_calls", b.Calls, &out.Calls)); err != nil {
		return out, err
	}
	if b.Duration != nil {
		if *b.Duration <= 0 {
			return out, invalid("budget_limits.max_duration", "it is more than nothing")
		}
		out.Duration = time.Duration(*b.Duration)
	}
	return out, nil
}

// Help is the session and the first input that answer a question about this software.
func Help(p wire.HelpParams) (control.CreateSession, control.Submit, error) {
	h := control.Help{Question: p.Question, About: p.Prompt, Plan: p.Mode == "plan_execution", Model: p.Model, Provider: p.Provider}
	switch {
	case p.Mode != "" && p.Mode != "explain_only" && p.Mode != "plan_execution":
		return control.CreateSession{}, control.Submit{}, invalid("execution_mode", "there is no %q: use explain_only or plan_execution", p.Mode[:min(len(p.Mode), 40)])
	case p.MaxTokens != nil && *p.MaxTokens <= 0:
		return control.CreateSession{}, control.Submit{}, invalid("max_tokens", "it is above 0")
	case p.MaxTokens != nil:
		h.Tokens = *p.MaxTokens
	}
	return h.Session()
}
