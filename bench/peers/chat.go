package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// message is one of a conversation, as Chat Completions has it.
type message struct {
	Role       string `json:"role"`
	Content    string `json:"content"`
	ToolCalls  []call `json:"tool_calls,omitempty"`
	ToolCallID string `json:"tool_call_id,omitempty"`
}

type call struct {
	ID       string `json:"id"`
	Type     string `json:"type"`
	Function struct {
		Name      string `json:"name"`
		Arguments string `json:"arguments"`
	} `json:"function"`
}

// toolList offers the one tool.
var toolList = json.RawMessage(`[{"type":"function","function":{"name":"` + toolName + `","description":"` + toolDoes + `","parameters":{"type":"object"}}}]`)

// client is the least that speaks to the model: for the floor, and for DBOS, which has no model client of its own.
type client struct {
	url  string
	http *http.Client
}

// newHTTP is the HTTP client that everybody here gets who can be given one: it keeps a connection for each of the parallel sessions.
func newHTTP() *http.Client {
	return &http.Client{Transport: &http.Transport{MaxIdleConns: 2 * parallel, MaxIdleConnsPerHost: 2 * parallel}}
}

func (c client) ask(ctx context.Context, said []message) (reply message, err error) {
	body, err := json.Marshal(map[string]any{"model": "instant", "stream": true, "messages": said, "tools": toolList,
		"stream_options": map[string]bool{"include_usage": true}})
	if err != nil {
		return reply, fmt.Errorf("write request: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, c.url+"/v1/chat/completions", bytes.NewReader(body))
	if err != nil {
		return reply, fmt.Errorf("make request: %w", err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return reply, fmt.Errorf("call the model: %w", err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return reply, fmt.Errorf("call the model: %s: %s", resp.Status, text)
	}
	reply.Role = "assistant"
	lines := bufio.NewScanner(resp.Body)
	for lines.Scan() {
		data, ok := strings.CutPrefix(lines.Text(), "data: ")
		if !ok || data == "[DONE]" {
			continue
		}
		var chunk struct {
			Choices []struct {
				Delta struct {
					Content   string `json:"content"`
					ToolCalls []call `json:"tool_calls"`
				} `json:"delta"`
			} `json:"choices"`
		}
		if err := json.Unmarshal([]byte(data), &chunk); err != nil {
			return reply, fmt.Errorf("read the stream: %w", err)
		}
		for _, choice := range chunk.Choices {
			reply.Content += choice.Delta.Content
			reply.ToolCalls = append(reply.ToolCalls, choice.Delta.ToolCalls...)
		}
	}
	return reply, lines.Err()
}

// callTool is the tool: it does nothing, at once.
func callTool() (string, error) { return "ok", nil }
