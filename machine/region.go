package machine

import (
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/machine/peer"
	"github.com/meerkat-go/meerkat/machine/toolserver"
)

// Regions are the parts of a session that many never use and that change rarely. Each is nil until it is used, and what a pointer leads to is never
// changed: a session that uses none pays nothing for them, and a commit writes those it says have changed.
type Regions struct {
	Servers *toolserver.State // its Transient part is never written
	Model   *model.State
	Peer    *peer.State
	Work    *registry.State
	Said    *Said
}

// Region is a set of the parts in Regions.
type Region uint8

// The regions.
const (
	ServersRegion Region = 1 << iota
	ModelRegion
	PeerRegion
	WorkRegion
	SaidRegion
)

// Events of the regions, as they are told from outside.
type (
	// Servers is about tool servers.
	Servers struct{ toolserver.Event }
	// Identity is about the model a session talks to. Facts of other regions are filled in.
	Identity struct{ model.Event }
	// Routing is about switches to other models.
	Routing struct{ model.RoutingEvent }
	// Peers is about who the session knows.
	Peers struct{ peer.Event }
	// Supervised is about who commands the session.
	Supervised struct{ peer.BridgeEvent }
	// Asked is about one request to or of a peer.
	Asked struct{ peer.RequestEvent }
	// Comms tells what the host knows of the session's comms.
	Comms struct{ peer.Context }
	// Linked is about whoever listens for the session.
	Linked struct{ peer.LinkEvent }
	// Streamed is about one reader of an interaction's outcome.
	Streamed struct{ peer.StreamEvent }
	// Work is about background operations.
	Work struct{ registry.Event }
)

func (Servers) machineEvent()    {}
func (Identity) machineEvent()   {}
func (Routing) machineEvent()    {}
func (Peers) machineEvent()      {}
func (Supervised) machineEvent() {}
func (Asked) machineEvent()      {}
func (Comms) machineEvent()      {}
func (Linked) machineEvent()     {}
func (Streamed) machineEvent()   {}
func (Work) machineEvent()       {}

// get returns the state at a place, the zero value if it was never used.
func get[S any](place *S) (s S) {
	if place != nil {
		s = *place
	}
	return s
}

// put makes a region's next state current, if it is another one.
func put[S comparable](b *step, place **S, bit Region, next S) {
	if next == get(*place) {
		return
	}
	*place = &next
	b.c.Regions |= bit
	b.dirty = true
}

// region carries out an event of a region.
func (b *step) region(ev Event) error {
	if err := b.mayTell(ev); err != nil {
		return err
	}
	switch ev := ev.(type) {
	case Servers:
		return b.servers(ev.Event)
	case Identity:
		return b.identity(ev.Event)
	case Routing:
		return b.routing(ev.RoutingEvent)
	case Work:
		if err := b.work(ev.Event); err != nil {
			return err
		}
		return b.startNext() // what has ended may be news
	}
	return b.peers(ev)
}

// servers steps the tool servers. The part that belongs to this process is no reason to write.
func (b *step) servers(e toolserver.Event) error {
	e.Now = b.at
	e.TearingDown = !takesWork(b.s.Lifecycle.Phase)
	was := get(b.s.Servers)
	next, err := toolserver.Step(was, e)
	if err != nil || next == was {
		return err
	}
	b.putServers(was, next)
	return nil
}

func (b *step) putServers(was, next toolserver.State) {
	if next == was {
		return
	}
	b.s.Servers = &next
	if next.Durable != was.Durable {
		b.c.Regions |= ServersRegion
		b.dirty = true
	}
}

func (b *step) routing(e model.RoutingEvent) error {
	next, err := model.RoutingTable.Step(get(b.s.Model), e)
	if err == nil {
		put(b, &b.s.Model, ModelRegion, next)
	}
	return err
}

func (b *step) work(e registry.Event) error {
	e.At = b.at
	next, err := registry.Step(get(b.s.Work), e)
	if err == nil {
		put(b, &b.s.Work, WorkRegion, next)
	}
	return err
}

// peers steps what has to do with others, in the state or in what belongs to this process.
func (b *step) peers(ev Event) (err error) {
	s, l := get(b.s.Peer), b.s.Transient.Link
	switch ev := ev.(type) {
	case Peers:
		if ev.Kind == peer.SetSilent && b.s.Lifecycle.Phase == lifecycle.Stopped {
			return nil // a stopped session has none, and gets none
		}
		ev.Held = l.Ingress
		s, err = peer.Table.Step(s, ev.Event)
	case Supervised:
		s.Supervisor, err = peer.Bridge.Step(s.Supervisor, ev.BridgeEvent)
	case Asked:
		ev.Now = b.at
		s, _, err = peer.StepRequest(s, ev.RequestEvent)
	case Comms:
		ev.MaySpawn = b.s.Lifecycle.Phase == lifecycle.Running || b.s.Attached()
		s, l, b.c.Verdict.Spawned, err = peer.SetContext(s, l, ev.Context)
	case Linked:
		ev.Now = b.at
		l, err = peer.Drain.Step(l, ev.LinkEvent)
	case Streamed:
		ev.Now = b.at
		l, _, err = peer.StepStream(l, ev.StreamEvent)
	}
	if err != nil {
		return err
	}
	put(b, &b.s.Peer, PeerRegion, s)
	b.s.Transient.Link = l
	return nil
}

// sessionOver tells the regions that the session takes no more work: it retires or is stopped.
func (b *step) sessionOver() error {
	if b.s.Model != nil {
		if err := b.routing(model.RoutingEvent{Kind: model.CancelRouting, Cause: model.SessionEnded}); err != nil {
			return err
		}
	}
	if b.s.Lifecycle.Phase != lifecycle.Stopped {
		return nil
	}
	b.s.Transient.Link = peer.Link{}
	if b.s.Servers != nil {
		if err := b.servers(toolserver.Event{Kind: toolserver.Shutdown}); err != nil {
			return err
		}
	}
	return b.silence()
}

// sessionBack tells them that a stopped session takes work again.
func (b *step) sessionBack() error {
	if b.s.Servers == nil {
		return nil
	}
	return b.servers(toolserver.Event{Kind: toolserver.Revive})
}

// forgetRegions leaves nothing of them: the session is destroyed.
func (b *step) forgetRegions() {
	b.c.Regions |= changedRegions(b.s.Regions, Regions{})
	b.s.Regions = Regions{}
}

// silence forgets which intents are silent.
func (b *step) silence() error {
	if b.s.Peer == nil {
		return nil
	}
	next, err := peer.Table.Step(*b.s.Peer, peer.Event{Kind: peer.ClearSilent})
	if err == nil {
		put(b, &b.s.Peer, PeerRegion, next)
	}
	return err
}

// reopened tells the regions that another process holds the session now.
func (b *step) reopened() error {
	if b.s.Servers != nil {
		if err := b.servers(toolserver.Event{Kind: toolserver.Opened}); err != nil {
			return err
		}
	}
	if b.s.Work != nil {
		return b.work(registry.Event{Kind: registry.ProcessLost, Reason: "the process that carried it out has ended"})
	}
	return nil
}
