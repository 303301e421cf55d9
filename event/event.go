// Package event holds what clients are told of a session, each durable event at a cursor.
//
// Cursors are dense per session and start at 1. A reader that was away resumes from the last cursor it saw and misses nothing.
// Deltas, which show a reply while it streams, have no cursor and are not kept: the finished reply is the event. Texts that stand
// in the transcript are stored there once; a stored event holds their position and is completed when it is read.
package event

import (
	"encoding/json"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
)

// Event is one thing that happened.
type Event struct {
	Session id.Session
	Cursor  uint64 // 0: not durable
	Time    time.Time
	Run     id.Run              // empty: outside a run
	Round   int                 // the model call within the run, from 0
	At      transcript.Position // the row that holds the payload's text; zero: none
	Payload Payload
}

// Payload says what happened. The set is closed; Type gives its public name.
type Payload interface {
	Type() string
	payload()
}

type (
	// SessionRegistered: the session exists.
	SessionRegistered struct {
		Model     string `json:"model,omitempty"`
		Workspace string `json:"workspace,omitempty"`
	}
	// InputAccepted: an input is durable.
	InputAccepted struct {
		Input id.Input `json:"input_id"`
		Lane  string   `json:"lane"`
	}
	// InputEnded: an input reached its terminal state.
	InputEnded struct {
		Input   id.Input `json:"input_id"`
		Outcome string   `json:"outcome"` // consumed, abandoned, superseded, coalesced
		Reason  string   `json:"reason,omitempty"`
		By      id.Input `json:"by,omitempty"` // superseded, coalesced: the input that took its place
	}
	// RunStarted: inputs are on their way. Prompt is their text.
	RunStarted struct {
		Inputs []id.Input `json:"inputs"`
		Prompt string     `json:"prompt,omitempty"`
	}
	// Steered: an input was taken into the running run.
	Steered struct {
		Input id.Input `json:"input_id"`
		Text  string   `json:"content,omitempty"`
	}
	// TurnStarted: a model is being called.
	TurnStarted struct {
		Number int `json:"turn_number"`
	}
	// TextDelta is text as it streams. Not durable.
	TextDelta struct {
		Delta string `json:"delta"`
	}
	// ReasoningDelta is thinking as it streams. Not durable.
	ReasoningDelta struct {
		Delta string `json:"delta"`
	}
	// AttemptVoided: what was streamed since the last TurnStarted does not count. Not durable.
	AttemptVoided struct{}
	// TextComplete: a reply with text is committed.
	TextComplete struct {
		Content string `json:"content,omitempty"`
	}
	// ToolCallRequested: the model asked for a tool; the intent is committed.
	ToolCallRequested struct {
		Call id.Call         `json:"id"`
		Name string          `json:"name"`
		Args json.RawMessage `json:"args,omitempty"`
	}
	// ToolExecutionStarted: the call is handed out.
	ToolExecutionStarted struct {
		Call    id.Call `json:"id"`
		Name    string  `json:"name"`
		Attempt int     `json:"attempt,omitempty"`
	}
	// ToolExecutionCompleted: the outcome is committed. Told in the order of the calls.
	ToolExecutionCompleted struct {
		Call     id.Call       `json:"id"`
		Name     string        `json:"name"`
		Content  string        `json:"content,omitempty"`
		IsError  bool          `json:"is_error,omitempty"`
		Code     string        `json:"code,omitempty"`
		Duration time.Duration `json:"duration_ns,omitempty"`
	}
	// Retrying: an attempt at a model call failed and another follows.
	Retrying struct {
		Attempt int           `json:"attempt"`
		Max     int           `json:"max_attempts"`
		Kind    string        `json:"kind"`
		Error   string        `json:"error"`
		Delay   time.Duration `json:"delay_ns"`
	}
	// Resumed: the run goes on after whoever carried it out was lost.
	Resumed struct {
		Reissued int `json:"reissued"` // directives handed out again
		Unknown  int `json:"unknown"`  // calls settled as outcome_unknown
	}
	// TurnCompleted: the reply that ends the run is committed.
	TurnCompleted struct {
		Stop  transcript.StopReason `json:"stop_reason"`
		Usage *transcript.Usage     `json:"usage,omitempty"`
	}
	// RunCompleted ends a run that reached its end, or the end of a budget. With ExtractionRequired its answer is in and its inputs are not at
	// their end yet: ExtractionSucceeded or ExtractionFailed follows, and before it only what becomes of the calls for it.
	RunCompleted struct {
		Result             string           `json:"result,omitempty"`
		Usage              transcript.Usage `json:"usage"` // of this run
		Rounds             int              `json:"turns"`
		Calls              int              `json:"tool_calls"`
		Cause              string           `json:"terminal_cause_kind,omitempty"` // budget_exhausted: it was stopped, and Result is what there is
		ExtractionRequired bool             `json:"extraction_required,omitempty"`
	}
	// ExtractionSucceeded: the run has the output that was wanted.
	ExtractionSucceeded struct {
		Output json.RawMessage `json:"structured_output"`
	}
	// ExtractionFailed: it has none. The run is completed all the same.
	ExtractionFailed struct {
		Last     string `json:"last_output,omitempty"` // what the model said at last
		Attempts int    `json:"attempts"`
		Reason   string `json:"reason"`
	}
	// BudgetWarning: a budget is used up. Used and Limit are tokens, calls, or milliseconds.
	BudgetWarning struct {
		Budget  string  `json:"budget_type"` // tokens, time, tool_calls
		Used    int64   `json:"used"`
		Limit   int64   `json:"limit"`
		Percent float64 `json:"percent"` // 1: all of it
	}
	// RunFailed ends a run that did not, cancelled ones included.
	RunFailed struct {
		Class  string           `json:"error_class"` // llm, tool, cancelled, max_turns, budget, internal
		Cause  string           `json:"terminal_cause_kind"`
		Kind   string           `json:"failure_kind,omitempty"` // of the failure that ended it, such as rate_limited
		Error  string           `json:"error"`
		Usage  transcript.Usage `json:"usage"`
		Rounds int              `json:"turns"`
		Calls  int              `json:"tool_calls"`
	}
	// SessionStopped: the session takes no input until it is registered again.
	SessionStopped struct {
		Reason string `json:"reason"`
	}
	// SessionRevived: a stopped session takes input again, or an unregistered one is registered again.
	SessionRevived struct{}
	// SessionUnregistered: nobody serves the session until it is registered again. What waits goes on waiting.
	SessionUnregistered struct{}
	// SessionRetired: the session takes no more input; what it has is carried out.
	SessionRetired struct {
		Pending int `json:"pending"` // inputs that are still to be carried out
	}
	// SessionArchived: the session is a record.
	SessionArchived struct{}
	// SessionReset: what waited was given up, and the session begins anew.
	SessionReset struct {
		Abandoned int `json:"abandoned"`
	}
	// SessionRecycled: the session takes input again and keeps what waits.
	SessionRecycled struct {
		Transferred int `json:"transferred"`
	}
	// SessionDestroyed: the session has ended for ever.
	SessionDestroyed struct {
		Abandoned int `json:"abandoned"`
	}
	// Published: somebody outside had something to tell the session's readers.
	Published struct {
		Kind string          `json:"kind"`
		Body json.RawMessage `json:"body,omitempty"`
	}
	// ToolConfigChanged: a server that brings tools was added, removed or reloaded, or has come so far; or what a model is offered, or can ask
	// for, has changed.
	ToolConfigChanged struct {
		Operation string `json:"operation"` // add, remove, reload
		Target    string `json:"target"`    // the server
		Phase     string `json:"phase"`     // pending, applied, draining, failed, forced; of the other domains what it is about
		Persisted bool   `json:"persisted"` // it has come to its end
		Turn      int    `json:"applied_at_turn,omitempty"`
		Cause     string `json:"cause,omitempty"` // failed: a stable text
		Error     string `json:"error,omitempty"` // failed, warning_failed_closed: for people

		Domain   string         `json:"domain,omitempty"`                 // ToolScope, DeferredCatalog, ClientTools; empty: a server
		Applied  *ToolsApplied  `json:"boundary_applied,omitempty"`       // ToolScope, unless it failed
		Deferred *ToolsDeferred `json:"deferred_catalog_delta,omitempty"` // DeferredCatalog
	}
	// BackgroundJobCompleted: work that went on beside the conversation has ended.
	BackgroundJobCompleted struct {
		Job    string `json:"job_id"`
		Name   string `json:"display_name"`
		Status string `json:"terminal_status"` // completed, failed, aborted, cancelled, retired, terminated
		Detail string `json:"detail"`          // the beginning of what it came to
	}
	// PeerRequestTimedOut: a peer did not answer in time. Nobody waits for its answer any more.
	PeerRequestTimedOut struct {
		Interaction string `json:"interaction_id"`
		Peer        string `json:"peer_id"`
		Intent      string `json:"intent,omitempty"`
	}
	// StoreFailing: the store refuses to keep something that must not be dropped, and it is tried again for up to Patience. Told once
	// until something is kept again. Not durable.
	StoreFailing struct {
		Error    string        `json:"error"`
		Patience time.Duration `json:"patience_ns"`
	}
	// Gap tells a reader that was too slow to fall back on the store: events after From are to be read by cursor. Not durable.
	Gap struct {
		From uint64 `json:"from_cursor"`
	}
)

