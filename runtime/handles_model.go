package runtime

import (
	"context"
	"errors"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/machine/toolset"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
)

// call says what a model call is made with. It goes by what is committed, and the set is the very object that the session holds calls against.
func (a *activation) call(e id.Effect) (executor.Call, bool) {
	st := a.session.state()
	d, ok := st.Open.Get(e)
	if !ok || d.Run != a.run {
		return executor.Call{}, false
	}
	c := executor.Call{Model: d.Model}
	if v := toolsOf(st).Round.Visible; v != nil && (d.Kind == run.CallModel || d.Kind == run.ApplyRun) {
		c.Gated, c.Visible = true, v
	}
	return c, true
}

// teller tells the session through the handle.
func (h hold) teller(command string) teller {
	return func(ctx context.Context, ev machine.Event) answer {
		a, err := h.tell(ctx, command, ev)
		a.err = err
		return a
	}
}

// once wraps what went wrong, unless that was done where it was told.
func (h hold) once(command string, err error) error {
	var already *executor.Refused
	if errors.Is(err, executor.ErrStaleHandle) || errors.As(err, &already) {
		return err
	}
	return h.failed(command, err)
}

// tools implements executor.Toolset.
type tools struct{ hold }

func (t tools) step(ctx context.Context, command string, ev toolset.Event) (toolset.State, error) {
	a, err := t.tell(ctx, command, machine.Toolset{Event: ev})
	return toolsOf(a.state), err
}

func (t tools) stage(ctx context.Context, command string, ev toolset.Event) (uint64, error) {
	s, err := t.step(ctx, command, ev)
	return s.Staged.Revision, err
}

func (t tools) Offer(ctx context.Context, c *scope.Catalogue) error {
	return t.say(ctx, "offer tools to", machine.Offered{Catalogue: c})
}

func (t tools) Inherit(ctx context.Context, f scope.Filter, w scope.Witnesses) error {
	_, err := t.step(ctx, "restrict the tools of", toolset.Event{Kind: toolset.HydrateInherited, Filter: f, Witnesses: w})
	return err
}

func (t tools) StageFilter(ctx context.Context, f scope.Filter, w scope.Witnesses) (uint64, error) {
	return t.stage(ctx, "stage a tool filter of", toolset.Event{Kind: toolset.StageFilter, Filter: f, Witnesses: w})
}

func (t tools) RequestDeferred(ctx context.Context, w scope.Witnesses) (uint64, error) {
	return t.stage(ctx, "request deferred tools of", toolset.Event{Kind: toolset.RequestDeferred, Witnesses: w})
}

func (t tools) ResetDeferred(ctx context.Context) (uint64, error) {
	return t.stage(ctx, "reset the deferred tools of", toolset.Event{Kind: toolset.ResetDeferred})
}

func (t tools) Publish(ctx context.Context, v executor.Visibility) (executor.Visibility, error) {
	s, err := t.step(ctx, "publish the tools of", publication(v))
	return visibilityOf(s), err
}

// read returns what is committed.
func (t tools) read(ctx context.Context) (toolset.State, *scope.Catalogue, error) {
	_, st, err := t.look(ctx, "read the tools of")
	return toolsOf(st), st.Transient.Attachment.Catalogue, err
}

func (t tools) Visibility(ctx context.Context) (executor.Visibility, error) {
	s, _, err := t.read(ctx)
	return visibilityOf(s), err
}

func (t tools) Catalogue(ctx context.Context) (*scope.Catalogue, error) {
	_, c, err := t.read(ctx)
	return c, err
}

func (t tools) Visible(ctx context.Context) (*scope.VisibleSet, error) {
	s, _, err := t.read(ctx)
	return s.Round.Visible, err
}

func (t tools) Search(ctx context.Context, query string, limit int) (scope.Found, error) {
	s, c, err := t.read(ctx)
	if err != nil {
		return scope.Found{}, err
	}
	return toolset.Search(s, c, query, limit), nil
}

