package tool_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/tool/tooltest"
	"github.com/meerkat-go/meerkat/transcript"
)

func registry(t *testing.T, limits tool.Limits, tools ...tool.Tool) *tool.Registry {
	t.Helper()
	r, err := tool.NewRegistry(limits, tools...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// does makes a tool called name of a function.
func does(name string, do func(ctx context.Context, c tool.Call) (tool.Result, error)) tool.Tool {
	return tooltest.Func{Is: tool.Spec{Name: name}, Do: do}
}

func says(name string, r tool.Result) tool.Tool {
	return does(name, func(context.Context, tool.Call) (tool.Result, error) { return r, nil })
}

func call(name string) tool.Call {
	return tool.Call{ID: "c1", Name: name, Args: json.RawMessage(`{}`), Attempt: 1}
}

func contains(t *testing.T, text string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(text, w) {
			t.Errorf("no %q in:\n%s", w, text)
		}
	}
}

func Test_a_registry_refuses_names_that_are_used_twice_or_that_no_model_takes(t *testing.T) {
	t.Parallel()
	a := tooltest.NewCounter("a", run.Once)
	if _, err := tool.NewRegistry(tool.Limits{}, a, tooltest.NewCounter("a", run.Once)); err == nil || !strings.Contains(err.Error(), "twice") {
		t.Errorf("two tools of one name: %v", err)
	}
	for _, name := range []string{"a b", "a.b", "ä", strings.Repeat("x", 65)} {
		if _, err := tool.NewRegistry(tool.Limits{}, tooltest.NewCounter(name, run.Once)); err == nil {
			t.Errorf("the name %q was taken", name)
		}
	}
}

func Test_specs_are_sorted_and_leave_out_what_is_withheld(t *testing.T) {
	t.Parallel()
	names := func(r *tool.Registry) string {
		var out []string
		for _, s := range r.Specs() {
			out = append(out, s.Name)
		}
		return strings.Join(out, " ")
	}
	r := registry(t, tool.Limits{}, tooltest.NewCounter("c", 0), tooltest.NewCounter("a", 0), tooltest.NewCounter("b", 0))
	w := r.Withhold("b").Withhold("zzz")
	if got := names(r); got != "a b c" {
		t.Errorf("specs: %s", got)
	}
	if got := names(w); got != "a c" {
		t.Errorf("specs without b: %s", got)
	}
	for _, name := range []string{"b", "zzz"} {
		if _, refusal := w.Check(name, nil); refusal == nil || refusal.Code != transcript.ResultDenied {
			t.Errorf("%s, withheld: %+v", name, refusal)
		}
	}
	if _, refusal := r.Check("b", json.RawMessage(`{}`)); refusal != nil {
		t.Errorf("withholding changed the registry it came from: %+v", refusal)
	}
}

func Test_a_call_of_an_unknown_tool_is_told_near_names_and_the_list(t *testing.T) {
	t.Parallel()
	r := registry(t, tool.Limits{}, tooltest.NewCounter("read_file", 0), tooltest.NewCounter("shell", 0))
	_, refusal := r.Check("readfile", json.RawMessage(`{}`))
	if refusal == nil || refusal.Code != transcript.ResultNotFound {
		t.Fatalf("refusal: %+v", refusal)
	}
	contains(t, refusal.Message, `"readfile"`, `Did you mean "read_file"?`, "The tools are: read_file, shell.")

	_, refusal = registry(t, tool.Limits{}).Check("x", nil)
	contains(t, refusal.Message, "no tools")
}

func Test_check_returns_the_class_with_a_refusal_of_the_arguments_too(t *testing.T) {
	t.Parallel()
	r := registry(t, tool.Limits{}, tooltest.NewCounter("a", run.ReadOnly))
	class, refusal := r.Check("a", json.RawMessage(`[]`))
	if class != run.ReadOnly || refusal == nil {
		t.Errorf("class %v, refusal %+v", class, refusal)
	}
}

func Test_run_judges_the_call_again(t *testing.T) {
	t.Parallel()
	k := tooltest.NewCounter("a", 0)
	r := registry(t, tool.Limits{}, k)
	for name, want := range map[string]string{"b": transcript.ResultNotFound, "a": transcript.ResultInvalid} {
		got, err := r.Run(t.Context(), tool.Call{ID: "c", Name: name, Args: json.RawMessage(`7`)})
		if err != nil || !got.IsError || got.Code != want {
			t.Errorf("%s: %+v, %v; want %s", name, got, err, want)
		}
	}
	if got, _ := r.Withhold("a").Run(t.Context(), call("a")); got.Code != transcript.ResultDenied {
		t.Errorf("withheld: %+v", got)
	}
	if k.Total() != 0 {
		t.Error("a refused call ran")
	}
}

func Test_a_panic_becomes_an_error_result_without_its_stack(t *testing.T) {
	t.Parallel()
	for name, do := range map[string]func(){"panic": func() { panic("boom") }, "goexit": runtime.Goexit} {
		var seen atomic.Pointer[tool.Defect]
		r := registry(t, tool.Limits{OnDefect: func(d tool.Defect) { seen.Store(&d) }},
			does("p", func(context.Context, tool.Call) (tool.Result, error) { do(); return tool.Result{}, nil }))
		got, err := r.Run(t.Context(), call("p"))
		if err != nil || !got.IsError || got.Code != transcript.ResultFailed {
			t.Fatalf("%s: %+v, %v", name, got, err)
		}
		if text := got.Content.Plain(); strings.Contains(text, "goroutine ") || strings.Contains(text, ".go:") {
			t.Errorf("%s: the model sees the stack: %s", name, text)
		}
		d := seen.Load()
		if d == nil || d.Kind != "panic" || d.Tool != "p" || d.Call != "c1" {
			t.Fatalf("%s: defect %+v", name, d)
		}
		if name == "panic" && !strings.Contains(string(d.Stack), "registry_test.go") {
			t.Errorf("the stack does not show where: %s", d.Stack)
		}
	}
}

func Test_a_tool_that_runs_out_of_time_is_stopped_and_its_result_says_so(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := tooltest.NewGate("slow", run.Once)
		r := registry(t, tool.Limits{}, g)
		began := time.Now()
		got, err := r.Run(t.Context(), call("slow"))
		if err != nil || got.Code != transcript.ResultTimeout || !got.IsError {
			t.Fatalf("%+v, %v", got, err)
		}
		if took := time.Since(began); took != 600*time.Second {
			t.Errorf("the default limit is %s", took)
		}
		contains(t, got.Content.Plain(), "10m0s", "stopped")
	})
}

