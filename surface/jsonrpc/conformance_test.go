package jsonrpc

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/internal/jsonrpc2"
	"github.com/meerkat-go/meerkat/tool/callback"
)

// The tests in this file are what an SDK of the contract relies on, one each. What a conversation in testdata shows as well is not shown twice.

func TestC1_only_protocol_is_written_and_the_first_line_answers_the_first_request(t *testing.T) {
	t.Parallel()
	p := newWorld(t).connect()
	p.send(request1(1, "initialize", "{}"))
	if line := p.next(); !strings.HasPrefix(line, `{"jsonrpc":"2.0","id":1,"result":`) {
		t.Error(line)
	}
	p.send(request1(2, "session/create", `{"prompt":"a\u2028b\nc many"}`), `nonsense`, request1(3, "session/list", `{}`))
	lines, last := p.until(`"id":2,`)
	for _, l := range append(lines, last) {
		if !json.Valid([]byte(l)) || strings.ContainsAny(l, "\r\u2028\u2029") {
			t.Errorf("%q is not one line of JSON", l)
		}
	}
}

func TestC2_the_version_the_methods_and_the_capabilities_are_what_SDKs_look_for(t *testing.T) {
	t.Parallel()
	p := newWorld(t).connect()
	var hello struct {
		Contract string   `json:"contract_version"`
		Methods  []string `json:"methods"`
	}
	if err := json.Unmarshal(p.call(1, "initialize", "{}").Result, &hello); err != nil {
		t.Fatal(err)
	}
	if hello.Contract != "0.6.29" || len(hello.Methods) == 0 || hello.Methods[0] != "initialized" {
		t.Error(hello)
	}
	if slices.ContainsFunc(hello.Methods, func(m string) bool { return strings.HasPrefix(m, "mob/") || m == "tools/register" }) {
		t.Error(hello.Methods)
	}
	var can struct {
		Capabilities []struct{ ID, Status any }
	}
	_ = json.Unmarshal(p.call(2, "capabilities/get", "{}").Result, &can)
	if len(can.Capabilities) != 14 || can.Capabilities[0].ID != "sessions" || can.Capabilities[0].Status != "Available" {
		t.Error(can)
	}
}

func TestC3_tools_are_there_for_the_next_line_and_calls_may_be_answered_in_any_order(t *testing.T) {
	t.Parallel()
	p := newWorld(t).connect()
	p.send(request1(1, "tools/register", `{"tools":[{"name":"lookup","description":"","input_schema":{"type":"object"}}]}`),
		request1(2, "session/create", `{"prompt":"both"}`))
	type call struct {
		ID     string `json:"id"`
		Params struct {
			Call string         `json:"tool_use_id"`
			Name string         `json:"name"`
			Args map[string]any `json:"arguments"`
		} `json:"params"`
	}
	calls := make([]call, 2)
	for n := range calls {
		_, line := p.until("tool/execute")
		if err := json.Unmarshal([]byte(line), &calls[n]); err != nil {
			t.Fatal(err)
		}
	}
	if calls[0].ID != "srv-0" || calls[1].ID != "srv-1" || calls[0].Params.Name != "lookup" {
		t.Errorf("%+v", calls)
	}
	for _, c := range slices.Backward(calls) {
		p.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":%q,"result":{"content":"for %v","is_error":true}}`, c.ID, c.Params.Args["k"]))
	}
	lines, last := p.until(`"id":2,`)
	var received []string
	for _, l := range lines {
		if strings.Contains(l, `"event":{"type":"tool_result_received"`) {
			received = append(received, l)
		}
	}
	if len(received) != 2 || !strings.Contains(received[0], `"text":"for a"`) || !strings.Contains(received[1], `"text":"for b"`) {
		t.Error(strings.Join(received, "\n"))
	}
	if a := read(t, last).ok(t); a["text"] != "Both are there." || a["tool_calls"] != 2.0 {
		t.Error(a)
	}
}

func TestC3_a_call_that_is_not_answered_in_time_is_a_result_and_the_run_goes_on(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if callback.Timeout != 30*time.Second {
		t.Error(callback.Timeout)
	}
	w.desk.Timeout = 20 * time.Millisecond
	p := w.connect()
	p.call(1, "tools/register", `{"tools":[{"name":"lookup","description":"","input_schema":{"type":"object"}}]}`).ok(t)
	p.send(request1(2, "session/create", `{"prompt":"k1"}`))
	p.until("tool/execute")
	lines, last := p.until(`"id":2,`)
	if all := strings.Join(lines, "\n"); !strings.Contains(all, "Callback tool 'lookup' timed out after 20ms") {
		t.Error(all)
	}
	if a := read(t, last).ok(t); a["text"] != "It is 42." {
		t.Error(a)
	}
	p.send(`{"jsonrpc":"2.0","id":"srv-0","result":{"content":"late"}}`)
	p.call(3, "runtime/health", `{}`).ok(t)
}

