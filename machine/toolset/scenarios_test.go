package toolset

import (
	"errors"
	"testing"

	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/scope"
)

// must tells what must be accepted.
func must(t *testing.T, s State, e Event) State {
	t.Helper()
	next, err := Step(s, e)
	if err != nil {
		t.Fatalf("%s: %v", kinds[e.Kind], err)
	}
	if err := Check(next); err != nil {
		t.Fatal(err)
	}
	return next
}

// refused tells what must be refused by a guard, or for a reason of type E about these names.
func refused(t *testing.T, s State, e Event, guard string) error {
	t.Helper()
	next, err := Step(s, e)
	var no *fsm.Refusal
	if !errors.As(err, &no) || no.Guard != guard || next != s {
		t.Errorf("%s: refused as %v, want %q", kinds[e.Kind], err, guard)
	}
	return err
}

// refusedFor is refused with an error about names.
func refusedFor[E error](t *testing.T, s State, e Event, of func(E) scope.Names, names ...string) {
	t.Helper()
	next, err := Step(s, e)
	var no *fsm.Refusal
	var about E
	if !errors.As(err, &no) || !errors.As(err, &about) || !of(about).Equal(set(names...)) || next != s {
		t.Errorf("%s: refused as %v, want %T about %v", kinds[e.Kind], err, about, names)
	}
}

func ofUnknown(e *scope.UnknownTools) scope.Names                 { return e.Names }
func ofMissing(e *scope.MissingWitnesses) scope.Names             { return e.Names }
func ofInvalid(e *scope.InvalidWitnesses) scope.Names             { return e.Names }
func ofMissingFilter(e *scope.MissingFilterWitnesses) scope.Names { return e.Names }
func ofInvalidFilter(e *scope.InvalidFilterWitnesses) scope.Names { return e.Names }

func sees(t *testing.T, s State, names ...string) {
	t.Helper()
	if got := shown(s.Round.Visible); got != listed(set(names...)) {
		t.Errorf("offered are %s, want %v", got, names)
	}
}

var (
	abc  = catalogueOf(plain("a", "s1"), plain("b", "s1"), plain("c", "s1"), finder)
	axy  = catalogueOf(plain("a", "s1"), hidden("x", "s1"), hidden("y", "s1"), finder)
	axy2 = catalogueOf(plain("a", "s1"), hidden("x", "s2"), hidden("y", "s1"), finder)
)

// filtering is a wish for a filter of tools that are there.
func filtering(c *scope.Catalogue, f scope.Filter) Event {
	return Event{Kind: StageFilter, Catalogue: c, Filter: f, Witnesses: c.Witnesses(f.Names())}
}

func requesting(c *scope.Catalogue, names ...string) Event {
	return Event{Kind: RequestDeferred, Catalogue: c, Witnesses: c.Witnesses(set(names...))}
}

// Scenario: V1, V2
func TestR60_every_layer_must_let_a_tool_through_and_control_tools_pass_them_all(t *testing.T) {
	t.Parallel()
	s := must(t, State{}, Event{Kind: HydrateInherited, Catalogue: abc, Filter: scope.Allow("a", "b")})
	sees(t, Boundary(must(t, s, filtering(abc, scope.Deny("b"))), abc), "a", "find")
	s = must(t, s, filtering(abc, scope.Allow("b", "c")))
	sees(t, Boundary(s, abc), "b", "find")
	s = must(t, s, Event{Kind: SetOverlay, Catalogue: abc, Run: "r1", Overlay: scope.Overlay{Blocked: set("b")}})
	sees(t, Boundary(s, abc), "find")
}

