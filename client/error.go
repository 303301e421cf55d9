package client

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/fault"
)

// ErrUnreachable is in the tree of an error if no answer came: nothing listens there, or the connection broke. What is under way at the server goes on.
var ErrUnreachable = fault.New(fault.Overloaded, "the server cannot be reached")

// Error is a call that failed.
type Error struct {
	Op         string     // what was attempted
	Code       fault.Code // the server's, or outcome_unknown if no answer came to what may have been done
	Status     int        // of HTTP; 0: no answer came
	Name       string     // the server's own name of the code, such as NOT_FOUND; empty: it gave none
	Message    string     // for people; never holds the key
	RetryAfter time.Duration
	Err        error // cause; nil: the server's answer says all
}

// Error says what was attempted and what the server answered.
func (e *Error) Error() string {
	if e.Status == 0 && e.Err == nil {
		return e.Message
	}
	return e.Op + ": " + e.Message
}

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// FaultCode returns the code.
func (e *Error) FaultCode() fault.Code { return e.Code }

// unreachable is an attempt that got no answer. sent: the server may have carried it out.
func unreachable(k call, err error, sent bool) *Error {
	e := &Error{Op: k.op, Code: fault.Overloaded, Message: "the server cannot be reached: " + cause(err), Err: errors.Join(ErrUnreachable, err)}
	if sent && !k.again {
		e.Code = fault.OutcomeUnknown
		e.Message = "the connection broke before the server answered: " + cause(err)
	}
	return e
}

// cause is the last part of an error of the network, without the URL.
func cause(err error) string {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Error()
	}
	for errors.Unwrap(err) != nil {
		err = errors.Unwrap(err)
	}
	return err.Error()
}

// dialed reports whether an attempt got as far as a connection.
func dialed(err error) bool {
	var op *net.OpError
	return !errors.As(err, &op) || op.Op != "dial"
}

// problem is what servers say of an error: the wire's own fields, and those of problem details.
type problem struct {
	Error   string          `json:"error"`
	Message string          `json:"message"`
	Detail  string          `json:"detail"`
	Title   string          `json:"title"`
	Code    json.RawMessage `json:"code"`
	Fault   string          `json:"fault"`
	Details struct {
		Fault string `json:"fault"`
	} `json:"details"`
}

// refused makes an error of an answer that is not a success.
func refused(k call, resp *http.Response, body []byte) *Error {
	e := &Error{Op: k.op, Status: resp.StatusCode, RetryAfter: retryAfter(resp.Header.Get("Retry-After"), time.Now())}
	var p problem
	if json.Unmarshal(body, &p) == nil {
		var name string
		if json.Unmarshal(p.Code, &name) == nil {
			e.Name = name
		}
		for _, s := range []string{p.Message, p.Error, p.Detail, p.Title} {
			if e.Message == "" {
				e.Message = s
			}
		}
	}
	if e.Message == "" {
		e.Message = fmt.Sprintf("the server answers %d %s", resp.StatusCode, http.StatusText(resp.StatusCode))
	}
	switch resp.StatusCode / 100 {
	case 3:
		e.Message = fmt.Sprintf("the server sends elsewhere (%d), which is not followed: use the address it means", resp.StatusCode)
	}
	e.Code = codeOf(p, e.Name, resp.StatusCode)
	return e
}

// codeOf finds the code of an answer: the server says it, or its name of it or its status come near.
func codeOf(p problem, name string, status int) fault.Code {
	for _, s := range []string{p.Fault, p.Details.Fault, strings.ToLower(name)} {
		if c, ok := codeNamed(s); ok {
			return c
		}
	}
	switch status {
	case http.StatusUnauthorized:
		return fault.Unidentified
	case http.StatusForbidden:
		return fault.Forbidden
	case http.StatusNotFound, http.StatusGone:
		return fault.NotFound
	case http.StatusConflict:
		return fault.Busy
	case http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout:
		return fault.Overloaded
	case http.StatusNotImplemented, http.StatusMethodNotAllowed:
		return fault.Unavailable
	case 499:
		return fault.Cancelled
	}
	if status/100 == 5 {
		return fault.Internal
	}
	return fault.Invalid
}

// codeNamed finds a code by its public name.
func codeNamed(name string) (fault.Code, bool) {
	for c := fault.Invalid; c.String() != fault.Internal.String(); c++ {
		if c.String() == name {
			return c, true
		}
	}
	return fault.Internal, name == fault.Internal.String()
}

// retryAfter reads the header of that name: seconds, or a date. Zero: none, or none that can be read.
func retryAfter(s string, now time.Time) time.Duration {
	if n, err := strconv.Atoi(s); err == nil {
		return time.Duration(min(max(n, 0), 1<<30)) * time.Second
	}
	if at, err := http.ParseTime(s); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}
