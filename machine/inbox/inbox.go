package inbox

import (
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/fsm"
)

// Lane an input waits in.
type Lane uint8

// The lanes.
const (
	Queue Lane = iota // starts a run, in turn
	Steer             // taken into the running run at its next boundary; without a run it starts one, before the queue
)

var lanes = []string{"queue", "steer"}

// String returns the public name.
func (l Lane) String() string { return lanes[l] }

// Phase of an input.
type Phase uint8

// The phases.
const (
	Absent     Phase = iota // the zero value: never admitted
	Queued                  // waits in its lane
	Staged                  // part of the bound run
	Consumed                // its run is over, or it wanted none
	Abandoned               // it will not be run, or its run was cancelled; Reason says why
	Superseded              // another one has taken its place while it waited
	Coalesced               // another one says it anew, while it waited
)

var phases = []string{"absent", "queued", "staged", "consumed", "abandoned", "superseded", "coalesced"}

// String returns the public name.
func (p Phase) String() string { return phases[p] }

// Terminal reports whether an input in this phase has ended.
func (p Phase) Terminal() bool { return p >= Consumed }

// MaxAttempts is how often an input is staged, or refused for staging, before it is given up.
const MaxAttempts = 3

// Kind of event.
type Kind uint8

// The kinds.
const (
	Admit         Kind = iota
	AdmitConsumed      // it wants nothing but to have been told
	Stage              // becomes part of a run that begins
	Rollback           // its run was not carried out, and nothing of it stands
	Refuse             // it cannot be part of the run that is being made
	Defer              // goes behind what waits
	Consume            // its content is in the transcript for good
	Supersede
	Coalesce
	Abandon
)

var kinds = []string{"admit", "admit_consumed", "stage", "rollback", "refuse", "defer", "consume", "supersede", "coalesce", "abandon"}

// String returns the public name.
func (k Kind) String() string { return kinds[k] }

// Event of the region.
type Event struct {
	Kind   Kind
	Run    id.Run   // Stage, and Consume of what is taken in at a boundary
	Said   bool     // Stage: what it says stands in the transcript from now on
	Seq    id.Seq   // Rollback, Refuse, Defer: a new place, behind all that waits; 0: it keeps the old one
	By     id.Input // Supersede, Coalesce: who takes the place
	Scope  Scope    // Supersede, Coalesce: that of By
	Reason Reason   // Abandon
}

type (
	guard = fsm.Guard[Item, Event]
	rule  = fsm.Rule[Phase, Kind, Item, Event]
	no    = fsm.No[Phase, Kind]
)

// Names of guards that callers tell apart.
const (
	GuardScope    = "the newcomer has the same scope"
	GuardBoundary = "may be taken in at a boundary"
)

var (
	runIsNamed  = guard{Name: "run is named", OK: func(_ Item, e Event) bool { return e.Run != "" }}
	notRunning  = guard{Name: "no run is named", OK: func(_ Item, e Event) bool { return e.Run == "" }}
	atBoundary  = guard{Name: GuardBoundary, OK: func(i Item, _ Event) bool { return i.atBoundary() }}
	onAccept    = guard{Name: "its policy consumes it at once", OK: func(i Item, _ Event) bool { return i.policy().Consume == OnAccept }}
	addsNothing = guard{Name: "it only makes the session go on", OK: func(i Item, _ Event) bool { return i.Means().Execution == ResumePending && !i.speaks() }}
	tryAgain    = guard{Name: "an attempt is left", OK: func(i Item, _ Event) bool { return i.Attempts < MaxAttempts }}
	refuseAgain = guard{Name: "an attempt is left after this one", OK: func(i Item, _ Event) bool { return i.Attempts+1 < MaxAttempts }}
	isNewcomer  = guard{Name: "a newcomer is named", OK: func(i Item, e Event) bool { return e.By != "" && e.By != i.ID }}
	sameScope   = guard{Name: GuardScope, OK: func(i Item, e Event) bool { return e.Scope != Scope{} && e.Scope == i.Scope() }}
)

// place puts an input where the event says.
func place(i Item, e Event) Item {
	if e.Seq != 0 {
		i.Seq = e.Seq
	}
	return i
}

func giveUp(i Item, _ Event) Item { i.Reason = MaxAttemptsExhausted; return i }

func count(do func(Item, Event) Item) func(Item, Event) Item {
	return func(i Item, e Event) Item { i.Attempts++; return do(i, e) }
}

func inRun(i Item, e Event) Item { i.Run = e.Run; return i }

func by(i Item, e Event) Item { i.By = e.By; return i }

