package sdk

import (
	"encoding/json"
	"testing"
)

func TestA_process_ends_in_time_whatever_a_run_waits_for(t *testing.T) {
	t.Parallel()
	const script = `{"steps": [{"when": {"user": "hang"}, "always": true, "failures": [{"kind": "hang", "after": 2, "times": 1000}], "reply": {"text": "some words"}},
	  {"when": {"user": "shell", "round": 0}, "always": true, "reply": {"calls": [{"tool": "shell", "args": {"command": "sleep 600"}}]}},
	  {"when": {"user": "callback", "round": 0}, "always": true, "reply": {"calls": [{"tool": "never", "args": {}}]}},
	  {"always": true, "reply": {"text": "Done."}}]}`
	for _, what := range []string{"hang", "shell", "callback"} {
		t.Run(what, func(t *testing.T) {
			t.Parallel()
			w, model := scripted(t, script)
			c := spawn(t, w, here(w)...)
			c.tools["never"] = func(map[string]any) answer { return answer{silent: true} }
			c.connect()
			s := c.do("session/create", object{"prompt": "quick", "model": model, "enable_builtins": true, "enable_shell": true})["session_id"].(string)
			turn := c.ask("turn/start", object{"session_id": s, "prompt": what})
			if what == "hang" {
				c.sees(s, "text_delta", 3)
			} else {
				c.sees(s, "tool_execution_started", 1)
			}
			if r := c.leave(true); r.Exit != 0 {
				t.Errorf("%v", r)
			}
			if r := turn.get(); r.err == nil {
				t.Errorf("%v", r.result)
			}
			again := spawn(t, w, here(w)...).connect()
			again.do("turn/interrupt", object{"session_id": s})
			if r := again.do("turn/start", object{"session_id": s, "prompt": "quick"}); r["text"] != "Done." {
				t.Errorf("afterwards: %v", r)
			}
		})
	}
}

func TestOf_two_turns_at_once_one_is_told_that_the_session_is_busy(t *testing.T) {
	t.Parallel()
	w, model := scripted(t, `{"steps": [{"when": {"user": "quick"}, "always": true, "reply": {"text": "Done."}},
	  {"always": true, "reply": {"delay": "30ms", "text": "one two three four"}}]}`)
	c := spawn(t, w).connect()
	s := c.do("session/create", object{"prompt": "quick", "model": model})["session_id"].(string)
	for range 5 {
		one, two := c.ask("turn/start", object{"session_id": s, "prompt": "a"}), c.ask("turn/start", object{"session_id": s, "prompt": "b"})
		a, b := one.get(), two.get()
		if (a.err == nil) == (b.err == nil) {
			t.Fatalf("%v %v; %v %v", a.result, a.err, b.result, b.err)
		}
		for _, r := range []reply{a, b} {
			if r.err != nil && (r.err.code != "-32002" || r.err.raw["data"] != nil) {
				t.Errorf("%v", r.err.raw)
			}
		}
	}
	// A key is the client's own word for an input: the second is not carried out again.
	p := object{"session_id": s, "prompt": "quick", "idempotency_key": "k"}
	first := c.do("turn/start", p)
	if second := c.ask("turn/start", p).get(); second.err != nil {
		data, _ := second.err.raw["data"].(map[string]any)
		if second.err.raw["code"] != json.Number("-32004") || data["existing_id"] == nil {
			t.Errorf("%v", second.err.raw)
		}
	} else if second.result["run_id"] != first["run_id"] {
		t.Errorf("%v and %v", first, second.result)
	}
}
