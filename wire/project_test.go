package wire_test

import (
	"bytes"
	"encoding/json"
	"go/ast"
	"go/parser"
	"go/token"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/internal/golden"
	"github.com/meerkat-go/meerkat/transcript"
	"github.com/meerkat-go/meerkat/wire"
	"github.com/meerkat-go/meerkat/wire/wiretest"
)

const session = id.Session("01981f2a-0000-7000-8000-000000000001")

var noon = time.Date(2026, 1, 2, 12, 0, 0, 5_000_000, time.UTC)

// samples has every type of event, those with forms of their own more than once.
var samples = []event.Payload{
	event.SessionRegistered{Model: "rehearsal/x", Workspace: "/w"},
	event.InputAccepted{Input: "i1", Lane: "queue"},
	event.InputEnded{Input: "i1", Outcome: "superseded", Reason: "r", By: "i2"},
	event.RunStarted{Inputs: []id.Input{"i1"}, Prompt: "say \"hi\"\u2028 <b>"},
	event.RunStarted{},
	event.Steered{Input: "i2", Text: "wait"},
	event.TurnStarted{},
	event.TextDelta{Delta: "a\n\"b\" \u2028 <c> \x01"},
	event.TextDelta{},
	event.ReasoningDelta{Delta: "hm"},
	event.AttemptVoided{},
	event.TextComplete{Content: "done"},
	event.TextComplete{},
	event.ToolCallRequested{Call: "c1", Name: "lookup", Args: json.RawMessage(`{"k": "a` + "\u2029" + `b"}`)},
	event.ToolCallRequested{Call: "c1", Name: "lookup"},
	event.ToolCallRequested{Call: "c1", Name: "lookup", Args: json.RawMessage(`[1]`)},
	event.ToolCallRequested{Call: "c1", Name: "lookup", Args: json.RawMessage(`{"broken`)},
	event.ToolCallHeld{Call: "c1", Name: "lookup", For: "approval", Effect: id.Effect{Version: 3, Ordinal: 1}},
	event.ToolCallDecided{Call: "c1", Name: "lookup", Effect: id.Effect{Version: 3, Ordinal: 1}, Granted: true, By: "somebody"},
	event.ToolExecutionStarted{Call: "c1", Name: "lookup", Attempt: 1},
	event.ToolExecutionCompleted{Call: "c1", Name: "lookup", Content: "42", Duration: 7_900_000},
	event.ToolExecutionCompleted{Call: "c1", Name: "lookup", IsError: true, Code: transcript.ResultTimeout, Duration: -1},
	event.Retrying{Attempt: 1, Max: 3, Kind: "rate_limited", Error: "429", Delay: 1500 * time.Millisecond},
	event.Resumed{Reissued: 1, Unknown: 2},
	event.TurnCompleted{Stop: transcript.StopEndTurn, Usage: &transcript.Usage{Input: 3, Output: 2, CacheRead: 1}},
	event.TurnCompleted{Stop: "odd"},
	event.RunCompleted{Result: "done", Usage: transcript.Usage{Input: 3, Output: 2}, Rounds: 1},
	event.RunCompleted{Cause: "budget_exhausted", ExtractionRequired: true},
	event.RunFailed{Class: "cancelled", Cause: "cancelled", Error: "stopped"},
	event.RunFailed{Class: "skill", Cause: "odd", Kind: "rate_limited", Error: "x", Rounds: 2, Calls: 1},
	event.ExtractionSucceeded{Output: json.RawMessage(`{"a":1}`)},
	event.ExtractionFailed{Attempts: 2, Reason: "r"},
	event.BudgetWarning{Budget: "tokens", Used: 10, Limit: 10, Percent: 1},
	event.SessionStopped{Reason: "r"},
	event.SessionRevived{},
	event.SessionUnregistered{},
	event.SessionRetired{Pending: 1},
	event.SessionArchived{},
	event.SessionReset{Abandoned: 1},
	event.SessionRecycled{Transferred: 1},
	event.SessionDestroyed{Abandoned: 1},
	event.ModelChanged{Current: identity.Identity{Model: "m", Provider: identity.OpenAI, Params: `{"a":1}`}, Status: identity.Resolved},
	event.ModelChangeBegun{Token: "t", Model: "m", Provider: identity.Other},
	event.ModelChangeAborted{Token: "t"},
	event.ModelSwitchChanged{Request: "r", Model: "m", Phase: "active", Runs: 1},
	event.ApprovalDecided{ID: "a", Parent: identity.ForSwitch, Approved: true},
	event.ImageOperationChanged{Operation: "o", Phase: "p"},
	event.ModelRoutingChanged{Topology: 1},
	event.Published{Kind: "note", Body: json.RawMessage(`{"payload":1}`)},
	event.ToolConfigChanged{Operation: "add", Target: "files", Phase: "applied", Persisted: true, Turn: 2},
	event.ToolConfigChanged{Operation: "remove", Target: "files", Phase: "failed", Cause: "c", Error: "e"},
	event.ToolConfigChanged{Operation: "odd", Target: "files", Phase: "odd"},
	event.ToolConfigChanged{Operation: "reload", Target: "t", Phase: "p", Domain: event.ToolScope, Applied: &event.ToolsApplied{BaseChanged: true, Revision: 4, Shown: []string{"a"}}},
	event.ToolConfigChanged{Operation: "reload", Target: "t", Phase: "warning_failed_closed", Domain: event.ToolScope, Error: "e"},
	event.ToolConfigChanged{Operation: "reload", Target: "t", Phase: "p", Domain: event.DeferredCatalog, Deferred: &event.ToolsDeferred{Added: []string{"a", "b"}}},
	event.BackgroundJobCompleted{Job: "j", Name: "n", Status: "completed", Detail: "d"},
	event.BackgroundJobCompleted{Job: "j", Name: "n", Status: "odd"},
	event.PeerRequestTimedOut{Interaction: "x", Peer: "p"},
	event.StoreFailing{Error: "no space", Patience: 2 * time.Second},
	event.Gap{From: 9},
}

