package present_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/internal/golden"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/surface/present"
	"github.com/meerkat-go/meerkat/transcript"
	"github.com/meerkat-go/meerkat/wire"
	"github.com/meerkat-go/meerkat/wire/wiretest"
)

const (
	one   = id.Session("01981f2a-0000-7000-8000-000000000001")
	other = id.Session("01981f2a-0000-7000-8000-000000000002")
)

var noon = time.Date(2026, 1, 2, 12, 0, 0, 5_000_000, time.UTC)

var full = control.Session{ID: one, Phase: "running", Created: noon, Updated: noon.Add(time.Minute), Title: "t", Model: "anthropic/claude-x", Workspace: "/w", Messages: 4,
	Tokens: 77, Run: &control.Run{ID: "r", Phase: "calling_llm", Inputs: []id.Input{"i"}, Round: 1, Open: 1}, Unfinished: true, Pending: true, Waiting: 2, Cursor: 9,
	Labels: map[string]string{"team": "red"}}

var outcome = control.Outcome{Input: "i", Run: "r", Status: control.Completed, Text: "42", Usage: transcript.Usage{Input: 3, Output: 2}, Rounds: 2, Calls: 1}

// shapes has what control answers, as full and as empty as it can be. schema is empty for what is additive.
func shapes(t *testing.T) []struct {
	name, schema string
	value        any
} {
	t.Helper()
	failed := outcome
	failed.Cause, failed.Output, failed.NoOutput = run.CauseBudget, json.RawMessage(`{"a":[1]}`), &run.NoOutput{Attempts: 2, Reason: "r"}
	surface := &identity.Surface{Vision: true, Thinking: true, Reasoning: true, WebSearch: true}
	models := []control.Model{{ID: "claude-x", Provider: "anthropic", Display: "X", Tier: "recommended", Default: false, Configured: true, Context: 1000, MaxOutput: 100, Surface: surface},
		{ID: "claude-y", Provider: "anthropic", Default: true}, {ID: "home", Provider: "self_hosted", Server: "s1", Tier: "odd"}}
	info := present.SessionInfo("lab", full)
	info.LastText, info.Can = "42", present.Abilities(surface)
	page := control.EventPage{From: 3, Latest: 9, More: true, Events: []event.Event{
		{Session: one, Cursor: 4, Time: noon, Run: "r", Payload: event.ToolExecutionCompleted{Call: "c", Name: "n", Content: "x"}},
		{Session: one, Cursor: 5, Time: noon, Payload: event.InputEnded{Input: "i", Outcome: "consumed"}}}}
	rows, err := present.Rows([]transcript.Row{{At: transcript.Position{Message: 1}, Time: noon, Entry: transcript.User{Content: transcript.TextBlocks("hi")}}})
	if err != nil {
		t.Fatal(err)
	}
	history := control.History{Session: one, Total: 3, Offset: 1, Limit: 1, More: true, Rows: []transcript.Row{{At: transcript.Position{Message: 2}, Time: noon,
		Entry: transcript.Assistant{Stop: transcript.StopEndTurn, Blocks: transcript.TextBlocks("42")}}}}
	about := control.Info{Version: "1.2", Process: "meerkat-rpc", PID: 7}
	placed := about
	placed.Realm, placed.Instance = "lab", "a"
	return []struct {
		name, schema string
		value        any
	}{
		{"result", "run_result", present.Result("lab", control.Result{Session: one, Outcome: outcome, Total: transcript.Usage{Input: 5, Output: 4, CacheRead: 1, CacheWrite: 2}})},
		{"result of a run whose budget was used up", "run_result", present.Result("", control.Result{Session: one, Outcome: failed})},
		{"result of nothing", "run_result", present.Result("", control.Result{})},
		{"deferred", "", present.Deferred("lab", full)},
		{"created", "", present.Created("lab", full)},
		{"summary", "session_summary", present.Summary("lab", full)},
		{"summary of nothing", "session_summary", present.Summary("", control.Session{})},
		{"info", "session_info", info},
		{"info of nothing", "session_info", present.SessionInfo("", control.Session{})},
		{"details", "session_details", present.Details("lab", full)},
		{"details of nothing", "session_details", present.Details("", control.Session{})},
		{"history", "session_history", present.History("lab", history)},
		{"history of nothing", "session_history", present.History("", control.History{Session: one})},
		{"fork", "fork_result", present.Fork("lab", full, control.Session{ID: other, Messages: 2})},
		{"state", "runtime_state", present.State(full)},
		{"accepted", "accept_result", present.Accepted(control.Receipt{Input: "i", Run: "r"})},
		{"accepted before", "accept_result", present.Accepted(control.Receipt{Input: "i", Duplicate: true})},
		{"stream opened", "stream_opened", wire.StreamOpened{Stream: "x", Session: one, Opened: true}},
		{"stream closed", "stream_closed", wire.StreamClosed{Stream: "x", Closed: true}},
		{"config", "config_envelope", present.Config(control.Config{Config: json.RawMessage(`{"max_tokens":1}`), Generation: 3, Realm: "lab", Instance: "a", Backend: "sqlite", Paths: &control.Paths{Root: "/r"}})},
		{"config of nothing", "config_envelope", present.Config(control.Config{})},
		{"models", "models_catalog", present.Models(models)},
		{"models of nobody", "models_catalog", present.Models(nil)},
		{"capabilities", "capabilities", present.Capabilities()},
		{"host capabilities", "host_capabilities", present.HostCapabilities()},
		{"host health", "host_health", present.HostHealth(nil)},
		{"host health, ill", "host_health", present.HostHealth(errors.New("no store"))},
		{"host info", "host_info", present.HostInfo(about, "", nil, nil, wire.Endpoints{})},
		{"host info of a realm", "host_info", present.HostInfo(placed, "sqlite", &control.Paths{Root: "/r"}, nil, wire.Endpoints{RPCTransport: "stdio", RPCMethods: []string{"initialize"}})},
		{"latest cursor", "", present.LatestCursor(full)},
		{"event list", "", present.EventList(page, full)},
		{"event list of nothing", "", present.EventList(control.EventPage{}, full)},
		{"snapshot", "", present.EventSnapshot(info, 9)},
		{"detail", "", present.Detail(full)},
		{"details as they are kept", "", present.DetailList([]control.Session{{ID: one}})},
		{"receipt", "", present.Receipt(control.Receipt{Input: "i", Run: "r"})},
		{"input status", "", present.InputStatus(control.InputStatus{Input: "i", State: "consumed", Run: "r", Outcome: &failed})},
		{"input status of one that waits", "", present.InputStatus(control.InputStatus{Input: "i", State: "queued", Lane: "queue"})},
		{"effects", "", present.Effects([]control.Effect{{ID: id.Effect{Version: 1}, Kind: "call_model", Run: "r", Class: "once", Attempt: 1, Open: true}})},
		{"rows", "", rows},
	}
}

