package toolserver

import (
	"cmp"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/pmap"
)

// Base is the phase of one server.
type Base uint8

// The phases of a server. Tools are offered while it is active.
const (
	Absent   Base = iota // the zero value: not connected
	Active               // connected, and open for calls
	Removing             // no new call; those under way may finish
	Removed              // gone; kept until the tool list without it is published
)

var bases = []string{"absent", "active", "removing", "removed"}

// String returns the public name.
func (b Base) String() string { return bases[b] }

// Op is what is done to a server.
type Op uint8

// The operations.
const (
	None Op = iota
	Add
	Remove
	Reload
)

var ops = []string{"none", "add", "remove", "reload"}

// String returns the public name.
func (o Op) String() string { return ops[o] }

// DeltaPhase is how far an operation has come.
type DeltaPhase uint8

// How far an operation has come.
const (
	DeltaNone     DeltaPhase = iota
	DeltaPending             // connecting
	DeltaApplied             // done
	DeltaDraining            // calls under way may finish
	DeltaFailed
	DeltaForced // removed although calls were under way: they are lost
)

var deltaPhases = []string{"none", "pending", "applied", "draining", "failed", "forced"}

// String returns the public name.
func (p DeltaPhase) String() string { return deltaPhases[p] }

// Persisted reports whether the operation has come to its end, so that it is worth keeping where clients look it up later.
func (p DeltaPhase) Persisted() bool {
	return p == DeltaApplied || p == DeltaFailed || p == DeltaForced
}

// Why a call is refused, or an operation failed. The texts are stable: clients compare them.
const (
	CauseDraining      = "surface_draining"    // guard of a refused CallStarted: the server is being removed
	CauseUnavailable   = "surface_unavailable" // guard of a refused CallStarted: there is no such server, or it is not connected
	CausePendingFailed = "pending_failed"      // delta: the connect failed
	CauseLost          = "connection_lost"     // delta: an established connection died
)

// Delta is what was last told about a server.
type Delta struct {
	Op    Op         `json:"op"`
	Phase DeltaPhase `json:"phase"`
	Epoch uint64     `json:"epoch"`          // of the change: later ones have higher numbers, over all servers
	Turn  int        `json:"turn,omitempty"` // at whose boundary the operation was applied
	Cause string     `json:"cause,omitempty"`
	Error string     `json:"error,omitempty"` // for people
}

// Staged is an intent that waits for the boundary. Its zero value: none.
type Staged struct {
	Op     Op     `json:"op"`
	Seq    uint64 `json:"seq"`              // of all stagings of the session
	Config string `json:"config,omitempty"` // Add: with what to connect
}

// Pending is an operation whose connect is under way, or owed. Its zero value: none.
type Pending struct {
	Op      Op     `json:"op"`
	Task    uint64 `json:"task"`    // number of the connect; the connection it makes has it as generation
	Lineage uint64 `json:"lineage"` // the staging that led to it
	Config  string `json:"config,omitempty"`
	Turn    int    `json:"turn,omitempty"`
}

// Drain is a removal under way. Its zero value: none.
type Drain struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"` // then it is forced
	Turn  int       `json:"turn,omitempty"`
}

// Outage is a connection that should be there and is not. Its zero value: none.
type Outage struct {
	Lost    bool      `json:"lost,omitempty"`  // the present connection is dead
	Tries   int       `json:"tries,omitempty"` // reconnects that were staged since it was last connected
	RetryAt time.Time `json:"retry_at,omitzero"`
}

// Server is one known tool server. It is a value; its zero value: not known.
type Server struct {
	Base       Base    `json:"base,omitempty"`
	Order      uint64  `json:"order"`                // of registration, from 1: the lower owns a tool name that both have
	Keep       bool    `json:"keep,omitempty"`       // it was connected and nobody removed it: a new process connects it again
	Config     string  `json:"config,omitempty"`     // with which it was last connected
	Generation uint64  `json:"generation,omitempty"` // of its connection: the task that made it; 0: none
	Staged     Staged  `json:"staged,omitzero"`
	Pending    Pending `json:"pending,omitzero"`
	Drain      Drain   `json:"drain,omitzero"`
	Outage     Outage  `json:"outage,omitzero"`
	Delta      Delta   `json:"delta,omitzero"`
}

