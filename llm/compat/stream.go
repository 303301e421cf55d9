package compat

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/transcript"
)

type chunk struct {
	Choices []choice        `json:"choices"`
	Usage   *usage          `json:"usage"`
	Error   json.RawMessage `json:"error"`
}

type choice struct {
	Index        int    `json:"index"`
	Delta        *delta `json:"delta"`
	Message      *delta `json:"message"` // a whole reply
	FinishReason string `json:"finish_reason"`
}

type delta struct {
	Content          json.RawMessage `json:"content"`
	Refusal          string          `json:"refusal"`
	ReasoningContent string          `json:"reasoning_content"`
	Reasoning        string          `json:"reasoning"`
	ToolCalls        []callDelta     `json:"tool_calls"`
}

type callDelta struct {
	Index    *int   `json:"index"`
	ID       string `json:"id"`
	Function struct {
		Name      string          `json:"name"`
		Arguments json.RawMessage `json:"arguments"`
	} `json:"function"`
}

type usage struct {
	Prompt     int `json:"prompt_tokens"`
	Completion int `json:"completion_tokens"`
	Details    struct {
		Cached int `json:"cached_tokens"`
	} `json:"prompt_tokens_details"`
}

// call is a tool call as far as it has come. Its place in the decoder's list is the index of its parts.
type call struct {
	index *int   // as the server counts; nil: it does not
	raw   string // the id as the server gave it
	name  string
	named bool // a part with its id has been yielded
	args  []byte
}

// decoder turns chunks into parts.
type decoder struct {
	m      *Model
	ids    *llm.CallIDs
	reason string  // the finish_reason, once it is there
	field  string  // of the open reasoning block; empty: none is open
	calls  []*call // in order of their first delta
}

// finished reports whether the reply is whole, so that whatever ended the stream does no harm. A caller who has gone is another matter.
func (d *decoder) finished(ctx context.Context) bool { return d.reason != "" && ctx.Err() == nil }

// cut explains the end of a stream before the finish_reason.
func (d *decoder) cut(err error) error {
	if errors.Is(err, io.EOF) {
		return d.m.endpoint.Fail(llm.Truncated, "the stream ended without a finish_reason")
	}
	return err
}

// decode turns one chunk into parts. With an error, the parts are those that came before it.
func (d *decoder) decode(raw llm.Event) ([]llm.Part, error) {
	var c chunk
	if err := json.Unmarshal(raw.Data, &c); err != nil {
		if e, ok := readError(raw.Data); ok {
			return nil, d.m.endpoint.Fail(e.kind(), e.Message)
		}
		return nil, d.m.endpoint.Fail(llm.Garbled, fmt.Sprintf("a chunk of the stream cannot be read: %v: %s", err, raw.Data))
	}
	if len(c.Error) > 0 || len(c.Choices) == 0 && c.Usage == nil { // only then is a second look worth its time
		if e, ok := readError(raw.Data); ok || raw.Name == "error" {
			return nil, d.m.endpoint.Fail(e.kind(), e.Message)
		}
	}
	var out []llm.Part
	for _, ch := range c.Choices {
		if ch.Index != 0 { // one reply is asked for
			continue
		}
		for _, de := range []*delta{ch.Delta, ch.Message} {
			if de == nil {
				continue
			}
			parts, err := d.delta(de)
			out = append(out, parts...)
			if err != nil {
				return out, err
			}
		}
		if ch.FinishReason == "error" {
			return out, d.m.endpoint.Fail(llm.ServerError, "the server ended the reply with finish_reason error")
		}
		if ch.FinishReason != "" {
			d.reason = ch.FinishReason
		}
	}
	if u := c.Usage; u != nil {
		out = append(out, llm.UsagePart{Usage: transcript.Usage{Input: u.Prompt, Output: u.Completion, CacheRead: u.Details.Cached}})
	}
	return out, nil
}

// delta yields what one delta adds: reasoning first, then text, then calls, whatever the order of its fields.
func (d *decoder) delta(de *delta) ([]llm.Part, error) {
	var out []llm.Part
	think := func(field, s string) {
		if s != "" {
			d.field = field
			out = append(out, llm.ReasoningPart{Text: s})
		}
	}
	think("reasoning_content", de.ReasoningContent)
	if de.ReasoningContent == "" { // some servers send the same text in both
		think("reasoning", de.Reasoning)
	}
	text, thought, err := d.content(de.Content)
	if err != nil {
		return out, err
	}
	think("reasoning_content", thought)
	if text += de.Refusal; text != "" {
		out = append(out, d.closeReasoning()...)
		out = append(out, llm.TextPart{Text: text})
	}
	for _, c := range de.ToolCalls {
		out = append(out, d.closeReasoning()...)
		out = append(out, d.call(c)...)
	}
	return out, nil
}

