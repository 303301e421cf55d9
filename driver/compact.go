package driver

import (
	"bytes"
	"encoding/json"

	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// compact takes the white space out of raw JSON in what is reported, as storing it does. So the session that goes on and the one that
// is loaded again say the same to a provider, to the byte.
func compact(ev machine.Event) machine.Event {
	if r, ok := ev.(machine.Register); ok && r.Profile != nil {
		p := *r.Profile
		p.Schema, r.Profile = compactRaw(p.Schema), &p
		return r
	}
	told, ok := ev.(machine.Reported)
	if !ok {
		return ev
	}
	switch r := told.Report.(type) {
	case run.ModelReplied:
		r.Reply.Blocks = compactBlocks(r.Reply.Blocks)
		calls := make([]run.Intent, len(r.Calls))
		for n, c := range r.Calls {
			c.Call = compactUse(c.Call)
			calls[n] = c
		}
		r.Calls = calls
		return machine.Reported{Report: r}
	case run.RunApplied:
		entries := make([]transcript.Entry, len(r.Appends))
		for n, e := range r.Appends {
			if a, ok := e.(transcript.Assistant); ok {
				a.Blocks = compactBlocks(a.Blocks)
				e = a
			}
			entries[n] = e
		}
		r.Appends = entries
		return machine.Reported{Report: r}
	case run.Extracted:
		r.Output = compactRaw(r.Output)
		return machine.Reported{Report: r}
	case run.ModelFailed, run.ToolSettled:
	}
	return ev
}

func compactBlocks(b transcript.Blocks) transcript.Blocks {
	out := make(transcript.Blocks, len(b))
	for n, x := range b {
		switch x := x.(type) {
		case transcript.Text:
			x.Meta = compactMeta(x.Meta)
			out[n] = x
		case transcript.Reasoning:
			x.Meta = compactMeta(x.Meta)
			out[n] = x
		case transcript.ToolUse:
			out[n] = compactUse(x)
		default:
			out[n] = x
		}
	}
	return out
}

func compactUse(u transcript.ToolUse) transcript.ToolUse {
	u.Args, u.Meta = compactRaw(u.Args), compactMeta(u.Meta)
	if len(u.Args) == 0 {
		u.Args = json.RawMessage("{}")
	}
	return u
}

func compactMeta(m *transcript.Meta) *transcript.Meta {
	if m == nil {
		return nil
	}
	return &transcript.Meta{Provider: m.Provider, Data: compactRaw(m.Data)}
}

// compactRaw leaves what is no JSON as it is: encoding refuses it.
func compactRaw(raw json.RawMessage) json.RawMessage {
	var buf bytes.Buffer
	if err := json.Compact(&buf, raw); err != nil || buf.Len() == len(raw) {
		return raw
	}
	return buf.Bytes()
}
