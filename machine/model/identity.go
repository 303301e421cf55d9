package model

import (
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine/fsm"
)

// Kind of event of the identity.
type Kind uint8

// The kinds.
const (
	Hydrate        Kind = iota // the session's model is this one: at its creation, and when what is known of it has changed
	Begin                      // another one is wanted
	Commit                     // its client is ready
	Abort                      // its client cannot be made, or is not wanted any more
	StickyFallback             // the model fails, and another one takes its place for good
)

var kinds = []string{"hydrate", "begin", "commit", "abort", "sticky_fallback"}

// Event of the identity. Where a field is a fact, whoever joins the regions fills it in from the state of another region.
type Event struct {
	Kind     Kind
	Token    identity.Token  // Begin, Commit, Abort
	Request  string          // Begin: the switch it carries out; empty: none
	Previous Compared        // Begin, StickyFallback: what the caller decided on
	Target   identity.Target // Hydrate, Begin, StickyFallback
	Status   identity.Status // Hydrate
	Tools    Tools           // fact; Hydrate: only Filter, as it will be with this step

	// StickyFallback:
	Profile        identity.Identity // whose profile Target.Surface was taken from: model, provider and server count
	Route          identity.Route    // the baseline to come
	Seen           Revisions         // of the tools, when the caller decided
	Attempt        int               // that failed, as the caller saw it
	CurrentAttempt int               // fact: of the outstanding model call
	Recovering     bool              // fact: an attempt has failed and the next is outstanding
}

// Revisions of the tools.
type Revisions struct {
	Active, Staged uint64
}

// Tools are facts of the tool region. Before and After tell whether identity.ViewImage is offered under everything that restricts tools,
// with the capability filter in force and with that of the target in its place. Both are false where there is no such tool.
type Tools struct {
	Filter        identity.CapabilityFilter // in force
	Revisions     Revisions
	Before, After bool
}

// Plan is what a change of identity does to the tools.
type Plan struct {
	Filter   identity.CapabilityFilter // from now on
	Changed  bool                      // other tools are offered than before
	Revision uint64                    // that is active from now on: a new one exactly if Changed
}

// Plan returns what becoming a model with this surface does to the tools. The same facts give the same plan; it is never taken from
// whoever asks for the change, and made anew when the change is committed, so that what was staged meanwhile is counted (R80).
func (t Tools) Plan(target identity.Surface) Plan {
	p := Plan{Filter: target.Filter(), Changed: t.Before != t.After, Revision: t.Revisions.Active}
	if p.Changed {
		p.Revision = max(t.Revisions.Active, t.Revisions.Staged) + 1
	}
	return p
}

// NextFilter returns the capability filter that an event leads to if it is accepted: what Tools.After is about.
func (s State) NextFilter(e Event) identity.CapabilityFilter {
	if e.Kind == Commit {
		return s.pending().Target.Surface.Filter()
	}
	return e.Target.Surface.Filter()
}

// fits reports whether the facts can be: a denied tool is not offered, and only another filter makes a difference.
func (t Tools) fits(target identity.Surface) bool {
	next := target.Filter()
	return !(t.Before && t.Filter.Denies(identity.ViewImage)) && !(t.After && next.Denies(identity.ViewImage)) &&
		(t.Filter != next || t.Before == t.After)
}

// Guards whose refusals callers tell apart.
const (
	GuardBusy     = "no other change of identity is under way" // R78
	GuardToken    = "token is that of the change under way"
	GuardIdentity = "identity is the current one" // R79, as the three below
	GuardSurface  = "surface is the current one"
	GuardStatus   = "status is the current one"
	GuardFilter   = "capability filter is the current one"
	GuardSeen     = "tools are as they were seen"
	GuardAttempt  = "attempt is the current one"
	GuardSwitch   = "no other switch is under way"
)

type guard = fsm.Guard[State, Event]

