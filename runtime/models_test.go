package runtime_test

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	region "github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/storetest"
)

// usesOfModels are all that can be done with the handles of tools and models, each once.
func usesOfModels(w *world, b executor.Bindings) map[string]func() error {
	ctx := w.ctx
	t, m, r := b.Toolset, b.Models, b.Routing
	just := func(_ any, err error) error { return err }
	return map[string]func() error{
		"Toolset.Offer":       func() error { return t.Offer(ctx, catalogue("read")) },
		"Toolset.Inherit":     func() error { return t.Inherit(ctx, scope.All(), scope.Witnesses{}) },
		"Toolset.StageFilter": func() error { return just(t.StageFilter(ctx, scope.All(), scope.Witnesses{})) },
		"Toolset.RequestDeferred": func() error {
			return just(t.RequestDeferred(ctx, catalogue("hidden*").Witnesses(scope.NamesOf("hidden"))))
		},
		"Toolset.ResetDeferred": func() error { return just(t.ResetDeferred(ctx)) },
		"Toolset.Publish":       func() error { return just(t.Publish(ctx, executor.Visibility{})) },
		"Toolset.Visibility":    func() error { return just(t.Visibility(ctx)) },
		"Toolset.Catalogue":     func() error { return just(t.Catalogue(ctx)) },
		"Toolset.Visible":       func() error { return just(t.Visible(ctx)) },
		"Toolset.Search":        func() error { return just(t.Search(ctx, "", 0)) },
		"Toolset.Load":          func() error { return just(t.Load(ctx, []string{"hidden"})) },

		"Models.Current":      func() error { return just(m.Current(ctx)) },
		"Models.Reconfigure":  func() error { return just(m.Reconfigure(ctx, identity.Request{Model: "m2"})) },
		"Models.FallBack":     func() error { return just(m.FallBack(ctx, executor.Fallback{})) },
		"Models.Capabilities": func() error { _, _, err := m.Capabilities(ctx); return err },

		"Routing.Status":        func() error { return just(r.Status(ctx)) },
		"Routing.SetBaseline":   func() error { return r.SetBaseline(ctx, identity.Route{Model: "m"}) },
		"Routing.Switch":        func() error { return just(r.Switch(ctx, executor.SwitchRequest{ID: "q"})) },
		"Routing.BeginImage":    func() error { return just(r.BeginImage(ctx, executor.ImagePlan{Operation: "p"})) },
		"Routing.DenyImage":     func() error { return just(r.DenyImage(ctx, "p", identity.CapabilityPolicy)) },
		"Routing.ActivateImage": func() error { return just(r.ActivateImage(ctx, "p")) },
		"Routing.CompleteImage": func() error { return just(r.CompleteImage(ctx, "p", identity.Generated, "")) },
		"Routing.RestoreImage":  func() error { return just(r.RestoreImage(ctx, "p", false)) },
	}
}

// shop has any model but one, and makes clients until it is told not to.
type shop struct {
	mu       sync.Mutex
	prepared []string
	hold     chan struct{} // nil: clients are made at once
	fail     error
}

func (s *shop) Request(name string) identity.Request {
	return identity.Request{Model: name, Provider: identity.Other}
}

func (s *shop) Lookups() identity.Lookups {
	return identity.Lookups{
		Owner: func(string) identity.Provider { return identity.Other },
		Surface: func(id identity.Identity) (identity.Surface, bool) {
			return identity.Surface{ImageToolResults: id.Model != "blind"}, id.Model != "unheard-of"
		},
	}
}

func (s *shop) Prepare(ctx context.Context, t identity.Target) error {
	s.mu.Lock()
	s.prepared = append(s.prepared, t.Identity.Model)
	hold, fail := s.hold, s.fail
	s.mu.Unlock()
	if hold != nil {
		select {
		case <-hold:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return fail
}

func (s *shop) set(hold chan struct{}, fail error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.hold, s.fail = hold, fail
}

func (s *shop) clients() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.prepared)
}

// selling makes a host change models.
func (s *shop) selling(c *runtime.Config) { c.Models = s }

