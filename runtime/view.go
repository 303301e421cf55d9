package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// Status is what is committed of a session, in words that need no knowledge of the machine.
type Status struct {
	Session  id.Session
	Phase    string // idle, attached, running, stopped, retired, archived, destroyed, unregistered
	Created  time.Time
	Updated  time.Time
	Title    string
	Profile  run.Profile
	Model    string // that the session talks to: its profile's, or the one that took its place
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

// InputRecord is an input as it stands in its row: the item, and how it ended if it did.
type InputRecord = machine.InputChange

// Status returns the status of a session, for whoever watches many: it never waits long and never holds up a command. A session that is live here
// answers from the published snapshot, whatever the store does; any other is read, for at most Config.Glance and as long as ctx lasts.
// ErrUnread: the store did not answer in that time, and how the session stands is not known.
func (h *Host) Status(ctx context.Context, sid id.Session) (Status, error) {
	st, err := h.glance(ctx, sid)
	if err != nil {
		return Status{}, err
	}
	return statusOf(st), nil
}

// ReadStatus is Status for whoever asks for this one session: it waits for the store as long as ctx lasts.
func (h *Host) ReadStatus(ctx context.Context, sid id.Session) (Status, error) {
	st, err := h.State(ctx, sid)
	if err != nil {
		return Status{}, err
	}
	return statusOf(st), nil
}

// glance is State within Config.Glance, even if the store does not honour its context.
func (h *Host) glance(ctx context.Context, sid id.Session) (machine.State, error) {
	if st, ok := h.published(sid); ok {
		return st, nil
	}
	type read struct {
		state machine.State
		err   error
	}
	within, cancel := context.WithTimeout(ctx, h.config.Glance)
	defer cancel()
	done := make(chan read, 1)
	h.calls.add()
	go func() {
		defer h.calls.done()
		st, err := h.State(within, sid)
		done <- read{st, err}
	}()
	var got read
	select {
	case got = <-done:
	case <-within.Done():
		got.err = within.Err()
	}
	if errors.Is(got.err, context.DeadlineExceeded) && ctx.Err() == nil {
		return machine.State{}, failed("read", sid, fmt.Errorf("%w after %v", ErrUnread, h.config.Glance))
	}
	return got.state, failed("read", sid, got.err)
}

func statusOf(st machine.State) Status {
	out := Status{Session: st.Session, Phase: st.Phase(), Created: st.Created, Updated: st.Updated, Title: st.Title, Messages: st.Message,
		Usage: st.Usage, Cursor: st.Cursor, Waiting: st.Inbox.Waiting(), Run: st.Run(), Turn: st.Turn.Phase.String(),
		Round: st.Turn.Round, Open: st.Open.Len(), Stopping: st.Lifecycle.Stopping, Pending: st.Pending(),
		Model: st.ModelName()}
	if st.Profile != nil {
		out.Profile = *st.Profile
	}
	for _, i := range st.Inbox.Staged() {
		out.Inputs = append(out.Inputs, i.ID)
	}
	return out
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
