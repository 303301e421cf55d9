package peer

import (
	"time"

	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/pmap"
)

// DefaultIdle is how long a timed drain waits for the next item where nothing else is said.
const DefaultIdle = 300 * time.Second

// Runtime is a comms runtime: who it is, and which object of it in this process. The zero value: none.
type Runtime struct {
	ID       string
	Instance uint64
}

// Mode of a drain.
type Mode uint8

// The modes.
const (
	NoMode          Mode = iota // the zero value
	Timed                       // ends when nothing came for a while
	AttachedSession             // ends with whoever attached
	PersistentHost              // never ends by itself, and is run again after a failure
)

var modes = []string{"", "timed", "attached_session", "persistent_host"}

// String returns the public name; empty for NoMode.
func (m Mode) String() string { return modes[m] }

// Reason a drain ended for.
type Reason uint8

// The reasons.
const (
	NoReason Reason = iota // the zero value: it did not
	ExitIdleTimeout
	ExitDismissed // a peer said DISMISS
	ExitFailed
	ExitAborted
	ExitSessionShutdown
)

var reasons = []string{"", "idle_timeout", "dismissed", "failed", "aborted", "session_shutdown"}

// String returns the public name; empty for NoReason.
func (r Reason) String() string { return reasons[r] }

// DrainPhase of a session's drain.
type DrainPhase uint8

// The phases. All but Running rest and can be left by Spawn.
const (
	Inactive          DrainPhase = iota // the zero value: none, or one that ended well
	Running                             // what comes in is taken
	ExitedRespawnable                   // it failed, and is to be run again
	Stopped                             // it was told to stop
)

var drainPhases = []string{"inactive", "running", "exited_respawnable", "stopped"}

// String returns the public name.
func (p DrainPhase) String() string { return drainPhases[p] }

// Link is the transient part of the region: it belongs to one process, is never written, and is zero after a load. It is a value and
// can be compared.
type Link struct {
	Ingress   string // identity of the comms runtime that holds the ingress; empty: none
	Phase     DrainPhase
	Mode      Mode    // set unless Inactive
	Exit      Reason  // why the last one ended
	Dismissed bool    // it ends once everything that came before is handed over
	Runtime   Runtime // bound to the drain: set in Running and ExitedRespawnable
	Idle      time.Duration
	Quiet     time.Time // Running and Timed: it ends then unless something comes
	Streams   pmap.Map[pmap.Name, Stream]
}

// LinkKind is a kind of LinkEvent.
type LinkKind uint8

// The kinds.
const (
	Hold            LinkKind = iota // a comms runtime holds the ingress; a persistent drain goes with it
	Release                         // none does
	Spawn                           // begin
	EnsureRunning                   // a persistent one: go on, or begin again
	Stop                            // end, by command
	ExitClean                       // it ended, and is not to be run again
	ExitRespawnable                 // it ended, and is
	NotifyExited                    // it ended; which of the two follows from mode and reason
	Heard                           // something came
	Dismiss                         // a peer said so
)

var linkKinds = []string{"hold", "release", "spawn", "ensure_running", "stop", "exit_clean", "exit_respawnable", "notify_exited",
	"heard", "dismiss"}

// String returns the public name.
func (k LinkKind) String() string { return linkKinds[k] }

// LinkEvent is an event of Drain.
type LinkEvent struct {
	Kind    LinkKind
	Runtime Runtime       // Hold, Spawn, EnsureRunning; of an exit: whose it is, zero for the present one's
	Mode    Mode          // Spawn
	Idle    time.Duration // Spawn of a timed one; 0: DefaultIdle
	Now     time.Time     // Spawn of a timed one, Heard
	Reason  Reason        // ExitClean, NotifyExited; Stop, where it is not ExitAborted
}

// Guards and refusals that callers tell apart.
const (
	GuardMode       = "mode is named"
	GuardPersistent = "mode is persistent_host"
	GuardHeld       = "the comms runtime holds the ingress"
	GuardReason     = "reason is named"
	GuardClean      = "it is not to be run again"
	WhyRunning      = "already running"
	WhyNoMode       = "no mode to run under"
)

type linkGuard = fsm.Guard[Link, LinkEvent]

// bound is the runtime an event leads the drain to.
func bound(l Link, e LinkEvent) Runtime {
	if e.Runtime != (Runtime{}) {
		return e.Runtime
	}
	return l.Runtime
}

