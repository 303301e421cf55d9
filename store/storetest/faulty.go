package storetest

import (
	"context"
	"fmt"
	"time"

	"github.com/meerkat-go/meerkat/store"
)

// Fault is what happens to one commit. The zero value lets it through.
type Fault struct {
	Delay time.Duration // first wait so long, or until the context ends: then nothing is written
	Fail  error         // return this, and write nothing
	Hide  Hiding        // answer ErrUnknown whatever happened
}

// Hiding says what happens to a commit whose outcome the caller is not told.
type Hiding uint8

// A hidden commit either was written or was not. Only a load can tell.
const (
	Tell        Hiding = iota // the outcome is told
	HideWritten               // the commit is handed on, and if it is written the caller hears ErrUnknown
	HideLost                  // nothing is written, and the caller hears ErrUnknown
)

// Faulty is a store that fails on command. It stands before a real one, so that what is written is written by the real rules. Only
// commits fail; everything else goes through.
type Faulty struct {
	store.Store

	// Decide is asked once for each commit, by the goroutine that commits, before anything else happens; it may be called by
	// several at once. It must not keep the batch. Nil: nothing fails.
	Decide func(b *store.Batch) Fault
}

var _ store.Store = (*Faulty)(nil)

// Commit implements store.Store, as far as the decision lets it.
func (f *Faulty) Commit(ctx context.Context, b *store.Batch) error {
	doing := fmt.Sprintf("commit session %s version %d", b.Session, b.To)
	var d Fault
	if f.Decide != nil {
		d = f.Decide(b)
	}
	if d.Delay > 0 {
		t := time.NewTimer(d.Delay)
		defer t.Stop()
		select {
		case <-t.C:
		case <-ctx.Done():
			return fmt.Errorf("%s: %w", doing, ctx.Err())
		}
	}
	switch {
	case d.Fail != nil:
		return fmt.Errorf("%s: %w", doing, d.Fail)
	case d.Hide == HideLost:
		return fmt.Errorf("%s: %w", doing, store.ErrUnknown)
	}
	err := f.Store.Commit(ctx, b)
	if err == nil && d.Hide == HideWritten {
		return fmt.Errorf("%s: %w", doing, store.ErrUnknown)
	}
	return err
}
