package runtime_test

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/storetest"
)

// catalogue reads a list of tools: with * one that can be hidden, with ! one that serves the tools themselves.
func catalogue(names string) *scope.Catalogue {
	var entries []scope.Entry
	for _, n := range strings.Fields(names) {
		e := scope.Entry{Witness: scope.WitnessOf(scope.Provenance{Kind: scope.MCP, Source: "files"}), Volume: 200}
		if e.Name, e.Control = strings.CutSuffix(n, "!"); !e.Control {
			e.Name, e.Deferrable = strings.CutSuffix(n, "*")
		}
		entries = append(entries, e)
	}
	c, err := scope.NewCatalogue(entries, scope.Names{}, true)
	if err != nil {
		panic(err)
	}
	return c
}

// offering is an executor that says which tools it has.
type offering struct {
	hands
	tools *scope.Catalogue
}

func (o offering) Catalogue(_ context.Context, s id.Session, p run.Profile) (*scope.Catalogue, error) {
	if s != sid || p.Model != "m" {
		return nil, errors.New("asked for another session")
	}
	return o.tools, nil
}

func (w *world) offered(names string) *place {
	return w.registered(func(c *runtime.Config) { c.Executor = offering{c.Executor.(hands), catalogue(names)} })
}

// changing is an executor whose tools come and go.
type changing struct {
	hands
	tools *atomic.Pointer[scope.Catalogue]
	count *atomic.Uint64
}

func (c changing) Catalogue(context.Context, id.Session, run.Profile) (*scope.Catalogue, error) {
	return c.tools.Load(), nil
}

func (c changing) OfferEdition() uint64 { return c.count.Load() }

func TestR67_a_tool_that_comes_while_a_run_goes_on_is_offered_from_the_next_boundary_on(t *testing.T) {
	bubble(t, func(w *world) {
		ex := changing{tools: &atomic.Pointer[scope.Catalogue]{}, count: &atomic.Uint64{}}
		ex.tools.Store(catalogue("read"))
		p := w.registered(func(c *runtime.Config) {
			ex.hands = c.Executor.(hands)
			c.Executor = ex
		})
		offered := func(d task, want string) {
			t.Helper()
			c, _ := d.call(d.ID)
			var names []string
			for _, n := range strings.Fields("read late") {
				if c.Visible.Allows(n) {
					names = append(names, n)
				}
			}
			if got := strings.Join(names, " "); got != want {
				t.Errorf("offered: %s, want %s", got, want)
			}
		}
		p.submit("a", "hello")
		first := p.task(run.CallModel)
		ex.tools.Store(catalogue("read late"))
		ex.count.Add(1)
		offered(first, "read")
		w.ok(first.replies("", call{"read", run.ReadOnly}, call{"late", run.ReadOnly}))
		w.ok(p.task(run.RunTool).settles("ok"))
		offered(p.task(run.CallModel), "read late")
		if got := strings.Join(p.results(), ", "); got != "read: ok, late: access_denied" {
			t.Errorf("results: %s", got)
		}
		p.close()
	})
}

// Scenario: V3, V24
func TestR61_R67_a_staged_filter_counts_from_the_next_call_on_and_calls_beside_it_are_not_handed_out(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.offered("read write")
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).replies("", call{"read", run.ReadOnly}))
		tool := p.task(run.RunTool)
		only := scope.Allow("read")
		revision, err := p.StagePersistentFilter(w.ctx, sid, only, catalogue("read").Witnesses(only.Names()))
		if err != nil || revision != 1 {
			t.Fatalf("revision %d, %v", revision, err)
		}
		w.ok(tool.settles("ok"))
		next := p.task(run.CallModel)
		if c, _ := next.call(next.ID); c.Visible.Len() != 1 || !c.Visible.Allows("read") {
			t.Errorf("offered: %v", c.Visible.Tools)
		}
		w.ok(next.replies("", call{"write", run.Once}, call{"nowhere", run.Once}))
		w.ok(p.task(run.CallModel).replies("hi")) // nothing was handed out
		p.ended("a", "completed")
		if got := strings.Join(p.results(), ", "); got != "read: ok, write: access_denied, nowhere: tool_not_found" {
			t.Errorf("results: %s", got)
		}
		told := 0
		for _, e := range p.events() {
			if c, ok := e.Payload.(event.ToolConfigChanged); ok && c.Applied != nil && c.Applied.Revision == revision && c.Applied.VisibleChanged {
				told++
			}
		}
		if told != 1 {
			t.Errorf("the boundary is told %d times", told)
		}
		p.close()
	})
}

