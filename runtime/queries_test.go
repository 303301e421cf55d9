package runtime_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
)

// What is asked of a session is answered the same whether it is live here or at rest.
// Scenario: S133, S142
func TestQueries_answer_for_sessions_live_and_at_rest(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		v := p.submit("a", "hello")
		w.ok(p.task(run.CallModel).replies("hi"))
		p.ended("a", "completed")
		q := w.host(nil) // owns nothing: for it the session is at rest
		for name, h := range map[string]*place{"live": p, "at rest": q} {
			if there, err := h.ContainsSession(w.ctx, sid); err != nil || !there {
				w.Errorf("%s: contains %v %v", name, there, err)
			}
			if has, err := h.SessionHasExecutor(w.ctx, sid); err != nil || !has { // at rest: the host's own, when it is woken
				w.Errorf("%s: has an executor %v %v", name, has, err)
			}
			if how, err := h.InputState(w.ctx, sid, "a"); err != nil || how.Ended == nil || how.Ended.Status != "completed" {
				w.Errorf("%s: input %+v %v", name, how, err)
			}
			if _, err := h.InputState(w.ctx, sid, "b"); !errors.Is(err, store.ErrNotFound) {
				w.Errorf("%s: an unknown input: %v", name, err)
			}
			if r, err := h.LoadBoundaryReceipt(w.ctx, sid, v.Run, 1); err != nil || !slices.Equal(r.Inputs, []id.Input{"a"}) || r.Boundary != "run_start" {
				w.Errorf("%s: receipt %+v %v", name, r, err)
			}
			if _, err := h.LoadBoundaryReceipt(w.ctx, sid, v.Run, 2); !errors.Is(err, store.ErrNotFound) {
				w.Errorf("%s: a receipt that is not there: %v", name, err)
			}
			st, err := h.Status(w.ctx, sid)
			if want := map[string]string{"live": "attached", "at rest": "idle"}[name]; err != nil || st.Phase != want || st.Messages != 2 {
				w.Errorf("%s: %+v %v", name, st, err)
			}
		}
		q.close()
		p.close()
	})
}

func TestPrepareBindings_takes_a_place_once(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		here := machine.Placement{Runtime: "rt-1", Fence: 7, Generation: 1}
		for range 2 { // the same again is no change
			w.ok(p.BindPlacement(w.ctx, sid, p.state().Lifecycle.Epoch, here))
		}
		for _, elsewhere := range []machine.Placement{{Runtime: "rt-2", Fence: 7, Generation: 1}, {Runtime: "rt-1", Fence: 8, Generation: 1}} {
			err := p.BindPlacement(w.ctx, sid, p.state().Lifecycle.Epoch, elsewhere)
			var r *machine.Refusal
			var bound *runtime.BoundError
			if !errors.Is(err, runtime.ErrBound) || !errors.As(err, &r) || r.Guard != machine.GuardPlace || !errors.As(err, &bound) || bound.Bound != "rt-1" {
				w.Errorf("%+v: %v", elsewhere, err)
			}
		}
		if err := p.BindPlacement(w.ctx, "00000000-0000-7000-8000-0000000000ff", "", here); !errors.Is(err, runtime.ErrNotFound) {
			w.Errorf("an unknown session: %v", err)
		}
		p.close()
	})
}