// reconfigure begins a change, and returns how it ends.
func (p *place) reconfigure(to string) <-chan error {
	ch := make(chan error, 1)
	go func() {
		_, err := p.ReconfigureSessionLLMIdentity(p.w.ctx, sid, identity.Request{Model: to})
		ch <- err
	}()
	return ch
}

// answers fails unless a call is made with that model.
func (t task) answers(w *world, want string) task {
	w.Helper()
	c, ok := t.call(t.ID)
	if !ok || c.Model == nil || c.Model.Model != want || t.Model == nil || t.Model.Model != want {
		w.Fatalf("the call is made with %+v, %+v, %t: want %s", c.Model, t.Model, ok, want)
	}
	return t
}

func TestR122_the_parameters_of_a_profile_are_those_of_its_model_until_they_are_changed(t *testing.T) {
	bubble(t, func(w *world) {
		s := &shop{}
		p := w.host(s.selling)
		w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{Profile: &run.Profile{Model: "m", Params: []byte(`{ "top_k": 3 }`)}}))
		params := func(want identity.Params) {
			t.Helper()
			p.submit("", "hello")
			d := p.task(run.CallModel)
			if d.Model == nil || d.Model.Params != want {
				t.Errorf("the call is made with %+v, want %q", d.Model, want)
			}
			w.ok(d.replies("hi"))
		}
		params(`{"top_k":3}`)
		_, err := p.ReconfigureSessionLLMIdentity(w.ctx, sid, identity.Request{ClearParams: true})
		w.ok(err)
		params("")
		p.close()
	})
}

// Scenario: L7, L8
func TestR80_R122_the_model_changes_between_two_calls_of_a_run_and_what_was_staged_is_kept(t *testing.T) {
	bubble(t, func(w *world) {
		s := &shop{}
		p := w.registered(func(c *runtime.Config) {
			s.selling(c)
			c.Executor = offering{c.Executor.(hands), catalogue("read view_image")}
		})
		p.submit("a", "hello")
		first := p.task(run.CallModel).answers(w, "m")
		hold := make(chan struct{})
		s.set(hold, nil)
		over := p.reconfigure("blind")
		synctest.Wait()
		deny := scope.Deny("read")
		staged, err := p.StagePersistentFilter(w.ctx, sid, deny, catalogue("read").Witnesses(deny.Names()))
		w.ok(err)
		close(hold)
		w.ok(<-over)
		st := p.state()
		if now := st.Toolset; !now.Pending() || now.Active.Revision <= 0 || now.Staged.Revision <= staged || !now.Staged.Filter.Equal(deny) {
			t.Errorf("active %+v, staged %+v after %d was staged", now.Active, now.Staged, staged)
		}
		w.ok(first.answers(w, "m").replies("", call{"read", run.ReadOnly}))
		w.ok(p.task(run.RunTool).settles("ok"))
		second := p.task(run.CallModel).answers(w, "blind")
		if c, _ := second.call(second.ID); !c.Gated || c.Visible.Len() != 0 || c.Visible != p.state().Toolset.Round.Visible {
			t.Errorf("offered: %+v", c.Visible)
		}
		w.ok(second.replies("hi"))
		p.ended("a", "completed")
		if n := count[event.ModelChanged](p.events()); n != 1 || !slices.Equal(s.clients(), []string{"blind"}) {
			t.Errorf("%d changes are told, clients %v", n, s.clients())
		}
		p.close()
	})
}

