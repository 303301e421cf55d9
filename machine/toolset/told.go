package toolset

import "github.com/meerkat-go/meerkat/scope"

// Applied says how a boundary changed what the model is offered.
type Applied struct {
	BaseChanged    bool // other tools are there, offered or not
	VisibleChanged bool
	Revision       uint64      // in force from here on
	Shown          scope.Names // offered now and not before, or another's than before
	Hidden         scope.Names // not offered any more
	Dormant        scope.Names // grants that count for nothing since this boundary, because the names are others' now
	Foreign        scope.Names // names of filters of which the same is so; what denies them still does
}

// Delta says how what can be asked for has changed.
type Delta struct {
	Added, Removed scope.Names
	Pending        scope.Names // sources that are still being connected
}

// Outcome is what a boundary has to tell. Each part is nil if there is nothing of it to tell.
type Outcome struct {
	Applied  *Applied
	Deferred *Delta
	Failed   *string // the cause: nothing is offered
}

// Told compares a session before and after a step and says what the boundary in it, if there was one, has to tell. The first boundary
// has nothing to be compared with: it tells only a revision that came into force, and what can be asked for. A failure that goes on for
// the same cause is told once.
func Told(before, after State) Outcome {
	if after.Phase == FailedClosed {
		if before.Phase == FailedClosed && before.Cause == after.Cause {
			return Outcome{}
		}
		return Outcome{Failed: &after.Cause}
	}
	now, was := after.Round.Visible, before.Round.Visible
	if now == nil || before.Phase == after.Phase && before.Round == after.Round {
		return Outcome{}
	}
	first := was == nil
	if first {
		was = &scope.VisibleSet{Base: now.Base, Tools: now.Tools}
	}
	var out Outcome
	a := Applied{
		BaseChanged:    now.Base != was.Base,
		VisibleChanged: !now.Tools.Equal(was.Tools),
		Revision:       after.Round.Revision,
		Shown:          now.Tools.Where(func(name string, w scope.Witness) bool { return !was.Offers(name, w) }).Names(),
		Hidden:         was.Tools.Names().Without(now.Tools.Names()),
		Dormant:        now.Dormant.Without(was.Dormant),
		Foreign:        now.Foreign.Without(was.Foreign),
	}
	if a.BaseChanged || a.VisibleChanged || a.Revision != before.Round.Revision || a.Dormant.Len() > 0 || a.Foreign.Len() > 0 {
		out.Applied = &a
	}
	d := Delta{now.Deferred.Without(was.Deferred), was.Deferred.Without(now.Deferred), now.Pending}
	if d.Added.Len() > 0 || d.Removed.Len() > 0 || !now.Pending.Equal(was.Pending) {
		out.Deferred = &d
	}
	return out
}