// Scenario: V3
func TestR61_what_is_staged_while_tools_run_is_seen_by_the_next_call_of_the_same_run(t *testing.T) {
	t.Parallel()
	s := Boundary(State{}, abc)
	staged := must(t, s, filtering(abc, scope.Allow("a")))
	if staged.Round != s.Round || staged.Staged.Revision != 1 || !staged.Pending() {
		t.Errorf("staging changed the round, or minted %d", staged.Staged.Revision)
	}
	sees(t, staged, "a", "b", "c", "find")
	after := Boundary(staged, abc)
	sees(t, after, "a", "find")
	told := Told(staged, after)
	if told.Applied == nil || told.Applied.Revision != staged.Staged.Revision || !told.Applied.VisibleChanged || told.Applied.BaseChanged ||
		!told.Applied.Hidden.Equal(set("b", "c")) {
		t.Errorf("told %+v", told.Applied)
	}
}

// Scenario: V4
func TestR62_of_two_stages_before_a_boundary_the_second_takes_effect(t *testing.T) {
	t.Parallel()
	s := Boundary(State{}, abc)
	twice := must(t, must(t, s, filtering(abc, scope.Allow("a"))), filtering(abc, scope.Allow("b")))
	if twice.Staged.Revision != s.Staged.Revision+2 {
		t.Errorf("minted %d", twice.Staged.Revision)
	}
	after := Boundary(twice, abc)
	sees(t, after, "b", "find")
	if Told(twice, after).Applied == nil || Told(after, Boundary(after, abc)).Applied != nil {
		t.Error("not told once")
	}
}

// Scenario: V5, V7
func TestR69_a_filter_mentions_tools_that_are_known_and_no_control_tool(t *testing.T) {
	t.Parallel()
	said := claims("a", source("s1"), "zzz", source("s1"), "yyy", source("s1"))
	staging := func(f scope.Filter) Event {
		return Event{Kind: StageFilter, Catalogue: abc, Filter: f, Witnesses: said}
	}
	refusedFor(t, State{}, staging(scope.Deny("zzz", "a", "yyy")), ofUnknown, "yyy", "zzz")
	refusedFor(t, State{}, staging(scope.Allow("find", "a")), ofUnknown, "find")
	refusedFor(t, State{}, Event{Kind: HydrateInherited, Catalogue: abc, Filter: scope.Deny("find")}, ofUnknown, "find")

	gone := catalogueOf(plain("zzz", "s1"))
	s := Boundary(must(t, State{}, filtering(gone, scope.Deny("zzz"))), abc)
	s = must(t, s, staging(scope.Deny("zzz", "a")))
	if s.Staged.Revision != 2 {
		t.Errorf("a name that waits for its tool was not accepted: %d", s.Staged.Revision)
	}
}

// Scenario: V6
func TestR63_a_filter_says_of_each_name_whose_tool_is_meant(t *testing.T) {
	t.Parallel()
	e := Event{Kind: StageFilter, Catalogue: abc, Filter: scope.Allow("c", "b", "a"), Witnesses: claims("b", source("s1"), "a", scope.Witness{})}
	refusedFor(t, State{}, e, ofMissingFilter, "a", "c")
	e.Witnesses = claims("a", source("s1"), "b", source("s2"), "c", owner("s1"))
	refusedFor(t, State{}, e, ofInvalidFilter, "b", "c")
	// A name without a tool is held against what was said of it before.
	s := must(t, State{}, filtering(abc, scope.Deny("a")))
	refusedFor(t, s, Event{Kind: StageFilter, Catalogue: catalogueOf(finder), Filter: scope.Deny("a"), Witnesses: claims("a", source("s2"))}, ofInvalidFilter, "a")
}

// Scenario: V8
func TestR64_a_requested_tool_is_staged_and_seen_from_the_next_boundary(t *testing.T) {
	t.Parallel()
	s := Boundary(State{}, axy)
	sees(t, s, "a", "find")
	s = must(t, s, requesting(axy, "x"))
	sees(t, s, "a", "find")
	if s.Active.Granted.Len() != 0 || s.Staged.Granted.Len() != 1 {
		t.Error("it is not staged only")
	}
	after := Boundary(s, axy)
	sees(t, after, "a", "find", "x")
	if after.Active.Revision != after.Staged.Revision || !after.Active.same(after.Staged) {
		t.Errorf("in force is %+v, staged %+v", after.Active, after.Staged)
	}
}

