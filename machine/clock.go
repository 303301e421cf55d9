package machine

import (
	"slices"
	"time"

	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/peer"
	"github.com/meerkat-go/meerkat/machine/toolserver"
)

// Tick tells a session the time: what is due by then comes to its end. Told too early it changes nothing.
type Tick struct{}

func (Tick) machineEvent() {}

// Wake returns when the session next wants a Tick, and whether it wants one at all. It goes by the durable part alone, so that whoever finds the
// session at rest knows it too.
func (s State) Wake() (time.Time, bool) {
	var next time.Time
	some := false
	earlier := func(t time.Time, ok bool) {
		if ok && (!some || t.Before(next)) {
			next, some = t, true
		}
	}
	if s.Lifecycle.Away || s.Lifecycle.Phase == lifecycle.Unregistered || s.Lifecycle.Phase == lifecycle.Destroyed {
		return next, false
	}
	earlier(s.Deadline(), !s.Deadline().IsZero())
	if s.Servers != nil {
		earlier(toolserver.Deadline(*s.Servers))
	}
	if s.Peer != nil {
		earlier(peer.Deadline(*s.Peer))
	}
	return next, some
}

// WakeHere is Wake with what only this process knows: when a timed drain has been quiet for long enough. It is for a host's own clock.
func (s State) WakeHere() (time.Time, bool) {
	next, some := s.Wake()
	if quiet, ok := peer.QuietAt(s.Transient.Link); ok && (!some || quiet.Before(next)) {
		return quiet, true
	}
	return next, some
}

// tick ends what is due.
func (b *step) tick() error {
	if b.s.Overdue(b.at) {
		b.round = b.inRound()
		if err := b.exhausted(b.timeIsUp(""), nil); err != nil {
			return err
		}
	}
	if b.s.Servers != nil {
		if err := b.servers(toolserver.Event{Kind: toolserver.Tick}); err != nil {
			return err
		}
	}
	if quiet, ok := peer.QuietAt(b.s.Transient.Link); ok && !b.at.Before(quiet) {
		if err := b.peers(Linked{peer.LinkEvent{Kind: peer.NotifyExited, Reason: peer.ExitIdleTimeout}}); err != nil {
			return err
		}
	}
	if b.s.Peer == nil {
		return nil
	}
	var unanswered []peer.Request
	for _, r := range slices.Collect(peer.Due(*b.s.Peer, b.at)) {
		kind := peer.Lapsed
		if r.Phase != peer.Received {
			kind, unanswered = peer.TimedOut, append(unanswered, r)
		}
		if err := b.peers(Asked{peer.RequestEvent{Kind: kind, ID: r.ID, Peer: r.Peer}}); err != nil {
			return err
		}
	}
	return b.unanswered(unanswered)
}
