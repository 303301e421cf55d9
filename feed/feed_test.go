package feed_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"

	"go.uber.org/goleak"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/feed"
	"github.com/meerkat-go/meerkat/id"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const sid = id.Session("s")

func durable(cursors ...uint64) []event.Event {
	var out []event.Event
	for _, c := range cursors {
		out = append(out, event.Event{Session: sid, Cursor: c, Payload: event.TurnStarted{}})
	}
	return out
}

func from(first, last uint64) []event.Event {
	var out []event.Event
	for c := first; c <= last; c++ {
		out = append(out, durable(c)...)
	}
	return out
}

func take(t *testing.T, s *feed.Subscription) event.Event {
	t.Helper()
	e, err := s.Next(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func TestEvents_come_in_the_order_they_were_published(t *testing.T) {
	t.Parallel()
	var h feed.Hub
	s := h.Subscribe(sid, 0)
	defer s.Close()
	h.Publish(sid, from(1, 3)...)
	h.Publish(sid, event.Event{Session: sid, Payload: event.TextDelta{Delta: "x"}})
	h.Publish(sid, durable(4)...)
	for _, want := range []uint64{1, 2, 3, 0, 4} {
		if got := take(t, s).Cursor; got != want {
			t.Fatalf("cursor %d, want %d", got, want)
		}
	}
}

func TestA_listener_hears_its_own_session_from_now_on(t *testing.T) {
	t.Parallel()
	var h feed.Hub
	h.Publish(sid, durable(1)...)
	s := h.Subscribe(sid, 1)
	defer s.Close()
	h.Publish("other", durable(1)...)
	h.Publish(sid, durable(2)...)
	if got := take(t, s); got.Cursor != 2 || got.Session != sid {
		t.Fatalf("got %+v", got)
	}
}

func TestR46_a_slow_listener_holds_nobody_up_and_is_told_where_its_gap_begins(t *testing.T) {
	t.Parallel()
	var h feed.Hub
	slow, quick := h.Subscribe(sid, 7), h.Subscribe(sid, 7)
	defer slow.Close()
	defer quick.Close()
	const last = 3 * feed.Buffer
	for c := uint64(8); c <= last; c++ {
		h.Publish(sid, durable(c)...)
		if got := take(t, quick).Cursor; got != c {
			t.Fatalf("the quick one got %d, want %d", got, c)
		}
		if c == 10 { // it has seen one
			if got := take(t, slow).Cursor; got != 8 {
				t.Fatalf("got %d", got)
			}
		}
	}
	gap, ok := take(t, slow).Payload.(event.Gap)
	if !ok || gap.From != 8 {
		t.Fatalf("got %+v", gap)
	}
	// After the gap it gets what came since; all of that is newer than what it has to read from the store.
	e := take(t, slow)
	if e.Cursor <= gap.From {
		t.Fatalf("got %d after the gap", e.Cursor)
	}
	for c := e.Cursor + 1; c <= last; c++ {
		if got := take(t, slow).Cursor; got != c {
			t.Fatalf("got %d, want %d: lost after the gap", got, c)
		}
	}
}

func TestR46_more_events_at_once_than_the_buffer_holds_are_a_gap(t *testing.T) {
	t.Parallel()
	var h feed.Hub
	s := h.Subscribe(sid, 0)
	defer s.Close()
	h.Publish(sid, from(1, feed.Buffer)...)
	if got := take(t, s).Cursor; got != 1 {
		t.Fatalf("got %d: so many fit", got)
	}
	h.Publish(sid, from(feed.Buffer+1, 3*feed.Buffer)...)
	h.Publish(sid, durable(3*feed.Buffer+1)...)
	if gap, ok := take(t, s).Payload.(event.Gap); !ok || gap.From != 1 {
		t.Fatalf("got %+v", gap)
	}
	if got := take(t, s).Cursor; got != 3*feed.Buffer+1 {
		t.Fatalf("got %d", got)
	}
}

func TestA_listener_blocks_until_there_is_something(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h feed.Hub
		s := h.Subscribe(sid, 0)
		got := make(chan uint64)
		go func() { got <- take(t, s).Cursor }()
		synctest.Wait()
		select {
		case c := <-got:
			t.Fatalf("got %d", c)
		default:
		}
		h.Publish(sid, durable(1)...)
		if c := <-got; c != 1 {
			t.Fatalf("got %d", c)
		}
		s.Close()
	})
}

