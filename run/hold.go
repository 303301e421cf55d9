package run

import "time"

// Hold says what a call waits for before it is carried out. It is stored as a number: a new one is appended.
type Hold uint8

// The holds.
const (
	NoHold           Hold = iota // the zero value: it is carried out at once
	Approval                     // somebody has to allow it; then it is carried out
	Callback                     // a client carries it out and brings its result; no executor is given it
	ApprovedCallback             // somebody has to allow it; then a client carries it out
)

var holdNames = [...]string{"", "approval", "callback", "approved_callback"}

// String returns the public name.
func (h Hold) String() string { return holdNames[h] }

// Known reports whether there is such a hold.
func (h Hold) Known() bool { return int(h) < len(holdNames) }

// ForApproval reports whether a decision is what is waited for.
func (h Hold) ForApproval() bool { return h == Approval || h == ApprovedCallback }

// Decision is what was said about a call that had to be allowed. There is one at most, and it stays with the call's directive.
type Decision struct {
	Granted bool      `json:"granted"`
	By      string    `json:"by"` // who decided, as they are called outside
	Message string    `json:"message,omitempty"`
	At      time.Time `json:"at"`
}
