package rest

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"
	"strings"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/surface/present"
	"github.com/meerkat-go/meerkat/wire"
)

// route is one row of the table.
type route struct {
	method  string
	pattern string // of net/http, and of OpenAPI: they write parameters alike
	name    string // operationId
	summary string
	level   control.Level // what a key needs; the plane holds it
	public  bool          // nobody is asked for a key
	stream  bool          // the answer has no end of its own
	params  []param       // beside those in the pattern
	status  int           // of a success
	media   string        // of a success; empty: JSON
	endpoint
}

// param is a parameter in the query or in a header.
type param struct {
	name, in string // in: query or header
	kind     string // string, integer, number, boolean
	many     bool
	about    string
}

// endpoint is what a route does, with the types of what it takes and gives.
type endpoint struct {
	in       reflect.Type   // nil: no body
	bodyless bool           // the body may be left out
	optional []string       // fields of in that may be left out though their type says otherwise
	out      reflect.Type   // nil: no JSON
	forms    []reflect.Type // where out says nothing: the forms of the answer
	handle   func(*call)
}

// gives is a route that takes no body.
func gives[Out any](status int, f func(*call) (Out, error)) endpoint {
	return endpoint{out: reflect.TypeFor[Out](), handle: func(c *call) {
		out, err := f(c)
		c.answer(status, out, err)
	}}
}

// takes is a route that takes a body of JSON.
func takes[In, Out any](status int, f func(*call, In) (Out, error)) endpoint {
	return endpoint{in: reflect.TypeFor[In](), out: reflect.TypeFor[Out](), handle: func(c *call) {
		var in In
		c.fill(&in)
		err := decode(c.body, &in)
		var out Out
		if err == nil {
			out, err = f(c, in)
		}
		c.answer(status, out, err)
	}}
}

// mayTake is takes where an empty body is as good as an empty object.
func mayTake[In, Out any](status int, f func(*call, In) (Out, error)) endpoint {
	e := takes(status, f)
	with := e.handle
	e.bodyless = true
	e.handle = func(c *call) {
		if len(strings.TrimSpace(string(c.body))) == 0 {
			c.body = []byte("{}")
		}
		with(c)
	}
	return e
}

func (e endpoint) without(fields ...string) endpoint {
	e.optional = fields
	return e
}

// as says which forms the answer has, where its type does not.
func (e endpoint) as(forms ...any) endpoint {
	for _, v := range forms {
		e.forms = append(e.forms, reflect.TypeOf(v))
	}
	return e
}

// answer writes what a handler came to.
func (c *call) answer(status int, out any, err error) {
	if err != nil {
		c.h.fail(c.w, c.r, err)
		return
	}
	c.h.write(c.w, c.r, status, "application/json", out)
}

// decode reads a body. Fields that are not known are passed over, as those of a newer client have to be.
func decode(body []byte, into any) error {
	if len(body) == 0 {
		return &control.Error{Code: fault.Invalid, Message: "the request has no body, and needs one"}
	}
	return wire.Decode(json.RawMessage(body), into)
}

// fill puts what the path says of a request into what its body may leave out.
func (c *call) fill(in any) {
	id := c.r.PathValue("id")
	switch in := in.(type) {
	case *wire.TurnParams:
		in.Session = id
	case *wire.SubmitParams:
		in.Session = id
	case *wire.ContextParams:
		in.Session = id
	case *wire.ExternalEventParams:
		in.Session = id
	}
}

// session reads the locator in the path. There is no way from here to another realm.
func (c *call) session() (id.Session, error) {
	return present.Session(c.plane.Realm, c.r.PathValue("id"))
}

// named is session where the body may name the session too: it must be the same.
func (c *call) named(locator string) (id.Session, error) {
	s, err := c.session()
	if err != nil {
		return "", err
	}
	also, err := present.Session(c.plane.Realm, locator)
	if err == nil && also != s {
		err = &control.Error{Code: fault.Invalid, Message: "Session ID mismatch: path=" + string(s) + " body=" + string(also)}
	}
	return s, err
}

// number reads a parameter of the query that is a whole number and not negative.
func (c *call) number(name string, otherwise int) (int, error) {
	text := c.r.URL.Query().Get(name)
	if text == "" {
		return otherwise, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, &control.Error{Code: fault.Invalid, Message: name + " is a whole number from 0 on"}
	}
	return n, nil
}

// yes reads a parameter of the query that is true or false.
func (c *call) yes(name string) (bool, error) {
	text := c.r.URL.Query().Get(name)
	if text == "" {
		return false, nil
	}
	b, err := strconv.ParseBool(text)
	if err != nil {
		return false, &control.Error{Code: fault.Invalid, Message: name + " is true or false"}
	}
	return b, nil
}

