// Package operation is the region of one tool call that a run waits for: from its intent to its one terminal outcome.
//
// A call that waits for somebody's word is held: it surely has not run. One that was handed out may have run, whatever becomes of whoever
// ran it; so the two end differently. What goes on beside the run is in package registry, which keeps a register of it.
//
//	failure                       event      what becomes of the call
//	whoever ran it is lost        Reissue    again, if it is declared repeatable and was not tried too often
//	whoever ran it is lost        Abandon    terminated: it may have run
//	the process is lost, held     none       nothing: it waits on
//	nobody decides, or says no    Refuse     failed: never run
package operation

import (
	"errors"
	"fmt"

	"github.com/meerkat-go/meerkat/machine/fsm"
)

// Phase of a call.
type Phase uint8

// The phases.
const (
	Absent     Phase = iota // the zero value: not asked for
	Held                    // its intent is committed, and it waits for a word: it has not run
	Running                 // its intent is committed: it may have run
	Completed               // it has a result
	Failed                  // it has an error result, or was never run because it must not
	Cancelled               // an interrupt ended it
	Terminated              // it may or may not have run, and must not run again
)

var phases = []string{"absent", "held", "running", "completed", "failed", "cancelled", "terminated"}

// String returns the public name.
func (p Phase) String() string { return phases[p] }

// Kind of event.
type Kind uint8

// The kinds.
const (
	Start   Kind = iota // commit the intent
	Refuse              // never run it: unknown tool, bad arguments, somebody said no
	Settle              // the tool's result, an error result included
	Cancel              // an interrupt
	Reissue             // whoever ran it is lost, and it is safe to run it again
	Abandon             // whoever ran it is lost, and it is not
	Hold                // commit the intent, and wait for a word before it runs
	Release             // the word is given: it may run
	Yield               // new input: a call that only waits gives way
)

var kinds = []string{"start", "refuse", "settle", "cancel", "reissue", "abandon", "hold", "release", "yield"}

// Word is what a held call waits for.
type Word uint8

// The words.
const (
	NoWord   Word = iota // the zero value: it is not held
	Approval             // somebody must allow it
	Callback             // a client must run it and bring the result
)

var words = []string{"", "approval", "callback"}

// String returns the name.
func (w Word) String() string { return words[w] }

// MaxAttempts bounds how often a repeatable call is handed out: one that kills whoever runs it must not do so for ever.
const MaxAttempts = 3

// State of one call.
type State struct {
	Phase      Phase
	Repeatable bool // its class, frozen with the intent
	Yields     bool // it only waits, and gives way to new input; frozen with the intent
	Attempt    int  // counts from 1 once it runs
	For        Word // in Held alone: what it waits for
}

// Event of the region.
type Event struct {
	Kind       Kind
	Repeatable bool // Start, Hold
	Yields     bool // Start, Hold
	IsError    bool // Settle
	For        Word // Hold
}

// Names of guards and refusals that callers tell apart.
const (
	GuardCallback = "a callback is awaited"
	GuardWaits    = "the call only waits"
	WhyHeld       = "held: it has not run"
)

type guard = fsm.Guard[State, Event]

var (
	repeatable   = guard{Name: "the call is declared repeatable", OK: func(s State, _ Event) bool { return s.Repeatable }}
	attemptsLeft = guard{Name: "attempts are left", OK: func(s State, _ Event) bool { return s.Attempt < MaxAttempts }}
	isError      = guard{Name: "the result is an error", OK: func(_ State, e Event) bool { return e.IsError }}
	forWord      = guard{Name: "what it waits for is named", OK: func(_ State, e Event) bool { return e.For != NoWord }}
	forCallback  = guard{Name: GuardCallback, OK: func(s State, _ Event) bool { return s.For == Callback }}
	allowed      = guard{Name: "an allowed call goes on to its callback", OK: func(s State, e Event) bool { return s.For == Approval && e.For == Callback }}
	yields       = guard{Name: GuardWaits, OK: func(s State, _ Event) bool { return s.Yields }}
)

func freeze(s State, e Event) State {
	s.Repeatable, s.Yields = e.Repeatable, e.Yields
	return s
}

