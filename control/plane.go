package control

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"strconv"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/feed"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/transcript"
)

// MaxContent bounds what one submit may hold, in bytes of text and media.
const MaxContent = 8 << 20

// Plane carries the public operations out. Set it up, then use it; all methods may be called concurrently. Errors have a public code
// (fault.CodeOf).
type Plane struct {
	Host  *runtime.Host
	Feed  *feed.Hub
	Store store.Store // for listings
	// Validate refuses a profile that could not be carried out, before anything is written; nil: all are taken.
	Validate func(ctx context.Context, p run.Profile) error
	// System makes the system prompt of a session that is created without one; nil: none.
	System func(p run.Profile) (string, error)

	Realm, Instance, Backend string // names, for clients
	Paths                    *Paths // nil: they are not told
	About                    Info
	// Defaults says what is so where the maker of a session does not say; nil: nothing.
	Defaults  func(ctx context.Context) (Defaults, error)
	Settings  Settings                                   // nil: there are none to be read or changed
	Callbacks Callbacks                                  // nil: clients carry no tools out
	Catalog   func(ctx context.Context) ([]Model, error) // nil: no models are listed
	Named     func(model string) identity.Request        // what a model's name asks for; nil: just that

	caller Caller
}

// Error is a request that is refused here.
type Error struct {
	Code    fault.Code
	Message string
	Near    []string // what may have been meant
}

// Error says why.
func (e *Error) Error() string {
	if len(e.Near) == 0 {
		return e.Message
	}
	return e.Message + " (there is " + strings.Join(e.Near, ", ") + ")"
}

// FaultCode returns the code.
func (e *Error) FaultCode() fault.Code { return e.Code }

// Wait blocks until an input has ended, and tells how. The end is the input's, whatever became of attempts at it.
func (p *Plane) Wait(ctx context.Context, s id.Session, in id.Input) (Outcome, error) {
	if err := p.may(Reader); err != nil {
		return Outcome{}, err
	}
	how, err := p.Host.Wait(ctx, s, in)
	if err != nil {
		return Outcome{}, err
	}
	return p.outcome(ctx, s, in, how)
}

// outcome tells how an input ended.
func (p *Plane) outcome(ctx context.Context, s id.Session, in id.Input, how runtime.InputRecord) (Outcome, error) {
	e := how.Ended
	out := Outcome{Input: in, Run: e.Run, Status: e.Status, Cause: e.Cause, Error: e.Error, Kind: e.Kind, Usage: e.Usage, Rounds: e.Rounds, Calls: e.Calls,
		Output: e.Output, NoOutput: e.NoOutput}
	if e.Reply == 0 {
		return out, nil
	}
	rows, err := p.Host.Transcript(ctx, s, e.Reply, e.Reply+1)
	if err != nil {
		return Outcome{}, err
	}
	for _, r := range rows {
		if a, ok := r.Entry.(transcript.Assistant); ok {
			out.Text = a.Blocks.Plain()
		}
	}
	return out, nil
}

// Resume makes a session live in this process. A run that was left unfinished goes on.
func (p *Plane) Resume(ctx context.Context, s id.Session) (Session, error) {
	if err := p.may(Writer); err != nil {
		return Session{}, err
	}
	if _, err := p.Host.WakeSession(ctx, s); err != nil {
		return Session{}, err
	}
	return p.get(ctx, s)
}

// Interrupt ends a run at once.
func (p *Plane) Interrupt(ctx context.Context, s id.Session, r id.Run) error {
	if err := p.may(Writer); err != nil {
		return err
	}
	return p.Host.InterruptCurrentRun(ctx, s, r, "interrupted by the user")
}

// CancelAfterBoundary ends a run at its next boundary.
func (p *Plane) CancelAfterBoundary(ctx context.Context, s id.Session, r id.Run) error {
	if err := p.may(Writer); err != nil {
		return err
	}
	return p.Host.CancelAfterBoundary(ctx, s, r)
}

// Stop takes no more input for a session and returns when nothing of it runs any more. A run that takes longer than patience is
// interrupted; 0: it may take for ever.
func (p *Plane) Stop(ctx context.Context, s id.Session, reason string, patience time.Duration) error {
	if err := p.may(Admin); err != nil {
		return err
	}
	return p.Host.StopRuntimeExecutor(ctx, s, reason, patience)
}

