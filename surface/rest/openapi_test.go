package rest_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"
	"github.com/getkin/kin-openapi/openapi3filter"
	"github.com/getkin/kin-openapi/routers"
	"github.com/getkin/kin-openapi/routers/legacy"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/surface/rest"
)

// contract is the document that the server gives of itself.
type contract struct {
	doc    *openapi3.T
	router routers.Router
}

// theContract is read once. All requests of all tests are held against it.
var theContract = sync.OnceValues(func() (*contract, error) {
	h := rest.New(rest.Config{Door: &control.Door{}})
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/openapi.json", nil))
	doc, err := openapi3.NewLoader().LoadFromData(rec.Body.Bytes())
	if err != nil {
		return nil, err
	}
	if err := doc.Validate(context.Background(), openapi3.IsOpenAPI31OrLater()); err != nil {
		return nil, err
	}
	router, err := legacy.NewRouter(doc)
	return &contract{doc, router}, err
})

// keeps holds a request and its answer against the document.
func keeps(t testing.TB, r request, got reply) {
	t.Helper()
	if err := breach(t.Context(), r, got); err != nil {
		t.Errorf("%s %s, answered with %d: %v", r.method, r.path, got.status, err)
	}
}

// breach says what of a request and its answer is not as documented. A request that was refused need not be; its answer must.
func breach(ctx context.Context, r request, got reply) error {
	c, err := theContract()
	if err != nil {
		return err
	}
	req, err := newRequest(ctx, r.method, "/", strings.NewReader(r.body))
	if err != nil {
		return err
	}
	if req.URL, err = url.Parse(r.path); err != nil {
		return err
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	if r.body == "" {
		req.Body, req.ContentLength = nil, 0
		req.Header.Del("Content-Type")
	}
	route, params, err := c.router.FindRoute(req)
	if err != nil {
		if got.status != 404 && got.status != 405 {
			return err
		}
		return nil
	}
	in := &openapi3filter.RequestValidationInput{Request: req, PathParams: params, Route: route,
		Options: &openapi3filter.Options{AuthenticationFunc: openapi3filter.NoopAuthenticationFunc, IncludeResponseStatus: true}}
	if got.status < 400 {
		if err := openapi3filter.ValidateRequest(ctx, in); err != nil {
			return fmt.Errorf("its request is not as documented: %w", err)
		}
	}
	if strings.HasPrefix(got.header.Get("Content-Type"), "text/") {
		return nil
	}
	return openapi3filter.ValidateResponse(ctx, &openapi3filter.ResponseValidationInput{RequestValidationInput: in, Status: got.status, Header: got.header,
		Body: io.NopCloser(bytes.NewReader(got.body)), Options: in.Options})
}

func TestThe_check_against_the_document_notices_a_breach(t *testing.T) {
	t.Parallel()
	at := "/sessions/x"
	asJSON, asProblem := http.Header{"Content-Type": {"application/json"}}, http.Header{"Content-Type": {"application/problem+json"}}
	good := `{"session_id":"x","session_ref":"","created_at":"2026-01-01T00:00:00Z","updated_at":"2026-01-01T00:00:00Z","message_count":1,"total_tokens":2}`
	for _, c := range []struct {
		name string
		r    request
		got  reply
		ok   bool
	}{
		{"a good answer", request{method: "GET", path: at}, reply{200, asJSON, []byte(good)}, true},
		{"a field is missing", request{method: "GET", path: at}, reply{200, asJSON, []byte(strings.Replace(good, "message_count", "messages", 1))}, false},
		{"a field is of another type", request{method: "GET", path: at}, reply{200, asJSON, []byte(strings.Replace(good, ":1,", `:"1",`, 1))}, false},
		{"an error that is no problem", request{method: "GET", path: at}, reply{404, asProblem, []byte(`{"error":"x"}`)}, false},
		{"an answer of another kind", request{method: "GET", path: at}, reply{200, asProblem, []byte(good)}, false},
		{"a body that is not documented", request{method: "POST", path: at + "/system_context", body: `{"source":"x"}`}, reply{200, asJSON, []byte(`{"status":"staged"}`)}, false},
		{"a parameter of another type", request{method: "GET", path: at + "/effects?x=1"}, reply{200, asJSON, []byte(`{"effects":[]}`)}, true},
		{"a route that is not documented", request{method: "GET", path: "/secret"}, reply{200, asJSON, []byte("{}")}, false},
	} {
		if err := breach(t.Context(), c.r, c.got); (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

// each is a request for every route there is.
func each(s, in string) map[string]request {
	at := "/sessions/" + s
	return map[string]request{
		"health": {method: "GET", path: "/health"}, "ready": {method: "GET", path: "/readyz"}, "openapi": {method: "GET", path: "/openapi.json"},
		"capabilities": {method: "GET", path: "/capabilities"}, "models": {method: "GET", path: "/models/catalog"}, "skills": {method: "GET", path: "/skills"},
		"hostInfo": {method: "GET", path: "/runtime/host_info"}, "hostCapabilities": {method: "GET", path: "/runtime/capabilities"},
		"hostHealth": {method: "GET", path: "/runtime/health"}, "getConfig": {method: "GET", path: "/config"},
		"setConfig": {method: "PUT", path: "/config", body: `{"max_tokens":5}`}, "patchConfig": {method: "PATCH", path: "/config", body: `{"patch":{"x":1}}`},
		"createSession": {method: "POST", path: "/sessions", body: `{"prompt":"hello","model":"speaker","max_tokens":10,"labels":{"a":"b"}}`},
		"askHelp":       {method: "POST", path: "/help", body: `{"question":"how?","model":"speaker","execution_mode":"plan_execution"}`},
		"listSessions":  {method: "GET", path: "/sessions?label=a%3Db&limit=3&offset=0&archived=true"}, "getSession": {method: "GET", path: at}, "getDetail": {method: "GET", path: at + "/detail"},
		"archiveSession": {method: "DELETE", path: at}, "getStatus": {method: "GET", path: at + "/status"}, "getHistory": {method: "GET", path: at + "/history?limit=2"},
		"getTranscript": {method: "GET", path: at + "/transcript?from=1"}, "getEffects": {method: "GET", path: at + "/effects"},
		"forkSession": {method: "POST", path: at + "/fork", body: `{"message_index":1}`}, "resumeSession": {method: "POST", path: at + "/resume"},
		"destroySession": {method: "POST", path: at + "/destroy"}, "streamEvents": {method: "GET", path: at + "/events?after=0"},
		"sendMessage":      {method: "POST", path: at + "/messages", body: `{"prompt":"hello"}`},
		"cancelRequest":    {method: "POST", path: "/requests/r9/cancel"},
		"submitInput":      {method: "POST", path: at + "/inputs", body: `{"prompt":"steer","lane":"steer"}`},
		"getInput":         {method: "GET", path: at + "/inputs/" + in + "?wait=60"},
		"interrupt":        {method: "POST", path: at + "/interrupt"},
		"cancelAtBoundary": {method: "POST", path: at + "/cancel"},
		"injectContext":    {method: "POST", path: at + "/system_context", body: `{"text":"it is late","source":"clock","idempotency_key":"c1"}`},
		"externalEvent":    {method: "POST", path: at + "/external-events", body: `{"kind":"generic_json","event_type":"mail","payload":{"from":"x"}}`},
	}
}

// last are those that end the session, in order.
var last = []string{"archiveSession", "destroySession"}

func operations(t testing.TB) map[string]*openapi3.Operation {
	t.Helper()
	c, err := theContract()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]*openapi3.Operation{}
	for path, item := range c.doc.Paths.Map() {
		for method, op := range item.Operations() {
			if op.OperationID == "" || out[op.OperationID] != nil {
				t.Errorf("%s %s: operation id %q", method, path, op.OperationID)
			}
			out[op.OperationID] = op
		}
	}
	return out
}

func TestThe_document_is_held_by_every_route(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.session()
	in := w.submit(s, "an input")
	w.get("/sessions/" + s + "/inputs/" + in + "?wait=60")
	all := each(s, in)
	ops := operations(t)
	for name := range ops {
		if _, ok := all[name]; !ok {
			t.Errorf("no request for the operation %s", name)
		}
	}
	do := func(name string) {
		r := all[name]
		if ops[name] == nil {
			t.Errorf("the document has no operation %s", name)
			return
		}
		if name == "streamEvents" {
			w.events(r.path, nil).until("run_completed")
			return
		}
		got := w.do(r)
		if unavailable := got.status == 501 && strings.Contains(string(got.body), "CAPABILITY_UNAVAILABLE"); got.status >= 400 && !unavailable && name != "cancelRequest" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	for name := range all {
		if name != last[0] && name != last[1] {
			do(name)
			w.get("/sessions/" + s + "/detail") // so that what was submitted is looked at in every state
		}
	}
	for _, name := range last {
		do(name)
	}
}

func TestEvery_route_takes_the_level_that_the_document_names(t *testing.T) {
	t.Parallel()
	keys := &ring{keys: map[string]control.Grant{}}
	for _, l := range []control.Level{control.Reader, control.Writer, control.Admin} {
		keys.keys["key-"+l.String()] = control.Grant{Key: l.String(), Realm: "here", Level: l}
	}
	w := newWorld(t, keyed(keys))
	s := text(t, w.do(request{method: "POST", path: "/sessions", body: `{"prompt":"hello","model":"speaker"}`, header: bearer("key-write")}).is(t, 200), "session_id")
	for name, r := range each(s, "i") {
		op := operations(t)[name]
		need, _ := op.Extensions["x-level"].(string)
		if need == "" {
			if w.do(r).status >= 400 {
				t.Errorf("%s is for everybody, and was refused", name)
			}
			continue
		}
		w.do(r).refused(t, 401, "UNAUTHORIZED")
		for level, key := range map[string]string{"read": "key-read", "write": "key-write"} {
			want, err := control.ParseLevel(need)
			if err != nil {
				t.Fatal(err)
			}
			has, err := control.ParseLevel(level)
			if err != nil {
				t.Fatal(err)
			}
			if has >= want {
				continue
			}
			r.header = bearer(key)
			w.do(r).refused(t, 403, "FORBIDDEN")
			// The plane refuses it as well: what is asked at the door is no more than that.
			if !refusedByPlane(t, w, s, name, has) {
				t.Errorf("%s needs %s, and the plane lets %s do it", name, need, level)
			}
		}
	}
}

// refusedByPlane calls what stands behind a route that changes something, as somebody of a level.
func refusedByPlane(t *testing.T, w *world, s, name string, has control.Level) bool {
	t.Helper()
	err := behind(t, w.plane("here").As(control.Caller{Key: "k", Level: has}), s, name)
	return err == nil || strings.Contains(fmt.Sprint(err), "the key may not")
}
