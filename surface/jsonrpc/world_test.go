package jsonrpc

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
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
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/llm/llmtest"
	"github.com/meerkat-go/meerkat/llm/llmtest/script"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/memory"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/tool/callback"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what has to come.
const patience = 20 * time.Second

// world is a realm with a scripted model, and a server before it.
type world struct {
	testing.TB
	*Server
	model    *llmtest.Model
	store    store.Store
	settings *settings
	desk     *callback.Desk
	plane    *control.Plane
	hub      *feed.Hub
	down     func()
}

// rules are what the model answers.
var rules = []script.Rule{
	{When: script.When{UserContains: "k1", ResultsSinceUser: script.N(0)}, Reply: script.Reply{ToolCalls: []script.Call{{ID: "toolu_1", Name: "lookup", Args: json.RawMessage(`{"k":"k1"}`)}}}},
	{When: script.When{UserContains: "k1"}, Reply: script.Reply{Text: "It is 42.", Chunks: 2}},
	{When: script.When{UserContains: "both", ResultsSinceUser: script.N(0)}, Reply: script.Reply{ToolCalls: []script.Call{
		{ID: "toolu_1", Name: "lookup", Args: json.RawMessage(`{"k":"a"}`)}, {ID: "toolu_2", Name: "lookup", Args: json.RawMessage(`{"k":"b"}`)}}}},
	{When: script.When{UserContains: "both"}, Reply: script.Reply{Text: "Both are there.", Chunks: 1}},
	{When: script.When{UserContains: "essay"}, Reply: script.Reply{Text: "Once upon a time", Chunks: 1, Fault: script.Stall}},
	{When: script.When{UserContains: "refused"}, Reply: script.Reply{Status: 401, Error: &script.Error{Type: "authentication_error", Message: "the key is wrong"}}},
	{When: script.When{UserContains: "JSON"}, Reply: script.Reply{Text: `{"n":7}`, Chunks: 1}},
	{When: script.When{UserContains: "seven"}, Reply: script.Reply{Text: "The number is 7.", Chunks: 1}},
	{When: script.When{UserContains: "many"}, Reply: script.Reply{Text: strings.Repeat("word ", 2000), Chunks: 2000}},
	{Reply: script.Reply{Text: "ok", Chunks: 1}},
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{TB: t, model: llmtest.New(rules...), store: memory.New(), settings: &settings{doc: json.RawMessage(`{"max_tokens":1024}`), generation: 1}}
	w.Server = &Server{Door: &control.Door{Realm: "test", Open: func(context.Context, string) (*control.Plane, error) { return w.plane, nil }}}
	w.open()
	t.Cleanup(func() { w.down() })
	return w
}

// Model implements llm.Source.
func (w *world) Model(_ context.Context, name string) (llm.Model, llm.Info, error) {
	if strings.HasPrefix(name, "unknown") {
		return nil, llm.Info{}, &control.Error{Code: fault.Invalid, Message: "there is no model " + name}
	}
	return w.model, llm.Info{Name: name, Provider: "anthropic", Context: 200_000, MaxOutput: 8192}, nil
}

// open opens the realm, as a process does that has just begun.
func (w *world) open() {
	w.hub, w.desk = &feed.Hub{}, &callback.Desk{}
	tools := func(s id.Session, p run.Profile) (*tool.Registry, error) {
		return tool.NewRegistry(tool.Limits{}, w.desk.Tools(s, p.Client)...)
	}
	host := runtime.New(runtime.Config{Store: w.store, Feed: w.hub, Owner: store.Owner{ID: id.New(), PID: os.Getpid()}, Models: models{},
		Gone: func(store.Owner) bool { return true }, Executor: &agent.Executor{Models: w, Tools: tools, Edition: w.desk.Revision}})
	w.plane = &control.Plane{Host: host, Feed: w.hub, Store: w.store, Realm: "test", Backend: "memory", About: control.Info{Version: "0.6.29", PID: 1},
		Settings: w.settings, Callbacks: w.desk, Defaults: w.settings.defaults, Catalog: catalogue,
		Validate: func(ctx context.Context, p run.Profile) error {
			_, _, err := w.Model(ctx, p.Model)
			return err
		}}
	w.down = func() {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := host.Close(ctx); err != nil {
			w.Error(err)
		}
		w.hub.Close()
	}
}

