package peer

import (
	"encoding/json"
	"iter"
	"slices"
	"strings"
	"unicode"

	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/pmap"
)

// Peer describes somebody who can be written to. ID alone routes; Name is a label and may be shared.
type Peer struct {
	ID      string `json:"id"`
	Name    string `json:"name,omitempty"`
	Address string `json:"address,omitempty"`
	Key     string `json:"key,omitempty"`  // public key, as text; that ID follows from it is checked where keys are known
	Meta    string `json:"meta,omitempty"` // what is shown beside the name, as canonical JSON; opaque here
}

// zeroKey is the text of the key that belongs to nobody.
var zeroKey = "ed25519:" + strings.Repeat("A", 43) + "="

func (p Peer) wellFormed() bool {
	return p.ID != "" && p.Name != "" && !strings.ContainsFunc(p.Name, unicode.IsControl) && p.Key != "" && p.Key != zeroKey
}

// Peers are peers by their ID.
type Peers = pmap.Map[pmap.Name, Peer]

// Owner of the ingress: the door by which what peers send comes in.
type Owner uint8

// The owners. The numbers are stored.
const (
	Unattached   Owner = iota // the zero value: nobody
	SessionOwned              // the session's own comms runtime
	MobOwned                  // a mob's, by name; the session cannot take it back except by detaching
)

var owners = []string{"unattached", "session_owned", "mob_owned"}

// String returns the public name.
func (o Owner) String() string { return owners[o] }

// State is the durable part of the region. The zero value never had to do with a peer. It is a value and can be compared: a step that
// accepts and changes nothing returns an equal one.
type State struct {
	Local        Peer       `json:"local,omitzero"` // the session itself, as others see it
	Direct       Peers      `json:"direct,omitzero"`
	DirectEpoch  uint64     `json:"direct_epoch,omitempty"` // one more with each change of Direct
	Overlay      Peers      `json:"overlay,omitzero"`       // what a mob has wired; replaced whole
	OverlayEpoch uint64     `json:"overlay_epoch,omitempty"`
	Owner        Owner      `json:"owner,omitempty"`
	Mob          string     `json:"mob,omitempty"` // set exactly in MobOwned
	Supervisor   Supervisor `json:"supervisor,omitzero"`
	Requests     Requests   `json:"requests,omitzero"`
	Watermark    uint64     `json:"watermark,omitempty"` // how much of the session's context has been taken up
	Silent       Intents    `json:"silent,omitzero"`
}

// Kind of event.
type Kind uint8

// The kinds.
const (
	SetLocal      Kind = iota // say who the session is
	AddDirect                 // know a peer, or know it better
	RemoveDirect              // know it no more
	ApplyOverlay              // the mob's whole wiring, newer than the last
	AttachSession             // the session's comms runtime takes the ingress
	AttachMob                 // a mob's does
	Detach                    // nobody does
	Advance                   // the context was taken up that far
	SetSilent                 // requests of these intents wait without waking anybody
	ClearSilent               // none do: the session is reset, or stops
)

var kinds = []string{"set_local", "add_direct", "remove_direct", "apply_overlay", "attach_session", "attach_mob", "detach", "advance",
	"set_silent", "clear_silent"}

// String returns the public name.
func (k Kind) String() string { return kinds[k] }

// Event of Table. What it points to is never changed.
type Event struct {
	Kind      Kind
	Peer      Peer     // SetLocal, AddDirect; RemoveDirect: its ID
	Peers     []Peer   // ApplyOverlay
	Epoch     uint64   // ApplyOverlay
	Runtime   string   // AttachSession, AttachMob: identity of the comms runtime
	Mob       string   // AttachMob
	Held      string   // AttachSession, AttachMob: a fact of the Link, the runtime that holds the ingress now; empty: none does
	Watermark uint64   // Advance
	Intents   []string // SetSilent, in any order
}

