// Package turn is the region of one run: call the model, wait for the calls it asked for, cross the boundary, finish, and look for an output
// that fits a schema if one is wanted. docs/machine/turn.md has the table row by row.
package turn

import (
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// Phase of the run. Phases are stored as numbers: a new one is appended.
type Phase uint8

// The phases. Completed, Failed and Cancelled are terminal: they stay until the next run starts.
const (
	Ready             Phase = iota // the zero value: no run yet
	ApplyingPrimitive              // the inputs are being put into the transcript; an executor with its own loop stays here
	CallingLlm                     // a reply is outstanding
	WaitingForOps                  // calls are outstanding
	DrainingBoundary               // between two rounds, inside one step: never seen at rest
	ErrorRecovery                  // an attempt failed, the next is outstanding: of a reply, or of the output if the answer is in
	Completed
	Failed
	Cancelled
	Extracting // the answer is in, and its output is outstanding
)

var phases = []string{"ready", "applying_primitive", "calling_llm", "waiting_for_ops", "draining_boundary", "error_recovery",
	"completed", "failed", "cancelled", "extracting"}

// String returns the public name.
func (p Phase) String() string { return phases[p] }

// Known reports whether there is such a phase.
func (p Phase) Known() bool { return int(p) < len(phases) }

// Terminal reports whether the run is over.
func (p Phase) Terminal() bool { return p == Completed || p == Failed || p == Cancelled }

// Kind of event.
type Kind uint8

// The kinds.
const (
	Start               Kind = iota // a run begins
	StartImmediate                  // a run begins that only adds to the context: no model is called
	PrimitiveApplied                // its inputs are in the transcript
	ReturnedCalls                   // a reply that asks for N calls
	ReturnedFinal                   // a reply that asks for none
	CallSettled                     // one of the round's calls has its outcome
	CallsResolved                   // all have
	BoundaryContinue                // another round
	BoundaryComplete                // the end
	EnterExtraction                 // the answer is in, and an output is wanted
	ExtractionReplied               // a try at the output was answered
	RecoverableFailure              // an attempt failed and another may follow
	FatalFailure                    // the run cannot go on
	TurnLimitReached                // the model was called as often as it may be
	BudgetExhausted                 // the tokens or the calls are used up
	TimeBudgetExceeded              // the time is
	CancelAfterBoundary             // end at the next boundary
	CancelNow                       // end
	RunReported                     // an executor with its own loop says the run is done
	ExecutorLost                    // whoever carried the run out is gone, and it goes on
)

var kinds = []string{"start", "start_immediate", "primitive_applied", "returned_calls", "returned_final", "call_settled", "calls_resolved",
	"boundary_continue", "boundary_complete", "enter_extraction", "extraction_replied", "recoverable_failure", "fatal_failure",
	"turn_limit_reached", "budget_exhausted", "time_budget_exceeded", "cancel_after_boundary", "cancel_now", "run_reported", "executor_lost"}

// Causes of a terminal that is not plainly completed. The last is the cause of an output that is missing, and never of a run's end.
const (
	CauseLLMFailure     = run.CauseLLMFailure
	CauseToolFailure    = run.CauseToolFailure
	CauseRetryExhausted = run.CauseRetryExhausted
	CauseTurnLimit      = run.CauseTurnLimit
	CauseBudget         = run.CauseBudget
	CauseTime           = run.CauseTime
	CauseRuntimeApply   = run.CauseRuntimeApply
	CauseFatal          = run.CauseFatal
	CauseCancelled      = "cancelled"
	CauseOutput         = "structured_output_validation_failed"
)

// State of the region. It describes the current run, or the last one.
type State struct {
	Phase     Phase              `json:"phase"`
	Immediate bool               `json:"immediate,omitempty"` // it only adds to the context
	Cancel    bool               `json:"cancel,omitempty"`    // end at the next boundary
	Answered  bool               `json:"answered,omitempty"`  // the end of the run was told: what goes on, or went on, is the search for its output
	Output    bool               `json:"output,omitempty"`    // there is one
	Run       id.Run             `json:"run,omitempty"`
	Round     int                `json:"round,omitempty"`   // model calls answered so far in this run
	Attempt   int                `json:"attempt,omitempty"` // of the outstanding model call, from 1
	Pending   int                `json:"pending,omitempty"` // calls of this round without an outcome
	Calls     int                `json:"calls,omitempty"`   // calls of the run that were not spared
	Resumes   int                `json:"resumes,omitempty"` // executors lost since something was last answered
	Receipts  int                `json:"receipts,omitempty"`
	Deadline  time.Time          `json:"deadline,omitzero"` // when the run's time is up
	Model     *identity.Identity `json:"model,omitempty"`   // that the run's inputs asked for; nil: the session's. Never changed in place
	Tries     int                `json:"tries,omitempty"`   // at the output, that were answered or failed
	MaxTries  int                `json:"max_tries,omitempty"`
	Cause     string             `json:"cause,omitempty"`
	Error     string             `json:"error,omitempty"`
	Failure   string             `json:"failure,omitempty"` // kind of the model's failure that ended the run
	Usage     transcript.Usage   `json:"usage,omitzero"`
}

// Event of the region.
type Event struct {
	Kind     Kind
	Run      id.Run
	Deadline time.Time         // Start: when its time is up; zero: never
	N        int               // ReturnedCalls: how many calls; PrimitiveApplied of an executor with its own loop: 1
	Spared   int               // ReturnedCalls: how many of them will not be run
	Tries    int               // EnterExtraction: how many there may be
	Verdict  run.OutputVerdict // ExtractionReplied
	Attempt  int               // RecoverableFailure: which attempt failed
	Attempts int               // RecoverableFailure: how many there may be
	Resumes  int               // ExecutorLost: how many there may be without an answer
	Cause    string            // FatalFailure; RunReported: CauseBudget, or of no account
	Error    string
	Failure  string // FatalFailure
}

type guard = fsm.Guard[State, Event]

// GuardCancel is the name of a guard that callers tell apart.
const GuardCancel = "cancel at the boundary was asked for"

var (
	runIsCurrent  = guard{Name: "run is the current one", OK: func(s State, e Event) bool { return s.Run == e.Run }}
	runIsNamed    = guard{Name: "run is named", OK: func(_ State, e Event) bool { return e.Run != "" }}
	addsOnly      = guard{Name: "the run only adds to the context", OK: func(s State, _ Event) bool { return s.Immediate }}
	asksMore      = guard{Name: "the run asks for more than context", OK: func(s State, _ Event) bool { return !s.Immediate }}
	cancelAsked   = guard{Name: GuardCancel, OK: func(s State, _ Event) bool { return s.Cancel }}
	goesOn        = guard{Name: "no cancel was asked for", OK: func(s State, _ Event) bool { return !s.Cancel }}
	someCalls     = guard{Name: "at least one call", OK: func(_ State, e Event) bool { return e.N > 0 }}
	callsOpen     = guard{Name: "a call is outstanding", OK: func(s State, _ Event) bool { return s.Pending > 0 }}
	noCallsOpen   = guard{Name: "no call is outstanding", OK: func(s State, _ Event) bool { return s.Pending == 0 }}
	attemptIsThis = guard{Name: "attempt is the current one", OK: func(s State, e Event) bool { return s.Attempt == e.Attempt }}
	attemptsLeft  = guard{Name: "attempts are left", OK: func(s State, e Event) bool { return s.Attempt < e.Attempts }}
	resumesLeft   = guard{Name: "resumptions are left", OK: func(s State, e Event) bool { return s.Resumes < e.Resumes }}
	causeIsKnown  = guard{Name: "cause is known", OK: func(_ State, e Event) bool { return e.Cause != "" }}
	answerIsIn    = guard{Name: "the answer is in", OK: func(s State, _ Event) bool { return s.Answered }}
	answerIsOut   = guard{Name: "the answer is outstanding", OK: func(s State, _ Event) bool { return !s.Answered }}
	outputFits    = guard{Name: "the output fits", OK: func(_ State, e Event) bool { return e.Verdict == run.OutputValid }}
	outputMisfits = guard{Name: "the output does not fit", OK: func(_ State, e Event) bool { return e.Verdict == run.OutputInvalid }}
	triesLeft     = guard{Name: "tries are left", OK: func(s State, _ Event) bool { return s.Tries+1 < s.MaxTries }}
)

func reset(_ State, e Event) State { return State{Run: e.Run, Deadline: e.Deadline} }

func immediate(_ State, e Event) State { return State{Run: e.Run, Immediate: true} }

func fail(s State, e Event) State {
	s.Cause, s.Error, s.Failure, s.Cancel, s.Pending = e.Cause, e.Error, e.Failure, false, 0
	return s
}

func because(cause string) func(State, Event) State {
	return func(s State, e Event) State { e.Cause = cause; return fail(s, e) }
}

// reported takes over why a run completed that was carried out elsewhere, if there is anything to say.
func reported(s State, e Event) State {
	s.Round++
	if e.Cause == CauseBudget {
		s.Cause = e.Cause
	}
	return s
}

// Failing reports whether a run may fail because of a cause.
func Failing(cause string) bool {
	switch cause {
	case CauseLLMFailure, CauseToolFailure, CauseRetryExhausted, CauseTurnLimit, CauseBudget, CauseTime, CauseRuntimeApply, CauseFatal:
		return true
	}
	return false
}

func cancel(s State, e Event) State {
	s.Cause, s.Error, s.Cancel, s.Pending = CauseCancelled, e.Error, false, 0
	return s
}

// stopped is cancel where the limit that is told of is not why.
func stopped(s State, e Event) State { e.Error = ""; return cancel(s, e) }

func calling(s State, _ Event) State { s.Attempt, s.Resumes = 1, 0; return s }

func answered(s State, e Event) State {
	s.Round, s.Attempt, s.Resumes = s.Round+1, 0, 0
	s.Pending, s.Calls = e.N, s.Calls+e.N-e.Spared
	return s
}

// tried counts a try at the output; cut ends the search in the middle of one.
func tried(s State, _ Event) State { s.Tries, s.Cancel = s.Tries+1, false; return s }
func cut(s State, _ Event) State   { s.Cancel = false; return s }

var (
	rest = []Phase{Ready, Completed, Failed, Cancelled}

	active  = []Phase{ApplyingPrimitive, CallingLlm, WaitingForOps, DrainingBoundary, ErrorRecovery}
	busy    = append([]Phase{Extracting}, active...)
	replies = []Phase{CallingLlm, ErrorRecovery}
	outputs = []Phase{Extracting, ErrorRecovery}
)
