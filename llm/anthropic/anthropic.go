// Package anthropic speaks the Anthropic Messages API, streaming.
//
// It is thin: a request becomes one POST to {base}/v1/messages, the stream becomes parts (package llm). The stream's terminal event is
// message_stop; without it a reply is truncated, whatever was seen before.
//
// Thinking blocks are sent back byte for byte with their signatures, and only to the provider they came from. The prompt is cached
// for five minutes by default: marks are set behind the system text, or the tools where there is none, and behind the last two
// messages of the user's side, so that each round of a turn reads what the round before it wrote.
package anthropic

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/llm"
)

const (
	// DefaultBase is the provider's own address.
	DefaultBase = "https://api.anthropic.com"
	// DefaultMaxOutput is the limit of a reply where the request names none: the API demands a number.
	DefaultMaxOutput = 16384
	version          = "2023-06-01"
)

// Config says where the API is and who pays.
type Config struct {
	Name       string        // of the provider, in names of models, errors and thinking blocks; empty: anthropic
	BaseURL    string        // empty: DefaultBase; a trailing /v1 is tolerated
	APIKey     string        // sent as x-api-key; empty: no key is sent
	HTTPClient *http.Client  // nil: the shared one of package llm
	Idle       time.Duration // without an event the stream has stalled; 0: llm.DefaultIdle, negative: no limit
	NoCache    bool          // do not ask for the prompt to be cached
	Header     http.Header   // further headers, such as anthropic-beta; may be nil
}

// Model is an adapter. It is safe for concurrent use.
type Model struct {
	name     string
	noCache  bool
	endpoint llm.Endpoint
}

var _ llm.Model = (*Model)(nil)

// New checks the configuration and makes an adapter. It touches no network. Its error is an *llm.Error of kind NotConfigured.
func New(c Config) (*Model, error) {
	if c.Name == "" {
		c.Name = "anthropic"
	}
	if c.BaseURL == "" {
		c.BaseURL = DefaultBase
	}
	base, err := llm.ParseBase(c.Name, c.BaseURL)
	if err != nil {
		return nil, err
	}
	c.APIKey = strings.TrimSpace(c.APIKey)
	if err := llm.CheckKey(c.Name, c.APIKey); err != nil {
		return nil, err
	}
	header := c.Header.Clone()
	if header == nil {
		header = http.Header{}
	}
	header.Set("Anthropic-Version", version)
	if c.APIKey != "" {
		header.Set("X-Api-Key", c.APIKey)
	}
	client := c.HTTPClient
	if client == nil {
		client = llm.DefaultClient(base)
	}
	base.Path = strings.TrimSuffix(base.Path, "/v1") + "/v1/messages"
	return &Model{name: c.Name, noCache: c.NoCache, endpoint: llm.Endpoint{Provider: c.Name, URL: base.String(), Header: header,
		Secret: c.APIKey, Client: client, Idle: c.Idle, Refine: refine}}, nil
}

// Stream makes one call (llm.Model).
func (m *Model) Stream(ctx context.Context, req llm.Request) iter.Seq2[llm.Part, error] {
	return func(yield func(llm.Part, error) bool) {
		body, err := m.body(req)
		if err != nil {
			yield(nil, m.own(err))
			return
		}
		s, err := m.endpoint.Open(ctx, body, req.ID)
		if err != nil {
			yield(nil, err)
			return
		}
		defer s.Close()
		if !s.IsEvents() {
			yield(nil, m.notEvents(s))
			return
		}
		d := decoder{m: m, ids: llm.NewCallIDs(req)}
		for {
			ev, err := s.Next()
			if err != nil {
				yield(nil, d.cut(err))
				return
			}
			parts, err := d.decode(ev)
			for _, p := range parts {
				_, done := p.(llm.Done)
				if done {
					defer s.Finish()
				}
				if !yield(p, nil) || done {
					return
				}
			}
			if err != nil {
				yield(nil, err)
				return
			}
		}
	}
}

// own names the provider in an error of the request's.
func (m *Model) own(err error) error {
	e := *llm.AsError(err)
	e.Provider = m.name
	return &e
}

func (m *Model) notEvents(s *llm.Stream) error {
	data, err := s.Whole()
	if err != nil {
		return err
	}
	if e := readError(data); e.Type != "" {
		return m.endpoint.Fail(e.kind(), e.Message)
	}
	return m.endpoint.Fail(llm.Garbled, fmt.Sprintf("the server answered with %q and not with a stream: %s", s.MediaType(), data))
}

// apiError is how the API explains a failure, in a body and in the stream.
type apiError struct {
	Type    string `json:"type"`
	Message string `json:"message"`
}

// readError finds the explanation in a body; it is zero where there is none.
func readError(body []byte) apiError {
	var b struct {
		Error apiError `json:"error"`
	}
	if err := json.Unmarshal(bytes.TrimSpace(body), &b); err != nil {
		return apiError{}
	}
	return b.Error
}

// refine makes the kind of a status exact by the body.
func refine(kind llm.Kind, body []byte) (llm.Kind, string) {
	e := readError(body)
	switch {
	case kind == llm.InvalidRequest && e.Type != "":
		kind = e.kind()
		if kind.Retryable() { // the status has said that it is not
			kind = llm.InvalidRequest
		}
	case kind == llm.ServerError && e.Type == "overloaded_error":
		kind = llm.Overloaded
	}
	return kind, e.Message
}

func (e apiError) kind() llm.Kind {
	switch e.Type {
	case "overloaded_error":
		return llm.Overloaded
	case "rate_limit_error":
		return llm.RateLimited
	case "api_error", "timeout_error":
		return llm.ServerError
	case "authentication_error":
		return llm.Unauthenticated
	case "permission_error":
		return llm.Forbidden
	case "not_found_error":
		return llm.UnknownModel
	case "request_too_large":
		return llm.TooLarge
	case "invalid_request_error", "billing_error":
		if contextExceeded(e.Message) {
			return llm.ContextExceeded
		}
		return llm.InvalidRequest
	}
	return llm.Unclassified
}

func contextExceeded(message string) bool {
	m := strings.ToLower(message)
	for _, s := range []string{"prompt is too long", "exceed context limit", "context window", "context length"} {
		if strings.Contains(m, s) {
			return true
		}
	}
	return false
}
