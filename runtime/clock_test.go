package runtime_test

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/storetest"
)

// watched is a store that counts what a clock asks of it, and may refuse it.
type watched struct {
	store.Store
	lists, claims, loads atomic.Int64
	mu                   sync.Mutex
	refuse               error // what is read for a listing
}

func (s *watched) refuses(err error) { s.mu.Lock(); s.refuse = err; s.mu.Unlock() }

func (s *watched) Sessions(ctx context.Context, q store.Query) ([]store.SessionRow, error) {
	s.lists.Add(1)
	s.mu.Lock()
	err := s.refuse
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	return s.Store.Sessions(ctx, q)
}

func (s *watched) Acquire(ctx context.Context, c store.Claim) (store.Lease, error) {
	s.claims.Add(1)
	return s.Store.Acquire(ctx, c)
}

func (s *watched) Load(ctx context.Context, sid id.Session) (store.Loaded, error) {
	s.loads.Add(1)
	return s.Store.Load(ctx, sid)
}

// tending makes a host that wakes sessions at rest, and the store it does it by.
func (w *world) tending(change func(*runtime.Config)) (*place, *watched) {
	s := &watched{Store: w.store}
	return w.host(func(c *runtime.Config) {
		c.Store, c.Tend = s, true
		if change != nil {
			change(c)
		}
	}), s
}

// asks sends a request to a peer in a session, which gives it up after so long.
func (p *place) asks(s id.Session, request string, patience time.Duration) {
	p.w.Helper()
	b, err := p.PrepareBindings(p.w.ctx, s, runtime.Registration{Profile: &run.Profile{Model: "m"}})
	p.w.ok(err)
	p.w.ok(b.Interactions.Sent(p.w.ctx, executor.PeerRequest{ID: request, Peer: "ann", Patience: patience}))
}

// givenUp lists the requests of a session that were not answered, and when that was found.
func (w *world) givenUp(s id.Session) (out []string) {
	w.Helper()
	q := w.host(nil)
	defer q.close()
	all, err := q.Events(w.ctx, s, 0, 0)
	w.ok(err)
	for _, e := range all {
		if lost, ok := e.Payload.(event.PeerRequestTimedOut); ok {
			out = append(out, fmt.Sprint(lost.Interaction, " after ", e.Time.Sub(dawn).Round(time.Millisecond)))
		}
	}
	return out
}

// until lets time go by, and waits for what comes of it.
func until(d time.Duration) {
	pass(d)
	synctest.Wait()
}

// dawn is when a bubble's clock begins.
var dawn = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)

func (w *world) same(got, want any) {
	w.Helper()
	if fmt.Sprint(got) != fmt.Sprint(want) {
		w.Fatalf("got %v, want %v", got, want)
	}
}

func TestR117_a_session_that_lives_here_is_told_the_time_once_and_at_its_time(t *testing.T) {
	bubble(t, func(w *world) {
		s := &watched{Store: w.store}
		p := w.host(func(c *runtime.Config) { c.Store = s })
		p.asks(sid, "q", time.Hour)
		until(time.Hour - time.Nanosecond)
		w.same(w.givenUp(sid), []string{})
		until(time.Nanosecond)
		w.same(w.givenUp(sid), []string{"q after 1h0m0s"})
		w.ok(p.task(run.CallModel).replies("so be it")) // the session goes on without the answer
		until(10 * time.Hour)
		w.same(w.givenUp(sid), []string{"q after 1h0m0s"})
		if s.lists.Load() != 0 || s.loads.Load() != 1 {
			w.Fatalf("the store was asked for %d listings and %d sessions", s.lists.Load(), s.loads.Load())
		}
		p.close()
	})
}

func TestR117_what_comes_earlier_is_told_earlier_and_what_is_settled_not_at_all(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(nil)
		p.asks(sid, "slow", 3*time.Hour)
		p.asks(sid, "quick", time.Hour)
		p.asks(sid, "answered", 2*time.Hour)
		b, err := p.PrepareBindings(w.ctx, sid, runtime.Registration{})
		w.ok(err)
		_, err = b.Interactions.Answered(w.ctx, "answered", "ann")
		w.ok(err)
		until(time.Hour)
		w.ok(p.task(run.CallModel).replies("first"))
		version := p.state().Version
		until(90 * time.Minute) // the time of what was answered is among it
		w.same(p.state().Version, version)
		until(time.Hour)
		w.ok(p.task(run.CallModel).replies("second"))
		w.same(w.givenUp(sid), []string{"quick after 1h0m0s", "slow after 3h0m0s"})
		p.close()
	})
}

