package model_test

import (
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/internal/golden"
	"github.com/meerkat-go/meerkat/machine/fsm/fsmtest"
	"github.com/meerkat-go/meerkat/machine/model"
)

// The cells of both tables, driven through variants that tell all their guards apart: one event that every rule accepts somewhere, and
// for each guard one that differs from it in what the guard looks at.

func identityStates() []model.State {
	s := model.State{Phase: model.Resolved, Identity: opus.Identity, Surface: opus.Surface, Done: "t0",
		Routing: model.Routing{Phase: model.AtBaseline, Baseline: to(opus)}}
	pending := model.Pending{Token: "t1", Previous: s.Current(), Target: gpt}
	var out []model.State
	add := func(change func(*model.State, *model.Pending)) {
		c, p := s, pending
		change(&c, &p)
		c.Pending = &p
		out = append(out, c)
	}
	add(func(*model.State, *model.Pending) {})
	add(func(_ *model.State, p *model.Pending) { p.Previous.Status = identity.Unresolved })
	add(func(s *model.State, _ *model.Pending) { s.Identity = terse.Identity })
	add(func(s *model.State, _ *model.Pending) { s.Surface.Vision = true })
	add(func(s *model.State, _ *model.Pending) {
		s.Routing.Phase, s.Routing.Switch = model.PendingFinite, &model.Switch{Request: "q1"}
	})
	add(func(s *model.State, _ *model.Pending) {
		s.Routing.Phase, s.Routing.Switch = model.Applying, &model.Switch{Request: "q1", Target: to(gpt)}
	})
	return out
}

func identityEvents() []model.Event {
	s := identityStates()[0]
	e := model.Event{Token: "t1", Previous: s.Current(), Target: gpt, Status: identity.Resolved, Profile: gpt.Identity, Route: to(gpt),
		Attempt: 2, CurrentAttempt: 2, Recovering: true}
	e.Previous.Status = identity.Resolved
	var out []model.Event
	add := func(change func(*model.Event)) {
		c := e
		change(&c)
		out = append(out, c)
	}
	for _, token := range []identity.Token{"t1", "t0", "t9", ""} {
		add(func(e *model.Event) { e.Token = token })
	}
	add(func(e *model.Event) { e.Previous.Identity = terse.Identity })
	add(func(e *model.Event) { e.Previous.Surface.Vision = true })
	add(func(e *model.Event) { e.Previous.Status = identity.Unresolved })
	add(func(e *model.Event) { e.Previous.Filter = identity.ViewImage })
	add(func(e *model.Event) { e.Previous.Filter, e.Tools.Filter = identity.ViewImage, identity.ViewImage })
	add(func(e *model.Event) { e.Previous.Identity, e.Target = terse.Identity, terse })
	add(func(e *model.Event) { e.Target = opus })
	for _, status := range []identity.Status{identity.Resolved, identity.Unresolved} {
		add(func(e *model.Event) {
			e.Status, e.Target.Identity.Model, e.Profile.Model, e.Route.Model = status, "", "", ""
		})
		add(func(e *model.Event) { e.Status, e.Target.Surface.ImageToolResults = status, false })
	}
	add(func(e *model.Event) { e.Target.Identity.Provider, e.Profile.Provider = "", "" })
	add(func(e *model.Event) { e.Status = identity.Unresolved })
	add(func(e *model.Event) { e.Status = "" })
	add(func(e *model.Event) { e.Request = "q1" })
	add(func(e *model.Event) { e.Request, e.Target, e.Profile, e.Route = "q1", opus, opus.Identity, to(opus) })
	add(func(e *model.Event) { e.Tools.After = true })
	add(func(e *model.Event) { e.Seen.Active = 1 })
	add(func(e *model.Event) { e.Attempt = 1 })
	add(func(e *model.Event) { e.Recovering = false })
	add(func(e *model.Event) { e.Route = to(haiku) })
	add(func(e *model.Event) { e.Profile.SelfHostedServer = "s" })
	return out
}

// The variants are made once, by tables without a fault.
var (
	identityVariants, identityTrials = identityStates(), identityEvents()
	routingVariants, routingTrials   = routingStates(), routingEvents()
)

func identityCells() (string, error) {
	return fsmtest.Cells(model.IdentityTable, identityVariants, identityTrials, func(e model.Event, k model.Kind) model.Event { e.Kind = k; return e })
}