// Scenario: L1, L2, L4, L9
func TestR81_a_session_at_rest_changes_its_model_and_is_told_what_came_of_it(t *testing.T) {
	bubble(t, func(w *world) {
		s := &shop{}
		p := w.registered(func(c *runtime.Config) {
			s.selling(c)
			c.Executor = offering{c.Executor.(hands), catalogue("read view_image")}
		})
		change := func(to string) identity.Report {
			r, err := p.ReconfigureSessionLLMIdentity(w.ctx, sid, identity.Request{Model: to})
			w.ok(err)
			return r
		}
		if r := change("m"); !r.Unchanged || len(s.clients()) > 0 || count[event.ModelChangeBegun](p.events()) > 0 {
			t.Errorf("what is there already: %+v, %v", r, s.clients())
		}
		if r := change("m2"); r.Unchanged || r.Previous.Model != "m" || r.New.Model != "m2" || r.Surface.Changed || r.Tools.RevisionBumped {
			t.Errorf("alike: %+v", r)
		}
		if r := change("blind"); !r.Surface.Changed || !r.Tools.VisibleSetChanged || !r.Tools.RevisionBumped || r.Tools.Current != identity.ViewImage {
			t.Errorf("blind: %+v", r)
		}
		if surface, known, err := p.ResolvedSessionLLMCapabilities(w.ctx, sid); err != nil || !known || surface.ImageToolResults {
			t.Errorf("what it can do: %+v %t %v", surface, known, err)
		}
		before := p.state().Version
		for _, r := range []identity.Request{{Provider: identity.OpenAI}, {Params: `{"a":1}`, ClearParams: true}, {Model: "x", Provider: identity.OpenAI},
			{Model: "unheard-of"}, {Model: "x", Provider: identity.SelfHosted}} {
			var no *identity.Invalid
			if _, err := p.ReconfigureSessionLLMIdentity(w.ctx, sid, r); !errors.As(err, &no) || fault.CodeOf(err) != fault.Invalid {
				t.Errorf("%+v: %v", r, err)
			}
		}
		if after := p.state().Version; after != before {
			t.Errorf("refused requests wrote %d versions", after-before)
		}
		for condition, end := range map[error]func() error{
			runtime.ErrStopped: func() error { return p.StopRuntimeExecutor(w.ctx, sid, "enough", 0) },
			runtime.ErrRetired: func() error { _, err := p.Retire(w.ctx, sid); return err },
		} {
			w.ok(end())
			_, err := p.ReconfigureSessionLLMIdentity(w.ctx, sid, identity.Request{Model: "m3"})
			w.is(err, condition)
			if condition == runtime.ErrStopped {
				w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{}))
				continue
			}
			_, err = p.Reset(w.ctx, sid)
			w.ok(err)
		}
		p.close()
	})
}

// Scenario: L5, L6
func TestR78_R82_one_change_at_a_time_and_one_that_cannot_be_leaves_all_as_it_was(t *testing.T) {
	bubble(t, func(w *world) {
		s := &shop{hold: make(chan struct{})}
		p := w.registered(s.selling)
		over := p.reconfigure("m2")
		synctest.Wait()
		w.is(<-p.reconfigure("m3"), runtime.ErrBusy)
		close(s.hold)
		w.ok(<-over)
		broken := errors.New("no credentials")
		s.set(nil, broken)
		err := <-p.reconfigure("m4")
		w.is(err, runtime.ErrModelClient)
		w.is(err, broken)
		if m := p.state().Model; m.Identity.Model != "m2" || m.Phase != region.Resolved || count[event.ModelChangeAborted](p.events()) != 1 {
			t.Errorf("the model is %s in phase %s", m.Identity.Model, m.Phase)
		}
		// A client that is never made is given up after a while.
		s.set(make(chan struct{}), nil)
		began := time.Now()
		if w.is(<-p.reconfigure("m5"), runtime.ErrModelClient); time.Since(began) != 5*time.Second {
			t.Errorf("given up after %v", time.Since(began))
		}
		p.close()
	})
}

func TestA_host_without_models_changes_none(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		w.is(<-p.reconfigure("m2"), runtime.ErrNoModels)
		_, err := p.RequestModelSwitch(w.ctx, sid, executor.SwitchRequest{ID: "q", Target: identity.Route{Model: "m2"}, Approval: identity.ApprovalNotRequired})
		w.is(err, runtime.ErrNoModels)
		_, err = p.FallBackModel(w.ctx, sid, executor.Fallback{})
		w.is(err, runtime.ErrNoModels)
		p.close()
	})
}

