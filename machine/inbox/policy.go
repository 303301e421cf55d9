package inbox

import (
	"slices"

	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/transcript"
)

// PolicyVersion is that of the rows below. A stamp names the version it was made by, and is not made again.
const PolicyVersion = 1

// Apply is when an input becomes part of a conversation.
type Apply uint8

// The ways to apply.
const (
	StageRunStart    Apply = iota // with a run that begins
	StageRunBoundary              // at the next boundary of the running run
	InjectNow                     // used by no row
	Ignore                        // never
)

// Wake is what the arrival of an input does to a session.
type Wake uint8

// The wakes.
const (
	WakeNone          Wake = iota
	WakeIfIdle             // what sleeps goes on
	InterruptYielding      // and what waits for something that yields to new input stops waiting
)

// QueueMode is how an input stands to those that wait.
type QueueMode uint8

// The queue modes.
const (
	Unordered   QueueMode = iota
	Fifo                  // behind them
	Coalescing            // behind them, as the newer word for what it repeats
	Superseding           // behind them, in the place of what it overtakes
	Priority              // before them
)

// Consumption is when an input is used up.
type Consumption uint8

// The consumptions. All rows but one use the first.
const (
	OnRunComplete Consumption = iota
	OnAccept
	OnApply
	OnRunStart
	ExplicitAck
)

// Drain is how what waits is taken.
type Drain uint8

// The drains.
const (
	QueueNextTurn  Drain = iota // a run of its own, or with its like
	SteerBatch                  // with all that steer
	DrainImmediate              // used by no row
	DrainIgnore                 // never
)

// Routing is where an input waits.
type Routing uint8

// The routings.
const (
	ToQueue Routing = iota
	ToSteer
	ToImmediate // used by no row
	Drop        // nowhere
)

// Policy is what is decided for an input. The zero value is none: it has no version.
type Policy struct {
	Version      int         `json:"version,omitempty"`
	Apply        Apply       `json:"apply,omitempty"`
	Wake         Wake        `json:"wake,omitempty"`
	Queue        QueueMode   `json:"queue,omitempty"`
	Consume      Consumption `json:"consume,omitempty"`
	Drain        Drain       `json:"drain,omitempty"`
	Routing      Routing     `json:"routing,omitempty"`
	NoTranscript bool        `json:"no_transcript,omitempty"` // its own words are not recorded
	NoOperator   bool        `json:"no_operator,omitempty"`   // clients are not told them
}

// Boundary is where in a run an input goes in.
type Boundary uint8

// The boundaries.
const (
	RunStart Boundary = iota
	RunCheckpoint
	Immediate // used by no row
)

// Execution is what a run of the input does.
type Execution uint8

// The executions.
const (
	ContentTurn   Execution = iota
	ResumePending           // goes on with the transcript as it is
)

// Semantics is what follows from a policy and is stamped with it.
type Semantics struct {
	Boundary  Boundary  `json:"boundary,omitempty"`
	Execution Execution `json:"execution,omitempty"`
	Terminal  bool      `json:"terminal,omitempty"`  // the answer of a peer: its context is added, and the run is made for it
	Passenger bool      `json:"passenger,omitempty"` // it never starts a run, and rides with the next (R107)
}

// Row is one line of the policy table: the case it is for, and what is decided then.
type Row struct {
	Kinds      []input.Kind
	Mode       input.Handling // that the input must state; absent: any, or none
	Dispatched bool           // only a continuation with the context of a dispatch
	Default    bool           // only for a kind that states no mode although it always has one: never met by an admission
	Idle       Wake           // of a session that runs nothing
	Running    Wake
	Policy     Policy // but its version and its wake
}

var (
	anyMode  = input.HandlingAbsent
	speakers = []input.Kind{input.KindPrompt, input.KindPeerMessage, input.KindPeerRequest, input.KindFlowStep, input.KindExternalEvent}
	queued   = Policy{Queue: Fifo}
	steered  = Policy{Apply: StageRunBoundary, Queue: Fifo, Drain: SteerBatch, Routing: ToSteer}
)

