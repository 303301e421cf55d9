package callback_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/tool/callback"
	"github.com/meerkat-go/meerkat/tool/tooltest"
	"github.com/meerkat-go/meerkat/transcript"
)

// client answers with its name, or as it is told.
type client struct {
	name string
	do   func(ctx context.Context) error
}

func (c *client) ExecuteTool(ctx context.Context, s id.Session, call transcript.ToolUse) (transcript.Blocks, bool, error) {
	if c.do != nil {
		if err := c.do(ctx); err != nil {
			return nil, false, err
		}
	}
	return transcript.TextBlocks(c.name + " did " + call.Name + " " + string(call.Args)), false, nil
}

func def(name string) run.ToolDef {
	return run.ToolDef{Name: name, Description: "does it", Schema: json.RawMessage(`{"type":"object","properties":{"k":{"type":"string"}}}`)}
}

func named(t *testing.T, tools []tool.Tool, name string) tool.Tool {
	t.Helper()
	for _, x := range tools {
		if x.Spec().Name == name {
			return x
		}
	}
	t.Fatalf("there is no tool %q", name)
	return nil
}

func said(t *testing.T, x tool.Tool) string {
	t.Helper()
	r, err := x.Run(t.Context(), tool.Call{ID: "c1", Name: x.Spec().Name, Args: json.RawMessage(`{"k":"v"}`), Attempt: 1})
	if err != nil {
		t.Fatal(err)
	}
	return r.Content.Plain()
}

func TestA_client_tool_keeps_the_contract_of_tools(t *testing.T) {
	t.Parallel()
	d := &callback.Desk{}
	if _, err := d.Register(&client{name: "a"}, []run.ToolDef{def("lookup")}); err != nil {
		t.Fatal(err)
	}
	tooltest.Run(t, named(t, d.Tools("s", nil), "lookup"), json.RawMessage(`{"k":"v"}`))
}

func TestA_call_goes_to_who_asked_and_else_to_who_registered_last(t *testing.T) {
	t.Parallel()
	d := &callback.Desk{}
	a, b, other := &client{name: "a"}, &client{name: "b"}, &client{name: "other"}
	for _, c := range []*client{a, b} {
		if n, err := d.Register(c, []run.ToolDef{def("lookup")}); n != 1 || err != nil {
			t.Fatal(n, err)
		}
	}
	lookup := named(t, d.Tools("s", nil), "lookup")
	if got := said(t, lookup); !strings.HasPrefix(got, "b did") {
		t.Error(got)
	}
	d.Issue("s", a)
	if got := said(t, lookup); !strings.HasPrefix(got, "a did lookup {\"k\":\"v\"}") {
		t.Error(got)
	}
	d.Issue("s", other) // it has no such tool
	if got := said(t, lookup); !strings.HasPrefix(got, "b did") {
		t.Error(got)
	}
	own := named(t, d.Tools("s", []run.ToolDef{def("lookup")}), "lookup")
	if got := said(t, own); !strings.HasPrefix(got, "other did") {
		t.Error("a session's own tool is for whoever asked:", got)
	}
	d.Issue("s", nil)
	before := d.Revision()
	d.Leave(b)
	if got := said(t, lookup); !strings.HasPrefix(got, "a did") || d.Revision() == before {
		t.Error(got)
	}
	d.Leave(a)
	if got := said(t, lookup); !strings.Contains(got, "No client is connected") || len(d.Tools("s", nil)) != 0 {
		t.Error(got)
	}
}

func TestA_client_that_does_not_answer_is_an_error_result_after_thirty_seconds(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		d := &callback.Desk{}
		hung := &client{do: func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }}
		if _, err := d.Register(hung, []run.ToolDef{def("x")}); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		r, err := named(t, d.Tools("s", nil), "x").Run(t.Context(), tool.Call{Name: "x", Args: json.RawMessage(`{}`)})
		if err != nil || !r.IsError || r.Code != transcript.ResultTimeout || r.Content.Plain() != "Callback tool 'x' timed out after 30s" {
			t.Errorf("%+v %v", r, err)
		}
		if took := time.Since(began); took != callback.Timeout {
			t.Error(took)
		}
	})
}

