package input

import (
	"bytes"
	"encoding/json"
	"fmt"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/transcript"
)

// Entries are lines of a transcript. In JSON each is {"role", "entry"}.
type Entries []transcript.Entry

// Context is a line of a transcript under a key: where the key is known already, it is there, and is not added again.
type Context struct {
	Key   string
	Entry transcript.Entry
}

// line is an entry in JSON.
type line struct {
	Key   string          `json:"key,omitempty"`
	Role  string          `json:"role"`
	Entry json.RawMessage `json:"entry"`
}

func toLine(key string, e transcript.Entry) (line, error) {
	if e == nil {
		return line{}, fmt.Errorf("input: an entry that says nothing")
	}
	data, err := transcript.EncodeEntry(e)
	return line{key, transcript.Role(e), data}, err
}

func (e Entries) MarshalJSON() ([]byte, error) {
	out := make([]line, len(e))
	for n, x := range e {
		var err error
		if out[n], err = toLine("", x); err != nil {
			return nil, err
		}
	}
	return marshal(out)
}

func (e *Entries) UnmarshalJSON(data []byte) error {
	var in []line
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*e = make(Entries, len(in))
	for n, l := range in {
		var err error
		if (*e)[n], err = transcript.DecodeEntry(l.Role, l.Entry); err != nil {
			return fmt.Errorf("entry %d: %w", n, err)
		}
	}
	return nil
}

func (c Context) MarshalJSON() ([]byte, error) {
	l, err := toLine(c.Key, c.Entry)
	if err != nil {
		return nil, err
	}
	return marshal(l)
}

func (c *Context) UnmarshalJSON(data []byte) error {
	var l line
	if err := json.Unmarshal(data, &l); err != nil {
		return err
	}
	e, err := transcript.DecodeEntry(l.Role, l.Entry)
	*c = Context{l.Key, e}
	return err
}

// marshal leaves <, > and & as they are, as the transcript does.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// header is what all inputs have, in JSON.
type header struct {
	ID           id.Input   `json:"id"`
	Key          string     `json:"idempotency_key,omitempty"`
	Supersession string     `json:"supersession_key,omitempty"`
	Correlation  string     `json:"correlation_id,omitempty"`
	Source       Source     `json:"source"`
	Durability   Durability `json:"durability"`
	Visibility   Visibility `json:"visibility"`
}

// seen is Visibility in JSON, where what is left out may be seen.
type seen struct {
	Transcript *bool `json:"transcript_eligible"`
	Operator   *bool `json:"operator_eligible"`
}

func (v Visibility) MarshalJSON() ([]byte, error) {
	t, o := !v.NoTranscript, !v.NoOperator
	return marshal(seen{&t, &o})
}

func (v *Visibility) UnmarshalJSON(data []byte) error {
	var s seen
	if err := json.Unmarshal(data, &s); err != nil {
		return err
	}
	*v = Visibility{s.Transcript != nil && !*s.Transcript, s.Operator != nil && !*s.Operator}
	return nil
}

// peerJSON is Peer in JSON: its convention has a tag of its own.
type peerJSON struct {
	Convention json.RawMessage   `json:"convention,omitempty"`
	Body       string            `json:"body"`
	Payload    json.RawMessage   `json:"payload,omitempty"`
	Blocks     transcript.Blocks `json:"blocks,omitempty"`
	Handling   Handling          `json:"handling_mode,omitempty"`
}

type conventionTag struct {
	Type string `json:"convention_type"`
}

func (p Peer) MarshalJSON() ([]byte, error) {
	out := peerJSON{nil, p.Body, p.Payload, p.Blocks, p.Handling}
	var err error
	switch c := p.Convention.(type) {
	case nil:
	case Message:
		out.Convention, err = marshal(conventionTag{"message"})
	case Request:
		out.Convention, err = marshal(struct {
			conventionTag
			Request
		}{conventionTag{"request"}, c})
	case Progress:
		out.Convention, err = marshal(struct {
			conventionTag
			Progress
		}{conventionTag{"response_progress"}, c})
	case Terminal:
		out.Convention, err = marshal(struct {
			conventionTag
			Terminal
		}{conventionTag{"response_terminal"}, c})
	default:
		err = fmt.Errorf("input: convention %T", c)
	}
	if err != nil {
		return nil, err
	}
	return marshal(out)
}

