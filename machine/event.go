package machine

import (
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// Event is something a session is told. Each is idempotent by an id it carries, so one whose fate is unknown may be told again.
type Event interface{ machineEvent() }

type (
	// Register makes the session exist, or revives a stopped one. Profile and System are for a new one only.
	Register struct {
		Profile *run.Profile
		System  string
	}
	// Bind puts the session at a place. The same place again changes nothing; another is refused.
	Bind struct{ Placement Placement }
	// Attach wires an executor in. What waits may start.
	Attach struct{ Attachment Attachment }
	// Detach takes the executor out, if it is still that one.
	Detach struct{ ID uint64 }
	// Submit gives the session something to do.
	Submit struct {
		ID          id.Input
		Key         string // empty: the id
		Lane        inbox.Lane
		Content     transcript.Blocks
		Continue    bool
		RequireIdle bool
		Prior       *Prior // an ended input of the same id or key, looked up by the driver
	}
	// Interrupt ends the run at once.
	Interrupt struct {
		Run    id.Run
		Reason string
	}
	// CancelAfterBoundary ends the run where it would next call a model or complete.
	CancelAfterBoundary struct{ Run id.Run }
	// Stop takes no more input, and ends the session when the bound run ends.
	Stop struct{ Reason string }
	// ExecutorLost says that nobody carries the run out any more: a new process, a takeover, a panic, an early return.
	ExecutorLost struct {
		Run    id.Run
		Given  map[id.Effect]bool // what had been handed out; nil: nobody knows, so all of it
		Reason string
	}
	// Reported answers a directive.
	Reported struct{ Report run.Report }
)

// Prior is an input that has left the state.
type Prior struct{ Input id.Input }

func (Register) machineEvent()            {}
func (Bind) machineEvent()                {}
func (Attach) machineEvent()              {}
func (Detach) machineEvent()              {}
func (Submit) machineEvent()              {}
func (Interrupt) machineEvent()           {}
func (CancelAfterBoundary) machineEvent() {}
func (Stop) machineEvent()                {}
func (ExecutorLost) machineEvent()        {}
func (Reported) machineEvent()            {}
