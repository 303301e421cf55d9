package wire

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
)

// CreateParams asks for a session. Prompt is content; what is raw elsewhere is looked at by whoever carries it out.
type CreateParams struct {
	Prompt                json.RawMessage   `json:"prompt"`
	InitialTurn           string            `json:"initial_turn,omitempty"` // run_immediately, deferred; empty: the first
	Model                 string            `json:"model,omitempty"`
	Provider              string            `json:"provider,omitempty"`
	AuthBinding           json.RawMessage   `json:"auth_binding,omitempty"`
	System                string            `json:"system_prompt,omitempty"`
	MaxTokens             *uint32           `json:"max_tokens,omitempty"`
	OutputSchema          json.RawMessage   `json:"output_schema,omitempty"`
	OutputRetries         *uint32           `json:"structured_output_retries,omitempty"`
	ProviderParams        json.RawMessage   `json:"provider_params,omitempty"`
	Budget                *BudgetLimits     `json:"budget_limits,omitempty"`
	EnableBuiltins        *bool             `json:"enable_builtins,omitempty"`
	EnableShell           *bool             `json:"enable_shell,omitempty"`
	EnableMemory          *bool             `json:"enable_memory,omitempty"`
	EnableSchedule        *bool             `json:"enable_schedule,omitempty"`
	EnableWorkgraph       *bool             `json:"enable_workgraph,omitempty"`
	EnableMob             *bool             `json:"enable_mob,omitempty"`
	EnableWebSearch       *bool             `json:"enable_web_search,omitempty"`
	ToolFilter            *scope.Filter     `json:"tool_filter,omitempty"`
	ExternalTools         []run.ToolDef     `json:"external_tools,omitempty"`
	KeepAlive             *bool             `json:"keep_alive,omitempty"`
	CommsName             string            `json:"comms_name,omitempty"`
	PeerMeta              json.RawMessage   `json:"peer_meta,omitempty"`
	HooksOverride         json.RawMessage   `json:"hooks_override,omitempty"`
	PreloadSkills         json.RawMessage   `json:"preload_skills,omitempty"`
	SkillRefs             json.RawMessage   `json:"skill_refs,omitempty"`
	SkillReferences       json.RawMessage   `json:"skill_references,omitempty"` // retired: not taken
	Labels                map[string]string `json:"labels,omitempty"`
	AppContext            json.RawMessage   `json:"app_context,omitempty"`
	AdditionalInstruction []string          `json:"additional_instructions,omitempty"`
	ShellEnv              map[string]string `json:"shell_env,omitempty"`

	// Additive: the id that the session is to have, so that a request can be sent again.
	Session id.Session `json:"session_id,omitempty"`
	// Additive: a folder of the server that its tools work in, in full; empty: the realm's.
	Workspace string `json:"workspace,omitempty"`
	// Additive: none, safe, workspace or full, in place of enable_builtins and enable_shell.
	ToolsPreset string `json:"tools_preset,omitempty"`
	// Additive: how many model calls one run may have.
	MaxRounds *uint32 `json:"max_rounds,omitempty"`
}

// TurnParams asks for a turn in a session.
type TurnParams struct {
	Session               string          `json:"session_id"` // a locator
	Prompt                json.RawMessage `json:"prompt"`
	SkillRefs             json.RawMessage `json:"skill_refs,omitempty"`
	SkillReferences       json.RawMessage `json:"skill_references,omitempty"` // retired: not taken
	Overlay               *scope.Overlay  `json:"flow_tool_overlay,omitempty"`
	AdditionalInstruction []string        `json:"additional_instructions,omitempty"`
	KeepAlive             *bool           `json:"keep_alive,omitempty"`
	CommsName             string          `json:"comms_name,omitempty"`
	PeerMeta              json.RawMessage `json:"peer_meta,omitempty"`
	HooksOverride         json.RawMessage `json:"hooks_override,omitempty"`
	Model                 string          `json:"model,omitempty"`
	Provider              string          `json:"provider,omitempty"`
	ProviderParams        json.RawMessage `json:"provider_params,omitempty"`
	ClearProviderParams   bool            `json:"clear_provider_params,omitempty"`
	AuthBinding           json.RawMessage `json:"auth_binding,omitempty"`
	ClearAuthBinding      bool            `json:"clear_auth_binding,omitempty"`

	// Of a session in which nothing was said yet.
	MaxTokens     *uint32         `json:"max_tokens,omitempty"`
	System        *string         `json:"system_prompt,omitempty"`
	OutputSchema  json.RawMessage `json:"output_schema,omitempty"`
	OutputRetries *uint32         `json:"structured_output_retries,omitempty"`

	// Additive: to send the request again.
	Input id.Input `json:"input_id,omitempty"`
	Key   string   `json:"idempotency_key,omitempty"`
}

// SubmitParams gives a session something to do and does not wait for it: additive. Prompt is content.
type SubmitParams struct {
	Session     string          `json:"session_id,omitempty"` // not where the path has it
	Input       id.Input        `json:"input_id,omitempty"`   // empty: minted
	Key         string          `json:"idempotency_key,omitempty"`
	Prompt      json.RawMessage `json:"prompt,omitempty"`
	Lane        string          `json:"lane,omitempty"`         // queue or steer; empty: queue
	Continue    bool            `json:"continue,omitempty"`     // nothing new: go on from a transcript that waits for a reply
	RequireIdle bool            `json:"require_idle,omitempty"` // refuse unless nothing is running or waiting
}

