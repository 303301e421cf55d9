package scope

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
)

func contains(s, part string) bool { return strings.Contains(s, part) }

func catalogue(t *testing.T, pending []string, exact bool, entries ...Entry) *Catalogue {
	t.Helper()
	c, err := NewCatalogue(entries, NamesOf(pending...), exact)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestR66_an_overlay_tells_nothing_allowed_from_no_restriction(t *testing.T) {
	t.Parallel()
	for written, want := range map[string]Overlay{
		`{}`: {},
		`{"allowed_tools":null,"blocked_tools":null}`:       {},
		`{"allowed_tools":[]}`:                              {Restricts: true},
		`{"allowed_tools":["b","a"]}`:                       {Restricts: true, Allowed: NamesOf("a", "b")},
		`{"blocked_tools":["x"]}`:                           {Blocked: NamesOf("x")},
		`{"dispatch_context":"c","allowed_tools":["a"]}`:    {Restricts: true, Allowed: NamesOf("a")},
		`{"allowed_tools":["a"],"blocked_tools":["a","b"]}`: {Restricts: true, Allowed: NamesOf("a"), Blocked: NamesOf("a", "b")},
	} {
		var got Overlay
		if err := json.Unmarshal([]byte(written), &got); err != nil || !got.Equal(want) || got.Dispatch != "" {
			t.Errorf("%s is read as %+v: %v", written, got, err)
		}
		if back := again(t, got); !back.Equal(got) {
			t.Errorf("%s comes back as %+v", written, back)
		}
	}
	nothing := Overlay{Restricts: true}
	if nothing.IsZero() || !(Overlay{Dispatch: "x"}).IsZero() || nothing.Equal(Overlay{}) {
		t.Error("an empty allow is no restriction, or a dispatch context is one")
	}
	if c := Compose(nothing.Filters()...); c.Permits("a") {
		t.Error("an empty allow permits something")
	}
	if c := Compose(Overlay{}.Filters()...); !c.Permits("a") {
		t.Error("no overlay forbids something")
	}
}

func TestR66_what_an_overlay_holds_for_the_runtime_is_never_written(t *testing.T) {
	t.Parallel()
	o := Overlay{Restricts: true, Allowed: NamesOf("a"), Dispatch: "secret"}
	b, err := json.Marshal(o)
	if err != nil || strings.Contains(string(b), "secret") {
		t.Errorf("written as %s: %v", b, err)
	}
	if p := o.Public(); p.Dispatch != "" || !p.Equal(o) || o.Dispatch != "secret" {
		t.Errorf("public: %+v", p)
	}
}

func TestA_catalogue_is_known_by_its_content(t *testing.T) {
	t.Parallel()
	w := WitnessOf(Provenance{MCP, "s"})
	a, b := Entry{Name: "a", Witness: w}, Entry{Name: "b", Description: "more"}
	list := []Entry{b, a}
	c := catalogue(t, nil, true, list...)
	if list[0].Name != "b" || c.Len() != 2 || slices.Collect(c.All())[0].Name != "a" {
		t.Error("not sorted, or the caller's list is")
	}
	for range c.All() {
		break // a reader may stop early
	}
	if same := catalogue(t, nil, true, a, b); same.ID() != c.ID() || same.Base() != c.Base() {
		t.Error("the same content has another address")
	}
	other := WitnessOf(Provenance{MCP, "t"})
	for name, d := range map[string]struct {
		c    *Catalogue
		base bool
	}{
		"a description": {catalogue(t, nil, true, a, Entry{Name: "b", Description: "less"}), true},
		"offline":       {catalogue(t, nil, true, a, Entry{Name: "b", Description: "more", Offline: true}), true},
		"pending":       {catalogue(t, []string{"s"}, true, a, b), true},
		"not exact":     {catalogue(t, nil, false, a, b), true},
		"another owner": {catalogue(t, nil, true, Entry{Name: "a", Witness: other}, b), false},
		"fewer":         {catalogue(t, nil, true, a), false},
	} {
		if d.c.ID() == c.ID() || (d.c.Base() == c.Base()) != d.base {
			t.Errorf("%s: same id %t, same base %t", name, d.c.ID() == c.ID(), d.c.Base() == c.Base())
		}
	}
	if e, ok := c.Get("b"); !ok || e.Description != "more" {
		t.Errorf("b is %+v", e)
	}
	if _, ok := c.Get("c"); ok {
		t.Error("there is a c")
	}
	control := catalogue(t, nil, true, a, Entry{Name: "find", Control: true})
	if got := control.Witnesses(NamesOf("a", "find", "zzz")); got.Len() != 1 {
		t.Errorf("witnesses %v", got.Names())
	}
}

func TestA_catalogue_that_is_not_there_has_no_tools(t *testing.T) {
	t.Parallel()
	var c *Catalogue
	if _, ok := c.Get("a"); ok || c.Len() != 0 || c.ID() != "" || c.Base() != "" || c.Exact() || c.Pending().Len() != 0 || len(slices.Collect(c.All())) != 0 {
		t.Error("it has something")
	}
}

func TestA_part_of_a_catalogue_keeps_what_is_said_of_it_and_all_of_it_is_itself(t *testing.T) {
	t.Parallel()
	c := catalogue(t, []string{"late"}, false, Entry{Name: "a"}, Entry{Name: "b"})
	part := c.Where(func(e Entry) bool { return e.Name == "a" })
	if _, b := part.Get("b"); b || part.Len() != 1 || part.Exact() || !part.Pending().Has("late") || part.ID() == c.ID() {
		t.Errorf("%v", part)
	}
	if all := c.Where(func(Entry) bool { return true }); all != c {
		t.Error("all of it is another one")
	}
	if none := (*Catalogue)(nil).Where(func(Entry) bool { return false }); none != nil {
		t.Error("of no catalogue there is a part")
	}
}

func TestTwo_tools_of_one_name_are_no_catalogue(t *testing.T) {
	t.Parallel()
	_, err := NewCatalogue([]Entry{{Name: "b"}, {Name: "a"}, {Name: "b"}, {Name: ""}}, Names{}, true)
	var no *AmbiguousTools
	if !errors.As(err, &no) || !no.Names.Equal(NamesOf("", "b")) {
		t.Errorf("made, or refused as %v", err)
	}
}

func TestVolume_counts_characters(t *testing.T) {
	t.Parallel()
	if n := VolumeOf("né", "dü", "{}"); n != 6 {
		t.Errorf("%d characters", n)
	}
}

func TestR67_a_set_answers_calls_of_what_it_offers_and_of_nothing_else(t *testing.T) {
	t.Parallel()
	one, two := WitnessOf(Provenance{MCP, "one"}), WitnessOf(Provenance{MCP, "two"})
	tools, err := Collect(Claim{"a", one}, Claim{"control", Witness{}})
	if err != nil {
		t.Fatal(err)
	}
	v := &VisibleSet{Tools: tools}
	for _, c := range []struct {
		set   *VisibleSet
		name  string
		known bool
		want  Access
	}{
		{v, "a", true, Granted}, {v, "control", true, Granted}, {v, "b", true, Denied}, {v, "b", false, NotFound},
		{nil, "a", true, Denied}, {nil, "a", false, NotFound}, {&VisibleSet{}, "control", true, Denied},
	} {
		if got := c.set.Access(c.name, c.known); got != c.want {
			t.Errorf("%s, known %t: %s, want %s", c.name, c.known, got, c.want)
		}
	}
	if !v.Offers("a", one) || v.Offers("a", two) || v.Offers("b", one) || !v.Offers("control", Witness{}) || (*VisibleSet)(nil).Offers("a", one) {
		t.Error("a tool is offered for another of its name")
	}
	same := again(t, *v)
	if !v.Equal(&same) || v.ID() != same.ID() || v.Len() != 2 || v.Equal(nil) || !(*VisibleSet)(nil).Equal(nil) || (*VisibleSet)(nil).ID() != "" {
		t.Error("a set that was written and read is another")
	}
	for _, other := range []VisibleSet{{Tools: tools, Base: "b"}, {Tools: tools, Pending: NamesOf("s")}, {Tools: tools, Deferred: NamesOf("d")},
		{Tools: tools, Dormant: NamesOf("d")}, {Tools: tools, Foreign: NamesOf("d")}, {}} {
		if v.Equal(&other) {
			t.Errorf("%+v is the same", other)
		}
	}
}

func TestNames_of_the_enumerations_are_public(t *testing.T) {
	t.Parallel()
	for got, want := range map[string]string{Denied.String(): "access_denied", NotFound.String(): "tool_not_found", Inline.String(): "inline", Deferred.String(): "deferred", ModeDeny.String(): "Deny"} {
		if got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
}