// native reports whether the caller asks for the shapes of our own.
func (c *call) native() (bool, error) {
	switch f := c.r.URL.Query().Get("format"); f {
	case "":
		return false, nil
	case "native":
		return true, nil
	}
	return false, &control.Error{Code: fault.Invalid, Message: "format is native, or left out"}
}

// keyed puts the idempotency key of the header where that of the body is.
func (c *call) keyed(key *string) error {
	head := c.r.Header.Get("Idempotency-Key")
	switch {
	case head == "":
	case *key != "" && *key != head:
		return &control.Error{Code: fault.Invalid, Message: "the header Idempotency-Key and idempotency_key of the body are not the same"}
	default:
		*key = head
	}
	return nil
}

// Parameters that several routes share.
var (
	limitParam     = param{"limit", "query", "integer", false, "at most so many"}
	offsetParam    = param{"offset", "query", "integer", false, "how many to leave out"}
	keyHeader      = param{"Idempotency-Key", "header", "string", false, "the same key again is answered with the input it named first"}
	requestHeader  = param{"X-Meerkat-Request-Id", "header", "string", false, "a name for this request, by which it can be cancelled"}
	webhookHeader  = param{"X-Webhook-Secret", "header", "string", false, "the server's secret for events from outside, if it has one"}
	formatParam    = param{"format", "query", "string", false, "native: the shapes of our own client"}
	get, post, put = http.MethodGet, http.MethodPost, http.MethodPut
	patch, remove  = http.MethodPatch, http.MethodDelete
)

// table lists all routes: it is what the multiplexer and the OpenAPI document are made from.
func (h *handler) table() []route {
	return append(h.serverRoutes(), append(h.sessionRoutes(), h.workRoutes()...)...)
}

func (h *handler) serverRoutes() []route {
	return []route{
		{method: get, pattern: "/health", name: "health", summary: "The process is there", public: true, status: 200, media: "text/plain", endpoint: endpoint{handle: healthy}},
		{method: get, pattern: "/readyz", name: "ready", summary: "The server can take work", public: true, status: 200, endpoint: gives(200, ready)},
		{method: get, pattern: "/openapi.json", name: "openapi", summary: "This document", public: true, status: 200, endpoint: endpoint{out: reflect.TypeFor[map[string]any](), handle: openapi}},
		{method: get, pattern: "/capabilities", name: "capabilities", summary: "What the server can do", level: control.Reader, status: 200, endpoint: gives(200, capabilities)},
		{method: get, pattern: "/models/catalog", name: "models", summary: "The models that are known by name", level: control.Reader, status: 200, endpoint: gives(200, models)},
		{method: get, pattern: "/skills", name: "skills", summary: "The skills that sessions may use", level: control.Reader, status: 200, endpoint: gives(200, skills)},
		{method: get, pattern: "/runtime/host_info", name: "hostInfo", summary: "What process serves, and what", level: control.Reader, status: 200, endpoint: gives(200, hostInfo)},
		{method: get, pattern: "/runtime/capabilities", name: "hostCapabilities", summary: "Which families of methods there are", level: control.Reader, status: 200, endpoint: gives(200, hostCapabilities)},
		{method: get, pattern: "/runtime/health", name: "hostHealth", summary: "Whether the realm can work", level: control.Reader, status: 200, endpoint: gives(200, hostHealth)},
		{method: get, pattern: "/config", name: "getConfig", summary: "The settings of the realm", level: control.Reader, status: 200, endpoint: gives(200, getConfig)},
		{method: put, pattern: "/config", name: "setConfig", summary: "Replace the settings", level: control.Admin, status: 200, endpoint: takes(200, setConfig)},
		{method: patch, pattern: "/config", name: "patchConfig", summary: "Merge into the settings (RFC 7396)", level: control.Admin, status: 200, endpoint: takes(200, patchConfig)},
	}
}

