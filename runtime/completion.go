package runtime

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/transcript"
)

// Outcome is how an input ended, as whoever submitted it is told: Completed, CompletedWithoutResult, Cancelled, Abandoned, AbandonedWithError,
// FinalizationFailed or Terminated; or CallbackPending, if it has not. It follows the input and not an attempt at it.
type Outcome interface{ outcome() }

type (
	// Completed: the run the input was part of has a result.
	Completed struct {
		Run    id.Run
		Text   string // the run's last reply
		Reply  int    // the message that holds it
		Usage  transcript.Usage
		Rounds int
		Calls  int
		Cause  string // budget_exhausted: the run was stopped, and the reply is what there is; empty: it came to its end

		Output   json.RawMessage // that fits the schema of the profile; nil: none was wanted, or NoOutput says why there is none
		NoOutput *run.NoOutput
	}
	// CompletedWithoutResult: it was consumed, and there is no reply to it alone: it was taken into a running run, or needed none.
	CompletedWithoutResult struct{ Run id.Run }
	// Cancelled: its run was cancelled.
	Cancelled struct {
		Run    id.Run
		Reason string
	}
	// Abandoned: it was never carried out, or not to an end. By names the input that took its place, if one did.
	Abandoned struct {
		Reason string
		By     id.Input
	}
	// AbandonedWithError: its run failed, or was tried as often as it may be.
	AbandonedWithError struct {
		Run    id.Run
		Reason string
		Error  Failure
	}
	// FinalizationFailed: what came of it may be durable or not, and this process will not learn it. Look the input up by its id.
	FinalizationFailed struct{ Error error }
	// Terminated: the session takes no more work here: it was stopped, reset, retired without an executor, destroyed or unregistered. After
	// unregistering the input still waits.
	Terminated struct{ Reason string }
)

// Failure is what is known of an error that ended a run.
type Failure struct {
	Kind    string // cause of the run's end, such as llm_failure
	Failure string // kind of the failure, as an adapter or an executor calls it, such as rate_limited; empty: none
	Detail  string
	Model   string // that was to answer
}

func (Completed) outcome()              {}
func (CompletedWithoutResult) outcome() {}
func (Cancelled) outcome()              {}
func (Abandoned) outcome()              {}
func (AbandonedWithError) outcome()     {}
func (FinalizationFailed) outcome()     {}
func (Terminated) outcome()             {}

// Completion is a handle on the end of one input. Any number may wait on it.
type Completion struct {
	Input  id.Input
	finish func(context.Context) (Outcome, error)
}

// Completion returns a handle on an input's end.
func (h *Host) Completion(sid id.Session, in id.Input) *Completion {
	return &Completion{Input: in, finish: func(ctx context.Context) (Outcome, error) { return h.outcome(ctx, sid, in) }}
}

// Resolved is a handle on an end that is known already.
func Resolved(in id.Input, o Outcome) *Completion {
	return &Completion{Input: in, finish: func(context.Context) (Outcome, error) { return o, nil }}
}

// Wait blocks until the input has ended, or until its run waits for clients alone: then the outcome is CallbackPending, and whoever waits again
// once the results are there is told the end. An error says that ctx ended, or that there is no such input.
func (c *Completion) Wait(ctx context.Context) (Outcome, error) { return c.finish(ctx) }

// Then returns a handle that is done when the input has ended and cleanup has run, once. An error of the cleanup is told beside the outcome. It
// runs in the goroutine of whoever waits first.
func (c *Completion) Then(cleanup func(context.Context, Outcome) error) *Completion {
	var mu sync.Mutex
	var done bool
	var outcome Outcome
	var failure error
	return &Completion{Input: c.Input, finish: func(ctx context.Context) (Outcome, error) {
		mu.Lock()
		defer mu.Unlock()
		if done {
			return outcome, failure
		}
		o, err := c.finish(ctx)
		if _, goesOn := o.(CallbackPending); goesOn || err != nil {
			return o, err
		}
		if err := cleanup(ctx, o); err != nil {
			failure = fmt.Errorf("clean up after input %s: %w", c.Input, err)
		}
		done, outcome = true, o
		return outcome, failure
	}}
}

func (h *Host) outcome(ctx context.Context, sid id.Session, in id.Input) (Outcome, error) {
	e := h.wait(ctx, sid, in, true)
	err := failed("wait for an input of", sid, e.err)
	switch {
	case e.pending != nil:
		return *e.pending, nil
	case errors.Is(err, ErrUnregistered), errors.Is(err, ErrNotFound) && h.away(ctx, sid):
		return Terminated{"runtime session unregistered"}, nil
	case errors.Is(err, ErrOwnedElsewhere), errors.Is(err, ErrStore), errors.Is(err, ErrClosed), errors.Is(err, store.ErrUnknown):
		return FinalizationFailed{err}, nil
	case err != nil:
		return nil, err
	}
	o := outcomeOf(e.how)
	c, ok := o.(Completed)
	if !ok {
		return o, nil
	}
	rows, err := h.Transcript(ctx, sid, c.Reply, c.Reply+1)
	if err != nil || len(rows) == 0 {
		return FinalizationFailed{errors.Join(fmt.Errorf("the reply is message %d", c.Reply), err)}, nil
	}
	if a, ok := rows[0].Entry.(transcript.Assistant); ok {
		c.Text = a.Blocks.Plain()
	}
	return c, nil
}

// away reports whether a session is there, and was unregistered: who asks too late to be told of it is told the same.
func (h *Host) away(ctx context.Context, sid id.Session) bool {
	st, err := h.State(ctx, sid)
	return err == nil && st.Lifecycle.Away
}

// terminations are the reasons for which whoever waits is told that the session is over, and not the input.
var terminations = map[string]string{machine.CauseStopped: "runtime stopped", machine.CauseReset: "runtime reset",
	machine.CauseDestroyed: "runtime destroyed", machine.CauseRetired: "retired without runtime loop"}

// Terminates reports whether the cause of an input's end is a command to its session, such as archiving it, and not what became of its run.
func Terminates(cause string) bool {
	_, is := terminations[cause]
	return is
}

func outcomeOf(how machine.InputChange) Outcome {
	e := how.Ended
	switch e.Status {
	case machine.StatusCompleted:
		if e.Reply == 0 || how.Item.Lane == inbox.Steer && e.Rounds == 0 {
			return CompletedWithoutResult{e.Run}
		}
		return Completed{Run: e.Run, Reply: e.Reply, Usage: e.Usage, Rounds: e.Rounds, Calls: e.Calls, Cause: e.Cause,
			Output: e.Output, NoOutput: e.NoOutput}
	case machine.StatusFailed:
		return AbandonedWithError{Run: e.Run, Reason: e.Cause, Error: Failure{Kind: e.Cause, Failure: e.Kind, Detail: e.Error}}
	case machine.StatusCancelled:
		return Cancelled{Run: e.Run, Reason: e.Error}
	}
	if reason, ok := terminations[e.Cause]; ok {
		return Terminated{reason}
	}
	if e.Error != "" {
		return AbandonedWithError{Run: e.Run, Reason: e.Cause, Error: Failure{Kind: e.Cause, Failure: e.Kind, Detail: e.Error}}
	}
	return Abandoned{Reason: cmp.Or(e.Cause, e.Status), By: e.By} // superseded and coalesced have no other cause
}
