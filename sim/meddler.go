package sim

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/transcript"
)

// meddlings are what may be said to a session that is nobody's input. Those that end it for good are rare.
var meddlings = strings.Fields("interrupt interrupt interrupt interrupt interrupt interrupt interrupt interrupt cancel cancel cancel stop stop stop " +
	"retire retire retire retire reset reset recycle recover abandon unregister unregister unregister unregister publish destroy")

// meddle says something to a session.
func (w *world) meddle(ctx context.Context, n int) {
	s := sessions[w.roll("victim", n)%uint64(len(sessions))]
	w.takes(1500*time.Millisecond, "meddle", n)
	p := w.route("meddle", n)
	st, err := p.host.State(ctx, s)
	if err != nil {
		return
	}
	what := meddlings[w.roll("what", n)%uint64(len(meddlings))]
	w.oracle.asked(s, what, st.Run())
	switch what {
	case "interrupt":
		err = p.host.InterruptCurrentRun(ctx, s, st.Run(), "a meddler")
	case "cancel":
		err = p.host.CancelAfterBoundary(ctx, s, st.Run())
	case "stop":
		err = p.host.StopRuntimeExecutor(ctx, s, "a meddler", w.long(time.Second, "patience", n))
		if err == nil && !p.isDead() {
			w.oracle.stopped(p, s)
		}
		w.back(ctx, s, n)
	case "unregister":
		w.plan.Mutant.leaving(ctx, p, s)
		err = p.host.UnregisterSession(ctx, s)
		w.back(ctx, s, n)
	default:
		err = w.change(ctx, p, s, n, what, st)
	}
	w.note("meddler %d: %s %s: %v", n, what, s, err)
	if err != nil && fault.CodeOf(err) == fault.Internal && !errors.Is(err, context.Canceled) {
		w.breach("R18", "meddler %d %s: an error without a code: %v", n, what, err)
	}
}

// change says what changes the phase of a session in one step. One that is retired may be taken back.
func (w *world) change(ctx context.Context, p *process, s id.Session, n int, what string, st machine.State) (err error) {
	switch what {
	case "retire":
		w.plan.Mutant.retiring(ctx, p, s, st.Run())
		if _, err = p.host.Retire(ctx, s); w.roll("back", n)%4 > 0 {
			w.takes(3*time.Second, "retired", n)
			then := []string{"recycle", "reset"}[w.roll("then", n)%2]
			w.oracle.asked(s, then, "")
			return errors.Join(err, w.change(ctx, w.owner(), s, n, then, st))
		}
	case "reset":
		_, err = p.host.Reset(ctx, s)
	case "recycle":
		_, err = p.host.Recycle(ctx, s)
	case "recover":
		_, err = p.host.Recover(ctx, s)
	case "abandon":
		_, err = p.host.AbandonRetired(ctx, s)
	case "publish":
		err = p.host.PublishEvent(ctx, s, "note", nil)
	case "destroy":
		_, err = p.host.Destroy(ctx, s)
	}
	return err
}

// back registers a session again until that is done, or the session is not to come back.
func (w *world) back(ctx context.Context, s id.Session, n int) {
	for try := 0; ctx.Err() == nil; try++ {
		w.takes(2*time.Second, "back", n, try)
		q := w.owner()
		err := q.host.RegisterSession(ctx, s, runtime.Registration{})
		switch {
		case q.isDead():
		case err == nil, errors.Is(err, runtime.ErrDestroyed):
			return
		case errors.Is(err, runtime.ErrUnregisterInProgress): // whoever began it may have failed at the end
			err = q.host.UnregisterSession(ctx, s)
			w.note("meddler %d unregisters %s to its end: %v", n, s, err)
		}
	}
}

// caller prepares a run and carries it out itself: to its end, to a failure, or not at all.
func (w *world) caller(ctx context.Context, n int) {
	s := sessions[w.roll("prepares for", n)%uint64(len(sessions))]
	in := id.Input(fmt.Sprint("own", n))
	for try := range 6 {
		w.takes(2*time.Second, "prepare", n, try)
		p := w.route("prepare", n, try)
		mine, err := p.host.Prepare(ctx, s, runtime.Input{ID: in, Content: transcript.TextBlocks("do " + string(in))})
		if p.isDead() || err != nil {
			w.note("caller %d prepares %s: %v", n, in, err)
			continue
		}
		w.oracle.prepared(s, mine)
		w.takes(2*time.Second, "carries out", n)
		reply := transcript.Assistant{Blocks: transcript.TextBlocks("done"), Stop: transcript.StopEndTurn}
		what, status := "forgets", ""
		switch w.roll("concludes", n) % 4 {
		case 0, 1:
			what, status = "commits", machine.StatusCompleted
			err = p.host.Commit(ctx, mine, run.RunApplied{Inputs: []id.Input{in}, Appends: []transcript.Entry{reply}})
		case 2:
			what, status = "fails", machine.StatusFailed
			err = p.host.Fail(ctx, mine, run.Failure{Message: "it broke"})
		}
		w.note("caller %d %s %s: %v", n, what, in, err)
		if err == nil && status != "" && !p.isDead() {
			if status == machine.StatusCompleted && w.oracle.wanted(s, "cancel", mine.Run) {
				status = "accepted" // its end is the boundary that the cancel waited for
			}
			w.oracle.told(s, in, status)
		}
		return
	}
}

// place puts sessions that nobody has placed at a place, again and again.
func (w *world) place(ctx context.Context, n int) {
	for round := range 4 {
		w.takes(1500*time.Millisecond, "place", n, round)
		s := sessions[w.roll("placed", n, round)%uint64(len(sessions))]
		p := w.owner()
		st, err := p.host.State(ctx, s)
		if err != nil {
			continue
		}
		at := machine.Placement{Runtime: fmt.Sprintf("east %d.%d", n, round), Fence: uint64(round)}
		w.oracle.places(s, at)
		err = p.host.BindPlacement(ctx, s, st.Lifecycle.Epoch, at)
		w.note("%s is put to %s: %v", s, at.Runtime, err)
	}
}

// post is the way of one process to whoever places sessions. Now and then it does not get through.
type post struct {
	w *world
	p *process
}

// Signal implements runtime.Signals.
func (t post) Signal(ctx context.Context, s id.Session, sig run.Signal) error {
	key := []any{t.p.name, s, sig.Kind, sig.Runtime}
	t.w.takes(50*time.Millisecond, append(key, "post", time.Since(t.w.began))...)
	if t.p.isDead() {
		return errors.New("nobody sends it")
	}
	if t.w.roll(append(key, "lost", time.Since(t.w.began))...)%3 == 0 {
		t.w.note("%s does not tell %s of %s", t.p.name, sig.Kind, s)
		return t.w.plan.Mutant.lost(errors.New("nobody takes it"))
	}
	t.w.oracle.took(s, sig)
	return nil
}

// watch interrupts what has not moved for a while, as somebody would who sees an executor hang.
func (w *world) watch(ctx context.Context) {
	seen := map[id.Session]uint64{}
	for n := 0; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Minute + w.long(time.Second, "watch", n)):
		}
		for _, s := range everyone {
			p := w.owner()
			st, err := p.host.State(ctx, s)
			if err == nil && st.Run() != "" && seen[s] == st.Version {
				w.oracle.asked(s, "interrupt", st.Run())
				err = p.host.InterruptCurrentRun(ctx, s, st.Run(), "it hangs")
				w.note("%s of %s was interrupted: %v", st.Run(), s, err)
			}
			seen[s] = st.Version
		}
	}
}
