package peer_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/meerkat-go/meerkat/machine/peer"
)

// wander tells a world n events of a menu and says what was wrong first. Now and then the process ends.
func wander(w *world, events []any, n int, choose func(n int) int) error {
	for range n {
		if choose(100) == 0 {
			w.crash()
		}
		if err := w.tell(events[choose(len(events))]); err != nil {
			return err
		}
		if err := w.due(); err != nil {
			return err
		}
	}
	return nil
}

// crash loses what belongs to the process.
func (w *world) crash() {
	w.l = peer.Link{}
	n := begin().naive
	w.holder, w.drain, w.mode, w.listener, w.exit = n.holder, n.drain, n.mode, n.listener, n.exit
	w.dismissed, w.quiet, w.idle = n.dismissed, n.quiet, n.idle
	w.reserved, w.attached = n.reserved, n.attached
}

// due compares what is due with what the naive region has open.
func (w *world) due() error {
	late := 0
	var earliest time.Time
	for _, m := range []map[string]peer.Request{w.out, w.in} {
		for _, q := range m {
			if !q.Deadline.After(w.now) {
				late++
			}
			if earliest.IsZero() || q.Deadline.Before(earliest) {
				earliest = q.Deadline
			}
		}
	}
	at, ok := peer.Deadline(w.s)
	if ok != !earliest.IsZero() || !at.Equal(earliest) {
		return fmt.Errorf("R92: the next deadline is %v, not %v", at, earliest)
	}
	var last time.Time
	for q := range peer.Due(w.s, w.now) {
		late--
		if q.Deadline.Before(last) || q.Deadline.After(w.now) {
			return fmt.Errorf("R92: %s is due at %v, after one at %v", q.ID, q.Deadline, last)
		}
		last = q.Deadline
	}
	if late != 0 {
		return fmt.Errorf("R92: %d requests are late and not due", late)
	}
	return nil
}

func TestR18_R22_R92_any_history_of_peers_is_what_a_region_without_tables_would_make_of_it(t *testing.T) {
	t.Parallel()
	names := slices.Sorted(maps.Keys(menus))
	rapid.Check(t, func(t *rapid.T) {
		choose := func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }
		w := begin()
		for range 6 {
			if err := wander(w, menus[rapid.SampledFrom(names).Draw(t, "menu")], 10, choose); err != nil {
				t.Fatal(err)
			}
		}
	})
}

// behaves returns long walks through one menu, which is what that part of the region is for. They say what they noticed: nil, nothing.
func behaves(menu string) func() error {
	return func() error {
		for seed := range uint64(4) {
			r, w := rand.New(rand.NewPCG(seed, 1)), begin()
			w.quick = true
			if err := wander(w, menus[menu], 2500, r.IntN); err != nil {
				return fmt.Errorf("seed %d: %w", seed, err)
			}
		}
		return nil
	}
}
