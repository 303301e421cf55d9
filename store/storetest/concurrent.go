package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

func concurrent(t *testing.T, open func(t *testing.T) store.Store) {
	scenario(t, open, "many sessions commit at once and each has all its rows", func(w world) {
		const sessions, turns = 24, 12
		var wg sync.WaitGroup
		for n := range sessions {
			wg.Go(func() {
				l, err := w.Acquire(w.ctx, claim(id.Session(fmt.Sprintf("s%02d", n)), "a"))
				for v := range uint64(turns) {
					err = errors.Join(err, w.Commit(w.ctx, full(l, v)))
				}
				if err != nil {
					w.Error(err)
				}
			})
		}
		wg.Wait()
		for n := range sessions {
			wantFull(w, id.Session(fmt.Sprintf("s%02d", n)), turns)
		}
	})
	scenario(t, open, "neighbours of a batch that fails do not notice", func(w world) {
		const sessions, turns = 24, 12
		var wg sync.WaitGroup
		for n := range sessions {
			wg.Go(func() {
				l, err := w.Acquire(w.ctx, claim(id.Session(fmt.Sprintf("s%02d", n)), "a"))
				for v := range uint64(turns) {
					if bad, want := spoiled(l, v, n); bad != nil {
						if got := w.Commit(w.ctx, bad); !errors.Is(got, want) {
							w.Errorf("got %v, want %v", got, want)
						}
					}
					err = errors.Join(err, w.Commit(w.ctx, full(l, v)))
				}
				if err != nil {
					w.Error(err)
				}
			})
		}
		wg.Wait()
		for n := range sessions {
			wantFull(w, id.Session(fmt.Sprintf("s%02d", n)), turns)
		}
	})
	scenario(t, open, "of many that commit the same version one wins", func(w world) {
		l := w.take(claim("s", "a"))
		for v := range uint64(8) {
			won := race(w, 8, func(n int) error {
				b := full(l, v)
				b.Control = fmt.Appendf(nil, "writer %d", n)
				return w.Commit(w.ctx, b)
			}, func(err error) bool { return errors.Is(err, store.ErrConflict) })
			if got := string(w.load("s").Control); got != fmt.Sprintf("writer %d", won) {
				w.Fatalf("%d heard that it won, stored is %q", won, got)
			}
		}
		wantFull(w, "s", 8)
	})
	scenario(t, open, "of many that claim one session one wins", func(w world) {
		for term := range uint64(8) {
			won := race(w, 8, func(n int) error {
				c := claim("s", fmt.Sprintf("owner %d", n))
				c.Now = epoch.Add(time.Duration(term) * time.Hour)
				l, err := w.Acquire(w.ctx, c)
				if err == nil && l.Term != term+1 {
					err = fmt.Errorf("term %d", l.Term)
				}
				return err
			}, func(err error) bool { return fault.CodeOf(err) == fault.OwnedElsewhere })
			c := claim("s", fmt.Sprintf("owner %d", won))
			if lost, err := w.Renew(w.ctx, c.Owner, epoch.Add(time.Duration(term)*time.Hour), ttl, []store.Lease{{Session: "s", Term: term + 1}}); err != nil || len(lost) > 0 {
				w.Fatalf("who won does not hold it: %v, %v", lost, err)
			}
		}
	})
	scenario(t, open, "a load sees one version whole while it is being written", func(w world) {
		l := w.take(claim("s", "a"))
		w.commit(full(l, 0))
		ctx, stop := context.WithCancel(w.ctx)
		var wg sync.WaitGroup
		for range 3 {
			wg.Go(func() {
				for ctx.Err() == nil {
					ld, err := w.Load(w.ctx, "s")
					if n := int(ld.Version); err != nil || len(ld.Inputs) != n || len(ld.Effects) != n || len(ld.Operations) != n || ld.Head.Messages != 2*n ||
						string(ld.Values[0].Data) != fmt.Sprintf("model of version %d", n) {
						w.Errorf("torn: %+v, %v", ld, err)
						return
					}
				}
			})
		}
		for v := range uint64(30) {
			w.commit(full(l, v+1))
		}
		stop()
		wg.Wait()
	})
}

// spoiled returns now and then a batch that must fail, in a way that differs from session to session.
func spoiled(l store.Lease, from uint64, n int) (*store.Batch, error) {
	b := full(l, from)
	switch n % 4 {
	case 0:
		b.Messages = append(b.Messages, b.Messages[0])
		return b, store.ErrExists
	case 1:
		b.From, b.To = from+1, from+2
		return b, store.ErrConflict
	case 2:
		b.Term++
		return b, store.ErrFenced
	}
	return nil, nil
}

// race runs n at once; exactly one may succeed, and the others must fail as losers do.
func race(w world, n int, run func(n int) error, loser func(error) bool) (winner int) {
	w.Helper()
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = run(i) })
	}
	wg.Wait()
	winner = -1
	for i, err := range errs {
		switch {
		case err == nil && winner >= 0:
			w.Fatalf("%d and %d both won", winner, i)
		case err == nil:
			winner = i
		case !loser(err):
			w.Fatalf("%d lost with %v", i, err)
		}
	}
	if winner < 0 {
		w.Fatalf("nobody won: %v", errs)
	}
	return winner
}

// wantFull checks that a session has all rows of versions 1 to n as full made them.
func wantFull(w world, sid id.Session, n int) {
	w.Helper()
	var messages []store.MessageRow
	var events []store.EventRow
	var effects []store.EffectRow
	var ins []store.InputRow
	var kept []store.OperationRow
	for v := range uint64(n) {
		b := full(store.Lease{Session: sid}, v)
		messages, events = append(messages, b.Messages...), append(events, b.Events...)
		effects, ins, kept = append(effects, b.Effects...), append(ins, b.Inputs...), append(kept, b.Operations[0])
		for _, want := range b.Operations {
			got, err := w.Operation(w.ctx, sid, want.ID)
			if err != nil {
				w.Fatal(err)
			}
			w.same(got, want)
		}
	}
	got := w.everything(sid)
	w.same([]any{got["messages"], got["events"], got["effects"]}, []any{messages, events, effects})
	ld := w.load(sid)
	w.same(ld.Inputs, ins)
	w.same(ld.Operations, kept)
	if ld.Version != uint64(n) {
		w.Fatalf("session %s is at version %d of %d", sid, ld.Version, n)
	}
}
