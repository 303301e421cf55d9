package runtime

import (
	"context"
	"encoding/json"
	"errors"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/inbox"
)

// Retirement is what a Retire found.
type Retirement struct {
	Abandoned int // given up, because nobody could carry them out
	Pending   int // still to be carried out
}

// Retire takes no more input: the bound run goes on, what waits is carried out if an executor is attached and given up if none is. Again: no
// change. A retirement during a stop is ErrStopping.
func (h *Host) Retire(ctx context.Context, sid id.Session) (Retirement, error) {
	v, err := h.command(ctx, sid, machine.Retire{})
	return Retirement{v.Abandoned, v.Pending}, failed("retire", sid, err)
}

// AbandonRetired gives up what waits in a retired session, and says how many inputs that were.
func (h *Host) AbandonRetired(ctx context.Context, sid id.Session) (int, error) {
	v, err := h.command(ctx, sid, machine.AbandonRetired{})
	return v.Abandoned, failed("abandon the inputs of", sid, err)
}

// Reset gives up what waits and begins anew, also from retired, and says how many inputs were given up. The executor stays; the place does not.
// While a run is bound it is refused.
func (h *Host) Reset(ctx context.Context, sid id.Session) (int, error) {
	v, err := h.command(ctx, sid, machine.Reset{})
	return v.Abandoned, failed("reset", sid, err)
}

// Recycle takes input again, also from retired, and keeps what waits; it says how many inputs those are. The place is gone.
func (h *Host) Recycle(ctx context.Context, sid id.Session) (int, error) {
	v, err := h.reloaded(ctx, sid, machine.Recycle{})
	return v.Pending, failed("recycle", sid, err)
}

// Recovery is what looking at the rows of a session again has found.
type Recovery struct {
	Recovered int // live inputs
	Requeued  int // of them, those that wait
	Staged    int // of them, those of the bound run
	Abandoned int
}

// Recover drops what is decoded of a session and looks at its rows again. While a run is bound it is refused.
func (h *Host) Recover(ctx context.Context, sid id.Session) (Recovery, error) {
	v, err := h.reloaded(ctx, sid, machine.Recover{})
	if err != nil {
		return Recovery{}, failed("recover", sid, err)
	}
	st, err := h.State(ctx, sid)
	out := Recovery{Recovered: v.Pending}
	for i := range st.Inbox.All() {
		if i.Phase == inbox.Staged {
			out.Staged++
		} else {
			out.Requeued++
		}
	}
	return out, failed("recover", sid, err)
}

// Destroy ends a session for ever: its run, what waits, its place. It says how many inputs were given up. Again: no error.
func (h *Host) Destroy(ctx context.Context, sid id.Session) (int, error) {
	s, err := h.open(ctx, sid, returning) // also one that was unregistered
	if err != nil {
		return 0, failed("destroy", sid, err)
	}
	v, err := s.ask(ctx, &letter{rank: control, event: machine.Destroy{}})
	if err != nil {
		s.unlessRegistered(ctx, err, false)
	}
	return v.Abandoned, failed("destroy", sid, err)
}

// Archive makes a record of a session: its run is ended, what waits is given up, and it is unregistered. Its history can be read. Again: no error.
func (h *Host) Archive(ctx context.Context, sid id.Session) error {
	archived := func(away bool) bool {
		st, err := h.State(ctx, sid)
		return err == nil && st.Lifecycle.Archived && (st.Lifecycle.Away || !away)
	}
	if archived(true) {
		return nil
	}
	// Another may archive it at the same time, and be further.
	if _, err := h.command(ctx, sid, machine.Archive{}); err != nil && !archived(false) {
		return failed("archive", sid, err)
	}
	err := h.UnregisterSession(ctx, sid)
	if (errors.Is(err, ErrNotFound) || errors.Is(err, ErrUnregistered)) && archived(true) {
		return nil
	}
	return err
}

// PublishEvent tells the session's readers something that did not happen in it. body is JSON, or empty.
func (h *Host) PublishEvent(ctx context.Context, sid id.Session, kind string, body json.RawMessage) error {
	_, err := h.command(ctx, sid, machine.Published{Kind: kind, Body: string(body)})
	return failed("publish to", sid, err)
}

// RuntimeState returns the phase a session is reported in.
func (h *Host) RuntimeState(ctx context.Context, sid id.Session) (string, error) {
	st, err := h.State(ctx, sid)
	return st.Phase(), err
}

// command opens the session and tells it a control event.
func (h *Host) command(ctx context.Context, sid id.Session, ev machine.Event) (machine.Verdict, error) {
	s, err := h.open(ctx, sid, existing)
	if err != nil {
		return machine.Verdict{}, err
	}
	return s.ask(ctx, &letter{rank: control, event: ev})
}

// reloaded is command on the rows as they are stored, not as they are remembered.
func (h *Host) reloaded(ctx context.Context, sid id.Session, ev machine.Event) (machine.Verdict, error) {
	s, err := h.open(ctx, sid, existing)
	if err != nil {
		return machine.Verdict{}, err
	}
	l := &letter{rank: control, event: ev}
	var failure error
	l.local = func() {
		if s.driver == nil || s.driver.State().Run() != "" {
			return // refused as it is
		}
		failure = errUnknown // what is not looked up yet must not be read as what is stored
		if s.unsure == nil {
			failure = s.driver.Reload(h.ctx)
		}
		if failure != nil {
			l.event = nil
		}
	}
	v, err := s.ask(ctx, l)
	if err == nil {
		err = failure
	}
	return v, err
}
