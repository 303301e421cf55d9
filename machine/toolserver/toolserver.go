package toolserver

import (
	"cmp"
	"errors"
	"slices"
	"time"

	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/pmap"
)

// Phase of the region.
type Phase uint8

// The phases.
const (
	Operating Phase = iota // the zero value
	Closed                 // shut down: nothing is staged, connected or called until Revive
)

var phases = []string{"operating", "shutdown"}

// String returns the public name.
func (p Phase) String() string { return phases[p] }

// DefaultTimeout is how long calls may go on when their server is removed, or its connection replaced, if nothing else is set.
const DefaultTimeout = 30 * time.Second

// Kind of event.
type Kind uint8

// The kinds. Those before SetTimeout are about one server.
const (
	Register         Kind = iota // the server is known, and has its place in the order
	StageAdd                     // connect it at the next boundary, or connect it anew with another configuration
	StageRemove                  // remove it at the next boundary
	StageReload                  // connect it anew at the next boundary
	ApplyBoundary                // the staging Seq takes effect
	PendingSucceeded             // the connect Task has a connection, and its tools are listed
	PendingFailed                // the connect Task has none
	CallStarted                  // a call is about to be sent; it belongs to the server's present generation
	CallFinished                 // a call has ended in any way, its caller's going away included
	FinalizeClean                // a removal is over: no call is under way
	FinalizeForced               // a removal is over: its time is up
	Lost                         // the connection of Generation is dead
	Relisted                     // the connection of Generation lists other tools than before
	SetTimeout                   // removals that begin from now on have so long
	SetRetries                   // so many reconnects are tried by themselves; 0, the beginning: none
	SnapshotAligned              // the tool list of Epoch is published
	Tick                         // it is Now: whatever is due is ended
	Shutdown                     // the session ends: every connection is to be closed
	Opened                       // a process takes the session up, and has no connection yet
	Revive                       // the session begins again after its end
)

// ofOne is how many kinds are about one server.
const ofOne = SetTimeout

var kinds = []string{"register", "stage_add", "stage_remove", "stage_reload", "apply_boundary", "pending_succeeded", "pending_failed",
	"call_started", "call_finished", "finalize_clean", "finalize_forced", "lost", "relisted", "set_timeout", "set_retries",
	"snapshot_aligned", "tick", "shutdown", "opened", "revive"}

// String returns the public name.
func (k Kind) String() string { return kinds[k] }

// Durable is the part of the state that is written with the session. Two of them are compared with ==.
type Durable struct {
	Phase   Phase         `json:"phase,omitempty"`
	Timeout time.Duration `json:"timeout,omitempty"` // 0: DefaultTimeout
	Retries int           `json:"retries,omitempty"`
	Counters
	Servers pmap.Map[pmap.Name, *Server] `json:"servers,omitzero"` // the known ones; what a pointer leads to is never changed
}

// Transient is the part that belongs to the process with the connections. It is never written.
type Transient struct {
	Aligned uint64 `json:"aligned,omitempty"` // the epoch of the tool list that was last published
	Calls   Calls  `json:"calls,omitzero"`
}

// State of the region. The zero value: no tool server was ever known.
type State struct {
	Durable
	Transient Transient `json:"transient,omitzero"`
}

// Event of the region. TearingDown is a fact of the session's lifecycle; the rest is the caller's.
type Event struct {
	Kind        Kind
	Server      string // of those about one server
	Config      string // StageAdd: names what to connect with, for whoever connects; never read here
	Retry       bool   // StageAdd, StageReload: staged by Boundary, as a reconnect
	Seq         uint64 // ApplyBoundary: Staged.Seq
	Task        uint64 // PendingSucceeded, PendingFailed: Pending.Task
	Lineage     uint64 // PendingSucceeded, PendingFailed: Pending.Lineage
	Generation  uint64 // CallFinished, Lost, Relisted
	Epoch       uint64 // SnapshotAligned
	Turn        int    // ApplyBoundary, Relisted: the turn whose boundary it is
	Timeout     time.Duration
	Retries     int
	Now         time.Time // ApplyBoundary, PendingSucceeded, PendingFailed, FinalizeForced, Lost, Tick
	TearingDown bool      // CallStarted, FinalizeForced, Tick: the session takes no more work and is being taken down
	Cause       string    // PendingFailed; empty: CausePendingFailed
	Error       string    // PendingFailed, Lost: for people
}

// Get returns the server of that name; its zero value if it is not known.
func (s State) Get(name string) Server {
	if v, ok := s.Servers.Get(pmap.Name(name)); ok {
		return *v
	}
	return Server{}
}

// Knows reports whether a server of that name is known.
func (s State) Knows(name string) bool {
	_, ok := s.Servers.Get(pmap.Name(name))
	return ok
}

// byOrder returns the names of the known servers in the order of their registration.
func (s State) byOrder() []string {
	out := make([]string, 0, s.Servers.Len())
	for name := range s.Servers.All() {
		out = append(out, string(name))
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Compare(s.Get(a).Order, s.Get(b).Order) })
	return out
}

