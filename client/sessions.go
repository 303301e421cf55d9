package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
	"github.com/meerkat-go/meerkat/wire"
)

// Session finds a session by its id, by the beginning of one that no other shares, by "last", or by "~N", the N-th most recent from 1.
func (c *Client) Session(ctx context.Context, ref string) (wire.Detail, error) {
	if ref == "" || ref == "." || ref == ".." { // no segment of a path
		return wire.Detail{}, &Error{Op: "look for a session", Code: fault.NotFound, Message: fmt.Sprintf("there is no session %q", ref)}
	}
	var d wire.Detail
	err := c.do(ctx, call{op: "look for session " + ref, method: http.MethodGet, path: []string{"sessions", ref, "detail"}, again: true}, &d)
	return d, err
}

// CreateSession makes a session in which nothing has been said yet, whatever p says of its first turn, and returns its id. An id that p does not name is
// made here, so that a session is made once however often the connection breaks.
func (c *Client) CreateSession(ctx context.Context, p wire.CreateParams) (id.Session, error) {
	minted := p.Session == ""
	if minted {
		p.Session = id.Session(id.New())
	}
	p.InitialTurn = "deferred"
	if p.Prompt == nil {
		p.Prompt = json.RawMessage(`[]`)
	}
	k := call{op: "begin a session", method: http.MethodPost, path: []string{"sessions"}, body: p, again: true}
	var made wire.DeferredResult
	err := c.do(ctx, k, &made)
	if err == nil {
		return made.Session, nil
	}
	if minted && fault.CodeOf(err) == fault.Invalid {
		// An attempt whose answer was lost may have made it.
		if d, lerr := c.Session(ctx, string(p.Session)); lerr == nil {
			return d.ID, nil
		}
	}
	return "", err
}

// List asks for sessions, latest first.
type List struct {
	Limit     int // 0: as many as the server gives
	Offset    int
	Workspace string            // only those of this folder of the server; empty: all
	Labels    map[string]string // all of them must be on a session
	Archived  bool              // also those that are a record, or were destroyed
}

// Sessions lists sessions.
func (c *Client) Sessions(ctx context.Context, l List) ([]wire.Detail, error) {
	q := url.Values{"format": {"native"}}
	if l.Limit > 0 {
		q.Set("limit", strconv.Itoa(l.Limit))
	}
	if l.Offset > 0 {
		q.Set("offset", strconv.Itoa(l.Offset))
	}
	if l.Workspace != "" {
		q.Set("workspace", l.Workspace)
	}
	if l.Archived {
		q.Set("archived", "true")
	}
	for k, v := range l.Labels {
		q.Add("label", k+"="+v)
	}
	var out wire.Details
	err := c.do(ctx, call{op: "list sessions", method: http.MethodGet, path: []string{"sessions"}, query: q, again: true}, &out)
	return out.Sessions, err
}

// Transcript reads committed rows with from <= message < before, in order; before 0: to the end.
func (c *Client) Transcript(ctx context.Context, s id.Session, from, before int) ([]transcript.Row, error) {
	q := url.Values{"from": {strconv.Itoa(max(from, 1))}}
	if before > 0 {
		q.Set("before", strconv.Itoa(before))
	}
	var got wire.Rows
	err := c.do(ctx, c.get(s, "read the transcript of", "transcript", q), &got)
	if err != nil {
		return nil, err
	}
	out := make([]transcript.Row, len(got.Rows))
	for i, r := range got.Rows {
		if out[i], err = r.Row(); err != nil {
			return nil, fmt.Errorf("read the transcript of session %s: %w", s, err)
		}
	}
	return out, nil
}

// Effects reads the effect ledger of a session, open and closed entries, in order.
func (c *Client) Effects(ctx context.Context, s id.Session) ([]wire.Effect, error) {
	var got wire.Effects
	err := c.do(ctx, c.get(s, "read the effects of", "effects", nil), &got)
	return got.Effects, err
}

