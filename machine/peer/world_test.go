package peer_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine/peer"
)

// world is a session's region together with what one may expect of it, kept by hand and by other means than the tables.
type world struct {
	s   peer.State
	l   peer.Link
	now time.Time
	naive
	quick bool // nothing is stored in between
}

// naive is the region as one would write it down without tables: what it holds, and how an event changes it.
type naive struct {
	local         peer.Peer
	direct        map[string]peer.Peer
	overlay       map[string]peer.Peer
	directEpoch   uint64
	overlayEpoch  uint64
	owner, mob    string
	watermark     uint64
	silent        []string
	out, in       map[string]peer.Request
	holder        string
	drain         string
	mode          peer.Mode
	listener      peer.Runtime
	dismissed     bool
	exit          peer.Reason
	quiet         time.Time
	idle          time.Duration
	reserved      map[string]time.Time
	attached      map[string]bool
	ended         string         // how a stream has just ended
	bound, before peer.Authority // who commands, who did until the new one is published
	published     bool
	gone          map[peer.Authority]bool
	revoked       peer.Authority
}

func begin() *world {
	return &world{now: noon, naive: naive{direct: map[string]peer.Peer{}, overlay: map[string]peer.Peer{}, out: map[string]peer.Request{},
		in: map[string]peer.Request{}, reserved: map[string]time.Time{}, attached: map[string]bool{}, gone: map[peer.Authority]bool{},
		owner: "unattached", drain: "inactive"}}
}

// did reports whether the event is accepted, having changed n.
func (n *naive) did(e peer.Event) bool {
	switch e.Kind {
	case peer.SetLocal:
		if e.Peer.Name != anna.Name && e.Peer.Name != berta.Name {
			return false
		}
		n.local = e.Peer
	case peer.AddDirect:
		if e.Peer.Name != anna.Name && e.Peer.Name != berta.Name {
			return false
		}
		if n.direct[e.Peer.ID] != e.Peer {
			n.direct[e.Peer.ID] = e.Peer
			n.directEpoch++
		}
	case peer.RemoveDirect:
		if _, ok := n.direct[e.Peer.ID]; ok {
			delete(n.direct, e.Peer.ID)
			n.directEpoch++
		}
	case peer.ApplyOverlay:
		next := map[string]peer.Peer{}
		for _, p := range e.Peers {
			next[p.ID] = p
		}
		if e.Epoch <= n.overlayEpoch || len(next) != len(e.Peers) {
			return false
		}
		n.overlay, n.overlayEpoch = next, e.Epoch
	case peer.AttachSession:
		if n.owner == "mob_owned" || e.Runtime == "" || n.owner == "session_owned" && e.Held != "" && e.Held != e.Runtime {
			return false
		}
		n.owner = "session_owned"
	case peer.AttachMob:
		if e.Runtime == "" || e.Mob == "" || n.owner == "mob_owned" && (n.mob != e.Mob || e.Held != "" && e.Held != e.Runtime) {
			return false
		}
		n.owner, n.mob = "mob_owned", e.Mob
	case peer.Detach:
		n.owner, n.mob = "unattached", ""
	case peer.Advance:
		if e.Watermark <= n.watermark {
			return false
		}
		n.watermark = e.Watermark
	case peer.SetSilent:
		n.silent = slices.Compact(slices.Sorted(slices.Values(e.Intents)))
	case peer.ClearSilent:
		n.silent = nil
	}
	return true
}

func (n *naive) withdraw(a peer.Authority) {
	if a != (peer.Authority{}) && a.Peer != n.bound.Peer && a.Peer != n.before.Peer {
		n.gone[a] = true
	}
}

func (n *naive) trust(a peer.Authority) {
	for old := range n.gone {
		if old.Peer == a.Peer {
			delete(n.gone, old)
		}
	}
	n.bound, n.published, n.revoked = a, false, peer.Authority{}
}

