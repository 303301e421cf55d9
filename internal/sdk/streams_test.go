package sdk

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

func (c *client) streamKinds(id string) string {
	var out []string
	for _, e := range c.streams[id].events {
		out = append(out, e["payload"].(map[string]any)["type"].(string))
	}
	return strings.Join(out, " ")
}

func TestStreams_tell_all_of_a_session_from_their_opening_to_their_end(t *testing.T) {
	t.Parallel()
	c := spawn(t, world(t)).connect()
	s := c.do("session/create", object{"prompt": "x"})["session_id"].(string)
	one := c.do("session/stream_open", object{"session_id": s})["stream_id"].(string)
	two := c.do("session/stream_open", object{"session_id": s})["stream_id"].(string)
	c.do("turn/start", object{"session_id": s, "prompt": "y"})
	c.do("session/external_event", object{"session_id": s, "kind": "generic_json", "event_type": "build", "payload": object{"ok": true}})
	c.until("both saw two runs", func() bool {
		return strings.Count(c.streamKinds(one), "run_completed") == 2 && strings.Count(c.streamKinds(two), "run_completed") == 2
	})
	const a = "run_started turn_started text_delta text_complete turn_completed run_completed"
	c.mu.Lock()
	got := c.streamKinds(one)
	c.mu.Unlock()
	if !strings.HasPrefix(got, a+" run_started") {
		t.Errorf("the stream: %s", got)
	}
	closing := c.ask("session/stream_close", object{"stream_id": one}).get()
	if closing.err != nil || closing.result["already_closed"] != false || closing.result["stream_id"] != one {
		t.Fatalf("close: %v %v", closing.result, closing.err)
	}
	if e := c.streams[one]; e.end == nil || e.end["outcome"] != "explicit_close" || e.endAt > closing.at {
		t.Errorf("the end comes before the answer: %v %d %d", e.end, e.endAt, closing.at)
	}
	for i, want := range []bool{true, false} { // each ended stream is remembered for one answer
		if r := c.do("session/stream_close", object{"stream_id": one}); r["already_closed"] != want {
			t.Errorf("closed again (%d): %v", i, r)
		}
	}
	if r := c.do("session/stream_close", object{"stream_id": "01900000-0000-7000-8000-000000000000"}); r["already_closed"] != false {
		t.Errorf("of none: %v", r)
	}
	c.fails("-32602", "session/stream_close", object{"stream_id": "none"})
	c.fails("-32602", "session/stream_open", object{"session_id": s, "unknown": 1})
	c.fails("-32602", "session/stream_close", object{"stream_id": two, "unknown": 1})
	c.do("session/archive", object{"session_id": s})
	c.until("the other ended", func() bool { return c.streams[two].end != nil })
	if c.streams[two].end["outcome"] != "remote_end" {
		t.Errorf("%v", c.streams[two].end)
	}
}

