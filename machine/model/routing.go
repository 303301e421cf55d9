package model

import (
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/pmap"
)

// RoutingKind is a kind of event of routing.
type RoutingKind uint8

// The kinds.
const (
	SetBaseline          RoutingKind = iota // this model answers where nothing else is said
	RequestFinite                           // another one is to answer the next runs
	RequestUntilChanged                     // another one is to answer from now on
	CompleteUntilChanged                    // the identity is the switch's target without a change of it
	AbortUntilChanged                       // the change cannot even begin
	AdmitRun                                // a run begins
	BeginImage                              // a picture is to be made
	DenyImagePlan                           // its plan is not allowed
	ActivateImage                           // its model answers from now on
	CompleteImage                           // it is made, or will not be
	RestoreImage                            // the client of the model before is back
	CancelRouting                           // what was for a run, or for the session, is over
)

var routingKinds = []string{"set_baseline", "request_finite", "request_until_changed", "complete_until_changed", "abort_until_changed",
	"admit_run", "begin_image", "deny_image_plan", "activate_image", "complete_image", "restore_image", "cancel_routing"}

// Cause of CancelRouting.
type Cause uint8

// The causes.
const (
	NoCause      Cause = iota
	RunEnded           // a run is over; what overrides the model for longer stays
	SessionEnded       // the session retires, stops or is destroyed: nothing stays but the baseline
)

// RoutingEvent is an event of routing.
type RoutingEvent struct {
	Kind      RoutingKind
	Request   string                 // the four of a switch
	Operation string                 // the five of a picture
	Target    identity.Route         // SetBaseline, requests, BeginImage
	Runs      int                    // RequestFinite: how many runs, at least 1
	Approval  identity.Approval      // requests, BeginImage
	Scoped    bool                   // BeginImage: the target answers while the picture is made
	Denial    identity.Denial        // DenyImagePlan
	Terminal  identity.ImageTerminal // CompleteImage
	Payload   identity.Payload       // CompleteImage
	Failed    bool                   // RestoreImage: the client could not be brought back
	Cause     Cause                  // CancelRouting
}

// Guards whose refusals callers tell apart.
const (
	GuardUsed       = "id was not used before" // R86
	GuardRuns       = "at least one run"
	GuardRequest    = "request is the one being applied"
	GuardChanging   = "no change of identity is under way for it"
	GuardApplied    = "identity is the target"
	GuardPlanned    = "the picture may be made and is not begun"
	GuardOverride   = "no picture's model answers"
	GuardHolds      = "the picture's model answers"
	GuardNoBaseline = "no baseline is configured"
)

type condition = fsm.Guard[State, RoutingEvent]

