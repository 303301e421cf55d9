package meerkat_test

import (
	"context"
	"sync"
	"testing"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/memory"
)

// slowToSay commits at once and says so only when it is let.
type slowToSay struct {
	store.Store
	ending, let chan struct{}
	once        *sync.Once
}

func (s slowToSay) Commit(ctx context.Context, b *store.Batch) error {
	err := s.Store.Commit(ctx, b)
	if b.Head.Past {
		s.once.Do(func() {
			close(s.ending)
			<-s.let
		})
	}
	return err
}

func TestA_stream_that_has_read_the_end_of_its_session_before_anybody_was_told_ends_too(t *testing.T) {
	t.Parallel()
	slow := slowToSay{memory.New(), make(chan struct{}), make(chan struct{}), &sync.Once{}}
	rt, err := meerkat.Open(t.Context(), meerkat.Config{Store: slow, Models: map[string]llm.Model{"echo": echo{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	})
	p := rt.Plane()
	s := create(t, p)
	archived := make(chan error, 1)
	go func() { archived <- p.Archive(t.Context(), s) }()
	<-slow.ending
	for e, err := range p.Events(t.Context(), s, 0) {
		if err != nil {
			t.Fatal(err)
		}
		if _, ok := e.Payload.(event.SessionArchived); ok {
			close(slow.let)
		}
	}
	if err := <-archived; err != nil {
		t.Error(err)
	}
}