func again(l Link, e LinkEvent) bool { return l.Mode == PersistentHost && e.Reason == ExitFailed }

var (
	runtimeIsGiven    = linkGuard{Name: GuardRuntime, OK: func(_ Link, e LinkEvent) bool { return e.Runtime.ID != "" }}
	runtimeIsKnown    = linkGuard{Name: GuardRuntime, OK: func(l Link, e LinkEvent) bool { return bound(l, e).ID != "" }}
	modeIsNamed       = linkGuard{Name: GuardMode, OK: func(_ Link, e LinkEvent) bool { return e.Mode != NoMode }}
	holdsIfPersistent = linkGuard{Name: GuardHeld, OK: func(l Link, e LinkEvent) bool {
		return e.Mode != PersistentHost || e.Runtime.ID == l.Ingress
	}}
	holdsIngress     = linkGuard{Name: GuardHeld, OK: func(l Link, e LinkEvent) bool { return bound(l, e).ID == l.Ingress }}
	isPersistent     = linkGuard{Name: GuardPersistent, OK: func(l Link, _ LinkEvent) bool { return l.Mode == PersistentHost }}
	isTimed          = linkGuard{Name: "mode is timed", OK: func(l Link, _ LinkEvent) bool { return l.Mode == Timed }}
	runtimeIsPresent = linkGuard{Name: "it is about this comms runtime", OK: func(l Link, e LinkEvent) bool { return bound(l, e) == l.Runtime }}
	runtimeIsAnother = linkGuard{Name: "it is about another comms runtime", OK: func(l Link, e LinkEvent) bool { return bound(l, e) != l.Runtime }}
	reasonIsNamed    = linkGuard{Name: GuardReason, OK: func(_ Link, e LinkEvent) bool { return e.Reason != NoReason }}
	isOver           = linkGuard{Name: GuardClean, OK: func(l Link, e LinkEvent) bool { return !again(l, e) }}
	isToRunAgain     = linkGuard{Name: "it is to be run again", OK: again}
)

func hold(l Link, e LinkEvent) Link { l.Ingress = e.Runtime.ID; return l }

func rebind(l Link, e LinkEvent) Link { l.Runtime = bound(l, e); return l }

func spawn(l Link, e LinkEvent) Link {
	l.Mode, l.Runtime, l.Exit, l.Dismissed, l.Idle, l.Quiet = e.Mode, e.Runtime, NoReason, false, 0, time.Time{}
	if e.Mode != Timed {
		return l
	}
	if l.Idle = e.Idle; l.Idle <= 0 {
		l.Idle = DefaultIdle
	}
	l.Quiet = after(e.Now, l.Idle)
	return l
}

func respawn(l Link, e LinkEvent) Link { l.Runtime, l.Exit = bound(l, e), NoReason; return l }

// rested is what every end has in common.
func rested(l Link, why Reason) Link {
	l.Exit, l.Dismissed, l.Idle, l.Quiet = why, false, 0, time.Time{}
	return l
}

func stopped(l Link, e LinkEvent) Link {
	why := e.Reason
	if why == NoReason {
		why = ExitAborted
	}
	l = rested(l, why)
	l.Runtime = Runtime{}
	return l
}

func released(l Link, e LinkEvent) Link { l.Ingress = ""; return stopped(l, e) }

func exitedClean(l Link, e LinkEvent) Link {
	l = rested(l, e.Reason)
	l.Mode, l.Runtime = NoMode, Runtime{}
	return l
}

func exitedRespawnable(l Link, _ LinkEvent) Link { return rested(l, ExitFailed) }

var (
	anyDrain = []DrainPhase{Inactive, Running, ExitedRespawnable, Stopped}
	resting  = []DrainPhase{Inactive, ExitedRespawnable, Stopped}
	running  = []DrainPhase{Running}
)

