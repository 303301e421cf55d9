package meerkat_test

import (
	"context"
	"iter"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/transcript"
)

// caller calls the tool that the last user message names, and then says what came of it and which tools it was offered.
type caller struct{}

func (caller) Stream(_ context.Context, req llm.Request) iter.Seq2[llm.Part, error] {
	return func(yield func(llm.Part, error) bool) {
		var offered []string
		for _, x := range req.Tools {
			offered = append(offered, x.Name)
		}
		rows := slices.DeleteFunc(slices.Clone(req.Rows), func(r transcript.Row) bool { _, is := r.Entry.(transcript.Notice); return is })
		switch e := rows[len(rows)-1].Entry.(type) {
		case transcript.User:
			_ = yield(llm.CallPart{ID: "c1", Name: e.Content.Plain(), Args: `{"command":"echo $WHO"}`}, nil) && yield(llm.Done{Stop: transcript.StopToolUse}, nil)
		case transcript.ToolResult:
			text := e.Content.Plain() + " of " + strings.Join(offered, " ")
			_ = yield(llm.TextPart{Text: text}, nil) && yield(llm.Done{Stop: transcript.StopEndTurn}, nil)
		}
	}
}

// hands is a client that carries calls out.
type hands struct{ name string }

func (h *hands) ExecuteTool(_ context.Context, _ id.Session, c transcript.ToolUse) (transcript.Blocks, bool, error) {
	return transcript.TextBlocks(h.name + " did " + c.Name), false, nil
}

func came(t *testing.T, p *control.Plane, req control.Submit) string {
	t.Helper()
	r, err := p.Turn(t.Context(), req, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	return r.Text
}

func TestA_client_brings_tools_to_all_sessions_and_a_session_has_its_own(t *testing.T) {
	t.Parallel()
	p := open(t, caller{})
	plain := create(t, p)
	own, err := p.CreateSession(t.Context(), control.CreateSession{Profile: run.Profile{Model: "echo", Client: []run.ToolDef{{Name: "mine"}, {Name: "lookup"}}}})
	if err != nil {
		t.Fatal(err)
	}
	a, b := &hands{"a"}, &hands{"b"}
	if n, err := p.RegisterTools(t.Context(), a, []run.ToolDef{{Name: "lookup", Description: "looks up"}}); n != 1 || err != nil {
		t.Fatal(n, err)
	}
	if got := came(t, p, say(plain, "lookup")); got != "a did lookup of lookup" {
		t.Error(got)
	}
	told := func() (out []string) {
		page, err := p.EventsSince(t.Context(), plain, 0, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			if x, ok := e.Payload.(event.ToolConfigChanged); ok && x.Domain == event.ClientTools {
				out = append(out, x.Operation+" "+x.Target)
			}
		}
		return out
	}
	if got := told(); !slices.Equal(got, []string{"add callback:lookup"}) {
		t.Error(got)
	}
	mine := say(own.ID, "mine")
	mine.Client = b
	if got := came(t, p, mine); got != "b did mine of lookup mine" {
		t.Error(got)
	}
	p.Leave(b)
	if got := came(t, p, say(own.ID, "mine")); !strings.HasPrefix(got, "No client is connected") {
		t.Error(got)
	}
	p.Leave(a)
	if got := came(t, p, say(plain, "lookup")); !strings.HasPrefix(got, `There is no tool "lookup".`) {
		t.Errorf("%q", got)
	}
	if got := told(); !slices.Equal(got, []string{"add callback:lookup", "remove callback:lookup"}) {
		t.Error(got)
	}
	if _, err := p.CreateSession(t.Context(), control.CreateSession{Profile: run.Profile{Model: "echo", Client: []run.ToolDef{{Name: "bad name"}}}}); fault.CodeOf(err) != fault.Invalid {
		t.Error(err)
	}
}

func TestThe_shell_of_a_session_has_what_its_maker_put_into_the_environment(t *testing.T) {
	t.Parallel()
	p := open(t, caller{})
	s, err := p.CreateSession(t.Context(), control.CreateSession{Profile: run.Profile{Model: "echo", Tools: "full", Workspace: t.TempDir(),
		Env: map[string]string{"WHO": "somebody-else"}}})
	if err != nil {
		t.Fatal(err)
	}
	if got := came(t, p, say(s.ID, "shell")); !strings.Contains(got, "somebody-else") {
		t.Error(got)
	}
}

func TestA_run_sees_the_tools_it_asks_for_and_a_session_those_it_was_given(t *testing.T) {
	t.Parallel()
	p := open(t, caller{})
	h := &hands{"a"}
	if _, err := p.RegisterTools(t.Context(), h, []run.ToolDef{{Name: "x"}, {Name: "y"}, {Name: "z"}}); err != nil {
		t.Fatal(err)
	}
	s, err := p.CreateSession(t.Context(), control.CreateSession{Profile: run.Profile{Model: "echo", Filter: scope.Deny("z")}})
	if err != nil {
		t.Fatal(err)
	}
	if got := came(t, p, say(s.ID, "x")); got != "a did x of x y" {
		t.Error(got)
	}
	req := say(s.ID, "x")
	req.Asks = control.Asks{Overlay: scope.Overlay{Blocked: scope.NamesOf("y")}, Instructions: []string{"be brief"}}
	if got := came(t, p, req); got != "a did x of x" {
		t.Error(got)
	}
	rows, err := p.Transcript(t.Context(), s.ID, 0, 0)
	if err != nil || !slices.ContainsFunc(rows, func(r transcript.Row) bool {
		return r.Entry == transcript.Entry(transcript.Notice{Kind: "instructions", Text: "be brief"})
	}) {
		t.Errorf("%+v %v", rows, err)
	}
	if got := came(t, p, say(s.ID, "y")); got != "a did y of x y" {
		t.Error("the next run sees all of the session's tools:", got)
	}
}

func TestSessions_are_found_by_their_labels_and_records_are_left_out(t *testing.T) {
	t.Parallel()
	p := open(t, echo{})
	made := map[string]id.Session{}
	for _, team := range []string{"a", "b"} {
		s, err := p.CreateSession(t.Context(), control.CreateSession{Profile: run.Profile{Model: "echo", Labels: map[string]string{"team": team, "x": "y"}}})
		if err != nil || s.Labels["team"] != team {
			t.Fatalf("%+v %v", s, err)
		}
		made[team] = s.ID
	}
	list := func(q control.ListSessions) (out []id.Session) {
		rows, err := p.Sessions(t.Context(), q)
		if err != nil {
			t.Fatal(err)
		}
		for _, r := range rows {
			out = append(out, r.ID)
		}
		return out
	}
	if got := list(control.ListSessions{Labels: map[string]string{"team": "a", "x": "y"}}); !slices.Equal(got, []id.Session{made["a"]}) {
		t.Error(got)
	}
	if err := p.Archive(t.Context(), made["a"]); err != nil {
		t.Fatal(err)
	}
	if got := list(control.ListSessions{}); !slices.Equal(got, []id.Session{made["b"]}) {
		t.Error(got)
	}
	if got := list(control.ListSessions{Archived: true}); len(got) != 2 {
		t.Error(got)
	}
	if _, err := p.CreateSession(t.Context(), control.CreateSession{Profile: run.Profile{Model: "echo", Labels: map[string]string{"": "x"}}}); fault.CodeOf(err) != fault.Invalid {
		t.Error(err)
	}
}
