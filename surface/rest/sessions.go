package rest

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/surface/present"
	"github.com/meerkat-go/meerkat/wire"
)

// maxList is how many sessions a list may hold.
const maxList = 1000

func listSessions(c *call) (any, error) {
	q := control.ListSessions{Workspace: c.r.URL.Query().Get("workspace")}
	native, err := c.native()
	if err != nil {
		return nil, err
	}
	if q.Limit, err = c.number("limit", 0); err != nil {
		return nil, err
	}
	if q.Offset, err = c.number("offset", 0); err != nil {
		return nil, err
	}
	if q.Archived, err = c.yes("archived"); err != nil {
		return nil, err
	}
	if q.Limit > maxList {
		return nil, &control.Error{Code: fault.Invalid, Message: fmt.Sprintf("limit is at most %d: ask for the rest with offset", maxList)}
	}
	for _, l := range c.r.URL.Query()["label"] {
		k, v, ok := strings.Cut(l, "=")
		if !ok || k == "" {
			return nil, &control.Error{Code: fault.Invalid, Message: "a label is key=value"}
		}
		if q.Labels == nil {
			q.Labels = map[string]string{}
		}
		q.Labels[k] = v
	}
	list, err := c.plane.Sessions(c.ctx(), q)
	if err != nil {
		return nil, err
	}
	if native {
		return present.DetailList(list), nil
	}
	return present.List(c.plane.Realm, list), nil
}

// one reads the session of the path.
func (c *call) one() (control.Session, error) {
	s, err := c.session()
	if err != nil {
		return control.Session{}, err
	}
	return c.plane.Session(c.ctx(), string(s))
}

func getSession(c *call) (wire.SessionDetails, error) {
	s, err := c.one()
	return present.Details(c.plane.Realm, s), err
}

func getDetail(c *call) (wire.Detail, error) {
	ref := c.r.PathValue("id")
	if of, rest, ok := strings.Cut(ref, ":"); ok && of == c.plane.Realm {
		ref = rest
	}
	s, err := c.plane.Session(c.ctx(), ref)
	return present.Detail(s), err
}

func getStatus(c *call) (wire.RuntimeState, error) {
	s, err := c.one()
	return present.State(s), err
}

func archiveSession(c *call) (wire.Archived, error) {
	s, err := c.session()
	if err == nil {
		err = c.plane.Archive(c.ctx(), s)
	}
	return wire.Archived{Session: s, Archived: true}, err
}

func getHistory(c *call) (wire.SessionHistory, error) {
	var none wire.SessionHistory
	s, err := c.session()
	if err != nil {
		return none, err
	}
	offset, err := c.number("offset", 0)
	if err != nil {
		return none, err
	}
	limit, err := c.number("limit", 0)
	if err != nil {
		return none, err
	}
	h, err := c.plane.History(c.ctx(), s, offset, limit)
	if err != nil {
		return none, err
	}
	return present.History(c.plane.Realm, h), nil
}

func getTranscript(c *call) (wire.Rows, error) {
	s, err := c.session()
	if err != nil {
		return wire.Rows{}, err
	}
	from, err := c.number("from", 1)
	if err != nil {
		return wire.Rows{}, err
	}
	before, err := c.number("before", 0)
	if err != nil {
		return wire.Rows{}, err
	}
	rows, err := c.plane.Transcript(c.ctx(), s, from, before)
	if err != nil {
		return wire.Rows{}, err
	}
	return present.Rows(rows)
}

func getEffects(c *call) (wire.Effects, error) {
	s, err := c.session()
	if err != nil {
		return wire.Effects{}, err
	}
	list, err := c.plane.Effects(c.ctx(), s)
	return present.Effects(list), err
}

// Fork asks for a fork.
type Fork struct {
	Index   *int   `json:"message_index,omitempty"`    // how many messages it has; left out: all there are
	Running string `json:"running_behavior,omitempty"` // reject
}

func forkSession(c *call, in Fork) (wire.ForkResult, error) {
	var none wire.ForkResult
	if in.Running != "" && in.Running != "reject" {
		return none, &control.Error{Code: fault.Invalid, Message: "running_behavior is reject"}
	}
	s, err := c.one()
	if err != nil {
		return none, err
	}
	n := s.Messages
	if in.Index != nil {
		n = *in.Index
	}
	made, err := c.plane.ForkAt(c.ctx(), s.ID, n, nil)
	return present.Fork(c.plane.Realm, s, made), err
}

func resumeSession(c *call) (wire.Detail, error) {
	s, err := c.session()
	if err != nil {
		return wire.Detail{}, err
	}
	got, err := c.plane.Resume(c.ctx(), s)
	return present.Detail(got), err
}

// Destroyed says that a session has ended for ever.
type Destroyed struct {
	Session   id.Session `json:"session_id"`
	Destroyed bool       `json:"destroyed"`
	Abandoned int        `json:"abandoned"` // inputs that were given up
}

func destroySession(c *call) (Destroyed, error) {
	s, err := c.session()
	if err != nil {
		return Destroyed{}, err
	}
	n, err := c.plane.Destroy(c.ctx(), s)
	return Destroyed{Session: s, Destroyed: true, Abandoned: n}, err
}

// failedAfterCreation says that a session was made and its first turn did not complete.
func failedAfterCreation(realm string, s control.Session, err error) error {
	p, after := problemOf(err)
	out := &statusError{status: http.StatusInternalServerError, code: "SESSION_CREATED_WITH_TURN_FAILURE", fault: fault.CodeOf(err), after: after, cause: err,
		message: "the session was made, and its first turn did not complete: " + err.Error()}
	if p.Status == statusClosed {
		out.status, out.code = p.Status, p.Code
	}
	if p.Status == http.StatusServiceUnavailable {
		out.status = p.Status
	}
	out.details = createdDetails{CreatedData: present.Created(realm, s),
		Code: p.Code, Status: p.Status, Message: err.Error(), Run: p.Details}
	return out
}

type createdDetails struct {
	wire.CreatedData
	Code    string `json:"turn_error_code"`
	Status  int    `json:"turn_error_status"`
	Message string `json:"turn_error_message"`
	Run     any    `json:"run,omitempty"`
}
