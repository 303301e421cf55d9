package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
)

const (
	batch      = 64   // events told at once, if so many are there
	maxCatchUp = 2000 // events a page is brought up to date by; from there on it is made anew
	logTold    = 200  // lines of the log a page is told at once
)

// part is a piece of a page: html goes into the list In, in its order, unless an element of that key is there. Fresh: it takes that one's place.
type part struct {
	In    string `json:"in"`
	Key   string `json:"key"`
	Order uint64 `json:"order"`
	HTML  string `json:"html"`
	Fresh bool   `json:"fresh,omitempty"`
}

// delta is text as it streams. Middle: what came before it was not seen here.
type delta struct {
	Kind   string `json:"kind"` // text, reasoning, void
	Text   string `json:"text,omitempty"`
	Middle bool   `json:"middle,omitempty"`
}

// told is an event, or why there are no more.
type told struct {
	event event.Event
	err   error
}

// stream is one reader who follows one session.
type stream struct {
	c      *console
	w      http.ResponseWriter
	ctl    *http.ResponseController
	v      visit
	ctx    context.Context
	s      id.Session
	cursor uint64 // of the last event told
	seen   int    // the last message told
	inputs inputs
	begun  bool // a model call began while we looked
	owed   []event.Event
	buf    bytes.Buffer
}

// follow streams what happens in a session, from a cursor on: that of Last-Event-ID if the reader was here before, else that of his page.
func (c *console) follow(w http.ResponseWriter, r *http.Request, v visit) {
	s, err := c.locate(r, v)
	if err != nil {
		c.fail(w, r, v, err)
		return
	}
	if n := c.streams.Add(1); n > int64(c.Streams) {
		c.streams.Add(-1)
		c.fail(w, r, v, errTooMany)
		return
	}
	defer c.streams.Add(-1)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	st := &stream{c: c, w: w, ctl: http.NewResponseController(w), v: v, ctx: ctx, s: s.ID}
	st.cursor, st.seen = place(r, s)
	if err := st.open(); err != nil {
		return // the reader has gone
	}
	if st.cursor > s.Cursor || s.Cursor-st.cursor > maxCatchUp || s.Messages-st.seen > rowsPage {
		_ = st.say("reload", map[string]string{}, "") // he comes back with a page of now
		_ = st.flush()
		return
	}
	if err := st.recall(); err != nil {
		return
	}
	_ = st.run(cancel) // whatever ended it: the reader comes back at his cursor if he still wants to
}

// place is where a reader stands: cursor and message, as they were last told to him.
func place(r *http.Request, s control.Session) (uint64, int) {
	at := r.Header.Get("Last-Event-ID")
	if at == "" {
		at = r.URL.Query().Get("after")
	}
	a, b, _ := strings.Cut(at, ".")
	cursor, err := strconv.ParseUint(a, 10, 63)
	if err != nil {
		return s.Cursor, s.Messages
	}
	seen, err := strconv.Atoi(b)
	if err != nil || seen < 0 || seen > s.Messages {
		seen = s.Messages
	}
	return cursor, seen
}

// open begins the answer at once, so that the reader knows he is connected.
func (s *stream) open() error {
	h := s.w.Header()
	h.Set("Content-Type", "text/event-stream; charset=utf-8")
	h.Set("X-Accel-Buffering", "no")
	_ = s.ctl.SetReadDeadline(time.Time{}) // a server's limit for reading requests is not meant for this one
	s.buf.WriteString("retry: 1000\n: following\n\n")
	return s.flush()
}

// recall reads what is known of the inputs before the place where the reader stands.
func (s *stream) recall() error {
	from := uint64(0)
	if s.cursor > logBehind {
		from = s.cursor - logBehind
	}
	page, err := s.v.plane.EventsSince(s.ctx, s.s, from, logBehind)
	for _, e := range page.Events {
		if e.Cursor <= s.cursor {
			s.inputs.tell(e)
		}
	}
	return err
}

func (s *stream) run(cancel context.CancelFunc) error {
	events := make(chan told, batch)
	var reading sync.WaitGroup
	from := s.cursor - min(s.cursor, 1)
	reading.Go(func() { s.read(from, events) })
	defer reading.Wait()
	defer cancel()
	defer func() { _ = s.ctl.SetWriteDeadline(time.Time{}) }()
	beat := time.NewTicker(s.c.Heartbeat)
	defer beat.Stop()
	if s.cursor == 0 {
		if err := s.tellState(); err != nil {
			return err
		}
	}
	for {
		select {
		case <-s.ctx.Done():
			return context.Cause(s.ctx)
		case <-beat.C:
			if err := s.beat(); err != nil {
				return err
			}
		case t, ok := <-events:
			if !ok {
				return errors.New("the session's events have ended: the server is going down")
			}
			if err := s.take(t, events); err != nil {
				return err
			}
		}
	}
}

// read passes events on until the reader leaves. It waits for a slow one: what the feed cannot keep meanwhile is read from the store. The first is the
// one he knows: when it comes nothing that streams is missed any more, and he is told that he is connected.
func (s *stream) read(from uint64, out chan<- told) {
	defer close(out)
	for e, err := range s.v.plane.Events(s.ctx, s.s, from) {
		select {
		case out <- told{e, err}:
		case <-s.ctx.Done():
			return
		}
		if err != nil {
			return
		}
	}
}

// beat says that the connection lives, if the reader still may have it.
func (s *stream) beat() error {
	if _, err := s.c.Door.Enter(s.ctx, s.v.token); err != nil {
		return fmt.Errorf("look at the key again: %w", err)
	}
	s.buf.WriteString(": alive\n\n")
	return s.flush()
}

