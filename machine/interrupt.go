package machine

import (
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/operation"
	"github.com/meerkat-go/meerkat/machine/turn"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// MaxResumes bounds how often a run goes on after a lost executor without anything having been answered in between: a run that
// kills whoever carries it out must not do so for ever.
const MaxResumes = 5

// current refuses a command that names another run than the bound one, or any where none is.
func (b *step) current(event string, r id.Run) error {
	if err := b.in(event, lifecycle.Idle, lifecycle.Running, lifecycle.Stopped, lifecycle.Retired); err != nil {
		return err
	}
	switch {
	case b.s.Lifecycle.Phase != lifecycle.Running:
		return b.refuse(event, GuardRunning)
	case b.s.Lifecycle.Run != r:
		return b.refuse(event, GuardCurrent)
	}
	return nil
}

func (b *step) interrupt(ev Interrupt) error {
	if err := b.current("interrupt", ev.Run); err != nil {
		return err
	}
	b.round = b.inRound()
	return b.cut(StatusCancelled, ev.Reason)
}

// cut ends the bound run now, or the search for its output if it has its answer.
func (b *step) cut(status, reason string) error {
	if err := b.turn(turn.Event{Kind: turn.CancelNow, Run: b.s.Turn.Run, Error: reason}); err != nil {
		return err
	}
	if b.s.Turn.Answered {
		return b.withoutOutput(turn.CauseCancelled, reason, nil)
	}
	return b.closeRun(status)
}

func (b *step) cancelAfterBoundary(ev CancelAfterBoundary) error {
	if err := b.current("cancel_after_boundary", ev.Run); err != nil {
		return err
	}
	b.round = b.inRound()
	if err := b.turn(turn.Event{Kind: turn.CancelAfterBoundary, Run: ev.Run}); err != nil {
		return err
	}
	switch b.s.Turn.Phase {
	case turn.Cancelled:
		return b.closeRun(StatusCancelled)
	case turn.Completed:
		return b.withoutOutput(turn.CauseCancelled, "a cancel was asked for", nil)
	}
	return nil
}

// executorLost decides about every entry that had been handed out, before any is handed out again: what may be repeated is
// counted and issued again, what may not is closed as unknown. A run that only waits for words has lost nobody.
func (b *step) executorLost(ev ExecutorLost) error {
	if err := b.current("executor_lost", ev.Run); err != nil {
		return err
	}
	if b.idling() {
		return nil
	}
	b.round = b.inRound()
	lost := turn.Event{Kind: turn.ExecutorLost, Run: ev.Run, Resumes: MaxResumes}
	if err := b.turn(lost); err != nil {
		return b.failRun(turn.CauseRuntimeApply, "the run was resumed too often without any progress: "+ev.Reason)
	}
	told := event.Resumed{}
	var unknown []run.Directive
	for _, d := range b.s.Open.All() {
		if ev.Given != nil && !ev.Given[d.ID] {
			continue
		}
		if d.Caller && ev.Given != nil {
			continue // no executor had it
		}
		if d.Held != run.NoHold {
			continue // nor it
		}
		switch d.Kind {
		case run.CallModel, run.Extract:
			b.ask(d) // a retry that waits goes on waiting
			told.Reissued++
		case run.RunTool:
			again, err := b.operation(d, operation.Event{Kind: operation.Reissue})
			if err != nil {
				unknown = append(unknown, d)
				continue
			}
			d.Attempt = again.Attempt
			b.ask(d)
			told.Reissued++
			b.tell(event.ToolExecutionStarted{Call: d.Call.ID, Name: d.Call.Name, Attempt: d.Attempt}, transcript.Position{})
		case run.Deliver: // the host's, and not the executor's
		case run.ApplyRun:
			again, err := b.operation(d, operation.Event{Kind: operation.Reissue})
			if err != nil {
				return b.runUnknown(d, ev.Reason)
			}
			d.Attempt, d.Upto = again.Attempt, b.s.Message+1 // steers that were taken in are part of what begins again
			b.ask(d)
			told.Reissued++
		}
	}
	told.Unknown = len(unknown)
	b.tell(told, transcript.Position{})
	return b.closeUnknown(unknown)
}

// closeUnknown closes calls that may have run and must not run again. The model is told.
func (b *step) closeUnknown(unknown []run.Directive) error {
	resumes := b.s.Turn.Resumes
	for _, d := range unknown {
		if _, err := b.operation(d, operation.Event{Kind: operation.Abandon}); err != nil {
			return err
		}
		b.closeEffect(d, transcript.ResultOutcomeUnknown)
		if err := b.settled(d, unknownResult(d), 0); err != nil {
			return err
		}
	}
	if len(unknown) > 0 && b.s.Turn.Pending == 0 {
		return b.boundary()
	}
	b.s.Turn.Resumes = resumes // settling what was lost is no progress
	return nil
}

// runUnknown ends a run that an executor with its own loop may or may not have carried out.
func (b *step) runUnknown(d run.Directive, reason string) error {
	why := "is not declared safe to repeat"
	if d.Class.Repeatable() {
		why = "was tried as often as it may be"
	}
	b.closeEffect(d, transcript.ResultOutcomeUnknown)
	err := b.turn(turn.Event{Kind: turn.FatalFailure, Run: d.Run, Cause: turn.CauseRuntimeApply,
		Error: "outcome unknown: the executor was lost, and the run " + why + ": " + reason})
	if err != nil {
		return err
	}
	return b.closeRun(StatusAbandoned)
}