// rows are tried in order. The first that fits decides.
var rows = []Row{
	{Kinds: []input.Kind{input.KindPeerTerminal}, Mode: input.HandlingSteer, Idle: WakeIfIdle, Running: InterruptYielding,
		Policy: Policy{Queue: Fifo, Drain: SteerBatch, Routing: ToSteer}},
	{Kinds: []input.Kind{input.KindPeerTerminal}, Mode: input.HandlingQueue, Idle: WakeIfIdle, Running: WakeIfIdle, Policy: queued},
	{Kinds: []input.Kind{input.KindContinuation}, Dispatched: true, Idle: WakeIfIdle, Running: InterruptYielding,
		Policy: Policy{Queue: Superseding, Routing: ToSteer, NoTranscript: true, NoOperator: true}},
	{Kinds: []input.Kind{input.KindContinuation}, Mode: input.HandlingQueue, Idle: WakeIfIdle, Running: WakeIfIdle,
		Policy: Policy{Queue: Superseding, NoTranscript: true, NoOperator: true}},
	{Kinds: []input.Kind{input.KindContinuation}, Mode: input.HandlingSteer, Idle: WakeIfIdle, Running: InterruptYielding,
		Policy: Policy{Apply: StageRunBoundary, Queue: Superseding, Drain: SteerBatch, Routing: ToSteer, NoTranscript: true, NoOperator: true}},
	{Kinds: speakers, Mode: input.HandlingQueue, Idle: WakeIfIdle, Running: WakeIfIdle, Policy: queued},
	{Kinds: speakers, Mode: input.HandlingSteer, Idle: WakeIfIdle, Running: InterruptYielding, Policy: steered},
	{Kinds: []input.Kind{input.KindPeerProgress}, Mode: anyMode,
		Policy: Policy{Apply: StageRunBoundary, Queue: Coalescing, Drain: SteerBatch, Routing: ToSteer}},
	{Kinds: []input.Kind{input.KindPrompt, input.KindFlowStep}, Mode: anyMode, Idle: WakeIfIdle, Policy: queued},
	{Kinds: []input.Kind{input.KindPeerMessage, input.KindPeerRequest, input.KindPeerTerminal}, Mode: anyMode, Idle: WakeIfIdle, Running: WakeIfIdle,
		Policy: queued},
	{Kinds: []input.Kind{input.KindOperation}, Mode: anyMode, Policy: Policy{Apply: Ignore, Queue: Priority, Consume: OnAccept, Drain: DrainIgnore,
		Routing: Drop, NoTranscript: true, NoOperator: true}},
	{Kinds: []input.Kind{input.KindExternalEvent}, Default: true, Idle: WakeIfIdle, Policy: queued},
	{Kinds: []input.Kind{input.KindContinuation}, Default: true, Idle: WakeIfIdle, Running: InterruptYielding,
		Policy: Policy{Apply: StageRunBoundary, Queue: Superseding, Drain: SteerBatch, Routing: ToSteer, NoTranscript: true, NoOperator: true}},
}

// Rows returns the policy table, in the order in which it is tried.
func Rows() []Row { return slices.Clone(rows) }

// Arrival is what a policy must know of the session at the moment an input arrives.
type Arrival struct {
	Running     bool // a run is bound
	Silent      bool // the input is a request whose intent the session has declared silent
	WithoutWake bool // whoever submits it wants it to wake nothing
}

// Resolve returns what the table decides for an input that arrives, and the row that decided it. An input of no kind has none.
func Resolve(in input.Input, a Arrival) (Policy, int) {
	kind, mode := in.Kind(), in.Options().Handling
	for n, r := range rows {
		if !slices.Contains(r.Kinds, kind) || r.Mode != anyMode && r.Mode != mode || r.Dispatched && !in.Dispatched() || r.Default {
			continue
		}
		p := r.Policy
		p.Version, p.Wake = PolicyVersion, r.Idle
		if a.Running {
			p.Wake = r.Running
		}
		if a.WithoutWake {
			p.Wake = WakeNone
		}
		if a.Silent && kind == input.KindPeerRequest {
			// Silent wins over a mode that was asked for: it does not wake, and waits in the queue (R103).
			p.Apply, p.Wake, p.Drain, p.Routing = StageRunStart, WakeNone, QueueNextTurn, ToQueue
		}
		return p, n
	}
	return Policy{}, -1
}

// Signal is what the session does about an arrival. A higher one does what the lower ones do.
type Signal uint8

// The signals.
const (
	SignalNone      Signal = iota
	SignalWake             // goes on, at once if it is idle, or when its run ends
	SignalYield            // and ends waits that yield to new input
	SignalImmediate        // and takes it in at the next boundary
)

