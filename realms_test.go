package meerkat_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/llm/offline"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

func TestMany_who_ask_for_a_realm_share_it_and_others_have_their_own(t *testing.T) {
	t.Parallel()
	admitted, left := 0, 0
	var mu sync.Mutex
	r := meerkat.OpenRealms(t.TempDir(), meerkat.Config{Every: offline.Steady{}, Daemon: true})
	r.Admit = func(string) (func() error, error) {
		mu.Lock()
		defer mu.Unlock()
		admitted++
		return func() error { mu.Lock(); defer mu.Unlock(); left++; return nil }, nil
	}
	got := make([]*meerkat.Runtime, 8)
	var wg sync.WaitGroup
	for n := range got {
		wg.Go(func() {
			var err error
			if got[n], err = r.Open(context.Background(), "acme"); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	for _, rt := range got {
		if rt != got[0] {
			t.Fatal("two have the realm opened twice")
		}
	}
	p, err := r.Plane(t.Context(), "other")
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.CreateSession(t.Context(), control.CreateSession{Profile: profile("whatever")})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := got[0].Plane().Session(t.Context(), string(s.ID)); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("a session of another realm: %v", err)
	}
	for _, bad := range []string{"", ".", "..", "a/b", "../acme", ".hidden", "a b"} {
		if _, err := r.Open(t.Context(), bad); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%q: %v", bad, err)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
	if admitted != 2 || left != 2 {
		t.Errorf("%d came in, %d left", admitted, left)
	}
	if _, err := r.Open(t.Context(), "acme"); !errors.Is(err, meerkat.ErrRealmsClosed) {
		t.Errorf("after the end: %v", err)
	}
}

func TestA_realm_that_could_not_be_opened_is_tried_again(t *testing.T) {
	t.Parallel()
	refuse := errors.New("somebody has it")
	r := meerkat.OpenRealms(t.TempDir(), meerkat.Config{})
	r.Admit = func(string) (func() error, error) { return nil, refuse }
	if _, err := r.Open(t.Context(), "a"); !errors.Is(err, refuse) {
		t.Fatalf("got %v", err)
	}
	r.Admit = nil
	if _, err := r.Open(t.Context(), "a"); err != nil {
		t.Fatal(err)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

func profile(model string) run.Profile { return run.Profile{Model: model} }

// paced answers its n-th call once it has been let, and asks for a tool in the first.
type paced struct {
	asked chan struct{}
	let   chan struct{}
}

func (p paced) Stream(ctx context.Context, req llm.Request) iter.Seq2[llm.Part, error] {
	return func(yield func(llm.Part, error) bool) {
		select {
		case p.asked <- struct{}{}:
		case <-ctx.Done():
			yield(nil, ctx.Err())
			return
		}
		select {
		case <-p.let:
		case <-ctx.Done():
			yield(nil, ctx.Err())
			return
		}
		for _, r := range req.Rows {
			if _, ok := r.Entry.(transcript.ToolResult); ok {
				_ = yield(llm.TextPart{Text: "done"}, nil) && yield(llm.Done{Stop: transcript.StopEndTurn}, nil)
				return
			}
		}
		_ = yield(llm.CallPart{ID: "c1", Name: "nothing", Args: "{}"}, nil) && yield(llm.Done{Stop: transcript.StopToolUse}, nil)
	}
}

func TestA_realm_that_settles_finishes_the_call_under_way_and_the_next_process_goes_on(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	first := paced{make(chan struct{}), make(chan struct{})}
	r := meerkat.OpenRealms(root, meerkat.Config{Every: first, Daemon: true})
	p, err := r.Plane(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.CreateSession(t.Context(), control.CreateSession{Profile: profile("m")})
	if err != nil {
		t.Fatal(err)
	}
	in, err := p.Submit(t.Context(), control.Submit{Session: s.ID, Content: transcript.TextBlocks("go")})
	if err != nil {
		t.Fatal(err)
	}
	<-first.asked
	soon, cancel := context.WithCancel(t.Context())
	cancel()
	if err := r.Settle(soon); !errors.Is(err, context.Canceled) {
		t.Fatalf("with a call under way: %v", err)
	}
	close(first.let)
	if err := r.Settle(t.Context()); err != nil {
		t.Fatal(err)
	}
	rows, err := p.Transcript(t.Context(), s.ID, 1, 0)
	if err != nil {
		t.Fatal(err)
	}
	if n := replies(rows); n != 1 {
		t.Errorf("%d replies are kept, not the one under way", n)
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}

	second := paced{make(chan struct{}, 8), make(chan struct{})}
	close(second.let)
	next := meerkat.OpenRealms(root, meerkat.Config{Every: second, Daemon: true})
	p, err = next.Plane(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	<-second.asked // nobody had to ask for it
	if out, err := p.Wait(t.Context(), s.ID, in.Input); err != nil || out.Status != control.Completed || out.Text != "done" {
		t.Errorf("got %+v, %v", out, err)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}
}

func replies(rows []transcript.Row) (n int) {
	for _, r := range rows {
		if _, ok := r.Entry.(transcript.Assistant); ok {
			n++
		}
	}
	return n
}
