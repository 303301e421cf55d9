package sdk

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
)

func TestThe_exchange_of_the_contract(t *testing.T) {
	t.Parallel()
	w, model := scripted(t, `{"steps": [
	  {"when": {"turn": 0, "round": 0}, "reply": {"calls": [{"tool": "lookup", "args": {"k": "k1"}}], "usage": {"input_tokens": 69, "output_tokens": 25}}},
	  {"when": {"turn": 0, "round": 1}, "reply": {"pieces": ["It is ", "42."], "usage": {"input_tokens": 91, "output_tokens": 6}}},
	  {"when": {"user": "essay"}, "always": true, "reply": {"delay": "20ms", "text": "`+strings.Repeat("Long. ", 400)+`"}},
	  {"reply": {"text": "And on."}}]}`)
	c := spawn(t, w)
	c.tools["lookup"] = func(args map[string]any) answer { return answer{content: fmt.Sprint(42), wrong: args["k"] != "k1"} }
	c.connect()
	a := c.ask("session/create", object{"prompt": "What is the value of k1?", "model": model})
	r := a.get()
	if r.err != nil {
		t.Fatal(r.err)
	}
	s := r.result["session_id"].(string)
	got := kinds(c.events(s, 0, r.at))
	want := "run_started turn_started tool_call_requested tool_execution_started tool_execution_completed tool_result_received " +
		"turn_started text_delta text_delta text_complete turn_completed run_completed"
	if got != want {
		t.Errorf("events:\n%s\nand not\n%s", got, want)
	}
	used := r.result["usage"].(map[string]any)
	if r.result["text"] != "It is 42." || r.result["turns"] != n(2) || r.result["tool_calls"] != n(1) || used["input_tokens"] != n(160) ||
		used["output_tokens"] != n(31) || used["total_tokens"] != n(191) {
		t.Errorf("result: %v", r.result)
	}
	c.inOrder(s, 0, r.at)
	for _, e := range c.events(s, 0, r.at) {
		u, _ := e.event["usage"].(map[string]any)
		if e.kind == "turn_completed" && (u["input_tokens"] != n(91) || e.event["stop_reason"] != "end_turn") {
			t.Errorf("turn_completed: %v", e.event)
		}
		if e.kind == "run_completed" && (u["input_tokens"] != n(160) || e.event["result"] != "It is 42.") {
			t.Errorf("run_completed: %v", e.event)
		}
	}

	long := c.ask("turn/start", object{"session_id": s, "prompt": "Write a long essay."})
	c.sees(s, "text_delta", 4)
	if e := c.fails("-32002", "turn/start", object{"session_id": s, "prompt": "Now."}); e.raw["message"] == "" {
		t.Errorf("busy: %v", e)
	}
	if i := c.do("session/read", object{"session_id": s}); i["is_active"] != true || i["last_assistant_text"] != nil {
		t.Errorf("while it runs: %v", i)
	}
	c.do("turn/interrupt", object{"session_id": s})
	if e := long.bad("-32005"); e.message != "request cancelled" || e.raw["data"] != nil {
		t.Errorf("interrupted: %v %v", e, e.raw)
	}
	c.until("the end of the run came", func() bool {
		last := c.notes[len(c.notes)-1]
		return last.kind == "run_failed" && last.event["error_class"] == "cancelled"
	})
	h := c.do("session/history", object{"session_id": s})
	if got := roles(h); got != "user block_assistant tool_results block_assistant user" {
		t.Errorf("after the interrupt: %s", got)
	}
	if r := c.do("turn/start", object{"session_id": s, "prompt": "Go on."}); r["text"] != "And on." {
		t.Errorf("the turn afterwards: %v", r)
	}
	c.do("turn/interrupt", object{"session_id": s})
}

// roles of a history, without the system prompt.
func roles(h object) string {
	var out []string
	for _, m := range h["messages"].([]any) {
		if r := m.(map[string]any)["role"]; r != "system" {
			out = append(out, fmt.Sprint(r))
		}
	}
	return strings.Join(out, " ")
}

