package sim

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"math"
	"regexp"
	"slices"
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
	LeavesNothing          // to unregister a session gives up what waits
	RetiresAtOnce          // to retire a session ends its run
	OldEpoch               // a session that is registered again keeps its epoch
	ComesBack              // a destroyed session is stored as idle
	SaidTwice              // a boundary gives an executor the steers of the last one again
	SignalLost             // a signal that nobody took is not told again
	PreparedLeaks          // a run that its caller carries out is stored as anybody's
	QuietWakes             // what is to wake nobody does
	KeyForgotten           // a key is not looked up, an id is
	KeyOfItsOwn            // what is told again has another key each time
	AmendLost              // an amended profile is not stored
	ForkShort              // a fork lacks the last row but one
)

// batch is what reaches the store.
func (m Mutant) batch(d *disk, b *store.Batch) *store.Batch {
	d.w.oracle.mu.Lock()
	defer d.w.oracle.mu.Unlock()
	was := d.w.oracle.life(b.Session).state
	c := b.Clone()
	switch m {
	case NoFence:
		c.Term = d.w.oracle.terms[b.Session]
	case OldEpoch:
		if old := was.Lifecycle.Epoch; old != "" {
			c.Control = epochs.ReplaceAll(c.Control, []byte(`"epoch":"`+string(old)+`"`))
		}
	case ComesBack:
		c.Control = bytes.Replace(c.Control, []byte(`"lifecycle":{"phase":5`), []byte(`"lifecycle":{"phase":1`), 1)
	case AmendLost, ForkShort:
		m.aside(c)
	case PreparedLeaks:
		c.Control = bytes.Replace(c.Control, []byte(`"caller":true`), []byte(`"class":2`), 1)
	default:
		return b
	}
	return c
}

var epochs = regexp.MustCompile(`"epoch":"[^"]*"`)

// leaving is done by whoever unregisters a session, before that.
func (m Mutant) leaving(ctx context.Context, p *process, s id.Session) {
	if m == LeavesNothing {
		err := p.host.StopRuntimeExecutor(ctx, s, "it leaves", time.Millisecond)
		p.w.note("the mutant stops %s: %v", s, err)
	}
}

// retiring is done by whoever retires a session, before that.
func (m Mutant) retiring(ctx context.Context, p *process, s id.Session, r id.Run) {
	if m == RetiresAtOnce && r != "" {
		err := p.host.InterruptCurrentRun(ctx, s, r, "it retires")
		p.w.note("the mutant interrupts %s of %s: %v", r, s, err)
	}
}

// lost is what becomes of a signal that was not taken.
func (m Mutant) lost(err error) error {
	if m == SignalLost {
		return nil
	}
	return err
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
	case SaidTwice:
		return said{ex}
	}
	return ex
}

// said repeats at a boundary what was said at the one before.
type said struct{ executor.Executor }

func (x said) Apply(ctx context.Context, r executor.Run, b executor.Bindings) error {
	b.Turn = &saidTurn{Turn: b.Turn}
	return x.Executor.Apply(ctx, r, b)
}

type saidTurn struct {
	executor.Turn
	last []run.Steer
}

func (t *saidTurn) Boundary(ctx context.Context, e id.Effect) (run.Boundary, error) {
	b, err := t.Turn.Boundary(ctx, e)
	before := t.last
	t.last = b.Steers
	b.Steers = append(slices.Clone(before), b.Steers...)
	return b, err
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