func TestR117_a_session_at_rest_is_woken_when_its_time_comes(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(nil)
		p.asks(sid, "q", time.Hour)
		p.asks("later", "q", 5*time.Hour)
		p.close()
		q, s := w.tending(nil)
		until(time.Hour - time.Second)
		w.same([]int64{s.lists.Load(), s.claims.Load()}, []int64{2, 0}) // at the start, and not again
		until(time.Second)
		w.ok(q.task(run.CallModel).replies("so be it"))
		w.same(w.givenUp(sid), []string{"q after 1h0m0s"})
		w.same(w.givenUp("later"), []string{})
		until(4 * time.Hour)
		w.ok(q.task(run.CallModel).replies("so be it"))
		w.same(w.givenUp("later"), []string{"q after 5h0m0s"})
		lists := s.lists.Load()
		until(100 * time.Hour)
		w.same(w.givenUp(sid), []string{"q after 1h0m0s"})
		w.same([]int64{s.lists.Load(), s.claims.Load()}, []int64{lists, 2})
		q.close()
	})
}

func TestR117_a_time_that_came_while_nobody_was_there_is_told_at_the_start(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(nil)
		p.asks(sid, "q", time.Hour)
		p.close()
		until(3 * time.Hour)
		idle := w.host(nil) // one that does not stay
		until(time.Hour)
		w.same(w.givenUp(sid), []string{})
		idle.close()
		q, _ := w.tending(nil)
		w.ok(q.task(run.CallModel).replies("so be it"))
		w.same(w.givenUp(sid), []string{"q after 4h0m0s"})
		q.close()
		again, s := w.tending(nil)
		until(time.Hour)
		w.same(w.givenUp(sid), []string{"q after 4h0m0s"})
		w.same([]int64{s.lists.Load(), s.claims.Load()}, []int64{2, 0})
		again.close()
	})
}

func TestR117_of_many_processes_one_tells_it(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(nil)
		p.asks(sid, "q", time.Hour)
		p.close()
		var hosts []*place
		for range 3 {
			q, _ := w.tending(nil)
			hosts = append(hosts, q)
		}
		until(2 * time.Hour)
		w.same(w.givenUp(sid), []string{"q after 1h0m0s"})
		for _, q := range hosts {
			q.close()
		}
	})
}

func TestR117_who_holds_a_session_tells_it_and_the_others_leave_it_alone(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(nil)
		p.asks(sid, "q", time.Hour)
		q, s := w.tending(nil)
		until(time.Hour)
		w.ok(p.task(run.CallModel).replies("so be it"))
		until(10 * time.Hour)
		w.same(w.givenUp(sid), []string{"q after 1h0m0s"})
		if s.claims.Load() > 1 || s.lists.Load() > 6 {
			w.Fatalf("the other claimed it %d times, and looked %d times", s.claims.Load(), s.lists.Load())
		}
		q.close()
		p.close()
	})
}

func TestR117_the_session_of_a_process_that_died_is_told_when_its_lease_has_run_out(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(nil)
		p.asks(sid, "q", time.Minute)
		until(55 * time.Second)
		dead, cancel := context.WithCancel(w.ctx)
		cancel()
		_ = p.Close(dead) // its lease stays
		q, _ := w.tending(nil)
		until(time.Minute)
		got := w.givenUp(sid)
		if len(got) != 1 || got[0] < "q after 1m0s" || got[0] > "q after 1m6s" {
			w.Fatalf("got %v", got)
		}
		q.close()
	})
}

func TestR117_a_session_that_was_lost_is_looked_at_again(t *testing.T) {
	bubble(t, func(w *world) {
		p, _ := w.tending(nil)
		p.asks(sid, "q", time.Hour)
		_, err := w.memory.Acquire(w.ctx, store.Claim{Session: sid, Owner: store.Owner{ID: "thief"}, Now: time.Now(), TTL: time.Minute, Break: 1})
		w.ok(err)
		until(time.Minute)
		if p.state().Attached() {
			w.Fatal("it lives here still")
		}
		until(time.Hour)
		w.ok(p.task(run.CallModel).replies("so be it"))
		w.same(w.givenUp(sid), []string{"q after 1h0m0s"})
		p.close()
	})
}

func TestR117_a_session_whose_store_refuses_is_told_again(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(nil)
		p.asks(sid, "q", time.Hour)
		until(time.Hour - time.Second)
		w.store.decide(always(storetest.Fault{Fail: store.ErrFull}))
		until(10 * time.Second)
		w.same(w.givenUp(sid), []string{})
		w.store.decide(nil)
		until(time.Second)
		w.same(w.givenUp(sid), []string{"q after 1h0m9.1s"})
		w.ok(p.task(run.CallModel).replies("so be it"))
		until(time.Hour)
		w.same(len(w.givenUp(sid)), 1)
		p.close()
	})
}

