package storetest

import (
	"errors"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

func leases(t *testing.T, open func(t *testing.T) store.Store) {
	scenario(t, open, "a lease says who holds which session until when", func(w world) {
		w.same(w.take(claim("s", "a")), store.Lease{Session: "s", Term: 1, Owner: owner("a"), Expires: epoch.Add(ttl)})
	})
	scenario(t, open, "a session that does not exist is only leased to who creates it", func(w world) {
		c := claim("s", "a")
		c.Create = false
		_, err := w.Acquire(w.ctx, c)
		w.refuses(err, store.ErrNotFound)
		w.take(claim("s", "a"))
	})
	scenario(t, open, "a place that was kept is no session before the first commit", func(w world) {
		l := w.take(claim("s", "a"))
		_, err := w.Load(w.ctx, "s")
		w.refuses(err, store.ErrNotFound)
		c := claim("s", "a")
		c.Create = false
		_, err = w.Acquire(w.ctx, c)
		w.refuses(err, store.ErrNotFound)
		list, err := w.Sessions(w.ctx, store.Query{})
		if err != nil || len(list) != 0 {
			w.Fatalf("listed %v, %v", list, err)
		}
		w.commit(batch(l, 0))
		w.load("s")
		if got := w.take(c); got.Term != 2 {
			w.Fatalf("term %d", got.Term)
		}
	})
	scenario(t, open, "another owner hears who holds it", func(w world) {
		held := w.take(claim("s", "a"))
		c := claim("s", "b")
		c.Now = epoch.Add(ttl - time.Microsecond)
		_, err := w.Acquire(w.ctx, c)
		var e *store.HeldError
		if !errors.As(err, &e) || fault.CodeOf(err) != fault.OwnedElsewhere {
			w.Fatalf("got %v", err)
		}
		w.same(e.Lease, held)
	})
	scenario(t, open, "an expired lease is free under a higher term", func(w world) {
		w.take(claim("s", "a"))
		c := claim("s", "b")
		c.Now = epoch.Add(ttl)
		if l := w.take(c); l.Term != 2 || l.Owner != owner("b") {
			w.Fatalf("got %+v", l)
		}
	})
	scenario(t, open, "the same owner acquires again under a higher term, and its old term is fenced", func(w world) {
		old := w.take(claim("s", "a"))
		if l := w.take(claim("s", "a")); l.Term != 2 {
			w.Fatalf("term %d", l.Term)
		}
		w.refuses(w.Commit(w.ctx, batch(old, 0)), store.ErrFenced)
	})
	scenario(t, open, "a lease is broken only by who names its term", func(w world) {
		w.take(claim("s", "a"))
		held := w.take(claim("s", "a"))
		c := claim("s", "b")
		var e *store.HeldError
		for _, c.Break = range []uint64{0, held.Term - 1, held.Term + 1} {
			if _, err := w.Acquire(w.ctx, c); !errors.As(err, &e) {
				w.Fatalf("break %d: %v", c.Break, err)
			}
		}
		c.Break = held.Term
		if l := w.take(c); l.Term != held.Term+1 {
			w.Fatalf("term %d", l.Term)
		}
		w.refuses(w.Commit(w.ctx, batch(held, 0)), store.ErrFenced)
	})
	scenario(t, open, "a term never comes back after release", func(w world) {
		first := w.take(claim("s", "a"))
		if err := w.Release(w.ctx, first); err != nil {
			w.Fatal(err)
		}
		w.refuses(w.Commit(w.ctx, batch(first, 0)), store.ErrFenced)
		second := w.take(claim("s", "b"))
		if second.Term != 2 {
			w.Fatalf("term %d", second.Term)
		}
		w.refuses(w.Commit(w.ctx, batch(first, 0)), store.ErrFenced)
		w.commit(batch(second, 0))
	})
	scenario(t, open, "releasing what was lost, or never was, changes nothing", func(w world) {
		old := w.take(claim("s", "a"))
		held := w.take(claim("s", "a"))
		for _, l := range []store.Lease{old, {Session: "never", Term: 1}, {Session: "s", Term: held.Term + 1}} {
			if err := w.Release(w.ctx, l); err != nil {
				w.Fatal(err)
			}
		}
		w.commit(batch(held, 0))
		if err := errors.Join(w.Release(w.ctx, held), w.Release(w.ctx, held)); err != nil {
			w.Fatal(err)
		}
	})
	scenario(t, open, "leases of different sessions do not touch each other", func(w world) {
		a, b := w.take(claim("s", "a")), w.take(claim("s2", "b"))
		w.commit(batch(a, 0))
		w.commit(batch(b, 0))
	})
}

func renewing(t *testing.T, open func(t *testing.T) store.Store) {
	later := epoch.Add(ttl / 2)
	scenario(t, open, "a renewed lease lasts from the time it was renewed", func(w world) {
		held := []store.Lease{w.take(claim("s", "a")), w.take(claim("s2", "a"))}
		lost, err := w.Renew(w.ctx, owner("a"), later, ttl, held)
		if err != nil || len(lost) != 0 {
			w.Fatalf("lost %v, %v", lost, err)
		}
		for _, l := range held {
			c := claim(l.Session, "b")
			c.Now = later.Add(ttl - time.Microsecond)
			var e *store.HeldError
			if _, err := w.Acquire(w.ctx, c); !errors.As(err, &e) || !e.Lease.Expires.Equal(later.Add(ttl)) || e.Lease.Term != l.Term {
				w.Fatalf("got %v", err)
			}
			w.commit(batch(l, 0))
		}
	})
	scenario(t, open, "a lease that only expired is renewed", func(w world) {
		l := w.take(claim("s", "a"))
		lost, err := w.Renew(w.ctx, owner("a"), epoch.Add(3*ttl), ttl, []store.Lease{l})
		if err != nil || len(lost) != 0 {
			w.Fatalf("lost %v, %v", lost, err)
		}
	})
	scenario(t, open, "what was lost is named and the rest is renewed", func(w world) {
		keep, taken, released := w.take(claim("keep", "a")), w.take(claim("taken", "a")), w.take(claim("released", "a"))
		again := w.take(claim("again", "a"))
		w.take(claim("again", "a"))
		c := claim("taken", "b")
		c.Break = taken.Term
		theirs := w.take(c)
		if err := w.Release(w.ctx, released); err != nil {
			w.Fatal(err)
		}
		never := store.Lease{Session: "never", Term: 1, Owner: owner("a")}
		lost, err := w.Renew(w.ctx, owner("a"), later, ttl, []store.Lease{taken, keep, released, again, never, theirs})
		if err != nil {
			w.Fatal(err)
		}
		w.same(lost, []id.Session{"taken", "released", "again", "never", "taken"})
		var e *store.HeldError
		if _, err := w.Acquire(w.ctx, claim("keep", "b")); !errors.As(err, &e) || !e.Lease.Expires.Equal(later.Add(ttl)) {
			w.Fatalf("got %v", err)
		}
		if _, err := w.Acquire(w.ctx, claim("taken", "a")); !errors.As(err, &e) || !e.Lease.Expires.Equal(epoch.Add(ttl)) {
			w.Fatalf("another's lease was renewed: %v", err)
		}
	})
	scenario(t, open, "renewing nothing loses nothing", func(w world) {
		if lost, err := w.Renew(w.ctx, owner("a"), epoch, ttl, nil); err != nil || len(lost) != 0 {
			w.Fatalf("lost %v, %v", lost, err)
		}
	})
	scenario(t, open, "a thousand leases are renewed at once", func(w world) {
		var held []store.Lease
		for range 1000 {
			held = append(held, store.Lease{Session: id.Session(id.New()), Term: 1})
		}
		for i := range 10 {
			held[i*100] = w.take(claim(held[i*100].Session, "a"))
		}
		lost, err := w.Renew(w.ctx, owner("a"), later, ttl, held)
		if err != nil || len(lost) != 990 {
			w.Fatalf("lost %d, %v", len(lost), err)
		}
	})
	scenario(t, open, "an expired lease that nobody took still commits", func(w world) {
		c := claim("s", "a")
		c.TTL = -time.Hour
		w.commit(batch(w.take(c), 0))
	})
}
