package llm

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"
)

// The bounds of a call over HTTP.
const (
	DefaultIdle  = 300 * time.Second // without an event of the stream
	MaxEvent     = 16 << 20          // bytes of one event of the stream
	maxErrorBody = 64 << 10
	maxMessage   = 600 // characters of an error message for people
	connectLimit = 30 * time.Second
	errorLimit   = 10 * time.Second // for the body that explains a failure
	drainLimit   = 20 * time.Millisecond
)

// Endpoint is the part of an HTTP adapter that does not depend on its wire format: one address that answers a POST with a stream of
// server-sent events. All its failures are *Error, except that a context that ended is told as the context's error. It makes one
// call per Open, follows no redirect and repeats nothing. Safe for concurrent use.
type Endpoint struct {
	Provider string      // for errors
	URL      string      // absolute
	Header   http.Header // sent with each call
	Secret   string      // the credential; kept out of every message
	Client   *http.Client
	Idle     time.Duration // without an event: StreamStalled; 0: DefaultIdle, negative: no limit
	// Refine looks into the body of a failed call, decoded from JSON, and says what it is. Kind is what the status means.
	Refine func(kind Kind, body []byte) (Kind, string)
}

// ParseBase reads a provider's base URL, without the slash at its end. Its error is an *Error of kind NotConfigured.
func ParseBase(provider, base string) (*url.URL, error) {
	u, err := url.Parse(strings.TrimRight(base, "/"))
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, &Error{Kind: NotConfigured, Provider: provider, Message: fmt.Sprintf("the base URL %q is not an http or https address", base)}
	}
	return u, nil
}

// CheckKey refuses a credential that an HTTP header cannot carry. Its error is an *Error of kind NotConfigured that does not show it.
func CheckKey(provider, key string) error {
	for _, c := range []byte(key) {
		if c <= ' ' || c >= 0x7f {
			return &Error{Kind: NotConfigured, Provider: provider, Message: "the key holds a space, a line feed or another character that no key has"}
		}
	}
	return nil
}