// Scenario: V17, V18
func TestR66_an_overlay_is_of_its_run(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.offered("read write")
		ask := func(in id.Input, o scope.Overlay) error {
			_, _, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{ID: in, Of: &input.Input{Body: input.Prompt{Text: "go", Run: input.Options{Overlay: o}}}})
			return err
		}
		visible := func(t task) int { c, _ := t.call(t.ID); return c.Visible.Len() }
		only := scope.Overlay{Restricts: true, Allowed: scope.NamesOf("read")}
		for in, end := range map[id.Input]func(t task) error{
			"a": func(t task) error { return t.replies("hi") },
			"b": func(t task) error { return t.fails(1, false) },
			"c": func(task) error { return p.InterruptCurrentRun(w.ctx, sid, p.state().Run(), "enough") },
		} {
			w.ok(ask(in, only))
			if d := p.task(run.CallModel); visible(d) != 1 {
				t.Errorf("%s: %d tools are offered", in, visible(d))
			} else {
				w.ok(end(d))
			}
			p.submit(in+"2", "go on")
			d := p.task(run.CallModel)
			if n := visible(d); n != 2 || p.state().Toolset.Next != 0 {
				t.Errorf("after %s: %d tools, revision %d", in, n, p.state().Toolset.Next)
			}
			w.ok(d.replies("hi"))
			p.ended(in+"2", "completed")
		}
		err := ask("d", scope.Overlay{Restricts: true, Allowed: scope.NamesOf("nowhere")})
		var unknown *scope.UnknownTools
		if w.is(err, runtime.ErrInvalid); !errors.As(err, &unknown) || !unknown.Names.Has("nowhere") {
			t.Errorf("an unknown tool: %v", err)
		}
		w.ok(ask("e", scope.Overlay{Blocked: scope.NamesOf("nowhere")}))
		w.ok(p.task(run.CallModel).replies("hi"))
		p.close()
	})
}

// Scenario: V20
func TestR65_R123_tools_that_nobody_can_tell_are_not_offered_where_they_were_restricted(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.offered("read write")
		deny := scope.Deny("write")
		_, err := p.StagePersistentFilter(w.ctx, sid, deny, catalogue("write").Witnesses(deny.Names()))
		w.ok(err)
		w.ok(p.OfferTools(w.ctx, sid, nil))
		p.submit("a", "hello")
		first := p.task(run.CallModel)
		if c, _ := first.call(first.ID); !c.Gated || c.Visible.Len() != 0 {
			t.Errorf("offered: %+v", c)
		}
		w.ok(p.OfferTools(w.ctx, sid, catalogue("read write")))
		w.ok(first.replies("", call{"read", run.ReadOnly}))
		second := p.task(run.CallModel)
		if c, _ := second.call(second.ID); c.Visible.Len() != 1 || strings.Join(p.results(), "") != "read: access_denied" {
			t.Errorf("offered: %+v, %v", c.Visible, p.results())
		}
		w.ok(second.replies("hi"))
		p.close()
	})
}

func TestR123_where_nobody_has_said_anything_about_tools_the_session_does_not_decide_about_them(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		d := p.task(run.CallModel)
		if c, ok := d.call(d.ID); !ok || c.Gated || c.Model != nil {
			t.Errorf("the call: %+v %t", c, ok)
		}
		w.ok(d.replies("hi"))
		if _, ok := d.call(d.ID); ok {
			t.Error("an answered call is still wanted")
		}
		p.close()
	})
}

// Scenario: V5, V6, V9
func TestR62_R63_what_is_refused_or_not_written_leaves_the_tools_as_they_were(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.offered("read write hidden* find!")
		before := p.state()
		theirs := scope.WitnessOf(scope.Provenance{Kind: scope.MCP, Source: "others"})
		of := func(wit scope.Witness, names ...string) scope.Witnesses {
			var claims []scope.Claim
			for _, n := range names {
				claims = append(claims, scope.Claim{Name: n, Witness: wit})
			}
			all, _ := scope.Collect(claims...)
			return all
		}
		stage := func(f scope.Filter, wit scope.Witnesses) error {
			_, err := p.StagePersistentFilter(w.ctx, sid, f, wit)
			return err
		}
		request := func(wit scope.Witnesses) error { _, err := p.RequestDeferredTools(w.ctx, sid, wit); return err }
		for name, c := range map[string]struct {
			err  error
			want any
		}{
			"unknown":             {stage(scope.Deny("zzz"), of(theirs, "zzz")), new(*scope.UnknownTools)},
			"of control":          {stage(scope.Deny("find"), of(theirs, "find")), new(*scope.UnknownTools)},
			"nobody's":            {stage(scope.Deny("write", "read"), scope.Witnesses{}), new(*scope.MissingFilterWitnesses)},
			"another's":           {stage(scope.Deny("write", "read"), of(theirs, "write", "read")), new(*scope.InvalidFilterWitnesses)},
			"deferred, nobody's":  {request(of(scope.Witness{Owner: "mcp:files"}, "hidden")), new(*scope.MissingWitnesses)},
			"deferred, another's": {request(of(theirs, "hidden")), new(*scope.InvalidWitnesses)},
		} {
			if !errors.As(c.err, c.want) || !errors.Is(c.err, runtime.ErrInvalid) || fault.CodeOf(c.err) != fault.Invalid {
				t.Errorf("%s: %v", name, c.err)
			}
		}
		if err := request(scope.Witnesses{}); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("nothing: %v", err)
		}
		w.store.decide(always(storetest.Fault{Fail: store.ErrFull}))
		if err := stage(scope.All(), scope.Witnesses{}); !errors.Is(err, store.ErrFull) {
			t.Errorf("a store without space: %v", err)
		}
		w.store.decide(nil)
		if after := p.state(); after.Version != before.Version || after.Toolset != before.Toolset {
			t.Errorf("something was changed: %+v", after.Toolset)
		}
		p.close()
	})
}