var (
	ended   = []Phase{Consumed, Abandoned, Superseded, Coalesced}
	notHere = []Phase{Absent}
	waiting = []Phase{Queued}
	inARun  = []Phase{Staged}
	missing = "never admitted"
	over    = "already ended"
)

// Table decides the region.
var Table = fsm.Must(fsm.Table[Phase, Kind, Item, Event]{
	Region: "inbox",
	Phases: phases,
	Events: kinds,
	Phase:  func(i Item) Phase { return i.Phase },
	Move:   move,
	Kind:   func(e Event) Kind { return e.Kind },
	Rules: []rule{
		{On: Admit, From: notHere, To: Queued},                                                                                        // I1
		{On: AdmitConsumed, From: notHere, When: []guard{onAccept}, To: Consumed},                                                     // I2
		{On: Stage, From: waiting, When: []guard{runIsNamed}, To: Staged, Do: count(stage)},                                           // I3
		{On: Rollback, From: inARun, When: []guard{tryAgain}, To: Queued, Do: rollback},                                               // I4
		{On: Rollback, From: inARun, To: Abandoned, Do: giveUp},                                                                       // I5
		{On: Refuse, From: waiting, When: []guard{refuseAgain}, Stay: true, Do: count(place)},                                         // I6
		{On: Refuse, From: waiting, To: Abandoned, Do: count(giveUp)},                                                                 // I7
		{On: Defer, From: waiting, Stay: true, Do: place},                                                                             // I8
		{On: Defer, From: inARun, Stay: true},                                                                                         // I9
		{On: Defer, From: ended, Stay: true},                                                                                          // I10
		{On: Consume, From: inARun, To: Consumed},                                                                                     // I11
		{On: Consume, From: waiting, When: []guard{atBoundary, runIsNamed}, To: Consumed, Do: inRun},                                  // I12
		{On: Consume, From: waiting, When: []guard{addsNothing, notRunning}, To: Consumed},                                            // I13
		{On: Supersede, From: waiting, When: []guard{isNewcomer, sameScope}, To: Superseded, Do: by},                                  // I14
		{On: Coalesce, From: waiting, When: []guard{isNewcomer, sameScope}, To: Coalesced, Do: by},                                    // I15
		{On: Abandon, From: []Phase{Queued, Staged}, To: Abandoned, Do: func(i Item, e Event) Item { i.Reason = e.Reason; return i }}, // I16
	},
	Refuse: []no{
		{On: Admit, From: []Phase{Queued, Staged}, Why: "already admitted"},
		{On: AdmitConsumed, From: []Phase{Queued, Staged}, Why: "already admitted"},
		{On: Stage, From: inARun, Why: "already part of a run"},
		{On: Rollback, From: waiting, Why: "part of no run"},
		{On: Refuse, From: inARun, Why: "already part of a run"},
		{On: Supersede, From: inARun, Why: "already part of a run"},
		{On: Coalesce, From: inARun, Why: "already part of a run"},
		{On: Admit, From: ended, Why: over},
		{On: AdmitConsumed, From: ended, Why: over},
		{On: Stage, From: ended, Why: over},
		{On: Rollback, From: ended, Why: over},
		{On: Refuse, From: ended, Why: over},
		{On: Consume, From: ended, Why: over},
		{On: Supersede, From: ended, Why: over},
		{On: Coalesce, From: ended, Why: over},
		{On: Abandon, From: ended, Why: over},
		{On: Stage, From: notHere, Why: missing},
		{On: Rollback, From: notHere, Why: missing},
		{On: Refuse, From: notHere, Why: missing},
		{On: Defer, From: notHere, Why: missing},
		{On: Consume, From: notHere, Why: missing},
		{On: Supersede, From: notHere, Why: missing},
		{On: Coalesce, From: notHere, Why: missing},
		{On: Abandon, From: notHere, Why: missing},
	},
})

func stage(i Item, e Event) Item {
	if i.Run = e.Run; e.Said {
		i.Content, i.Says, i.Said = nil, nil, true
	}
	return i
}

func rollback(i Item, e Event) Item {
	i.Run = ""
	return place(i, e)
}

// move takes an input to a phase. One that has ended leaves no text behind but what the transcript has, and nothing of what it asked for.
func move(i Item, p Phase) Item {
	if i.Phase = p; !p.Terminal() {
		return i
	}
	i.Content, i.Says = nil, nil
	if i.Stamp != nil && i.Stamp.Options != nil {
		s := *i.Stamp
		s.Options = nil
		i.Stamp = &s
	}
	return i
}
