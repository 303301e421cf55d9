package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/surface/rest"
)

func tenants() *ring {
	return &ring{keys: map[string]control.Grant{
		"secret-here":  {Key: "alice", Realm: "here", Level: control.Admin},
		"secret-there": {Key: "bob", Realm: "there", Level: control.Admin},
	}}
}

func TestAnother_tenants_session_is_not_there(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keyed(tenants()))
	made := w.do(request{method: "POST", path: "/sessions", body: `{"prompt":"mine","model":"speaker"}`, header: bearer("secret-here")}).is(t, 200)
	mine, none := text(t, made, "session_id"), id.New()
	for name, r := range each(mine, text(t, made, "input_id")) {
		if !strings.HasPrefix(r.path, "/sessions/") {
			continue
		}
		r.header = bearer("secret-there")
		foreign := w.do(r)
		foreign.refused(t, 404, "NOT_FOUND")
		r.path = strings.Replace(r.path, mine, none, 1)
		nobodys := w.do(r)
		same := func(b []byte, s string) string {
			var p map[string]any
			if err := json.Unmarshal(b, &p); err != nil {
				t.Fatal(err)
			}
			delete(p, "request_id")
			out, err := json.Marshal(p)
			if err != nil {
				t.Fatal(err)
			}
			return strings.ReplaceAll(string(out), s, "S")
		}
		if a, b := same(foreign.body, mine), same(nobodys.body, none); a != b {
			t.Errorf("%s: another's session is answered with %s, and one that is not there with %s", name, a, b)
		}
	}
	// Neither does naming the realm help, nor is another's request to be called off, nor another's cursor of any use.
	w.do(request{method: "GET", path: "/sessions/here:" + mine, header: bearer("secret-there")}).refused(t, 400, "BAD_REQUEST")
	w.do(request{method: "GET", path: "/sessions/last/detail", header: bearer("secret-there")}).refused(t, 404, "NOT_FOUND")
	w.do(request{method: "GET", path: "/sessions/" + mine[:8] + "/detail", header: bearer("secret-there")}).refused(t, 404, "NOT_FOUND")
	if list := w.do(request{method: "GET", path: "/sessions", header: bearer("secret-there")}).is(t, 200)["sessions"].([]any); len(list) != 0 {
		t.Fatalf("%v", list)
	}
	w.do(request{method: "GET", path: "/sessions/" + mine, header: bearer("secret-here")}).is(t, 200)
}

func TestA_request_of_another_tenant_cannot_be_called_off(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keyed(tenants()))
	made := w.do(request{method: "POST", path: "/sessions", body: `{"prompt":"mine","model":"speaker"}`, header: bearer("secret-here")}).is(t, 200)
	s := text(t, made, "session_id")
	stream := w.events("/sessions/"+s+"/events", bearer("secret-here"))
	answer := make(chan reply, 1)
	go func() {
		h := bearer("secret-here")
		h["X-Meerkat-Request-Id"] = "r1"
		answer <- w.do(request{method: "POST", path: "/sessions/" + s + "/messages", body: `{"prompt":"wait"}`, header: h})
	}()
	stream.until("turn_started")
	w.do(request{method: "POST", path: "/requests/r1/cancel", header: bearer("secret-there")}).refused(t, 404, "NOT_FOUND")
	close(w.gate)
	(<-answer).is(t, 200)
}

func TestA_key_is_asked_for_and_one_that_was_revoked_is_none(t *testing.T) {
	t.Parallel()
	keys := tenants()
	w := newWorld(t, keyed(keys))
	for _, h := range []map[string]string{nil, bearer("wrong"), bearer(""), {"Authorization": "Basic c2VjcmV0LWhlcmU="}, {"X-API-Key": "secret"}, {"Authorization": "secret-here"}} {
		r := w.do(request{method: "GET", path: "/sessions", header: h})
		r.refused(t, 401, "UNAUTHORIZED")
		if got := r.header.Get("WWW-Authenticate"); !strings.HasPrefix(got, "Bearer") {
			t.Errorf("WWW-Authenticate: %q", got)
		}
	}
	for _, h := range []map[string]string{bearer("secret-here"), {"X-API-Key": "secret-here"}, {"Authorization": "bearer secret-here"}} {
		w.do(request{method: "GET", path: "/sessions", header: h}).is(t, 200)
	}
	keys.revoke("secret-here")
	w.do(request{method: "GET", path: "/sessions", header: bearer("secret-here")}).refused(t, 401, "UNAUTHORIZED")
	w.get("/health")
	w.get("/readyz").is(t, 200)
	if log := w.log.String(); strings.Contains(log, "secret-") || !strings.Contains(log, `"key":"alice"`) {
		t.Error("the log names keys by their names, and has nothing of the keys")
	}
}

