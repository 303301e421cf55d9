package model_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/model"
)

func finite(request string, target identity.Target, runs int) model.RoutingEvent {
	return model.RoutingEvent{Kind: model.RequestFinite, Request: request, Target: to(target), Runs: runs, Approval: identity.ApprovalNotRequired}
}

func untilChanged(request string, target identity.Target) model.RoutingEvent {
	return model.RoutingEvent{Kind: model.RequestUntilChanged, Request: request, Target: to(target), Approval: identity.ApprovalNotRequired}
}

func picture(operation string, target identity.Target, scoped bool) model.RoutingEvent {
	return model.RoutingEvent{Kind: model.BeginImage, Operation: operation, Target: to(target), Scoped: scoped, Approval: identity.ApprovalNotRequired}
}

var (
	aRunBegins  = model.RoutingEvent{Kind: model.AdmitRun}
	aRunEnds    = model.RoutingEvent{Kind: model.CancelRouting, Cause: model.RunEnded}
	sessionEnds = model.RoutingEvent{Kind: model.CancelRouting, Cause: model.SessionEnded}
)

func (w *world) do(t testing.TB, events ...model.RoutingEvent) {
	t.Helper()
	for _, e := range events {
		must(t, w.route(e))
		must(t, w.sound())
	}
}

func switchEnd(t testing.TB, w *world, want identity.SwitchEnd) {
	t.Helper()
	if got, ok := w.s.Routing.SwitchEnd(want.Request); !ok || got != want {
		t.Errorf("the switch ended (%v) as %+v, want %+v", ok, got, want)
	}
}

func imageEnd(t testing.TB, w *world, want identity.ImageEnd) {
	t.Helper()
	if got, ok := w.s.Routing.ImageEnd(want.Operation); !ok || got != want {
		t.Errorf("the picture ended (%v) as %+v, want %+v", ok, got, want)
	}
}

// Scenario: Q1
func TestR84_a_switch_for_two_runs_is_for_two_runs(t *testing.T) {
	t.Parallel()
	w := session(t, opus)
	top := w.s.Routing.Topology
	w.do(t, finite("q1", gpt, 2))
	answers(t, w, opus)
	w.do(t, aRunBegins, aRunEnds)
	answers(t, w, gpt)
	w = w.reloaded()
	w.do(t, aRunBegins, aRunEnds)
	answers(t, w, gpt)
	w.do(t, aRunBegins)
	answers(t, w, opus)
	switchEnd(t, w, identity.SwitchEnd{Request: "q1", Target: to(gpt), Terminal: identity.ConsumedAndRestored})
	want := []model.Notice{model.SwitchAccepted{Request: "q1", Target: to(gpt), Runs: 2},
		model.SwitchActivated{Request: "q1", Target: to(gpt), Runs: 2}, model.RoutingChanged{Topology: top + 1, Effective: to(gpt)},
		model.SwitchOver{End: identity.SwitchEnd{Request: "q1", Target: to(gpt), Terminal: identity.ConsumedAndRestored}},
		model.RoutingChanged{Topology: top + 2, Effective: to(opus)}}
	if d := cmp.Diff(want, w.log); d != "" {
		t.Error(d)
	}
	before := w.s
	w.do(t, aRunBegins)
	if w.s != before {
		t.Error("a run without a switch changed something")
	}
}

// Scenario: Q2
func TestR85_a_second_switch_is_denied_as_a_conflict(t *testing.T) {
	t.Parallel()
	ways := map[string][]model.RoutingEvent{
		"pending":          {finite("q1", gpt, 2)},
		"in force":         {finite("q1", gpt, 2), aRunBegins},
		"being applied":    {untilChanged("q1", gpt)},
		"during a picture": {picture("o1", gpt, true), {Kind: model.ActivateImage, Operation: "o1"}},
	}
	for name, way := range ways {
		for n, second := range []model.RoutingEvent{finite("q2", haiku, 1), untilChanged("q2", haiku)} {
			t.Run(fmt.Sprint(name, n), func(t *testing.T) {
				t.Parallel()
				w := session(t, opus)
				w.do(t, way...)
				before := w.s
				second.Approval = identity.Approved
				w.do(t, second)
				switchEnd(t, w, identity.SwitchEnd{Request: "q2", Target: to(haiku), Terminal: identity.SwitchDenied, Denial: identity.ScopedOverrideConflict})
				if w.s.Routing.Switch != before.Routing.Switch || w.s.Routing.Phase != before.Routing.Phase || w.s.Routing.Approvals.Len() > 0 {
					t.Errorf("the first is disturbed: %+v", w.s.Routing)
				}
				refused(t, w.route(second), model.GuardUsed)
			})
		}
	}
}

