package runtime

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
)

// Models is what a host asks about models, and has done about them: Config.Models. Methods may be called concurrently; no lock is held meanwhile.
type Models interface {
	// Request is what a name, as profiles and routes have it, asks for.
	Request(name string) identity.Request
	// Lookups are what is known of models now. They answer from memory.
	Lookups() identity.Lookups
	// Prepare makes a client ready, so that the next call with this identity finds it. It has Config.Grace. An error says that there can be none:
	// then nothing changes. It may be asked for the same target again, also in another process.
	Prepare(ctx context.Context, t identity.Target) error
}

// Conditions of models.
var (
	ErrNoModels    = fault.New(fault.NotReady, "this host changes no models")
	ErrModelClient = fault.New(fault.Provider, "no client could be made for the model")
	ErrModelMoved  = fault.New(fault.Stale, "what the change rests on is not so any more")
	ErrIDUsed      = fault.New(fault.Invalid, "id was used before")
)

// sightConditions are the conditions of refusals that tools and models have of their own.
var sightConditions = map[string]error{
	model.GuardBusy: ErrBusy, model.GuardSwitch: ErrBusy,
	model.GuardToken: ErrModelMoved, model.GuardIdentity: ErrModelMoved, model.GuardSurface: ErrModelMoved, model.GuardStatus: ErrModelMoved,
	model.GuardFilter: ErrModelMoved, model.GuardSeen: ErrModelMoved, model.GuardAttempt: ErrModelMoved,
	model.GuardUsed: ErrIDUsed, model.GuardRuns: ErrInvalid,
}

// changes are those who wait in this process for a change of identity to end. The zero value has nobody.
type changes struct {
	mu sync.Mutex
	of map[identity.Token]*change
}

// change is one of them.
type change struct {
	ch      chan changed // holds one
	pursued bool         // somebody sees to it, and will say how it ended
}

// changed is how a change of identity ended.
type changed struct {
	report identity.Report
	err    error
}

func (c *changes) await(t identity.Token) <-chan changed {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.of == nil {
		c.of = map[identity.Token]*change{}
	}
	one := &change{ch: make(chan changed, 1)}
	c.of[t] = one
	return one.ch
}

// pursue notes that somebody sees to a change. pursued says whether anybody did.
func (c *changes) pursue(t identity.Token) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if one := c.of[t]; one != nil {
		one.pursued = true
	}
}

func (c *changes) pursued(t identity.Token) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.of[t]
	return one == nil || one.pursued // whoever took it is about to tell
}

// take forgets who waits; nil: nobody.
func (c *changes) take(t identity.Token) chan<- changed {
	c.mu.Lock()
	defer c.mu.Unlock()
	one := c.of[t]
	if one == nil {
		return nil
	}
	delete(c.of, t)
	return one.ch
}

// modelOf is what is known of the session's model.
func modelOf(st machine.State) (m model.State) {
	if st.Model != nil {
		m = *st.Model
	}
	return m
}

// resolve works out what a request means for whoever has an identity. A model may be asked for by any name it has, and one of another provider need
// not be named with it.
func (h *Host) resolve(current identity.Identity, r identity.Request) (identity.Target, error) {
	if r.Model != "" {
		if known := h.config.Models.Request(r.Model); r.Provider == "" || r.Provider == known.Provider {
			r.Model, r.Provider = known.Model, known.Provider
		}
	}
	return identity.Resolve(current, r, h.config.Models.Lookups())
}

// named is what the model of a profile is, as far as it is known: nothing, a name, or all of it.
func (h *Host) named(p run.Profile) (identity.Target, identity.Status) {
	if h.config.Models == nil || p.Model == "" {
		return identity.Target{}, ""
	}
	r := h.config.Models.Request(p.Model)
	params, err := identity.ParseParams(p.Params)
	if err != nil {
		return identity.Target{}, "" // an executor that can make nothing of them says so
	}
	r.Params = params
	t, err := h.resolve(identity.Identity{}, r)
	switch {
	case err == nil:
		return t, identity.Resolved
	case errors.Is(err, identity.ErrUnknownModel) && r.Provider != "":
		return identity.Target{Identity: identity.Identity{Model: r.Model, Provider: r.Provider, SelfHostedServer: r.SelfHostedServer,
			Params: bare(params)}}, identity.Unresolved
	}
	return identity.Target{}, ""
}

