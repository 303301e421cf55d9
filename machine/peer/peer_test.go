package peer_test

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/peer"
	"github.com/meerkat-go/meerkat/machine/pmap"
)

// script tells a region one event after another.
type script struct {
	*testing.T
	s peer.State
	l peer.Link
}

func play(t *testing.T) *script { return &script{T: t} }

// tell does what e asks for. It returns the name of the guard or refusal, of a bridge's its cause; empty: it was accepted.
func (p *script) tell(e any) string {
	p.Helper()
	m := moves(noon, e)[0]
	s, l, err := m.do(p.s, p.l)
	var no *fsm.Refusal
	if errors.As(err, &no) {
		if s != p.s || l != p.l {
			p.Errorf("%s was refused and changed something", m.name)
		}
		if _, ok := e.(peer.BridgeEvent); ok {
			return peer.Cause(err)
		}
		if peer.Cause(err) != "" {
			p.Errorf("%s: a bridge would answer %q", m.name, peer.Cause(err))
		}
		return no.Guard
	}
	if err != nil {
		p.Fatal(err)
	}
	p.s, p.l = s, l
	if err := errors.Join(peer.Check(s), peer.CheckLink(s, l)); err != nil {
		p.Errorf("%s: %v", m.name, err)
	}
	return ""
}

// want plays e and compares the refusal.
func (p *script) want(refusal string, e any) {
	p.Helper()
	if got := p.tell(e); got != refusal {
		p.Errorf("%+v: refused with %q, expected %q", e, got, refusal)
	}
}

// same plays e, which is accepted and changes nothing.
func (p *script) same(e any) {
	p.Helper()
	s, l := p.s, p.l
	p.want("", e)
	if p.s != s || p.l != l {
		p.Errorf("%+v changed something", e)
	}
}

func (p *script) drain(want peer.DrainPhase) {
	p.Helper()
	if p.l.Phase != want {
		p.Errorf("drain is %s, expected %s", p.l.Phase, want)
	}
}

var own, other, foreign = runtimes[1], runtimes[2], runtimes[3]

func served(r peer.Runtime, mob string) peer.Context {
	return peer.Context{KeepAlive: true, MaySpawn: true, Runtime: r, Mob: mob}
}

func TestR88_what_a_mob_owns_the_session_does_not_take_back(t *testing.T) {
	t.Parallel()
	p := play(t)
	p.want("", served(own, ""))
	p.want(peer.GuardHolder, served(foreign, ""))
	p.want("", served(foreign, "m1")) // a mob takes over, whatever the runtime
	p.want(peer.WhyMobOwned, served(own, ""))
	p.want(peer.WhyMobOwned, served(foreign, ""))
	p.want(peer.GuardSameMob, served(foreign, "m2"))
	p.want(peer.GuardHolder, served(own, "m1"))
	p.same(served(foreign, "m1"))

	p.want("", peer.Link{}) // the process ends: the owner stays, any runtime of its may hold the ingress
	p.want(peer.WhyMobOwned, served(own, ""))
	p.want("", served(own, "m1"))

	p.want("", peer.Context{})
	p.same(peer.Context{})
	if p.s.Owner != peer.Unattached || p.s.Mob != "" || p.l.Ingress != "" {
		t.Errorf("detached: %+v %+v", p.s, p.l)
	}
	p.want("", served(own, ""))
}

