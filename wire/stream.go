package wire

import (
	"encoding/json"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
)

// Stream tells the events of one session to one reader. It counts what it tells, and is not for concurrent use.
type Stream struct {
	session id.Session
	source  string
	seq     uint64
	at      time.Time // of the last event
}

// NewStream begins a stream.
func NewStream(s id.Session) *Stream { return &Stream{session: s, source: "session:" + string(s)} }

// Tell says how an event is told: as one or two events of the contract, or as an additive one. One that says nothing is not told.
func (s *Stream) Tell(e event.Event) []Envelope {
	if e.Time.IsZero() { // a gap, which is noticed here and happened nowhere: it stands behind the event before it
		if s.at.IsZero() {
			s.at = time.Now()
		}
		e.Time = s.at
	}
	s.at = e.Time
	told := Project(e)
	out := make([]Envelope, len(told))
	for n, p := range told {
		s.seq++
		out[n] = Envelope{EventID: eventID(s.session, e, n), Source: Source{Type: "session", Session: s.session}, SourceID: s.source, Seq: s.seq,
			Cursor: e.Cursor, RunID: e.Run, Round: e.Round, TimestampMS: e.Time.UnixMilli(), Type: p.Type, Payload: p.JSON, Additive: p.Additive}
	}
	return out
}

// eventID is the same for a durable event whenever and to whomever it is told, and new for any other.
func eventID(s id.Session, e event.Event, part int) string {
	if e.Cursor == 0 {
		return id.New()
	}
	return id.Derive(e.Time, "event of "+s, e.Cursor, uint32(part))
}

// Told is an event in the contract's words.
type Told struct {
	Type     string
	JSON     json.RawMessage // an object that begins with its type
	Additive bool            // the contract does not know this event
}
