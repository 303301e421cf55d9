// Package lifecycle is the region that says whether a session exists, whether a run is bound to it, and who may still speak.
package lifecycle

import (
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/fsm"
)

// Phase of the session.
type Phase uint8

// The phases.
const (
	Unregistered Phase = iota // the zero value: not there
	Idle                      // registered, no run bound
	Running                   // a run is bound
	Stopped                   // takes no input until it is registered again
)

var phases = []string{"unregistered", "idle", "running", "stopped"}

// String returns the public name.
func (p Phase) String() string { return phases[p] }

// Kind of event.
type Kind uint8

// The kinds.
const (
	Register Kind = iota // make it exist, or revive it
	Admit                // may an input come in?
	Prepare              // bind a run
	Close                // the bound run is over
	Stop                 // take no more; end when the run ends
)

var kinds = []string{"register", "admit", "prepare", "close", "stop"}

// State of the region.
type State struct {
	Phase    Phase  `json:"phase"`
	Run      id.Run `json:"run,omitempty"`      // bound exactly in Running
	Stopping bool   `json:"stopping,omitempty"` // Running: the run's end lands in Stopped
	Reason   string `json:"reason,omitempty"`   // why it stops or stopped
}

// Event of the region.
type Event struct {
	Kind   Kind
	Run    id.Run // Prepare, Close
	Reason string // Stop
}

// GuardNotStopping is the name of the guard that keeps inputs from a session that is being stopped.
const GuardNotStopping = "no stop in progress"

type guard = fsm.Guard[State, Event]

var (
	runIsCurrent = guard{Name: "run is the bound one", OK: func(s State, e Event) bool { return s.Run == e.Run }}
	runIsNamed   = guard{Name: "run is named", OK: func(_ State, e Event) bool { return e.Run != "" }}
	stopping     = guard{Name: "stop was asked for", OK: func(s State, _ Event) bool { return s.Stopping }}
	notStopping  = guard{Name: GuardNotStopping, OK: func(s State, _ Event) bool { return !s.Stopping }}
)

func unbind(s State, _ Event) State { s.Run, s.Stopping = "", false; return s }

func revive(s State, _ Event) State { s.Reason = ""; return s }

func note(s State, e Event) State {
	if !s.Stopping {
		s.Reason = e.Reason
	}
	return s
}

// Table decides the region.
var Table = fsm.Must(fsm.Table[Phase, Kind, State, Event]{
	Region: "lifecycle",
	Phases: phases,
	Events: kinds,
	Phase:  func(s State) Phase { return s.Phase },
	Move:   func(s State, p Phase) State { s.Phase = p; return s },
	Kind:   func(e Event) Kind { return e.Kind },
	Rules: []fsm.Rule[Phase, Kind, State, Event]{
		{On: Register, From: []Phase{Unregistered, Stopped}, To: Idle, Do: revive},
		{On: Register, From: []Phase{Idle, Running}, Stay: true},
		{On: Admit, From: []Phase{Idle}, Stay: true},
		{On: Admit, From: []Phase{Running}, When: []guard{notStopping}, Stay: true},
		{On: Prepare, From: []Phase{Idle}, When: []guard{runIsNamed}, To: Running,
			Do: func(s State, e Event) State { s.Run = e.Run; return s }},
		{On: Close, From: []Phase{Running}, When: []guard{runIsCurrent, stopping}, To: Stopped, Do: unbind},
		{On: Close, From: []Phase{Running}, When: []guard{runIsCurrent}, To: Idle, Do: unbind},
		{On: Stop, From: []Phase{Idle}, To: Stopped, Do: note},
		{On: Stop, From: []Phase{Running}, Stay: true,
			Do: func(s State, e Event) State { s = note(s, e); s.Stopping = true; return s }},
		{On: Stop, From: []Phase{Stopped}, Stay: true},
	},
	Refuse: []fsm.No[Phase, Kind]{
		{On: Admit, From: []Phase{Unregistered}, Why: "session is not registered"},
		{On: Admit, From: []Phase{Stopped}, Why: "session is stopped"},
		{On: Prepare, From: []Phase{Unregistered}, Why: "session is not registered"},
		{On: Prepare, From: []Phase{Running}, Why: "a run is bound"},
		{On: Prepare, From: []Phase{Stopped}, Why: "session is stopped"},
		{On: Close, From: []Phase{Unregistered, Idle, Stopped}, Why: "no run is bound"},
		{On: Stop, From: []Phase{Unregistered}, Why: "session is not registered"},
	},
})
