package runtime

import (
	"context"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/toolset"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
)

// toolsOf is what was said about the session's tools.
func toolsOf(st machine.State) (t toolset.State) {
	if st.Toolset != nil {
		t = *st.Toolset
	}
	return t
}

// StagePersistentFilter stages a filter of the session's tools and returns its revision. It is in force from the next model call on. Refused with an
// *scope.UnknownTools, a *scope.MissingFilterWitnesses or a *scope.InvalidFilterWitnesses, which carry all the names.
func (h *Host) StagePersistentFilter(ctx context.Context, sid id.Session, f scope.Filter, w scope.Witnesses) (uint64, error) {
	return h.staged(ctx, "stage a tool filter of", sid, toolset.Event{Kind: toolset.StageFilter, Filter: f, Witnesses: w})
}

// RequestDeferredTools asks for deferred tools by whose they are, beside those that were asked for before, and returns the revision. They are offered
// from the next model call on. Refused with a *scope.MissingWitnesses or a *scope.InvalidWitnesses.
func (h *Host) RequestDeferredTools(ctx context.Context, sid id.Session, w scope.Witnesses) (uint64, error) {
	return h.staged(ctx, "request deferred tools of", sid, toolset.Event{Kind: toolset.RequestDeferred, Witnesses: w})
}

// ResetDeferredTools takes back all that was requested, and returns the revision.
func (h *Host) ResetDeferredTools(ctx context.Context, sid id.Session) (uint64, error) {
	return h.staged(ctx, "reset the deferred tools of", sid, toolset.Event{Kind: toolset.ResetDeferred})
}

// InheritToolFilter restricts the tools of a session for ever. It is accepted once.
func (h *Host) InheritToolFilter(ctx context.Context, sid id.Session, f scope.Filter, w scope.Witnesses) error {
	_, err := h.sighted(ctx, "restrict the tools of", sid, toolset.Event{Kind: toolset.HydrateInherited, Filter: f, Witnesses: w})
	return err
}

// PublishCommittedVisibleSet replaces what is in force and what is staged of a session's tools, at once, and returns what is there then. Every
// guard refuses by its name: see machine.Refusal.
func (h *Host) PublishCommittedVisibleSet(ctx context.Context, sid id.Session, v executor.Visibility) (executor.Visibility, error) {
	a, err := h.sighted(ctx, "publish the tools of", sid, publication(v))
	return visibilityOf(toolsOf(a.state)), err
}

// OfferTools says which tools there are for a session that lives here, in place of what was said before. It counts from the next model call on, and as
// long as the executor is attached. Nil: nobody knows.
func (h *Host) OfferTools(ctx context.Context, sid id.Session, c *scope.Catalogue) error {
	_, err := h.command(ctx, sid, machine.Offered{Catalogue: c})
	return failed("offer tools to", sid, err)
}

func (h *Host) staged(ctx context.Context, command string, sid id.Session, ev toolset.Event) (uint64, error) {
	a, err := h.sighted(ctx, command, sid, ev)
	return toolsOf(a.state).Staged.Revision, err
}

func (h *Host) sighted(ctx context.Context, command string, sid id.Session, ev toolset.Event) (answer, error) {
	s, err := h.open(ctx, sid, existing)
	if err != nil {
		return answer{}, failed(command, sid, err)
	}
	a := s.teller()(ctx, machine.Toolset{Event: ev})
	return a, failed(command, sid, a.err)
}

func publication(v executor.Visibility) toolset.Event {
	side := func(s executor.VisibleSide) toolset.Published {
		return toolset.Published{Filter: s.Filter, Names: s.Granted, Authorities: s.Authorities, Revision: s.Revision}
	}
	return toolset.Event{Kind: toolset.Publish, Active: side(v.Active), Staged: side(v.Staged), Witnesses: v.Witnesses}
}

func visibilityOf(t toolset.State) executor.Visibility {
	side := func(s toolset.Side) executor.VisibleSide {
		return executor.VisibleSide{Filter: s.Filter, Granted: s.Granted.Names(), Authorities: s.Granted, Revision: s.Revision}
	}
	return executor.Visibility{Active: side(t.Active), Staged: side(t.Staged), Witnesses: t.Staged.Witnesses.With(t.Active.Witnesses)}
}

// offer is what an executor says of its tools when it is attached. Nil: it says nothing, or cannot.
func (s *session) offer(ex executor.Executor, profile *run.Profile) *scope.Catalogue {
	o, ok := ex.(executor.Offerer)
	if !ok || profile == nil {
		return nil
	}
	got := make(chan *scope.Catalogue, 1)
	err := s.host.bounded(func(ctx context.Context) error {
		c, err := o.Catalogue(ctx, s.id, *profile)
		got <- c
		return err
	})
	if err != nil {
		return nil // its runs will say what is wrong
	}
	return <-got
}

// editionOf is the edition of what an executor offers. One that cannot say never offers anything else.
func editionOf(ex executor.Executor) uint64 {
	if e, ok := ex.(executor.Editor); ok {
		return e.OfferEdition()
	}
	return 0
}

// reoffer puts in front of some mail what the executor offers now, if that may be something else than when it was asked last. The drainer's.
func (s *session) reoffer(mail []*letter) []*letter {
	if s.driver == nil || s.executor == nil {
		return mail
	}
	now := editionOf(s.executor)
	st := s.driver.State()
	if now == s.edition || !st.Attached() {
		return mail
	}
	s.edition = now
	return append([]*letter{{rank: outcomes, event: machine.Offered{Catalogue: s.offer(s.executor, st.Profile)}}}, mail...)
}