var (
	namesModel = guard{Name: "target is named", OK: func(_ State, e Event) bool {
		return e.Target.Identity.Model != "" && e.Target.Identity.Provider != ""
	}}
	filterFollows = guard{Name: "capability filter follows from the surface", OK: func(_ State, e Event) bool {
		return e.Tools.Filter == e.Target.Surface.Filter()
	}}
	isResolved   = guard{Name: "status is resolved", OK: func(_ State, e Event) bool { return e.Status == identity.Resolved }}
	isUnresolved = guard{Name: "status is unresolved", OK: func(_ State, e Event) bool { return e.Status == identity.Unresolved }}

	tokenIsNamed   = guard{Name: "token is named", OK: func(_ State, e Event) bool { return e.Token != "" }}
	tokenIsPending = guard{Name: GuardToken, OK: func(s State, e Event) bool { return e.Token == s.pending().Token }}
	tokenIsDone    = guard{Name: "token is that of the last change", OK: func(s State, e Event) bool {
		return e.Token != "" && e.Token == s.Done
	}}
	onlyThis = guard{Name: GuardBusy, OK: tokenIsPending.OK}

	identityIsCurrent = guard{Name: GuardIdentity, OK: func(s State, e Event) bool { return e.Previous.Identity == s.Identity }}
	surfaceIsCurrent  = guard{Name: GuardSurface, OK: func(s State, e Event) bool { return e.Previous.Surface == s.Surface }}
	statusIsCurrent   = guard{Name: GuardStatus, OK: func(s State, e Event) bool { return e.Previous.Status == s.Status() }}
	filterIsCurrent   = guard{Name: GuardFilter, OK: func(s State, e Event) bool {
		return e.Previous.Filter == e.Tools.Filter && e.Tools.Filter == s.Surface.Filter()
	}}
	targetIsCurrent = guard{Name: "target is the current one", OK: func(s State, e Event) bool {
		return e.Target == identity.Target{Identity: s.Identity, Surface: s.Surface}
	}}
	noOtherSwitch = guard{Name: GuardSwitch, OK: func(s State, e Event) bool {
		if own := s.Routing.current(); s.Routing.Phase == Applying {
			return e.Request == own.Request && e.Target.Identity.Model == own.Target.Model
		}
		return e.Request == "" && s.Routing.Phase != PendingFinite
	}}
	toolsFit = guard{Name: "facts about the tools fit the filters", OK: func(_ State, e Event) bool {
		return e.Tools.fits(e.Target.Surface)
	}}

	stillIdentity = guard{Name: GuardIdentity, OK: func(s State, _ Event) bool { return s.pending().Previous.Identity == s.Identity }}
	stillSurface  = guard{Name: GuardSurface, OK: func(s State, _ Event) bool { return s.pending().Previous.Surface == s.Surface }}
	stillFilter   = guard{Name: GuardFilter, OK: func(s State, e Event) bool { return s.pending().Previous.Filter == e.Tools.Filter }}
	toolsStillFit = guard{Name: toolsFit.Name, OK: func(s State, e Event) bool { return e.Tools.fits(s.pending().Target.Surface) }}
	wasResolved   = guard{Name: "status was resolved", OK: func(s State, _ Event) bool { return s.Status() == identity.Resolved }}

	recovering = guard{Name: "an attempt has failed and the next is outstanding", OK: func(_ State, e Event) bool {
		return e.Recovering
	}}
	attemptIsThis = guard{Name: GuardAttempt, OK: func(_ State, e Event) bool { return e.Attempt == e.CurrentAttempt }}
	toolsAsSeen   = guard{Name: GuardSeen, OK: func(_ State, e Event) bool { return e.Seen == e.Tools.Revisions }}
	routeIsTarget = guard{Name: "the baseline to come is the target", OK: func(_ State, e Event) bool {
		return e.Route.Model == e.Target.Identity.Model
	}}
	profileIsTarget = guard{Name: "the profile is the target's", OK: func(_ State, e Event) bool {
		p, t := e.Profile, e.Target.Identity
		return p.Model == t.Model && p.Provider == t.Provider && p.SelfHostedServer == t.SelfHostedServer
	}}
)

// compared is what a change of identity rests on, in the order in which a refusal names it.
func compared(before []guard, after ...guard) []guard {
	all := append(before[:len(before):len(before)], identityIsCurrent, surfaceIsCurrent, statusIsCurrent, filterIsCurrent)
	return append(all, after...)
}

var (
	idle    = []Phase{Unknown, Resolved, Unresolved}
	settled = []Phase{Resolved, Unresolved}

	begins   = compared([]guard{tokenIsNamed}, namesModel, noOtherSwitch, toolsFit)
	sameness = append(begins[:len(begins):len(begins)], targetIsCurrent)
)

const noIdentity = "the session has no model yet"