// Loopback reports whether the host of an address is this machine.
func Loopback(u *url.URL) bool {
	host := u.Hostname()
	if host == "localhost" || strings.HasSuffix(host, ".localhost") {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && (ip.IsLoopback() || ip.Unmap().IsLoopback())
}

// clients are shared by all endpoints, so that connections are reused whoever made the adapter.
var clients = sync.OnceValue(func() [2]*http.Client {
	with := func(proxy func(*http.Request) (*url.URL, error)) *http.Client {
		return &http.Client{
			Transport: &http.Transport{
				Proxy:               proxy,
				DialContext:         (&net.Dialer{Timeout: connectLimit, KeepAlive: 30 * time.Second}).DialContext,
				TLSHandshakeTimeout: connectLimit,
				ForceAttemptHTTP2:   true,
				MaxIdleConnsPerHost: 64,
				IdleConnTimeout:     60 * time.Second,
				HTTP2:               &http.HTTP2Config{SendPingTimeout: 30 * time.Second, PingTimeout: 15 * time.Second},
			},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		}
	}
	return [2]*http.Client{with(http.ProxyFromEnvironment), with(nil)}
})

// DefaultClient returns the shared client for an address: 30 s to connect, no limit on the whole, and no proxy to this machine.
func DefaultClient(u *url.URL) *http.Client {
	if Loopback(u) {
		return clients()[1]
	}
	return clients()[0]
}

// CloseIdleConnections ends the kept-alive connections of the shared clients, and with them their goroutines.
func CloseIdleConnections() {
	for _, c := range clients() {
		c.CloseIdleConnections()
	}
}

// Open posts body and returns the stream of the answer, which the caller closes. Requested is an id for the provider's logs; may be empty.
func (e *Endpoint) Open(ctx context.Context, body []byte, requested string) (*Stream, error) {
	if err := ctx.Err(); err != nil {
		return nil, e.ended(ctx)
	}
	inner, cancel := context.WithCancelCause(ctx)
	s := &Stream{e: e, parent: ctx, ctx: inner, cancel: cancel, idle: e.idle()}
	req, err := http.NewRequestWithContext(inner, http.MethodPost, e.URL, bytes.NewReader(body))
	if err != nil {
		cancel(nil)
		return nil, e.fail(NotConfigured, "the address "+e.URL+" cannot be called", err)
	}
	maps.Copy(req.Header, e.Header.Clone())
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Accept", "text/event-stream")
	if requested != "" && CheckKey("", requested) == nil {
		req.Header.Set("X-Client-Request-Id", requested)
	}
	client := e.Client
	if client == nil {
		client = DefaultClient(req.URL)
	}
	stop := s.guard(&Error{Kind: NetworkTimeout, Provider: e.Provider, Message: fmt.Sprintf("no answer within %v", s.idle)})
	resp, err := client.Do(req)
	stop()
	if err != nil {
		defer cancel(nil)
		return nil, s.explain(err)
	}
	s.attach(resp)
	if resp.StatusCode != http.StatusOK {
		defer s.Close()
		return nil, e.refused(s, resp)
	}
	return s, nil
}

func (e *Endpoint) idle() time.Duration {
	if e.Idle == 0 {
		return DefaultIdle
	}
	return e.Idle
}

// refused makes the error of an answer that is not 200.
func (e *Endpoint) refused(s *Stream, resp *http.Response) error {
	kind := KindOfStatus(resp.StatusCode)
	if resp.StatusCode < 400 {
		kind = InvalidRequest
	}
	timer := time.AfterFunc(errorLimit, func() { s.cancel(nil) })
	defer timer.Stop()
	// What could be read of an explanation is used; that reading it failed changes nothing about the refusal.
	body, _ := io.ReadAll(io.LimitReader(resp.Body, maxErrorBody))
	if s.parent.Err() != nil {
		return e.ended(s.parent)
	}
	message := ""
	switch {
	case json.Valid(body) && e.Refine != nil:
		kind, message = e.Refine(kind, body)
	case resp.StatusCode == http.StatusNotFound:
		kind = UnknownModel
		message = "no such address: " + displayURL(resp.Request.URL) + "; check the base URL"
	case resp.StatusCode < 400:
		message = "redirected to " + resp.Header.Get("Location") + "; set that as the base URL if it is right"
	}
	if trimmed := strings.TrimSpace(string(body)); message == "" && !strings.HasPrefix(trimmed, "<") { // a page says nothing in a line
		message = trimmed
	}
	if message == "" {
		message = http.StatusText(resp.StatusCode)
	}
	return &Error{Kind: kind, Provider: e.Provider, Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After")),
		Message: e.Clean(message)}
}

// displayURL leaves out what may hold a credential.
func displayURL(u *url.URL) string {
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// Fail makes an *Error of the endpoint's provider with a message fit for people.
func (e *Endpoint) Fail(kind Kind, message string) *Error {
	return &Error{Kind: kind, Provider: e.Provider, Message: e.Clean(message)}
}

func (e *Endpoint) fail(kind Kind, message string, cause error) *Error {
	if cause != nil {
		message += ": " + cause.Error()
	}
	return &Error{Kind: kind, Provider: e.Provider, Message: e.Clean(message), Err: cause}
}

// Clean makes text of the provider's fit for people: without the credential, or the beginning of it that some servers echo, on
// one line, and bounded.
func (e *Endpoint) Clean(message string) string {
	const mark, head = "[key]", 8
	if len(e.Secret) >= 4 {
		message = strings.ReplaceAll(message, e.Secret, mark)
	}
	if len(e.Secret) > head+4 {
		for {
			before, after, found := strings.Cut(message, e.Secret[:head])
			if !found {
				break
			}
			if end := strings.IndexAny(after, " \t\r\n\"'<>,;"); end >= 0 {
				after = after[end:]
			} else {
				after = ""
			}
			message = before + mark + after
		}
	}
	return Excerpt(message, maxMessage)
}

// ended tells that the caller's context ended: a deadline is the call's time limit, all else is the caller's own wish.
func (e *Endpoint) ended(ctx context.Context) error {
	cause := context.Cause(ctx)
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return &Error{Kind: CallTimeout, Provider: e.Provider, Message: "the time for the call has run out", Err: cause}
	}
	if !errors.Is(cause, context.Canceled) {
		cause = errors.Join(context.Canceled, cause)
	}
	return fmt.Errorf("%s: model call abandoned: %w", e.Provider, cause)
}

// retryAfter reads a count of seconds, whole or decimal. Dates are ignored, as is anything else.
func retryAfter(s string) time.Duration {
	s = strings.TrimSpace(s)
	if s == "" || strings.Trim(s, "0123456789.") != "" {
		return 0
	}
	seconds, err := strconv.ParseFloat(s, 64)
	if err != nil || seconds > 1e9 {
		return 0
	}
	return time.Duration(seconds * float64(time.Second))
}
