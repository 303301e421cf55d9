package runtime

import (
	"context"
	"fmt"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/model"
)

// SetModelBaseline makes a model the one that answers where no switch says otherwise. Without a baseline there are no switches.
func (h *Host) SetModelBaseline(ctx context.Context, sid id.Session, to identity.Route) error {
	_, err := h.tellRouting(ctx, "set the baseline of", sid, model.RoutingEvent{Kind: model.SetBaseline, Target: h.route(to)})
	return err
}

// RequestModelSwitch asks for another model for some runs, or until changed. A denial is no error: it is how the switch ends, and stands in the
// status. One until changed is a change of identity, and is waited for; if ctx ends before, it goes on. ErrIDUsed: a switch of this id was asked
// for before; its status is returned as well. An *identity.Invalid: nothing is known of the model.
func (h *Host) RequestModelSwitch(ctx context.Context, sid id.Session, r executor.SwitchRequest) (executor.SwitchStatus, error) {
	s, err := h.open(ctx, sid, existing)
	var out executor.SwitchStatus
	if err == nil {
		out, err = s.switched(ctx, s.teller(), r)
	}
	return out, failed("switch the model of", sid, err)
}

func (s *session) switched(ctx context.Context, tell teller, r executor.SwitchRequest) (executor.SwitchStatus, error) {
	if s.host.config.Models == nil && r.Runs == 0 {
		return executor.SwitchStatus{}, ErrNoModels
	}
	if s.host.config.Models != nil {
		if err := s.hydrateOnce(ctx); err != nil {
			return executor.SwitchStatus{}, err
		}
		if _, err := s.host.resolve(modelOf(s.state()).Identity, s.host.config.Models.Request(r.Target.Model)); err != nil {
			return executor.SwitchStatus{}, err
		}
	}
	ev := model.RoutingEvent{Kind: model.RequestFinite, Request: r.ID, Target: s.host.route(r.Target), Runs: r.Runs, Approval: r.Approval}
	if r.Runs == 0 {
		ev.Kind = model.RequestUntilChanged
	}
	a := tell(ctx, machine.Routing{RoutingEvent: ev})
	if a.err != nil {
		return switchOf(modelOf(s.state()), r.ID), a.err
	}
	if r.Runs > 0 {
		return switchOf(modelOf(a.state), r.ID), nil
	}
	for {
		next := s.watches.next()
		st := switchOf(modelOf(s.state()), r.ID)
		switch {
		case st.End != nil:
			return st, nil
		case s.state().Lifecycle.Phase == lifecycle.Destroyed: // nothing is kept of it
			return st, ErrDestroyed
		}
		select {
		case <-next:
		case <-s.gone:
			return st, s.reasonEnded()
		case <-ctx.Done():
			return st, fmt.Errorf("the switch goes on: %w", ctx.Err())
		}
	}
}

// route is a route as its model is known by.
func (h *Host) route(r identity.Route) identity.Route {
	if h.config.Models != nil && r.Model != "" {
		r.Model = h.config.Models.Request(r.Model).Model
	}
	return r
}

// switchOf says how a switch stands; of one that nobody knows no more than its name.
func switchOf(m model.State, request string) executor.SwitchStatus {
	if end, ok := m.Routing.SwitchEnd(request); ok {
		return executor.SwitchStatus{Request: request, Target: end.Target, End: &end}
	}
	if sw := m.Routing.Switch; sw != nil && sw.Request == request {
		return executor.SwitchStatus{Request: request, Target: sw.Target, Phase: m.Routing.Phase.String(), Runs: sw.Runs, Left: sw.Left}
	}
	return executor.SwitchStatus{Request: request}
}

// ModelRoutingStatus says which model answers, and why, also of a session at rest.
func (h *Host) ModelRoutingStatus(ctx context.Context, sid id.Session) (executor.RoutingStatus, error) {
	st, err := h.State(ctx, sid)
	return routingOf(modelOf(st)), err
}

