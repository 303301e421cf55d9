package rest

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/surface/present"
	"github.com/meerkat-go/meerkat/wire"
)

func createSession(c *call, in wire.CreateParams) (any, error) {
	create, first, err := present.CreateSession(in)
	if err != nil {
		return nil, err
	}
	return c.make(create, first)
}

func askHelp(c *call, in wire.HelpParams) (any, error) {
	create, first, err := present.Help(in)
	if err != nil {
		return nil, err
	}
	return c.make(create, first)
}

// make makes a session and carries its first turn out, unless that is put off.
func (c *call) make(create control.CreateSession, first control.Submit) (any, error) {
	if err := c.keyed(&first.Key); err != nil {
		return nil, err
	}
	create.Key = first.Key
	req, err := c.h.requests.begin(c)
	if err != nil {
		return nil, err
	}
	defer req.end()
	if !create.Deferred {
		waited, err := c.h.waits.open(c.who)
		if err != nil {
			return nil, err
		}
		defer waited()
	}
	// Whoever leaves meanwhile does not leave half a session behind.
	made, err := c.plane.CreateSession(context.WithoutCancel(c.ctx()), create)
	if err != nil {
		return nil, err
	}
	if create.Deferred {
		return present.Deferred(c.plane.Realm, made), nil
	}
	first.Session = made.ID
	out, err := c.turn(req, first)
	if errors.Is(err, control.ErrKeyUsed) { // the session was made by another request
		return nil, err
	}
	if err != nil {
		return nil, failedAfterCreation(c.plane.Realm, made, err)
	}
	return out, nil
}

func sendMessage(c *call, in wire.TurnParams) (wire.RunResult, error) {
	var none wire.RunResult
	s, err := c.named(in.Session)
	if err != nil {
		return none, err
	}
	sub, err := present.Turn(s, in)
	if err != nil {
		return none, err
	}
	if err := c.keyed(&sub.Key); err != nil {
		return none, err
	}
	req, err := c.h.requests.begin(c)
	if err != nil {
		return none, err
	}
	defer req.end()
	waited, err := c.h.waits.open(c.who)
	if err != nil {
		return none, err
	}
	defer waited()
	return c.turn(req, sub)
}

// turn submits and waits. Once the input is durable the caller may leave: the run goes on.
func (c *call) turn(req *request, sub control.Submit) (wire.RunResult, error) {
	var none wire.RunResult
	if req.called() {
		return none, errCalledOff
	}
	ctx, cancel := context.WithCancelCause(context.WithoutCancel(c.ctx()))
	defer cancel(nil)
	gone, free := c.h.leaving(c.ctx())
	defer free()
	stop := func() bool { return false }
	defer func() { stop() }()
	var got control.Receipt
	out, err := c.plane.Turn(ctx, sub, func(r control.Receipt) {
		got = r
		stop = context.AfterFunc(gone, func() { cancel(context.Cause(gone)) })
		req.accepted(ctx, c.plane, sub.Session, r, func() { cancel(errCalledOff) })
	}, nil)
	switch {
	case err == nil:
		return present.Result(c.plane.Realm, out), nil
	case errors.Is(context.Cause(gone), errGoingDown) && ctx.Err() != nil:
		e := *errDown
		e.details = failure{Session: string(sub.Session), Input: string(got.Input), Run: string(got.Run)}
		return none, &e
	}
	if ctx.Err() != nil && errors.Is(context.Cause(ctx), errCalledOff) {
		return none, errCalledOff
	}
	return none, err
}

var errCalledOff = &statusError{status: statusClosed, code: "REQUEST_CANCELLED", fault: fault.Cancelled, message: "request cancelled"}

// Submitted says that an input is durable.
type Submitted struct {
	Session id.Session `json:"session_id"`
	wire.Receipt
}

func submitInput(c *call, in wire.SubmitParams) (Submitted, error) {
	s, err := c.named(in.Session)
	if err != nil {
		return Submitted{}, err
	}
	sub, err := present.Submit(s, in)
	if err != nil {
		return Submitted{}, err
	}
	if err := c.keyed(&sub.Key); err != nil {
		return Submitted{}, err
	}
	got, err := c.plane.Submit(context.WithoutCancel(c.ctx()), sub)
	if err != nil {
		return Submitted{}, err
	}
	c.w.Header().Set("Location", "/sessions/"+string(s)+"/inputs/"+url.PathEscape(string(got.Input)))
	return Submitted{Session: s, Receipt: wire.Receipt(got)}, nil
}

// maxWait is how long an answer about an input may be held back.
const maxWait = 60 * time.Second

