package sdk

import (
	"fmt"
	"strings"
	"testing"
)

// slowly answers a word every 20 ms, for a long time; a message with "quick" at once.
var slowly = `{"steps": [{"when": {"user": "quick"}, "always": true, "reply": {"text": "Done."}},
  {"always": true, "reply": {"delay": "20ms", "text": "` + strings.Repeat("and on ", 2000) + `"}}]}`

func TestA_cancel_ends_what_it_names(t *testing.T) {
	t.Parallel()
	w, model := scripted(t, slowly)
	c := spawn(t, w).connect()
	s := c.do("session/create", object{"prompt": "quick", "model": model})["session_id"].(string)
	turn := c.ask("turn/start", object{"session_id": s, "prompt": "long"})
	c.sees(s, "run_started", 2)
	c.line(fmt.Sprintf(`{"jsonrpc":"2.0","method":"cancel","params":{"request_id":"%d"}}`+"\n", turn.id)) // another id: a string
	c.sees(s, "text_delta", 6)
	c.cancel(turn)
	r := turn.get()
	if r.err == nil || r.err.code != "-32005" || r.err.message != "request cancelled before response publish" {
		t.Errorf("cancelled: %v", r.err)
	}
	if got := c.events(s, 0, 1<<30); got[len(got)-1].kind != "run_failed" || got[len(got)-1].event["error_class"] != "cancelled" || got[len(got)-1].at > r.at {
		t.Errorf("the end of the run: %v", got[len(got)-1].event)
	}
	c.cancel(turn) // it is answered
	done := c.ask("turn/start", object{"session_id": s, "prompt": "quick"})
	if r := done.good(); r["text"] != "Done." {
		t.Errorf("afterwards: %v", r)
	}
	c.cancel(done)
	if i := c.do("session/read", object{"session_id": s}); i["is_active"] != false {
		t.Errorf("afterwards: %v", i)
	}
}

func (c *client) cancel(a *asked) {
	c.line(fmt.Sprintf(`{"jsonrpc":"2.0","method":"cancel","params":{"request_id":%d}}`+"\n", a.id))
}

func TestA_session_whose_making_is_cancelled_is_archived(t *testing.T) {
	t.Parallel()
	w, model := scripted(t, slowly)
	c := spawn(t, w).connect()
	made := c.ask("session/create", object{"prompt": "long", "model": model})
	c.until("it began", func() bool { return len(c.notes) > 3 })
	c.cancel(made)
	if e := made.bad("-32005"); e.message != "request cancelled before response publish" {
		t.Errorf("%v", e)
	}
	s := c.notes[0].session
	if l := c.do("session/list", nil)["sessions"].([]any); len(l) != 0 {
		t.Errorf("listed: %v", l)
	}
	c.fails("-32001", "turn/start", object{"session_id": s, "prompt": "x"})
}

func TestA_cancel_on_the_heels_of_its_request_leaves_no_doubt(t *testing.T) {
	t.Parallel()
	w, model := scripted(t, slowly)
	c := spawn(t, w).connect()
	for range 20 {
		made := c.ask("session/create", object{"prompt": "long", "model": model})
		c.cancel(made)
		e := made.bad("-32005")
		if !strings.HasPrefix(e.message, "request cancelled before ") {
			t.Errorf("%v", e)
		}
	}
	if l := c.do("session/list", nil)["sessions"].([]any); len(l) != 0 {
		t.Errorf("listed: %v", l)
	}
	s := c.do("session/create", object{"prompt": "quick", "model": model})["session_id"].(string)
	for range 20 {
		turn := c.ask("turn/start", object{"session_id": s, "prompt": "long"})
		c.cancel(turn)
		turn.bad("-32005")
	}
	if r := c.do("turn/start", object{"session_id": s, "prompt": "quick"}); r["text"] != "Done." {
		t.Errorf("afterwards: %v", r)
	}
}

func TestArchiving_ends_the_run_and_the_streams(t *testing.T) {
	t.Parallel()
	w, model := scripted(t, slowly)
	c := spawn(t, w).connect()
	s := c.do("session/create", object{"prompt": "quick", "model": model})["session_id"].(string)
	stream := c.do("session/stream_open", object{"session_id": s})["stream_id"].(string)
	turn := c.ask("turn/start", object{"session_id": s, "prompt": "long"})
	c.sees(s, "text_delta", 4)
	c.do("session/archive", object{"session_id": s})
	if e := turn.bad("-32005"); e.message != "request cancelled" {
		t.Errorf("%v", e)
	}
	l := c.events(s, 0, 1<<30)
	if last := l[len(l)-1]; last.kind != "run_failed" || last.event["error_class"] != "cancelled" {
		t.Errorf("the end of the run: %v", last.event)
	}
	c.until("the stream ended", func() bool { return c.streams[stream] != nil && c.streams[stream].end != nil })
	if c.streams[stream].end["outcome"] != "remote_end" {
		t.Errorf("%v", c.streams[stream].end)
	}
	if r := c.do("session/stream_close", object{"stream_id": stream}); r["already_closed"] != true {
		t.Errorf("%v", r)
	}
	c.fails("-32001", "turn/start", object{"session_id": s, "prompt": "x"})
	c.do("session/history", object{"session_id": s})
}

func TestA_run_that_fails_is_told_in_codes(t *testing.T) {
	t.Parallel()
	w, model := scripted(t, `{"steps": [
	  {"when": {"user": "key"}, "always": true, "failures": [{"kind": "authentication_failed", "message": "no such key"}]},
	  {"when": {"user": "again"}, "failures": [{"status": 503, "retry_after": "10ms"}], "always": true, "reply": {"text": "At last."}},
	  {"always": true, "reply": {"text": "x"}}]}`)
	c := spawn(t, w).connect()
	s := c.do("session/create", object{"prompt": "x", "model": model})["session_id"].(string)
	turn := c.ask("turn/start", object{"session_id": s, "prompt": "key"})
	if e := turn.bad("-32010"); !strings.Contains(e.message, "no such key") {
		t.Errorf("%v", e.raw)
	}
	l := c.events(s, 0, 1<<30)
	if last := l[len(l)-1]; last.kind != "run_failed" || last.event["error_class"] != "llm" && last.event["error_class"] != "auth" {
		t.Errorf("%v", last.event)
	}
	r := c.ask("turn/start", object{"session_id": s, "prompt": "again"}).get()
	if r.err != nil || r.result["text"] != "At last." {
		t.Fatalf("%v %v", r.result, r.err)
	}
	if got := kinds(c.events(s, 0, r.at)); !strings.Contains(got, "retrying") {
		t.Errorf("%s", got)
	}
	e := c.fails("-32010", "session/create", object{"prompt": "key", "model": model})
	data, _ := e.raw["data"].(map[string]any)
	if data["session_created"] != true || uuid(data["session_id"]) != nil {
		t.Errorf("the session is not named: %v", e.raw)
	} else {
		c.do("session/read", object{"session_id": data["session_id"]})
	}
	const none = "no-such-model-anywhere"
	for _, e := range []*failure{c.fails("-32602", "session/create", object{"prompt": "x", "model": none}),
		c.fails("-32602", "turn/start", object{"session_id": s, "prompt": "x", "model": none})} {
		if !strings.Contains(e.message, none) {
			t.Errorf("%v", e)
		}
	}
}
