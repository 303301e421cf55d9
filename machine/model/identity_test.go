package model_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine/model"
)

// Scenario: L1
func TestR80_a_model_that_can_do_the_same_changes_no_tools(t *testing.T) {
	t.Parallel()
	w := session(t, opus)
	w.rev = model.Revisions{Active: 3, Staged: 3}
	twin := opus
	twin.Identity.Model = "opus-2"
	r := w.change(t, "t1", twin)
	if r.Surface.Changed || r.Tools.VisibleSetChanged || r.Tools.RevisionBumped || r.Unchanged || w.rev.Active != 3 {
		t.Errorf("%+v, revision %d", r, w.rev.Active)
	}
	if r.Previous != opus.Identity || r.New != twin.Identity || w.s.Identity != twin.Identity {
		t.Errorf("from %v to %v", r.Previous, r.New)
	}
	answers(t, w, twin)
}

// Scenario: L2
func TestR80_view_image_goes_with_the_models_ability_and_comes_back_with_it(t *testing.T) {
	t.Parallel()
	w := session(t, opus)
	w.rev = model.Revisions{Active: 3, Staged: 3}
	r := w.change(t, "t1", haiku)
	want := identity.ToolDelta{Current: identity.ViewImage, VisibleSetChanged: true, RevisionBumped: true}
	if r.Tools != want || !r.Surface.Changed || w.rev.Active != 4 || w.offered(w.filter) {
		t.Errorf("%+v at revision %d", r, w.rev.Active)
	}
	r = w.change(t, "t2", opus)
	want = identity.ToolDelta{Previous: identity.ViewImage, VisibleSetChanged: true, RevisionBumped: true}
	if r.Tools != want || w.rev.Active != 5 || !w.offered(w.filter) {
		t.Errorf("%+v at revision %d", r, w.rev.Active)
	}
}

// Scenario: L3
func TestR80_a_tool_that_was_not_offered_before_makes_no_difference(t *testing.T) {
	t.Parallel()
	for name, w := range map[string]*world{"denied by a filter": {hidden: true}, "not there": {absent: true}} {
		c := session(t, opus)
		c.hidden, c.absent, c.rev = w.hidden, w.absent, model.Revisions{Active: 3, Staged: 3}
		r := c.change(t, "t1", haiku)
		if r.Tools.VisibleSetChanged || r.Tools.RevisionBumped || c.rev.Active != 3 || c.filter != identity.ViewImage {
			t.Errorf("%s: %+v at revision %d", name, r, c.rev.Active)
		}
	}
}

// Scenario: L5
func TestR78_a_second_change_of_identity_is_told_that_one_is_under_way(t *testing.T) {
	t.Parallel()
	w := session(t, opus)
	other := begin(w, "t2", gpt) // decided on the same values
	must(t, w.tell(begin(w, "t1", haiku)))
	refused(t, w.tell(other), model.GuardBusy)
	refused(t, w.tell(model.Event{Kind: model.Hydrate, Target: gpt, Status: identity.Resolved}), model.GuardBusy)
	refused(t, w.tell(model.Event{Kind: model.StickyFallback, Target: gpt}), model.GuardBusy)
	refused(t, w.tell(model.Event{Kind: model.Commit, Token: "t2"}), model.GuardToken)
	must(t, w.tell(model.Event{Kind: model.Commit, Token: "t1"}))
	refused(t, w.tell(other), model.GuardIdentity) // what it was decided on is gone
	if w.s.Identity != haiku.Identity {
		t.Errorf("identity is %v", w.s.Identity)
	}
	answers(t, w, haiku)
}

func TestR78_asking_again_under_the_same_token_is_the_same_change(t *testing.T) {
	t.Parallel()
	w := session(t, opus)
	must(t, w.tell(begin(w, "t1", haiku)))
	begun := w.s
	must(t, w.tell(begin(w, "t1", haiku)))
	if w.s != begun {
		t.Error("the second Begin changed something")
	}
	must(t, w.tell(model.Event{Kind: model.Commit, Token: "t1"}))
	done := w.s
	must(t, w.tell(model.Event{Kind: model.Commit, Token: "t1"}))
	must(t, w.tell(model.Event{Kind: model.Abort, Token: "t1"}))
	if w.s != done {
		t.Error("a second answer changed something")
	}
}

func TestR78_a_change_that_was_begun_is_owed_until_it_is_answered(t *testing.T) {
	t.Parallel()
	w := session(t, opus)
	must(t, w.tell(begin(w, "t1", haiku)))
	w = w.reloaded() // the process died
	p, owed := w.s.OwedPrepare()
	if !owed || p.Token != "t1" || p.Target != haiku {
		t.Fatalf("owed %v: %v", owed, p)
	}
	must(t, w.tell(model.Event{Kind: model.Commit, Token: p.Token}))
	if _, owed := w.s.OwedPrepare(); owed {
		t.Error("owed for ever")
	}
}