// bare leaves out parameters that were named and are empty.
func bare(p identity.Params) identity.Params {
	if p == identity.NoParams {
		return ""
	}
	return p
}

// hydrate tells the session which model its profile's is, if it does not know, and what is known of its model now, if that is something else.
func (s *session) hydrate(ctx context.Context) error {
	if s.host.config.Models == nil {
		return nil
	}
	st := s.state()
	m := modelOf(st)
	var t identity.Target
	var status identity.Status
	switch {
	case m.Phase == model.Unknown && st.Profile != nil:
		t, status = s.host.named(*st.Profile)
	case m.Phase == model.Resolved || m.Phase == model.Unresolved:
		if look := s.host.config.Models.Lookups(); look.Surface != nil {
			if surface, ok := look.Surface(m.Identity); ok && (surface != m.Surface || m.Phase == model.Unresolved) {
				t, status = identity.Target{Identity: m.Identity, Surface: surface}, identity.Resolved
			}
		}
	}
	if status == "" {
		return nil
	}
	_, err := s.ask(ctx, &letter{rank: control, event: machine.Identity{Event: model.Event{Kind: model.Hydrate, Target: t, Status: status}}})
	return err
}

// teller tells a session an event, directly or through a handle.
type teller func(ctx context.Context, ev machine.Event) answer

func (s *session) teller() teller {
	return func(ctx context.Context, ev machine.Event) answer {
		return s.await(ctx, &letter{rank: control, event: ev})
	}
}

// ReconfigureSessionLLMIdentity changes the model a session talks to. The request is resolved, written down, a client is made ready outside all
// locks, and then the identity and what follows from it change in one commit: a call under way ends as it began, the next is made with the other
// model. A request for what is there already is accepted, and its report says that nothing changed. ErrBusy: another change, or a switch, is
// under way. An *identity.Invalid: the request cannot be. ErrModelClient: no client could be made, and nothing has changed. ErrModelMoved: what it
// rests on changed meanwhile. If ctx ends first the change goes on.
func (h *Host) ReconfigureSessionLLMIdentity(ctx context.Context, sid id.Session, r identity.Request) (identity.Report, error) {
	s, err := h.open(ctx, sid, existing)
	var out identity.Report
	if err == nil {
		out, err = s.reconfigure(ctx, s.teller(), r)
	}
	return out, failed("reconfigure the model of", sid, err)
}

func (s *session) reconfigure(ctx context.Context, tell teller, r identity.Request) (identity.Report, error) {
	if s.host.config.Models == nil {
		return identity.Report{}, ErrNoModels
	}
	if err := s.hydrateOnce(ctx); err != nil {
		return identity.Report{}, err
	}
	m := modelOf(s.state())
	target, err := s.host.resolve(m.Identity, r)
	if err != nil {
		return identity.Report{}, err
	}
	token := identity.Token(id.New())
	over := s.changes.await(token)
	defer s.changes.take(token)
	a := tell(ctx, machine.Identity{Event: model.Event{Kind: model.Begin, Token: token, Previous: m.Current(), Target: target}})
	switch {
	case a.err != nil:
		return identity.Report{}, a.err
	case a.verdict.Identity != nil:
		return *a.verdict.Identity, nil // it is there already
	}
	for err == nil {
		next := s.watches.next()
		if p, owed := modelOf(s.state()).OwedPrepare(); (!owed || p.Token != token) && !s.changes.pursued(token) {
			// The commit that began it, or one before anybody saw to it, has ended it with the session. Why is told to whoever would commit it.
			return identity.Report{}, tell(ctx, machine.Identity{Event: model.Event{Kind: model.Commit, Token: token}}).err
		}
		select {
		case c := <-over:
			return c.report, c.err
		case <-next:
		case <-s.gone:
			err = s.reasonEnded()
		case <-ctx.Done():
			err = fmt.Errorf("the change goes on: %w", ctx.Err())
		}
	}
	select {
	case c := <-over: // it may be what ended ctx, or the session
		return c.report, c.err
	default:
		return identity.Report{}, err
	}
}