// Scenario: V9
func TestR64_a_request_names_the_tool_that_is_there_by_its_provenance(t *testing.T) {
	t.Parallel()
	e := requesting(axy, "x")
	e.Witnesses = claims("x", owner("s1"))
	refusedFor(t, State{}, e, ofMissing, "x")
	e.Witnesses = claims("x", source("s2"), "nobody", source("s1"), "a", source("s1"), "y", source("s1"))
	refusedFor(t, State{}, e, ofInvalid, "a", "nobody", "x")
	e.Witnesses = scope.Witnesses{}
	refused(t, State{}, e, "something is requested")
}

// Scenario: V10
func TestR64_requests_add_up_and_leave_what_was_granted_as_it_was(t *testing.T) {
	t.Parallel()
	s := must(t, must(t, State{}, requesting(axy, "x")), requesting(axy, "y"))
	if !s.Staged.Granted.Equal(claims("x", source("s1"), "y", source("s1"))) {
		t.Errorf("granted are %v", s.Staged.Granted)
	}
	s = must(t, s, Event{Kind: ResetDeferred})
	if s.Staged.Granted.Len() != 0 || s.Staged.Revision != 3 {
		t.Errorf("after a reset %v at %d", s.Staged.Granted, s.Staged.Revision)
	}
	sees(t, Boundary(s, axy), "a", "find")
}

func at(revision uint64, f scope.Filter, names ...string) Published {
	return Published{f, set(names...), axy.Witnesses(set(names...)), revision}
}

func publication(active, staged Published) Event {
	return Event{Kind: Publish, Catalogue: axy, Active: active, Staged: staged}
}

// Scenario: V11, V12, V13, V14, V15
func TestR62_what_is_published_is_whole_and_goes_forward(t *testing.T) {
	t.Parallel()
	all := scope.All()
	refused(t, State{}, publication(at(3, all), at(4, all)), WhyActiveBehind)
	refused(t, State{}, publication(at(4, all), at(4, scope.Deny("a"))), WhyContentDiffers)
	refused(t, State{}, publication(at(5, all, "x", "y"), at(4, all, "x")), WhyNotStaged)
	unscoped, uncovered, unproven := at(4, all), at(4, all, "x"), at(4, all, "x")
	unscoped.Authorities = axy.Witnesses(set("x"))
	uncovered.Authorities = scope.Witnesses{}
	unproven.Authorities = claims("x", owner("s1"))
	refused(t, State{}, publication(unscoped, unscoped), WhyNotScoped)
	refused(t, State{}, publication(uncovered, uncovered), WhyNotCovered)
	refusedFor(t, State{}, publication(uncovered, uncovered), ofMissing, "x")
	refusedFor(t, State{}, publication(unproven, unproven), ofMissing, "x")
	refused(t, State{}, publication(at(MaxRevision+1, all), at(0, all)), WhyGoesBack)

	s := must(t, State{}, publication(at(4, all, "x"), at(4, all, "x")))
	if s.Active.Revision != 4 || s.Next != 4 || s.Pending() {
		t.Errorf("published: %+v", s)
	}
	if again := must(t, s, publication(at(4, all, "x"), at(4, all, "x"))); again != s {
		t.Error("publishing what is there changes something")
	}
	refused(t, s, publication(at(3, all, "x"), at(3, all, "x")), WhyGoesBack)
	refused(t, s, publication(at(4, all, "y"), at(4, all, "y")), WhyRevisionReused)
	refused(t, must(t, s, requesting(axy, "y")), publication(at(4, all, "x"), at(4, all, "x")), WhyGoesBack) // it would un-mint 5

	ahead := must(t, State{}, publication(at(5, all, "x"), at(4, all, "x", "y")))
	if ahead.Next < 5 || ahead.Pending() {
		t.Errorf("published ahead: %+v", ahead)
	}
}

