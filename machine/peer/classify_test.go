package peer_test

import (
	"slices"
	"testing"

	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine/peer"
)

func TestR93_what_comes_in_is_taken_by_its_class_and_what_has_none_is_not(t *testing.T) {
	t.Parallel()
	p := play(t)
	p.want("", peer.Event{Kind: peer.SetSilent, Intents: []string{"later", peer.IntentBridge, "later"}})
	p.want("", ask(peer.RequestSent, "q", "a"))
	queue, steer := input.HandlingQueue, input.HandlingSteer
	for _, c := range []struct {
		in   peer.Envelope
		want peer.Admission
	}{
		{peer.Envelope{}, peer.Admission{}},
		{peer.Envelope{Kind: peer.MessageEnvelope, Body: "hello"}, peer.Admission{Class: peer.Message, Handling: queue}},
		{peer.Envelope{Kind: peer.MessageEnvelope, Handling: steer}, peer.Admission{Class: peer.Message, Handling: steer}},
		{peer.Envelope{Kind: peer.MessageEnvelope, Body: " dismiss\n"}, peer.Admission{Class: peer.DismissMessage}},
		{peer.Envelope{Kind: peer.MessageEnvelope, Body: "dismiss please"}, peer.Admission{Class: peer.Message, Handling: queue}},
		{peer.Envelope{Kind: peer.MessageEnvelope, Body: "DISMISS", Blocks: true}, peer.Admission{Class: peer.Message, Handling: queue}},
		{peer.Envelope{Kind: peer.RequestEnvelope, ID: "e", Intent: "look", Handling: steer},
			peer.Admission{Class: peer.ActionableRequest, Request: "e", Handling: steer}},
		{peer.Envelope{Kind: peer.RequestEnvelope, ID: "e", Intent: "look"},
			peer.Admission{Class: peer.ActionableRequest, Request: "e", Handling: queue}},
		{peer.Envelope{Kind: peer.RequestEnvelope, ID: "e", Intent: "later", Handling: steer},
			peer.Admission{Class: peer.SilentRequest, Request: "e", Handling: queue}}, // silent is stronger than steer
		{peer.Envelope{Kind: peer.RequestEnvelope, ID: "e", Intent: peer.IntentBridge}, peer.Admission{Class: peer.BridgeCommand, Request: "e"}},
		{peer.Envelope{Kind: peer.RequestEnvelope, ID: "e", From: "a", Intent: peer.NoticePeerAdded},
			peer.Admission{Class: peer.PeerAdded, Request: "e", Subject: "a"}},
		{peer.Envelope{Kind: peer.LifecycleEnvelope, From: "a", Subject: "b", Intent: peer.NoticePeerRetired},
			peer.Admission{Class: peer.PeerRetired, Subject: "b"}},
		{peer.Envelope{Kind: peer.LifecycleEnvelope, From: "a", Intent: peer.NoticePeerUnwired},
			peer.Admission{Class: peer.PeerUnwired, Subject: "a"}},
		{peer.Envelope{Kind: peer.LifecycleEnvelope, From: "a", Intent: "mob.other"}, peer.Admission{}},
		{peer.Envelope{Kind: peer.ResponseEnvelope, InReplyTo: "q", Status: peer.StatusAccepted},
			peer.Admission{Class: peer.ResponseProgress, Request: "q"}},
		{peer.Envelope{Kind: peer.ResponseEnvelope, InReplyTo: "q", Status: peer.StatusCompleted},
			peer.Admission{Class: peer.ResponseTerminal, Request: "q", Handling: steer}}, // as the request wanted it
		{peer.Envelope{Kind: peer.ResponseEnvelope, InReplyTo: "q", Status: peer.StatusFailed, Handling: queue},
			peer.Admission{Class: peer.ResponseTerminal, Request: "q", Handling: queue}},
		{peer.Envelope{Kind: peer.ResponseEnvelope, InReplyTo: "late", Status: peer.StatusFailed},
			peer.Admission{Class: peer.ResponseTerminal, Request: "late", Handling: queue}}, // content counts, whether the request is open or not
		{peer.Envelope{Kind: peer.ResponseEnvelope, InReplyTo: "q", Status: "perhaps"}, peer.Admission{}},
		{peer.Envelope{Kind: peer.AckEnvelope}, peer.Admission{Class: peer.Acknowledgement}},
		{peer.Envelope{Kind: peer.EventEnvelope}, peer.Admission{Class: peer.ExternalEvent, Handling: queue}},
	} {
		if got := peer.Classify(p.s, c.in); got != c.want {
			t.Errorf("%+v: %+v, expected %+v", c.in, got, c.want)
		}
	}
}

func TestR93_a_class_is_admitted_where_the_session_can_do_something_with_it(t *testing.T) {
	t.Parallel()
	all := []peer.Standing{peer.NoSession, peer.StandingIdle, peer.StandingAttached, peer.StandingRunning, peer.StandingRetired,
		peer.StandingStopped}
	live, present, anywhere := all[2:4], all[1:4], all[1:]
	for c, want := range map[peer.Class]struct {
		in             []peer.Standing
		durable, wakes bool
	}{
		peer.Rejected:          {},
		peer.Message:           {live, true, true},
		peer.DismissMessage:    {in: live},
		peer.ActionableRequest: {live, true, true},
		peer.SilentRequest:     {in: live, durable: true},
		peer.BridgeCommand:     {in: anywhere},
		peer.PeerAdded:         {in: present},
		peer.PeerRetired:       {in: anywhere},
		peer.PeerUnwired:       {in: anywhere},
		peer.ResponseProgress:  {in: live},
		peer.ResponseTerminal:  {live, true, true},
		peer.Acknowledgement:   {in: all},
		peer.ExternalEvent:     {live, true, true},
	} {
		for _, at := range all {
			if got := c.Admits(at); got != slices.Contains(want.in, at) {
				t.Errorf("%s at standing %d: admitted %t", c, at, got)
			}
		}
		if c.Durable() != want.durable || c.Wakes() != want.wakes {
			t.Errorf("%s: durable %t, wakes %t", c, c.Durable(), c.Wakes())
		}
	}
}

func TestR93_silent_intents_are_a_set_that_is_replaced_whole_and_forgotten_whole(t *testing.T) {
	t.Parallel()
	p := play(t)
	given := []string{"z", "a", "z"}
	p.want("", peer.Event{Kind: peer.SetSilent, Intents: given})
	given[0] = "changed"
	if got := p.s.Silent.Names(); !slices.Equal(got, []string{"a", "z"}) || !peer.Silent(p.s, "z") || peer.Silent(p.s, "changed") {
		t.Errorf("silent: %q", got)
	}
	p.same(peer.Event{Kind: peer.SetSilent, Intents: []string{"a", "z", "a"}})
	p.want("", peer.Event{Kind: peer.SetSilent, Intents: []string{"b"}})
	if peer.Silent(p.s, "a") {
		t.Error("what is not in the new set is still silent")
	}
	p.want("", peer.Event{Kind: peer.ClearSilent})
	p.same(peer.Event{Kind: peer.ClearSilent})
	p.same(peer.Event{Kind: peer.SetSilent})
	if p.s != (peer.State{}) {
		t.Errorf("left over: %+v", p.s)
	}
}