// content reads text that is a string, null, or a list of parts, some of which may be thinking.
func (d *decoder) content(raw json.RawMessage) (text, thought string, err error) {
	if len(raw) == 0 || string(raw) == "null" {
		return "", "", nil
	}
	if json.Unmarshal(raw, &text) == nil {
		return text, "", nil
	}
	type piece struct {
		Type     string  `json:"type"`
		Text     string  `json:"text"`
		Thinking []piece `json:"thinking"`
	}
	var pieces []piece
	if err := json.Unmarshal(raw, &pieces); err != nil {
		return "", "", d.m.endpoint.Fail(llm.Garbled, fmt.Sprintf("the content of a chunk is neither text nor a list of parts: %s", raw))
	}
	for _, p := range pieces {
		text += p.Text
		for _, t := range p.Thinking {
			thought += t.Text
		}
	}
	return text, thought, nil
}

// closeReasoning ends an open reasoning block with the field it came in, which is what replaying it needs.
func (d *decoder) closeReasoning() []llm.Part {
	if d.field == "" {
		return nil
	}
	data := json.RawMessage(`{"field":"` + d.field + `"}`)
	d.field = ""
	return []llm.Part{llm.ReasoningPart{Meta: &transcript.Meta{Provider: d.m.c.Name, Data: data}}}
}

// call yields what one delta adds to the calls. The id goes out with the first arguments at the latest, so that an id that comes
// late is not missed and one that never comes is minted.
func (d *decoder) call(delta callDelta) []llm.Part {
	i := d.find(delta)
	c := d.calls[i]
	if c.raw == "" {
		c.raw = delta.ID
	}
	part := llm.CallPart{Index: i}
	if c.name == "" {
		c.name = delta.Function.Name
		part.Name = c.name
	}
	part.Args = arguments(delta.Function.Arguments)
	c.args = append(c.args, part.Args...)
	if !c.named && (c.raw != "" || part.Args != "") {
		c.named = true
		part.ID = d.ids.Take(c.raw)
	}
	if part.ID == "" && part.Name == "" && part.Args == "" {
		return nil
	}
	return []llm.Part{part}
}

// arguments reads a fragment of JSON text; servers that send whole calls may send the object itself.
func arguments(raw json.RawMessage) string {
	raw = bytes.TrimSpace(raw)
	var s string
	if len(raw) == 0 || string(raw) == "null" {
		return ""
	}
	if raw[0] == '"' && json.Unmarshal(raw, &s) == nil {
		return s
	}
	return string(raw)
}

// find returns the place of the call that a delta belongs to, and opens one where it is the first of a call.
func (d *decoder) find(delta callDelta) int {
	for i := len(d.calls) - 1; i >= 0; i-- {
		if d.calls[i].takes(delta, i == len(d.calls)-1) {
			return i
		}
	}
	d.calls = append(d.calls, &call{index: delta.Index, raw: delta.ID})
	return len(d.calls) - 1
}

// takes reports whether a delta continues the call: by its index, or else by its id, or else because it is the last and the delta
// starts nothing. A delta with another id is another call even under the same index, and so is one with another name, or with
// arguments where this one has all of its own.
func (c *call) takes(delta callDelta, last bool) bool {
	if delta.ID != "" && c.raw != "" && delta.ID != c.raw {
		return false
	}
	if delta.Index != nil && c.index != nil {
		if *delta.Index != *c.index {
			return false
		}
	} else if delta.ID == "" && !last {
		return false
	}
	if delta.ID != "" && delta.ID == c.raw {
		return true
	}
	if delta.Function.Name == "" || c.name == "" {
		return true
	}
	return delta.Function.Name == c.name && (arguments(delta.Function.Arguments) == "" || !c.whole())
}

// whole reports whether the arguments are complete.
func (c *call) whole() bool {
	args := strings.TrimSpace(string(c.args))
	return strings.HasPrefix(args, "{") && json.Valid([]byte(args))
}

// end yields what is missing of the reply and its Done, or why it is none.
func (d *decoder) end(yield func(llm.Part, error) bool) {
	if d.reason == "" {
		yield(nil, d.cut(io.EOF))
		return
	}
	out := d.closeReasoning()
	for i, c := range d.calls {
		if !c.named {
			out = append(out, llm.CallPart{Index: i, ID: d.ids.Take(c.raw)})
		}
	}
	give(append(out, llm.Done{Stop: d.stop()}), nil, yield)
}

func (d *decoder) stop() transcript.StopReason {
	switch d.reason {
	case "length":
		return transcript.StopMaxTokens
	case "content_filter":
		return transcript.StopFiltered
	case "tool_calls", "function_call":
		return transcript.StopToolUse
	}
	if len(d.calls) > 0 { // many servers say "stop" here
		return transcript.StopToolUse
	}
	return transcript.StopEndTurn
}
