package rest_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meerkat-go/meerkat/agent"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/feed"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/internal/sse"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store/memory"
	"github.com/meerkat-go/meerkat/surface/rest"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/transcript"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// speaker is a model that does what the last message says: "wait" until the gate is opened, "fail", "long N" in that many pieces, or else says it again.
type speaker struct{ gate chan struct{} }

func (s speaker) Model(context.Context, string) (llm.Model, llm.Info, error) {
	return s, llm.Info{Name: "test/speaker", Provider: "test"}, nil
}

func (s speaker) Stream(ctx context.Context, req llm.Request) iter.Seq2[llm.Part, error] {
	return func(yield func(llm.Part, error) bool) {
		text := ""
		for _, r := range req.Rows {
			if u, ok := r.Entry.(transcript.User); ok {
				text = u.Content.Plain()
			}
		}
		pieces := 2
		switch {
		case strings.Contains(text, "wait"):
			select {
			case <-s.gate:
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			}
		case text == "fail":
			yield(nil, &llm.Error{Kind: llm.InvalidRequest, Provider: "test", Message: "the model has no mind to"})
			return
		}
		_, _ = fmt.Sscanf(text, "long %d", &pieces)
		for range pieces {
			if !yield(llm.TextPart{Text: "echo "}, nil) {
				return
			}
		}
		_ = yield(llm.TextPart{Text: text}, nil) && yield(llm.Done{Stop: transcript.StopEndTurn}, nil)
	}
}

// document is settings that are kept in memory.
type document struct {
	mu         sync.Mutex
	doc        map[string]any
	generation uint64
}

func (d *document) Get(context.Context) (json.RawMessage, uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	raw, err := json.Marshal(d.doc)
	return raw, d.generation, err
}

func (d *document) Set(ctx context.Context, doc json.RawMessage, expected *uint64) (json.RawMessage, uint64, error) {
	return d.write(ctx, doc, expected, true)
}

func (d *document) Patch(ctx context.Context, patch json.RawMessage, expected *uint64) (json.RawMessage, uint64, error) {
	return d.write(ctx, patch, expected, false)
}

func (d *document) write(ctx context.Context, doc json.RawMessage, expected *uint64, whole bool) (json.RawMessage, uint64, error) {
	var in map[string]any
	if err := json.Unmarshal(doc, &in); err != nil {
		return nil, 0, &control.Error{Code: fault.Invalid, Message: err.Error()}
	}
	d.mu.Lock()
	if expected != nil && *expected != d.generation {
		defer d.mu.Unlock()
		return nil, 0, &control.Error{Code: fault.Invalid, Message: fmt.Sprintf("Generation conflict: expected %d, current %d", *expected, d.generation)}
	}
	if whole || d.doc == nil {
		d.doc = map[string]any{}
	}
	for k, v := range in {
		d.doc[k] = v
	}
	d.generation++
	d.mu.Unlock()
	return d.Get(ctx)
}

// ring is a set of keys; nil: none are needed.
type ring struct {
	mu   sync.Mutex
	keys map[string]control.Grant
}

func (r *ring) Required(context.Context) (bool, error) { return true, nil }

func (r *ring) Verify(_ context.Context, token string) (control.Grant, bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	g, ok := r.keys[token]
	return g, ok, nil
}

func (r *ring) revoke(token string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.keys, token)
}

// world is a server with its realms.
type world struct {
	t      testing.TB
	gate   chan struct{}
	server *httptest.Server
	planes map[string]*control.Plane
	down   chan struct{}
	log    *safeBuffer
	client *http.Client
}

type safeBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *safeBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *safeBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

type option func(*rest.Config)

// keyed lets only the holders of these keys in.
func keyed(r *ring) option { return func(c *rest.Config) { c.Door.Keys = r } }

func newWorld(t testing.TB, options ...option) *world {
	t.Helper()
	w := &world{t: t, gate: make(chan struct{}), planes: map[string]*control.Plane{}, down: make(chan struct{}), log: &safeBuffer{}}
	for _, realm := range []string{"here", "there"} {
		w.planes[realm] = w.realm(realm)
	}
	c := rest.Config{Shutdown: w.down, Log: slog.New(slog.NewJSONHandler(w.log, nil)), Door: &control.Door{Realm: "here", Open: func(_ context.Context, realm string) (*control.Plane, error) {
		return w.planes[realm], nil
	}}}
	for _, o := range options {
		o(&c)
	}
	w.server = httptest.NewServer(rest.New(c))
	w.client = &http.Client{Transport: &http.Transport{}}
	t.Cleanup(func() {
		w.goDown()
		w.client.CloseIdleConnections()
		w.server.Close()
	})
	return w
}

func (w *world) realm(name string) *control.Plane {
	st, hub := memory.New(), &feed.Hub{}
	tools, err := tool.NewRegistry(tool.Limits{})
	if err != nil {
		w.t.Fatal(err)
	}
	ex := &agent.Executor{Models: speaker{w.gate}, Tools: func(id.Session, run.Profile) (*tool.Registry, error) { return tools, nil }}
	host := runtime.New(runtime.Config{Store: st, Feed: hub, Executor: ex})
	w.t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := host.Close(ctx); err != nil {
			w.t.Error(err)
		}
		hub.Close()
	})
	return &control.Plane{Host: host, Feed: hub, Store: st, Realm: name, Instance: "i1", Backend: "memory", Settings: &document{doc: map[string]any{"max_tokens": 100}},
		About: control.Info{Version: "0", Process: "test", PID: 1},
		Catalog: func(context.Context) ([]control.Model, error) {
			return []control.Model{{ID: "speaker", Provider: "self_hosted", Display: "Speaker", Default: true, Configured: true}}, nil
		}}
}