// inOrder holds the events of one run against the order of the contract.
func (c *client) inOrder(session string, after, before int) {
	c.t.Helper()
	var asked, answered []string
	var said strings.Builder
	turn, ends, turnEnds := 0, 0, 0
	l := c.events(session, after, before)
	for i, e := range l {
		if e.closed {
			c.t.Errorf("%s would have been thrown away", e.kind)
		}
		if ends > 0 && !strings.HasPrefix(e.kind, "extraction_") {
			c.t.Errorf("%s after the end of the run", e.kind)
		}
		switch e.kind {
		case "run_started":
			if i != 0 {
				c.t.Error("run_started is not first")
			}
		case "turn_started":
			if e.event["turn_number"] != n(turn) {
				c.t.Errorf("turn %v, and not %d", e.event["turn_number"], turn)
			}
			if len(asked) != len(answered) {
				c.t.Errorf("a turn began while calls were open: %v, %v", asked, answered)
			}
			turn, asked, answered = turn+1, nil, nil
			said.Reset()
		case "text_delta":
			said.WriteString(e.event["delta"].(string))
		case "text_complete":
			if e.event["content"] != said.String() {
				c.t.Errorf("the deltas are %q, the whole is %q", said.String(), e.event["content"])
			}
		case "tool_call_requested":
			asked = append(asked, e.event["id"].(string))
		case "tool_result_received":
			answered = append(answered, e.event["id"].(string))
			if l[i-1].kind != "tool_execution_completed" || l[i-1].event["id"] != e.event["id"] {
				c.t.Errorf("no completed before received, but %s", l[i-1].kind)
			}
			if !slices.Equal(answered, asked[:len(answered)]) {
				c.t.Errorf("results out of order: %v of %v", answered, asked)
			}
		case "turn_completed":
			turnEnds++
		case "run_completed":
			ends++
			if turnEnds != 1 {
				c.t.Errorf("%d turn_completed", turnEnds)
			}
			if e.event["result"] != said.String() {
				c.t.Errorf("the result is %q, the deltas were %q", e.event["result"], said.String())
			}
		case "run_failed":
			ends++
		}
	}
	if ends != 1 {
		c.t.Errorf("%d ends of a run: %s", ends, kinds(l))
	}
}

func TestA_test_client_says_ok_and_its_deltas_are_its_text(t *testing.T) {
	t.Parallel()
	c := spawn(t, world(t), "--realm", "realm-x").connect()
	r := c.ask("session/create", object{"prompt": []any{object{"type": "text", "text": "Hello"}}, "labels": object{"a": "b"}}).get()
	if r.err != nil {
		t.Fatal(r.err)
	}
	s := r.result["session_id"].(string)
	if r.result["text"] != "ok" || r.result["turns"] != n(1) || r.result["tool_calls"] != n(0) || r.result["session_ref"] != "realm-x:"+s {
		t.Errorf("result: %v", r.result)
	}
	if s[14] != '7' {
		t.Errorf("no UUIDv7: %s", s)
	}
	c.inOrder(s, 0, r.at)
	r2 := c.ask("turn/start", object{"session_id": "realm-x:" + s, "prompt": "Again"}).get()
	if r2.err != nil || r2.result["text"] != "ok" {
		t.Fatalf("turn: %v %v", r2.result, r2.err)
	}
	c.fails("-32602", "turn/start", object{"session_id": "other:" + s, "prompt": "Again"})
	i := c.do("session/read", object{"session_id": s})
	if i["last_assistant_text"] != "ok" || i["is_active"] != false || i["labels"].(map[string]any)["a"] != "b" || i["session_ref"] != "realm-x:"+s {
		t.Errorf("read: %v", i)
	}
	all := c.do("session/history", object{"session_id": s})
	if got := roles(all); got != "user block_assistant user block_assistant" {
		t.Errorf("history: %s", got)
	}
	total := len(all["messages"].([]any))
	if all["message_count"] != n(total) || all["has_more"] != false || all["offset"] != n(0) || i["message_count"] != n(total) {
		t.Errorf("history of %d: %v", total, all)
	}
	page := c.do("session/history", object{"session_id": s, "offset": 1, "limit": 2})
	if len(page["messages"].([]any)) != 2 || page["has_more"] != (total > 3) || page["offset"] != n(1) || page["limit"] != n(2) || page["message_count"] != n(total) {
		t.Errorf("a page: %v", page)
	}
}

