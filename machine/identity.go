package machine

import (
	"strings"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/machine/toolset"
	"github.com/meerkat-go/meerkat/machine/turn"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/transcript"
)

// Which model answers, and what another model means for the tools and for the calls that are out.

type (
	// Identity is about the model a session talks to. Facts of other regions are filled in.
	Identity struct{ model.Event }
	// Routing is about switches to other models.
	Routing struct{ model.RoutingEvent }
)

func (Identity) machineEvent() {}
func (Routing) machineEvent()  {}

// identity steps the model a session talks to. The tools follow it in the same step.
func (b *step) identity(e model.Event) error {
	was := get(b.s.Model)
	e = b.informed(was, e)
	next, err := model.IdentityTable.Step(was, e)
	if err != nil {
		return err
	}
	if asked := e.Kind == model.Begin || e.Kind == model.Commit || e.Kind == model.StickyFallback; asked && next.Pending == nil {
		r := model.Report(was, next, e.Tools)
		b.c.Verdict.Identity = &r
	}
	b.putModel(was, next)
	if next == was {
		return nil
	}
	switch e.Kind {
	case model.Hydrate:
		// It says what was so all along, so no revision is new.
		tools := get(b.s.Toolset)
		if f := toolset.CapabilityBaseFilter(next.Surface.ImageToolResults); !f.Equal(tools.Capability) {
			tools.Capability = f
			put(b, &b.s.Toolset, ToolsetRegion, tools)
		}
	case model.Commit:
		return b.rebase(next)
	case model.StickyFallback:
		if err := b.rebase(next); err != nil {
			return err
		}
		b.redirect()
	case model.Begin, model.Abort:
	}
	return nil
}

// rebase makes what may be seen follow from what the model can do.
func (b *step) rebase(m model.State) error {
	next, err := toolset.Step(get(b.s.Toolset), toolset.Event{Kind: toolset.RebaseCapability, Catalogue: b.s.Transient.Attachment.Catalogue, Resolved: true,
		ImageResults: m.Surface.ImageToolResults})
	if err == nil {
		put(b, &b.s.Toolset, ToolsetRegion, next)
	}
	return err
}

// redirect issues the outstanding model call again, as it is, to the model that answers now.
func (b *step) redirect() {
	for _, d := range b.s.Open.All() {
		if d.Kind == run.CallModel || d.Kind == run.Extract {
			d.Model = b.callee()
			b.ask(d)
		}
	}
}

// informed fills in what an event must know of other regions.
func (b *step) informed(s model.State, e model.Event) model.Event {
	if e.Kind == model.Abort {
		return e
	}
	tools := get(b.s.Toolset)
	tools.Phase = toolset.Open // that a boundary failed says nothing about filters
	inForce := capabilityOf(tools.Capability)
	if e.Kind == model.Hydrate {
		if e.Status == identity.Unresolved { // a guess changes nothing
			e.Target.Surface.ImageToolResults = !inForce.Denies(identity.ViewImage)
		}
		e.Tools = model.Tools{Filter: s.NextFilter(e)}
		return e
	}
	e.Tools = model.Tools{Filter: inForce, Revisions: model.Revisions{Active: tools.Active.Revision, Staged: tools.Staged.Revision}}
	c := b.s.Transient.Attachment.Catalogue
	e.Tools.Before = toolset.Visible(tools, c).Allows(identity.ViewImage)
	tools.Capability = filterOf(s.NextFilter(e))
	e.Tools.After = toolset.Visible(tools, c).Allows(identity.ViewImage)
	e.Recovering, e.CurrentAttempt = b.s.Turn.Phase == turn.ErrorRecovery, b.s.Turn.Attempt
	return e
}

func capabilityOf(f scope.Filter) identity.CapabilityFilter {
	if f.Names().Has(identity.ViewImage) {
		return identity.ViewImage
	}
	return ""
}

