package wire

import (
	"bytes"
	"encoding/json"
	"strconv"

	"github.com/meerkat-go/meerkat/id"
)

// Source says where an event comes from.
type Source struct {
	Type    string     `json:"type"` // session
	Session id.Session `json:"session_id"`
}

// Envelope is one event as it is sent. Payload is an object that begins with its type.
type Envelope struct {
	EventID     string
	Source      Source
	SourceID    string
	Seq         uint64 // from 1: what was sent to this reader
	Cursor      uint64 // 0: not durable
	RunID       id.Run
	Round       int // told with a run only
	TimestampMS int64
	Type        string
	Payload     json.RawMessage
	Additive    bool // the contract does not know this event
}

// fields appends the envelope's own fields, without the braces.
func (e *Envelope) fields(to []byte) []byte {
	to = append(to, `"event_id":`...)
	to = appendString(to, e.EventID)
	to = append(to, `,"source":{"type":`...)
	to = appendString(to, e.Source.Type)
	to = append(to, `,"session_id":`...)
	to = appendString(to, string(e.Source.Session))
	to = append(to, `},"source_id":`...)
	to = appendString(to, e.SourceID)
	to = append(to, `,"seq":`...)
	to = strconv.AppendUint(to, e.Seq, 10)
	to = append(to, `,"timestamp_ms":`...)
	to = strconv.AppendInt(to, e.TimestampMS, 10)
	if e.Cursor > 0 {
		to = append(to, `,"cursor":`...)
		to = strconv.AppendUint(to, e.Cursor, 10)
	}
	if e.RunID != "" {
		to = append(to, `,"run_id":`...)
		to = appendString(to, string(e.RunID))
		to = append(to, `,"round":`...)
		to = strconv.AppendInt(to, int64(e.Round), 10)
	}
	return to
}

// size is room enough for an envelope beside its payload.
const size = 384

// MarshalJSON writes the plain envelope.
func (e Envelope) MarshalJSON() ([]byte, error) {
	out := make([]byte, 0, size+len(e.Payload))
	out = append(out, '{')
	out = e.fields(out)
	out = append(out, `,"payload":`...)
	out = append(out, e.payload()...)
	return append(out, '}'), nil
}

// Superset returns the form that readers of the envelope and readers of a bare event both understand: the payload's fields stand beside the envelope's
// own as well. An event that has a field payload itself has it there for the one reader and, with its type, for the other.
func (e Envelope) Superset() json.RawMessage {
	payload := e.payload()
	flat := bytes.TrimSuffix(bytes.TrimPrefix(payload, []byte("{")), []byte("}"))
	nested := payload
	if e.Type == "tool_config_changed" || e.Type == "hook_denied" {
		flat, nested = e.collision()
	}
	out := make([]byte, 0, size+len(flat)+len(nested))
	out = append(out, '{')
	out = append(out, flat...)
	out = append(out, ',')
	out = e.fields(out)
	out = append(out, `,"payload":`...)
	out = append(out, nested...)
	return append(out, '}')
}

// payload is the payload, which has at least a type.
func (e *Envelope) payload() []byte {
	if len(e.Payload) > 0 {
		return e.Payload
	}
	return append(appendString([]byte(`{"type":`), e.Type), '}')
}

// collision takes an event apart that has a field payload of its own. What is flat does without it. tool_config_changed shows a reader of the bare event
// the fields of its inner payload, and a reader of the envelope that payload whole; of hook_denied the inner one is free in form and stays inside.
func (e *Envelope) collision() (flat, nested []byte) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(e.Payload, &fields); err != nil { // what this package made is an object
		return []byte(`"type":` + strconv.Quote(e.Type)), e.payload()
	}
	inner := fields["payload"]
	delete(fields, "payload")
	flat = bare(fields)
	if e.Type == "hook_denied" {
		return flat, e.Payload
	}
	nested = append([]byte{'{'}, `"type":`...)
	nested = appendString(nested, e.Type)
	if in := bytes.TrimSpace(inner); len(in) > 2 && in[0] == '{' {
		nested = append(nested, ',')
		nested = append(nested, in[1:len(in)-1]...)
	} else {
		inner = json.RawMessage("{}")
	}
	nested = append(nested, `,"payload":`...)
	nested = append(nested, inner...)
	return flat, append(nested, '}')
}

// bare encodes fields without the braces, the type first.
func bare(fields map[string]json.RawMessage) []byte {
	typ := fields["type"]
	delete(fields, "type")
	out := append([]byte(`"type":`), typ...)
	if len(fields) == 0 {
		return out
	}
	rest, err := Marshal(fields)
	if err != nil { // they were just decoded
		return out
	}
	out = append(out, ',')
	return append(out, rest[1:len(rest)-1]...)
}
