package driver

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// compact takes the white space out of raw JSON in what is reported, as storing it does. So the session that goes on and the one that
// is loaded again say the same to a provider, to the byte.
func compact(ev machine.Event) machine.Event {
	switch ev := ev.(type) {
	case machine.Register:
		if ev.Profile != nil {
			p := compactProfile(*ev.Profile)
			ev.Profile = &p
		}
		ev.Seed = compactRows(ev.Seed)
		return ev
	case machine.Amend:
		ev.Profile = compactProfile(ev.Profile)
		return ev
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
			entries[n] = compactEntry(e)
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

func compactProfile(p run.Profile) run.Profile {
	p.Schema, p.Params, p.App = compactRaw(p.Schema), compactRaw(p.Params), compactRaw(p.App)
	p.Client = slices.Clone(p.Client)
	for n := range p.Client {
		p.Client[n].Schema = compactRaw(p.Client[n].Schema)
	}
	return p
}

func compactRows(rows []transcript.Row) []transcript.Row {
	rows = slices.Clone(rows)
	for n := range rows {
		rows[n].Entry = compactEntry(rows[n].Entry)
	}
	return rows
}

func compactEntry(e transcript.Entry) transcript.Entry {
	if a, ok := e.(transcript.Assistant); ok {
		a.Blocks = compactBlocks(a.Blocks)
		return a
	}
	return e
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
