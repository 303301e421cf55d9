package toolset

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meerkat-go/meerkat/scope"
)

// naive is the region as anybody would write it, with maps that are copied whole. It does not decide what is refused, but what becomes of
// what is accepted, and what is seen.
type naive struct {
	images         bool
	set            bool
	inherited      rules
	active, staged half
	next           uint64
	run            string
	restricts      bool
	allowed        map[string]bool
	blocked        map[string]bool
	cause          string
	failed         bool
	seen           string
}

type rules struct {
	mode  scope.Mode
	names map[string]bool
	who   map[string]scope.Witness
}

type half struct {
	rules
	granted  map[string]scope.Witness
	revision uint64
}

func ruled(f scope.Filter, w scope.Witnesses) rules {
	r := rules{f.Mode(), map[string]bool{}, map[string]scope.Witness{}}
	for n := range f.Names().All() {
		r.names[n] = true
		if who, ok := w.Get(n); ok {
			r.who[n] = who
		}
	}
	return r
}

func halved(s Side) half {
	return half{ruled(s.Filter, s.Witnesses), maps.Collect(s.Granted.All()), s.Revision}
}

// view is a naive of the same content: what a model that is told the same must come to.
func view(s State) naive {
	n := naive{images: s.Capability.IsZero(), set: s.Inherited.Set, inherited: ruled(s.Inherited.Filter, s.Inherited.Witnesses),
		active: halved(s.Active), staged: halved(s.Staged), next: s.Next, run: string(s.Run), restricts: s.Overlay.Restricts,
		allowed: map[string]bool{}, blocked: map[string]bool{}, cause: s.Cause, failed: s.Phase == FailedClosed, seen: shown(s.Round.Visible)}
	for a := range s.Overlay.Allowed.All() {
		n.allowed[a] = true
	}
	for b := range s.Overlay.Blocked.All() {
		n.blocked[b] = true
	}
	return n
}

func (n naive) String() string {
	return fmt.Sprintf("images %t inherited %t %v\nactive %v\nstaged %v\nnext %d run %q restricts %t %v %v failed %t %q seen %s", n.images, n.set, n.inherited,
		n.active, n.staged, n.next, n.run, n.restricts, n.allowed, n.blocked, n.failed, n.cause, n.seen)
}

// lets says whether a restriction lets a tool through. Lenient: a name about which nothing is said is this tool's.
func (r rules) lets(t scope.Entry, lenient bool) bool {
	switch r.mode {
	case scope.ModeAll:
		return true
	case scope.ModeDeny:
		return !r.names[t.Name]
	}
	who, said := r.who[t.Name]
	if !said {
		return r.names[t.Name] && lenient
	}
	return r.names[t.Name] && (who.Owner == "" || who.Owner == t.Witness.Owner) && (who.Provenance.IsZero() || who.Provenance == t.Witness.Provenance)
}

func (n naive) sees(c *scope.Catalogue) string {
	tools := slices.Collect(c.All())
	control, deferrables, volume := false, 0, 0
	for _, t := range tools {
		control = control || t.Control
		if t.Deferrable {
			deferrables++
			volume += t.Volume
		}
	}
	hiding := c != nil && control && c.Exact() && (c.Pending().Len() > 0 || deferrables > 1 || deferrables == 1 && volume >= 160)
	out := []string{}
	for _, t := range tools {
		g, granted := n.active.granted[t.Name]
		switch {
		case t.Control:
		case t.Name == "view_image" && !n.images, !n.inherited.lets(t, true), !n.active.lets(t, false):
			continue
		case n.restricts && !n.allowed[t.Name], n.blocked[t.Name]:
			continue
		case hiding && t.Deferrable && !(granted && g.Provenance == t.Witness.Provenance):
			continue
		}
		out = append(out, t.Name)
	}
	return fmt.Sprint(out)
}

