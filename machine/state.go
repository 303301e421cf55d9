package machine

import (
	"encoding/json"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/machine/peer"
	"github.com/meerkat-go/meerkat/machine/pmap"
	"github.com/meerkat-go/meerkat/machine/turn"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/transcript"
)

// Refusal is a "no" of Step: it names region, phase, event and guard, and changes nothing.
type Refusal = fsm.Refusal

// State is all that is live of a session. It is a value: Step makes a new one and never changes the old.
type State struct {
	Session id.Session
	Control
	Transient Transient
	Profile   *run.Profile // never changed in place
	Inbox     inbox.Box
	Open      Ledger
	Regions
}

// Ledger is what was asked for and not answered, by id.
type Ledger = pmap.Map[id.Effect, run.Directive]

// Control is the small durable part that every commit rewrites.
type Control struct {
	Version   uint64           `json:"version"`
	Created   time.Time        `json:"created"`
	Updated   time.Time        `json:"updated"`
	Lifecycle lifecycle.State  `json:"lifecycle"`
	Turn      turn.State       `json:"turn"`
	Seq       id.Seq           `json:"seq"`     // of the last admitted input
	Message   int              `json:"message"` // last message written or reserved
	Cursor    uint64           `json:"cursor"`  // of the last event
	Tail      Tail             `json:"tail"`
	Reply     int              `json:"reply,omitempty"` // last reply of the current run
	Held      []Held           `json:"held,omitempty"`  // never changed in place
	Told      int              `json:"told,omitempty"`  // outcomes of this round already told, from ordinal 0
	Usage     transcript.Usage `json:"usage,omitzero"`  // of the session
	Title     string           `json:"title,omitempty"`
}

// Transient is what a crash loses: it belongs to one process and is never written.
type Transient struct {
	Attachment Attachment
	Placement  Placement
	Draining   bool // it is being unregistered
	Link       peer.Link
}

// Attachment is an executor wired in. The zero value: none.
type Attachment struct {
	ID        uint64
	Grain     run.Grain
	Class     run.Class
	Catalogue *scope.Catalogue // of the tools there are with it; nil: nobody knows
}

// Placement is where an orchestrator has put the session. It is set and cleared whole.
type Placement struct {
	Runtime    string
	Fence      uint64
	Generation uint64
}

// Tail says what the transcript ends with.
type Tail uint8

// The tails. Pending: a message that waits for a reply.
const (
	TailNone Tail = iota
	TailPending
	TailReply
)

// Held is the outcome of a call that is committed and not told yet, because an earlier call of the same reply is still out.
type Held struct {
	Ordinal  int           `json:"o"`
	Call     id.Call       `json:"call"`
	Name     string        `json:"name"`
	IsError  bool          `json:"err,omitempty"`
	Code     string        `json:"code,omitempty"`
	Duration time.Duration `json:"d,omitempty"`
}

// Attached reports whether an executor could carry a run out.
func (s State) Attached() bool { return s.Transient.Attachment.ID != 0 }

// Phase is the phase the session is reported in: attached is idle with an executor, retired also a run that is the last but what waits.
func (s State) Phase() string {
	switch {
	case s.Lifecycle.Archived:
		return "archived"
	case s.Lifecycle.Away:
		return lifecycle.Unregistered.String()
	case s.Lifecycle.Retiring:
		return lifecycle.Retired.String()
	case s.Lifecycle.Phase == lifecycle.Idle && s.Attached():
		return "attached"
	}
	return s.Lifecycle.Phase.String()
}

// served reports whether the bound run is one without inputs that the caller carries out.
func (s State) served() bool {
	for _, d := range s.Open.All() {
		if d.Caller && len(d.Inputs) == 0 {
			return true
		}
	}
	return false
}

// Run returns the bound run; empty: none.
func (s State) Run() id.Run { return s.Lifecycle.Run }

// Pending reports whether the transcript ends with a message that waits for a reply.
func (s State) Pending() bool { return s.Tail == TailPending }

// Commit is what one step wants durable, together. It holds no list of things to do: that is Next.Open.
type Commit struct {
	From     uint64 // version the step started from
	Next     State  // Next.Version == From: nothing durable changed, and nothing is written
	Verdict  Verdict
	Profile  bool   // Next.Profile is new
	Regions  Region // those whose durable part is new
	Inputs   []InputChange
	Rows     []transcript.Row
	Opened   []run.Directive // opened, or issued again under the same id
	Closed   []Closed
	Receipts []Receipt
	Facts    []event.Event // texts left out: they stand in Rows

	Operations []registry.Entry // of the background that ended, in that order
	Waits      []Waited         // for them, that are over
}

// Verdict is the answer to whoever asked.
type Verdict struct {
	Input     id.Input
	Run       id.Run // the run the input is part of already; empty: it waits
	Duplicate bool
	Consumed  bool // it wanted nothing but to be told

	Bound     bool             // Bind: the place is new
	Abandoned int              // inputs that were given up
	Pending   int              // inputs that are still to be carried out
	Boundary  *run.Boundary    // BoundaryReached
	Identity  *identity.Report // Identity: what came of a change; nil while it is being made ready
	Spawned   bool             // Comms: somebody has to begin listening

	Waited  *Waited          // Work, RequestWaitAll: all had ended already
	Request *peer.Request    // Asked, Answered and TimedOut: what was open
	Stream  peer.StreamPhase // Streamed: what it has come to
}

// InputChange is an input whose row changes. Ended is nil while it is live.
type InputChange struct {
	Item  inbox.Item
	Ended *Ended
}

// Ended is how an input ended. It stands in the input's row for good.
type Ended struct {
	Run      id.Run           `json:"run,omitempty"`
	Status   string           `json:"status"`             // completed, failed, cancelled, abandoned, superseded, coalesced
	By       id.Input         `json:"by,omitempty"`       // superseded, coalesced: who took its place
	Attempts int              `json:"attempts,omitempty"` // abandoned for having been tried too often: how often
	Cause    string           `json:"cause,omitempty"`    // of a completed one: budget_exhausted
	Error    string           `json:"error,omitempty"`
	Kind     string           `json:"kind,omitempty"`  // of the failure that ended the run, as an adapter or an executor calls it
	Reply    int              `json:"reply,omitempty"` // message of the run's last reply; 0: none
	Usage    transcript.Usage `json:"usage,omitzero"`
	Rounds   int              `json:"rounds,omitempty"`
	Calls    int              `json:"calls,omitempty"`
	Output   json.RawMessage  `json:"output,omitempty"`    // that fits the profile's schema
	NoOutput *run.NoOutput    `json:"no_output,omitempty"` // why there is none, if one was wanted of a completed run
	At       time.Time        `json:"at"`
}

// Statuses of an ended input.
const (
	StatusCompleted  = "completed"
	StatusFailed     = "failed"
	StatusCancelled  = "cancelled"
	StatusAbandoned  = "abandoned"
	StatusSuperseded = "superseded"
	StatusCoalesced  = "coalesced"
)

// Closed is a directive that left the ledger, and how.
type Closed struct {
	Directive run.Directive
	Outcome   string // ok, error, a transcript.Result code, replied, failed
}

// Receipt proves that inputs went into the transcript at a boundary of a run.
type Receipt struct {
	Run      id.Run     `json:"run"`
	Sequence int        `json:"sequence"` // dense per run, from 1
	Boundary string     `json:"boundary"` // run_start, run_checkpoint
	Inputs   []id.Input `json:"inputs"`
	Messages int        `json:"messages"`
}
