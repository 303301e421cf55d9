package toolset

import (
	"fmt"
	"slices"
	"testing"

	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/transcript"
)

// Scenario: V25
func TestR64_tools_are_deferred_where_it_pays_and_they_can_be_asked_for(t *testing.T) {
	t.Parallel()
	small, tiny := hidden("x", "s1"), hidden("y", "s1")
	small.Volume, tiny.Volume = DeferVolume-1, 1
	for name, c := range map[string]struct {
		of   *scope.Catalogue
		want scope.Exposure
	}{
		"one of 159 characters":      {catalogueOf(small, finder), scope.Inline},
		"one of 160 characters":      {catalogueOf(hidden("x", "s1"), finder), scope.Deferred},
		"two small ones":             {catalogueOf(small, tiny, finder), scope.Deferred},
		"none":                       {catalogueOf(plain("a", "s1"), finder), scope.Inline},
		"a source is pending":        {pendingCatalogue(true, []string{"s3"}, tiny, finder), scope.Deferred},
		"pending, and none yet":      {pendingCatalogue(true, []string{"s3"}, finder), scope.Deferred},
		"a source cannot list":       {pendingCatalogue(false, []string{"s3"}, small, tiny, finder), scope.Inline},
		"nothing to ask with":        {catalogueOf(small, hidden("z", "s1")), scope.Inline},
		"control tools do not count": {catalogueOf(small, scope.Entry{Name: "find", Control: true, Deferrable: true, Volume: 500}), scope.Inline},
		"no catalogue":               {nil, scope.Inline},
	} {
		if got := Exposure(c.of); got != c.want {
			t.Errorf("%s: %s", name, got)
		}
	}
	sees(t, Boundary(State{}, catalogueOf(small, finder)), "find", "x")
	sees(t, Boundary(State{}, catalogueOf(small, tiny, finder)), "find")
}

// market has a tool of each sort.
func market() (*scope.Catalogue, State) {
	off := hidden("off", "s1")
	off.Offline = true
	c := catalogueOf(finder, plain("inline", "s1"), hidden("loaded", "s1"), hidden("staged", "s1"), hidden("blocked", "s1"), hidden("free", "s1"), off)
	s, _ := Step(State{}, requesting(c, "loaded"))
	s = Boundary(s, c)
	s, _ = Step(s, filtering(c, scope.Deny("blocked")))
	s, _ = Step(s, requesting(c, "staged"))
	return c, s
}

func TestR64_a_search_says_where_each_tool_stands(t *testing.T) {
	t.Parallel()
	c, s := market()
	got := Search(s, c, "", 0)
	want := []scope.Hit{{Name: "blocked", Status: scope.StatusBlocked}, {Name: "free", Status: scope.StatusDeferred}, {Name: "loaded", Status: scope.StatusLoaded},
		{Name: "off", Status: scope.StatusUnavailable}, {Name: "staged", Status: scope.StatusDeferred}}
	for i := range want {
		want[i].Description = "does " + want[i].Name
	}
	if !slices.Equal(got.Hits, want) || got.Total != 5 || !got.Exact || got.Status != "" {
		t.Errorf("found %+v", got)
	}
	for query, want := range map[string]int{"FREE": 1, "does": 5, "free does": 1, "inline": 0, "find": 0} {
		if got := Search(s, c, query, 0); got.Total != want {
			t.Errorf("%q is in %d", query, got.Total)
		}
	}
	if got := Search(s, c, "", 2); len(got.Hits) != 2 || got.Total != 5 {
		t.Errorf("two of them: %+v", got)
	}
	if got := Search(s, c, "", -3); len(got.Hits) != 1 {
		t.Errorf("less than one of them: %+v", got)
	}
	var many []scope.Entry
	for i := range 60 {
		many = append(many, hidden(fmt.Sprintf("t%02d", i), "s1"))
	}
	big := catalogueOf(many...)
	for limit, want := range map[int]int{0: SearchDefault, 50: 50, 1000: SearchMost} {
		if got := Search(s, big, "", limit); len(got.Hits) != want || got.Total != 60 {
			t.Errorf("limit %d: %d of %d", limit, len(got.Hits), got.Total)
		}
	}
	pending := pendingCatalogue(true, []string{"s3"}, hidden("x", "s1"), finder)
	if got := Search(s, pending, "nothing", 0); got.Status != scope.StatusPendingSource || !got.Pending.Equal(set("s3")) {
		t.Errorf("pending: %+v", got)
	}
	if got := Search(s, pending, "x", 0); got.Status != "" || got.Total != 1 {
		t.Errorf("pending, and found: %+v", got)
	}
	if got := Search(s, pendingCatalogue(false, nil, hidden("x", "s1"), finder), "", 0); got.Exact || len(got.Hits)+got.Total != 0 {
		t.Errorf("not exact: %+v", got)
	}
}