func (n *naive) didBridge(e peer.BridgeEvent) bool {
	a, free := peer.Authority{Peer: e.Peer.ID, Epoch: e.Epoch}, n.bound == peer.Authority{}
	switch e.Kind {
	case peer.Bind:
		if e.Sender != e.Peer.ID || !free {
			return !free && a == n.bound && e.Sender == a.Peer
		}
		if a.Peer == wrong.ID {
			return false
		}
		n.trust(a)
	case peer.Authorize:
		if !free && a == n.bound {
			return true
		}
		if free || e.Sender != n.bound.Peer || e.Epoch <= n.bound.Epoch || a.Peer == wrong.ID {
			return false
		}
		was, trusted := n.bound, n.published
		n.trust(a)
		if trusted {
			n.before = was
		} else {
			n.withdraw(was)
		}
	case peer.Revoke:
		if free {
			return a == n.revoked && a != peer.Authority{}
		}
		if a != n.bound {
			return false
		}
		before := n.before
		n.bound, n.before, n.published, n.revoked = peer.Authority{}, peer.Authority{}, false, a
		n.withdraw(a)
		if before.Peer != a.Peer {
			n.withdraw(before)
		}
	case peer.Published:
		if !free && a == n.bound {
			before := n.before
			n.published, n.before = true, peer.Authority{}
			n.withdraw(before)
		}
	case peer.PublishFailed:
		if !free && a == n.bound && !n.published {
			n.bound, n.before, n.published = n.before, peer.Authority{}, n.before != peer.Authority{}
		}
	case peer.Withdrawn:
		delete(n.gone, a)
	}
	return true
}

func (n *naive) didRequest(e peer.RequestEvent) bool {
	ways := map[peer.RequestKind]map[string]peer.Request{peer.RequestReceived: n.in, peer.Replied: n.in, peer.Lapsed: n.in}
	m, ok := ways[e.Kind]
	if !ok {
		m = n.out
	}
	q, open := m[e.ID]
	switch e.Kind {
	case peer.RequestSent, peer.RequestReceived:
		if open || e.ID == "" || e.Peer == "" || e.Patience < 0 || e.Patience > 24*time.Hour {
			return false
		}
		patience := e.Patience
		if patience == 0 {
			patience = 10 * time.Minute
		}
		phase := peer.Sent
		if e.Kind == peer.RequestReceived {
			phase = peer.Received
		}
		m[e.ID] = peer.Request{ID: e.ID, Peer: e.Peer, Intent: e.Intent, Handling: e.Handling, Phase: phase, Deadline: e.Now.Add(patience)}
	case peer.Progressed:
		if !open || q.Peer != e.Peer {
			return false
		}
		q.Phase = peer.AcceptedProgress
		m[e.ID] = q
	case peer.Answered:
		if !open || q.Peer != e.Peer {
			return false
		}
		delete(m, e.ID)
	case peer.Replied:
		if !open {
			return false
		}
		delete(m, e.ID)
	case peer.TimedOut, peer.Lapsed:
		delete(m, e.ID)
	}
	return true
}

// rest is every end of a drain.
func (n *naive) rest(phase string, mode peer.Mode, why peer.Reason, keep bool) {
	n.drain, n.mode, n.exit, n.dismissed, n.quiet, n.idle = phase, mode, why, false, time.Time{}, 0
	if !keep {
		n.listener = peer.Runtime{}
	}
}

func (n *naive) didLink(e peer.LinkEvent) bool {
	persistent, runs := n.mode == peer.PersistentHost, n.drain == "running"
	r := e.Runtime
	if r == (peer.Runtime{}) {
		r = n.listener
	}
	switch e.Kind {
	case peer.Hold:
		if e.Runtime.ID == "" {
			return false
		}
		n.holder = e.Runtime.ID
		if persistent && n.listener != (peer.Runtime{}) {
			n.listener = e.Runtime
		}
	case peer.Release:
		n.holder = ""
		if persistent && n.listener != (peer.Runtime{}) {
			n.rest("stopped", n.mode, max(e.Reason, peer.ExitAborted), false)
		}
	case peer.Spawn:
		if runs || e.Mode == peer.NoMode || e.Runtime.ID == "" || e.Mode == peer.PersistentHost && e.Runtime.ID != n.holder {
			return false
		}
		n.rest("running", e.Mode, peer.NoReason, false)
		n.listener = e.Runtime
		if e.Mode == peer.Timed {
			n.idle = max(e.Idle, 0)
			if n.idle == 0 {
				n.idle = 5 * time.Minute
			}
			n.quiet = e.Now.Add(n.idle)
		}
	case peer.EnsureRunning:
		if runs && r == n.listener {
			return true
		}
		if n.drain == "inactive" || !persistent || r.ID == "" || r.ID != n.holder {
			return false
		}
		n.drain, n.listener, n.exit = "running", r, peer.NoReason
	case peer.Stop:
		if runs || n.drain == "exited_respawnable" {
			n.rest("stopped", n.mode, max(e.Reason, peer.ExitAborted), false)
		}
	case peer.ExitClean, peer.ExitRespawnable, peer.NotifyExited:
		return n.didExit(e, r)
	case peer.Heard:
		if runs && n.mode == peer.Timed {
			n.quiet = e.Now.Add(n.idle)
		}
	case peer.Dismiss:
		n.dismissed = n.dismissed || runs
	}
	return true
}

