package console

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
)

const (
	listPage  = 50   // sessions on a page
	listScan  = 2000 // how many of the latest are looked through for words of a title
	rowsPage  = 200  // messages on a page
	logShown  = 100  // events beside a session
	logPage   = 500  // events on a page of their own
	logBehind = 300  // how far back events are read for what became of inputs
)

// layout is what every page has.
type layout struct {
	Title  string
	Realm  string
	Key    string // name of the key that was signed in with
	Level  string
	Signed bool
	Said   string // what was just done
}

func (c *console) layout(v visit, title string) layout {
	l := layout{Title: title}
	if v.plane != nil {
		l.Realm, l.Key, l.Level, l.Signed = v.plane.Realm, v.caller.Key, v.caller.Level.String(), v.signed
	}
	return l
}

// show writes a page, whole or not at all.
func (c *console) show(w http.ResponseWriter, r *http.Request, status int, name string, data any) {
	var b bytes.Buffer
	if err := c.pages.ExecuteTemplate(&b, name, data); err != nil {
		http.Error(w, "The page could not be made.", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(b.Bytes()) // a browser that has gone away needs no answer
	}
}

type indexView struct {
	layout
	Sessions []sessionLine
	Query    string
	Archived bool
	Scanned  int // not 0: how many were looked through, and there are more
	Newer    string
	Older    string
	From     int
	CanWrite bool
	Form     newForm
}

type sessionLine struct {
	control.Session
	State  stateView
	Labels []string
}

// newForm is the form for a new session, with what was typed before it was refused.
type newForm struct {
	Prompt, Model, Tools, Problem string
	Models                        []control.Model
}

func (c *console) index(w http.ResponseWriter, r *http.Request, v visit) {
	view, err := c.listing(r, v)
	if err != nil {
		c.fail(w, r, v, err)
		return
	}
	c.show(w, r, http.StatusOK, "index", view)
}

func (c *console) listing(r *http.Request, v visit) (indexView, error) {
	q := r.URL.Query()
	view := indexView{layout: c.layout(v, "Sessions"), Query: strings.TrimSpace(q.Get("q")), Archived: q.Get("archived") != "", CanWrite: v.may(control.Writer)}
	view.Said = sayings[q.Get("said")]
	offset, err := number(q.Get("from"))
	if err != nil {
		return view, err
	}
	found, more, scanned, err := search(r.Context(), v.plane, view.Query, view.Archived, offset)
	if err != nil {
		return view, err
	}
	view.From, view.Scanned = offset+1, scanned
	for _, s := range found {
		line := sessionLine{Session: s, State: describe(s), Labels: labels(s.Labels)}
		view.Sessions = append(view.Sessions, line)
	}
	at := func(from int) string {
		q := url.Values{}
		if view.Query != "" {
			q.Set("q", view.Query)
		}
		if view.Archived {
			q.Set("archived", "1")
		}
		if from > 0 {
			q.Set("from", strconv.Itoa(from))
		}
		return "/?" + q.Encode()
	}
	if offset > 0 {
		view.Newer = at(max(0, offset-listPage))
	}
	if more {
		view.Older = at(offset + listPage)
	}
	if view.CanWrite {
		view.Form.Models, err = models(r.Context(), v.plane)
	}
	return view, err
}

// models lists what may be chosen. A plane that knows none lets people type.
func models(ctx context.Context, p *control.Plane) ([]control.Model, error) {
	all, err := p.Models(ctx)
	if fault.CodeOf(err) == fault.Unavailable {
		return nil, nil
	}
	return all, err
}

// search finds the sessions that have all labels of the query (name=value) and all its other words in their titles.
func search(ctx context.Context, p *control.Plane, query string, archived bool, offset int) (found []control.Session, more bool, scanned int, err error) {
	ask := control.ListSessions{Archived: archived, Limit: listPage + 1, Offset: offset}
	var words []string
	for _, w := range strings.Fields(query) {
		if k, x, ok := strings.Cut(w, "="); ok && k != "" {
			if ask.Labels == nil {
				ask.Labels = map[string]string{}
			}
			ask.Labels[k] = x
			continue
		}
		words = append(words, strings.ToLower(w))
	}
	if len(words) == 0 {
		found, err = p.Sessions(ctx, ask)
		if more = len(found) > listPage; more {
			found = found[:listPage]
		}
		return found, more, 0, err
	}
	ask.Limit, ask.Offset = 250, 0
	for seen := 0; ; {
		some, err := p.Sessions(ctx, ask)
		if err != nil {
			return nil, false, 0, err
		}
		for _, s := range some {
			if !hasAll(strings.ToLower(s.Title+" "+string(s.ID)), words) {
				continue
			}
			if seen++; seen <= offset {
				continue
			}
			if len(found) == listPage {
				return found, true, 0, nil
			}
			found = append(found, s)
		}
		if ask.Offset += len(some); len(some) < ask.Limit {
			return found, false, 0, nil
		}
		if ask.Offset >= listScan {
			return found, false, ask.Offset, nil
		}
	}
}

func hasAll(text string, words []string) bool {
	for _, w := range words {
		if !strings.Contains(text, w) {
			return false
		}
	}
	return true
}

// number reads a count from an address.
func number(s string) (int, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.Atoi(s)
	if err != nil || n < 0 || n > 1<<30 {
		return 0, &control.Error{Code: fault.Invalid, Message: fmt.Sprintf("%q in the address is no count", clip(s, 40))}
	}
	return n, nil
}

type sessionView struct {
	layout
	S        control.Session
	State    stateView
	Rows     []rowView
	Earlier  string // address of the page before
	Live     bool   // it is the latest page, which moves
	Partial  string // which messages these are, where they are not the latest
	Inputs   []inputView
	Log      []logLine
	LogMore  bool
	After    string // where the stream begins
	Nonce    string
	CanWrite bool
	Typed    string
	Problem  string
	Failure  string // how the last run failed
	Labels   []string
}

// locate finds the session that a request names. One of another realm is not there.
func (c *console) locate(r *http.Request, v visit) (control.Session, error) {
	s, err := id.ParseSession(r.PathValue("id"))
	if err != nil {
		return control.Session{}, errNoSession
	}
	found, err := v.plane.Session(r.Context(), string(s))
	if fault.CodeOf(err) == fault.NotFound && err != nil {
		return control.Session{}, errNoSession
	}
	return found, err
}

func (c *console) session(w http.ResponseWriter, r *http.Request, v visit) {
	c.sessionPage(w, r, v, http.StatusOK, "", "")
}

// sessionPage shows a session, with what was typed and why it was refused where there is such.
func (c *console) sessionPage(w http.ResponseWriter, r *http.Request, v visit, status int, typed, problem string) {
	s, err := c.locate(r, v)
	if err != nil {
		c.fail(w, r, v, err)
		return
	}
	view, err := c.look(r, v, s)
	if err != nil {
		c.fail(w, r, v, err)
		return
	}
	view.Typed, view.Problem = typed, problem
	c.show(w, r, status, "session", view)
}

func (c *console) look(r *http.Request, v visit, s control.Session) (sessionView, error) {
	title := s.Title
	if title == "" {
		title = "Session " + string(s.ID)
	}
	view := sessionView{layout: c.layout(v, clip(title, 120)), S: s, State: describe(s), Nonce: nonce(), CanWrite: v.may(control.Writer)}
	view.Said = sayings[r.URL.Query().Get("said")]
	view.Labels = labels(s.Labels)
	before, err := number(r.URL.Query().Get("before"))
	if err != nil {
		return view, err
	}
	total := s.Messages
	end := total
	if view.Live = before <= 0 || before > total; !view.Live {
		end = before - 1
	}
	from := max(0, end-rowsPage)
	limit := end - from
	if view.Live {
		limit = 0 // also what came since
	}
	h, err := v.plane.History(r.Context(), s.ID, from, limit)
	if err != nil {
		return view, err
	}
	if end == 0 && !view.Live {
		h.Rows = nil
	}
	view.Rows = nest(rowViews(s.ID, h.Rows, view.State.Busy))
	if from > 0 {
		view.Earlier = fmt.Sprintf("/console/sessions/%s?before=%d", s.ID, from+1)
	}
	if !view.Live {
		view.Partial = fmt.Sprintf("Messages %d to %d of %d", from+1, end, total)
	}
	view.After = fmt.Sprintf("%d.%d", s.Cursor, lastMessage(h.Rows, from))
	return view, c.lookAtEvents(r.Context(), v, s, &view)
}

func lastMessage(rows []transcript.Row, least int) int {
	for _, r := range rows {
		least = max(least, r.At.Message)
	}
	return least
}

// lookAtEvents reads the latest events up to the cursor of the page: the log, and what became of inputs.
func (c *console) lookAtEvents(ctx context.Context, v visit, s control.Session, view *sessionView) error {
	from := uint64(0)
	if s.Cursor > logBehind {
		from = s.Cursor - logBehind
	}
	page, err := v.plane.EventsSince(ctx, s.ID, from, logBehind)
	if err != nil {
		return err
	}
	seen := &inputs{}
	for _, e := range page.Events {
		seen.tell(e)
		if text, ok := failure(e); ok {
			view.Failure = text
		}
		if e.Cursor+logShown > s.Cursor {
			view.Log = append(view.Log, logOf(e))
		}
	}
	slices.Reverse(view.Log)
	if s.Run != nil {
		seen.bound(s.Run.ID, s.Run.Inputs)
	}
	view.LogMore = s.Cursor > logShown
	view.Inputs, err = c.inputViews(ctx, v.plane, s.ID, seen, nil)
	return err
}

type logView struct {
	layout
	S          control.Session
	Log        []logLine
	From, To   uint64
	Latest     uint64
	Prev, Next string
}

// log shows a page of a session's durable events.
func (c *console) log(w http.ResponseWriter, r *http.Request, v visit) {
	s, err := c.locate(r, v)
	if err != nil {
		c.fail(w, r, v, err)
		return
	}
	after := uint64(0)
	if s.Cursor > logPage {
		after = s.Cursor - logPage
	}
	if a := r.URL.Query().Get("after"); a != "" {
		if after, err = strconv.ParseUint(a, 10, 64); err != nil {
			c.fail(w, r, v, &control.Error{Code: fault.Invalid, Message: "the cursor in the address is no number"})
			return
		}
	}
	page, err := v.plane.EventsSince(r.Context(), s.ID, after, logPage)
	if err != nil {
		c.fail(w, r, v, err)
		return
	}
	view := logView{layout: c.layout(v, "Events"), S: s, From: after, Latest: page.Latest, To: after}
	for _, e := range page.Events {
		view.Log = append(view.Log, logOf(e))
		view.To = e.Cursor
	}
	at := func(n uint64) string { return fmt.Sprintf("/console/sessions/%s/log?after=%d", s.ID, n) }
	if after > 0 {
		view.Prev = at(after - min(after, logPage))
	}
	if page.More {
		view.Next = at(view.To)
	}
	c.show(w, r, http.StatusOK, "log", view)
}

// raw answers with all of the text of one row, as text.
func (c *console) raw(w http.ResponseWriter, r *http.Request, v visit) {
	s, err := c.locate(r, v)
	if err != nil {
		c.fail(w, r, v, err)
		return
	}
	m, err := number(r.PathValue("message"))
	o, err2 := number(r.PathValue("ordinal"))
	if err != nil || err2 != nil || m == 0 {
		c.fail(w, r, v, errNoPage)
		return
	}
	h, err := v.plane.History(r.Context(), s.ID, m-1, 1)
	if err != nil {
		c.fail(w, r, v, err)
		return
	}
	for _, row := range h.Rows {
		if row.At.Ordinal == o {
			w.Header().Set("Content-Type", "text/plain; charset=utf-8")
			w.Header().Set("Content-Security-Policy", "default-src 'none'; sandbox")
			_, _ = w.Write([]byte(plain(row.Entry))) // a browser that has gone away needs no answer
			return
		}
	}
	c.fail(w, r, v, errNoPage)
}

func (c *console) state(w http.ResponseWriter, r *http.Request, v visit) {
	s, err := c.locate(r, v)
	if err != nil {
		c.fail(w, r, v, err)
		return
	}
	c.json(w, http.StatusOK, describe(s))
}

// ago says how long something is past, for people.
func ago(now, t time.Time) string {
	d := now.Sub(t)
	switch {
	case d < 10*time.Second:
		return "just now"
	case d < time.Minute:
		return fmt.Sprintf("%d s ago", int(d/time.Second))
	case d < time.Hour:
		return fmt.Sprintf("%d min ago", int(d/time.Minute))
	case d < 24*time.Hour:
		return fmt.Sprintf("%d h ago", int(d/time.Hour))
	case d < 14*24*time.Hour:
		return fmt.Sprintf("%d d ago", int(d/(24*time.Hour)))
	}
	return t.UTC().Format("2006-01-02")
}
