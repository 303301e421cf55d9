package machine

import (
	"fmt"

	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/machine/peer"
	"github.com/meerkat-go/meerkat/machine/toolserver"
	"github.com/meerkat-go/meerkat/machine/toolset"
	"github.com/meerkat-go/meerkat/run"
)

// What one region must know of another stands in this file and nowhere else.

// Names of guards that callers tell apart.
const (
	GuardExists   = "session does not exist yet"
	GuardIdle     = "nothing is running or waiting"
	GuardPending  = "the transcript waits for a reply"
	GuardContent  = "there is content"
	GuardPlace    = "session is not bound elsewhere"
	GuardNamed    = "the place has a name"
	GuardAttached = "no executor is attached"
	GuardCurrent  = "run is the current one"
	GuardRunning  = "a run is bound"
	GuardStopping = lifecycle.GuardNotStopping
	GuardRetiring = lifecycle.GuardNotRetiring
	GuardArchived = lifecycle.GuardNotArchived
	GuardEpoch    = "handle is of this registration"
	GuardHandle   = "executor of the handle is attached"
	GuardDraining = "no unregistration in progress"
	GuardDrained  = "an unregistration is in progress"
	GuardAsked    = "what is asked of the run can be given"
	GuardPlaced   = "session is placed"
	GuardReceipt  = "receipt names the inputs of the run, in order"
	GuardCause    = "receipt names a cause that there is, or none"
	GuardComms    = "the ingress is given and taken with the session's comms"
	WhyMissing    = lifecycle.WhyUnregistered
	WhyStopped    = lifecycle.WhyStopped
	WhyRetired    = lifecycle.WhyRetired
	WhyDestroyed  = lifecycle.WhyDestroyed
)

// current refuses a handle that is none of the present ones.
func (b *step) handle(h Handled) error {
	switch {
	case h.Epoch != b.s.Lifecycle.Epoch:
		return b.refuse(Name(h.Event), GuardEpoch)
	case h.Attachment != 0 && h.Attachment != b.s.Transient.Attachment.ID:
		return b.refuse(Name(h.Event), GuardHandle)
	}
	return nil
}

// here refuses what may not be told to a session that is away, or on its way out.
func (b *step) here(ev Event) error {
	switch ev := ev.(type) {
	case Opened:
		return nil
	case Register:
		if b.s.Transient.Draining {
			return b.refuse("register", GuardDraining)
		}
		return nil
	case Reported:
		if _, signal := ev.Report.(run.Delivered); b.s.Lifecycle.Away && !signal {
			return b.stale("reported")
		}
		return nil
	}
	if _, end := ev.(Destroy); b.s.Lifecycle.Away && !end {
		return &Refusal{Sort: fsm.ErrPhase, Region: "session", Phase: "unregistered", Event: Name(ev), Guard: WhyMissing}
	}
	if !b.s.Transient.Draining {
		return nil
	}
	switch ev.(type) {
	case Drain, Unregister, Detach, Unbind, ExecutorLost, Interrupt, Destroy, Tick:
		return nil
	}
	if letsGo(ev) {
		return nil
	}
	return b.refuse(Name(ev), GuardDraining)
}

// in refuses an event in every phase but those given.
func (b *step) in(event string, phases ...lifecycle.Phase) error {
	have := b.s.Lifecycle.Phase
	for _, p := range phases {
		if p == have {
			return nil
		}
	}
	why := map[lifecycle.Phase]string{lifecycle.Unregistered: WhyMissing, lifecycle.Idle: "session is idle", lifecycle.Running: lifecycle.WhyRunning,
		lifecycle.Stopped: WhyStopped, lifecycle.Retired: WhyRetired, lifecycle.Destroyed: WhyDestroyed}[have]
	return &Refusal{Sort: fsm.ErrPhase, Region: "session", Phase: have.String(), Event: event, Guard: why}
}

// takesWork reports whether a session in a phase may still be given something to do.
func takesWork(p lifecycle.Phase) bool { return p == lifecycle.Idle || p == lifecycle.Running }

// letsGo reports whether an event of a region only ends something, or says that it has ended. Whoever has begun something may say so until the
// session leaves this process.
func letsGo(ev Event) bool {
	switch ev := ev.(type) {
	case Servers:
		switch ev.Kind {
		case toolserver.CallFinished, toolserver.FinalizeClean, toolserver.FinalizeForced, toolserver.Shutdown, toolserver.Lost, toolserver.Tick,
			toolserver.PendingFailed, toolserver.SnapshotAligned:
			return true
		}
	case Peers:
		return ev.Kind == peer.Detach || ev.Kind == peer.ClearSilent
	case Supervised:
		return ev.Kind >= peer.Revoke
	case Asked:
		return ev.Kind != peer.RequestSent && ev.Kind != peer.Progressed && ev.Kind != peer.RequestReceived
	case Comms:
		return ev.Runtime == (peer.Runtime{})
	case Linked:
		return ev.Kind == peer.Stop || ev.Kind >= peer.ExitClean && ev.Kind <= peer.NotifyExited
	case Streamed:
		return ev.Kind >= peer.StreamComplete
	case Work:
		switch ev.Kind {
		case registry.Fail, registry.Complete, registry.Abort, registry.Cancel, registry.MarkRetired, registry.Terminate, registry.TerminateOwner,
			registry.CancelWaitAll:
			return true
		}
	}
	return false
}

