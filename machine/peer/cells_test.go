package peer_test

import (
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/internal/golden"
	"github.com/meerkat-go/meerkat/machine/fsm/fsmtest"
	"github.com/meerkat-go/meerkat/machine/peer"
	"github.com/meerkat-go/meerkat/machine/pmap"
)

// The cells of each table, driven through variants that tell all its guards apart.

var (
	noon  = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)
	anna  = peer.Peer{ID: "a", Name: "anna", Address: "inproc://anna", Key: "ed25519:a"}
	berta = peer.Peer{ID: "b", Name: "berta", Address: "inproc://berta", Key: "ed25519:b"}
	moved = peer.Peer{ID: "a", Name: "anna", Address: "tcp://anna:1", Key: "ed25519:a"}
	wrong = peer.Peer{ID: "c", Name: "tab\there", Key: "ed25519:c"}
)

func set(peers ...peer.Peer) (m peer.Peers) {
	for _, p := range peers {
		m = m.Set(pmap.Name(p.ID), p)
	}
	return m
}

func peerCells() (string, error) {
	states := []peer.State{{}, {Mob: "m1", Direct: set(anna), DirectEpoch: 3, OverlayEpoch: 2, Watermark: 5}}
	events := []peer.Event{{},
		{Peer: anna, Peers: []peer.Peer{anna, berta}, Epoch: 3, Runtime: "r1", Mob: "m1", Watermark: 6, Intents: []string{"x"}},
		{Peer: moved, Peers: []peer.Peer{anna, moved}, Epoch: 3, Runtime: "r1", Mob: "m2", Held: "r1", Watermark: 5},
		{Peer: berta, Peers: []peer.Peer{wrong}, Epoch: 3, Runtime: "r1", Mob: "m1", Held: "r2", Watermark: 4},
		{Peer: wrong, Epoch: 2, Runtime: "r1"}}
	return fsmtest.Cells(peer.Table, states, events, func(e peer.Event, k peer.Kind) peer.Event { e.Kind = k; return e })
}

func bridgeCells() (string, error) {
	var left pmap.Map[peer.Authority, struct{}]
	left = left.Set(peer.Authority{Peer: "b", Epoch: 1}, struct{}{})
	states := []peer.Supervisor{
		{Current: peer.Binding{Peer: anna, Epoch: 2}},
		{Current: peer.Binding{Peer: anna, Epoch: 2}, Published: true, Withdrawing: left},
		{Current: peer.Binding{Peer: anna, Epoch: 2}, Prior: peer.Binding{Peer: berta, Epoch: 1}},
		{Revoked: peer.Authority{Peer: "a", Epoch: 2}},
	}
	var events []peer.BridgeEvent
	for _, p := range []peer.Peer{anna, berta, wrong} {
		for epoch := range uint64(4) {
			events = append(events, peer.BridgeEvent{Sender: "a", Peer: p, Epoch: epoch}, peer.BridgeEvent{Sender: "b", Peer: p, Epoch: epoch})
		}
	}
	return fsmtest.Cells(peer.Bridge, states, events, func(e peer.BridgeEvent, k peer.BridgeKind) peer.BridgeEvent { e.Kind = k; return e })
}

func requestCells() (string, error) {
	states := []peer.Request{{ID: "q", Peer: "a", Deadline: noon}}
	events := []peer.RequestEvent{{ID: "q", Peer: "a", Now: noon}, {ID: "q", Peer: "b", Now: noon, Patience: peer.MaxPatience + 1}, {Peer: "b"},
		{ID: "q", Now: noon, Patience: -1}}
	return fsmtest.Cells(peer.Calls, states, events, func(e peer.RequestEvent, k peer.RequestKind) peer.RequestEvent { e.Kind = k; return e })
}

func drainCells() (string, error) {
	one, again, two := peer.Runtime{ID: "r1", Instance: 1}, peer.Runtime{ID: "r1", Instance: 2}, peer.Runtime{ID: "r2", Instance: 3}
	var states []peer.Link
	for _, m := range []peer.Mode{peer.NoMode, peer.Timed, peer.PersistentHost} {
		states = append(states, peer.Link{Ingress: "r1", Mode: m, Runtime: one, Idle: time.Minute}, peer.Link{Ingress: "r2", Mode: m})
	}
	var events []peer.LinkEvent
	for _, r := range []peer.Runtime{{}, one, again, two} {
		for _, m := range []peer.Mode{peer.NoMode, peer.Timed, peer.PersistentHost} {
			for _, why := range []peer.Reason{peer.NoReason, peer.ExitFailed, peer.ExitDismissed} {
				events = append(events, peer.LinkEvent{Runtime: r, Mode: m, Reason: why, Now: noon})
			}
		}
	}
	return fsmtest.Cells(peer.Drain, states, events, func(e peer.LinkEvent, k peer.LinkKind) peer.LinkEvent { e.Kind = k; return e })
}

func streamCells() (string, error) {
	states := []peer.Stream{{Until: noon}}
	events := []peer.StreamEvent{{ID: "i", Now: noon}, {ID: "i", Now: noon.Add(1)}, {}}
	return fsmtest.Cells(peer.Streams, states, events, func(e peer.StreamEvent, k peer.StreamKind) peer.StreamEvent { e.Kind = k; return e })
}

// Scenario: M7
func TestR17_every_cell_of_the_peer_tables_is_decided_as_written_down(t *testing.T) {
	t.Parallel()
	for name, drive := range map[string]func() (string, error){"peer": peerCells, "bridge": bridgeCells, "request": requestCells,
		"drain": drainCells, "stream": streamCells} {
		got, err := drive()
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		golden.Equal(t, "testdata/cells/"+name+".txt", []byte(got))
	}
}

// Scenario: M7
func TestR17_the_diagrams_of_the_peer_tables_are_those_of_the_tables(t *testing.T) {
	t.Parallel()
	for name, diagram := range map[string]string{
		"peer":         peer.Table.Diagram(),
		"peer-bridge":  peer.Bridge.Diagram(),
		"peer-request": peer.Calls.Diagram(),
		"peer-drain":   peer.Drain.Diagram(),
		"peer-stream":  peer.Streams.Diagram(),
	} {
		golden.Equal(t, "../../docs/machine/"+name+".mmd", []byte(diagram))
	}
}
