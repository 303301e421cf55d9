package machine

import (
	"slices"
	"strings"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/machine/toolserver"
	"github.com/meerkat-go/meerkat/machine/toolset"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/transcript"
)

// Which tools the model is offered, and what that means for the calls it asks for.

type (
	// Toolset is about which tools the model is offered. The tools there are, and what the model can do, are filled in.
	Toolset struct{ toolset.Event }
	// Offered says which tools there are from now on. Nil: nobody knows. It belongs to the process, and counts at the next boundary.
	Offered struct{ Catalogue *scope.Catalogue }
)

func (Toolset) machineEvent() {}
func (Offered) machineEvent() {}

// GuardInside refuses an event of a region that is part of a step, and never told from outside.
const GuardInside = "it may be told from outside"

// tools steps what may be seen, as it is told from outside.
func (b *step) tools(e toolset.Event) error {
	switch e.Kind {
	case toolset.CommitBoundary, toolset.RebaseCapability, toolset.SetOverlay, toolset.ClearOverlay, toolset.FailClosed:
		return b.refuse(Name(Toolset{e}), GuardInside)
	case toolset.HydrateInherited, toolset.StageFilter, toolset.RequestDeferred, toolset.ResetDeferred, toolset.Publish, toolset.Restore:
	}
	return b.see(e)
}

// see steps what may be seen.
func (b *step) see(e toolset.Event) error {
	m := get(b.s.Model)
	e.Catalogue = b.s.Transient.Attachment.Catalogue
	// What is in force follows from the surface that is on record, be it a guess.
	e.ImageResults, e.Resolved = m.Surface.ImageToolResults, m.Phase != model.Unknown
	next, err := toolset.Step(get(b.s.Toolset), e)
	if err == nil {
		put(b, &b.s.Toolset, ToolsetRegion, next)
	}
	return err
}

// crossTools puts in force what is staged, and finds what the model is offered until the next boundary. Without a catalogue nobody knows what
// there is: then an executor offers what it has, unless something restricts it, for then nothing is offered. One that reports whole runs is left to
// itself.
func (b *step) crossTools() {
	c, was := b.present(), get(b.s.Toolset)
	next := was
	switch {
	case c != nil, restricts(was) && b.s.Transient.Attachment.Grain == run.Fine:
		next = toolset.Boundary(was, c)
	default:
		next.Round, next.Phase, next.Cause = toolset.Round{}, toolset.Open, ""
	}
	put(b, &b.s.Toolset, ToolsetRegion, next)
	b.tellTools(toolset.Told(was, next))
}

// present are the tools that there are, without those of servers that are being removed or are not there: whoever lists them may not know yet.
func (b *step) present() *scope.Catalogue {
	c := b.s.Transient.Attachment.Catalogue
	if c == nil || b.s.Servers == nil {
		return c
	}
	servers := *b.s.Servers
	return c.Where(func(e scope.Entry) bool {
		p := e.Witness.Provenance
		return p.Kind != scope.MCP || !servers.Knows(p.Source) || servers.Get(p.Source).Base == toolserver.Active
	})
}

// restricts reports whether somebody has said which tools may be seen. What the model can do says that of one tool alone.
func restricts(s toolset.State) bool {
	return !s.Inherited.Filter.IsZero() || !s.Active.Filter.IsZero() || s.Pending() && !s.Staged.Filter.IsZero() || !s.Overlay.IsZero()
}

// restrict puts the overlay of a run in force. The refusal says which tools it allows that are not there.
func (b *step) restrict(r id.Run, o scope.Overlay) error {
	if o.IsZero() {
		return nil
	}
	return b.see(toolset.Event{Kind: toolset.SetOverlay, Overlay: o, Run: r})
}

// mayRestrict refuses an overlay that no run could have now. Where it is not known which tools there are, that is found out when the run begins.
func (b *step) mayRestrict(o scope.Overlay) error {
	if o.IsZero() || b.s.Transient.Attachment.Catalogue == nil {
		return nil
	}
	_, err := toolset.Step(get(b.s.Toolset), toolset.Event{Kind: toolset.SetOverlay, Overlay: o, Run: "one", Catalogue: b.s.Transient.Attachment.Catalogue})
	return err
}

// unrestrict takes the overlay of the run away: the run is over.
func (b *step) unrestrict() error {
	if b.s.Toolset == nil {
		return nil
	}
	return b.see(toolset.Event{Kind: toolset.ClearOverlay})
}

