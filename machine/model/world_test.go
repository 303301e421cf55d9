package model_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/model"
)

// Models of the tests: opus and gpt take pictures in results, haiku does not, terse is opus with parameters.
var (
	opus  = identity.Target{Identity: identity.Identity{Model: "opus", Provider: identity.Anthropic}, Surface: identity.Surface{ImageToolResults: true, Thinking: true}}
	terse = identity.Target{Identity: identity.Identity{Model: "opus", Provider: identity.Anthropic, Params: `{"effort":"low"}`}, Surface: opus.Surface}
	haiku = identity.Target{Identity: identity.Identity{Model: "haiku", Provider: identity.Anthropic}, Surface: identity.Surface{Thinking: true}}
	gpt   = identity.Target{Identity: identity.Identity{Model: "gpt", Provider: identity.OpenAI}, Surface: identity.Surface{ImageToolResults: true, Realtime: true}}
)

func to(t identity.Target) identity.Route {
	return identity.Route{Model: t.Identity.Model, Realtime: t.Surface.Realtime}
}

// world is the region with what surrounds it: a region of tools that is just big enough to give the facts and to follow the plans.
type world struct {
	s      model.State
	filter identity.CapabilityFilter
	rev    model.Revisions
	hidden bool // view_image is denied by somebody else
	absent bool // there is no view_image
	log    []model.Notice
}

func (w *world) offered(f identity.CapabilityFilter) bool {
	return !w.absent && !w.hidden && !f.Denies(identity.ViewImage)
}

func (w *world) facts(next identity.CapabilityFilter) model.Tools {
	return model.Tools{Filter: w.filter, Revisions: w.rev, Before: w.offered(w.filter), After: w.offered(next)}
}

// tell fills in the facts and steps. What was accepted has its consequence for the tools in the same breath.
func (w *world) tell(e model.Event) error {
	e.Tools = w.facts(w.s.NextFilter(e))
	if e.Kind == model.Hydrate {
		e.Tools.Filter = w.s.NextFilter(e)
	}
	before := w.s
	if err := w.take(model.IdentityTable.Step(w.s, e)); err != nil {
		return err
	}
	switch e.Kind {
	case model.Hydrate:
		w.filter = e.Tools.Filter
	case model.Commit, model.StickyFallback:
		if before != w.s {
			w.follow(e.Tools.Plan(w.s.Surface))
		}
	case model.Begin, model.Abort:
	}
	return nil
}

// follow is what the region of tools does: where other tools are offered, their revision is a new one, and what was staged stays so.
func (w *world) follow(p model.Plan) {
	w.filter = p.Filter
	if p.Changed {
		pending := w.rev.Staged > w.rev.Active
		w.rev.Active = p.Revision
		w.rev.Staged = p.Revision
		if pending {
			w.rev.Staged++
		}
	}
}

func (w *world) route(e model.RoutingEvent) error {
	return w.take(model.RoutingTable.Step(w.s, e))
}

func (w *world) take(next model.State, err error) error {
	if err != nil {
		var no *fsm.Refusal
		if !errors.As(err, &no) || next != w.s {
			return fmt.Errorf("a refusal that changes something, or is none: %w", err)
		}
		return err
	}
	w.log = append(w.log, model.Told(w.s, next)...)
	w.s = next
	return nil
}

// sound checks the state, and that its encoding is canonical and decides alike.
func (w *world) sound() error {
	if err := model.Check(w.s); err != nil {
		return err
	}
	text, err := json.Marshal(w.s)
	if err != nil {
		return err
	}
	var again model.State
	if err := json.Unmarshal(text, &again); err != nil {
		return fmt.Errorf("R22: %w: %s", err, text)
	}
	back, err := json.Marshal(again)
	if err != nil || !bytes.Equal(text, back) {
		return fmt.Errorf("R22: %s comes back as %s (%w)", text, back, err)
	}
	return nil
}

// reloaded is the world after its state went through the store.
func (w *world) reloaded() *world {
	text, err := json.Marshal(w.s)
	if err != nil {
		panic(err)
	}
	c := *w
	c.s = model.State{}
	if err := json.Unmarshal(text, &c.s); err != nil {
		panic(err)
	}
	return &c
}

// session is a world with a model and a baseline.
func session(t testing.TB, of identity.Target) *world {
	t.Helper()
	w := &world{}
	must(t, w.tell(model.Event{Kind: model.Hydrate, Target: of, Status: identity.Resolved}))
	must(t, w.route(model.RoutingEvent{Kind: model.SetBaseline, Target: to(of)}))
	w.log = nil
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// refused demands a refusal that names the guard.
func refused(t testing.TB, err error, guard string) {
	t.Helper()
	var no *fsm.Refusal
	if !errors.As(err, &no) || no.Guard != guard {
		t.Fatalf("got %v, want a refusal for %q", err, guard)
	}
}

func begin(w *world, token identity.Token, target identity.Target) model.Event {
	return model.Event{Kind: model.Begin, Token: token, Previous: w.s.Current(), Target: target}
}

// change takes the session to another identity, and says what came of it.
func (w *world) change(t testing.TB, token identity.Token, target identity.Target) identity.Report {
	t.Helper()
	before, facts := w.s, w.facts(target.Surface.Filter())
	must(t, w.tell(begin(w, token, target)))
	if _, owed := w.s.OwedPrepare(); owed {
		must(t, w.tell(model.Event{Kind: model.Commit, Token: token}))
	}
	must(t, w.sound())
	return model.Report(before, w.s, facts)
}

func answers(t testing.TB, w *world, want identity.Target) {
	t.Helper()
	if got, ok := w.s.Effective(); !ok || got.Model != want.Identity.Model {
		t.Fatalf("%q answers, want %q", got.Model, want.Identity.Model)
	}
}