// Drain decides who holds the ingress in this process, and whether what comes in is taken.
var Drain = fsm.Must(fsm.Table[DrainPhase, LinkKind, Link, LinkEvent]{
	Region: "peer/drain",
	Phases: drainPhases,
	Events: linkKinds,
	Phase:  func(l Link) DrainPhase { return l.Phase },
	Move:   func(l Link, p DrainPhase) Link { l.Phase = p; return l },
	Kind:   func(e LinkEvent) LinkKind { return e.Kind },
	Rules: []fsm.Rule[DrainPhase, LinkKind, Link, LinkEvent]{
		{On: Hold, From: []DrainPhase{Running, ExitedRespawnable}, When: []linkGuard{runtimeIsGiven, isPersistent}, Stay: true, // D1
			Do: func(l Link, e LinkEvent) Link { return rebind(hold(l, e), e) }},
		{On: Hold, From: anyDrain, When: []linkGuard{runtimeIsGiven}, Stay: true, Do: hold},                                       // D2
		{On: Release, From: []DrainPhase{Running, ExitedRespawnable}, When: []linkGuard{isPersistent}, To: Stopped, Do: released}, // D3
		{On: Release, From: anyDrain, Stay: true, Do: func(l Link, _ LinkEvent) Link { l.Ingress = ""; return l }},                // D4

		{On: Spawn, From: resting, When: []linkGuard{modeIsNamed, runtimeIsGiven, holdsIfPersistent}, To: Running, Do: spawn}, // D5

		{On: EnsureRunning, From: running, When: []linkGuard{isPersistent, holdsIngress}, Stay: true, Do: rebind}, // D6
		{On: EnsureRunning, From: running, When: []linkGuard{runtimeIsPresent}, Stay: true},                       // D7
		{On: EnsureRunning, From: []DrainPhase{ExitedRespawnable, Stopped}, // D8
			When: []linkGuard{isPersistent, runtimeIsKnown, holdsIngress}, To: Running, Do: respawn},

		{On: Stop, From: []DrainPhase{Running, ExitedRespawnable}, To: Stopped, Do: stopped}, // D9
		{On: Stop, From: []DrainPhase{Inactive, Stopped}, Stay: true},                        // D10

		{On: ExitClean, From: running, When: []linkGuard{reasonIsNamed, isOver, runtimeIsPresent}, To: Inactive, // D11
			Do: exitedClean},
		{On: ExitRespawnable, From: running, When: []linkGuard{isPersistent, runtimeIsPresent}, To: ExitedRespawnable, // D12
			Do: exitedRespawnable},
		{On: NotifyExited, From: running, When: []linkGuard{reasonIsNamed, isToRunAgain, runtimeIsPresent}, To: ExitedRespawnable, // D13
			Do: exitedRespawnable},
		{On: NotifyExited, From: running, When: []linkGuard{reasonIsNamed, runtimeIsPresent}, To: Inactive, Do: exitedClean}, // D14
		{On: ExitClean, From: running, When: []linkGuard{reasonIsNamed, runtimeIsAnother}, Stay: true},                       // D15
		{On: ExitRespawnable, From: running, When: []linkGuard{runtimeIsAnother}, Stay: true},                                // D15
		{On: NotifyExited, From: running, When: []linkGuard{reasonIsNamed}, Stay: true},                                      // D15
		{On: ExitClean, From: resting, Stay: true},                                                                           // D16
		{On: ExitRespawnable, From: resting, Stay: true},                                                                     // D16
		{On: NotifyExited, From: resting, Stay: true},                                                                        // D16

		{On: Heard, From: running, When: []linkGuard{isTimed}, Stay: true, // D17
			Do: func(l Link, e LinkEvent) Link { l.Quiet = after(e.Now, l.Idle); return l }},
		{On: Heard, From: anyDrain, Stay: true}, // D18
		{On: Dismiss, From: running, Stay: true, Do: func(l Link, _ LinkEvent) Link { l.Dismissed = true; return l }}, // D19
		{On: Dismiss, From: resting, Stay: true}, // D20
	},
	Refuse: []fsm.No[DrainPhase, LinkKind]{
		{On: Spawn, From: running, Why: WhyRunning},                       // D21
		{On: EnsureRunning, From: []DrainPhase{Inactive}, Why: WhyNoMode}, // D22
	},
})

// Listening returns the comms runtime that is to take what comes in, and whether one is. Whoever listens compares: another runtime than
// its own means that it is to let go first, so that no item is taken twice.
func Listening(l Link) (Runtime, bool) { return l.Runtime, l.Phase == Running }

// HasComms reports whether the session can be reached by peers in this process.
func HasComms(l Link) bool { return l.Phase != Inactive || l.Ingress != "" }

// QuietAt returns when a timed drain ends unless something comes, by NotifyExited{ExitIdleTimeout}, and whether there is such a time.
func QuietAt(l Link) (time.Time, bool) { return l.Quiet, !l.Quiet.IsZero() }