// Scenario: Q3
func TestR86_a_switch_that_is_not_approved_is_denied_with_the_reason(t *testing.T) {
	t.Parallel()
	for _, e := range []model.RoutingEvent{finite("q1", gpt, 1), untilChanged("q1", gpt)} {
		for approval, want := range map[identity.Approval]identity.Denial{
			identity.RequiredButUnavailable: identity.ApprovalRequiredButUnavailable, identity.DeniedByUser: identity.DeniedDuringApproval} {
			w := session(t, opus)
			e.Approval = approval
			w.do(t, e)
			end := identity.SwitchEnd{Request: "q1", Target: to(gpt), Terminal: identity.SwitchDenied, Denial: want}
			switchEnd(t, w, end)
			var told []model.Notice
			if approval == identity.DeniedByUser {
				told = append(told, model.ApprovalEnded{End: identity.ApprovalEnd{ID: "q1", Parent: identity.ForSwitch}})
			}
			if d := cmp.Diff(append(told, model.SwitchOver{End: end}), w.log); d != "" {
				t.Error(approval, d)
			}
			answers(t, w, opus)
		}
		w := session(t, opus)
		e.Approval = identity.Approved
		w.do(t, e)
		want := []model.Notice{model.ApprovalEnded{End: identity.ApprovalEnd{ID: "q1", Parent: identity.ForSwitch, Approved: true}},
			model.SwitchAccepted{Request: "q1", Target: to(gpt), Runs: e.Runs}}
		if d := cmp.Diff(want, w.log); d != "" {
			t.Error(d)
		}
		e.Request, e.Approval = "q2", "perhaps"
		refused(t, w.route(e), "approval is decided")
	}
}

// Scenario: Q4
func TestR86_a_switch_for_no_runs_or_from_no_baseline_leaves_no_record(t *testing.T) {
	t.Parallel()
	w := session(t, opus)
	before := w.s
	for _, approval := range []identity.Approval{identity.ApprovalNotRequired, identity.DeniedByUser, identity.RequiredButUnavailable} {
		for _, runs := range []int{0, -1} {
			e := finite("q1", gpt, runs)
			e.Approval = approval
			refused(t, w.route(e), model.GuardRuns)
		}
	}
	if w.s != before {
		t.Error("something is left")
	}
	w = &world{}
	must(t, w.tell(model.Event{Kind: model.Hydrate, Target: opus, Status: identity.Resolved}))
	for _, e := range []model.RoutingEvent{finite("q1", gpt, 1), untilChanged("q1", gpt), picture("o1", gpt, true)} {
		e.Approval = identity.DeniedByUser
		refused(t, w.route(e), model.GuardNoBaseline)
	}
	if w.s.Routing.Ends != 0 {
		t.Error("something is left")
	}
}

// Scenario: Q5
func TestR85_a_switch_until_changed_is_a_change_of_identity(t *testing.T) {
	t.Parallel()
	w := session(t, opus)
	must(t, w.route(untilChanged("q1", gpt)))
	sw, owed := w.s.OwedApply()
	if !owed || sw.Request != "q1" || sw.Target != to(gpt) {
		t.Fatalf("owed %v: %v", owed, sw)
	}
	answers(t, w, opus)
	refused(t, w.tell(begin(w, "t0", haiku)), model.GuardSwitch) // another change may not come between
	e := begin(w, "t1", gpt)
	e.Request = sw.Request
	must(t, w.tell(e))
	if _, owed := w.s.OwedApply(); owed {
		t.Error("it is begun, and still to be begun")
	}
	refused(t, w.route(model.RoutingEvent{Kind: model.CompleteUntilChanged, Request: "q1"}), model.GuardChanging)
	refused(t, w.route(model.RoutingEvent{Kind: model.AbortUntilChanged, Request: "q1"}), model.GuardChanging)
	must(t, w.tell(model.Event{Kind: model.Commit, Token: "t1"}))
	must(t, w.sound())
	switchEnd(t, w, identity.SwitchEnd{Request: "q1", Target: to(gpt), Terminal: identity.PersistentReconfigureApplied})
	if w.s.Identity != gpt.Identity || w.s.Routing.Baseline != to(gpt) || w.s.Routing.Phase != model.AtBaseline {
		t.Errorf("%+v", w.s)
	}
	answers(t, w, gpt)
}