// Scenario: V26
func TestR64_a_wish_to_load_is_answered_name_by_name(t *testing.T) {
	t.Parallel()
	c, s := market()
	got, wish := Load(s, c, []string{"nobody", "inline", "find", "blocked", "off", "loaded", "staged", "free", "free"})
	want := []scope.Loaded{{Name: "nobody", Reply: scope.RejectUnknown}, {Name: "inline", Reply: scope.RejectInline}, {Name: "find", Reply: scope.RejectInline},
		{Name: "blocked", Reply: scope.RejectFiltered}, {Name: "off", Reply: scope.RejectNotCurrent}, {Name: "loaded", Reply: scope.AlreadyLoaded},
		{Name: "staged", Reply: scope.AlreadyLoaded}, {Name: "free", Reply: scope.Accepted}, {Name: "free", Reply: scope.AlreadyLoaded}}
	if !slices.Equal(got, want) || !wish.Equal(claims("free", source("s1"))) {
		t.Errorf("answered %+v, to be requested %v", got, wish)
	}
	s = Boundary(must(t, s, Event{Kind: RequestDeferred, Catalogue: c, Witnesses: wish}), c)
	sees(t, s, "find", "free", "inline", "loaded", "staged")
	if got, wish := Load(s, c, []string{"free"}); got[0].Reply != scope.AlreadyLoaded || wish.Len() != 0 {
		t.Errorf("again: %+v", got)
	}
	if got, _ := Load(s, pendingCatalogue(false, nil, hidden("free", "s1")), []string{"free"}); got[0].Reply != scope.RejectUnknown {
		t.Errorf("not exact: %+v", got)
	}
	nobodys := catalogueOf(scope.Entry{Name: "x", Deferrable: true, Volume: 200, Witness: owner("s1")}, finder)
	if got, wish := Load(State{}, nobodys, []string{"x"}); got[0].Reply != scope.RejectNotCurrent || wish.Len() != 0 {
		t.Errorf("without a provenance: %+v", got)
	}
	if got := Search(State{}, nobodys, "", 0); got.Hits[0].Status != scope.StatusUnavailable {
		t.Errorf("without a provenance: %+v", got)
	}
}

func TestR63_a_name_that_was_granted_to_one_cannot_be_loaded_for_another(t *testing.T) {
	t.Parallel()
	s := Boundary(must(t, State{}, requesting(axy, "x")), axy2)
	got, wish := Load(s, axy2, []string{"x"})
	if got[0].Reply != scope.RejectNotCurrent || wish.Len() != 0 {
		t.Errorf("answered %+v", got)
	}
	// A reset is the way out.
	s = Boundary(must(t, s, Event{Kind: ResetDeferred}), axy2)
	if got, _ := Load(s, axy2, []string{"x"}); got[0].Reply != scope.Accepted {
		t.Errorf("after a reset: %+v", got)
	}
}

