package machine

import (
	"encoding/json"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/machine/turn"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// Reasons for which inputs are abandoned.
const (
	CauseStopped   = "stopped"
	CauseRetired   = "retired"
	CauseReset     = "reset"
	CauseDestroyed = "destroyed"
	CauseEphemeral = "never_executed"
)

// opened begins the session's life in this process. What belonged to another is gone, and what that one had in hand is decided about before
// anything can be handed out.
func (b *step) opened(ev Opened) error {
	b.s.Transient = Transient{}
	l := b.s.Lifecycle
	if l.Away || l.Phase == lifecycle.Unregistered || l.Phase == lifecycle.Destroyed {
		return nil
	}
	b.s.Transient.Attachment = ev.Attachment
	if err := b.reopened(); err != nil {
		return err
	}
	if err := b.dropEphemeral(); err != nil {
		return err
	}
	if l.Phase == lifecycle.Running {
		return b.executorLost(ExecutorLost{Run: l.Run, Reason: ev.Reason})
	}
	return b.startNext()
}

// dropEphemeral gives up what its submitter wanted only as long as the process lived. What is part of a run is no matter of it any more.
func (b *step) dropEphemeral() error {
	for i := range b.s.Inbox.All() {
		if i.Phase != inbox.Queued || i.Stamp == nil || i.Stamp.Durability != input.Ephemeral {
			continue
		}
		how := &Ended{Status: StatusAbandoned, Cause: CauseEphemeral, At: b.at}
		if err := b.input(i, inbox.Event{Kind: inbox.Abandon, Reason: inbox.NeverExecuted}, how); err != nil {
			return err
		}
	}
	return nil
}

func (b *step) register(ev Register) error {
	was := b.s.Lifecycle
	fresh := was.Phase == lifecycle.Unregistered
	if !fresh && (ev.Profile != nil || len(ev.Seed) > 0) && was.Phase != lifecycle.Destroyed {
		return b.refuse("register", GuardExists)
	}
	epoch := was.Epoch
	if fresh || was.Away {
		epoch = id.Epoch(id.Derive(b.at, b.s.Session, b.version, b.ordinal))
		b.ordinal++
	}
	if err := b.lifecycle(lifecycle.Event{Kind: lifecycle.Register, Epoch: epoch}); err != nil {
		return err
	}
	if !b.s.Attached() { // in the same step: what waits in a retired session is given up only if nobody could carry it out
		b.s.Transient.Attachment = ev.Attachment
	}
	if !fresh {
		return b.revived(was)
	}
	return b.create(ev)
}

// revived goes on with a session that was stopped, or away: an orderly crash, after which a bound run is where it was.
func (b *step) revived(was lifecycle.State) error {
	if was.Away || was.Phase == lifecycle.Stopped {
		b.s.Transient.Placement = Placement{}
		if err := b.sessionBack(); err != nil {
			return err
		}
		b.tell(event.SessionRevived{}, transcript.Position{})
	}
	if was.Away && was.Phase == lifecycle.Running {
		return b.executorLost(ExecutorLost{Run: was.Run, Reason: "the session was unregistered while the run was bound"})
	}
	return b.startNext()
}

func (b *step) bind(ev Bind) error {
	if err := b.in("bind", lifecycle.Idle, lifecycle.Running, lifecycle.Retired); err != nil {
		return err
	}
	have := b.s.Transient.Placement
	switch {
	case ev.Epoch != nil && *ev.Epoch != b.s.Lifecycle.Epoch:
		return b.refuse("bind", GuardEpoch)
	case ev.Placement.Runtime == "":
		return b.refuse("bind", GuardNamed)
	case have != (Placement{}) && have != ev.Placement:
		return b.refuse("bind", GuardPlace)
	}
	b.c.Verdict.Bound = have != ev.Placement
	b.s.Transient.Placement = ev.Placement
	return nil
}

func (b *step) unbind(ev Unbind) {
	if b.s.Transient.Placement == ev.Placement {
		b.s.Transient.Placement = Placement{}
	}
}

func (b *step) attach(ev Attach) error {
	if b.s.Attached() && b.s.Lifecycle.Phase != lifecycle.Stopped { // one of a stopped session has let go of it
		return b.refuse("attach", GuardAttached)
	}
	if err := b.in("attach", lifecycle.Idle, lifecycle.Running, lifecycle.Stopped); err != nil {
		return err
	}
	was := b.s.Lifecycle
	if was.Phase == lifecycle.Stopped {
		if err := b.lifecycle(lifecycle.Event{Kind: lifecycle.Register}); err != nil {
			return err
		}
	}
	b.s.Transient.Attachment = ev.Attachment
	return b.revived(was)
}

func (b *step) detach(ev Detach) {
	if b.s.Transient.Attachment.ID == ev.ID {
		b.s.Transient.Attachment = Attachment{}
	}
}

func (b *step) drain(ev Drain) error {
	if ev.Over {
		b.s.Transient.Draining = false
		return b.startNext()
	}
	if err := b.in("drain", lifecycle.Idle, lifecycle.Running, lifecycle.Stopped, lifecycle.Retired); err != nil {
		return err
	}
	b.s.Transient.Draining = true
	return nil
}

func (b *step) unregister() error {
	if !b.s.Transient.Draining {
		return b.refuse("unregister", GuardDrained)
	}
	if err := b.lifecycle(lifecycle.Event{Kind: lifecycle.Unregister}); err != nil {
		return err
	}
	b.s.Transient = Transient{}
	b.tell(event.SessionUnregistered{}, transcript.Position{})
	return nil
}

func (b *step) stop(ev Stop) error {
	was := b.s.Lifecycle.Phase
	if err := b.lifecycle(lifecycle.Event{Kind: lifecycle.Stop, Reason: ev.Reason}); err != nil {
		return err
	}
	if was != lifecycle.Stopped && b.s.Lifecycle.Phase == lifecycle.Stopped {
		return b.settleStopped()
	}
	return nil
}

func (b *step) settleStopped() error {
	b.s.Transient.Placement = Placement{}
	if err := b.sessionOver(); err != nil {
		return err
	}
	reason := b.s.Lifecycle.Reason
	if err := b.abandonAll(CauseStopped, reason); err != nil {
		return err
	}
	b.tell(event.SessionStopped{Reason: reason}, transcript.Position{})
	return nil
}

func (b *step) retire() error {
	was := b.s.Lifecycle
	if err := b.lifecycle(lifecycle.Event{Kind: lifecycle.Retire}); err != nil {
		return err
	}
	if b.s.Lifecycle == was { // again
		return nil
	}
	b.signal(run.RuntimeRetired)
	if b.s.Lifecycle.Phase == lifecycle.Retired {
		if err := b.settleRetired(); err != nil {
			return err
		}
	}
	b.c.Verdict.Pending = b.s.Inbox.Len()
	b.tell(event.SessionRetired{Pending: b.c.Verdict.Pending}, transcript.Position{})
	return nil
}

// settleRetired goes on with what waits in a retired session, or gives it up if nobody could carry it out.
func (b *step) settleRetired() error {
	if err := b.sessionOver(); err != nil {
		return err
	}
	if !b.s.Attached() && !b.s.Transient.Draining {
		return b.abandonAll(CauseRetired, "")
	}
	return b.startNext()
}

func (b *step) abandonRetired() error {
	if err := b.in("abandon_retired", lifecycle.Retired); err != nil {
		return err
	}
	return b.abandonAll(CauseRetired, "")
}

func (b *step) archive() error {
	if b.s.Lifecycle.Archived {
		return nil
	}
	if err := b.in("archive", lifecycle.Idle, lifecycle.Running, lifecycle.Stopped, lifecycle.Retired); err != nil {
		return err
	}
	if err := b.giveUp(CauseRetired, "session is archived"); err != nil {
		return err
	}
	if b.s.Lifecycle.Phase != lifecycle.Retired {
		if err := b.retire(); err != nil {
			return err
		}
	}
	if err := b.lifecycle(lifecycle.Event{Kind: lifecycle.Archive}); err != nil {
		return err
	}
	b.tell(event.SessionArchived{}, transcript.Position{})
	return nil
}

func (b *step) reset() error {
	was := b.s.Lifecycle.Phase
	if err := b.lifecycle(lifecycle.Event{Kind: lifecycle.Reset}); err != nil {
		return err
	}
	if err := b.abandonAll(CauseReset, ""); err != nil {
		return err
	}
	b.s.Transient.Placement = Placement{}
	if err := b.silence(); err != nil {
		return err
	}
	if err := b.sessionBack(); err != nil { // it may have been stopped before it was retired
		return err
	}
	if was != b.s.Lifecycle.Phase || b.c.Verdict.Abandoned > 0 {
		b.tell(event.SessionReset{Abandoned: b.c.Verdict.Abandoned}, transcript.Position{})
	}
	return nil
}

func (b *step) recycle() error {
	was := b.s.Lifecycle.Phase
	if err := b.lifecycle(lifecycle.Event{Kind: lifecycle.Recycle}); err != nil {
		return err
	}
	b.s.Transient.Placement = Placement{}
	if err := b.sessionBack(); err != nil { // as above
		return err
	}
	b.c.Verdict.Pending = b.s.Inbox.Len()
	if was != b.s.Lifecycle.Phase {
		b.tell(event.SessionRecycled{Transferred: b.c.Verdict.Pending}, transcript.Position{})
	}
	return b.startNext()
}

func (b *step) recover() error {
	if err := b.lifecycle(lifecycle.Event{Kind: lifecycle.Recover}); err != nil {
		return err
	}
	b.c.Verdict.Pending = b.s.Inbox.Len()
	return b.startNext()
}

func (b *step) destroy() error {
	end := lifecycle.Event{Kind: lifecycle.Destroy}
	if b.s.Lifecycle.Phase == lifecycle.Destroyed {
		return b.lifecycle(end)
	}
	if err := b.in("destroy", lifecycle.Idle, lifecycle.Running, lifecycle.Stopped, lifecycle.Retired); err != nil {
		return err
	}
	if err := b.giveUp(CauseDestroyed, "session is destroyed"); err != nil {
		return err
	}
	if err := b.lifecycle(end); err != nil {
		return err
	}
	if err := b.endRouting(model.SessionEnded); err != nil {
		return err
	}
	b.signal(run.RuntimeDestroyed)
	b.s.Transient = Transient{}
	b.forgetRegions()
	b.tell(event.SessionDestroyed{Abandoned: b.c.Verdict.Abandoned}, transcript.Position{})
	return nil
}

// giveUp abandons what waits and ends the bound run at once, for a session that is to end.
func (b *step) giveUp(cause, reason string) error {
	b.ending = true
	if err := b.abandonAll(cause, ""); err != nil {
		return err
	}
	r := b.s.Lifecycle.Run
	if r == "" {
		return nil
	}
	b.round = b.inRound()
	if b.s.Turn.Answered { // its inputs have their answer
		return b.cut(StatusCompleted, reason)
	}
	b.c.Verdict.Abandoned += len(b.s.Inbox.Staged())
	if err := b.turn(turn.Event{Kind: turn.CancelNow, Run: r, Error: reason}); err != nil {
		return err
	}
	b.because = cause
	return b.closeRun(StatusAbandoned)
}

// abandonAll ends every input that waits. Those of a bound run are not touched.
func (b *step) abandonAll(cause, reason string) error {
	for i := range b.s.Inbox.All() {
		if i.Phase != inbox.Queued {
			continue
		}
		how := &Ended{Status: StatusAbandoned, Cause: cause, Error: reason, At: b.at}
		if err := b.input(i, inbox.Event{Kind: inbox.Abandon, Reason: reasonOf(*how)}, how); err != nil {
			return err
		}
		b.c.Verdict.Abandoned++
	}
	return nil
}

// signal asks the host to tell whoever placed the session. One that nobody placed has nobody to tell.
func (b *step) signal(kind run.SignalKind) {
	p := b.s.Transient.Placement
	if p == (Placement{}) {
		return
	}
	b.ask(run.Directive{ID: b.effect(), Kind: run.Deliver, Class: run.Idempotent, Attempt: 1,
		Signal: run.Signal{Kind: kind, Runtime: p.Runtime, Fence: p.Fence, Generation: p.Generation}})
}

func (b *step) published(ev Published) error {
	if err := b.in("published", lifecycle.Idle, lifecycle.Running, lifecycle.Stopped, lifecycle.Retired); err != nil {
		return err
	}
	if ev.Kind == "" || ev.Body != "" && !json.Valid([]byte(ev.Body)) {
		return b.refuse("published", GuardContent)
	}
	b.tell(event.Published{Kind: ev.Kind, Body: json.RawMessage(ev.Body)}, transcript.Position{})
	return nil
}