// Scenario: L6
func TestR82_a_client_that_cannot_be_made_leaves_everything_as_it_was(t *testing.T) {
	t.Parallel()
	for _, status := range []identity.Status{identity.Resolved, identity.Unresolved} {
		w := session(t, opus)
		must(t, w.tell(model.Event{Kind: model.Hydrate, Target: opus, Status: status}))
		before := w.s
		must(t, w.tell(begin(w, "t1", haiku)))
		must(t, w.tell(model.Event{Kind: model.Abort, Token: "t1"}))
		if w.s != before || w.filter != "" {
			t.Errorf("%s: %+v is left of %+v", status, w.s, before)
		}
		want := []model.Notice{model.ReconfigureBegun{Token: "t1", Target: haiku.Identity}, model.ReconfigureAborted{Token: "t1"}}
		if d := cmp.Diff(want, w.log[len(w.log)-2:]); d != "" {
			t.Error(d)
		}
		must(t, w.tell(model.Event{Kind: model.Abort, Token: "nobody's"}))
		if w.s != before {
			t.Error("an abort of nothing did something")
		}
	}
}

// Scenario: L7
func TestR80_what_is_staged_while_a_client_is_made_ready_survives(t *testing.T) {
	t.Parallel()
	w := session(t, opus)
	w.rev = model.Revisions{Active: 3, Staged: 3}
	must(t, w.tell(begin(w, "t1", haiku)))
	w.rev.Staged = 4 // a filter
	facts := w.facts(haiku.Surface.Filter())
	must(t, w.tell(model.Event{Kind: model.Commit, Token: "t1"}))
	if p := facts.Plan(haiku.Surface); p.Revision != 5 || w.rev != (model.Revisions{Active: 5, Staged: 6}) {
		t.Errorf("plan %+v, revisions %+v: what was staged is to be pending, and nothing goes back", p, w.rev)
	}
}

func TestR79_a_change_rests_on_the_values_it_was_decided_on(t *testing.T) {
	t.Parallel()
	for guard, spoil := range map[string]func(*model.Compared){
		model.GuardIdentity: func(c *model.Compared) { c.Identity = terse.Identity },
		model.GuardSurface:  func(c *model.Compared) { c.Surface.Vision = true },
		model.GuardStatus:   func(c *model.Compared) { c.Status = identity.Unresolved },
		model.GuardFilter:   func(c *model.Compared) { c.Filter = identity.ViewImage },
	} {
		w := session(t, opus)
		e := begin(w, "t1", haiku)
		spoil(&e.Previous)
		refused(t, w.tell(e), guard)
		e.Kind, e.Recovering, e.Route, e.Profile = model.StickyFallback, true, to(haiku), haiku.Identity
		refused(t, w.tell(e), guard)
	}
	w := session(t, opus)
	must(t, w.tell(begin(w, "t1", haiku)))
	_, err := model.IdentityTable.Step(w.s, model.Event{Kind: model.Commit, Token: "t1", Tools: model.Tools{Filter: identity.ViewImage}})
	refused(t, err, model.GuardFilter) // somebody gave the tools another filter behind the identity's back
}

func TestR81_becoming_what_one_is_changes_nothing(t *testing.T) {
	t.Parallel()
	w := session(t, opus)
	before := w.s
	r := w.change(t, "t1", opus)
	if !r.Unchanged || w.s != before || len(w.log) > 0 {
		t.Errorf("%+v, told %v", r, w.log)
	}
	// Where little is known of the model, the same identity is a change: now more is known.
	must(t, w.tell(model.Event{Kind: model.Hydrate, Target: opus, Status: identity.Unresolved}))
	if r := w.change(t, "t2", opus); r.Unchanged || w.s.Status() != identity.Resolved {
		t.Errorf("%+v, and the status is %s", r, w.s.Status())
	}
}

func TestR82_identity_surface_and_baseline_move_together(t *testing.T) {
	t.Parallel()
	w := session(t, opus)
	was := w.s.Routing.Topology
	w.change(t, "t1", gpt)
	if w.s.Identity != gpt.Identity || w.s.Surface != gpt.Surface || w.s.Routing.Baseline != to(gpt) || w.s.Routing.Topology != was+1 {
		t.Errorf("%+v", w.s)
	}
	want := []model.Notice{model.ReconfigureBegun{Token: "t1", Target: gpt.Identity},
		model.IdentityChanged{Previous: opus.Identity, Current: gpt.Identity, Status: identity.Resolved},
		model.RoutingChanged{Topology: was + 1, Effective: to(gpt)}}
	if d := cmp.Diff(want, w.log); d != "" {
		t.Error(d)
	}
	// A baseline that names another model was set on purpose, and stays.
	must(t, w.route(model.RoutingEvent{Kind: model.SetBaseline, Target: to(haiku)}))
	w.change(t, "t2", opus)
	answers(t, w, haiku)
}

