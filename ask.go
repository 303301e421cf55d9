package meerkat

import (
	"cmp"
	"context"
	"fmt"
	"path/filepath"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// Answer is what came of a question: the session it was asked in, for all that is to follow, and how it ended.
type Answer struct {
	Session id.Session
	control.Outcome
}

// NotCompleted is the error of a question that was accepted and came to another end than an answer.
type NotCompleted struct{ Answer Answer }

// Error says how it ended, and why.
func (e *NotCompleted) Error() string {
	return fmt.Sprintf("no answer, %s: %s", e.Answer.Status, cmp.Or(e.Answer.Error, e.Answer.Cause, "no reason was given"))
}

// FaultCode tells a run that was ended on purpose from one that failed.
func (e *NotCompleted) FaultCode() fault.Code {
	switch {
	case e.Answer.Cause == "budget_exhausted" || e.Answer.Cause == "time_budget_exceeded":
		return fault.Budget
	case e.Answer.Status == control.Failed:
		return fault.Provider
	}
	return fault.Cancelled
}

// Ask makes a session, gives it one thing to do and waits for the end: three calls of the plane, for programs that need no more. A
// workspace that is no absolute path counts from the current folder. An end that is no answer is a *NotCompleted; an answer that a budget
// cut short says so in its Cause, and one that lacks the output that the profile's schema wants, in its NoOutput. The session stays,
// with or without an error, as far as the answer names it; an answer that names its input too was accepted, and if ctx ends while it
// is waited for, it goes on and Plane().Wait hears of its end.
func (r *Runtime) Ask(ctx context.Context, p run.Profile, question string) (Answer, error) {
	if p.Workspace != "" {
		var err error
		if p.Workspace, err = filepath.Abs(p.Workspace); err != nil {
			return Answer{}, fmt.Errorf("find the workspace: %w", err)
		}
	}
	s, err := r.plane.CreateSession(ctx, control.CreateSession{Profile: p})
	if err != nil {
		return Answer{}, err
	}
	a := Answer{Session: s.ID}
	receipt, err := r.plane.Submit(ctx, control.Submit{Session: s.ID, Content: transcript.TextBlocks(question)})
	if err != nil {
		return a, err
	}
	out, err := r.plane.Wait(ctx, s.ID, receipt.Input)
	if err != nil {
		a.Input, a.Run = receipt.Input, receipt.Run
		return a, err
	}
	if a.Outcome = out; a.Status != control.Completed {
		return a, &NotCompleted{a}
	}
	return a, nil
}