// A change that was begun is finished by whoever has the session next, under the same token; where nobody can, it is given up.
func TestR124_a_change_that_was_begun_comes_to_its_end_whatever_process_does_it(t *testing.T) {
	t.Parallel()
	for name, next := range map[string]struct {
		change func(*runtime.Config)
		model  string
	}{
		"by the next process":         {(&shop{}).selling, "m2"},
		"nobody there makes clients":  {nil, "m"},
		"the next cannot make it":     {(&shop{fail: errors.New("no")}).selling, "m"},
		"and the one after that does": {(&shop{}).selling, "m2"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				s := &shop{hold: make(chan struct{})}
				p := w.registered(s.selling)
				over := p.reconfigure("m2")
				synctest.Wait()
				begun, owed := p.state().Model.OwedPrepare()
				p.close() // in the middle
				if w.is(<-over, runtime.ErrClosed); !owed {
					t.Fatal("nothing is owed")
				}
				if name == "and the one after that does" {
					q := w.host((&shop{hold: make(chan struct{})}).selling)
					_, err := q.WakeSession(w.ctx, sid)
					w.ok(err)
					q.close()
				}
				q := w.host(next.change)
				_, err := q.WakeSession(w.ctx, sid)
				w.ok(err)
				synctest.Wait()
				m := q.state().Model
				if _, owed := m.OwedPrepare(); owed || m.Identity.Model != next.model || next.model == "m2" && m.Done != begun.Token {
					t.Errorf("the model is %s, phase %s, done %s of %s", m.Identity.Model, m.Phase, m.Done, begun.Token)
				}
				q.close()
			})
		})
	}
}

// What cannot be written has not happened: a change whose commit is refused is tried again, and is one change.
func TestR25_a_change_whose_commit_is_not_known_to_be_written_is_made_once(t *testing.T) {
	t.Parallel()
	for name, f := range map[string]storetest.Fault{"refused": {Fail: store.ErrBusy}, "written": {Hide: storetest.HideWritten}, "lost": {Hide: storetest.HideLost}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				s := &shop{hold: make(chan struct{})}
				p := w.registered(s.selling)
				over := p.reconfigure("m2")
				synctest.Wait()
				w.store.decide(next(7, f))
				close(s.hold)
				w.ok(<-over)
				if n := count[event.ModelChanged](p.events()); n != 1 || p.state().Model.Identity.Model != "m2" {
					t.Errorf("%d changes to %s", n, p.state().Model.Identity.Model)
				}
				p.close()
			})
		})
	}
}

// Scenario: L11
func TestR82_a_fallback_moves_the_attempt_that_is_outstanding(t *testing.T) {
	bubble(t, func(w *world) {
		s := &shop{}
		p := w.registered(s.selling)
		w.ok(p.SetModelBaseline(w.ctx, sid, identity.Route{Model: "m"}))
		p.submit("a", "hello")
		first := p.task(run.CallModel)
		back := func(attempt int) (identity.Report, error) {
			return p.FallBackModel(w.ctx, sid, executor.Fallback{Request: identity.Request{Model: "m2"}, Attempt: attempt})
		}
		_, err := back(1)
		w.is(err, runtime.ErrNotReady)
		w.ok(first.fails(1, true))
		second := p.task(run.CallModel)
		_, err = back(1)
		w.is(err, runtime.ErrModelMoved)
		r, err := back(2)
		w.ok(err)
		if c, ok := second.call(second.ID); !ok || c.Model.Model != "m2" || r.New.Model != "m2" {
			t.Errorf("the attempt that is out is made with %+v; %+v", c.Model, r)
		}
		w.ok(second.replies("hi"))
		if st, err := p.ModelRoutingStatus(w.ctx, sid); err != nil || st.Baseline.Model != "m2" || st.Topology != 2 {
			t.Errorf("routing: %+v %v", st, err)
		}
		p.nothing()
		p.close()
	})
}