func TestA_stream_ends_when_its_key_is_revoked(t *testing.T) {
	t.Parallel()
	keys := tenants()
	w := newWorld(t, keyed(keys), func(c *rest.Config) { c.Heartbeat = time.Millisecond })
	made := w.do(request{method: "POST", path: "/sessions", body: `{"prompt":"mine","model":"speaker"}`, header: bearer("secret-here")}).is(t, 200)
	r := w.events("/sessions/"+text(t, made, "session_id")+"/events", bearer("secret-here"))
	r.next()
	keys.revoke("secret-here")
	e := r.next()
	if e.Name != "error" || !strings.Contains(string(e.Data), "UNAUTHORIZED") {
		t.Fatalf("%s %s", e.Name, e.Data)
	}
	if _, err := r.in.Next(); err != io.EOF {
		t.Fatal(err)
	}
}

func TestEvents_from_outside_may_need_a_secret(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *rest.Config) { c.Webhook = "hush" })
	s := w.session()
	send := func(h map[string]string) reply {
		return w.do(request{method: "POST", path: "/sessions/" + s + "/external-events", body: `{"kind":"generic_json","event_type":"x","payload":1,"wake":false}`, header: h})
	}
	send(nil).refused(t, 401, "UNAUTHORIZED")
	send(map[string]string{"X-Webhook-Secret": "hus"}).refused(t, 401, "UNAUTHORIZED")
	if r := send(map[string]string{"X-Webhook-Secret": "hush"}).is(t, 202); r["queued"] != true {
		t.Fatalf("%v", r)
	}
}

func TestPages_of_other_sites_have_no_way_in(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *rest.Config) { c.Hosts = []string{"box.example"} })
	s := w.session()
	local := strings.TrimPrefix(w.server.URL, "http://")
	for host, status := range map[string]int{"localhost": 200, "LOCALHOST:80": 200, "127.0.0.1:1": 200, "[::1]:8080": 200, local: 200, "box.example": 200, "box.example:8080": 200,
		"evil.example": 403, "evil.example:80": 403, "localhost.evil.example": 403, "127.0.0.1.evil.example": 403, "10.0.0.1": 403, "box.example.evil": 403} {
		if got := w.do(request{method: "GET", path: "/sessions/" + s, header: map[string]string{"Host": host}}); got.status != status {
			t.Errorf("addressed to %s: %d, want %d", host, got.status, status)
		}
	}
	for _, h := range []map[string]string{{"Origin": "http://evil.example"}, {"Origin": "null"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}} {
		w.do(request{method: "POST", path: "/sessions/" + s + "/interrupt", header: h}).refused(t, 403, "FORBIDDEN")
		if r := w.do(request{method: "GET", path: "/sessions/" + s, header: h}); r.header.Get("Access-Control-Allow-Origin") != "" {
			t.Error("a page of another site may read the answer")
		}
	}
	for _, h := range []map[string]string{{"Origin": w.server.URL}, {"Sec-Fetch-Site": "same-origin"}, {"Sec-Fetch-Site": "none"}} {
		w.do(request{method: "POST", path: "/sessions/" + s + "/interrupt", header: h}).is(t, 200)
	}
	r := w.do(request{method: "OPTIONS", path: "/sessions", header: map[string]string{"Origin": "http://evil.example", "Access-Control-Request-Method": "POST"}})
	r.refused(t, 405, "METHOD_NOT_ALLOWED")
	if got := r.header.Values("Allow"); !slices.Equal(got, []string{"GET", "HEAD", "POST"}) {
		t.Errorf("Allow: %v", got)
	}
}