// hydrateOnce hydrates a session that was registered where nobody knew its model.
func (s *session) hydrateOnce(ctx context.Context) error {
	if modelOf(s.state()).Phase != model.Unknown {
		return nil
	}
	return s.hydrate(ctx)
}

// pursue sees to what is owed about models: a client for a change that was begun, a change for a switch until changed. The drainer's; it is called
// whenever the state has changed, so what a process before this one left is seen to as well (R124).
func (s *session) pursue(st machine.State) {
	m := modelOf(st)
	p, prepare := m.OwedPrepare()
	_, apply := m.OwedApply()
	if !prepare && !apply || s.pursuing || st.Transient.Draining || s.host.closing.Load() {
		return
	}
	if st.Lifecycle.Phase != lifecycle.Idle && st.Lifecycle.Phase != lifecycle.Running || !s.leased() {
		return
	}
	s.pursuing = true
	s.changes.pursue(p.Token)
	s.host.calls.add()
	go func() {
		defer s.host.calls.done()
		if prepare {
			s.prepare(m)
		} else {
			s.begin(m)
		}
		s.own(func() { s.pursuing = false })
	}()
}

// prepare makes a client ready for the change that is under way, and ends the change. If the host closes meanwhile it is left to the next process.
func (s *session) prepare(m model.State) {
	p, _ := m.OwedPrepare()
	var err error = ErrNoModels
	if s.host.config.Models != nil {
		err = s.host.bounded(func(ctx context.Context) error { return s.host.config.Models.Prepare(ctx, p.Target) })
	}
	if s.host.work.Err() != nil {
		return
	}
	out := changed{}
	if err == nil {
		a, told := s.insist(machine.Identity{Event: model.Event{Kind: model.Commit, Token: p.Token}})
		if !told {
			return
		}
		if err = a.err; err == nil {
			out.report = reportOf(m, p, a)
		}
	} else {
		err = fmt.Errorf("%w: %w", ErrModelClient, err)
	}
	if err != nil {
		out.err = failed("reconfigure the model of", s.id, err)
		if _, told := s.insist(machine.Identity{Event: model.Event{Kind: model.Abort, Token: p.Token}}); !told {
			return
		}
	}
	if ch := s.changes.take(p.Token); ch != nil {
		ch <- out
	}
}

// reportOf is what a change came to. One that turns out to have been committed before is told from what it began with.
func reportOf(before model.State, p model.Pending, a answer) identity.Report {
	if r := a.verdict.Identity; r != nil && !r.Unchanged {
		return *r
	}
	after := modelOf(a.state)
	return identity.Report{Previous: before.Identity, New: p.Target.Identity,
		Surface: identity.Delta{Previous: before.Surface, Current: p.Target.Surface, Changed: before.Surface != p.Target.Surface},
		Tools:   identity.ToolDelta{Previous: p.Previous.Filter, Current: after.Surface.Filter()}}
}

// begin begins the change that a switch until changed asks for, or gives the switch up.
func (s *session) begin(m model.State) {
	sw, _ := m.OwedApply()
	give := machine.Routing{RoutingEvent: model.RoutingEvent{Kind: model.AbortUntilChanged, Request: sw.Request}}
	if s.host.config.Models == nil {
		s.insist(give)
		return
	}
	target, err := s.host.resolve(m.Identity, s.host.config.Models.Request(sw.Target.Model))
	if err == nil {
		a, told := s.insist(machine.Identity{Event: model.Event{Kind: model.Begin, Token: identity.Token(id.New()), Request: sw.Request, Previous: m.Current(),
			Target: target}})
		if !told || a.err == nil || errors.Is(failed("begin", s.id, a.err), ErrModelMoved) {
			return // what is owed is looked at again
		}
	}
	s.insist(give)
}