func (n *naive) didExit(e peer.LinkEvent, r peer.Runtime) bool {
	persistent := n.mode == peer.PersistentHost
	respawn := e.Kind == peer.ExitRespawnable || persistent && e.Reason == peer.ExitFailed
	switch {
	case n.drain != "running":
		return true
	case e.Kind != peer.ExitRespawnable && e.Reason == peer.NoReason:
		return false
	case r != n.listener:
		return true
	case e.Kind == peer.ExitRespawnable && !persistent, e.Kind == peer.ExitClean && respawn:
		return false
	case respawn:
		n.rest("exited_respawnable", n.mode, peer.ExitFailed, true)
	default:
		n.rest("inactive", peer.NoMode, e.Reason, false)
	}
	return true
}

func (n *naive) didStream(e peer.StreamEvent) bool {
	until, waits := n.reserved[e.ID]
	switch e.Kind {
	case peer.StreamReserve:
		if waits || n.attached[e.ID] || e.ID == "" {
			return false
		}
		n.reserved[e.ID] = e.Now.Add(30 * time.Second)
	case peer.StreamAttach:
		if !waits {
			return false
		}
		delete(n.reserved, e.ID)
		if !e.Now.After(until) {
			n.attached[e.ID] = true
		} else {
			n.ended = "expired"
		}
	case peer.StreamExpire, peer.StreamComplete, peer.StreamClose:
		switch {
		case waits:
			n.ended = "expired"
		case n.attached[e.ID] && e.Kind == peer.StreamExpire:
			return false
		case n.attached[e.ID] && e.Kind == peer.StreamComplete:
			n.ended = "completed"
		case n.attached[e.ID]:
			n.ended = "closed_early"
		}
		delete(n.reserved, e.ID)
		delete(n.attached, e.ID)
	}
	return true
}

// tell steps the region and the naive one, and says where they differ, what Check finds, and what does not survive being stored.
func (w *world) tell(e any) error {
	s, l := w.s, w.l
	var err error
	var want bool
	var end peer.Stream
	w.ended = ""
	switch e := e.(type) {
	case peer.Event:
		e.Held = w.l.Ingress
		s, err = peer.Table.Step(w.s, e)
		want = w.did(e)
	case peer.BridgeEvent:
		s.Supervisor, err = peer.Bridge.Step(w.s.Supervisor, e)
		want = w.didBridge(e)
	case peer.RequestEvent:
		e.Now = w.now
		s, _, err = peer.StepRequest(w.s, e)
		want = w.didRequest(e)
	case peer.LinkEvent:
		e.Now = w.now
		l, err = peer.Drain.Step(w.l, e)
		want = w.didLink(e)
	case peer.StreamEvent:
		e.Now = w.now
		l, end, err = peer.StepStream(w.l, e)
		want = w.didStream(e)
	case time.Duration:
		w.now, want = w.now.Add(e), true
	}
	switch {
	case (err == nil) != want:
		return fmt.Errorf("%T %+v: %v, expected acceptance: %t", e, e, err, want)
	case err != nil && (s != w.s || l != w.l):
		return fmt.Errorf("R18: %T %+v was refused and changed something", e, e)
	case !w.quick && s != w.s && encoded(s) == encoded(w.s):
		return fmt.Errorf("R21: %T %+v changed nothing and made another state", e, e)
	}
	w.s, w.l = s, l
	if end.Phase >= peer.Completed && end.Phase.String() != w.ended {
		return fmt.Errorf("after %T %+v the stream has ended as %s, expected %q", e, e, end.Phase, w.ended)
	}
	w.ended = ""
	if err := errors.Join(peer.Check(s), peer.CheckLink(peer.State{Owner: peer.SessionOwned}, l)); err != nil {
		return fmt.Errorf("after %T %+v: %w", e, e, err)
	}
	if got, want := seen(s, l), w.words(); got != want {
		return fmt.Errorf("after %T %+v:\n got %s\nwant %s", e, e, got, want)
	}
	if w.quick {
		return nil
	}
	w.s, err = reload(s)
	return err
}

