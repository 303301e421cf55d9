package llm

import (
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/meerkat-go/meerkat/fault"
)

// Kind is a class of failure of a model call.
type Kind string

// The kinds. Those marked * may be tried again.
const (
	Unauthenticated  Kind = "authentication_failed" // 401
	Forbidden        Kind = "invalid_key"           // 403
	UnknownModel     Kind = "model_not_found"       // 404, or a name nobody knows
	NotConfigured    Kind = "not_configured"        // no key, no server
	InvalidRequest   Kind = "invalid_request"
	ContextExceeded  Kind = "context_exceeded"
	TooLarge         Kind = "request_too_large"
	ContentFiltered  Kind = "content_filtered"
	RateLimited      Kind = "rate_limited"        // *
	Overloaded       Kind = "overloaded"          // *
	ServerError      Kind = "server_error"        // *
	NetworkTimeout   Kind = "network_timeout"     // *
	ConnectionReset  Kind = "connection_reset"    // *
	CallTimeout      Kind = "call_timeout"        // *
	StreamStalled    Kind = "stream_stalled"      // *
	Truncated        Kind = "incomplete_response" // * the stream ended without its end
	Garbled          Kind = "stream_parse_error"  // * the stream is not what the protocol says
	InvalidArguments Kind = "invalid_tool_call"   // * the arguments of a call are no JSON object
	Empty            Kind = "empty_completion"    // * nothing visible and nothing to do
	Unclassified     Kind = "unknown"             // *
)

// Retryable reports whether another attempt may succeed without anybody changing anything.
func (k Kind) Retryable() bool {
	switch k {
	case RateLimited, Overloaded, ServerError, NetworkTimeout, ConnectionReset, CallTimeout, StreamStalled, Truncated, Garbled,
		InvalidArguments, Empty, Unclassified:
		return true
	case Unauthenticated, Forbidden, UnknownModel, NotConfigured, InvalidRequest, ContextExceeded, TooLarge, ContentFiltered:
		return false
	}
	return false
}

// Error is a failed model call.
type Error struct {
	Kind       Kind
	Provider   string
	Status     int           // HTTP status; 0: none
	RetryAfter time.Duration // the provider's hint; 0: none
	Message    string        // for people; never holds a credential
	Err        error
}

// Error says who failed and how.
func (e *Error) Error() string {
	s := string(e.Kind)
	if e.Status != 0 {
		s = fmt.Sprintf("%s (HTTP %d)", s, e.Status)
	}
	if e.Provider != "" {
		s = e.Provider + ": " + s
	}
	switch {
	case e.Message != "":
		s += ": " + e.Message
	case e.Err != nil:
		s += ": " + e.Err.Error()
	}
	return s
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// FaultCode maps the kind to the public codes.
func (e *Error) FaultCode() fault.Code {
	switch e.Kind {
	case Unauthenticated, Forbidden:
		return fault.Unauthenticated
	case UnknownModel, NotConfigured, InvalidRequest, ContextExceeded, TooLarge:
		return fault.Invalid
	default:
		return fault.Provider
	}
}

// AsError returns the *Error in err's tree, or err as an Unclassified one.
func AsError(err error) *Error {
	var e *Error
	if errors.As(err, &e) {
		return e
	}
	return &Error{Kind: Unclassified, Message: err.Error(), Err: err}
}

// KindOfStatus classifies an HTTP status that says the call failed.
func KindOfStatus(status int) Kind {
	switch {
	case status == http.StatusUnauthorized:
		return Unauthenticated
	case status == http.StatusForbidden:
		return Forbidden
	case status == http.StatusNotFound:
		return UnknownModel
	case status == http.StatusRequestTimeout:
		return NetworkTimeout
	case status == http.StatusRequestEntityTooLarge:
		return TooLarge
	case status == http.StatusTooManyRequests:
		return RateLimited
	case status == http.StatusServiceUnavailable, status == 529:
		return Overloaded
	case status >= 500:
		return ServerError
	case status >= 400:
		return InvalidRequest
	}
	return Unclassified
}
