package executortest

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// Subject is an executor under test.
type Subject struct {
	// New makes an executor whose work on First ends by itself, soon.
	New func(t *testing.T) executor.Executor
	// Hangs makes one whose work on First ends only when its context does.
	Hangs func(t *testing.T) executor.Executor
	// First is a directive it can carry out.
	First run.Directive
	// Profile is what the session was registered with.
	Profile run.Profile
	// Rows is the conversation so far.
	Rows []transcript.Row
}

func (s Subject) bindings(t *Turn) executor.Bindings {
	return executor.Bindings{Turn: t, Profile: s.Profile, Delta: func(executor.Delta) {},
		Transcript: func(context.Context, int) ([]transcript.Row, error) { return s.Rows, nil }}
}

// Run holds an executor to the contract of package executor.
func Run(t *testing.T, s Subject) {
	t.Run("every directive is answered once, and Apply returns when nothing is open", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			turn := NewTurn(nil, s.First)
			if err := s.New(t).Apply(t.Context(), executor.Run{Run: s.First.Run}, s.bindings(turn)); err != nil {
				t.Fatal(err)
			}
			if got := turn.Reports(); len(got) != 1 || got[0].Answers() != s.First.ID {
				t.Fatalf("reports %v, want one answer to %v", got, s.First.ID)
			}
		})
	})
	t.Run("what an answer opens is carried out by the same activation", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			second := s.First
			second.ID = id.Effect{Version: s.First.ID.Version + 1}
			turn := NewTurn(func(r run.Report) []run.Directive {
				if r.Answers() == s.First.ID {
					return []run.Directive{second}
				}
				return nil
			}, s.First)
			if err := s.New(t).Apply(t.Context(), executor.Run{Run: s.First.Run}, s.bindings(turn)); err != nil {
				t.Fatal(err)
			}
			if n := len(turn.Reports()); n != 2 {
				t.Fatalf("%d reports, want 2", n)
			}
		})
	})
	t.Run("an activation keeps nothing: a second one carries out what the first left open", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			ex := s.New(t)
			for range 2 {
				turn := NewTurn(nil, s.First)
				if err := ex.Apply(t.Context(), executor.Run{Run: s.First.Run}, s.bindings(turn)); err != nil || turn.Open() != 0 {
					t.Fatalf("err %v, %d open", err, turn.Open())
				}
			}
		})
	})
	t.Run("an answer nobody wants any more is no failure", func(t *testing.T) { s.stale(t) })
	t.Run("when the context ends Apply returns, with all it started ended and nothing reported", func(t *testing.T) { s.cancelled(t) })
}

func (s Subject) stale(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := NewTurn(nil, s.First)
		b := s.bindings(turn)
		withdrawn := make(chan struct{})
		b.Turn = beforeReport{turn, func() {
			turn.Withdraw(s.First.ID)
			close(withdrawn)
		}}
		if err := s.New(t).Apply(t.Context(), executor.Run{Run: s.First.Run}, b); err != nil {
			t.Fatalf("a stale answer failed the activation: %v", err)
		}
		<-withdrawn
	})
}

type beforeReport struct {
	*Turn
	do func()
}

func (b beforeReport) Report(ctx context.Context, r run.Report) error {
	b.do()
	return b.Turn.Report(ctx, r)
}

// cancelled relies on synctest: a goroutine that outlives Apply fails the test.
func (s Subject) cancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		turn := NewTurn(nil, s.First)
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error, 1)
		ex := s.Hangs(t)
		go func() { done <- ex.Apply(ctx, executor.Run{Run: s.First.Run}, s.bindings(turn)) }()
		synctest.Wait()
		select {
		case err := <-done:
			t.Fatalf("it did not hang: %v", err)
		default:
		}
		cancel()
		synctest.Wait()
		select {
		case err := <-done:
			if err != nil && !errors.Is(err, context.Canceled) {
				t.Fatal(err)
			}
		default:
			t.Fatal("Apply goes on after its context has ended")
		}
		if got := turn.Reports(); len(got) != 0 {
			t.Fatalf("reported %v for a run nobody wants", got)
		}
	})
}
