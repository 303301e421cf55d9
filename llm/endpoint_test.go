package llm_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/transcript"
)

// piped is a client whose every connection is a pipe to a server that sends answer and then nothing more. With virtual time,
// waiting on it costs none.
func piped(t *testing.T, answer string) *http.Client {
	transport := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
		here, there := net.Pipe()
		go func() {
			defer there.Close()
			r := bufio.NewReader(there)
			req, err := http.ReadRequest(r)
			if err != nil {
				return
			}
			if _, err := io.Copy(io.Discard, req.Body); err != nil {
				return
			}
			if _, err := io.WriteString(there, answer); err != nil {
				return
			}
			_, _ = r.ReadByte() // until the client leaves
		}()
		return here, nil
	}}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

const headers = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"

func TestA_silent_server_is_given_up_after_its_time(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, answer string
		idle         time.Duration
		want         llm.Kind
		after        time.Duration
	}{
		{"no answer at all", "", 0, llm.NetworkTimeout, llm.DefaultIdle},
		{"an answer without an event", headers, 0, llm.StreamStalled, llm.DefaultIdle},
		{"silence behind an event", headers + "data: a\n\n", 0, llm.StreamStalled, llm.DefaultIdle},
		{"comments are no events", headers + "data: a\n\n: still here\n\n", 0, llm.StreamStalled, llm.DefaultIdle},
		{"a time of its own", headers, time.Minute, llm.StreamStalled, time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				e := llm.Endpoint{Provider: "p", URL: "http://server/", Client: piped(t, c.answer), Idle: c.idle}
				start := time.Now()
				err := drain(e.Open(t.Context(), []byte("{}"), ""))
				var failure *llm.Error
				if !errors.As(err, &failure) || failure.Kind != c.want || time.Since(start) != c.after {
					t.Errorf("after %v: %v", time.Since(start), err)
				}
			})
		})
	}
}

func TestA_slow_consumer_is_no_stalled_stream(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := llm.Endpoint{Provider: "p", URL: "http://server/", Client: piped(t, headers+"data: a\n\ndata: b\n\n"), Idle: time.Minute}
		s, err := e.Open(t.Context(), nil, "")
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		for _, want := range []string{"a", "b"} {
			ev, err := s.Next()
			if err != nil || string(ev.Data) != want {
				t.Fatalf("got %q, %v", ev.Data, err)
			}
			time.Sleep(time.Hour)
		}
	})
}

func TestWithout_a_watchdog_silence_lasts_as_long_as_the_context(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 48*time.Hour)
		defer cancel()
		e := llm.Endpoint{Provider: "p", URL: "http://server/", Client: piped(t, headers), Idle: -1}
		err := drain(e.Open(ctx, nil, ""))
		var failure *llm.Error
		if !errors.As(err, &failure) || failure.Kind != llm.CallTimeout {
			t.Errorf("got %v", err)
		}
	})
}

func TestAn_explanation_that_never_ends_does_not_delay_the_refusal_for_ever(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := llm.Endpoint{Provider: "p", URL: "http://server/", Client: piped(t, "HTTP/1.1 503 Busy\r\nContent-Length: 100\r\n\r\ntoo many")}
		start := time.Now()
		err := drain(e.Open(t.Context(), nil, ""))
		var failure *llm.Error
		if !errors.As(err, &failure) || failure.Kind != llm.Overloaded || failure.Message != "too many" || time.Since(start) > time.Minute {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
	})
}

// drain reads a stream to its end and returns what ended it.
func drain(s *llm.Stream, err error) error {
	if err != nil {
		return err
	}
	defer s.Close()
	for {
		if _, err := s.Next(); err != nil {
			return err
		}
	}
}

func TestAn_address_of_this_machine_needs_no_proxy(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]bool{"http://localhost:1/v1": true, "http://127.0.0.1": true, "http://127.8.9.1:80": true, "http://[::1]:8080": true,
		"http://model.localhost": true, "http://[::ffff:127.0.0.1]": true, "https://api.example.com": false, "http://10.0.0.1": false, "http://localhost.example.com": false} {
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if got := llm.Loopback(u); got != want {
			t.Errorf("%s: %v", address, got)
		}
		proxied := llm.DefaultClient(u).Transport.(*http.Transport).Proxy != nil
		if proxied == want {
			t.Errorf("%s: proxied %v", address, proxied)
		}
	}
}

func TestA_redirect_is_told_and_not_followed(t *testing.T) {
	t.Parallel()
	followed := false
	h := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/there" {
			followed = true
		}
		http.Redirect(w, r, "/there", http.StatusFound)
	}))
	defer h.Close()
	e := llm.Endpoint{Provider: "p", URL: h.URL}
	err := drain(e.Open(t.Context(), nil, ""))
	var failure *llm.Error
	if !errors.As(err, &failure) || failure.Kind != llm.InvalidRequest || !strings.Contains(failure.Message, "/there") || followed {
		t.Errorf("followed %v: %v", followed, err)
	}
}