func TestR89_old_epochs_change_nothing(t *testing.T) {
	t.Parallel()
	p := play(t)
	p.want("", peer.Event{Kind: peer.AddDirect, Peer: anna})
	p.same(peer.Event{Kind: peer.AddDirect, Peer: anna})
	p.want("", peer.Event{Kind: peer.AddDirect, Peer: moved})
	p.same(peer.Event{Kind: peer.RemoveDirect, Peer: berta})
	p.want(peer.GuardPeer, peer.Event{Kind: peer.AddDirect, Peer: wrong})
	nobody := peer.Peer{ID: "z", Name: "zero", Key: "ed25519:" + strings.Repeat("A", 43) + "="}
	p.want(peer.GuardPeer, peer.Event{Kind: peer.AddDirect, Peer: nobody})
	if p.s.DirectEpoch != 2 {
		t.Errorf("two changes, epoch %d", p.s.DirectEpoch)
	}
	p.want("", peer.Event{Kind: peer.ApplyOverlay, Epoch: 5, Peers: []peer.Peer{anna, berta}})
	for _, epoch := range []uint64{0, 4, 5} {
		p.want(peer.GuardOverlay, peer.Event{Kind: peer.ApplyOverlay, Epoch: epoch, Peers: []peer.Peer{berta}})
	}
	p.want(peer.GuardPeersOnce, peer.Event{Kind: peer.ApplyOverlay, Epoch: 6, Peers: []peer.Peer{berta, berta}})
	if got := slices.Collect(peer.Effective(p.s)); !slices.Equal(got, []peer.Peer{moved, berta}) {
		t.Errorf("effective peers: %+v", got)
	}
	p.want("", peer.Event{Kind: peer.RemoveDirect, Peer: peer.Peer{ID: "a"}})
	p.want("", peer.Event{Kind: peer.ApplyOverlay, Epoch: 6})
	if n := len(slices.Collect(peer.Effective(p.s))); n != 0 || p.s.DirectEpoch != 3 {
		t.Errorf("%d peers are left, epoch %d", n, p.s.DirectEpoch)
	}
	p.want("", peer.Event{Kind: peer.Advance, Watermark: 7})
	p.want(peer.GuardWatermark, peer.Event{Kind: peer.Advance, Watermark: 7})
}

func bridge(k peer.BridgeKind, sender string, p peer.Peer, epoch uint64) peer.BridgeEvent {
	return peer.BridgeEvent{Kind: k, Sender: sender, Peer: p, Epoch: epoch}
}

func TestR90_a_supervisor_is_bound_handed_over_and_revoked_by_peer_and_epoch(t *testing.T) {
	t.Parallel()
	p := play(t)
	p.want(peer.RejectNotBound, bridge(peer.Authorize, "a", berta, 2))
	p.want(peer.RejectNotBound, bridge(peer.Revoke, "a", anna, 1))
	p.want(peer.RejectSender, bridge(peer.Bind, "b", anna, 1))
	p.want(peer.RejectSpec, bridge(peer.Bind, wrong.ID, wrong, 1))
	p.want("", bridge(peer.Bind, "a", anna, 1))
	p.same(bridge(peer.Bind, "a", anna, 1))
	p.want(peer.RejectAlreadyBound, bridge(peer.Bind, "a", anna, 2))
	p.want(peer.RejectAlreadyBound, bridge(peer.Bind, "b", berta, 1))
	p.same(bridge(peer.Published, "", berta, 1)) // of another authority
	p.same(bridge(peer.Published, "", anna, 2))
	p.want("", bridge(peer.Published, "", anna, 1))
	p.same(bridge(peer.PublishFailed, "", anna, 1)) // too late

	p.want(peer.RejectSender, bridge(peer.Authorize, "b", berta, 2))
	p.want(peer.RejectStale, bridge(peer.Authorize, "a", berta, 1))
	p.want("", bridge(peer.Authorize, "a", berta, 2))
	p.same(bridge(peer.Authorize, "a", berta, 2)) // the acknowledgement was lost
	for cause, who := range map[string]peer.Authority{"": {Peer: "b", Epoch: 2}, peer.RejectSender: {Peer: "a", Epoch: 1},
		peer.RejectStale: {Peer: "b", Epoch: 1}} {
		if got := p.s.Supervisor.Commands(who.Peer, who.Epoch); got != cause {
			t.Errorf("a command of %v is answered %q, expected %q", who, got, cause)
		}
	}
	p.want(peer.RejectStale, bridge(peer.Revoke, "", berta, 1))
	p.want(peer.RejectSender, bridge(peer.Revoke, "", anna, 2))
	p.want("", bridge(peer.Revoke, "", berta, 2))
	p.same(bridge(peer.Revoke, "", berta, 2))
	if got := p.s.Supervisor.Commands("b", 2); got != peer.RejectNotBound {
		t.Errorf("an unbound session answers %q", got)
	}
	p.want("", bridge(peer.Bind, "b", berta, 1)) // each supervisor counts for itself
}

