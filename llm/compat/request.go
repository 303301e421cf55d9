package compat

import (
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/transcript"
)

// message is one message of a request. Content is a string, a list of parts, or null; it is always written, since some servers
// fail without it.
type message struct {
	Role             string     `json:"role"`
	Content          any        `json:"content"`
	ReasoningContent string     `json:"reasoning_content,omitempty"`
	Reasoning        string     `json:"reasoning,omitempty"`
	ToolCalls        []toolCall `json:"tool_calls,omitempty"`
	ToolCallID       string     `json:"tool_call_id,omitempty"`
}

type toolCall struct {
	ID       string   `json:"id"`
	Type     string   `json:"type"`
	Function function `json:"function"`
}

type function struct {
	Name      string `json:"name"`
	Arguments string `json:"arguments"`
}

type tool struct {
	Type     string       `json:"type"`
	Function functionSpec `json:"function"`
}

type functionSpec struct {
	Name        string          `json:"name"`
	Description string          `json:"description,omitempty"`
	Parameters  json.RawMessage `json:"parameters"`
}

// part is a piece of content where text alone does not do.
type part struct {
	Type     string    `json:"type"`
	Text     string    `json:"text,omitempty"`
	ImageURL *imageURL `json:"image_url,omitempty"`
}

type imageURL struct {
	URL string `json:"url"`
}

// meta is what we keep of a reasoning block beside its text: the field it came in.
type meta struct {
	Field string `json:"field"`
}

// body makes the JSON of a call.
func (m *Model) body(req llm.Request) ([]byte, error) {
	if err := req.Validate(); err != nil {
		return nil, err
	}
	body := map[string]any{"model": req.Model, "messages": m.conversation(req.Rows), "stream": true}
	if !m.c.NoStreamOptions {
		body["stream_options"] = map[string]bool{"include_usage": true}
	}
	if req.MaxOutput > 0 {
		body[m.limitField] = req.MaxOutput
	}
	if len(req.Tools) > 0 {
		tools := make([]any, len(req.Tools))
		for i, t := range req.Tools {
			schema, err := llm.ObjectSchema(t)
			if err != nil {
				return nil, err
			}
			tools[i] = tool{"function", functionSpec{t.Name, t.Description, schema}}
		}
		body["tools"] = tools
	}
	return llm.EncodeBody(body, req.Extra, "model", "messages", "stream")
}

// conversation turns rows into messages. What the user's side says in a row is one message, and so is the leading system text:
// many chat templates refuse two of a kind.
func (m *Model) conversation(rows []transcript.Row) []message {
	var out []message
	var user, system []part // what is being gathered
	flush := func() {
		if len(system) > 0 {
			out = append(out, message{Role: "system", Content: content(system)})
		}
		if len(user) > 0 {
			out = append(out, message{Role: "user", Content: content(user)})
		}
		user, system = nil, nil
	}
	for _, row := range rows {
		switch e := row.Entry.(type) {
		case transcript.System:
			if len(user) > 0 {
				flush()
			}
			system = append(system, texts(e.Text)...)
		case transcript.Notice:
			user = append(user, texts(llm.NoticeText(e))...)
		case transcript.User:
			user = append(user, parts(e.Content)...)
		case transcript.Assistant:
			flush()
			if a, ok := m.assistant(e.Blocks); ok {
				out = append(out, a)
			}
		case transcript.ToolResult:
			flush()
			out = append(out, message{Role: "tool", ToolCallID: string(e.Call), Content: resultText(e)})
		}
	}
	flush()
	return out
}

// texts makes a part of text; none of empty text.
func texts(s string) []part {
	if s == "" {
		return nil
	}
	return []part{{Type: "text", Text: s}}
}

func parts(blocks transcript.Blocks) []part {
	var out []part
	for _, b := range blocks {
		switch b := b.(type) {
		case transcript.Text:
			out = append(out, texts(b.Text)...)
		case transcript.Media:
			if !strings.HasPrefix(b.MediaType, "image/") {
				out = append(out, texts(transcript.Blocks{b}.Plain())...)
				continue
			}
			out = append(out, part{Type: "image_url", ImageURL: &imageURL{"data:" + b.MediaType + ";base64," + base64.StdEncoding.EncodeToString(b.Data)}})
		case transcript.Reasoning, transcript.ToolUse: // only a model has these
		}
	}
	return out
}

// content is parts as one string where they are all text, since not every server takes a list.
func content(ps []part) any {
	lines := make([]string, len(ps))
	for i, p := range ps {
		if p.Type != "text" {
			return ps
		}
		lines[i] = p.Text
	}
	return strings.Join(lines, "\n\n")
}

// resultText is what a result says. The format has no field for an error and no place for media, so the text says both.
func resultText(r transcript.ToolResult) string {
	text := r.Content.Plain()
	if text == "" {
		text = r.Code
	}
	if r.IsError {
		text = "Error: " + text
	}
	return text
}

// assistant replays a reply, and reports whether anything is left of it to send.
func (m *Model) assistant(blocks transcript.Blocks) (message, bool) {
	out := message{Role: "assistant"}
	var text strings.Builder
	for _, b := range blocks {
		switch b := b.(type) {
		case transcript.Text:
			text.WriteString(b.Text)
		case transcript.ToolUse:
			out.ToolCalls = append(out.ToolCalls, toolCall{string(b.ID), "function", function{b.Name, string(b.Args)}})
		case transcript.Reasoning:
			m.replay(b, &out)
		case transcript.Media: // what a model made cannot be sent back
		}
	}
	if text.Len() > 0 {
		out.Content = text.String()
	}
	return out, text.Len() > 0 || len(out.ToolCalls) > 0
}

func (m *Model) replay(b transcript.Reasoning, out *message) {
	if !m.c.ReplayReasoning || b.Meta == nil || b.Meta.Provider != m.c.Name {
		return
	}
	var kept meta
	if err := json.Unmarshal(b.Meta.Data, &kept); err != nil {
		return // not what this adapter writes, hence not the provider's
	}
	if kept.Field == "reasoning" {
		out.Reasoning += b.Text
		return
	}
	out.ReasoningContent += b.Text
}
