package compat

import (
	"encoding/json"
	"strconv"
	"strings"

	"github.com/meerkat-go/meerkat/llm"
)

// apiError is how servers explain a failure. Code is a word with some and a status with others.
type apiError struct {
	Message string
	Type    string
	Code    string
}

// readError finds the explanation in a body or a chunk: an object or a string called error, or its fields on the top level.
// It reports whether there is one.
func readError(data []byte) (apiError, bool) {
	var b struct {
		Error   json.RawMessage `json:"error"`
		Object  string          `json:"object"`
		Message json.RawMessage `json:"message"`
		Detail  json.RawMessage `json:"detail"`
		Type    string          `json:"type"`
		Code    json.RawMessage `json:"code"`
	}
	if err := json.Unmarshal(data, &b); err != nil {
		return apiError{}, false
	}
	switch {
	case len(b.Error) > 0 && string(b.Error) != "null":
		return readErrorValue(b.Error), true
	case b.Object == "error" || b.Type == "error" || len(b.Message) > 0:
		return apiError{Message: word(b.Message), Type: b.Type, Code: word(b.Code)}, true
	case len(b.Detail) > 0:
		return apiError{Message: word(b.Detail)}, true
	}
	return apiError{}, false
}

func readErrorValue(value json.RawMessage) apiError {
	var o struct {
		Message string          `json:"message"`
		Type    string          `json:"type"`
		Code    json.RawMessage `json:"code"`
	}
	if err := json.Unmarshal(value, &o); err != nil {
		return apiError{Message: word(value)}
	}
	return apiError{Message: o.Message, Type: o.Type, Code: word(o.Code)}
}

// word returns a JSON string's text, and any other value as it is written.
func word(value json.RawMessage) string {
	var s string
	if err := json.Unmarshal(value, &s); err == nil {
		return s
	}
	if string(value) == "null" {
		return ""
	}
	return string(value)
}

// refine makes the kind of a status exact by the body.
func refine(kind llm.Kind, body []byte) (llm.Kind, string) {
	e, ok := readError(body)
	if !ok {
		return kind, ""
	}
	switch exact := e.kind(); exact {
	case llm.ContextExceeded, llm.ContentFiltered, llm.TooLarge:
		if kind == llm.InvalidRequest || kind == llm.ServerError || kind == llm.TooLarge { // some servers answer 500 here
			kind = exact
		}
	case llm.InvalidRequest:
		if kind == llm.RateLimited && e.quota() { // waiting does not fill an empty account
			kind = exact
		}
	case llm.Overloaded:
		if kind == llm.ServerError {
			kind = exact
		}
	case llm.UnknownModel:
		if kind == llm.InvalidRequest {
			kind = exact
		}
	}
	return kind, e.Message
}

func (e apiError) quota() bool {
	return e.Code == "insufficient_quota" || e.Type == "insufficient_quota"
}

// kind classifies by what the server says, without a status: an error within a stream. An unknown one may be tried again.
func (e apiError) kind() llm.Kind {
	if e.contextExceeded() {
		return llm.ContextExceeded
	}
	if e.quota() {
		return llm.InvalidRequest
	}
	for _, w := range []string{e.Code, e.Type} {
		if kind, ok := words[w]; ok {
			return kind
		}
		if status, err := strconv.Atoi(w); err == nil && status >= 400 {
			return llm.KindOfStatus(status)
		}
	}
	return llm.Unclassified
}

var words = map[string]llm.Kind{
	"rate_limit_exceeded":      llm.RateLimited,
	"rate_limit_error":         llm.RateLimited,
	"tokens":                   llm.RateLimited, // OpenAI's type of a limit on tokens per minute
	"requests":                 llm.RateLimited,
	"overloaded":               llm.Overloaded,
	"overloaded_error":         llm.Overloaded,
	"server_is_overloaded":     llm.Overloaded,
	"service_unavailable":      llm.Overloaded,
	"unavailable_error":        llm.Overloaded,
	"server_error":             llm.ServerError,
	"api_error":                llm.ServerError,
	"internal_error":           llm.ServerError,
	"internal_server_error":    llm.ServerError,
	"InternalServerError":      llm.ServerError,
	"invalid_api_key":          llm.Unauthenticated,
	"authentication_error":     llm.Unauthenticated,
	"permission_error":         llm.Forbidden,
	"model_not_found":          llm.UnknownModel,
	"not_found_error":          llm.UnknownModel,
	"content_filter":           llm.ContentFiltered,
	"content_policy_violation": llm.ContentFiltered,
	"request_too_large":        llm.TooLarge,
	"invalid_request_error":    llm.InvalidRequest,
	"BadRequestError":          llm.InvalidRequest,
}

func (e apiError) contextExceeded() bool {
	if e.Code == "context_length_exceeded" || e.Type == "exceed_context_size_error" {
		return true
	}
	m := strings.ToLower(e.Message)
	for _, s := range []string{"maximum context length", "context length exceeded", "exceeds the available context size",
		"exceed context limit", "context window", "prompt is too long"} {
		if strings.Contains(m, s) {
			return true
		}
	}
	return false
}
