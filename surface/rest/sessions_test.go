package rest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/id"
)

func TestA_session_is_made_talked_to_read_and_archived(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	made := w.post("/sessions", `{"prompt":"hello","model":"speaker","labels":{"team":"a"}}`).is(t, 200)
	s := text(t, made, "session_id")
	if made["text"] != "echo echo hello" || made["turns"] != 1.0 || made["tool_calls"] != 0.0 || made["session_ref"] != "here:"+s {
		t.Fatalf("%v", made)
	}
	if again := w.post("/sessions/"+s+"/messages", `{"session_id":"`+s+`","prompt":[{"type":"text","text":"more"}]}`).is(t, 200); again["text"] != "echo echo more" {
		t.Fatalf("%v", again)
	}
	if again := w.post("/sessions/here:"+s+"/messages", `{"prompt":"by ref"}`).is(t, 200); again["text"] != "echo echo by ref" {
		t.Fatalf("%v", again)
	}
	if d := w.get("/sessions/"+s).is(t, 200); d["session_id"] != s || d["session_ref"] != "here:"+s || !strings.Contains(text(t, d, "created_at"), "T") {
		t.Fatalf("%v", d)
	}
	if h := w.get("/sessions/"+s+"/history?offset=1&limit=2").is(t, 200); len(h["messages"].([]any)) != 2 || h["has_more"] != true || h["limit"] != 2.0 {
		t.Fatalf("%v", h)
	}
	list := w.get("/sessions?limit=5").is(t, 200)["sessions"].([]any)
	if len(list) != 1 || list[0].(map[string]any)["session_id"] != s {
		t.Fatalf("%v", list)
	}
	if st := w.get("/sessions/"+s+"/status").is(t, 200); st["state"] != "attached" && st["state"] != "idle" {
		t.Fatalf("%v", st)
	}
	if a := w.delete("/sessions/"+s).is(t, 200); a["archived"] != true || a["session_id"] != s {
		t.Fatalf("%v", a)
	}
	w.delete("/sessions/"+s).is(t, 200)
	w.get("/sessions/"+s+"/history").is(t, 200)
	w.post("/sessions/"+s+"/messages", `{"prompt":"late"}`).refused(t, 404, "NOT_FOUND")
}

func TestDetails_rows_and_effects_are_told_as_they_are_kept(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.session()
	for _, ref := range []string{s, "here:" + s, s[:8], "last", "~1"} {
		if d := w.get("/sessions/"+ref+"/detail").is(t, 200); d["session_id"] != s || d["last_cursor"] == nil {
			t.Fatalf("%s: %v", ref, d)
		}
	}
	rows := w.get("/sessions/"+s+"/transcript?from=1&before=2").is(t, 200)["rows"].([]any)
	if len(rows) != 1 {
		t.Fatalf("%v", rows)
	}
	w.submit(s, "wait")
	effects := w.get("/sessions/"+s+"/effects").is(t, 200)["effects"].([]any)
	for _, e := range effects {
		if e.(map[string]any)["kind"] == "" {
			t.Fatalf("%v", e)
		}
	}
	if list := w.get("/sessions?format=native").is(t, 200)["sessions"].([]any); list[0].(map[string]any)["phase"] == "" {
		t.Fatalf("%v", list)
	}
	w.get("/sessions/~9/detail").refused(t, 404, "NOT_FOUND")
	w.get("/sessions/~x/detail").refused(t, 400, "BAD_REQUEST")
}

