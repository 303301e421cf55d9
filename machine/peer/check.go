package peer

import (
	"errors"
	"fmt"
	"slices"
)

// Check says what is wrong with the durable state: nil, or joined errors that each begin with the number of a rule of docs/rules.md.
func Check(s State) error {
	var f findings
	f.want((s.Mob != "") == (s.Owner == MobOwned), "R88", "owner %s with mob %q", s.Owner, s.Mob)
	f.want(s.Owner <= MobOwned, "R88", "owner %d", s.Owner)
	for id, p := range s.Direct.All() {
		f.want(string(id) == p.ID && p.wellFormed(), "R89", "direct peer %q is %+v", id, p)
	}
	for id, p := range s.Overlay.All() {
		f.want(string(id) == p.ID && p.wellFormed(), "R89", "peer %q of the overlay is %+v", id, p)
	}
	f.want(s.Direct.IsZero() || s.DirectEpoch > 0, "R89", "%d direct peers at epoch 0", s.Direct.Len())
	f.want(s.Overlay.IsZero() || s.OverlayEpoch > 0, "R89", "an overlay of %d at epoch 0", s.Overlay.Len())
	f.supervisor(s.Supervisor)
	f.requests(s.Requests)
	names := s.Silent.Names()
	f.want(slices.Equal(names, slices.Compact(slices.Sorted(slices.Values(names)))) && s.Silent.IsZero() == (len(names) == 0),
		"R93", "silent intents %q are no set", names)
	return errors.Join(f...)
}

// CheckLink says what is wrong with the transient state beside the durable one. Between the two steps of one command they may disagree.
func CheckLink(s State, l Link) error {
	var f findings
	f.want(l.Ingress == "" || s.Owner != Unattached, "R88", "%q holds an ingress that nobody owns", l.Ingress)
	f.want((l.Phase != Inactive) == (l.Mode != NoMode), "R91", "drain %s in mode %q", l.Phase, l.Mode)
	kept := l.Phase == Running || l.Phase == ExitedRespawnable
	f.want(kept == (l.Runtime != Runtime{}), "R91", "drain %s with runtime %v", l.Phase, l.Runtime)
	f.want(l.Phase != Running || l.Mode != PersistentHost || l.Runtime.ID == l.Ingress, "R91",
		"a persistent drain of %q, and %q holds the ingress", l.Runtime.ID, l.Ingress)
	f.want(l.Phase != ExitedRespawnable || l.Mode == PersistentHost && l.Exit == ExitFailed, "R91",
		"a drain in mode %q is to be run again after %q", l.Mode, l.Exit)
	f.want(l.Phase != Running || l.Exit == NoReason, "R91", "a drain runs and has ended for %q", l.Exit)
	timed := l.Phase == Running && l.Mode == Timed
	f.want(!l.Quiet.IsZero() == timed && (l.Idle > 0) == timed, "R91", "drain %s in mode %q is quiet from %v on", l.Phase, l.Mode, l.Quiet)
	f.want(!l.Dismissed || l.Phase == Running, "R91", "dismissed while %s", l.Phase)
	for id, st := range l.Streams.All() {
		f.want(id != "" && (st.Phase == Reserved || st.Phase == Attached), "R92", "stream %q is kept while %s", id, st.Phase)
		f.want(st.Until.IsZero() == (st.Phase != Reserved), "R92", "stream %q is %s until %v", id, st.Phase, st.Until)
	}
	return errors.Join(f...)
}

type findings []error

// want notes a breach of a rule unless ok.
func (f *findings) want(ok bool, rule, format string, args ...any) {
	if !ok {
		*f = append(*f, fmt.Errorf(rule+": "+format, args...))
	}
}

func (f *findings) supervisor(s Supervisor) {
	f.want(s.Phase <= Bound, "R90", "phase %d", s.Phase)
	f.want((s.Phase == Bound) == (s.Current != Binding{}), "R90", "%s to %+v", s.Phase, s.Current)
	f.want(s.Phase == Bound || !s.Published && s.Prior == Binding{}, "R90", "unbound, published %t, prior %+v", s.Published, s.Prior)
	f.want(s.Phase == Unbound || s.Revoked == Authority{}, "R90", "bound, and %v is remembered as revoked", s.Revoked)
	f.want(s.Prior == Binding{} || !s.Published && s.Prior.Epoch < s.Current.Epoch, "R90", "%v took over from %v, published %t",
		s.Current.authority(), s.Prior.authority(), s.Published)
	for a := range s.Withdrawing.All() {
		for _, b := range s.bindings() {
			f.want(a.Peer != b.Peer.ID, "R90", "%v is to be withdrawn and %v is trusted", a, b.authority())
		}
	}
}

func (f *findings) requests(r Requests) {
	for _, inbound := range [...]bool{false, true} {
		for id, q := range r.way(inbound).All() {
			f.want(string(id) == q.ID && id != "" && q.Peer != "", "R92", "request %q is %+v", id, *q)
			open := q.Phase == Received && inbound || (q.Phase == Sent || q.Phase == AcceptedProgress) && !inbound
			f.want(open, "R92", "request %q of direction inbound=%t is kept while %s", id, inbound, q.Phase)
			f.want(!q.Deadline.IsZero(), "R92", "request %q has no deadline", id)
			_, listed := r.due.Get(due{q.Deadline, inbound, q.ID})
			f.want(listed, "R92", "request %q is not due at its deadline", id)
		}
	}
	n := r.out.Len() + r.in.Len()
	f.want(n == r.due.Len(), "R92", "%d requests and %d deadlines", n, r.due.Len())
}
