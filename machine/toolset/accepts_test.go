package toolset

import (
	"fmt"
	"maps"

	"github.com/meerkat-go/meerkat/scope"
)

// accepts says whether what n is told must be accepted: a second opinion, spelled out case by case.
func (n naive) accepts(e Event) bool {
	switch e.Kind {
	case HydrateInherited:
		return !n.set && honest(e.Catalogue, e.Filter, e.Witnesses, false)
	case StageFilter:
		return n.mayStage(e)
	case RequestDeferred:
		return n.mayRequest(e)
	case CommitBoundary:
		return sound(e.Catalogue)
	case Publish:
		return n.mayPublish(e)
	case Restore:
		return e.Restored != nil && (n.mayRestore(e) || n.has(*e.Restored))
	case SetOverlay:
		for name := range e.Overlay.Allowed.All() {
			if t, ok := e.Catalogue.Get(name); !ok || t.Control || !e.Overlay.Restricts {
				return false
			}
		}
		return e.Run != ""
	case ResetDeferred, RebaseCapability, ClearOverlay, FailClosed:
	}
	return true
}

func is(w, now scope.Witness) bool {
	return (w.Owner == "" || w.Owner == now.Owner) && (w.Provenance.IsZero() || w.Provenance == now.Provenance)
}

// honest: no control tool is filtered, and what is said about names says something. Unless unchecked, it is also so.
func honest(c *scope.Catalogue, f scope.Filter, w scope.Witnesses, unchecked bool) bool {
	for name := range f.Names().All() {
		if t, ok := c.Get(name); ok && t.Control {
			return false
		}
	}
	for name, who := range w.All() {
		if who == (scope.Witness{}) {
			return false
		}
		if t, ok := c.Get(name); ok && !unchecked && !is(who, t.Witness) {
			return false
		}
	}
	return true
}

func sound(c *scope.Catalogue) bool {
	for t := range c.All() {
		if !t.Control && (t.Witness == scope.Witness{} || t.Deferrable && t.Witness.Provenance.IsZero()) {
			return false
		}
	}
	return c != nil
}

func (n naive) mayStage(e Event) bool {
	for name := range e.Filter.Names().All() {
		t, ok := e.Catalogue.Get(name)
		mentioned := n.inherited.names[name] || n.active.names[name] || n.staged.names[name] || name == "view_image" && !n.images
		if t.Control || !ok && !mentioned {
			return false
		}
		if who, said := e.Witnesses.Get(name); !said || who == (scope.Witness{}) {
			return false
		}
	}
	for name, who := range e.Witnesses.All() {
		now, known := n.active.who[name]
		if w, staged := n.staged.who[name]; staged {
			now, known = w, true
		}
		if t, ok := e.Catalogue.Get(name); ok {
			now, known = t.Witness, true
		}
		if known && who != now {
			return false
		}
	}
	return true
}

func (n naive) mayRequest(e Event) bool {
	for name, who := range e.Witnesses.All() {
		t, ok := e.Catalogue.Get(name)
		if !ok || !t.Deferrable || t.Control || who != t.Witness || who.Provenance.IsZero() {
			return false
		}
		if before, granted := n.staged.granted[name]; granted && before != who {
			return false
		}
	}
	return e.Witnesses.Len() > 0
}

func alike(a, b half) bool {
	return fmt.Sprint(a.rules) == fmt.Sprint(b.rules) && maps.Equal(a.granted, b.granted)
}

// follows: two sides may stand where those of n are.
func (n naive) follows(active, staged half) bool {
	if active.revision < n.active.revision || staged.revision < n.staged.revision {
		return false
	}
	all := []half{active, staged, n.active, n.staged}
	for i, a := range all {
		for _, w := range a.granted {
			if w.Provenance.IsZero() {
				return false
			}
		}
		for _, b := range all[:i] {
			if a.revision == b.revision && !alike(a, b) {
				return false
			}
		}
	}
	return true
}

func (n naive) mayPublish(e Event) bool {
	for _, p := range []Published{e.Active, e.Staged} {
		if !p.Names.Equal(p.Authorities.Names()) || !honest(e.Catalogue, p.Filter, e.Witnesses, true) {
			return false
		}
	}
	to := n.published(e)
	return e.Active.Revision >= e.Staged.Revision && e.Active.Names.Without(e.Staged.Names).Len() == 0 && n.follows(to.active, to.staged)
}

func (n naive) mayRestore(e Event) bool {
	d := e.Restored
	for _, r := range []Restriction{d.Inherited.Restriction, d.Active.Restriction, d.Staged.Restriction} {
		if !honest(e.Catalogue, r.Filter, r.Witnesses, false) {
			return false
		}
	}
	for _, granted := range []scope.Witnesses{d.Active.Granted, d.Staged.Granted} {
		if !honest(e.Catalogue, scope.All(), granted, false) {
			return false
		}
	}
	if d.Inherited.Filter.Names().Without(d.Inherited.Witnesses.Names()).Len() > 0 || n.set && !n.inherits(d.Inherited) {
		return false
	}
	return (!e.Resolved || d.Capability.IsZero() == e.ImageResults) && n.follows(halved(d.Active), halved(d.Staged))
}

func (n naive) inherits(i Inherited) bool {
	return n.set == i.Set && (!i.Set || fmt.Sprint(ruled(i.Filter, i.Witnesses)) == fmt.Sprint(n.inherited))
}

// has: all of it is there.
func (n naive) has(d Durable) bool {
	active, staged := halved(d.Active), halved(d.Staged)
	return n.images == d.Capability.IsZero() && n.inherits(d.Inherited) && alike(active, n.active) && alike(staged, n.staged) &&
		active.revision == n.active.revision && staged.revision == n.staged.revision
}
