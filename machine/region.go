package machine

import (
	"fmt"

	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/machine/peer"
	"github.com/meerkat-go/meerkat/machine/toolserver"
	"github.com/meerkat-go/meerkat/machine/toolset"
)

// Regions are the parts of a session that many never use and that change rarely. Each is nil until it is used, and what a pointer leads to is never
// changed: a session that uses none pays nothing for them, and a commit writes those it says have changed.
type Regions struct {
	Servers *toolserver.State // its Transient part is never written
	Toolset *toolset.State
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
	ToolsetRegion
)

// Events of the regions, as they are told from outside.
type (
	// Servers is about tool servers.
	Servers struct{ toolserver.Event }
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
	if b.s.Lifecycle.Phase == lifecycle.Destroyed && letsGo(ev) {
		return nil // there is nothing left to let go of
	}
	switch ev := ev.(type) {
	case Servers:
		return b.servers(ev.Event)
	case Toolset:
		return b.tools(ev.Event)
	case Offered:
		b.offered(ev.Catalogue)
		return nil
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
	if err != nil {
		return err
	}
	b.putServers(was, next)
	if e.Kind == toolserver.CallFinished { // it may have been the last that a removal waited for
		return b.servers(toolserver.Event{Kind: toolserver.Tick})
	}
	return nil
}

// crossServers applies what is staged of the tool servers: a model is about to be called, or a run to be carried out.
func (b *step) crossServers() error {
	if b.s.Servers == nil {
		return nil
	}
	was := *b.s.Servers
	next, _ := toolserver.Boundary(was, b.at, b.s.Turn.Round)
	b.putServers(was, next)
	return b.servers(toolserver.Event{Kind: toolserver.Tick}) // a removal without calls is over at once
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
	b.tellServers(was, next)
}

// work steps the background operations. A wait that is over is answered in the same step, so none is found satisfied at rest.
func (b *step) work(e registry.Event) error {
	e.At = b.at
	was := get(b.s.Work)
	next, err := registry.Step(was, e)
	if err != nil {
		return err
	}
	b.ended(was, next)
	if ends, over := next.WaitSatisfied(); over {
		w := Waited{next.Wait.Token, ends}
		if next, err = registry.Step(next, registry.Event{Kind: registry.SatisfyWaitAll, Token: w.Token}); err != nil {
			return err
		}
		if e.Kind == registry.RequestWaitAll {
			b.c.Verdict.Waited = &w
		} else {
			b.c.Waits = append(b.c.Waits, w)
		}
	}
	put(b, &b.s.Work, WorkRegion, next)
	return nil
}

// peers steps what has to do with others, in the state or in what belongs to this process.
func (b *step) peers(ev Event) (err error) {
	s, l := get(b.s.Peer), b.s.Transient.Link
	switch ev := ev.(type) {
	case Peers:
		if ev.Kind == peer.SetSilent && b.s.Lifecycle.Phase == lifecycle.Stopped {
			return nil // a stopped session has none, and gets none
		}
		if s, err = peer.Table.Step(s, ev.Event); err == nil && ev.Kind == peer.Detach {
			l, err = peer.Drain.Step(l, peer.LinkEvent{Kind: peer.Release})
		}
	case Supervised:
		s.Supervisor, err = peer.Bridge.Step(s.Supervisor, ev.BridgeEvent)
	case Asked:
		s, l, err = b.asked(s, l, ev.RequestEvent)
	case Comms:
		ev.MaySpawn = b.s.Lifecycle.Phase == lifecycle.Running || b.s.Attached()
		s, l, b.c.Verdict.Spawned, err = peer.SetContext(s, l, ev.Context)
	case Linked:
		ev.Now = b.at
		l, err = peer.Drain.Step(l, ev.LinkEvent)
	case Streamed:
		s, l, err = b.streamed(s, l, ev.StreamEvent)
	}
	if err != nil {
		return err
	}
	put(b, &b.s.Peer, PeerRegion, s)
	b.s.Transient.Link = l
	return nil
}

// asked steps one request. The outcome is there when the peer has said its last word, or will not: then the stream of it is over, too.
func (b *step) asked(s peer.State, l peer.Link, e peer.RequestEvent) (peer.State, peer.Link, error) {
	e.Now = b.at
	s, r, err := peer.StepRequest(s, e)
	if err != nil || r.Phase != peer.Closed || e.Kind != peer.Answered && e.Kind != peer.TimedOut {
		return s, l, err
	}
	b.c.Verdict.Request = &r
	l, _, err = peer.StepStream(l, peer.StreamEvent{Kind: peer.StreamComplete, ID: r.ID})
	return s, l, err
}

// streamed steps one stream. Whoever comes too late for the answer of a peer has given the question up.
func (b *step) streamed(s peer.State, l peer.Link, e peer.StreamEvent) (peer.State, peer.Link, error) {
	e.Now = b.at
	l, now, err := peer.StepStream(l, e)
	b.c.Verdict.Stream = now.Phase
	if err == nil && e.Kind == peer.StreamAttach && now.Phase == peer.Expired {
		s, _, err = peer.StepRequest(s, peer.RequestEvent{Kind: peer.TimedOut, ID: e.ID})
	}
	return s, l, err
}

// sessionOver tells the regions that the session takes no more work: it retires or is stopped.
func (b *step) sessionOver() error {
	if err := b.endRouting(model.SessionEnded); err != nil {
		return err
	}
	if b.s.Lifecycle.Phase != lifecycle.Stopped {
		return nil
	}
	if err := b.stopListening(); err != nil {
		return err
	}
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

// forgetRegions leaves nothing of them: the session is destroyed. What it had at work in the background has no owner any more.
func (b *step) forgetRegions() {
	if b.s.Work != nil && b.s.Work.Active() > 0 {
		if err := b.work(registry.Event{Kind: registry.TerminateOwner}); err != nil {
			panic(fmt.Sprintf("machine: an owner may be gone at any time: %v", err))
		}
	}
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

// returning tells the regions of a session that was unregistered what a new process would: it was taken away from here like by a crash.
func (b *step) returning() error {
	if !b.s.Lifecycle.Away {
		return nil
	}
	return b.reopened()
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