// told changes n as an accepted event must.
func (n naive) told(e Event) naive {
	n.active, n.staged, n.allowed = n.active.copied(), n.staged.copied(), maps.Clone(n.allowed)
	begin := func() {
		if n.active.revision > n.staged.revision {
			n.staged.rules = n.active.rules
		}
		n.next++
		n.staged.revision = n.next
	}
	switch e.Kind {
	case HydrateInherited:
		n.set, n.inherited = true, ruled(e.Filter, e.Witnesses)
	case StageFilter:
		begin()
		n.staged.rules = ruled(e.Filter, e.Witnesses)
	case RequestDeferred:
		begin()
		maps.Copy(n.staged.granted, maps.Collect(e.Witnesses.All()))
	case ResetDeferred:
		begin()
		n.staged.granted = map[string]scope.Witness{}
	case CommitBoundary:
		if n.staged.revision > n.active.revision {
			n.active = n.staged.copied()
		}
		for name := range n.allowed {
			if t, ok := e.Catalogue.Get(name); !ok || t.Control {
				delete(n.allowed, name)
			}
		}
		n.failed, n.cause = false, ""
		n.seen = n.sees(e.Catalogue)
	case Publish:
		n = n.published(e)
	case Restore:
		d := e.Restored
		n.images, n.active, n.staged = d.Capability.IsZero(), halved(d.Active), halved(d.Staged)
		if n.set = d.Inherited.Set; n.set {
			n.inherited = ruled(d.Inherited.Filter, d.Inherited.Witnesses)
		}
		n.next = max(n.next, n.active.revision, n.staged.revision)
	case RebaseCapability:
		n = n.rebased(e)
	case SetOverlay, ClearOverlay:
		n.run, n.restricts, n.allowed, n.blocked = string(e.Run), e.Overlay.Restricts, map[string]bool{}, map[string]bool{}
		for a := range e.Overlay.Allowed.All() {
			n.allowed[a] = true
		}
		for b := range e.Overlay.Blocked.All() {
			n.blocked[b] = true
		}
		if !n.restricts && len(n.blocked) == 0 || e.Kind == ClearOverlay {
			n.run, n.restricts, n.allowed, n.blocked = "", false, map[string]bool{}, map[string]bool{}
		}
	case FailClosed:
		n.failed, n.cause, n.seen = true, e.Cause, "[]"
	}
	return n
}

func (h half) copied() half {
	h.granted = maps.Clone(h.granted)
	return h
}

func (n naive) published(e Event) naive {
	side := func(p Published) half {
		older, newer := n.staged.rules, n.active.rules
		if n.staged.revision > n.active.revision {
			older, newer = newer, older
		}
		known := maps.Clone(older.who)
		maps.Copy(known, newer.who)
		if p.Revision == n.active.revision {
			known = maps.Clone(n.active.who)
		} else if p.Revision == n.staged.revision {
			known = maps.Clone(n.staged.who)
		}
		maps.Copy(known, maps.Collect(e.Witnesses.All()))
		h := half{ruled(p.Filter, scope.Witnesses{}), maps.Collect(p.Authorities.All()), p.Revision}
		for name, w := range known {
			if h.names[name] {
				h.who[name] = w
			}
		}
		return h
	}
	n.active, n.staged = side(e.Active), side(e.Staged)
	n.next = max(n.next, n.active.revision)
	return n
}

func (n naive) rebased(e Event) naive {
	if !e.Resolved || n.images == e.ImageResults {
		return n
	}
	before := strings.Contains(n.sees(e.Catalogue), "view_image")
	n.images = e.ImageResults
	if before == strings.Contains(n.sees(e.Catalogue), "view_image") {
		return n
	}
	pending := n.staged.revision > n.active.revision
	equal := fmt.Sprint(n.active.rules, n.active.granted) == fmt.Sprint(n.staged.rules, n.staged.granted)
	n.next++
	n.active.revision = n.next
	if equal {
		n.staged.revision = n.next
	} else if pending {
		n.next++
		n.staged.revision = n.next
	}
	return n
}
