package machine

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/turn"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// Step decides what comes of an event, told at a time. It is the only authority over a session, and pure: equal arguments give
// equal commits. The error is always a *Refusal; s is then as good as before, and so it is after success: Next is a new value.
func Step(s State, at time.Time, ev Event) (Commit, error) {
	b := &step{s: s, at: at.UTC(), version: s.Version + 1, round: -1}
	b.c.From = s.Version
	if err := b.decide(ev); err != nil {
		return Commit{}, err
	}
	if err := b.endStreams(); err != nil {
		return Commit{}, err
	}
	if b.c.Regions != 0 { // one may be what it was, after all
		b.c.Regions = changedRegions(s.Regions, b.s.Regions)
	}
	if b.dirty {
		b.s.Version, b.s.Updated = b.version, b.at
	}
	b.c.Next = b.s
	return b.c, nil
}

// decide carries an event out.
func (b *step) decide(ev Event) error {
	if h, ok := ev.(Handled); ok {
		if err := b.handle(h); err != nil {
			return err
		}
		ev = h.Event
	}
	if err := b.here(ev); err != nil {
		return err
	}
	switch ev := ev.(type) {
	case Submit:
		return b.submit(ev)
	case Serve:
		return b.serve()
	case Interrupt:
		return b.interrupt(ev)
	case CancelAfterBoundary:
		return b.cancelAfterBoundary(ev)
	case ExecutorLost:
		return b.executorLost(ev)
	case Reported:
		return b.reported(ev)
	case Decide:
		return b.decided(ev)
	case SettleCallbacks:
		return b.settleCallbacks(ev)
	case Published:
		return b.published(ev)
	case Tick:
		return b.tick()
	case Servers, Toolset, Offered, Identity, Routing, Peers, Supervised, Asked, Comms, Linked, Streamed, Work:
		return b.region(ev)
	}
	return b.live(ev)
}

// live carries out what is said about the session's life.
func (b *step) live(ev Event) error {
	switch ev := ev.(type) {
	case Opened:
		return b.opened(ev)
	case Register:
		if err := b.returning(); err != nil {
			return err
		}
		return b.register(ev)
	case Bind:
		return b.bind(ev)
	case Unbind:
		b.unbind(ev)
		return nil
	case Attach:
		return b.attach(ev)
	case Detach:
		b.detach(ev)
		return nil
	case Drain:
		return b.drain(ev)
	case Unregister:
		if err := b.unregister(); err != nil {
			return err
		}
		return b.silence()
	case Amend:
		return b.amend(ev)
	case Stop:
		return b.stop(ev)
	case Retire:
		return b.retire()
	case AbandonRetired:
		return b.abandonRetired()
	case Archive:
		return b.archive()
	case Reset:
		if err := b.reset(); err != nil {
			return err
		}
		return b.startNext() // work of the background that ended is news still
	case Recycle:
		return b.recycle()
	case Recover:
		return b.recover()
	case Destroy:
		return b.destroy()
	}
	panic(fmt.Sprintf("machine: event %T", ev))
}

// step is one decision in the making. Dropping it undoes it.
type step struct {
	s       State // becomes Next
	c       Commit
	at      time.Time
	version uint64 // that the commit leads to
	ordinal uint32 // of the next effect
	round   int    // facts belong to; -1: the one the turn is in
	dirty   bool   // something durable changed
	ending  bool   // the session is to end: nothing begins any more
	because string // why the run's inputs end, if not because of the run

	output   json.RawMessage // of the run that ends
	noOutput *run.NoOutput   // why it has none, if it wanted one
}

func (b *step) lifecycle(e lifecycle.Event) error {
	next, err := lifecycle.Table.Step(b.s.Lifecycle, e)
	if err != nil {
		return err
	}
	b.dirty = b.dirty || next != b.s.Lifecycle
	b.s.Lifecycle = next
	return nil
}

func (b *step) turn(e turn.Event) error {
	next, err := turn.Table.Step(b.s.Turn, e)
	if err != nil {
		return err
	}
	b.dirty = b.dirty || next != b.s.Turn
	b.s.Turn = next
	return nil
}

// input moves one input along, and ends it if how is given.
func (b *step) input(i inbox.Item, e inbox.Event, how *Ended) error {
	next, err := inbox.Table.Step(i, e)
	if err != nil {
		return err
	}
	if how != nil {
		b.tell(event.InputEnded{Input: next.ID, Outcome: next.Phase.String(), Reason: how.Cause, By: how.By}, transcript.Position{})
	}
	b.s.Inbox = b.s.Inbox.Put(next)
	b.c.Inputs = append(b.c.Inputs, InputChange{next, how})
	b.dirty = true
	return nil
}

// write puts an entry at a position that is its own.
func (b *step) write(at transcript.Position, e transcript.Entry) {
	b.c.Rows = append(b.c.Rows, transcript.Row{At: at, Time: b.at, Run: b.s.Lifecycle.Run, Entry: e})
	b.dirty = true
}

// add writes an entry as the next message.
func (b *step) add(e transcript.Entry) transcript.Position {
	if _, system := e.(transcript.System); !system {
		b.preamble()
	}
	b.s.Message++
	at := transcript.Position{Message: b.s.Message}
	b.write(at, e)
	return at
}

// tell makes an event, at the next cursor.
func (b *step) tell(p event.Payload, at transcript.Position) {
	b.s.Cursor++
	round := b.round
	if round < 0 {
		round = b.inRound()
	}
	if b.s.Lifecycle.Run == "" {
		round = 0
	}
	if b.c.Facts == nil {
		b.c.Facts = make([]event.Event, 0, 4)
	}
	b.c.Facts = append(b.c.Facts, event.Event{Session: b.s.Session, Cursor: b.s.Cursor, Time: b.at, Run: b.s.Lifecycle.Run,
		Round: round, At: at, Payload: p})
	b.dirty = true
}

// inRound returns the round the turn is in: one whose calls are out is not over, although its reply is counted.
func (b *step) inRound() int {
	if b.s.Turn.Phase == turn.WaitingForOps {
		return b.s.Turn.Round - 1
	}
	return b.s.Turn.Round
}

// effect makes the id of the next thing asked for.
func (b *step) effect() id.Effect {
	b.ordinal++
	return id.Effect{Version: b.version, Ordinal: b.ordinal - 1}
}

// ask opens a directive, or issues one again.
func (b *step) ask(d run.Directive) {
	b.s.Open = b.s.Open.Set(d.ID, d)
	b.c.Opened = append(b.c.Opened, d)
	b.dirty = true
}

func (b *step) closeEffect(d run.Directive, outcome string) {
	b.s.Open = b.s.Open.Delete(d.ID)
	b.c.Closed = append(b.c.Closed, Closed{d, outcome})
	b.dirty = true
}

func (b *step) receipt(boundary string, inputs []id.Input) {
	b.s.Turn.Receipts++
	b.c.Receipts = append(b.c.Receipts, Receipt{b.s.Lifecycle.Run, b.s.Turn.Receipts, boundary, inputs, b.s.Message})
	b.dirty = true
}

// refuse is for guards that read more than one region, or none.
func (b *step) refuse(event, guard string) error {
	return &Refusal{Sort: fsm.ErrGuard, Region: "session", Phase: b.s.Lifecycle.Phase.String(), Event: event, Guard: guard}
}
