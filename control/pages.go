package control

import (
	"context"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
)

// Bounds of what is read of a session's events at a time. An event may be as large as an input, so their number alone bounds nothing.
const (
	firstPiece = 4        // events, before anything is known of their size
	mostPiece  = 256      // events
	piece      = 1 << 20  // bytes that a piece is meant to have
	mostPage   = 16 << 20 // bytes of one page: what goes beyond ends it
)

// reading reads the durable events of a session piece by piece, each about as large as the next.
type reading struct {
	p     *Plane
	s     id.Session
	after uint64
	count int // events in the next piece
}

func (p *Plane) reading(s id.Session, after uint64) *reading {
	return &reading{p: p, s: s, after: after, count: firstPiece}
}

// next returns the next piece, and whether it was the last.
func (r *reading) next(ctx context.Context, most int) (events []event.Event, size int, last bool, err error) {
	count := min(r.count, most)
	if events, err = r.p.Host.Events(ctx, r.s, r.after, count); err != nil || len(events) == 0 {
		return nil, 0, err == nil, err
	}
	for _, e := range events {
		size += weight(e)
	}
	r.after = events[len(events)-1].Cursor
	r.count = max(1, min(mostPiece, piece/max(1, size/len(events))))
	return events, size, len(events) < count, nil
}

// weight is about how much memory an event takes.
func weight(e event.Event) int {
	const fixed = 256
	switch p := e.Payload.(type) {
	case event.RunStarted:
		return fixed + len(p.Prompt)
	case event.Steered:
		return fixed + len(p.Text)
	case event.TextComplete:
		return fixed + len(p.Content)
	case event.ToolCallRequested:
		return fixed + len(p.Args)
	case event.ToolExecutionCompleted:
		return fixed + len(p.Content)
	case event.RunCompleted:
		return fixed + len(p.Result)
	case event.ExtractionSucceeded:
		return fixed + len(p.Output)
	case event.ExtractionFailed:
		return fixed + len(p.Last)
	case event.Published:
		return fixed + len(p.Body)
	}
	return fixed
}