// durable reports whether events of this type are kept.
func durable(p event.Payload) bool {
	switch p.(type) {
	case event.TextDelta, event.ReasoningDelta, event.AttemptVoided, event.StoreFailing, event.Gap:
		return false
	}
	return true
}

func sample(n int, p event.Payload) event.Event {
	e := event.Event{Session: session, Time: noon, Run: "r1", Round: n % 3, Payload: p}
	if durable(p) {
		e.Cursor = uint64(n + 1)
	}
	return e
}

// declared lists the types of events that package event declares, from its source.
func declared(t *testing.T) []string {
	t.Helper()
	var out []string
	for _, file := range []string{"event", "held", "model"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), "../event/"+file+".go", nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range parsed.Decls {
			f, ok := d.(*ast.FuncDecl)
			if !ok || f.Name.Name != "Type" || f.Recv == nil {
				continue
			}
			ret, _ := f.Body.List[0].(*ast.ReturnStmt)
			name, _ := ret.Results[0].(*ast.BasicLit)
			out = append(out, strings.Trim(name.Value, `"`))
		}
	}
	return out
}

func TestEvery_type_of_event_is_told_or_known_not_to_be_in_the_contract(t *testing.T) {
	t.Parallel()
	sampled := map[string]bool{}
	for n, p := range samples {
		sampled[p.Type()] = true
		told := wire.Project(sample(n, p))
		if len(told) == 0 {
			t.Errorf("nobody has decided how %s is told", p.Type())
		}
	}
	for _, name := range declared(t) {
		if !sampled[name] {
			t.Errorf("there is no sample of %s here: add one, and it will be seen whether it is told", name)
		}
	}
	if got := wire.Project(event.Event{}); got != nil {
		t.Errorf("an event that says nothing is told as %v", got)
	}
}

