package toolserver

import (
	"fmt"
	"slices"
	"time"
)

// plain is the region as anybody would write it: changed in place, one branch after the other, no table.
type plain struct {
	closed  bool
	timeout time.Duration
	retries int
	n       Counters
	aligned uint64
	known   map[string]*Server
	calls   map[Conn]*Load
}

func newPlain() *plain {
	return &plain{timeout: 30 * time.Second, known: map[string]*Server{}, calls: map[Conn]*Load{}}
}

func (p *plain) on(name string) int {
	n := 0
	for c, l := range p.calls {
		if c.Server == name {
			n += l.Running
		}
	}
	return n
}

func (p *plain) hangUp(name string) {
	for c := range p.calls {
		if c.Server == name {
			delete(p.calls, c)
		}
	}
}

func (p *plain) tell(v *Server, d Delta) {
	p.n.Epoch++
	d.Epoch = p.n.Epoch
	v.Delta = d
}

func (p *plain) connect(v *Server, op Op, config string, lineage uint64, turn int) {
	p.n.LastTask++
	v.Pending = Pending{Op: op, Task: p.n.LastTask, Lineage: lineage, Config: config, Turn: turn}
	p.tell(v, Delta{Op: op, Phase: DeltaPending, Turn: turn})
}

func (p *plain) gone(v *Server, name string, how DeltaPhase) {
	p.hangUp(name)
	turn := v.Drain.Turn
	*v = Server{Base: Removed, Order: v.Order, Staged: v.Staged}
	p.tell(v, Delta{Op: Remove, Phase: how, Turn: turn})
}

func wait(tries int) time.Duration {
	return [...]time.Duration{1, 2, 4, 8, 16, 32, 60, 60}[min(tries, 7)] * time.Second
}

// step takes the event, or says that it is refused.
func (p *plain) step(e Event) bool {
	switch e.Kind {
	case SetTimeout:
		if e.Timeout <= 0 {
			return false
		}
		p.timeout = e.Timeout
	case SetRetries:
		if e.Retries < 0 {
			return false
		}
		p.retries = e.Retries
	case SnapshotAligned:
		return p.align(e.Epoch)
	case Tick:
		p.tick(e)
	case Shutdown:
		p.closed = true
		for _, v := range p.known {
			v.Staged = Staged{}
		}
	case Opened:
		p.begin(!p.closed)
	case Revive:
		if p.closed {
			p.closed = false
			p.begin(true)
		}
	case Register, StageAdd, StageRemove, StageReload:
		return p.stage(e)
	case CallStarted, CallFinished, Lost, Relisted:
		return p.use(e)
	case ApplyBoundary, PendingSucceeded, PendingFailed, FinalizeClean, FinalizeForced:
		return p.move(e)
	}
	return true
}

func (p *plain) align(epoch uint64) bool {
	if epoch > p.n.Epoch {
		return false
	}
	if epoch >= p.aligned {
		p.aligned = epoch
		for name, v := range p.known {
			if v.Base == Removed && v.Staged.Op == None && v.Delta.Epoch <= epoch {
				delete(p.known, name)
			}
		}
	}
	return true
}

func (p *plain) tick(e Event) {
	for c, l := range p.calls {
		if !l.Until.IsZero() && l.Until.Compare(e.Now) <= 0 {
			delete(p.calls, c)
		}
	}
	for _, name := range p.names(false) {
		v := p.known[name]
		if v.Base != Removing {
			continue
		}
		if p.on(name) == 0 {
			p.gone(v, name, DeltaApplied)
		} else if e.TearingDown || v.Drain.Until.Compare(e.Now) <= 0 {
			p.gone(v, name, DeltaForced)
		}
	}
}

func (p *plain) names(byOrder bool) []string {
	var out []string
	for name := range p.known {
		out = append(out, name)
	}
	slices.SortFunc(out, func(a, b string) int {
		if byOrder {
			return int(p.known[a].Order) - int(p.known[b].Order)
		}
		if a < b {
			return -1
		}
		return 1
	})
	return out
}

func (p *plain) begin(connect bool) {
	clear(p.calls)
	p.aligned = 0
	for _, name := range p.names(true) {
		v := p.known[name]
		v.Outage = Outage{}
		if v.Base == Active {
			v.Base, v.Generation = Absent, 0
			p.n.Epoch++
			if v.Staged.Op == Reload {
				v.Staged = Staged{}
			}
		}
		if v.Base == Removing {
			p.gone(v, name, DeltaApplied)
		}
		if !connect {
			continue
		}
		if was := v.Pending; was.Op != None {
			p.n.LastStage++
			p.connect(v, was.Op, was.Config, p.n.LastStage, was.Turn)
		} else if v.Keep {
			p.n.LastStage++
			p.connect(v, Reload, v.Config, p.n.LastStage, 0)
		}
	}
}

func (p *plain) stage(e Event) bool {
	v := p.known[e.Server]
	if e.Kind == StageReload && (p.closed || v == nil || v.Base != Active) || e.Server == "" || e.Kind != Register && p.closed {
		return false
	}
	if v == nil {
		p.n.LastOrder++
		v = &Server{Order: p.n.LastOrder}
		p.known[e.Server] = v
	}
	if e.Kind == Register {
		return true
	}
	p.n.LastStage++
	v.Staged = Staged{Seq: p.n.LastStage, Op: map[Kind]Op{StageAdd: Add, StageRemove: Remove, StageReload: Reload}[e.Kind]}
	if e.Kind == StageAdd {
		v.Staged.Config = e.Config
	}
	if e.Retry && v.Keep && (v.Base == Absent || v.Outage.Lost) {
		v.Outage.Tries++
	}
	return true
}

