package registry

import (
	"cmp"
	"errors"
	"fmt"
	"iter"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/pmap"
)

// Kind of event.
type Kind uint8

// The kinds. Those before RequestWaitAll are about one operation and go by the table Operations, the others by Table.
const (
	Register      Kind = iota // begin to set it up
	Start                     // it is set up and at work
	Fail                      // it came to nothing; setting it up may be what failed
	Complete                  // it has a result
	Abort                     // give it up before it is at work
	Cancel                    // stop it
	RequestRetire             // let it finish and leave
	MarkRetired               // it has left
	PeerReady                 // it can be spoken to
	Progress                  // it got on
	Terminate                 // whoever carries it is gone

	RequestWaitAll // begin to wait until all of some operations have ended
	SatisfyWaitAll // they have: whoever waits was told
	CancelWaitAll  // whoever waits lost interest
	Announced      // the conversation was told, or will be by the very commit
	TerminateOwner // whoever the operations work for is gone
	ProcessLost    // the process that carried them is gone
	Yield          // new input: what only waits gives way
	Configure      // set the bounds
)

var kinds = []string{"register", "start", "fail", "complete", "abort", "cancel", "request_retire", "mark_retired", "peer_ready", "progress",
	"terminate", "request_wait_all", "satisfy_wait_all", "cancel_wait_all", "announced", "terminate_owner", "process_lost", "yield",
	"configure"}

// String returns the name.
func (k Kind) String() string { return kinds[k] }

// Event of the region.
type Event struct {
	Kind   Kind
	At     time.Time // when. Of all events that start or end operations
	ID     ID        // of all events about one operation
	Spec   Spec      // Register
	Result Result    // Complete
	Reason string    // Fail: the error. Abort, Cancel, Terminate, TerminateOwner, ProcessLost, Yield: why; may be empty
	Token  string    // RequestWaitAll, SatisfyWaitAll, CancelWaitAll: names the wait
	IDs    []ID      // RequestWaitAll: whose ends are awaited, in the order in which they are answered
	Upto   Seq       // Announced: the last completion that was told
	Keep   int       // Configure: how many ended operations Get has; 0: DefaultRetention
	Limit  int       // Configure: how many operations may be at work; 0: any number

	// Past is how the operation ended if the state does not know it any more but its row does: a fact that is looked up. Zero: there is no row.
	Past Status
}

// State of the region. The zero value has no operations. States are compared with ==: one that an event did not change is the same.
type State struct {
	Live      pmap.Map[ID, *Op]  `json:"live,omitzero"`      // at work, by id. What the pointers lead to is never changed
	Feed      pmap.Map[Seq, *Op] `json:"feed,omitzero"`      // ended, by completion: the last Watermark, without a gap
	Watermark Seq                `json:"watermark,omitzero"` // of the last completion
	Announced Seq                `json:"announced,omitzero"` // up to which there is no news
	Missed    int                `json:"missed,omitempty"`   // news that left the feed before anybody was told
	Wait      *Wait              `json:"wait,omitempty"`     // nil: nobody waits. Never changed in place
	Keep      int                `json:"keep,omitempty"`     // as configured
	Limit     int                `json:"limit,omitempty"`    // as configured

	found pmap.Map[ID, Seq] // the feed by id; made again when a state is decoded
}

// Refusal is a "no" that changed nothing. Its Phase is the status of the operation it is about, its Event what was attempted, its Guard
// one of the constants of this package. Compare with errors.As, also as a *fsm.Refusal.
type Refusal struct {
	*fsm.Refusal
	ID     ID  // the operation to blame; empty: none is
	Limit  int // GuardRoom: how many may be at work
	Active int // GuardRoom: how many are
}

// Error names everything.
func (r *Refusal) Error() string {
	switch {
	case r.Guard == GuardRoom:
		return fmt.Sprintf("%s (operation %q; %d of %d are)", r.Refusal.Error(), r.ID, r.Active, r.Limit)
	case r.ID != "":
		return fmt.Sprintf("%s (operation %q)", r.Refusal.Error(), r.ID)
	}
	return r.Refusal.Error()
}

// Unwrap returns the refusal of the table.
func (r *Refusal) Unwrap() error { return r.Refusal }

// GuardRoom is the guard that refuses one operation too many.
const GuardRoom = "another operation may be at work"