// mayTell says in which phases of its life a session's regions may be told something. What only lets go of things is hardly ever refused.
func (b *step) mayTell(ev Event) error {
	working := []lifecycle.Phase{lifecycle.Idle, lifecycle.Running}
	lasting := []lifecycle.Phase{lifecycle.Idle, lifecycle.Running, lifecycle.Retired}
	known := []lifecycle.Phase{lifecycle.Idle, lifecycle.Running, lifecycle.Retired, lifecycle.Stopped}
	may := lasting
	switch ev := ev.(type) {
	case Servers:
		switch may = working; {
		case ev.Kind == toolserver.CallStarted: // it is told why not
			may = append(known, lifecycle.Destroyed)
		case letsGo(ev):
			may = append(known, lifecycle.Destroyed)
		}
	case Toolset:
		may = lasting
	case Offered:
		may = known
	case Identity:
		may = working
		switch ev.Kind {
		case model.Hydrate:
			may = lasting
		case model.Abort:
			may = append(known, lifecycle.Destroyed)
		case model.StickyFallback:
			may = []lifecycle.Phase{lifecycle.Running}
		case model.Begin, model.Commit:
		}
	case Routing:
		may = working
		switch ev.Kind {
		case model.SetBaseline:
			may = known
		case model.CancelRouting:
			may = append(known, lifecycle.Destroyed)
		case model.AdmitRun:
			may = lasting
		default:
		}
	case Peers:
		if ev.Kind == peer.AttachSession || ev.Kind == peer.AttachMob {
			return b.refuse(Name(ev), GuardComms)
		}
		if ev.Kind == peer.SetSilent || letsGo(ev) {
			may = known
		}
	case Supervised:
		if b.s.Transient.Placement == (Placement{}) && (ev.Kind == peer.Bind || ev.Kind == peer.Authorize) {
			return b.refuse(Name(ev), GuardPlaced)
		}
		may = known
	case Asked:
		if may = known; ev.Kind == peer.RequestSent {
			may = lasting
		}
	case Comms:
		if letsGo(ev) {
			may = known
		}
	case Linked:
		if ev.Kind == peer.Hold || ev.Kind == peer.Release {
			return b.refuse(Name(ev), GuardComms)
		}
		may = known
	case Streamed, Work:
		may = known
	}
	return b.in(Name(ev), may...)
}

// Name is the public name of an event, as refusals tell it.
func Name(ev Event) string {
	switch ev := ev.(type) {
	case Opened:
		return "opened"
	case Register:
		return "register"
	case Bind:
		return "bind"
	case Unbind:
		return "unbind"
	case Attach:
		return "attach"
	case Detach:
		return "detach"
	case Drain:
		return "drain"
	case Unregister:
		return "unregister"
	case Amend:
		return "amend"
	case Stop:
		return "stop"
	case Retire:
		return "retire"
	case AbandonRetired:
		return "abandon_retired"
	case Archive:
		return "archive"
	case Reset:
		return "reset"
	case Recycle:
		return "recycle"
	case Recover:
		return "recover"
	case Destroy:
		return "destroy"
	case Submit:
		return "submit"
	case Serve:
		return "serve"
	case Interrupt:
		return "interrupt"
	case CancelAfterBoundary:
		return "cancel_after_boundary"
	case ExecutorLost:
		return "executor_lost"
	case Reported:
		return "reported"
	case Decide:
		return "decide"
	case SettleCallbacks:
		return "settle_callbacks"
	case Published:
		return "published"
	case Handled:
		return Name(ev.Event)
	case Tick:
		return "tick"
	case Servers:
		return "servers/" + ev.Kind.String()
	case Toolset:
		return "toolset/" + toolset.Table.Events[ev.Kind]
	case Offered:
		return "offered"
	case Identity:
		return "identity/" + model.IdentityTable.Events[ev.Kind]
	case Routing:
		return "routing/" + model.RoutingTable.Events[ev.Kind]
	case Peers:
		return "peers/" + ev.Kind.String()
	case Supervised:
		return "supervised/" + ev.Kind.String()
	case Asked:
		return "asked/" + ev.Kind.String()
	case Comms:
		return "comms"
	case Linked:
		return "linked/" + ev.Kind.String()
	case Streamed:
		return "streamed/" + ev.Kind.String()
	case Work:
		return "work/" + ev.Kind.String()
	}
	panic(fmt.Sprintf("machine: event %T", ev))
}
