// Package rehearsal is a model that plays a script: a documented file says what the model answers to which conversation, how fast,
// and how it fails (docs/rehearsal.md).
//
// Which step is played is decided from the conversation of the request alone, by playing the script again from its beginning. So a
// process that crashed and came back gets the reply the conversation is waiting for, and one model serves any number of sessions
// at once. The one exception is documented at Failure: a failed call leaves no trace in a conversation.
package rehearsal

import (
	"encoding/json"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
)

// Provider is the provider name in errors.
const Provider = "rehearsal"

// Script is what a model plays. Of the steps in their order, the first that fits the conversation and is not used up is played.
// In the file the names are lower case with underscores; durations are strings such as "250ms".
type Script struct {
	Name  string // a title; only for people
	Steps []Step // at least one
}

// Step is one reply, and when to give it.
type Step struct {
	Name     string    // a title; shown in error messages
	When     When      // the zero value fits every conversation
	Times    int       // how many replies of one conversation it may give; 0: one
	Always   bool      // never used up; excludes Times
	Failures []Failure // what happens to the first attempts, in order
	Reply    *Reply    // nil: the step only fails, and its last failure is repeated for ever
}

// When says which conversations a step is for. Every field that is set must hold.
type When struct {
	Turn        *int         // this many messages of the user before the one that is answered
	Round       *int         // this many replies since the last message of the user
	Reply       *int         // this many replies in the whole conversation
	User        string       // the last message of the user contains this; upper and lower case are equal
	UserMatches string       // the last message of the user matches this RE2 expression
	Result      *ResultMatch // there is such a tool result
	Tools       []string     // the request offers all of these tools
}

// ResultMatch asks for one tool result of which every field that is set holds.
type ResultMatch struct {
	Tool     string // the tool's name
	Contains string // its text contains this, exactly
	Matches  string // its text matches this RE2 expression
	Error    *bool  // it is, or is not, an error
	Code     string // its code, such as outcome_unknown
	Since    Since  // where to look; empty: SinceReply
}

// Since says which tool results are looked at.
type Since string

// The places to look for tool results.
const (
	SinceReply Since = "reply" // those of the calls of the last reply
	SinceUser  Since = "user"  // those after the last message of the user
	SinceStart Since = "start" // all
)

// Reply is what the model says: reasoning, then text, then calls. Text, Pieces, Reasoning and the strings in Args may hold
// placeholders: {{user}}, {{tool:NAME}}, {{results}}, {{turn}}, {{round}}, {{reply}}.
type Reply struct {
	Wait      time.Duration // before the first part
	Delay     time.Duration // before each further part
	Reasoning string
	Text      string   // streamed word by word
	Pieces    []string // streamed exactly so; excludes Text
	Calls     []Call
	Stop      transcript.StopReason // empty: tool_use if there are calls, else end_turn
	Usage     *transcript.Usage     // nil: the model does not say
}

// Call is a tool call of a reply.
type Call struct {
	Tool     string
	Args     json.RawMessage // an object; nil: {}
	ArgsText string          // instead of Args: sent as it is, valid JSON or not
	ID       id.Call         // empty: derived from the conversation
}

// The kinds of Failure that are no llm.Kind.
const (
	Cut  = "cut"  // the stream ends without its end
	Hang = "hang" // nothing comes any more until the caller gives up
)

// Failure is what one attempt comes to instead of the reply. A failed attempt leaves nothing in the conversation, so how many have
// been made is remembered by the model value, for each conversation apart: after a restart they are played again.
type Failure struct {
	Kind       string        // an llm.Kind, Cut or Hang; empty: what Status means
	Status     int           // HTTP status to report
	RetryAfter time.Duration // the hint to give
	Message    string
	After      int           // parts of the reply that arrive first; more than it has: all but its end
	Wait       time.Duration // before the failure
	Times      int           // how many attempts; 0: one
}