func TestWhat_a_client_says_instead_of_a_result_is_told_apart(t *testing.T) {
	t.Parallel()
	d := &callback.Desk{}
	c := &client{}
	if _, err := d.Register(c, []run.ToolDef{def("x")}); err != nil {
		t.Fatal(err)
	}
	x := named(t, d.Tools("s", nil), "x")
	c.do = func(context.Context) error { return &run.ToolRefused{Message: "not today"} }
	if r, err := x.Run(t.Context(), tool.Call{Name: "x"}); err != nil || !r.IsError || r.Content.Plain() != "not today" {
		t.Errorf("%+v %v", r, err)
	}
	c.do = func(context.Context) error { return errors.New("broken pipe") }
	if _, err := x.Run(t.Context(), tool.Call{Name: "x"}); !errors.Is(err, tool.ErrOutcomeUnknown) {
		t.Errorf("a client that left may have done it: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	c.do = func(context.Context) error { cancel(); return ctx.Err() }
	if _, err := x.Run(ctx, tool.Call{Name: "x"}); !errors.Is(err, context.Canceled) || errors.Is(err, tool.ErrOutcomeUnknown) {
		t.Errorf("the run was cancelled: %v", err)
	}
}

func TestDeclarations_that_no_model_would_take_are_refused_together(t *testing.T) {
	t.Parallel()
	many := make([]run.ToolDef, callback.MaxTools+1)
	for _, bad := range [][]run.ToolDef{
		{def("good"), def("a name")}, {def("twice"), def("twice")}, {{Name: "x", Schema: json.RawMessage(`{"type":"string"}`)}}, {{Name: "x", Schema: json.RawMessage(`[`)}}, many,
	} {
		d := &callback.Desk{}
		if n, err := d.Register(&client{}, bad); n != 0 || fault.CodeOf(err) != fault.Invalid || len(d.Tools("s", nil)) != 0 {
			t.Errorf("%d %v", n, err)
		}
	}
	if err := callback.Check([]run.ToolDef{{Name: "bare"}}); err != nil {
		t.Error("a tool without a schema takes anything:", err)
	}
}

func TestWho_asked_in_vain_leaves_it_as_it_was(t *testing.T) {
	t.Parallel()
	d := &callback.Desk{}
	a, b, c := &client{name: "a"}, &client{name: "b"}, &client{name: "c"}
	own := named(t, d.Tools("s", []run.ToolDef{def("lookup")}), "lookup")
	d.Issue("s", a)
	undo := d.Issue("s", b)
	undo()
	if got := said(t, own); !strings.HasPrefix(got, "a did") {
		t.Error(got)
	}
	undo = d.Issue("s", b)
	d.Issue("s", c)
	undo()
	if got := said(t, own); !strings.HasPrefix(got, "c did") {
		t.Error("somebody else has asked since:", got)
	}
	undo = d.Issue("s", b)
	d.Leave(c)
	undo()
	if got := said(t, own); !strings.Contains(got, "No client is connected") {
		t.Error("who has left carries nothing out:", got)
	}
}

func TestA_client_has_no_more_tools_than_may_be_however_often_it_registers(t *testing.T) {
	t.Parallel()
	d := &callback.Desk{}
	a := &client{name: "a"}
	var all []run.ToolDef
	for n := range callback.MaxTools {
		all = append(all, def(fmt.Sprint("t", n)))
	}
	for range 2 { // the same again is no more
		if _, err := d.Register(a, all); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := d.Register(a, []run.ToolDef{def("more")}); n != 0 || fault.CodeOf(err) != fault.Invalid {
		t.Error(n, err)
	}
	if _, err := d.Register(&client{name: "b"}, []run.ToolDef{def("more")}); err != nil {
		t.Error(err)
	}
}
