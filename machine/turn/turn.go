// Package turn is the region of one run: call the model, wait for the calls it asked for, cross the boundary, finish.
package turn

import (
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/transcript"
)

// Phase of the run.
type Phase uint8

// The phases. The last three are terminal: they stay until the next run starts.
const (
	Ready             Phase = iota // the zero value: no run yet
	ApplyingPrimitive              // the inputs are being put into the transcript; an executor with its own loop stays here
	CallingLlm                     // a reply is outstanding
	WaitingForOps                  // calls are outstanding
	DrainingBoundary               // between two rounds, inside one step: never seen at rest
	ErrorRecovery                  // an attempt failed, the next is outstanding
	Completed
	Failed
	Cancelled
)

var phases = []string{"ready", "applying_primitive", "calling_llm", "waiting_for_ops", "draining_boundary", "error_recovery",
	"completed", "failed", "cancelled"}

// String returns the public name.
func (p Phase) String() string { return phases[p] }

// Terminal reports whether the run is over.
func (p Phase) Terminal() bool { return p >= Completed }

// Kind of event.
type Kind uint8

// The kinds.
const (
	Start               Kind = iota // a run begins
	PrimitiveApplied                // its inputs are in the transcript
	ReturnedCalls                   // a reply that asks for N calls
	ReturnedFinal                   // a reply that asks for none
	CallSettled                     // one of the round's calls has its outcome
	CallsResolved                   // all have
	BoundaryContinue                // another round
	BoundaryComplete                // the end
	RecoverableFailure              // an attempt failed and another may follow
	FatalFailure                    // the run cannot go on
	CancelAfterBoundary             // end at the next boundary
	CancelNow                       // end
	RunReported                     // an executor with its own loop says the run is done
	ExecutorLost                    // whoever carried the run out is gone, and it goes on
)

var kinds = []string{"start", "primitive_applied", "returned_calls", "returned_final", "call_settled", "calls_resolved",
	"boundary_continue", "boundary_complete", "recoverable_failure", "fatal_failure", "cancel_after_boundary", "cancel_now",
	"run_reported", "executor_lost"}

// Causes of a terminal that is not completed.
const (
	CauseLLMFailure     = "llm_failure"
	CauseRetryExhausted = "retry_exhausted"
	CauseTurnLimit      = "turn_limit_reached"
	CauseRuntimeApply   = "runtime_apply_failure"
	CauseFatal          = "fatal_failure"
	CauseCancelled      = "cancelled"
)

// State of the region. It describes the current run, or the last one.
type State struct {
	Phase    Phase            `json:"phase"`
	Run      id.Run           `json:"run,omitempty"`
	Round    int              `json:"round,omitempty"`   // model calls answered so far in this run
	Attempt  int              `json:"attempt,omitempty"` // of the outstanding model call, from 1
	Pending  int              `json:"pending,omitempty"` // calls of this round without an outcome
	Calls    int              `json:"calls,omitempty"`   // calls of the run
	Cancel   bool             `json:"cancel,omitempty"`  // end at the next boundary
	Resumes  int              `json:"resumes,omitempty"` // executors lost since something was last answered
	Receipts int              `json:"receipts,omitempty"`
	Cause    string           `json:"cause,omitempty"`
	Error    string           `json:"error,omitempty"`
	Failure  string           `json:"failure,omitempty"` // kind of the model's failure that ended the run
	Usage    transcript.Usage `json:"usage,omitzero"`
}

// Event of the region.
type Event struct {
	Kind     Kind
	Run      id.Run
	N        int // ReturnedCalls: how many calls; PrimitiveApplied of an executor with its own loop: 1
	Attempt  int // RecoverableFailure: which attempt failed
	Attempts int // RecoverableFailure: how many there may be
	Resumes  int // ExecutorLost: how many there may be without an answer
	Cause    string
	Error    string
	Failure  string // FatalFailure
}

type guard = fsm.Guard[State, Event]

