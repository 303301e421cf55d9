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
	ErrNotTold        = fault.New(fault.Overloaded, "time ran out before the session was told")
	ErrOwnedElsewhere = fault.New(fault.OwnedElsewhere, "another process owns the session")
	ErrClosed         = fault.New(fault.NotReady, "host is closed")
	ErrDestroyed      = phase("session is destroyed") // as the next two an ErrNotReady
	ErrStopped        = phase("session is stopped")
	ErrRetired        = phase("session is retired")
	ErrArchived       = archived("session is archived") // an ErrNotFound: it is no session any more
	ErrBound          = fault.New(fault.Invalid, "session is bound")
	ErrAmbiguous      = fault.New(fault.Invalid, "more than one session answers")
	ErrStaleEpoch     = fault.New(fault.Stale, "handle is of another registration")
	ErrStaleExecutor  = fault.New(fault.Stale, "handle is of an executor that is not attached")
	ErrDuplicate      = fault.New(fault.Invalid, "input was given before")
	ErrNotCallers     = fault.New(fault.NotReady, "the run is not carried out by the caller")
	ErrSignal         = fault.New(fault.Internal, "whoever placed the session did not take the news")
	ErrCleanup        = fault.New(fault.Internal, "executor did not clean up")

	ErrUnregistered         = fault.New(fault.NotFound, "session was unregistered")
	ErrUnregisterInProgress = fault.New(fault.NotReady, "unregistration in progress")
	ErrUnregisterUnknown    = fault.New(fault.OutcomeUnknown, "session may be unregistered")
	ErrInterruptUnknown     = fault.New(fault.OutcomeUnknown, "run is over; whether its executor was told is unknown")

	ErrStore = fault.New(fault.Storage, "session closed because the store keeps failing")
)

// phase is a condition that is one of ErrNotReady.
type phase string

func (p phase) Error() string { return string(p) }

// Unwrap returns ErrNotReady.
func (p phase) Unwrap() error { return ErrNotReady }

type archived string

func (a archived) Error() string { return string(a) }

// Unwrap returns ErrNotFound.
func (a archived) Unwrap() error { return ErrNotFound }

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

// DuplicateError says that an input was given before.
type DuplicateError struct {
	Input id.Input
	Run   id.Run // empty: it waits, or has ended
}

// Error names the input that was first.
func (e *DuplicateError) Error() string { return fmt.Sprintf("%v as %s", ErrDuplicate, e.Input) }

// Unwrap returns ErrDuplicate.
func (e *DuplicateError) Unwrap() error { return ErrDuplicate }

var errUnknown = store.ErrUnknown

// failed wraps what went wrong with a command; nil stays nil.
func failed(command string, s id.Session, err error) error {
	if err == nil {
		return nil
	}
	var already *CommandError
	if errors.As(err, &already) {
		return err
	}
	var bound *BoundError
	if errors.As(err, &bound) {
		return &CommandError{command, s, err, bound.Refusal}
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
	case machine.WhyMissing:
		return ErrNotFound
	case machine.WhyDestroyed:
		return ErrDestroyed
	case machine.WhyStopped:
		return ErrStopped
	case machine.WhyRetired, machine.GuardRetiring, machine.GuardArchived:
		return ErrRetired
	case machine.GuardDraining:
		return ErrUnregisterInProgress
	case machine.GuardPlace:
		return ErrBound
	case machine.GuardEpoch:
		return ErrStaleEpoch
	case machine.GuardHandle:
		return ErrStaleExecutor
	case machine.GuardExists:
		return ErrExists
	case machine.GuardIdle:
		return ErrBusy
	case machine.GuardRunning:
		return ErrNotRunning
	case machine.GuardCurrent:
		return ErrNotCurrent
	case machine.GuardContent, machine.GuardPending, machine.GuardReceipt, machine.GuardNamed:
		return ErrInvalid
	case machine.GuardStopping:
		return ErrStopping
	}
	switch {
	case r.Phase == lifecycle.Unregistered.String():
		return ErrNotFound
	case r.Phase == lifecycle.Destroyed.String():
		return ErrDestroyed
	case errors.Is(r, fsm.ErrStale):
		return fault.New(fault.Stale, "not open any more")
	}
	return ErrNotReady
}