// IdentityTable decides about the identity.
var IdentityTable = fsm.Must(fsm.Table[Phase, Kind, State, Event]{
	Region: "model",
	Phases: phases,
	Events: kinds,
	Phase:  func(s State) Phase { return s.Phase },
	Move:   func(s State, p Phase) State { s.Phase = p; return s },
	Kind:   func(e Event) Kind { return e.Kind },
	Rules: []fsm.Rule[Phase, Kind, State, Event]{
		{On: Hydrate, From: idle, When: []guard{namesModel, filterFollows, isResolved}, To: Resolved, Do: hydrate},     // L1a
		{On: Hydrate, From: idle, When: []guard{namesModel, filterFollows, isUnresolved}, To: Unresolved, Do: hydrate}, // L1b

		{On: Begin, From: []Phase{Resolved}, When: sameness, Stay: true, Do: already},                // L2a
		{On: Begin, From: settled, When: begins, To: Reconfiguring, Do: begin},                       // L2b
		{On: Begin, From: []Phase{Reconfiguring}, When: []guard{tokenIsNamed, onlyThis}, Stay: true}, // L2c

		{On: Commit, From: []Phase{Reconfiguring}, When: []guard{tokenIsPending, stillIdentity, stillSurface, stillFilter, toolsStillFit},
			To: Resolved, Do: commit}, // L3a
		{On: Commit, From: []Phase{Resolved, Unresolved, Reconfiguring}, When: []guard{tokenIsDone}, Stay: true}, // L3b

		{On: Abort, From: []Phase{Reconfiguring}, When: []guard{tokenIsPending, wasResolved}, To: Resolved, Do: abort}, // L4a
		{On: Abort, From: []Phase{Reconfiguring}, When: []guard{tokenIsPending}, To: Unresolved, Do: abort},            // L4b
		{On: Abort, From: []Phase{Unknown, Resolved, Unresolved, Reconfiguring}, Stay: true},                           // L4c

		{On: StickyFallback, From: settled, When: append([]guard{recovering, attemptIsThis},
			compared(nil, toolsAsSeen, namesModel, routeIsTarget, profileIsTarget, toolsFit)...), To: Resolved, Do: fallBack}, // L6
	},
	Refuse: []fsm.No[Phase, Kind]{
		{On: Hydrate, From: []Phase{Reconfiguring}, Why: GuardBusy},
		{On: Begin, From: []Phase{Unknown}, Why: noIdentity},
		{On: Commit, From: []Phase{Unknown}, Why: noIdentity},
		{On: StickyFallback, From: []Phase{Unknown}, Why: noIdentity},
		{On: StickyFallback, From: []Phase{Reconfiguring}, Why: GuardBusy},
	},
})

func hydrate(s State, e Event) State { return s.reach(e.Target, "") }

func begin(s State, e Event) State {
	s.Pending = &Pending{Token: e.Token, Request: e.Request, Previous: e.Previous, Target: e.Target}
	return s
}

// already ends the switch that asked for what is there.
func already(s State, e Event) State {
	if e.Request == "" {
		return s
	}
	return s.reach(e.Target, e.Request)
}

// commit ends the switch that the change carries out with it: there is no moment at which one is done and the other is not.
func commit(s State, _ Event) State {
	p := s.pending()
	s.Pending, s.Done = nil, p.Token
	return s.reach(p.Target, p.Request)
}

// abort denies the switch that the change was to carry out.
func abort(s State, _ Event) State {
	request := s.pending().Request
	s.Pending = nil
	if request != "" {
		s.Routing = s.Routing.failed()
	}
	return s
}

// fallBack moves everything at once. The topology counts it even where the baseline was the new model already.
func fallBack(s State, e Event) State {
	topology := s.Routing.Topology + 1
	s.Identity, s.Surface = e.Target.Identity, e.Target.Surface
	s.Routing = s.Routing.rebase(e.Route)
	s.Routing.Topology = topology
	return s
}

// reach puts a target in force. With a switch, its target is the baseline then, and it is over. Without one a baseline that names the
// identity's model goes with it; one that names another was set on purpose.
func (s State) reach(t identity.Target, request string) State {
	switch r := s.Routing; {
	case request != "":
		s.Routing = r.applied()
	case r.Phase != NoBaseline && r.Baseline.Model == s.Identity.Model:
		s.Routing = r.rebase(identity.Route{Model: t.Identity.Model, Realtime: t.Surface.Realtime})
	}
	s.Identity, s.Surface = t.Identity, t.Surface
	return s
}