func routingOf(m model.State) executor.RoutingStatus {
	r := m.Routing
	out := executor.RoutingStatus{Phase: r.Phase.String(), Baseline: r.Baseline, Topology: r.Topology, Override: r.Override}
	out.Effective, _ = m.Effective()
	if r.Switch != nil {
		sw := switchOf(m, r.Switch.Request)
		out.Switch = &sw
	}
	for operation := range r.Images.All() {
		out.Images = append(out.Images, imageOf(m, string(operation)))
	}
	return out
}

// imageOf says how a picture stands.
func imageOf(m model.State, operation string) executor.ImageStatus {
	out := executor.ImageStatus{Operation: operation, Phase: model.Absent.String()}
	if end, ok := m.Routing.ImageEnd(operation); ok {
		out.End = &end
		return out
	}
	for name, i := range m.Routing.Images.All() {
		if string(name) == operation {
			out.Target, out.Phase, out.Scoped = i.Target, i.Phase.String(), i.Scoped
		}
	}
	return out
}

// BeginImageOperation plans a picture. A denial is no error: it is its end. ErrIDUsed: a picture of this id was planned before.
func (h *Host) BeginImageOperation(ctx context.Context, sid id.Session, p executor.ImagePlan) (executor.ImageStatus, error) {
	return h.image(ctx, "begin a picture in", sid, h.planned(p))
}

func (h *Host) planned(p executor.ImagePlan) model.RoutingEvent {
	return model.RoutingEvent{Kind: model.BeginImage, Operation: p.Operation, Target: h.route(p.Target), Scoped: p.Scoped, Approval: p.Approval}
}

// DenyImageOperation ends a planned picture that may not be.
func (h *Host) DenyImageOperation(ctx context.Context, sid id.Session, operation string, why identity.Denial) (executor.ImageStatus, error) {
	return h.image(ctx, "deny a picture in", sid, model.RoutingEvent{Kind: model.DenyImagePlan, Operation: operation, Denial: why})
}

// ActivateImageOperation lets the model of a picture answer.
func (h *Host) ActivateImageOperation(ctx context.Context, sid id.Session, operation string) (executor.ImageStatus, error) {
	return h.image(ctx, "activate a picture in", sid, model.RoutingEvent{Kind: model.ActivateImage, Operation: operation})
}

// CompleteImageOperation says what came of a picture. One with a scope is over when it is restored.
func (h *Host) CompleteImageOperation(ctx context.Context, sid id.Session, operation string, how identity.ImageTerminal,
	p identity.Payload) (executor.ImageStatus, error) {
	return h.image(ctx, "complete a picture in", sid, model.RoutingEvent{Kind: model.CompleteImage, Operation: operation, Terminal: how, Payload: p})
}

// RestoreImageOperation lets the model before answer again, and returns the picture with the payload it was completed with. failed: its client
// could not be brought back.
func (h *Host) RestoreImageOperation(ctx context.Context, sid id.Session, operation string, failed bool) (executor.ImageStatus, error) {
	return h.image(ctx, "restore after a picture in", sid, model.RoutingEvent{Kind: model.RestoreImage, Operation: operation, Failed: failed})
}

func (h *Host) image(ctx context.Context, command string, sid id.Session, ev model.RoutingEvent) (executor.ImageStatus, error) {
	a, err := h.tellRouting(ctx, command, sid, ev)
	return imageOf(modelOf(a.state), ev.Operation), err
}

func (h *Host) tellRouting(ctx context.Context, command string, sid id.Session, ev model.RoutingEvent) (answer, error) {
	s, err := h.open(ctx, sid, existing)
	if err != nil {
		return answer{}, failed(command, sid, err)
	}
	a := s.teller()(ctx, machine.Routing{RoutingEvent: ev})
	return a, failed(command, sid, a.err)
}
