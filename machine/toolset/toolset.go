package toolset

import (
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/scope"
)

// Kind of event.
type Kind uint8

// The kinds.
const (
	HydrateInherited Kind = iota // what whoever made the session lets it see
	StageFilter                  // the persistent filter is to be another
	RequestDeferred              // deferred tools are to be granted as well
	ResetDeferred                // no deferred tool is to be granted
	CommitBoundary               // a model is about to be called
	Publish                      // both sides at once
	Restore                      // everything durable at once, when a session is built
	RebaseCapability             // the model is another, or is known now
	SetOverlay                   // a run begins that is restricted
	ClearOverlay                 // it ends
	FailClosed                   // a model is about to be called, and what may be seen cannot be found out
)

var kinds = []string{"hydrate_inherited", "stage_filter", "request_deferred", "reset_deferred", "commit_boundary", "publish", "restore",
	"rebase_capability", "set_overlay", "clear_overlay", "fail_closed"}

// Published is one side of what is published: names and authorities apart, as they come from outside.
type Published struct {
	Filter      scope.Filter
	Names       scope.Names     // the deferred tools that are granted
	Authorities scope.Witnesses // one for each of them
	Revision    uint64
}

// Event of the region. Catalogue, Run, ImageResults and Resolved are facts of others: the tools there are when the event is told, the
// run that is bound, and what the model in use can do.
type Event struct {
	Kind Kind
	// Catalogue goes with all kinds but ResetDeferred, ClearOverlay and FailClosed. Nil: no tools are known. For CommitBoundary that is a
	// failure; for the others it means that names can be compared with nothing.
	Catalogue    *scope.Catalogue
	Filter       scope.Filter    // HydrateInherited, StageFilter
	Witnesses    scope.Witnesses // HydrateInherited, StageFilter, Publish: of the filters' names. RequestDeferred: what is to be granted
	Active       Published       // Publish
	Staged       Published       // Publish
	Restored     *Durable        // Restore
	ImageResults bool            // RebaseCapability, Restore: the model takes images in results of tools
	Resolved     bool            // RebaseCapability, Restore: it is known what the model can do
	Overlay      scope.Overlay   // SetOverlay
	Run          id.Run          // SetOverlay: whose overlay
	Cause        string          // FailClosed
}

// ImageTool is the tool that is of no use to a model that takes no images in results of tools.
const ImageTool = "view_image"

// CapabilityBaseFilter is what a model's capability lets be seen. It is derived and never chosen; no other capability hides a tool.
func CapabilityBaseFilter(imageResults bool) scope.Filter {
	if imageResults {
		return scope.All()
	}
	return scope.Deny(ImageTool)
}

var anywhere = []Phase{Open, FailedClosed}

// Table decides the region. The numbers are those of the rows in docs/machine/toolset.md.
var Table = fsm.Must(fsm.Table[Phase, Kind, State, Event]{
	Region: "toolset",
	Phases: phases,
	Events: kinds,
	Phase:  func(s State) Phase { return s.Phase },
	Move:   func(s State, p Phase) State { s.Phase = p; return s },
	Kind:   func(e Event) Kind { return e.Kind },
	Rules: []fsm.Rule[Phase, Kind, State, Event]{
		{On: HydrateInherited, From: anywhere, When: guards(inheritedUnset, noControl, givenIdentified, givenMatch), Stay: true, Do: hydrate}, // V1
		{On: StageFilter, From: anywhere, When: guards(namesKnown, namesWitnessed, namesTrue), Stay: true, Do: stage},                         // V3
		{On: RequestDeferred, From: anywhere, When: guards(somethingWanted, wantedProven, wantedTrue, wantedKeep), Stay: true, Do: request},   // V4
		{On: ResetDeferred, From: anywhere, Stay: true, Do: reset},                                                                            // V5
		{On: CommitBoundary, From: anywhere, When: guards(catalogueGiven, toolsIdentified, deferrablesProven), To: Open, Do: boundary},        // V6, with V2
		{On: Publish, From: anywhere, When: guards(activeNotBehind, sameContent, activeStaged, namesCovered, authoritiesScoped,
			authoritiesProven, noneGoesBack, revisionsKeep, givenIdentified, noControl), Stay: true, Do: publish}, // V7
		{On: Restore, From: anywhere, When: guards(restoredGiven, inheritedKept, inheritedWitnessed, givenIdentified, givenMatch, noControl,
			authoritiesProven, authoritiesTrue, sameContent, capabilityDerived, noneGoesBack, revisionsKeep), Stay: true, Do: restore}, // V8
		{On: Restore, From: anywhere, When: guards(restoredGiven, nothingNew), Stay: true},                                // V8 again
		{On: RebaseCapability, From: anywhere, When: guards(modelKnown), Stay: true, Do: rebase},                          // V9
		{On: RebaseCapability, From: anywhere, Stay: true},                                                                // V9 of an unknown model
		{On: SetOverlay, From: anywhere, When: guards(runNamed, overlayCoherent, allowedKnown), Stay: true, Do: overlaid}, // V10
		{On: ClearOverlay, From: anywhere, Stay: true, Do: func(s State, _ Event) State { return overlaid(s, Event{}) }},  // V11
		{On: FailClosed, From: anywhere, To: FailedClosed, Do: failClosed},                                                // V12
	},
})