// Scenario: Q5
func TestR85_a_switch_that_cannot_be_carried_out_is_denied_and_the_old_model_stays(t *testing.T) {
	t.Parallel()
	end := identity.SwitchEnd{Request: "q1", Target: to(gpt), Terminal: identity.SwitchDenied, Denial: identity.ReconfigureFailed}
	w := session(t, opus)
	before := w.s
	w.do(t, untilChanged("q1", gpt), model.RoutingEvent{Kind: model.AbortUntilChanged, Request: "q1"}) // it could not even begin
	switchEnd(t, w, end)
	w = session(t, opus)
	w.do(t, untilChanged("q1", gpt))
	e := begin(w, "t1", gpt)
	e.Request = "q1"
	must(t, w.tell(e))
	must(t, w.tell(model.Event{Kind: model.Abort, Token: "t1"}))
	must(t, w.sound())
	switchEnd(t, w, end)
	if w.s.Identity != before.Identity || w.s.Routing.Baseline != before.Routing.Baseline || w.s.Routing.Topology != before.Routing.Topology {
		t.Errorf("%+v", w.s)
	}
	w.do(t, finite("q2", haiku, 1)) // nothing is in the way any more
}

func TestR85_a_switch_to_the_model_that_is_there_is_over_at_once(t *testing.T) {
	t.Parallel()
	end := identity.SwitchEnd{Request: "q1", Target: to(opus), Terminal: identity.PersistentReconfigureApplied}
	for name, finish := range map[string]func(w *world) error{
		"begun": func(w *world) error { e := begin(w, "t1", opus); e.Request = "q1"; return w.tell(e) },
		"completed": func(w *world) error {
			return w.route(model.RoutingEvent{Kind: model.CompleteUntilChanged, Request: "q1"})
		},
	} {
		w := session(t, opus)
		w.do(t, untilChanged("q1", opus))
		must(t, finish(w))
		must(t, w.sound())
		if _, owed := w.s.OwedPrepare(); owed {
			t.Error(name, "a client is to be made")
		}
		switchEnd(t, w, end)
	}
	w := session(t, opus)
	w.do(t, untilChanged("q1", gpt))
	refused(t, w.route(model.RoutingEvent{Kind: model.CompleteUntilChanged, Request: "q1"}), model.GuardApplied)
	refused(t, w.route(model.RoutingEvent{Kind: model.CompleteUntilChanged, Request: "q2"}), model.GuardRequest)
	refused(t, w.route(model.RoutingEvent{Kind: model.AbortUntilChanged, Request: "q2"}), model.GuardRequest)
}

func TestR85_a_switch_that_waits_keeps_the_identity(t *testing.T) {
	t.Parallel()
	w := session(t, opus)
	w.do(t, finite("q1", gpt, 1))
	refused(t, w.tell(begin(w, "t1", haiku)), model.GuardSwitch)
	w.do(t, aRunBegins) // in force: the identity may change beneath it
	w.change(t, "t1", haiku)
	answers(t, w, gpt)
	w.do(t, aRunBegins)
	answers(t, w, haiku)
	// A change that was begun before is not in the way of a switch; the switch waits for it.
	must(t, w.tell(begin(w, "t2", opus)))
	w.do(t, untilChanged("q2", gpt))
	if _, owed := w.s.OwedApply(); owed {
		t.Error("two changes at once")
	}
	must(t, w.tell(model.Event{Kind: model.Commit, Token: "t2"}))
	if _, owed := w.s.OwedApply(); !owed {
		t.Error("the switch is forgotten")
	}
}