func (c *Client) get(s id.Session, op, what string, q url.Values) call {
	return call{op: op + " session " + string(s), method: http.MethodGet, path: []string{"sessions", string(s), what}, query: q, again: true}
}

func (c *Client) post(s id.Session, op, what string, body any) call {
	return call{op: op + " session " + string(s), method: http.MethodPost, path: []string{"sessions", string(s), what}, body: body, again: true}
}

// Submit gives a session something to do. When it returns without an error the input is durable. An input without a name gets one here, which is also its
// idempotency key if key is empty: however often the connection breaks, it is accepted once.
func (c *Client) Submit(ctx context.Context, s id.Session, p wire.SubmitParams, key string) (wire.Receipt, error) {
	if p.Input == "" {
		p.Input = id.Input(id.New())
	}
	p.Session = string(s)
	k := c.post(s, "submit to", "inputs", p)
	k.key = key
	if key == "" {
		k.key = string(p.Input)
	}
	var r wire.Receipt
	err := c.do(ctx, k, &r)
	return r, err
}

// longPoll is how long the server is asked to hold an answer back.
const longPoll = 30 * time.Second

// Input says how an input stands, live or ended. With wait the server answers when it has ended, or when that much time has passed.
func (c *Client) Input(ctx context.Context, s id.Session, in id.Input, wait time.Duration) (wire.InputStatus, error) {
	k := c.get(s, "look for input "+string(in)+" of", "inputs", nil)
	k.path = append(k.path, string(in))
	if wait > 0 {
		k.wait = wait
		k.query = url.Values{"wait": {strconv.FormatFloat(wait.Seconds(), 'f', -1, 64)}}
	}
	var st wire.InputStatus
	err := c.do(ctx, k, &st)
	return st, err
}

// Wait blocks until an input has ended, and tells how. It outlasts a server that is away for less than Config.Patience, again and again.
func (c *Client) Wait(ctx context.Context, s id.Session, in id.Input) (wire.Outcome, error) {
	for attempt := 0; ; attempt++ {
		began := time.Now()
		st, err := c.Input(ctx, s, in, longPoll)
		if err != nil {
			return wire.Outcome{}, err
		}
		if st.Outcome != nil {
			return *st.Outcome, nil
		}
		if time.Since(began) > time.Second {
			attempt = 0
			continue
		}
		// The server does not hold answers back, or not now: it is not asked as fast as it answers.
		if err := pause(ctx, backoff(attempt)); err != nil {
			return wire.Outcome{}, err
		}
	}
}

// Resume makes a session live at the server. A run that was left unfinished goes on.
func (c *Client) Resume(ctx context.Context, s id.Session) (wire.Detail, error) {
	var d wire.Detail
	err := c.do(ctx, c.post(s, "resume", "resume", nil), &d)
	return d, err
}

type runParams struct {
	Run id.Run `json:"run_id,omitempty"`
}

// Interrupt ends a run at once; empty: whatever run there is. That it has ended, or is another, is an error.
func (c *Client) Interrupt(ctx context.Context, s id.Session, r id.Run) error {
	return c.do(ctx, c.post(s, "interrupt", "interrupt", runParams{r}), nil)
}

// Cancel ends a run at its next boundary.
func (c *Client) Cancel(ctx context.Context, s id.Session, r id.Run) error {
	return c.do(ctx, c.post(s, "cancel", "cancel", runParams{r}), nil)
}

// Archive makes a record of a session. Again: no error.
func (c *Client) Archive(ctx context.Context, s id.Session) error {
	return c.do(ctx, call{op: "archive session " + string(s), method: http.MethodDelete, path: []string{"sessions", string(s)}, again: true}, nil)
}

// Destroy ends a session for ever, and says how many inputs were given up.
func (c *Client) Destroy(ctx context.Context, s id.Session) (abandoned int, err error) {
	var got struct {
		Abandoned int `json:"abandoned"`
	}
	err = c.do(ctx, c.post(s, "destroy", "destroy", nil), &got)
	return got.Abandoned, err
}
