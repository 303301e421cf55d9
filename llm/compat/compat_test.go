package compat_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/llm/compat"
	"github.com/meerkat-go/meerkat/llm/llmtest"
	"github.com/meerkat-go/meerkat/transcript"
)

var update = flag.Bool("update", false, "rewrite the golden requests")

// answering is a transport that answers every request with one body and keeps the last request.
type answering struct {
	body    io.Reader
	kind    string
	status  int
	request *http.Request
	sent    []byte
}

func (a *answering) RoundTrip(r *http.Request) (*http.Response, error) {
	sent, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	a.request, a.sent = r, sent
	return &http.Response{StatusCode: max(a.status, http.StatusOK), Header: http.Header{"Content-Type": {a.kind}}, Body: io.NopCloser(a.body), Request: r}, nil
}

func replay(t *testing.T, c compat.Config, a *answering, req llm.Request) (transcript.Assistant, error) {
	t.Helper()
	if a.kind == "" {
		a.kind = "text/event-stream"
	}
	c.HTTPClient = &http.Client{Transport: a}
	m, err := compat.New(c)
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
	return &answering{body: bytes.NewReader(data)}
}

func call(call id.Call, name, args string) transcript.ToolUse {
	return transcript.ToolUse{ID: call, Name: name, Args: json.RawMessage(args)}
}

func thought(text, field string) transcript.Reasoning {
	return transcript.Reasoning{Text: text, Meta: &transcript.Meta{Provider: "openai", Data: json.RawMessage(`{"field":"` + field + `"}`)}}
}

func TestRecorded_streams_are_read_as_they_are_meant(t *testing.T) {
	t.Parallel()
	use := func(in, out int) *transcript.Usage { return &transcript.Usage{Input: in, Output: out} }
	text := func(s string) transcript.Blocks { return transcript.TextBlocks(s) }
	for name, want := range map[string]transcript.Assistant{
		"text.sse": {Blocks: text("Hello! Three files — ✓."), Stop: transcript.StopEndTurn, Usage: &transcript.Usage{Input: 19, Output: 9, CacheRead: 4}},
		"tools.sse": {Blocks: transcript.Blocks{call("call_6qJD1BK9", "read", `{"path": "a/b.txt"}`), call("call_Xt0mPEbS", "list", `{}`)},
			Stop: transcript.StopToolUse, Usage: use(82, 31)},
		"limit.sse":                    {Blocks: text("Once upon a"), Stop: transcript.StopMaxTokens, Usage: use(5, 3)},
		"filtered.sse":                 {Blocks: text("I can"), Stop: transcript.StopFiltered, Usage: use(5, 2)},
		"reasoning.sse":                {Blocks: transcript.Blocks{thought("Let me see.", "reasoning_content"), transcript.Text{Text: "Yes."}}, Stop: transcript.StopEndTurn, Usage: use(7, 12)},
		"both.sse":                     {Blocks: transcript.Blocks{thought("hmm", "reasoning"), transcript.Text{Text: "So."}}, Stop: transcript.StopEndTurn},
		"content_parts.sse":            {Blocks: transcript.Blocks{thought("hmm", "reasoning_content"), transcript.Text{Text: "Yes."}}, Stop: transcript.StopEndTurn},
		"no_done.sse":                  {Blocks: text("Hello there."), Stop: transcript.StopEndTurn, Usage: use(5, 4)},
		"no_usage.sse":                 {Blocks: text("Hello there."), Stop: transcript.StopEndTurn},
		"two_choices.sse":              {Blocks: text("one"), Stop: transcript.StopEndTurn},
		"calls_without_index.sse":      {Blocks: transcript.Blocks{call("a", "read", `{"p":1}`), call("b", "list", `{"q":2}`)}, Stop: transcript.StopToolUse},
		"calls_all_index_zero.sse":     {Blocks: transcript.Blocks{call("a", "read", `{"p":1}`), call("b", "list", `{}`)}, Stop: transcript.StopToolUse},
		"calls_repeat_id_and_name.sse": {Blocks: transcript.Blocks{call("a", "read", `{"p":1}`)}, Stop: transcript.StopToolUse},
		"calls_without_id.sse":         {Blocks: transcript.Blocks{call("*", "read", `{"p":1}`), call("*", "read", `{"p":2}`), call("*", "list", `{}`)}, Stop: transcript.StopToolUse},
		"calls_with_object.sse":        {Blocks: transcript.Blocks{call("a", "read", `{"p":1}`)}, Stop: transcript.StopToolUse},
		"calls_id_late.sse":            {Blocks: transcript.Blocks{call("late", "read", `{"p":1}`)}, Stop: transcript.StopToolUse},
		"whole.json":                   {Blocks: transcript.Blocks{transcript.Text{Text: "Hello."}, call("a", "read", `{"p":1}`)}, Stop: transcript.StopToolUse, Usage: use(3, 2)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			a := recorded(t, name)
			if strings.HasSuffix(name, ".json") {
				a.kind = "application/json; charset=utf-8"
			}
			got, err := replay(t, compat.Config{}, a, llmtest.Ask("hi"))
			if err != nil {
				t.Fatal(err)
			}
			seen := map[id.Call]bool{}
			for i, b := range got.Blocks { // a minted id is unlike any other
				if u, ok := b.(transcript.ToolUse); ok && strings.HasPrefix(string(u.ID), "call_0") && !seen[u.ID] {
					seen[u.ID] = true
					u.ID = "*"
					got.Blocks[i] = u
				}
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestRecorded_failures_are_typed(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]llm.Kind{"truncated.sse": llm.Truncated, "done_alone.sse": llm.Truncated, "error.sse": llm.ServerError,
		"error_openrouter.sse": llm.ServerError, "error_vllm.sse": llm.ServerError, "error_text.sse": llm.Unclassified, "error_context.sse": llm.ContextExceeded} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := replay(t, compat.Config{}, recorded(t, name), llmtest.Ask("hi"))
			var e *llm.Error
			if !errors.As(err, &e) || e.Kind != want || e.Message == "" {
				t.Errorf("got %v, want %s", err, want)
			}
		})
	}
}