func TestA_path_that_is_not_there_is_told_from_a_method_that_is_not(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.get("/nowhere").refused(t, 404, "NOT_FOUND")
	w.get("/sessions/x/y/z").refused(t, 404, "NOT_FOUND")
	w.do(request{method: "PUT", path: "/sessions"}).refused(t, 405, "METHOD_NOT_ALLOWED")
	w.do(request{method: "TRACE", path: "/health"}).refused(t, 405, "METHOD_NOT_ALLOWED")
	w.get("/requests/x/cancel").refused(t, 405, "METHOD_NOT_ALLOWED")
	if r := w.do(request{method: "HEAD", path: "/health"}); r.status != 200 {
		t.Errorf("HEAD: %d", r.status)
	}
	if got := w.get("/health").header; got.Get("X-Content-Type-Options") != "nosniff" || got.Get("Cache-Control") != "no-store" || got.Get("X-Request-Id") == "" {
		t.Errorf("%v", got)
	}
}

func TestBodies_that_are_too_large_too_deep_or_no_JSON_are_refused(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *rest.Config) { c.MaxBody = 64 << 10 })
	s := w.session()
	at := "/sessions/" + s + "/messages"
	p := w.post(at, `{"prompt":"`+strings.Repeat("x", 64<<10)+`"}`).refused(t, 413, "PAYLOAD_TOO_LARGE")
	if p["details"].(map[string]any)["max_bytes"] != float64(64<<10) {
		t.Errorf("%v", p)
	}
	// Without a length, so that it has to be read.
	pipe, feed := io.Pipe()
	go func() { _, err := io.Copy(feed, io.LimitReader(endless{}, 100<<20)); feed.CloseWithError(err) }()
	req, err := newRequest(t.Context(), "POST", w.server.URL+at, pipe)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := w.client.Do(req); err == nil {
		if resp.Body.Close(); resp.StatusCode != 413 {
			t.Errorf("100 MB are answered with %d", resp.StatusCode)
		}
	}
	pipe.Close()
	for _, body := range []string{strings.Repeat("[", 1000), `{"prompt":` + strings.Repeat(`{"a":`, 200) + "1" + strings.Repeat("}", 200) + "}", `{"prompt":"` + "\xff" + `"}`, `{"prompt":"x"} {}`,
		`{"prompt":"x"`, "null", "[]", `"x"`, "7", `{"prompt":7}`, `{"prompt":null}`, "{}", `{"prompt":""}`, `{"prompt":[{"type":"hologram"}]}`, `{"prompt":"x","session_id":"y"}`,
		`{"prompt":"x","session_id":"` + id.New() + `"}`} {
		w.post(at, body).refused(t, 400, "BAD_REQUEST")
	}
	w.do(request{method: "POST", path: at}).refused(t, 400, "BAD_REQUEST")
	w.do(request{method: "POST", path: at, body: `{"prompt":"x"}`, header: map[string]string{"Content-Type": "text/plain"}}).refused(t, 415, "UNSUPPORTED_MEDIA_TYPE")
	// What a newer client says beside is passed over, and braces in a text are no nesting.
	w.post(at, `{"prompt":"`+strings.Repeat(`{[\"`, 300)+`","from_the_future":{"x":1}}`).is(t, 200)
}

// endless is text without an end.
type endless struct{}

func (endless) Read(p []byte) (int, error) { return copy(p, bytes.Repeat([]byte("x"), len(p))), nil }

// Bodies that never come are waited for only so long, and all bodies together hold only so much memory.
func TestBodies_that_do_not_come_are_not_waited_for(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *rest.Config) { c.BodyTimeout = 30 * time.Millisecond })
	s := w.session()
	conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	// Not even by one who is refused before his body is looked at.
	for _, path := range []string{"/nowhere", "/health", "/sessions"} {
		conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "PUT %s HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100000\r\n\r\n", path)
		if answer, err := io.ReadAll(conn); err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 40") {
			t.Fatalf("%v %s", err, answer)
		}
	}
	fmt.Fprintf(conn, "POST /sessions/%s/messages HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"pro", s)
	answer, err := io.ReadAll(conn) // it is closed
	if err != nil || !strings.HasPrefix(string(answer), "HTTP/1.1 408") {
		t.Fatalf("%v %s", err, answer)
	}
	// The time for a body does not run on while its request is carried out.
	result := make(chan reply, 1)
	stream := w.events("/sessions/"+s+"/events", nil)
	go func() { result <- w.post("/sessions/"+s+"/messages", `{"prompt":"wait"}`) }()
	stream.until("turn_started")
	time.AfterFunc(100*time.Millisecond, func() { close(w.gate) })
	(<-result).is(t, 200)
}

