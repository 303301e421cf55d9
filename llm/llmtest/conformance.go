package llmtest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/llm/llmtest/fakeserver"
	"github.com/meerkat-go/meerkat/llm/llmtest/script"
	"github.com/meerkat-go/meerkat/transcript"
)

// Key is the credential an adapter under test sends. No error may show it, nor its beginning.
const Key = "sk-conformance-0123456789abcdef"

// Open makes the adapter under test for a server at baseURL, with Key as its credential.
type Open func(t *testing.T, baseURL string) llm.Model

// Run is the suite that every adapter over HTTP passes, against a real server on loopback.
func Run(t *testing.T, open Open, wire fakeserver.Wire) {
	s := suite{open, wire}
	t.Run("a reply is put together as it was sent", s.replies)
	t.Run("a request carries the conversation", s.conversation)
	t.Run("a call that ends without a reply says why", s.failures)
	t.Run("an HTTP failure is classified by its status and body", s.statuses)
	t.Run("a hint to wait is read as seconds or not at all", s.hints)
	t.Run("an error event within the stream is typed", s.errorEvents)
	t.Run("no error shows the credential", s.secrets)
	t.Run("a context that ends closes the connection", s.cancellation)
	t.Run("a deadline is the time limit of the call", s.deadline)
	t.Run("a consumer that stops closes the connection", s.abandonment)
	t.Run("a call on a kept-alive connection is not repeated by the transport", s.noRepeat)
	t.Run("a conversation that is not well formed is refused without a call", s.malformed)
	t.Run("one adapter serves many calls at once", s.concurrency)
	t.Run("a prompt of ten megabytes is sent", s.large)
	t.Run("a server that is not there is a failed connection", s.nobody)
}

type suite struct {
	open Open
	wire fakeserver.Wire
}

// start runs a server with rules and an adapter for it.
func (s suite) start(t *testing.T, rules ...script.Rule) (llm.Model, *fakeserver.Server) {
	t.Helper()
	server := fakeserver.New(rules...)
	h := httptest.NewServer(server)
	t.Cleanup(func() {
		llm.CloseIdleConnections()
		h.CloseClientConnections()
		h.Close()
	})
	return s.open(t, h.URL), server
}

func always(r script.Reply) script.Rule { return script.Rule{Reply: r} }

// Ask is a request of one user message.
func Ask(text string) llm.Request {
	return llm.Request{Model: "fake-1", Rows: []transcript.Row{{At: transcript.Position{Message: 1}, Entry: transcript.User{Content: transcript.TextBlocks(text)}}}}
}

// Rows places entries one message after another; results after the first of a batch share its message.
func Rows(entries ...transcript.Entry) []transcript.Row {
	var out []transcript.Row
	var at transcript.Position
	for i, e := range entries {
		_, result := e.(transcript.ToolResult)
		if i > 0 && result {
			if _, again := entries[i-1].(transcript.ToolResult); again {
				at.Ordinal++
				out = append(out, transcript.Row{At: at, Entry: e})
				continue
			}
		}
		at = transcript.Position{Message: at.Message + 1}
		out = append(out, transcript.Row{At: at, Entry: e})
	}
	return out
}