// models implements runtime.Models: every model is one of Anthropic's, and can do what the best of them can.
type models struct{}

func (models) Request(name string) identity.Request {
	return identity.Request{Model: strings.TrimPrefix(name, "anthropic/"), Provider: identity.Anthropic}
}

func (models) Lookups() identity.Lookups {
	return identity.Lookups{
		Owner:   func(string) identity.Provider { return identity.Anthropic },
		Surface: func(identity.Identity) (identity.Surface, bool) { return identity.Surface{}, true },
	}
}

func (models) Prepare(context.Context, identity.Target) error { return nil }

func catalogue(context.Context) ([]control.Model, error) {
	return []control.Model{{ID: "claude-opus-4-8", Provider: "anthropic", Display: "Claude Opus 4.8", Tier: "recommended", Default: true, Configured: true,
		Context: 200_000, MaxOutput: 8192, Surface: &identity.Surface{Vision: true, ImageInput: true}}}, nil
}

// settings implements control.Settings in memory.
type settings struct {
	mu         sync.Mutex
	doc        json.RawMessage
	generation uint64
}

func (s *settings) defaults(context.Context) (control.Defaults, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var d struct {
		MaxTokens int `json:"max_tokens"`
	}
	err := json.Unmarshal(s.doc, &d)
	return control.Defaults{Model: "claude-opus-4-8", MaxOutput: d.MaxTokens, Retry: run.RetryPolicy{Max: -1}}, err
}

// Get implements control.Settings.
func (s *settings) Get(context.Context) (json.RawMessage, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.doc, s.generation, nil
}

// Set implements control.Settings.
func (s *settings) Set(_ context.Context, doc json.RawMessage, expected *uint64) (json.RawMessage, uint64, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if expected != nil && *expected != s.generation {
		return nil, 0, &control.Error{Code: fault.Invalid, Message: fmt.Sprintf("Generation conflict: expected %d, current %d", *expected, s.generation)}
	}
	var members map[string]any
	if json.Unmarshal(doc, &members) != nil || members == nil {
		return nil, 0, &control.Error{Code: fault.Invalid, Message: "the document is an object"}
	}
	s.doc, _ = json.Marshal(members)
	s.generation++
	return s.doc, s.generation, nil
}

// Patch implements control.Settings, one level deep.
func (s *settings) Patch(ctx context.Context, patch json.RawMessage, expected *uint64) (json.RawMessage, uint64, error) {
	doc, _, _ := s.Get(ctx)
	var have, more map[string]any
	if json.Unmarshal(patch, &more) != nil || more == nil {
		return nil, 0, &control.Error{Code: fault.Invalid, Message: "the patch is an object"}
	}
	_ = json.Unmarshal(doc, &have)
	for k, v := range more {
		have[k] = v
		if v == nil {
			delete(have, k)
		}
	}
	merged, _ := json.Marshal(have)
	return s.Set(ctx, merged, expected)
}

// peer is the other end of a connection.
type peer struct {
	t     testing.TB
	conn  net.Conn
	lines chan string // closed at the end of what the server sends
	over  chan error  // what Serve returned
	stop  context.CancelFunc
}

// connect begins a connection whose lines are read as they come.
func (w *world) connect() *peer {
	w.Helper()
	p := w.silent()
	p.listen()
	w.Cleanup(func() { p.leave() })
	return p
}

// listen reads lines as they come.
func (p *peer) listen() {
	p.lines = make(chan string)
	go func() {
		defer close(p.lines)
		in := bufio.NewReader(p.conn)
		for {
			line, err := in.ReadString('\n')
			if err != nil {
				return
			}
			p.lines <- strings.TrimSuffix(line, "\n")
		}
	}()
}

