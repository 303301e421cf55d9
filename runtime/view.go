package runtime

import (
	"context"
	"time"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// Status is what is committed of a session, in words that need no knowledge of the machine.
type Status struct {
	Session  id.Session
	Phase    string // idle, attached, running, stopped
	Created  time.Time
	Updated  time.Time
	Title    string
	Profile  run.Profile
	Messages int
	Usage    transcript.Usage
	Cursor   uint64 // of the last durable event
	Waiting  int    // inputs that are in no run yet

	Run      id.Run // empty: none is bound, and what follows is about the last one
	Turn     string // phase of the run
	Round    int
	Inputs   []id.Input // of the bound run
	Open     int        // directives without an answer
	Stopping bool
	Pending  bool // the transcript ends with a message that waits for a reply
}

// Status returns the status of a session, live here or at rest.
func (h *Host) Status(ctx context.Context, sid id.Session) (Status, error) {
	st, err := h.State(ctx, sid)
	if err != nil {
		return Status{}, err
	}
	out := Status{Session: sid, Phase: st.Phase(), Created: st.Created, Updated: st.Updated, Title: st.Title, Messages: st.Message,
		Usage: st.Usage, Cursor: st.Cursor, Waiting: st.Inbox.Waiting(), Run: st.Run(), Turn: st.Turn.Phase.String(),
		Round: st.Turn.Round, Open: st.Open.Len(), Stopping: st.Lifecycle.Stopping, Pending: st.Pending()}
	if st.Profile != nil {
		out.Profile = *st.Profile
	}
	for _, i := range st.Inbox.Staged() {
		out.Inputs = append(out.Inputs, i.ID)
	}
	return out, nil
}

func (h *Host) reader() driver.Reader { return driver.Reader{Store: h.config.Store} }

// Transcript reads the committed rows with from <= message < before, in order; before 0: to the end.
func (h *Host) Transcript(ctx context.Context, sid id.Session, from, before int) ([]transcript.Row, error) {
	return h.reader().Transcript(ctx, sid, from, before)
}

// Events reads up to limit durable events after a cursor, in order.
func (h *Host) Events(ctx context.Context, sid id.Session, after uint64, limit int) ([]event.Event, error) {
	return h.reader().Events(ctx, sid, after, limit)
}

// Effects reads the effect ledger of a session, open and closed entries, in order.
func (h *Host) Effects(ctx context.Context, sid id.Session) ([]driver.Effect, error) {
	return h.reader().Effects(ctx, sid)
}
