// Package executor is the contract of whoever carries runs out: our own agent loop, or somebody else's.
//
// A run is state; it belongs to the session. An executor is put to work on it by Apply, once for every activation: at the start
// of the run, after a crash, after a takeover, after an executor that returned early. It takes directives and answers each with
// a report, and it keeps nothing that the run would miss. Every implementation passes executortest.Run.
package executor

import (
	"context"
	"errors"
	"fmt"
	"iter"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// ErrStale says that the directive a report answers is not open any more: it was interrupted, settled by recovery, or belongs to
// a session this process has lost. The work is not wanted; it is no failure of the executor.
var ErrStale = fault.New(fault.Stale, "the directive is not open any more")

// Profile says how an executor reports.
type Profile struct {
	Grain run.Grain
	Class run.Class // Whole: whether a run may be applied again when it is not known how far it came
}

// Executor carries runs out. Apply blocks until nothing is open for it, or ctx ends, which means: stop now, nobody wants the rest.
// It must not return before all it started has ended. Its error is told to operators; what becomes of the run is decided by what
// was reported. Apply may be called concurrently for different sessions and never for the same one twice at once.
type Executor interface {
	Profile() Profile
	Apply(ctx context.Context, r Run, b Bindings) error
}

// Run says which run an activation is for.
type Run struct {
	Session id.Session
	Run     id.Run
}

// Turn is the executor's end of the session.
type Turn interface {
	// Directives yields what is open for the executor, each once. It blocks while an answer is outstanding, since the answer may open more, and
	// ends when nothing is, or ctx ends: calls that wait for a word (run.Intent.Hold) are not, and when they are released the executor is put to
	// work again. What is opened after the end is not yielded any more. One consumer at a time.
	Directives(ctx context.Context) iter.Seq[run.Directive]
	// Report answers a directive. It returns nil once the answer is durable and ErrStale when it is not wanted any more. It
	// retries a failing store itself, until ctx ends; the report is then void, and the directive still open. May be called
	// concurrently.
	Report(ctx context.Context, r run.Report) error
	// Boundary is for an executor with a loop of its own, between two calls of its model: it takes the steers that wait into the run that
	// the directive asks for, and says whether the run is to end here. What it returns is durable: the steers are part of the transcript and
	// consumed. ErrStale: the run is over. It tries a failing store again itself, until ctx ends: then nothing is known to be taken.
	Boundary(ctx context.Context, id id.Effect) (run.Boundary, error)
}

// Interrupter is implemented by executors that can be told of an interrupt beside the end of their context, such as those whose work is done
// on another machine. It is called once for an interrupted run, after the end is durable, and may not wait for Apply. What it returns is told to
// whoever interrupted: the run is over either way.
type Interrupter interface {
	Interrupt(ctx context.Context, r Run, reason string) error
}

// Cleaner is implemented by executors that hold something for a session between its runs. It is called when the session was stopped or
// unregistered here and nothing of it runs any more. Its error is told to whoever stopped the session, which is stopped all the same.
type Cleaner interface {
	Clean(ctx context.Context, s id.Session) error
}

// Bindings is what an executor is given to work with for one activation. All of it works on the one authority of the session.
type Bindings struct {
	Session id.Session
	Epoch   id.Epoch
	Turn    Turn
	Profile run.Profile
	// Transcript reads the rows before message upto, in order. The slice is shared: not to be changed. What it returns for a given
	// upto never changes.
	Transcript func(ctx context.Context, upto int) ([]transcript.Row, error)
	// Delta shows text as it streams. It never blocks for a slow reader and is not durable. Kind is DeltaText, DeltaReasoning or
	// DeltaRestart, which says that what was shown of this directive is void.
	Delta func(d Delta)
	// Call says what a model call is made with, as it stands when it is asked: ask right before the call. False: nobody wants the call any more. Nil:
	// what the directive says counts, and all tools are offered.
	Call func(id.Effect) (Call, bool)
	// Handles lead to the rest of the session.
	Handles
}

// Delta is a piece of a reply that is still streaming.
type Delta struct {
	ID   id.Effect
	Kind DeltaKind
	Text string
}

// DeltaKind says what a delta is a piece of.
type DeltaKind uint8

// The kinds of delta.
const (
	DeltaText DeltaKind = iota
	DeltaReasoning
	DeltaRestart // an attempt is over without a reply; forget what was shown of it
)

// Whole is an executor with a loop of its own, made of one function: it is given a run and says in one report what came of it.
type Whole struct {
	Class run.Class // whether Do may be called again for a run when it is not known how far it came
	// Do carries one run out: the inputs d names, which stand in the transcript before d.Upto. It need not fill in the report's ID.
	// An error means that nothing is known of the run: it is issued again if Class allows it, and abandoned if not. A run that has
	// failed for certain is a report with Failed set. When ctx ends nobody wants the report any more.
	Do func(ctx context.Context, d run.Directive, b Bindings) (run.RunApplied, error)
}

// Profile implements Executor.
func (w Whole) Profile() Profile { return Profile{Grain: run.Whole, Class: w.Class} }

// Apply implements Executor.
func (w Whole) Apply(ctx context.Context, _ Run, b Bindings) error {
	for d := range b.Turn.Directives(ctx) {
		if d.Kind != run.ApplyRun {
			return fmt.Errorf("this executor carries out whole runs, and no %s", d.Kind)
		}
		report, err := w.Do(ctx, d, b)
		if err != nil {
			return err
		}
		report.ID = d.ID
		if err := b.Turn.Report(ctx, report); err != nil && !errors.Is(err, ErrStale) {
			return err
		}
	}
	return nil
}