// leave goes away, and lets go of whoever reads.
func (p *peer) leave() {
	_ = p.conn.Close()
	for range p.lines {
	}
}

// ended returns what the server's end of the connection came to.
func (p *peer) ended() error {
	p.t.Helper()
	select {
	case err := <-p.over:
		p.over <- err
		return err
	case <-time.After(patience):
		p.t.Fatal("the connection does not end")
	}
	return nil
}

// silent begins a connection whose other end reads nothing.
func (w *world) silent() *peer {
	w.Helper()
	near, far := net.Pipe()
	ctx, stop := context.WithCancel(context.Background())
	p := &peer{t: w.TB, conn: far, over: make(chan error, 1), stop: stop}
	go func() {
		err := w.serve(ctx, near, near, "stdio")
		p.over <- errors.Join(err, near.Close())
	}()
	w.Cleanup(func() {
		stop()
		_ = far.Close()
		<-p.over
	})
	return p
}

func (p *peer) send(lines ...string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, strings.Join(lines, "\n")+"\n"); err != nil {
		p.t.Fatal(err)
	}
}

// next returns the next line.
func (p *peer) next() string {
	p.t.Helper()
	select {
	case line, ok := <-p.lines:
		if !ok {
			p.t.Fatal("the connection has ended")
		}
		return line
	case <-time.After(patience):
		p.t.Fatal("nothing came")
	}
	return ""
}

// until returns the lines up to the first that holds a text, and that one alone.
func (p *peer) until(text string) (before []string, line string) {
	p.t.Helper()
	for {
		line = p.next()
		if strings.Contains(line, text) {
			return before, line
		}
		before = append(before, line)
	}
}

// call sends a request and returns its answer; lines before it are passed over.
func (p *peer) call(n int, method, params string) answer {
	p.t.Helper()
	p.send(request1(n, method, params))
	return p.answer(n)
}

func request1(n int, method, params string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,"method":%q,"params":%s}`, n, method, params)
}

func (p *peer) answer(n int) answer {
	p.t.Helper()
	_, line := p.until(fmt.Sprintf(`{"jsonrpc":"2.0","id":%d,`, n))
	return read(p.t, line)
}

// answer is an answer that was read.
type answer struct {
	Result json.RawMessage `json:"result"`
	Err    *struct {
		Code    int             `json:"code"`
		Message string          `json:"message"`
		Data    json.RawMessage `json:"data"`
	} `json:"error"`
}

func read(t testing.TB, line string) answer {
	t.Helper()
	var a answer
	if err := json.Unmarshal([]byte(line), &a); err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	return a
}

// ok returns the result, which must be one, as an object.
func (a answer) ok(t testing.TB) map[string]any {
	t.Helper()
	if a.Err != nil {
		t.Fatalf("refused: %d %s", a.Err.Code, a.Err.Message)
	}
	var out map[string]any
	d := json.NewDecoder(bytes.NewReader(a.Result))
	if err := d.Decode(&out); err != nil {
		t.Fatalf("%s: %v", a.Result, err)
	}
	return out
}

// refused checks the error that an answer must be.
func (a answer) refused(t testing.TB, code int, message string) {
	t.Helper()
	if a.Err == nil {
		t.Fatalf("it was not refused: %s", a.Result)
	}
	if a.Err.Code != code || !strings.Contains(a.Err.Message, message) {
		t.Errorf("got %d %s, want %d %s", a.Err.Code, a.Err.Message, code, message)
	}
}

// create makes a session with a first turn, and returns its id.
func (p *peer) create(n int, prompt string) string {
	p.t.Helper()
	s, _ := p.call(n, "session/create", fmt.Sprintf(`{"prompt":%q}`, prompt)).ok(p.t)["session_id"].(string)
	return s
}