// InputParams names an input: additive.
type InputParams struct {
	Session string   `json:"session_id"`
	Input   id.Input `json:"input_id"`
}

// SessionParams names a session.
type SessionParams struct {
	Session string `json:"session_id"`
}

// ListParams asks for sessions.
type ListParams struct {
	Labels map[string]string `json:"labels,omitempty"`
	Limit  *int              `json:"limit,omitempty"`
	Offset *int              `json:"offset,omitempty"`
}

// HistoryParams asks for a page of a transcript.
type HistoryParams struct {
	Session string `json:"session_id"`
	Offset  *int   `json:"offset,omitempty"`
	Limit   *int   `json:"limit,omitempty"`
}

// ContextParams adds to what a model knows.
type ContextParams struct {
	Session string `json:"session_id"`
	Text    string `json:"text"`
	Source  string `json:"source,omitempty"`
	Key     string `json:"idempotency_key,omitempty"`
}

// ExternalEventParams tells of something that happened outside.
type ExternalEventParams struct {
	Session string          `json:"session_id"`
	Kind    string          `json:"kind"` // generic_json
	Type    string          `json:"event_type"`
	Payload json.RawMessage `json:"payload"`
	Blocks  json.RawMessage `json:"blocks,omitempty"`

	// Additive. Wake false: it waits for what starts a run.
	Wake *bool  `json:"wake,omitempty"`
	Key  string `json:"idempotency_key,omitempty"`
}

// ForkParams asks for a session with the first messages of another: STRICT.
type ForkParams struct {
	Session string `json:"session_id"`
	Index   *int   `json:"message_index"`
	Running string `json:"running_behavior,omitempty"` // reject
}

// ForkReplaceParams asks for a fork whose last message is another: STRICT.
type ForkReplaceParams struct {
	ForkParams
	Replacement json.RawMessage `json:"replacement"`
}

// StreamOpenParams asks for a session's events: STRICT.
type StreamOpenParams struct {
	Session string `json:"session_id"`
}

// StreamCloseParams ends a stream: STRICT.
type StreamCloseParams struct {
	Stream string `json:"stream_id"`
}

// ToolsParams offers tools.
type ToolsParams struct {
	Tools []run.ToolDef `json:"tools"`
}

// EventParams asks for events, from a cursor on or at all.
type EventParams struct {
	Scope  *EventScope  `json:"scope"`
	Cursor *EventCursor `json:"cursor,omitempty"`
	Limit  *int         `json:"limit,omitempty"`
}

// MaxValues is how many values params may hold, however deep: what they take up in memory is bounded by it, and not by their length times what the
// smallest value costs.
const MaxValues = 200_000

// Decode reads params, which are an object with what must be there. Unknown fields are passed over. Errors are *Error of code invalid.
func Decode(raw json.RawMessage, into any) error { return decode(raw, into, false) }

// DecodeStrict is Decode for methods that take no unknown field.
func DecodeStrict(raw json.RawMessage, into any) error { return decode(raw, into, true) }

func decode(raw json.RawMessage, into any, strict bool) error {
	if absent(raw) {
		return &Error{Code: fault.Invalid, Message: "Missing params"}
	}
	if bytes.TrimSpace(raw)[0] != '{' {
		return &Error{Code: fault.Invalid, Message: "Invalid params: they are an object"}
	}
	if values(raw) > MaxValues {
		return &Error{Code: fault.Invalid, Message: fmt.Sprintf("Invalid params: they hold more than %d values", MaxValues)}
	}
	d := json.NewDecoder(bytes.NewReader(raw))
	if strict {
		d.DisallowUnknownFields()
	}
	if err := d.Decode(into); err != nil {
		return invalidParams(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return &Error{Code: fault.Invalid, Message: "Invalid params: something follows the object"}
	}
	if c, ok := into.(interface{ missing() string }); ok {
		if field := c.missing(); field != "" {
			return &Error{Code: fault.Invalid, Message: fmt.Sprintf("Invalid params: missing field `%s`", field)}
		}
	}
	return nil
}

// values counts what stands between commas outside strings. Of something that is no JSON it counts anything.
func values(raw []byte) int {
	n := 1
	for i := 0; i < len(raw); i++ {
		switch raw[i] {
		case ',':
			n++
		case '"':
			i = stringEnd(raw, i+1)
		}
	}
	return n
}

// stringEnd finds the quote that ends a string, from its first byte on.
func stringEnd(raw []byte, from int) int {
	for i := from; ; {
		n := bytes.IndexByte(raw[i:], '"')
		if n < 0 {
			return len(raw)
		}
		i += n
		escapes := 0
		for i-escapes > from && raw[i-escapes-1] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			return i
		}
		i++
	}
}

func invalidParams(err error) error {
	out := &Error{Code: fault.Invalid, Message: "Invalid params: " + err.Error()}
	var shape *json.UnmarshalTypeError
	if errors.As(err, &shape) && shape.Field != "" {
		out.Message = fmt.Sprintf("Invalid params: %s cannot be a %s", shape.Field, shape.Value)
	}
	return out
}

// HelpParams ask how this software is used.
type HelpParams struct {
	Question  string `json:"question"`
	Prompt    string `json:"prompt,omitempty"`
	Mode      string `json:"execution_mode,omitempty"` // explain_only, plan_execution
	Model     string `json:"model,omitempty"`
	Provider  string `json:"provider,omitempty"`
	MaxTokens *int   `json:"max_tokens,omitempty"`
}
