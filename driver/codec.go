package driver

import (
	"bytes"
	"encoding/json"
	"fmt"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/transcript"
)

// format is the version every record carries. A format that was ever released stays readable (testdata/formats).
const format = 1

// The records, as JSON. Their field names are what is stored: they may be added to, never renamed.
type (
	controlRecord struct {
		Format  int             `json:"f"`
		Term    uint64          `json:"term"` // under which it was written
		Control machine.Control `json:"c"`
		Open    []run.Directive `json:"open,omitempty"` // all but tool calls, which are rows
	}
	profileRecord struct {
		Format  int         `json:"f"`
		Profile run.Profile `json:"profile"`
	}
	inputRecord struct {
		Format int            `json:"f"`
		Item   inbox.Item     `json:"item"`
		Ended  *machine.Ended `json:"ended,omitempty"`
	}
	effectRecord struct {
		Format    int           `json:"f"`
		Directive run.Directive `json:"d"`
		Outcome   string        `json:"outcome,omitempty"`
	}
	rowRecord struct {
		Format int             `json:"f"`
		Time   time.Time       `json:"t"`
		Run    id.Run          `json:"r,omitempty"`
		Entry  json.RawMessage `json:"e"`
	}
	eventRecord struct {
		Format  int                 `json:"f"`
		Time    time.Time           `json:"t"`
		Run     id.Run              `json:"r,omitempty"`
		Round   int                 `json:"n,omitempty"`
		At      transcript.Position `json:"at,omitzero"`
		Type    string              `json:"k"`
		Payload json.RawMessage     `json:"p"`
	}
	receiptRecord struct {
		Format  int             `json:"f"`
		Receipt machine.Receipt `json:"receipt"`
	}
)

const profileValue = "profile"

// record is any of the above.
type record interface{ version() int }

func (r controlRecord) version() int { return r.Format }
func (r profileRecord) version() int { return r.Format }
func (r inputRecord) version() int   { return r.Format }
func (r effectRecord) version() int  { return r.Format }
func (r rowRecord) version() int     { return r.Format }
func (r eventRecord) version() int   { return r.Format }
func (r receiptRecord) version() int { return r.Format }

// decode reads a record. A damaged one is store.ErrCorrupt, one of a later format store.ErrFuture.
func decode[R record](what string, data []byte) (R, error) {
	var r R
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("read %s: %w: %w", what, store.ErrCorrupt, err)
	}
	switch f := r.version(); {
	case f > format:
		return r, fmt.Errorf("read %s of format %d, this program knows %d: %w", what, f, format, store.ErrFuture)
	case f < 1:
		return r, fmt.Errorf("read %s without a format: %w", what, store.ErrCorrupt)
	}
	return r, nil
}

// ErrEncode says that something cannot be stored, whatever the store: raw JSON in it that is none. The event that brought it is refused.
var ErrEncode = fault.New(fault.Invalid, "cannot be encoded")

