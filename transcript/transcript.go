// Package transcript holds what was said in a session: rows at fixed positions, made of blocks.
//
// A row's position is (message, ordinal). Most messages are one row; a tool_results message is one row per call, at the ordinal
// that was reserved when the call was committed. Rows are never changed and never move, so results may settle in any order and
// the conversation is well formed whenever the run is at rest (docs/rules.md, transcript).
package transcript

import (
	"cmp"
	"encoding/json"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/id"
)

// Position says where a row lies. Message counts from 1; Ordinal counts from 0 and is above 0 only among tool results.
type Position struct {
	Message int `json:"m"`
	Ordinal int `json:"o,omitempty"`
}

// IsZero reports whether p is no position.
func (p Position) IsZero() bool { return p.Message == 0 }

// Compare orders positions by message, then ordinal.
func (p Position) Compare(q Position) int {
	if c := cmp.Compare(p.Message, q.Message); c != 0 {
		return c
	}
	return cmp.Compare(p.Ordinal, q.Ordinal)
}

// Row is one entry at its place.
type Row struct {
	At    Position
	Time  time.Time // UTC, when it was committed
	Run   id.Run    // empty: written outside a run
	Entry Entry
}

// Entry is what a row says: System, Notice, User, Assistant or ToolResult.
type Entry interface{ entry() }

// System instructs the model. It leads the transcript.
type System struct {
	Text string `json:"content"`
}

// Notice is a fact the runtime tells the model. It is never user text.
type Notice struct {
	Kind string `json:"kind"`
	Text string `json:"body,omitempty"`
}

// User is what a person, or whoever stands in for one, said.
type User struct {
	Content Blocks `json:"content"`
}

// Assistant is one committed reply of a model.
type Assistant struct {
	Blocks Blocks     `json:"blocks"`
	Stop   StopReason `json:"stop_reason"`
	Model  string     `json:"model,omitempty"` // provider/name that answered
	Usage  *Usage     `json:"usage,omitempty"` // nil: the provider did not say
}

// ToolResult is what came of one call. Code is empty for an ordinary result, and one of the Result constants where the runtime,
// not the tool, wrote it.
type ToolResult struct {
	Call    id.Call `json:"tool_use_id"`
	Name    string  `json:"name,omitempty"`
	Content Blocks  `json:"content"`
	IsError bool    `json:"is_error,omitempty"`
	Code    string  `json:"code,omitempty"`
}

// Codes of results that the runtime wrote.
const (
	ResultNotExecuted    = "not_executed"      // never started
	ResultCancelled      = "cancelled"         // stopped by an interrupt
	ResultOutcomeUnknown = "outcome_unknown"   // may have run: a crash or a lost connection, and not safe to repeat
	ResultNotFound       = "tool_not_found"    // no such tool
	ResultDenied         = "access_denied"     // the tool exists and is not offered to this session, or somebody did not allow the call
	ResultInvalid        = "invalid_arguments" // the arguments break the tool's schema
	ResultTimeout        = "timeout"           // the tool did not end in time and was stopped
	ResultFailed         = "execution_failed"  // the tool could not do its work
)

func (System) entry()     {}
func (Notice) entry()     {}
func (User) entry()       {}
func (Assistant) entry()  {}
func (ToolResult) entry() {}

// StopReason says why a reply ended.
type StopReason string

// The stop reasons.
const (
	StopEndTurn   StopReason = "end_turn"
	StopToolUse   StopReason = "tool_use"
	StopMaxTokens StopReason = "max_tokens"
	StopSequence  StopReason = "stop_sequence"
	StopFiltered  StopReason = "content_filter"
	StopCancelled StopReason = "cancelled"
)

// Usage is what a provider reported of one reply, in tokens. Cache counters are parts of Input or beside it as the provider
// counts them; they are told, never summed.
type Usage struct {
	Input      int `json:"input_tokens"`
	Output     int `json:"output_tokens"`
	CacheRead  int `json:"cache_read_tokens,omitempty"`
	CacheWrite int `json:"cache_creation_tokens,omitempty"`
}

// Add returns the sum of u and v.
func (u Usage) Add(v Usage) Usage {
	return Usage{u.Input + v.Input, u.Output + v.Output, u.CacheRead + v.CacheRead, u.CacheWrite + v.CacheWrite}
}

// Meta is data a provider wants back unchanged with a block, byte for byte, and that no other provider may see.
type Meta struct {
	Provider string          `json:"provider"`
	Data     json.RawMessage `json:"data"`
}

// Block is a part of a message: Text, Reasoning, ToolUse or Media.
type Block interface{ block() }

// Text is plain text.
type Text struct {
	Text string `json:"text"`
	Meta *Meta  `json:"meta,omitempty"`
}

// Reasoning is a model's thinking. Text may be empty where the provider gives only opaque data.
type Reasoning struct {
	Text string `json:"text"`
	Meta *Meta  `json:"meta,omitempty"`
}

// ToolUse asks for a tool call. Args is a JSON object, as the model wrote it.
type ToolUse struct {
	ID   id.Call         `json:"id"`
	Name string          `json:"name"`
	Args json.RawMessage `json:"args"`
	Meta *Meta           `json:"meta,omitempty"`
}

// Media is an image, inline.
type Media struct {
	MediaType string `json:"media_type"`
	Data      []byte `json:"data"`
}

func (Text) block()      {}
func (Reasoning) block() {}
func (ToolUse) block()   {}
func (Media) block()     {}

// Blocks is an ordered list of blocks; the order carries meaning.
type Blocks []Block

// TextBlocks returns blocks holding just s.
func TextBlocks(s string) Blocks { return Blocks{Text{Text: s}} }

// Plain returns the readable text of b: text blocks, and a placeholder for each medium, joined by line feeds. Reasoning and tool
// uses say nothing here.
func (b Blocks) Plain() string {
	var parts []string
	for _, x := range b {
		switch x := x.(type) {
		case Text:
			if x.Text != "" {
				parts = append(parts, x.Text)
			}
		case Media:
			parts = append(parts, "[image "+x.MediaType+"]")
		case Reasoning, ToolUse:
		}
	}
	return strings.Join(parts, "\n")
}

// ToolUses returns the calls asked for in b, in order.
func (b Blocks) ToolUses() []ToolUse {
	var out []ToolUse
	for _, x := range b {
		if u, ok := x.(ToolUse); ok {
			out = append(out, u)
		}
	}
	return out
}
