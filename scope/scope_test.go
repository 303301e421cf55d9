package scope

import (
	"encoding/json"
	"errors"
	"maps"
	"slices"
	"testing"

	"github.com/meerkat-go/meerkat/fault"
	"pgregory.net/rapid"
)

var letters = []string{"a", "b", "c", "d"}

func drawNames(t *rapid.T, label string) []string {
	return rapid.SliceOfN(rapid.SampledFrom(letters), 0, 5).Draw(t, label)
}

func drawFilter(t *rapid.T) Filter {
	names := drawNames(t, "names")
	switch Mode(rapid.IntRange(0, 2).Draw(t, "mode")) {
	case ModeAllow:
		return Allow(names...)
	case ModeDeny:
		return Deny(names...)
	default:
		return All()
	}
}

// again is v, written and read.
func again[V any](t interface{ Fatal(...any) }, v V) V {
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out V
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	if twice, _ := json.Marshal(out); string(twice) != string(b) {
		t.Fatal("R22: written", string(b), "and, once read,", string(twice))
	}
	return out
}

// Scenario: V1, V2
func TestR60_filters_together_let_through_what_each_of_them_does(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		filters := rapid.SliceOfN(rapid.Custom(drawFilter), 0, 4).Draw(t, "filters")
		shuffled := rapid.Permutation(filters).Draw(t, "shuffled")
		for _, name := range letters {
			want := true
			for _, f := range filters {
				switch f.Mode() {
				case ModeAllow:
					want = want && f.Names().Has(name)
				case ModeDeny:
					want = want && !f.Names().Has(name)
				}
			}
			if got := Compose(filters...).Permits(name); got != want {
				t.Fatalf("%v permit %s: %t", filters, name, got)
			}
			if got := Compose(shuffled...).Permits(name); got != want {
				t.Fatalf("in another order %v permit %s: %t", shuffled, name, got)
			}
		}
	})
	if c := Compose(Allow("a", "b"), Deny("b")); !c.Permits("a") || c.Permits("b") || c.Permits("c") {
		t.Error("allow {a,b} and deny {b} do not permit just a")
	}
	if c := Compose(Allow("a", "b"), Allow("b", "c"), Deny("b")); c.Permits("a") || c.Permits("b") || c.Permits("c") {
		t.Error("a denied name is permitted because two filters allow it")
	}
}

func TestR60_filters_that_let_the_same_through_may_be_different_filters(t *testing.T) {
	t.Parallel()
	if !Allow("b", "a", "b").Equal(Allow("a", "b")) {
		t.Error("order or repetition counts")
	}
	if Deny().Equal(All()) || Allow().Equal(Deny()) || Allow().Equal(All()) || Allow("a").Equal(Deny("a")) {
		t.Error("filters of different modes are equal")
	}
	if Compose(Allow()).Permits("a") || !Compose(Deny()).Permits("a") {
		t.Error("an empty allow permits something, or an empty deny does not")
	}
}

func TestR22_a_filter_has_one_written_form_and_nothing_else_is_read_as_one(t *testing.T) {
	t.Parallel()
	for want, f := range map[string]Filter{`"All"`: All(), `{"Allow":["a","b"]}`: Allow("b", "a"), `{"Deny":[]}`: Deny(), `{"Allow":[]}`: Allow()} {
		if f.String() != want || !again(t, f).Equal(f) {
			t.Errorf("%v is written %s, want %s", f, f, want)
		}
	}
	for _, bad := range []string{`"all"`, `null`, `{}`, `{"Allow":null}`, `{"Allow":["a"],"Deny":["b"]}`, `{"allow":["a"]}`, `{"Allow":["a"],"x":[]}`, `["a"]`, `1`, `"`, ``} {
		f := Deny("secret")
		if err := f.UnmarshalJSON([]byte(bad)); err == nil || !f.Equal(Deny("secret")) {
			t.Errorf("%s is read as %v: %v", bad, f, err)
		}
	}
	rapid.Check(t, func(t *rapid.T) {
		if f := rapid.Custom(drawFilter).Draw(t, "filter"); !again(t, f).Equal(f) {
			t.Fatal(f)
		}
	})
}

func TestNames_behave_like_a_set_and_what_changes_nothing_is_the_same_set(t *testing.T) {
	t.Parallel()
	set := func(list []string) map[string]bool {
		m := map[string]bool{}
		for _, n := range list {
			m[n] = true
		}
		return m
	}
	rapid.Check(t, func(t *rapid.T) {
		x, y := drawNames(t, "x"), drawNames(t, "y")
		a, b, as, bs := NamesOf(x...), NamesOf(y...), set(x), set(y)
		if a.Len() != len(as) || a.IsZero() != (len(as) == 0) || !slices.Equal(slices.Collect(a.All()), slices.Sorted(maps.Keys(as))) {
			t.Fatalf("%v has %v", x, slices.Collect(a.All()))
		}
		with, without, within := a.With(b), a.Without(b), a.Within(b)
		for _, n := range letters {
			if a.Has(n) != as[n] || with.Has(n) != (as[n] || bs[n]) || without.Has(n) != (as[n] && !bs[n]) || within.Has(n) != (as[n] && bs[n]) {
				t.Fatalf("%v, %v and %s", x, y, n)
			}
		}
		if a.Equal(b) != maps.Equal(as, bs) || !again(t, a).Equal(a) {
			t.Fatalf("%v and %v", x, y)
		}
		if a.With(within) != a || a.Without(b.Without(a)) != a {
			t.Fatal("what changes nothing makes another set")
		}
	})
}