// What is staged and superseded is not due, so a wish for it is not answered as if it were.
func TestR62_a_superseded_grant_is_asked_for_again(t *testing.T) {
	t.Parallel()
	s := Boundary(must(t, State{}, publication(at(5, scope.All(), "x"), at(4, scope.All(), "x", "y"))), axy)
	got, wish := Load(s, axy, []string{"y"})
	if got[0].Reply != scope.Accepted {
		t.Errorf("answered %+v", got)
	}
	s = Boundary(must(t, s, Event{Kind: RequestDeferred, Catalogue: axy, Witnesses: wish}), axy)
	sees(t, s, "a", "find", "x", "y")
}

// An accepted wish is accepted by the table, whatever was before.
func TestR64_what_a_load_accepts_can_be_requested(t *testing.T) {
	t.Parallel()
	for _, c := range []*scope.Catalogue{axy, axy2, catalogues[0], catalogues[1]} {
		for _, s := range []State{{}, Boundary(must(t, State{}, requesting(axy, "x", "y")), axy2), must(t, State{}, filtering(axy, scope.Deny("x")))} {
			if _, wish := Load(s, c, []string{"a", "x", "y", "find"}); wish.Len() > 0 {
				after := Boundary(must(t, s, Event{Kind: RequestDeferred, Catalogue: c, Witnesses: wish}), c)
				for name := range wish.All() {
					if !after.Round.Visible.Allows(name) {
						t.Errorf("%s was accepted and is not offered", name)
					}
				}
			}
		}
	}
}

func TestR67_a_refused_call_has_the_code_of_a_refused_call(t *testing.T) {
	t.Parallel()
	s := Boundary(must(t, State{}, filtering(abc, scope.Deny("b"))), abc)
	for name, want := range map[string]string{"a": scope.Granted.String(), "b": transcript.ResultDenied, "nobody": transcript.ResultNotFound} {
		_, known := abc.Get(name)
		if got := s.Round.Visible.Access(name, known).String(); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	// What is staged, and what is withdrawn, during a round changes nothing about its calls.
	s = must(t, s, filtering(abc, scope.Allow("b")))
	if !s.Round.Visible.Allows("a") || s.Round.Visible.Allows("b") {
		t.Error("a stage changed what the round's calls are held against")
	}
}

func TestR61_a_first_boundary_tells_what_can_be_asked_for_and_no_change(t *testing.T) {
	t.Parallel()
	first := Boundary(State{}, axy)
	told := Told(State{}, first)
	if told.Applied != nil || told.Deferred == nil || !told.Deferred.Added.Equal(set("x", "y")) || told.Deferred.Removed.Len() != 0 {
		t.Errorf("told %+v", told)
	}
	loaded := Boundary(must(t, first, requesting(axy, "x")), axy)
	told = Told(first, loaded)
	if told.Applied == nil || !told.Applied.Shown.Equal(set("x")) || told.Applied.BaseChanged || told.Deferred == nil || !told.Deferred.Removed.Equal(set("x")) {
		t.Errorf("told %+v", told)
	}
	more := pendingCatalogue(true, []string{"s3"}, plain("a", "s1"), hidden("x", "s1"), hidden("y", "s1"), plain("new", "s1"), finder)
	told = Told(loaded, Boundary(loaded, more))
	if told.Applied == nil || !told.Applied.BaseChanged || !told.Applied.Shown.Equal(set("new")) || told.Deferred == nil || !told.Deferred.Pending.Equal(set("s3")) {
		t.Errorf("told %+v", told)
	}
	if told := Told(loaded, must(t, loaded, filtering(axy, scope.Deny("x")))); told != (Outcome{}) {
		t.Errorf("without a boundary is told %+v", told)
	}
	// What a run restricts for itself is no change of what can be asked for.
	run := Boundary(must(t, loaded, Event{Kind: SetOverlay, Catalogue: axy, Run: "r1", Overlay: scope.Overlay{Restricts: true, Allowed: set("a")}}), axy)
	if told := Told(loaded, run); told.Deferred != nil || told.Applied == nil || !told.Applied.Hidden.Equal(set("x")) {
		t.Errorf("told %+v", told)
	}
}