func TestR90_trust_is_added_before_it_is_withdrawn_and_a_failure_brings_the_former_one_back(t *testing.T) {
	t.Parallel()
	p := play(t)
	owes := func(want ...peer.Owed) {
		t.Helper()
		if got := slices.Collect(p.s.Supervisor.Owes()); !slices.Equal(got, want) {
			t.Errorf("owed: %+v, expected %+v", got, want)
		}
	}
	trusts := func(want ...peer.Trusted) {
		t.Helper()
		if got := slices.Collect(peer.Trust(p.s)); !slices.Equal(got, want) {
			t.Errorf("trusted: %+v, expected %+v", got, want)
		}
	}
	a1, b2 := peer.Authority{Peer: "a", Epoch: 1}, peer.Authority{Peer: "b", Epoch: 2}
	owes()
	p.want("", bridge(peer.Bind, "a", anna, 1))
	owes(peer.Owed{Authority: a1})
	p.want("", bridge(peer.PublishFailed, "", anna, 1))
	owes()
	trusts()
	p.want("", bridge(peer.Bind, "a", anna, 1)) // the same may be tried again
	p.want("", bridge(peer.Published, "", anna, 1))
	owes()

	p.want("", bridge(peer.Authorize, "a", berta, 2))
	owes(peer.Owed{Authority: b2})
	trusts(peer.Trusted{Peer: berta, Private: true}, peer.Trusted{Peer: anna, Private: true})
	p.want("", bridge(peer.PublishFailed, "", berta, 2))
	owes()
	trusts(peer.Trusted{Peer: anna, Private: true})
	p.want("", bridge(peer.Authorize, "a", berta, 2))
	p.want("", bridge(peer.Published, "", berta, 2))
	owes(peer.Owed{Authority: a1, Withdraw: true})
	p.same(bridge(peer.Withdrawn, "", anna, 2))
	p.want("", bridge(peer.Withdrawn, "", anna, 1))
	p.same(bridge(peer.Withdrawn, "", anna, 1))
	owes()

	p.want("", bridge(peer.Revoke, "", berta, 2))
	owes(peer.Owed{Authority: b2, Withdraw: true})
	trusts()
	p.want("", bridge(peer.Bind, "b", berta, 3)) // it is trusted again: nothing is to be withdrawn
	owes(peer.Owed{Authority: peer.Authority{Peer: "b", Epoch: 3}})
	p.same(bridge(peer.Withdrawn, "", berta, 2))
	p.want("", peer.Event{Kind: peer.AddDirect, Peer: berta})
	trusts(peer.Trusted{Peer: berta}) // a peer besides, so it is listed
	for range peer.Trust(p.s) {
		break // a reader may stop
	}
	for range p.s.Supervisor.Owes() {
		break
	}
}