func TestWhat_is_not_there_is_said_to_be_not_found(t *testing.T) {
	t.Parallel()
	c := spawn(t, world(t), "--realm", "r").connect()
	const none = "01900000-0000-7000-8000-000000000000"
	one := c.do("session/create", object{"prompt": "x"})["session_id"].(string)
	gone := c.do("session/create", object{"prompt": "x"})["session_id"].(string)
	c.do("session/archive", object{"session_id": gone})
	scope := object{"type": "session", "session_id": none}
	for method, params := range map[string]object{
		"session/read": {}, "session/history": {}, "session/archive": {}, "turn/start": {"prompt": "x"}, "turn/interrupt": {},
		"session/inject_context": {"text": "x"}, "session/external_event": {"kind": "generic_json", "event_type": "x", "payload": object{}},
		"session/stream_open": {}, "session/fork_at": {"message_index": 1},
		"events/latest_cursor": {"scope": scope}, "events/list_since": {"scope": scope}, "events/snapshot": {"scope": scope},
	} {
		for _, id := range []string{none, "r:" + none} {
			if !strings.HasPrefix(method, "events/") {
				params["session_id"] = id
			}
			if e := c.fails("-32001", method, params); !strings.Contains(e.message, "Session not found: ") || !strings.Contains(e.message, none) {
				t.Errorf("%s: %s", method, e.message)
			}
		}
		if !strings.HasPrefix(method, "events/") {
			params["session_id"] = "no id"
			c.fails("-32602", method, params)
		}
	}
	if e := c.fails("-32001", "session/read", object{"session_id": none}); e.message != "Session not found: "+none || e.raw["data"] != nil {
		t.Errorf("%v", e.raw)
	}
	for _, m := range []string{"turn/start", "turn/interrupt", "session/inject_context"} {
		c.fails("-32001", m, object{"session_id": gone, "prompt": "x", "text": "x"})
	}
	if h := c.do("session/history", object{"session_id": gone}); len(h["messages"].([]any)) < 2 {
		t.Errorf("history of an archived session: %v", h)
	}
	var l []string
	for _, s := range c.do("session/list", nil)["sessions"].([]any) {
		l = append(l, fmt.Sprint(s.(map[string]any)["session_id"]))
	}
	if !slices.Equal(l, []string{one}) {
		t.Errorf("listed: %v", l)
	}
}