func TestWhat_the_contract_knows_has_its_shape_and_nothing_else_is_said_to_be_known(t *testing.T) {
	t.Parallel()
	var file bytes.Buffer
	s := wire.NewStream(session)
	for n, p := range samples {
		for _, e := range s.Tell(sample(n, p)) {
			plain, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			if !e.Additive {
				wiretest.Check(t, wiretest.Event, e.Payload)
				wiretest.Check(t, "envelope", plain)
				wiretest.Check(t, wiretest.Event, e.Superset())
				wiretest.Check(t, "envelope", e.Superset())
			} else if wiretest.Fits(wiretest.Event, e.Payload) == nil {
				t.Errorf("%s is in the contract and is told as additive", e.Type)
			}
			if e.Type == "text_delta" || e.Type == "reasoning_delta" || e.Cursor == 0 {
				e.EventID = "new"
			}
			file.Write(e.Superset())
			file.WriteByte('\n')
			noNulls(t, e)
		}
	}
	golden.Equal(t, "testdata/events.golden", file.Bytes())
}

func noNulls(t *testing.T, e wire.Envelope) {
	t.Helper()
	for _, data := range [][]byte{e.Payload, e.Superset()} {
		found, err := wiretest.Nulls(data)
		if err != nil {
			t.Fatalf("%s: %v\n%s", e.Type, err, data)
		}
		// What control says of models is told in identity's own words, and these write null for no parameters.
		if len(found) > 0 && !strings.HasPrefix(e.Type, "model_") {
			t.Errorf("%s has null at %v", e.Type, found)
		}
	}
}

func TestNo_event_has_a_field_of_the_envelope_and_every_one_begins_with_its_type(t *testing.T) {
	t.Parallel()
	own := []string{"event_id", "source", "source_id", "seq", "timestamp_ms", "mob_id", "cursor", "run_id", "round", "event"}
	for n, p := range samples {
		for _, told := range wire.Project(sample(n, p)) {
			var fields map[string]json.RawMessage
			if err := json.Unmarshal(told.JSON, &fields); err != nil {
				t.Fatalf("%s: %v", told.Type, err)
			}
			for _, name := range own {
				if _, has := fields[name]; has {
					t.Errorf("%s has a field %s of its own", told.Type, name)
				}
			}
			if _, has := fields["payload"]; has && told.Type != "tool_config_changed" {
				t.Errorf("%s has a field payload, and nothing is done about it", told.Type)
			}
			if !bytes.HasPrefix(told.JSON, []byte(`{"type":"`+told.Type+`"`)) {
				t.Errorf("%s does not begin with its type: %s", told.Type, told.JSON)
			}
		}
	}
}

func TestBoth_readers_of_a_superset_find_the_same_event(t *testing.T) {
	t.Parallel()
	s := wire.NewStream(session)
	for n, p := range samples {
		for _, e := range s.Tell(sample(n, p)) {
			var bare, envelope map[string]any
			decode(t, e.Payload, &bare)
			decode(t, e.Superset(), &envelope)
			inner, _ := envelope["payload"].(map[string]any)
			for key, want := range bare {
				if key == "payload" {
					continue
				}
				if !equal(t, envelope[key], want) || !equal(t, inner[key], want) {
					t.Errorf("%s: %s is %v beside, %v inside, and %v in the event", e.Type, key, envelope[key], inner[key], want)
				}
			}
		}
	}
}

func TestAn_event_with_a_payload_of_its_own_shows_it_to_both_readers(t *testing.T) {
	t.Parallel()
	told := wire.NewStream(session).Tell(event.Event{Session: session, Payload: event.ToolConfigChanged{Operation: "add", Target: "x", Phase: "applied"}})
	var both struct {
		Type    string `json:"type"`
		Payload struct {
			Type    string `json:"type"`
			Target  string `json:"target"`
			Payload struct {
				Target string `json:"target"`
			} `json:"payload"`
		} `json:"payload"`
	}
	decode(t, told[0].Superset(), &both)
	if both.Type != "tool_config_changed" || both.Payload.Type != both.Type || both.Payload.Target != "x" || both.Payload.Payload.Target != "x" {
		t.Errorf("%s", told[0].Superset())
	}
	denied := wire.Envelope{Type: "hook_denied", Payload: json.RawMessage(
		`{"type":"hook_denied","hook_id":"h","point":"run_started","reason_code":"timeout","message":"m","payload":{"type":"mine"}}`)}
	var second struct {
		Hook    string `json:"hook_id"`
		Payload struct {
			Type    string         `json:"type"`
			Payload map[string]any `json:"payload"`
		} `json:"payload"`
	}
	decode(t, denied.Superset(), &second)
	if second.Hook != "h" || second.Payload.Type != "hook_denied" || second.Payload.Payload["type"] != "mine" {
		t.Errorf("%s", denied.Superset())
	}
	wiretest.Check(t, wiretest.Event, denied.Superset())
}

