package wire

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// The shapes in this file are our own: a client that reads them sees the realm as the process does that has it open.

// NativeEvent is an event as the realm keeps it.
type NativeEvent struct {
	Session id.Session          `json:"session_id"`
	Cursor  uint64              `json:"cursor,omitempty"` // 0: not durable
	Time    time.Time           `json:"time"`
	Run     id.Run              `json:"run_id,omitempty"`
	Round   int                 `json:"round,omitempty"`
	At      transcript.Position `json:"at,omitzero"`
	Type    string              `json:"type"`
	Payload json.RawMessage     `json:"payload"`
}

// Native tells an event as it is.
func Native(e event.Event) (NativeEvent, error) {
	data, err := event.Encode(e.Payload)
	if err != nil {
		return NativeEvent{}, fmt.Errorf("encode event %s: %w", e.Payload.Type(), err)
	}
	return NativeEvent{e.Session, e.Cursor, e.Time, e.Run, e.Round, e.At, e.Payload.Type(), data}, nil
}

// Event reads it back. A type that this version does not know is an event.Published of that kind, so that nothing is lost.
func (n NativeEvent) Event() (event.Event, error) {
	e := event.Event{Session: n.Session, Cursor: n.Cursor, Time: n.Time, Run: n.Run, Round: n.Round, At: n.At}
	var err error
	if event.Known(n.Type) {
		e.Payload, err = event.Decode(n.Type, n.Payload)
	} else {
		e.Payload = event.Published{Kind: n.Type, Body: n.Payload}
	}
	return e, err
}

// Detail is all that is told of one session. In listings Phase is never attached, and Run, Pending, Waiting and Cursor are not told.
type Detail struct {
	ID         id.Session        `json:"session_id"`
	Phase      string            `json:"phase"`
	Created    time.Time         `json:"created_at"`
	Updated    time.Time         `json:"updated_at"`
	Title      string            `json:"title,omitempty"`
	Model      string            `json:"model,omitempty"`
	Workspace  string            `json:"workspace,omitempty"`
	Messages   int               `json:"message_count"`
	Tokens     int               `json:"total_tokens"`
	Run        *BoundRun         `json:"run,omitempty"` // nil: none is bound
	Unfinished bool              `json:"unfinished,omitempty"`
	Pending    bool              `json:"pending,omitempty"`
	Waiting    int               `json:"waiting_inputs,omitempty"`
	Cursor     uint64            `json:"last_cursor,omitempty"`
	Labels     map[string]string `json:"labels,omitempty"`
	Deferred   bool              `json:"deferred,omitempty"`
}

// BoundRun is a run that is not over.
type BoundRun struct {
	ID       id.Run     `json:"run_id"`
	Phase    string     `json:"phase"`
	Inputs   []id.Input `json:"inputs"`
	Round    int        `json:"round"`
	Open     int        `json:"open"`
	Stopping bool       `json:"stopping,omitempty"`
}

// Details are sessions, the one that was updated last first.
type Details struct {
	Sessions []Detail `json:"sessions"`
}

// Receipt says that an input is durable.
type Receipt struct {
	Input     id.Input `json:"input_id"`
	Run       id.Run   `json:"run_id,omitempty"` // the run it started at once; empty: it waits
	Duplicate bool     `json:"duplicate,omitempty"`
}

// InputStatus says how an input stands.
type InputStatus struct {
	Input   id.Input `json:"input_id"`
	State   string   `json:"state"`
	Lane    string   `json:"lane,omitempty"`
	Run     id.Run   `json:"run_id,omitempty"`
	Outcome *Outcome `json:"outcome,omitempty"` // nil: it has not ended
}

// Outcome is how an input ended.
type Outcome struct {
	Input  id.Input         `json:"input_id"`
	Run    id.Run           `json:"run_id,omitempty"`
	Status string           `json:"status"` // completed, failed, cancelled, abandoned
	Text   string           `json:"text,omitempty"`
	Cause  string           `json:"cause,omitempty"`
	Error  string           `json:"error,omitempty"`
	Kind   string           `json:"failure_kind,omitempty"`
	Usage  transcript.Usage `json:"usage"`
	Rounds int              `json:"turns"`
	Calls  int              `json:"tool_calls"`

	Output   json.RawMessage `json:"structured_output,omitempty"`
	NoOutput *run.NoOutput   `json:"extraction_error,omitempty"`
}

// Row is an entry of a transcript at its place.
type Row struct {
	At    transcript.Position `json:"at"`
	Time  time.Time           `json:"time"`
	Run   id.Run              `json:"run_id,omitempty"`
	Role  string              `json:"role"`
	Entry json.RawMessage     `json:"entry"`
}

// Rows is a piece of a transcript.
type Rows struct {
	Rows []Row `json:"rows"`
}

// NewRow tells a row as it is.
func NewRow(r transcript.Row) (Row, error) {
	data, err := transcript.EncodeEntry(r.Entry)
	if err != nil {
		return Row{}, fmt.Errorf("encode row %d.%d: %w", r.At.Message, r.At.Ordinal, err)
	}
	return Row{r.At, r.Time, r.Run, transcript.Role(r.Entry), data}, nil
}

// Row reads it back.
func (r Row) Row() (transcript.Row, error) {
	entry, err := transcript.DecodeEntry(r.Role, r.Entry)
	return transcript.Row{At: r.At, Time: r.Time, Run: r.Run, Entry: entry}, err
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
	Outcome string    `json:"outcome,omitempty"`
}

// Effects is an effect ledger, in order.
type Effects struct {
	Effects []Effect `json:"effects"`
}
