// Package tooltest is the conformance suite of tool.Tool, and tools for the tests of those who call tools.
package tooltest

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
)

// hang is how long a call may take before the suite calls it stuck. It is no measure of speed.
const hang = 30 * time.Second

// Run checks that a tool keeps its contract. Args are arguments that make it succeed, at least twice in a row.
func Run(t *testing.T, x tool.Tool, args json.RawMessage) {
	t.Helper()
	t.Run("its declaration is complete and does not change", func(t *testing.T) { declaration(t, x) })
	t.Run("a registry takes it, and takes its good arguments", func(t *testing.T) {
		r := registry(t, x)
		class, refusal := r.Check(x.Spec().Name, args)
		if refusal != nil {
			t.Fatalf("good arguments are refused: %s: %s", refusal.Code, refusal.Message)
		}
		if class != x.Spec().Class {
			t.Errorf("class %v, declared %v", class, x.Spec().Class)
		}
	})
	t.Run("it succeeds and says something", func(t *testing.T) {
		succeed(t, x, tool.Call{ID: "call-ok", Name: x.Spec().Name, Args: args, Attempt: 1})
	})
	t.Run("a repeatable call may be repeated under its id", func(t *testing.T) {
		if !x.Spec().Class.Repeatable() {
			t.Skip("it is not repeatable")
		}
		for attempt := 1; attempt <= 2; attempt++ {
			succeed(t, x, tool.Call{ID: "call-again", Name: x.Spec().Name, Args: args, Attempt: attempt})
		}
	})
	t.Run("it leaves its arguments alone", func(t *testing.T) {
		mine := bytes.Clone(args)
		succeed(t, x, tool.Call{ID: "call-args", Name: x.Spec().Name, Args: mine, Attempt: 1})
		if !bytes.Equal(mine, args) {
			t.Errorf("arguments became %s", mine)
		}
	})
	t.Run("calls run at the same time", func(t *testing.T) {
		var all sync.WaitGroup
		for i := range 4 {
			all.Go(func() {
				c := tool.Call{ID: id.Call(fmt.Sprint("call-", i)), Name: x.Spec().Name, Args: args, Attempt: 1}
				if _, err := call(t.Context(), x, c); err != nil {
					t.Error(err)
				}
			})
		}
		all.Wait()
	})
	t.Run("it returns when its context has ended", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		_, err := call(ctx, x, tool.Call{ID: "call-late", Name: x.Spec().Name, Args: args, Attempt: 1})
		if err == errStuck {
			t.Error(err)
		}
	})
}

func declaration(t *testing.T, x tool.Tool) {
	s := x.Spec()
	if s.Description == "" {
		t.Error("no description: the model cannot know what it does")
	}
	if len(s.Description) > 1024 {
		t.Errorf("the description has %d bytes; some providers take no more than 1024", len(s.Description))
	}
	if !slices.Contains([]run.Class{run.Once, run.ReadOnly, run.Idempotent}, s.Class) {
		t.Errorf("class %d", s.Class)
	}
	var schema struct {
		Type string `json:"type"`
	}
	if err := json.Unmarshal(s.Schema, &schema); err != nil {
		t.Errorf("schema: %v", err)
	} else if schema.Type != "object" {
		t.Errorf("the schema's type is %q, want object", schema.Type)
	}
	if err := registry(t, x).Verify(); err != nil {
		t.Error(err)
	}
	again := x.Spec()
	if again.Name != s.Name || again.Description != s.Description || again.Class != s.Class || again.Timeout != s.Timeout ||
		again.Source != s.Source || !bytes.Equal(again.Schema, s.Schema) {
		t.Error("the declaration changed between two calls of Spec")
	}
}

func registry(t *testing.T, x tool.Tool) *tool.Registry {
	t.Helper()
	r, err := tool.NewRegistry(tool.Limits{}, x)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func succeed(t *testing.T, x tool.Tool, c tool.Call) {
	t.Helper()
	r, err := call(t.Context(), x, c)
	switch {
	case err != nil:
		t.Fatalf("error: %v", err)
	case r.IsError:
		t.Fatalf("error result %s: %s", r.Code, r.Content.Plain())
	case len(r.Content) == 0:
		t.Fatal("the result is empty")
	}
}

var errStuck = fmt.Errorf("the call did not return within %s", hang)

// call runs a call, and gives it up when it hangs.
func call(ctx context.Context, x tool.Tool, c tool.Call) (tool.Result, error) {
	type outcome struct {
		r   tool.Result
		err error
	}
	done := make(chan outcome, 1)
	go func() {
		r, err := x.Run(ctx, c)
		done <- outcome{r, err}
	}()
	timer := time.NewTimer(hang)
	defer timer.Stop()
	select {
	case o := <-done:
		return o.r, o.err
	case <-timer.C:
		return tool.Result{}, errStuck
	}
}