func (s suite) replies(t *testing.T) {
	t.Parallel()
	call := func(call, name, args string) transcript.ToolUse {
		return transcript.ToolUse{ID: id.Call(call), Name: name, Args: json.RawMessage(args)}
	}
	for _, c := range []struct {
		name  string
		reply script.Reply
		want  transcript.Assistant
	}{
		{"text", script.Reply{Text: "héllo wörld <&> \u2028 ✓", Chunks: 50},
			transcript.Assistant{Blocks: transcript.TextBlocks("héllo wörld <&> \u2028 ✓"), Stop: transcript.StopEndTurn}},
		{"two calls", script.Reply{Text: "let me look", ToolCalls: []script.Call{{ID: "c1", Name: "read", Args: json.RawMessage(`{"path":"a b"}`)},
			{ID: "c2", Name: "list", Args: json.RawMessage(`{"n":1}`)}}},
			transcript.Assistant{Blocks: transcript.Blocks{transcript.Text{Text: "let me look"}, call("c1", "read", `{"path":"a b"}`), call("c2", "list", `{"n":1}`)},
				Stop: transcript.StopToolUse}},
		{"a call without arguments", script.Reply{ToolCalls: []script.Call{{ID: "c1", Name: "list"}}},
			transcript.Assistant{Blocks: transcript.Blocks{call("c1", "list", `{}`)}, Stop: transcript.StopToolUse}},
		{"a reply at its limit", script.Reply{Text: "and so", Stop: transcript.StopMaxTokens},
			transcript.Assistant{Blocks: transcript.TextBlocks("and so"), Stop: transcript.StopMaxTokens}},
		{"a filtered reply", script.Reply{Text: "I", Stop: transcript.StopFiltered},
			transcript.Assistant{Blocks: transcript.TextBlocks("I"), Stop: transcript.StopFiltered}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.reply.Usage = &transcript.Usage{Input: 120, Output: 34, CacheRead: 56}
			c.want.Usage = c.reply.Usage
			m, server := s.start(t, always(c.reply))
			var shown strings.Builder
			got, err := llm.Collect(m.Stream(t.Context(), Ask("hi")), func(p llm.Part) {
				if p, ok := p.(llm.TextPart); ok {
					shown.WriteString(p.Text)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Error(d)
			}
			if shown.String() != c.reply.Text {
				t.Errorf("shown as it came: %q", shown.String())
			}
			if n := len(server.Requests()); n != 1 {
				t.Errorf("%d requests", n)
			}
		})
	}
	t.Run("reasoning comes before the text", func(t *testing.T) {
		t.Parallel()
		m, _ := s.start(t, always(script.Reply{Reasoning: "hmm, well", Text: "yes", NoUsage: true}))
		got, err := llm.Collect(m.Stream(t.Context(), Ask("hi")), nil)
		if err != nil {
			t.Fatal(err)
		}
		if r, ok := got.Blocks[0].(transcript.Reasoning); !ok || r.Text != "hmm, well" || len(got.Blocks) != 2 {
			t.Errorf("got %#v", got.Blocks)
		}
		if got.Usage != nil {
			t.Errorf("usage %v, and none was reported", got.Usage)
		}
	})
	t.Run("a call without an id gets one of its own", func(t *testing.T) {
		t.Parallel()
		m, _ := s.start(t, always(script.Reply{ToolCalls: []script.Call{{Name: "a"}, {Name: "a"}}}))
		got, err := llm.Collect(m.Stream(t.Context(), Ask("hi")), nil)
		if err != nil {
			t.Fatal(err)
		}
		if u := got.Blocks.ToolUses(); len(u) != 2 || u[0].ID == "" || u[0].ID == u[1].ID {
			t.Errorf("got %v", u)
		}
	})
	t.Run("an id that the conversation has used is not used again", func(t *testing.T) {
		t.Parallel()
		m, _ := s.start(t, always(script.Reply{ToolCalls: []script.Call{{ID: "call_0", Name: "a"}}}))
		req := Ask("hi")
		req.Rows = Rows(req.Rows[0].Entry, transcript.Assistant{Blocks: transcript.Blocks{call("call_0", "a", "{}")}},
			transcript.ToolResult{Call: "call_0", Name: "a", Content: transcript.TextBlocks("done")})
		got, err := llm.Collect(m.Stream(t.Context(), req), nil)
		if err != nil {
			t.Fatal(err)
		}
		if u := got.Blocks.ToolUses(); len(u) != 1 || u[0].ID == "" || u[0].ID == "call_0" {
			t.Errorf("got %v", u)
		}
	})
}

func (s suite) conversation(t *testing.T) {
	t.Parallel()
	m, server := s.start(t, always(script.Reply{Text: "ok"}))
	req := llm.Request{Model: "fake-7", MaxOutput: 77, Rows: Rows(
		transcript.System{Text: "be <careful>"},
		transcript.User{Content: transcript.TextBlocks("what is here?")},
		transcript.Assistant{Blocks: transcript.Blocks{transcript.Text{Text: "looking"}, transcript.ToolUse{ID: "c1", Name: "list", Args: json.RawMessage(`{}`)},
			transcript.ToolUse{ID: "c2", Name: "read", Args: json.RawMessage(`{"path":"x"}`)}}},
		transcript.ToolResult{Call: "c1", Name: "list", Content: transcript.TextBlocks("a.txt")},
		transcript.ToolResult{Call: "c2", Name: "read", Content: transcript.TextBlocks("no such file"), IsError: true, Code: transcript.ResultFailed},
		transcript.Notice{Kind: "background_job", Text: "job 7 ended"},
	), Tools: []llm.Tool{{Name: "list", Description: "lists", Schema: json.RawMessage(`{"type":"object","properties":{"path":{"type":"string"}}}`)}, {Name: "read"}}}
	if _, err := llm.Collect(m.Stream(t.Context(), req), nil); err != nil {
		t.Fatal(err)
	}
	got := server.Requests()[0]
	if got.Model != "fake-7" || got.System != "be <careful>" || got.ToolResults != 2 {
		t.Errorf("the server read %+v", got.Conversation)
	}
	if got.Results[0] != "a.txt" || !strings.Contains(got.Results[1], "no such file") {
		t.Errorf("results %q", got.Results)
	}
	if !strings.Contains(got.User, "job 7 ended") {
		t.Errorf("the notice is not the last words: %q", got.User)
	}
	for _, want := range []string{`"what is here?"`, `"looking"`, `"c1"`, `"list"`, `"lists"`, `77`, `"stream":true`} {
		if !strings.Contains(string(got.Body), want) {
			t.Errorf("the body has no %s: %s", want, got.Body)
		}
	}
	if !strings.Contains(got.Header.Get("X-Api-Key")+got.Header.Get("Authorization"), Key) {
		t.Error("the credential is not sent")
	}
}

// kind fails the test unless err is an *llm.Error of the given kind, and returns it.
func kind(t *testing.T, err error, want llm.Kind) *llm.Error {
	t.Helper()
	var e *llm.Error
	if !errors.As(err, &e) {
		t.Fatalf("got %v, want an *llm.Error of kind %s", err, want)
	}
	if e.Kind != want {
		t.Errorf("got %v, want kind %s", e, want)
	}
	return e
}

func (s suite) failures(t *testing.T) {
	t.Parallel()
	long := script.Reply{Text: strings.Repeat("word ", 20), Chunks: 10}
	with := func(f script.Fault) script.Reply { r := long; r.Fault = f; return r }
	for _, c := range []struct {
		name  string
		reply script.Reply
		want  llm.Kind
	}{
		{"a dropped connection", with(script.Drop), llm.ConnectionReset},
		{"a connection that breaks in the stream", with(script.Reset), llm.ConnectionReset},
		{"a stream cut in good order", with(script.Cut), llm.Truncated},
		{"a stream that is whole but for its end", with(script.NoEnd), llm.Truncated},
		{"calls that are whole but for their end", script.Reply{ToolCalls: []script.Call{{Name: "a", Args: json.RawMessage(`{}`)}}, Fault: script.NoEnd}, llm.Truncated},
		{"garbage in the stream", with(script.Garbage), llm.Garbled},
		{"an event without bound", with(script.Long), llm.Garbled},
		{"arguments that are not JSON", script.Reply{ToolCalls: []script.Call{{Name: "a", Args: json.RawMessage(`"{\"path\": "`)}}}, llm.InvalidArguments},
		{"arguments that are no object", script.Reply{ToolCalls: []script.Call{{Name: "a", Args: json.RawMessage(`[1]`)}}}, llm.InvalidArguments},
		{"a reply of nothing", script.Reply{}, llm.Empty},
		{"a reply of blanks", script.Reply{Text: " \n "}, llm.Empty},
		{"a reply that was withheld", script.Reply{Stop: transcript.StopFiltered}, llm.ContentFiltered},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m, server := s.start(t, always(c.reply))
			_, err := llm.Collect(m.Stream(t.Context(), Ask("hi")), nil)
			if e := kind(t, err, c.want); e.Message == "" && e.Err == nil {
				t.Error("the error explains nothing")
			}
			if n := len(server.Requests()); n != 1 {
				t.Errorf("%d requests: an adapter never tries again", n)
			}
		})
	}
}