func encoded(s peer.State) string {
	data, err := json.Marshal(s)
	if err != nil {
		panic(err)
	}
	return string(data)
}

// reload stores a state and loads it again.
func reload(s peer.State) (peer.State, error) {
	var out peer.State
	if err := json.Unmarshal([]byte(encoded(s)), &out); err != nil {
		return out, fmt.Errorf("R22: %s: %w", encoded(s), err)
	}
	if encoded(out) != encoded(s) {
		return out, fmt.Errorf("R22: %s comes back as %s", encoded(s), encoded(out))
	}
	return out, peer.Check(out)
}

// seen puts what a region holds into the words of a naive one.
func seen(s peer.State, l peer.Link) string {
	n := begin().naive
	n.local, n.directEpoch, n.overlayEpoch, n.watermark, n.silent = s.Local, s.DirectEpoch, s.OverlayEpoch, s.Watermark, s.Silent.Names()
	n.owner, n.mob = s.Owner.String(), s.Mob
	for id, p := range s.Direct.All() {
		n.direct[string(id)] = p
	}
	for id, p := range s.Overlay.All() {
		n.overlay[string(id)] = p
	}
	for q := range s.Requests.All() {
		if q.Phase == peer.Received {
			n.in[q.ID] = q
		} else {
			n.out[q.ID] = q
		}
	}
	n.holder, n.drain, n.mode, n.listener, n.exit = l.Ingress, l.Phase.String(), l.Mode, l.Runtime, l.Exit
	n.dismissed, n.quiet, n.idle = l.Dismissed, l.Quiet, l.Idle
	for id, st := range l.Streams.All() {
		if st.Phase == peer.Attached {
			n.attached[string(id)] = true
		} else {
			n.reserved[string(id)] = st.Until
		}
	}
	v := s.Supervisor
	n.bound = peer.Authority{Peer: v.Current.Peer.ID, Epoch: v.Current.Epoch}
	n.before = peer.Authority{Peer: v.Prior.Peer.ID, Epoch: v.Prior.Epoch}
	n.published, n.revoked = v.Published, v.Revoked
	for a := range v.Withdrawing.All() {
		n.gone[a] = true
	}
	return n.words()
}

// words lists everything; maps print in the order of their keys.
func (n naive) words() string { return fmt.Sprintf("%+v", n) }

// The menus list the events of a small world. What belongs together shares a menu, so that a walk gets somewhere.
var menus = map[string][]any{"peers": peerMenu(), "bridge": bridgeMenu(), "requests": requestMenu(), "drain": drainMenu(),
	"streams": streamMenu()}

func peerMenu() (out []any) {
	for _, p := range []peer.Peer{anna, berta, moved, wrong} {
		out = append(out, peer.Event{Kind: peer.SetLocal, Peer: p}, peer.Event{Kind: peer.AddDirect, Peer: p},
			peer.Event{Kind: peer.RemoveDirect, Peer: p})
	}
	for epoch := range uint64(4) {
		out = append(out, peer.Event{Kind: peer.ApplyOverlay, Epoch: epoch, Peers: []peer.Peer{anna}},
			peer.Event{Kind: peer.ApplyOverlay, Epoch: epoch, Peers: []peer.Peer{berta, anna}},
			peer.Event{Kind: peer.ApplyOverlay, Epoch: epoch, Peers: []peer.Peer{moved, anna}}, peer.Event{Kind: peer.Advance, Watermark: epoch})
	}
	out = append(out, peer.Event{Kind: peer.ClearSilent}, peer.Event{Kind: peer.Detach}, peer.Event{Kind: peer.SetSilent},
		peer.Event{Kind: peer.SetSilent, Intents: []string{"x"}}, peer.Event{Kind: peer.SetSilent, Intents: []string{"y", "x", "y"}},
		peer.LinkEvent{Kind: peer.Release})
	for _, r := range []string{"", "r1", "r2"} {
		out = append(out, peer.Event{Kind: peer.AttachSession, Runtime: r}, peer.LinkEvent{Kind: peer.Hold, Runtime: peer.Runtime{ID: r}})
		for _, m := range []string{"", "m1", "m2"} {
			out = append(out, peer.Event{Kind: peer.AttachMob, Runtime: r, Mob: m})
		}
	}
	return out
}