// Scenario: Q6
func TestR87_a_pictures_model_answers_while_it_is_made(t *testing.T) {
	t.Parallel()
	w := session(t, opus)
	w.do(t, finite("q1", haiku, 1), aRunBegins, picture("o1", gpt, true))
	answers(t, w, haiku)
	top := w.s.Routing.Topology
	w.do(t, model.RoutingEvent{Kind: model.ActivateImage, Operation: "o1"})
	answers(t, w, gpt) // before the switch, which stands before the baseline
	refused(t, w.route(model.RoutingEvent{Kind: model.RestoreImage, Operation: "o1"}), "it is made, or cannot be restored")
	bytes := identity.Payload("\xff\x00 any bytes <&> \u2028")
	done := model.RoutingEvent{Kind: model.CompleteImage, Operation: "o1", Terminal: identity.Generated, Payload: bytes}
	w.do(t, done)
	answers(t, w, gpt)
	refused(t, w.route(done), "it is being made")
	w = w.reloaded()
	w.do(t, model.RoutingEvent{Kind: model.RestoreImage, Operation: "o1"})
	answers(t, w, haiku)
	imageEnd(t, w, identity.ImageEnd{Operation: "o1", Terminal: identity.Generated, Payload: bytes})
	if w.s.Routing.Topology != top+2 || w.s.Routing.Images.Len() > 0 {
		t.Errorf("%+v", w.s.Routing)
	}
	w = w.reloaded()
	imageEnd(t, w, identity.ImageEnd{Operation: "o1", Terminal: identity.Generated, Payload: bytes})
	want := []model.Notice{model.ImageMoved{Operation: "o1", Phase: model.PlanResolved},
		model.ImageMoved{Operation: "o1", Phase: model.ScopedActive}, model.RoutingChanged{Topology: top + 1, Effective: to(gpt)},
		model.ImageMoved{Operation: "o1", Phase: model.Restoring},
		model.ImageOver{End: identity.ImageEnd{Operation: "o1", Terminal: identity.Generated, Payload: bytes}},
		model.RoutingChanged{Topology: top + 2, Effective: to(haiku)}}
	if d := cmp.Diff(want, w.log[len(w.log)-len(want):]); d != "" {
		t.Error(d)
	}
}

// Scenario: Q7
func TestR87_pictures_beside_a_picture(t *testing.T) {
	t.Parallel()
	w := session(t, opus)
	w.do(t, picture("o1", gpt, true), picture("o2", gpt, false), picture("o3", haiku, true))
	refused(t, w.route(model.RoutingEvent{Kind: model.ActivateImage, Operation: "o2"}), "it is scoped")
	w.do(t, model.RoutingEvent{Kind: model.ActivateImage, Operation: "o1"})
	refused(t, w.route(model.RoutingEvent{Kind: model.ActivateImage, Operation: "o3"}), model.GuardOverride)
	w.do(t, picture("o4", gpt, false))
	imageEnd(t, w, identity.ImageEnd{Operation: "o4", Terminal: identity.ImageDenied, Denial: identity.ScopedOverrideConflict})
	// One that needs no override is made whatever others do.
	w.do(t, model.RoutingEvent{Kind: model.CompleteImage, Operation: "o2", Terminal: identity.EmptyResult, Payload: "p"})
	imageEnd(t, w, identity.ImageEnd{Operation: "o2", Terminal: identity.EmptyResult, Payload: "p"})
	answers(t, w, gpt)
	refused(t, w.route(model.RoutingEvent{Kind: model.CompleteImage, Operation: "o3", Terminal: identity.Generated}), model.GuardHolds)
	w.do(t, model.RoutingEvent{Kind: model.RestoreImage, Operation: "o1", Failed: true},
		model.RoutingEvent{Kind: model.ActivateImage, Operation: "o3"})
	imageEnd(t, w, identity.ImageEnd{Operation: "o1", Terminal: identity.ScopedRestoreFailed})
	answers(t, w, haiku)
	w.do(t, model.RoutingEvent{Kind: model.CompleteImage, Operation: "o3", Terminal: identity.Generated, Payload: "p"},
		model.RoutingEvent{Kind: model.RestoreImage, Operation: "o3", Failed: true})
	imageEnd(t, w, identity.ImageEnd{Operation: "o3", Terminal: identity.ScopedRestoreFailed, Payload: "p"})
	answers(t, w, opus)
}

