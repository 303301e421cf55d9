package storetest_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/memory"
	"github.com/meerkat-go/meerkat/store/storetest"
)

// faulty makes a store with one session, whose commits meet the fault.
func faulty(t *testing.T, f storetest.Fault) (*storetest.Faulty, *store.Batch) {
	s := &storetest.Faulty{Store: memory.New(), Decide: func(*store.Batch) storetest.Fault { return f }}
	l, err := s.Acquire(t.Context(), store.Claim{Session: "s", Owner: store.Owner{ID: "o"}, Now: time.Unix(0, 0), TTL: time.Hour, Create: true})
	if err != nil {
		t.Fatal(err)
	}
	return s, &store.Batch{Session: "s", Term: l.Term, To: 1}
}

func TestA_faulty_store_without_a_fault_keeps_the_contract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) store.Store {
		return &storetest.Faulty{Store: memory.New(), Decide: func(*store.Batch) storetest.Fault { return storetest.Fault{} }}
	})
}

func TestA_fault_is_told_and_done_as_it_was_decided(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		fault   storetest.Fault
		want    error
		written bool
	}{
		{"a failure writes nothing", storetest.Fault{Fail: store.ErrFull}, store.ErrFull, false},
		{"a hidden commit is written", storetest.Fault{Hide: storetest.HideWritten}, store.ErrUnknown, true},
		{"a lost commit is not written", storetest.Fault{Hide: storetest.HideLost}, store.ErrUnknown, false},
		{"a failure goes before hiding", storetest.Fault{Fail: store.ErrFull, Hide: storetest.HideWritten}, store.ErrFull, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, b := faulty(t, c.fault)
			if err := s.Commit(t.Context(), b); !errors.Is(err, c.want) {
				t.Fatalf("got %v", err)
			}
			if _, err := s.Load(t.Context(), "s"); errors.Is(err, store.ErrNotFound) == c.written {
				t.Fatalf("load: %v", err)
			}
		})
	}
}

func TestA_refusal_is_told_even_if_the_outcome_is_hidden(t *testing.T) {
	t.Parallel()
	s, b := faulty(t, storetest.Fault{Hide: storetest.HideWritten})
	b.Term++
	if err := s.Commit(t.Context(), b); !errors.Is(err, store.ErrFenced) || errors.Is(err, store.ErrUnknown) {
		t.Fatalf("got %v", err)
	}
}

func TestA_delayed_commit_waits_and_gives_up_with_its_context(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, b := faulty(t, storetest.Fault{Delay: time.Minute})
		start := time.Now()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := s.Commit(ctx, b); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Fatalf("got %v after %v", err, time.Since(start))
		}
		if err := s.Commit(t.Context(), b); err != nil || time.Since(start) != time.Minute+time.Second {
			t.Fatalf("got %v after %v", err, time.Since(start))
		}
	})
}