func TestSubmitting_does_not_wait_and_the_outcome_can_be_waited_for(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.session()
	r := w.post("/sessions/"+s+"/inputs", `{"prompt":"wait for it"}`)
	first := r.is(t, 202)
	in := text(t, first, "input_id")
	if r.header.Get("Location") != "/sessions/"+s+"/inputs/"+in || first["session_id"] != s {
		t.Fatalf("%v %v", r.header, first)
	}
	second := w.submit(s, "after it")
	if st := w.get("/sessions/"+s+"/inputs/"+second).is(t, 200); st["outcome"] != nil || st["state"] == "" {
		t.Fatalf("%v", st)
	}
	if st := w.get("/sessions/"+s+"/inputs/"+second+"?wait=0.01").is(t, 200); st["outcome"] != nil {
		t.Fatalf("%v", st)
	}
	close(w.gate)
	st := w.get("/sessions/"+s+"/inputs/"+second+"?wait=60").is(t, 200)
	if out := st["outcome"].(map[string]any); out["status"] != "completed" || out["text"] != "echo echo after it" {
		t.Fatalf("%v", st)
	}
	w.get("/sessions/"+s+"/inputs/nobody").refused(t, 404, "NOT_FOUND")
	w.get("/sessions/"+s+"/inputs/"+in+"?wait=soon").refused(t, 400, "BAD_REQUEST")
}

func TestA_client_that_vanishes_leaves_a_run_that_goes_on(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.session()
	stream := w.events("/sessions/"+s+"/events", nil)
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		req := strings.NewReader(`{"prompt":"wait while I leave"}`)
		hr, err := newRequest(ctx, "POST", w.server.URL+"/sessions/"+s+"/messages", req)
		if err != nil {
			t.Error(err)
			return
		}
		if resp, err := w.client.Do(hr); err == nil {
			resp.Body.Close()
			t.Error("the client was answered after it had left")
		}
	}()
	stream.until("turn_started")
	cancel()
	<-gone
	close(w.gate)
	stream.until("run_completed")
}

func TestThe_same_key_again_is_the_same_input(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.session()
	head := map[string]string{"Idempotency-Key": "k1"}
	send := func(body string) map[string]any {
		return w.do(request{method: "POST", path: "/sessions/" + s + "/inputs", body: body, header: head}).is(t, 202)
	}
	first, second := send(`{"prompt":"once"}`), send(`{"prompt":"once"}`)
	if first["input_id"] != second["input_id"] || second["duplicate"] != true || first["duplicate"] != nil {
		t.Fatalf("%v %v", first, second)
	}
	w.get("/sessions/"+s+"/inputs/"+text(t, first, "input_id")+"?wait=60").is(t, 200)
	w.do(request{method: "POST", path: "/sessions/" + s + "/inputs", body: `{"prompt":"something else"}`, header: head}).is(t, 400)
	// A turn that is asked for again waits for the first, and is answered as it was.
	turn := func() map[string]any {
		return w.do(request{method: "POST", path: "/sessions/" + s + "/messages", body: `{"prompt":"a turn"}`, header: map[string]string{"Idempotency-Key": "k2"}}).is(t, 200)
	}
	if a, b := turn(), turn(); a["text"] != b["text"] || a["input_id"] != b["input_id"] {
		t.Fatalf("%v %v", a, b)
	}
	w.do(request{method: "POST", path: "/sessions/" + s + "/inputs", body: `{"prompt":"x","idempotency_key":"k3"}`, header: head}).refused(t, 400, "BAD_REQUEST")
}

func TestThe_same_key_again_is_the_same_session(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	create := func(body, key string) map[string]any {
		return w.do(request{method: "POST", path: "/sessions", body: body, header: map[string]string{"Idempotency-Key": key}}).is(t, 200)
	}
	for _, body := range []string{`{"prompt":"once"}`, `{"prompt":"later","initial_turn":"deferred"}`} {
		first, second, other := create(body, body), create(body, body), create(body, body+"x")
		if first["session_id"] != second["session_id"] || first["session_id"] == other["session_id"] || first["input_id"] != second["input_id"] {
			t.Errorf("%v %v %v", first, second, other)
		}
	}
	if list := w.get("/sessions").is(t, 200)["sessions"].([]any); len(list) != 4 {
		t.Errorf("there are %d sessions", len(list))
	}
	w.do(request{method: "POST", path: "/sessions", body: `{"prompt":"something else"}`, header: map[string]string{"Idempotency-Key": `{"prompt":"once"}`}}).refused(t, 400, "BAD_REQUEST")
}

