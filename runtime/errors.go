package runtime

import (
	"errors"
	"fmt"
	"time"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/toolset"
	"github.com/meerkat-go/meerkat/store"
)

// The conditions a host reports: compare with errors.Is. Their codes are the public ones (docs/commands.md); a test holds the table.
var (
	ErrNotFound       = fault.New(fault.NotFound, "no such session")
	ErrNoInput        = fault.New(fault.NotFound, "no such input")
	ErrNotReady       = fault.New(fault.NotReady, "not in this phase")
	ErrNotRunning     = fault.New(fault.NotRunning, "no run is bound")
	ErrNotCurrent     = fault.New(fault.NotRunning, "another run is bound")
	ErrBusy           = fault.New(fault.Busy, "a run is bound, or inputs wait")
	ErrExists         = fault.New(fault.Invalid, "session exists already")
	ErrBegun          = fault.New(fault.Invalid, "session has begun already")
	ErrInvalid        = fault.New(fault.Invalid, "not valid")
	ErrOverloaded     = fault.New(fault.Overloaded, "mailbox is full")
	ErrNotTold        = fault.New(fault.Overloaded, "time ran out before the session was told")
	ErrOwnedElsewhere = fault.New(fault.OwnedElsewhere, "another process owns the session")
	ErrClosed         = fault.New(fault.NotReady, "host is closed")
	ErrBound          = fault.New(fault.Invalid, "session is bound")
	ErrAmbiguous      = fault.New(fault.Invalid, "more than one session answers")
	ErrStaleEpoch     = fault.New(fault.Stale, "handle is of another registration")
	ErrStaleExecutor  = fault.New(fault.Stale, "handle is of an executor that is not attached")
	ErrMoved          = fault.New(fault.Stale, "session is at another place")
	ErrDuplicate      = fault.New(fault.Invalid, "input was given before")
	ErrNotCallers     = fault.New(fault.NotReady, "the run is not carried out by the caller")
	ErrNotRoutable    = fault.New(fault.Invalid, "cannot be routed")
	ErrSignal         = fault.New(fault.Internal, "whoever placed the session did not take the news")
	ErrCleanup        = fault.New(fault.Internal, "executor did not clean up")
	ErrDecided        = fault.New(fault.Stale, "no decision about the call is waited for")
	ErrCallbacks      = fault.New(fault.Invalid, "not exactly the callbacks that are pending")

	// Something has to end first. Tried again later the command may succeed.
	ErrStopping             = fault.New(fault.InProgress, "stop in progress")
	ErrUnregisterInProgress = fault.New(fault.InProgress, "unregistration in progress")

	// Refusals by phase, each a case of ErrNotReady. To the public a destroyed session is one that is not there.
	ErrStopped   = caseOf(ErrNotReady, fault.NotReady, "session is stopped")
	ErrRetired   = caseOf(ErrNotReady, fault.NotReady, "session is retired")
	ErrDestroyed = caseOf(ErrNotReady, fault.NotFound, "session is destroyed")

	ErrArchived     = caseOf(ErrNotFound, fault.NotFound, "session is archived") // it is no session any more
	ErrUnregistered = fault.New(fault.NotFound, "session was unregistered")

	// Outcomes that are not known.
	ErrUnregisterUnknown = fault.New(fault.OutcomeUnknown, "session may be unregistered")
	ErrInterruptUnknown  = fault.New(fault.OutcomeUnknown, "run is over; whether its executor was told is unknown")

	// What is wrong with the store, or with what stands in it.
	ErrStore           = fault.New(fault.Storage, "session closed because the store keeps failing")
	ErrUnread          = fault.New(fault.Storage, "could not be read in time; how it stands is unknown")
	ErrRecoveryBackoff = fault.New(fault.Storage, "session cannot be loaded now")
	ErrRepairBlocked   = fault.New(fault.Corrupt, "session is damaged")
)

// special is a condition that is a case of another one, and may have a code of its own.
type special struct {
	text string
	code fault.Code
	of   error
}

