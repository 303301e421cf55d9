package driver

import (
	"context"
	"fmt"
	"slices"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/transcript"
)

// Reader reads what is committed of any session, live here, live elsewhere or at rest. It takes no lease and changes nothing.
type Reader struct{ Store store.Store }

// Transcript reads the rows with from <= message < before, in order; before 0: to the end. Messages have no gaps: one that is not there, with later
// ones that are, is *Damage. Nobody is to be told half a conversation as if it were all.
func (r Reader) Transcript(ctx context.Context, s id.Session, from, before int) ([]transcript.Row, error) {
	stored, err := r.Store.Messages(ctx, s, from, before)
	if err != nil {
		return nil, fmt.Errorf("read transcript of %s: %w", s, err)
	}
	out := make([]transcript.Row, len(stored))
	last := max(from, 1) - 1
	for n, m := range stored {
		if out[n], err = decodeRow(m); err == nil && m.Message > last+1 {
			err = corrupt(fmt.Sprintf("message %d", last+1), nil, "it is gone: the next that is there is %d.%d", m.Message, m.Ordinal)
		}
		if last = m.Message; err != nil {
			return nil, fmt.Errorf("read transcript of %s: %w", s, damaged(s, err))
		}
	}
	return out, nil
}

// Events reads up to limit events after a cursor, complete with their texts. One that was taken out by a repair shows in the cursors.
func (r Reader) Events(ctx context.Context, s id.Session, after uint64, limit int) ([]event.Event, error) {
	stored, err := r.Store.Events(ctx, s, after, limit)
	if err != nil {
		return nil, fmt.Errorf("read events of %s: %w", s, err)
	}
	out := make([]event.Event, len(stored))
	low, high := 0, 0
	for n, row := range stored {
		if out[n], err = decodeEvent(s, row); err != nil {
			return nil, fmt.Errorf("read events of %s: %w", s, damaged(s, err))
		}
		if m := out[n].At.Message; m > 0 {
			if low == 0 || m < low {
				low = m
			}
			high = max(high, m)
		}
	}
	if low == 0 {
		return out, nil
	}
	rows, err := r.Transcript(ctx, s, low, high+1)
	if err != nil {
		return nil, err
	}
	c := cache{rows: rows, whole: true}
	for n := range out {
		out[n] = complete(out[n], c.at)
	}
	return out, nil
}

// complete puts the texts back that stand in the transcript.
func complete(e event.Event, at func(transcript.Position) (transcript.Row, bool)) event.Event {
	if e.At.IsZero() {
		return e
	}
	row, ok := at(e.At)
	if !ok {
		return e
	}
	switch p := e.Payload.(type) {
	case event.RunStarted:
		p.Prompt = plain(row.Entry)
		e.Payload = p
	case event.Steered:
		p.Text = plain(row.Entry)
		e.Payload = p
	case event.TextComplete:
		p.Content = plain(row.Entry)
		e.Payload = p
	case event.ToolCallRequested:
		if a, ok := row.Entry.(transcript.Assistant); ok {
			for _, u := range a.Blocks.ToolUses() {
				if u.ID == p.Call {
					p.Args = u.Args
				}
			}
		}
		e.Payload = p
	case event.ToolExecutionCompleted:
		p.Content = plain(row.Entry)
		e.Payload = p
	case event.RunCompleted:
		p.Result = plain(row.Entry)
		e.Payload = p
	}
	return e
}

func plain(e transcript.Entry) string {
	switch e := e.(type) {
	case transcript.System:
		return e.Text
	case transcript.Notice:
		return e.Text
	case transcript.User:
		return e.Content.Plain()
	case transcript.Assistant:
		return e.Blocks.Plain()
	case transcript.ToolResult:
		return e.Content.Plain()
	}
	return ""
}

