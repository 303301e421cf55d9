package runtime_test

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
)

// connect has a session's servers added, and connected where a model is first called.
func (p *place) connect(t executor.Toolservers, servers ...string) task {
	p.w.Helper()
	for _, s := range servers {
		p.w.ok(t.Add(p.w.ctx, s, "with "+s))
	}
	p.submit("connect", "hello")
	m := p.task(run.CallModel)
	owed, err := t.Owed(p.w.ctx)
	p.w.ok(err)
	for _, c := range owed {
		p.w.ok(t.Connected(p.w.ctx, c))
	}
	return m
}

// server is one of those a session knows.
func (p *place) server(t executor.Toolservers, name string) executor.Toolserver {
	p.w.Helper()
	all, err := t.List(p.w.ctx)
	p.w.ok(err)
	n := slices.IndexFunc(all, func(s executor.Toolserver) bool { return s.Name == name })
	if n < 0 {
		return executor.Toolserver{}
	}
	return all[n]
}

// Scenario: T16
func TestR70_what_is_staged_of_servers_is_applied_where_a_model_is_called(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		b := p.bindings()
		s := b.Toolservers
		w.ok(s.Add(w.ctx, "files", "f"))
		w.ok(s.Add(w.ctx, "web", "w"))
		if owed, err := s.Owed(w.ctx); err != nil || len(owed) != 0 {
			w.Fatalf("%+v, %v", owed, err)
		}
		changed := later(func() error { n, err := s.Changed(w.ctx, 0); w.ok(err); return check(n == 2, "epoch", n) })
		p.submit("a", "hello")
		m := p.task(run.CallModel)
		w.ok(<-changed)
		owed, err := s.Owed(w.ctx)
		if err != nil || len(owed) != 2 || owed[0] != (executor.ToolserverConnect{Server: "files", Operation: "add", Task: 1, Lineage: 1, Config: "f"}) {
			w.Fatalf("%+v, %v", owed, err)
		}
		if names, err := b.MCPStatus.Connecting(w.ctx); err != nil || !slices.Equal(names, []string{"files", "web"}) {
			w.Fatalf("%q, %v", names, err)
		}
		w.ok(s.Connected(w.ctx, owed[0]))
		w.ok(s.ConnectFailed(w.ctx, owed[1], "refused"))
		err = s.Connected(w.ctx, owed[1]) // too late
		if w.refusal(err); fault.CodeOf(err) != fault.Stale {
			w.Fatalf("%v", err)
		}
		all, err := b.MCPStatus.All(w.ctx)
		want := []executor.ServerStatus{{Server: "files", Health: "connected", Usable: true}, {Server: "web", Health: "failed", Error: "refused"}}
		if err != nil || !slices.Equal(all, want) {
			w.Fatalf("%+v, %v", all, err)
		}
		w.ok(s.Reload(w.ctx, "files"))
		if no := w.refusal(s.Reload(w.ctx, "web")); no.ID != "web" || no.Status != "absent" {
			w.Fatalf("%+v", no)
		}
		w.ok(m.replies("", call{"x", run.ReadOnly}))
		w.ok(p.task(run.RunTool).settles("ok"))
		m = p.task(run.CallModel)
		if one := p.server(s, "files"); one.Base != "active" || one.Connecting != 3 || one.Generation != 1 || one.Config != "f" {
			w.Fatalf("%+v", one)
		}
		if open, err := s.Wanted(w.ctx, "files"); err != nil || !slices.Equal(open, []uint64{1, 3}) {
			w.Fatalf("wanted %v, %v", open, err)
		}
		w.ok(s.Lost(w.ctx, "files", 1, "broken pipe"))
		w.ok(s.Relisted(w.ctx, "files", 99)) // overtaken
		w.ok(m.replies("done"))
		p.ended("a", "completed")
		var told []string
		for _, e := range p.events() {
			if c, ok := e.Payload.(event.ToolConfigChanged); ok {
				told = append(told, c.Operation+" "+c.Target+" "+c.Phase)
			}
		}
		if !slices.Equal(told, []string{"add files pending", "add web pending", "add files applied", "add web failed", "reload files pending",
			"reload files failed"}) {
			w.Fatalf("%q", told)
		}
		p.close()
	})
}