// insist tells the session an event until it is decided. False: this process will not learn what came of it.
func (s *session) insist(ev machine.Event) (answer, bool) {
	for {
		a := s.await(s.host.ctx, &letter{rank: control, event: ev})
		switch {
		case a.err == nil, refused(a.err):
			return a, true
		case s.reasonEnded() != nil || s.host.work.Err() != nil:
			return a, false
		}
		select {
		case <-time.After(s.host.config.StorePause):
		case <-s.host.work.Done():
			return a, false
		}
	}
}

// FallBackModel moves a session to another model for good, in the middle of a call that fails: between a failed attempt and the next one, which is
// then made with the other model. ErrModelMoved: the attempt, or something else it rests on, is another one by now.
func (h *Host) FallBackModel(ctx context.Context, sid id.Session, f executor.Fallback) (identity.Report, error) {
	s, err := h.open(ctx, sid, existing)
	var out identity.Report
	if err == nil {
		out, err = s.fallBack(ctx, s.teller(), f)
	}
	return out, failed("fall back to another model in", sid, err)
}

func (s *session) fallBack(ctx context.Context, tell teller, f executor.Fallback) (identity.Report, error) {
	if s.host.config.Models == nil {
		return identity.Report{}, ErrNoModels
	}
	if err := s.hydrateOnce(ctx); err != nil {
		return identity.Report{}, err
	}
	st := s.state()
	m := modelOf(st)
	target, err := s.host.resolve(m.Identity, f.Request)
	if err != nil {
		return identity.Report{}, err
	}
	if err := s.host.bounded(func(ctx context.Context) error { return s.host.config.Models.Prepare(ctx, target) }); err != nil {
		return identity.Report{}, fmt.Errorf("%w: %w", ErrModelClient, err)
	}
	ev := model.Event{Kind: model.StickyFallback, Previous: m.Current(), Target: target, Profile: target.Identity, Attempt: f.Attempt,
		Route: identity.Route{Model: target.Identity.Model, Realtime: target.Surface.Realtime}}
	if t := st.Toolset; t != nil {
		ev.Seen = model.Revisions{Active: t.Active.Revision, Staged: t.Staged.Revision}
	}
	a := tell(ctx, machine.Identity{Event: ev})
	if a.err != nil {
		return identity.Report{}, a.err
	}
	return *a.verdict.Identity, nil
}

// ResolvedSessionLLMCapabilities says what the model of a session can do, also of one at rest. False: nobody knows.
func (h *Host) ResolvedSessionLLMCapabilities(ctx context.Context, sid id.Session) (identity.Surface, bool, error) {
	st, err := h.State(ctx, sid)
	m := modelOf(st)
	if err != nil || m.Status() != identity.Resolved {
		return identity.Surface{}, false, err
	}
	return m.Surface, true, nil
}

// withNames adds to a condition the error that names tools, if the refusal is about names.
func withNames(condition, err error) error {
	var unknown *scope.UnknownTools
	var missing *scope.MissingWitnesses
	var invalid *scope.InvalidWitnesses
	var missingOfFilter *scope.MissingFilterWitnesses
	var invalidOfFilter *scope.InvalidFilterWitnesses
	switch {
	case errors.As(err, &unknown):
		return fmt.Errorf("%w: %w", condition, unknown)
	case errors.As(err, &missing):
		return fmt.Errorf("%w: %w", condition, missing)
	case errors.As(err, &invalid):
		return fmt.Errorf("%w: %w", condition, invalid)
	case errors.As(err, &missingOfFilter):
		return fmt.Errorf("%w: %w", condition, missingOfFilter)
	case errors.As(err, &invalidOfFilter):
		return fmt.Errorf("%w: %w", condition, invalidOfFilter)
	}
	return condition
}
