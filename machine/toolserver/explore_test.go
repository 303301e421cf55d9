package toolserver

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// shape is what of a state decides, with everything that only counts up or is only shown left out. Two states of one shape go on
// alike, so exploring one of them is enough.
func shape(s State) string {
	var b strings.Builder
	fmt.Fprint(&b, s.Phase, " ")
	for name, v := range s.Servers.All() {
		fmt.Fprint(&b, name, v.Base, v.Keep, v.Outage.Lost, v.Staged.Op, v.Pending.Op, " ")
	}
	for conn, l := range s.Transient.Calls.All() {
		fmt.Fprint(&b, conn.Server, conn.Generation == s.Get(conn.Server).Generation, l.Running, " ")
	}
	return b.String()
}

// late is after every deadline: the small world has two times.
var late = zero.Add(time.Hour)

// moves are the events told in each state of a small world: two servers, two calls at most.
func moves(s State) []Event {
	out := []Event{{Kind: Tick}, {Kind: Tick, Now: late}, {Kind: SnapshotAligned, Epoch: s.Epoch},
		{Kind: Shutdown}, {Kind: Opened}, {Kind: Revive}}
	calls := 0
	for conn, l := range s.Transient.Calls.All() {
		calls += l.Running
		out = append(out, Event{Kind: CallFinished, Server: conn.Server, Generation: conn.Generation})
	}
	for _, name := range []string{"a", "b"} {
		v := s.Get(name)
		kinds := []Kind{StageAdd, StageRemove, StageReload, ApplyBoundary, PendingSucceeded, PendingFailed, FinalizeClean, FinalizeForced, Lost}
		if calls < 2 {
			kinds = append(kinds, CallStarted)
		}
		for _, k := range kinds {
			e := Event{Kind: k, Server: name, Seq: v.Staged.Seq, Task: v.Pending.Task, Lineage: v.Pending.Lineage, Generation: v.Generation}
			out = append(out, e)
			switch k {
			case FinalizeForced:
				e.Now = late
				out = append(out, e)
			case PendingSucceeded, PendingFailed:
				e.Task--
				out = append(out, e)
			}
		}
	}
	for i := range out {
		if out[i].Now.IsZero() {
			out[i].Now = zero
		}
	}
	return out
}

// settle is what a fair host and a turn after the other make of a state: connects succeed, calls end, deadlines pass.
func settle(s State) error {
	s, err := Step(s, Event{Kind: Revive})
	if err != nil {
		return err
	}
	for range 4 {
		for _, c := range Owed(s) {
			if s, err = Step(s, Event{Kind: PendingSucceeded, Server: c.Server, Task: c.Task, Lineage: c.Lineage, Now: zero}); err != nil {
				return fmt.Errorf("R71: an owed connect succeeds and is refused: %w", err)
			}
		}
		if at, ok := Deadline(s); ok {
			was := s
			if s, err = Step(s, Event{Kind: Tick, Now: at}); err != nil || s == was {
				return fmt.Errorf("R72: nothing is due at the deadline %v: %w", at, err)
			}
		}
		s, _ = Boundary(s, zero, 1)
	}
	if s, err = Step(s, Event{Kind: SnapshotAligned, Epoch: s.Epoch}); err != nil {
		return err
	}
	if at, due := Deadline(s); due || len(Owed(s)) > 0 || len(staged(s)) > 0 {
		return fmt.Errorf("R70: no rest: owed %v, staged %v, due %t %v", Owed(s), staged(s), due, at)
	}
	for name, v := range s.Servers.All() {
		wanted, one := Wanted(s, string(name)), []uint64{v.Generation}
		if v.Base == Removing || v.Base == Removed || v.Base == Active && !slices.Equal(wanted, one) {
			return fmt.Errorf("R74: at rest %s is %s and %v are wanted", name, v.Base, wanted)
		}
	}
	return nil
}

// Every state that a small world can get into is visited, shortest ways first; in each, every move is made and all rules are checked
// (R70 to R76), and from each, a fair host comes to rest.
func TestR70_to_R76_every_reachable_state_of_a_small_world_keeps_the_rules_and_comes_to_rest(t *testing.T) {
	t.Parallel()
	type place struct {
		s    State
		from int
		by   Event
	}
	most := 100_000
	if testing.Short() {
		most = 3_000
	}
	places, seen := []place{{from: -1}}, map[string]bool{shape(State{}): true}
	way := func(at int) string {
		var out []string
		for ; places[at].from >= 0; at = places[at].from {
			out = append(out, fmt.Sprintf("%s %+v", places[at].by.Kind, places[at].by))
		}
		slices.Reverse(out)
		return strings.Join(out, "\n")
	}
	steps, refusals := 0, 0
	for at := 0; at < len(places) && len(places) < most; at++ {
		s := places[at].s
		if err := settle(s); err != nil {
			t.Fatalf("%v\nafter\n%s", err, way(at))
		}
		for _, e := range moves(s) {
			next, err := Step(s, e)
			steps++
			if err != nil {
				refusals++
				continue
			}
			if err := Check(next); err != nil {
				t.Fatalf("%v\nafter\n%s\n%s %+v", err, way(at), e.Kind, e)
			}
			if key := shape(next); !seen[key] {
				seen[key] = true
				places = append(places, place{next, at, e})
			}
		}
	}
	t.Logf("%d states, %d steps, %d of them refused", len(places), steps, refusals)
	if len(places) >= most && !testing.Short() {
		t.Error("the world is too large to be exhausted")
	}
}
