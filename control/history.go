package control

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/transcript"
)

// History is a page of a transcript, from the oldest message on.
type History struct {
	Session id.Session
	Total   int // messages there are
	Offset  int
	Limit   int // 0: none was asked for
	More    bool
	Rows    []transcript.Row // those of one message stand together
}

// History reads a page of a session's messages, also of an archived one. limit 0: to the end.
func (p *Plane) History(ctx context.Context, s id.Session, offset, limit int) (History, error) {
	if err := p.may(Reader); err != nil {
		return History{}, err
	}
	if offset < 0 || limit < 0 {
		return History{}, &Error{Code: fault.Invalid, Message: "offset and limit are not negative"}
	}
	st, err := p.Host.ReadStatus(ctx, s)
	if err != nil {
		return History{}, err
	}
	h := History{Session: s, Total: st.Messages, Offset: offset, Limit: limit}
	before := st.Messages + 1
	if limit > 0 && limit < st.Messages-offset {
		before = offset + limit + 1
	}
	if offset < st.Messages {
		h.Rows, err = p.Host.Transcript(ctx, s, offset+1, before)
	}
	h.More = before <= st.Messages
	return h, err
}

// EventPage is a piece of a session's durable events.
type EventPage struct {
	Events []event.Event
	From   uint64 // cursor it was asked for
	Latest uint64 // cursor of the last event there is
	More   bool
}

// MaxEvents is the most events in a page.
const MaxEvents = 1000

// EventsSince reads durable events after a cursor; limit 0: MaxEvents. Where they are large a page has fewer, and More says so. A cursor beyond the last event is refused with code invalid.
func (p *Plane) EventsSince(ctx context.Context, s id.Session, after uint64, limit int) (EventPage, error) {
	if err := p.may(Reader); err != nil {
		return EventPage{}, err
	}
	if limit <= 0 || limit > MaxEvents {
		limit = MaxEvents
	}
	st, err := p.Host.ReadStatus(ctx, s)
	if err != nil {
		return EventPage{}, err
	}
	if after > st.Cursor {
		return EventPage{}, &Error{Code: fault.Invalid, Message: fmt.Sprintf("the cursor %d is ahead of the latest, %d", after, st.Cursor)}
	}
	page := EventPage{From: after, Latest: st.Cursor}
	r, size := p.reading(s, after), 0
	for last := false; !last && len(page.Events) < limit && size < mostPage; {
		var events []event.Event
		var n int
		if events, n, last, err = r.next(ctx, limit-len(page.Events)); err != nil {
			return EventPage{}, err
		}
		page.Events, size = append(page.Events, events...), size+n
	}
	if n := len(page.Events); n > 0 {
		page.More = page.Events[n-1].Cursor < st.Cursor
	}
	return page, nil
}

// ExternalEvent is something that happened outside.
type ExternalEvent struct {
	Session id.Session
	Input   id.Input // empty: minted
	Key     string
	Type    string
	Payload json.RawMessage
	Blocks  transcript.Blocks
	NoWake  bool // it waits for what starts a run, and starts none
}

// ExternalEvent tells a session of something that happened outside. It starts a run, unless NoWake.
func (p *Plane) ExternalEvent(ctx context.Context, e ExternalEvent) (Receipt, error) {
	if err := p.may(Writer); err != nil {
		return Receipt{}, err
	}
	if strings.TrimSpace(e.Type) == "" {
		return Receipt{}, &Error{Code: fault.Invalid, Message: "event_type is empty"}
	}
	if err := check(Submit{Input: e.Input, Key: e.Key, Content: transcript.TextBlocks("an event")}); err != nil {
		return Receipt{}, err
	}
	if err := content(e.Blocks); err != nil {
		return Receipt{}, err
	}
	if len(e.Payload) > MaxContent {
		return Receipt{}, &Error{Code: fault.Invalid, Message: fmt.Sprintf("the payload has %d bytes, and %d are the most", len(e.Payload), MaxContent)}
	}
	of := input.Input{Source: input.Source{Kind: input.SourceExternal}, Body: input.ExternalEvent{Type: e.Type, Payload: e.Payload, Blocks: e.Blocks}}
	if e.Key != "" {
		of.Correlation = digest(e.Type, []byte(e.Payload), e.Blocks, e.NoWake)
	}
	v, _, err := p.Host.AcceptWithCompletion(ctx, e.Session, runtime.Input{ID: e.Input, Key: e.Key, WithoutWake: e.NoWake, Of: &of})
	if err == nil && v.Duplicate && e.Key != "" {
		err = p.same(ctx, e.Session, v.Input, of.Correlation)
	}
	if err != nil {
		return Receipt{}, err
	}
	return Receipt{Input: v.Input, Run: v.Run, Duplicate: v.Duplicate}, nil
}
