// Package compat speaks OpenAI Chat Completions, streaming, to OpenAI and to every server that is compatible with it: Ollama,
// llama.cpp, vLLM, LM Studio, OpenRouter, Groq, DeepSeek and others.
//
// It is thin: a request becomes one POST to {base}/chat/completions, the stream becomes parts (package llm). The terminal of a reply is
// its finish_reason; [DONE] only ends the stream. Servers send usage after the finish_reason, so the reply is told as done when the
// stream has ended, or after a short wait.
//
// Servers differ, so what is sent is little, and what is read is tolerant: calls without index, without id, with the id in each
// delta, whole calls, arguments as an object, and a reply that is not a stream at all.
package compat

import (
	"context"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/llm"
)

const (
	// DefaultBase is OpenAI's own address.
	DefaultBase = "https://api.openai.com/v1"
	// DefaultTrailer is how long a finished reply waits for its usage and the end of the stream.
	DefaultTrailer = 2 * time.Second
)

// Config says where the server is and who pays.
type Config struct {
	Name       string        // of the provider, in names of models, errors and reasoning blocks; empty: openai
	BaseURL    string        // empty: DefaultBase; one without a path gets /v1
	APIKey     string        // sent as a bearer token; empty: none is sent, which local servers accept
	HTTPClient *http.Client  // nil: the shared one of package llm
	Idle       time.Duration // without an event the stream has stalled; 0: llm.DefaultIdle, negative: no limit
	Trailer    time.Duration // 0: DefaultTrailer
	Header     http.Header   // further headers; may be nil
	// NoStreamOptions leaves out the request for usage, for servers that refuse parameters they do not know. Usage is then missing.
	NoStreamOptions bool
	// ReplayReasoning sends a reply's reasoning back with it, in the field it came in, as some servers demand within a turn.
	ReplayReasoning bool
}

// Model is an adapter. It is safe for concurrent use.
type Model struct {
	c          Config
	limitField string
	endpoint   llm.Endpoint
}

var _ llm.Model = (*Model)(nil)

// New checks the configuration and makes an adapter. It touches no network. Its error is an *llm.Error of kind NotConfigured.
func New(c Config) (*Model, error) {
	if c.Name == "" {
		c.Name = "openai"
	}
	if c.BaseURL == "" {
		c.BaseURL = DefaultBase
	}
	if c.Trailer == 0 {
		c.Trailer = DefaultTrailer
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
	if c.APIKey != "" {
		header.Set("Authorization", "Bearer "+c.APIKey)
	}
	client := c.HTTPClient
	if client == nil {
		client = llm.DefaultClient(base)
	}
	m := &Model{c: c, limitField: limitField(base)}
	if base.Path == "" {
		base.Path = "/v1"
	}
	base.Path = strings.TrimSuffix(base.Path, "/chat/completions") + "/chat/completions"
	m.endpoint = llm.Endpoint{Provider: c.Name, URL: base.String(), Header: header, Secret: c.APIKey, Client: client, Idle: c.Idle, Refine: refine}
	return m, nil
}

// limitField is the parameter for the limit of a reply. OpenAI refuses the old name for its newer models, and most others do not
// know the new one.
func limitField(base *url.URL) string {
	host := base.Hostname()
	if host == "api.openai.com" || strings.HasSuffix(host, ".api.openai.com") || strings.HasSuffix(host, ".openai.azure.com") {
		return "max_completion_tokens"
	}
	return "max_tokens"
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
		d := decoder{m: m, ids: llm.NewCallIDs(req)}
		if !s.IsEvents() {
			m.whole(s, &d, yield)
			return
		}
		var trailer time.Time // when to stop waiting for what follows the finish_reason
		for {
			ev, err := s.Next()
			if err != nil && !d.finished(ctx) {
				yield(nil, d.cut(err))
				return
			}
			if err != nil || string(ev.Data) == "[DONE]" {
				defer s.Finish()
				d.end(yield)
				return
			}
			parts, err := d.decode(ev)
			if !give(parts, err, yield) {
				return
			}
			if d.reason != "" {
				if trailer.IsZero() {
					trailer = time.Now().Add(m.c.Trailer)
				}
				s.Limit(max(time.Until(trailer), time.Millisecond))
			}
		}
	}
}

// give yields parts and then an error, and reports whether there is anything to go on for.
func give(parts []llm.Part, err error, yield func(llm.Part, error) bool) bool {
	for _, p := range parts {
		if !yield(p, nil) {
			return false
		}
	}
	if err != nil {
		yield(nil, err)
	}
	return err == nil
}

// whole reads a reply that is one JSON document, from a server that does not stream.
func (m *Model) whole(s *llm.Stream, d *decoder, yield func(llm.Part, error) bool) {
	data, err := s.Whole()
	if err != nil {
		yield(nil, err)
		return
	}
	if kind := s.MediaType(); kind != "application/json" {
		yield(nil, m.endpoint.Fail(llm.Garbled, fmt.Sprintf("the server answered with %q and not with a stream: %s", kind, data)))
		return
	}
	parts, err := d.decode(llm.Event{Data: data})
	if give(parts, err, yield) {
		d.end(yield)
	}
}

// own names the provider in an error of the request's.
func (m *Model) own(err error) error {
	e := *llm.AsError(err)
	e.Provider = m.c.Name
	return &e
}
