package anthropic_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/llm/anthropic"
	"github.com/meerkat-go/meerkat/llm/llmtest"
	"github.com/meerkat-go/meerkat/transcript"
)

var update = flag.Bool("update", false, "rewrite the golden requests")

// answering is a transport that answers every request with one body and keeps the last request.
type answering struct {
	body    []byte
	kind    string
	request *http.Request
	sent    []byte
}

func (a *answering) RoundTrip(r *http.Request) (*http.Response, error) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	a.request, a.sent = r, sent
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{"Content-Type": {a.kind}}, Body: io.NopCloser(bytes.NewReader(a.body)), Request: r}, nil
}

func replay(t *testing.T, c anthropic.Config, a *answering, req llm.Request) (transcript.Assistant, error) {
	t.Helper()
	if a.kind == "" {
		a.kind = "text/event-stream; charset=utf-8"
	}
	c.HTTPClient = &http.Client{Transport: a}
	m, err := anthropic.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return llm.Collect(m.Stream(t.Context(), req), nil)
}

func recorded(t *testing.T, name string) *answering {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return &answering{body: data}
}

func meta(data string) *transcript.Meta {
	return &transcript.Meta{Provider: "anthropic", Data: json.RawMessage(data)}
}

func TestRecorded_streams_are_read_as_they_are_meant(t *testing.T) {
	t.Parallel()
	args := func(s string) json.RawMessage { return json.RawMessage(s) }
	for name, want := range map[string]transcript.Assistant{
		"text.sse": {Blocks: transcript.TextBlocks("Hello! This folder holds three files — ✓."), Stop: transcript.StopEndTurn, Usage: &transcript.Usage{Input: 25, Output: 15}},
		"tools.sse": {Blocks: transcript.Blocks{transcript.Text{Text: "I'll check both."},
			transcript.ToolUse{ID: "toolu_01T1x1fJ34qAmk2tNTrN7Up6", Name: "read", Args: args(`{"path": "a/b.txt", "limit": 20}`)},
			transcript.ToolUse{ID: "toolu_01Bq9k2tNTrN7Up6T1x1fJ34", Name: "list", Args: args(`{}`)}},
			Stop: transcript.StopToolUse, Usage: &transcript.Usage{Input: 472, Output: 89, CacheRead: 410}},
		"thinking.sse": {Blocks: transcript.Blocks{
			transcript.Reasoning{Text: "Let me see.\n27 * 453 = 12231", Meta: meta(`{"signature":"EqQBCgIYAhIM1gbcDa9GJwZA2b3hGgxBdjrkzLoky3dl1pkiMOYds+/=="}`)},
			transcript.Reasoning{Meta: meta(`{"redacted":"EmwKAhgBEgy3va3pzix/LafPsn4aDFIT2Xlxh0L5L8rLVyIwxtE3rAFBa8cr3qpP"}`)},
			transcript.Text{Text: "27 × 453 is 12,231."}}, Stop: transcript.StopEndTurn, Usage: &transcript.Usage{Input: 61, Output: 70, CacheWrite: 1834}},
		"limit.sse":         {Blocks: transcript.TextBlocks("Once upon a"), Stop: transcript.StopMaxTokens, Usage: &transcript.Usage{Input: 9, Output: 3}},
		"stop_sequence.sse": {Blocks: transcript.TextBlocks("1, 2, "), Stop: transcript.StopSequence, Usage: &transcript.Usage{Input: 9, Output: 6}},
		"refusal.sse":       {Blocks: transcript.TextBlocks("I can"), Stop: transcript.StopFiltered, Usage: &transcript.Usage{Input: 9, Output: 2}},
		"future.sse":        {Blocks: transcript.TextBlocks("ok"), Stop: transcript.StopEndTurn, Usage: &transcript.Usage{Input: 9, Output: 4}},
		"whole_input.sse": {Blocks: transcript.Blocks{transcript.ToolUse{ID: "toolu_w", Name: "read", Args: args(`{"path":"x"}`)}}, Stop: transcript.StopToolUse,
			Usage: &transcript.Usage{Input: 9, Output: 4}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := replay(t, anthropic.Config{}, recorded(t, name), llmtest.Ask("hi"))
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
	for name, want := range map[string]llm.Kind{"error.sse": llm.Overloaded, "truncated.sse": llm.Truncated} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := replay(t, anthropic.Config{}, recorded(t, name), llmtest.Ask("hi"))
			var e *llm.Error
			if !errors.As(err, &e) || e.Kind != want || !e.Kind.Retryable() {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

// conversation is one of everything that a transcript may hold.
func conversation() llm.Request {
	use := func(call id.Call, name, args string) transcript.ToolUse {
		return transcript.ToolUse{ID: call, Name: name, Args: json.RawMessage(args)}
	}
	return llm.Request{Model: "claude-opus-5", ID: "7.1", Rows: llmtest.Rows(
		transcript.System{Text: "Be brief."},
		transcript.System{Text: "The folder is <work>."},
		transcript.User{Content: transcript.Blocks{transcript.Text{Text: "What is this?"}, transcript.Media{MediaType: "image/png", Data: []byte("\x89PNG")},
			transcript.Media{MediaType: "video/mp4", Data: []byte("x")}, transcript.Text{Text: "  "}}},
		transcript.Notice{Kind: "mcp_pending", Text: "one server is not connected yet"},
		transcript.Assistant{Blocks: transcript.Blocks{
			transcript.Reasoning{Text: "I look.", Meta: meta(`{"signature":"c2ln"}`)},
			transcript.Reasoning{Meta: meta(`{"redacted":"b3BhcXVl"}`)},
			transcript.Reasoning{Text: "of another", Meta: &transcript.Meta{Provider: "openai", Data: json.RawMessage(`{"signature":"bm8="}`)}},
			transcript.Reasoning{Text: "unsigned"},
			transcript.Text{Text: "Let me look."}, use("toolu_1", "read", `{"path":"a"}`), use("toolu_2", "list", `{}`)}},
		transcript.ToolResult{Call: "toolu_1", Name: "read", Content: transcript.Blocks{transcript.Text{Text: "hello"}, transcript.Media{MediaType: "image/gif", Data: []byte("GIF")}}},
		transcript.ToolResult{Call: "toolu_2", Name: "list", IsError: true, Code: transcript.ResultOutcomeUnknown},
		transcript.User{Content: transcript.TextBlocks("And then?")},
		transcript.Assistant{Blocks: transcript.Blocks{transcript.Reasoning{Text: "only thoughts"}}},
		transcript.User{Content: transcript.TextBlocks("Well?")},
	), Tools: []llm.Tool{{Name: "read", Description: "Reads.", Schema: json.RawMessage(`{"type":"object","properties":{"path":{"type":"string"}},"required":["path"]}`)}, {Name: "list"}}}
}

// golden compares a request's body with a file, in a form that people can read.
func golden(t *testing.T, name string, body []byte) {
	t.Helper()
	var out bytes.Buffer
	if err := json.Indent(&out, bytes.TrimSpace(body), "", " "); err != nil {
		t.Fatal(err)
	}
	out.WriteByte('\n')
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), out.String()); d != "" {
		t.Error(d)
	}
}

func TestThe_request_is_what_the_API_asks_for(t *testing.T) {
	t.Parallel()
	a := recorded(t, "text.sse")
	if _, err := replay(t, anthropic.Config{APIKey: " sk-ant-1 \n", Header: http.Header{"Anthropic-Beta": {"x-1"}}}, a, conversation()); err != nil {
		t.Fatal(err)
	}
	golden(t, "request.json", a.sent)
	h := a.request.Header
	if a.request.URL.String() != "https://api.anthropic.com/v1/messages" || h.Get("X-Api-Key") != "sk-ant-1" || h.Get("Anthropic-Version") != "2023-06-01" ||
		h.Get("Anthropic-Beta") != "x-1" || h.Get("Content-Type") != "application/json" || h.Get("Authorization") != "" {
		t.Errorf("%s %v", a.request.URL, h)
	}
}

func TestA_base_URL_may_end_in_v1(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"http://127.0.0.1:9", "http://127.0.0.1:9/", "http://127.0.0.1:9/v1", "http://127.0.0.1:9/v1/"} {
		a := recorded(t, "text.sse")
		if _, err := replay(t, anthropic.Config{BaseURL: base}, a, llmtest.Ask("hi")); err != nil {
			t.Fatal(err)
		}
		if got := a.request.URL.String(); got != "http://127.0.0.1:9/v1/messages" || a.request.Header.Get("X-Api-Key") != "" {
			t.Errorf("%s leads to %s", base, got)
		}
	}
}

func TestWithout_caching_no_mark_is_set(t *testing.T) {
	t.Parallel()
	a := recorded(t, "text.sse")
	if _, err := replay(t, anthropic.Config{NoCache: true}, a, conversation()); err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(a.sent, []byte("cache_control")) {
		t.Errorf("%s", a.sent)
	}
}

// A longer conversation must begin with the bytes of a shorter one, but for the marks: the provider's cache compares beginnings.
func TestA_round_later_the_request_begins_the_same(t *testing.T) {
	t.Parallel()
	send := func(rows int) string {
		a, req := recorded(t, "text.sse"), conversation()
		req.Rows = req.Rows[:rows]
		if _, err := replay(t, anthropic.Config{NoCache: true}, a, req); err != nil {
			t.Fatal(err)
		}
		_, messages, _ := strings.Cut(string(a.sent), `"messages":[`)
		messages, _, _ = strings.Cut(messages, `],"model"`)
		return strings.TrimSuffix(messages, "]}")
	}
	if short, long := send(3), send(7); !strings.HasPrefix(long, short) {
		t.Errorf("%s\ndoes not begin with\n%s", long, short)
	}
}

func TestThoughts_go_back_only_to_the_provider_they_came_from(t *testing.T) {
	t.Parallel()
	a := recorded(t, "text.sse")
	if _, err := replay(t, anthropic.Config{Name: "elsewhere"}, a, conversation()); err != nil {
		t.Fatal(err)
	}
	for _, secret := range []string{"I look.", "c2ln", "b3BhcXVl", "of another", "bm8="} {
		if bytes.Contains(a.sent, []byte(secret)) {
			t.Errorf("%q was sent to another provider", secret)
		}
	}
}

func TestExtra_parameters_reach_the_provider(t *testing.T) {
	t.Parallel()
	a, req := recorded(t, "text.sse"), conversation()
	req.MaxOutput, req.Extra = 100, json.RawMessage(`{"thinking":{"type":"adaptive"},"tools":[{"type":"web_search_20250305","name":"web_search"}]}`)
	if _, err := replay(t, anthropic.Config{}, a, req); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`"thinking":{"type":"adaptive"}`, `{"type":"web_search_20250305","name":"web_search"}]`, `"max_tokens":100,`} {
		if !bytes.Contains(a.sent, []byte(want)) {
			t.Errorf("no %s in %s", want, a.sent)
		}
	}
}

