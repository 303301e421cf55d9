package peer

import (
	"cmp"
	"errors"
	"iter"

	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/pmap"
)

// Authority names a supervisor at one epoch. Acknowledgements match it and nothing else.
type Authority struct {
	Peer  string `json:"peer"`
	Epoch uint64 `json:"epoch"`
}

// Compare orders by peer, then by epoch.
func (a Authority) Compare(o Authority) int {
	return cmp.Or(cmp.Compare(a.Peer, o.Peer), cmp.Compare(a.Epoch, o.Epoch))
}

// Binding is a supervisor that was bound at an epoch. The zero value: none.
type Binding struct {
	Peer  Peer   `json:"peer"`
	Epoch uint64 `json:"epoch"`
}

func (b Binding) authority() Authority { return Authority{b.Peer.ID, b.Epoch} }

// BridgePhase of the session's supervision.
type BridgePhase uint8

// The phases. The numbers are stored.
const (
	Unbound BridgePhase = iota // the zero value: nobody commands the session
	Bound                      // one supervisor does, at one epoch
)

var bridgePhases = []string{"unbound", "bound"}

// String returns the public name.
func (p BridgePhase) String() string { return bridgePhases[p] }

// Supervisor is who may command the session, and what is left to do about the trust in it and in those before it.
type Supervisor struct {
	Phase       BridgePhase                   `json:"phase,omitempty"`
	Current     Binding                       `json:"current,omitzero"`
	Published   bool                          `json:"published,omitempty"` // the trust store holds Current
	Prior       Binding                       `json:"prior,omitzero"`      // what Current took over from, trusted until Current is published
	Revoked     Authority                     `json:"revoked,omitzero"`    // Unbound: the last that was revoked
	Withdrawing pmap.Map[Authority, struct{}] `json:"withdrawing,omitzero"`
}

// bindings lists those that are trusted now.
func (s Supervisor) bindings() []Binding {
	switch {
	case s.Phase == Unbound:
		return nil
	case s.Prior == Binding{} || s.Prior.Peer.ID == s.Current.Peer.ID:
		return []Binding{s.Current}
	}
	return []Binding{s.Current, s.Prior}
}

// BridgeKind is a kind of BridgeEvent.
type BridgeKind uint8

// The kinds.
const (
	Bind          BridgeKind = iota // a supervisor whose token and version are good takes an unbound session
	Authorize                       // the present one hands over to another, or to itself at a new epoch
	Revoke                          // the session is nobody's any more
	Published                       // the trust store holds the authority
	PublishFailed                   // it does not, and will not
	Withdrawn                       // it holds it no more
)

var bridgeKinds = []string{"bind", "authorize", "revoke", "published", "publish_failed", "withdrawn"}

// String returns the public name.
func (k BridgeKind) String() string { return bridgeKinds[k] }

// BridgeEvent is an event of Bridge. That tokens, versions and signatures are good was decided before.
type BridgeEvent struct {
	Kind   BridgeKind
	Sender string // Bind, Authorize: the peer that sent the command
	Peer   Peer   // the supervisor meant; all but Bind and Authorize need its ID alone
	Epoch  uint64
}

func (e BridgeEvent) authority() Authority { return Authority{e.Peer.ID, e.Epoch} }

// Causes a bridge answers a refused command with. Cause says which belongs to a refusal.
const (
	RejectNotBound     = "not_bound"
	RejectAlreadyBound = "already_bound"
	RejectStale        = "stale_supervisor"
	RejectSender       = "sender_mismatch"
	RejectSpec         = "invalid_supervisor_spec"
)

type bridgeGuard = fsm.Guard[Supervisor, BridgeEvent]

const whyNotBound = "no supervisor is bound"

