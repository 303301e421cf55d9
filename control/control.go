// Package control is the one door to the system: every public operation once, for every surface.
//
// A surface translates its protocol to these calls and back. It owns no default, no policy and no executor.
package control

import (
	"encoding/json"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// Session is what is told of a session.
type Session struct {
	ID        id.Session `json:"session_id"`
	Phase     string     `json:"phase"` // idle, attached (idle with an executor; not told in listings), running, stopped
	Created   time.Time  `json:"created_at"`
	Updated   time.Time  `json:"updated_at"`
	Title     string     `json:"title,omitempty"`
	Model     string     `json:"model,omitempty"`
	Workspace string     `json:"workspace,omitempty"`
	Messages  int        `json:"message_count"`
	Tokens    int        `json:"total_tokens"`
	Run       *Run       `json:"run,omitempty"` // the bound one; nil: none. Only for a single session, not in listings
	// Unfinished says that a run is bound, living or waiting for somebody to go on with it.
	Unfinished bool `json:"unfinished,omitempty"`
	// Pending says that the transcript ends with a message that waits for a reply: Submit with Continue asks for it. Only for a
	// single session, as Waiting, which counts the inputs that are in no run yet.
	Pending bool `json:"pending,omitempty"`
	Waiting int  `json:"waiting_inputs,omitempty"`
	// Cursor is that of its last durable event: where a reader begins that wants only what is to come. Only for a single session.
	Cursor uint64 `json:"last_cursor,omitempty"`
	// Labels are those it was made with.
	Labels map[string]string `json:"labels,omitempty"`
	// Deferred says that nothing has been said in it yet.
	Deferred bool `json:"deferred,omitempty"`
}

// Run is a run that is not over.
type Run struct {
	ID       id.Run     `json:"run_id"`
	Phase    string     `json:"phase"` // calling_llm, waiting_for_ops, error_recovery, applying_primitive, extracting
	Inputs   []id.Input `json:"inputs"`
	Round    int        `json:"round"`
	Open     int        `json:"open"` // effects asked for and not answered
	Stopping bool       `json:"stopping,omitempty"`
}

// CreateSession asks for a new session.
type CreateSession struct {
	ID      id.Session  // empty: minted. An existing id is an error of code invalid
	Key     string      // idempotency key, for one without an ID: the same key again is the session that was made first, as it is now. Empty: none
	Profile run.Profile // what is not set is taken from the realm's defaults, except Tools if Builtins is set
	System  string      // system prompt; empty: the realm's
	// Extra is added to the system prompt, a paragraph each.
	Extra []string
	// Provider of the profile's model; empty: the model's name says it.
	Provider string
	// Builtins and Shell say which of our tools it has; nil: as the realm's settings say. Neither counts beside Profile.Tools.
	Builtins, Shell *bool
	// Deferred makes a session that says nothing before its first Submit. Prompt is then put in front of what that says.
	Deferred bool
	Prompt   transcript.Blocks // only with Deferred
}

// Lanes an input may wait in.
const (
	LaneQueue = "queue" // starts a run of its own, in turn
	LaneSteer = "steer" // taken into the running run at its next boundary
)

// Submit gives a session something to do.
type Submit struct {
	Session     id.Session
	Input       id.Input          // empty: minted
	Key         string            // idempotency key; empty: the input id
	Lane        string            // empty: LaneQueue
	Content     transcript.Blocks // what the user says; empty only with Continue
	Continue    bool              // no new message: go on from a transcript that waits for a reply, as after a failed run
	RequireIdle bool              // refuse with code busy unless nothing is running or waiting
	Asks        Asks
	Client      run.ToolHandler // who is asked first to carry out the calls of client tools; nil: whoever registered them
}

// Receipt says that an input is durable. Duplicate: it had been accepted before, under Input.
type Receipt struct {
	Input     id.Input `json:"input_id"`
	Run       id.Run   `json:"run_id,omitempty"` // the run it started at once; empty: it waits
	Duplicate bool     `json:"duplicate,omitempty"`
}

// Statuses of an Outcome.
const (
	Completed = "completed"
	Failed    = "failed"
	Cancelled = "cancelled"
	Abandoned = "abandoned"
)

// Outcome is how an input ended.
type Outcome struct {
	Input  id.Input         `json:"input_id"`
	Run    id.Run           `json:"run_id,omitempty"`
	Status string           `json:"status"`
	Text   string           `json:"text,omitempty"`  // the final reply; of a failed run, and of one whose budget was used up, the last one
	Cause  string           `json:"cause,omitempty"` // terminal cause kind, where it is not completed, and budget_exhausted where it is
	Error  string           `json:"error,omitempty"`
	Kind   string           `json:"failure_kind,omitempty"` // of the model's failure that ended the run, such as rate_limited
	Usage  transcript.Usage `json:"usage"`                  // of the run
	Rounds int              `json:"turns"`
	Calls  int              `json:"tool_calls"`

	Output   json.RawMessage `json:"structured_output,omitempty"` // fits the profile's schema
	NoOutput *run.NoOutput   `json:"extraction_error,omitempty"`  // why a completed run that wanted an output has none
}

// Effect is one entry of a session's effect ledger.
type Effect struct {
	ID      id.Effect `json:"id"`
	Kind    string    `json:"kind"`
	Run     id.Run    `json:"run_id"`
	Call    id.Call   `json:"call_id,omitempty"`
	Name    string    `json:"name,omitempty"`
	Class   string    `json:"class"`
	Attempt int       `json:"attempt"`
	Open    bool      `json:"open"`
	Outcome string    `json:"outcome,omitempty"` // ok, error, or a result code
}

// ListSessions asks for sessions, latest first.
type ListSessions struct {
	Limit     int    // 0: 100
	Offset    int    // how many to leave out
	Workspace string // only those of this folder; empty: all
	// Labels must all be on a session.
	Labels map[string]string
	// Archived also lists sessions that are a record, destroyed, or unregistered.
	Archived bool
	// DeferredFirst puts those that have said nothing before all others.
	DeferredFirst bool
}