func TestAll_bodies_together_are_bounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *rest.Config) { c.MaxBody = 32 << 10; c.MaxBodies = 48 << 10 })
	s := w.session()
	body, feed := io.Pipe()
	slow := httptest.NewRequest("POST", "http://localhost/sessions/"+s+"/messages", body)
	var wg sync.WaitGroup
	wg.Go(func() { w.server.Config.Handler.ServeHTTP(httptest.NewRecorder(), slow) })
	if _, err := io.WriteString(feed, strings.Repeat(" ", 20000)); err != nil { // it is held when it was written
		t.Fatal(err)
	}
	full := `{"prompt":"` + strings.Repeat("x", 20000) + `"}`
	w.post("/sessions/"+s+"/messages", full).refused(t, 503, "SERVICE_UNAVAILABLE")
	feed.Close()
	wg.Wait()
	w.post("/sessions/"+s+"/messages", full).is(t, 200) // its room was given back
}

func TestWho_asks_too_often_waits_and_nobody_else_does(t *testing.T) {
	t.Parallel()
	w := newWorld(t, keyed(tenants()), func(c *rest.Config) { c.Rate, c.Burst = 0.0001, 5 })
	ask := func(token string) reply {
		return w.do(request{method: "GET", path: "/sessions", header: bearer(token)})
	}
	for range 5 {
		ask("secret-here").is(t, 200)
	}
	r := ask("secret-here")
	r.refused(t, 429, "RATE_LIMITED")
	ask("secret-there").is(t, 200)
	for range 5 {
		ask("wrong").refused(t, 401, "UNAUTHORIZED")
	}
	ask("wrong").refused(t, 429, "RATE_LIMITED")
	ask("secret-there").is(t, 200) // from the same address, with a good key
}

func TestWho_waits_takes_a_place_of_which_there_are_so_many(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *rest.Config) { c.Waits, c.WaitsPerKey = 2, 1 })
	s := w.session()
	stream := w.events("/sessions/"+s+"/events", nil)
	answer := make(chan reply, 1)
	go func() { answer <- w.post("/sessions/"+s+"/messages", `{"prompt":"wait"}`) }()
	stream.until("turn_started")
	w.post("/sessions", `{"prompt":"x","model":"speaker"}`).refused(t, 429, "TOO_MANY_WAITING")
	in := w.submit(s, "I do not wait")
	w.get("/sessions/"+s+"/inputs/"+in+"?wait=1").refused(t, 429, "TOO_MANY_WAITING")
	w.get("/sessions/"+s+"/inputs/"+in).is(t, 200)
	close(w.gate)
	(<-answer).is(t, 200)
	w.get("/sessions/"+s+"/inputs/"+in+"?wait=60").is(t, 200)
}

func TestEach_request_is_told_to_the_log_and_to_the_metrics(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	seen := map[string]int{}
	w := newWorld(t, func(c *rest.Config) {
		c.Observe = func(route string, status int, took time.Duration) {
			mu.Lock()
			defer mu.Unlock()
			seen[fmt.Sprint(route, " ", status)]++
		}
	})
	s := w.session()
	w.get("/sessions/" + s + "?token=hidden")
	w.get("/sessions/" + id.New())
	w.get("/nowhere")
	mu.Lock()
	defer mu.Unlock()
	for _, want := range []string{"POST /sessions 200", "GET /sessions/{id} 200", "GET /sessions/{id} 404", "none 404"} {
		if seen[want] != 1 {
			t.Errorf("%s was observed %d times: %v", want, seen[want], seen)
		}
	}
	log := w.log.String()
	if strings.Contains(log, "hidden") || strings.Contains(log, "hello") {
		t.Error("the log says what was asked")
	}
	if !strings.Contains(log, `"route":"GET /sessions/{id}"`) || !strings.Contains(log, `"request_id"`) {
		t.Errorf("%s", log)
	}
}

func TestA_defect_is_answered_and_logged_and_tells_nothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *rest.Config) { c.Ready = func(context.Context) error { panic("at the disco") } })
	r := w.get("/readyz")
	p := r.refused(t, 500, "INTERNAL_ERROR")
	if strings.Contains(string(r.body), "disco") {
		t.Errorf("%s", r.body)
	}
	if log := w.log.String(); !strings.Contains(log, "disco") || !strings.Contains(log, text(t, p, "request_id")) {
		t.Errorf("%s", log)
	}
}