// Conn names a connection, for ever: no generation is given twice in a session.
type Conn struct {
	Server     string `json:"server"`
	Generation uint64 `json:"generation"`
}

// Compare orders connections by server, then generation.
func (c Conn) Compare(o Conn) int {
	return cmp.Or(strings.Compare(c.Server, o.Server), cmp.Compare(c.Generation, o.Generation))
}

// Load is what runs on a connection.
type Load struct {
	Running int       `json:"n"`              // calls under way, at least 1
	Until   time.Time `json:"until,omitzero"` // another connection has taken its place: it is closed when its calls are over, or then
}

// Calls holds the connections with calls under way.
type Calls = pmap.Map[Conn, Load]

// Counters number what the servers of a session do. They only rise.
type Counters struct {
	Epoch     uint64 `json:"epoch,omitempty"`      // changes that readers can see
	LastStage uint64 `json:"last_stage,omitempty"` // stagings
	LastTask  uint64 `json:"last_task,omitempty"`  // connects
	LastOrder uint64 `json:"last_order,omitempty"` // registrations
}

// One is what the table of one server decides about: the server, and what it shares with the others.
type One struct {
	Name    string
	Timeout time.Duration // of a removal
	Server
	Counters
	Calls Calls
}

// running counts the calls under way on all connections of the server.
func (o One) running() int {
	n := 0
	for conn, l := range o.Calls.All() {
		if conn.Server == o.Name {
			n += l.Running
		}
	}
	return n
}

func (o One) tell(op Op, phase DeltaPhase, turn int) One {
	o.Epoch++
	o.Delta = Delta{Op: op, Phase: phase, Epoch: o.Epoch, Turn: turn}
	return o
}

// connect makes a connect owed.
func (o One) connect(op Op, config string, lineage uint64, turn int) One {
	o.LastTask++
	o.Pending = Pending{Op: op, Task: o.LastTask, Lineage: lineage, Config: config, Turn: turn}
	return o.tell(op, DeltaPending, turn)
}

func register(o One, _ Event) One {
	if o.Order == 0 {
		o.LastOrder++
		o.Order = o.LastOrder
	}
	return o
}

func stage(op Op) func(One, Event) One {
	return func(o One, e Event) One {
		o = register(o, e)
		o.LastStage++
		o.Staged = Staged{Op: op, Seq: o.LastStage}
		if op == Add {
			o.Staged.Config = e.Config
		}
		if e.Retry && o.out() {
			o.Outage.Tries++
		}
		return o
	}
}

func beginAdd(o One, e Event) One {
	st := o.Staged
	o.Staged = Staged{}
	return o.connect(Add, st.Config, st.Seq, e.Turn)
}

// readd begins an add where there was a removal: it counts as a new registration, so it takes no tool name from those that stayed.
func readd(o One, e Event) One {
	o.LastOrder++
	o.Order = o.LastOrder
	return beginAdd(o, e)
}

func beginReload(o One, e Event) One {
	st := o.Staged
	o.Staged = Staged{}
	return o.connect(Reload, o.Config, st.Seq, e.Turn)
}

func beginRemove(o One, e Event) One {
	o.Staged, o.Outage, o.Keep = Staged{}, Outage{}, false
	o.Drain = Drain{Since: e.Now, Until: e.Now.Add(o.Timeout), Turn: e.Turn}
	return o.tell(Remove, DeltaDraining, e.Turn)
}

func drop(o One, _ Event) One { o.Staged = Staged{}; return o }

func forget(o One, _ Event) One { o.Server = Server{}; return o }

// connected puts the new connection in the place of the old one, which may finish its calls.
func connected(o One, e Event) One {
	old := Conn{o.Name, o.Generation}
	if l, ok := o.Calls.Get(old); ok {
		l.Until = e.Now.Add(o.Timeout)
		o.Calls = o.Calls.Set(old, l)
	}
	p := o.Pending
	o.Generation, o.Config, o.Keep, o.Pending, o.Outage = p.Task, p.Config, true, Pending{}, Outage{}
	return o.tell(p.Op, DeltaApplied, p.Turn)
}