func TestEvents_can_be_read_again_from_a_cursor(t *testing.T) {
	t.Parallel()
	c := spawn(t, world(t)).connect()
	s := c.do("session/create", object{"prompt": "x", "initial_turn": "deferred"})["session_id"].(string)
	other := c.do("session/create", object{"prompt": "x"})["session_id"].(string)
	scope := object{"type": "session", "session_id": s}
	before := c.do("events/latest_cursor", object{"scope": scope})["cursor"]
	c.do("turn/start", object{"session_id": s, "prompt": "y"})
	c.do("turn/start", object{"session_id": s, "prompt": "z"})
	last := c.do("events/latest_cursor", object{"scope": scope})["cursor"]
	var at any = before
	var kinds []string
	for pages := 0; ; pages++ {
		r := c.do("events/list_since", object{"scope": scope, "cursor": at, "limit": 3})
		l, _ := r["events"].([]any)
		for _, e := range l {
			e := e.(map[string]any)
			kinds = append(kinds, e["event"].(map[string]any)["type"].(string))
			at = e["cursor"]
			if known, is := bare[kinds[len(kinds)-1]]; is {
				if err := known.check(e["event"]); err != nil {
					t.Errorf("%v: %v", err, e)
				}
			}
		}
		if len(l) > 3 {
			t.Errorf("a page of %d", len(l))
		}
		if r["has_more"] == false {
			break
		}
		if pages > 50 {
			t.Fatal("there is always more")
		}
	}
	if fmt.Sprint(at) != fmt.Sprint(last) || strings.Count(strings.Join(kinds, " "), "run_completed") != 2 {
		t.Errorf("read to %v of %v: %v", at, last, kinds)
	}
	all := c.do("events/list_since", object{"scope": scope})
	if l := all["events"].([]any); len(l) < len(kinds) {
		t.Errorf("from the beginning: %d", len(l))
	}
	snap := c.do("events/snapshot", object{"scope": scope})
	if got := snap["snapshot"].(map[string]any)["session"].(map[string]any)["session_id"]; got != s {
		t.Errorf("the snapshot of %v", got)
	}
	seq, _ := last.(map[string]any)["sequence"].(json.Number).Int64()
	c.fails("-32602", "events/list_since", object{"scope": scope, "cursor": object{"scope": scope, "sequence": seq + 1000}})
	c.fails("-32602", "events/list_since", object{"scope": scope, "cursor": object{"scope": object{"type": "session", "session_id": other}, "sequence": 0}})
	c.fails("-32602", "events/list_since", object{"scope": object{"type": "planet", "session_id": other}})
}

func TestForks_hold_what_was_said_before_them(t *testing.T) {
	t.Parallel()
	c := spawn(t, world(t)).connect()
	s := c.do("session/create", object{"prompt": "one"})["session_id"].(string)
	c.do("turn/start", object{"session_id": s, "prompt": "two"})
	h := c.do("session/history", object{"session_id": s})
	all := h["messages"].([]any)
	at := -1
	for i, m := range all {
		if words(m.(map[string]any)["content"]) == "two" {
			at = i
		}
	}
	f := c.do("session/fork_at", object{"session_id": s, "message_index": at, "running_behavior": "reject"})
	if f["source_session_id"] != s || f["message_count"] != n(at) || f["session_id"] == s {
		t.Errorf("fork: %v", f)
	}
	fork := f["session_id"].(string)
	if got := c.do("session/history", object{"session_id": fork}); got["message_count"] != n(at) || roles(got) != "user block_assistant" {
		t.Errorf("the fork: %v", got)
	}
	if r := c.do("turn/start", object{"session_id": fork, "prompt": "other"}); r["text"] != "ok" || r["session_id"] != fork {
		t.Errorf("a turn of the fork: %v", r)
	}
	if got := c.do("session/history", object{"session_id": s}); got["message_count"] != h["message_count"] {
		t.Errorf("the source: %v", got)
	}
	rep := c.do("session/fork_replace", object{"session_id": s, "message_index": at,
		"replacement": object{"type": "user_content_block", "block_index": 0, "block": object{"type": "text", "text": "three"}}})
	got := c.do("session/history", object{"session_id": rep["session_id"]})
	if l := got["messages"].([]any); len(l) != at+1 || words(l[at].(map[string]any)["content"]) != "three" {
		t.Errorf("replaced: %v", got)
	}
	for _, p := range []object{{"message_index": 1000}, {"message_index": -1}, {}, {"message_index": 1, "unknown": 1}, {"message_index": 1, "running_behavior": "wait"}} {
		p["session_id"] = s
		c.fails("-32602", "session/fork_at", p)
	}
}