func TestA_listener_leaves_when_its_context_ends_and_may_come_back(t *testing.T) {
	t.Parallel()
	var h feed.Hub
	s := h.Subscribe(sid, 0)
	defer s.Close()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Next(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	h.Publish(sid, durable(1)...)
	if got := take(t, s).Cursor; got != 1 {
		t.Fatalf("got %d", got)
	}
}

func TestClosing_the_hub_ends_listeners_once_they_have_taken_what_waits(t *testing.T) {
	t.Parallel()
	var h feed.Hub
	s := h.Subscribe(sid, 0)
	h.Publish(sid, from(1, 2)...)
	h.Close()
	h.Publish(sid, durable(3)...)
	for _, want := range []uint64{1, 2} {
		if got := take(t, s).Cursor; got != want {
			t.Fatalf("got %d, want %d", got, want)
		}
	}
	for range 2 {
		if _, err := s.Next(t.Context()); !errors.Is(err, feed.ErrClosed) {
			t.Fatalf("got %v", err)
		}
	}
	s.Close()
	late := h.Subscribe(sid, 0)
	if _, err := late.Next(t.Context()); !errors.Is(err, feed.ErrClosed) {
		t.Fatalf("got %v", err)
	}
	late.Close()
	h.Close()
}

func TestClosing_a_subscription_wakes_its_reader_and_leaves_the_others(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var h feed.Hub
		a, b := h.Subscribe(sid, 0), h.Subscribe(sid, 0)
		ended := make(chan error)
		go func() { _, err := a.Next(context.Background()); ended <- err }()
		synctest.Wait()
		a.Close()
		a.Close()
		if err := <-ended; !errors.Is(err, feed.ErrClosed) {
			t.Fatalf("got %v", err)
		}
		h.Publish(sid, durable(1)...)
		if got := take(t, b).Cursor; got != 1 {
			t.Fatalf("got %d", got)
		}
		b.Close()
	})
}

// Every listener, however slow and whenever it came, gets a sequence without a hole once it fills its gaps from the log.
func TestR46_whoever_fills_its_gaps_misses_nothing(t *testing.T) {
	t.Parallel()
	var h feed.Hub
	const last = 20 * feed.Buffer
	var readers sync.WaitGroup
	for n := range 8 {
		s := h.Subscribe(sid, 0)
		readers.Go(func() {
			defer s.Close()
			seen, hole := uint64(0), false
			for {
				e, err := s.Next(t.Context())
				if errors.Is(err, feed.ErrClosed) {
					return
				}
				gap, isGap := e.Payload.(event.Gap)
				switch {
				case err != nil:
					t.Error(err)
					return
				case isGap && gap.From != seen:
					t.Errorf("the gap begins at %d, seen is %d", gap.From, seen)
					return
				case isGap:
					hole = true // to be read from the log, up to the next event
				case e.Cursor <= seen, e.Cursor != seen+1 && !hole:
					t.Errorf("got %d after %d without a gap", e.Cursor, seen)
					return
				default:
					seen, hole = e.Cursor, false
				}
				for range n * 100 {
					_ = n // slower and slower
				}
			}
		})
	}
	for c := uint64(1); c <= last; c += 4 {
		h.Publish(sid, from(c, c+3)...)
	}
	h.Close()
	readers.Wait()
}

func TestWhat_was_read_from_the_store_meanwhile_is_passed_over_with_its_deltas(t *testing.T) {
	t.Parallel()
	var h feed.Hub
	s := h.Subscribe(sid, 0)
	defer s.Close()
	delta := event.Event{Session: sid, Payload: event.TextDelta{Delta: "old"}}
	h.Publish(sid, append(durable(1), delta)...)
	h.Publish(sid, durable(2, 3)...)
	s.Pass(2)
	if got := take(t, s).Cursor; got != 3 {
		t.Errorf("cursor %d, want 3", got)
	}
	h.Publish(sid, delta)
	s.Pass(3) // nothing of it waits here
	if got := take(t, s); got.Payload != delta.Payload {
		t.Errorf("%+v", got)
	}
}

func TestDeltas_that_come_before_an_event_which_was_read_already_are_of_the_past(t *testing.T) {
	t.Parallel()
	var h feed.Hub
	s, other := h.Subscribe(sid, 0), h.Subscribe(sid, 0)
	defer s.Close()
	defer other.Close()
	old, fresh := event.Event{Session: sid, Payload: event.TextDelta{Delta: "old"}}, event.Event{Session: sid, Payload: event.TextDelta{Delta: "new"}}
	h.Publish(sid, append(durable(1), old)...)
	s.Pass(3) // committed, and not told yet
	h.Publish(sid, old)
	h.Publish(sid, append(append(durable(2), old), append(durable(3), fresh)...)...)
	for _, want := range []event.Event{durable(2)[0], durable(3)[0], fresh} {
		if got := take(t, s); got != want {
			t.Errorf("%+v, want %+v", got, want)
		}
	}
	for _, want := range []event.Event{durable(1)[0], old, old, durable(2)[0], old, durable(3)[0], fresh} {
		if got := take(t, other); got != want {
			t.Errorf("another listener: %+v, want %+v", got, want)
		}
	}
}

func TestDeltas_are_kept_where_nobody_knows_whether_they_are_of_the_past(t *testing.T) {
	t.Parallel()
	var h feed.Hub
	h.Publish(sid, durable(1)...)
	s := h.Subscribe(sid, 0)
	defer s.Close()
	delta := event.Event{Session: sid, Payload: event.TextDelta{Delta: "new"}}
	h.Publish(sid, delta)
	s.Pass(1)
	if got := take(t, s); got != delta {
		t.Errorf("%+v", got)
	}
}