func hydrate(s State, e Event) State {
	s.Inherited = Inherited{Restriction{e.Filter, e.Witnesses}.canonical(), true}
	return s
}

// staging begins a change of the staged side. One that was superseded is not taken up again: what is in force is where it begins.
func staging(s State) State {
	if s.Active.Revision > s.Staged.Revision {
		s.Staged.Restriction = s.Active.Restriction
	}
	s.Next++
	s.Staged.Revision = s.Next
	return s
}

func stage(s State, e Event) State {
	s = staging(s)
	s.Staged.Restriction = Restriction{e.Filter, e.Witnesses}.canonical()
	return s
}

func request(s State, e Event) State {
	s = staging(s)
	s.Staged.Granted = s.Staged.Granted.With(e.Witnesses)
	return s
}

func reset(s State, _ Event) State {
	s = staging(s)
	s.Staged.Granted = scope.Witnesses{}
	return s
}

// boundary puts what is staged in force and finds the set of the round.
func boundary(s State, e Event) State {
	s = s.promoted()
	s.Cause = ""
	// A name the overlay allowed and that no tool has is not given to a later tool of that name. The overlay goes on restricting.
	s.Overlay.Allowed = s.Overlay.Allowed.Where(func(name string) bool { return filterable(e.Catalogue, name) })
	return s.seen(offered(s, e.Catalogue))
}

// seen makes v the set of the round: the old object if it is equal, so that a boundary at which nothing happened changes nothing.
func (s State) seen(v *scope.VisibleSet) State {
	if v.Equal(s.Round.Visible) {
		v = s.Round.Visible
	}
	s.Round = Round{v, s.Active.Revision}
	return s
}

func failClosed(s State, e Event) State {
	revision := s.Round.Revision
	s = s.seen(closed(s))
	s.Cause, s.Round.Revision = e.Cause, revision
	return s
}

func publish(s State, e Event) State {
	active, staged := published(s, e)
	if active.Revision == s.Active.Revision && active.same(s.Active) && staged.Revision == s.Staged.Revision && staged.same(s.Staged) {
		return s
	}
	s.Active, s.Staged = active, staged
	s.Next = max(s.Next, active.Revision)
	return s
}

// published returns both sides as they will be.
func published(s State, e Event) (active, staged Side) {
	return s.publishes(e.Active, e), s.publishes(e.Staged, e)
}

// publishes is a side that is published. What is known of its names stays known, and of a revision that is there its own.
func (s State) publishes(p Published, e Event) Side {
	known := s.Staged.Witnesses.With(s.Active.Witnesses)
	switch {
	case p.Revision == s.Active.Revision:
		known = s.Active.Witnesses
	case p.Revision == s.Staged.Revision:
		known = s.Staged.Witnesses
	case s.Pending():
		known = s.Active.Witnesses.With(s.Staged.Witnesses)
	}
	return Side{Restriction{p.Filter, known.With(e.Witnesses)}.canonical(), p.Authorities, p.Revision}
}

func restore(s State, e Event) State {
	if new := e.Restored.canonical(); !new.equal(s.Durable) {
		s.Durable = new
		s.Next = max(s.Next, new.Active.Revision, new.Staged.Revision)
	}
	return s
}

// rebase changes what the model's capability lets be seen. If the model sees another set by that, both sides get new revisions, so that
// no revision means two things. A stage that was superseded stays so.
func rebase(s State, e Event) State {
	filter, was := CapabilityBaseFilter(e.ImageResults), s
	if filter.Equal(s.Capability) {
		return s
	}
	s.Capability = filter
	if offered(was, e.Catalogue).Allows(ImageTool) == offered(s, e.Catalogue).Allows(ImageTool) {
		return s
	}
	s.Next++
	s.Active.Revision = s.Next
	switch {
	case was.Staged.same(was.Active):
		s.Staged.Revision = s.Next
	case was.Pending():
		s.Next++
		s.Staged.Revision = s.Next
	}
	return s
}

// overlaid puts the event's overlay in place of what is there. One that restricts nothing is none.
func overlaid(s State, e Event) State {
	if e.Overlay.IsZero() {
		e.Overlay, e.Run = scope.Overlay{}, ""
	}
	if !e.Overlay.Equal(s.Overlay) {
		s.Overlay = e.Overlay.Public()
	}
	s.Run = e.Run
	return s
}
