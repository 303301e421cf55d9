package runtime_test

import (
	"slices"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
)

// request is a request of a peer.
func request(in id.Input, intent string, steer bool) input.Input {
	const peer = "01890000-0000-7000-8000-0000000000aa"
	out := input.Input{ID: in, Source: input.Source{Kind: input.SourcePeer, Peer: peer, Display: "ann"},
		Body: input.Peer{Convention: input.Request{ID: "01890000-0000-7000-8000-0000000000bb", Intent: intent}, Body: "by the way"}}
	if steer {
		b := out.Body.(input.Peer)
		b.Handling = input.HandlingSteer
		out.Body = b
	}
	return out
}

func TestR89_who_a_session_knows_is_told_and_read_through_a_handle(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		h := p.bindings().Peers
		bob, boss := ann, ann
		bob.ID, bob.Name, boss.ID, boss.Name = "bob", "Bob", "boss", "Boss"
		w.ok(h.SetLocal(w.ctx, executor.Peer{ID: "me", Name: "me", Key: "ed25519:me"}))
		w.ok(h.Add(w.ctx, ann))
		w.ok(h.ApplyOverlay(w.ctx, 3, []executor.Peer{ann, bob}))
		if no := w.refusal(h.ApplyOverlay(w.ctx, 3, nil)); no.Of != "peer" {
			w.Fatalf("%+v", no)
		}
		if no := w.refusal(h.Add(w.ctx, executor.Peer{ID: "nameless"})); no.ID != "nameless" {
			w.Fatalf("%+v", no)
		}
		all, err := h.List(w.ctx)
		if err != nil || !slices.Equal(all, []executor.Peer{ann, bob}) {
			w.Fatalf("%+v, %v", all, err)
		}
		w.ok(h.Remove(w.ctx, "ann"))
		s := p.bindings().Supervision
		w.ok(s.Bind(w.ctx, "boss", boss, 1))
		trusted, err := h.Trust(w.ctx)
		if err != nil || len(trusted) != 3 || trusted[2] != (executor.TrustedPeer{Peer: boss, Private: true}) {
			w.Fatalf("%+v, %v", trusted, err)
		}
		p.close()
	})
}

func TestR90_a_supervisor_is_bound_and_revoked_through_a_handle(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		s := p.bindings().Supervision
		if no := w.refusal(s.Authorize(w.ctx, "ann", ann, 2)); no.Cause != "not_bound" || no.ID != "ann" {
			w.Fatalf("%+v", no)
		}
		if no := w.refusal(s.Bind(w.ctx, "bob", ann, 1)); no.Cause != "sender_mismatch" {
			w.Fatalf("%+v", no)
		}
		w.ok(s.Bind(w.ctx, "ann", ann, 1))
		w.ok(s.Bind(w.ctx, "ann", ann, 1)) // the acknowledgement was lost
		owed, err := s.Owed(w.ctx)
		if err != nil || !slices.Equal(owed, []executor.TrustOwed{{Peer: "ann", Epoch: 1}}) {
			w.Fatalf("%+v, %v", owed, err)
		}
		w.ok(s.Published(w.ctx, "ann", 1))
		w.ok(s.PublishFailed(w.ctx, "bob", 1)) // late, and about nobody
		if now, err := s.Current(w.ctx); err != nil || now != (executor.Supervisor{Peer: ann, Epoch: 1, Published: true}) {
			w.Fatalf("%+v, %v", now, err)
		}
		w.ok(s.Authorize(w.ctx, "ann", ann, 2))
		if no := w.refusal(s.Revoke(w.ctx, "ann", 1)); no.Cause != "stale_supervisor" {
			w.Fatalf("%+v", no)
		}
		w.ok(s.Revoke(w.ctx, "ann", 2))
		w.ok(s.Revoke(w.ctx, "ann", 2))
		owed, err = s.Owed(w.ctx)
		if err != nil || len(owed) != 1 || !owed[0].Withdraw {
			w.Fatalf("%+v, %v", owed, err)
		}
		w.ok(s.Withdrawn(w.ctx, owed[0].Peer, owed[0].Epoch))
		if now, err := s.Current(w.ctx); err != nil || now != (executor.Supervisor{}) {
			w.Fatalf("%+v, %v", now, err)
		}
		p.close()
	})
}

func TestR90_a_session_without_a_place_has_no_supervisor(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		b, err := p.PrepareLocalSessionBindings(w.ctx, sid, runtime.Registration{})
		w.ok(err)
		w.is(b.Supervision.Bind(w.ctx, "ann", ann, 1), runtime.ErrNotReady)
		p.close()
	})
}