var (
	specIsGood      = bridgeGuard{Name: "supervisor is well formed", OK: func(_ Supervisor, e BridgeEvent) bool { return e.Peer.wellFormed() }}
	speaksForItself = bridgeGuard{Name: "supervisor speaks for itself", OK: func(_ Supervisor, e BridgeEvent) bool { return e.Sender == e.Peer.ID }}
	bindsAgain      = bridgeGuard{Name: "the bound supervisor binds again", OK: func(s Supervisor, e BridgeEvent) bool {
		return e.authority() == s.Current.authority() && e.Sender == e.Peer.ID
	}}
	senderCommands = bridgeGuard{Name: "sender is the bound supervisor", OK: func(s Supervisor, e BridgeEvent) bool {
		return e.Sender == s.Current.Peer.ID
	}}
	epochIsNewer = bridgeGuard{Name: "epoch is newer", OK: func(s Supervisor, e BridgeEvent) bool { return e.Epoch > s.Current.Epoch }}
	isCurrent    = bridgeGuard{Name: "it is the bound authority", OK: func(s Supervisor, e BridgeEvent) bool {
		return e.authority() == s.Current.authority()
	}}
	peerIsBound = bridgeGuard{Name: "peer is the bound supervisor", OK: func(s Supervisor, e BridgeEvent) bool {
		return e.Peer.ID == s.Current.Peer.ID
	}}
	epochIsBound   = bridgeGuard{Name: "epoch is the bound one", OK: func(s Supervisor, e BridgeEvent) bool { return e.Epoch == s.Current.Epoch }}
	revokedAlready = bridgeGuard{Name: "it was revoked last", OK: func(s Supervisor, e BridgeEvent) bool {
		return s.Revoked != Authority{} && e.authority() == s.Revoked
	}}
	unpublished = bridgeGuard{Name: "it is not published yet", OK: func(s Supervisor, _ BridgeEvent) bool { return !s.Published }}
	tookOver    = bridgeGuard{Name: "it took over from another", OK: func(s Supervisor, _ BridgeEvent) bool { return s.Prior != Binding{} }}
)

// Cause returns what a bridge answers where Bridge refused with err; empty: err is no such refusal.
func Cause(err error) string {
	var no *fsm.Refusal
	if !errors.As(err, &no) || no.Region != Bridge.Region {
		return ""
	}
	switch no.Guard {
	case whyNotBound, revokedAlready.Name:
		return RejectNotBound
	case bindsAgain.Name:
		return RejectAlreadyBound
	case epochIsNewer.Name, epochIsBound.Name:
		return RejectStale
	case speaksForItself.Name, senderCommands.Name, peerIsBound.Name:
		return RejectSender
	case specIsGood.Name:
		return RejectSpec
	}
	return ""
}

// install makes a binding the current one. What was still to be withdrawn from that peer is not any more.
func (s Supervisor) install(b Binding) Supervisor {
	for a := range s.Withdrawing.All() {
		if a.Peer == b.Peer.ID {
			s.Withdrawing = s.Withdrawing.Delete(a)
		}
	}
	s.Current, s.Published, s.Revoked = b, false, Authority{}
	return s
}

// withdraw notes that a peer is to be trusted no more, unless it still is.
func (s Supervisor) withdraw(b Binding) Supervisor {
	if b != (Binding{}) && b.Peer.ID != s.Current.Peer.ID && b.Peer.ID != s.Prior.Peer.ID {
		s.Withdrawing = s.Withdrawing.Set(b.authority(), struct{}{})
	}
	return s
}

// authorize hands over. The one that is trusted stays so until its successor is: first add, then remove.
func authorize(s Supervisor, e BridgeEvent) Supervisor {
	was, published := s.Current, s.Published
	s = s.install(Binding{e.Peer, e.Epoch})
	if published {
		s.Prior = was
		return s
	}
	return s.withdraw(was)
}

func revoke(s Supervisor, e BridgeEvent) Supervisor {
	was, prior := s.Current, s.Prior
	s.Current, s.Prior, s.Published, s.Revoked = Binding{}, Binding{}, false, e.authority()
	if prior.Peer.ID == was.Peer.ID {
		prior = Binding{}
	}
	return s.withdraw(was).withdraw(prior)
}

func published(s Supervisor, _ BridgeEvent) Supervisor {
	prior := s.Prior
	s.Published, s.Prior = true, Binding{}
	return s.withdraw(prior)
}

func restored(s Supervisor, _ BridgeEvent) Supervisor {
	s.Current, s.Prior, s.Published = s.Prior, Binding{}, true
	return s
}

