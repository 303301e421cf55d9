package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"
)

// Both sides of the bench know what to say: askTool makes the model call the tool once, askPlain makes it answer.
const (
	askPlain = "Say that you are there."
	askTool  = "Use the tool once, then say that you are there."
	system   = "Answer in one word."
	toolName = "nothing"
	toolDoes = "Does nothing, at once."
)

// serveModel is the fake model: Chat Completions over HTTP on the loopback, streamed. It prints its address, and lives until its
// standard input is closed. GET /calls says how many replies it gave.
func serveModel(ttft time.Duration) error {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("listen: %w", err)
	}
	var calls atomic.Int64
	mux := http.NewServeMux()
	mux.HandleFunc("GET /calls", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, calls.Load()) })
	mux.HandleFunc("POST /v1/chat/completions", func(w http.ResponseWriter, r *http.Request) {
		wantsTool, err := lastAsksForTool(r.Body)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if ttft > 0 {
			time.Sleep(ttft)
		}
		n := calls.Add(1)
		w.Header().Set("Content-Type", "text/event-stream")
		delta, finish := `{"role":"assistant","content":"here"}`, "stop"
		if wantsTool {
			delta = fmt.Sprintf(`{"role":"assistant","tool_calls":[{"index":0,"id":"call-%d","type":"function","function":{"name":%q,"arguments":"{}"}}]}`, n, toolName)
			finish = "tool_calls"
		}
		const chunk = "data: {\"id\":\"c-%d\",\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":\"instant\",\"choices\":[%s]%s}\n\n"
		fmt.Fprintf(w, chunk, n, `{"index":0,"delta":`+delta+`,"finish_reason":null}`, "")
		fmt.Fprintf(w, chunk, n, `{"index":0,"delta":{},"finish_reason":"`+finish+`"}`, "")
		fmt.Fprintf(w, chunk, n, "", `,"usage":{"prompt_tokens":10,"completion_tokens":1,"total_tokens":11}`)
		fmt.Fprint(w, "data: [DONE]\n\n")
	})
	server := &http.Server{Handler: mux}
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	fmt.Printf("http://%s\n", listener.Addr())
	_, _ = io.Copy(io.Discard, os.Stdin) // until whoever started us lets go
	_ = server.Close()
	<-done
	return nil
}

// lastAsksForTool reads a request and says whether its last message is the user's and asks for the tool.
func lastAsksForTool(body io.Reader) (bool, error) {
	var req struct {
		Messages []struct {
			Role    string          `json:"role"`
			Content json.RawMessage `json:"content"`
		} `json:"messages"`
		Stream bool              `json:"stream"`
		Tools  []json.RawMessage `json:"tools"`
	}
	if err := json.NewDecoder(body).Decode(&req); err != nil {
		return false, fmt.Errorf("read request: %w", err)
	}
	if !req.Stream || len(req.Tools) != 1 || len(req.Messages) == 0 || req.Messages[0].Role != "system" {
		return false, fmt.Errorf("not the agreed request: stream %t, %d tools, %d messages", req.Stream, len(req.Tools), len(req.Messages))
	}
	last := req.Messages[len(req.Messages)-1]
	return last.Role == "user" && strings.Contains(string(last.Content), askTool), nil
}