// Type returns the public name.
func (SessionRegistered) Type() string      { return "session_registered" }
func (InputAccepted) Type() string          { return "input_accepted" }
func (InputEnded) Type() string             { return "input_ended" }
func (RunStarted) Type() string             { return "run_started" }
func (Steered) Type() string                { return "steered" }
func (TurnStarted) Type() string            { return "turn_started" }
func (TextDelta) Type() string              { return "text_delta" }
func (ReasoningDelta) Type() string         { return "reasoning_delta" }
func (AttemptVoided) Type() string          { return "attempt_voided" }
func (TextComplete) Type() string           { return "text_complete" }
func (ToolCallRequested) Type() string      { return "tool_call_requested" }
func (ToolExecutionStarted) Type() string   { return "tool_execution_started" }
func (ToolExecutionCompleted) Type() string { return "tool_execution_completed" }
func (Retrying) Type() string               { return "retrying" }
func (Resumed) Type() string                { return "resumed" }
func (TurnCompleted) Type() string          { return "turn_completed" }
func (RunCompleted) Type() string           { return "run_completed" }
func (RunFailed) Type() string              { return "run_failed" }
func (ExtractionSucceeded) Type() string    { return "extraction_succeeded" }
func (ExtractionFailed) Type() string       { return "extraction_failed" }
func (BudgetWarning) Type() string          { return "budget_warning" }
func (SessionStopped) Type() string         { return "session_stopped" }
func (SessionRevived) Type() string         { return "session_revived" }
func (SessionUnregistered) Type() string    { return "session_unregistered" }
func (SessionRetired) Type() string         { return "session_retired" }
func (SessionArchived) Type() string        { return "session_archived" }
func (SessionReset) Type() string           { return "session_reset" }
func (SessionRecycled) Type() string        { return "session_recycled" }
func (SessionDestroyed) Type() string       { return "session_destroyed" }
func (Published) Type() string              { return "published" }
func (ToolConfigChanged) Type() string      { return "tool_config_changed" }
func (BackgroundJobCompleted) Type() string { return "background_job_completed" }
func (PeerRequestTimedOut) Type() string    { return "peer_request_timed_out" }
func (StoreFailing) Type() string           { return "store_failing" }
func (Gap) Type() string                    { return "stream_truncated" }