func bridgeMenu() (out []any) {
	out = append(out, peer.BridgeEvent{Kind: peer.Bind, Sender: wrong.ID, Peer: wrong, Epoch: 1})
	for k := peer.Bind; k <= peer.Withdrawn; k++ {
		for _, p := range []peer.Peer{anna, berta, wrong} {
			for epoch := range uint64(3) {
				out = append(out, peer.BridgeEvent{Kind: k, Sender: "a", Peer: p, Epoch: epoch + 1})
				if k <= peer.Authorize {
					out = append(out, peer.BridgeEvent{Kind: k, Sender: "b", Peer: p, Epoch: epoch + 1})
				}
			}
		}
	}
	return out
}

func requestMenu() (out []any) {
	out = append(out, time.Minute, time.Hour)
	for k := peer.RequestSent; k <= peer.Lapsed; k++ {
		for _, id := range []string{"", "q1", "q2"} {
			out = append(out, peer.RequestEvent{Kind: k, ID: id, Peer: "a", Intent: "look", Handling: input.HandlingSteer},
				peer.RequestEvent{Kind: k, ID: id, Peer: "b", Patience: time.Hour})
		}
		out = append(out, peer.RequestEvent{Kind: k, ID: "q1", Peer: "a", Patience: -1}, peer.RequestEvent{Kind: k, ID: "q1"},
			peer.RequestEvent{Kind: k, ID: "q1", Peer: "a", Patience: peer.MaxPatience + 1})
	}
	return out
}

var runtimes = []peer.Runtime{{}, {ID: "r1", Instance: 1}, {ID: "r1", Instance: 2}, {ID: "r2", Instance: 3}}

func drainMenu() (out []any) {
	for _, r := range runtimes {
		out = append(out, peer.LinkEvent{Kind: peer.Hold, Runtime: r}, peer.LinkEvent{Kind: peer.EnsureRunning, Runtime: r},
			peer.LinkEvent{Kind: peer.ExitRespawnable, Runtime: r})
		for m := peer.NoMode; m <= peer.PersistentHost; m++ {
			out = append(out, peer.LinkEvent{Kind: peer.Spawn, Runtime: r, Mode: m})
		}
	}
	for _, r := range runtimes[:2] {
		for _, why := range []peer.Reason{peer.NoReason, peer.ExitFailed, peer.ExitDismissed} {
			out = append(out, peer.LinkEvent{Kind: peer.ExitClean, Runtime: r, Reason: why},
				peer.LinkEvent{Kind: peer.NotifyExited, Runtime: r, Reason: why})
		}
	}
	for _, k := range []peer.LinkKind{peer.Release, peer.Stop, peer.Heard, peer.Dismiss} {
		out = append(out, peer.LinkEvent{Kind: k})
	}
	return append(out, time.Second, peer.LinkEvent{Kind: peer.Heard}, peer.LinkEvent{Kind: peer.Hold, Runtime: runtimes[1]},
		peer.LinkEvent{Kind: peer.Stop, Reason: peer.ExitSessionShutdown},
		peer.LinkEvent{Kind: peer.Spawn, Runtime: runtimes[1], Mode: peer.Timed, Idle: time.Minute})
}

func streamMenu() (out []any) {
	for k := peer.StreamReserve; k <= peer.StreamExpire; k++ {
		for _, id := range []string{"", "i1", "i2"} {
			out = append(out, peer.StreamEvent{Kind: k, ID: id})
		}
	}
	return append(out, time.Second, 30*time.Second)
}