// State reads the committed state of a session. store.ErrNotFound: there is none. *Damage: it cannot be read, and this is all that is wrong with
// its rows one by one; whether it breaks a rule as a whole is looked at when it is opened.
func (r Reader) State(ctx context.Context, s id.Session) (machine.State, error) {
	l, err := r.Store.Load(ctx, s)
	if err != nil {
		return machine.State{}, fmt.Errorf("read session %s: %w", s, err)
	}
	st, err := decodeState(s, l)
	if err != nil {
		return machine.State{}, fmt.Errorf("read session %s: %w", s, err)
	}
	return st, nil
}

// Live reads the inputs that have not ended, in the order in which they will be taken. Of a damaged session it returns those that can be read,
// with *Damage.
func (r Reader) Live(ctx context.Context, s id.Session) ([]inbox.Item, error) {
	l, err := r.Store.Load(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("read session %s: %w", s, err)
	}
	w := load(s, l)
	out := slices.Collect(w.state.Inbox.All())
	if err := w.damage.whole(); err != nil {
		return out, fmt.Errorf("read session %s: %w", s, err)
	}
	return out, nil
}

// Input reads one input, and how it ended if it has. store.ErrNotFound: there is none. Other rows may be damaged.
func (r Reader) Input(ctx context.Context, s id.Session, in id.Input) (machine.InputChange, error) {
	row, err := r.Store.InputByID(ctx, s, in)
	if err != nil {
		return machine.InputChange{}, fmt.Errorf("read input %s: %w", in, err)
	}
	return decodeInput(s, row)
}

// InputByKey reads the input that an idempotency key belongs to. store.ErrNotFound: there is none, or it has had its key for long enough.
func (r Reader) InputByKey(ctx context.Context, s id.Session, key string) (machine.InputChange, error) {
	row, err := r.Store.Input(ctx, s, key)
	if err != nil {
		return machine.InputChange{}, fmt.Errorf("read the input of key %q: %w", key, err)
	}
	return decodeInput(s, row)
}

func decodeInput(s id.Session, row store.InputRow) (machine.InputChange, error) {
	rec, err := decode[inputRecord](inputRow(row.ID), row.Body)
	return machine.InputChange{Item: rec.Item, Ended: rec.Ended}, damaged(s, err)
}

// Operation reads one operation of the background, at work or ended, whether the session still keeps it or not. store.ErrNotFound: there is none.
func (r Reader) Operation(ctx context.Context, s id.Session, o registry.ID) (registry.Op, error) {
	row, err := r.Store.Operation(ctx, s, string(o))
	if err != nil {
		return registry.Op{}, fmt.Errorf("read operation %q: %w", o, err)
	}
	op, err := decodeOperation(row)
	return op, damaged(s, err)
}

// Effect is an entry of the ledger, open or closed.
type Effect struct {
	Directive run.Directive
	Open      bool
	Outcome   string
}

// Effects reads the ledger of a session, in order.
func (r Reader) Effects(ctx context.Context, s id.Session) ([]Effect, error) {
	stored, err := r.Store.Effects(ctx, s)
	if err != nil {
		return nil, fmt.Errorf("read effects of %s: %w", s, err)
	}
	out := make([]Effect, len(stored))
	for n, row := range stored {
		rec, err := decode[effectRecord](effectRow(row.ID), row.Body)
		if err != nil {
			return nil, fmt.Errorf("read effects of %s: %w", s, damaged(s, err))
		}
		out[n] = Effect{rec.Directive, row.Open, rec.Outcome}
	}
	return out, nil
}

// Receipt reads one boundary receipt. store.ErrNotFound: there is none.
func (r Reader) Receipt(ctx context.Context, s id.Session, of id.Run, sequence int) (machine.Receipt, error) {
	row, err := r.Store.Receipt(ctx, s, of, sequence)
	if err != nil {
		return machine.Receipt{}, fmt.Errorf("read receipt %d of run %s: %w", sequence, of, err)
	}
	rec, err := decode[receiptRecord]("receipt", row.Body)
	return rec.Receipt, damaged(s, err)
}