func (s suite) statuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		status int
		body   script.Error
		want   llm.Kind
	}{
		{"401", 401, script.Error{Type: "authentication_error", Code: "invalid_api_key", Message: "bad key"}, llm.Unauthenticated},
		{"403", 403, script.Error{Type: "permission_error", Message: "not yours"}, llm.Forbidden},
		{"404", 404, script.Error{Type: "not_found_error", Code: "model_not_found", Message: "model: fake-1"}, llm.UnknownModel},
		{"413", 413, script.Error{Type: "request_too_large", Message: "too large"}, llm.TooLarge},
		{"400", 400, script.Error{Type: "invalid_request_error", Message: "tools.0: bad"}, llm.InvalidRequest},
		{"422", 422, script.Error{Type: "invalid_request_error", Message: "extra field"}, llm.InvalidRequest},
		{"429", 429, script.Error{Type: "rate_limit_error", Code: "rate_limit_exceeded", Message: "slow down"}, llm.RateLimited},
		{"500", 500, script.Error{Type: "api_error", Message: "oops"}, llm.ServerError},
		{"502", 502, script.Error{Type: "api_error", Message: "bad gateway"}, llm.ServerError},
		{"503", 503, script.Error{Type: "overloaded_error", Message: "busy"}, llm.Overloaded},
		{"529", 529, script.Error{Type: "overloaded_error", Message: "busy"}, llm.Overloaded},
		{"408", 408, script.Error{Type: "timeout_error", Message: "slow"}, llm.NetworkTimeout},
		{"a context that is full", 400, script.Error{Type: "invalid_request_error", Code: "context_length_exceeded",
			Message: "prompt is too long: 210000 tokens > 200000 maximum"}, llm.ContextExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			m, server := s.start(t, always(script.Reply{Status: c.status, Error: &c.body}))
			_, err := llm.Collect(m.Stream(t.Context(), Ask("hi")), nil)
			e := kind(t, err, c.want)
			if e.Status != c.status || e.Message != c.body.Message || e.Provider == "" {
				t.Errorf("status %d, message %q, provider %q", e.Status, e.Message, e.Provider)
			}
			if n := len(server.Requests()); n != 1 {
				t.Errorf("%d requests: an adapter never tries again", n)
			}
		})
	}
	t.Run("a page instead of an explanation", func(t *testing.T) {
		t.Parallel()
		m, _ := s.start(t, always(script.Reply{Status: 502, Body: "<html><body>" + strings.Repeat("nginx ", 1e5) + "</body></html>"}))
		_, err := llm.Collect(m.Stream(t.Context(), Ask("hi")), nil)
		if e := kind(t, err, llm.ServerError); len(e.Message) > 1000 || strings.Contains(e.Message, "<") {
			t.Errorf("a message of %d bytes: %.100s", len(e.Message), e.Message)
		}
	})
	t.Run("an explanation without bound is cut", func(t *testing.T) {
		t.Parallel()
		m, _ := s.start(t, always(script.Reply{Status: 400, Body: strings.Repeat("why ", 1e5)}))
		_, err := llm.Collect(m.Stream(t.Context(), Ask("hi")), nil)
		if e := kind(t, err, llm.InvalidRequest); len(e.Message) > 1000 || !strings.Contains(e.Message, "more characters") {
			t.Errorf("a message of %d bytes: %.100s", len(e.Message), e.Message)
		}
	})
}

