package runtime_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
)

const (
	second  = id.Session("00000000-0000-7000-8000-000000000002")
	unknown = id.Session("00000000-0000-7000-8000-0000000000ff")
)

func of[T any](v T) *T { return &v }

// Scenario: S16
func TestR133_an_ingest_goes_to_the_session_of_its_runtime_id_and_never_to_a_guess(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		v, err := p.Ingest(w.ctx, runtime.RuntimeOf(sid), runtime.Input{ID: "a", Content: says("hello")})
		w.ok(err)
		if v.Input != "a" || v.Duplicate {
			w.Fatalf("%+v", v)
		}
		for name, to := range map[string]string{"the bare id of the session": string(sid), "nothing": "", "nobody's": "rt-9",
			"that of a session nobody knows": runtime.RuntimeOf(unknown)} {
			if _, err := p.Ingest(w.ctx, to, runtime.Input{Content: says("x")}); !errors.Is(err, runtime.ErrNotFound) {
				w.Errorf("%s: %v", name, err)
			}
		}
		if n := p.state().Inbox.Len(); n != 1 {
			w.Errorf("%d inputs", n)
		}
		p.close()
	})
}

// Scenario: S17, S18
func TestR133_routed_work_is_for_the_pinned_the_named_or_the_one_placed_session(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		p.register(second)
		here := machine.Placement{Runtime: "rt-1", Fence: 7, Generation: 1}
		epoch := p.state().Lifecycle.Epoch
		bind := runtime.Routed{Command: runtime.RouteBind, Session: sid, Runtime: here.Runtime, Fence: &here.Fence, Generation: &here.Generation, Epoch: &epoch}
		_, err := p.Route(w.ctx, bind)
		w.ok(err)
		if got := p.state().Transient.Placement; got != here {
			w.Fatalf("bound to %+v", got)
		}
		in := func(name id.Input) *runtime.Input { return &runtime.Input{ID: name, Content: says("x")} }
		for n, c := range []struct {
			routed runtime.Routed
			goes   id.Session
			fails  error
		}{
			{runtime.Routed{Runtime: "rt-1"}, sid, nil},
			{runtime.Routed{Runtime: "rt-2"}, "", runtime.ErrNotFound},
			{runtime.Routed{Session: second}, second, nil},
			{runtime.Routed{Session: second, Runtime: "rt-1"}, "", runtime.ErrMoved},
			{runtime.Routed{Session: sid, Runtime: "rt-1", Fence: of(uint64(8))}, "", runtime.ErrMoved},
			{runtime.Routed{Session: sid, Runtime: "rt-1", Fence: of(uint64(7)), Generation: of(uint64(1)), Epoch: &epoch}, sid, nil},
			{runtime.Routed{Session: sid, Epoch: of(id.Epoch("an earlier one"))}, "", runtime.ErrStaleEpoch},
			{runtime.Routed{Pinned: second}, second, nil},
			{runtime.Routed{Pinned: second, Session: second}, second, nil},
			{runtime.Routed{Pinned: second, Session: sid}, "", runtime.ErrNotRoutable},
			{runtime.Routed{Pinned: second, Runtime: "rt-1"}, "", runtime.ErrMoved},
			{runtime.Routed{Session: unknown}, "", runtime.ErrNotFound},
		} {
			c.routed.Command, c.routed.Input = runtime.RouteIngest, in(id.Input("in"+string(rune('a'+n))))
			r, err := p.Route(w.ctx, c.routed)
			if !errors.Is(err, c.fails) || c.fails == nil && (r.Session != c.goes || r.Verdict.Input != c.routed.Input.ID) {
				w.Errorf("%d: %+v %v", n, r, err)
			}
		}
		counts := map[id.Session]int{}
		for _, s := range []id.Session{sid, second} {
			list, err := p.ListActiveInputs(w.ctx, s)
			w.ok(err)
			counts[s] = len(list)
		}
		if counts[sid] != 2 || counts[second] != 3 {
			w.Errorf("inputs %v", counts)
		}
		w.ok(p.BindPlacement(w.ctx, second, p.stateOf(second).Lifecycle.Epoch, here))
		if _, err := p.Route(w.ctx, runtime.Routed{Command: runtime.RouteIngest, Runtime: "rt-1", Input: in("z")}); !errors.Is(err, runtime.ErrAmbiguous) {
			w.Errorf("two sessions at one place: %v", err)
		}
		p.close()
	})
}