func Test_the_limit_of_a_tool_comes_before_the_default(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		slow := tooltest.Func{Is: tool.Spec{Name: "slow", Timeout: 3 * time.Second}, Do: func(ctx context.Context, _ tool.Call) (tool.Result, error) {
			<-ctx.Done()
			return tool.Result{}, ctx.Err()
		}}
		began := time.Now()
		got, _ := registry(t, tool.Limits{Timeout: time.Hour}, slow).Run(t.Context(), call("slow"))
		if took := time.Since(began); took != 3*time.Second || got.Code != transcript.ResultTimeout {
			t.Errorf("after %s: %+v", took, got)
		}
	})
}

func Test_a_tool_that_ignores_its_end_is_left_behind_and_counted(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		g := tooltest.NewDeafGate("deaf", run.Once)
		var defects atomic.Int32
		r := registry(t, tool.Limits{Timeout: time.Minute, OnDefect: func(d tool.Defect) {
			if d.Kind == "leak" {
				defects.Add(1)
			}
		}}, g)
		began := time.Now()
		got, err := r.Run(t.Context(), call("deaf"))
		if err != nil || got.Code != transcript.ResultTimeout {
			t.Fatalf("%+v, %v", got, err)
		}
		contains(t, got.Content.Plain(), "may still be running")
		if took := time.Since(began); took != 62*time.Second {
			t.Errorf("returned after %s", took)
		}

		ctx, cancel := context.WithCancel(t.Context())
		go func() { <-g.Began(); <-g.Began(); cancel() }()
		began = time.Now()
		if _, err := r.Run(ctx, call("deaf")); !errors.Is(err, context.Canceled) {
			t.Errorf("cancelled: %v", err)
		}
		if took := time.Since(began); took != 2*time.Second {
			t.Errorf("returned %s after being cancelled", took)
		}
		if r.Leaked() != 2 || r.Withhold("x").Leaked() != 2 || defects.Load() != 2 {
			t.Errorf("leaked %d, defects %d; want 2", r.Leaked(), defects.Load())
		}
		g.Release()
		synctest.Wait()
		if r.Leaked() != 0 {
			t.Errorf("leaked %d after they ended", r.Leaked())
		}
	})
}

func Test_a_cancelled_call_is_the_contexts_error_and_is_not_started_twice(t *testing.T) {
	t.Parallel()
	g := tooltest.NewGate("g", run.Once)
	r := registry(t, tool.Limits{}, g)
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-g.Began(); cancel() }()
	if _, err := r.Run(ctx, call("g")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled while it ran: %v", err)
	}
	if _, err := r.Run(ctx, call("g")); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled before: %v", err)
	}
	if len(g.Began()) != 0 {
		t.Error("a call was started under a context that had ended")
	}
}

