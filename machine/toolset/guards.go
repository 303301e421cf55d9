package toolset

import (
	"iter"
	"slices"

	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/scope"
)

// Guards that callers tell apart, by their names in a refusal.
const (
	WhyActiveBehind    = "active is not behind staged"
	WhyContentDiffers  = "equal revisions have equal content"
	WhyNotStaged       = "what is granted is staged too"
	WhyNotCovered      = "every granted name has its authority"
	WhyNotScoped       = "every authority is for a granted name"
	WhyNotProven       = "every authority has a provenance"
	WhyGoesBack        = "no revision goes back"
	WhyRevisionReused  = "a revision keeps its content"
	WhyInherited       = "the inherited filter never changes"
	WhyCapability      = "the capability filter is the model's"
	WhyCatalogueBroken = "every tool has an owner"
)

// MaxRevision is the highest revision that may be published or restored. It leaves room to count on, and readers of JSON can read it.
const MaxRevision = 1<<53 - 1

// guard is a condition. One about names also says which names break it, and what error that is.
type guard struct {
	name      string
	ok        func(State, Event) bool
	offenders func(State, Event) scope.Names
	err       func(scope.Names) error
}

func when(name string, ok func(State, Event) bool) guard { return guard{name: name, ok: ok} }

// each holds if offenders finds no name.
func each(name string, err func(scope.Names) error, offenders func(State, Event) scope.Names) guard {
	return guard{name, func(s State, e Event) bool { return offenders(s, e).Len() == 0 }, offenders, err}
}

// guards hands guards to the table.
func guards(list ...guard) []fsm.Guard[State, Event] {
	out := make([]fsm.Guard[State, Event], len(list))
	for i, g := range list {
		out[i] = fsm.Guard[State, Event]{Name: g.name, OK: g.ok}
	}
	return out
}

func unknown(n scope.Names) error         { return &scope.UnknownTools{Names: n} }
func missing(n scope.Names) error         { return &scope.MissingWitnesses{Names: n} }
func invalid(n scope.Names) error         { return &scope.InvalidWitnesses{Names: n} }
func missingOfFilter(n scope.Names) error { return &scope.MissingFilterWitnesses{Names: n} }
func invalidOfFilter(n scope.Names) error { return &scope.InvalidFilterWitnesses{Names: n} }

// filterable reports whether there is a tool of that name that a filter may mention.
func filterable(c *scope.Catalogue, name string) bool {
	e, ok := c.Get(name)
	return ok && !e.Control
}

func control(c *scope.Catalogue, name string) bool {
	e, ok := c.Get(name)
	return ok && e.Control
}

// named lists the names of witnesses for which bad holds.
func named(w scope.Witnesses, bad func(string, scope.Witness) bool) scope.Names {
	return w.Where(bad).Names()
}

// another reports whether a name is now that of another tool than w means. A name that no tool has is nobody's.
func another(c *scope.Catalogue) func(string, scope.Witness) bool {
	return func(name string, w scope.Witness) bool {
		e, ok := c.Get(name)
		return ok && !w.Matches(e.Witness)
	}
}

func unidentified(_ string, w scope.Witness) bool { return !w.Identified() }
func unproven(_ string, w scope.Witness) bool     { return !w.Proven() }

// restrictions yields the durable filters that an event brings, with what it says about their names.
func restrictions(e Event) iter.Seq[Restriction] {
	return func(yield func(Restriction) bool) {
		var all []Restriction
		switch e.Kind {
		case HydrateInherited, StageFilter:
			all = []Restriction{{e.Filter, e.Witnesses}}
		case Publish:
			all = []Restriction{{e.Active.Filter, e.Witnesses}, {e.Staged.Filter, e.Witnesses}}
		case Restore:
			all = []Restriction{e.Restored.Inherited.Restriction, e.Restored.Active.Restriction, e.Restored.Staged.Restriction}
		case RequestDeferred, ResetDeferred, CommitBoundary, RebaseCapability, SetOverlay, ClearOverlay, FailClosed:
		}
		slices.Values(all)(yield)
	}
}