// Guards and refusals that callers tell apart.
const (
	GuardPeer      = "peer is well formed"
	GuardPeersOnce = "peers are well formed and named once"
	GuardOverlay   = "overlay is newer"
	GuardRuntime   = "comms runtime is named"
	GuardMob       = "mob is named"
	GuardSameMob   = "the same mob owns the ingress"
	GuardHolder    = "no other comms runtime holds the ingress"
	GuardWatermark = "watermark is newer"
	WhyMobOwned    = "a mob owns the ingress"
)

type guard = fsm.Guard[State, Event]

var (
	peerIsWellFormed = guard{Name: GuardPeer, OK: func(_ State, e Event) bool { return e.Peer.wellFormed() }}
	peersAreNamed    = guard{Name: GuardPeersOnce, OK: func(_ State, e Event) bool { return named(e.Peers) }}
	overlayIsNewer   = guard{Name: GuardOverlay, OK: func(s State, e Event) bool { return e.Epoch > s.OverlayEpoch }}
	runtimeIsNamed   = guard{Name: GuardRuntime, OK: func(_ State, e Event) bool { return e.Runtime != "" }}
	mobIsNamed       = guard{Name: GuardMob, OK: func(_ State, e Event) bool { return e.Mob != "" }}
	mobIsTheSame     = guard{Name: GuardSameMob, OK: func(s State, e Event) bool { return s.Mob == e.Mob }}
	holderIsTheSame  = guard{Name: GuardHolder, OK: func(_ State, e Event) bool { return e.Held == "" || e.Held == e.Runtime }}
	watermarkIsNewer = guard{Name: GuardWatermark, OK: func(s State, e Event) bool { return e.Watermark > s.Watermark }}
)

// named reports whether the peers make a set: each is well formed, none is there twice.
func named(peers []Peer) bool {
	seen := make(map[string]bool, len(peers))
	for _, p := range peers {
		if !p.wellFormed() || seen[p.ID] {
			return false
		}
		seen[p.ID] = true
	}
	return true
}

func addDirect(s State, e Event) State {
	name := pmap.Name(e.Peer.ID)
	if known, ok := s.Direct.Get(name); ok && known == e.Peer {
		return s
	}
	s.Direct, s.DirectEpoch = s.Direct.Set(name, e.Peer), s.DirectEpoch+1
	return s
}

func removeDirect(s State, e Event) State {
	if _, ok := s.Direct.Get(pmap.Name(e.Peer.ID)); !ok {
		return s
	}
	s.Direct, s.DirectEpoch = s.Direct.Delete(pmap.Name(e.Peer.ID)), s.DirectEpoch+1
	return s
}

func applyOverlay(s State, e Event) State {
	s.Overlay, s.OverlayEpoch = Peers{}, e.Epoch
	for _, p := range e.Peers {
		s.Overlay = s.Overlay.Set(pmap.Name(p.ID), p)
	}
	return s
}

var anyOwner = []Owner{Unattached, SessionOwned, MobOwned}

