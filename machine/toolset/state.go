package toolset

import (
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/scope"
)

// Phase of the region.
type Phase uint8

// The phases.
const (
	Open         Phase = iota
	FailedClosed       // the last boundary failed: nothing is offered
)

var phases = []string{"open", "failed_closed"}

// String returns the public name.
func (p Phase) String() string { return phases[p] }

// Restriction is a filter together with whose tools its names mean.
type Restriction struct {
	Filter    scope.Filter    `json:"filter,omitzero"`
	Witnesses scope.Witnesses `json:"witnesses,omitzero"` // of names of the filter
}

func (r Restriction) equal(o Restriction) bool {
	return r.Filter.Equal(o.Filter) && r.Witnesses.Equal(o.Witnesses)
}

// canonical leaves out witnesses of names that the filter does not mention.
func (r Restriction) canonical() Restriction {
	r.Witnesses = r.Witnesses.Of(r.Filter.Names())
	return r
}

// Inherited is what the session was given by whoever made it.
type Inherited struct {
	Restriction
	Set bool `json:"set,omitempty"` // it was given; it never changes again
}

// Side is one content of the persistent part: what is in force, or what is to be.
type Side struct {
	Restriction
	Granted  scope.Witnesses `json:"granted,omitzero"` // the deferred tools that were asked for, each with a provenance
	Revision uint64          `json:"revision,omitempty"`
}

// same reports whether two sides have the same content, whatever their revisions.
func (s Side) same(o Side) bool { return s.equal(o.Restriction) && s.Granted.Equal(o.Granted) }

func (s Side) canonical() Side {
	s.Restriction = s.Restriction.canonical()
	return s
}

// Durable is what outlives runs: what a session's copy would be given.
type Durable struct {
	Capability scope.Filter `json:"capability,omitzero"` // CapabilityBaseFilter of the current model
	Inherited  Inherited    `json:"inherited,omitzero"`
	Active     Side         `json:"active,omitzero"` // in force
	Staged     Side         `json:"staged,omitzero"` // pending if its revision is above that of Active
}

func (d Durable) equal(o Durable) bool {
	return d.Capability.Equal(o.Capability) && d.Inherited.Set == o.Inherited.Set && d.Inherited.equal(o.Inherited.Restriction) &&
		d.Active.Revision == o.Active.Revision && d.Active.same(o.Active) && d.Staged.Revision == o.Staged.Revision && d.Staged.same(o.Staged)
}

func (d Durable) canonical() Durable {
	d.Inherited.Restriction = d.Inherited.Restriction.canonical()
	if !d.Inherited.Set {
		d.Inherited = Inherited{}
	}
	d.Active, d.Staged = d.Active.canonical(), d.Staged.canonical()
	return d
}

// Round is what the last boundary decided.
type Round struct {
	Visible  *scope.VisibleSet `json:"visible,omitempty"`  // nil: there was no boundary yet. Never changed; equal sets share one object
	Revision uint64            `json:"revision,omitempty"` // that was in force
}

// State of the region. Compare with ==: a step that changes nothing returns the very same.
type State struct {
	Durable
	Next    uint64        `json:"next,omitempty"`   // the highest revision there is
	Overlay scope.Overlay `json:"overlay,omitzero"` // of the run in Run; without Dispatch
	Run     id.Run        `json:"run,omitempty"`    // which the overlay is for; empty: none
	Phase   Phase         `json:"phase,omitempty"`
	Cause   string        `json:"cause,omitempty"` // why it failed closed
	Round   Round         `json:"round,omitzero"`
}

// Pending reports whether a change waits for the next boundary.
func (s State) Pending() bool { return s.Staged.Revision > s.Active.Revision }

// promoted returns s as the next boundary would put it in force.
func (s State) promoted() State {
	if s.Pending() {
		s.Active = s.Staged
	}
	return s
}