func caseOf(of error, code fault.Code, text string) error { return &special{text, code, of} }

func (s *special) Error() string { return s.text }

// Unwrap returns the condition it is a case of.
func (s *special) Unwrap() error { return s.of }

// FaultCode returns its code.
func (s *special) FaultCode() fault.Code { return s.code }

// RecoveryError says why a session could not be loaded. Nothing of the attempt is left: the next one looks anew.
type RecoveryError struct {
	Condition  error         // ErrRepairBlocked: somebody has to mend rows. ErrRecoveryBackoff: the store could not be read or written
	Evidence   string        // ErrRepairBlocked: a digest of what was found, equal as long as nothing is mended
	RetryAfter time.Duration // ErrRecoveryBackoff: an attempt before then is likely to fail as well
	Err        error         // ErrRepairBlocked: with *driver.Damage in its tree, which names the rows
}

// Error says it in words.
func (e *RecoveryError) Error() string { return fmt.Sprintf("%v: %v", e.Condition, e.Err) }

// Unwrap returns the condition and the cause.
func (e *RecoveryError) Unwrap() []error { return []error{e.Condition, e.Err} }

// unrecovered says what an error means that kept a session from being loaded.
func (h *Host) unrecovered(err error) error {
	var held *store.HeldError
	switch {
	case err == nil, h.ctx.Err() != nil, errors.As(err, &held):
		return err
	case damageIn(err) != nil:
		return unreadable(err)
	}
	switch fault.CodeOf(err) {
	case fault.Storage, fault.OutcomeUnknown, fault.Internal: // Internal: an error of the store that has no code
		return &RecoveryError{Condition: ErrRecoveryBackoff, RetryAfter: h.config.StorePause, Err: err}
	default:
		return err
	}
}

// unreadable says of damage that it keeps the session from going on.
func unreadable(err error) error {
	var already *RecoveryError
	if d := damageIn(err); d != nil && !errors.As(err, &already) {
		return &RecoveryError{Condition: ErrRepairBlocked, Evidence: d.Evidence(), Err: err}
	}
	return err
}

// damageIn finds what is damaged. Rows of a newer version are not.
func damageIn(err error) *driver.Damage {
	var d *driver.Damage
	if !errors.As(err, &d) || errors.Is(err, store.ErrFuture) {
		return nil
	}
	return d
}

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
		return &CommandError{command, s, withNames(conditionOf(r), err), r}
	}
	var held *store.HeldError
	if errors.As(err, &held) {
		return &CommandError{Command: command, Session: s, Cause: fmt.Errorf("%w: %w", ErrOwnedElsewhere, err)}
	}
	return &CommandError{Command: command, Session: s, Cause: unreadable(err)}
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
	case machine.WhyRetired, machine.GuardRetiring:
		return ErrRetired
	case machine.GuardArchived:
		return ErrArchived
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
	case machine.GuardFresh:
		return ErrBegun
	case machine.GuardIdle:
		return ErrBusy
	case machine.GuardRunning:
		return ErrNotRunning
	case machine.GuardCurrent:
		return ErrNotCurrent
	case machine.GuardAsked, machine.GuardContent, machine.GuardPending, machine.GuardReceipt, machine.GuardCause, machine.GuardNamed, machine.GuardDecider,
		machine.GuardSeed:
		return ErrInvalid
	case machine.GuardUndecided:
		return ErrDecided
	case machine.GuardCallbacks:
		return ErrCallbacks
	case machine.GuardStopping:
		return ErrStopping
	}
	if c, ok := sightConditions[r.Guard]; ok {
		return c
	}
	switch {
	case r.Region == toolset.Table.Region:
		return ErrInvalid
	case r.Phase == lifecycle.Unregistered.String():
		return ErrNotFound
	case r.Phase == lifecycle.Destroyed.String():
		return ErrDestroyed
	case errors.Is(r, fsm.ErrStale):
		return fault.New(fault.Stale, "not open any more")
	}
	return ErrNotReady
}
