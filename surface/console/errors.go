package console

import (
	"encoding/json"
	"errors"
	"net/http"
	"strings"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
)

// What may be wrong with a request before the plane sees it.
var (
	errNoPage      = &control.Error{Code: fault.NotFound, Message: "there is no such page"}
	errNoSession   = &control.Error{Code: fault.NotFound, Message: "there is no such session"}
	errSignIn      = &control.Error{Code: fault.Unidentified, Message: "you are not signed in, or your key was revoked"}
	errForeignName = &control.Error{Code: fault.Forbidden,
		Message: "without keys this server answers to localhost and to addresses only, not to a host name: a page elsewhere could have led you here by one"}
	errForms   = &control.Error{Code: fault.Overloaded, Message: "as many forms are being read here as may be at once"}
	errTooMany = &control.Error{Code: fault.Overloaded, Message: "as many readers follow sessions here as may do so at once"}
)

func formError(err error) error {
	var big *http.MaxBytesError
	if errors.As(err, &big) {
		return &control.Error{Code: fault.Invalid, Message: "the form holds more than can be taken"}
	}
	if errors.Is(err, errForms) {
		return errForms
	}
	return &control.Error{Code: fault.Invalid, Message: "the form cannot be read: " + err.Error()}
}

// trouble is how a failure is told: the HTTP status, what it is, and what to do.
type trouble struct {
	status      int
	title, todo string
}

var troubles = map[fault.Code]trouble{
	fault.Invalid:        {http.StatusBadRequest, "That cannot be done", "Go back, change what you sent, and send it again."},
	fault.NotFound:       {http.StatusNotFound, "Not found", "Look for it in the list of sessions. The address may be cut short, or belong to somebody else."},
	fault.Busy:           {http.StatusConflict, "The session is busy", "Wait until its run is over, or interrupt it."},
	fault.NotReady:       {http.StatusConflict, "Not in this state", "The session is in a state that does not take this. Look at its page for what it is doing."},
	fault.NotRunning:     {http.StatusConflict, "The run is over", "There is nothing left to stop. Look at the session for how it ended."},
	fault.Stale:          {http.StatusConflict, "Too late", "What you answered is not asked any more. Reload the page."},
	fault.OwnedElsewhere: {http.StatusConflict, "Another process has the session", "Use the server that runs it, or end that process and try again."},
	fault.InProgress:     {http.StatusConflict, "Something has to end first", "Try again in a moment."},
	fault.Overloaded:     {http.StatusServiceUnavailable, "Too much at once", "Try again in a moment."},
	fault.OutcomeUnknown: {http.StatusInternalServerError, "It is not known whether that happened", "Look at the session before you do it again."},
	fault.Cancelled:      {499, "Cancelled", "Nothing was lost. Do it again if you still want it."},
	fault.Unauthenticated: {http.StatusBadGateway, "The model provider refused our credential",
		"Whoever keeps this server has to give it a good key for the provider."},
	fault.Provider:     {http.StatusBadGateway, "The model provider failed", "Try again later, or use another model."},
	fault.Budget:       {http.StatusConflict, "A limit was reached", "Raise the limit, or begin a new session."},
	fault.Storage:      {http.StatusInsufficientStorage, "The store failed", "Look at the server's disk and its log, then try again."},
	fault.Corrupt:      {http.StatusInternalServerError, "Stored data cannot be read", "Run 'rkat doctor' on the server; a newer version may have written it."},
	fault.Unidentified: {http.StatusUnauthorized, "Sign in first", "Sign in with an API key. 'rkat keys create' makes one on the server."},
	fault.Forbidden:    {http.StatusForbidden, "Not allowed", "Use a key of a higher level, or open the console under the address it is meant to have."},
	fault.Unavailable:  {http.StatusNotImplemented, "Not here", "This server cannot do that, or it is not switched on."},
}

var unforeseen = trouble{http.StatusInternalServerError, "Something went wrong here", "Try again. If it stays so, the server's log says more."}

type errorView struct {
	layout
	Heading, Message, Todo string
	Code                   string
	Status                 int
	SignIn                 bool
}

// fail answers with an error: a page to people, a small object to the script. What nobody foresaw is not told in detail: it may hold what is nobody's
// business.
func (c *console) fail(w http.ResponseWriter, r *http.Request, v visit, err error) {
	code := fault.CodeOf(err)
	t, known := troubles[code]
	if !known {
		t = unforeseen
	}
	message := t.title
	if known {
		message = sentence(explain(err))
	}
	if t.status == http.StatusServiceUnavailable {
		w.Header().Set("Retry-After", "5")
	}
	if !wantsPage(r) {
		c.json(w, t.status, map[string]string{"error": message, "todo": t.todo, "code": code.String()})
		return
	}
	c.show(w, r, t.status, "error", errorView{layout: c.layout(v, t.title), Heading: t.title, Message: message, Todo: t.todo, Code: code.String(),
		Status: t.status, SignIn: code == fault.Unidentified})
}

// explain leaves out which other sessions there are: who follows a link to a wrong one is not helped by them.
func explain(err error) string {
	var e *control.Error
	if errors.As(err, &e) {
		return e.Message
	}
	return err.Error()
}

// sentence begins with a capital and ends with a full stop.
func sentence(s string) string {
	if s = strings.TrimSpace(s); s == "" {
		return s
	}
	if c := s[0]; c >= 'a' && c <= 'z' {
		s = string(c-'a'+'A') + s[1:]
	}
	if !strings.ContainsAny(s[len(s)-1:], ".!?") {
		s += "."
	}
	return s
}

// wantsPage reports whether an answer is for people: the script asks for JSON, and a stream of events is no page.
func wantsPage(r *http.Request) bool {
	a := r.Header.Get("Accept")
	return !strings.HasPrefix(a, "application/json") && !strings.HasPrefix(a, "text/event-stream")
}

func (c *console) json(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(v) // a browser that has gone away needs no answer
}
