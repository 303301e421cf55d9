package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/tmc/langchaingo/llms"
)

// clerk is a model that needs no network: asked about a thing, it looks the thing up in the stock, and says what it found. Like a real
// one it knows only the messages it is given.
type clerk struct{}

// GenerateContent implements llms.Model.
func (clerk) GenerateContent(ctx context.Context, messages []llms.MessageContent, options ...llms.CallOption) (*llms.ContentResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	reply := &llms.ContentChoice{StopReason: "stop", GenerationInfo: map[string]any{"PromptTokens": len(messages), "CompletionTokens": 1}}
	last := messages[len(messages)-1]
	if last.Role == llms.ChatMessageTypeHuman {
		reply.StopReason = "tool_calls"
		reply.ToolCalls = []llms.ToolCall{{ID: fmt.Sprintf("call-%d", len(messages)), Type: "function",
			FunctionCall: &llms.FunctionCall{Name: "stock", Arguments: argument(lastWord(last))}}}
		return &llms.ContentResponse{Choices: []*llms.ContentChoice{reply}}, nil
	}
	var found []string
	for _, m := range messages {
		for _, p := range m.Parts {
			if r, ok := p.(llms.ToolCallResponse); ok {
				found = append(found, r.Content)
			}
		}
	}
	reply.Content = "In stock: " + strings.Join(found, ", ") + "."
	var o llms.CallOptions
	for _, set := range options {
		set(&o)
	}
	if o.StreamingFunc != nil {
		if err := o.StreamingFunc(ctx, []byte(reply.Content)); err != nil {
			return nil, err
		}
	}
	return &llms.ContentResponse{Choices: []*llms.ContentChoice{reply}}, nil
}

// Call implements llms.Model.
func (c clerk) Call(ctx context.Context, prompt string, options ...llms.CallOption) (string, error) {
	return llms.GenerateFromSinglePrompt(ctx, c, prompt, options...)
}

// argument is the one argument of a call, as the agent expects it.
func argument(s string) string {
	data, err := json.Marshal(map[string]string{"__arg1": s})
	if err != nil {
		panic(err) // a string can be written
	}
	return string(data)
}

func lastWord(m llms.MessageContent) string {
	var text string
	for _, p := range m.Parts {
		if t, ok := p.(llms.TextContent); ok {
			text += t.Text
		}
	}
	words := strings.Fields(text)
	if len(words) == 0 {
		return ""
	}
	return strings.Trim(words[len(words)-1], "?.!")
}

// stock is a tool that says how many of a thing there are.
type stock map[string]int

// Name implements tools.Tool.
func (stock) Name() string { return "stock" }

// Description implements tools.Tool.
func (stock) Description() string {
	return "Says how many of a thing are in stock. The argument is its name."
}

// Call implements tools.Tool.
func (s stock) Call(_ context.Context, thing string) (string, error) {
	return fmt.Sprintf("%d %s", s[thing], thing), nil
}