func (p *Plane) get(ctx context.Context, s id.Session) (Session, error) {
	st, err := p.Host.ReadStatus(ctx, s)
	if err != nil {
		return Session{}, err
	}
	out := Session{ID: s, Phase: st.Phase, Created: st.Created, Updated: st.Updated, Title: st.Title, Model: st.Model,
		Workspace: st.Profile.Workspace, Messages: st.Messages, Tokens: st.Usage.Input + st.Usage.Output, Cursor: st.Cursor,
		Pending: st.Pending, Waiting: st.Waiting, Labels: st.Profile.Labels, Deferred: st.Messages == 0 && st.Run == ""}
	if st.Run != "" {
		out.Unfinished = true
		out.Run = &Run{ID: st.Run, Phase: st.Turn, Inputs: st.Inputs, Round: st.Round, Open: st.Open, Stopping: st.Stopping}
	}
	return out, nil
}

// Session finds a session by its id, by the beginning of one that no other shares, by "last", or by "~N", the N-th most recent from 1.
func (p *Plane) Session(ctx context.Context, ref string) (Session, error) {
	if err := p.may(Reader); err != nil {
		return Session{}, err
	}
	s, err := p.find(ctx, ref)
	if err != nil {
		return Session{}, err
	}
	return p.get(ctx, s)
}

func (p *Plane) find(ctx context.Context, ref string) (id.Session, error) {
	if s, err := id.ParseSession(ref); err == nil {
		if _, err := p.Host.ReadStatus(ctx, s); !errors.Is(err, runtime.ErrNotFound) {
			return s, err
		}
		return "", p.unknown(ctx, ref)
	}
	n, recent := 1, ref == "last"
	if digits, ok := strings.CutPrefix(ref, "~"); ok {
		var err error
		if n, err = strconv.Atoi(digits); err != nil || n < 1 {
			return "", &Error{Code: fault.Invalid, Message: fmt.Sprintf("%q is no session: ~1 is the latest, ~2 the one before", ref)}
		}
		recent = true
	}
	if recent {
		rows, err := p.Store.Sessions(ctx, store.Query{Limit: 1, Offset: n - 1})
		if err != nil {
			return "", err
		}
		if len(rows) == 0 {
			return "", p.unknown(ctx, ref)
		}
		return rows[0].Session, nil
	}
	return p.byPrefix(ctx, ref)
}

func (p *Plane) byPrefix(ctx context.Context, ref string) (id.Session, error) {
	if ref == "" || strings.Trim(ref, "0123456789abcdefABCDEF-") != "" {
		return "", p.unknown(ctx, ref)
	}
	rows, err := p.Store.Sessions(ctx, store.Query{Limit: 5, Prefix: strings.ToLower(ref)})
	switch {
	case err != nil:
		return "", err
	case len(rows) == 0:
		return "", p.unknown(ctx, ref)
	case len(rows) > 1:
		return "", &Error{Code: fault.Invalid, Message: fmt.Sprintf("%q begins more than one session id", ref), Near: ids(rows)}
	}
	return rows[0].Session, nil
}

// unknown says that there is no such session, and which there are.
func (p *Plane) unknown(ctx context.Context, ref string) error {
	rows, err := p.Store.Sessions(ctx, store.Query{Limit: 3})
	if err != nil {
		return err
	}
	return &Error{Code: fault.NotFound, Message: fmt.Sprintf("there is no session %q", ref), Near: ids(rows)}
}

func ids(rows []store.SessionRow) []string {
	out := make([]string, len(rows))
	for n, r := range rows {
		out[n] = string(r.Session)
	}
	return out
}

// Sessions lists sessions, most recently updated first.
func (p *Plane) Sessions(ctx context.Context, q ListSessions) ([]Session, error) {
	if err := p.may(Reader); err != nil {
		return nil, err
	}
	if q.Limit <= 0 {
		q.Limit = 100
	}
	rows, err := p.Store.Sessions(ctx, store.Query{Limit: q.Limit, Offset: max(q.Offset, 0), Workspace: q.Workspace, Labels: q.Labels,
		Active: !q.Archived, Fresh: q.DeferredFirst})
	if err != nil {
		return nil, err
	}
	out := make([]Session, len(rows))
	for n, r := range rows {
		h := r.Head
		out[n] = Session{ID: r.Session, Phase: h.Phase, Created: h.Created, Updated: h.Updated, Title: h.Title, Model: h.Model,
			Workspace: h.Workspace, Messages: h.Messages, Tokens: h.Tokens, Unfinished: h.Unfinished, Labels: h.Labels,
			Deferred: h.Messages == 0 && !h.Unfinished}
	}
	return out, nil
}

