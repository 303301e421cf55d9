package model_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine/model"
)

// move is one event of either table, as told in a given world.
type move struct {
	name string
	tell func(*world) error
}

func identityMove(name string, e model.Event) move {
	return move{name, func(w *world) error {
		e := e
		if e.Kind == model.Begin || e.Kind == model.StickyFallback {
			e.Previous = w.s.Current()
		}
		return w.tell(e)
	}}
}

func routingMoves(events ...model.RoutingEvent) (out []move) {
	for _, e := range events {
		out = append(out, move{fmt.Sprintf("%+v", e), func(w *world) error { return w.route(e) }})
	}
	return out
}

// shape is what of a world decides, without what only counts up.
func shape(w *world) string {
	s := w.s
	r := &s.Routing
	var ended []string
	for _, end := range r.Switches.All() {
		ended = append(ended, end.Request)
	}
	for _, end := range r.Pictures.All() {
		ended = append(ended, end.Operation)
	}
	slices.Sort(ended)
	approvals := r.Approvals.Len()
	clean := model.Routing{Phase: r.Phase, Baseline: r.Baseline, Switch: r.Switch, Override: r.Override, Images: r.Images}
	s.Routing = clean
	text, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return fmt.Sprint(string(text), ended, approvals, w.rev.Staged > w.rev.Active)
}

// explore visits every state that the moves lead to, the nearest first. In each it makes every move, checks the rules, and demands
// that the state decides alike after it was stored, that what is owed can be answered, and that the session can end.
func explore(t *testing.T, begin *world, moves []move) {
	type place struct {
		w   *world
		way []string
	}
	begin.log = nil
	seen := map[string]bool{shape(begin): true}
	next := []place{{w: begin}}
	steps, refusals, deepest := 0, 0, 0
	for len(next) > 0 {
		p := next[0]
		next = next[1:]
		deepest = max(deepest, len(p.way))
		fail := func(format string, args ...any) {
			t.Helper()
			t.Fatalf("%s\nafter\n%s", fmt.Sprintf(format, args...), strings.Join(p.way, "\n"))
		}
		if err := p.w.sound(); err != nil {
			fail("%v", err)
		}
		if err := comesToRest(*p.w); err != nil {
			fail("%v", err)
		}
		stored, here := p.w.reloaded(), shape(p.w)
		for _, m := range moves {
			w, again := *p.w, *stored
			w.log, again.log = nil, nil
			err, errAgain := m.tell(&w), m.tell(&again)
			steps++
			if fmt.Sprint(err) != fmt.Sprint(errAgain) {
				fail("R22: %s: %v and %v", m.name, err, errAgain)
			}
			if err != nil {
				refusals++
				continue
			}
			key := shape(&w)
			if key != shape(&again) {
				fail("R22: %s leads elsewhere after the state was stored", m.name)
			}
			if w.s == p.w.s && len(w.log) > 0 || w.s.Routing.Topology < p.w.s.Routing.Topology {
				fail("R83: %s tells %v, topology %d after %d", m.name, w.log, w.s.Routing.Topology, p.w.s.Routing.Topology)
			}
			if was, ok := p.w.s.Effective(); ok {
				if is, _ := w.s.Effective(); is.Model != was.Model && w.s.Routing.Phase != model.NoBaseline && w.s.Routing.Topology == p.w.s.Routing.Topology {
					fail("R83: %s: from %v to %v at topology %d", m.name, was, is, w.s.Routing.Topology)
				}
			}
			if r, was := w.s.Routing, p.w.s.Routing; key == here && r.Ends == was.Ends && r.Topology == was.Topology && w.s != p.w.s {
				fail("R21: %s changes nothing, and the state is not the same", m.name)
			}
			if !seen[key] {
				seen[key] = true
				next = append(next, place{&w, append(slices.Clip(p.way), m.name)})
			}
		}
		if shape(p.w) != here {
			fail("R19: a step changed the state it began with")
		}
	}
	t.Logf("%d states, the farthest %d events away; %d steps, %d of them refused", len(seen), deepest, steps, refusals)
	if len(seen) < 100 || refusals == 0 {
		t.Errorf("%d states are no world", len(seen))
	}
}

