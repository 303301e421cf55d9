package runtime_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
)

var (
	own  = executor.CommsRuntime{ID: "c1", Instance: 1}
	mobs = executor.CommsRuntime{ID: "m1", Instance: 7}
	kept = executor.IngressContext{KeepAlive: true, Runtime: own}
)

// intake is how the session's intake stands.
func (p *place) intake() executor.DrainStatus {
	p.w.Helper()
	st, err := p.bindings().Drain.Status(p.w.ctx)
	p.w.ok(err)
	return st
}

func (p *place) ingress(c executor.IngressContext, want bool) {
	p.w.Helper()
	spawned, err := p.SetPeerIngressContext(p.w.ctx, sid, c)
	p.w.ok(err)
	if spawned != want {
		p.w.Fatalf("spawned %t for %+v", spawned, c)
	}
}

func TestR88_R91_the_intake_follows_what_the_host_knows_of_the_comms(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		if p.SessionHasComms(sid) {
			w.Fatal("comms from nowhere")
		}
		p.ingress(executor.IngressContext{KeepAlive: true}, false)
		p.ingress(executor.IngressContext{}, false)
		p.ingress(kept, true)
		p.ingress(kept, false) // nothing is new
		if got := p.intake(); !p.SessionHasComms(sid) || got.Phase != "running" || got.Mode != "persistent_host" || !got.Listening || got.Runtime != own ||
			got.Owner != "session_owned" {
			w.Fatalf("%+v", got)
		}
		again := executor.CommsRuntime{ID: "c1", Instance: 2}
		p.ingress(executor.IngressContext{KeepAlive: true, Runtime: again}, true) // another object of it
		w.ok(p.NotifyDrainExited(w.ctx, sid, own, executor.ExitFailed))           // of the one before
		if got := p.intake(); got.Phase != "running" || got.Runtime != again {
			w.Fatalf("%+v", got)
		}
		p.ingress(executor.IngressContext{KeepAlive: true, Runtime: mobs, Mob: "team"}, true)
		_, err := p.SetPeerIngressContext(w.ctx, sid, kept)
		w.is(err, runtime.ErrNotReady)
		w.ok(p.NotifyDrainExited(w.ctx, sid, mobs, executor.ExitFailed))
		if got := p.intake(); got.Phase != "exited_respawnable" || got.Exit != executor.ExitFailed || got.Mob != "team" {
			w.Fatalf("%+v", got)
		}
		w.ok(p.NotifyDrainExited(w.ctx, sid, mobs, executor.ExitIdleTimeout)) // too late
		p.ingress(executor.IngressContext{KeepAlive: true, Runtime: mobs, Mob: "team"}, true)
		w.ok(p.NotifyDrainExited(w.ctx, sid, executor.CommsRuntime{}, executor.ExitDismissed))
		if got := p.intake(); got.Phase != "inactive" || got.Mode != "" {
			w.Fatalf("%+v", got)
		}
		w.is(p.NotifyDrainExited(w.ctx, sid, mobs, "whim"), runtime.ErrInvalid)
		p.ingress(executor.IngressContext{}, false)
		if got := p.intake(); got.Owner != "unattached" || p.SessionHasComms(sid) {
			w.Fatalf("%+v", got)
		}
		p.close()
	})
}

func TestR91_an_intake_begins_only_where_somebody_could_carry_a_run_out(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		p.ingress(kept, false)
		if got := p.intake(); got.Phase != "inactive" || got.Owner != "session_owned" || !p.SessionHasComms(sid) {
			w.Fatalf("%+v", got)
		}
		_, err := p.EnsureSessionWithExecutor(w.ctx, sid, hands{p.tasks})
		w.ok(err)
		p.ingress(kept, true)
		p.ingress(executor.IngressContext{Runtime: own}, false) // not to be kept alive
		if got := p.intake(); got.Phase != "stopped" || got.Exit != executor.ExitAborted {
			w.Fatalf("%+v", got)
		}
		p.ingress(kept, true)
		w.ok(p.StopRuntimeExecutor(w.ctx, sid, "", 0))
		if got, err := p.OpsLifecycleRegistry(sid); got == nil || !err {
			w.Fatal("gone")
		}
		if st := p.state().Transient.Link; st.Exit.String() != "session_shutdown" {
			w.Fatalf("%+v", st)
		}
		p.close()
	})
}

func TestR121_a_wait_for_an_intake_is_bounded(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		w.ok(p.WaitDrain(w.ctx, sid)) // none runs
		p.ingress(kept, true)
		began := time.Now()
		ctx, cancel := context.WithCancel(w.ctx)
		wait := later(func() error { return p.WaitDrain(ctx, sid) })
		cancel()
		w.is(<-wait, context.Canceled)

		wait = later(func() error { return p.WaitDrain(w.ctx, sid) })
		w.ok(p.NotifyDrainExited(w.ctx, sid, own, executor.ExitDismissed))
		w.ok(<-wait)
		if time.Since(began) != 0 {
			w.Fatal("it took time")
		}
		p.ingress(kept, true)
		w.ok(p.WaitDrain(w.ctx, sid)) // its listener has died without a word
		if took := time.Since(began); took != 5*time.Second {
			w.Fatalf("took %v", took)
		}
		if got := p.intake(); got.Phase != "exited_respawnable" || got.Exit != executor.ExitFailed {
			w.Fatalf("%+v", got)
		}
		p.ingress(kept, true)
		wait = later(func() error { return p.WaitDrain(w.ctx, sid) })
		w.ok(p.AbortDrain(w.ctx, sid))
		w.ok(<-wait)
		w.ok(p.AbortDrain(w.ctx, sid)) // again
		p.ingress(kept, true)
		wait = later(func() error { return p.bindings().Drain.Wait(w.ctx) })
		w.ok(p.UnregisterSession(w.ctx, sid))
		w.ok(<-wait)
		p.close()
	})
}