func TestR92_questions_and_their_streams_are_told_through_a_handle(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		i := p.bindings().Interactions
		w.ok(i.Sent(w.ctx, executor.PeerRequest{ID: "q", Peer: "ann", Intent: "sum", Handling: input.HandlingSteer}))
		w.ok(i.Progressed(w.ctx, "q", "ann"))
		w.ok(i.Received(w.ctx, executor.PeerRequest{ID: "q", Peer: "bob", Patience: time.Hour}))
		open, err := i.Open(w.ctx)
		if err != nil || len(open) != 2 || !open[0].Accepted || open[0].Inbound || !open[1].Inbound || time.Until(open[0].Deadline) != 10*time.Minute {
			w.Fatalf("%+v, %v", open, err)
		}
		if no := w.refusal(func() error { _, err := i.Answered(w.ctx, "q", "bob"); return err }()); no.ID != "q" || no.Of != "peer/request" {
			w.Fatalf("%+v", no)
		}
		w.ok(i.Reserve(w.ctx, "q"))
		w.ok(i.Attach(w.ctx, "q"))
		w.refusal(i.Attach(w.ctx, "q"))
		was, err := i.Answered(w.ctx, "q", "ann")
		if err != nil || was.Handling != input.HandlingSteer || was.Intent != "sum" {
			w.Fatalf("%+v, %v", was, err)
		}
		if st := p.state(); !st.Transient.Link.Streams.IsZero() { // its outcome is there
			w.Fatalf("%+v", st.Transient.Link)
		}
		w.ok(i.Replied(w.ctx, "q"))
		w.refusal(i.Replied(w.ctx, "q"))

		w.ok(i.Sent(w.ctx, executor.PeerRequest{ID: "r", Peer: "ann"}))
		w.ok(i.Reserve(w.ctx, "r"))
		pass(31 * time.Second)
		err = i.Attach(w.ctx, "r")
		if no := w.refusal(err); no.Why != executor.WhyLate || fault.CodeOf(err) != fault.Stale {
			w.Fatalf("%+v", no)
		}
		if open, err = i.Open(w.ctx); err != nil || len(open) != 0 { // whoever comes too late gives the question up
			w.Fatalf("%+v, %v", open, err)
		}
		for _, end := range []func() error{
			func() error { return i.Complete(w.ctx, "s") },
			func() error { return i.Close(w.ctx, "s") },
			func() error { return i.Expire(w.ctx, "s") },
		} {
			w.ok(i.Reserve(w.ctx, "s"))
			w.ok(end())
			w.ok(end()) // the first counts
		}
		w.ok(i.TimedOut(w.ctx, "nobody"))
		if n := count[event.PeerRequestTimedOut](p.events()); n != 0 { // nobody waited for so long
			w.Fatalf("told %d times", n)
		}
		p.close()
	})
}

func TestR92_a_question_without_an_answer_times_out_and_the_session_goes_on(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		i := p.bindings().Interactions
		for _, q := range []string{"q", "r"} {
			w.ok(i.Sent(w.ctx, executor.PeerRequest{ID: q, Peer: "ann", Intent: "sum"}))
			w.ok(i.Reserve(w.ctx, q))
			w.ok(i.Attach(w.ctx, q))
		}
		pass(10*time.Minute + time.Second)
		w.ok(p.task(run.CallModel).replies("I see"))
		p.nothing()
		if n := count[event.PeerRequestTimedOut](p.events()); n != 2 || count[event.RunStarted](p.events()) != 1 {
			w.Fatalf("%d told", n)
		}
		if st := p.state(); !st.Transient.Link.Streams.IsZero() || st.Peer.Requests.Len() != 0 {
			w.Fatalf("%+v", st.Transient.Link)
		}
		w.refusal(func() error { _, err := i.Answered(w.ctx, "q", "ann"); return err }())
		p.close()
	})
}

func TestR89_the_context_is_taken_up_once(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		c := p.bindings().Context
		w.ok(c.Advance(w.ctx, 4))
		w.refusal(c.Advance(w.ctx, 4))
		if n, err := c.Watermark(w.ctx); err != nil || n != 4 {
			w.Fatalf("%d, %v", n, err)
		}
		w.ok(c.SetSilentIntents(w.ctx, []string{"b", "a"}))
		if got, err := c.SilentIntents(w.ctx); err != nil || !slices.Equal(got, []string{"a", "b"}) {
			w.Fatalf("%q, %v", got, err)
		}
		p.close()
	})
}