func (s suite) hints(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]time.Duration{"": 0, "7": 7 * time.Second, "1.5": 1500 * time.Millisecond, "Wed, 21 Oct 2026 07:28:00 GMT": 0,
		"-3": 0, "1e9": 0, "soon": 0, "99999999999999999999": 0, "1.2.3": 0} {
		m, _ := s.start(t, always(script.Reply{Status: 429, RetryAfter: header}))
		_, err := llm.Collect(m.Stream(t.Context(), Ask("hi")), nil)
		if e := kind(t, err, llm.RateLimited); e.RetryAfter != want {
			t.Errorf("retry-after %q is read as %v", header, e.RetryAfter)
		}
	}
}

func (s suite) errorEvents(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  script.Error
		want llm.Kind
	}{
		{script.Error{Type: "overloaded_error", Message: "busy"}, llm.Overloaded},
		{script.Error{Type: "rate_limit_error", Message: "slow down"}, llm.RateLimited},
		{script.Error{Type: "api_error", Message: "oops"}, llm.ServerError},
		{script.Error{Type: "something_new", Message: "what?"}, llm.Unclassified},
		{script.Error{Type: "invalid_request_error", Message: "prompt is too long: 3 tokens > 2 maximum"}, llm.ContextExceeded},
	} {
		t.Run(c.err.Type, func(t *testing.T) {
			t.Parallel()
			m, _ := s.start(t, always(script.Reply{Text: "half a", Fault: script.Fail, Error: &c.err}))
			_, err := llm.Collect(m.Stream(t.Context(), Ask("hi")), nil)
			if e := kind(t, err, c.want); e.Message != c.err.Message {
				t.Errorf("message %q", e.Message)
			}
		})
	}
}