// comesToRest answers what is owed, both ways, and then ends the session.
func comesToRest(w world) error {
	for range 3 {
		if p, owed := w.s.OwedPrepare(); owed {
			no := w
			if err := no.tell(model.Event{Kind: model.Abort, Token: p.Token}); err != nil || no.s.Pending != nil {
				return fmt.Errorf("R82: an abort is refused: %w", err)
			}
			if err := w.tell(model.Event{Kind: model.Commit, Token: p.Token}); err != nil || w.s.Identity != p.Target.Identity {
				return fmt.Errorf("R78: a commit is refused: %w", err)
			}
		}
		if sw, owed := w.s.OwedApply(); owed {
			no := w
			if err := no.route(model.RoutingEvent{Kind: model.AbortUntilChanged, Request: sw.Request}); err != nil {
				return fmt.Errorf("R85: an abort is refused: %w", err)
			}
			if w.s.Phase == model.Unknown {
				w = no // there is no identity to change
				continue
			}
			target := map[string]identity.Target{"opus": opus, "haiku": haiku}[sw.Target.Model]
			if err := w.tell(model.Event{Kind: model.Begin, Token: "t9", Request: sw.Request, Previous: w.s.Current(), Target: target}); err != nil {
				return fmt.Errorf("R85: a change for the switch is refused: %w", err)
			}
		}
	}
	_, prepare := w.s.OwedPrepare()
	_, apply := w.s.OwedApply()
	if prepare || apply {
		return fmt.Errorf("R85: something is owed for ever: %+v", w.s)
	}
	if err := w.route(sessionEnds); err != nil {
		return err
	}
	if r := w.s.Routing; r.Switch != nil || r.Override != "" || r.Images.Len() > 0 {
		return fmt.Errorf("R87: %+v is left of the session", r)
	}
	return model.Check(w.s)
}

// Two models, two switches, one change at a time: all of it.
func TestR85_every_state_of_a_small_world_of_switches_keeps_the_rules(t *testing.T) {
	t.Parallel()
	moves := []move{identityMove("vague", model.Event{Kind: model.Hydrate, Target: opus, Status: identity.Unresolved}),
		identityMove("commit", model.Event{Kind: model.Commit, Token: "t1"}), identityMove("abort", model.Event{Kind: model.Abort, Token: "t1"}),
		{"stage", func(w *world) error { w.rev.Staged = max(w.rev.Active, w.rev.Staged) + 1; return nil }},
		{"promote", func(w *world) error { w.rev.Active = w.rev.Staged; return nil }}}
	routes := []model.RoutingEvent{aRunBegins, aRunEnds, sessionEnds}
	for _, target := range []identity.Target{opus, haiku} {
		name := target.Identity.Model
		routes = append(routes, model.RoutingEvent{Kind: model.SetBaseline, Target: to(target)})
		moves = append(moves, identityMove("known "+name, model.Event{Kind: model.Hydrate, Target: target, Status: identity.Resolved}),
			identityMove("fall back to "+name, model.Event{Kind: model.StickyFallback, Target: target, Profile: target.Identity, Route: to(target), Recovering: true}))
		for _, request := range []string{"", "q1", "q2"} {
			moves = append(moves, identityMove("begin "+name+" for "+request, model.Event{Kind: model.Begin, Token: "t1", Request: request, Target: target}))
			if request != "" {
				no := finite(request, target, 1)
				no.Approval = identity.RequiredButUnavailable
				routes = append(routes, finite(request, target, 1), finite(request, target, 2), untilChanged(request, target), no,
					model.RoutingEvent{Kind: model.CompleteUntilChanged, Request: request}, model.RoutingEvent{Kind: model.AbortUntilChanged, Request: request})
			}
		}
	}
	explore(t, &world{}, append(moves, routingMoves(routes...)...))
}

// Two pictures, of each sort, and a switch: all of it.
func TestR87_every_state_of_a_small_world_of_pictures_keeps_the_rules(t *testing.T) {
	t.Parallel()
	routes := []model.RoutingEvent{aRunBegins, aRunEnds, sessionEnds, finite("q1", haiku, 1), untilChanged("q1", haiku),
		{Kind: model.AbortUntilChanged, Request: "q1"}}
	for _, op := range []string{"o1", "o2"} {
		no, yes := picture(op, haiku, true), picture(op, haiku, true)
		no.Approval, yes.Approval = identity.DeniedByUser, identity.Approved
		routes = append(routes, no, yes, picture(op, haiku, true), picture(op, haiku, false), model.RoutingEvent{Kind: model.ActivateImage, Operation: op},
			model.RoutingEvent{Kind: model.DenyImagePlan, Operation: op, Denial: identity.CapabilityPolicy},
			model.RoutingEvent{Kind: model.CompleteImage, Operation: op, Terminal: identity.Generated, Payload: "p"},
			model.RoutingEvent{Kind: model.CompleteImage, Operation: op, Terminal: identity.ImageFailed},
			model.RoutingEvent{Kind: model.RestoreImage, Operation: op}, model.RoutingEvent{Kind: model.RestoreImage, Operation: op, Failed: true})
	}
	explore(t, session(t, opus), routingMoves(routes...))
}