func TestR91_the_hosts_context_brings_ingress_and_drain_in_line(t *testing.T) {
	t.Parallel()
	p := play(t)
	set := func(c peer.Context, spawned bool) {
		t.Helper()
		var err error
		var got bool
		p.s, p.l, got, err = peer.SetContext(p.s, p.l, c)
		if err := errors.Join(err, peer.Check(p.s), peer.CheckLink(p.s, p.l)); err != nil || got != spawned {
			t.Errorf("%+v: %v, spawned %t", c, err, got)
		}
	}
	set(peer.Context{KeepAlive: true, MaySpawn: true}, false) // no comms runtime
	set(peer.Context{KeepAlive: true, Runtime: own}, false)   // attached, but no run may begin
	if _, ok := peer.Listening(p.l); ok || !peer.HasComms(p.l) || p.s.Owner != peer.SessionOwned {
		t.Errorf("%+v %+v", p.s, p.l)
	}
	set(served(own, ""), true)
	set(served(own, ""), false)
	set(served(other, ""), true) // another object of it: whoever listened lets go first
	if r, ok := peer.Listening(p.l); r != other || !ok || p.l.Mode != peer.PersistentHost {
		t.Errorf("%+v", p.l)
	}
	set(served(foreign, "m1"), true)
	set(peer.Context{KeepAlive: true, MaySpawn: true}, false)
	p.drain(peer.Running)
	set(peer.Context{Runtime: foreign, Mob: "m1"}, false)
	p.drain(peer.Stopped)
	if p.s.Owner != peer.MobOwned || !peer.HasComms(p.l) {
		t.Errorf("%+v %+v", p.s, p.l)
	}
	set(served(foreign, "m1"), true)
	set(peer.Context{}, false)
	p.drain(peer.Stopped)
	if p.s.Owner != peer.Unattached {
		t.Errorf("%+v", p.s)
	}
	p.want("", peer.LinkEvent{Kind: peer.Spawn, Mode: peer.Timed, Runtime: own})
	set(served(own, ""), false) // a drain of another mode is left alone
	if p.l.Mode != peer.Timed {
		t.Errorf("%+v", p.l)
	}
}

func TestR91_how_a_drain_ends_says_whether_it_is_run_again(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		mode peer.Mode
		why  peer.Reason
		to   peer.DrainPhase
	}{
		{peer.PersistentHost, peer.ExitFailed, peer.ExitedRespawnable},
		{peer.PersistentHost, peer.ExitDismissed, peer.Inactive},
		{peer.PersistentHost, peer.ExitIdleTimeout, peer.Inactive},
		{peer.PersistentHost, peer.ExitAborted, peer.Inactive},
		{peer.PersistentHost, peer.ExitSessionShutdown, peer.Inactive},
		{peer.Timed, peer.ExitIdleTimeout, peer.Inactive},
		{peer.Timed, peer.ExitFailed, peer.Inactive},
		{peer.AttachedSession, peer.ExitFailed, peer.Inactive},
	} {
		p := play(t)
		p.want("", peer.Context{Runtime: own})
		p.want("", peer.LinkEvent{Kind: peer.Spawn, Mode: c.mode, Runtime: own})
		p.want(peer.WhyRunning, peer.LinkEvent{Kind: peer.Spawn, Mode: c.mode, Runtime: own})
		p.same(peer.LinkEvent{Kind: peer.NotifyExited, Runtime: other, Reason: c.why}) // it is not about this one
		p.want(peer.GuardReason, peer.LinkEvent{Kind: peer.NotifyExited})
		running := p.l
		p.want("", peer.LinkEvent{Kind: peer.NotifyExited, Runtime: own, Reason: c.why})
		p.drain(c.to)
		p.same(peer.LinkEvent{Kind: peer.NotifyExited, Reason: peer.ExitAborted})
		ended := p.l

		// Whoever has judged already is held to the same judgement.
		p.l = running
		wrongly, rightly := peer.LinkEvent{Kind: peer.ExitRespawnable}, peer.LinkEvent{Kind: peer.ExitClean, Reason: c.why}
		refusal := peer.GuardPersistent
		if c.to == peer.ExitedRespawnable {
			wrongly, rightly, refusal = rightly, wrongly, peer.GuardClean
		}
		if c.mode != peer.PersistentHost || c.why == peer.ExitFailed {
			p.want(refusal, wrongly)
		}
		p.want("", rightly)
		if p.l != ended {
			t.Errorf("%s after %s: %+v and %+v", c.mode, c.why, p.l, ended)
		}
	}
}

