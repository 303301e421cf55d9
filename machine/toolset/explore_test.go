package toolset

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/scope"
)

// Two worlds that are explored whole. In the one revisions are minted and published over each other; in the other tools change hands.

func revisions(s State) []Event {
	here := catalogues[0]
	return append(publishing(s),
		Event{Kind: StageFilter, Catalogue: here, Filter: scope.Allow("a"), Witnesses: claims("a", source("s1"))},
		Event{Kind: StageFilter, Catalogue: here},
		Event{Kind: RequestDeferred, Catalogue: here, Witnesses: claims("x", source("s1"))},
		Event{Kind: ResetDeferred},
		Event{Kind: CommitBoundary, Catalogue: here},
		Event{Kind: RebaseCapability, Catalogue: here, Resolved: true},
		Event{Kind: RebaseCapability, Catalogue: here, Resolved: true, ImageResults: true})
}

func hands(State) []Event {
	here, there := catalogues[0], catalogues[1]
	return []Event{
		{Kind: HydrateInherited, Catalogue: here, Filter: scope.Deny("a")},
		{Kind: StageFilter, Catalogue: there, Filter: scope.Allow("a", "x"), Witnesses: claims("a", source("s2"), "x", source("s2"))},
		{Kind: RequestDeferred, Catalogue: here, Witnesses: claims("x", source("s1"))},
		{Kind: CommitBoundary, Catalogue: here},
		{Kind: CommitBoundary, Catalogue: there},
		{Kind: FailClosed, Cause: "down"},
		{Kind: SetOverlay, Catalogue: here, Run: "r1", Overlay: scope.Overlay{Restricts: true, Allowed: set("a", ImageTool)}},
		{Kind: ClearOverlay},
	}
}

// publishing is what a publisher that reads the state may tell: what is staged comes into force at once, or what is in force supersedes it.
func publishing(s State) []Event {
	side := func(x Side, r uint64) Published { return Published{x.Filter, x.Granted.Names(), x.Granted, r} }
	return []Event{
		{Kind: Publish, Catalogue: catalogues[0], Active: side(s.Staged, s.Staged.Revision), Staged: side(s.Staged, s.Staged.Revision)},
		{Kind: Publish, Catalogue: catalogues[0], Active: side(s.Active, s.Next+1), Staged: side(s.Staged, s.Staged.Revision)},
	}
}

// shape is a state up to the height of its revisions: what matters to the table is which are equal, and which is higher.
func shape(s State) string {
	all := []uint64{0, s.Active.Revision, s.Staged.Revision, s.Next, s.Round.Revision}
	slices.Sort(all)
	all = slices.Compact(all)
	rank := func(r *uint64) { *r = uint64(slices.Index(all, *r)) }
	for _, r := range []*uint64{&s.Active.Revision, &s.Staged.Revision, &s.Next, &s.Round.Revision} {
		rank(r)
	}
	return written(s)
}

func TestR62_small_worlds_are_explored_whole_and_from_each_state_a_boundary_ends_what_is_pending(t *testing.T) {
	t.Parallel()
	for name, world := range map[string]func(State) []Event{"revisions": revisions, "hands": hands} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if n := explore(t, world); n < 400 {
				t.Errorf("only %d states: the world has shrunk", n)
			}
		})
	}
}

// explore goes through a world breadth first, so that what it fails with is the shortest way there.
func explore(t *testing.T, world func(State) []Event) int {
	type place struct {
		s    State
		path []string
	}
	known := map[string]bool{shape(State{}): true}
	for queue := []place{{}}; len(queue) > 0; queue = queue[1:] {
		at := queue[0]
		after := Boundary(at.s, catalogues[0])
		if after.Pending() || after.Phase != Open || Boundary(after, catalogues[0]) != after {
			t.Fatalf("%s\nafter a boundary something is pending, or a second one changes something: %s", strings.Join(at.path, "\n"), written(after))
		}
		for i, e := range world(at.s) {
			path := append(slices.Clone(at.path), fmt.Sprintf("event %d: %s", i, kinds[e.Kind]))
			next, err := tell(at.s, view(at.s), e)
			if err != nil {
				t.Fatalf("%s\n%v", strings.Join(path, "\n"), err)
			}
			if key := shape(next); !known[key] {
				if err := lasting(next); err != nil {
					t.Fatalf("%s\n%v", strings.Join(path, "\n"), err)
				}
				known[key] = true
				queue = append(queue, place{next, path})
			}
		}
	}
	t.Logf("%d states", len(known))
	return len(known)
}
