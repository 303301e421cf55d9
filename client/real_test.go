package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/agent"
	"github.com/meerkat-go/meerkat/client"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/feed"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store/memory"
	"github.com/meerkat-go/meerkat/surface/rest"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/transcript"
	"github.com/meerkat-go/meerkat/wire"
)

// speaker is a model that waits for its gate where it is told to, and says again what it was told.
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
		if !yield(llm.TextPart{Text: "echo "}, nil) {
			return
		}
		if strings.Contains(text, "wait") {
			select {
			case <-s.gate:
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			}
		}
		_ = yield(llm.TextPart{Text: text}, nil) && yield(llm.Done{Stop: transcript.StopEndTurn}, nil)
	}
}

// keys lets those in that show one.
type keys map[string]control.Level

func (k keys) Required(context.Context) (bool, error) { return true, nil }
func (k keys) Verify(_ context.Context, token string) (control.Grant, bool, error) {
	level, ok := k[token]
	return control.Grant{Key: token, Realm: "r", Level: level}, ok, nil
}

// realm is a realm behind a real server, the way to which can be cut.
type realm struct {
	url  string
	gate chan struct{}
	away atomic.Bool
	http *httptest.Server
}

// cut ends all connections and lets none in until it is mended.
func (r *realm) cut()  { r.away.Store(true); r.http.CloseClientConnections() }
func (r *realm) mend() { r.away.Store(false) }

func newRealm(t *testing.T) *realm {
	t.Helper()
	st, hub := memory.New(), &feed.Hub{}
	tools, err := tool.NewRegistry(tool.Limits{})
	if err != nil {
		t.Fatal(err)
	}
	r := &realm{gate: make(chan struct{})}
	ex := &agent.Executor{Models: speaker{r.gate}, Tools: func(id.Session, run.Profile) (*tool.Registry, error) { return tools, nil }}
	host := runtime.New(runtime.Config{Store: st, Feed: hub, Executor: ex})
	plane := &control.Plane{Host: host, Feed: hub, Store: st, Realm: "r", Instance: "i", Backend: "memory"}
	down := make(chan struct{})
	h := rest.New(rest.Config{Shutdown: down, Door: &control.Door{Keys: keys{"good": control.Admin, "writes": control.Writer}, Open: func(context.Context, string) (*control.Plane, error) { return plane, nil }}})
	r.http = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		if r.away.Load() {
			panic(http.ErrAbortHandler)
		}
		h.ServeHTTP(w, req)
	}))
	r.http.Config.ErrorLog = nil
	r.url = r.http.URL
	t.Cleanup(func() {
		close(down)
		r.http.CloseClientConnections()
		r.http.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if err := host.Close(ctx); err != nil {
			t.Error(err)
		}
		hub.Close()
	})
	return r
}

