package toolset

import "github.com/meerkat-go/meerkat/scope"

// Deferral pays from these on.
const (
	DeferTools  = 2   // deferrable tools
	DeferVolume = 160 // characters of what they cost to show together
)

// deferrable reports whether a tool can be hidden until it is asked for.
func deferrable(t scope.Entry) bool { return t.Deferrable && !t.Control }

// Exposure says how the deferrable tools of a catalogue are shown.
func Exposure(c *scope.Catalogue) scope.Exposure {
	count, volume, control := 0, 0, false
	for t := range c.All() {
		control = control || t.Control
		if deferrable(t) {
			count, volume = count+1, volume+t.Volume
		}
	}
	switch {
	case !c.Exact(), !control: // what is hidden could not be listed, or never be asked for
		return scope.Inline
	case c.Pending().Len() > 0:
		return scope.Deferred
	case count == 0:
		return scope.Inline
	case count >= DeferTools, volume >= DeferVolume:
		return scope.Deferred
	}
	return scope.Inline
}

// Visible is what a model would be offered with these tools and what is in force in s: after a boundary that failed, nothing. It is a
// query; what is offered is the set of the round, State.Round.
func Visible(s State, c *scope.Catalogue) *scope.VisibleSet {
	if s.Phase == FailedClosed {
		return closed(s)
	}
	return offered(s, c)
}

// closed is the set that offers nothing. What the model was told of tools it can ask for stays told.
func closed(s State) *scope.VisibleSet {
	var v scope.VisibleSet
	if s.Round.Visible != nil {
		v = *s.Round.Visible
		v.Tools = scope.Witnesses{}
	}
	return &v
}

func offered(s State, c *scope.Catalogue) *scope.VisibleSet {
	always := durable(s, c)
	now := scope.Compose(append(always, s.Overlay.Filters()...)...)
	ever := scope.Compose(always...)
	hide := Exposure(c) == scope.Deferred
	var deferred []string
	tools := c.Pick(func(t scope.Entry) bool {
		hidden := hide && deferrable(t) && !granted(s, t)
		if t.Control || now.Permits(t.Name) && !hidden {
			return true
		}
		if hidden && ever.Permits(t.Name) {
			deferred = append(deferred, t.Name)
		}
		return false
	})
	v := &scope.VisibleSet{Tools: tools, Deferred: scope.NamesOf(deferred...), Pending: c.Pending(), Base: c.Base()}
	v.Dormant = named(s.Active.Granted, another(c))
	v.Foreign = foreign(s.Inherited.Restriction, c, false).With(foreign(s.Active.Restriction, c, true))
	return v
}

// durable lists the layers that are there in every run, in order. Before the first there is a place for a policy of what may be
// executed at all.
func durable(s State, c *scope.Catalogue) []scope.Filter {
	return []scope.Filter{
		s.Capability,
		s.Inherited.granting(c, false),
		s.Active.granting(c, true),
	}
}

// granting is the filter as it counts for the tools there are: what allows by the name of another tool allows nothing, and what denies
// denies whoever has the name (R63). Strict: a name without a witness is another's.
func (r Restriction) granting(c *scope.Catalogue, strict bool) scope.Filter {
	if r.Filter.Mode() != scope.ModeAllow {
		return r.Filter
	}
	others := foreign(r, c, strict)
	return r.Filter.Granting(func(name string) bool { return !others.Has(name) })
}

// foreign lists the names of a filter that are now those of other tools than were meant.
func foreign(r Restriction, c *scope.Catalogue, strict bool) scope.Names {
	return r.Filter.Names().Where(func(name string) bool {
		t, ok := c.Get(name)
		if !ok {
			return false
		}
		w, said := r.Witnesses.Get(name)
		return (said || strict) && !w.Matches(t.Witness)
	})
}

// granted reports whether a deferrable tool is granted: this one, and not another of its name.
func granted(s State, t scope.Entry) bool {
	w, ok := s.Active.Granted.Get(t.Name)
	return ok && w.Proven() && w.Matches(t.Witness)
}
