package runtime

import (
	"errors"
	"fmt"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/store"
)

// The conditions a host reports: compare with errors.Is.
var (
	ErrNotFound       = fault.New(fault.NotFound, "no such session")
	ErrNotReady       = fault.New(fault.NotReady, "not in this phase")
	ErrNotRunning     = fault.New(fault.NotRunning, "no run is bound")
	ErrNotCurrent     = fault.New(fault.NotRunning, "another run is bound")
	ErrBusy           = fault.New(fault.Busy, "a run is bound, or inputs wait")
	ErrExists         = fault.New(fault.Invalid, "session exists already")
	ErrInvalid        = fault.New(fault.Invalid, "not valid")
	ErrStopping       = fault.New(fault.NotReady, "stop in progress")
	ErrOverloaded     = fault.New(fault.Overloaded, "mailbox is full")
	ErrOwnedElsewhere = fault.New(fault.OwnedElsewhere, "another process owns the session")
	ErrClosed         = fault.New(fault.NotReady, "host is closed")
	ErrStore          = fault.New(fault.Storage, "session closed because the store keeps failing")
)

// CommandError says which command was not carried out, on which session, and why. A refusal of the machine is in its tree, to be
// found with errors.As, so that a surface can explain a "no" without reading text.
type CommandError struct {
	Command string
	Session id.Session
	Cause   error // one of the conditions above, or what the store said
	Refusal *machine.Refusal
}

// Error says it in words.
func (e *CommandError) Error() string {
	if e.Refusal != nil {
		return fmt.Sprintf("%s session %s: %v (%s in phase %s: %s)", e.Command, e.Session, e.Cause, e.Refusal.Event, e.Refusal.Phase, e.Refusal.Guard)
	}
	return fmt.Sprintf("%s session %s: %v", e.Command, e.Session, e.Cause)
}

// Unwrap returns the cause and the refusal.
func (e *CommandError) Unwrap() []error {
	if e.Refusal != nil {
		return []error{e.Cause, e.Refusal}
	}
	return []error{e.Cause}
}

// failed wraps what went wrong with a command; nil stays nil.
func failed(command string, s id.Session, err error) error {
	if err == nil {
		return nil
	}
	var already *CommandError
	if errors.As(err, &already) {
		return err
	}
	var r *machine.Refusal
	if errors.As(err, &r) {
		return &CommandError{command, s, conditionOf(r), r}
	}
	var held *store.HeldError
	if errors.As(err, &held) {
		return &CommandError{Command: command, Session: s, Cause: fmt.Errorf("%w: %w", ErrOwnedElsewhere, err)}
	}
	return &CommandError{Command: command, Session: s, Cause: err}
}

// conditionOf maps a refusal to its condition, once.
func conditionOf(r *machine.Refusal) error {
	switch r.Guard {
	case machine.GuardExists:
		return ErrExists
	case machine.GuardIdle:
		return ErrBusy
	case machine.GuardRunning:
		return ErrNotRunning
	case machine.GuardCurrent:
		return ErrNotCurrent
	case machine.GuardContent, machine.GuardPending:
		return ErrInvalid
	case machine.GuardStopping:
		return ErrStopping
	}
	switch {
	case r.Phase == lifecycle.Unregistered.String():
		return ErrNotFound
	case errors.Is(r, fsm.ErrStale):
		return fault.New(fault.Stale, "not open any more")
	}
	return ErrNotReady
}