func TestR62_what_was_superseded_is_not_taken_up_again(t *testing.T) {
	t.Parallel()
	s := must(t, State{}, publication(at(5, scope.Deny("a"), "x"), at(4, scope.All(), "x", "y")))
	after := Boundary(s, axy)
	sees(t, after, "find", "x")
	// Neither a change of model,
	images := catalogueOf(plain("a", "s1"), plain(ImageTool, "s1"), hidden("x", "s1"), hidden("y", "s1"), finder)
	rebased := must(t, after, Event{Kind: RebaseCapability, Catalogue: images, Resolved: true})
	if rebased.Active.Revision != 6 || rebased.Staged.Revision != 4 || rebased.Pending() {
		t.Errorf("a change of model: %+v", rebased)
	}
	// nor the next stage, which begins from what is in force, with the grants that were staged.
	s = must(t, after, requesting(axy, "y"))
	if !s.Staged.Filter.Equal(scope.Deny("a")) || s.Staged.Granted.Len() != 2 || s.Staged.Revision != 6 {
		t.Errorf("the next stage is %+v", s.Staged)
	}
	sees(t, Boundary(s, axy), "find", "x", "y")
}

func TestR66_an_overlay_is_of_its_run_and_leaves_what_is_durable_alone(t *testing.T) {
	t.Parallel()
	s := Boundary(State{}, abc)
	in := must(t, s, Event{Kind: SetOverlay, Catalogue: abc, Run: "r1", Overlay: scope.Overlay{Restricts: true, Allowed: set("a"), Dispatch: "secret"}})
	if in.Durable != s.Durable || in.Next != s.Next || in.Overlay.Dispatch != "" || in.Run != "r1" {
		t.Errorf("set: %+v", in)
	}
	sees(t, Boundary(in, abc), "a", "find")
	out := must(t, Boundary(in, abc), Event{Kind: ClearOverlay})
	sees(t, Boundary(out, abc), "a", "b", "c", "find")
	if out.Durable != s.Durable || out.Run != "" || !out.Overlay.IsZero() {
		t.Errorf("cleared: %+v", out)
	}
	if must(t, out, Event{Kind: ClearOverlay}) != out {
		t.Error("clearing twice changes something")
	}
	refused(t, s, Event{Kind: SetOverlay, Catalogue: abc, Overlay: scope.Overlay{Restricts: true}}, "run is named")
	refused(t, s, Event{Kind: SetOverlay, Catalogue: abc, Run: "r1", Overlay: scope.Overlay{Allowed: set("a")}}, "nothing is allowed without restricting")
}

// Scenario: V18
func TestR66_an_overlay_may_block_what_is_not_there_and_not_allow_it(t *testing.T) {
	t.Parallel()
	s := Boundary(State{}, abc)
	blocked := must(t, s, Event{Kind: SetOverlay, Catalogue: abc, Run: "r1", Overlay: scope.Overlay{Blocked: set("gone")}})
	sees(t, Boundary(blocked, abc), "a", "b", "c", "find")
	// It is blocked also if it comes.
	sees(t, Boundary(blocked, catalogueOf(plain("gone", "s1"), plain("a", "s1"))), "a")
	refusedFor(t, s, Event{Kind: SetOverlay, Catalogue: abc, Run: "r1", Overlay: scope.Overlay{Restricts: true, Allowed: set("a", "find", "gone")}}, ofUnknown, "find", "gone")
}

// Scenario: V19
func TestR66_an_overlay_that_lost_all_it_allows_allows_nothing(t *testing.T) {
	t.Parallel()
	s := must(t, State{}, Event{Kind: SetOverlay, Catalogue: abc, Run: "r1", Overlay: scope.Overlay{Restricts: true, Allowed: set("c")}})
	sees(t, Boundary(s, abc), "c", "find")
	without := catalogueOf(plain("a", "s1"), plain("b", "s1"), finder)
	s = Boundary(Boundary(s, abc), without)
	sees(t, s, "find")
	sees(t, Boundary(s, catalogueOf(plain("a", "s1"), plain("c", "s2"), finder)), "find") // nor what takes the name
}

