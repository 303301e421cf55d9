package sdk

import (
	"fmt"
	"strings"
	"testing"
)

func TestA_reader_who_is_slow_loses_events_and_no_answer(t *testing.T) {
	t.Parallel()
	w, model := scripted(t, `{"steps": [{"when": {"user": "quick"}, "always": true, "reply": {"text": "Done."}},
	  {"always": true, "reply": {"text": "`+strings.Repeat("word ", 12000)+`"}}]}`)
	c := spawn(t, w).connect()
	c.lossy = true
	s := c.do("session/create", object{"prompt": "quick", "model": model})["session_id"].(string)
	stream := c.do("session/stream_open", object{"session_id": s})["stream_id"].(string)
	c.gate.Lock()
	turn := c.ask("turn/start", object{"session_id": s, "prompt": "long"})
	other := c.ask("session/create", object{"prompt": "quick", "model": model})
	watch := w.Rkat // another program looks at the realm while nobody reads: nothing waits for the reader
	if r := watch("models"); r.Exit != 0 {
		t.Errorf("%v", r)
	}
	c.gate.Unlock()
	if r := turn.good(); len(r["text"].(string)) < 50000 {
		t.Errorf("the answer has %d bytes", len(r["text"].(string)))
	}
	if r := other.good(); r["text"] != "Done." {
		t.Errorf("the other: %v", r)
	}
	c.until("the stream is over or has seen it all", func() bool {
		return c.streams[stream].end != nil || strings.Count(c.streamKinds(stream), "run_completed") == 1
	})
	if e := c.streams[stream].end; e != nil && (e["outcome"] != "terminal_error" || e["error"].(map[string]any)["code"] != "stream_queue_overflow") {
		t.Errorf("%v", e)
	}
	if r := c.do("turn/start", object{"session_id": s, "prompt": "quick"}); r["text"] != "Done." {
		t.Errorf("afterwards: %v", r)
	}
}

func TestLong_lines_come_through(t *testing.T) {
	t.Parallel()
	c := spawn(t, world(t)).connect()
	long := strings.Repeat("0123456789abcdef", 1<<16)
	r := c.do("session/create", object{"prompt": long})
	h := c.do("session/history", object{"session_id": r["session_id"]})
	for _, m := range h["messages"].([]any) {
		if m := m.(map[string]any); m["role"] == "user" && words(m["content"]) != long {
			t.Error("it did not come back as it was")
		}
	}
}

func TestBudgets_end_a_run_as_they_say(t *testing.T) {
	t.Parallel()
	w, model := scripted(t, `{"steps": [{"when": {"user": "tools"}, "always": true, "reply": {"text": "Again.", "calls": [{"tool": "again", "args": {}}]}},
	  {"always": true, "reply": {"delay": "50ms", "text": "`+strings.Repeat("slow ", 500)+`"}}]}`)
	c := spawn(t, w)
	c.tools["again"] = func(map[string]any) answer { return answer{content: "done"} }
	c.connect()
	r := c.do("session/create", object{"prompt": "tools", "model": model, "budget_limits": object{"max_tool_calls": 2}})
	if r["terminal_cause_kind"] != "budget_exhausted" || r["tool_calls"] != n(2) {
		t.Errorf("calls: %v", r)
	}
	for _, d := range []any{object{"secs": 0, "nanos": 200_000_000}, 0.2} {
		c.fails("-32011", "session/create", object{"prompt": "long", "model": model, "budget_limits": object{"max_duration": d}})
	}
}

func TestSettings_count_for_sessions_that_are_made_afterwards(t *testing.T) {
	t.Parallel()
	w, model := scripted(t, `{"steps": [{"always": true, "reply": {"text": "{{user}}"}}]}`)
	c := spawn(t, w).connect()
	c.do("config/patch", object{"patch": object{"agent": object{"model": model}, "limits": object{"max_sessions": 2}}})
	s := c.do("session/create", object{"prompt": "hello"})
	if i := c.do("session/read", object{"session_id": s["session_id"]}); !strings.Contains(model, fmt.Sprint(i["model"])) || i["provider"] != "rehearsal" && i["provider"] != "other" {
		t.Errorf("it is %v of %v", i["model"], i["provider"])
	}
	c.do("session/create", object{"prompt": "two"})
	if e := c.fails("-32603", "session/create", object{"prompt": "three"}); !strings.HasPrefix(e.message, "Max sessions reached (2/2)") {
		t.Errorf("%v", e)
	}
	c.do("session/archive", object{"session_id": s["session_id"]})
	c.do("session/create", object{"prompt": "three"})
	if e := c.fails("-32603", "skills/list", nil); e.message != "skills not enabled" {
		t.Errorf("%v", e)
	}
}

func TestAn_interrupt_ends_one_session_and_no_other(t *testing.T) {
	t.Parallel()
	w, model := scripted(t, `{"steps": [{"always": true, "reply": {"delay": "10ms", "text": "`+strings.Repeat("w ", 60)+`"}}]}`)
	c := spawn(t, w).connect()
	var ids []string
	for range 4 {
		ids = append(ids, c.do("session/create", object{"prompt": "x", "model": model, "initial_turn": "deferred"})["session_id"].(string))
	}
	var turns []*asked
	for _, s := range ids {
		turns = append(turns, c.ask("turn/start", object{"session_id": s, "prompt": "y"}))
	}
	for _, s := range ids {
		c.sees(s, "text_delta", 2)
	}
	c.do("turn/interrupt", object{"session_id": ids[1]})
	for i, a := range turns {
		if i == 1 {
			a.bad("-32005")
			continue
		}
		a.good()
	}
}

func TestA_model_may_be_changed_for_the_rest_of_a_session(t *testing.T) {
	t.Parallel()
	w, model := scripted(t, `{"steps": [{"always": true, "reply": {"text": "played"}}]}`)
	c := spawn(t, w).connect()
	s := c.do("session/create", object{"prompt": "x", "model": "offline"})["session_id"]
	for _, p := range []object{{"model": model}, {}} {
		p["session_id"], p["prompt"] = s, "y"
		if r := c.do("turn/start", p); r["text"] != "played" {
			t.Errorf("%v", r)
		}
	}
	if r := c.do("turn/start", object{"session_id": s, "prompt": "y", "additional_instructions": []any{"Be short."},
		"flow_tool_overlay": object{"blocked_tools": []any{"x"}}}); r["text"] != "played" {
		t.Errorf("%v", r)
	}
}

func TestThe_test_client_is_there_for_the_command_line_too(t *testing.T) {
	t.Parallel()
	w := world(t)
	w.Env["RKAT_STATE_DIR"] = w.State
	if r := w.Rkat("run", "hello"); r.Exit != 0 || strings.TrimSpace(r.Stdout) != "ok" {
		t.Errorf("%v", r)
	}
}