func TestR117_a_store_that_cannot_be_looked_at_is_looked_at_again(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(nil)
		p.asks(sid, "q", time.Hour)
		p.close()
		q, s := w.tending(nil)
		synctest.Wait()
		s.refuses(store.ErrFailed)
		until(time.Hour + time.Minute)
		w.same(w.givenUp(sid), []string{})
		s.refuses(nil)
		until(10 * time.Second)
		w.same(len(w.givenUp(sid)), 1)
		q.close()
	})
}

func TestR117_a_session_that_cannot_be_opened_keeps_nobody_awake(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(nil)
		p.asks(sid, "q", time.Hour)
		p.asks("good", "q", 2*time.Hour)
		p.close()
		l, err := w.memory.Load(w.ctx, sid)
		w.ok(err)
		lease, err := w.memory.Acquire(w.ctx, store.Claim{Session: sid, Owner: store.Owner{ID: "vandal"}, Now: time.Now(), TTL: time.Second})
		w.ok(err)
		w.ok(w.memory.Commit(w.ctx, &store.Batch{Session: sid, Term: lease.Term, From: l.Version, To: l.Version + 1, Control: []byte("{"), Head: l.Head}))
		q, s := w.tending(nil)
		until(10 * time.Hour)
		w.same(w.givenUp("good"), []string{"q after 2h0m0s"})
		w.same([]int64{s.claims.Load(), s.loads.Load()}, []int64{2, 2}) // each once
		// When it is mended it is told.
		l.Version++
		lease, err = w.memory.Acquire(w.ctx, store.Claim{Session: sid, Owner: store.Owner{ID: "mender"}, Now: time.Now(), TTL: time.Second})
		w.ok(err)
		w.ok(w.memory.Commit(w.ctx, &store.Batch{Session: sid, Term: lease.Term, From: l.Version, To: l.Version + 1,
			Control: replaced(l.Control, l.Version-1, l.Version+1), Head: l.Head}))
		w.ok(w.memory.Release(w.ctx, lease))
		q.asks("good", "another", time.Hour) // something else makes it look
		until(time.Hour)
		w.same(len(w.givenUp(sid)), 1)
		q.close()
	})
}

// replaced is a control column with another version in it.
func replaced(control []byte, from, to uint64) []byte {
	was, is := fmt.Sprintf(`"version":%d`, from), fmt.Sprintf(`"version":%d`, to)
	return []byte(string(control[:len(control)-len(after(control, was))-len(was)]) + is + after(control, was))
}

// after is what follows a text for the first time.
func after(data []byte, text string) string {
	for n := range data {
		if len(data)-n >= len(text) && string(data[n:n+len(text)]) == text {
			return string(data[n+len(text):])
		}
	}
	return ""
}

func TestR117_a_clock_that_is_set_back_is_waited_for(t *testing.T) {
	for name, between := range map[string]bool{"while all sleep": false, "between the timer and the session": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				var calls, back atomic.Int64 // set back from the call on
				p := w.host(func(c *runtime.Config) {
					c.Now = func() time.Time {
						if from := back.Load(); from > 0 && calls.Add(1) >= from {
							return time.Now().Add(-time.Hour)
						}
						return time.Now()
					}
				})
				p.asks(sid, "q", 2*time.Hour)
				until(time.Hour)
				if between {
					back.Store(2)
				} else {
					back.Store(1)
				}
				until(time.Hour)
				w.same(w.givenUp(sid), []string{})
				until(time.Hour - time.Second)
				w.same(w.givenUp(sid), []string{})
				until(time.Second)
				w.same(w.givenUp(sid), []string{"q after 2h0m0s"})
				p.close()
			})
		})
	}
}

func TestR117_many_that_are_due_are_all_told(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(nil)
		for n := range 40 {
			p.asks(id.Session(fmt.Sprintf("s%02d", n)), "q", time.Hour)
		}
		p.close()
		until(2 * time.Hour)
		q, s := w.tending(func(c *runtime.Config) { c.Executor = nil })
		synctest.Wait()
		for n := range 40 {
			w.same(w.givenUp(id.Session(fmt.Sprintf("s%02d", n))), []string{"q after 2h0m0s"})
		}
		w.same(s.claims.Load(), 40)
		q.close()
	})
}

func TestR117_a_closed_host_tells_nothing(t *testing.T) {
	bubble(t, func(w *world) {
		p, s := w.tending(nil)
		p.asks(sid, "q", time.Hour)
		p.close()
		lists := s.lists.Load()
		until(2 * time.Hour)
		w.same(w.givenUp(sid), []string{})
		w.same(s.lists.Load(), lists)
	})
}
