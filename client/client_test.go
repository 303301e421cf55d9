package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/wire"
)

const theSession = id.Session("019a8c2e-41f0-7000-8000-000000000001")

// trip stands in for a network: it answers without one.
type trip func(*http.Request) (*http.Response, error)

func (f trip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// at is a client whose requests are answered by f.
func at(t *testing.T, f trip) *Client {
	t.Helper()
	c, err := New(Config{URL: "http://127.0.0.1:1", Key: "the-key", HTTP: &http.Client{Transport: f}})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// to is a client of a server that is run by h.
func to(t *testing.T, h http.HandlerFunc) *Client {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c, err := New(Config{URL: s.URL, Key: "the-key", HTTP: s.Client()})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func answer(status int, body string, header ...string) *http.Response {
	r := &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	return r
}

func TestAn_address_or_a_key_that_cannot_be_used_is_refused_before_anything_is_sent(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		c    Config
		ok   bool
		says string
	}{
		{"a server of this machine", Config{URL: "http://127.0.0.1:8080", Key: "k"}, true, ""},
		{"by its name", Config{URL: "http://localhost:8080/", Key: "k"}, true, ""},
		{"in six groups", Config{URL: "http://[::1]:8080", Key: "k"}, true, ""},
		{"another machine over TLS", Config{URL: "https://example.org/meerkat", Key: "k"}, true, ""},
		{"another machine in the clear without a key", Config{URL: "http://example.org"}, true, ""},
		{"another machine in the clear", Config{URL: "http://example.org", Key: "secret"}, false, "everybody on the way"},
		{"the same, where it is allowed", Config{URL: "http://example.org", Key: "k", Plain: true}, true, ""},
		{"a machine whose name begins as ours", Config{URL: "http://localhost.example.org", Key: "k"}, false, "https"},
		{"another protocol", Config{URL: "ftp://example.org"}, false, "no URL of a server"},
		{"no protocol", Config{URL: "localhost:8080"}, false, "no URL of a server"},
		{"nothing", Config{}, false, "no URL of a server"},
		{"a password in the URL", Config{URL: "https://me:secret@example.org"}, false, "by itself"},
		{"a query", Config{URL: "https://example.org?key=secret"}, false, "leave out"},
		{"not a URL", Config{URL: "http://exa mple:secret@x"}, false, "cannot be read"},
		{"a key of two lines", Config{URL: "http://127.0.0.1:1", Key: "secret\nX-Evil: 1"}, false, "not copied as it is"},
		{"a client that gives up", Config{URL: "http://127.0.0.1:1", HTTP: &http.Client{Timeout: 1}}, false, "timeout"},
	} {
		_, err := New(c.c)
		if (err == nil) != c.ok {
			t.Errorf("%s: %v", c.name, err)
		}
		if err != nil && (fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "secret")) {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}

func TestA_key_goes_to_its_server_and_a_redirect_is_not_followed(t *testing.T) {
	t.Parallel()
	other := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("somebody else was asked, with %q", r.Header.Get("Authorization"))
	}))
	t.Cleanup(other.Close)
	c := to(t, func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer the-key" {
			t.Errorf("authorization %q", r.Header.Get("Authorization"))
		}
		http.Redirect(w, r, other.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	_, err := c.Submit(t.Context(), theSession, wire.SubmitParams{Prompt: json.RawMessage(`"x"`)}, "")
	var e *Error
	if !errors.As(err, &e) || e.Status != 307 || !strings.Contains(e.Message, "elsewhere") {
		t.Errorf("got %v", err)
	}
}

func TestAn_error_of_the_server_keeps_its_code_and_its_words_and_never_the_key(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		body   string
		code   fault.Code
		says   string
	}{
		{409, `{"error":"a run is bound","message":"a run is bound","code":"CONFLICT","fault":"not_ready"}`, fault.NotReady, "a run is bound"},
		{409, `{"error":"a run is bound","code":"CONFLICT"}`, fault.Busy, "a run is bound"},
		{404, `{"error":"none","code":"NOT_FOUND"}`, fault.NotFound, "none"},
		{401, `{"detail":"no key the-key"}`, fault.Unidentified, "no key …"},
		{403, ``, fault.Forbidden, "403 Forbidden"},
		{400, `<html>`, fault.Invalid, "400"},
		{500, `{"code":-32603,"message":"odd"}`, fault.Internal, "odd"},
		{501, `{}`, fault.Unavailable, "501"},
		{500, `{"error":"may be","fault":"outcome_unknown"}`, fault.OutcomeUnknown, "may be"},
		{418, `{"error":"new","fault":"from_the_future"}`, fault.Invalid, "new"},
	} {
		cl := at(t, func(*http.Request) (*http.Response, error) { return answer(c.status, c.body), nil })
		_, err := cl.Config(t.Context())
		if fault.CodeOf(err) != c.code || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "the-key") {
			t.Errorf("%d %s: %v (%s)", c.status, c.body, err, fault.CodeOf(err))
		}
	}
}