// Scenario: L11
func TestR82_a_fallback_counts_only_in_the_attempt_that_it_is_for(t *testing.T) {
	t.Parallel()
	fallback := func(w *world) model.Event {
		return model.Event{Kind: model.StickyFallback, Previous: w.s.Current(), Target: haiku, Profile: haiku.Identity, Route: to(haiku),
			Seen: w.rev, Attempt: 3, CurrentAttempt: 3, Recovering: true}
	}
	for guard, spoil := range map[string]func(*model.Event){
		model.GuardAttempt: func(e *model.Event) { e.Attempt = 2 },
		"an attempt has failed and the next is outstanding": func(e *model.Event) { e.Recovering = false },
		model.GuardSeen:                      func(e *model.Event) { e.Seen.Staged++ },
		"the baseline to come is the target": func(e *model.Event) { e.Route = to(gpt) },
		"the profile is the target's":        func(e *model.Event) { e.Profile = gpt.Identity },
	} {
		w := session(t, opus)
		e := fallback(w)
		spoil(&e)
		refused(t, w.tell(e), guard)
	}
	w := session(t, opus)
	w.rev = model.Revisions{Active: 3, Staged: 3}
	was := w.s.Routing.Topology
	e := fallback(w)
	must(t, w.tell(e))
	must(t, w.sound())
	if w.s.Identity != haiku.Identity || w.s.Routing.Baseline != to(haiku) || w.s.Routing.Topology != was+1 || w.rev.Active != 4 || w.filter != identity.ViewImage {
		t.Errorf("%+v, tools at %+v", w.s, w.rev)
	}
	answers(t, w, haiku)
	refused(t, w.tell(e), model.GuardIdentity) // told again: it has happened
	// Without a baseline there is one afterwards.
	w = &world{}
	must(t, w.tell(model.Event{Kind: model.Hydrate, Target: opus, Status: identity.Unresolved}))
	must(t, w.tell(fallback(w)))
	must(t, w.sound())
	if w.s.Routing.Baseline != to(haiku) || w.s.Status() != identity.Resolved {
		t.Errorf("%+v", w.s)
	}
}

func TestR80_facts_about_the_tools_that_cannot_be_are_refused(t *testing.T) {
	t.Parallel()
	s := session(t, opus).s
	for name, facts := range map[string]model.Tools{
		"offered though the target denies it":                 {Before: true, After: true},
		"offered only with a filter that is as before":        {After: true},
		"offered before though the filter in force denies it": {Filter: identity.ViewImage, Before: true},
	} {
		e := model.Event{Kind: model.Begin, Token: "t1", Previous: s.Current(), Target: haiku, Tools: facts}
		if facts.Filter == "" && !facts.Before {
			e.Target = gpt
		}
		if facts.Filter != "" {
			s.Surface, e.Previous = haiku.Surface, model.Compared{Identity: s.Identity, Surface: haiku.Surface, Status: identity.Resolved, Filter: facts.Filter}
			e.Target = gpt
		}
		_, err := model.IdentityTable.Step(s, e)
		t.Log(name)
		refused(t, err, "facts about the tools fit the filters")
		s = session(t, opus).s
	}
}

func TestR81_a_session_begins_with_the_model_it_is_given(t *testing.T) {
	t.Parallel()
	w := &world{}
	if got, ok := w.s.Effective(); ok || !w.s.IsZero() || w.s.Status() != "" {
		t.Errorf("a session without a model has %v", got)
	}
	refused(t, w.tell(begin(w, "t1", opus)), "the session has no model yet")
	_, err := model.IdentityTable.Step(w.s, model.Event{Kind: model.Hydrate, Target: haiku, Status: identity.Resolved})
	refused(t, err, "capability filter follows from the surface")
	refused(t, w.tell(model.Event{Kind: model.Hydrate, Status: identity.Resolved}), "target is named")
	refused(t, w.tell(model.Event{Kind: model.Hydrate, Target: haiku}), "status is resolved")
	must(t, w.tell(model.Event{Kind: model.Hydrate, Target: haiku, Status: identity.Unresolved}))
	answers(t, w, haiku) // there is no baseline, and still a model
	known := w.s
	must(t, w.tell(model.Event{Kind: model.Hydrate, Target: haiku, Status: identity.Unresolved}))
	if w.s != known {
		t.Error("the same again changed something")
	}
	if got, err := model.IdentityTable.Step(w.s, model.Event{Kind: model.Commit}); err == nil || got != w.s {
		t.Error("a commit of nothing was accepted")
	}
}
