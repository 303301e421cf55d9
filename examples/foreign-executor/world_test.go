package main

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/tools"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// world is a realm in memory with one session whose runs a foreign loop carries out. It lives in a bubble: nothing the test or the loop
// started may be left when it ends, and time passes when all are asleep.
type world struct {
	*testing.T
	*control.Plane
	rt      *meerkat.Runtime
	session id.Session
	ctx     context.Context
}

// What a test makes its executor of must be made inside, or time stands still while the executor waits for it.
func bubble(t *testing.T, body func(w *world)) {
	t.Helper()
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { body(&world{T: t, ctx: t.Context()}) })
}

// runs opens the realm, and the session.
func (w *world) runs(ex executor.Executor) {
	w.Helper()
	rt, err := meerkat.Open(w.ctx, meerkat.Config{Executor: ex})
	w.ok(err)
	w.Cleanup(func() {
		if err := rt.Close(); err != nil {
			w.Error(err)
		}
	})
	w.rt, w.Plane = rt, rt.Plane()
	s, err := w.CreateSession(w.ctx, control.CreateSession{System: "You keep the stock.", Profile: run.Profile{Model: "clerk"}})
	w.ok(err)
	w.session = s.ID
}

func (w *world) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) is(err, want error) {
	w.Helper()
	if !errors.Is(err, want) {
		w.Fatalf("got %v, want %v", err, want)
	}
}

func (w *world) submit(text string) control.Receipt {
	w.Helper()
	r, err := w.Submit(w.ctx, control.Submit{Session: w.session, Content: transcript.TextBlocks(text)})
	w.ok(err)
	return r
}

func (w *world) steer(text string) control.Receipt {
	w.Helper()
	r, err := w.Submit(w.ctx, control.Submit{Session: w.session, Lane: control.LaneSteer, Content: transcript.TextBlocks(text)})
	w.ok(err)
	return r
}

// ended waits for an input's end, which must be the one wanted.
func (w *world) ended(in id.Input, status string) control.Outcome {
	w.Helper()
	out, err := w.Wait(w.ctx, w.session, in)
	w.ok(err)
	if out.Status != status {
		w.Fatalf("the input ended %s (%s %s), want %s", out.Status, out.Cause, out.Error, status)
	}
	return out
}

// conversation is the transcript, a line for each message.
func (w *world) conversation() []string {
	w.Helper()
	rows, err := w.Transcript(w.ctx, w.session, 1, 0)
	w.ok(err)
	var out []string
	for _, r := range rows {
		switch e := r.Entry.(type) {
		case transcript.System:
			out = append(out, "system: "+e.Text)
		case transcript.Notice:
			out = append(out, e.Kind+": "+e.Text)
		case transcript.User:
			out = append(out, "user: "+e.Content.Plain())
		case transcript.Assistant:
			out = append(out, "assistant: "+e.Blocks.Plain())
		case transcript.ToolResult:
			out = append(out, "result: "+e.Content.Plain())
		}
	}
	return out
}

// tally counts the durable events of a kind that are as wanted.
func tally[P event.Payload](w *world, wanted func(P) bool) (n int) {
	w.Helper()
	events, err := w.rt.Host().Events(w.ctx, w.session, 0, 0)
	w.ok(err)
	for _, e := range events {
		if p, ok := e.Payload.(P); ok && wanted(p) {
			n++
		}
	}
	return n
}

// ends counts the ends of runs that clients are told of.
func (w *world) ends() int {
	w.Helper()
	return tally(w, func(event.RunCompleted) bool { return true }) + tally(w, func(event.RunFailed) bool { return true })
}

// follow returns where the text arrives that a client has in front of it when a run is over: all that streamed, but for what was said
// to be void.
func (w *world) follow() <-chan string {
	shown := make(chan string, 1)
	go func() {
		text := ""
		defer func() { shown <- text }()
		for e, err := range w.Events(w.ctx, w.session, 0) {
			if err != nil {
				w.Error(err)
				return
			}
			switch p := e.Payload.(type) {
			case event.TextDelta:
				text += p.Delta
			case event.AttemptVoided:
				text = ""
			case event.RunCompleted, event.RunFailed:
				return
			}
		}
	}()
	synctest.Wait()
	return shown
}

// later runs a command beside the test, until all are asleep, and returns where its error arrives.
func later(do func() error) <-chan error {
	ch := make(chan error, 1)
	go func() { ch <- do() }()
	synctest.Wait()
	return ch
}

// pending fails if a command has returned.
func (w *world) pending(ch <-chan error) {
	w.Helper()
	synctest.Wait()
	select {
	case err := <-ch:
		w.Fatalf("it has returned: %v", err)
	default:
	}
}

// door is a tool that waits behind a door for the test. A deaf one does not hear its context.
type door struct {
	tools.Tool
	deaf   bool
	behind chan context.Context
	open   chan struct{}
}

func newDoor() *door {
	return &door{Tool: shelf, behind: make(chan context.Context, 8), open: make(chan struct{})}
}

func (d *door) Call(ctx context.Context, input string) (string, error) {
	d.behind <- ctx
	heard := ctx.Done()
	if d.deaf {
		heard = nil
	}
	select {
	case <-d.open:
		return d.Tool.Call(ctx, input)
	case <-heard:
		return "", ctx.Err()
	}
}

var shelf = stock{"candles": 4, "matches": 12}

// loop is the example's own, with a tool of the test.
func loop(m llms.Model, t tools.Tool) executor.Executor {
	return Loop{Model: m, Tools: []tools.Tool{t}, Class: run.ReadOnly}.Executor()
}

// heard is a model that writes down what it was asked: each call as the roles and texts of its messages.
type heard struct {
	llms.Model
	mu    sync.Mutex
	calls [][]string
	with  llms.CallOptions // of the last call
}

func (h *heard) GenerateContent(ctx context.Context, messages []llms.MessageContent, options ...llms.CallOption) (*llms.ContentResponse, error) {
	var lines []string
	for _, m := range messages {
		line := string(m.Role) + ":"
		for _, p := range m.Parts {
			switch p := p.(type) {
			case llms.TextContent:
				line += " " + p.Text
			case llms.ToolCall:
				line += " calls " + p.FunctionCall.Name
			case llms.ToolCallResponse:
				line += " " + p.Content
			}
		}
		lines = append(lines, line)
	}
	h.mu.Lock()
	h.calls, h.with = append(h.calls, lines), llms.CallOptions{}
	for _, set := range options {
		set(&h.with)
	}
	h.mu.Unlock()
	return h.Model.GenerateContent(ctx, messages, options...)
}

func (h *heard) all() [][]string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([][]string(nil), h.calls...)
}
