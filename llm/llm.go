// Package llm is the contract for language models: a request goes in, a stream of parts comes out, one reply is put together.
//
// Adapters (one per wire format) are thin: they turn a Request into their provider's call and its stream into Parts. What a
// complete reply is, which failures may be tried again and how a truncated stream is noticed is decided here, once, by Collect.
// Adapters never retry: retries are decisions of the session, made visible and counted. Every adapter passes llmtest.Run.
package llm

import (
	"context"
	"encoding/json"
	"iter"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
)

// Model answers requests.
type Model interface {
	// Stream makes one call. It yields parts in the order of arrival and ends after a Done, or with an *Error. The call is made when
	// iteration starts and is abandoned, connection and all, when ctx ends or the consumer stops. Safe for concurrent use.
	Stream(ctx context.Context, req Request) iter.Seq2[Part, error]
}

// Source finds the model a name means: provider/name, or a name of the catalogue. An unknown name or a provider without
// configuration is an *Error of kind UnknownModel or NotConfigured that says what to do. It touches no network.
type Source interface {
	Model(ctx context.Context, name string) (Model, Info, error)
}

// Info is what is known of a model.
type Info struct {
	Name      string // provider/name
	Provider  string
	Context   int // tokens; 0: unknown
	MaxOutput int // tokens; 0: unknown
	// CallTimeout is how long one call may take, reply and all; 0: no limit of its own. The caller keeps it.
	CallTimeout time.Duration
}

// Request is one model call.
type Request struct {
	Model     string           // the provider's own name for the model
	Rows      []transcript.Row // the conversation, in order, well formed
	Tools     []Tool
	MaxOutput int             // tokens; 0: the adapter's default
	ID        string          // an id for this attempt, for the provider's logs; may be empty
	Extra     json.RawMessage // provider parameters, merged into the body by the adapter; may be nil
}

// Tool is a tool as a model is told of it.
type Tool struct {
	Name        string
	Description string
	Schema      json.RawMessage // JSON Schema of an object
}

// Part is a piece of a reply as it streams: TextPart, ReasoningPart, CallPart, UsagePart or Done.
type Part interface{ part() }

// TextPart is more visible text.
type TextPart struct{ Text string }

// ReasoningPart is more thinking; Meta, if given, closes the block and is what the provider wants back with it.
type ReasoningPart struct {
	Text string
	Meta *transcript.Meta
}

// CallPart is more of the tool call at Index: the first names it, each adds to its arguments.
type CallPart struct {
	Index int
	ID    id.Call // set once
	Name  string  // set once
	Args  string  // a fragment of the JSON text
	Meta  *transcript.Meta
}

// UsagePart reports tokens so far; a later one replaces an earlier one field by field where it is above 0.
type UsagePart struct{ Usage transcript.Usage }

// Done is the provider's own terminal event. Exactly one; a stream that ends without it is truncated.
type Done struct{ Stop transcript.StopReason }

func (TextPart) part()      {}
func (ReasoningPart) part() {}
func (CallPart) part()      {}
func (UsagePart) part()     {}
func (Done) part()          {}
