package wire

import (
	"encoding/json"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
)

// Message is a message of a transcript by its contract form. Which fields count is said by Role.
type Message struct {
	Role    string       `json:"role"`
	Created time.Time    `json:"created_at"`
	Content *Content     `json:"content,omitempty"`     // system, user
	Kind    string       `json:"kind,omitempty"`        // system_notice
	Body    string       `json:"body,omitempty"`        // system_notice
	Blocks  []Block      `json:"blocks,omitempty"`      // block_assistant, where it is always there
	Stop    string       `json:"stop_reason,omitempty"` // block_assistant
	Results []ToolResult `json:"results,omitempty"`     // tool_results
}

// MarshalJSON writes what the role has, and always what it must have.
func (m Message) MarshalJSON() ([]byte, error) {
	if m.Role == "block_assistant" && m.Blocks == nil {
		m.Blocks = []Block{}
	}
	type plain Message
	if m.Role == "block_assistant" {
		return Marshal(struct {
			plain
			Blocks []Block `json:"blocks"`
		}{plain(m), m.Blocks})
	}
	return Marshal(plain(m))
}

// Block is a part of a reply.
type Block struct {
	Type string          `json:"block_type"`
	Data json.RawMessage `json:"data,omitempty"` // not of an unknown one
}

// ToolResult is what came of one call.
type ToolResult struct {
	Call    id.Call `json:"tool_use_id"`
	Content Content `json:"content"`
	IsError bool    `json:"is_error"`

	// Additive: one of the codes of results that the runtime wrote.
	Code string `json:"code,omitempty"`
}

// Messages puts rows into messages: the results of one message stand together, everything else is one message a row.
func Messages(rows []transcript.Row) []Message {
	out := make([]Message, 0, len(rows))
	last := 0
	for _, r := range rows {
		result, ok := r.Entry.(transcript.ToolResult)
		if !ok {
			out = append(out, messageOf(r))
			last = 0
			continue
		}
		if last == 0 || last != r.At.Message {
			out = append(out, Message{Role: "tool_results", Created: r.Time.UTC()})
			last = r.At.Message
		}
		m := &out[len(out)-1]
		m.Results = append(m.Results, ToolResult{Call: result.Call, Content: resultContent(result.Content), IsError: result.IsError, Code: result.Code})
	}
	return out
}

// resultContent makes the empty text of no content: it has to be a text or a list.
func resultContent(b transcript.Blocks) Content {
	if len(b) == 0 {
		return Content(transcript.TextBlocks(""))
	}
	return Content(b)
}

func messageOf(r transcript.Row) Message {
	m := Message{Role: transcript.Role(r.Entry), Created: r.Time.UTC()}
	switch e := r.Entry.(type) {
	case transcript.System:
		c := Content(transcript.TextBlocks(e.Text))
		m.Content = &c
	case transcript.Notice:
		m.Kind, m.Body = noticeKind(e.Kind), e.Text
	case transcript.User:
		c := resultContent(e.Content)
		m.Content = &c
	case transcript.Assistant:
		m.Stop = stopReason(e.Stop)
		for _, b := range e.Blocks {
			m.Blocks = append(m.Blocks, blockOf(b))
		}
	case transcript.ToolResult: // has a message of its own kind
	}
	return m
}

// noticeKind returns the contract's kind of a notice; what it has no word for is generic.
func noticeKind(kind string) string {
	switch kind {
	case "comms", "external_event", "mcp_pending", "mcp", "background_job", "tool_scope", "tool_scope_warning", "auth_reauth_required":
		return kind
	case "peer_request", "peer_message", "peer_response":
		return "comms"
	}
	return "generic"
}

func stopReason(s transcript.StopReason) string {
	switch s {
	case transcript.StopEndTurn, transcript.StopToolUse, transcript.StopMaxTokens, transcript.StopSequence, transcript.StopFiltered, transcript.StopCancelled:
		return string(s)
	}
	return string(transcript.StopEndTurn)
}

// blockOf tells a block of a reply. An image has no place in it that the contract's form could name, and is unknown.
func blockOf(b transcript.Block) Block {
	switch b := b.(type) {
	case transcript.Text:
		return block("text", struct {
			Text string        `json:"text"`
			Meta *providerMeta `json:"meta,omitempty"`
		}{b.Text, metaOf(b.Meta)})
	case transcript.Reasoning:
		return block("reasoning", struct {
			Text string        `json:"text"`
			Meta *providerMeta `json:"meta,omitempty"`
		}{b.Text, metaOf(b.Meta)})
	case transcript.ToolUse:
		return block("tool_use", struct {
			ID   id.Call         `json:"id"`
			Name string          `json:"name"`
			Args json.RawMessage `json:"args"`
			Meta *providerMeta   `json:"meta,omitempty"`
		}{b.ID, b.Name, object(b.Args), metaOf(b.Meta)})
	}
	return Block{Type: "unknown"}
}

func block(kind string, data any) Block {
	raw, err := Marshal(data)
	if err != nil { // only raw JSON could break it, and object has looked at that
		return Block{Type: "unknown"}
	}
	return Block{Type: kind, Data: raw}
}

// object returns args, or an empty object where they are not JSON at all.
func object(args json.RawMessage) json.RawMessage {
	if absent(args) || !json.Valid(args) {
		return json.RawMessage("{}")
	}
	return args
}

// providerMeta is what the contract knows of a provider's data. What it has no form for is told as unknown, and stays with us.
type providerMeta struct {
	Provider  string `json:"provider"`
	Signature string `json:"signature,omitempty"`
}

func metaOf(m *transcript.Meta) *providerMeta {
	if m == nil {
		return nil
	}
	if m.Provider == "anthropic" {
		var in struct {
			Signature string `json:"signature"`
		}
		if json.Unmarshal(m.Data, &in) == nil && in.Signature != "" {
			return &providerMeta{Provider: "anthropic", Signature: in.Signature}
		}
	}
	return &providerMeta{Provider: "unknown"}
}
