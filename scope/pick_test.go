package scope_test

import (
	"testing"

	"pgregory.net/rapid"

	"github.com/meerkat-go/meerkat/scope"
)

func TestWhat_is_picked_of_a_catalogue_is_what_was_wanted_and_all_of_it_is_one_object(t *testing.T) {
	t.Parallel()
	if got := (*scope.Catalogue)(nil).Pick(func(scope.Entry) bool { return true }); got != (scope.Witnesses{}) {
		t.Errorf("of no catalogue: %v", got)
	}
	rapid.Check(t, func(t *rapid.T) {
		var entries []scope.Entry
		wanted := map[string]bool{}
		var claims []scope.Claim
		all := true
		for _, name := range rapid.SliceOfNDistinct(rapid.StringMatching(`[a-e]{1,3}`), 0, 8, rapid.ID).Draw(t, "names") {
			e := scope.Entry{Name: name, Witness: scope.WitnessOf(scope.Provenance{Kind: scope.MCP, Source: "of " + name})}
			entries = append(entries, e)
			if wanted[name] = rapid.Bool().Draw(t, "wanted"); wanted[name] {
				claims = append(claims, scope.Claim{Name: name, Witness: e.Witness})
			}
			all = all && wanted[name]
		}
		c, err := scope.NewCatalogue(entries, scope.Names{}, true)
		if err != nil {
			t.Fatal(err)
		}
		var asked []string
		want := func(e scope.Entry) bool { asked = append(asked, e.Name); return wanted[e.Name] }
		got := c.Pick(want)
		if collected, err := scope.Collect(claims...); err != nil || !got.Equal(collected) {
			t.Fatalf("picked %v, wanted %v (%v)", got, collected, err)
		}
		if scope.NamesOf(asked...).Len() != len(entries) || len(asked) != len(entries) {
			t.Fatalf("asked about %v of %v", asked, entries)
		}
		if again := c.Pick(want); all && again != got {
			t.Fatal("all of it is another object each time")
		}
	})
}
