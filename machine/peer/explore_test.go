package peer_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/machine/peer"
)

// move is one thing that can happen to a region.
type move struct {
	name string
	do   func(peer.State, peer.Link) (peer.State, peer.Link, error)
}

// moves turns events, commands and the end of the process into moves at a time.
func moves(now time.Time, events ...any) (out []move) {
	for _, e := range events {
		name := fmt.Sprintf("%T%+v at %s", e, e, now.Format("15:04:05"))
		out = append(out, move{name, func(s peer.State, l peer.Link) (peer.State, peer.Link, error) {
			var err error
			switch e := e.(type) {
			case peer.Event:
				e.Held = l.Ingress
				s, err = peer.Table.Step(s, e)
			case peer.BridgeEvent:
				s.Supervisor, err = peer.Bridge.Step(s.Supervisor, e)
			case peer.RequestEvent:
				e.Now = now
				s, _, err = peer.StepRequest(s, e)
			case peer.LinkEvent:
				e.Now = now
				l, err = peer.Drain.Step(l, e)
			case peer.StreamEvent:
				e.Now = now
				l, _, err = peer.StepStream(l, e)
			case peer.Context:
				s, l, _, err = peer.SetContext(s, l, e)
			case peer.Link:
				l = e
			}
			return s, l, err
		}})
	}
	return out
}

type place struct {
	s    peer.State
	l    peer.Link
	from *place
	by   string
}

func (p *place) key() string {
	var b strings.Builder
	b.WriteString(encoded(p.s))
	l := p.l
	for id, st := range l.Streams.All() {
		fmt.Fprint(&b, id, st)
	}
	l.Streams = peer.Link{}.Streams
	fmt.Fprintf(&b, "%+v", l)
	return b.String()
}

// path tells how a place was reached.
func (p *place) path() string {
	if p.from == nil {
		return "nothing"
	}
	return p.from.path() + "\n" + p.by
}

// explore visits all places that the moves lead to, the nearest first, and fails with a shortest path to a fault. Places beyond the edge
// are looked at and not left.
func explore(t *testing.T, edge func(peer.State) bool, moves []move) {
	t.Helper()
	start := &place{}
	seen, queue, steps := map[string]bool{start.key(): true}, []*place{start}, 0
	for len(queue) > 0 {
		p := queue[0]
		queue = queue[1:]
		loaded, err := reload(p.s)
		if err := errors.Join(err, peer.Check(p.s), peer.CheckLink(p.s, p.l)); err != nil {
			t.Fatalf("%v\nafter %s", err, p.path())
		}
		if edge(p.s) {
			continue
		}
		before := encoded(p.s)
		for _, m := range moves {
			steps++
			s, l, err := m.do(p.s, p.l)
			next := &place{s, l, p, m.name}
			if fault := compare(p, next, err, loaded, before, m); fault != "" {
				t.Fatalf("%s\nafter %s", fault, next.path())
			}
			if key := next.key(); !seen[key] {
				seen[key] = true
				queue = append(queue, next)
			}
		}
	}
	t.Logf("%d states, %d steps", len(seen), steps)
}

// compare says what is wrong with a step.
func compare(p, next *place, err error, loaded peer.State, before string, m move) string {
	again, link, againErr := m.do(loaded, p.l)
	after := encoded(next.s)
	owner, was := next.s.Owner, p.s.Owner
	v, old := next.s.Supervisor, p.s.Supervisor
	switch {
	case encoded(p.s) != before:
		return "R19: the step changed its argument"
	case err != nil && (next.s != p.s || next.l != p.l):
		return "R18: a refusal changed something"
	case (next.s == p.s) != (after == before):
		return "R21: an equal state was made anew"
	case encoded(again) != after || (&place{s: again, l: link}).key() != next.key() || fmt.Sprint(againErr) != fmt.Sprint(err):
		return "R22: a loaded state decides otherwise"
	case was == peer.MobOwned && owner == peer.SessionOwned:
		return "R88: the session took the ingress from a mob"
	case next.s.DirectEpoch < p.s.DirectEpoch || next.s.OverlayEpoch < p.s.OverlayEpoch || next.s.Watermark < p.s.Watermark:
		return "R89: an epoch fell"
	case next.s.Direct != p.s.Direct && next.s.DirectEpoch == p.s.DirectEpoch,
		next.s.Overlay != p.s.Overlay && next.s.OverlayEpoch == p.s.OverlayEpoch:
		return "R89: peers changed under the same epoch"
	case v.Phase == peer.Bound && v.Phase == old.Phase && v.Current != old.Current && v.Current != old.Prior &&
		v.Current.Epoch <= old.Current.Epoch:
		return "R89: a supervisor took over under an epoch that is not newer"
	}
	return ""
}

func nowhere(peer.State) bool { return false }

func TestR88_R91_every_order_of_host_commands_exits_and_crashes_leaves_owner_and_drain_in_line(t *testing.T) {
	t.Parallel()
	events := []any{peer.Link{}}
	for _, r := range runtimes {
		for _, mob := range []string{"", "m1", "m2"} {
			for n := range 4 {
				events = append(events, peer.Context{KeepAlive: n&1 != 0, MaySpawn: n&2 != 0, Runtime: r, Mob: mob})
			}
		}
	}
	for _, e := range drainMenu() {
		if e, ok := e.(peer.LinkEvent); ok && e.Kind != peer.Hold && e.Kind != peer.Release {
			events = append(events, e)
		}
	}
	explore(t, nowhere, append(moves(noon, events...), moves(noon.Add(time.Second), peer.LinkEvent{Kind: peer.Heard})...))
}

func TestR89_R90_every_order_of_bridge_commands_and_acknowledgements_is_followed(t *testing.T) {
	t.Parallel()
	explore(t, nowhere, moves(noon, bridgeMenu()...))
}

func TestR92_every_order_of_asking_answering_and_waiting_ends_once(t *testing.T) {
	t.Parallel()
	events := requestMenu()[2:] // what is sent has one moment, what is received another
	explore(t, nowhere, append(moves(noon, events[:36]...), moves(noon.Add(time.Minute), events[36:]...)...))
}

func TestR92_every_order_of_reserving_coming_and_going_ends_a_stream_once(t *testing.T) {
	t.Parallel()
	var events []any
	for _, e := range streamMenu() {
		if e, ok := e.(peer.StreamEvent); ok {
			events = append(events, e)
		}
	}
	explore(t, nowhere, append(moves(noon, events...), moves(noon.Add(31*time.Second), events...)...))
}

func TestR89_R93_every_order_of_changes_of_peers_and_context_keeps_them_sets(t *testing.T) {
	t.Parallel()
	var events []any
	for _, e := range peerMenu() {
		e, ok := e.(peer.Event)
		if ok && e.Kind != peer.AttachSession && e.Kind != peer.AttachMob && e.Kind != peer.SetLocal && e.Epoch < 3 && e.Watermark < 2 {
			events = append(events, e)
		}
	}
	explore(t, func(s peer.State) bool { return s.DirectEpoch > 4 }, moves(noon, events...))
}
