package machine_test

import (
	"testing"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/machine/peer"
	"github.com/meerkat-go/meerkat/machine/pmap"
	"github.com/meerkat-go/meerkat/machine/toolserver"
)

func onWork(k registry.Kind, op string) machine.Event {
	return machine.Work{Event: registry.Event{Kind: k, ID: registry.ID(op), Spec: registry.Spec{Name: op}, Token: "w", IDs: []registry.ID{registry.ID(op)}}}
}

// atWork is a session with something at work that is waited for, a server that is being connected, and a question to a peer.
func atWork(t *testing.T) machine.State {
	return must(t, machine.State{Session: session}, machine.Register{}, machine.Attach{Attachment: machine.Attachment{ID: 1}}, onWork(registry.Register, "x"),
		onWork(registry.Start, "x"), onWork(registry.RequestWaitAll, "x"),
		machine.Servers{Event: toolserver.Event{Kind: toolserver.StageAdd, Server: "files"}}, input("i1"),
		machine.Asked{RequestEvent: peer.RequestEvent{Kind: peer.RequestSent, ID: "q", Peer: "ann", Patience: 1}})
}

func TestR96_R118_CheckCommit_notices_what_is_not_told_of_regions(t *testing.T) {
	t.Parallel()
	ends := func(machine.State) machine.Event { return onWork(registry.Fail, "x") }
	connected := func(s machine.State) machine.Event {
		p := s.Servers.Get("files").Pending
		return machine.Servers{Event: toolserver.Event{Kind: toolserver.PendingSucceeded, Server: "files", Task: p.Task, Lineage: p.Lineage}}
	}
	silent := event.Published{Kind: "something else"}
	for _, c := range []struct {
		name, rule string
		ev         func(machine.State) machine.Event
		spoil      func(*machine.Commit)
	}{
		{"an end that is not listed", "R118", ends, func(c *machine.Commit) { c.Operations = nil }},
		{"an end that is listed twice", "R118", ends, func(c *machine.Commit) { c.Operations = append(c.Operations, c.Operations[0]) }},
		{"an end out of order", "R118", ends, func(c *machine.Commit) { c.Operations[0].Seq = 7 }},
		{"an end that is none", "R118", ends, func(c *machine.Commit) { c.Operations[0].Outcome.Status = registry.Running }},
		{"an end that nobody is told", "R118", ends, func(c *machine.Commit) { replace(c, event.BackgroundJobCompleted{}.Type(), silent) }},
		{"an end that did not happen", "R118", connected, func(c *machine.Commit) {
			replace(c, event.ToolConfigChanged{}.Type(), event.BackgroundJobCompleted{Job: "y"})
		}},
		{"a wait of nobody is over", "R96", ends, func(c *machine.Commit) { c.Waits[0].Token = "another" }},
		{"a server changes in silence", "R118", connected, func(c *machine.Commit) { replace(c, event.ToolConfigChanged{}.Type(), silent) }},
		{"another server is told to have changed", "R118", connected, func(c *machine.Commit) {
			replace(c, event.ToolConfigChanged{}.Type(), event.ToolConfigChanged{Target: "web", Phase: "applied"})
		}},
		{"a request that is still open has timed out", "R118", ends, func(c *machine.Commit) {
			replace(c, event.BackgroundJobCompleted{}.Type(), event.PeerRequestTimedOut{Interaction: "q"})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := atWork(t)
			got, err := machine.Step(s, newWorld().at, c.ev(s))
			if err != nil {
				t.Fatal(err)
			}
			if err := machine.CheckCommit(s, got); err != nil {
				t.Fatalf("before: %v", err)
			}
			if c.spoil(&got); !cites(machine.CheckCommit(s, got), c.rule) {
				t.Fatalf("want %s, got %v", c.rule, machine.CheckCommit(s, got))
			}
		})
	}
}

func TestR92_R96_Check_notices_what_is_over_and_still_there(t *testing.T) {
	t.Parallel()
	s := atWork(t)
	done, err := registry.Step(*s.Work, registry.Event{Kind: registry.Fail, ID: "x"})
	if err != nil {
		t.Fatal(err)
	}
	over := s
	over.Work = &done
	if !cites(machine.Check(over), "R96") {
		t.Errorf("a wait that is over: %v", machine.Check(over))
	}
	ended := s
	ended.Transient.Link.Streams = ended.Transient.Link.Streams.Set(pmap.Name("q"), peer.Stream{Phase: peer.Completed})
	if !cites(machine.Check(ended), "R92") {
		t.Errorf("a stream that has ended: %v", machine.Check(ended))
	}
}

// A host must wake a session for what only this process knows, and a session at rest must not be woken for it.
func TestR91_the_clock_here_also_looks_at_the_intake(t *testing.T) {
	t.Parallel()
	s := must(t, machine.State{Session: session}, machine.Register{})
	if _, some := s.WakeHere(); some {
		t.Error("something is due")
	}
	s = must(t, s, machine.Linked{LinkEvent: peer.LinkEvent{Kind: peer.Spawn, Mode: peer.Timed, Runtime: peer.Runtime{ID: "c"}}})
	quiet, _ := peer.QuietAt(s.Transient.Link)
	if at, some := s.WakeHere(); !some || !at.Equal(quiet) {
		t.Errorf("due at %v, %t", at, some)
	}
	if at, some := s.Wake(); some {
		t.Errorf("stored as due at %v", at)
	}
	s = must(t, s, machine.Asked{RequestEvent: peer.RequestEvent{Kind: peer.RequestSent, ID: "q", Peer: "ann", Patience: 1}})
	if at, some := s.WakeHere(); !some || !at.Before(quiet) {
		t.Errorf("due at %v, %t", at, some)
	}
}
