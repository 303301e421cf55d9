package turn

import (
	"errors"
	"fmt"
)

// Check says what is wrong with a state: nil, or joined errors that each begin with the number of a rule of docs/rules.md.
func Check(s State) error {
	var errs []error
	want := func(ok bool, rule, format string, args ...any) {
		if !ok {
			errs = append(errs, fmt.Errorf(rule+": "+format, args...))
		}
	}
	if !s.Phase.Known() {
		return fmt.Errorf("R22: there is no phase %d", s.Phase)
	}
	over := s.Phase.Terminal()
	want((s.Phase == Ready) == (s.Run == ""), "R30", "phase %s with run %q", s.Phase, s.Run)
	want(!s.Cancel || !over && s.Phase != Ready && s.Phase != ErrorRecovery, "R42", "a cancel in phase %s", s.Phase)
	want(s.Pending == 0 || s.Phase == WaitingForOps, "R51", "%d calls pending in phase %s", s.Pending, s.Phase)
	want(s.Pending >= 0 && s.Calls >= 0 && s.Round >= 0 && s.Resumes >= 0 && s.Tries >= 0, "R51", "a counter is below zero: %+v", s)
	switch s.Phase {
	case CallingLlm, ErrorRecovery, Extracting:
		want(s.Attempt >= 1, "R10", "attempt %d in phase %s", s.Attempt, s.Phase)
	case Ready, ApplyingPrimitive, WaitingForOps, DrainingBoundary, Completed, Failed, Cancelled:
	}

	finding := s.Phase == Extracting || s.Phase == ErrorRecovery || s.Phase == Completed
	want(!s.Answered || finding, "R110", "the answer is in, and phase %s", s.Phase)
	want(s.Answered || s.Phase != Extracting && !s.Output && s.Tries == 0 && s.MaxTries == 0, "R110", "a search for an output before the answer: %+v", s)
	want(!s.Answered || s.Cause == "", "R110", "the answer is in, and the run ended because of %s", s.Cause)
	want(!s.Output || s.Phase == Completed, "R111", "there is an output in phase %s", s.Phase)
	want(!s.Output || s.Tries >= 1, "R111", "there is an output of no try")
	want(s.Tries <= s.MaxTries, "R111", "%d tries of at most %d", s.Tries, s.MaxTries)
	want(s.Phase != Extracting || s.Tries < s.MaxTries, "R111", "a try after %d of %d", s.Tries, s.MaxTries)

	switch s.Phase {
	case Completed:
		want(s.Cause == "" || s.Cause == CauseBudget, "R112", "completed because of %s", s.Cause)
	case Failed:
		want(s.Cause != "" && s.Cause != CauseCancelled, "R32", "failed because of %q", s.Cause)
	case Cancelled:
		want(s.Cause == CauseCancelled, "R32", "cancelled because of %q", s.Cause)
	default:
		want(s.Cause == "" && s.Error == "" && s.Failure == "", "R32", "phase %s, and it ended because of %q", s.Phase, s.Cause)
	}
	spoken := s.Phase == ApplyingPrimitive || over
	want(!s.Immediate || spoken && s.Round == 0 && s.Calls == 0, "R112", "a run that only adds to the context has called a model: %+v", s)
	return errors.Join(errs...)
}