func TestA_turn_in_a_busy_session_is_refused_and_an_interrupt_ends_one(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.session()
	in := w.submit(s, "wait")
	w.post("/sessions/"+s+"/messages", `{"prompt":"me too"}`).refused(t, 409, "CONFLICT")
	w.post("/sessions/"+s+"/interrupt", `{"run_id":"another"}`).refused(t, 409, "CONFLICT")
	if r := w.post("/sessions/"+s+"/interrupt", "").is(t, 200); r["interrupted"] != true {
		t.Fatalf("%v", r)
	}
	st := w.get("/sessions/"+s+"/inputs/"+in+"?wait=60").is(t, 200)
	if st["outcome"].(map[string]any)["status"] != "cancelled" {
		t.Fatalf("%v", st)
	}
	w.post("/sessions/"+s+"/interrupt", "").is(t, 200)
	w.post("/sessions/"+s+"/messages", `{"prompt":"again"}`).is(t, 200)
	if r := w.post("/sessions/"+s+"/cancel", "").is(t, 200); r["cancelling"] != false {
		t.Fatalf("%v", r)
	}
	in = w.submit(s, "wait at the boundary")
	if r := w.post("/sessions/"+s+"/cancel", "{}").is(t, 200); r["cancelling"] != true || r["run_id"] == nil {
		t.Fatalf("%v", r)
	}
	close(w.gate)
	w.get("/sessions/"+s+"/inputs/"+in+"?wait=60").is(t, 200)
	if r := w.post("/sessions/"+s+"/resume", "").is(t, 200); r["session_id"] != s {
		t.Fatalf("%v", r)
	}
}

func TestA_request_that_has_a_name_can_be_called_off(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.session()
	stream := w.events("/sessions/"+s+"/events", nil)
	head := map[string]string{"X-Meerkat-Request-Id": "r1"}
	answer := make(chan reply, 1)
	go func() {
		answer <- w.do(request{method: "POST", path: "/sessions/" + s + "/messages", body: `{"prompt":"wait"}`, header: head})
	}()
	stream.until("turn_started")
	w.do(request{method: "POST", path: "/sessions/" + s + "/messages", body: `{"prompt":"x"}`, header: head}).refused(t, 409, "DUPLICATE_REQUEST_ID")
	if r := w.post("/requests/r1/cancel", "").is(t, 200); r["cancelled"] != true || r["request_id"] != "r1" {
		t.Fatalf("%v", r)
	}
	(<-answer).refused(t, 499, "REQUEST_CANCELLED")
	if r := w.post("/requests/r1/cancel", "").is(t, 200); r["cancelled"] != false || r["reason"] != "already_terminal" {
		t.Fatalf("%v", r)
	}
	w.post("/requests/r2/cancel", "").refused(t, 404, "NOT_FOUND")
}

func TestWho_calls_off_the_waiting_for_an_input_that_waits_ends_nobodys_run(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.session()
	running := w.submit(s, "wait")
	head := map[string]string{"Idempotency-Key": "k", "X-Meerkat-Request-Id": "r1"}
	w.do(request{method: "POST", path: "/sessions/" + s + "/inputs", body: `{"prompt":"next"}`, header: head}).is(t, 202)
	answer := make(chan reply, 1)
	go func() {
		answer <- w.do(request{method: "POST", path: "/sessions/" + s + "/messages", body: `{"prompt":"next"}`, header: head})
	}()
	for w.post("/requests/r1/cancel", "").status == 404 { // until it is there
		runtime.Gosched()
	}
	(<-answer).refused(t, 499, "REQUEST_CANCELLED")
	if st := w.get("/sessions/"+s+"/inputs/"+running).is(t, 200); st["outcome"] != nil {
		t.Errorf("what another had submitted has ended: %v", st)
	}
	close(w.gate)
}