var (
	targetIsNamed  = condition{Name: "target is named", OK: func(_ State, e RoutingEvent) bool { return e.Target.Model != "" }}
	requestIsNamed = condition{Name: "request is named", OK: func(_ State, e RoutingEvent) bool { return e.Request != "" }}
	requestIsNew   = condition{Name: GuardUsed, OK: func(s State, e RoutingEvent) bool { return !s.Routing.usedRequest(e.Request) }}
	someRuns       = condition{Name: GuardRuns, OK: func(_ State, e RoutingEvent) bool { return e.Runs > 0 }}
	isDecided      = condition{Name: "approval is decided", OK: func(_ State, e RoutingEvent) bool { return e.Approval.Known() }}
	isGranted      = condition{Name: "approval is granted", OK: func(_ State, e RoutingEvent) bool { return e.Approval.Granted() }}
	cannotBeAsked  = condition{Name: "nobody can be asked", OK: func(_ State, e RoutingEvent) bool {
		return e.Approval == identity.RequiredButUnavailable
	}}
	userSaidNo = condition{Name: "the user said no", OK: func(_ State, e RoutingEvent) bool {
		return e.Approval == identity.DeniedByUser
	}}
	overrideIsFree = condition{Name: GuardOverride, OK: func(s State, _ RoutingEvent) bool { return s.Routing.Override == "" }}
	overrideIsHeld = condition{Name: "a picture's model answers", OK: func(s State, _ RoutingEvent) bool {
		return s.Routing.Override != ""
	}}

	requestIsThis = condition{Name: GuardRequest, OK: func(s State, e RoutingEvent) bool {
		return e.Request == s.Routing.current().Request
	}}
	notChanging = condition{Name: GuardChanging, OK: func(s State, e RoutingEvent) bool {
		return s.Pending == nil || s.Pending.Request != e.Request
	}}
	isApplied = condition{Name: GuardApplied, OK: func(s State, _ RoutingEvent) bool {
		return s.Phase == Resolved && s.Identity.Model == s.Routing.current().Target.Model
	}}
	runsLeft = condition{Name: "more runs are to come", OK: func(s State, _ RoutingEvent) bool { return s.Routing.current().Left > 1 }}

	operationIsNamed = condition{Name: "operation is named", OK: func(_ State, e RoutingEvent) bool { return e.Operation != "" }}
	operationIsNew   = condition{Name: GuardUsed, OK: func(s State, e RoutingEvent) bool { return !s.Routing.usedOperation(e.Operation) }}
	isPlanned        = condition{Name: GuardPlanned, OK: func(s State, e RoutingEvent) bool {
		return s.Routing.image(e.Operation).Phase == PlanResolved
	}}
	isScoped = condition{Name: "it is scoped", OK: func(s State, e RoutingEvent) bool {
		return s.Routing.image(e.Operation).Scoped
	}}
	isNotScoped = condition{Name: "it is not scoped", OK: func(s State, e RoutingEvent) bool {
		return !s.Routing.image(e.Operation).Scoped
	}}
	isActive = condition{Name: "it is being made", OK: func(s State, e RoutingEvent) bool {
		return s.Routing.image(e.Operation).Phase == ScopedActive
	}}
	isOutcome = condition{Name: "the end is one that may be reported", OK: func(_ State, e RoutingEvent) bool {
		return e.Terminal.Outcome()
	}}
	isReasoned    = condition{Name: "the reason is known", OK: func(_ State, e RoutingEvent) bool { return e.Denial.Known() }}
	holdsOverride = condition{Name: GuardHolds, OK: func(s State, e RoutingEvent) bool {
		return e.Operation != "" && e.Operation == s.Routing.Override
	}}
	mayRestore = condition{Name: "it is made, or cannot be restored", OK: func(s State, e RoutingEvent) bool {
		return e.Failed || s.Routing.image(e.Operation).Phase == Restoring
	}}

	runIsOver     = condition{Name: "the run is over", OK: func(_ State, e RoutingEvent) bool { return e.Cause == RunEnded }}
	sessionIsOver = condition{Name: "the session is over", OK: func(_ State, e RoutingEvent) bool { return e.Cause == SessionEnded }}
)

func with(first []condition, then ...condition) []condition {
	return append(first[:len(first):len(first)], then...)
}

var (
	based    = []RoutingPhase{AtBaseline, PendingFinite, ActiveFinite, Applying}
	switched = []RoutingPhase{PendingFinite, ActiveFinite, Applying}
	anywhere = []RoutingPhase{NoBaseline, AtBaseline, PendingFinite, ActiveFinite, Applying}

	lasting = []condition{requestIsNamed, targetIsNamed, requestIsNew}
	finite  = with(lasting, someRuns)
	picture = []condition{operationIsNamed, targetIsNamed, operationIsNew}
)

func denySwitch(reason identity.Denial) func(State, RoutingEvent) State {
	return func(s State, e RoutingEvent) State {
		if reason == identity.DeniedDuringApproval {
			s.Routing = s.Routing.decided(e.Request, identity.ForSwitch, e.Approval)
		}
		s.Routing = s.Routing.deny(Switch{Request: e.Request, Target: e.Target}, reason)
		return s
	}
}