// Scenario: V20
func TestR65_a_boundary_that_fails_offers_nothing_until_one_succeeds(t *testing.T) {
	t.Parallel()
	s := Boundary(State{}, abc)
	failed := Boundary(s, catalogueOf(scope.Entry{Name: "a"}, finder))
	sees(t, failed)
	if failed.Phase != FailedClosed || Visible(failed, abc).Len() != 0 || failed.Round.Visible.Allows("find") {
		t.Errorf("failed: %+v", failed)
	}
	if told := Told(s, failed); told.Failed == nil || *told.Failed != failed.Cause || told.Applied != nil {
		t.Errorf("told %+v", told)
	}
	if told := Told(failed, must(t, failed, Event{Kind: FailClosed, Cause: failed.Cause})); told != (Outcome{}) {
		t.Errorf("told again: %+v", told)
	}
	if missing := Boundary(s, nil); missing.Phase != FailedClosed {
		t.Error("no catalogue is no failure")
	}
	staged := must(t, failed, filtering(abc, scope.Deny("b"))) // what is to be can still be said
	after := Boundary(staged, abc)
	sees(t, after, "a", "c", "find")
	if told := Told(staged, after); told.Applied == nil || told.Applied.BaseChanged || !told.Applied.VisibleChanged || told.Failed != nil {
		t.Errorf("told %+v", told)
	}
}

// Scenario: V21
func TestR63_a_grant_is_not_inherited_by_another_tool_of_the_name_and_a_denial_is(t *testing.T) {
	t.Parallel()
	s := Boundary(must(t, must(t, State{}, requesting(axy, "x")), filtering(axy, scope.Deny("y"))), axy)
	sees(t, s, "a", "find", "x")
	replaced := Boundary(s, axy2)
	sees(t, replaced, "a", "find")
	if told := Told(s, replaced); told.Applied == nil || !told.Applied.Dormant.Equal(set("x")) {
		t.Errorf("told %+v", told.Applied)
	}
	sees(t, Boundary(replaced, axy), "a", "find", "x") // the owner is back

	deny := Boundary(must(t, s, filtering(axy, scope.Deny("x"))), axy2)
	sees(t, deny, "a", "find")
	if !deny.Round.Visible.Foreign.Equal(set("x")) || deny.Round.Visible.Deferred.Has("x") {
		t.Errorf("of the denial is told %+v", deny.Round.Visible)
	}
	refusedFor(t, replaced, requesting(axy2, "x"), ofInvalid, "x")
}

func TestR63_an_allowance_counts_for_the_tool_that_was_meant(t *testing.T) {
	t.Parallel()
	other := catalogueOf(plain("a", "s2"), plain("b", "s1"), finder)
	s := Boundary(must(t, State{}, filtering(abc, scope.Allow("a", "b"))), other)
	sees(t, s, "b", "find")
	if !s.Round.Visible.Foreign.Equal(set("a")) {
		t.Errorf("foreign are %v", listed(s.Round.Visible.Foreign))
	}
	// An inherited name of which nothing is said is whoever's it is.
	s = must(t, State{}, Event{Kind: HydrateInherited, Catalogue: abc, Filter: scope.Allow("a", "b"), Witnesses: claims("b", owner("s1"))})
	sees(t, Boundary(s, other), "a", "b", "find")
	sees(t, Boundary(s, catalogueOf(plain("b", "s2"))))
}

func restoring(c *scope.Catalogue, d Durable) Event {
	return Event{Kind: Restore, Catalogue: c, Restored: &d, Resolved: true, ImageResults: true}
}

func TestR22_R62_a_session_that_is_loaded_goes_on_where_it_was(t *testing.T) {
	t.Parallel()
	s := Boundary(must(t, must(t, State{}, filtering(abc, scope.Allow("a"))), filtering(abc, scope.Deny("b"))), catalogueOf(finder))
	loaded, err := again(s)
	if err != nil {
		t.Fatal(err)
	}
	if !loaded.Active.Filter.Equal(scope.Deny("b")) || must(t, loaded, Event{Kind: ResetDeferred}).Staged.Revision != 3 {
		t.Errorf("loaded: %+v", loaded)
	}
	sees(t, Boundary(loaded, abc), "a", "c", "find")
	// The same, by what is durable alone.
	fresh := must(t, State{}, restoring(abc, s.Durable))
	if !fresh.Durable.equal(s.Durable) || must(t, fresh, Event{Kind: ResetDeferred}).Staged.Revision != 3 {
		t.Errorf("restored: %+v", fresh)
	}
}

