package console

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"iter"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/agent"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/feed"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/memory"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/transcript"
)

// patience is how long a test waits for what has to come.
const patience = 30 * time.Second

// nasty is markup, script and protocol that must come out as text.
const nasty = "<script>window.broken=1</script><img src=x onerror=\"window.broken=1\">' \" & </pre></textarea>\r\ndata: x\n\nevent: reload\ndata: {}\n\n{{.}}"

// world is a realm, and a server with a console before it that can be started anew.
type world struct {
	*testing.T
	store   store.Store
	host    *runtime.Host
	hub     *feed.Hub
	plane   *control.Plane
	keys    *keys
	pieces  chan string   // what the model says next when it was asked to be slow; "" ends its reply
	work    chan struct{} // lets the tool "wait" end
	url     string
	server  *http.Server
	served  chan error
	handler http.Handler
}

// newWorld serves a realm on a port of its own. With keys it asks for one.
func newWorld(t *testing.T, k *keys) *world {
	t.Helper()
	w := &world{T: t, store: memory.New(), keys: k, pieces: make(chan string), work: make(chan struct{})}
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w.up(ln)
	t.Cleanup(func() { w.down() })
	return w
}

// up opens the realm, as a process does that has just begun.
func (w *world) up(ln net.Listener) {
	w.hub = &feed.Hub{}
	tools := func(id.Session, run.Profile) (*tool.Registry, error) {
		return tool.NewRegistry(tool.Limits{}, look{}, wait{w.work})
	}
	w.host = runtime.New(runtime.Config{Store: w.store, Feed: w.hub, Owner: store.Owner{ID: id.New(), PID: os.Getpid()}, Models: anyModels{},
		Gone: func(store.Owner) bool { return true }, Executor: &agent.Executor{Models: w, Tools: tools}})
	w.plane = &control.Plane{Host: w.host, Feed: w.hub, Store: w.store, Realm: "kitchen", Backend: "memory",
		Catalog: func(context.Context) ([]control.Model, error) {
			return []control.Model{{ID: "scripted", Provider: "test", Display: "Scripted", Default: true, Configured: true}}, nil
		},
		Defaults: func(context.Context) (control.Defaults, error) {
			return control.Defaults{Model: "test/scripted", Retry: run.RetryPolicy{Max: -1}}, nil
		},
		Validate: func(_ context.Context, p run.Profile) error {
			if strings.Contains(p.Model, "unknown") {
				return &control.Error{Code: fault.NotFound, Message: "there is no model " + p.Model}
			}
			return nil
		}}
	door := &control.Door{Realm: "kitchen", Open: func(_ context.Context, realm string) (*control.Plane, error) {
		if realm != "kitchen" {
			return nil, fmt.Errorf("no realm %s", realm)
		}
		return w.plane, nil
	}}
	if w.keys != nil {
		door.Keys = w.keys
	}
	w.handler = New(Config{Door: door, Heartbeat: 50 * time.Millisecond})
	ctx, cancel := context.WithCancel(context.Background())
	w.server = &http.Server{Handler: w.handler, ReadHeaderTimeout: patience, BaseContext: func(net.Listener) context.Context { return ctx }}
	w.server.RegisterOnShutdown(cancel)
	w.url, w.served = "http://"+ln.Addr().String(), make(chan error, 1)
	go func() { w.served <- w.server.Serve(ln) }()
}

// down ends the process, whatever it was doing.
func (w *world) down() {
	if w.server == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := w.server.Shutdown(ctx); err != nil {
		w.Errorf("shut the server down: %v", err)
	}
	<-w.served
	w.server = nil
	if err := w.host.Close(ctx); err != nil {
		w.Error(err)
	}
	w.hub.Close()
}

// begin begins another process on the same port and store.
func (w *world) begin(addr string) {
	w.Helper()
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		w.Fatal(err)
	}
	w.up(ln)
}

func (w *world) create(text string, change ...func(*control.CreateSession)) id.Session {
	w.Helper()
	req := control.CreateSession{Profile: run.Profile{Model: "test/scripted"}}
	for _, c := range change {
		c(&req)
	}
	s, err := w.plane.CreateSession(w.Context(), req)
	if err != nil {
		w.Fatal(err)
	}
	if text != "" {
		w.say(s.ID, text)
	}
	return s.ID
}