func TestC4_the_deltas_of_a_run_come_before_its_answer_and_are_its_text(t *testing.T) {
	t.Parallel()
	p := newWorld(t).connect()
	for n := range 20 {
		p.send(request1(n, "session/create", `{"prompt":"Write me many words"}`))
		lines, last := p.until(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,`, n))
		text, seq := "", uint64(0)
		for _, l := range lines {
			var note struct {
				Params struct {
					Event struct {
						Type, Delta string
						Seq         uint64
						Payload     struct{ Type, Delta string }
					}
				}
			}
			if err := json.Unmarshal([]byte(l), &note); err != nil {
				t.Fatal(err)
			}
			e := note.Params.Event
			if seq++; e.Type == "" || e.Type != e.Payload.Type || e.Delta != e.Payload.Delta || e.Seq != seq {
				t.Errorf("event %d: %s", seq, l)
			}
			text += e.Delta
		}
		if a := read(t, last).ok(t); a["text"] != text || text == "" {
			t.Errorf("%q was streamed, and %q answered", text, a["text"])
		}
	}
}

func TestC6_what_is_not_there_is_refused_under_its_id(t *testing.T) {
	t.Parallel()
	p := newWorld(t).connect()
	for n, method := range []string{"mob/list", "comms/peers", "live/open", "mob/stream_open", "session/peer_response_terminal", "schedule/list", "approval/list",
		"blob/get", "mcp/add", "realm/list", "auth/status/get", "workgraph/list", "session/rewrite_transcript", ""} {
		p.send(fmt.Sprintf(`{"jsonrpc":"2.0","id":"q%d","method":%q,"params":{"session_id":7}}`, n, cmpOr(method, "x")))
		_, line := p.until(fmt.Sprintf(`"id":"q%d"`, n))
		read(t, line).refused(t, jsonrpc2.CodeMethod, "Method not found: "+cmpOr(method, "x"))
	}
}

func cmpOr(a, b string) string {
	if a == "" {
		return b
	}
	return a
}

func TestC6_a_committed_success_is_not_taken_back_by_a_late_cancel(t *testing.T) {
	t.Parallel()
	p := newWorld(t).connect()
	for n := range 30 { // somewhere among these the cancel comes between the end of the run and its answer
		p.send(request1(n, "session/create", `{"prompt":"hello"}`), fmt.Sprintf(`{"jsonrpc":"2.0","method":"cancel","params":{"request_id":%d}}`, n))
		lines, last := p.until(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,`, n))
		completed := strings.Contains(strings.Join(lines, "\n"), `{"type":"run_completed"`)
		if a := read(t, last); completed != (a.Err == nil) {
			t.Errorf("the run was completed: %v; its answer: %s", completed, last)
		}
	}
}

func TestC12_the_end_of_the_input_ends_the_connection_and_keeps_what_was_accepted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.connect()
	s := p.create(1, "hello")
	p.send(request1(2, "turn/start", fmt.Sprintf(`{"session_id":%q,"prompt":"Write a long essay."}`, s)))
	p.until("text_delta")
	began := time.Now()
	p.leave()
	if err := p.ended(); err != nil {
		t.Error(err)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("it took %v", d)
	}
	w.down()
	w.open()
	q := w.connect()
	if got := q.call(1, "session/history", fmt.Sprintf(`{"session_id":%q}`, s)).ok(t); got["message_count"] != 3.0 {
		t.Error(got)
	}
	if got := q.call(2, "session/read", fmt.Sprintf(`{"session_id":%q}`, s)).ok(t); got["is_active"] != true {
		t.Errorf("the run that was not over is not there any more: %v", got)
	}
	q.call(3, "turn/interrupt", fmt.Sprintf(`{"session_id":%q}`, s)).ok(t)
	if got := q.call(4, "turn/start", fmt.Sprintf(`{"session_id":%q,"prompt":"hello"}`, s)).ok(t); got["text"] != "ok" {
		t.Error(got)
	}
}

func TestC12_what_is_short_is_still_answered_when_the_input_ends(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var out strings.Builder
	in := strings.NewReader(request1(1, "initialize", "{}") + "\n" + request1(2, "session/list", "{}") + "\n" + request1(3, "session/create", `{"prompt":"x","initial_turn":"deferred"}`))
	if err := w.Serve(t.Context(), in, &out); err != nil {
		t.Error(err)
	}
	for n := 1; n <= 2; n++ {
		if !strings.Contains(out.String(), fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"result"`, n)) {
			t.Errorf("request %d has no result:\n%s", n, out.String())
		}
	}
	if !strings.Contains(out.String(), `{"jsonrpc":"2.0","id":3,`) {
		t.Errorf("request 3 has no answer:\n%s", out.String())
	}
}