// Scenario: Q1, Q2, Q3, Q4, Q9
func TestR84_R85_R86_switches_are_for_runs_and_end_with_their_reason(t *testing.T) {
	bubble(t, func(w *world) {
		s := &shop{}
		p := w.registered(s.selling)
		ask := func(name string, runs int, a identity.Approval) (executor.SwitchStatus, error) {
			return p.RequestModelSwitch(w.ctx, sid, executor.SwitchRequest{ID: name, Target: identity.Route{Model: "m2"}, Runs: runs, Approval: a})
		}
		_, err := ask("q0", 2, identity.ApprovalNotRequired)
		w.is(err, runtime.ErrNotReady) // no baseline
		w.ok(p.SetModelBaseline(w.ctx, sid, identity.Route{Model: "m"}))
		st, err := ask("q1", 2, identity.Approved)
		if err != nil || st.End != nil || st.Phase != "pending_for_boundary" || st.Runs != 2 {
			t.Errorf("a switch for two runs: %+v %v", st, err)
		}
		for name, why := range map[string]identity.Denial{"conflict": identity.ScopedOverrideConflict, "no": identity.DeniedDuringApproval, "nobody": identity.ApprovalRequiredButUnavailable} {
			a := map[string]identity.Approval{"conflict": identity.ApprovalNotRequired, "no": identity.DeniedByUser, "nobody": identity.RequiredButUnavailable}[name]
			for _, runs := range []int{1, 0} { // also until changed
				st, err := ask(name+string(rune('0'+runs)), runs, a)
				if err != nil || st.End == nil || st.End.Denial != why {
					t.Errorf("%s for %d: %+v %v", name, runs, st, err)
				}
			}
		}
		if st, err := ask("q1", 2, identity.Approved); !errors.Is(err, runtime.ErrIDUsed) || st.Phase != "pending_for_boundary" {
			t.Errorf("again: %+v %v", st, err)
		}
		for n, want := range []string{"m2", "m2", "m"} {
			in := id.Input(rune('a' + n))
			p.submit(in, "hello")
			w.ok(p.task(run.CallModel).answers(w, want).replies("hi"))
			p.ended(in, "completed")
		}
		if st, _ := p.ModelRoutingStatus(w.ctx, sid); st.Switch != nil || st.Effective.Model != "m" || st.Phase != "at_baseline" {
			t.Errorf("afterwards: %+v", st)
		}
		if end, ok := p.state().Model.Routing.SwitchEnd("q1"); !ok || end.Terminal != identity.ConsumedAndRestored {
			t.Errorf("its end: %+v", end)
		}
		p.close()
	})
}

// Scenario: Q5
func TestR85_R124_a_switch_until_changed_is_a_change_of_identity(t *testing.T) {
	bubble(t, func(w *world) {
		s := &shop{}
		p := w.registered(s.selling)
		w.ok(p.SetModelBaseline(w.ctx, sid, identity.Route{Model: "m"}))
		ask := func(name, to string) (executor.SwitchStatus, error) {
			return p.RequestModelSwitch(w.ctx, sid, executor.SwitchRequest{ID: name, Target: identity.Route{Model: to}, Approval: identity.ApprovalNotRequired})
		}
		st, err := ask("q1", "m2")
		if m := p.state().Model; err != nil || st.End == nil || st.End.Terminal != identity.PersistentReconfigureApplied || m.Identity.Model != "m2" || m.Routing.Baseline.Model != "m2" {
			t.Errorf("to m2: %+v %v", st, err)
		}
		s.set(nil, errors.New("no"))
		st, err = ask("q2", "m3")
		if m := p.state().Model; err != nil || st.End == nil || st.End.Denial != identity.ReconfigureFailed || m.Identity.Model != "m2" || m.Routing.Switch != nil {
			t.Errorf("to m3: %+v %v", st, err)
		}
		var no *identity.Invalid
		if _, err = ask("q3", "unheard-of"); !errors.As(err, &no) {
			t.Errorf("to a model nobody knows: %v", err)
		}
		if st, err = ask("q4", "m2"); err != nil || st.End == nil || st.End.Terminal != identity.PersistentReconfigureApplied {
			t.Errorf("to what is there: %+v %v", st, err)
		}
		// One that another process asked for is begun by whoever has the session next.
		s.set(make(chan struct{}), nil)
		go func() { _, _ = ask("q5", "m5") }()
		synctest.Wait()
		p.close()
		q := w.host((&shop{}).selling)
		_, err = q.WakeSession(w.ctx, sid)
		w.ok(err)
		synctest.Wait()
		if end, ok := q.state().Model.Routing.SwitchEnd("q5"); !ok || end.Terminal != identity.PersistentReconfigureApplied {
			t.Errorf("by the next process: %+v %t", end, ok)
		}
		q.close()
	})
}

