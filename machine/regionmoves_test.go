package machine_test

import (
	"fmt"
	"time"

	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/machine/peer"
	"github.com/meerkat-go/meerkat/machine/toolserver"
)

// regional draws an event of a region: mostly one that fits, sometimes nonsense.
func (w *world) regional(choose chooser) machine.Event {
	switch choose(9, "region") {
	case 0, 1:
		return w.servers(choose)
	case 2, 3:
		return w.work(choose)
	case 4:
		ev := peer.Event{Kind: peer.Kind(choose(int(peer.ClearSilent)+1, "peers")), Peer: someone([]string{"ann", "bob"}[choose(2, "peer")]),
			Epoch: uint64(choose(4, "epoch")), Watermark: uint64(choose(3, "watermark")), Intents: []string{"hush", "psst"}[:choose(3, "intents")]}
		if choose(2, "wired") == 1 {
			ev.Peers = []peer.Peer{someone("ann"), someone("cat")}
		}
		return machine.Peers{Event: ev}
	case 5:
		boss := []string{"ann", "boss"}[choose(2, "boss")]
		return machine.Supervised{BridgeEvent: peer.BridgeEvent{Kind: peer.BridgeKind(choose(int(peer.Withdrawn)+1, "supervised")), Sender: boss,
			Peer: someone(boss), Epoch: uint64(1 + choose(2, "epoch"))}}
	case 6:
		ev := peer.RequestEvent{Kind: peer.RequestKind(choose(int(peer.Lapsed)+1, "asked")), ID: w.interaction(choose), Peer: "ann",
			Patience: time.Duration(choose(20, "patience")) * time.Second}
		return machine.Asked{RequestEvent: ev}
	case 7:
		return w.listening(choose)
	default:
		w.at = w.at.Add(time.Duration(choose(3, "later")) * 20 * time.Second)
		return machine.Tick{}
	}
}

// interaction is the name of an input, or of a request.
func (w *world) interaction(choose chooser) string {
	return []string{"i0", "i1", "q0", "q1"}[choose(4, "interaction")]
}

func (w *world) listening(choose chooser) machine.Event {
	at := peer.Runtime{ID: []string{"c1", "c2"}[choose(2, "comms")], Instance: uint64(1 + choose(2, "object"))}
	switch choose(3, "listening") {
	case 0:
		c := peer.Context{KeepAlive: choose(3, "keep") > 0, Runtime: at}
		if choose(4, "mob") == 0 {
			c.Mob = "team"
		}
		if choose(4, "no comms") == 0 {
			c.Runtime = peer.Runtime{}
		}
		return machine.Comms{Context: c}
	case 1:
		return machine.Linked{LinkEvent: peer.LinkEvent{Kind: peer.LinkKind(choose(int(peer.Dismiss)+1, "linked")), Runtime: at,
			Mode: peer.Mode(choose(int(peer.PersistentHost)+1, "mode")), Reason: peer.Reason(choose(int(peer.ExitSessionShutdown)+1, "reason"))}}
	}
	return machine.Streamed{StreamEvent: peer.StreamEvent{Kind: peer.StreamKind(choose(int(peer.StreamExpire)+1, "streamed")), ID: w.interaction(choose)}}
}

func (w *world) work(choose chooser) machine.Event {
	ids := []registry.ID{"o0", "o1", "o2"}
	id := ids[choose(len(ids), "operation")]
	ev := registry.Event{Kind: registry.Kind(choose(int(registry.Configure), "work")), ID: id, Reason: "because", Token: fmt.Sprint("w", choose(2, "token"))}
	ev.Spec = registry.Spec{Name: string(id), Yields: choose(3, "yields") == 0, Durable: choose(3, "durable") == 0}
	if choose(4, "member") == 0 {
		ev.Spec.Work, ev.Spec.ExpectsPeer = registry.MemberChild, true
	}
	if w.s.Work != nil {
		ev.Upto = registry.Seq(choose(int(w.s.Work.Watermark)+2, "upto"))
		if known, ok := w.s.Work.Get(id); ok && known.Status.Terminal() {
			ev.Past = known.Status
		}
	}
	ev.IDs = ids[:1+choose(len(ids), "awaited")]
	if ev.Kind < registry.RequestWaitAll && choose(2, "begin") == 0 {
		ev.Kind = []registry.Kind{registry.Register, registry.Start, registry.Complete}[choose(3, "begin with")]
	}
	return machine.Work{Event: ev}
}

func (w *world) servers(choose chooser) machine.Event {
	name := []string{"files", "web"}[choose(2, "server")]
	ev := toolserver.Event{Kind: toolserver.Kind(choose(int(toolserver.Revive)+1, "servers")), Server: name, Config: "c", Error: "no",
		Timeout: 30 * time.Second, Retries: choose(3, "retries")}
	if s := w.s.Servers; s != nil {
		v := s.Get(name)
		ev.Task, ev.Lineage, ev.Seq, ev.Generation, ev.Epoch = v.Pending.Task, v.Pending.Lineage, v.Staged.Seq, v.Generation, s.Epoch
		switch { // the usual way on, more often than not
		case choose(2, "nonsense") == 0:
		case v.Pending.Op != toolserver.None:
			ev.Kind = toolserver.PendingSucceeded
		case v.Base == toolserver.Active:
			ev.Kind = []toolserver.Kind{toolserver.CallStarted, toolserver.CallFinished, toolserver.StageRemove}[choose(3, "call")]
		}
	}
	return machine.Servers{Event: ev}
}
