package inbox

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/input"
)

// shape is what of a world decides: who is where, in what order, after how many attempts. Sequences count only against each other.
func (w *world) shape(menu []input.Input) string {
	var b strings.Builder
	fmt.Fprint(&b, w.run != "", " ")
	for i := range w.box.All() {
		fmt.Fprint(&b, i.ID, i.Phase, i.Attempts, i.Said, " ")
	}
	order := slices.Collect(w.box.All())
	slices.SortFunc(order, func(i, j Item) int { return i.Seq.Compare(j.Seq) })
	fmt.Fprint(&b, show(order), " ")
	for _, in := range menu {
		if i, over := w.ended[in.ID]; over {
			fmt.Fprint(&b, in.ID, i.Phase, i.By, i.Reason, " ")
		}
	}
	return b.String()
}

// menus are what small sessions may be given: a few inputs that get in each other's way.
var menus = map[string][]input.Input{
	"prompts, steers and progress": {prompt("p", input.Options{}), prompt("s", steering), progress("h", "k"), progress("i", "k")},
	"messages and continuations":   {message("m", 0), ask("q", "ping", 0), goOn("g", "k", input.Continuation{}), goOn("o", "k", input.Continuation{})},
}

// moves are what may happen in any state, by name.
func (w *world) moves(menu []input.Input) map[string]func(*world) {
	out := map[string]func(*world){
		"begin": func(w *world) { w.begin(false, w.says) },
		"drain": func(w *world) { w.begin(true, w.says) },
	}
	if w.run != "" {
		out["boundary"] = func(w *world) { w.boundary() }
		out["fail"] = func(w *world) { w.fail() }
		out["finish"] = func(w *world) { w.finish(Consume, NoReason) }
		out["cancel"] = func(w *world) { w.finish(Abandon, Cancelled) }
	}
	for _, in := range menu {
		if _, live := w.box.Find(in.ID, ""); !live && w.ended[in.ID].ID == "" {
			out["submit "+string(in.ID)] = func(w *world) { w.submit(in, Arrival{Silent: silent(in)}) }
		}
	}
	return out
}

// Every state that a small world can get into is visited, shortest ways first; in each, all rules are checked, and runs that end well bring
// everything to its end.
func TestR106_every_reachable_state_of_a_small_inbox_keeps_the_rules_and_empties(t *testing.T) {
	t.Parallel()
	for name, menu := range menus {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			explore(t, menu, name != "prompts, steers and progress")
		})
	}
}

func explore(t *testing.T, menu []input.Input, says bool) {
	most := 20_000
	if testing.Short() {
		most = 2_000
	}
	type place struct {
		w   *world
		way []string
	}
	begin := newWorld()
	begin.quick, begin.says = true, says
	seen, next, steps, deepest := map[string]bool{begin.shape(menu): true}, []place{{w: begin}}, 0, 0
	for len(next) > 0 && len(seen) < most {
		p := next[0]
		next = next[1:]
		deepest = max(deepest, len(p.way))
		moves := p.w.moves(menu)
		for _, name := range slices.Sorted(maps.Keys(moves)) {
			w := p.w.clone()
			way := append(slices.Clip(p.way), name)
			moves[name](w)
			steps++
			if err := w.err(); err != nil {
				t.Fatalf("%v\nafter %s", err, strings.Join(way, ", "))
			}
			key := w.shape(menu)
			if seen[key] {
				continue
			}
			seen[key] = true
			next = append(next, place{w, way})
			if err := empties(w.clone()); err != nil {
				t.Fatalf("%v\nafter %s", err, strings.Join(way, ", "))
			}
		}
	}
	t.Logf("%d states, %d steps, depth %d, exhausted %t", len(seen), steps, deepest, len(next) == 0)
	if len(next) > 0 && !testing.Short() {
		t.Errorf("the world is too large to be exhausted: %d states are left", len(next))
	}
}

// empties lets all runs end well: at last only passengers wait, and a session that takes no more input says those too.
func empties(w *world) error {
	w.finish(Consume, NoReason)
	for w.box.Driving() > 0 {
		if b := w.begin(false, true); len(b.Items) == 0 {
			return fmt.Errorf("R107: %d inputs drive, and nothing begins", w.box.Driving())
		}
		w.finish(Consume, NoReason)
	}
	if b := w.begin(true, true); len(b.Items) > 0 && !b.ContextOnly {
		return fmt.Errorf("R107: passengers drive: %s", show(b.Items))
	}
	w.finish(Consume, NoReason)
	if w.box.Len() > 0 {
		return fmt.Errorf("R31: %s are left", show(slices.Collect(w.box.All())))
	}
	return w.err()
}