func connectFailed(o One, e Event) One {
	p := o.Pending
	o.Pending = Pending{}
	if o.out() {
		o.Outage.RetryAt = e.Now.Add(backoff(o.Outage.Tries))
	}
	o = o.tell(p.Op, DeltaFailed, p.Turn)
	o.Delta.Cause, o.Delta.Error = cmp.Or(e.Cause, CausePendingFailed), e.Error
	return o
}

// out reports whether the server should be connected and is not.
func (v Server) out() bool { return v.Keep && (v.Base == Absent || v.Outage.Lost) }

// The delays before a reconnect, if reconnecting is configured.
const (
	firstRetry   = time.Second
	longestRetry = time.Minute
)

// backoff is how long after the n-th try the next may follow.
func backoff(n int) time.Duration {
	d := firstRetry
	for ; n > 0 && d < longestRetry; n-- {
		d *= 2
	}
	return min(d, longestRetry)
}

func callStarted(o One, _ Event) One {
	conn := Conn{o.Name, o.Generation}
	l, _ := o.Calls.Get(conn)
	l.Running++
	o.Calls = o.Calls.Set(conn, l)
	return o
}

func callFinished(o One, e Event) One {
	conn := Conn{o.Name, e.Generation}
	l, _ := o.Calls.Get(conn)
	if l.Running--; l.Running > 0 {
		o.Calls = o.Calls.Set(conn, l)
	} else {
		o.Calls = o.Calls.Delete(conn)
	}
	return o
}

// removed ends a removal, with all connections of the server.
func removed(phase DeltaPhase) func(One, Event) One {
	return func(o One, _ Event) One {
		for conn := range o.Calls.All() {
			if conn.Server == o.Name {
				o.Calls = o.Calls.Delete(conn)
			}
		}
		turn := o.Drain.Turn
		o.Server = Server{Base: o.Base, Order: o.Order, Staged: o.Staged}
		return o.tell(Remove, phase, turn)
	}
}

func lost(o One, e Event) One {
	o.Outage = Outage{Lost: true, RetryAt: e.Now.Add(backoff(0))}
	o = o.tell(Reload, DeltaFailed, 0)
	o.Delta.Cause, o.Delta.Error = CauseLost, e.Error
	return o
}

func relisted(o One, e Event) One { return o.tell(Reload, DeltaApplied, e.Turn) }

type guard = fsm.Guard[One, Event]

var (
	seqIsStaged = guard{Name: "this staging waits", OK: func(o One, e Event) bool { return o.Staged.Op != None && o.Staged.Seq == e.Seq }}
	idle        = guard{Name: "nothing is being connected", OK: func(o One, _ Event) bool { return o.Pending.Op == None }}
	toAdd       = guard{Name: "an add is staged", OK: func(o One, _ Event) bool { return o.Staged.Op == Add }}
	toReload    = guard{Name: "a reload is staged", OK: func(o One, _ Event) bool { return o.Staged.Op == Reload }}
	toRemove    = guard{Name: "a remove is staged", OK: func(o One, _ Event) bool { return o.Staged.Op == Remove }}
	isPending   = guard{Name: "a connect is pending", OK: func(o One, _ Event) bool { return o.Pending.Op != None }}
	taskIsThis  = guard{Name: "task is the pending one", OK: func(o One, e Event) bool { return o.Pending.Task == e.Task }}
	lineageIs   = guard{Name: "lineage is the pending one", OK: func(o One, e Event) bool { return o.Pending.Lineage == e.Lineage }}
	callIsKnown = guard{Name: "a call runs on this connection", OK: func(o One, e Event) bool {
		_, ok := o.Calls.Get(Conn{o.Name, e.Generation})
		return ok
	}}
	nothingRuns = guard{Name: "no call is under way", OK: func(o One, _ Event) bool { return o.running() == 0 }}
	timeIsUp    = guard{Name: "the removal timeout has passed", OK: func(o One, e Event) bool {
		return e.TearingDown || !e.Now.Before(o.Drain.Until)
	}}
	connIsThis = guard{Name: "connection is the present one", OK: func(o One, e Event) bool { return o.Generation == e.Generation }}
	notLostYet = guard{Name: "not lost before", OK: func(o One, _ Event) bool { return !o.Outage.Lost }}
)

