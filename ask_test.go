package meerkat_test

import (
	"context"
	"errors"
	"iter"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/run"
)

func TestAsk_answers_and_the_session_goes_on_through_the_plane(t *testing.T) {
	t.Parallel()
	rt := openRuntime(t, echo{})
	a, err := rt.Ask(t.Context(), run.Profile{Model: "echo"}, "hello")
	if err != nil || a.Text != "echo: hello" || a.Status != control.Completed {
		t.Fatalf("%+v %v", a, err)
	}
	r, err := rt.Plane().Submit(t.Context(), say(a.Session, "again"))
	if err != nil {
		t.Fatal(err)
	}
	if out, err := rt.Plane().Wait(t.Context(), a.Session, r.Input); err != nil || out.Text != "echo: again" {
		t.Fatalf("%+v %v", out, err)
	}
}

func TestAsk_takes_a_workspace_from_the_current_folder(t *testing.T) {
	t.Parallel()
	here, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	rt := openRuntime(t, echo{})
	a, err := rt.Ask(t.Context(), run.Profile{Model: "echo", Workspace: "docs", Tools: "safe"}, "hello")
	if err != nil {
		t.Fatal(err)
	}
	if s, err := rt.Plane().Session(t.Context(), string(a.Session)); err != nil || s.Workspace != filepath.Join(here, "docs") {
		t.Fatalf("%+v %v", s, err)
	}
}

func TestAsk_says_of_a_refusal_that_there_is_nothing_and_of_a_failure_how_it_ended(t *testing.T) {
	t.Parallel()
	rt := openRuntime(t, mute{})
	if a, err := rt.Ask(t.Context(), run.Profile{Model: "nosuch/model"}, "hello"); err == nil || a.Session != "" || a.Input != "" {
		t.Errorf("an unknown model: %+v %v", a, err)
	}
	if a, err := rt.Ask(t.Context(), run.Profile{Model: "echo"}, " "); fault.CodeOf(err) != fault.Invalid || a.Session == "" || a.Input != "" {
		t.Errorf("nothing asked: %+v %v", a, err)
	}
	a, err := rt.Ask(t.Context(), run.Profile{Model: "echo"}, "hello")
	var not *meerkat.NotCompleted
	if !errors.As(err, &not) || !reflect.DeepEqual(not.Answer, a) || a.Status != control.Failed || fault.CodeOf(err) != fault.Provider ||
		!strings.HasPrefix(err.Error(), "no answer, failed: ") || !strings.Contains(err.Error(), "out of ink") {
		t.Errorf("a model that fails: %+v %v", a, err)
	}
	if out, err := rt.Plane().Wait(t.Context(), a.Session, a.Input); err != nil || !reflect.DeepEqual(out, a.Outcome) {
		t.Errorf("the plane says %+v %v", out, err)
	}
}

func TestAsk_leaves_what_was_accepted_to_be_waited_for_when_its_caller_goes(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	asked := make(chan struct{})
	rt := openRuntime(t, notice{echo{gate}, asked})
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-asked
		cancel()
	}()
	a, err := rt.Ask(ctx, run.Profile{Model: "echo"}, "hello")
	if !errors.Is(err, context.Canceled) || a.Session == "" || a.Input == "" {
		t.Fatalf("%+v %v", a, err)
	}
	close(gate)
	if out, err := rt.Plane().Wait(t.Context(), a.Session, a.Input); err != nil || out.Text != "echo: hello" {
		t.Fatalf("%+v %v", out, err)
	}
}

func TestAsk_says_of_an_interrupted_run_that_it_was_cancelled(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	rt := openRuntime(t, notice{echo{make(chan struct{})}, asked})
	interrupted := make(chan error, 1)
	go func() {
		<-asked
		s, err := rt.Plane().Session(t.Context(), "last")
		if err == nil {
			err = rt.Plane().Interrupt(t.Context(), s.ID, s.Run.ID)
		}
		interrupted <- err
	}()
	a, err := rt.Ask(t.Context(), run.Profile{Model: "echo"}, "hello")
	var not *meerkat.NotCompleted
	if !errors.As(err, &not) || a.Status != control.Cancelled || fault.CodeOf(err) != fault.Cancelled {
		t.Fatalf("%+v %v", a, err)
	}
	if err := <-interrupted; err != nil {
		t.Fatal(err)
	}
}

// mute is a model that fails for good.
type mute struct{}

func (mute) Stream(context.Context, llm.Request) iter.Seq2[llm.Part, error] {
	return func(yield func(llm.Part, error) bool) {
		yield(nil, &llm.Error{Kind: llm.InvalidRequest, Message: "out of ink"})
	}
}

// notice closes asked when the model is called; it can be called once.
type notice struct {
	llm.Model
	asked chan struct{}
}

func (n notice) Stream(ctx context.Context, req llm.Request) iter.Seq2[llm.Part, error] {
	close(n.asked)
	return n.Model.Stream(ctx, req)
}

func openRuntime(t *testing.T, m llm.Model) *meerkat.Runtime {
	t.Helper()
	rt, err := meerkat.Open(t.Context(), meerkat.Config{Models: map[string]llm.Model{"echo": m}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	})
	return rt
}