// pick takes one server out of the state, and put puts what was decided about it back.
func (s State) pick(name string) One {
	return One{Name: name, Timeout: cmp.Or(s.Timeout, DefaultTimeout), Server: s.Get(name), Counters: s.Counters, Calls: s.Transient.Calls}
}

func (s State) put(o One) State {
	s.Counters, s.Transient.Calls = o.Counters, o.Calls
	switch was := s.Get(o.Name); o.Server {
	case was:
	case Server{}:
		s.Servers = s.Servers.Delete(pmap.Name(o.Name))
	default:
		s.Servers = s.Servers.Set(pmap.Name(o.Name), &o.Server)
	}
	return s
}

// Step returns what comes of e in s, or a *fsm.Refusal. It changes neither. What changes nothing returns s itself. A completion that
// is not the pending one is refused as fsm.ErrStale: its connection, if it has one, is not wanted.
func Step(s State, e Event) (State, error) {
	next, err := Table.Step(s, e)
	if err == nil && e.Kind < ofOne {
		var one One
		if one, err = Servers.Step(next.pick(e.Server), e); err == nil {
			return next.put(one), nil
		}
	}
	if err == nil {
		return next, nil
	}
	var no *fsm.Refusal
	if (e.Kind == PendingSucceeded || e.Kind == PendingFailed) && errors.As(err, &no) {
		no.Sort = fsm.ErrStale
	}
	return s, err
}

// Boundary applies what is staged, in the order of staging, where a model call is entered from a boundary: the turn's first call
// included, a retry not. What waits for a connect or a removal keeps its intent for the next boundary (R70). If reconnects are
// configured, one that is due is staged before. It returns the names whose removal was dropped since they were not active.
func Boundary(s State, now time.Time, turn int) (State, []string) {
	if again, ok := Reconnect(s, now); ok {
		if next, err := Step(s, again); err == nil {
			s = next
		}
	}
	var dropped []string
	for _, name := range staged(s) {
		was := s.Get(name)
		next, err := Step(s, Event{Kind: ApplyBoundary, Server: name, Seq: was.Staged.Seq, Now: now, Turn: turn})
		if err != nil {
			continue // it stays staged
		}
		if was.Staged.Op == Remove && was.Base != Active {
			dropped = append(dropped, name)
		}
		s = next
	}
	return s, dropped
}

// staged returns the names of the servers with an intent, in the order of staging.
func staged(s State) []string {
	var out []string
	for name, v := range s.Servers.All() {
		if v.Staged.Op != None {
			out = append(out, string(name))
		}
	}
	slices.SortFunc(out, func(a, b string) int { return cmp.Compare(s.Get(a).Staged.Seq, s.Get(b).Staged.Seq) })
	return out
}

// Immediate adds a server whose connection stands already, in one go: where a session is put together before its first turn. It
// returns the generation that the connection has from now on. A refusal leaves nothing staged.
func Immediate(s State, name, config string, now time.Time, turn int) (State, uint64, error) {
	next, err := Step(s, Event{Kind: StageAdd, Server: name, Config: config})
	if err == nil {
		next, err = Step(next, Event{Kind: ApplyBoundary, Server: name, Seq: next.LastStage, Now: now, Turn: turn})
	}
	if err == nil {
		p := next.Get(name).Pending
		next, err = Step(next, Event{Kind: PendingSucceeded, Server: name, Task: p.Task, Lineage: p.Lineage, Now: now})
	}
	if err != nil {
		return s, 0, err
	}
	return next, next.Get(name).Generation, nil
}

func align(s State, e Event) State {
	if e.Epoch < s.Transient.Aligned {
		return s
	}
	s.Transient.Aligned = e.Epoch
	for name, v := range s.Servers.All() {
		if v.Base == Removed && v.Staged.Op == None && v.Delta.Epoch <= e.Epoch {
			s.Servers = s.Servers.Delete(name)
		}
	}
	return s
}

// tick ends the removals that are due, and lets go of replaced connections whose time is up.
func tick(s State, e Event) State {
	for conn, l := range s.Transient.Calls.All() {
		if !l.Until.IsZero() && !e.Now.Before(l.Until) {
			s.Transient.Calls = s.Transient.Calls.Delete(conn)
		}
	}
	for name, v := range s.Servers.All() {
		if v.Base != Removing {
			continue
		}
		for _, kind := range []Kind{FinalizeClean, FinalizeForced} {
			e.Kind = kind
			if next, err := Servers.Step(s.pick(string(name)), e); err == nil {
				s = s.put(next)
				break
			}
		}
	}
	return s
}

func shutdown(s State, _ Event) State {
	for _, name := range staged(s) {
		s = s.put(drop(s.pick(name), Event{}))
	}
	return s
}

