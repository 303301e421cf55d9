package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/wire"
)

// Problem is what is answered instead of a success: problem details (RFC 9457), with the fields beside them that clients of the protocol read.
type Problem struct {
	Type   string `json:"type"`   // urn:meerkat:problem: and the code in small letters
	Title  string `json:"title"`  // of the status
	Status int    `json:"status"` // of HTTP
	Detail string `json:"detail"`

	Error     string `json:"error"`   // as detail
	Message   string `json:"message"` // as detail
	Code      string `json:"code"`    // which condition, such as NOT_FOUND
	Category  string `json:"category"`
	Fault     string `json:"fault"` // the code of docs/errors.md, such as not_found
	Details   any    `json:"details,omitempty"`
	RequestID string `json:"request_id,omitempty"` // of the X-Request-Id header
}

// statusError is an error with a status and a code of HTTP alone.
type statusError struct {
	status  int
	code    string
	fault   fault.Code
	message string
	details any
	after   time.Duration // Retry-After; 0: none is said
	cause   error
}

// Error says what is wrong.
func (e *statusError) Error() string { return e.message }

// FaultCode returns the code.
func (e *statusError) FaultCode() fault.Code { return e.fault }

// Unwrap returns the cause.
func (e *statusError) Unwrap() error { return e.cause }

var (
	errMethod = &statusError{status: http.StatusMethodNotAllowed, code: "METHOD_NOT_ALLOWED", fault: fault.Invalid,
		message: "the path takes other methods, which the Allow header lists"}
	errRate = &statusError{status: http.StatusTooManyRequests, code: "RATE_LIMITED", fault: fault.Overloaded, message: "too many requests: wait a moment",
		after: time.Second}
	errStreams = &statusError{status: http.StatusServiceUnavailable, code: "SERVICE_UNAVAILABLE", fault: fault.Overloaded,
		message: "this server has as many streams of events open as it may: try again later", after: 5 * time.Second}
	errYourStreams = &statusError{status: http.StatusTooManyRequests, code: "TOO_MANY_STREAMS", fault: fault.Overloaded,
		message: "you have as many streams of events open as you may: close one", after: 5 * time.Second}
	errWaits = &statusError{status: http.StatusServiceUnavailable, code: "SERVICE_UNAVAILABLE", fault: fault.Overloaded,
		message: "as many requests wait here as may: submit without waiting, or try again later", after: 5 * time.Second}
	errYourWaits = &statusError{status: http.StatusTooManyRequests, code: "TOO_MANY_WAITING", fault: fault.Overloaded,
		message: "as many of your requests wait here as may: submit without waiting, or try again later", after: 5 * time.Second}
	errDown = &statusError{status: http.StatusServiceUnavailable, code: "SERVICE_UNAVAILABLE", fault: fault.Overloaded,
		message: "the server is going down; what was accepted is kept and goes on", after: time.Second, cause: errGoingDown}
	errFull = &statusError{status: http.StatusServiceUnavailable, code: "SERVICE_UNAVAILABLE", fault: fault.Overloaded,
		message: "this server is reading as many requests as it has room for: try again", after: time.Second}
	errElsewhere = &statusError{status: http.StatusUnauthorized, code: "UNAUTHORIZED", fault: fault.Unidentified, message: "the key is of another realm now"}
	errWebhook   = &statusError{status: http.StatusUnauthorized, code: "UNAUTHORIZED", fault: fault.Unidentified,
		message: "events from outside need the header X-Webhook-Secret here"}
	errStranger = &statusError{status: http.StatusForbidden, code: "FORBIDDEN", fault: fault.Forbidden,
		message: "the request is addressed to a name that is not this server's; its address has to be used, or the name configured"}
	errCrossSite = &statusError{status: http.StatusForbidden, code: "FORBIDDEN", fault: fault.Forbidden, message: "pages of other sites may not ask for changes"}
)

// retryAfter is said where an error that passes does not say after how long.
const retryAfter = time.Second

// statusClosed is what is answered, and logged, where the caller or somebody for him called the request off.
const statusClosed = 499