func (w *world) goDown() {
	select {
	case <-w.down:
	default:
		close(w.down)
	}
}

// request is what is asked of the server.
type request struct {
	method, path, body string
	header             map[string]string
}

// reply is what it answers.
type reply struct {
	status int
	header http.Header
	body   []byte
}

func (w *world) do(r request) reply {
	w.t.Helper()
	resp := w.open(w.t.Context(), r)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	got := reply{resp.StatusCode, resp.Header, body}
	if r.method != http.MethodHead { // which the document does not name
		keeps(w.t, r, got)
	}
	return got
}

func (w *world) open(ctx context.Context, r request) *http.Response {
	w.t.Helper()
	req, err := http.NewRequestWithContext(ctx, r.method, w.server.URL+r.path, strings.NewReader(r.body))
	if err != nil {
		w.t.Fatal(err)
	}
	if r.body == "" {
		req.Body, req.ContentLength = nil, 0
	} else {
		req.Header.Set("Content-Type", "application/json")
	}
	for k, v := range r.header {
		if k == "Host" {
			req.Host = v
		}
		req.Header.Set(k, v)
	}
	resp, err := w.client.Do(req)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp
}

func (w *world) get(path string) reply { w.t.Helper(); return w.do(request{method: "GET", path: path}) }
func (w *world) post(path, body string) reply {
	w.t.Helper()
	return w.do(request{method: "POST", path: path, body: body})
}
func (w *world) delete(path string) reply {
	w.t.Helper()
	return w.do(request{method: "DELETE", path: path})
}
func bearer(token string) map[string]string {
	return map[string]string{"Authorization": "Bearer " + token}
}
func (w *world) plane(realm string) *control.Plane { return w.planes[realm] }

// is checks a status and decodes the body.
func (r reply) is(t testing.TB, status int) map[string]any {
	t.Helper()
	if r.status != status {
		t.Fatalf("status %d, want %d: %s", r.status, status, r.body)
	}
	var out map[string]any
	if err := json.Unmarshal(r.body, &out); err != nil {
		t.Fatalf("%v in %s", err, r.body)
	}
	return out
}

// refused checks an error: its status, its code, and that it has the form of one.
func (r reply) refused(t testing.TB, status int, code string) map[string]any {
	t.Helper()
	p := r.is(t, status)
	if got := r.header.Get("Content-Type"); got != "application/problem+json" {
		t.Errorf("content type %q", got)
	}
	for _, field := range []string{"type", "title", "detail", "error", "message", "code", "fault", "request_id"} {
		if s, ok := p[field].(string); !ok || s == "" {
			t.Errorf("a problem without %s: %s", field, r.body)
		}
	}
	if p["code"] != code || p["status"] != float64(status) || p["error"] != p["message"] {
		t.Errorf("want code %s: %s", code, r.body)
	}
	if (status == 503 || status == 429) && code != "BUDGET_EXHAUSTED" && r.header.Get("Retry-After") == "" {
		t.Errorf("%d without Retry-After", status)
	}
	return p
}

func text(t testing.TB, m map[string]any, field string) string {
	t.Helper()
	s, ok := m[field].(string)
	if !ok {
		t.Fatalf("no text %s in %v", field, m)
	}
	return s
}

// session makes a session in which one turn was carried out.
func (w *world) session() string {
	w.t.Helper()
	return text(w.t, w.post("/sessions", `{"prompt":"hello","model":"speaker"}`).is(w.t, 200), "session_id")
}

// submit gives a session something to do, and returns the input.
func (w *world) submit(s, prompt string) string {
	w.t.Helper()
	return text(w.t, w.post("/sessions/"+s+"/inputs", fmt.Sprintf(`{"prompt":%q}`, prompt)).is(w.t, 202), "input_id")
}

// reader reads a stream of events.
type reader struct {
	t    testing.TB
	in   *sse.Reader
	stop func()
	resp *http.Response
}

func (w *world) events(path string, header map[string]string) *reader {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	resp := w.open(ctx, request{method: "GET", path: path, header: header})
	if resp.StatusCode != 200 {
		body, _ := io.ReadAll(resp.Body)
		cancel()
		w.t.Fatalf("status %d: %s", resp.StatusCode, body)
	}
	r := &reader{t: w.t, in: sse.NewReader(resp.Body, 0), resp: resp}
	r.stop = func() { cancel(); _ = resp.Body.Close() }
	w.t.Cleanup(r.stop)
	return r
}

func (r *reader) next() sse.Event {
	r.t.Helper()
	e, err := r.in.Next()
	if err != nil {
		r.t.Fatal(err)
	}
	return e
}

// until reads up to the first event of a name, which is the last of what it returns.
func (r *reader) until(name string) []sse.Event {
	r.t.Helper()
	var out []sse.Event
	for {
		e := r.next()
		out = append(out, e)
		if e.Name == name {
			return out
		}
	}
}

func namesOf(events []sse.Event) []string {
	out := make([]string, len(events))
	for n, e := range events {
		out[n] = e.Name
	}
	return out
}

// holds checks that names stand in events in this order, others between them.
func holds(t testing.TB, events []sse.Event, names ...string) {
	t.Helper()
	got := namesOf(events)
	for _, want := range names {
		at := slices.Index(got, want)
		if at < 0 {
			t.Fatalf("no %s where it should be in %v", want, namesOf(events))
		}
		got = got[at+1:]
	}
}

func newRequest(ctx context.Context, method, url string, body io.Reader) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, method, url, body)
	if err == nil {
		r.Header.Set("Content-Type", "application/json")
	}
	return r, err
}