// among gathers what find finds in each of the event's restrictions.
func among(find func(State, Event, Restriction) scope.Names) func(State, Event) scope.Names {
	return func(s State, e Event) (out scope.Names) {
		for r := range restrictions(e) {
			out = out.With(find(s, e, r))
		}
		return out
	}
}

// sides are what is in force and what is to be, as the event brings them.
func sides(s State, e Event) (active, staged Side) {
	if e.Kind == Restore {
		return e.Restored.Active, e.Restored.Staged
	}
	return published(s, e)
}

// Filters.
var (
	noControl = each("no control tool is filtered", unknown, among(func(_ State, e Event, r Restriction) scope.Names {
		return r.Filter.Names().Where(func(name string) bool { return control(e.Catalogue, name) })
	}))
	givenIdentified = each("what is said about a name says whose it is", missingOfFilter, among(func(_ State, _ Event, r Restriction) scope.Names {
		return named(r.Witnesses, unidentified)
	}))
	givenMatch = each("what is said about a name is so", invalidOfFilter, among(func(_ State, e Event, r Restriction) scope.Names {
		return named(r.Witnesses, another(e.Catalogue))
	}))
	inheritedUnset = when(WhyInherited, func(s State, _ Event) bool { return !s.Inherited.Set })

	namesKnown = each("names are known", unknown, func(s State, e Event) scope.Names {
		mentioned := s.Capability.Names().With(s.Inherited.Filter.Names()).With(s.Active.Filter.Names()).With(s.Staged.Filter.Names())
		return e.Filter.Names().Where(func(name string) bool {
			return !filterable(e.Catalogue, name) && (control(e.Catalogue, name) || !mentioned.Has(name))
		})
	})
	namesWitnessed = each("every name says whose it is", missingOfFilter, func(_ State, e Event) scope.Names {
		return e.Filter.Names().Where(func(name string) bool { w, _ := e.Witnesses.Get(name); return !w.Identified() })
	})
	namesTrue = each("every name is whose it says", invalidOfFilter, func(s State, e Event) scope.Names {
		before := s.Active.Witnesses.With(s.Staged.Witnesses)
		return named(e.Witnesses, func(name string, w scope.Witness) bool {
			now, ok := before.Get(name)
			if entry, there := e.Catalogue.Get(name); there {
				now, ok = entry.Witness, true
			}
			return ok && w != now
		})
	})
)

// Grants.
var (
	somethingWanted = when("something is requested", func(_ State, e Event) bool { return e.Witnesses.Len() > 0 })
	wantedProven    = each("every requested tool has a provenance", missing, func(_ State, e Event) scope.Names { return named(e.Witnesses, unproven) })
	wantedTrue      = each("every requested tool is whose it says", invalid, func(_ State, e Event) scope.Names {
		return named(e.Witnesses, func(name string, w scope.Witness) bool {
			entry, ok := e.Catalogue.Get(name)
			return !ok || !deferrable(entry) || entry.Witness != w
		})
	})
	wantedKeep = each("what was granted to one is not granted to another", invalid, func(s State, e Event) scope.Names {
		return named(e.Witnesses, func(name string, w scope.Witness) bool {
			before, ok := s.Staged.Granted.Get(name)
			return ok && before != w
		})
	})
)

// Boundaries.
var (
	catalogueGiven  = when("the catalogue is given", func(_ State, e Event) bool { return e.Catalogue != nil })
	toolsIdentified = each(WhyCatalogueBroken, missingOfFilter, func(_ State, e Event) scope.Names {
		return entries(e.Catalogue, func(t scope.Entry) bool {
			return !t.Witness.Identified() && (!t.Control || t.Witness != scope.Witness{})
		})
	})
	deferrablesProven = each("every deferrable tool has a provenance", missing, func(_ State, e Event) scope.Names {
		return entries(e.Catalogue, func(t scope.Entry) bool { return t.Deferrable && !t.Control && !t.Witness.Proven() })
	})
)

