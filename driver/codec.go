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

// How findings name rows.
const sessionRow = "session"

func inputRow(in id.Input) string    { return "input " + string(in) }
func effectRow(eff id.Effect) string { return "effect " + eff.String() }

// decode reads a record. What is wrong is a *Finding: a damaged one is store.ErrCorrupt, one of a later format store.ErrFuture.
func decode[R record](what string, data []byte) (R, error) {
	var r R
	err := json.Unmarshal(data, &r)
	f := r.version()
	if err != nil { // a later format may not even have the same shape
		var head struct {
			Format int `json:"f"`
		}
		if json.Unmarshal(data, &head) == nil {
			f = head.Format
		}
	}
	switch {
	case f > format:
		return r, later(what, data, "it is of format %d, and this program knows %d", f, format)
	case err != nil:
		return r, corrupt(what, data, "%v", err)
	case f < 1:
		return r, corrupt(what, data, "it is without a format")
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
		return transcript.Row{}, corrupt(what, m.Body, "%v", err)
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
		return event.Event{}, corrupt(what, row.Body, "%v", err)
	}
	return event.Event{Session: s, Cursor: row.Cursor, Time: r.Time, Run: r.Run, Round: r.Round, At: r.At, Payload: p}, nil
}