func TestR91_what_failed_is_run_again_and_what_was_stopped_only_when_asked(t *testing.T) {
	t.Parallel()
	p := play(t)
	p.want(peer.WhyNoMode, peer.LinkEvent{Kind: peer.EnsureRunning, Runtime: own})
	p.want(peer.GuardHeld, peer.LinkEvent{Kind: peer.Spawn, Mode: peer.PersistentHost, Runtime: own}) // nobody holds the ingress
	p.want("", served(own, ""))
	p.same(peer.LinkEvent{Kind: peer.EnsureRunning, Runtime: own})
	p.want(peer.GuardHeld, peer.LinkEvent{Kind: peer.EnsureRunning, Runtime: foreign})
	p.want("", peer.LinkEvent{Kind: peer.EnsureRunning, Runtime: other})
	p.want("", peer.LinkEvent{Kind: peer.NotifyExited, Reason: peer.ExitFailed})
	p.want("", peer.LinkEvent{Kind: peer.EnsureRunning}) // it kept its runtime
	if r, ok := peer.Listening(p.l); r != other || !ok {
		t.Errorf("%+v", p.l)
	}
	p.want("", peer.LinkEvent{Kind: peer.NotifyExited, Reason: peer.ExitFailed})
	p.want("", peer.LinkEvent{Kind: peer.Stop}) // not any more
	p.drain(peer.Stopped)
	p.same(peer.LinkEvent{Kind: peer.Stop})
	p.want(peer.GuardRuntime, peer.LinkEvent{Kind: peer.EnsureRunning})
	p.want("", peer.LinkEvent{Kind: peer.EnsureRunning, Runtime: own})
	p.want("", peer.LinkEvent{Kind: peer.Stop, Reason: peer.ExitSessionShutdown})
	if p.l.Exit != peer.ExitSessionShutdown {
		t.Errorf("stopped for %s", p.l.Exit)
	}
}

func TestR91_a_timed_drain_is_quiet_some_time_after_the_last_item_and_a_persistent_one_never(t *testing.T) {
	t.Parallel()
	p := play(t)
	p.want("", peer.LinkEvent{Kind: peer.Spawn, Mode: peer.Timed, Runtime: own})
	at := func(want time.Time) {
		t.Helper()
		if got, ok := peer.QuietAt(p.l); !got.Equal(want) || ok == want.IsZero() {
			t.Errorf("quiet at %v, expected %v", got, want)
		}
	}
	at(noon.Add(300 * time.Second))
	l, err := peer.Drain.Step(p.l, peer.LinkEvent{Kind: peer.Heard, Now: noon.Add(time.Minute)})
	if p.l = l; err != nil {
		t.Fatal(err)
	}
	at(noon.Add(360 * time.Second))
	p.want("", peer.LinkEvent{Kind: peer.NotifyExited, Reason: peer.ExitIdleTimeout})
	at(time.Time{})
	p.want("", served(own, ""))
	at(time.Time{})
	p.want("", peer.LinkEvent{Kind: peer.Dismiss})
	p.same(peer.LinkEvent{Kind: peer.Dismiss})
	if !p.l.Dismissed {
		t.Error("not dismissed")
	}
	p.want("", peer.LinkEvent{Kind: peer.NotifyExited, Reason: peer.ExitDismissed})
	p.same(peer.LinkEvent{Kind: peer.Dismiss})
}

func ask(k peer.RequestKind, id, who string) peer.RequestEvent {
	return peer.RequestEvent{Kind: k, ID: id, Peer: who, Handling: input.HandlingSteer}
}

