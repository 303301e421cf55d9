// Package lifecycle is the region that says whether a session exists, whether a run is bound to it, and who may still speak.
//
// Attached is no phase: an idle session with an executor is reported so. A session that retires while a run is bound stays running, is
// reported as retired, and is retired when the run ends. One that is unregistered keeps its phase and its run: it is away, and goes
// on where it was when it is registered again.
package lifecycle

import (
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/fsm"
)

// Phase of the session. The numbers are stored.
type Phase uint8

// The phases.
const (
	Unregistered Phase = iota // the zero value: not there
	Idle                      // no run is bound
	Running                   // a run is bound
	Stopped                   // takes no input until it is registered again
	Retired                   // takes no input; what waits is still carried out
	Destroyed                 // for ever
)

var phases = []string{"unregistered", "idle", "running", "stopped", "retired", "destroyed"}

// String returns the public name.
func (p Phase) String() string { return phases[p] }

// Kind of event.
type Kind uint8

// The kinds.
const (
	Register   Kind = iota // make it exist, revive it, or bring it back
	Admit                  // may an input come in?
	Prepare                // bind a run
	Close                  // the bound run is over
	Stop                   // take no more; end when the run ends
	Retire                 // take no more; carry out what is there
	Reset                  // give up what waits and begin anew
	Recycle                // take input again; keep what waits
	Recover                // look at the rows again
	Destroy                // end for ever
	Unregister             // nobody serves it here any more
	Archive                // a retired session becomes a record
)

var kinds = []string{"register", "admit", "prepare", "close", "stop", "retire", "reset", "recycle", "recover", "destroy", "unregister", "archive"}

// State of the region.
type State struct {
	Phase    Phase    `json:"phase"`
	Stopping bool     `json:"stopping,omitempty"` // Running: the run's end lands in Stopped
	Retiring bool     `json:"retiring,omitempty"` // Running: the run's end lands in Retired
	Away     bool     `json:"away,omitempty"`     // unregistered, and its rows are kept
	Archived bool     `json:"archived,omitempty"` // retired for good: a record
	Run      id.Run   `json:"run,omitempty"`      // bound exactly in Running
	Reason   string   `json:"reason,omitempty"`   // why it stops or stopped
	Epoch    id.Epoch `json:"epoch,omitempty"`    // of the registration; empty in records older than epochs
}

// Event of the region.
type Event struct {
	Kind   Kind
	Run    id.Run   // Prepare, Close
	Reason string   // Stop
	Epoch  id.Epoch // Register: the one a new registration gets
}

// Names of guards and refusals that callers tell apart.
const (
	GuardNotStopping = "no stop in progress"
	GuardNotRetiring = "session is not retiring"
	GuardNotArchived = "session is not archived"
	WhyUnregistered  = "session is not registered"
	WhyStopped       = "session is stopped"
	WhyRetired       = "session is retired"
	WhyDestroyed     = "session is destroyed"
	WhyRunning       = "session is running"
)

type guard = fsm.Guard[State, Event]

var (
	runIsCurrent = guard{Name: "run is the bound one", OK: func(s State, e Event) bool { return s.Run == e.Run }}
	runIsNamed   = guard{Name: "run is named", OK: func(_ State, e Event) bool { return e.Run != "" }}
	stopping     = guard{Name: "stop was asked for", OK: func(s State, _ Event) bool { return s.Stopping }}
	retiring     = guard{Name: "retirement was asked for", OK: func(s State, _ Event) bool { return s.Retiring }}
	notStopping  = guard{Name: GuardNotStopping, OK: func(s State, _ Event) bool { return !s.Stopping }}
	notRetiring  = guard{Name: GuardNotRetiring, OK: func(s State, _ Event) bool { return !s.Retiring }}
	notArchived  = guard{Name: GuardNotArchived, OK: func(s State, _ Event) bool { return !s.Archived }}
)

func unbind(s State, _ Event) State { s.Run, s.Stopping, s.Retiring = "", false, false; return s }
func begin(s State, e Event) State  { s.Reason, s.Epoch = "", e.Epoch; return s }

// back is what registering means for one that is there: nothing, or a new epoch if it was away.
func back(s State, e Event) State {
	if s.Away {
		s.Away, s.Epoch = false, e.Epoch
	}
	return s
}

func revive(s State, e Event) State { s.Reason = ""; return back(s, e) }
func forget(s State, _ Event) State { s.Reason = ""; return s }
func end(s State, _ Event) State    { s.Reason, s.Away, s.Archived = "", false, false; return s }

func note(s State, e Event) State {
	if !s.Stopping {
		s.Reason = e.Reason
	}
	return s
}

func bind(s State, e Event) State { s.Run = e.Run; return s }

var live = []Phase{Idle, Running, Stopped, Retired}