func (s suite) secrets(t *testing.T) {
	t.Parallel()
	for name, reply := range map[string]script.Reply{
		"in an explanation":           {Status: 401, Error: &script.Error{Type: "authentication_error", Message: "Incorrect API key provided: {{key}}."}},
		"in a page":                   {Status: 403, Body: "key {{key}} is not known"},
		"its beginning":               {Status: 401, Error: &script.Error{Type: "authentication_error", Message: "Incorrect API key: " + Key[:14] + "****"}},
		"in an error event":           {Text: "a", Fault: script.Fail, Error: &script.Error{Type: "api_error", Message: "{{key}}"}},
		"far within a very long text": {Status: 400, Body: strings.Repeat("x", 590) + "{{key}}"},
	} {
		m, _ := s.start(t, always(reply))
		_, err := llm.Collect(m.Stream(t.Context(), Ask("hi")), nil)
		if err == nil || strings.Contains(err.Error(), Key[:10]) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// await fails the test if nothing comes from c before the test's own time runs out.
func await(t *testing.T, c <-chan int) {
	t.Helper()
	select {
	case <-c:
	case <-t.Context().Done():
		t.Fatal("the server never saw the client leave")
	}
}

func (s suite) cancellation(t *testing.T) {
	t.Parallel()
	boom := errors.New("the user is tired of it")
	for _, f := range []script.Fault{script.Hang, script.Stall} {
		m, server := s.start(t, always(script.Reply{Text: "some text", Fault: f}))
		arrived := make(chan struct{}, 1)
		server.OnRequest = func(fakeserver.Request) error { arrived <- struct{}{}; return nil }
		ctx, cancel := context.WithCancelCause(t.Context())
		done := make(chan error, 1)
		first := make(chan struct{}, 16)
		go func() {
			_, err := llm.Collect(m.Stream(ctx, Ask("hi")), func(llm.Part) { first <- struct{}{} })
			done <- err
		}()
		if f == script.Stall {
			<-first
		} else {
			<-arrived
		}
		cancel(boom)
		err := <-done
		if !errors.Is(err, context.Canceled) || !errors.Is(err, boom) || fault.CodeOf(err) != fault.Cancelled {
			t.Errorf("%s: got %v", f, err)
		}
		await(t, server.Gone())
	}
	m, server := s.start(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := llm.Collect(m.Stream(ctx, Ask("hi")), nil); !errors.Is(err, context.Canceled) {
		t.Errorf("a context that has ended already: %v", err)
	}
	if n := len(server.Requests()); n != 0 {
		t.Errorf("%d requests under a context that had ended", n)
	}
}

func (s suite) deadline(t *testing.T) {
	t.Parallel()
	m, _ := s.start(t, always(script.Reply{Text: "some text", Fault: script.Stall}))
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err := llm.Collect(m.Stream(ctx, Ask("hi")), nil)
	kind(t, err, llm.CallTimeout)
}

func (s suite) abandonment(t *testing.T) {
	t.Parallel()
	m, server := s.start(t, always(script.Reply{Text: "some text", Fault: script.Stall}))
	for _, err := range m.Stream(t.Context(), Ask("hi")) {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	await(t, server.Gone())
}

func (s suite) noRepeat(t *testing.T) {
	t.Parallel()
	m, server := s.start(t, script.Rule{Times: 1, Reply: script.Reply{Text: "fine"}}, script.Rule{Times: 1, Reply: script.Reply{Fault: script.Drop}}, always(script.Reply{Text: "again"}))
	if _, err := llm.Collect(m.Stream(t.Context(), Ask("hi")), nil); err != nil {
		t.Fatal(err)
	}
	_, err := llm.Collect(m.Stream(t.Context(), Ask("hi")), nil)
	kind(t, err, llm.ConnectionReset)
	if n := len(server.Requests()); n != 2 {
		t.Errorf("%d requests for two calls", n)
	}
}

func (s suite) malformed(t *testing.T) {
	t.Parallel()
	use := transcript.Assistant{Blocks: transcript.Blocks{transcript.ToolUse{ID: "c1", Name: "a", Args: json.RawMessage(`{}`)}}}
	hi := transcript.User{Content: transcript.TextBlocks("hi")}
	for name, rows := range map[string][]transcript.Row{
		"nothing was said":             Rows(transcript.System{Text: "be good"}),
		"a call has no result":         Rows(hi, use, hi),
		"the last call has no result":  Rows(hi, use),
		"a result has no call":         Rows(hi, transcript.ToolResult{Call: "c9"}),
		"a result comes a second time": Rows(hi, use, transcript.ToolResult{Call: "c1"}, transcript.ToolResult{Call: "c1"}),
	} {
		m, server := s.start(t, always(script.Reply{Text: "ok"}))
		_, err := llm.Collect(m.Stream(t.Context(), llm.Request{Model: "fake-1", Rows: rows}), nil)
		if e := kind(t, err, llm.InvalidRequest); e.Provider == "" {
			t.Errorf("%s: no provider", name)
		}
		if n := len(server.Requests()); n != 0 {
			t.Errorf("%s: %d requests", name, n)
		}
	}
}

func (s suite) concurrency(t *testing.T) {
	t.Parallel()
	var rules []script.Rule
	words := []string{"alpha", "bravo", "charlie", "delta", "echo", "foxtrot", "golf", "hotel"}
	for _, w := range words {
		rules = append(rules, script.Rule{When: script.When{UserContains: w}, Reply: script.Reply{Text: "you said " + w, Chunks: 5}})
	}
	m, _ := s.start(t, rules...)
	done := make(chan error, len(words))
	for _, w := range words {
		go func() {
			got, err := llm.Collect(m.Stream(t.Context(), Ask(w)), nil)
			if err == nil && got.Blocks.Plain() != "you said "+w {
				err = errors.New("asked " + w + ", got " + got.Blocks.Plain())
			}
			done <- err
		}()
	}
	for range words {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
}

func (s suite) large(t *testing.T) {
	t.Parallel()
	m, server := s.start(t, always(script.Reply{Text: "long"}))
	prompt := strings.Repeat("0123456789", 1<<20)
	if _, err := llm.Collect(m.Stream(t.Context(), Ask(prompt)), nil); err != nil {
		t.Fatal(err)
	}
	if got := server.Requests()[0].User; got != prompt {
		t.Errorf("the server read a prompt of %d bytes", len(got))
	}
}

func (s suite) nobody(t *testing.T) {
	t.Parallel()
	h := httptest.NewServer(http.NotFoundHandler())
	h.Close()
	_, err := llm.Collect(s.open(t, h.URL).Stream(t.Context(), Ask("hi")), nil)
	if e := kind(t, err, llm.ConnectionReset); !strings.Contains(e.Message, "127.0.0.1") {
		t.Errorf("the error does not say where: %v", e)
	}
}
