package sdk

import (
	"fmt"
	"strings"
	"testing"
)

const twoCalls = `{"steps": [
  {"when": {"round": 0, "tools": ["slow", "quick"]}, "always": true, "reply": {"text": "I ask both.",
     "calls": [{"tool": "slow", "args": {"k": "1"}}, {"tool": "quick", "args": {"k": "2"}}]}},
  {"when": {"round": 1}, "always": true, "reply": {"text": "{{results}}"}}]}`

func TestTools_of_a_client_may_answer_in_any_order(t *testing.T) {
	t.Parallel()
	w, model := scripted(t, twoCalls)
	c := spawn(t, w)
	quick := make(chan struct{})
	c.tools["slow"] = func(map[string]any) answer {
		<-quick
		return answer{err: "it broke"}
	}
	c.tools["quick"] = func(args map[string]any) answer {
		defer close(quick)
		return answer{content: "quick " + fmt.Sprint(args["k"])}
	}
	c.connect()
	r := c.ask("session/create", object{"prompt": "Go.", "model": model}).get()
	if r.err != nil {
		t.Fatal(r.err)
	}
	s := r.result["session_id"].(string)
	c.inOrder(s, 0, r.at)
	if r.result["tool_calls"] != n(2) || !strings.Contains(r.result["text"].(string), "quick 2") || !strings.Contains(r.result["text"].(string), "it broke") {
		t.Errorf("result: %v", r.result)
	}
	for _, e := range c.events(s, 0, r.at) {
		if e.kind == "tool_execution_completed" && e.event["is_error"] != (e.event["name"] == "slow") {
			t.Errorf("%v", e.event)
		}
	}
	h := c.do("session/history", object{"session_id": s})
	if got := roles(h); got != "user block_assistant tool_results block_assistant" {
		t.Errorf("history: %s", got)
	}
}

func TestTools_of_one_session_count_before_those_of_all_and_only_there(t *testing.T) {
	t.Parallel()
	w, model := scripted(t, `{"steps": [
	  {"when": {"round": 0, "tools": ["own"]}, "always": true, "reply": {"calls": [{"tool": "own", "args": {}}]}},
	  {"when": {"round": 0, "tools": ["both"]}, "always": true, "reply": {"calls": [{"tool": "both", "args": {}}]}},
	  {"when": {"round": 0}, "always": true, "reply": {"text": "no tools"}},
	  {"when": {"round": 1}, "always": true, "reply": {"text": "{{results}}"}}]}`)
	c := spawn(t, w)
	c.connect()
	first := c.do("session/create", object{"prompt": "x", "model": model})
	if first["text"] != "no tools" {
		t.Errorf("before: %v", first)
	}
	c.mu.Lock()
	c.tools["own"] = func(map[string]any) answer { return answer{content: "mine"} }
	c.tools["both"] = func(map[string]any) answer { return answer{content: "ours", wrong: true} }
	c.mu.Unlock()
	own := c.do("session/create", object{"prompt": "x", "model": model, "external_tools": []any{tool("own")}})
	if !strings.Contains(own["text"].(string), "mine") {
		t.Errorf("own: %v", own)
	}
	// Both lines are written at once: the second must find what the first did.
	a := c.ask("tools/register", object{"tools": []any{tool("both")}})
	b := c.ask("turn/start", object{"session_id": first["session_id"], "prompt": "x"})
	a.good()
	r := b.get()
	if r.err != nil || !strings.Contains(r.result["text"].(string), "ours") {
		t.Errorf("after: %v %v", r.result, r.err)
	}
	changed := 0
	for _, e := range c.events(first["session_id"].(string), 0, r.at) {
		if e.kind != "tool_config_changed" {
			continue
		}
		inner := e.event["payload"].(map[string]any)
		if inner["target"] == "tools" { // what the model sees from now on
			continue
		}
		changed++
		if inner["target"] != "callback:both" || inner["operation"] != "add" || inner["status"] != "applied" {
			t.Errorf("the change: %v", e.event)
		}
	}
	if changed != 1 {
		t.Errorf("%d changes of tools were told", changed)
	}
	if r := c.do("tools/register", object{"tools": []any{}}); r["registered"] != n(0) {
		t.Errorf("none: %v", r)
	}
	c.fails("-32602", "tools/register", object{"tools": []any{object{"description": "x"}}})
}