// entries lists the names of the tools for which pick holds.
func entries(c *scope.Catalogue, pick func(scope.Entry) bool) scope.Names {
	var out []string
	for t := range c.All() {
		if pick(t) {
			out = append(out, t.Name)
		}
	}
	return scope.NamesOf(out...)
}

// Both sides at once.
var (
	activeNotBehind = when(WhyActiveBehind, func(_ State, e Event) bool { return e.Active.Revision >= e.Staged.Revision })
	sameContent     = when(WhyContentDiffers, func(s State, e Event) bool {
		active, staged := sides(s, e)
		return active.Revision != staged.Revision || active.canonical().same(staged.canonical())
	})
	activeStaged = when(WhyNotStaged, func(_ State, e Event) bool { return e.Active.Names.Without(e.Staged.Names).IsZero() })
	namesCovered = each(WhyNotCovered, missing, func(_ State, e Event) scope.Names {
		return e.Active.Names.Without(e.Active.Authorities.Names()).With(e.Staged.Names.Without(e.Staged.Authorities.Names()))
	})
	authoritiesScoped = when(WhyNotScoped, func(_ State, e Event) bool {
		return e.Active.Authorities.Names().Without(e.Active.Names).IsZero() && e.Staged.Authorities.Names().Without(e.Staged.Names).IsZero()
	})
	authoritiesProven = each(WhyNotProven, missing, func(s State, e Event) scope.Names {
		active, staged := sides(s, e)
		return named(active.Granted, unproven).With(named(staged.Granted, unproven))
	})
	authoritiesTrue = each("every authority is of the tool there is", invalid, func(s State, e Event) scope.Names {
		active, staged := sides(s, e)
		return named(active.Granted, another(e.Catalogue)).With(named(staged.Granted, another(e.Catalogue)))
	})
	noneGoesBack = when(WhyGoesBack, func(s State, e Event) bool {
		active, staged := sides(s, e)
		return active.Revision >= s.Active.Revision && staged.Revision >= s.Staged.Revision && max(active.Revision, staged.Revision) <= MaxRevision
	})
	revisionsKeep = when(WhyRevisionReused, func(s State, e Event) bool {
		active, staged := sides(s, e)
		for _, now := range []Side{active, staged} {
			for _, before := range []Side{s.Active, s.Staged} {
				if now.Revision == before.Revision && !now.canonical().same(before) {
					return false
				}
			}
		}
		return true
	})
)

// Restoring.
var (
	restoredGiven = when("something is restored", func(_ State, e Event) bool { return e.Restored != nil })
	inheritedKept = when(WhyInherited, func(s State, e Event) bool {
		r := e.Restored.canonical().Inherited
		return !s.Inherited.Set || r.Set && r.equal(s.Inherited.Restriction)
	})
	inheritedWitnessed = each("every inherited name says whose it is", missingOfFilter, func(_ State, e Event) scope.Names {
		return e.Restored.Inherited.Filter.Names().Without(e.Restored.Inherited.Witnesses.Names())
	})
	capabilityDerived = when(WhyCapability, func(_ State, e Event) bool {
		return !e.Resolved || e.Restored.Capability.Equal(CapabilityBaseFilter(e.ImageResults))
	})
	nothingNew = when("nothing of it is new", func(s State, e Event) bool { return e.Restored.canonical().equal(s.Durable) })
)

// The model and the run.
var (
	modelKnown      = when("it is known what the model can do", func(_ State, e Event) bool { return e.Resolved })
	runNamed        = when("run is named", func(_ State, e Event) bool { return e.Run != "" })
	overlayCoherent = when("nothing is allowed without restricting", func(_ State, e Event) bool { return e.Overlay.Restricts || e.Overlay.Allowed.IsZero() })
	allowedKnown    = each("what is allowed for the run is there", unknown, func(_ State, e Event) scope.Names {
		return e.Overlay.Allowed.Where(func(name string) bool { return !filterable(e.Catalogue, name) })
	})
)