func (r *realm) client(t *testing.T, lost func(error)) *client.Client {
	t.Helper()
	tr := &http.Transport{}
	t.Cleanup(tr.CloseIdleConnections)
	c, err := client.New(client.Config{URL: r.url, Key: "good", HTTP: &http.Client{Transport: tr}, Lost: lost})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func say(text string) wire.SubmitParams {
	data, _ := json.Marshal(text)
	return wire.SubmitParams{Prompt: data}
}

func TestA_real_server_does_what_its_client_asks(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	c := r.client(t, nil)
	ctx := t.Context()
	info, err := c.Host(ctx)
	if err != nil || info.Realm.Realm != "r" {
		t.Fatalf("%+v, %v", info, err)
	}
	if h, err := c.Health(ctx); err != nil || h.Status != wire.HealthOK {
		t.Errorf("%+v, %v", h, err)
	}
	s, err := c.CreateSession(ctx, wire.CreateParams{Model: "test/speaker", Labels: map[string]string{"team": "a"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Submit(ctx, s, say("hello"), "once")
	if err != nil || got.Duplicate {
		t.Fatalf("%+v, %v", got, err)
	}
	again, err := c.Submit(ctx, s, say("hello"), "once")
	if err != nil || !again.Duplicate || again.Input != got.Input {
		t.Errorf("again: %+v, %v", again, err)
	}
	o, err := c.Wait(ctx, s, got.Input)
	if err != nil || o.Status != "completed" || o.Text != "echo hello" {
		t.Errorf("%+v, %v", o, err)
	}
	d, err := c.Session(ctx, "last")
	if err != nil || d.ID != s || d.Messages != 2 || d.Cursor == 0 {
		t.Errorf("%+v, %v", d, err)
	}
	if d2, err := c.Session(ctx, string(s)[:30]); err != nil || d2.ID != s {
		t.Errorf("by its beginning: %+v, %v", d2, err)
	}
	if _, err := c.Session(ctx, "ffff"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("none: %v", err)
	}
	list, err := c.Sessions(ctx, client.List{Limit: 5, Labels: map[string]string{"team": "a"}})
	if err != nil || len(list) != 1 || list[0].ID != s {
		t.Errorf("%+v, %v", list, err)
	}
	rows, err := c.Transcript(ctx, s, 2, 0)
	if err != nil || len(rows) != 1 || rows[0].Entry.(transcript.Assistant).Blocks.Plain() != "echo hello" {
		t.Errorf("%+v, %v", rows, err)
	}
	if _, err := c.Effects(ctx, s); err != nil {
		t.Error(err)
	}
	if _, err := c.Models(ctx); err != nil {
		t.Error(err)
	}
	if _, err := c.Config(ctx); fault.CodeOf(err) != fault.Unavailable {
		t.Errorf("settings of a realm that keeps none: %v", err)
	}
	writer, err := client.New(client.Config{URL: r.url, Key: "writes", HTTP: r.http.Client()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := writer.SetConfig(ctx, json.RawMessage(`{}`), nil); fault.CodeOf(err) != fault.Forbidden {
		t.Errorf("settings with a key for writing: %v", err)
	}
	if d, err := c.Resume(ctx, s); err != nil || d.ID != s {
		t.Errorf("%+v, %v", d, err)
	}
	if err := c.Archive(ctx, s); err != nil {
		t.Error(err)
	}
	n := uint64(0)
	for e, err := range c.Events(ctx, s, 0) { // of a record: all there is, and then an end
		if err != nil {
			t.Fatal(err)
		}
		if n++; e.Cursor != n {
			t.Errorf("event %d stands at %d", e.Cursor, n)
		}
	}
	if n < 5 {
		t.Errorf("%d events", n)
	}
	if _, err := c.Destroy(ctx, s); err != nil {
		t.Error(err)
	}
}

func TestA_wrong_key_and_a_cursor_from_the_future_are_told_by_a_real_server(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	bad, err := client.New(client.Config{URL: r.url, Key: "bad", HTTP: r.http.Client()})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bad.Host(t.Context()); fault.CodeOf(err) != fault.Unidentified {
		t.Errorf("got %v", err)
	}
	c := r.client(t, nil)
	s, err := c.CreateSession(t.Context(), wire.CreateParams{Model: "test/speaker"})
	if err != nil {
		t.Fatal(err)
	}
	for _, err := range c.Events(t.Context(), s, 1000) {
		if fault.CodeOf(err) != fault.Invalid {
			t.Errorf("got %v", err)
		}
	}
	for _, err := range c.Events(t.Context(), id.Session(id.New()), 0) {
		if fault.CodeOf(err) != fault.NotFound {
			t.Errorf("got %v", err)
		}
	}
}

func TestNothing_is_lost_of_a_run_whose_real_server_goes_and_comes_back(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	broke := make(chan error, 16)
	c := r.client(t, func(err error) { broke <- err })
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	s, err := c.CreateSession(ctx, wire.CreateParams{Model: "test/speaker"})
	if err != nil {
		t.Fatal(err)
	}
	var types []string
	next, begun, deltas := uint64(1), make(chan bool, 1), make(chan bool, 16)
	done := make(chan error, 1)
	go func() {
		for e, err := range c.Events(ctx, s, 0) {
			switch {
			case err != nil:
				done <- err
				return
			case e.Type == "text_delta":
				deltas <- true
			case e.Cursor > 0 && e.Cursor != next:
				done <- fmt.Errorf("event %d, want %d", e.Cursor, next)
				return
			case e.Cursor > 0:
				if next++; next == 2 {
					begun <- true
				}
				types = append(types, e.Type)
			}
			if e.Type == "input_ended" {
				break
			}
		}
		done <- nil
	}()
	<-begun
	got, err := c.Submit(ctx, s, say("wait for it"), "")
	if err != nil {
		t.Fatal(err)
	}
	<-deltas
	outcome := make(chan string, 1)
	go func() {
		o, err := c.Wait(ctx, s, got.Input)
		outcome <- fmt.Sprint(o.Text, err)
	}()
	r.cut()
	if err := <-broke; !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("it broke with %v", err)
	}
	r.gate <- struct{}{} // the run ends while nobody is there
	r.mend()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	if text := <-outcome; text != "echo wait for it<nil>" {
		t.Errorf("outcome %s", text)
	}
	if all := strings.Join(types, " "); !strings.Contains(all, "run_started") || !strings.Contains(all, "text_complete") || !strings.Contains(all, "run_completed") {
		t.Errorf("events: %s", all)
	}
}

func TestAn_interrupt_goes_to_the_run_that_is_meant(t *testing.T) {
	t.Parallel()
	r := newRealm(t)
	c := r.client(t, nil)
	s, err := c.CreateSession(t.Context(), wire.CreateParams{Model: "test/speaker"})
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Submit(t.Context(), s, say("wait"), "")
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Interrupt(t.Context(), s, "another"); err == nil {
		t.Error("another run was interrupted")
	}
	if err := c.Interrupt(t.Context(), s, got.Run); err != nil {
		t.Error(err)
	}
	if o, err := c.Wait(t.Context(), s, got.Input); err != nil || o.Status != "cancelled" {
		t.Errorf("%+v, %v", o, err)
	}
}
