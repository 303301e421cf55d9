package runtime_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
)

func TestR54_an_archived_session_is_a_record_that_can_be_read(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		p.submit("b", "and then")
		m := p.task(run.CallModel)
		for range 2 { // again is no error
			w.ok(p.Archive(w.ctx, sid))
		}
		if m.ctx.Err() == nil || p.phase() != "archived" {
			w.Fatalf("phase %s, the executor goes on: %t", p.phase(), m.ctx.Err() == nil)
		}
		for _, in := range []id.Input{"a", "b"} {
			if how := p.ended(in, "abandoned"); how.Ended.Cause != machine.CauseRetired {
				w.Fatalf("%s ended %+v", in, how.Ended)
			}
		}
		for name, do := range commands(w, p) {
			if name == "archive" || name == "destroy" { // the two that can still be done
				continue
			}
			if err := do(); !errors.Is(err, runtime.ErrArchived) || !errors.Is(err, runtime.ErrNotFound) || fault.CodeOf(err) != fault.NotFound {
				w.Errorf("%s: %v", name, err)
			}
		}
		if rows, err := p.Transcript(w.ctx, sid, 1, 0); err != nil || len(rows) != 1 {
			w.Errorf("its history: %v %v", rows, err)
		}
		p.close()
	})
}

func TestR54_what_waits_in_a_retired_session_can_be_given_up(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		p.submit("b", "and then")
		m := p.task(run.CallModel)
		_, err := p.AbandonRetired(w.ctx, sid)
		w.is(err, runtime.ErrNotReady) // it has not retired
		_, err = p.Retire(w.ctx, sid)
		w.ok(err)
		_, err = p.AbandonRetired(w.ctx, sid)
		w.is(err, runtime.ErrNotReady) // nor is it done with its run
		w.ok(m.replies("one"))
		p.ended("a", "completed")
		p.task(run.CallModel)
		w.ok(p.InterruptCurrentRun(w.ctx, sid, p.state().Run(), ""))
		p.ended("b", "cancelled")
		if n, err := p.AbandonRetired(w.ctx, sid); err != nil || n != 0 {
			w.Fatalf("%d given up, %v", n, err)
		}
		p.close()
	})
}

func TestPublishEvent_tells_readers_what_did_not_happen_in_the_session(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		listener := p.hub.Subscribe(sid, p.state().Cursor)
		defer listener.Close()
		w.ok(p.PublishEvent(w.ctx, sid, "deployed", json.RawMessage(`{"version":"1.2"}`)))
		e, err := listener.Next(w.ctx)
		w.ok(err)
		all := p.events()
		for _, got := range []event.Event{e, all[len(all)-1]} {
			if said, ok := got.Payload.(event.Published); !ok || said.Kind != "deployed" || string(said.Body) != `{"version":"1.2"}` || got.Cursor == 0 {
				w.Errorf("told %+v", got)
			}
		}
		version := p.state().Version
		for _, c := range []struct{ kind, body string }{{"", "{}"}, {"x", "{"}} {
			err := p.PublishEvent(w.ctx, sid, c.kind, json.RawMessage(c.body))
			if !errors.Is(err, runtime.ErrInvalid) || p.state().Version != version {
				w.Errorf("%q %q: %v", c.kind, c.body, err)
			}
		}
		p.close()
	})
}

// What was decoded of a session is dropped and read again, and nothing that happens in it is lost by that.
func TestR54_a_session_is_recycled_and_recovered_with_all_that_waits(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		m := p.task(run.CallModel)
		for name, do := range map[string]func() error{
			"reset":   func() error { _, err := p.Reset(w.ctx, sid); return err },
			"recycle": func() error { _, err := p.Recycle(w.ctx, sid); return err },
			"recover": func() error { _, err := p.Recover(w.ctx, sid); return err },
		} {
			version := p.state().Version
			var no *machine.Refusal
			if err := do(); !errors.Is(err, runtime.ErrNotReady) || !errors.As(err, &no) || no.Phase != "running" || p.state().Version != version {
				w.Errorf("%s while a run is bound: %v", name, err)
			}
		}
		w.ok(m.replies("hi"))
		p.ended("a", "completed")
		_, err := p.AcceptWithoutWake(w.ctx, sid, runtime.Input{ID: "aside", Content: says("by the way")})
		w.ok(err)
		kept, err := p.Recycle(w.ctx, sid)
		w.ok(err)
		found, err := p.Recover(w.ctx, sid)
		w.ok(err)
		if kept != 1 || found != (runtime.Recovery{Recovered: 1, Requeued: 1}) || p.phase() != "attached" {
			w.Fatalf("kept %d, found %+v, phase %s", kept, found, p.phase())
		}
		p.submit("b", "again")
		w.ok(p.task(run.CallModel).replies("hi"))
		p.ended("aside", "completed")
		p.close()
	})
}