func start(s State, e Event) State { s = freeze(s, e); s.Attempt = 1; return s }
func hold(s State, e Event) State  { s = freeze(s, e); s.For = e.For; return s }
func first(s State, _ Event) State { s.For, s.Attempt = NoWord, 1; return s }
func over(s State, _ Event) State  { s.For = NoWord; return s }

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
		{On: Start, From: []Phase{Absent}, To: Running, Do: start},                    // C1
		{On: Hold, From: []Phase{Absent}, When: []guard{forWord}, To: Held, Do: hold}, // C2
		{On: Hold, From: []Phase{Held}, When: []guard{allowed}, Stay: true, Do: func(s State, e Event) State { // C3
			s.For = e.For
			return s
		}},
		{On: Release, From: []Phase{Held}, To: Running, Do: first},                                   // C4
		{On: Refuse, From: []Phase{Absent}, To: Failed},                                              // C5
		{On: Refuse, From: []Phase{Held}, To: Failed, Do: over},                                      // C6
		{On: Settle, From: []Phase{Running}, When: []guard{isError}, To: Failed},                     // C7
		{On: Settle, From: []Phase{Running}, To: Completed},                                          // C8
		{On: Settle, From: []Phase{Held}, When: []guard{forCallback, isError}, To: Failed, Do: over}, // C9
		{On: Settle, From: []Phase{Held}, When: []guard{forCallback}, To: Completed, Do: over},       // C10
		{On: Cancel, From: []Phase{Running}, To: Cancelled},                                          // C11
		{On: Cancel, From: []Phase{Held}, To: Cancelled, Do: over},                                   // C12
		{On: Reissue, From: []Phase{Running}, When: []guard{repeatable, attemptsLeft}, Stay: true, // C13
			Do: func(s State, _ Event) State { s.Attempt++; return s }},
		{On: Abandon, From: []Phase{Running}, To: Terminated},                     // C14
		{On: Yield, From: []Phase{Running}, When: []guard{yields}, To: Completed}, // C15
	},
	Refuse: []fsm.No[Phase, Kind]{
		{On: Start, From: []Phase{Held}, Why: "held: it is to be released"},
		{On: Start, From: []Phase{Running}, Why: "already running"},
		{On: Start, From: ended, Why: "already ended"},
		{On: Hold, From: []Phase{Running}, Why: "already running"},
		{On: Hold, From: ended, Why: "already ended"},
		{On: Release, From: []Phase{Absent}, Why: "never asked for"},
		{On: Release, From: []Phase{Running}, Why: "already running"},
		{On: Release, From: ended, Why: "already ended"},
		{On: Refuse, From: []Phase{Running}, Why: "already running"},
		{On: Refuse, From: ended, Why: "already ended"},
		{On: Settle, From: []Phase{Absent}, Why: "never asked for"},
		{On: Settle, From: ended, Why: "already ended"},
		{On: Cancel, From: []Phase{Absent}, Why: "never asked for"},
		{On: Cancel, From: ended, Why: "already ended"},
		{On: Reissue, From: []Phase{Absent}, Why: "never asked for"},
		{On: Reissue, From: []Phase{Held}, Why: WhyHeld},
		{On: Reissue, From: ended, Why: "already ended"},
		{On: Abandon, From: []Phase{Absent}, Why: "never asked for"},
		{On: Abandon, From: []Phase{Held}, Why: WhyHeld},
		{On: Abandon, From: ended, Why: "already ended"},
		{On: Yield, From: []Phase{Absent}, Why: "never asked for"},
		{On: Yield, From: []Phase{Held}, Why: WhyHeld},
		{On: Yield, From: ended, Why: "already ended"},
	},
})

// Check says what is wrong with the state of a call: nil, or joined errors that each begin with the number of a rule of docs/rules.md.
func Check(s State) error {
	var errs []error
	want := func(ok bool, rule, what string) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s: a call that is %s (attempt %d, for %q) %s", rule, s.Phase, s.Attempt, s.For, what))
		}
	}
	want((s.Phase == Held) == (s.For != NoWord), "R99", "waits for a word exactly while it is held")
	want(s.Phase != Held && s.Phase != Absent || s.Attempt == 0, "R99", "has not run")
	want(s.Phase != Running && s.Phase != Terminated || s.Attempt >= 1, "R99", "may have run")
	most := 1
	if s.Repeatable {
		most = MaxAttempts
	}
	want(s.Attempt <= most, "R04", "was handed out too often")
	return errors.Join(errs...)
}
