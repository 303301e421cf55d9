package model

import (
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine/pmap"
)

// Phase of the identity. The numbers are stored.
type Phase uint8

// The phases of the identity.
const (
	Unknown       Phase = iota // the zero value: the session has no model yet
	Resolved                   // the model is named, and what it can do is known
	Unresolved                 // the model is named
	Reconfiguring              // another one is being made ready; the identity is still the old one
)

var phases = []string{"unknown", "resolved", "unresolved", "reconfiguring"}

// String returns the public name.
func (p Phase) String() string { return phases[p] }

// RoutingPhase says what becomes of the baseline. The numbers are stored.
type RoutingPhase uint8

// The phases of routing.
const (
	NoBaseline    RoutingPhase = iota // the zero value: no switch is possible yet
	AtBaseline                        // the baseline answers
	PendingFinite                     // another model answers from the next run on, for some runs
	ActiveFinite                      // another model answers this run, or did the last one
	Applying                          // the identity is to become another one
)

var routingPhases = []string{"no_baseline", "at_baseline", "pending_for_boundary", "active_finite_override", "applying_persistent_reconfigure"}

// String returns the public name.
func (p RoutingPhase) String() string { return routingPhases[p] }

// State of the region. It is a value that compares with ==; the zero value is a session that never named a model.
type State struct {
	Phase    Phase             `json:"phase,omitempty"`
	Identity identity.Identity `json:"identity,omitzero"` // what the next model call is made with
	Surface  identity.Surface  `json:"surface,omitzero"`
	Pending  *Pending          `json:"pending,omitempty"` // Reconfiguring; never changed in place
	Done     identity.Token    `json:"done,omitempty"`    // the change that was committed last
	Routing  Routing           `json:"routing,omitzero"`
}

// Pending is a change of identity that was begun.
type Pending struct {
	Token    identity.Token  `json:"token"`
	Request  string          `json:"request,omitempty"` // the switch it carries out; empty: none
	Previous Compared        `json:"previous"`
	Target   identity.Target `json:"target"`
}

// Compared are the values a change of identity rests on. All of them must be in force when it begins, and when it is committed (R79).
type Compared struct {
	Identity identity.Identity         `json:"identity"`
	Surface  identity.Surface          `json:"surface"`
	Status   identity.Status           `json:"status"`
	Filter   identity.CapabilityFilter `json:"filter,omitempty"`
}

// Routing says which model answers, by name.
type Routing struct {
	Phase     RoutingPhase                           `json:"phase,omitempty"`
	Baseline  identity.Route                         `json:"baseline,omitzero"`
	Topology  uint64                                 `json:"topology,omitempty"` // rises whenever another model may answer than before (R83)
	Switch    *Switch                                `json:"switch,omitempty"`   // the one under way; never changed in place
	Override  string                                 `json:"override,omitempty"` // the picture whose model answers; empty: none
	Images    pmap.Map[pmap.Name, Image]             `json:"images,omitzero"`    // pictures that are not over
	Ends      id.Seq                                 `json:"ends,omitempty"`     // counts what is over: the last key of the three below
	Switches  pmap.Map[id.Seq, identity.SwitchEnd]   `json:"switches,omitzero"`  // the last Keep of each
	Approvals pmap.Map[id.Seq, identity.ApprovalEnd] `json:"approvals,omitzero"`
	Pictures  pmap.Map[id.Seq, identity.ImageEnd]    `json:"pictures,omitzero"`
}

// Keep is how many ends of each sort are kept. Older ones are forgotten, oldest first, and their ids with them.
const Keep = 64

// Switch is a request for another model that is not over.
type Switch struct {
	Request string         `json:"request"`
	Target  identity.Route `json:"target"`
	Runs    int            `json:"runs,omitempty"` // asked for; 0: until changed
	Left    int            `json:"left,omitempty"` // ActiveFinite: runs on the target, the present one included
}

// ImagePhase of a picture. The numbers are stored.
type ImagePhase uint8

// The phases of a picture. Absent is also what is over.
const (
	Absent       ImagePhase = iota // the zero value
	PlanResolved                   // may be made
	ScopedActive                   // its model answers
	Restoring                      // it is made, and its model still answers
)

var imagePhases = []string{"absent", "plan_resolved", "scoped_override_active", "restoring_scoped_override"}

// String returns the public name.
func (p ImagePhase) String() string { return imagePhases[p] }

// Image is a picture that is being made.
type Image struct {
	Phase    ImagePhase             `json:"phase"`
	Target   identity.Route         `json:"target"`
	Scoped   bool                   `json:"scoped,omitempty"`   // the target answers while it is made
	Terminal identity.ImageTerminal `json:"terminal,omitempty"` // Restoring: what it will have ended with
	Payload  identity.Payload       `json:"payload,omitempty"`
}

// IsZero reports whether no model was ever named: for encoders that leave empty things out.
func (s State) IsZero() bool { return s == State{} }

// Status says whether what the identity's model can do is known; empty: there is no identity.
func (s State) Status() identity.Status {
	switch s.Phase {
	case Unknown:
	case Resolved:
		return identity.Resolved
	case Unresolved:
		return identity.Unresolved
	case Reconfiguring:
		return s.pending().Previous.Status
	}
	return ""
}

// Current returns what a change of identity that begins now has to name. The capability filter in force is the tool region's; it
// is the one that follows from the surface, or the change is refused.
func (s State) Current() Compared {
	return Compared{Identity: s.Identity, Surface: s.Surface, Status: s.Status(), Filter: s.Surface.Filter()}
}

func (s State) pending() Pending {
	if s.Pending == nil {
		return Pending{}
	}
	return *s.Pending
}

func (r Routing) current() Switch {
	if r.Switch == nil {
		return Switch{}
	}
	return *r.Switch
}

func (r Routing) image(operation string) Image {
	i, _ := r.Images.Get(pmap.Name(operation))
	return i
}

// Effective returns the model that answers: that of the picture in the works, else that of the switch in force, else the baseline. A
// session without a baseline has its identity's. It reports false if nobody ever named a model (R83).
func (s State) Effective() (identity.Route, bool) {
	r := s.Routing
	switch {
	case r.Override != "":
		return r.image(r.Override).Target, true
	case r.Phase == ActiveFinite:
		return r.current().Target, true
	case r.Phase != NoBaseline:
		return r.Baseline, true
	case s.Phase != Unknown:
		return identity.Route{Model: s.Identity.Model, Realtime: s.Surface.Realtime}, true
	}
	return identity.Route{}, false
}

// OwedPrepare returns the change of identity for which a client is to be made ready, if there is one: it is answered by Commit or by
// Abort with its token. It is owed as long as it is there, so after a crash it is owed again.
func (s State) OwedPrepare() (Pending, bool) { return s.pending(), s.Pending != nil }

// OwedApply returns the switch for which a change of identity is to be begun, naming it, if there is one and no other change is in
// the way. If the target is in force already the answer is CompleteUntilChanged, and if there can be no such change AbortUntilChanged.
func (s State) OwedApply() (Switch, bool) {
	return s.Routing.current(), s.Routing.Phase == Applying && s.Pending == nil
}