func filterOf(f identity.CapabilityFilter) scope.Filter {
	if f == "" {
		return scope.All()
	}
	return scope.Deny(string(f))
}

// callee is what a model call that is entered now is made with. Nil: the model of the profile.
func (b *step) callee() *identity.Identity {
	if b.s.Turn.Model != nil {
		return b.s.Turn.Model
	}
	m := get(b.s.Model)
	route, ok := m.Effective()
	switch {
	case !ok:
		return nil
	case route.Model == m.Identity.Model:
		return &m.Identity
	}
	return &identity.Identity{Model: route.Model}
}

// modelOf is the model that the inputs of a run ask for, for this run alone; nil: none.
func modelOf(r identity.Request) *identity.Identity {
	if r.Model == "" {
		return nil
	}
	return &identity.Identity{Model: r.Model, Provider: r.Provider, SelfHostedServer: r.SelfHostedServer, Params: r.Params, AuthBinding: r.AuthBinding}
}

// ModelName is the model that a session is shown with: that of its profile, as it was named there, until another one has taken its place.
func (s State) ModelName() string {
	named, m := "", get(s.Model)
	if s.Profile != nil {
		named = s.Profile.Model
	}
	if m.Phase == model.Unknown || strings.HasSuffix(named, m.Identity.Model) {
		return named
	}
	return m.Identity.Model
}

// routing steps switches and pictures.
func (b *step) routing(e model.RoutingEvent) error {
	was := get(b.s.Model)
	next, err := model.RoutingTable.Step(was, e)
	if err == nil {
		b.putModel(was, next)
	}
	return err
}

// endRouting ends what is for the session, or a run of it, alone.
func (b *step) endRouting(why model.Cause) error {
	if b.s.Model == nil {
		return nil
	}
	return b.routing(model.RoutingEvent{Kind: model.CancelRouting, Cause: why})
}

func (b *step) putModel(was, next model.State) {
	put(b, &b.s.Model, ModelRegion, next)
	for _, n := range model.Told(was, next) {
		if p := noticed(n); p != nil {
			b.tell(p, transcript.Position{})
		}
	}
}

// noticed is what clients are told of a notice. Nil: nothing.
func noticed(n model.Notice) event.Payload {
	switch n := n.(type) {
	case model.IdentityChanged:
		if n.Previous == (identity.Identity{}) {
			return nil // the session's first is told with the session
		}
		n.Previous.Params, n.Current.Params = "", ""
		return event.ModelChanged{Previous: n.Previous, Current: n.Current, Status: n.Status}
	case model.ReconfigureBegun:
		return event.ModelChangeBegun{Token: n.Token, Model: n.Target.Model, Provider: n.Target.Provider}
	case model.ReconfigureAborted:
		return event.ModelChangeAborted{Token: n.Token}
	case model.ApprovalEnded:
		return event.ApprovalDecided{ID: n.End.ID, Parent: n.End.Parent, Approved: n.End.Approved}
	case model.SwitchAccepted:
		return event.ModelSwitchChanged{Request: n.Request, Model: n.Target.Model, Phase: "accepted", Runs: n.Runs}
	case model.SwitchActivated:
		return event.ModelSwitchChanged{Request: n.Request, Model: n.Target.Model, Phase: "active", Runs: n.Runs}
	case model.SwitchOver:
		return event.ModelSwitchChanged{Request: n.End.Request, Model: n.End.Target.Model, Phase: string(n.End.Terminal), Denial: n.End.Denial,
			Unused: n.End.Unused}
	case model.ImageMoved:
		return event.ImageOperationChanged{Operation: n.Operation, Phase: n.Phase.String()}
	case model.ImageOver:
		return event.ImageOperationChanged{Operation: n.End.Operation, Phase: string(n.End.Terminal), Over: true, Denial: n.End.Denial}
	case model.RoutingChanged:
		return event.ModelRoutingChanged{Topology: n.Topology, Effective: n.Effective}
	}
	return nil
}
