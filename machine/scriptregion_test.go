package machine_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/machine/peer"
	"github.com/meerkat-go/meerkat/machine/pmap"
	"github.com/meerkat-go/meerkat/machine/toolserver"
)

// kindOf finds a kind by its name among the first n.
func kindOf[K interface {
	~uint8
	String() string
}](name string, last K) (K, error) {
	for k := range last + 1 {
		if k.String() == name {
			return k, nil
		}
	}
	return 0, fmt.Errorf("no event is called %q", name)
}

// someone is a peer of that name.
func someone(name string) peer.Peer {
	return peer.Peer{ID: name, Name: name, Key: "ed25519:" + name}
}

func list(text string) []string {
	if text == "" {
		return nil
	}
	return strings.Split(text, ",")
}

// regional reads a command that is about one of the regions; nil: it is not.
func (p *player) regional(command string, w words) (machine.Event, error) {
	switch command {
	case "tick":
		if !w.has("after") {
			return machine.Tick{}, nil
		}
		wait, err := time.ParseDuration(w["after"])
		p.w.at = p.w.at.Add(wait)
		return machine.Tick{}, err
	case "servers":
		return p.servers(w)
	case "work":
		k, err := kindOf(w["do"], registry.Configure)
		ev := registry.Event{Kind: k, ID: registry.ID(w["id"]), Spec: registry.Spec{Name: w["id"], Yields: w.has("yields"), Durable: w.has("durable")},
			Result: registry.Result{Content: w["text"]}, Reason: w["reason"], Token: w["token"], Upto: registry.Seq(w.number("upto"))}
		if w.has("member") {
			ev.Spec.Work, ev.Spec.ExpectsPeer = registry.MemberChild, true
		}
		for _, i := range list(w["ids"]) {
			ev.IDs = append(ev.IDs, registry.ID(i))
		}
		return machine.Work{Event: ev}, err
	case "peers":
		k, err := kindOf(w["do"], peer.ClearSilent)
		ev := peer.Event{Kind: k, Epoch: uint64(w.number("epoch")), Watermark: uint64(w.number("watermark")), Intents: list(w["intents"])}
		if w.has("peer") {
			ev.Peer = someone(w["peer"])
		}
		for _, name := range list(w["peers"]) {
			ev.Peers = append(ev.Peers, someone(name))
		}
		return machine.Peers{Event: ev}, err
	case "supervised":
		k, err := kindOf(w["do"], peer.Withdrawn)
		return machine.Supervised{BridgeEvent: peer.BridgeEvent{Kind: k, Sender: w["peer"], Peer: someone(w["peer"]), Epoch: uint64(w.number("epoch"))}}, err
	case "asked":
		k, err := kindOf(w["do"], peer.Lapsed)
		patience, _ := time.ParseDuration(w["patience"])
		return machine.Asked{RequestEvent: peer.RequestEvent{Kind: k, ID: w["id"], Peer: w["peer"], Intent: w["intent"], Patience: patience}}, err
	case "comms":
		return machine.Comms{Context: peer.Context{KeepAlive: w.has("keep"), Mob: w["mob"], Runtime: comms(w)}}, nil
	case "linked":
		k, err := kindOf(w["do"], peer.Dismiss)
		ev := peer.LinkEvent{Kind: k, Runtime: comms(w)}
		if w.has("reason") {
			ev.Reason, _ = kindOf(w["reason"], peer.ExitSessionShutdown)
		}
		if w.has("mode") {
			ev.Mode, _ = kindOf(w["mode"], peer.PersistentHost)
		}
		return machine.Linked{LinkEvent: ev}, err
	case "streamed":
		k, err := kindOf(w["do"], peer.StreamExpire)
		return machine.Streamed{StreamEvent: peer.StreamEvent{Kind: k, ID: w["id"]}}, err
	}
	return nil, nil
}

func comms(w words) peer.Runtime {
	if !w.has("comms") {
		return peer.Runtime{}
	}
	return peer.Runtime{ID: w["comms"], Instance: uint64(max(w.number("object"), 1))}
}