func TestEverything_that_is_answered_has_the_contracts_shape(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	for _, s := range shapes(t) {
		data, err := wire.Marshal(s.value)
		if err != nil {
			t.Fatal(err)
		}
		if s.schema != "" {
			wiretest.Check(t, s.schema, data)
		}
		if found, err := wiretest.Nulls(data); err != nil || len(found) > 0 {
			t.Errorf("%s has null at %v, %v", s.name, found, err)
		}
		file.WriteString("# " + s.name + "\n")
		file.Write(append(data, '\n'))
	}
	golden.Equal(t, "testdata/shapes.golden", file.Bytes())
}

func TestWhat_is_told_of_a_session_is_what_control_says(t *testing.T) {
	t.Parallel()
	want, err := json.Marshal(full)
	if err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(present.Detail(full))
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%v\n%s\n%s", err, got, want)
	}
}

func TestRows_of_events_that_the_contract_knows_have_its_shape(t *testing.T) {
	t.Parallel()
	page := control.EventPage{Events: []event.Event{
		{Session: one, Cursor: 4, Time: noon, Run: "r", Payload: event.ToolExecutionCompleted{Call: "c", Name: "n", Content: "x"}},
		{Session: one, Cursor: 5, Time: noon, Payload: event.InputAccepted{Input: "i", Lane: "queue"}}}}
	rows := present.EventRows(page)
	if len(rows) != 3 || rows[1].Cursor.Sequence != 4 || rows[2].Cursor.Sequence != 5 {
		t.Fatalf("%v", rows)
	}
	wiretest.Check(t, wiretest.Event, rows[0].Event)
	wiretest.Check(t, wiretest.Event, rows[1].Event)
}

func TestSessions_in_which_nothing_was_said_come_first(t *testing.T) {
	t.Parallel()
	got := present.List("", []control.Session{{ID: one}, {ID: other, Deferred: true}})
	if len(got.Sessions) != 2 || got.Sessions[0].Session != other {
		t.Errorf("%v", got)
	}
}

func TestA_models_name_says_its_provider(t *testing.T) {
	t.Parallel()
	for name, want := range map[string][2]string{
		"anthropic/claude-x": {"anthropic", "claude-x"}, "claude-x": {"anthropic", "claude-x"}, "gpt-5": {"openai", "gpt-5"}, "o3-mini": {"openai", "o3-mini"},
		"gemini-3": {"gemini", "gemini-3"}, "self-hosted/x/y": {"self_hosted", "x/y"}, "home": {"other", "home"}, "": {"other", ""},
	} {
		got := present.SessionInfo("", control.Session{Model: name})
		if got.Provider != want[0] || got.Model != want[1] {
			t.Errorf("%q is told as %s and %s", name, got.Provider, got.Model)
		}
	}
}

func TestThe_last_text_is_that_of_the_last_reply_that_has_one(t *testing.T) {
	t.Parallel()
	rows := []transcript.Row{{Entry: transcript.Assistant{Blocks: transcript.TextBlocks("first")}}, {Entry: transcript.Assistant{Blocks: transcript.TextBlocks("last")}},
		{Entry: transcript.Assistant{Blocks: transcript.Blocks{transcript.ToolUse{}}}}, {Entry: transcript.User{Content: transcript.TextBlocks("no")}}}
	if got := present.LastText(rows); got != "last" {
		t.Errorf("%q", got)
	}
	if got := present.LastText(nil); got != "" {
		t.Errorf("%q", got)
	}
}

func TestCapabilities_stand_in_the_contracts_order(t *testing.T) {
	t.Parallel()
	want := []string{"sessions", "streaming", "structured_output", "hooks", "builtins", "shell", "comms", "memory_store", "schedule", "work_graph", "session_store",
		"session_compaction", "skills", "mcp_live"}
	got := present.Capabilities().Capabilities
	if len(got) != len(want) {
		t.Fatalf("%d capabilities", len(got))
	}
	for n, c := range got {
		if c.ID != want[n] {
			t.Errorf("%d is %s, want %s", n, c.ID, want[n])
		}
		data, err := json.Marshal(c.Status)
		if err != nil {
			t.Fatal(err)
		}
		var back wire.CapabilityStatus
		if err := json.Unmarshal(data, &back); err != nil || back != c.Status {
			t.Errorf("%s comes back as %v, %v", data, back, err)
		}
	}
}
