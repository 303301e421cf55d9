package wire

import (
	"encoding/json"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// Usage is a count of tokens with its sum.
type Usage struct {
	Input      int `json:"input_tokens"`
	Output     int `json:"output_tokens"`
	Total      int `json:"total_tokens"`
	CacheWrite int `json:"cache_creation_tokens,omitempty"`
	CacheRead  int `json:"cache_read_tokens,omitempty"`
}

// UsageOf adds the sum.
func UsageOf(u transcript.Usage) Usage {
	return Usage{Input: u.Input, Output: u.Output, Total: u.Input + u.Output, CacheWrite: u.CacheWrite, CacheRead: u.CacheRead}
}

// NoOutput says why a completed run that wanted an output has none.
type NoOutput struct {
	Last     string `json:"last_output"`
	Attempts int    `json:"attempts"`
	Reason   string `json:"reason"`
}

// NoOutputOf puts it into the contract's shape; nil for nil.
func NoOutputOf(n *run.NoOutput) *NoOutput {
	if n == nil {
		return nil
	}
	return &NoOutput{Last: n.Last, Attempts: max(n.Attempts, 0), Reason: n.Reason}
}

// SchemaWarning is a part of a schema that a provider does not take.
type SchemaWarning struct {
	Provider string `json:"provider"`
	Path     string `json:"path"`
	Message  string `json:"message"`
}

// RunResult is what a turn came to. Usage is the whole session's.
type RunResult struct {
	Session  id.Session      `json:"session_id"`
	Ref      string          `json:"session_ref,omitempty"`
	Text     string          `json:"text"`
	Turns    int             `json:"turns"`
	Calls    int             `json:"tool_calls"`
	Usage    Usage           `json:"usage"`
	Cause    string          `json:"terminal_cause_kind,omitempty"`
	Output   json.RawMessage `json:"structured_output,omitempty"`
	NoOutput *NoOutput       `json:"extraction_error,omitempty"`
	Warnings []SchemaWarning `json:"schema_warnings,omitempty"`

	// Additive.
	Input id.Input `json:"input_id,omitempty"`
	Run   id.Run   `json:"run_id,omitempty"`
}

// DeferredResult is what making a session that is to run later answers.
type DeferredResult struct {
	Session id.Session `json:"session_id"`
	Ref     string     `json:"session_ref,omitempty"`
}

// CreatedData names the session whose first run failed.
type CreatedData struct {
	Session   id.Session `json:"session_id"`
	Ref       string     `json:"session_ref,omitempty"`
	Created   bool       `json:"session_created"`
	Resumable bool       `json:"resumable"`
}

// SessionSummary is a session in a list. Times are seconds of Unix time.
type SessionSummary struct {
	Session  id.Session        `json:"session_id"`
	Ref      string            `json:"session_ref,omitempty"`
	Created  int64             `json:"created_at"`
	Updated  int64             `json:"updated_at"`
	Messages int               `json:"message_count"`
	Tokens   int               `json:"total_tokens"`
	Active   bool              `json:"is_active"`
	Labels   map[string]string `json:"labels,omitempty"`
}

// SessionList is a page of sessions.
type SessionList struct {
	Sessions []SessionSummary `json:"sessions"`
}

// SessionInfo is a session on its own. Times are seconds of Unix time.
type SessionInfo struct {
	Session  id.Session        `json:"session_id"`
	Ref      string            `json:"session_ref,omitempty"`
	Created  int64             `json:"created_at"`
	Updated  int64             `json:"updated_at"`
	Messages int               `json:"message_count"`
	Active   bool              `json:"is_active"`
	Model    string            `json:"model"`
	Provider string            `json:"provider"`
	LastText string            `json:"last_assistant_text,omitempty"` // not while it runs
	Can      *ModelAbilities   `json:"resolved_capabilities,omitempty"`
	Labels   map[string]string `json:"labels,omitempty"`
}

// ModelAbilities is what a session's model can do.
type ModelAbilities struct {
	Vision           bool `json:"vision"`
	ImageInput       bool `json:"image_input"`
	ImageToolResults bool `json:"image_tool_results"`
	InlineVideo      bool `json:"inline_video"`
	Realtime         bool `json:"realtime"`
	WebSearch        bool `json:"web_search"`
	ImageGeneration  bool `json:"image_generation"`
}

// SessionDetails is a session as the HTTP surface tells it. Times are RFC 3339.
type SessionDetails struct {
	Session  id.Session        `json:"session_id"`
	Ref      string            `json:"session_ref"`
	Created  time.Time         `json:"created_at"`
	Updated  time.Time         `json:"updated_at"`
	Messages int               `json:"message_count"`
	Tokens   int               `json:"total_tokens"`
	Labels   map[string]string `json:"labels,omitempty"`

	// Additive.
	Phase string `json:"phase,omitempty"`
}

// SessionHistory is a page of a transcript.
type SessionHistory struct {
	Session  id.Session `json:"session_id"`
	Ref      string     `json:"session_ref,omitempty"`
	Total    int        `json:"message_count"`
	Offset   int        `json:"offset"`
	Limit    *int       `json:"limit,omitempty"`
	More     bool       `json:"has_more"`
	Messages []Message  `json:"messages"`
}

// ForkResult names a fork and what it came from.
type ForkResult struct {
	Source   id.Session `json:"source_session_id"`
	Session  id.Session `json:"session_id"`
	Ref      string     `json:"session_ref,omitempty"`
	Messages int        `json:"message_count"`
}

// Archived answers session/archive and its HTTP form; Session only there.
type Archived struct {
	Session  id.Session `json:"session_id,omitempty"`
	Archived bool       `json:"archived"`
}

// Interrupted answers turn/interrupt and its HTTP form; Session only there.
type Interrupted struct {
	Session     id.Session `json:"session_id,omitempty"`
	Interrupted bool       `json:"interrupted"`
}

// ContextResult answers an injection of context; Session only over HTTP.
type ContextResult struct {
	Session id.Session `json:"session_id,omitempty"`
	Status  string     `json:"status"`
}

// RuntimeState is the phase of a session by its contract name.
type RuntimeState struct {
	State string `json:"state"`
}

// Outcomes of an AcceptResult.
const (
	Accepted     = "accepted"
	Deduplicated = "deduplicated"
	Rejected     = "rejected"
)

// AcceptResult says what became of an input.
type AcceptResult struct {
	Outcome  string   `json:"outcome_type"`
	Input    id.Input `json:"input_id,omitempty"`
	Existing id.Input `json:"existing_id,omitempty"`
	Reason   string   `json:"reason,omitempty"`
}

// StreamOpened answers session/stream_open.
type StreamOpened struct {
	Stream  string     `json:"stream_id"`
	Session id.Session `json:"session_id"`
	Opened  bool       `json:"opened"`
}

// StreamClosed answers session/stream_close.
type StreamClosed struct {
	Stream  string `json:"stream_id"`
	Closed  bool   `json:"closed"`
	Already bool   `json:"already_closed"`
}