// conversation is one of everything that a transcript may hold.
func conversation() llm.Request {
	return llm.Request{Model: "gpt-5.6-sol", MaxOutput: 500, Rows: llmtest.Rows(
		transcript.System{Text: "Be brief."},
		transcript.System{Text: "The folder is <work>."},
		transcript.User{Content: transcript.Blocks{transcript.Text{Text: "What is this?"}, transcript.Media{MediaType: "image/png", Data: []byte("\x89PNG")}}},
		transcript.Notice{Kind: "mcp_pending", Text: "one server is not connected yet"},
		transcript.Assistant{Blocks: transcript.Blocks{thought("I look.", "reasoning_content"), thought("Or not.", "reasoning"),
			transcript.Reasoning{Text: "of another", Meta: &transcript.Meta{Provider: "anthropic", Data: json.RawMessage(`{"signature":"bm8="}`)}},
			transcript.Text{Text: "Let me look."}, call("c1", "read", `{"path":"a"}`), call("c2", "list", `{}`)}},
		transcript.ToolResult{Call: "c1", Name: "read", Content: transcript.Blocks{transcript.Text{Text: "hello"}, transcript.Media{MediaType: "image/gif", Data: []byte("GIF")}}},
		transcript.ToolResult{Call: "c2", Name: "list", IsError: true, Code: transcript.ResultOutcomeUnknown},
		transcript.User{Content: transcript.TextBlocks("And then?")},
		transcript.Assistant{Blocks: transcript.Blocks{call("c3", "list", `{}`)}},
		transcript.ToolResult{Call: "c3", Name: "list", Content: transcript.TextBlocks("a.txt")},
		transcript.Assistant{Blocks: transcript.Blocks{transcript.Reasoning{Text: "only thoughts"}}},
		transcript.User{Content: transcript.TextBlocks("Well?")},
		transcript.Notice{Kind: "mcp", Text: "connected"},
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

func TestThe_request_is_what_OpenAI_asks_for(t *testing.T) {
	t.Parallel()
	a := recorded(t, "text.sse")
	if _, err := replay(t, compat.Config{APIKey: "sk-1\n"}, a, conversation()); err != nil {
		t.Fatal(err)
	}
	golden(t, "request.json", a.sent)
	if a.request.URL.String() != "https://api.openai.com/v1/chat/completions" || a.request.Header.Get("Authorization") != "Bearer sk-1" {
		t.Errorf("%s %v", a.request.URL, a.request.Header)
	}
}

func TestA_strict_server_gets_little(t *testing.T) {
	t.Parallel()
	a, req := recorded(t, "text.sse"), llmtest.Ask("hi")
	req.MaxOutput = 9
	if _, err := replay(t, compat.Config{BaseURL: "http://127.0.0.1:9", NoStreamOptions: true}, a, req); err != nil {
		t.Fatal(err)
	}
	if got, want := strings.TrimSpace(string(a.sent)), `{"max_tokens":9,"messages":[{"role":"user","content":"hi"}],"model":"fake-1","stream":true}`; got != want {
		t.Errorf("got %s", got)
	}
	if a.request.Header.Get("Authorization") != "" {
		t.Error("a credential was made up")
	}
}

func TestReasoning_goes_back_where_it_is_asked_for_and_only_there(t *testing.T) {
	t.Parallel()
	send := func(c compat.Config) string {
		a := recorded(t, "text.sse")
		if _, err := replay(t, c, a, conversation()); err != nil {
			t.Fatal(err)
		}
		return string(a.sent)
	}
	if got := send(compat.Config{ReplayReasoning: true}); !strings.Contains(got, `"reasoning_content":"I look."`) || !strings.Contains(got, `"reasoning":"Or not."`) || strings.Contains(got, "of another") {
		t.Errorf("asked for: %s", got)
	}
	for _, c := range []compat.Config{{}, {Name: "elsewhere", ReplayReasoning: true}} {
		if got := send(c); strings.Contains(got, "I look.") || strings.Contains(got, "of another") {
			t.Errorf("not asked for: %s", got)
		}
	}
}

func TestA_base_URL_leads_to_the_right_address(t *testing.T) {
	t.Parallel()
	for base, want := range map[string]string{
		"http://127.0.0.1:11434":                                   "http://127.0.0.1:11434/v1/chat/completions",
		"http://127.0.0.1:11434/":                                  "http://127.0.0.1:11434/v1/chat/completions",
		"http://127.0.0.1:11434/v1":                                "http://127.0.0.1:11434/v1/chat/completions",
		"http://127.0.0.1:11434/v1/":                               "http://127.0.0.1:11434/v1/chat/completions",
		"https://openrouter.ai/api/v1":                             "https://openrouter.ai/api/v1/chat/completions",
		"https://api.example.com/v4/chat/completions":              "https://api.example.com/v4/chat/completions",
		"https://generativelanguage.googleapis.com/v1beta/openai/": "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
		"https://x.openai.azure.com/openai/v1?api-version=preview": "https://x.openai.azure.com/openai/v1/chat/completions?api-version=preview",
	} {
		a := recorded(t, "text.sse")
		if _, err := replay(t, compat.Config{BaseURL: base}, a, llmtest.Ask("hi")); err != nil {
			t.Fatal(err)
		}
		if got := a.request.URL.String(); got != want {
			t.Errorf("%s leads to %s", base, got)
		}
	}
}

func TestRefusals_are_classified_by_what_servers_say(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		status int
		body   string
		want   llm.Kind
		says   string
	}{
		{"OpenAI, no quota left", 429, `{"error":{"message":"You exceeded your current quota","type":"insufficient_quota","code":"insufficient_quota"}}`, llm.InvalidRequest, "quota"},
		{"OpenAI, too fast", 429, `{"error":{"message":"Rate limit reached","type":"tokens","code":"rate_limit_exceeded"}}`, llm.RateLimited, "Rate limit"},
		{"OpenAI, too long", 400, `{"error":{"message":"This model's maximum context length is 8 tokens","type":"invalid_request_error","code":"context_length_exceeded"}}`, llm.ContextExceeded, "maximum"},
		{"OpenAI, forbidden content", 400, `{"error":{"message":"rejected","type":"invalid_request_error","code":"content_policy_violation"}}`, llm.ContentFiltered, "rejected"},
		{"vLLM, too long", 400, `{"object":"error","message":"This model's maximum context length is 8 tokens.","type":"BadRequestError","code":400}`, llm.ContextExceeded, "maximum"},
		{"vLLM, unknown model", 404, `{"object":"error","message":"The model x does not exist.","type":"NotFoundError","code":404}`, llm.UnknownModel, "does not exist"},
		{"llama.cpp, loading", 503, `{"error":{"code":503,"message":"Loading model","type":"unavailable_error"}}`, llm.Overloaded, "Loading"},
		{"llama.cpp, too long, as 500", 500, `{"error":{"code":500,"message":"context length exceeded","type":"server_error"}}`, llm.ContextExceeded, "context"},
		{"Ollama, unknown model", 404, `{"error":{"message":"model \"x\" not found, try pulling it first","type":"api_error","param":null,"code":null}}`, llm.UnknownModel, "pulling"},
		{"a plain word", 500, `{"error":"no runner"}`, llm.ServerError, "no runner"},
		{"FastAPI", 422, `{"detail":[{"loc":["body"],"msg":"field required"}]}`, llm.InvalidRequest, "field required"},
		{"a body that explains nothing", 400, `{}`, llm.InvalidRequest, "{}"},
		{"no body", 502, ``, llm.ServerError, "Bad Gateway"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := replay(t, compat.Config{}, &answering{status: c.status, kind: "application/json", body: strings.NewReader(c.body)}, llmtest.Ask("hi"))
			var e *llm.Error
			if !errors.As(err, &e) || e.Kind != c.want || !strings.Contains(e.Message, c.says) || e.Status != c.status {
				t.Errorf("got %v, want %s", err, c.want)
			}
		})
	}
}

// ongoing yields some text and then nothing until its context ends.
type ongoing struct {
	io.Reader
	ctx context.Context
}

func (o *ongoing) Read(p []byte) (int, error) {
	if n, err := o.Reader.Read(p); err == nil {
		return n, nil
	}
	<-o.ctx.Done()
	return 0, o.ctx.Err()
}

// lingering is a transport whose answer never ends.
type lingering struct{ body string }

func (l lingering) RoundTrip(r *http.Request) (*http.Response, error) {
	body := &ongoing{strings.NewReader(l.body), r.Context()}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(body), Request: r}, nil
}

