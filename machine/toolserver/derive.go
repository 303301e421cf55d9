package toolserver

import (
	"cmp"
	"slices"
	"time"
)

// Connect is a connect that is owed.
type Connect struct {
	Server  string
	Op      Op     // Add or Reload
	Task    uint64 // to be named in the answer; the connection has it as its generation
	Lineage uint64 // to be named in the answer
	Config  string
}

// Owed returns the connects that are owed, in the order in which they were decided. A host starts those that are not under way; each
// is answered by PendingSucceeded or PendingFailed, or given up when its task is not wanted any more.
func Owed(s State) []Connect {
	if s.Phase == Closed {
		return nil
	}
	var out []Connect
	for name, v := range s.Servers.All() {
		if p := v.Pending; p.Op != None {
			out = append(out, Connect{Server: string(name), Op: p.Op, Task: p.Task, Lineage: p.Lineage, Config: p.Config})
		}
	}
	slices.SortFunc(out, func(a, b Connect) int { return cmp.Compare(a.Task, b.Task) })
	return out
}

// Wanted returns the generations of a server whose connections may be open, or may be opened: the present one, replaced ones with
// calls that may finish, and the one that is being connected. A host closes every other, and ends the connects of every other.
func Wanted(s State, server string) []uint64 {
	if s.Phase == Closed {
		return nil
	}
	var out []uint64
	for conn := range s.Transient.Calls.All() {
		if conn.Server == server {
			out = append(out, conn.Generation)
		}
	}
	v := s.Get(server)
	for _, g := range []uint64{v.Generation, v.Pending.Task} {
		if g != 0 {
			out = append(out, g)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Deadline returns when the next Tick is due, and whether one is. A removal without a call under way is due since it began.
func Deadline(s State) (time.Time, bool) {
	var due []time.Time
	for name, v := range s.Servers.All() {
		switch {
		case v.Base != Removing:
		case s.pick(string(name)).running() == 0:
			due = append(due, v.Drain.Since)
		default:
			due = append(due, v.Drain.Until)
		}
	}
	for _, l := range s.Transient.Calls.All() {
		if !l.Until.IsZero() {
			due = append(due, l.Until)
		}
	}
	if len(due) == 0 {
		return time.Time{}, false
	}
	return slices.MinFunc(due, time.Time.Compare), true
}

// Reconnect returns the staging of the reconnect that is due, and whether one is: of a server that should be connected and is not,
// whose delay has passed and whose tries are not used up. Nothing is due unless SetRetries allowed some. Boundary asks it.
func Reconnect(s State, now time.Time) (Event, bool) {
	if s.Phase == Closed {
		return Event{}, false
	}
	var names []string
	for name, v := range s.Servers.All() {
		o := v.Outage
		if v.out() && v.Pending.Op == None && v.Staged.Op == None && o.Tries < s.Retries && !now.Before(o.RetryAt) {
			names = append(names, string(name))
		}
	}
	if len(names) == 0 {
		return Event{}, false
	}
	name := slices.MinFunc(names, func(a, b string) int {
		v, w := s.Get(a), s.Get(b)
		return cmp.Or(v.Outage.RetryAt.Compare(w.Outage.RetryAt), cmp.Compare(v.Order, w.Order))
	})
	if v := s.Get(name); v.Base == Absent {
		return Event{Kind: StageAdd, Server: name, Config: v.Config, Retry: true}, true
	}
	return Event{Kind: StageReload, Server: name, Retry: true}, true
}

// Health of a server, as it is shown. Whether it takes calls is not decided by it.
type Health uint8

// The healths.
const (
	PendingConnect Health = iota
	Connected
	Failed
	Disconnected
)

var healths = []string{"pending_connect", "connected", "failed", "disconnected"}

// String returns the public name.
func (h Health) String() string { return healths[h] }

// Status is the health of a server with what explains it.
type Status struct {
	Health Health
	Usable bool   // its tools answer; a server that is being connected anew may be
	Error  string // Failed, Disconnected: of its last failure, if there was one
}

// StatusOf derives the status of a server (R75). False: nothing was begun with it, so there is nothing to show.
func StatusOf(s State, server string) (Status, bool) {
	v := s.Get(server)
	st := Status{Usable: v.Base == Active && !v.Outage.Lost && s.Phase == Operating}
	failed := v.Delta.Phase == DeltaFailed
	switch {
	case v.Delta.Phase == DeltaNone:
		return Status{}, false
	case s.Phase == Closed:
		st.Health = Disconnected
	case v.Pending.Op != None:
		st.Health = PendingConnect
		failed = false
	case v.Base == Active && v.Outage.Lost, v.Base == Removed:
		st.Health = Disconnected
	case v.Base == Active, v.Base == Removing:
		st.Health = Connected
		failed = false
	case failed:
		st.Health = Failed
	default:
		st.Health = Disconnected
	}
	if failed {
		st.Error = v.Delta.Error
	}
	return st, true
}

// Connecting returns the servers that are being connected, sorted: those a model is told to expect.
func Connecting(s State) []string {
	var out []string
	for name := range s.Servers.All() {
		if st, ok := StatusOf(s, string(name)); ok && st.Health == PendingConnect {
			out = append(out, string(name))
		}
	}
	return out
}

// Change is a delta with the server it is about.
type Change struct {
	Server string
	Delta
}

// Told returns what became of servers between two states, in order. If one step changed a server twice, the later change is told.
func Told(before, after State) []Change {
	var out []Change
	for name, v := range after.Servers.All() {
		if v.Delta.Epoch > before.Epoch {
			out = append(out, Change{Server: string(name), Delta: v.Delta})
		}
	}
	slices.SortFunc(out, func(a, b Change) int { return cmp.Compare(a.Epoch, b.Epoch) })
	return out
}

// Visible returns the servers whose tools are offered, in the order of registration. One whose connection died is among them: its
// calls fail, and say so.
func Visible(s State) []Conn {
	var out []Conn
	for _, name := range s.byOrder() {
		if v := s.Get(name); v.Base == Active {
			out = append(out, Conn{name, v.Generation})
		}
	}
	return out
}

// Complete reports whether a host has a tool list for every visible server. If not, it publishes what it has and does not send
// SnapshotAligned.
func Complete(s State, listed func(Conn) bool) bool {
	return !slices.ContainsFunc(Visible(s), func(c Conn) bool { return !listed(c) })
}

// Tool is a tool of a server.
type Tool struct {
	Name   string
	Server string
}

// Hidden is a tool that is not offered since another one has its name.
type Hidden struct {
	Tool
	By string // the server whose tool is offered; the same one if it lists a name twice
}

// Merge makes one list of what the visible servers list, in the order of registration. Of two tools with one name the first is
// offered and the other is hidden, so a server that comes later cannot capture a name (R77).
func Merge(s State, listing func(Conn) []string) (tools []Tool, hidden []Hidden) {
	owner := map[string]string{}
	for _, c := range Visible(s) {
		for _, name := range listing(c) {
			if by, taken := owner[name]; taken {
				hidden = append(hidden, Hidden{Tool{name, c.Server}, by})
				continue
			}
			owner[name] = c.Server
			tools = append(tools, Tool{name, c.Server})
		}
	}
	return tools, hidden
}