func (p *Peer) UnmarshalJSON(data []byte) error {
	var in peerJSON
	if err := json.Unmarshal(data, &in); err != nil {
		return err
	}
	*p = Peer{nil, in.Body, in.Payload, in.Blocks, in.Handling}
	if len(in.Convention) == 0 || string(in.Convention) == "null" {
		return nil
	}
	var tag conventionTag
	err := json.Unmarshal(in.Convention, &tag)
	if err != nil {
		return err
	}
	switch tag.Type {
	case "message":
		p.Convention = Message{}
	case "request":
		p.Convention, err = readAs[Request](in.Convention)
	case "response_progress":
		p.Convention, err = readAs[Progress](in.Convention)
	case "response_terminal":
		p.Convention, err = readAs[Terminal](in.Convention)
	default:
		err = &UnknownError{What: "convention of peers", Name: tag.Type}
	}
	return err
}

func readAs[T any](data []byte) (T, error) {
	var v T
	err := json.Unmarshal(data, &v)
	return v, err
}

// continuationJSON is Continuation in JSON, with its overlay and the dispatch context that the overlay's own form leaves out.
type continuationJSON struct {
	plainContinuation
	Overlay  scope.Overlay `json:"tool_overlay,omitzero"`
	Dispatch string        `json:"dispatch_context,omitempty"`
}

type plainContinuation Continuation

func (c Continuation) MarshalJSON() ([]byte, error) {
	return marshal(continuationJSON{plainContinuation(c), c.Overlay, c.Overlay.Dispatch})
}

func (c *Continuation) UnmarshalJSON(data []byte) error {
	in, err := readAs[continuationJSON](data)
	*c = Continuation(in.plainContinuation)
	c.Overlay = in.Overlay
	c.Overlay.Dispatch = in.Dispatch
	return err
}

// MarshalJSON writes {"input_type", "header", "body"}.
func (in Input) MarshalJSON() ([]byte, error) {
	body, err := marshal(in.Body)
	if err != nil {
		return nil, err
	}
	out := inputJSON{Header: header{in.ID, in.Key, in.Supersession, in.Correlation, in.Source, in.Durability, in.Visibility}, Body: body}
	switch b := in.Body.(type) {
	case Prompt:
		out.Type = "prompt"
	case Peer:
		out.Type = "peer"
	case FlowStep:
		out.Type = "flow_step"
	case ExternalEvent:
		out.Type = "external_event"
	case Continuation:
		out.Type = "continuation"
	case Operation:
		out.Type = "operation"
	default:
		return nil, fmt.Errorf("input: body %T", b)
	}
	return marshal(out)
}

type inputJSON struct {
	Type   string          `json:"input_type"`
	Header header          `json:"header"`
	Body   json.RawMessage `json:"body"`
}

// UnmarshalJSON reads what MarshalJSON writes, and the names that two of the variants had before. A variant it does not know is an
// *UnknownError.
func (in *Input) UnmarshalJSON(data []byte) error {
	w, err := readAs[inputJSON](data)
	if err != nil {
		return err
	}
	h := w.Header
	*in = Input{ID: h.ID, Key: h.Key, Supersession: h.Supersession, Correlation: h.Correlation, Source: h.Source, Durability: h.Durability,
		Visibility: h.Visibility}
	switch w.Type {
	case "prompt":
		in.Body, err = readAs[Prompt](w.Body)
	case "peer":
		in.Body, err = readAs[Peer](w.Body)
	case "flow_step":
		in.Body, err = readAs[FlowStep](w.Body)
	case "external_event":
		in.Body, err = readAs[ExternalEvent](w.Body)
	case "continuation", "system_generated":
		in.Body, err = readAs[Continuation](w.Body)
	case "operation", "projected":
		in.Body, err = readAs[Operation](w.Body)
	default:
		err = &UnknownError{What: "input type", Name: w.Type}
	}
	return err
}
