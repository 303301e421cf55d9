package fakeserver

import (
	"encoding/json"
	"fmt"

	"github.com/meerkat-go/meerkat/llm/llmtest/script"
	"github.com/meerkat-go/meerkat/transcript"
)

func chatConversation(body []byte) (script.Conversation, error) {
	var req struct {
		Model    string `json:"model"`
		Messages []struct {
			Role    string  `json:"role"`
			Content content `json:"content"`
		} `json:"messages"`
	}
	if err := json.Unmarshal(body, &req); err != nil {
		return script.Conversation{}, fmt.Errorf("read request: %w", err)
	}
	c := script.Conversation{Model: req.Model}
	for _, m := range req.Messages {
		switch text := m.Content.words(); m.Role {
		case "system", "developer":
			c.System += text
		case "tool":
			c.Returned(text)
		case "user":
			if text != "" {
				c.Said(text)
			}
		}
	}
	return c, nil
}

var chatStops = map[transcript.StopReason]string{transcript.StopMaxTokens: "length", transcript.StopToolUse: "tool_calls",
	transcript.StopFiltered: "content_filter"}

func chatEvents(c script.Conversation, r script.Reply) events {
	var out events
	replyID := "chatcmpl-" + callID(script.Call{})
	chunk := func(list *[]string, choices []any, more map[string]any) {
		fields := map[string]any{"id": replyID, "object": "chat.completion.chunk", "created": 1767225600, "model": c.Model, "choices": choices}
		for k, v := range more {
			fields[k] = v
		}
		*list = append(*list, "data: "+toJSON(fields)+"\n\n")
	}
	choice := func(list *[]string, delta map[string]any, finish any) {
		chunk(list, []any{map[string]any{"index": 0, "delta": delta, "finish_reason": finish}}, nil)
	}
	choice(&out.body, map[string]any{"role": "assistant", "content": ""}, nil)
	for _, p := range r.Pieces(r.Reasoning) {
		choice(&out.body, map[string]any{"reasoning_content": p}, nil)
	}
	for _, p := range r.Pieces(r.Text) {
		choice(&out.body, map[string]any{"content": p}, nil)
	}
	for i, call := range r.ToolCalls {
		choice(&out.body, map[string]any{"tool_calls": []any{map[string]any{"index": i, "id": callID(call), "type": "function",
			"function": map[string]any{"name": call.Name, "arguments": ""}}}}, nil)
		for _, p := range r.Pieces(call.ArgsText()) {
			choice(&out.body, map[string]any{"tool_calls": []any{map[string]any{"index": i, "function": map[string]any{"arguments": p}}}}, nil)
		}
	}
	finish, ok := chatStops[r.StopReason()]
	if !ok {
		finish = "stop"
	}
	choice(&out.end, map[string]any{}, finish)
	if u, ok := r.Tokens(); ok {
		chunk(&out.end, []any{}, map[string]any{"usage": map[string]any{"prompt_tokens": u.Input, "completion_tokens": u.Output,
			"total_tokens": u.Input + u.Output, "prompt_tokens_details": map[string]int{"cached_tokens": u.CacheRead}}})
	}
	out.end = append(out.end, "data: [DONE]\n\n")
	out.fail = func(e script.Error) string { return "data: " + toJSON(map[string]any{"error": e}) + "\n\n" }
	return out
}