const finished = `data: {"choices":[{"index":0,"delta":{"content":"hello"},"finish_reason":"stop"}]}` + "\n\n"

func TestA_finished_reply_waits_a_short_while_for_its_usage(t *testing.T) {
	t.Parallel()
	usage := `data: {"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":1}}` + "\n\n"
	for _, c := range []struct {
		name, body string
		config     time.Duration
		want       *transcript.Usage
		after      time.Duration
	}{
		{"nothing follows", finished, 0, nil, compat.DefaultTrailer},
		{"a time of its own", finished, 10 * time.Second, nil, 10 * time.Second},
		{"usage follows, and no end", finished + usage, 0, &transcript.Usage{Input: 3, Output: 1}, compat.DefaultTrailer},
		{"usage and the end follow", finished + usage + "data: [DONE]\n\n", 0, &transcript.Usage{Input: 3, Output: 1}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				m, err := compat.New(compat.Config{HTTPClient: &http.Client{Transport: lingering{c.body}}, Trailer: c.config})
				if err != nil {
					t.Fatal(err)
				}
				start := time.Now()
				got, err := llm.Collect(m.Stream(t.Context(), llmtest.Ask("hi")), nil)
				if err != nil {
					t.Fatal(err)
				}
				if took := time.Since(start).Truncate(time.Second); took != c.after {
					t.Errorf("it took %v", took)
				}
				if d := cmp.Diff(transcript.Assistant{Blocks: transcript.TextBlocks("hello"), Stop: transcript.StopEndTurn, Usage: c.want}, got); d != "" {
					t.Error(d)
				}
			})
		})
	}
}

func TestA_finished_reply_is_void_for_a_caller_who_has_gone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m, err := compat.New(compat.Config{HTTPClient: &http.Client{Transport: lingering{finished}}})
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		if _, err := llm.Collect(m.Stream(ctx, llmtest.Ask("hi")), nil); !errors.Is(err, context.Canceled) {
			t.Errorf("got %v", err)
		}
	})
}

// Whatever arrives, nothing panics, and there is no reply without the terminal.
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
		got, err := replay(t, compat.Config{}, &answering{body: bytes.NewReader(data)}, llmtest.Ask("hi"))
		if err == nil && !bytes.Contains(bytes.ToLower(data), []byte("finish_reason")) && !bytes.Contains(data, []byte(`\u`)) {
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
