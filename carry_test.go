package meerkat_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/memory"
)

// shaky is a store that outlives its runtimes and fails to load when it is told to.
type shaky struct {
	store.Store
	fails *atomic.Bool
}

func (shaky) Close() error { return nil }

func (s shaky) Load(ctx context.Context, sid id.Session) (store.Loaded, error) {
	if s.fails.Load() {
		return store.Loaded{}, fault.New(fault.Storage, "the disk is away")
	}
	return s.Store.Load(ctx, sid)
}

func TestA_run_that_could_not_be_gone_on_with_for_a_moment_is_tried_again(t *testing.T) {
	t.Parallel()
	st := shaky{memory.New(), &atomic.Bool{}}
	start := func(m llm.Model) *meerkat.Runtime {
		rt, err := meerkat.Open(t.Context(), meerkat.Config{Store: st, Models: map[string]llm.Model{"echo": m}})
		if err != nil {
			t.Fatal(err)
		}
		return rt
	}
	first := start(echo{make(chan struct{})})
	s := create(t, first.Plane())
	got, err := first.Plane().Submit(t.Context(), say(s, "hello"))
	if err != nil {
		t.Fatal(err)
	}
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	gate := make(chan struct{})
	second := start(echo{gate})
	t.Cleanup(func() {
		if err := second.Close(); err != nil {
			t.Error(err)
		}
	})
	look := meerkat.Looker(second)
	st.fails.Store(true)
	look(t.Context())
	st.fails.Store(false)
	look(t.Context())
	select {
	case gate <- struct{}{}: // the model is called, though nobody has touched the session
	case <-time.After(10 * time.Second):
		t.Fatal("nobody goes on with it")
	}
	if o, err := second.Plane().Wait(t.Context(), s, got.Input); err != nil || o.Status != control.Completed {
		t.Errorf("%+v %v", o, err)
	}
}