// take tells an event and those that are waiting behind it.
func (s *stream) take(t told, more <-chan told) error {
	for n := 1; ; n++ {
		if t.err != nil {
			return t.err
		}
		if err := s.event(t.event); err != nil {
			return err
		}
		if n >= batch {
			return s.settle(true)
		}
		select {
		case next, ok := <-more:
			if !ok {
				return s.settle(true)
			}
			t = next
		default:
			return s.settle(true)
		}
	}
}

func (s *stream) event(e event.Event) error {
	if e.Cursor > 0 && e.Cursor <= s.cursor {
		return s.tellState()
	}
	if e.Cursor > 0 {
		s.owed = append(s.owed, e)
		if _, ok := e.Payload.(event.TurnStarted); ok {
			s.begun = true
		}
		return nil
	}
	d := delta{Middle: !s.begun}
	switch p := e.Payload.(type) {
	case event.TextDelta:
		d.Kind, d.Text = "text", p.Delta
	case event.ReasoningDelta:
		d.Kind, d.Text = "reasoning", p.Delta
	case event.AttemptVoided:
		d.Kind, d.Middle = "void", false
		s.begun = true
	case event.StoreFailing:
		return s.say("notice", map[string]string{"text": "The store refuses to keep what happened, and it is tried again: " + p.Error}, "")
	default:
		return nil
	}
	if err := s.settle(false); err != nil {
		return err
	}
	return s.say("delta", d, "")
}

// settle tells the durable events that are owed: their lines in the log, what they did to inputs and to the transcript, and what the session does now.
// The last word has the place of the last of them, so a reader who is cut off before it is told them again.
func (s *stream) settle(now bool) error {
	if len(s.owed) > 0 {
		if err := s.settleOwed(); err != nil {
			return err
		}
	}
	if now {
		return s.flush()
	}
	return nil
}

func (s *stream) settleOwed() error {
	events := s.owed
	s.owed = nil
	var changed []id.Input
	at := map[transcript.Position]bool{}
	for n, e := range events {
		changed = append(changed, s.inputs.tell(e)...)
		if text, ok := failure(e); ok {
			if err := s.say("failure", map[string]string{"text": text}, ""); err != nil {
				return err
			}
		}
		if !e.At.IsZero() && e.At.Message <= s.seen {
			at[e.At] = true
		}
		if len(events)-n <= logTold {
			if err := s.part("log", "event", logOf(e), e.Cursor, false); err != nil {
				return err
			}
		}
	}
	if err := s.tellRows(at); err != nil {
		return err
	}
	if len(changed) > 0 {
		views, err := s.c.inputViews(s.ctx, s.v.plane, s.s, &s.inputs, changed)
		if err != nil {
			return err
		}
		for _, v := range views {
			if err := s.part("inputs", "input", v, v.Order, true); err != nil {
				return err
			}
		}
	}
	s.cursor = events[len(events)-1].Cursor
	return s.tellState()
}

// tellRows tells the rows that are new, and those before that an event was about: a tool's result comes to the place that was kept for it.
func (s *stream) tellRows(at map[transcript.Position]bool) error {
	h, err := s.v.plane.History(s.ctx, s.s, s.seen, 0)
	if err != nil {
		return err
	}
	rows := h.Rows
	for p := range at {
		old, err := s.v.plane.History(s.ctx, s.s, p.Message-1, 1)
		if err != nil {
			return err
		}
		for _, r := range old.Rows {
			if r.At == p {
				rows = append(rows, r)
			}
		}
	}
	for n, v := range rowViews(s.s, rows, true) {
		s.seen = max(s.seen, rows[n].At.Message)
		if err := s.part("transcript", "row", v, uint64(v.Order), false); err != nil {
			return err
		}
	}
	return nil
}

// tellState says what the session does, at the reader's place.
func (s *stream) tellState() error {
	now, err := s.v.plane.Session(s.ctx, string(s.s))
	if err != nil {
		return err
	}
	if err := s.say("state", describe(now), fmt.Sprintf("%d.%d", s.cursor, s.seen)); err != nil {
		return err
	}
	return s.flush()
}

// part renders a template of the pages and tells it.
func (s *stream) part(in, name string, data any, order uint64, fresh bool) error {
	var b bytes.Buffer
	if err := s.c.pages.ExecuteTemplate(&b, name, data); err != nil {
		return fmt.Errorf("show %s: %w", name, err)
	}
	key := ""
	switch d := data.(type) {
	case rowView:
		key = d.Key
	case logLine:
		key = d.Key
	case inputView:
		key = d.Key
	}
	return s.say("part", part{In: in, Key: key, Order: order, HTML: strings.TrimSpace(b.String()), Fresh: fresh}, "")
}

// say adds an event to what is to be written. JSON has no line ends in it, so nothing a session says can end the event.
func (s *stream) say(name string, data any, at string) error {
	enc, err := json.Marshal(data)
	if err != nil {
		return fmt.Errorf("tell %s: %w", name, err)
	}
	if at != "" {
		fmt.Fprintf(&s.buf, "id: %s\n", at)
	}
	fmt.Fprintf(&s.buf, "event: %s\ndata: %s\n\n", name, enc)
	if s.buf.Len() > 256<<10 {
		return s.flush()
	}
	return nil
}

// flush writes what there is to write, within a limit.
func (s *stream) flush() error {
	if s.buf.Len() == 0 {
		return nil
	}
	if err := s.ctl.SetWriteDeadline(time.Now().Add(s.c.Patience)); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	_, err := s.w.Write(s.buf.Bytes())
	s.buf.Reset()
	if err != nil {
		return err
	}
	return s.ctl.Flush()
}