var (
	anywhere = []Base{Absent, Active, Removing, Removed}
	going    = []Base{Removing, Removed}
)

// Servers decides about one server. Step asks Table first.
var Servers = fsm.Must(fsm.Table[Base, Kind, One, Event]{
	Region: "toolserver",
	Phases: bases,
	Events: kinds[:ofOne],
	Phase:  func(o One) Base { return o.Base },
	Move:   func(o One, b Base) One { o.Base = b; return o },
	Kind:   func(e Event) Kind { return e.Kind },
	Rules: []fsm.Rule[Base, Kind, One, Event]{
		{On: Register, From: anywhere, Stay: true, Do: register},               // S1
		{On: StageAdd, From: anywhere, Stay: true, Do: stage(Add)},             // S3
		{On: StageRemove, From: anywhere, Stay: true, Do: stage(Remove)},       // S4
		{On: StageReload, From: []Base{Active}, Stay: true, Do: stage(Reload)}, // S5

		{On: ApplyBoundary, From: []Base{Absent, Active}, When: []guard{seqIsStaged, idle, toAdd}, Stay: true, Do: beginAdd}, // S6
		{On: ApplyBoundary, From: []Base{Removed}, When: []guard{seqIsStaged, idle, toAdd}, To: Absent, Do: readd},           // S6
		{On: ApplyBoundary, From: []Base{Active}, When: []guard{seqIsStaged, idle, toReload}, Stay: true, Do: beginReload},   // S7
		{On: ApplyBoundary, From: []Base{Active}, When: []guard{seqIsStaged, idle}, To: Removing, Do: beginRemove},           // S8: a remove
		{On: ApplyBoundary, From: []Base{Absent}, When: []guard{seqIsStaged, idle, toRemove}, Stay: true, Do: forget},        // S9
		{On: ApplyBoundary, From: going, When: []guard{seqIsStaged, idle, toRemove}, Stay: true, Do: drop},                   // S9

		{On: PendingSucceeded, From: []Base{Absent, Active}, When: []guard{isPending, taskIsThis, lineageIs}, To: Active, Do: connected},  // S10
		{On: PendingFailed, From: []Base{Absent, Active}, When: []guard{isPending, taskIsThis, lineageIs}, Stay: true, Do: connectFailed}, // S11

		{On: CallStarted, From: []Base{Active}, Stay: true, Do: callStarted},                                            // S12
		{On: CallFinished, From: anywhere, When: []guard{callIsKnown}, Stay: true, Do: callFinished},                    // S13
		{On: CallFinished, From: anywhere, Stay: true},                                                                  // S13: overtaken
		{On: FinalizeClean, From: []Base{Removing}, When: []guard{nothingRuns}, To: Removed, Do: removed(DeltaApplied)}, // S14
		{On: FinalizeForced, From: []Base{Removing}, When: []guard{timeIsUp}, To: Removed, Do: removed(DeltaForced)},    // S15

		{On: Lost, From: []Base{Active}, When: []guard{connIsThis, notLostYet}, Stay: true, Do: lost}, // S18
		{On: Lost, From: anywhere, Stay: true},                                                        // S18: overtaken
		{On: Relisted, From: []Base{Active}, When: []guard{connIsThis}, Stay: true, Do: relisted},     // S19
		{On: Relisted, From: anywhere, Stay: true},                                                    // S19: overtaken
	},
	Refuse: []fsm.No[Base, Kind]{
		{On: StageReload, From: []Base{Absent, Removing, Removed}, Why: "server is not active"}, // S5
		{On: PendingSucceeded, From: going, Why: "nothing is being connected"},                  // S10
		{On: PendingFailed, From: going, Why: "nothing is being connected"},                     // S11
		{On: CallStarted, From: []Base{Removing}, Why: CauseDraining},                           // S12b
		{On: CallStarted, From: []Base{Absent, Removed}, Why: CauseUnavailable},                 // S12c
		{On: FinalizeClean, From: []Base{Absent, Active, Removed}, Why: "not being removed"},    // S14
		{On: FinalizeForced, From: []Base{Absent, Active, Removed}, Why: "not being removed"},   // S15
	},
})