// gate refuses the calls of a reply whose tools were not offered in its round. Where the executor knows better why a call must not run, it is left
// to say so.
func (b *step) gate(calls []run.Intent) []run.Intent {
	offered := get(b.s.Toolset).Round.Visible
	if offered == nil {
		return calls
	}
	gated := calls
	for n, c := range calls {
		now, known := b.s.Transient.Attachment.Catalogue.Get(c.Call.Name)
		if known && offered.Offers(c.Call.Name, now.Witness) || !known && offered.Allows(c.Call.Name) {
			continue
		}
		why := run.Refusal{Code: transcript.ResultNotFound, Message: "There is no tool of this name."}
		if known {
			why = run.Refusal{Code: transcript.ResultDenied, Message: "This tool is not offered at the moment."}
		}
		if r := c.Refusal; r != nil && (r.Code == why.Code || r.Code == transcript.ResultDenied) {
			continue
		}
		if &gated[0] == &calls[0] {
			gated = slices.Clone(calls)
		}
		gated[n].Refusal = &why
	}
	return gated
}

// tellTools tells what a boundary has changed: clients what exactly, and the model what it can see of it.
func (b *step) tellTools(o toolset.Outcome) {
	told := func(domain, phase string, e event.ToolConfigChanged) {
		e.Operation, e.Target, e.Domain, e.Phase, e.Turn = "reload", "tools", domain, phase, b.s.Turn.Round
		b.tell(e, transcript.Position{})
	}
	var said []string
	say := func(what string, names scope.Names) {
		if names.Len() > 0 {
			said = append(said, what+strings.Join(list(names), ", ")+".")
		}
	}
	var shown scope.Names
	if a := o.Applied; a != nil {
		shown = a.Shown
		say("Tools that are offered from now on: ", shown)
		say("Tools that are not offered any more: ", a.Hidden)
		told(event.ToolScope, "boundary_applied", event.ToolConfigChanged{Persisted: true, Applied: &event.ToolsApplied{BaseChanged: a.BaseChanged,
			VisibleChanged: a.VisibleChanged, Revision: a.Revision, Shown: list(shown), Hidden: list(a.Hidden), Dormant: list(a.Dormant),
			Foreign: list(a.Foreign)}})
	}
	if d := o.Deferred; d != nil {
		say("Tools that can be asked for from now on: ", d.Added)
		say("Tools that cannot be asked for any more: ", d.Removed.Without(shown))
		told(event.DeferredCatalog, "deferred_catalog_delta", event.ToolConfigChanged{Persisted: true, Deferred: &event.ToolsDeferred{Added: list(d.Added),
			Removed: list(d.Removed), Pending: list(d.Pending)}})
	}
	if len(said) > 0 {
		b.notice("tool_scope", strings.Join(said, "\n"))
	}
	if o.Failed != nil {
		b.notice("tool_scope_warning", "No tool is offered for now: it could not be found out which tools there are.")
		told(event.ToolScope, "warning_failed_closed", event.ToolConfigChanged{Persisted: true, Error: *o.Failed})
	}
}

// offered takes note of which tools there are now. Those of clients come and go while the session lives, and that is told; with a process they all go,
// and are no news when they are registered again.
func (b *step) offered(c *scope.Catalogue) {
	was := b.s.Transient.Attachment.Catalogue
	b.s.Transient.Attachment.Catalogue = c
	if was == nil || c == nil || !takesWork(b.s.Lifecycle.Phase) {
		return
	}
	tell := func(operation, name string) {
		b.tell(event.ToolConfigChanged{Operation: operation, Target: "callback:" + name, Phase: "applied", Persisted: false, Domain: event.ClientTools,
			Turn: b.s.Turn.Round}, transcript.Position{})
		b.dirty = true
	}
	for e := range was.All() {
		if _, still := c.Get(e.Name); !still && ofClient(e) {
			tell("remove", e.Name)
		}
	}
	for e := range c.All() {
		if _, before := was.Get(e.Name); !before && ofClient(e) {
			tell("add", e.Name)
		}
	}
}

func ofClient(e scope.Entry) bool { return e.Witness.Provenance.Kind == scope.Callback }

func list(n scope.Names) []string { return slices.Collect(n.All()) }
