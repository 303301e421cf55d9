package anthropic

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/transcript"
)

// event is any event of the stream; which fields count depends on Type.
type event struct {
	Type    string `json:"type"`
	Index   int    `json:"index"`
	Message struct {
		Usage *usage `json:"usage"`
	} `json:"message"`
	Block struct {
		Type      string          `json:"type"`
		Text      string          `json:"text"`
		Thinking  string          `json:"thinking"`
		Signature string          `json:"signature"`
		Data      string          `json:"data"`
		ID        string          `json:"id"`
		Name      string          `json:"name"`
		Input     json.RawMessage `json:"input"`
	} `json:"content_block"`
	Delta struct {
		Type       string `json:"type"`
		Text       string `json:"text"`
		Thinking   string `json:"thinking"`
		Signature  string `json:"signature"`
		JSON       string `json:"partial_json"`
		StopReason string `json:"stop_reason"`
	} `json:"delta"`
	Usage *usage   `json:"usage"`
	Error apiError `json:"error"`
}

type usage struct {
	Input      int `json:"input_tokens"`
	Output     int `json:"output_tokens"`
	CacheWrite int `json:"cache_creation_input_tokens"`
	CacheRead  int `json:"cache_read_input_tokens"`
}

func (u *usage) part() llm.Part {
	return llm.UsagePart{Usage: transcript.Usage{Input: u.Input, Output: u.Output, CacheRead: u.CacheRead, CacheWrite: u.CacheWrite}}
}

// decoder turns events into parts. Blocks come one after another, so what is open is one block.
type decoder struct {
	m         *Model
	ids       *llm.CallIDs
	stop      string
	signature string          // of the open thinking block; it may come in pieces, and late
	input     json.RawMessage // of the open tool use, where it came whole with the block's start
	call      bool            // the open block is a tool use
	fragments bool            // and its input comes in fragments
}

// cut explains the end of a stream before its terminal event.
func (d *decoder) cut(err error) error {
	if errors.Is(err, io.EOF) {
		return d.m.endpoint.Fail(llm.Truncated, "the stream ended without message_stop")
	}
	return err
}

func (d *decoder) decode(raw llm.Event) ([]llm.Part, error) {
	var ev event
	if err := json.Unmarshal(raw.Data, &ev); err != nil {
		return nil, d.m.endpoint.Fail(llm.Garbled, fmt.Sprintf("an event of the stream cannot be read: %v: %s", err, raw.Data))
	}
	if ev.Type == "" {
		ev.Type = raw.Name
	}
	switch ev.Type {
	case "message_start":
		return usageParts(ev.Message.Usage), nil
	case "content_block_start":
		return d.start(ev), nil
	case "content_block_delta":
		return d.delta(ev), nil
	case "content_block_stop":
		return d.close(ev.Index), nil
	case "message_delta":
		if ev.Delta.StopReason != "" {
			d.stop = ev.Delta.StopReason
		}
		return usageParts(ev.Usage), nil
	case "message_stop":
		return []llm.Part{llm.Done{Stop: stopReason(d.stop)}}, nil
	case "error":
		return nil, d.m.endpoint.Fail(ev.Error.kind(), ev.Error.Message)
	}
	return nil, nil // ping, and what later versions of the API add: the API asks clients to pass over these
}

func usageParts(u *usage) []llm.Part {
	if u == nil {
		return nil
	}
	return []llm.Part{u.part()}
}

func (d *decoder) start(ev event) []llm.Part {
	d.signature, d.input, d.call, d.fragments = ev.Block.Signature, nil, false, false
	switch ev.Block.Type {
	case "text":
		return text(ev.Block.Text)
	case "thinking":
		return reasoning(ev.Block.Thinking)
	case "redacted_thinking":
		return []llm.Part{llm.ReasoningPart{Meta: d.meta(meta{Redacted: ev.Block.Data})}}
	case "tool_use":
		d.call, d.input = true, ev.Block.Input
		return []llm.Part{llm.CallPart{Index: ev.Index, ID: d.ids.Take(ev.Block.ID), Name: ev.Block.Name}}
	}
	return nil
}

func text(s string) []llm.Part {
	if s == "" {
		return nil
	}
	return []llm.Part{llm.TextPart{Text: s}}
}

func reasoning(s string) []llm.Part {
	if s == "" {
		return nil
	}
	return []llm.Part{llm.ReasoningPart{Text: s}}
}

func (d *decoder) delta(ev event) []llm.Part {
	switch ev.Delta.Type {
	case "text_delta":
		return text(ev.Delta.Text)
	case "thinking_delta":
		return reasoning(ev.Delta.Thinking)
	case "signature_delta":
		d.signature += ev.Delta.Signature
	case "input_json_delta":
		if d.call && ev.Delta.JSON != "" { // server-side tools stream their input the same way; it is not ours to run
			d.fragments = true
			return []llm.Part{llm.CallPart{Index: ev.Index, Args: ev.Delta.JSON}}
		}
	}
	return nil
}

// close ends a block: a thinking block gets its signature, a tool use whose input came whole gets that.
func (d *decoder) close(index int) []llm.Part {
	switch {
	case d.signature != "":
		sig := d.signature
		d.signature = ""
		return []llm.Part{llm.ReasoningPart{Meta: d.meta(meta{Signature: sig})}}
	case d.call && !d.fragments && len(d.input) > 0 && string(d.input) != "null":
		d.call = false
		return []llm.Part{llm.CallPart{Index: index, Args: string(d.input)}}
	}
	d.call = false
	return nil
}

func (d *decoder) meta(kept meta) *transcript.Meta {
	data, err := json.Marshal(kept)
	if err != nil {
		panic("anthropic: two strings cannot fail to be JSON: " + err.Error())
	}
	return &transcript.Meta{Provider: d.m.name, Data: data}
}

func stopReason(s string) transcript.StopReason {
	switch s {
	case "tool_use":
		return transcript.StopToolUse
	case "max_tokens", "model_context_window_exceeded":
		return transcript.StopMaxTokens
	case "stop_sequence":
		return transcript.StopSequence
	case "refusal":
		return transcript.StopFiltered
	}
	return transcript.StopEndTurn
}