func rolledBack(s Supervisor, _ BridgeEvent) Supervisor {
	s.Current = Binding{}
	return s
}

func withdrawn(s Supervisor, e BridgeEvent) Supervisor {
	s.Withdrawing = s.Withdrawing.Delete(e.authority())
	return s
}

// Bridge decides who may command the session.
var Bridge = fsm.Must(fsm.Table[BridgePhase, BridgeKind, Supervisor, BridgeEvent]{
	Region: "peer/bridge",
	Phases: bridgePhases,
	Events: bridgeKinds,
	Phase:  func(s Supervisor) BridgePhase { return s.Phase },
	Move:   func(s Supervisor, p BridgePhase) Supervisor { s.Phase = p; return s },
	Kind:   func(e BridgeEvent) BridgeKind { return e.Kind },
	Rules: []fsm.Rule[BridgePhase, BridgeKind, Supervisor, BridgeEvent]{
		{On: Bind, From: []BridgePhase{Unbound}, When: []bridgeGuard{specIsGood, speaksForItself}, To: Bound, // B1
			Do: func(s Supervisor, e BridgeEvent) Supervisor { return s.install(Binding{e.Peer, e.Epoch}) }},
		{On: Bind, From: []BridgePhase{Bound}, When: []bridgeGuard{bindsAgain}, Stay: true}, // B2

		{On: Authorize, From: []BridgePhase{Bound}, When: []bridgeGuard{specIsGood, senderCommands, epochIsNewer}, Stay: true, // B3
			Do: authorize},
		{On: Authorize, From: []BridgePhase{Bound}, When: []bridgeGuard{isCurrent}, Stay: true}, // B4

		{On: Revoke, From: []BridgePhase{Bound}, When: []bridgeGuard{peerIsBound, epochIsBound}, To: Unbound, Do: revoke}, // B5
		{On: Revoke, From: []BridgePhase{Unbound}, When: []bridgeGuard{revokedAlready}, Stay: true},                       // B6

		{On: Published, From: []BridgePhase{Bound}, When: []bridgeGuard{isCurrent}, Stay: true, Do: published}, // B7
		{On: Published, From: []BridgePhase{Unbound, Bound}, Stay: true},                                       // B8

		{On: PublishFailed, From: []BridgePhase{Bound}, When: []bridgeGuard{isCurrent, tookOver}, Stay: true, Do: restored},       // B9
		{On: PublishFailed, From: []BridgePhase{Bound}, When: []bridgeGuard{isCurrent, unpublished}, To: Unbound, Do: rolledBack}, // B10
		{On: PublishFailed, From: []BridgePhase{Unbound, Bound}, Stay: true},                                                      // B11

		{On: Withdrawn, From: []BridgePhase{Unbound, Bound}, Stay: true, Do: withdrawn}, // B12
	},
	Refuse: []fsm.No[BridgePhase, BridgeKind]{
		{On: Authorize, From: []BridgePhase{Unbound}, Why: whyNotBound}, // B13
	},
})

// Commands says why a command of the bridge, sent by that peer under that epoch, is not to be followed: RejectNotBound, RejectSender or
// RejectStale. Empty: it is.
func (s Supervisor) Commands(sender string, epoch uint64) string {
	switch {
	case s.Phase == Unbound:
		return RejectNotBound
	case sender != s.Current.Peer.ID:
		return RejectSender
	case epoch != s.Current.Epoch:
		return RejectStale
	}
	return ""
}

// Owed is something to be done in the trust store and then acknowledged, by exactly this authority.
type Owed struct {
	Authority Authority
	Withdraw  bool // false: publish, and tell Published or PublishFailed; true: withdraw, and tell Withdrawn
}

// Owes yields what is owed, the publication first. An authority to be withdrawn is never one that is trusted.
func (s Supervisor) Owes() iter.Seq[Owed] {
	return func(yield func(Owed) bool) {
		if s.Phase == Bound && !s.Published && !yield(Owed{Authority: s.Current.authority()}) {
			return
		}
		for a := range s.Withdrawing.All() {
			if !yield(Owed{a, true}) {
				return
			}
		}
	}
}