// Table decides the region.
var Table = fsm.Must(fsm.Table[Phase, Kind, State, Event]{
	Region: "lifecycle",
	Phases: phases,
	Events: kinds,
	Phase:  func(s State) Phase { return s.Phase },
	Move:   func(s State, p Phase) State { s.Phase = p; return s },
	Kind:   func(e Event) Kind { return e.Kind },
	Rules: []fsm.Rule[Phase, Kind, State, Event]{
		{On: Register, From: []Phase{Unregistered}, To: Idle, Do: begin},
		{On: Register, From: []Phase{Stopped}, When: []guard{notArchived}, To: Idle, Do: revive},
		{On: Register, From: []Phase{Idle, Running, Retired}, When: []guard{notArchived}, Stay: true, Do: back},
		{On: Admit, From: []Phase{Idle}, Stay: true},
		{On: Admit, From: []Phase{Running}, When: []guard{notStopping, notRetiring}, Stay: true},
		{On: Prepare, From: []Phase{Idle}, When: []guard{runIsNamed}, To: Running, Do: bind},
		{On: Prepare, From: []Phase{Retired}, When: []guard{runIsNamed}, To: Running,
			Do: func(s State, e Event) State { s.Retiring = true; return bind(s, e) }},
		{On: Close, From: []Phase{Running}, When: []guard{runIsCurrent, stopping}, To: Stopped, Do: unbind},
		{On: Close, From: []Phase{Running}, When: []guard{runIsCurrent, retiring}, To: Retired, Do: unbind},
		{On: Close, From: []Phase{Running}, When: []guard{runIsCurrent}, To: Idle, Do: unbind},
		{On: Stop, From: []Phase{Idle}, To: Stopped, Do: note},
		{On: Stop, From: []Phase{Retired}, When: []guard{notArchived}, To: Stopped, Do: note},
		{On: Stop, From: []Phase{Running}, Stay: true,
			Do: func(s State, e Event) State { s = note(s, e); s.Stopping = true; return s }},
		{On: Stop, From: []Phase{Stopped}, Stay: true},
		{On: Retire, From: []Phase{Idle, Stopped}, To: Retired, Do: forget},
		{On: Retire, From: []Phase{Running}, When: []guard{notStopping}, Stay: true,
			Do: func(s State, _ Event) State { s.Retiring = true; return s }},
		{On: Retire, From: []Phase{Retired}, Stay: true},
		{On: Reset, From: []Phase{Idle}, Stay: true},
		{On: Reset, From: []Phase{Retired}, When: []guard{notArchived}, To: Idle},
		{On: Recycle, From: []Phase{Idle}, Stay: true},
		{On: Recycle, From: []Phase{Retired}, When: []guard{notArchived}, To: Idle},
		{On: Recover, From: []Phase{Idle, Retired, Stopped}, Stay: true},
		{On: Destroy, From: []Phase{Idle, Stopped, Retired}, To: Destroyed, Do: end},
		{On: Destroy, From: []Phase{Destroyed}, Stay: true},
		{On: Unregister, From: live, Stay: true, Do: func(s State, _ Event) State { s.Away = true; return s }},
		{On: Archive, From: []Phase{Retired}, Stay: true, Do: func(s State, _ Event) State { s.Archived = true; return s }},
	},
	Refuse: []fsm.No[Phase, Kind]{
		{On: Register, From: []Phase{Destroyed}, Why: WhyDestroyed},
		{On: Admit, From: []Phase{Unregistered}, Why: WhyUnregistered},
		{On: Admit, From: []Phase{Stopped}, Why: WhyStopped},
		{On: Admit, From: []Phase{Retired}, Why: WhyRetired},
		{On: Admit, From: []Phase{Destroyed}, Why: WhyDestroyed},
		{On: Prepare, From: []Phase{Unregistered}, Why: WhyUnregistered},
		{On: Prepare, From: []Phase{Running}, Why: WhyRunning},
		{On: Prepare, From: []Phase{Stopped}, Why: WhyStopped},
		{On: Prepare, From: []Phase{Destroyed}, Why: WhyDestroyed},
		{On: Close, From: []Phase{Unregistered, Idle, Stopped, Retired, Destroyed}, Why: "no run is bound"},
		{On: Stop, From: []Phase{Unregistered}, Why: WhyUnregistered},
		{On: Stop, From: []Phase{Destroyed}, Why: WhyDestroyed},
		{On: Retire, From: []Phase{Unregistered}, Why: WhyUnregistered},
		{On: Retire, From: []Phase{Destroyed}, Why: WhyDestroyed},
		{On: Reset, From: []Phase{Unregistered}, Why: WhyUnregistered},
		{On: Reset, From: []Phase{Running}, Why: WhyRunning},
		{On: Reset, From: []Phase{Stopped}, Why: WhyStopped},
		{On: Reset, From: []Phase{Destroyed}, Why: WhyDestroyed},
		{On: Recycle, From: []Phase{Unregistered}, Why: WhyUnregistered},
		{On: Recycle, From: []Phase{Running}, Why: WhyRunning},
		{On: Recycle, From: []Phase{Stopped}, Why: WhyStopped},
		{On: Recycle, From: []Phase{Destroyed}, Why: WhyDestroyed},
		{On: Recover, From: []Phase{Unregistered}, Why: WhyUnregistered},
		{On: Recover, From: []Phase{Running}, Why: WhyRunning},
		{On: Recover, From: []Phase{Destroyed}, Why: WhyDestroyed},
		{On: Destroy, From: []Phase{Unregistered}, Why: WhyUnregistered},
		{On: Destroy, From: []Phase{Running}, Why: WhyRunning}, // it is ended first, in the same step
		{On: Unregister, From: []Phase{Unregistered}, Why: WhyUnregistered},
		{On: Unregister, From: []Phase{Destroyed}, Why: WhyDestroyed},
		{On: Archive, From: []Phase{Unregistered}, Why: WhyUnregistered},
		{On: Archive, From: []Phase{Idle, Running, Stopped}, Why: "session is not retired"},
		{On: Archive, From: []Phase{Destroyed}, Why: WhyDestroyed},
	},
})