// Transcript reads committed rows with from <= message < before, in order; before 0: to the end. That there are none is not told of a session that is
// not there: code not_found.
func (p *Plane) Transcript(ctx context.Context, s id.Session, from, before int) ([]transcript.Row, error) {
	if err := p.may(Reader); err != nil {
		return nil, err
	}
	rows, err := p.Host.Transcript(ctx, s, max(from, 1), before)
	if err == nil && len(rows) == 0 {
		_, err = p.Host.ReadStatus(ctx, s)
	}
	return rows, err
}

// Effects reads the effect ledger of a session, open and closed entries, in order. Code not_found: as of Transcript.
func (p *Plane) Effects(ctx context.Context, s id.Session) ([]Effect, error) {
	if err := p.may(Reader); err != nil {
		return nil, err
	}
	entries, err := p.Host.Effects(ctx, s)
	if err == nil && len(entries) == 0 {
		_, err = p.Host.ReadStatus(ctx, s)
	}
	if err != nil {
		return nil, err
	}
	out := make([]Effect, len(entries))
	for n, e := range entries {
		d := e.Directive
		out[n] = Effect{ID: d.ID, Kind: d.Kind.String(), Run: d.Run, Call: d.Call.ID, Name: d.Call.Name, Class: d.Class.String(),
			Attempt: d.Attempt, Open: e.Open, Outcome: e.Outcome}
	}
	return out, nil
}

// Events yields the durable events of a session after a cursor, then what comes, deltas included, until ctx ends or the plane is
// closed. It also ends after the event that makes a record of the session, or destroys it. A consumer that is too slow gets an
// event.Gap, and then every durable event it missed; deltas in between are gone.
func (p *Plane) Events(ctx context.Context, s id.Session, after uint64) iter.Seq2[event.Event, error] {
	return func(yield func(event.Event, error) bool) {
		if err := p.may(Reader); err != nil {
			yield(event.Event{}, err)
			return
		}
		sub := p.Feed.Subscribe(s, after)
		defer sub.Close()
		if p.replay(ctx, s, sub, &after, yield) {
			p.follow(ctx, s, sub, after, yield)
		}
	}
}

// follow yields what comes, from a subscription that began no later than at the cursor.
func (p *Plane) follow(ctx context.Context, s id.Session, sub *feed.Subscription, after uint64, yield func(event.Event, error) bool) {
	for {
		e, err := sub.Next(ctx)
		if errors.Is(err, feed.ErrClosed) || ctx.Err() != nil {
			return
		}
		_, gap := e.Payload.(event.Gap)
		switch {
		case e.Cursor > 0 && e.Cursor <= after: // it was read from the store, maybe before anybody else could know of it
			if last(e) {
				return
			}
			continue
		case e.Cursor > after+1: // the subscription began between two commits
			if !p.replay(ctx, s, sub, &after, yield) {
				return
			}
			continue
		}
		if !yield(e, err) || err != nil || last(e) {
			return
		}
		after = max(after, e.Cursor)
		if gap && !p.replay(ctx, s, sub, &after, yield) {
			return
		}
	}
}

// last reports whether nothing follows an event: the session has become a record, or has ended for ever.
func last(e event.Event) bool {
	switch e.Payload.(type) {
	case event.SessionArchived, event.SessionDestroyed:
		return true
	}
	return false
}

// over reports whether nothing is to come of a session after a cursor. One that cannot be looked at is not known to be over.
func (p *Plane) over(ctx context.Context, s id.Session, after uint64) bool {
	st, err := p.Host.ReadStatus(ctx, s)
	return err == nil && st.Cursor <= after && (st.Phase == phaseArchived || st.Phase == phaseDestroyed)
}

// Phases of a session that has ended.
const (
	phaseArchived  = "archived"
	phaseDestroyed = "destroyed"
)

// replay yields what is stored after the cursor, and moves it. It reports whether more may follow.
func (p *Plane) replay(ctx context.Context, s id.Session, sub *feed.Subscription, after *uint64, yield func(event.Event, error) bool) bool {
	r := p.reading(s, *after)
	for {
		events, _, last, err := r.next(ctx, mostPiece)
		if err != nil {
			if ctx.Err() == nil {
				yield(event.Event{}, err)
			}
			return false
		}
		for _, e := range events {
			if !yield(e, nil) {
				return false
			}
			*after = e.Cursor
		}
		if last {
			sub.Pass(*after)
			return !p.over(ctx, s, *after)
		}
	}
}