// RoutingTable decides about switches and pictures. A row that grants stands before those that deny, so that a refusal names what is
// wrong with the event. Where several rows deny, the reason that counts for more stands first.
var RoutingTable = fsm.Must(fsm.Table[RoutingPhase, RoutingKind, State, RoutingEvent]{
	Region: "routing",
	Phases: routingPhases,
	Events: routingKinds,
	Phase:  func(s State) RoutingPhase { return s.Routing.Phase },
	Move:   func(s State, p RoutingPhase) State { s.Routing.Phase = p; return s },
	Kind:   func(e RoutingEvent) RoutingKind { return e.Kind },
	Rules: []fsm.Rule[RoutingPhase, RoutingKind, State, RoutingEvent]{
		{On: SetBaseline, From: []RoutingPhase{NoBaseline}, When: []condition{targetIsNamed}, To: AtBaseline,
			Do: setBaseline}, // W1
		{On: SetBaseline, From: based, When: []condition{targetIsNamed}, Stay: true,
			Do: setBaseline}, // W1

		{On: RequestFinite, From: []RoutingPhase{AtBaseline}, When: with(finite, isDecided, isGranted, overrideIsFree), To: PendingFinite,
			Do: accept}, // W5
		{On: RequestFinite, From: based, When: with(finite, isDecided, cannotBeAsked), Stay: true,
			Do: denySwitch(identity.ApprovalRequiredButUnavailable)}, // W2
		{On: RequestFinite, From: based, When: with(finite, userSaidNo), Stay: true,
			Do: denySwitch(identity.DeniedDuringApproval)}, // W3
		{On: RequestFinite, From: based, When: with(finite, isGranted), Stay: true,
			Do: denySwitch(identity.ScopedOverrideConflict)}, // W4: something is in the way

		{On: RequestUntilChanged, From: []RoutingPhase{AtBaseline}, When: with(lasting, isDecided, isGranted, overrideIsFree), To: Applying,
			Do: accept}, // W7
		{On: RequestUntilChanged, From: based, When: with(lasting, isDecided, cannotBeAsked), Stay: true,
			Do: denySwitch(identity.ApprovalRequiredButUnavailable)}, // W6
		{On: RequestUntilChanged, From: based, When: with(lasting, userSaidNo), Stay: true,
			Do: denySwitch(identity.DeniedDuringApproval)}, // W6
		{On: RequestUntilChanged, From: based, When: with(lasting, isGranted), Stay: true,
			Do: denySwitch(identity.ScopedOverrideConflict)}, // W6

		{On: CompleteUntilChanged, From: []RoutingPhase{Applying}, When: []condition{requestIsThis, notChanging, isApplied}, To: AtBaseline,
			Do: func(s State, _ RoutingEvent) State { s.Routing = s.Routing.applied(); return s }}, // W8
		{On: AbortUntilChanged, From: []RoutingPhase{Applying}, When: []condition{requestIsThis, notChanging}, To: AtBaseline,
			Do: func(s State, _ RoutingEvent) State { s.Routing = s.Routing.failed(); return s }}, // W9

		{On: AdmitRun, From: []RoutingPhase{PendingFinite}, To: ActiveFinite, Do: activate},                        // W10
		{On: AdmitRun, From: []RoutingPhase{ActiveFinite}, When: []condition{runsLeft}, Stay: true, Do: countDown}, // W11
		{On: AdmitRun, From: []RoutingPhase{ActiveFinite}, To: AtBaseline, Do: usedUp},                             // W12
		{On: AdmitRun, From: []RoutingPhase{NoBaseline, AtBaseline, Applying}, Stay: true},                         // W13

		{On: BeginImage, From: based, When: with(picture, isDecided, isGranted, overrideIsFree), Stay: true,
			Do: plan}, // W17
		{On: BeginImage, From: based, When: with(picture, isDecided, overrideIsHeld), Stay: true,
			Do: denyImage(identity.ScopedOverrideConflict)}, // W14
		{On: BeginImage, From: based, When: with(picture, cannotBeAsked), Stay: true,
			Do: denyImage(identity.ApprovalRequiredButUnavailable)}, // W15
		{On: BeginImage, From: based, When: with(picture, userSaidNo), Stay: true,
			Do: denyImage(identity.DeniedDuringApproval)}, // W16
		{On: DenyImagePlan, From: based, When: []condition{isPlanned, isReasoned}, Stay: true,
			Do: denyPlan}, // W18
		{On: ActivateImage, From: based, When: []condition{isPlanned, isScoped, overrideIsFree}, Stay: true,
			Do: override}, // W19
		{On: CompleteImage, From: based, When: []condition{holdsOverride, isActive, isOutcome}, Stay: true,
			Do: made}, // W20
		{On: CompleteImage, From: based, When: []condition{isPlanned, isNotScoped, isOutcome}, Stay: true,
			Do: madeUnscoped}, // W21
		{On: RestoreImage, From: based, When: []condition{holdsOverride, mayRestore}, Stay: true,
			Do: restore}, // W22

		{On: CancelRouting, From: anywhere, When: []condition{runIsOver}, Stay: true,
			Do: runEnded}, // W23
		{On: CancelRouting, From: []RoutingPhase{NoBaseline, AtBaseline}, When: []condition{sessionIsOver}, Stay: true,
			Do: sessionEnded}, // W23
		{On: CancelRouting, From: switched, When: []condition{sessionIsOver}, To: AtBaseline,
			Do: sessionEnded}, // W23
	},
	Refuse: []fsm.No[RoutingPhase, RoutingKind]{
		{On: RequestFinite, From: []RoutingPhase{NoBaseline}, Why: GuardNoBaseline},
		{On: RequestUntilChanged, From: []RoutingPhase{NoBaseline}, Why: GuardNoBaseline},
		{On: CompleteUntilChanged, From: []RoutingPhase{NoBaseline, AtBaseline, PendingFinite, ActiveFinite}, Why: noneApplied},
		{On: AbortUntilChanged, From: []RoutingPhase{NoBaseline, AtBaseline, PendingFinite, ActiveFinite}, Why: noneApplied},
		{On: BeginImage, From: []RoutingPhase{NoBaseline}, Why: GuardNoBaseline},
		{On: DenyImagePlan, From: []RoutingPhase{NoBaseline}, Why: GuardNoBaseline},
		{On: ActivateImage, From: []RoutingPhase{NoBaseline}, Why: GuardNoBaseline},
		{On: CompleteImage, From: []RoutingPhase{NoBaseline}, Why: GuardNoBaseline},
		{On: RestoreImage, From: []RoutingPhase{NoBaseline}, Why: GuardNoBaseline},
	},
})

