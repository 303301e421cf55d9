package wire

import (
	"time"

	"github.com/meerkat-go/meerkat/fault"
)

// JSON-RPC's own error codes.
const (
	ParseError     = -32700
	InvalidRequest = -32600
	MethodNotFound = -32601
	InvalidParams  = -32602
)

// RequestCancelled is the JSON-RPC code of a request whose run was cancelled.
const RequestCancelled = -32005

// DuplicateInput is the JSON-RPC code of an input that was accepted before under another id.
const DuplicateInput = -32004

type codeRow struct {
	rpc, http int
	name      string
	category  string
}

var codes = map[fault.Code]codeRow{
	fault.Internal:        {-32603, 500, "INTERNAL_ERROR", "internal"},
	fault.Invalid:         {InvalidParams, 400, "BAD_REQUEST", "validation"},
	fault.NotFound:        {-32001, 404, "NOT_FOUND", "session"},
	fault.Busy:            {-32002, 409, "CONFLICT", "session"},
	fault.NotReady:        {-32003, 409, "CONFLICT", "session"},
	fault.NotRunning:      {-32003, 409, "CONFLICT", "session"},
	fault.Stale:           {InvalidParams, 400, "BAD_REQUEST", "validation"},
	fault.OwnedElsewhere:  {-32603, 503, "SERVICE_UNAVAILABLE", "internal"},
	fault.Overloaded:      {-32603, 503, "SERVICE_UNAVAILABLE", "internal"},
	fault.OutcomeUnknown:  {-32603, 500, "INTERNAL_ERROR", "internal"},
	fault.Cancelled:       {RequestCancelled, 499, "REQUEST_CANCELLED", "request"},
	fault.Unauthenticated: {-32010, 502, "PROVIDER_ERROR", "provider"},
	fault.Provider:        {-32010, 502, "PROVIDER_ERROR", "provider"},
	fault.Budget:          {-32011, 429, "BUDGET_EXHAUSTED", "budget"},
	fault.Storage:         {-32603, 503, "SERVICE_UNAVAILABLE", "internal"},
	fault.Corrupt:         {-32603, 500, "INTERNAL_ERROR", "internal"},
	fault.InProgress:      {-32603, 503, "SERVICE_UNAVAILABLE", "internal"},
	fault.Unidentified:    {InvalidRequest, 401, "UNAUTHORIZED", "request"},
	fault.Forbidden:       {InvalidRequest, 403, "FORBIDDEN", "request"},
	fault.Unavailable:     {-32020, 501, "CAPABILITY_UNAVAILABLE", "capability"},
}

// Code returns how a public code is told: the number of a JSON-RPC error, the status of an HTTP answer, and its name in that answer's body.
func Code(c fault.Code) (rpc int, http int, name string) {
	row := rowOf(c)
	return row.rpc, row.http, row.name
}

// Category returns the contract's word for the sort of an error.
func Category(c fault.Code) string { return rowOf(c).category }

func rowOf(c fault.Code) codeRow {
	if row, ok := codes[c]; ok {
		return row
	}
	return codes[fault.Internal]
}

// Retry is the data of an error that may be gone later.
type Retry struct {
	Reason       string `json:"reason"`
	RetryAfterMS int64  `json:"retry_after_ms"`
}

// RetryOf says why something cannot be done now and when to try again; false for a code that waiting does not mend.
func RetryOf(c fault.Code, after time.Duration) (Retry, bool) {
	if rowOf(c).http != 503 {
		return Retry{}, false
	}
	if after <= 0 {
		after = time.Second
	}
	return Retry{Reason: c.String(), RetryAfterMS: after.Milliseconds()}, true
}

// Error is what is wrong with a request that could not be understood.
type Error struct {
	Code    fault.Code
	Field   string // empty: the whole of it
	Message string
}

// Error names the field and says what is wrong.
func (e *Error) Error() string {
	if e.Field == "" {
		return e.Message
	}
	return e.Field + ": " + e.Message
}

// FaultCode returns the code.
func (e *Error) FaultCode() fault.Code { return e.Code }
