package storetest

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// calls are all methods of a store but Close, in a shape that only tells their error.
func calls(s store.Store, ctx context.Context, l store.Lease) map[string]error {
	out := map[string]error{}
	_, out["Acquire"] = s.Acquire(ctx, claim(l.Session, "a"))
	_, out["Renew"] = s.Renew(ctx, owner("a"), epoch, ttl, []store.Lease{l})
	out["Release"] = s.Release(ctx, l)
	_, out["Load"] = s.Load(ctx, l.Session)
	out["Commit"] = s.Commit(ctx, batch(l, 1))
	_, out["Input"] = s.Input(ctx, l.Session, "key-1")
	_, out["InputByID"] = s.InputByID(ctx, l.Session, "in-1")
	_, out["Operation"] = s.Operation(ctx, l.Session, "op-0001")
	_, out["Messages"] = s.Messages(ctx, l.Session, 0, 0)
	_, out["Events"] = s.Events(ctx, l.Session, 0, 0)
	_, out["Effects"] = s.Effects(ctx, l.Session)
	_, out["Receipt"] = s.Receipt(ctx, l.Session, "run", 1)
	_, out["Sessions"] = s.Sessions(ctx, store.Query{})
	return out
}

func ends(t *testing.T, open func(t *testing.T) store.Store) {
	scenario(t, open, "a context that has ended stops every call before it does anything", func(w world) {
		l := w.take(claim("s", "a"))
		w.commit(full(l, 0))
		ctx, cancel := context.WithCancel(w.ctx)
		cancel()
		for name, err := range calls(w, ctx, l) {
			if !errors.Is(err, context.Canceled) || errors.Is(err, store.ErrUnknown) || fault.CodeOf(err) != fault.Cancelled {
				w.Errorf("%s: %v", name, err)
			}
		}
		if v := w.load("s").Version; v != 1 {
			w.Fatalf("version %d", v)
		}
		w.commit(full(l, 1))
	})
	scenario(t, open, "a commit whose context ends is written, or not, or unknown, and a load then knows", func(w world) {
		const sessions, turns = 8, 20
		var wg sync.WaitGroup
		for n := range sessions {
			wg.Go(func() {
				sid := id.Session(fmt.Sprintf("s%d", n))
				l, err := w.Acquire(w.ctx, claim(sid, "a"))
				for v := uint64(0); v < turns && err == nil; {
					v, err = commitCancelled(w, l, v)
				}
				if err != nil {
					w.Error(err)
				}
			})
		}
		wg.Wait()
		for n := range sessions {
			wantFull(w, id.Session(fmt.Sprintf("s%d", n)), turns)
		}
	})
	scenario(t, open, "a closed store says so to every call", func(w world) {
		l := w.take(claim("s", "a"))
		w.commit(full(l, 0))
		if err := w.Close(); err != nil {
			w.Fatal(err)
		}
		for name, err := range calls(w, w.ctx, l) {
			if !errors.Is(err, store.ErrClosed) {
				w.Errorf("%s: %v", name, err)
			}
		}
		w.refuses(w.Close(), store.ErrClosed)
	})
	scenario(t, open, "closing while others commit leaves each with a result", func(w world) {
		var wg sync.WaitGroup
		started := make(chan struct{}, 8)
		for n := range 8 {
			wg.Go(func() {
				l, err := w.Acquire(w.ctx, claim(id.Session(fmt.Sprintf("s%d", n)), "a"))
				started <- struct{}{}
				for v := uint64(0); err == nil; v++ {
					err = w.Commit(w.ctx, full(l, v))
				}
				if !errors.Is(err, store.ErrClosed) {
					w.Error(err)
				}
			})
		}
		for range 8 {
			<-started
		}
		if err := w.Close(); err != nil {
			w.Error(err)
		}
		wg.Wait()
	})
}

// commitCancelled commits under a context that ends meanwhile, and does what a driver does about the result. It returns the
// version that the session has then.
func commitCancelled(w world, l store.Lease, v uint64) (uint64, error) {
	ctx, cancel := context.WithCancel(w.ctx)
	ended := make(chan struct{})
	go func() { cancel(); close(ended) }()
	err := w.Commit(ctx, full(l, v))
	<-ended
	switch {
	case err == nil:
		return v + 1, nil
	case errors.Is(err, store.ErrUnknown):
		ld, err := w.Load(w.ctx, l.Session)
		if errors.Is(err, store.ErrNotFound) {
			return v, w.Commit(w.ctx, full(l, v))
		}
		return ld.Version, err
	case errors.Is(err, context.Canceled):
		if err := w.Commit(w.ctx, full(l, v)); err != nil {
			return v, fmt.Errorf("it was said not to be written: %w", err)
		}
		return v + 1, nil
	}
	return v, err
}
