package anthropic

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/transcript"
)

type message struct {
	Role    string  `json:"role"`
	Content []block `json:"content"`
}

// block is any content block of a request; which fields count depends on Type.
type block struct {
	Type      string          `json:"type"`
	Text      string          `json:"text,omitempty"`
	Thinking  *string         `json:"thinking,omitempty"`
	Signature string          `json:"signature,omitempty"`
	Data      string          `json:"data,omitempty"`
	Source    *source         `json:"source,omitempty"`
	ID        string          `json:"id,omitempty"`
	Name      string          `json:"name,omitempty"`
	Input     json.RawMessage `json:"input,omitempty"`
	ToolUseID string          `json:"tool_use_id,omitempty"`
	Content   []block         `json:"content,omitempty"`
	IsError   bool            `json:"is_error,omitempty"`
	Cache     *cache          `json:"cache_control,omitempty"`
}

type source struct {
	Type      string `json:"type"`
	MediaType string `json:"media_type"`
	Data      []byte `json:"data"`
}

type cache struct {
	Type string `json:"type"`
}

type toolParam struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Schema      json.RawMessage `json:"input_schema"`
	Cache       *cache          `json:"cache_control,omitempty"`
}

// meta is what we keep of a thinking block beside its text: one of the two.
type meta struct {
	Signature string `json:"signature,omitempty"`
	Redacted  string `json:"redacted,omitempty"`
}

// body makes the JSON of a call. Equal conversations give equal beginnings, byte for byte: the cache depends on it.
func (m *Model) body(req llm.Request) ([]byte, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	system, messages, err := m.conversation(req.Rows)
	if err != nil {
		return nil, err
	}
	tools, err := toolParams(req.Tools)
	if err != nil {
		return nil, err
	}
	if !m.noCache {
		mark(system, tools, messages)
	}
	limit := req.MaxOutput
	if limit == 0 {
		limit = DefaultMaxOutput
	}
	body := map[string]any{"model": req.Model, "max_tokens": limit, "messages": messages, "stream": true}
	if len(system) > 0 {
		body["system"] = system
	}
	if len(tools) > 0 {
		list := make([]any, len(tools))
		for i, t := range tools {
			list[i] = t
		}
		body["tools"] = list
	}
	return llm.EncodeBody(body, req.Extra, "model", "messages", "stream")
}

func toolParams(tools []llm.Tool) ([]toolParam, error) {
	out := make([]toolParam, len(tools))
	for i, t := range tools {
		schema, err := llm.ObjectSchema(t)
		if err != nil {
			return nil, err
		}
		out[i] = toolParam{Name: t.Name, Description: t.Description, Schema: schema}
	}
	return out, nil
}

// mark asks for the prompt to be cached: tools and system once, and the conversation up to each of the last two messages of the
// user's side.
func mark(system []block, tools []toolParam, messages []message) {
	ephemeral := &cache{Type: "ephemeral"}
	switch {
	case len(system) > 0:
		system[len(system)-1].Cache = ephemeral
	case len(tools) > 0:
		tools[len(tools)-1].Cache = ephemeral
	}
	left := 2
	for i := len(messages) - 1; i >= 0 && left > 0; i-- {
		if messages[i].Role == "user" {
			messages[i].Content[len(messages[i].Content)-1].Cache = ephemeral
			left--
		}
	}
}

// conversation turns rows into system text and messages. Neighbours of the same side become one message, since the API wants the
// sides to alternate and all results of a batch together.
func (m *Model) conversation(rows []transcript.Row) (system []block, messages []message, err error) {
	say := func(role string, content ...block) {
		if len(content) == 0 {
			return
		}
		if n := len(messages); n > 0 && messages[n-1].Role == role {
			messages[n-1].Content = append(messages[n-1].Content, content...)
			return
		}
		messages = append(messages, message{Role: role, Content: content})
	}
	for _, row := range rows {
		switch e := row.Entry.(type) {
		case transcript.System:
			if len(messages) > 0 {
				return nil, nil, &llm.Error{Kind: llm.InvalidRequest,
					Message: fmt.Sprintf("the system text at message %d does not lead the conversation", row.At.Message)}
			}
			system = append(system, texts(e.Text)...)
		case transcript.Notice:
			say("user", texts(llm.NoticeText(e))...)
		case transcript.User:
			say("user", userContent(e.Content)...)
		case transcript.Assistant:
			say("assistant", m.assistant(e.Blocks)...)
		case transcript.ToolResult:
			say("user", block{Type: "tool_result", ToolUseID: string(e.Call), Content: resultContent(e), IsError: e.IsError})
		}
	}
	if len(messages) == 0 {
		return nil, nil, &llm.Error{Kind: llm.InvalidRequest, Message: "the conversation holds nothing to answer"}
	}
	return system, messages, nil
}

// texts makes a block of text; none of blank text, which the API refuses.
func texts(s string) []block {
	if strings.TrimSpace(s) == "" {
		return nil
	}
	return []block{{Type: "text", Text: s}}
}

func userContent(blocks transcript.Blocks) []block {
	var out []block
	for _, b := range blocks {
		switch b := b.(type) {
		case transcript.Text:
			out = append(out, texts(b.Text)...)
		case transcript.Media:
			out = append(out, image(b))
		case transcript.Reasoning, transcript.ToolUse: // only a model has these
		}
	}
	return out
}

var images = []string{"image/jpeg", "image/png", "image/gif", "image/webp"}

func image(b transcript.Media) block {
	if !slices.Contains(images, b.MediaType) {
		return block{Type: "text", Text: transcript.Blocks{b}.Plain()}
	}
	return block{Type: "image", Source: &source{Type: "base64", MediaType: b.MediaType, Data: b.Data}}
}

// resultContent is what a result says. One that says nothing but its code says that.
func resultContent(r transcript.ToolResult) []block {
	out := userContent(r.Content)
	if len(out) == 0 {
		return texts(r.Code)
	}
	return out
}

// assistant replays a reply. Thinking goes back only where it came from, with the signature that proves it; media that a model
// made cannot be sent back and are left out.
func (m *Model) assistant(blocks transcript.Blocks) []block {
	var out []block
	for _, b := range blocks {
		switch b := b.(type) {
		case transcript.Text:
			out = append(out, texts(b.Text)...)
		case transcript.ToolUse:
			out = append(out, block{Type: "tool_use", ID: string(b.ID), Name: b.Name, Input: b.Args})
		case transcript.Reasoning:
			if think, ok := m.thinking(b); ok {
				out = append(out, think)
			}
		case transcript.Media:
		}
	}
	return out
}

func (m *Model) thinking(b transcript.Reasoning) (block, bool) {
	if b.Meta == nil || b.Meta.Provider != m.name {
		return block{}, false
	}
	var kept meta
	if err := json.Unmarshal(b.Meta.Data, &kept); err != nil {
		return block{}, false // not what this adapter writes, hence not the provider's
	}
	switch {
	case kept.Redacted != "":
		return block{Type: "redacted_thinking", Data: kept.Redacted}, true
	case kept.Signature != "":
		return block{Type: "thinking", Thinking: &b.Text, Signature: kept.Signature}, true
	}
	return block{}, false
}
