package machine

import (
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// Event is something a session is told. Each is idempotent by an id it carries, or by what it asks for, so one whose fate is unknown may be
// told again.
type Event interface{ machineEvent() }

// The life of a session.
type (
	// Opened says that the session begins to live in this process: what belonged to another is gone. It is told once, before all else.
	Opened struct {
		Attachment Attachment // the host's own executor; zero: none
		Reason     string     // why whoever carried the bound run out does so no more
	}
	// Register makes the session exist, brings it back, or revives a stopped one. All but the executor is for a new one only.
	Register struct {
		Profile    *run.Profile
		System     string
		Seed       []transcript.Row // what it begins with, in place of System: rows of another transcript, in order
		Model      identity.Target  // what the profile's model is; zero: nobody knows
		Status     identity.Status  // of it
		Attachment Attachment       // the host's own executor, if the session has none; zero: none
	}
	// Bind puts the session at a place. The same place again changes nothing; another is refused.
	Bind struct {
		Placement Placement
		Epoch     *id.Epoch // nil: the current one, whichever that is
	}
	// Unbind takes the session from exactly that place; anything else is no change.
	Unbind struct{ Placement Placement }
	// Attach wires an executor in. What waits may start. A stopped session is revived.
	Attach struct{ Attachment Attachment }
	// Detach takes the executor out, if it is still that one.
	Detach struct{ ID uint64 }
	// Drain begins to unregister the session here: it takes nothing any more, and its executor is let go. Drain with Over set takes it back.
	Drain struct{ Over bool }
	// Unregister ends the registration. What waits goes on waiting, a bound run stays bound.
	Unregister struct{}
	// Stop takes no more input, and ends the session when the bound run ends.
	Stop struct{ Reason string }
	// Retire takes no more input; what is there is carried out if there is an executor, and given up if there is none.
	Retire struct{}
	// AbandonRetired gives up what waits in a retired session.
	AbandonRetired struct{}
	// Archive makes a record of the session: its run is ended, what waits is given up.
	Archive struct{}
	// Reset gives up what waits and begins anew.
	Reset struct{}
	// Recycle takes the executor's place away and takes input again. What waits goes on.
	Recycle struct{}
	// Recover says that the session was looked at again, row by row.
	Recover struct{}
	// Destroy ends the session for ever.
	Destroy struct{}
)

// Work.
type (
	// Submit gives the session something to do.
	Submit struct {
		Input       input.Input
		Continue    bool   // it has no body: the session goes on with its transcript as it is; implies RequireIdle
		RequireIdle bool   // refused unless nothing runs and nothing waits that could start a run
		WithoutWake bool   // it starts nothing, and rides along with what does
		Caller      bool   // whoever submits carries the run out; implies RequireIdle
		Prior       *Prior // an ended input of the same id or key, looked up by the driver
	}
	// Serve begins a run without inputs that the caller carries out.
	Serve struct{}
	// Interrupt ends the run at once.
	Interrupt struct {
		Run    id.Run
		Reason string
	}
	// CancelAfterBoundary ends the run where it would next call a model or complete.
	CancelAfterBoundary struct{ Run id.Run }
	// ExecutorLost says that nobody carries the run out any more: a panic, an early return.
	ExecutorLost struct {
		Run    id.Run
		Given  map[id.Effect]bool // what had been handed out; nil: nobody knows, so all of it
		Reason string
	}
	// Reported answers a directive.
	Reported struct{ Report run.Report }
	// Published tells clients something that did not happen in the session.
	Published struct {
		Kind string
		Body string
	}
)

// Handled is an event that is told through a handle: it counts only as long as the handle is one of the current registration and, if it
// names an attachment, of the executor that is attached.
type Handled struct {
	Epoch      id.Epoch
	Attachment uint64 // 0: of no executor
	Event      Event
}

// Prior is an input that has left the state.
type Prior struct {
	Item  inbox.Item
	Ended *Ended
}

func (Opened) machineEvent()              {}
func (Register) machineEvent()            {}
func (Bind) machineEvent()                {}
func (Unbind) machineEvent()              {}
func (Attach) machineEvent()              {}
func (Detach) machineEvent()              {}
func (Drain) machineEvent()               {}
func (Unregister) machineEvent()          {}
func (Stop) machineEvent()                {}
func (Retire) machineEvent()              {}
func (AbandonRetired) machineEvent()      {}
func (Archive) machineEvent()             {}
func (Reset) machineEvent()               {}
func (Recycle) machineEvent()             {}
func (Recover) machineEvent()             {}
func (Destroy) machineEvent()             {}
func (Submit) machineEvent()              {}
func (Serve) machineEvent()               {}
func (Interrupt) machineEvent()           {}
func (CancelAfterBoundary) machineEvent() {}
func (ExecutorLost) machineEvent()        {}
func (Reported) machineEvent()            {}
func (Published) machineEvent()           {}
func (Handled) machineEvent()             {}