var (
	runIsCurrent  = guard{Name: "run is the current one", OK: func(s State, e Event) bool { return s.Run == e.Run }}
	runIsNamed    = guard{Name: "run is named", OK: func(_ State, e Event) bool { return e.Run != "" }}
	cancelAsked   = guard{Name: "cancel at the boundary was asked for", OK: func(s State, _ Event) bool { return s.Cancel }}
	someCalls     = guard{Name: "at least one call", OK: func(_ State, e Event) bool { return e.N > 0 }}
	callsOpen     = guard{Name: "a call is outstanding", OK: func(s State, _ Event) bool { return s.Pending > 0 }}
	noCallsOpen   = guard{Name: "no call is outstanding", OK: func(s State, _ Event) bool { return s.Pending == 0 }}
	attemptIsThis = guard{Name: "attempt is the current one", OK: func(s State, e Event) bool { return s.Attempt == e.Attempt }}
	attemptsLeft  = guard{Name: "attempts are left", OK: func(s State, e Event) bool { return s.Attempt < e.Attempts }}
	resumesLeft   = guard{Name: "resumptions are left", OK: func(s State, e Event) bool { return s.Resumes < e.Resumes }}
	causeIsKnown  = guard{Name: "cause is known", OK: func(_ State, e Event) bool { return e.Cause != "" }}
)

func reset(_ State, e Event) State { return State{Run: e.Run} }

func fail(s State, e Event) State {
	s.Cause, s.Error, s.Failure, s.Cancel, s.Pending = e.Cause, e.Error, e.Failure, false, 0
	return s
}

func cancel(s State, e Event) State {
	s.Cause, s.Error, s.Cancel, s.Pending = CauseCancelled, e.Error, false, 0
	return s
}

func calling(s State, _ Event) State { s.Attempt, s.Resumes = 1, 0; return s }

func answered(s State, e Event) State {
	s.Round, s.Attempt, s.Resumes = s.Round+1, 0, 0
	s.Pending, s.Calls = e.N, s.Calls+e.N
	return s
}

var (
	rest = []Phase{Ready, Completed, Failed, Cancelled}

	active  = []Phase{ApplyingPrimitive, CallingLlm, WaitingForOps, DrainingBoundary, ErrorRecovery}
	replies = []Phase{CallingLlm, ErrorRecovery}
)