func TestR86_a_picture_that_is_not_to_be_is_denied_with_the_reason(t *testing.T) {
	t.Parallel()
	w := session(t, opus)
	for approval, want := range map[identity.Approval]identity.Denial{
		identity.RequiredButUnavailable: identity.ApprovalRequiredButUnavailable, identity.DeniedByUser: identity.DeniedDuringApproval} {
		e := picture(string(approval), gpt, true)
		e.Approval = approval
		w.do(t, e)
		imageEnd(t, w, identity.ImageEnd{Operation: e.Operation, Terminal: identity.ImageDenied, Denial: want})
	}
	if _, end, _ := w.s.Routing.Approvals.First(); w.s.Routing.Approvals.Len() != 1 || end != (identity.ApprovalEnd{ID: "denied_by_user", Parent: identity.ForImage}) {
		t.Errorf("approvals: %d, the first is %v", w.s.Routing.Approvals.Len(), end)
	}
	e := picture("o1", gpt, true)
	e.Approval = identity.Approved
	w.do(t, e)
	refused(t, w.route(model.RoutingEvent{Kind: model.DenyImagePlan, Operation: "o1", Denial: "whim"}), "the reason is known")
	w.do(t, model.RoutingEvent{Kind: model.DenyImagePlan, Operation: "o1", Denial: identity.CapabilityPolicy})
	imageEnd(t, w, identity.ImageEnd{Operation: "o1", Terminal: identity.ImageDenied, Denial: identity.CapabilityPolicy})
	// Ends that the machine decides may not be reported.
	w.do(t, picture("o2", gpt, false))
	for _, terminal := range []identity.ImageTerminal{"", identity.ImageDenied, identity.ScopedRestoreFailed, "fine"} {
		err := w.route(model.RoutingEvent{Kind: model.CompleteImage, Operation: "o2", Terminal: terminal})
		if !errors.Is(err, fsm.ErrGuard) {
			t.Errorf("%q: %v", terminal, err)
		}
	}
}

// Scenario: Q8
func TestR87_a_run_that_ends_takes_its_pictures_model_with_it(t *testing.T) {
	t.Parallel()
	w := session(t, opus)
	w.do(t, finite("q1", haiku, 2), aRunBegins, picture("o1", gpt, true), picture("o2", gpt, false),
		model.RoutingEvent{Kind: model.ActivateImage, Operation: "o1"}, aRunEnds)
	imageEnd(t, w, identity.ImageEnd{Operation: "o1", Terminal: identity.ImageCancelled})
	answers(t, w, haiku)
	if w.s.Routing.Images.Len() != 1 {
		t.Error("a picture that overrides nothing is not the run's")
	}
	// One that is made already keeps what came of it: only its model goes.
	w.do(t, picture("o3", gpt, true), model.RoutingEvent{Kind: model.ActivateImage, Operation: "o3"},
		model.RoutingEvent{Kind: model.CompleteImage, Operation: "o3", Terminal: identity.Generated, Payload: "p"}, aRunEnds)
	imageEnd(t, w, identity.ImageEnd{Operation: "o3", Terminal: identity.Generated, Payload: "p"})
	before := w.s
	w.do(t, aRunEnds)
	if w.s != before {
		t.Error("the end of a run without an override changed something")
	}
	refused(t, w.route(model.RoutingEvent{Kind: model.CancelRouting}), "the run is over")
}