// Scenario: V23
func TestR62_restoring_what_is_there_is_nothing_and_a_revision_has_one_content(t *testing.T) {
	t.Parallel()
	d := Boundary(must(t, State{}, filtering(abc, scope.Deny("b"))), abc).Durable
	s := must(t, State{}, restoring(abc, d))
	if must(t, s, restoring(abc, d)) != s {
		t.Error("a second time changes something")
	}
	// That holds also when the tools have changed hands meanwhile.
	if must(t, s, restoring(catalogueOf(plain("b", "s2")), d)) != s {
		t.Error("what is there is held against tools of others")
	}
	other := d
	other.Active.Filter, other.Staged.Filter = scope.Deny("c"), scope.Deny("c")
	refused(t, s, restoring(abc, other), WhyRevisionReused)
	other.Active.Revision, other.Staged.Revision = 0, 0
	refused(t, s, restoring(abc, other), WhyGoesBack)
}

func TestR69_what_is_inherited_is_given_once_and_never_changes(t *testing.T) {
	t.Parallel()
	hydrating := Event{Kind: HydrateInherited, Catalogue: abc, Filter: scope.Allow("a"), Witnesses: claims("a", source("s1"), "b", source("s1"))}
	s := must(t, State{}, hydrating)
	if !s.Inherited.Witnesses.Equal(claims("a", source("s1"))) {
		t.Errorf("inherited %+v", s.Inherited)
	}
	refused(t, s, hydrating, WhyInherited)
	refused(t, s, restoring(abc, Durable{}), WhyInherited)
	refusedFor(t, State{}, Event{Kind: HydrateInherited, Catalogue: abc, Filter: scope.Allow("a"), Witnesses: claims("a", source("s2"))}, ofInvalidFilter, "a")
	refusedFor(t, State{}, Event{Kind: HydrateInherited, Catalogue: abc, Filter: scope.Allow("a"), Witnesses: claims("a", scope.Witness{})}, ofMissingFilter, "a")
	lax := Durable{Inherited: Inherited{Restriction{scope.Allow("a", "b"), claims("a", source("s1"))}, true}}
	refusedFor(t, State{}, restoring(abc, lax), ofMissingFilter, "b")
}

func TestR68_the_picture_tool_goes_with_what_the_model_can_do(t *testing.T) {
	t.Parallel()
	images := catalogueOf(plain("a", "s1"), plain(ImageTool, "s1"))
	blind := Event{Kind: RebaseCapability, Catalogue: images, Resolved: true}
	s := must(t, State{}, filtering(images, scope.All()))
	if unknown := must(t, s, Event{Kind: RebaseCapability, Catalogue: images}); unknown != s {
		t.Error("a model of which nothing is known changes something")
	}
	blinded := must(t, s, blind)
	if blinded.Active.Revision != 2 || blinded.Staged.Revision != 2 || must(t, blinded, blind) != blinded {
		t.Errorf("equal sides: %+v", blinded)
	}
	sees(t, Boundary(blinded, images), "a")
	pending := must(t, must(t, State{}, filtering(images, scope.Deny("a"))), blind)
	if pending.Active.Revision != 2 || pending.Staged.Revision != 3 || pending.Next != 3 || !pending.Pending() {
		t.Errorf("a pending change: %+v", pending)
	}
	// Where the tool is not there, or is hidden otherwise, the model sees the same: no revision.
	if quiet := must(t, State{}, Event{Kind: RebaseCapability, Catalogue: abc, Resolved: true}); quiet.Next != 0 || quiet.Capability.IsZero() {
		t.Errorf("without the tool: %+v", quiet)
	}
	unlike := Durable{Capability: scope.Deny(ImageTool)}
	refused(t, State{}, restoring(images, unlike), WhyCapability)
}
