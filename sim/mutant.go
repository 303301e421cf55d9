package sim

import (
	"context"
	"fmt"
	"iter"
	"math"
	"time"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/transcript"
)

// Mutant is something broken on purpose, to see that the oracle notices.
type Mutant uint8

// The mutants.
const (
	Sound           Mutant = iota
	NoFence                // the store takes batches under old terms
	NoLookUp               // ended inputs are not found
	GivenTwice             // directives are handed out twice
	UnknownIsDone          // an unknown outcome is taken for success
	UnknownIsFailed        // an unknown outcome is taken for a failure, and told as one
	Unpinned               // a model reads the transcript as it is, not as it was when the call was made
)

// batch is what reaches the store.
func (m Mutant) batch(d *disk, b *store.Batch) *store.Batch {
	if m != NoFence {
		return b
	}
	d.w.oracle.mu.Lock()
	defer d.w.oracle.mu.Unlock()
	c := b.Clone()
	c.Term = d.w.oracle.terms[b.Session]
	return c
}

func (m Mutant) lookedUp(s id.Session, key string, err error) error {
	if m == NoLookUp && err == nil {
		return fmt.Errorf("input %q of %s: %w", key, s, store.ErrNotFound)
	}
	return err
}

func (m Mutant) unknown(d *disk, err error) error {
	switch m {
	case UnknownIsDone:
		return nil
	case UnknownIsFailed:
		d.w.mu.Lock()
		d.w.refuse = time.Now().Add(time.Second) // so that trying again does not help
		d.w.mu.Unlock()
		return fmt.Errorf("not written: %w", store.ErrFull)
	}
	return err
}

func (m Mutant) executor(ex executor.Executor) executor.Executor {
	switch m {
	case GivenTwice:
		return twice{ex}
	case Unpinned:
		return unpinned{ex}
	}
	return ex
}

// unpinned reads to the end.
type unpinned struct{ executor.Executor }

func (u unpinned) Apply(ctx context.Context, r executor.Run, b executor.Bindings) error {
	pinned := b.Transcript
	b.Transcript = func(ctx context.Context, _ int) ([]transcript.Row, error) { return pinned(ctx, math.MaxInt) }
	return u.Executor.Apply(ctx, r, b)
}

// twice hands everything out twice.
type twice struct{ executor.Executor }

func (t twice) Apply(ctx context.Context, r executor.Run, b executor.Bindings) error {
	b.Turn = twiceTurn{b.Turn}
	return t.Executor.Apply(ctx, r, b)
}

type twiceTurn struct{ executor.Turn }

func (t twiceTurn) Directives(ctx context.Context) iter.Seq[run.Directive] {
	return func(yield func(run.Directive) bool) {
		for d := range t.Turn.Directives(ctx) {
			for range 2 {
				if !yield(d) {
					return
				}
			}
		}
	}
}
