package store

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"time"
)

// Validate finds what would make a batch unstorable whatever the store holds. Every implementation calls it first; the error wraps
// ErrInvalid.
func (b *Batch) Validate() error {
	switch {
	case b.Session == "":
		return fmt.Errorf("%w: no session", ErrInvalid)
	case b.Term == 0 || b.Term > math.MaxInt64:
		return fmt.Errorf("%w: session %s, term %d", ErrInvalid, b.Session, b.Term)
	case b.To <= b.From || b.To > math.MaxInt64:
		return fmt.Errorf("%w: session %s, from version %d to %d", ErrInvalid, b.Session, b.From, b.To)
	case !b.Head.Wake.IsZero() && b.Head.Wake.UnixMicro() <= 0:
		return fmt.Errorf("%w: session %s wants to be told the time at %s", ErrInvalid, b.Session, b.Head.Wake.Format(time.RFC3339))
	}
	for _, e := range b.Effects {
		if e.ID.Version > math.MaxInt64 {
			return fmt.Errorf("%w: session %s, effect %s", ErrInvalid, b.Session, e.ID)
		}
	}
	for _, o := range b.Operations {
		if o.ID == "" || o.Seq > math.MaxInt64 {
			return fmt.Errorf("%w: session %s, operation %q, completion %d", ErrInvalid, b.Session, o.ID, o.Seq)
		}
	}
	for _, e := range b.Events {
		if e.Cursor == 0 || e.Cursor > math.MaxInt64 {
			return fmt.Errorf("%w: session %s, cursor %d", ErrInvalid, b.Session, e.Cursor)
		}
	}
	return nil
}

// Clone copies a batch with everything it points to. A store that goes on with a batch after Commit has returned needs it.
func (b *Batch) Clone() *Batch {
	c := *b
	c.Control = slices.Clone(b.Control)
	c.Head.Labels = maps.Clone(b.Head.Labels)
	c.Values = slices.Clone(b.Values)
	for i := range c.Values {
		c.Values[i].Data = slices.Clone(c.Values[i].Data)
	}
	c.Inputs = slices.Clone(b.Inputs)
	for i := range c.Inputs {
		c.Inputs[i].Body = slices.Clone(c.Inputs[i].Body)
	}
	c.Effects = slices.Clone(b.Effects)
	for i := range c.Effects {
		c.Effects[i].Body = slices.Clone(c.Effects[i].Body)
	}
	c.Operations = slices.Clone(b.Operations)
	for i := range c.Operations {
		c.Operations[i].Body = slices.Clone(c.Operations[i].Body)
	}
	c.Messages = slices.Clone(b.Messages)
	for i := range c.Messages {
		c.Messages[i].Body = slices.Clone(c.Messages[i].Body)
	}
	c.Events = slices.Clone(b.Events)
	for i := range c.Events {
		c.Events[i].Body = slices.Clone(c.Events[i].Body)
	}
	c.Receipts = slices.Clone(b.Receipts)
	for i := range c.Receipts {
		c.Receipts[i].Body = slices.Clone(c.Receipts[i].Body)
	}
	return &c
}