func TestR92_a_request_is_answered_once_by_the_peer_that_was_asked(t *testing.T) {
	t.Parallel()
	p := play(t)
	p.want(peer.WhyNotOpen, ask(peer.Answered, "q", "a"))
	p.want("", ask(peer.RequestSent, "q", "a"))
	p.want(peer.WhyOpen, ask(peer.RequestSent, "q", "b"))
	p.want("", ask(peer.Progressed, "q", "a"))
	p.same(ask(peer.Progressed, "q", "a"))
	p.want(peer.GuardAsked, ask(peer.Answered, "q", "b"))
	if q, ok := p.s.Requests.Outbound("q"); !ok || q.Phase != peer.AcceptedProgress || q.Handling != input.HandlingSteer {
		t.Errorf("%+v", q)
	}
	p.want("", ask(peer.Answered, "q", "a"))
	p.want(peer.WhyNotOpen, ask(peer.Answered, "q", "a"))
	p.want(peer.WhyNotOpen, ask(peer.Progressed, "q", "a"))
	p.same(ask(peer.TimedOut, "q", ""))

	// The other direction has ids of its own, and a reply that failed can be tried again: only one that was sent closes it.
	p.want("", ask(peer.RequestReceived, "q", "a"))
	p.want("", ask(peer.RequestSent, "q", "b"))
	p.want(peer.WhyOpen, ask(peer.RequestReceived, "q", "a"))
	p.same(ask(peer.Lapsed, "other", ""))
	p.want("", ask(peer.Replied, "q", ""))
	p.want(peer.WhyNotOpen, ask(peer.Replied, "q", ""))
	if _, ok := p.s.Requests.Inbound("q"); ok || p.s.Requests.Len() != 1 {
		t.Error("the reply closed another request")
	}
}

func TestR92_deadlines_are_kept_with_the_state_and_due_in_order(t *testing.T) {
	t.Parallel()
	p := play(t)
	patient := func(k peer.RequestKind, id string, d time.Duration) peer.RequestEvent {
		return peer.RequestEvent{Kind: k, ID: id, Peer: "a", Patience: d}
	}
	p.want("", patient(peer.RequestSent, "later", time.Hour))
	p.want("", patient(peer.RequestReceived, "default", 0))
	p.want("", patient(peer.RequestSent, "default", 0))
	p.want("", patient(peer.RequestSent, "soon", time.Second))
	p.want(peer.GuardPatience, patient(peer.RequestSent, "never", 24*time.Hour+1))
	p.want(peer.GuardPatience, patient(peer.RequestSent, "past", -1))
	p.want("", patient(peer.RequestSent, "day", 24*time.Hour))

	loaded, err := reload(p.s)
	if err != nil {
		t.Fatal(err)
	}
	if at, ok := peer.Deadline(loaded); !ok || !at.Equal(noon.Add(time.Second)) {
		t.Errorf("the next deadline is %v", at)
	}
	due := func(now time.Time) (ids []string) {
		for q := range peer.Due(loaded, now) {
			ids = append(ids, q.ID+" "+q.Phase.String())
		}
		return ids
	}
	if got := due(noon); len(got) != 0 {
		t.Errorf("due at once: %q", got)
	}
	if got, want := due(noon.Add(time.Hour)), []string{"soon sent", "default sent", "default received", "later sent"}; !slices.Equal(got, want) {
		t.Errorf("due: %q, expected %q", got, want)
	}
	for range peer.Due(loaded, noon.Add(time.Hour)) {
		break // a reader may stop
	}
	p.s = loaded
	p.want("", ask(peer.TimedOut, "soon", ""))
	p.want("", ask(peer.Lapsed, "default", ""))
	if at, ok := peer.Deadline(p.s); !ok || !at.Equal(noon.Add(10*time.Minute)) {
		t.Errorf("the next deadline is %v", at)
	}
}