// Scenario: Q6, Q7, Q8, Q9
func TestR87_a_pictures_model_answers_while_it_is_made(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered((&shop{}).selling)
		w.ok(p.SetModelBaseline(w.ctx, sid, identity.Route{Model: "m"}))
		plan := func(name string, scoped bool) executor.ImageStatus {
			st, err := p.BeginImageOperation(w.ctx, sid, executor.ImagePlan{Operation: name, Target: identity.Route{Model: "painter"}, Scoped: scoped, Approval: identity.ApprovalNotRequired})
			w.ok(err)
			return st
		}
		effective := func() string { st, _ := p.ModelRoutingStatus(w.ctx, sid); return st.Effective.Model }
		plan("p1", true)
		plan("p2", false)
		_, err := p.ActivateImageOperation(w.ctx, sid, "p1")
		w.ok(err)
		if st := plan("p3", true); effective() != "painter" || st.End == nil || st.End.Denial != identity.ScopedOverrideConflict {
			t.Errorf("%s answers, another: %+v", effective(), st)
		}
		if st, err := p.CompleteImageOperation(w.ctx, sid, "p2", identity.Generated, "two"); err != nil || st.End.Payload != "two" {
			t.Errorf("without a scope: %+v %v", st, err)
		}
		_, err = p.CompleteImageOperation(w.ctx, sid, "p1", identity.Generated, "\x00one")
		w.ok(err)
		if st, err := p.RestoreImageOperation(w.ctx, sid, "p1", false); err != nil || st.End == nil || st.End.Payload != "\x00one" || effective() != "m" {
			t.Errorf("restored: %+v %v, %s answers", st, err, effective())
		}
		_, err = p.BeginImageOperation(w.ctx, sid, executor.ImagePlan{Operation: "p1", Target: identity.Route{Model: "painter"}, Approval: identity.ApprovalNotRequired})
		w.is(err, runtime.ErrIDUsed)
		plan("p4", true)
		if st, err := p.DenyImageOperation(w.ctx, sid, "p4", identity.CapabilityPolicy); err != nil || st.End.Denial != identity.CapabilityPolicy {
			t.Errorf("denied: %+v %v", st, err)
		}
		v := p.submit("a", "paint")
		p.task(run.CallModel)
		plan("p5", true)
		_, err = p.ActivateImageOperation(w.ctx, sid, "p5")
		w.ok(err)
		w.ok(p.InterruptCurrentRun(w.ctx, sid, v.Run, "enough"))
		if end, ok := p.state().Model.Routing.ImageEnd("p5"); !ok || end.Terminal != identity.ImageCancelled || effective() != "m" {
			t.Errorf("the run is over: %+v, %s answers", end, effective())
		}
		p.close()
	})
}

// A session of which nobody knew the model is told when somebody does, and one whose model can do more by now is told that.
func TestR68_what_is_known_of_a_model_is_told_when_it_is_known(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host((&shop{}).selling)
		w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{Profile: &run.Profile{Model: "unheard-of"}}))
		if m := p.state().Model; m.Phase != region.Unresolved || m.Identity.Model != "unheard-of" {
			t.Errorf("%s is %s", m.Identity.Model, m.Phase)
		}
		if _, known, err := p.ResolvedSessionLLMCapabilities(w.ctx, sid); err != nil || known {
			t.Errorf("known %t %v", known, err)
		}
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).answers(w, "unheard-of").replies("hi"))
		p.close()
		q := w.host(func(c *runtime.Config) { c.Models = clever{&shop{}} })
		_, err := q.WakeSession(w.ctx, sid)
		w.ok(err)
		if surface, known, err := q.ResolvedSessionLLMCapabilities(w.ctx, sid); err != nil || !known || !surface.Vision {
			t.Errorf("%+v %t %v", surface, known, err)
		}
		q.close()
	})
}

func TestR68_a_session_that_was_registered_where_nobody_knew_its_model_can_change_it(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.close()
		q := w.host((&shop{}).selling)
		w.ok(<-q.reconfigure("m2"))
		if m := q.state().Model; m.Identity.Model != "m2" {
			t.Errorf("the model is %s", m.Identity.Model)
		}
		q.close()
	})
}

// clever knows all models, and that they see.
type clever struct{ *shop }

func (clever) Lookups() identity.Lookups {
	return identity.Lookups{Surface: func(identity.Identity) (identity.Surface, bool) { return identity.Surface{Vision: true}, true }}
}