func (SessionRegistered) payload()      {}
func (InputAccepted) payload()          {}
func (InputEnded) payload()             {}
func (RunStarted) payload()             {}
func (Steered) payload()                {}
func (TurnStarted) payload()            {}
func (TextDelta) payload()              {}
func (ReasoningDelta) payload()         {}
func (AttemptVoided) payload()          {}
func (TextComplete) payload()           {}
func (ToolCallRequested) payload()      {}
func (ToolExecutionStarted) payload()   {}
func (ToolExecutionCompleted) payload() {}
func (Retrying) payload()               {}
func (Resumed) payload()                {}
func (TurnCompleted) payload()          {}
func (RunCompleted) payload()           {}
func (RunFailed) payload()              {}
func (ExtractionSucceeded) payload()    {}
func (ExtractionFailed) payload()       {}
func (BudgetWarning) payload()          {}
func (SessionStopped) payload()         {}
func (SessionRevived) payload()         {}
func (SessionUnregistered) payload()    {}
func (SessionRetired) payload()         {}
func (SessionArchived) payload()        {}
func (SessionReset) payload()           {}
func (SessionRecycled) payload()        {}
func (SessionDestroyed) payload()       {}
func (Published) payload()              {}
func (ToolConfigChanged) payload()      {}
func (BackgroundJobCompleted) payload() {}
func (PeerRequestTimedOut) payload()    {}
func (StoreFailing) payload()           {}
func (Gap) payload()                    {}