func TestR87_a_session_that_ends_leaves_the_baseline_alone(t *testing.T) {
	t.Parallel()
	denied := identity.SwitchEnd{Request: "q1", Target: to(haiku), Terminal: identity.SwitchDenied, Denial: identity.SessionEnded}
	restored := identity.SwitchEnd{Request: "q1", Target: to(haiku), Terminal: identity.ConsumedAndRestored, Unused: 1}
	for name, c := range map[string]struct {
		way   []model.RoutingEvent
		end   identity.SwitchEnd
		apply bool
	}{
		"pending":       {[]model.RoutingEvent{finite("q1", haiku, 3)}, denied, false},
		"in force":      {[]model.RoutingEvent{finite("q1", haiku, 3), aRunBegins, aRunBegins}, restored, false},
		"to be applied": {[]model.RoutingEvent{untilChanged("q1", haiku)}, denied, false},
		"being applied": {[]model.RoutingEvent{untilChanged("q1", haiku)}, denied, true},
	} {
		w := session(t, opus)
		w.do(t, picture("o1", gpt, true), picture("o2", gpt, true))
		w.do(t, c.way...)
		w.do(t, model.RoutingEvent{Kind: model.ActivateImage, Operation: "o1"})
		if c.apply {
			e := begin(w, "t1", haiku)
			e.Request = "q1"
			must(t, w.tell(e))
		}
		w.do(t, sessionEnds)
		switchEnd(t, w, c.end)
		imageEnd(t, w, identity.ImageEnd{Operation: "o1", Terminal: identity.ImageCancelled})
		imageEnd(t, w, identity.ImageEnd{Operation: "o2", Terminal: identity.ImageCancelled})
		if r := w.s.Routing; r.Phase != model.AtBaseline || r.Switch != nil || r.Override != "" || r.Images.Len() > 0 || w.s.Pending != nil || w.s.Phase != model.Resolved {
			t.Errorf("%s: %+v is left", name, w.s)
		}
		answers(t, w, opus)
		before := w.s
		w.do(t, sessionEnds)
		if w.s != before {
			t.Errorf("%s: the second end changed something", name)
		}
	}
}

// Scenario: Q9
func TestR86_an_id_is_used_once(t *testing.T) {
	t.Parallel()
	w := session(t, opus)
	w.do(t, picture("o1", gpt, false), finite("q1", gpt, 1))
	for range 2 {
		refused(t, w.route(picture("o1", haiku, true)), model.GuardUsed)
		refused(t, w.route(finite("q1", haiku, 1)), model.GuardUsed)
		refused(t, w.route(untilChanged("q1", haiku)), model.GuardUsed)
		w.do(t, sessionEnds) // the second time they are over
	}
}

func TestR86_the_last_64_ends_of_each_sort_are_kept(t *testing.T) {
	t.Parallel()
	w := session(t, opus)
	for n := range model.Keep + 10 {
		e, p := finite(fmt.Sprint("q", n), gpt, 1), picture(fmt.Sprint("o", n), gpt, true)
		e.Approval, p.Approval = identity.DeniedByUser, identity.DeniedByUser
		must(t, w.route(e))
		must(t, w.route(p))
	}
	must(t, w.sound())
	r := w.s.Routing
	if r.Switches.Len() != model.Keep || r.Pictures.Len() != model.Keep || r.Approvals.Len() != model.Keep {
		t.Fatalf("%d, %d and %d are kept", r.Switches.Len(), r.Pictures.Len(), r.Approvals.Len())
	}
	_, oldest, _ := r.Switches.First()
	if _, ok := r.SwitchEnd("q9"); ok || oldest.Request != "q10" {
		t.Errorf("the oldest is %v", oldest)
	}
}

func TestR83_the_topology_rises_whenever_another_model_may_answer(t *testing.T) {
	t.Parallel()
	w := session(t, opus)
	last, seen := w.s.Routing.Topology, w.s
	for n, e := range []model.RoutingEvent{{Kind: model.SetBaseline, Target: to(haiku)}, {Kind: model.SetBaseline, Target: to(haiku)}, finite("q1", gpt, 2), aRunBegins,
		aRunBegins, picture("o1", opus, true), {Kind: model.ActivateImage, Operation: "o1"}, aRunEnds, aRunBegins} {
		w.do(t, e)
		was, _ := seen.Effective()
		is, _ := w.s.Effective()
		if rose := w.s.Routing.Topology == last+1; rose != (was != is) || !rose && w.s.Routing.Topology != last {
			t.Errorf("event %d: from %v to %v the topology went from %d to %d", n, was, is, last, w.s.Routing.Topology)
		}
		last, seen = w.s.Routing.Topology, w.s
	}
	refused(t, w.route(model.RoutingEvent{Kind: model.SetBaseline}), "target is named")
}