func (p *place) stateOf(s id.Session) machine.State {
	p.w.Helper()
	st, err := p.State(p.w.ctx, s)
	p.w.ok(err)
	return st
}

// Scenario: S19, S20
func TestR133_four_things_can_be_routed_and_everything_else_is_refused_by_its_name(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		p.task(run.CallModel)
		before := p.state()
		every := []machine.Event{machine.Opened{}, machine.Register{}, machine.Unbind{}, machine.Attach{}, machine.Detach{}, machine.Drain{},
			machine.Unregister{}, machine.Stop{}, machine.AbandonRetired{}, machine.Archive{}, machine.Reset{}, machine.Recycle{}, machine.Recover{},
			machine.Submit{}, machine.Serve{}, machine.Interrupt{}, machine.CancelAfterBoundary{}, machine.ExecutorLost{}, machine.Reported{},
			machine.Published{}, machine.Tick{}}
		names := []string{"", "interrupt_current_run", "prepare_bindings", "Retire"}
		for _, ev := range every {
			names = append(names, machine.Name(ev))
		}
		for _, name := range names {
			_, err := p.Route(w.ctx, runtime.Routed{Command: name, Session: sid, Runtime: "rt-1", Fence: of(uint64(0)), Generation: of(uint64(0)),
				Epoch: &before.Lifecycle.Epoch, Input: &runtime.Input{Content: says("x")}})
			var no *runtime.RouteError
			if !errors.As(err, &no) || !errors.Is(err, runtime.ErrNotRoutable) || no.Command != name {
				w.Errorf("%q: %v", name, err)
			}
		}
		for _, c := range []struct {
			routed  runtime.Routed
			missing []string
		}{
			{runtime.Routed{Command: runtime.RouteBind}, []string{"session", "runtime", "fence", "generation", "epoch"}},
			{runtime.Routed{Command: runtime.RouteBind, Session: sid, Runtime: "rt-1", Fence: of(uint64(0)), Generation: of(uint64(0))}, []string{"epoch"}},
			{runtime.Routed{Command: runtime.RouteIngest}, []string{"session or runtime", "input"}},
			{runtime.Routed{Command: runtime.RouteIngest, Pinned: sid}, []string{"input"}},
			{runtime.Routed{Command: runtime.RouteRetire, Runtime: "rt-1"}, []string{"session"}},
			{runtime.Routed{Command: runtime.RouteDestroy}, []string{"session"}},
		} {
			_, err := p.Route(w.ctx, c.routed)
			var no *runtime.RouteError
			if !errors.As(err, &no) || !slices.Equal(no.Missing, c.missing) {
				w.Errorf("%+v: %v", c.routed, err)
			}
		}
		if after := p.state(); after.Version != before.Version || after.Run() != before.Run() || after.Transient != before.Transient {
			w.Errorf("it has changed: %+v", after.Control)
		}
		p.close()
	})
}

func TestR133_a_session_is_retired_and_destroyed_by_who_placed_it(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		p.submit("a", "hello")
		epoch := p.state().Lifecycle.Epoch
		_, err := p.Route(w.ctx, runtime.Routed{Command: runtime.RouteRetire, Session: sid, Runtime: "rt-1"})
		w.is(err, runtime.ErrMoved) // before it is there
		w.ok(p.BindPlacement(w.ctx, sid, epoch, machine.Placement{Runtime: "rt-1"}))
		r, err := p.Route(w.ctx, runtime.Routed{Command: runtime.RouteRetire, Session: sid, Runtime: "rt-1", Fence: of(uint64(0)), Epoch: &epoch})
		w.ok(err)
		if r.Verdict.Abandoned != 1 || p.phase() != "retired" {
			w.Fatalf("%+v in phase %s", r, p.phase())
		}
		w.ok(p.UnregisterSession(w.ctx, sid)) // who destroys it need not bring it back first
		_, err = p.Route(w.ctx, runtime.Routed{Command: runtime.RouteDestroy, Session: sid})
		w.ok(err)
		if p.phase() != "destroyed" {
			w.Fatal(p.phase())
		}
		p.close()
	})
}