func TestA_session_whose_first_turn_fails_is_named_in_the_error(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.post("/sessions", `{"prompt":"fail","model":"speaker"}`).refused(t, 500, "SESSION_CREATED_WITH_TURN_FAILURE")
	d := p["details"].(map[string]any)
	s := text(t, d, "session_id")
	if d["session_created"] != true || d["session_ref"] != "here:"+s || d["turn_error_code"] == nil || d["turn_error_message"] == nil {
		t.Fatalf("%v", d)
	}
	w.get("/sessions/"+s).is(t, 200)
	q := w.post("/sessions/"+s+"/messages", `{"prompt":"fail"}`)
	if q.status < 500 || !strings.Contains(string(q.body), "no mind") {
		t.Fatalf("%d %s", q.status, q.body)
	}
}

func TestA_session_is_destroyed_and_its_history_stays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.session()
	if r := w.post("/sessions/"+s+"/destroy", "").is(t, 200); r["destroyed"] != true || r["abandoned"] != 0.0 {
		t.Fatalf("%v", r)
	}
	w.get("/sessions/"+s+"/history").is(t, 200)
	w.post("/sessions/"+s+"/inputs", `{"prompt":"x"}`).refused(t, 404, "NOT_FOUND")
}

func TestSettings_are_read_replaced_and_merged_under_a_generation(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	put := func(m, body string) reply { return w.do(request{method: m, path: "/config", body: body}) }
	if c := w.get("/config").is(t, 200); c["generation"] != 0.0 || c["realm_id"] != "here" || c["resolved_paths"] != nil {
		t.Fatalf("%v", c)
	}
	if c := put("PUT", `{"config":{"max_tokens":7},"expected_generation":0}`).is(t, 200); c["generation"] != 1.0 {
		t.Fatalf("%v", c)
	}
	put("PUT", `{"config":{"max_tokens":7},"expected_generation":0}`).refused(t, 400, "BAD_REQUEST")
	put("PUT", `{"config":{"max_tokens":7},"expected_generation":"x"}`).refused(t, 400, "BAD_REQUEST")
	if c := put("PATCH", `{"patch":{"model":"m"}}`).is(t, 200); fmt.Sprint(c["config"]) != "map[max_tokens:7 model:m]" {
		t.Fatalf("%v", c)
	}
	if c := put("PUT", `{"max_tokens":8}`).is(t, 200); fmt.Sprint(c["config"]) != "map[max_tokens:8]" {
		t.Fatalf("%v", c)
	}
}

func TestWhat_the_server_is_can_be_asked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if h := w.get("/health"); h.status != 200 || string(h.body) != "ok" {
		t.Fatalf("%d %s", h.status, h.body)
	}
	w.get("/readyz").is(t, 200)
	for _, path := range []string{"/capabilities", "/models/catalog", "/runtime/host_info", "/runtime/capabilities", "/runtime/health", "/openapi.json"} {
		w.get(path).is(t, 200)
	}
	w.get("/skills").refused(t, 501, "CAPABILITY_UNAVAILABLE")
	w.goDown()
	w.get("/readyz").refused(t, 503, "SERVICE_UNAVAILABLE")
	w.get("/health").header.Get("X-Content-Type-Options")
}

func TestA_session_id_of_the_callers_choice_makes_creation_repeatable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := id.New()
	body, err := json.Marshal(map[string]any{"prompt": "hello", "session_id": s, "initial_turn": "deferred"})
	if err != nil {
		t.Fatal(err)
	}
	if r := w.post("/sessions", string(body)).is(t, 200); r["session_id"] != s {
		t.Fatalf("%v", r)
	}
	w.post("/sessions", string(body)).refused(t, 400, "BAD_REQUEST")
}