func TestR63_a_witness_matches_the_tool_that_has_all_its_parts(t *testing.T) {
	t.Parallel()
	here := Provenance{MCP, "files"}
	now := WitnessOf(here)
	for _, c := range []struct {
		name                        string
		w                           Witness
		identified, proven, matches bool
	}{
		{"nothing is said", Witness{}, false, false, false},
		{"the owner", Witness{Owner: "mcp:files"}, true, false, true},
		{"another owner", Witness{Owner: "mcp:other"}, true, false, false},
		{"the provenance", Witness{Provenance: here}, true, true, true},
		{"both", now, true, true, true},
		{"the owner with another provenance", Witness{"mcp:files", Provenance{MCP, "other"}}, true, true, false},
		{"a kind that does not exist", Witness{"mcp:files", Provenance{"martian", "x"}}, false, false, false},
	} {
		if c.w.Identified() != c.identified || c.w.Proven() != c.proven || c.w.Matches(now) != c.matches {
			t.Errorf("%s: identified %t, proven %t, matches %t", c.name, c.w.Identified(), c.w.Proven(), c.w.Matches(now))
		}
	}
	if now.Owner != "mcp:files" || (Provenance{}).Key() != "" {
		t.Errorf("owner keys %q and %q", now.Owner, Provenance{}.Key())
	}
	if (Witness{Owner: "mcp:files"}).Matches(Witness{}) {
		t.Error("a tool that nobody stands behind is somebody's")
	}
}

func TestR22_sources_are_of_known_kinds_and_an_old_name_is_still_read(t *testing.T) {
	t.Parallel()
	for _, k := range kinds {
		if p := (Provenance{k, "s"}); again(t, p) != p {
			t.Errorf("%s comes back otherwise", k)
		}
	}
	var p Provenance
	if err := json.Unmarshal([]byte(`{"kind":"rust_bundle","source_id":"x"}`), &p); err != nil || p != (Provenance{Bundle, "x"}) {
		t.Errorf("the old name is read as %v: %v", p, err)
	}
	err := json.Unmarshal([]byte(`{"kind":"martian","source_id":"x"}`), &p)
	var no *UnknownKind
	if !errors.As(err, &no) || no.Kind != "martian" {
		t.Errorf("an unknown kind is read: %v", err)
	}
}

func TestWitnesses_behave_like_a_map(t *testing.T) {
	t.Parallel()
	draw := func(t *rapid.T, label string) (Witnesses, map[string]Witness) {
		m := map[string]Witness{}
		var claims []Claim
		for _, n := range drawNames(t, label) {
			if _, ok := m[n]; !ok {
				m[n] = Witness{Owner: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "owner")}
			}
			claims = append(claims, Claim{n, m[n]})
		}
		w, err := Collect(claims...)
		if err != nil {
			t.Fatal(err)
		}
		return w, m
	}
	rapid.Check(t, func(t *rapid.T) {
		a, am := draw(t, "a")
		b, bm := draw(t, "b")
		both := maps.Clone(am)
		maps.Copy(both, bm)
		if !maps.Equal(maps.Collect(a.All()), am) || !maps.Equal(maps.Collect(a.With(b).All()), both) || a.Equal(b) != maps.Equal(am, bm) {
			t.Fatalf("%v and %v", am, bm)
		}
		for _, n := range letters {
			w, ok := a.Get(n)
			if want, has := am[n]; ok != has || w != want {
				t.Fatalf("%s of %v", n, am)
			}
		}
		for range a.All() {
			break // a reader may stop early
		}
		if !again(t, a).Equal(a) || a.Len() != len(am) || a.IsZero() != (len(am) == 0) || !a.Names().Equal(NamesOf(slices.Collect(maps.Keys(am))...)) {
			t.Fatalf("%v", am)
		}
		if a.With(a) != a || a.Of(a.Names()) != a || a.Of(Names{}).Len() != 0 {
			t.Fatal("what changes nothing makes another map")
		}
	})
}

func TestR64_a_name_cannot_be_claimed_in_two_ways_at_once(t *testing.T) {
	t.Parallel()
	one, two := WitnessOf(Provenance{MCP, "one"}), WitnessOf(Provenance{MCP, "two"})
	w, err := Collect(Claim{"b", one}, Claim{"a", one}, Claim{"b", two}, Claim{"c", one}, Claim{"c", one})
	var no *InvalidWitnesses
	if !errors.As(err, &no) || !no.Names.Equal(NamesOf("b")) || !w.IsZero() {
		t.Errorf("claimed: %v, %v", w, err)
	}
}

func TestErrors_about_names_list_all_of_them_in_order(t *testing.T) {
	t.Parallel()
	names := NamesOf("z", "a")
	for _, err := range []error{&UnknownTools{names}, &MissingWitnesses{names}, &InvalidWitnesses{names}, &MissingFilterWitnesses{names}, &InvalidFilterWitnesses{names},
		&AmbiguousTools{names}, &UnknownKind{`a", "z`}} {
		if text := err.Error(); fault.CodeOf(err) != fault.Invalid || !contains(text, `"a", "z"`) && !contains(text, `"a\", \"z"`) {
			t.Errorf("%T says %s", err, text)
		}
	}
}