// Step returns what comes of e in s, or a *Refusal. It changes neither.
func Step(s State, e Event) (State, error) {
	if e.Kind >= RequestWaitAll {
		next, err := Table.Step(s, e)
		if no, ok := errors.AsType[*fsm.Refusal](err); ok {
			return s, &Refusal{Refusal: no, ID: blame(s, e, no.Guard)}
		}
		return next, nil
	}
	was, ok := s.find(e.ID)
	if !ok && e.Past.Terminal() {
		was = Op{ID: e.ID, Status: e.Past}
	}
	now, err := Operations.Step(was, e)
	if no, ok := errors.AsType[*fsm.Refusal](err); ok {
		return s, &Refusal{Refusal: no, ID: e.ID}
	}
	if e.Kind == Register && s.Limit > 0 && s.Live.Len() >= s.Limit {
		no := &fsm.Refusal{Sort: fsm.ErrGuard, Region: Operations.Region, Phase: was.Status.String(), Event: e.Kind.String(), Guard: GuardRoom}
		return s, &Refusal{Refusal: no, ID: e.ID, Limit: s.Limit, Active: s.Live.Len()}
	}
	return s.put(now), nil
}

// find returns an operation at work or in the feed.
func (s State) find(i ID) (Op, bool) {
	if o, ok := s.Live.Get(i); ok {
		return *o, true
	}
	if seq, ok := s.found.Get(i); ok {
		if o, ok := s.Feed.Get(seq); ok {
			return *o, true
		}
	}
	return Op{}, false
}

// put returns s with the operation as it stands now. One that has ended takes the next completion number.
func (s State) put(o Op) State {
	if !o.Status.Terminal() {
		s.Live = s.Live.Set(o.ID, &o)
		return s
	}
	s.Watermark++
	o.Seq = s.Watermark
	s.Live = s.Live.Delete(o.ID)
	s.Feed = s.Feed.Set(o.Seq, &o)
	s.found = s.found.Set(o.ID, o.Seq)
	s.Wait = s.Wait.note(o)
	return s.trim().hush()
}

// endAll ends the operations at work that are meant, with an event of the given kind.
func (s State) endAll(meant func(Op) bool, kind Kind, e Event, reason string) State {
	e.Kind, e.Reason = kind, cmp.Or(e.Reason, reason)
	for _, o := range s.Live.All() {
		if !meant(*o) {
			continue
		}
		now, err := Operations.Step(*o, e)
		if err != nil {
			panic(fmt.Sprintf("registry: what is at work can be ended: %v", err))
		}
		s = s.put(now)
	}
	return s
}

// Phase of the register as a whole.
type Phase uint8

// The phases.
const (
	Free    Phase = iota // nobody waits
	Waiting              // somebody waits until some operations have ended
)

var phases = []string{"free", "waiting"}

// String returns the name.
func (p Phase) String() string { return phases[p] }

// More names of guards that callers tell apart.
const (
	GuardToken     = "the wait is named"
	GuardSome      = "there is something to wait for"
	GuardDistinct  = "each operation is named once"
	GuardKnown     = "each operation is known"
	GuardThisWait  = "the wait is that one"
	GuardAllEnded  = "all that are awaited have ended"
	GuardInFeed    = "the completion is in the feed"
	GuardBounds    = "the bounds are not negative"
	WhyWaiting     = "a wait is active already"
	WhyNobodyWaits = "no wait is active"
)

type guard = fsm.Guard[State, Event]

var (
	tokenNamed = guard{Name: GuardToken, OK: func(_ State, e Event) bool { return e.Token != "" && utf8.ValidString(e.Token) }}
	someNamed  = guard{Name: GuardSome, OK: func(_ State, e Event) bool { return len(e.IDs) > 0 }}
	distinct   = guard{Name: GuardDistinct, OK: func(_ State, e Event) bool { return repeated(e.IDs) == "" }}
	known      = guard{Name: GuardKnown, OK: func(s State, e Event) bool { return s.unknown(e.IDs) == "" }}
	thisWait   = guard{Name: GuardThisWait, OK: func(s State, e Event) bool { return s.Wait.Token == e.Token }}
	allEnded   = guard{Name: GuardAllEnded, OK: func(s State, _ Event) bool { return s.Wait.over() }}
	inFeed     = guard{Name: GuardInFeed, OK: func(s State, e Event) bool { return e.Upto <= s.Watermark }}
	bounds     = guard{Name: GuardBounds, OK: func(_ State, e Event) bool { return e.Keep >= 0 && e.Limit >= 0 }}
)