func Test_an_unknown_outcome_is_kept_and_any_other_error_is_a_result(t *testing.T) {
	t.Parallel()
	fails := func(err error) tool.Tool {
		return does("t", func(context.Context, tool.Call) (tool.Result, error) { return tool.Result{}, err })
	}
	_, err := registry(t, tool.Limits{}, fails(fmt.Errorf("connection lost: %w", tool.ErrOutcomeUnknown))).Run(t.Context(), call("t"))
	if !errors.Is(err, tool.ErrOutcomeUnknown) {
		t.Errorf("error %v", err)
	}
	var kind atomic.Value
	r := registry(t, tool.Limits{OnDefect: func(d tool.Defect) { kind.Store(d.Kind) }}, fails(errors.New("no such thing")))
	got, err := r.Run(t.Context(), call("t"))
	if err != nil || got.Code != transcript.ResultFailed || !strings.Contains(got.Content.Plain(), "no such thing") || kind.Load() != "error" {
		t.Errorf("%+v, %v, defect %v", got, err, kind.Load())
	}
}

func Test_a_long_result_keeps_head_and_tail_and_says_what_is_cut(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	for i := range 100_000 {
		fmt.Fprintf(&b, "line %d\n", i)
	}
	got, err := registry(t, tool.Limits{}, says("t", tool.Text(b.String()))).Run(t.Context(), call("t"))
	if err != nil {
		t.Fatal(err)
	}
	text := got.Content.Plain()
	if len(text) > 100_000 || len(text) < 90_000 {
		t.Errorf("%d bytes are left", len(text))
	}
	contains(t, text, "line 0\n", "line 99999\n", fmt.Sprintf("of %d bytes cut here", b.Len()))
}

func Test_the_blocks_of_a_long_result_keep_their_shares(t *testing.T) {
	t.Parallel()
	r := tool.Result{Content: transcript.Blocks{
		transcript.Text{Text: "short"}, transcript.Text{Text: strings.Repeat("é", 5000)}, transcript.Media{MediaType: "image/png", Data: make([]byte, 100)},
		transcript.Media{MediaType: "image/gif", Data: make([]byte, 1000)}}}
	got, err := registry(t, tool.Limits{MaxResult: 1000, MaxMedia: 500}, says("t", r)).Run(t.Context(), call("t"))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Content) != 4 {
		t.Fatalf("%d blocks", len(got.Content))
	}
	if m, ok := got.Content[2].(transcript.Media); !ok || m.MediaType != "image/png" {
		t.Errorf("block 2 is %T", got.Content[2])
	}
	contains(t, got.Content.Plain(), "image/gif of 1000 bytes left out", "cut here")
	if len(got.Content.Plain()) > 1300 {
		t.Errorf("%d bytes are left", len(got.Content.Plain()))
	}
}

func Test_what_is_not_text_is_said_and_an_empty_result_is_not_empty(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ give, want string }{
		"binary":  {"\x7fELF\x00\x01\x02", "[binary data, 7 bytes, not shown]"},
		"latin-1": {"caf\xe9, and much more text around it", "[not valid UTF-8: 1 bytes are shown as \uFFFD]\ncaf\uFFFD, and"},
		"empty":   {"", "(no output)"},
	} {
		got, err := registry(t, tool.Limits{}, says("t", tool.Text(c.give))).Run(t.Context(), call("t"))
		if err != nil {
			t.Fatal(err)
		}
		contains(t, got.Content.Plain(), c.want)
		if t.Failed() {
			t.Errorf("in %s", name)
		}
	}
	got, _ := registry(t, tool.Limits{}, says("t", tool.Result{})).Run(t.Context(), call("t"))
	contains(t, got.Content.Plain(), "(no output)")
}

func Test_the_fakes_keep_the_contract(t *testing.T) {
	t.Parallel()
	g := tooltest.NewGate("gate", run.ReadOnly)
	g.Release()
	path := t.TempDir() + "/trace"
	tools := []tool.Tool{g, tooltest.NewCounter("counter", run.Idempotent), tooltest.Appender{Name: "append", Path: path}, says("func", tool.Text("x"))}
	for _, x := range tools {
		tooltest.Run(t, x, json.RawMessage(`{}`))
	}
	trace, err := tooltest.Trace(path)
	if err != nil || len(trace) == 0 || trace[0] != "call-ok" {
		t.Errorf("trace %v, %v", trace, err)
	}
}