func (h *handler) sessionRoutes() []route {
	return []route{
		{method: post, pattern: "/sessions", name: "createSession", summary: "Make a session and carry its first turn out, or put that off", level: control.Writer, status: 200,
			params: []param{requestHeader, keyHeader}, endpoint: takes(200, createSession).as(wire.RunResult{}, wire.DeferredResult{})},
		{method: post, pattern: "/help", name: "askHelp", summary: "Ask how this software is used, in a session of its own", level: control.Writer, status: 200,
			params: []param{requestHeader, keyHeader}, endpoint: takes(200, askHelp).as(wire.RunResult{})},
		{method: get, pattern: "/sessions", name: "listSessions", summary: "List sessions, the one that was updated last first", level: control.Reader, status: 200,
			params: []param{limitParam, offsetParam, {"label", "query", "string", true, "key=value; all of them must be on a session"},
				{"workspace", "query", "string", false, "only sessions of this folder"}, {"archived", "query", "boolean", false, "also those that are a record"}, formatParam},
			endpoint: gives(200, listSessions).as(wire.SessionList{}, wire.Details{})},
		{method: get, pattern: "/sessions/{id}", name: "getSession", summary: "A session", level: control.Reader, status: 200, endpoint: gives(200, getSession)},
		{method: get, pattern: "/sessions/{id}/detail", name: "getDetail", summary: "A session with its run; id may also be the beginning of one, last, or ~N", level: control.Reader,
			status: 200, endpoint: gives(200, getDetail)},
		{method: remove, pattern: "/sessions/{id}", name: "archiveSession", summary: "Make a record of a session", level: control.Writer, status: 200, endpoint: gives(200, archiveSession)},
		{method: get, pattern: "/sessions/{id}/status", name: "getStatus", summary: "The phase of a session", level: control.Reader, status: 200, endpoint: gives(200, getStatus)},
		{method: get, pattern: "/sessions/{id}/history", name: "getHistory", summary: "A page of its messages, from the oldest on", level: control.Reader, status: 200,
			params: []param{offsetParam, limitParam}, endpoint: gives(200, getHistory)},
		{method: get, pattern: "/sessions/{id}/transcript", name: "getTranscript", summary: "Rows of its transcript as they are kept", level: control.Reader, status: 200,
			params: []param{{"from", "query", "integer", false, "first message, from 1"}, {"before", "query", "integer", false, "where to end; left out: at the end"}}, endpoint: gives(200, getTranscript)},
		{method: get, pattern: "/sessions/{id}/effects", name: "getEffects", summary: "What was asked for on its behalf, and what became of it", level: control.Reader, status: 200,
			endpoint: gives(200, getEffects)},
		{method: post, pattern: "/sessions/{id}/fork", name: "forkSession", summary: "Make a session that has the first messages of this one", level: control.Writer, status: 200,
			endpoint: mayTake(200, forkSession)},
		{method: post, pattern: "/sessions/{id}/resume", name: "resumeSession", summary: "Make a session live; a run that was left unfinished goes on", level: control.Writer, status: 200,
			endpoint: gives(200, resumeSession)},
		{method: post, pattern: "/sessions/{id}/destroy", name: "destroySession", summary: "End a session for ever", level: control.Admin, status: 200, endpoint: gives(200, destroySession)},
		{method: get, pattern: "/sessions/{id}/events", name: "streamEvents", summary: "Its events as they happen, or from a cursor on", level: control.Reader, status: 200, stream: true,
			media: "text/event-stream", params: []param{{"after", "query", "integer", false, "cursor of the last event that was seen; left out: only what is to come"},
				{"Last-Event-ID", "header", "string", false, "as after, and counts before it"}, formatParam}, endpoint: endpoint{handle: streamEvents}},
	}
}

func (h *handler) workRoutes() []route {
	return []route{
		{method: post, pattern: "/sessions/{id}/messages", name: "sendMessage", summary: "Carry a turn out and wait for its end", level: control.Writer, status: 200,
			params: []param{requestHeader, keyHeader}, endpoint: takes(200, sendMessage).without("session_id")},
		{method: post, pattern: "/requests/{request_id}/cancel", name: "cancelRequest", summary: "End the run that a request waits for", level: control.Writer, status: 200,
			endpoint: gives(200, cancelRequest)},
		{method: post, pattern: "/sessions/{id}/inputs", name: "submitInput", summary: "Give a session something to do, and do not wait", level: control.Writer, status: 202,
			params: []param{keyHeader}, endpoint: takes(202, submitInput).without("session_id")},
		{method: get, pattern: "/sessions/{id}/inputs/{input}", name: "getInput", summary: "How an input stands", level: control.Reader, status: 200,
			params: []param{{"wait", "query", "number", false, "seconds to wait for its end, 60 at most"}}, endpoint: gives(200, getInput)},
		{method: post, pattern: "/sessions/{id}/interrupt", name: "interrupt", summary: "End its run at once", level: control.Writer, status: 200, endpoint: mayTake(200, interrupt)},
		{method: post, pattern: "/sessions/{id}/cancel", name: "cancelAtBoundary", summary: "End its run at the next boundary", level: control.Writer, status: 200, endpoint: mayTake(200, cancelAtBoundary)},
		{method: post, pattern: "/sessions/{id}/system_context", name: "injectContext", summary: "Add to what its model knows, and start nothing", level: control.Writer, status: 200,
			params: []param{keyHeader}, endpoint: takes(200, injectContext).without("session_id")},
		{method: post, pattern: "/sessions/{id}/external-events", name: "externalEvent", summary: "Tell it of something that happened outside", level: control.Writer, status: 202,
			params: []param{keyHeader, webhookHeader}, endpoint: takes(202, externalEvent).without("session_id")},
	}
}
