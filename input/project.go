package input

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/meerkat-go/meerkat/transcript"
)

// Kinds of the notices that inputs become.
const (
	NoticeGeneric = "generic"
	NoticePeer    = "comms"
	NoticeEvent   = "external_event"
)

// Entries returns what the input adds to the transcript, in order: its own words, unless the transcript may not see them, and what it
// brings along. Only a prompt is user text; what a peer, a flow or an event says is a notice, and names where it comes from (R101).
// The context under a key is not part of it.
func (in Input) Entries() Entries {
	var out Entries
	if own := in.own(); own != nil && !in.Visibility.NoTranscript {
		out = Entries{own}
	}
	switch b := in.Body.(type) {
	case Prompt:
		out = append(out, b.Appends...)
	case Continuation:
		out = append(out, b.Turn...)
	default:
	}
	return out
}

// Says reports whether there are any entries, and makes none of a prompt: every prompt is asked this.
func (in Input) Says() bool {
	if p, ok := in.Body.(Prompt); ok {
		return len(p.Appends) > 0 || !in.Visibility.NoTranscript && (p.Text != "" || len(p.Blocks) > 0)
	}
	return len(in.Entries()) > 0
}

// own is what the input itself says; nil: nothing.
func (in Input) own() transcript.Entry {
	switch b := in.Body.(type) {
	case Prompt:
		if c := b.content(); len(c) > 0 {
			return transcript.User{Content: c}
		}
	case Peer:
		return in.peerNotice(b)
	case FlowStep:
		return notice(NoticeGeneric, fmt.Sprintf("Step %q, from %s", b.Step, in.Source), b.Instructions, b.Blocks.Plain())
	case ExternalEvent:
		return notice(NoticeEvent, fmt.Sprintf("Event %q from %s", b.Type, in.Source), b.summary(), b.Blocks.Plain())
	case Continuation, Operation, nil:
	}
	return nil
}

func (p Prompt) content() transcript.Blocks {
	if len(p.Blocks) > 0 {
		return p.Blocks
	}
	if p.Text != "" {
		return transcript.TextBlocks(p.Text)
	}
	return nil
}

// peerNotice says nothing for the answer of a peer that is but text: that is its context.
func (in Input) peerNotice(p Peer) transcript.Entry {
	head, then := "", ""
	switch c := p.Convention.(type) {
	case Request:
		head = fmt.Sprintf("Request %q from %s, intent %q", c.ID, in.Source, c.Intent)
		then = fmt.Sprintf("Answer it with send_response, in_reply_to %q.", c.ID)
	case Progress:
		head = fmt.Sprintf("Progress of the answer to request %q, from %s, phase %q", c.Request, in.Source, c.Phase)
	case Terminal:
		if len(p.Blocks) == 0 {
			return nil
		}
		return notice(NoticePeer, fmt.Sprintf("With the answer to request %q, from %s", c.Request, in.Source), p.Blocks.Plain())
	case Message, nil:
		head = "Message from " + in.Source.String()
	}
	return notice(NoticePeer, head, p.Body, p.Blocks.Plain(), payload(p.Payload), then)
}

// summary is the text of an event: the body of its payload, and the rest of it.
func (e ExternalEvent) summary() string {
	var with map[string]json.RawMessage
	var body string
	if json.Unmarshal(e.Payload, &with) == nil && json.Unmarshal(with["body"], &body) == nil && len(with) == 1 {
		return body
	}
	return strings.TrimPrefix(body+"\n"+payload(e.Payload), "\n")
}

func payload(data json.RawMessage) string {
	var buf bytes.Buffer
	if len(data) == 0 || string(data) == "null" || json.Compact(&buf, data) != nil {
		return ""
	}
	return "Payload: " + buf.String()
}

func notice(kind, head string, parts ...string) transcript.Notice {
	text, sep := head, ":\n"
	for _, p := range parts {
		if strings.TrimSpace(p) != "" {
			text += sep + p
			sep = "\n"
		}
	}
	return transcript.Notice{Kind: kind, Text: text}
}

// String says who it is, as a model is told: names are quoted, so that a name cannot pass for something else.
func (s Source) String() string {
	switch s.Kind {
	case SourceOperator:
		return "the operator"
	case SourcePeer:
		if s.Display == "" {
			return fmt.Sprintf("peer %q", s.Peer)
		}
		return fmt.Sprintf("peer %q (%q)", s.Display, s.Peer)
	case SourceFlow:
		return fmt.Sprintf("flow %q", s.Flow)
	case SourceExternal:
		if s.Name == "" {
			return "outside"
		}
		return fmt.Sprintf("external source %q", s.Name)
	case SourceSystem:
	}
	return "the system"
}

// Context returns what a continuation brings along under a key; nil: nothing.
func (in Input) Context() *Context {
	c, _ := in.Body.(Continuation)
	return c.Context
}

// Reply is the answer of a peer to a request of ours, as it is kept until the run that takes it in is made.
type Reply struct {
	Source  Source          `json:"source"`
	Request string          `json:"request_id"`
	Status  Status          `json:"status"`
	Body    string          `json:"body,omitempty"`
	Payload json.RawMessage `json:"payload,omitempty"`
}

// Reply returns the answer of a peer; nil: the input is none, or the transcript may not see it.
func (in Input) Reply() *Reply {
	p, _ := in.Body.(Peer)
	t, ok := p.Convention.(Terminal)
	if !ok || in.Visibility.NoTranscript {
		return nil
	}
	return &Reply{in.Source, t.Request, t.Status, p.Body, p.Payload}
}

// Context returns the line that tells of the answer. Its key names the peer and the request, so that an answer that comes twice is told
// once.
func (r Reply) Context() Context {
	head := fmt.Sprintf("Answer to request %q, from %s, %s", r.Request, r.Source, r.Status)
	return Context{"peer_response_terminal:" + r.Source.Peer + ":" + r.Request, notice(NoticePeer, head, r.Body, payload(r.Payload))}
}