func TestR92_a_stream_has_one_subscriber_and_one_end(t *testing.T) {
	t.Parallel()
	var l peer.Link
	step := func(k peer.StreamKind, after time.Duration, want peer.StreamPhase, refusal string) {
		t.Helper()
		next, st, err := peer.StepStream(l, peer.StreamEvent{Kind: k, ID: "i", Now: noon.Add(after)})
		var no *fsm.Refusal
		if got := ""; errors.As(err, &no) != (refusal != "") || no != nil && no.Guard != refusal {
			t.Errorf("%s: refused with %q, expected %q", k, got, refusal)
		}
		if l = next; err == nil && st.Phase != want {
			t.Errorf("%s: %s, expected %s", k, st.Phase, want)
		}
	}
	step(peer.StreamAttach, 0, 0, peer.WhyNotReserved)
	step(peer.StreamReserve, 0, peer.Reserved, "")
	step(peer.StreamReserve, 0, 0, peer.WhyReserved)
	step(peer.StreamAttach, 30*time.Second, peer.Attached, "")
	step(peer.StreamAttach, 30*time.Second, 0, peer.WhyAttached)
	step(peer.StreamExpire, 0, 0, peer.WhyAttached)
	step(peer.StreamComplete, 0, peer.Completed, "")
	step(peer.StreamClose, 0, peer.NoStream, "") // the other end of the race
	step(peer.StreamReserve, 0, peer.Reserved, "")
	step(peer.StreamAttach, 30*time.Second+1, peer.Expired, "") // too late, which ends it
	step(peer.StreamAttach, 31*time.Second, 0, peer.WhyNotReserved)
	step(peer.StreamComplete, 0, peer.NoStream, "")
	step(peer.StreamReserve, 0, peer.Reserved, "")
	step(peer.StreamComplete, 0, peer.Expired, "") // the outcome was there first
	step(peer.StreamReserve, 0, peer.Reserved, "")
	step(peer.StreamAttach, 0, peer.Attached, "")
	step(peer.StreamClose, 0, peer.ClosedEarly, "")
	step(peer.StreamComplete, 0, peer.NoStream, "")
	if l != (peer.Link{}) {
		t.Errorf("left over: %+v", l)
	}
}

func TestR22_a_request_that_is_stored_wrongly_is_refused(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{`[{"id":"q","peer":"a","phase":0}]`, `[{"id":"q","peer":"a","phase":4}]`, `{}`,
		`[{"id":"q","peer":"a","phase":1},{"id":"q","peer":"a","phase":2}]`} {
		var r peer.Requests
		if err := r.UnmarshalJSON([]byte(bad)); err == nil || !r.IsZero() {
			t.Errorf("%s was read as %d requests", bad, r.Len())
		}
	}
	var i peer.Intents
	if err := i.UnmarshalJSON([]byte(`{}`)); err == nil {
		t.Error("a set of intents is a list")
	}
}

func TestR88_to_R93_what_breaks_a_rule_is_found(t *testing.T) {
	t.Parallel()
	bound := peer.Supervisor{Phase: peer.Bound, Current: peer.Binding{Peer: anna, Epoch: 2}}
	again := bound
	again.Withdrawing = again.Withdrawing.Set(peer.Authority{Peer: "a", Epoch: 1}, struct{}{})
	for _, c := range []struct {
		rule string
		s    peer.State
		l    peer.Link
	}{
		{"R88", peer.State{Owner: peer.MobOwned}, peer.Link{}},
		{"R88", peer.State{Mob: "m1"}, peer.Link{}},
		{"R88", peer.State{}, peer.Link{Ingress: "r1"}},
		{"R89", peer.State{Direct: set(anna)}, peer.Link{}},
		{"R89", peer.State{Overlay: set(wrong), OverlayEpoch: 1}, peer.Link{}},
		{"R90", peer.State{Supervisor: peer.Supervisor{Phase: peer.Bound}}, peer.Link{}},
		{"R90", peer.State{Supervisor: again}, peer.Link{}},
		{"R91", peer.State{}, peer.Link{Phase: peer.Stopped}},
		{"R91", peer.State{}, peer.Link{Mode: peer.Timed}},
		{"R91", peer.State{}, peer.Link{Phase: peer.Running, Mode: peer.PersistentHost, Runtime: own}},
		{"R92", peer.State{}, peer.Link{Streams: pmap.Map[pmap.Name, peer.Stream]{}.Set("i", peer.Stream{Phase: peer.Expired})}},
	} {
		err := errors.Join(peer.Check(c.s), peer.CheckLink(c.s, c.l))
		if err == nil || !strings.Contains(err.Error(), c.rule+": ") {
			t.Errorf("%+v %+v: %v, expected a breach of %s", c.s, c.l, err, c.rule)
		}
	}
}
