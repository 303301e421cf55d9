// Package executortest is the conformance suite of executors, and the far end of a session to test one with.
package executortest

import (
	"context"
	"iter"
	"sync"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
)

// Turn is a session in memory: it hands directives out, takes reports, and asks what follows. Make one with NewTurn.
type Turn struct {
	next func(run.Report) []run.Directive

	mu      sync.Mutex
	queue   []run.Directive
	open    map[id.Effect]bool
	reports []run.Report
	wake    chan struct{}

	boundary run.Boundary
}

// NewTurn opens the first directives. next says what an answer opens; nil: nothing.
func NewTurn(next func(run.Report) []run.Directive, first ...run.Directive) *Turn {
	t := &Turn{next: next, open: map[id.Effect]bool{}, wake: make(chan struct{}, 1)}
	t.ask(first)
	return t
}

func (t *Turn) ask(ds []run.Directive) {
	for _, d := range ds {
		t.queue = append(t.queue, d)
		t.open[d.ID] = true
	}
	t.signal()
}

func (t *Turn) signal() {
	select {
	case t.wake <- struct{}{}:
	default: // somebody has been woken already
	}
}

// Withdraw closes a directive without an answer, as an interrupt does.
func (t *Turn) Withdraw(e id.Effect) {
	t.mu.Lock()
	defer t.mu.Unlock()
	delete(t.open, e)
	t.signal()
}

// Reports returns what was reported and taken, in order.
func (t *Turn) Reports() []run.Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	return append([]run.Report(nil), t.reports...)
}

// Open returns how many directives have no answer.
func (t *Turn) Open() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.open)
}

// Directives implements executor.Turn.
func (t *Turn) Directives(ctx context.Context) iter.Seq[run.Directive] {
	return func(yield func(run.Directive) bool) {
		for ctx.Err() == nil {
			d, ok, over := t.take()
			switch {
			case ok:
				if !yield(d) {
					return
				}
				continue
			case over:
				return
			}
			select {
			case <-t.wake:
			case <-ctx.Done():
				return
			}
		}
	}
}

func (t *Turn) take() (d run.Directive, ok, over bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.queue) > 0 {
		d, t.queue = t.queue[0], t.queue[1:]
		return d, true, false
	}
	return d, false, len(t.open) == 0
}

// Boundary implements executor.Turn: what was put there with AtBoundary, once.
func (t *Turn) Boundary(_ context.Context, e id.Effect) (run.Boundary, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.open[e] {
		return run.Boundary{}, executor.ErrStale
	}
	b := t.boundary
	t.boundary.Steers = nil
	return b, nil
}

// AtBoundary says what the next call of Boundary finds.
func (t *Turn) AtBoundary(b run.Boundary) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.boundary = b
}

// Report implements executor.Turn: an answer to what is not open is stale.
func (t *Turn) Report(_ context.Context, r run.Report) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.open[r.Answers()] {
		return executor.ErrStale
	}
	delete(t.open, r.Answers())
	t.reports = append(t.reports, r)
	if t.next != nil {
		t.ask(t.next(r))
	}
	t.signal()
	return nil
}