// servers names the pending connect and the present connection, unless others are named.
func (p *player) servers(w words) (machine.Event, error) {
	k, err := kindOf(w["do"], toolserver.Revive)
	ev := toolserver.Event{Kind: k, Server: w["server"], Config: w["config"], Error: w["error"], Epoch: uint64(w.number("epoch"))}
	if s := p.w.s.Servers; s != nil {
		v := s.Get(w["server"])
		ev.Task, ev.Lineage, ev.Generation = v.Pending.Task, v.Pending.Lineage, v.Generation
	}
	if w.has("task") {
		ev.Task = uint64(w.number("task"))
	}
	if w.has("gen") {
		ev.Generation = uint64(w.number("gen"))
	}
	return machine.Servers{Event: ev}, err
}

// standing is what a script shows of the regions, a line for each.
func standing(s machine.State) map[string]string {
	out := map[string]string{}
	if v := s.Servers; v != nil {
		var all []string
		for name := range v.Servers.All() {
			one := v.Get(string(name))
			text := fmt.Sprintf("%s %s", name, one.Base)
			if one.Staged.Op != toolserver.None {
				text += " staged=" + one.Staged.Op.String()
			}
			if one.Pending.Op != toolserver.None {
				text += fmt.Sprintf(" connecting=%d", one.Pending.Task)
			}
			if n := toolserver.Wanted(*v, string(name)); len(n) > 0 {
				text += fmt.Sprintf(" wanted=%v", n)
			}
			all = append(all, text)
		}
		for conn, l := range v.Transient.Calls.All() {
			all = append(all, fmt.Sprintf("%d on %s/%d", l.Running, conn.Server, conn.Generation))
		}
		out["servers"] = fmt.Sprintf("%s, epoch %d: %s", v.Phase, v.Epoch, strings.Join(all, "; "))
	}
	if v := s.Work; v != nil {
		var all []string
		for o := range v.List() {
			all = append(all, fmt.Sprintf("%s %s", o.ID, o.Status))
		}
		out["work"] = fmt.Sprintf("%d ended, %d announced: %s", v.Watermark, v.Announced, strings.Join(all, "; "))
		if v.Wait != nil {
			out["work"] += fmt.Sprintf("; %s waits for %v", v.Wait.Token, v.Wait.IDs)
		}
	}
	if v := s.Peer; v != nil {
		var all []string
		for q := range v.Requests.All() {
			all = append(all, q.ID+" "+q.Phase.String())
		}
		out["peers"] = fmt.Sprintf("%s %s, %d direct at %d, %d wired at %d, requests [%s], silent %v", v.Owner, v.Mob, v.Direct.Len(), v.DirectEpoch,
			v.Overlay.Len(), v.OverlayEpoch, strings.Join(all, "; "), v.Silent.Names())
	}
	if l := s.Transient.Link; l != (peer.Link{}) {
		out["link"] = fmt.Sprintf("ingress %q, drain %s %s %s %s, streams %v", l.Ingress, l.Phase, l.Mode, l.Runtime.ID, l.Exit,
			slices.Sorted(maps.Keys(streamsOf(l))))
	}
	return out
}

func streamsOf(l peer.Link) map[pmap.Name]bool {
	out := map[pmap.Name]bool{}
	for name := range l.Streams.All() {
		out[name] = true
	}
	return out
}

// regionLines tells which regions have changed, and what was answered about them.
func regionLines(prev machine.State, c machine.Commit) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	for _, w := range c.Waits {
		say("told     wait %s is over: %v", w.Token, ends(w))
	}
	if w := c.Verdict.Waited; w != nil {
		say("told     wait %s is over at once: %v", w.Token, ends(*w))
	}
	if c.Verdict.Stream != peer.NoStream {
		say("told     stream %s", c.Verdict.Stream)
	}
	if c.Verdict.Spawned {
		say("told     somebody has to listen")
	}
	was, is := standing(prev), standing(c.Next)
	for _, region := range []string{"servers", "work", "peers", "link"} {
		if was[region] != is[region] {
			say("%-8s %s", region, is[region])
		}
	}
	return out
}

func ends(w machine.Waited) []string {
	var out []string
	for _, a := range w.Ends {
		out = append(out, fmt.Sprintf("%s %s", a.ID, a.Outcome.Status))
	}
	return out
}