// Scenario: V8, V10, V11, V12, V13, V14, V15, V26
func TestR64_deferred_tools_are_found_loaded_and_published(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.offered("read x* y* find!")
		b, err := p.PrepareLocalSessionBindings(w.ctx, sid, runtime.Registration{})
		w.ok(err)
		tools := b.Toolset
		if c, err := tools.Catalogue(w.ctx); err != nil || c.Len() != 4 {
			t.Errorf("catalogue %+v %v", c, err)
		}
		p.submit("a", "hello")
		d := p.task(run.CallModel)
		if v, err := tools.Visible(w.ctx); err != nil || v.Len() != 2 || v.Deferred.Len() != 2 {
			t.Errorf("offered: %+v %v", v, err)
		}
		found, err := tools.Search(w.ctx, "X", 0)
		if err != nil || found.Total != 1 || found.Hits[0].Status != scope.StatusDeferred {
			t.Errorf("found: %+v %v", found, err)
		}
		for n, name := range []string{"x", "y"} {
			got, err := tools.Load(w.ctx, []string{name, "read", "zzz"})
			if err != nil || got[0].Reply != scope.Accepted || got[1].Reply != scope.RejectInline || got[2].Reply != scope.RejectUnknown {
				t.Errorf("loading: %+v %v", got, err)
			}
			if again, _ := tools.Load(w.ctx, []string{name}); again[0].Reply != scope.AlreadyLoaded {
				t.Errorf("again: %+v", again)
			}
			if v, _ := tools.Visibility(w.ctx); v.Staged.Granted.Len() != n+1 || v.Active.Granted.Len() != 0 || v.Staged.Revision != uint64(n+1) {
				t.Errorf("staged: %+v", v.Staged)
			}
		}
		w.ok(d.replies("", call{"read", run.ReadOnly}))
		w.ok(p.task(run.RunTool).settles("ok"))
		next := p.task(run.CallModel)
		if c, _ := next.call(next.ID); c.Visible.Len() != 4 {
			t.Errorf("offered: %v", c.Visible.Tools)
		}
		v, err := tools.Visibility(w.ctx)
		w.ok(err)
		if v.Active.Revision != 2 || v.Staged.Revision != 2 {
			t.Errorf("revisions %d and %d", v.Active.Revision, v.Staged.Revision)
		}
		none := executor.VisibleSide{Revision: 3}
		for why, bad := range map[string]executor.Visibility{
			"active is not behind staged":          {Active: none, Staged: executor.VisibleSide{Revision: 4}},
			"equal revisions have equal content":   {Active: none, Staged: executor.VisibleSide{Revision: 3, Filter: scope.Allow()}},
			"what is granted is staged too":        {Active: executor.VisibleSide{Revision: 4, Granted: v.Active.Granted, Authorities: v.Active.Authorities}, Staged: none},
			"every granted name has its authority": {Active: executor.VisibleSide{Revision: 3, Granted: v.Active.Granted}, Staged: executor.VisibleSide{Revision: 3, Granted: v.Active.Granted}},
			"every authority is for a granted name": {Active: executor.VisibleSide{Revision: 3, Authorities: v.Active.Authorities},
				Staged: executor.VisibleSide{Revision: 3, Authorities: v.Active.Authorities}},
			"no revision goes back": {Active: executor.VisibleSide{Revision: 1}, Staged: executor.VisibleSide{Revision: 1}},
		} {
			var no *machine.Refusal
			if _, err := p.PublishCommittedVisibleSet(w.ctx, sid, bad); !errors.As(err, &no) || no.Guard != why || !errors.Is(err, runtime.ErrInvalid) {
				t.Errorf("%s: %v", why, err)
			}
		}
		got, err := p.PublishCommittedVisibleSet(w.ctx, sid, executor.Visibility{Active: executor.VisibleSide{Revision: 6}, Staged: executor.VisibleSide{Revision: 5,
			Granted: v.Staged.Granted, Authorities: v.Staged.Authorities}})
		if err != nil || got.Active.Revision != 6 || got.Active.Granted.Len() != 0 {
			t.Errorf("published: %+v %v", got, err)
		}
		if n, err := p.ResetDeferredTools(w.ctx, sid); err != nil || n != 7 {
			t.Errorf("reset: %d %v", n, err)
		}
		w.ok(p.InheritToolFilter(w.ctx, sid, scope.All(), scope.Witnesses{}))
		if err := p.InheritToolFilter(w.ctx, sid, scope.All(), scope.Witnesses{}); !errors.Is(err, runtime.ErrInvalid) {
			t.Errorf("inherited twice: %v", err)
		}
		w.ok(next.replies("hi"))
		p.close()
	})
}
