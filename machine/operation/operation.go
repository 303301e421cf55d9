// Package operation is the region of one tool call: from its intent to its one terminal outcome.
package operation

import (
	"github.com/meerkat-go/meerkat/machine/fsm"
)

// Phase of a call.
type Phase uint8

// The phases.
const (
	Absent     Phase = iota // the zero value: not asked for
	Running                 // its intent is committed: it may have run
	Completed               // it has a result
	Failed                  // it has an error result, or was never run because it must not
	Cancelled               // an interrupt ended it
	Terminated              // it may or may not have run, and must not run again
)

var phases = []string{"absent", "running", "completed", "failed", "cancelled", "terminated"}

// String returns the public name.
func (p Phase) String() string { return phases[p] }

// Kind of event.
type Kind uint8

// The kinds.
const (
	Start   Kind = iota // commit the intent
	Refuse              // never run it: unknown tool, bad arguments
	Settle              // the tool's result, an error result included
	Cancel              // an interrupt
	Reissue             // whoever ran it is lost, and it is safe to run it again
	Abandon             // whoever ran it is lost, and it is not
)

var kinds = []string{"start", "refuse", "settle", "cancel", "reissue", "abandon"}

// MaxAttempts bounds how often a repeatable call is handed out: one that kills whoever runs it must not do so for ever.
const MaxAttempts = 3

// State of one call.
type State struct {
	Phase      Phase
	Repeatable bool // its class, frozen with the intent
	Attempt    int  // counts from 1 once it runs
}

// Event of the region.
type Event struct {
	Kind       Kind
	Repeatable bool // Start
	IsError    bool // Settle
}

type guard = fsm.Guard[State, Event]

var (
	repeatable   = guard{Name: "the call is declared repeatable", OK: func(s State, _ Event) bool { return s.Repeatable }}
	attemptsLeft = guard{Name: "attempts are left", OK: func(s State, _ Event) bool { return s.Attempt < MaxAttempts }}
	isError      = guard{Name: "the result is an error", OK: func(_ State, e Event) bool { return e.IsError }}
)

var ended = []Phase{Completed, Failed, Cancelled, Terminated}

// Table decides the region.
var Table = fsm.Must(fsm.Table[Phase, Kind, State, Event]{
	Region: "operation",
	Phases: phases,
	Events: kinds,
	Phase:  func(s State) Phase { return s.Phase },
	Move:   func(s State, p Phase) State { s.Phase = p; return s },
	Kind:   func(e Event) Kind { return e.Kind },
	Rules: []fsm.Rule[Phase, Kind, State, Event]{
		{On: Start, From: []Phase{Absent}, To: Running,
			Do: func(s State, e Event) State { s.Repeatable, s.Attempt = e.Repeatable, 1; return s }},
		{On: Refuse, From: []Phase{Absent}, To: Failed},
		{On: Settle, From: []Phase{Running}, When: []guard{isError}, To: Failed},
		{On: Settle, From: []Phase{Running}, To: Completed},
		{On: Cancel, From: []Phase{Running}, To: Cancelled},
		{On: Reissue, From: []Phase{Running}, When: []guard{repeatable, attemptsLeft}, Stay: true,
			Do: func(s State, _ Event) State { s.Attempt++; return s }},
		{On: Abandon, From: []Phase{Running}, To: Terminated},
	},
	Refuse: []fsm.No[Phase, Kind]{
		{On: Start, From: []Phase{Running}, Why: "already running"},
		{On: Start, From: ended, Why: "already ended"},
		{On: Refuse, From: []Phase{Running}, Why: "already running"},
		{On: Refuse, From: ended, Why: "already ended"},
		{On: Settle, From: []Phase{Absent}, Why: "never asked for"},
		{On: Settle, From: ended, Why: "already ended"},
		{On: Cancel, From: []Phase{Absent}, Why: "never asked for"},
		{On: Cancel, From: ended, Why: "already ended"},
		{On: Reissue, From: []Phase{Absent}, Why: "never asked for"},
		{On: Reissue, From: ended, Why: "already ended"},
		{On: Abandon, From: []Phase{Absent}, Why: "never asked for"},
		{On: Abandon, From: ended, Why: "already ended"},
	},
})