func getInput(c *call) (wire.InputStatus, error) {
	s, err := c.session()
	if err != nil {
		return wire.InputStatus{}, err
	}
	in := id.Input(c.r.PathValue("input"))
	wait, err := c.wait()
	if err != nil {
		return wire.InputStatus{}, err
	}
	st, err := c.plane.Input(c.ctx(), s, in)
	if err != nil || st.Outcome != nil || wait == 0 {
		return present.InputStatus(st), err
	}
	waited, err := c.h.waits.open(c.who)
	if err != nil {
		return wire.InputStatus{}, err
	}
	defer waited()
	gone, free := c.h.leaving(c.ctx())
	defer free()
	within, cancel := context.WithTimeout(gone, wait)
	defer cancel()
	if _, err := c.plane.Wait(within, s, in); err != nil && within.Err() == nil {
		return wire.InputStatus{}, err
	}
	st, err = c.plane.Input(c.ctx(), s, in)
	return present.InputStatus(st), err
}

func (c *call) wait() (time.Duration, error) {
	text := c.r.URL.Query().Get("wait")
	if text == "" {
		return 0, nil
	}
	sec, err := strconv.ParseFloat(text, 64)
	if err != nil || math.IsNaN(sec) || sec < 0 {
		return 0, &control.Error{Code: fault.Invalid, Message: "wait is a number of seconds"}
	}
	return time.Duration(min(sec, maxWait.Seconds()) * float64(time.Second)), nil
}

// Which names a run; empty: whichever there is.
type Which struct {
	Run id.Run `json:"run_id,omitempty"`
}

func interrupt(c *call, in Which) (wire.Interrupted, error) {
	s, err := c.session()
	if err != nil {
		return wire.Interrupted{}, err
	}
	out := wire.Interrupted{Session: s, Interrupted: true}
	if in.Run != "" {
		return out, c.plane.Interrupt(c.ctx(), s, in.Run)
	}
	_, err = c.plane.Interrupting(c.ctx(), s) // where nothing runs it is as it was to be
	return out, err
}

// Cancelling says whether there is a run that ends at its next boundary.
type Cancelling struct {
	Session    id.Session `json:"session_id"`
	Run        id.Run     `json:"run_id,omitempty"`
	Cancelling bool       `json:"cancelling"`
}

func cancelAtBoundary(c *call, in Which) (Cancelling, error) {
	s, err := c.session()
	if err != nil {
		return Cancelling{}, err
	}
	out := Cancelling{Session: s, Run: in.Run, Cancelling: true}
	if in.Run != "" {
		return out, c.plane.CancelAfterBoundary(c.ctx(), s, in.Run)
	}
	out.Run, err = c.plane.Cancelling(c.ctx(), s)
	out.Cancelling = out.Run != ""
	return out, err
}

func injectContext(c *call, in wire.ContextParams) (wire.ContextResult, error) {
	s, err := c.named(in.Session)
	if err != nil {
		return wire.ContextResult{}, err
	}
	text, err := present.Context(s, in)
	if err != nil {
		return wire.ContextResult{}, err
	}
	if err := c.keyed(&text.Key); err != nil {
		return wire.ContextResult{}, err
	}
	status, err := c.plane.InjectContext(context.WithoutCancel(c.ctx()), text)
	return wire.ContextResult{Session: s, Status: status}, err
}

// Queued says that an event is durable.
type Queued struct {
	Queued bool `json:"queued"`
	wire.Receipt
}

func externalEvent(c *call, in wire.ExternalEventParams) (Queued, error) {
	if !same(c.h.Webhook, c.r.Header.Get("X-Webhook-Secret")) {
		return Queued{}, errWebhook
	}
	s, err := c.named(in.Session)
	if err != nil {
		return Queued{}, err
	}
	e, err := present.ExternalEvent(s, in)
	if err != nil {
		return Queued{}, err
	}
	if err := c.keyed(&e.Key); err != nil {
		return Queued{}, err
	}
	got, err := c.plane.ExternalEvent(context.WithoutCancel(c.ctx()), e)
	return Queued{Queued: true, Receipt: wire.Receipt(got)}, err
}

// same reports whether a secret was shown, if there is one, and takes as long for each that was not.
func same(secret, shown string) bool {
	want, got := sha256.Sum256([]byte(secret)), sha256.Sum256([]byte(shown))
	return subtle.ConstantTimeCompare(want[:], got[:]) == 1 || secret == ""
}

// RequestCancelled answers whoever called a request off.
type RequestCancelled struct {
	Request   string `json:"request_id"`
	Cancelled bool   `json:"cancelled"`
	Reason    string `json:"reason,omitempty"` // already_terminal
}

func cancelRequest(c *call) (RequestCancelled, error) {
	name := c.r.PathValue("request_id")
	ended, known, err := c.h.requests.cancel(c, name)
	switch {
	case err != nil:
		return RequestCancelled{}, err
	case !known:
		return RequestCancelled{}, &control.Error{Code: fault.NotFound, Message: "there is no request of that name"}
	case !ended:
		return RequestCancelled{Request: name, Reason: "already_terminal"}, nil
	}
	return RequestCancelled{Request: name, Cancelled: true}, nil
}

var errTwice = &statusError{status: http.StatusConflict, code: "DUPLICATE_REQUEST_ID", fault: fault.Invalid,
	message: "a request of this name is under way: name each request differently"}
