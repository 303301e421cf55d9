package storetest

import (
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// RunDurable holds a store to what must survive its end. place makes an empty place and returns a function that opens the store
// kept there, as often as it is called; the suite closes each.
func RunDurable(t *testing.T, place func(t *testing.T) (reopen func(t *testing.T) store.Store)) {
	// reopened closes the store between two halves of a test.
	reopened := func(sentence string, before, after func(w world)) {
		t.Run(sentence, func(t *testing.T) {
			t.Parallel()
			open := place(t)
			for _, half := range []func(w world){before, after} {
				s := open(t)
				half(world{t, s, t.Context()})
				if err := s.Close(); err != nil {
					t.Fatalf("close: %v", err)
				}
			}
		})
	}
	reopened("rows are there after reopening", func(w world) {
		l := w.take(claim("s", "a"))
		for v := range uint64(5) {
			w.commit(full(l, v))
		}
	}, func(w world) {
		wantFull(w, "s", 5)
		expect(w, store.Query{DueAfter: epoch}, "s")
		for n := range 5 {
			if _, err := w.Receipt(w.ctx, "s", "run", n+1); err != nil {
				w.Fatal(err)
			}
		}
	})
	reopened("a lease goes on after reopening, and its term goes up", func(w world) {
		w.take(claim("s", "a"))
		if err := w.Release(w.ctx, w.take(claim("released", "a"))); err != nil {
			w.Fatal(err)
		}
	}, func(w world) {
		if _, err := w.Acquire(w.ctx, claim("s", "b")); err == nil {
			w.Fatal("a held lease was forgotten")
		}
		w.commit(full(store.Lease{Session: "s", Term: 1}, 0))
		for _, sid := range []id.Session{"s", "released"} {
			c := claim(sid, "b")
			c.Now = epoch.Add(time.Hour)
			if l := w.take(c); l.Term != 2 {
				w.Fatalf("session %s: term %d", sid, l.Term)
			}
		}
	})
	t.Run("two stores in one place see each other's commits and leases", func(t *testing.T) {
		t.Parallel()
		open := place(t)
		a, b := world{t, open(t), t.Context()}, world{t, open(t), t.Context()}
		defer func() {
			if err1, err2 := a.Close(), b.Close(); err1 != nil || err2 != nil {
				t.Error(err1, err2)
			}
		}()
		l := a.take(claim("s", "a"))
		a.commit(full(l, 0))
		wantFull(b, "s", 1)
		if _, err := b.Acquire(b.ctx, claim("s", "b")); err == nil {
			t.Fatal("both hold the session")
		}
		c := claim("s", "b")
		c.Break = l.Term
		theirs := b.take(c)
		b.commit(full(theirs, 1))
		a.refuses(a.Commit(a.ctx, full(l, 1)), store.ErrFenced)
		wantFull(a, "s", 2)
	})
}