func (p *plain) use(e Event) bool {
	v, c := p.known[e.Server], Conn{Server: e.Server, Generation: e.Generation}
	here := v != nil && v.Base == Active && v.Generation == e.Generation
	switch e.Kind {
	case CallStarted:
		if p.closed || e.TearingDown || v == nil || v.Base != Active {
			return false
		}
		c.Generation = v.Generation
		if p.calls[c] == nil {
			p.calls[c] = &Load{}
		}
		p.calls[c].Running++
	case CallFinished:
		if l := p.calls[c]; l != nil {
			if l.Running--; l.Running == 0 {
				delete(p.calls, c)
			}
		}
	case Lost:
		if here && !v.Outage.Lost {
			v.Outage = Outage{Lost: true, RetryAt: e.Now.Add(time.Second)}
			p.tell(v, Delta{Op: Reload, Phase: DeltaFailed, Cause: "connection_lost", Error: e.Error})
		}
	case Relisted:
		if here {
			p.tell(v, Delta{Op: Reload, Phase: DeltaApplied, Turn: e.Turn})
		}
	}
	return true
}

func (p *plain) move(e Event) bool {
	v := p.known[e.Server]
	if v == nil {
		return false
	}
	pending := v.Pending.Op != None && v.Pending.Task == e.Task && v.Pending.Lineage == e.Lineage
	switch e.Kind {
	case ApplyBoundary:
		return p.boundary(v, e)
	case PendingSucceeded:
		if p.closed || !pending {
			return false
		}
		if l := p.calls[Conn{Server: e.Server, Generation: v.Generation}]; l != nil {
			l.Until = e.Now.Add(p.timeout)
		}
		was := v.Pending
		v.Base, v.Keep, v.Generation, v.Config, v.Pending, v.Outage = Active, true, was.Task, was.Config, Pending{}, Outage{}
		p.tell(v, Delta{Op: was.Op, Phase: DeltaApplied, Turn: was.Turn})
	case PendingFailed:
		if !pending {
			return false
		}
		was, cause := v.Pending, "pending_failed"
		if e.Cause != "" {
			cause = e.Cause
		}
		v.Pending = Pending{}
		if v.Keep && (v.Base == Absent || v.Outage.Lost) {
			v.Outage.RetryAt = e.Now.Add(wait(v.Outage.Tries))
		}
		p.tell(v, Delta{Op: was.Op, Phase: DeltaFailed, Turn: was.Turn, Cause: cause, Error: e.Error})
	case FinalizeClean:
		if v.Base != Removing || p.on(e.Server) > 0 {
			return false
		}
		p.gone(v, e.Server, DeltaApplied)
	case FinalizeForced:
		if v.Base != Removing || !e.TearingDown && v.Drain.Until.After(e.Now) {
			return false
		}
		p.gone(v, e.Server, DeltaForced)
	}
	return true
}

func (p *plain) boundary(v *Server, e Event) bool {
	st := v.Staged
	if p.closed || st.Op == None || st.Seq != e.Seq || v.Pending.Op != None {
		return false
	}
	switch st.Op {
	case Add:
		if v.Base == Removing {
			return false
		}
		if v.Base == Removed {
			p.n.LastOrder++
			v.Base, v.Order = Absent, p.n.LastOrder
		}
		v.Staged = Staged{}
		p.connect(v, Add, st.Config, st.Seq, e.Turn)
	case Reload:
		v.Staged = Staged{}
		p.connect(v, Reload, v.Config, st.Seq, e.Turn)
	case Remove:
		v.Staged = Staged{}
		switch v.Base {
		case Absent:
			delete(p.known, e.Server)
		case Active:
			v.Base, v.Keep, v.Outage = Removing, false, Outage{}
			v.Drain = Drain{Since: e.Now, Until: e.Now.Add(p.timeout), Turn: e.Turn}
			p.tell(v, Delta{Op: Remove, Phase: DeltaDraining, Turn: e.Turn})
		}
	}
	return true
}

// same says where a state and the plain one differ; nil: nowhere.
func (p *plain) same(s State) error {
	if p.closed != (s.Phase == Closed) || p.n != s.Counters || p.aligned != s.Transient.Aligned || p.retries != s.Retries {
		return fmt.Errorf("%v %+v aligned %d, want closed %t %+v aligned %d", s.Phase, s.Counters, s.Transient.Aligned, p.closed, p.n, p.aligned)
	}
	if s.Servers.Len() != len(p.known) || s.Transient.Calls.Len() != len(p.calls) {
		return fmt.Errorf("servers %s, calls %s; want %v and %v", encode(s.Servers), encode(s.Transient.Calls), p.known, p.calls)
	}
	for name, v := range p.known {
		if got := s.Get(name); got != *v {
			return fmt.Errorf("%s is %+v, want %+v", name, got, *v)
		}
	}
	for c, l := range p.calls {
		if got, _ := s.Transient.Calls.Get(c); got != *l {
			return fmt.Errorf("on %v %+v, want %+v", c, got, *l)
		}
	}
	return nil
}