func TestWhat_is_injected_enters_the_context_once(t *testing.T) {
	t.Parallel()
	c := spawn(t, world(t)).connect()
	s := c.do("session/create", object{"prompt": "one"})["session_id"].(string)
	p := object{"session_id": s, "text": "The sky is green.", "source": "news", "idempotency_key": "k"}
	if r := c.do("session/inject_context", p); r["status"] == "duplicate" {
		t.Errorf("%v", r)
	}
	if r := c.do("session/inject_context", p); r["status"] != "duplicate" {
		t.Errorf("%v", r)
	}
	c.fails("-32602", "session/inject_context", object{"session_id": s, "text": "It is blue.", "source": "news", "idempotency_key": "k"})
	c.fails("-32602", "session/inject_context", object{"session_id": s, "text": "  \n"})
	c.do("turn/start", object{"session_id": s, "prompt": "two"})
	all, _ := json.Marshal(c.do("session/history", object{"session_id": s})["messages"])
	if strings.Count(string(all), "The sky is green.") != 1 {
		t.Errorf("history: %s", all)
	}
	for _, p := range []object{{"kind": "other", "event_type": "x", "payload": object{}}, {"kind": "generic_json", "event_type": "", "payload": object{}},
		{"kind": "generic_json", "event_type": "x"}} {
		p["session_id"] = s
		c.fails("-32602", "session/external_event", p)
	}
}

func TestSettings_are_checked_and_set_and_count_from_then_on(t *testing.T) {
	t.Parallel()
	c := spawn(t, world(t)).connect()
	was := c.do("config/get", nil)
	if err := whole(was["config"].(map[string]any)["max_tokens"]); err != nil {
		t.Fatalf("config.max_tokens: %v", err)
	}
	gen := func(r object) int {
		n, _ := r["generation"].(json.Number).Int64()
		return int(n)
	}
	set := was["config"].(map[string]any)
	set["max_tokens"] = 1234
	r := c.do("config/set", object{"config": set, "expected_generation": was["generation"]})
	if gen(r) != gen(was)+1 || r["config"].(map[string]any)["max_tokens"] != n(1234) {
		t.Errorf("set: %v", r)
	}
	e := c.fails("-32602", "config/set", object{"config": set, "expected_generation": gen(was)})
	if !strings.HasPrefix(e.message, fmt.Sprintf("Generation conflict: expected %d, current %d", gen(was), gen(r))) {
		t.Errorf("conflict: %s", e.message)
	}
	if r := c.do("config/set", set); gen(r) != gen(was)+2 {
		t.Errorf("bare: %v", r)
	}
	if r := c.do("config/patch", object{"patch": object{"max_tokens": 77}, "expected_generation": gen(was) + 2}); r["config"].(map[string]any)["max_tokens"] != n(77) {
		t.Errorf("patch: %v", r)
	}
	if r := c.do("config/patch", object{"max_tokens": 78}); gen(r) != gen(was)+4 || r["config"].(map[string]any)["max_tokens"] != n(78) {
		t.Errorf("bare patch: %v", r)
	}
	c.fails("-32602", "config/patch", object{"patch": object{"max_tokens": 5}, "expected_generation": 0})
	c.fails("-32602", "config/patch", object{"patch": object{"max_tokens": "many"}})
	if r := c.do("config/get", nil); gen(r) != gen(was)+4 || r["config"].(map[string]any)["max_tokens"] != n(78) {
		t.Errorf("what was refused was written: %v", r)
	}
}

func TestModels_are_told_by_provider(t *testing.T) {
	t.Parallel()
	c := spawn(t, world(t)).connect()
	c.do("config/patch", object{"patch": object{"self_hosted": object{
		"servers": object{"home": object{"base_url": "http://127.0.0.1:9/v1", "transport": "openai_compatible"}},
		"models":  object{"mine": object{"server": "home", "remote_model": "llama", "family": "llama"}}}}})
	found := false
	for _, p := range c.do("models/catalog", nil)["providers"].([]any) {
		p := p.(map[string]any)
		known := false
		for _, m := range p["models"].([]any) {
			m := m.(map[string]any)
			known = known || m["id"] == p["default_model_id"]
			found = found || m["id"] == "mine" && p["provider"] == "self_hosted" && m["server_id"] == "home"
		}
		if !known {
			t.Errorf("the default of %v is none of its models: %v", p["provider"], p["default_model_id"])
		}
	}
	if !found {
		t.Error("the self-hosted model is not listed")
	}
}