// signals says what each of the coarse wishes does in a session that is idle, and in one that runs.
var signals = [...][2]Signal{
	SignalNone:      {SignalNone, SignalNone},
	SignalWake:      {SignalWake, SignalWake},
	SignalYield:     {SignalWake, SignalYield},
	SignalImmediate: {SignalImmediate, SignalImmediate},
}

// wish is the coarse form of what an input asks for: a steer that whoever speaks asked for is wanted at once. The mode of a continuation
// is the system's own and asks for no more than its policy says.
func wish(in input.Input, p Policy, a Arrival) Signal {
	silent := a.WithoutWake || a.Silent && in.Kind() == input.KindPeerRequest
	switch kind := in.Kind(); {
	case in.Options().Handling == input.HandlingSteer && kind != input.KindContinuation && !silent:
		return SignalImmediate
	case p.Wake == InterruptYielding:
		return SignalYield
	case p.Wake == WakeIfIdle:
		return SignalWake
	}
	return SignalNone
}

// Plan is what is done with an input that is admitted.
type Plan uint8

// The plans.
const (
	QueueBack     Plan = iota // Admit, with the next sequence
	QueueFront                // Admit, with the sequence that Box.Front gives
	CoalesceInto              // Admit, with the next sequence, and Coalesce for each of Box.Targets
	SupersedeThem             // Admit, with the next sequence, and Supersede for each of Box.Targets
	ConsumeNow                // AdmitConsumed
	RecordOnly                // used by no row: on record, and never queued
)

func (p Policy) plan() Plan {
	switch {
	case p.Apply == Ignore && p.Consume == OnAccept:
		return ConsumeNow
	case p.Apply == Ignore:
		return RecordOnly
	}
	switch p.Queue {
	case Coalescing:
		return CoalesceInto
	case Superseding:
		return SupersedeThem
	case Priority:
		return QueueFront
	case Fifo, Unordered:
	}
	return QueueBack
}

func (p Policy) lane() Lane {
	if p.Routing == ToSteer || p.Routing == ToImmediate {
		return Steer
	}
	return Queue
}

func (p Policy) boundary() Boundary {
	switch p.Apply {
	case StageRunBoundary:
		return RunCheckpoint
	case InjectNow:
		return Immediate
	case StageRunStart, Ignore:
	}
	return RunStart
}

// Judgement is what is decided about an input that arrives.
type Judgement struct {
	Item   Item // in phase Absent, without a sequence
	Plan   Plan
	Signal Signal
}

// Judge decides about an input that Validate lets through: its stamp, its lane, what it will say, what is done with it, and what its arrival
// does to the session (R102, R103).
func Judge(in input.Input, a Arrival) Judgement {
	p, _ := Resolve(in, a)
	stamp := &Stamp{Kind: in.Kind(), Policy: p, Scope: in.Supersession, Source: in.Source, Correlation: in.Correlation, Durability: in.Durability,
		Visibility: in.Visibility}
	stamp.Means = Semantics{Boundary: p.boundary(), Terminal: stamp.Kind == input.KindPeerTerminal,
		Passenger: a.WithoutWake || a.Silent && stamp.Kind == input.KindPeerRequest || stamp.Kind == input.KindPeerProgress}
	if c, ok := in.Body.(input.Continuation); ok && len(c.Turn) == 0 {
		stamp.Means.Execution = ResumePending
	}
	if o := in.Options(); !o.IsZero() {
		stamp.Options = &o
	}
	i := Item{ID: in.ID, Key: in.Key, Lane: p.lane(), Stamp: stamp}
	if i.Key == "" {
		i.Key = string(in.ID)
	}
	says := Says{Context: in.Context(), Reply: in.Reply(), Entries: in.Entries()}
	if stamp.Kind == input.KindPrompt && len(says.Entries) > 0 {
		if u, ok := says.Entries[0].(transcript.User); ok {
			i.Content, says.Entries = u.Content, says.Entries[1:]
		}
	}
	if says.Context != nil || says.Reply != nil || len(says.Entries) > 0 {
		i.Says = &says
	}
	return Judgement{i, p.plan(), signals[wish(in, p, a)][running(a)]}
}

func running(a Arrival) int {
	if a.Running {
		return 1
	}
	return 0
}