// Table decides what has no entity of its own: peers, the owner of the ingress, the context.
var Table = fsm.Must(fsm.Table[Owner, Kind, State, Event]{
	Region: "peer",
	Phases: owners,
	Events: kinds,
	Phase:  func(s State) Owner { return s.Owner },
	Move:   func(s State, o Owner) State { s.Owner = o; return s },
	Kind:   func(e Event) Kind { return e.Kind },
	Rules: []fsm.Rule[Owner, Kind, State, Event]{
		{On: SetLocal, From: anyOwner, When: []guard{peerIsWellFormed}, Stay: true, // P1
			Do: func(s State, e Event) State { s.Local = e.Peer; return s }},
		{On: AddDirect, From: anyOwner, When: []guard{peerIsWellFormed}, Stay: true, Do: addDirect},                    // P2
		{On: RemoveDirect, From: anyOwner, Stay: true, Do: removeDirect},                                               // P3
		{On: ApplyOverlay, From: anyOwner, When: []guard{overlayIsNewer, peersAreNamed}, Stay: true, Do: applyOverlay}, // P4

		{On: AttachSession, From: []Owner{Unattached}, When: []guard{runtimeIsNamed}, To: SessionOwned},              // I1
		{On: AttachSession, From: []Owner{SessionOwned}, When: []guard{runtimeIsNamed, holderIsTheSame}, Stay: true}, // I2
		{On: AttachMob, From: []Owner{Unattached, SessionOwned}, When: []guard{runtimeIsNamed, mobIsNamed}, To: MobOwned, // I4
			Do: func(s State, e Event) State { s.Mob = e.Mob; return s }},
		{On: AttachMob, From: []Owner{MobOwned}, When: []guard{runtimeIsNamed, mobIsTheSame, holderIsTheSame}, Stay: true}, // I5
		{On: Detach, From: anyOwner, To: Unattached, Do: func(s State, _ Event) State { s.Mob = ""; return s }},            // I6

		{On: Advance, From: anyOwner, When: []guard{watermarkIsNewer}, Stay: true, // C1
			Do: func(s State, e Event) State { s.Watermark = e.Watermark; return s }},
		{On: SetSilent, From: anyOwner, Stay: true, Do: func(s State, e Event) State { s.Silent = s.Silent.replaced(e.Intents); return s }}, // C2
		{On: ClearSilent, From: anyOwner, Stay: true, Do: func(s State, _ Event) State { s.Silent = Intents{}; return s }},                  // C3
	},
	Refuse: []fsm.No[Owner, Kind]{
		{On: AttachSession, From: []Owner{MobOwned}, Why: WhyMobOwned}, // I3
	},
})

// Effective yields who the session may write to and lists as its peers: the direct ones and those of the overlay, by ID. One that is both
// is as it was added directly.
func Effective(s State) iter.Seq[Peer] {
	all := s.Overlay
	for name, p := range s.Direct.All() {
		all = all.Set(name, p)
	}
	return func(yield func(Peer) bool) {
		for _, p := range all.All() {
			if !yield(p) {
				return
			}
		}
	}
}

// Trusted is a peer that the session's trust store is to hold. A private one is trusted and never listed.
type Trusted struct {
	Peer    Peer
	Private bool
}

// Trust yields what the trust store is to hold, and nothing else: those of Effective, then the supervisors that are no peers besides.
// Whoever keeps the store compares, adds first, then removes, and compares again after the next change.
func Trust(s State) iter.Seq[Trusted] {
	return func(yield func(Trusted) bool) {
		for p := range Effective(s) {
			if !yield(Trusted{Peer: p}) {
				return
			}
		}
		for _, b := range s.Supervisor.bindings() {
			_, direct := s.Direct.Get(pmap.Name(b.Peer.ID))
			_, wired := s.Overlay.Get(pmap.Name(b.Peer.ID))
			if !direct && !wired && !yield(Trusted{Peer: b.Peer, Private: true}) {
				return
			}
		}
	}
}

// Intents is a set of intents. The zero value is empty. It is encoded as a sorted list.
type Intents struct{ sorted *[]string } // never changed in place; nil when empty

// replaced returns the set of these names: i itself if they are the same.
func (i Intents) replaced(names []string) Intents {
	next := slices.Compact(slices.Sorted(slices.Values(names)))
	switch {
	case slices.Equal(next, i.Names()):
		return i
	case len(next) == 0:
		return Intents{}
	}
	return Intents{&next}
}

// Names returns the names in order. The caller must not change them.
func (i Intents) Names() []string {
	if i.sorted == nil {
		return nil
	}
	return *i.sorted
}

// IsZero reports whether the set is empty.
func (i Intents) IsZero() bool { return i.sorted == nil }

// MarshalJSON encodes the set as a sorted list.
func (i Intents) MarshalJSON() ([]byte, error) { return json.Marshal(i.Names()) }

// UnmarshalJSON reads a list in any order.
func (i *Intents) UnmarshalJSON(data []byte) error {
	var names []string
	if err := json.Unmarshal(data, &names); err != nil {
		return err
	}
	*i = Intents{}.replaced(names)
	return nil
}

// Silent reports whether a request of that intent is taken in without waking anybody: it waits and becomes context of the next run.
func Silent(s State, intent string) bool {
	_, found := slices.BinarySearch(s.Silent.Names(), intent)
	return found
}