func (w *world) say(s id.Session, text string) id.Input {
	w.Helper()
	r, err := w.plane.Submit(w.Context(), control.Submit{Session: s, Content: transcript.TextBlocks(text)})
	if err != nil {
		w.Fatal(err)
	}
	return r.Input
}

// talk submits and waits for the end.
func (w *world) talk(s id.Session, text string) control.Outcome {
	w.Helper()
	ctx, cancel := context.WithTimeout(w.Context(), patience)
	defer cancel()
	out, err := w.plane.Wait(ctx, s, w.say(s, text))
	if err != nil {
		w.Fatal(err)
	}
	return out
}

// piece lets the slow model say something; empty: it ends its reply.
func (w *world) piece(s string) {
	w.Helper()
	select {
	case w.pieces <- s:
	case <-time.After(patience):
		w.Fatalf("the model did not take %q", s)
	}
}

// Model implements llm.Source.
func (w *world) Model(_ context.Context, name string) (llm.Model, llm.Info, error) {
	return scripted{w}, llm.Info{Name: name, Provider: "test", Context: 200_000, MaxOutput: 8192}, nil
}

// scripted answers by the last thing the user said: "slow" is said piece by piece, "look" asks for tools first, "wait" for one that waits, and all else
// is said back.
type scripted struct{ w *world }

// Stream implements llm.Model.
func (m scripted) Stream(ctx context.Context, req llm.Request) iter.Seq2[llm.Part, error] {
	return func(yield func(llm.Part, error) bool) {
		text, results := "", 0
		for _, r := range req.Rows {
			switch e := r.Entry.(type) {
			case transcript.User:
				text, results = e.Content.Plain(), 0
			case transcript.ToolResult:
				results++
			}
		}
		call := func(n int, name, args string) bool {
			return yield(llm.CallPart{Index: n, ID: id.Call(fmt.Sprintf("call-%d-%d", len(req.Rows), n)), Name: name}, nil) && yield(llm.CallPart{Index: n, Args: args}, nil)
		}
		switch {
		case strings.Contains(text, "fail"):
			yield(nil, &llm.Error{Kind: llm.InvalidRequest, Provider: "test", Message: "the model does not want to"})
			return
		case strings.Contains(text, "look") && results == 0:
			_ = yield(llm.ReasoningPart{Text: "The file and the folder both matter here, so I look at them together."}, nil) &&
				yield(llm.TextPart{Text: "I look at the folder and at the module file."}, nil) &&
				call(0, "look", `{"path":"go.mod"}`) && call(1, "look", `{"path":"missing.txt","fail":true}`) && yield(llm.Done{Stop: transcript.StopToolUse}, nil)
			return
		case strings.Contains(text, "wait") && results == 0:
			_ = yield(llm.TextPart{Text: "I start the long job."}, nil) && call(0, "wait", `{"for":"the build","minutes":3}`) && yield(llm.Done{Stop: transcript.StopToolUse}, nil)
			return
		case strings.Contains(text, "slow"):
			for {
				select {
				case p := <-m.w.pieces:
					if p == "" {
						yield(llm.Done{Stop: transcript.StopEndTurn}, nil)
						return
					}
					if !yield(llm.TextPart{Text: p}, nil) {
						return
					}
				case <-ctx.Done():
					yield(nil, ctx.Err())
					return
				}
			}
		case results > 0:
			text = "The module is called `kitchen`:\n\n```go\nmodule kitchen\n\ngo 1.26\n```\n\nThe other file is not there."
		default:
			text = "You said: " + text
		}
		_ = yield(llm.TextPart{Text: text}, nil) && yield(llm.UsagePart{Usage: transcript.Usage{Input: 1200, Output: 34}}, nil) &&
			yield(llm.Done{Stop: transcript.StopEndTurn}, nil)
	}
}

// look is a tool that tells of a file, with markup in it.
type look struct{}

// Spec implements tool.Tool.
func (look) Spec() tool.Spec {
	return tool.Spec{Name: "look", Description: "looks at a file", Class: run.ReadOnly,
		Schema: json.RawMessage(`{"type":"object","properties":{"path":{"type":"string"},"fail":{"type":"boolean"}}}`)}
}