func routingStates() []model.State {
	base := model.State{Phase: model.Resolved, Identity: gpt.Identity, Surface: gpt.Surface, Routing: model.Routing{Baseline: to(opus),
		Switch: &model.Switch{Request: "q1", Target: to(gpt), Runs: 3, Left: 2}}}
	for _, e := range []model.RoutingEvent{picture("planned", gpt, true), picture("unscoped", gpt, false), picture("active", gpt, true), picture("over", gpt, false)} {
		base = stepped(base, e)
	}
	base = stepped(base, model.RoutingEvent{Kind: model.CompleteImage, Operation: "over", Terminal: identity.Generated})
	denied := finite("q0", gpt, 1)
	denied.Approval = identity.RequiredButUnavailable
	base = stepped(base, denied)
	active := stepped(base, model.RoutingEvent{Kind: model.ActivateImage, Operation: "active"})
	made := stepped(active, model.RoutingEvent{Kind: model.CompleteImage, Operation: "active", Terminal: identity.Generated})
	changing := base
	changing.Pending = &model.Pending{Token: "t1", Request: "q1", Target: gpt}
	active.Routing.Switch = &model.Switch{Request: "q1", Target: to(gpt), Runs: 3, Left: 1}
	made.Identity = opus.Identity
	return []model.State{base, active, made, changing}
}

// stepped is s after an event in the phase where nothing is under way.
func stepped(s model.State, e model.RoutingEvent) model.State {
	sw := s.Routing.Switch
	s.Routing.Phase = model.AtBaseline
	s.Routing.Switch = nil
	next, err := model.RoutingTable.Step(s, e)
	if err != nil {
		panic(err)
	}
	next.Routing.Switch = sw
	return next
}

func routingEvents() []model.RoutingEvent {
	e := model.RoutingEvent{Request: "q9", Operation: "new", Target: to(haiku), Runs: 1, Approval: identity.Approved, Terminal: identity.Generated,
		Denial: identity.CapabilityPolicy, Cause: model.RunEnded}
	var out []model.RoutingEvent
	add := func(change func(*model.RoutingEvent)) {
		c := e
		change(&c)
		out = append(out, c)
	}
	for _, request := range []string{"q9", "q1", "q0", ""} {
		add(func(e *model.RoutingEvent) { e.Request = request })
	}
	for _, operation := range []string{"planned", "unscoped", "active", "over", ""} {
		add(func(e *model.RoutingEvent) { e.Operation = operation })
		add(func(e *model.RoutingEvent) {
			e.Operation, e.Terminal, e.Denial = operation, identity.ImageDenied, "whim"
		})
	}
	add(func(e *model.RoutingEvent) { e.Approval = "perhaps" })
	for _, approval := range []identity.Approval{identity.ApprovalNotRequired, identity.DeniedByUser, identity.RequiredButUnavailable} {
		add(func(e *model.RoutingEvent) { e.Approval = approval })
		add(func(e *model.RoutingEvent) { e.Approval, e.Request, e.Operation = approval, "q0", "over" })
		add(func(e *model.RoutingEvent) { e.Approval, e.Request, e.Operation = approval, "", "" })
		add(func(e *model.RoutingEvent) { e.Approval, e.Target = approval, identity.Route{} })
		add(func(e *model.RoutingEvent) { e.Approval, e.Runs = approval, 0 })
	}
	add(func(e *model.RoutingEvent) { e.Operation, e.Failed = "active", true })
	add(func(e *model.RoutingEvent) { e.Cause = model.SessionEnded })
	add(func(e *model.RoutingEvent) { e.Cause = model.NoCause })
	return out
}

func routingCells() (string, error) {
	return fsmtest.Cells(model.RoutingTable, routingVariants, routingTrials,
		func(e model.RoutingEvent, k model.RoutingKind) model.RoutingEvent { e.Kind = k; return e })
}

// Scenario: M7
func TestR17_every_cell_of_both_tables_is_decided_as_written_down(t *testing.T) {
	t.Parallel()
	for name, drive := range map[string]func() (string, error){"identity": identityCells, "routing": routingCells} {
		got, err := drive()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		golden.Equal(t, "testdata/"+name+".txt", []byte(got))
	}
}

// Scenario: M7
func TestR17_the_diagrams_in_docs_are_those_of_the_tables(t *testing.T) {
	t.Parallel()
	golden.Equal(t, "../../docs/machine/model.mmd", []byte(model.IdentityTable.Diagram()))
	golden.Equal(t, "../../docs/machine/routing.mmd", []byte(model.RoutingTable.Diagram()))
}

// The tables are swapped for faulty ones, so this test may not run beside others: it does not call t.Parallel, and those that do
// wait until it is over. What shows in the cells alone is what no session gets into: guards of what the tables keep true themselves.
// Scenario: M6
func TestR17_a_fault_in_any_rule_of_either_table_is_noticed(t *testing.T) {
	behaves := func() error { return walks(80, 40) }
	alone := fsmtest.Survey(t, &model.IdentityTable, identityCells, behaves)
	alone = append(alone, fsmtest.Survey(t, &model.RoutingTable, routingCells, behaves)...)
	for _, name := range alone {
		if !strings.Contains(name, "without the guard") {
			t.Errorf("no session behaves otherwise for %s", name)
		}
		t.Log(name)
	}
}