// begin is how a process begins with the session. Connections, and calls on them, are the former one's and gone; removals are over,
// since nothing is left to be drained. If connect is set, everything that was active or being connected is connected again, in the
// order of registration.
func begin(s State, connect bool) State {
	s.Transient = Transient{}
	for _, name := range s.byOrder() {
		o := s.pick(name)
		o.Outage = Outage{}
		switch o.Base {
		case Active:
			o.Base, o.Generation = Absent, 0
			o.Epoch++ // its tools are gone
			if o.Staged.Op == Reload {
				o.Staged = Staged{} // it is connected anew anyway
			}
		case Removing:
			o = removed(DeltaApplied)(o, Event{})
			o.Base = Removed
		case Absent, Removed:
		}
		op, config := o.Pending.Op, o.Pending.Config
		if op == None && o.Keep {
			op, config = Reload, o.Config
		}
		if connect && op != None {
			o.LastStage++
			o = o.connect(op, config, o.LastStage, o.Pending.Turn)
		}
		s = s.put(o)
	}
	return s
}

var (
	named      = fsm.Guard[State, Event]{Name: "server is named", OK: func(_ State, e Event) bool { return e.Server != "" }}
	takesCalls = fsm.Guard[State, Event]{Name: CauseUnavailable, OK: func(_ State, e Event) bool { return !e.TearingDown }}
	positive   = fsm.Guard[State, Event]{Name: "timeout is positive", OK: func(_ State, e Event) bool { return e.Timeout > 0 }}
	notLess    = fsm.Guard[State, Event]{Name: "not below zero", OK: func(_ State, e Event) bool { return e.Retries >= 0 }}
	reached    = fsm.Guard[State, Event]{Name: "epoch was reached", OK: func(s State, e Event) bool { return e.Epoch <= s.Epoch }}
)

var (
	always = []Phase{Operating, Closed}
	open   = []Phase{Operating}
	closed = []Phase{Closed}
)

// Table decides what all servers share, and whether one may be asked at all.
var Table = fsm.Must(fsm.Table[Phase, Kind, State, Event]{
	Region: "toolservers",
	Phases: phases,
	Events: kinds,
	Phase:  func(s State) Phase { return s.Phase },
	Move:   func(s State, p Phase) State { s.Phase = p; return s },
	Kind:   func(e Event) Kind { return e.Kind },
	Rules: []fsm.Rule[Phase, Kind, State, Event]{
		{On: Register, From: always, When: []fsm.Guard[State, Event]{named}, Stay: true},       // S1
		{On: StageAdd, From: open, When: []fsm.Guard[State, Event]{named}, Stay: true},         // S3
		{On: StageRemove, From: open, When: []fsm.Guard[State, Event]{named}, Stay: true},      // S4
		{On: StageReload, From: open, Stay: true},                                              // S5
		{On: ApplyBoundary, From: open, Stay: true},                                            // S6 to S9
		{On: PendingSucceeded, From: open, Stay: true},                                         // S10
		{On: PendingFailed, From: always, Stay: true},                                          // S11
		{On: CallStarted, From: open, When: []fsm.Guard[State, Event]{takesCalls}, Stay: true}, // S12
		{On: CallFinished, From: always, Stay: true},                                           // S13
		{On: FinalizeClean, From: always, Stay: true},                                          // S14
		{On: FinalizeForced, From: always, Stay: true},                                         // S15
		{On: Lost, From: always, Stay: true},                                                   // S18
		{On: Relisted, From: always, Stay: true},                                               // S19
		{On: SetTimeout, From: always, When: []fsm.Guard[State, Event]{positive}, Stay: true, // S2
			Do: func(s State, e Event) State { s.Timeout = e.Timeout; return s }},
		{On: SetRetries, From: always, When: []fsm.Guard[State, Event]{notLess}, Stay: true, // S20
			Do: func(s State, e Event) State { s.Retries = e.Retries; return s }},
		{On: SnapshotAligned, From: always, When: []fsm.Guard[State, Event]{reached}, Stay: true, Do: align},  // S16
		{On: Tick, From: always, Stay: true, Do: tick},                                                        // S21
		{On: Shutdown, From: open, To: Closed, Do: shutdown},                                                  // S17
		{On: Shutdown, From: closed, Stay: true},                                                              // S17
		{On: Opened, From: open, Stay: true, Do: func(s State, _ Event) State { return begin(s, true) }},      // S22
		{On: Opened, From: closed, Stay: true, Do: func(s State, _ Event) State { return begin(s, false) }},   // S22
		{On: Revive, From: open, Stay: true},                                                                  // S23
		{On: Revive, From: closed, To: Operating, Do: func(s State, _ Event) State { return begin(s, true) }}, // S23
	},
	Refuse: []fsm.No[Phase, Kind]{
		{On: StageAdd, From: closed, Why: "shut down"},
		{On: StageRemove, From: closed, Why: "shut down"},
		{On: StageReload, From: closed, Why: "shut down"},
		{On: ApplyBoundary, From: closed, Why: "shut down"},
		{On: PendingSucceeded, From: closed, Why: "shut down"},
		{On: CallStarted, From: closed, Why: CauseUnavailable},
	},
})