// level is a Kind of those that are about the whole register, counted from RequestWaitAll.
type level uint8

func of(k Kind) level { return level(k - RequestWaitAll) }

var (
	free    = []Phase{Free}
	waiting = []Phase{Waiting}
	either  = []Phase{Free, Waiting}
)

// Table decides the register as a whole.
var Table = fsm.Must(fsm.Table[Phase, level, State, Event]{
	Region: "registry",
	Phases: phases,
	Events: kinds[RequestWaitAll:],
	Phase: func(s State) Phase {
		if s.Wait != nil {
			return Waiting
		}
		return Free
	},
	Move: func(s State, p Phase) State {
		switch {
		case p == Free:
			s.Wait = nil
		case s.Wait == nil:
			s.Wait = &Wait{} // for nothing: a rule that leads here says for what
		}
		return s
	},
	Kind: func(e Event) level { return of(e.Kind) },
	Rules: []fsm.Rule[Phase, level, State, Event]{
		{On: of(RequestWaitAll), From: free, When: []guard{tokenNamed, someNamed, distinct, known}, To: Waiting, Do: await}, // G1
		{On: of(SatisfyWaitAll), From: waiting, When: []guard{thisWait, allEnded}, To: Free},                                // G2
		{On: of(CancelWaitAll), From: waiting, When: []guard{thisWait}, To: Free},                                           // G3
		{On: of(Announced), From: either, When: []guard{inFeed}, Stay: true, Do: announced},                                 // G4
		{On: of(TerminateOwner), From: either, Stay: true, Do: orphan},                                                      // G5
		{On: of(ProcessLost), From: either, To: Free, Do: lose},                                                             // G6
		{On: of(Yield), From: either, Stay: true, Do: yield},                                                                // G7
		{On: of(Configure), From: either, When: []guard{bounds}, Stay: true, Do: configure},                                 // G8
	},
	Refuse: []fsm.No[Phase, level]{
		{On: of(RequestWaitAll), From: waiting, Why: WhyWaiting},
		{On: of(SatisfyWaitAll), From: free, Why: WhyNobodyWaits},
		{On: of(CancelWaitAll), From: free, Why: WhyNobodyWaits},
	},
})

const whyOrphaned = "its owner is gone"

func orphan(s State, e Event) State {
	return s.endAll(func(Op) bool { return true }, Terminate, e, whyOrphaned)
}

// lose ends what lived in the process that is gone. Whoever waited lived there too, and so the wait ends with it.
func lose(s State, e Event) State {
	return s.endAll(func(o Op) bool { return o.Work == BackgroundTool && !o.Durable }, Terminate, e, "process lost")
}

func yield(s State, e Event) State {
	return s.endAll(func(o Op) bool { return o.Yields && o.Status != Provisioning }, Cancel, e, "interrupted by new input")
}

func configure(s State, e Event) State {
	s.Keep, s.Limit = e.Keep, e.Limit
	return s.trim()
}

// Get returns an operation: one at work, or one of the newest that ended.
func (s State) Get(i ID) (Op, bool) {
	o, ok := s.find(i)
	if !ok || o.Status.Terminal() && o.Seq < s.kept() {
		return Op{}, false
	}
	return o, true
}

// List yields what Get has: those at work by id, then those that ended, the oldest first.
func (s State) List() iter.Seq[Op] {
	return func(yield func(Op) bool) {
		for _, o := range s.Live.All() {
			if !yield(*o) {
				return
			}
		}
		for seq := s.kept(); seq <= s.Watermark; seq++ {
			if o, ok := s.Feed.Get(seq); !ok || !yield(*o) {
				return
			}
		}
	}
}

// Active returns how many operations are at work, in constant time.
func (s State) Active() int { return s.Live.Len() }

// BarrierMet reports whether none of refs is at work. It is for references whose operations were known once: one that was never registered
// holds nobody up.
func (s State) BarrierMet(refs []ID) bool {
	return !slices.ContainsFunc(refs, func(i ID) bool { _, ok := s.Live.Get(i); return ok })
}