func (t tools) Load(ctx context.Context, names []string) ([]scope.Loaded, error) {
	s, c, err := t.read(ctx)
	if err != nil {
		return nil, err
	}
	replies, wanted := toolset.Load(s, c, names)
	if wanted.Len() > 0 {
		_, err = t.RequestDeferred(ctx, wanted)
	}
	return replies, err
}

// models implements executor.Models.
type models struct{ hold }

func (m models) Current(ctx context.Context) (executor.ModelState, error) {
	_, st, err := m.look(ctx, "read the model of")
	now := modelOf(st)
	p, _ := now.OwedPrepare()
	return executor.ModelState{Identity: now.Identity, Surface: now.Surface, Status: now.Status(), Changing: p.Token}, err
}

func (m models) Reconfigure(ctx context.Context, r identity.Request) (identity.Report, error) {
	const command = "reconfigure the model of"
	s, _, err := m.look(ctx, command)
	var out identity.Report
	if err == nil {
		out, err = s.reconfigure(ctx, m.teller(command), r)
	}
	return out, m.once(command, err)
}

func (m models) FallBack(ctx context.Context, f executor.Fallback) (identity.Report, error) {
	const command = "fall back to another model in"
	s, _, err := m.look(ctx, command)
	var out identity.Report
	if err == nil {
		out, err = s.fallBack(ctx, m.teller(command), f)
	}
	return out, m.once(command, err)
}

func (m models) Capabilities(ctx context.Context) (identity.Surface, bool, error) {
	now, err := m.Current(ctx)
	if err != nil || now.Status != identity.Resolved {
		return identity.Surface{}, false, err
	}
	return now.Surface, true, nil
}

// routes implements executor.Routing.
type routes struct{ hold }

func (r routes) Status(ctx context.Context) (executor.RoutingStatus, error) {
	_, st, err := r.look(ctx, "read the routing of")
	return routingOf(modelOf(st)), err
}

func (r routes) SetBaseline(ctx context.Context, to identity.Route) error {
	return r.say(ctx, "set the baseline of", machine.Routing{RoutingEvent: model.RoutingEvent{Kind: model.SetBaseline, Target: r.host.route(to)}})
}

func (r routes) Switch(ctx context.Context, q executor.SwitchRequest) (executor.SwitchStatus, error) {
	const command = "switch the model of"
	s, _, err := r.look(ctx, command)
	var out executor.SwitchStatus
	if err == nil {
		out, err = s.switched(ctx, r.teller(command), q)
	}
	return out, r.once(command, err)
}

func (r routes) image(ctx context.Context, command string, ev model.RoutingEvent) (executor.ImageStatus, error) {
	a, err := r.tell(ctx, command, machine.Routing{RoutingEvent: ev})
	return imageOf(modelOf(a.state), ev.Operation), about(ev.Operation, err)
}

func (r routes) BeginImage(ctx context.Context, p executor.ImagePlan) (executor.ImageStatus, error) {
	return r.image(ctx, "begin a picture in", r.host.planned(p))
}

func (r routes) DenyImage(ctx context.Context, operation string, why identity.Denial) (executor.ImageStatus, error) {
	return r.image(ctx, "deny a picture in", model.RoutingEvent{Kind: model.DenyImagePlan, Operation: operation, Denial: why})
}

func (r routes) ActivateImage(ctx context.Context, operation string) (executor.ImageStatus, error) {
	return r.image(ctx, "activate a picture in", model.RoutingEvent{Kind: model.ActivateImage, Operation: operation})
}

func (r routes) CompleteImage(ctx context.Context, operation string, how identity.ImageTerminal, p identity.Payload) (executor.ImageStatus, error) {
	return r.image(ctx, "complete a picture in", model.RoutingEvent{Kind: model.CompleteImage, Operation: operation, Terminal: how, Payload: p})
}

func (r routes) RestoreImage(ctx context.Context, operation string, failed bool) (executor.ImageStatus, error) {
	return r.image(ctx, "restore after a picture in", model.RoutingEvent{Kind: model.RestoreImage, Operation: operation, Failed: failed})
}
