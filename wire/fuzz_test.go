package wire_test

import (
	"bytes"
	"encoding/json"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/wire"
	"github.com/meerkat-go/meerkat/wire/wiretest"
)

func FuzzContent(f *testing.F) {
	for _, seed := range []string{`"hi"`, `[]`, `null`, `[{"type":"text","text":"a"}]`, `[{"type":"image","media_type":"image/png","source":"inline","data":"AQI="}]`,
		`[{"type":"video"}]`, `{"type":"text"}`, "\"\u2028\"", `"\ud800"`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		blocks, err := wire.DecodeContent(data)
		if err != nil {
			if fault.CodeOf(err) != fault.Invalid {
				t.Fatalf("the code of %v", err)
			}
			return
		}
		out, err := json.Marshal(wire.Content(blocks))
		if err != nil {
			t.Fatal(err)
		}
		if err := wiretest.Fits("content", out); err != nil {
			t.Fatal(err)
		}
		again, err := wire.DecodeContent(out)
		if err != nil || !cmp.Equal(again, blocks, cmpopts.EquateEmpty()) {
			t.Fatalf("%v\n%v\n%v", err, blocks, again)
		}
	})
}

func FuzzParams(f *testing.F) {
	for _, seed := range []string{`{}`, `{"session_id":"s","prompt":"x"}`, `{"prompt":[{"type":"text","text":"a"}],"tool_filter":{"Deny":["a"]}}`,
		`{"prompt":"x","budget_limits":{"max_duration":{"secs":1,"nanos":2}}}`, `{"session_id":"s","message_index":1,"running_behavior":"reject"}`,
		`{"scope":{"type":"session","session_id":"s"},"cursor":{"scope":{},"sequence":1}}`, `[]`, `null`, `{"SESSION_ID":1}`, `{"flow_tool_overlay":{"allowed_tools":null}}`} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, into := range []any{&wire.CreateParams{}, &wire.TurnParams{}, &wire.SubmitParams{}, &wire.SessionParams{}, &wire.ListParams{}, &wire.HistoryParams{},
			&wire.ContextParams{}, &wire.ExternalEventParams{}, &wire.ForkParams{}, &wire.ForkReplaceParams{}, &wire.StreamOpenParams{}, &wire.StreamCloseParams{},
			&wire.ToolsParams{}, &wire.EventParams{}, &wire.InputParams{}} {
			strict := wire.DecodeStrict(data, into)
			if err := wire.Decode(data, into); err != nil && (fault.CodeOf(err) != fault.Invalid || strict == nil) {
				t.Fatalf("%T: %v, and strictly %v", into, err, strict)
			} else if err == nil {
				roundTrip(t, into)
			}
		}
	})
}

// roundTrip fails the test if what was understood cannot be said again.
func roundTrip(t *testing.T, v any) {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatalf("%T: %v", v, err)
	}
	if err := wire.Decode(data, v); err != nil {
		t.Fatalf("%T: %v\n%s", v, err, data)
	}
}

func FuzzNativeEvent(f *testing.F) {
	for n, p := range samples {
		data, err := event.Encode(p)
		if err != nil {
			continue // one has arguments that are broken on purpose
		}
		f.Add(p.Type(), data, uint64(n))
	}
	f.Add("something_new", []byte(`{"a":1}`), uint64(3))
	f.Fuzz(func(t *testing.T, typ string, payload []byte, cursor uint64) {
		if !utf8.ValidString(typ) || !json.Valid(payload) {
			return
		}
		in := wire.NativeEvent{Session: session, Cursor: cursor, Time: noon, Type: typ, Payload: payload}
		e, err := in.Event()
		if err != nil {
			return
		}
		out, err := wire.Native(e)
		if err != nil {
			return // what an unknown provider's parameters hold, for one, is checked when it is written
		}
		data, err := json.Marshal(out)
		if err != nil {
			t.Fatal(err)
		}
		var back wire.NativeEvent
		if err := json.Unmarshal(data, &back); err != nil {
			t.Fatal(err)
		}
		again, err := back.Event()
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		first, err := event.Encode(e.Payload)
		if err != nil {
			t.Fatal(err)
		}
		second, err := event.Encode(again.Payload)
		if err != nil || !bytes.Equal(first, second) {
			t.Fatalf("%v\n%s\n%s", err, first, second)
		}
		for _, told := range wire.NewStream(session).Tell(e) {
			for _, data := range [][]byte{told.Payload, told.Superset()} {
				if !json.Valid(data) || bytes.ContainsAny(data, "\n\u2028\u2029") {
					t.Fatalf("%s is told as %q", typ, data)
				}
			}
		}
	})
}

func FuzzDelta(f *testing.F) {
	for _, seed := range []string{"", "a", "\n\t\r\"\\", "\u2028\u2029", "\x00\x1f\x7f", "\xff", "ä€😀", "<&>"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		told := wire.Project(event.Event{Payload: event.TextDelta{Delta: text}})[0]
		want, err := json.Marshal(text)
		if err != nil {
			t.Fatal(err)
		}
		var a struct{ Delta string }
		var b string
		if err := json.Unmarshal(told.JSON, &a); err != nil {
			t.Fatalf("%v\n%q", err, told.JSON)
		}
		if err := json.Unmarshal(want, &b); err != nil || a.Delta != b {
			t.Fatalf("%q is told as %q, %v", text, a.Delta, err)
		}
		if bytes.ContainsAny(told.JSON, "\n\r\u2028\u2029") {
			t.Fatalf("%q", told.JSON)
		}
	})
}

func BenchmarkEnvelope(b *testing.B) {
	s := wire.NewStream(session)
	delta := sample(0, event.TextDelta{Delta: "some words of a reply, "})
	b.Run("text_delta, superset", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, e := range s.Tell(delta) {
				_ = e.Superset()
			}
		}
	})
	b.Run("text_delta, plain", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, e := range s.Tell(delta) {
				_, _ = e.MarshalJSON()
			}
		}
	})
	durable := sample(3, event.ToolExecutionCompleted{Call: "c1", Name: "lookup", Content: "a result of some length", Duration: 7_000_000})
	b.Run("tool_execution_completed, superset", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			for _, e := range s.Tell(durable) {
				_ = e.Superset()
			}
		}
	})
}
