package runtime_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
)

// Nobody asks for a session that was destroyed, so whoever goes on with what is unfinished finds it.
// Scenario: S114, S123
func TestR59_a_signal_that_nobody_took_is_told_by_the_next_process(t *testing.T) {
	for name, end := range map[string]func(*place) error{
		"retired":   func(p *place) error { return just(p.Retire(p.w.ctx, sid)) },
		"destroyed": func(p *place) error { return just(p.Destroy(p.w.ctx, sid)) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				unfinished := func() []store.SessionRow {
					rows, err := w.memory.Sessions(w.ctx, store.Query{Unfinished: true})
					w.ok(err)
					return rows
				}
				to := &signals{}
				p := w.host(func(c *runtime.Config) { c.Signals = to })
				p.register(sid)
				w.ok(p.BindPlacement(w.ctx, sid, p.state().Lifecycle.Epoch, machine.Placement{Runtime: "east"}))
				to.fail = 1 << 30
				w.ok(end(p))
				if phase := p.phase(); phase != name {
					w.Fatalf("phase %s", phase)
				}
				p.close()
				if rows := unfinished(); len(rows) != 1 || rows[0].Session != sid {
					w.Fatalf("to be gone on with: %+v", rows)
				}
				to = &signals{}
				p = w.host(func(c *runtime.Config) { c.Signals = to })
				if _, err := p.WakeSession(w.ctx, sid); err != nil && !errors.Is(err, runtime.ErrDestroyed) {
					w.Fatal(err)
				}
				if got := to.heard(); !slices.Equal(got, []run.SignalKind{run.SignalKind("runtime_" + name)}) {
					w.Fatalf("heard %v", got)
				}
				if rows := unfinished(); len(rows) > 0 || p.phase() != name {
					w.Fatalf("to be gone on with: %+v, phase %s", rows, p.phase())
				}
				p.close()
			})
		})
	}
}
