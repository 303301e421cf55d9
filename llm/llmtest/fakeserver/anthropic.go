package fakeserver

import (
	"encoding/json"
	"fmt"
	"strings"

	"github.com/meerkat-go/meerkat/llm/llmtest/script"
	"github.com/meerkat-go/meerkat/transcript"
)

// content is text, or a list of blocks, in either wire format.
type content []contentBlock

type contentBlock struct {
	Type    string  `json:"type"`
	Text    string  `json:"text"`
	Content content `json:"content"`
}

// UnmarshalJSON reads a string, a list of blocks, or null.
func (c *content) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	var s string
	if json.Unmarshal(data, &s) == nil {
		*c = content{{Type: "text", Text: s}}
		return nil
	}
	var list []contentBlock
	if err := json.Unmarshal(data, &list); err != nil {
		return err
	}
	*c = list
	return nil
}

// words joins the text of blocks.
func (c content) words() string {
	var parts []string
	for _, b := range c {
		if b.Type == "text" {
			parts = append(parts, b.Text)
		}
	}
	return strings.Join(parts, "\n")
}

func anthropicConversation(body []byte) (script.Conversation, error) {
	var req struct {
		Model    string  `json:"model"`
		System   content `json:"system"`
		Messages []struct {
			Role    string  `json:"role"`
			Content content `json:"content"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return script.Conversation{}, fmt.Errorf("read request: %w", err)
	}
	c := script.Conversation{Model: req.Model, System: req.System.words()}
	for _, m := range req.Messages {
		if m.Role != "user" {
			continue
		}
		for _, b := range m.Content {
			if b.Type == "tool_result" {
				c.Returned(b.Content.words())
			}
		}
		if text := m.Content.words(); text != "" {
			c.Said(text)
		}
	}
	return c, nil
}

var anthropicStops = map[transcript.StopReason]string{transcript.StopFiltered: "refusal"}

func anthropicEvents(c script.Conversation, r script.Reply) events {
	var out events
	event := func(list *[]string, kind string, fields map[string]any) {
		fields["type"] = kind
		*list = append(*list, "event: "+kind+"\ndata: "+toJSON(fields)+"\n\n")
	}
	message := map[string]any{"id": "msg_" + callID(script.Call{}), "type": "message", "role": "assistant", "model": c.Model, "content": []any{},
		"stop_reason": nil, "stop_sequence": nil}
	tokens, reported := r.Tokens()
	if reported {
		message["usage"] = map[string]int{"input_tokens": tokens.Input, "output_tokens": 1,
			"cache_creation_input_tokens": tokens.CacheWrite, "cache_read_input_tokens": tokens.CacheRead}
	}
	event(&out.body, "message_start", map[string]any{"message": message})
	event(&out.body, "ping", map[string]any{})
	index := 0
	block := func(start map[string]any, deltas ...map[string]any) {
		event(&out.body, "content_block_start", map[string]any{"index": index, "content_block": start})
		for _, d := range deltas {
			event(&out.body, "content_block_delta", map[string]any{"index": index, "delta": d})
		}
		event(&out.body, "content_block_stop", map[string]any{"index": index})
		index++
	}
	deltas := func(kind, field, text string) (out []map[string]any) {
		for _, p := range r.Pieces(text) {
			out = append(out, map[string]any{"type": kind, field: p})
		}
		return out
	}
	if r.Reasoning != "" {
		block(map[string]any{"type": "thinking", "thinking": "", "signature": ""},
			append(deltas("thinking_delta", "thinking", r.Reasoning), map[string]any{"type": "signature_delta", "signature": "c2lnbmVk"})...)
	}
	if r.Text != "" {
		block(map[string]any{"type": "text", "text": ""}, deltas("text_delta", "text", r.Text)...)
	}
	for _, call := range r.ToolCalls {
		block(map[string]any{"type": "tool_use", "id": callID(call), "name": call.Name, "input": map[string]any{}},
			deltas("input_json_delta", "partial_json", call.ArgsText())...)
	}
	stop := string(r.StopReason())
	if s, ok := anthropicStops[r.StopReason()]; ok {
		stop = s
	}
	last := map[string]any{"delta": map[string]any{"stop_reason": stop, "stop_sequence": nil}}
	if reported {
		last["usage"] = map[string]int{"output_tokens": tokens.Output}
	}
	event(&out.body, "message_delta", last)
	event(&out.end, "message_stop", map[string]any{})
	out.fail = func(e script.Error) string {
		return "event: error\ndata: " + toJSON(map[string]any{"type": "error", "error": e}) + "\n\n"
	}
	return out
}
