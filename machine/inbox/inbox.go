// Package inbox is the region of one input, from admission to its one terminal state, and the order in which inputs are taken.
package inbox

import (
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/transcript"
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
	Absent    Phase = iota // the zero value: never admitted
	Queued                 // waits in its lane
	Staged                 // part of the bound run
	Consumed               // its run is over
	Abandoned              // it will not be run, or its run was cancelled
)

var phases = []string{"absent", "queued", "staged", "consumed", "abandoned"}

// String returns the public name.
func (p Phase) String() string { return phases[p] }

// Kind of event.
type Kind uint8

// The kinds.
const (
	Admit   Kind = iota
	Stage        // becomes part of a run that begins
	Consume      // its content is in the transcript for good
	Abandon
)

var kinds = []string{"admit", "stage", "consume", "abandon"}

// Item is one live input. It is a value; Content is never changed.
type Item struct {
	ID       id.Input          `json:"id"`
	Key      string            `json:"key"` // idempotency key
	Seq      id.Seq            `json:"seq"`
	Lane     Lane              `json:"lane,omitempty"`
	Phase    Phase             `json:"phase"`
	Run      id.Run            `json:"run,omitempty"`
	Continue bool              `json:"continue,omitempty"` // adds nothing to the transcript
	Content  transcript.Blocks `json:"content,omitempty"`
}

// Event of the region.
type Event struct {
	Kind Kind
	Run  id.Run // Stage
}

type guard = fsm.Guard[Item, Event]

var (
	runIsNamed = guard{Name: "run is named", OK: func(_ Item, e Event) bool { return e.Run != "" }}
	isSteer    = guard{Name: "waits in the steer lane", OK: func(i Item, _ Event) bool { return i.Lane == Steer }}
)

var ended = []Phase{Consumed, Abandoned}

// Table decides the region.
var Table = fsm.Must(fsm.Table[Phase, Kind, Item, Event]{
	Region: "inbox",
	Phases: phases,
	Events: kinds,
	Phase:  func(i Item) Phase { return i.Phase },
	Move:   func(i Item, p Phase) Item { i.Phase = p; return i },
	Kind:   func(e Event) Kind { return e.Kind },
	Rules: []fsm.Rule[Phase, Kind, Item, Event]{
		{On: Admit, From: []Phase{Absent}, To: Queued},
		{On: Stage, From: []Phase{Queued}, When: []guard{runIsNamed}, To: Staged,
			Do: func(i Item, e Event) Item { i.Run = e.Run; return i }},
		{On: Consume, From: []Phase{Staged}, To: Consumed},
		{On: Consume, From: []Phase{Queued}, When: []guard{isSteer, runIsNamed}, To: Consumed,
			Do: func(i Item, e Event) Item { i.Run = e.Run; return i }},
		{On: Abandon, From: []Phase{Queued, Staged}, To: Abandoned},
	},
	Refuse: []fsm.No[Phase, Kind]{
		{On: Admit, From: []Phase{Queued, Staged}, Why: "already admitted"},
		{On: Admit, From: ended, Why: "already ended"},
		{On: Stage, From: []Phase{Absent}, Why: "never admitted"},
		{On: Stage, From: []Phase{Staged}, Why: "already part of a run"},
		{On: Stage, From: ended, Why: "already ended"},
		{On: Consume, From: []Phase{Absent}, Why: "never admitted"},
		{On: Consume, From: ended, Why: "already ended"},
		{On: Abandon, From: []Phase{Absent}, Why: "never admitted"},
		{On: Abandon, From: ended, Why: "already ended"},
	},
})
