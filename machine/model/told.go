package model

import (
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine/pmap"
)

// Report says what a change of identity came to: from the state before it to the one after it, with the facts it was committed on.
func Report(before, after State, tools Tools) identity.Report {
	plan := tools.Plan(after.Surface)
	return identity.Report{
		Previous:  before.Identity,
		New:       after.Identity,
		Surface:   identity.Delta{Previous: before.Surface, Current: after.Surface, Changed: before.Surface != after.Surface},
		Tools:     identity.ToolDelta{Previous: tools.Filter, Current: plan.Filter, VisibleSetChanged: plan.Changed, RevisionBumped: plan.Changed},
		Unchanged: before.Identity == after.Identity && before.Surface == after.Surface && before.Status() == after.Status(),
	}
}

// Notice is something to be told: IdentityChanged, ReconfigureBegun, ReconfigureAborted, ApprovalEnded, SwitchAccepted, SwitchActivated,
// SwitchOver, ImageMoved, ImageOver or RoutingChanged.
type Notice interface{ notice() }

// IdentityChanged says that the next model call is made with another identity, or that more or less is known of what it can do.
type IdentityChanged struct {
	Previous, Current identity.Identity
	Status            identity.Status
}

// ReconfigureBegun says that a client is to be made ready.
type ReconfigureBegun struct {
	Token  identity.Token
	Target identity.Identity
}

// ReconfigureAborted says that a change of identity will not be.
type ReconfigureAborted struct{ Token identity.Token }

// ApprovalEnded says that somebody has answered.
type ApprovalEnded struct{ End identity.ApprovalEnd }

// SwitchAccepted says that a switch is under way: from the next run on, or until changed if Runs is 0.
type SwitchAccepted struct {
	Request string
	Target  identity.Route
	Runs    int
}

// SwitchActivated says that a switch is in force.
type SwitchActivated struct {
	Request string
	Target  identity.Route
	Runs    int
}

// SwitchOver says how a switch ended.
type SwitchOver struct{ End identity.SwitchEnd }

// ImageMoved says that the making of a picture goes on.
type ImageMoved struct {
	Operation string
	Phase     ImagePhase
}

// ImageOver says how a picture ended.
type ImageOver struct{ End identity.ImageEnd }

// RoutingChanged says that another model may answer than before.
type RoutingChanged struct {
	Topology  uint64
	Effective identity.Route
}

func (IdentityChanged) notice()    {}
func (ReconfigureBegun) notice()   {}
func (ReconfigureAborted) notice() {}
func (ApprovalEnded) notice()      {}
func (SwitchAccepted) notice()     {}
func (SwitchActivated) notice()    {}
func (SwitchOver) notice()         {}
func (ImageMoved) notice()         {}
func (ImageOver) notice()          {}
func (RoutingChanged) notice()     {}

// Told returns what clients are told of a change from one state to another: nothing if they are the same. Everything comes from the
// states, so a switch that is over is told with the request and the target that it had.
func Told(before, after State) []Notice {
	if before == after {
		return nil
	}
	out := toldIdentity(before, after)
	b, a := before.Routing, after.Routing
	for end := range since(a.Approvals, b.Ends) {
		out = append(out, ApprovalEnded{end})
	}
	if sw := a.current(); a.Switch != b.Switch && sw.Request != "" {
		if sw.Request != b.current().Request {
			out = append(out, SwitchAccepted{sw.Request, sw.Target, sw.Runs})
		}
		if a.Phase == ActiveFinite && (b.Phase != ActiveFinite || sw.Request != b.current().Request) {
			out = append(out, SwitchActivated{sw.Request, sw.Target, sw.Runs})
		}
	}
	for end := range since(a.Switches, b.Ends) {
		out = append(out, SwitchOver{end})
	}
	if a.Images != b.Images {
		for operation, i := range a.Images.All() {
			if i.Phase != b.image(string(operation)).Phase {
				out = append(out, ImageMoved{string(operation), i.Phase})
			}
		}
	}
	for end := range since(a.Pictures, b.Ends) {
		out = append(out, ImageOver{end})
	}
	if a.Topology != b.Topology {
		effective, _ := after.Effective()
		out = append(out, RoutingChanged{a.Topology, effective})
	}
	return out
}

func toldIdentity(before, after State) (out []Notice) {
	b, a := before.pending().Token, after.pending().Token
	if b != "" && b != a && after.Done != b {
		out = append(out, ReconfigureAborted{b})
	}
	if a != "" && a != b {
		out = append(out, ReconfigureBegun{a, after.Pending.Target.Identity})
	}
	if before.Identity != after.Identity || before.Surface != after.Surface || before.Status() != after.Status() {
		out = append(out, IdentityChanged{before.Identity, after.Identity, after.Status()})
	}
	return out
}

// since yields the ends beyond a count, oldest first.
func since[V any](ends pmap.Map[id.Seq, V], count id.Seq) func(func(V) bool) {
	return func(yield func(V) bool) {
		for n, end := range ends.All() {
			if n > count && !yield(end) {
				return
			}
		}
	}
}