func TestA_stream_counts_what_it_tells_and_names_a_durable_event_always_alike(t *testing.T) {
	t.Parallel()
	one, other := wire.NewStream(session), wire.NewStream(session)
	other.Tell(sample(0, event.TextDelta{Delta: "only here"}))
	want, ids := uint64(0), map[string]string{}
	for n, p := range samples {
		a, b := one.Tell(sample(n, p)), other.Tell(sample(n, p))
		for k := range a {
			want++
			if a[k].Seq != want || b[k].Seq != want+1 {
				t.Fatalf("%s is number %d and %d, want %d and one more", a[k].Type, a[k].Seq, b[k].Seq, want)
			}
			if same := a[k].EventID == b[k].EventID; same != durable(p) {
				t.Errorf("%s: ids %s and %s", a[k].Type, a[k].EventID, b[k].EventID)
			}
			if before, twice := ids[a[k].EventID]; twice {
				t.Errorf("%s has the id of %s", a[k].Type, before)
			}
			ids[a[k].EventID] = a[k].Type
			if _, err := id.ParseSession(a[k].EventID); err != nil {
				t.Errorf("%s: %v", a[k].Type, err)
			}
		}
	}
}

func TestNothing_that_is_told_holds_a_line_end(t *testing.T) {
	t.Parallel()
	s := wire.NewStream(session)
	for n, p := range samples {
		for _, e := range s.Tell(sample(n, p)) {
			plain, err := e.MarshalJSON()
			if err != nil {
				t.Fatal(err)
			}
			for _, data := range [][]byte{plain, e.Superset(), e.Payload} {
				if bytes.ContainsAny(data, "\n\r\u2028\u2029") {
					t.Errorf("%s: %q", e.Type, data)
				}
			}
		}
	}
}

func decode(t *testing.T, data []byte, into any) {
	t.Helper()
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%v\n%s", err, data)
	}
}

func equal(t *testing.T, a, b any) bool {
	t.Helper()
	x, err := json.Marshal(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := json.Marshal(b)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(x, y)
}

func TestEvery_code_has_a_number_a_status_and_a_name(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for c := range codesUntilUnknown() {
		rpc, status, name := wire.Code(c)
		if rpc >= 0 || status < 400 || name == "" || wire.Category(c) == "" {
			t.Errorf("%s is told as %d, %d, %q", c, rpc, status, name)
		}
		if c.String() != "internal" && name == "INTERNAL_ERROR" && status != 500 {
			t.Errorf("%s has no row of its own", c)
		}
		names[name] = true
	}
	if len(names) < 10 {
		t.Errorf("too few names: %v", slices.Sorted(maps.Keys(names)))
	}
}

func TestA_gap_has_the_time_of_the_event_before_it(t *testing.T) {
	t.Parallel()
	s, at := wire.NewStream(session), time.UnixMilli(1760000000000)
	s.Tell(event.Event{Session: session, Time: at, Payload: event.TextDelta{Delta: "x"}})
	if told := s.Tell(event.Event{Session: session, Payload: event.Gap{From: 1}}); len(told) != 1 || told[0].TimestampMS != at.UnixMilli() {
		t.Errorf("%+v", told)
	}
	if told := wire.NewStream(session).Tell(event.Event{Session: session, Payload: event.Gap{From: 1}}); told[0].TimestampMS <= 0 {
		t.Errorf("the first of a stream: %+v", told)
	}
}