func TestA_deferred_session_waits_for_its_first_turn(t *testing.T) {
	t.Parallel()
	c := spawn(t, world(t)).connect()
	old := c.do("session/create", object{"prompt": "x", "labels": object{"k": "v"}})["session_id"].(string)
	r := c.ask("session/create", object{"prompt": "First.", "initial_turn": "deferred", "labels": object{"k": "v", "l": "w"}}).get()
	if r.err != nil {
		t.Fatal(r.err)
	}
	s := r.result["session_id"].(string)
	if got := kinds(c.events(s, 0, r.at+1)); got != "" {
		t.Errorf("events of a deferred session: %s", got)
	}
	list := func(p object) string {
		var l []string
		for _, e := range c.do("session/list", p)["sessions"].([]any) {
			l = append(l, fmt.Sprint(e.(map[string]any)["session_id"]))
		}
		return strings.Join(l, " ")
	}
	for want, p := range map[string]object{s + " " + old: {"labels": object{"k": "v"}}, s: {"labels": object{"k": "v", "l": "w"}}, "": {"labels": object{"k": "w"}},
		old: {"offset": 1}} {
		if got := list(p); got != want {
			t.Errorf("listed with %v: %q and not %q", p, got, want)
		}
	}
	if got := list(object{"limit": 1}); got != s {
		t.Errorf("the first of the list: %s", got)
	}
	i := c.do("session/read", object{"session_id": s})
	h := c.do("session/history", object{"session_id": s})
	if i["message_count"] != n(0) || h["message_count"] != n(0) || len(h["messages"].([]any)) != 0 {
		t.Errorf("a deferred session: %v %v", i, h)
	}
	c.do("turn/interrupt", object{"session_id": s})
	c.fails("-32002", "session/fork_at", object{"session_id": s, "message_index": 0})
	stream := c.do("session/stream_open", object{"session_id": s})["stream_id"].(string)
	turn := c.do("turn/start", object{"session_id": s, "prompt": "Second.", "max_tokens": 100, "system_prompt": "You are short."})
	if turn["text"] != "ok" {
		t.Errorf("the first turn: %v", turn)
	}
	h = c.do("session/history", object{"session_id": s})
	all, _ := json.Marshal(h["messages"])
	first, second := strings.Index(string(all), "First."), strings.Index(string(all), "Second.")
	if first < 0 || second < first || !strings.Contains(string(all), "You are short.") {
		t.Errorf("the prompt was not put together: %s", all)
	}
	c.until("the stream saw the run", func() bool {
		l := c.streams[stream].events
		return len(l) > 0 && l[len(l)-1]["payload"].(map[string]any)["type"] == "run_completed"
	})
	for name, v := range map[string]any{"max_tokens": 5, "system_prompt": "x", "output_schema": object{"type": "object"}, "structured_output_retries": 1} {
		if e := c.fails("-32602", "turn/start", object{"session_id": s, "prompt": "x", name: v}); !strings.Contains(e.message, name) {
			t.Errorf("%s: %s", name, e.message)
		}
	}
	c.fails("-32602", "turn/start", object{"session_id": s, "prompt": "x", "provider": "openai"})
	c.fails("-32602", "turn/start", object{"session_id": s, "prompt": "x", "keep_alive": true})

	gone := c.do("session/create", object{"prompt": "Never.", "initial_turn": "deferred"})["session_id"]
	c.do("session/archive", object{"session_id": gone})
	c.fails("-32001", "turn/start", object{"session_id": gone, "prompt": "x"})
}

func TestWrong_wishes_for_a_session_are_refused_with_what_is_wrong(t *testing.T) {
	t.Parallel()
	c := spawn(t, world(t)).connect()
	for name, p := range map[string]object{
		"prompt":           {},
		"provider":         {"prompt": "x", "provider": "acme"},
		"initial_turn":     {"prompt": "x", "initial_turn": "later"},
		"keep_alive":       {"prompt": "x", "keep_alive": true},
		"skill_references": {"prompt": "x", "skill_references": []any{}},
		"labels":           {"prompt": "x", "labels": object{"mob_id": "a"}},
		"meerkat.":         {"prompt": "x", "labels": object{"meerkat.x": "a"}},
		"app_context":      {"prompt": "x", "app_context": object{"role": "a"}},
		"tool_filter":      {"prompt": "x", "tool_filter": "Some"},
		"max_tokens":       {"prompt": "x", "max_tokens": "many"},
		"external_tools":   {"prompt": "x", "external_tools": []any{object{"name": 5}}},
	} {
		e := c.fails("-32602", "session/create", p)
		if !strings.Contains(strings.ReplaceAll(e.message, "tool filter", "tool_filter"), strings.TrimSuffix(name, ".")) {
			t.Errorf("%s: %s", name, e.message)
		}
	}
	c.do("session/create", object{"prompt": "x", "unknown": 5, "app_context": object{"mine": true}, "tool_filter": "All", "comms_name": nil,
		"budget_limits": object{"max_tokens": 100000, "max_duration": object{"secs": 60, "nanos": 0}, "max_tool_calls": 5}})
	c.do("session/create", object{"prompt": "x", "budget_limits": object{"max_duration": 60}, "tool_filter": object{"Deny": []any{"x"}}})
	if l := c.do("session/list", nil)["sessions"].([]any); len(l) != 2 {
		t.Errorf("what was refused left something: %v", l)
	}
}
