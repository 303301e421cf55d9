package meerkat_test

import (
	"context"
	"math"
	"sync"
	"testing"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/memory"
	"github.com/meerkat-go/meerkat/transcript"
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

func TestA_submit_that_comes_again_changes_nothing_of_its_session(t *testing.T) {
	t.Parallel()
	rt, err := meerkat.Open(t.Context(), meerkat.Config{Models: map[string]llm.Model{"echo": echo{}, "other": echo{}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	})
	p := rt.Plane()
	made, err := p.CreateSession(t.Context(), control.CreateSession{Deferred: true, Profile: run.Profile{Model: "echo"}})
	if err != nil {
		t.Fatal(err)
	}
	system := "be brief"
	first := say(made.ID, "hello")
	first.Key, first.Asks = "k", control.Asks{System: &system, Model: "other"}
	got, err := p.Turn(t.Context(), first, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	back := say(made.ID, "and now")
	back.Asks.Model = "echo"
	if _, err := p.Turn(t.Context(), back, nil, nil); err != nil {
		t.Fatal(err)
	}
	again, err := p.Submit(t.Context(), first)
	if err != nil || !again.Duplicate || again.Input != got.Input {
		t.Errorf("%+v %v", again, err)
	}
	if now, err := p.Session(t.Context(), string(made.ID)); err != nil || now.Model != "echo" {
		t.Errorf("the model is %s again, %v", now.Model, err)
	}
	first.Content = transcript.TextBlocks("something else")
	if _, err := p.Submit(t.Context(), first); fault.CodeOf(err) != fault.Invalid {
		t.Error(err)
	}
}

func TestA_page_of_history_may_be_asked_for_as_large_as_a_number_can_be(t *testing.T) {
	t.Parallel()
	p := open(t, echo{})
	s := create(t, p)
	if _, err := p.Turn(t.Context(), say(s, "hello"), nil, nil); err != nil {
		t.Fatal(err)
	}
	all, err := p.History(t.Context(), s, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	for offset, want := range map[int]int{0: len(all.Rows), 1: len(all.Rows) - 1, math.MaxInt: 0} {
		if h, err := p.History(t.Context(), s, offset, math.MaxInt); err != nil || len(h.Rows) != want || h.More {
			t.Errorf("from %d: %d rows, more %t, %v", offset, len(h.Rows), h.More, err)
		}
	}
}