// Scenario: T11
func TestR73_a_call_that_is_given_up_counts_as_ended(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		s := p.bindings().Toolservers
		m := p.connect(s, "files")
		call := func(ctx context.Context) error {
			gen, err := s.CallStarted(ctx, "files")
			if err != nil {
				return err
			}
			defer func() { w.ok(s.CallFinished(ctx, "files", gen)) }()
			<-ctx.Done()
			return ctx.Err()
		}
		ctx, cancel := context.WithCancel(w.ctx)
		var calls []<-chan error
		for range 5 {
			calls = append(calls, later(func() error { return call(ctx) }))
		}
		if one := p.server(s, "files"); one.Calls != 5 {
			w.Fatalf("%+v", one)
		}
		version := p.state().Version
		cancel()
		for _, ch := range calls {
			w.is(<-ch, context.Canceled)
		}
		if one := p.server(s, "files"); one.Calls != 0 {
			w.Fatalf("%+v", one)
		}
		if got := p.state().Version; got != version {
			w.Fatalf("calls were written: version %d after %d", got, version)
		}
		w.ok(m.replies("done"))
		p.close()
	})
}

// Scenario: T17
func TestR72_a_call_that_hangs_delays_no_boundary(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		s := p.bindings().Toolservers
		m := p.connect(s, "files", "web")
		gen, err := s.CallStarted(w.ctx, "files")
		w.ok(err)
		w.ok(s.Remove(w.ctx, "files"))
		w.ok(s.Remove(w.ctx, "web"))
		w.ok(s.Add(w.ctx, "mail", "m"))
		w.ok(m.replies("", call{"x", run.ReadOnly}))
		w.ok(p.task(run.RunTool).settles("ok"))
		m = p.task(run.CallModel)
		if files, web, mail := p.server(s, "files"), p.server(s, "web"), p.server(s, "mail"); files.Base != "removing" || files.Calls != 1 ||
			web.Base != "removed" || mail.Connecting == 0 {
			w.Fatalf("%+v\n%+v\n%+v", files, web, mail)
		}
		if no := w.refusal(func() error { _, err := s.CallStarted(w.ctx, "files"); return err }()); no.Why != executor.WhyDraining || no.ID != "files" {
			w.Fatalf("%+v", no)
		}
		if no := w.refusal(func() error { _, err := s.CallStarted(w.ctx, "nobody"); return err }()); no.Why != executor.WhyUnavailable {
			w.Fatalf("%+v", no)
		}
		w.ok(s.CallFinished(w.ctx, "files", gen)) // the last of them ends the removal
		if files := p.server(s, "files"); files.Base != "removed" {
			w.Fatalf("%+v", files)
		}
		w.ok(s.Aligned(w.ctx, p.state().Servers.Epoch)) // a list without them is published
		if files := p.server(s, "files"); files != (executor.Toolserver{}) {
			w.Fatalf("%+v", files)
		}
		w.ok(m.replies("done"))
		p.close()
	})
}

// Scenario: T15
func TestR74_a_stopped_session_stages_nothing_and_wants_no_connection(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		s := p.bindings().Toolservers
		m := p.connect(s, "files")
		w.ok(s.SetTimeout(w.ctx, time.Minute))
		w.ok(s.SetRetries(w.ctx, 1))
		w.ok(s.Reload(w.ctx, "files"))
		w.ok(m.replies("", call{"x", run.ReadOnly}))
		w.ok(p.task(run.RunTool).settles("ok"))
		m = p.task(run.CallModel)
		owed, err := s.Owed(w.ctx)
		if err != nil || len(owed) != 1 {
			w.Fatalf("%+v, %v", owed, err)
		}
		w.ok(m.replies("done"))
		w.ok(p.StopRuntimeExecutor(w.ctx, sid, "enough", 0))
		w.is(s.Add(w.ctx, "late", ""), runtime.ErrStopped)
		w.is(s.Remove(w.ctx, "files"), runtime.ErrStopped)
		w.is(s.Connected(w.ctx, owed[0]), runtime.ErrStopped) // whoever made it closes it
		w.ok(s.ConnectFailed(w.ctx, owed[0], "shut down"))
		if open, err := s.Wanted(w.ctx, "files"); err != nil || len(open) != 0 {
			w.Fatalf("wanted %v, %v", open, err)
		}
		if no := w.refusal(func() error { _, err := s.CallStarted(w.ctx, "files"); return err }()); no.Why != executor.WhyUnavailable {
			w.Fatalf("%+v", no)
		}
		p.close()
	})
}

func TestR76_a_session_that_comes_back_has_its_servers_connected_anew(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		s := p.bindings().Toolservers
		w.ok(p.connect(s, "files").replies("done"))
		p.ended("connect", "completed")
		w.ok(p.UnregisterSession(w.ctx, sid))
		w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{}))
		s = p.bindings().Toolservers
		owed, err := s.Owed(w.ctx)
		if err != nil || len(owed) != 1 || owed[0].Operation != "reload" || owed[0].Task != 2 {
			w.Fatalf("%+v, %v", owed, err)
		}
		synctest.Wait()
		p.close()
	})
}