func TestR121_all_intakes_are_aborted_at_once(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(nil)
		all := []id.Session{sid, "00000000-0000-7000-8000-000000000002", "00000000-0000-7000-8000-000000000003"}
		for n, s := range all {
			p.register(s)
			if n == 1 {
				continue // one without comms
			}
			_, err := p.SetPeerIngressContext(w.ctx, s, kept)
			w.ok(err)
		}
		w.ok(p.AbortAllDrains(w.ctx))
		for n, s := range all {
			st, err := p.State(w.ctx, s)
			w.ok(err)
			if got := st.Transient.Link.Phase.String(); (n == 1) != (got == "inactive") || n != 1 && got != "stopped" {
				w.Errorf("session %d is %s", n, got)
			}
		}
		w.ok(p.AbortAllDrains(w.ctx))
		// One whose session is at the store for long is not waited for.
		_, err := p.SetPeerIngressContext(w.ctx, sid, kept)
		w.ok(err)
		w.store.decide(next(1, storeFault{Delay: time.Minute}))
		slow := later(func() error { p.submit("a", "hello"); return nil })
		began := time.Now()
		w.is(p.AbortAllDrains(w.ctx), context.DeadlineExceeded)
		if took := time.Since(began); took != 5*time.Second {
			w.Fatalf("took %v", took)
		}
		w.ok(<-slow)
		w.ok(p.task(run.CallModel).replies("done"))
		p.ended("a", "completed")
		p.close()
	})
}

// Scenario: S7, S108
func TestR93_silent_intents_and_the_intake_end_with_a_stop_and_with_the_registration(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(w *world, p *place) error{
		"stop":       func(w *world, p *place) error { return p.StopRuntimeExecutor(w.ctx, sid, "", 0) },
		"unregister": func(w *world, p *place) error { return p.UnregisterSession(w.ctx, sid) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				p := w.registered(nil)
				p.ingress(kept, true)
				w.ok(p.SetSilentIntents(w.ctx, sid, []string{"hush", "psst", "hush"}))
				if got, err := p.bindings().Context.SilentIntents(w.ctx); err != nil || len(got) != 2 {
					w.Fatalf("%q, %v", got, err)
				}
				w.ok(end(w, p))
				if name == "stop" {
					w.ok(p.SetSilentIntents(w.ctx, sid, []string{"hush"})) // accepted, and nothing comes of it
				}
				w.ok(p.RegisterSession(w.ctx, sid, runtime.Registration{}))
				if got, err := p.bindings().Context.SilentIntents(w.ctx); err != nil || len(got) != 0 {
					w.Fatalf("%q, %v", got, err)
				}
				if got := p.intake(); got.Listening {
					w.Fatalf("%+v", got)
				}
				if name == "unregister" && p.SessionHasComms(sid) {
					w.Fatal("comms of a registration that is over")
				}
				p.close()
			})
		})
	}
}

// Scenario: S56
func TestR93_a_silent_request_waits_for_what_something_else_begins(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		w.ok(p.SetSilentIntents(w.ctx, sid, []string{"hush"}))
		a := p.bindings().Admission
		for _, in := range []id.Input{"quiet", "urgent"} {
			got, err := a.Submit(w.ctx, request(in, "hush", in == "urgent"))
			if err != nil || got.Run != "" {
				w.Fatalf("%+v, %v", got, err)
			}
		}
		p.nothing()
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).replies("done"))
		for _, in := range []id.Input{"quiet", "urgent", "a"} {
			p.ended(in, machine.StatusCompleted)
		}
		got, err := a.Submit(w.ctx, request("loud", "sum", false))
		if err != nil || got.Run == "" {
			w.Fatalf("%+v, %v", got, err)
		}
		w.ok(p.task(run.CallModel).replies("done"))
		p.close()
	})
}

func TestR56_peers_of_an_unknown_session_are_not_found(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		all := map[string]func(id.Session) error{
			"silent":  func(s id.Session) error { return p.SetSilentIntents(w.ctx, s, nil) },
			"ingress": func(s id.Session) error { _, err := p.SetPeerIngressContext(w.ctx, s, kept); return err },
			"exited":  func(s id.Session) error { return p.NotifyDrainExited(w.ctx, s, own, executor.ExitFailed) },
			"abort":   func(s id.Session) error { return p.AbortDrain(w.ctx, s) },
			"wait":    func(s id.Session) error { return p.WaitDrain(w.ctx, s) },
		}
		_, err := p.Destroy(w.ctx, sid)
		w.ok(err)
		for name, do := range all {
			if err := do("nobody"); !errors.Is(err, runtime.ErrNotFound) {
				w.Errorf("%s: %v", name, err)
			}
			if err := do(sid); !errors.Is(err, runtime.ErrDestroyed) {
				w.Errorf("%s: %v", name, err)
			}
		}
		p.close()
	})
}