func TestA_submit_is_sent_again_under_its_key_until_it_is_answered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var keys []string
		bad := []func() (*http.Response, error){
			func() (*http.Response, error) { return answer(429, `{}`, "Retry-After", "7"), nil },
			func() (*http.Response, error) { return nil, errors.New("connection reset by peer") },
			func() (*http.Response, error) {
				return &http.Response{StatusCode: 202, Header: http.Header{}, Body: io.NopCloser(&torn{})}, nil
			},
			func() (*http.Response, error) { return answer(503, `{"fault":"owned_elsewhere"}`), nil },
			func() (*http.Response, error) {
				return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
			},
		}
		c := at(t, func(r *http.Request) (*http.Response, error) {
			keys = append(keys, r.Header.Get("Idempotency-Key"))
			if n := len(keys) - 1; n < len(bad) {
				return bad[n]()
			}
			return answer(202, `{"input_id":"i","duplicate":true}`), nil
		})
		began := time.Now()
		got, err := c.Submit(t.Context(), theSession, wire.SubmitParams{Prompt: json.RawMessage(`"x"`)}, "")
		if err != nil || got.Input != "i" || !got.Duplicate {
			t.Fatalf("%+v, %v", got, err)
		}
		if took := time.Since(began); took < 7*time.Second || took > DefaultPatience {
			t.Errorf("it took %s", took)
		}
		if len(keys) != 6 || keys[0] == "" {
			t.Errorf("keys %q", keys)
		}
		for _, k := range keys {
			if k != keys[0] {
				t.Errorf("keys %q", keys)
			}
		}
	})
}

// torn is an answer that breaks off.
type torn struct{ said bool }

func (b *torn) Read(p []byte) (int, error) {
	if b.said {
		return 0, io.ErrUnexpectedEOF
	}
	b.said = true
	return copy(p, `{"input`), nil
}

func TestPatience_ends_and_a_server_that_asks_for_more_is_not_waited_for(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		n := 0
		c := at(t, func(*http.Request) (*http.Response, error) {
			n++
			return answer(503, `{"fault":"overloaded","error":"full"}`, "Retry-After", "3600"), nil
		})
		began := time.Now()
		_, err := c.Session(t.Context(), "last")
		var e *Error
		if !errors.As(err, &e) || e.RetryAfter != time.Hour || e.Code != fault.Overloaded || n != 1 || time.Since(began) > time.Second {
			t.Errorf("%v after %s and %d attempts", err, time.Since(began), n)
		}
		n = 0
		c = at(t, func(*http.Request) (*http.Response, error) { n++; return answer(503, `{"error":"full"}`), nil })
		_, err = c.Session(t.Context(), "last")
		if err == nil || n < 5 || n > 30 || time.Since(began) > DefaultPatience+time.Second {
			t.Errorf("%v after %s and %d attempts", err, time.Since(began), n)
		}
	})
}

func TestWhat_cannot_be_done_twice_is_sent_once_and_its_end_is_not_known(t *testing.T) {
	t.Parallel()
	n := 0
	c := at(t, func(r *http.Request) (*http.Response, error) {
		if n++; r.Method == http.MethodGet {
			return answer(200, `{}`), nil
		}
		return nil, io.ErrUnexpectedEOF
	})
	if _, err := c.Host(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := c.SetConfig(t.Context(), json.RawMessage(`{}`), nil)
	if fault.CodeOf(err) != fault.OutcomeUnknown || n != 2 || !errors.Is(err, ErrUnreachable) {
		t.Errorf("%v after %d requests", err, n)
	}
}

func TestA_server_that_was_never_there_is_told_at_once(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	l.Close()
	c, err := New(Config{URL: url, Key: "the-key"})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	_, err = c.Host(t.Context())
	if !errors.Is(err, ErrUnreachable) || time.Since(began) > 10*time.Second || strings.Contains(err.Error(), "the-key") {
		t.Errorf("%v after %s", err, time.Since(began))
	}
}

func TestA_session_is_made_once_though_the_answer_was_lost(t *testing.T) {
	t.Parallel()
	made := ""
	c := to(t, func(w http.ResponseWriter, r *http.Request) {
		var in wire.CreateParams
		switch {
		case r.Method == http.MethodGet && strings.HasSuffix(r.URL.Path, "/detail"):
			fmt.Fprintf(w, `{"session_id":%q}`, made)
		case json.NewDecoder(r.Body).Decode(&in) != nil || in.InitialTurn != "deferred" || in.Session == "":
			t.Errorf("asked for %+v", in)
		case made == "":
			made = string(in.Session)
			panic(http.ErrAbortHandler)
		default:
			w.WriteHeader(400)
			fmt.Fprint(w, `{"error":"the id is taken","fault":"invalid"}`)
		}
	})
	c.reached.Store(true)
	s, err := c.CreateSession(t.Context(), wire.CreateParams{})
	if err != nil || string(s) != made {
		t.Errorf("%s, %v; made %s", s, err, made)
	}
}

func TestWaiting_asks_again_until_the_input_has_ended_and_not_as_fast_as_it_is_answered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var n atomic.Int32
		c := at(t, func(r *http.Request) (*http.Response, error) {
			if !strings.HasSuffix(r.URL.Path, "/sessions/"+string(theSession)+"/inputs/a b") || r.URL.Query().Get("wait") != "30" {
				t.Errorf("asked %s", r.URL)
			}
			if n.Add(1) < 20 {
				return answer(200, `{"input_id":"a b","state":"staged"}`), nil
			}
			return answer(200, `{"input_id":"a b","state":"consumed","outcome":{"input_id":"a b","status":"completed","text":"yes"}}`), nil
		})
		began := time.Now()
		o, err := c.Wait(t.Context(), theSession, "a b")
		if err != nil || o.Text != "yes" || time.Since(began) < 10*time.Second {
			t.Errorf("%+v, %v after %s", o, err, time.Since(began))
		}
	})
}

func TestAn_answer_that_is_not_ours_is_told_as_that(t *testing.T) {
	t.Parallel()
	c := at(t, func(*http.Request) (*http.Response, error) { return answer(200, `<html>hello</html>`), nil })
	if _, err := c.Host(t.Context()); err == nil || !strings.Contains(err.Error(), "another product") {
		t.Errorf("got %v", err)
	}
}
