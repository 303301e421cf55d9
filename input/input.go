package input

import (
	"encoding/json"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/transcript"
)

// Input is one thing a session is given. It is a value; nothing it holds is changed once it was submitted.
type Input struct {
	ID           id.Input
	Key          string // of idempotency; empty: the id is the key
	Supersession string // together with the kind: what this one replaces while that still waits. Empty: nothing
	Correlation  string // whatever the submitter wants to find again
	Source       Source
	Durability   Durability
	Visibility   Visibility
	Body         Body
}

// Source says where an input comes from. Only the fields of its kind count; the zero value is the operator.
type Source struct {
	Kind    SourceKind `json:"type"`
	Peer    string     `json:"peer_id,omitempty"`
	Display string     `json:"display_identity,omitempty"` // of a peer, for people; nothing is decided by it
	Runtime string     `json:"runtime_id,omitempty"`       // of a peer: where it lives, if known
	Flow    string     `json:"flow_id,omitempty"`
	Step    int        `json:"step_index,omitempty"`
	Name    string     `json:"source_name,omitempty"` // of an external source
}

// IsZero reports whether s is the operator and says nothing more.
func (s Source) IsZero() bool { return s == Source{} }

// Visibility says who may see what an input says. The zero value: everybody.
type Visibility struct {
	NoTranscript bool // it adds nothing of its own to the transcript; what it brings along for it is added nevertheless
	NoOperator   bool // clients are not told its text
}

// IsZero reports whether everybody may see it.
func (v Visibility) IsZero() bool { return v == Visibility{} }

// Body is what an input says: Prompt, Peer, FlowStep, ExternalEvent, Continuation or Operation.
type Body interface{ body() }

// Prompt is what the operator, or whoever stands in for one, says.
type Prompt struct {
	Text    string            `json:"text,omitempty"`
	Blocks  transcript.Blocks `json:"blocks,omitempty"` // in place of Text
	Appends Entries           `json:"appends,omitempty"`
	Run     Options           `json:"run,omitzero"`
}

// Peer is what another agent says. It is data, and never user text (R101).
type Peer struct {
	Convention Convention // nil: none, which is treated as a message
	Body       string
	Payload    json.RawMessage
	Blocks     transcript.Blocks
	Handling   Handling
}

// Convention says what a peer means by it: Message, Request, Progress or Terminal.
type Convention interface{ convention() }

type (
	// Message wants no answer.
	Message struct{}
	// Request wants one.
	Request struct {
		ID     string `json:"request_id"`
		Intent string `json:"intent"`
	}
	// Progress tells how far the answer to a request of ours is.
	Progress struct {
		Request string `json:"request_id"`
		Phase   string `json:"phase"`
	}
	// Terminal is the answer to a request of ours, and its end.
	Terminal struct {
		Request string `json:"request_id"`
		Status  Status `json:"status"`
	}
)

// FlowStep is a step of a flow that drives the session.
type FlowStep struct {
	Step         string            `json:"step_id"`
	Instructions string            `json:"instructions"`
	Blocks       transcript.Blocks `json:"blocks,omitempty"`
	Run          Options           `json:"run,omitzero"`
}

// ExternalEvent is something that happened outside.
type ExternalEvent struct {
	Type     string            `json:"event_type"`
	Payload  json.RawMessage   `json:"payload,omitempty"` // the text of its field body, if it has one, is what the event says
	Blocks   transcript.Blocks `json:"blocks,omitempty"`
	Handling Handling          `json:"handling_mode,omitempty"` // absent is Queue
	Render   Render            `json:"render_metadata,omitzero"`
}

// Continuation makes the session go on: with the transcript as it is, or with what it brings along for it.
type Continuation struct {
	Reason   string        `json:"reason"`
	Handling Handling      `json:"handling_mode,omitempty"` // absent is Queue
	Request  string        `json:"request_id,omitempty"`
	Overlay  scope.Overlay `json:"-"`
	Context  *Context      `json:"context_append,omitempty"`
	Turn     Entries       `json:"turn_append,omitempty"`
}

// Operation is news of a background operation that nobody needs to act on.
type Operation struct {
	Operation string `json:"operation_id"`
	Event     string `json:"event"`
}

func (Prompt) body()        {}
func (Peer) body()          {}
func (FlowStep) body()      {}
func (ExternalEvent) body() {}
func (Continuation) body()  {}
func (Operation) body()     {}

func (Message) convention()  {}
func (Request) convention()  {}
func (Progress) convention() {}
func (Terminal) convention() {}

// ReasonAttention is the reason of a continuation whose key is free again as soon as it has ended.
const ReasonAttention = "workgraph_attention"

// LiveKey reports whether the input's key counts only while it is live: another one may have it after the end.
func (in Input) LiveKey() bool {
	c, ok := in.Body.(Continuation)
	return ok && c.Reason == ReasonAttention
}

// Kind returns what the input is for a policy: KindNone for one without a body.
func (in Input) Kind() Kind {
	switch b := in.Body.(type) {
	case Prompt:
		return KindPrompt
	case Peer:
		switch b.Convention.(type) {
		case Request:
			return KindPeerRequest
		case Progress:
			return KindPeerProgress
		case Terminal:
			return KindPeerTerminal
		case Message:
			return KindPeerMessage
		default:
			return KindPeerMessage
		}
	case FlowStep:
		return KindFlowStep
	case ExternalEvent:
		return KindExternalEvent
	case Continuation:
		return KindContinuation
	case Operation:
		return KindOperation
	default:
		return KindNone
	}
}

// Options returns what the input asks of its run. Bodies without options of their own have those that their fields mean.
func (in Input) Options() Options {
	switch b := in.Body.(type) {
	case Prompt:
		return b.Run
	case Peer:
		return Options{Handling: b.Handling}
	case FlowStep:
		return b.Run
	case ExternalEvent:
		return Options{Handling: max(b.Handling, HandlingQueue), Render: b.Render}
	case Continuation:
		return Options{Handling: max(b.Handling, HandlingQueue), Overlay: b.Overlay}
	default:
		return Options{}
	}
}

// Dispatched reports whether a continuation comes with the context of a dispatch: it goes on in the place of what waited for it.
func (in Input) Dispatched() bool {
	c, ok := in.Body.(Continuation)
	return ok && c.Overlay.Dispatch != "" && c.Reason != ReasonAttention
}

// Intent returns what a peer's request is about; false: it is none.
func (in Input) Intent() (string, bool) {
	p, _ := in.Body.(Peer)
	r, ok := p.Convention.(Request)
	return r.Intent, ok
}