func TestA_tool_that_a_client_does_not_know_is_a_result(t *testing.T) {
	t.Parallel()
	w, model := scripted(t, twoCalls)
	c := spawn(t, w).connect()
	r := c.do("session/create", object{"prompt": "x", "model": model, "external_tools": []any{tool("slow"), tool("quick")}})
	if !strings.Contains(r["text"].(string), "Unknown tool: slow") {
		t.Errorf("%v", r)
	}
}

func TestA_run_that_is_cancelled_does_not_wait_for_its_callbacks(t *testing.T) {
	t.Parallel()
	w, model := scripted(t, twoCalls)
	c := spawn(t, w)
	c.tools["slow"] = func(map[string]any) answer { return answer{silent: true} }
	c.tools["quick"] = func(map[string]any) answer { return answer{content: "q"} }
	c.connect()
	s := c.do("session/create", object{"prompt": "x", "model": model, "initial_turn": "deferred"})["session_id"].(string)
	turn := c.ask("turn/start", object{"session_id": s, "prompt": "x"})
	c.until("both were called", func() bool { return len(c.calls) == 2 })
	c.do("turn/interrupt", object{"session_id": s})
	turn.bad("-32005")
	for _, e := range c.events(s, 0, 1<<30) {
		if e.kind == "run_completed" {
			t.Error("it completed")
		}
	}
	c.line(`{"jsonrpc":"2.0","id":"srv-0","result":{"content":"late","is_error":false}}` + "\n")
	c.do("session/read", object{"session_id": s})
}

func TestStructured_output_comes_after_the_answer(t *testing.T) {
	t.Parallel()
	w, model := scripted(t, `{"steps": [
	  {"when": {"reply": 0, "user": "good"}, "reply": {"text": "The answer is 42."}},
	  {"when": {"reply": 1, "user_matches": "."}, "always": true, "reply": {"text": "{\"answer\": 42}"}},
	  {"when": {"reply": 0}, "reply": {"text": "No idea."}},
	  {"always": true, "reply": {"text": "{\"answer\": 42}"}}]}`)
	c := spawn(t, w).connect()
	schema := object{"type": "object", "properties": object{"answer": object{"type": "integer"}}, "required": []any{"answer"}}
	for _, s := range []object{schema, {"schema": schema, "name": "answer", "strict": true}} {
		r := c.ask("session/create", object{"prompt": "A good one.", "model": model, "output_schema": s}).get()
		if r.err != nil {
			t.Fatal(r.err)
		}
		id := r.result["session_id"].(string)
		out, _ := r.result["structured_output"].(map[string]any)
		if out["answer"] != n(42) || r.result["text"] != "The answer is 42." {
			t.Errorf("result: %v", r.result)
		}
		l := c.events(id, 0, r.at)
		if got := kinds(l); !strings.HasSuffix(got, "text_complete turn_completed run_completed extraction_succeeded") {
			t.Errorf("events: %s", got)
		}
		c.inOrder(id, 0, r.at)
		for _, e := range l {
			if e.kind == "run_completed" && e.event["extraction_required"] != true {
				t.Errorf("%v", e.event)
			}
		}
	}
	never := object{"type": "object", "properties": object{"other": object{"type": "string"}}, "required": []any{"other"}}
	r := c.ask("session/create", object{"prompt": "A good one.", "model": model, "output_schema": never, "structured_output_retries": 1}).get()
	if r.err != nil {
		t.Fatal(r.err)
	}
	e, _ := r.result["extraction_error"].(map[string]any)
	if e == nil || e["attempts"] != n(2) || r.result["structured_output"] != nil {
		t.Errorf("result: %v", r.result)
	}
	if got := kinds(c.events(r.result["session_id"].(string), 0, r.at)); !strings.HasSuffix(got, "run_completed extraction_failed") {
		t.Errorf("events: %s", got)
	}
	c.fails("-32602", "session/create", object{"prompt": "x", "model": model, "output_schema": 5})
}
