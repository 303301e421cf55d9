// Package llmtest tests models and what is built on them: a scripted model in the process, and the suite that every HTTP adapter
// passes.
//
// Scripts are those of package script; the same rules drive the Model here, a fakeserver.Server in a test, and the command fakemodel.
package llmtest

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/llm/llmtest/script"
	"github.com/meerkat-go/meerkat/transcript"
)

// Model is a scripted model without a server. Make it with New. It is safe for concurrent use.
//
// A status becomes the *llm.Error of that status, and a fault the error an adapter would give; Hang and Stall wait for the context to
// end. The error of a Fail has its type as kind, such as overloaded. A conversation that no rule answers is an InvalidRequest.
type Model struct {
	// Before is called at the start of each call with its number, counted from 1. It may block until the test goes on; its error
	// fails the call. Set it before the model is used.
	Before func(ctx context.Context, n int, req llm.Request) error

	player *script.Player
	mu     sync.Mutex
	seen   []llm.Request
}

var _ llm.Model = (*Model)(nil)

// New makes a model that plays rules.
func New(rules ...script.Rule) *Model { return &Model{player: script.NewPlayer(rules...)} }

// Requests returns the requests so far, in order.
func (m *Model) Requests() []llm.Request {
	m.mu.Lock()
	defer m.mu.Unlock()
	return slices.Clone(m.seen)
}

func (m *Model) record(req llm.Request) int {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.seen = append(m.seen, req)
	return len(m.seen)
}

// Stream plays the reply to the request (llm.Model).
func (m *Model) Stream(ctx context.Context, req llm.Request) iter.Seq2[llm.Part, error] {
	return func(yield func(llm.Part, error) bool) {
		n := m.record(req)
		if m.Before != nil {
			if err := m.Before(ctx, n, req); err != nil {
				yield(nil, err)
				return
			}
		}
		if err := req.Validate(); err != nil {
			yield(nil, err)
			return
		}
		c := conversation(req)
		reply, rule := m.player.Next(c)
		if rule < 0 {
			yield(nil, fail(llm.InvalidRequest, fmt.Sprintf("no rule answers %q with %d tool results", c.User, c.ToolResults)))
			return
		}
		if err := play(ctx, reply, yield); err != nil {
			yield(nil, err)
		}
	}
}

func fail(kind llm.Kind, message string) *llm.Error {
	return &llm.Error{Kind: kind, Provider: "scripted", Message: message}
}

// play yields a reply. Its error is still to be yielded.
func play(ctx context.Context, reply script.Reply, yield func(llm.Part, error) bool) error {
	if err := pause(ctx, reply.DelayMS); err != nil {
		return err
	}
	switch {
	case reply.Fault == script.Drop:
		return fail(llm.ConnectionReset, "scripted: the connection was dropped")
	case reply.Fault == script.Hang:
		return abandoned(ctx)
	case reply.Status != 0:
		return refusal(reply)
	}
	parts := replyParts(reply)
	if reply.Fault != "" && reply.Fault != script.NoEnd {
		parts = parts[:(len(parts)+1)/2]
	}
	for _, p := range parts {
		if err := pause(ctx, reply.ChunkDelayMS); err != nil {
			return err
		}
		if !yield(p, nil) {
			return nil
		}
	}
	switch reply.Fault {
	case "":
		yield(llm.Done{Stop: reply.StopReason()}, nil)
	case script.Stall:
		return abandoned(ctx)
	case script.Reset:
		return fail(llm.ConnectionReset, "scripted: the connection broke")
	case script.Garbage, script.Long:
		return fail(llm.Garbled, "scripted: garbage in the stream")
	case script.Fail:
		return fail(llm.Kind(reply.Error.Type), reply.Error.Message)
	}
	return nil // Cut, NoEnd
}

func refusal(reply script.Reply) error {
	e := fail(llm.KindOfStatus(reply.Status), "scripted failure")
	e.Status = reply.Status
	if s, err := strconv.ParseFloat(reply.RetryAfter, 64); err == nil {
		e.RetryAfter = time.Duration(s * float64(time.Second))
	}
	if reply.Error != nil {
		e.Message = reply.Error.Message
	}
	return e
}

// replyParts is the reply without its Done.
func replyParts(reply script.Reply) []llm.Part {
	var out []llm.Part
	for _, p := range reply.Pieces(reply.Reasoning) {
		out = append(out, llm.ReasoningPart{Text: p})
	}
	for _, p := range reply.Pieces(reply.Text) {
		out = append(out, llm.TextPart{Text: p})
	}
	for i, c := range reply.ToolCalls {
		call := id.Call(c.ID)
		if call == "" {
			call = id.Call("call_" + strings.ReplaceAll(id.New(), "-", ""))
		}
		out = append(out, llm.CallPart{Index: i, ID: call, Name: c.Name})
		for _, p := range reply.Pieces(c.ArgsText()) {
			out = append(out, llm.CallPart{Index: i, Args: p})
		}
	}
	if u, ok := reply.Tokens(); ok {
		out = append(out, llm.UsagePart{Usage: u})
	}
	return out
}

// abandoned waits for the context to end and says so.
func abandoned(ctx context.Context) error {
	<-ctx.Done()
	return fmt.Errorf("scripted: model call abandoned: %w", context.Cause(ctx))
}

func pause(ctx context.Context, ms int) error {
	if ctx.Err() != nil {
		return abandoned(ctx)
	}
	if ms <= 0 {
		return nil
	}
	t := time.NewTimer(time.Duration(ms) * time.Millisecond)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return abandoned(ctx)
	}
}

// conversation is what a script's conditions see of a request.
func conversation(req llm.Request) script.Conversation {
	c := script.Conversation{Model: req.Model}
	for _, row := range req.Rows {
		switch e := row.Entry.(type) {
		case transcript.System:
			c.System += e.Text
		case transcript.Notice:
			c.Said(llm.NoticeText(e))
		case transcript.User:
			c.Said(e.Content.Plain())
		case transcript.ToolResult:
			c.Returned(e.Content.Plain())
		case transcript.Assistant:
		}
	}
	return c
}
