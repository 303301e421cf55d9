package runtime

import (
	"context"
	"errors"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/run"
)

// Prepared is a run that the caller carries out itself, between Prepare and Commit or Fail. If the process dies in between, nobody knows what
// came of it, and the run ends as that.
type Prepared struct {
	Session   id.Session
	Input     id.Input // empty: a run without inputs
	Run       id.Run
	Directive run.Directive // where the transcript ends for this run
}

// Prepare admits an input on a session at rest and binds a run for it that the caller carries out. ErrBusy: something runs or waits.
// ErrDuplicate: the input, or its key, was given before; nothing was bound.
func (h *Host) Prepare(ctx context.Context, sid id.Session, in Input) (Prepared, error) {
	a := h.accept(ctx, sid, in, true)
	v := a.verdict
	switch {
	case a.err != nil:
		return Prepared{}, failed("prepare a run of", sid, a.err)
	case v.Duplicate:
		return Prepared{}, failed("prepare a run of", sid, &DuplicateError{Input: v.Input, Run: v.Run})
	}
	return prepared(sid, a), nil
}

// PrepareServiceTurn binds a run without inputs on a session at rest, for a turn that the caller carries out itself.
func (h *Host) PrepareServiceTurn(ctx context.Context, sid id.Session) (Prepared, error) {
	s, err := h.open(ctx, sid, existing)
	if err != nil {
		return Prepared{}, failed("prepare a turn of", sid, err)
	}
	a := s.await(ctx, &letter{rank: work, event: machine.Serve{}})
	if a.err != nil {
		return Prepared{}, failed("prepare a turn of", sid, a.err)
	}
	return prepared(sid, a), nil
}

// prepared is what the answer says was bound. By now it may be over: whoever commits it is told.
func prepared(sid id.Session, a answer) Prepared {
	p := Prepared{Session: sid, Input: a.verdict.Input, Run: a.verdict.Run}
	p.Directive, _ = callers(a.state)
	return p
}

// callers finds the open entry of a run that the caller carries out.
func (h *Host) callers(sid id.Session, r id.Run) (run.Directive, error) {
	s := h.resident(sid)
	if s == nil {
		return run.Directive{}, ErrNotRunning
	}
	st := s.state()
	switch {
	case st.Run() == "", st.Lifecycle.Away:
		return run.Directive{}, ErrNotRunning
	case st.Run() != r:
		return run.Directive{}, ErrNotCurrent
	}
	if d, ok := callers(st); ok {
		return d, nil
	}
	return run.Directive{}, ErrNotCallers
}

func callers(st machine.State) (run.Directive, bool) {
	for _, d := range st.Open.All() {
		if d.Caller {
			return d, true
		}
	}
	return run.Directive{}, false
}

// Commit ends a prepared run as completed. receipt.Inputs, if given, must be the run's inputs, in order; ErrInvalid: they are not, and the run is
// still bound. ErrNotRunning, ErrNotCurrent: it was ended otherwise meanwhile.
func (h *Host) Commit(ctx context.Context, p Prepared, receipt run.RunApplied) error {
	receipt.Failed = nil
	return failed("commit a run of", p.Session, h.conclude(ctx, p, receipt))
}

// Fail ends a prepared run as failed. The failure must say what happened.
func (h *Host) Fail(ctx context.Context, p Prepared, f run.Failure) error {
	if f.Message == "" {
		return failed("fail a run of", p.Session, ErrInvalid)
	}
	return failed("fail a run of", p.Session, h.conclude(ctx, p, run.RunApplied{Failed: &f}))
}

func (h *Host) conclude(ctx context.Context, p Prepared, r run.RunApplied) error {
	d, err := h.callers(p.Session, p.Run)
	if err != nil {
		return err
	}
	r.ID = d.ID
	s, err := h.open(ctx, p.Session, existing)
	if err != nil {
		return err
	}
	_, err = s.ask(ctx, &letter{rank: outcomes, event: machine.Reported{Report: r}})
	if errors.Is(err, fsm.ErrStale) { // it was ended since it was looked up
		if _, over := h.callers(p.Session, p.Run); over != nil {
			return over
		}
	}
	return err
}

// CommitServiceTurnTerminalReceipt ends the run of a turn that the caller carried out itself, whichever that is. Inputs that wait are not in the
// way; a run that is an executor's, or has inputs, is ErrNotCallers.
func (h *Host) CommitServiceTurnTerminalReceipt(ctx context.Context, sid id.Session, receipt run.RunApplied) error {
	st, err := h.State(ctx, sid)
	if err != nil {
		return err
	}
	d, err := h.callers(sid, st.Run())
	if err == nil && len(d.Inputs) > 0 {
		err = ErrNotCallers
	}
	if err != nil {
		return failed("commit a turn of", sid, err)
	}
	return h.Commit(ctx, Prepared{Session: sid, Run: st.Run()}, receipt)
}
