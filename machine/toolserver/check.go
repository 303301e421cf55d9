package toolserver

import (
	"errors"
	"fmt"

	"github.com/meerkat-go/meerkat/machine/pmap"
)

// Check says what is wrong with a state: nil, or joined errors that each begin with the number of a rule of docs/rules.md. It is for
// tests, simulations and doctors; Step does not need it.
func Check(s State) error {
	var f findings
	type number struct {
		what string
		n    uint64
	}
	seen := map[number]bool{}
	unique := func(rule, what string, n uint64) {
		f.want(n == 0 || !seen[number{what, n}], rule, "two servers have %s %d", what, n)
		seen[number{what, n}] = true
	}
	f.want(int(s.Phase) < len(phases), "R22", "phase %d", s.Phase)
	for name, v := range s.Servers.All() {
		f.want(int(v.Base) < len(bases) && int(max(v.Staged.Op, v.Pending.Op, v.Delta.Op)) < len(ops) && int(v.Delta.Phase) < len(deltaPhases),
			"R22", "%q is in phase %d, with operations %d, %d and %d, the last in phase %d", name, v.Base, v.Staged.Op, v.Pending.Op, v.Delta.Op,
			v.Delta.Phase)
		f.staged(s, string(name), *v)
		f.connections(s, string(name), *v)
		f.told(s, string(name), *v)
		f.want(name != "" && v.Order >= 1 && v.Order <= s.LastOrder, "R77", "%q has order %d of %d", name, v.Order, s.LastOrder)
		f.want(!v.Keep || v.Base == Absent || v.Base == Active, "R76", "%s is %s, and to be connected by a new process", name, v.Base)
		unique("R70", "staging", v.Staged.Seq)
		unique("R71", "task", v.Pending.Task)
		unique("R71", "task", v.Generation)
		unique("R75", "epoch", v.Delta.Epoch)
		unique("R77", "order", v.Order)
	}
	f.calls(s)
	f.want(s.Transient.Aligned <= s.Epoch, "R75", "aligned with epoch %d of %d", s.Transient.Aligned, s.Epoch)
	f.want(s.Timeout >= 0 && s.Retries >= 0, "R72", "timeout %v, %d retries", s.Timeout, s.Retries)
	return errors.Join(f...)
}

type findings []error

// want notes a breach of a rule unless ok.
func (f *findings) want(ok bool, rule, format string, args ...any) {
	if !ok {
		*f = append(*f, fmt.Errorf(rule+": "+format, args...))
	}
}

// staged: an intent has its number, and there is none after a shutdown.
func (f *findings) staged(s State, name string, v Server) {
	st := v.Staged
	f.want((st.Op == None) == (st == Staged{}) && (st.Op == None) == (st.Seq == 0), "R70", "%s has %s staged as %d", name, st.Op, st.Seq)
	f.want(st.Seq <= s.LastStage, "R70", "%s has staging %d of %d", name, st.Seq, s.LastStage)
	f.want(st.Op == None || s.Phase == Operating, "R70", "%s has %s staged in phase %s", name, st.Op, s.Phase)
	f.want(st.Op != Reload || v.Base == Active, "R70", "%s is %s and has a reload staged", name, v.Base)
}

// connections: which there are, and which are owed, follows from the base.
func (f *findings) connections(s State, name string, v Server) {
	p := v.Pending
	f.want((p.Op == None) == (p == Pending{}) && (p.Op == None) == (p.Task == 0) && (p.Op == None) == (p.Lineage == 0), "R71",
		"%s has %s pending as task %d of staging %d", name, p.Op, p.Task, p.Lineage)
	f.want(p.Op != Remove && p.Task <= s.LastTask && p.Lineage <= s.LastStage, "R71", "%s has %s pending as task %d of %d, staging %d of %d",
		name, p.Op, p.Task, s.LastTask, p.Lineage, s.LastStage)
	f.want(p.Op == None || v.Base == Absent || v.Base == Active, "R71", "%s is %s and being connected", name, v.Base)
	f.want(p.Op == None || p.Task > v.Generation, "R71", "%s has task %d pending on generation %d", name, p.Task, v.Generation)
	f.want((v.Generation != 0) == (v.Base == Active || v.Base == Removing), "R74", "%s is %s with generation %d", name, v.Base, v.Generation)
	f.want(v.Generation <= s.LastTask, "R74", "%s has generation %d of %d", name, v.Generation, s.LastTask)
	f.want(v.Base != Active || v.Keep, "R76", "%s is active, and not to be connected by a new process", name)
	f.want((v.Drain != Drain{}) == (v.Base == Removing), "R72", "%s is %s, drained since %v", name, v.Base, v.Drain.Since)
	f.want(!v.Drain.Until.Before(v.Drain.Since), "R72", "%s is drained from %v until %v", name, v.Drain.Since, v.Drain.Until)
	f.want(!v.Outage.Lost || v.Base == Active, "R75", "%s is %s and lost", name, v.Base)
	f.want(v.Outage == Outage{} || v.out(), "R75", "%s is %s, is not out, and has an outage", name, v.Base)
}

// told: the last delta is no younger than the epoch and does not contradict the base.
func (f *findings) told(s State, name string, v Server) {
	d := v.Delta
	none := d.Phase == DeltaNone
	f.want(none == (d == Delta{}) && none == (d.Op == None), "R75", "%s was told %s of %s", name, d.Phase, d.Op)
	f.want(none == (d.Epoch == 0) && d.Epoch <= s.Epoch, "R75", "%s was told %s at epoch %d of %d", name, d.Phase, d.Epoch, s.Epoch)
	f.want((d.Cause != "") == (d.Phase == DeltaFailed), "R75", "%s was told %s with cause %q", name, d.Phase, d.Cause)
	f.want((d.Phase == DeltaDraining) == (v.Base == Removing), "R75", "%s is %s and was told %s", name, v.Base, d.Phase)
	f.want((d.Op == Remove) == (v.Base == Removing || v.Base == Removed), "R75", "%s is %s and was told of %s", name, v.Base, d.Op)
}

// calls: they run on connections that exist.
func (f *findings) calls(s State) {
	for conn, l := range s.Transient.Calls.All() {
		v, ok := s.Servers.Get(pmap.Name(conn.Server))
		f.want(l.Running >= 1, "R73", "%d calls run on %v", l.Running, conn)
		f.want(ok && (v.Base == Active || v.Base == Removing), "R73", "calls run on %v, which is not connected", conn)
		f.want(ok && conn.Generation <= v.Generation, "R73", "calls run on %v, which comes after the present connection", conn)
		f.want(ok && (conn.Generation == v.Generation) == l.Until.IsZero(), "R74", "calls run on %v until %v", conn, l.Until)
	}
}