const noneApplied = "no switch is being applied"

func setBaseline(s State, e RoutingEvent) State { s.Routing = s.Routing.rebase(e.Target); return s }

func accept(s State, e RoutingEvent) State {
	s.Routing = s.Routing.decided(e.Request, identity.ForSwitch, e.Approval)
	sw := Switch{Request: e.Request, Target: e.Target}
	if e.Kind == RequestFinite {
		sw.Runs = e.Runs
	}
	s.Routing.Switch = &sw
	return s
}

func activate(s State, _ RoutingEvent) State {
	sw := s.Routing.current()
	sw.Left = sw.Runs
	s.Routing.Switch = &sw
	s.Routing.Topology++
	return s
}

func countDown(s State, _ RoutingEvent) State {
	sw := s.Routing.current()
	sw.Left--
	s.Routing.Switch = &sw
	return s
}

func usedUp(s State, _ RoutingEvent) State {
	s.Routing = s.Routing.restored(0)
	return s
}

func plan(s State, e RoutingEvent) State {
	s.Routing = s.Routing.decided(e.Operation, identity.ForImage, e.Approval)
	s.Routing.Images = s.Routing.Images.Set(pmap.Name(e.Operation), Image{Phase: PlanResolved, Target: e.Target, Scoped: e.Scoped})
	return s
}

func denyImage(reason identity.Denial) func(State, RoutingEvent) State {
	return func(s State, e RoutingEvent) State {
		if reason == identity.DeniedDuringApproval {
			s.Routing = s.Routing.decided(e.Operation, identity.ForImage, e.Approval)
		}
		s.Routing = s.Routing.ended(identity.ImageEnd{Operation: e.Operation, Terminal: identity.ImageDenied, Denial: reason})
		return s
	}
}

func denyPlan(s State, e RoutingEvent) State {
	s.Routing = s.Routing.ended(identity.ImageEnd{Operation: e.Operation, Terminal: identity.ImageDenied, Denial: e.Denial})
	return s
}

func override(s State, e RoutingEvent) State {
	i := s.Routing.image(e.Operation)
	i.Phase = ScopedActive
	s.Routing.Images = s.Routing.Images.Set(pmap.Name(e.Operation), i)
	s.Routing.Override = e.Operation
	s.Routing.Topology++
	return s
}

func made(s State, e RoutingEvent) State {
	i := s.Routing.image(e.Operation)
	i.Phase, i.Terminal, i.Payload = Restoring, e.Terminal, e.Payload
	s.Routing.Images = s.Routing.Images.Set(pmap.Name(e.Operation), i)
	return s
}

func madeUnscoped(s State, e RoutingEvent) State {
	s.Routing = s.Routing.ended(identity.ImageEnd{Operation: e.Operation, Terminal: e.Terminal, Payload: e.Payload})
	return s
}

func restore(s State, e RoutingEvent) State {
	last := identity.ImageTerminal("")
	if e.Failed {
		last = identity.ScopedRestoreFailed
	}
	s.Routing = s.Routing.release(last)
	return s
}

func runEnded(s State, _ RoutingEvent) State {
	s.Routing = s.Routing.release("")
	return s
}

// sessionEnded ends whatever is not over. A change of identity under way is over as well: nobody will use its client.
func sessionEnded(s State, _ RoutingEvent) State {
	if s.Pending != nil {
		if s.Phase = Unresolved; s.Pending.Previous.Status == identity.Resolved {
			s.Phase = Resolved
		}
		s.Pending = nil
	}
	r := s.Routing.release("")
	for operation := range r.Images.All() {
		r = r.ended(identity.ImageEnd{Operation: string(operation), Terminal: identity.ImageCancelled})
	}
	switch r.Phase {
	case PendingFinite, Applying:
		r = r.deny(r.current(), identity.SessionEnded)
	case ActiveFinite:
		r = r.restored(r.current().Left - 1)
	case NoBaseline, AtBaseline:
	}
	s.Routing = r
	return s
}