// problemOf translates an error.
func problemOf(err error) (Problem, time.Duration) {
	code := fault.CodeOf(err)
	_, status, name := wire.Code(code)
	p := Problem{Status: status, Code: name, Category: wire.Category(code), Fault: code.String(), Detail: err.Error()}
	after := time.Duration(0)
	if status == http.StatusServiceUnavailable {
		after = retryAfter
	}
	var own *statusError
	var refused *control.Error
	var ran *control.RunError
	switch {
	case errors.As(err, &own):
		p.Status, p.Code, p.Details, after = own.status, own.code, own.details, own.after
	case errors.As(err, &refused) && len(refused.Near) > 0:
		p.Details = near{refused.Near}
	case errors.As(err, &ran):
		p.Details = failureOf(ran)
	case code == fault.Cancelled && errors.Is(err, context.Canceled):
		p.Status, p.Code, p.Detail = statusClosed, "REQUEST_CANCELLED", "the request was called off; what was accepted goes on"
	}
	p.Type = "urn:meerkat:problem:" + p.Fault
	p.Title = http.StatusText(p.Status)
	if p.Status == statusClosed {
		p.Title = "Client Closed Request"
	}
	p.Error, p.Message = p.Detail, p.Detail
	return p, after
}

// near are ids that may have been meant.
type near struct {
	Near []string `json:"near"`
}

// failure is what is said of a run that did not complete.
type failure struct {
	Session string `json:"session_id"`
	Input   string `json:"input_id,omitempty"`
	Run     string `json:"run_id,omitempty"`
	Status  string `json:"run_status,omitempty"` // failed, cancelled, abandoned
	Cause   string `json:"terminal_cause_kind,omitempty"`
	Kind    string `json:"failure_kind,omitempty"`
	Text    string `json:"text,omitempty"` // what the model said last
}

func failureOf(e *control.RunError) failure {
	o := e.Result.Outcome
	return failure{Session: string(e.Result.Session), Input: string(o.Input), Run: string(o.Run), Status: o.Status, Cause: o.Cause, Kind: o.Kind, Text: o.Text}
}

// fail answers with a problem, unless something was answered before.
func (h *handler) fail(w *recorder, r *http.Request, err error) {
	p, after := problemOf(err)
	w.cause = p.Detail
	if w.begun() {
		return
	}
	p.RequestID = w.id
	if after > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(int((after+time.Second-1)/time.Second)))
	}
	if p.Status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="meerkat"`)
	}
	h.write(w, r, p.Status, "application/problem+json", p)
}

// write answers with JSON.
func (h *handler) write(w *recorder, r *http.Request, status int, contentType string, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		if _, ok := v.(Problem); !ok {
			h.fail(w, r, err)
			return
		}
		body = []byte(`{"error":"the error cannot be told"}`)
	}
	h.send(w, status, contentType, append(body, '\n'))
}

// send answers with bytes, within the time a client has to take them.
func (h *handler) send(w *recorder, status int, contentType string, body []byte) {
	w.Header().Set("Content-Type", contentType)
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	h.deadline(w)
	w.WriteHeader(status)
	if err := h.put(w, body); err != nil && w.cause == "" {
		w.cause = err.Error()
	}
}

// chunk is how many bytes a client has one WriteTimeout for. It is as well how much is gathered on a stream while there is more to tell, so that catching
// up does not cost a packet for each event.
const chunk = 64 << 10

// put writes all of a body: a client that takes it slowly, but takes it, may have all the time it needs.
func (h *handler) put(w *recorder, body []byte) error {
	for part := range slices.Chunk(body, chunk) {
		h.deadline(w)
		if _, err := w.Write(part); err != nil {
			return err
		}
	}
	return nil
}

// deadline gives a client time to take what is written next. A writer that has no deadlines has none.
func (h *handler) deadline(w *recorder) {
	if err := http.NewResponseController(w.ResponseWriter).SetWriteDeadline(time.Now().Add(h.WriteTimeout)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		w.cause = err.Error()
	}
}
