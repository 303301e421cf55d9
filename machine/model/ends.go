package model

import (
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine/pmap"
)

// rebase makes another model the baseline. One that is the baseline already changes nothing.
func (r Routing) rebase(to identity.Route) Routing {
	if r.Baseline != to {
		r.Baseline = to
		r.Topology++
	}
	if r.Phase == NoBaseline {
		r.Phase = AtBaseline
	}
	return r
}

// applied ends the switch that is being applied: its target is the baseline.
func (r Routing) applied() Routing {
	sw := r.current()
	r = r.rebase(sw.Target)
	return r.over(identity.SwitchEnd{Request: sw.Request, Target: sw.Target, Terminal: identity.PersistentReconfigureApplied})
}

// failed ends the switch that is being applied: the baseline stays.
func (r Routing) failed() Routing { return r.deny(r.current(), identity.ReconfigureFailed) }

// restored ends the switch in force: the baseline answers again.
func (r Routing) restored(unused int) Routing {
	sw := r.current()
	r.Topology++
	return r.over(identity.SwitchEnd{Request: sw.Request, Target: sw.Target, Terminal: identity.ConsumedAndRestored, Unused: unused})
}

// deny ends a switch that never came into force.
func (r Routing) deny(sw Switch, reason identity.Denial) Routing {
	return r.over(identity.SwitchEnd{Request: sw.Request, Target: sw.Target, Terminal: identity.SwitchDenied, Denial: reason})
}

// over writes down the end of a switch. If it is the one under way, none is.
func (r Routing) over(end identity.SwitchEnd) Routing {
	if r.current().Request == end.Request {
		r.Switch, r.Phase = nil, AtBaseline
	}
	r.Ends++
	r.Switches = keep(r.Switches.Set(r.Ends, end))
	return r
}

// ended writes down the end of a picture.
func (r Routing) ended(end identity.ImageEnd) Routing {
	r.Images = r.Images.Delete(pmap.Name(end.Operation))
	r.Ends++
	r.Pictures = keep(r.Pictures.Set(r.Ends, end))
	return r
}

// release takes back the override of a picture, if there is one. What it ended with is what the caller says, else what it was
// made with, else that it was cancelled.
func (r Routing) release(last identity.ImageTerminal) Routing {
	if r.Override == "" {
		return r
	}
	i := r.image(r.Override)
	end := identity.ImageEnd{Operation: r.Override, Terminal: identity.ImageCancelled, Payload: i.Payload}
	switch {
	case last != "":
		end.Terminal = last
	case i.Phase == Restoring:
		end.Terminal = i.Terminal
	}
	r.Override = ""
	r.Topology++
	return r.ended(end)
}

// decided writes down an approval that somebody was asked for and answered.
func (r Routing) decided(of string, parent identity.ApprovalParent, a identity.Approval) Routing {
	if a != identity.Approved && a != identity.DeniedByUser {
		return r
	}
	r.Ends++
	r.Approvals = keep(r.Approvals.Set(r.Ends, identity.ApprovalEnd{ID: of, Parent: parent, Approved: a == identity.Approved}))
	return r
}

// keep forgets the oldest ends beyond Keep.
func keep[V any](ends pmap.Map[id.Seq, V]) pmap.Map[id.Seq, V] {
	for ends.Len() > Keep {
		oldest, _, _ := ends.First()
		ends = ends.Delete(oldest)
	}
	return ends
}

// usedRequest reports whether a switch of this id is under way, or among the ends that are kept.
func (r Routing) usedRequest(request string) bool {
	if r.current().Request == request {
		return true
	}
	_, ok := r.SwitchEnd(request)
	return ok
}

// usedOperation reports whether a picture of this id is being made, or is among the ends that are kept.
func (r Routing) usedOperation(operation string) bool {
	if r.image(operation).Phase != Absent {
		return true
	}
	_, ok := r.ImageEnd(operation)
	return ok
}

// SwitchEnd returns how a switch ended, as long as that is kept.
func (r Routing) SwitchEnd(request string) (identity.SwitchEnd, bool) {
	for _, end := range r.Switches.All() {
		if end.Request == request {
			return end, true
		}
	}
	return identity.SwitchEnd{}, false
}

// ImageEnd returns how a picture ended, and what came of it, as long as that is kept.
func (r Routing) ImageEnd(operation string) (identity.ImageEnd, bool) {
	for _, end := range r.Pictures.All() {
		if end.Operation == operation {
			return end, true
		}
	}
	return identity.ImageEnd{}, false
}