func encode(what string, r record) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false) // raw JSON of models and providers is kept as it is
	if err := enc.Encode(r); err != nil {
		return nil, fmt.Errorf("%w: %s: %w", ErrEncode, what, err)
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

func encodeRow(r transcript.Row) (store.MessageRow, error) {
	entry, err := transcript.EncodeEntry(r.Entry)
	if err != nil {
		return store.MessageRow{}, fmt.Errorf("%w: message %d: %w", ErrEncode, r.At.Message, err)
	}
	body, err := encode("message", rowRecord{format, r.Time, r.Run, entry})
	return store.MessageRow{Message: r.At.Message, Ordinal: r.At.Ordinal, Role: transcript.Role(r.Entry), Body: body}, err
}

func decodeRow(m store.MessageRow) (transcript.Row, error) {
	what := fmt.Sprintf("message %d.%d", m.Message, m.Ordinal)
	r, err := decode[rowRecord](what, m.Body)
	if err != nil {
		return transcript.Row{}, err
	}
	entry, err := transcript.DecodeEntry(m.Role, r.Entry)
	if err != nil {
		return transcript.Row{}, fmt.Errorf("read %s: %w: %w", what, store.ErrCorrupt, err)
	}
	return transcript.Row{At: transcript.Position{Message: m.Message, Ordinal: m.Ordinal}, Time: r.Time, Run: r.Run, Entry: entry}, nil
}

func encodeEvent(e event.Event) (store.EventRow, error) {
	payload, err := event.Encode(e.Payload)
	if err != nil {
		return store.EventRow{}, fmt.Errorf("%w: event %d: %w", ErrEncode, e.Cursor, err)
	}
	body, err := encode("event", eventRecord{format, e.Time, e.Run, e.Round, e.At, e.Payload.Type(), payload})
	return store.EventRow{Cursor: e.Cursor, Body: body}, err
}

func decodeEvent(s id.Session, row store.EventRow) (event.Event, error) {
	what := fmt.Sprintf("event %d", row.Cursor)
	r, err := decode[eventRecord](what, row.Body)
	if err != nil {
		return event.Event{}, err
	}
	p, err := event.Decode(r.Type, r.Payload)
	if err != nil {
		return event.Event{}, fmt.Errorf("read %s: %w: %w", what, store.ErrCorrupt, err)
	}
	return event.Event{Session: s, Cursor: row.Cursor, Time: r.Time, Run: r.Run, Round: r.Round, At: r.At, Payload: p}, nil
}

// decodeState puts a state together from its rows.
func decodeState(s id.Session, l store.Loaded) (machine.State, error) {
	c, err := decode[controlRecord]("session", l.Control)
	if err != nil {
		return machine.State{}, err
	}
	st := machine.State{Session: s, Control: c.Control}
	if st.Version != l.Version {
		return machine.State{}, fmt.Errorf("read session: version %d in a row of version %d: %w", st.Version, l.Version, store.ErrCorrupt)
	}
	if !(st.Lifecycle.Phase <= lifecycle.Destroyed && st.Turn.Phase.Known() && st.Tail <= machine.TailReply &&
		st.Message >= 0 && st.Seq >= 0 && st.Turn.Pending >= 0 && st.Turn.Round >= 0) {
		return machine.State{}, fmt.Errorf("read session: no state has such values: %w", store.ErrCorrupt)
	}
	var work *registry.Head
	for _, v := range l.Values {
		head, err := decodeValue(&st, v)
		if err != nil {
			return machine.State{}, err
		}
		if head != nil {
			work = head
		}
	}
	if st.Work, err = decodeWork(work, l.Operations); err != nil {
		return machine.State{}, err
	}
	for _, row := range l.Inputs {
		i, err := decode[inputRecord](fmt.Sprintf("input %s", row.ID), row.Body)
		if err != nil {
			return machine.State{}, err
		}
		if i.Item.ID != row.ID || i.Item.Phase != inbox.Queued && i.Item.Phase != inbox.Staged || i.Item.Lane > inbox.Steer {
			return machine.State{}, fmt.Errorf("read input %s: it is not the live input its row says: %w", row.ID, store.ErrCorrupt)
		}
		st.Inbox = st.Inbox.Put(i.Item)
	}
	open := c.Open
	for _, row := range l.Effects {
		e, err := decode[effectRecord](fmt.Sprintf("effect %s", row.ID), row.Body)
		if err != nil {
			return machine.State{}, err
		}
		if e.Directive.ID != row.ID {
			return machine.State{}, fmt.Errorf("read effect %s: it says it is %s: %w", row.ID, e.Directive.ID, store.ErrCorrupt)
		}
		open = append(open, e.Directive)
	}
	for _, d := range open {
		if d.Kind < run.CallModel || d.Kind > run.Extract || d.Class > run.Idempotent || d.At.Message < 0 || d.At.Ordinal < 0 {
			return machine.State{}, fmt.Errorf("read effect %s: no directive has such values: %w", d.ID, store.ErrCorrupt)
		}
		st.Open = st.Open.Set(d.ID, d)
	}
	return st, nil
}
