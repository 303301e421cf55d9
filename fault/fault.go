// Package fault holds the closed set of public failure codes, and finds the code of an error.
//
// An error that a caller may see carries its code by having a method FaultCode; wrapping keeps it. Surfaces map codes to their
// protocol once, and never look at text.
package fault

import (
	"context"
	"errors"
)

// Code is one public kind of failure. The zero value is Internal.
type Code uint8

// The codes. Their names are what a machine reader sees in JSON output.
const (
	Internal        Code = iota // a defect, or something nobody foresaw
	Invalid                     // the request is malformed, or refused by a rule that will not change by waiting
	NotFound                    // no such session, input or tool; a model that is not there is Invalid
	Busy                        // a run is bound, or the session has waiting work, and the caller asked for an idle one
	NotReady                    // the session's phase does not take this command
	NotRunning                  // there is no run, or not the one named
	Stale                       // the answer is to a question that is not asked any more
	OwnedElsewhere              // another process owns the session
	Overloaded                  // a bound was reached; try again later
	OutcomeUnknown              // the command may have taken effect; look it up by its id
	Cancelled                   // the run was cancelled
	Unauthenticated             // the model provider refused the credential
	Provider                    // the model provider failed
	Budget                      // a budget or limit ended the run
	Storage                     // the store failed: no space, read-only, I/O
	Corrupt                     // stored data cannot be read, or was written by a newer version
	InProgress                  // something has to end first, such as a stop; try again later
	Unidentified                // the caller showed no key, or none that is good
	Forbidden                   // the caller is known and may not do this
	Unavailable                 // this server has no such capability, or it is not switched on
)

var names = [...]string{"internal", "invalid", "not_found", "busy", "not_ready", "not_running", "stale", "owned_elsewhere",
	"overloaded", "outcome_unknown", "cancelled", "unauthenticated", "provider", "budget", "storage", "corrupt", "in_progress",
	"unidentified", "forbidden", "unavailable"}

// String returns the code's public name.
func (c Code) String() string {
	if int(c) < len(names) {
		return names[c]
	}
	return names[Internal]
}

// Coded is implemented by errors that know their public code.
type Coded interface {
	error
	FaultCode() Code
}

// CodeOf returns the code of the outermost error in err's tree that has one. A context's cancellation is Cancelled; nil and
// anything unknown are Internal.
func CodeOf(err error) Code {
	var c Coded
	if errors.As(err, &c) {
		return c.FaultCode()
	}
	if errors.Is(err, context.Canceled) {
		return Cancelled
	}
	return Internal
}

// Condition is a sentinel error with a code: compare with errors.Is.
type Condition struct {
	text string
	code Code
}

// New makes a condition.
func New(code Code, text string) *Condition { return &Condition{text, code} }

// Error returns the condition's text.
func (c *Condition) Error() string { return c.text }

// FaultCode returns the condition's code.
func (c *Condition) FaultCode() Code { return c.code }