func TestAn_address_that_does_not_exist_is_told_with_the_advice_to_look_at_it(t *testing.T) {
	t.Parallel()
	h := httptest.NewServer(http.NotFoundHandler())
	defer h.Close()
	err := drain((&llm.Endpoint{Provider: "p", URL: h.URL + "/v1/x?secret=1"}).Open(t.Context(), nil, ""))
	var failure *llm.Error
	if !errors.As(err, &failure) || failure.Kind != llm.UnknownModel || !strings.Contains(failure.Message, "/v1/x") || strings.Contains(failure.Message, "secret") {
		t.Errorf("got %v", err)
	}
}

func TestA_certificate_that_nobody_signed_is_not_tried_again(t *testing.T) {
	t.Parallel()
	h := httptest.NewUnstartedServer(http.NotFoundHandler())
	h.Config.ErrorLog = nil
	h.Config.ErrorLog = log.New(io.Discard, "", 0) // it complains about us
	h.StartTLS()
	defer h.Close()
	err := drain((&llm.Endpoint{Provider: "p", URL: h.URL, Client: &http.Client{Transport: &http.Transport{}}}).Open(t.Context(), nil, ""))
	var failure *llm.Error
	if !errors.As(err, &failure) || failure.Kind != llm.NotConfigured {
		t.Errorf("got %v", err)
	}
}

func TestA_call_carries_its_id_and_not_one_that_a_header_cannot_hold(t *testing.T) {
	t.Parallel()
	got := make(chan string, 2)
	h := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got <- r.Header.Get("X-Client-Request-Id") }))
	defer h.Close()
	e := llm.Endpoint{Provider: "p", URL: h.URL}
	for _, requested := range []string{"7.1", "a\nb"} {
		if err := drain(e.Open(t.Context(), nil, requested)); err != io.EOF {
			t.Fatal(err)
		}
	}
	if a, b := <-got, <-got; a != "7.1" || b != "" {
		t.Errorf("got %q and %q", a, b)
	}
}

func TestA_base_URL_or_key_that_cannot_be_used_is_not_configured(t *testing.T) {
	t.Parallel()
	for _, base := range []string{"", "api.example.com", "ftp://x", "http://", "://", "http://a b"} {
		if _, err := llm.ParseBase("p", base); !errors.As(err, new(*llm.Error)) {
			t.Errorf("base %q: %v", base, err)
		}
	}
	err := llm.CheckKey("p", "sk-1\nX-Evil: 1")
	if !errors.As(err, new(*llm.Error)) || strings.Contains(err.Error(), "sk-1") {
		t.Errorf("key: %v", err)
	}
}

func TestExtra_parameters_lie_over_the_body_but_not_over_what_the_adapter_owns(t *testing.T) {
	t.Parallel()
	body := map[string]any{"model": "m", "max_tokens": 1, "tools": []any{"ours"}}
	if err := llm.MergeExtra(body, json.RawMessage(`{"max_tokens":2,"top_k":3,"tools":["theirs"]}`), "model"); err != nil {
		t.Fatal(err)
	}
	got, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	if want := `{"max_tokens":2,"model":"m","tools":["ours","theirs"],"top_k":3}`; string(got) != want {
		t.Errorf("got %s", got)
	}
	for _, bad := range []string{`{"model":"x"}`, `[]`, `{`, `{"tools":1}`} {
		if err := llm.MergeExtra(body, json.RawMessage(bad), "model"); !errors.As(err, new(*llm.Error)) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestThe_schema_of_a_tool_is_that_of_an_object(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"": `{"type":"object","properties":{}}`, `{"type":"object"}`: `{"type":"object"}`, `{"properties":{}}`: `{"properties":{},"type":"object"}`} {
		got, err := llm.ObjectSchema(llm.Tool{Name: "t", Schema: json.RawMessage(in)})
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want, string(got)); d != "" {
			t.Error(d)
		}
	}
	for _, bad := range []string{"[]", "null", "{", "true"} {
		if _, err := llm.ObjectSchema(llm.Tool{Name: "t", Schema: json.RawMessage(bad)}); !errors.As(err, new(*llm.Error)) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestA_notice_reads_as_the_runtimes_words(t *testing.T) {
	t.Parallel()
	if got := llm.NoticeText(transcript.Notice{Kind: "mcp", Text: "up"}); got != "<system_notice kind=\"mcp\">\nup\n</system_notice>" {
		t.Errorf("got %q", got)
	}
	if got := llm.NoticeText(transcript.Notice{Kind: "mcp"}); got != `<system_notice kind="mcp"/>` {
		t.Errorf("got %q", got)
	}
}