// Run implements tool.Tool.
func (look) Run(_ context.Context, c tool.Call) (tool.Result, error) {
	if strings.Contains(string(c.Args), "fail") {
		return tool.Errorf(transcript.ResultFailed, "no such file: %s", nasty), nil
	}
	return tool.Text("module kitchen\n\ngo 1.26\n" + nasty), nil
}

// wait is a tool that takes as long as the test wants.
type wait struct{ done <-chan struct{} }

// Spec implements tool.Tool.
func (wait) Spec() tool.Spec {
	return tool.Spec{Name: "wait", Description: "waits", Class: run.ReadOnly, Schema: json.RawMessage(`{"type":"object"}`)}
}

// Run implements tool.Tool.
func (t wait) Run(ctx context.Context, _ tool.Call) (tool.Result, error) {
	select {
	case <-t.done:
		return tool.Text("built in 3 minutes"), nil
	case <-ctx.Done():
		return tool.Result{}, ctx.Err()
	}
}

// anyModels implements runtime.Models.
type anyModels struct{}

func (anyModels) Request(name string) identity.Request {
	return identity.Request{Model: name, Provider: identity.Other}
}

func (anyModels) Lookups() identity.Lookups {
	return identity.Lookups{
		Owner:   func(string) identity.Provider { return identity.Other },
		Surface: func(identity.Identity) (identity.Surface, bool) { return identity.Surface{}, true },
	}
}

func (anyModels) Prepare(context.Context, identity.Target) error { return nil }

// keys implements control.Keys in memory.
type keys struct {
	mu    sync.Mutex
	known map[string]control.Grant
}

// Required implements control.Keys.
func (k *keys) Required(context.Context) (bool, error) { return true, nil }

// Verify implements control.Keys.
func (k *keys) Verify(_ context.Context, token string) (control.Grant, bool, error) {
	k.mu.Lock()
	defer k.mu.Unlock()
	g, ok := k.known[token]
	return g, ok, nil
}

func (k *keys) revoke(token string) {
	k.mu.Lock()
	defer k.mu.Unlock()
	delete(k.known, token)
}

func someKeys() *keys {
	return &keys{known: map[string]control.Grant{
		"reads":  {Key: "anna", Realm: "kitchen", Level: control.Reader},
		"writes": {Key: "bert", Realm: "kitchen", Level: control.Writer},
	}}
}

// browser is a client with cookies and no JavaScript.
type browser struct {
	*testing.T
	*http.Client
	at string
}

type jar struct {
	mu sync.Mutex
	in map[string]*http.Cookie
}

// SetCookies implements http.CookieJar.
func (j *jar) SetCookies(_ *url.URL, cs []*http.Cookie) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range cs {
		j.in[c.Name] = c
		if c.MaxAge < 0 {
			delete(j.in, c.Name)
		}
	}
}

// Cookies implements http.CookieJar.
func (j *jar) Cookies(*url.URL) []*http.Cookie {
	j.mu.Lock()
	defer j.mu.Unlock()
	var out []*http.Cookie
	for _, c := range j.in {
		out = append(out, c)
	}
	return out
}

func (w *world) browser() *browser {
	tr := &http.Transport{}
	w.Cleanup(tr.CloseIdleConnections)
	return &browser{w.T, &http.Client{Transport: tr, Jar: &jar{in: map[string]*http.Cookie{}}}, w.url}
}

type answer struct {
	status int
	body   string
	path   string
	header http.Header
}

func (b *browser) do(req *http.Request) answer {
	b.Helper()
	a, err := b.Do(req)
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _ = a.Body.Close() }()
	body, err := io.ReadAll(a.Body)
	if err != nil {
		b.Fatal(err)
	}
	return answer{a.StatusCode, string(body), a.Request.URL.RequestURI(), a.Header}
}

func (b *browser) get(path string) answer {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodGet, b.at+path, nil)
	if err != nil {
		b.Fatal(err)
	}
	return b.do(req)
}

// post sends a form as a page of ours does.
func (b *browser) post(path string, form url.Values, change ...func(*http.Request)) answer {
	b.Helper()
	req, err := http.NewRequestWithContext(b.Context(), http.MethodPost, b.at+path, strings.NewReader(form.Encode()))
	if err != nil {
		b.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	req.Header.Set("Sec-Fetch-Site", "same-origin")
	for _, c := range change {
		c(req)
	}
	return b.do(req)
}
