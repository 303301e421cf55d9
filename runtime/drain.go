package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/peer"
)

// SessionHasComms reports whether a session that lives here can be reached by peers: a comms runtime holds its ingress, or its intake was begun. It
// takes no lock that a run holds.
func (h *Host) SessionHasComms(sid id.Session) bool {
	st, ok := h.live(sid)
	return ok && peer.HasComms(st.Transient.Link)
}

// SetPeerIngressContext tells a session what its host knows of its comms; owner and intake follow in one step (docs/machine/peer.md). True: somebody
// has to begin listening, for a session nobody listened for or on another comms runtime than before.
func (h *Host) SetPeerIngressContext(ctx context.Context, sid id.Session, c executor.IngressContext) (bool, error) {
	v, err := h.command(ctx, sid, commsOf(c))
	return v.Spawned, failed("set the ingress of", sid, err)
}

func commsOf(c executor.IngressContext) machine.Comms {
	return machine.Comms{Context: peer.Context{KeepAlive: c.KeepAlive, Runtime: peer.Runtime(c.Runtime), Mob: c.Mob}}
}

// NotifyDrainExited says that the listener of a comms runtime has ended, and why. One that comes too late, or is about another runtime than the
// present one, changes nothing. A persistent listener that failed is to be run again.
func (h *Host) NotifyDrainExited(ctx context.Context, sid id.Session, of executor.CommsRuntime, why executor.DrainExit) error {
	ev, err := exited(of, why)
	if err == nil {
		err = h.tell(ctx, sid, ev)
	}
	return failed("tell of the intake of", sid, err)
}

func exited(of executor.CommsRuntime, why executor.DrainExit) (machine.Linked, error) {
	for r := peer.ExitIdleTimeout; r <= peer.ExitSessionShutdown; r++ {
		if r.String() == string(why) {
			return machine.Linked{LinkEvent: peer.LinkEvent{Kind: peer.NotifyExited, Runtime: peer.Runtime(of), Reason: r}}, nil
		}
	}
	return machine.Linked{}, fmt.Errorf("%w: an intake does not end for %q", ErrInvalid, why)
}

var stopDrain = machine.Linked{LinkEvent: peer.LinkEvent{Kind: peer.Stop}}

// AbortDrain stops the intake of a session. Where none runs there is nothing to do.
func (h *Host) AbortDrain(ctx context.Context, sid id.Session) error {
	return failed("abort the intake of", sid, h.tell(ctx, sid, stopDrain))
}

// AbortAllDrains stops the intakes that run in this process, all at once, and waits for it no longer than Config.Grace. The errors are joined.
func (h *Host) AbortAllDrains(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, h.config.Grace)
	defer cancel()
	var all []*session
	var told []chan answer
	for _, s := range h.sessions() {
		if s.state().Transient.Link.Phase != peer.Running {
			continue
		}
		ch := make(chan answer, 1)
		if err := s.put(&letter{rank: control, event: stopDrain, answer: ch}); err != nil {
			continue // it has just left this process, and its intake with it
		}
		all, told = append(all, s), append(told, ch)
	}
	var errs []error
	for n, ch := range told {
		select {
		case a := <-ch:
			errs = append(errs, failed("abort the intake of", all[n].id, a.err))
		case <-all[n].gone:
		case <-ctx.Done():
			errs = append(errs, failed("abort the intake of", all[n].id, errors.Join(errUnknown, ctx.Err())))
		}
	}
	return errors.Join(errs...)
}

// WaitDrain blocks until the intake of a session does not run any more, for Config.Grace at most: one that still runs then has died without a word, and
// is taken to have failed (R121).
func (h *Host) WaitDrain(ctx context.Context, sid id.Session) error {
	s, err := h.open(ctx, sid, existing)
	if err == nil {
		err = s.waitDrain(ctx, func(ev machine.Event) machine.Event { return ev })
	}
	return failed("wait for the intake of", sid, err)
}

// waitDrain waits for the intake. through is how the session is told.
func (s *session) waitDrain(ctx context.Context, through func(machine.Event) machine.Event) error {
	t := time.NewTimer(s.host.config.Grace)
	defer t.Stop()
	for {
		next := s.watches.next()
		st := s.state()
		switch {
		case st.Lifecycle.Phase == lifecycle.Destroyed:
			return ErrDestroyed
		case st.Transient.Link.Phase != peer.Running, s.reasonEnded() != nil:
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return ctx.Err()
		case <-t.C:
			ev, err := exited(executor.CommsRuntime(st.Transient.Link.Runtime), executor.ExitFailed)
			if err != nil {
				return err
			}
			_, err = s.ask(ctx, &letter{rank: control, event: through(ev)})
			return err
		}
	}
}

// drain implements executor.Drain.
type drain struct{ hold }

func (d drain) SetContext(ctx context.Context, c executor.IngressContext) (bool, error) {
	a, err := d.tell(ctx, "set the ingress of", commsOf(c))
	return a.verdict.Spawned, err
}

func (d drain) NotifyExited(ctx context.Context, of executor.CommsRuntime, why executor.DrainExit) error {
	const command = "tell of the intake of"
	ev, err := exited(of, why)
	if err != nil {
		return d.failed(command, err)
	}
	return d.over(ctx, command, ev)
}

func (d drain) Abort(ctx context.Context) error { return d.say(ctx, "abort the intake of", stopDrain) }

func (d drain) Wait(ctx context.Context) error {
	const command = "wait for the intake of"
	s, _, err := d.look(ctx, command)
	if err != nil {
		return err
	}
	return d.failed(command, s.waitDrain(ctx, func(ev machine.Event) machine.Event {
		return machine.Handled{Epoch: d.epoch, Attachment: d.attachment, Event: ev}
	}))
}

func (d drain) Status(ctx context.Context) (executor.DrainStatus, error) {
	_, st, err := d.look(ctx, "read the intake of")
	if err != nil {
		return executor.DrainStatus{}, err
	}
	l := st.Transient.Link
	out := executor.DrainStatus{Phase: l.Phase.String(), Mode: l.Mode.String(), Exit: executor.DrainExit(l.Exit.String()), Owner: peer.Unattached.String()}
	if st.Peer != nil {
		out.Owner, out.Mob = st.Peer.Owner.String(), st.Peer.Mob
	}
	at, listening := peer.Listening(l)
	out.Runtime, out.Listening = executor.CommsRuntime(at), listening
	return out, nil
}
