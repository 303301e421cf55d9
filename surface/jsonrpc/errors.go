package jsonrpc

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/internal/jsonrpc2"
	"github.com/meerkat-go/meerkat/wire"
)

// refusal is an error as it is answered. Data is only there where something can be done with it: clients read its members in place of the error's own.
func refusal(err error) *jsonrpc2.Error {
	var e *jsonrpc2.Error
	if errors.As(err, &e) {
		return e
	}
	code := fault.CodeOf(err)
	number, _, _ := wire.Code(code)
	e = &jsonrpc2.Error{Code: number, Message: err.Error()}
	var shape *wire.Error
	if errors.As(err, &shape) && shape.Code == fault.Invalid && !strings.HasPrefix(e.Message, "Invalid params") && e.Message != "Missing params" {
		e.Message = "Invalid params: " + e.Message
	}
	var d *detailed
	if errors.As(err, &d) {
		e.Data = encoded(d.data)
		return e
	}
	var later interface{ RetryAfter() time.Duration }
	after := time.Duration(0)
	if errors.As(err, &later) {
		after = later.RetryAfter()
	}
	if retry, ok := wire.RetryOf(code, after); ok {
		e.Data = encoded(retry)
	}
	return e
}

func encoded(v any) json.RawMessage {
	data, err := wire.Marshal(v)
	if err != nil {
		return nil // the number and the message say what there is to say
	}
	return data
}

// detailed is an error with data.
type detailed struct {
	error
	data any
}

// Unwrap returns the error.
func (d *detailed) Unwrap() error { return d.error }

// about says of what is missing that it is the session that was named, in the contract's words.
func about(s id.Session, err error) error {
	if err != nil && fault.CodeOf(err) == fault.NotFound {
		return &missing{s, err}
	}
	return err
}

// missing is a session that is not there, or is a record.
type missing struct {
	session id.Session
	cause   error
}

// Error is what clients of the contract look for.
func (m *missing) Error() string { return "Session not found: " + string(m.session) }

// Unwrap returns the cause.
func (m *missing) Unwrap() error { return m.cause }

// FaultCode is NotFound.
func (m *missing) FaultCode() fault.Code { return fault.NotFound }