// Table decides the region.
var Table = fsm.Must(fsm.Table[Phase, Kind, State, Event]{
	Region: "turn",
	Phases: phases,
	Events: kinds,
	Phase:  func(s State) Phase { return s.Phase },
	Move:   func(s State, p Phase) State { s.Phase = p; return s },
	Kind:   func(e Event) Kind { return e.Kind },
	Rules: []fsm.Rule[Phase, Kind, State, Event]{
		{On: Start, From: rest, When: []guard{runIsNamed}, To: ApplyingPrimitive, Do: reset},
		{On: PrimitiveApplied, From: []Phase{ApplyingPrimitive}, When: []guard{runIsCurrent}, To: CallingLlm, Do: calling},

		{On: ReturnedCalls, From: replies, When: []guard{runIsCurrent, someCalls}, To: WaitingForOps, Do: answered},
		{On: ReturnedFinal, From: replies, When: []guard{runIsCurrent}, To: DrainingBoundary,
			Do: func(s State, e Event) State { e.N = 0; return answered(s, e) }},
		{On: RecoverableFailure, From: replies, When: []guard{runIsCurrent, attemptIsThis, cancelAsked}, To: Cancelled, Do: cancel},
		{On: RecoverableFailure, From: replies, When: []guard{runIsCurrent, attemptIsThis, attemptsLeft}, To: ErrorRecovery,
			Do: func(s State, _ Event) State { s.Attempt, s.Resumes = s.Attempt+1, 0; return s }},

		{On: CallSettled, From: []Phase{WaitingForOps}, When: []guard{runIsCurrent, callsOpen}, Stay: true,
			Do: func(s State, _ Event) State { s.Pending, s.Resumes = s.Pending-1, 0; return s }},
		{On: CallsResolved, From: []Phase{WaitingForOps}, When: []guard{runIsCurrent, noCallsOpen}, To: DrainingBoundary},

		{On: BoundaryContinue, From: []Phase{DrainingBoundary}, When: []guard{runIsCurrent, cancelAsked}, To: Cancelled, Do: cancel},
		{On: BoundaryContinue, From: []Phase{DrainingBoundary}, When: []guard{runIsCurrent}, To: CallingLlm, Do: calling},
		{On: BoundaryComplete, From: []Phase{DrainingBoundary}, When: []guard{runIsCurrent, cancelAsked}, To: Cancelled, Do: cancel},
		{On: BoundaryComplete, From: []Phase{DrainingBoundary}, When: []guard{runIsCurrent}, To: Completed},

		{On: FatalFailure, From: active, When: []guard{runIsCurrent, causeIsKnown}, To: Failed, Do: fail},
		{On: CancelAfterBoundary, From: []Phase{ErrorRecovery}, When: []guard{runIsCurrent}, To: Cancelled, Do: cancel},
		{On: CancelAfterBoundary, From: []Phase{ApplyingPrimitive, CallingLlm, WaitingForOps, DrainingBoundary},
			When: []guard{runIsCurrent}, Stay: true, Do: func(s State, _ Event) State { s.Cancel = true; return s }},
		{On: CancelNow, From: active, When: []guard{runIsCurrent}, To: Cancelled, Do: cancel},

		{On: RunReported, From: []Phase{ApplyingPrimitive}, When: []guard{runIsCurrent, cancelAsked}, To: Cancelled, Do: cancel},
		{On: RunReported, From: []Phase{ApplyingPrimitive}, When: []guard{runIsCurrent}, To: Completed,
			Do: func(s State, _ Event) State { s.Round++; return s }},
		{On: ExecutorLost, From: []Phase{ApplyingPrimitive, CallingLlm, WaitingForOps, ErrorRecovery},
			When: []guard{runIsCurrent, resumesLeft}, Stay: true, Do: func(s State, _ Event) State { s.Resumes++; return s }},
	},
	Refuse: []fsm.No[Phase, Kind]{
		{On: Start, From: active, Why: "a run is under way"},
		{On: PrimitiveApplied, From: []Phase{CallingLlm, WaitingForOps, DrainingBoundary, ErrorRecovery}, Why: "already applied"},
		{On: PrimitiveApplied, From: rest, Why: "no run"},
		{On: ReturnedCalls, From: []Phase{ApplyingPrimitive, WaitingForOps, DrainingBoundary}, Why: "no reply is outstanding"},
		{On: ReturnedCalls, From: rest, Why: "no run"},
		{On: ReturnedFinal, From: []Phase{ApplyingPrimitive, WaitingForOps, DrainingBoundary}, Why: "no reply is outstanding"},
		{On: ReturnedFinal, From: rest, Why: "no run"},
		{On: RecoverableFailure, From: []Phase{ApplyingPrimitive, WaitingForOps, DrainingBoundary}, Why: "no reply is outstanding"},
		{On: RecoverableFailure, From: rest, Why: "no run"},
		{On: CallSettled, From: []Phase{ApplyingPrimitive, CallingLlm, DrainingBoundary, ErrorRecovery}, Why: "no call is outstanding"},
		{On: CallSettled, From: rest, Why: "no run"},
		{On: CallsResolved, From: []Phase{ApplyingPrimitive, CallingLlm, DrainingBoundary, ErrorRecovery}, Why: "no call is outstanding"},
		{On: CallsResolved, From: rest, Why: "no run"},
		{On: BoundaryContinue, From: []Phase{ApplyingPrimitive, CallingLlm, WaitingForOps, ErrorRecovery}, Why: "not at a boundary"},
		{On: BoundaryContinue, From: rest, Why: "no run"},
		{On: BoundaryComplete, From: []Phase{ApplyingPrimitive, CallingLlm, WaitingForOps, ErrorRecovery}, Why: "not at a boundary"},
		{On: BoundaryComplete, From: rest, Why: "no run"},
		{On: FatalFailure, From: rest, Why: "no run"},
		{On: CancelAfterBoundary, From: rest, Why: "no run"},
		{On: CancelNow, From: rest, Why: "no run"},
		{On: RunReported, From: []Phase{CallingLlm, WaitingForOps, DrainingBoundary, ErrorRecovery}, Why: "the run is carried out step by step"},
		{On: RunReported, From: rest, Why: "no run"},
		{On: ExecutorLost, From: []Phase{DrainingBoundary}, Why: "never at rest here"},
		{On: ExecutorLost, From: rest, Why: "no run"},
	},
})