func TestSystem_text_in_the_middle_is_refused(t *testing.T) {
	t.Parallel()
	req := llmtest.Ask("hi")
	req.Rows = append(req.Rows, transcript.Row{At: transcript.Position{Message: 2}, Entry: transcript.System{Text: "now be rude"}})
	_, err := replay(t, anthropic.Config{}, recorded(t, "text.sse"), req)
	var e *llm.Error
	if !errors.As(err, &e) || e.Kind != llm.InvalidRequest {
		t.Errorf("got %v", err)
	}
}

func TestAn_answer_that_is_no_stream_is_explained(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		kind, body string
		want       llm.Kind
	}{
		{"text/html", "<html>sign in</html>", llm.Garbled},
		{"application/json", `{"type":"error","error":{"type":"rate_limit_error","message":"slow down"}}`, llm.RateLimited},
		{"application/json", `{"id":"msg"}`, llm.Garbled},
		{"text/plain", "hello", llm.Truncated},
	} {
		_, err := replay(t, anthropic.Config{}, &answering{body: []byte(c.body), kind: c.kind}, llmtest.Ask("hi"))
		var e *llm.Error
		if !errors.As(err, &e) || e.Kind != c.want {
			t.Errorf("%s: %v", c.body, err)
		}
	}
}

func TestA_configuration_that_cannot_work_is_refused(t *testing.T) {
	t.Parallel()
	for _, c := range []anthropic.Config{{BaseURL: "api.anthropic.com"}, {APIKey: "sk\n1"}} {
		if _, err := anthropic.New(c); !errors.As(err, new(*llm.Error)) {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// Whatever arrives, nothing panics, and there is no reply without the terminal event.
func FuzzStream(f *testing.F) {
	names, err := filepath.Glob("testdata/*.sse")
	if err != nil || len(names) == 0 {
		f.Fatal("no recorded streams", err)
	}
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		got, err := replay(t, anthropic.Config{}, &answering{body: data}, llmtest.Ask("hi"))
		if err == nil && !bytes.Contains(data, []byte("stop")) {
			t.Fatalf("a reply without its end: %v", got)
		}
		if err != nil && got.Blocks != nil {
			t.Fatalf("a void reply holds %v", got.Blocks)
		}
		if err != nil && !errors.As(err, new(*llm.Error)) {
			t.Fatalf("an untyped error: %v", err)
		}
	})
}
