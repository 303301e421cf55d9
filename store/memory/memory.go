// Package memory keeps sessions in the memory of the process: for tests, simulations and sessions nobody wants to keep.
//
// It answers exactly as a durable store does and forgets everything when it is dropped.
package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// Store is a store.Store. Make one with New.
type Store struct {
	mu       sync.Mutex
	closed   bool
	sessions map[id.Session]*session
	active   int // how many are
}

// session holds the rows of one session. version 0: only a place is kept.
type session struct {
	lease      store.Lease
	released   bool
	version    uint64
	control    []byte
	head       store.Head
	values     map[string][]byte
	inputs     map[id.Input]store.InputRow
	keys       map[string]id.Input
	effects    []store.EffectRow // by ID
	operations map[string]store.OperationRow
	messages   []store.MessageRow // by Message, Ordinal
	events     []store.EventRow   // by Cursor
	receipts   map[receiptKey]store.ReceiptRow
}

type receiptKey struct {
	run      id.Run
	sequence int
}

var _ store.Store = (*Store)(nil)

// New makes an empty store.
func New() *Store { return &Store{sessions: map[id.Session]*session{}} }

// enter locks the store for one call; the caller unlocks it, unless there is an error.
func (s *Store) enter(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("memory store: %w", err)
	}
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return store.ErrClosed
	}
	return nil
}

// Acquire implements store.Store.
func (s *Store) Acquire(ctx context.Context, c store.Claim) (store.Lease, error) {
	if err := s.enter(ctx); err != nil {
		return store.Lease{}, err
	}
	defer s.mu.Unlock()
	row := s.sessions[c.Session]
	if !c.Create && (row == nil || row.version == 0) {
		return store.Lease{}, fmt.Errorf("acquire session %s: %w", c.Session, store.ErrNotFound)
	}
	if row == nil {
		row = &session{released: true, values: map[string][]byte{}, inputs: map[id.Input]store.InputRow{},
			keys: map[string]id.Input{}, operations: map[string]store.OperationRow{}, receipts: map[receiptKey]store.ReceiptRow{}}
		s.sessions[c.Session] = row
	}
	l := row.lease
	held := !row.released && l.Expires.After(c.Now) && l.Owner.ID != c.Owner.ID
	if held && (c.Break == 0 || c.Break != l.Term) {
		return store.Lease{}, &store.HeldError{Lease: l}
	}
	row.lease = store.Lease{Session: c.Session, Term: l.Term + 1, Owner: c.Owner, Expires: micro(c.Now.Add(c.TTL))}
	row.released = false
	return row.lease, nil
}

// Renew implements store.Store.
func (s *Store) Renew(ctx context.Context, owner store.Owner, now time.Time, ttl time.Duration, held []store.Lease) ([]id.Session, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var lost []id.Session
	for _, l := range held {
		row := s.sessions[l.Session]
		if row == nil || row.released || row.lease.Term != l.Term || row.lease.Owner.ID != owner.ID {
			lost = append(lost, l.Session)
			continue
		}
		row.lease.Expires = micro(now.Add(ttl))
	}
	return lost, nil
}

// Release implements store.Store.
func (s *Store) Release(ctx context.Context, l store.Lease) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if row := s.sessions[l.Session]; row != nil && row.lease.Term == l.Term {
		row.released = true
	}
	return nil
}

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, sid id.Session) (store.Loaded, error) {
	row, err := s.find(ctx, sid)
	if err != nil {
		return store.Loaded{}, err
	}
	defer s.mu.Unlock()
	if row.version == 0 {
		return store.Loaded{}, fmt.Errorf("load session %s: %w", sid, store.ErrNotFound)
	}
	l := store.Loaded{Version: row.version, Control: bytes.Clone(row.control), Head: row.head}
	l.Head.Labels = maps.Clone(row.head.Labels)
	for _, name := range slices.Sorted(maps.Keys(row.values)) {
		l.Values = append(l.Values, store.Value{Name: name, Data: bytes.Clone(row.values[name])})
	}
	for _, in := range row.inputs {
		if in.Live {
			in.Body = bytes.Clone(in.Body)
			l.Inputs = append(l.Inputs, in)
		}
	}
	slices.SortFunc(l.Inputs, func(a, b store.InputRow) int { return cmp.Or(cmp.Compare(a.Seq, b.Seq), cmp.Compare(a.ID, b.ID)) })
	for _, e := range row.effects {
		if e.Open {
			e.Body = bytes.Clone(e.Body)
			l.Effects = append(l.Effects, e)
		}
	}
	for _, o := range row.operations {
		if o.Kept {
			o.Body = bytes.Clone(o.Body)
			l.Operations = append(l.Operations, o)
		}
	}
	slices.SortFunc(l.Operations, func(a, b store.OperationRow) int { return cmp.Compare(a.ID, b.ID) })
	return l, nil
}

// find enters the store and returns the session's rows, empty ones if there is no such session.
func (s *Store) find(ctx context.Context, sid id.Session) (*session, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	if row := s.sessions[sid]; row != nil {
		return row, nil
	}
	return &session{}, nil
}

// Input implements store.Store.
func (s *Store) Input(ctx context.Context, sid id.Session, key string) (store.InputRow, error) {
	row, err := s.find(ctx, sid)
	if err != nil {
		return store.InputRow{}, err
	}
	defer s.mu.Unlock()
	in, ok := row.inputs[row.keys[key]]
	if !ok || key == "" {
		return store.InputRow{}, fmt.Errorf("input with key %q of session %s: %w", key, sid, store.ErrNotFound)
	}
	in.Body = bytes.Clone(in.Body)
	return in, nil
}

// InputByID implements store.Store.
func (s *Store) InputByID(ctx context.Context, sid id.Session, input id.Input) (store.InputRow, error) {
	row, err := s.find(ctx, sid)
	if err != nil {
		return store.InputRow{}, err
	}
	defer s.mu.Unlock()
	in, ok := row.inputs[input]
	if !ok {
		return store.InputRow{}, fmt.Errorf("input %s of session %s: %w", input, sid, store.ErrNotFound)
	}
	in.Body = bytes.Clone(in.Body)
	return in, nil
}

// Operation implements store.Store.
func (s *Store) Operation(ctx context.Context, sid id.Session, operation string) (store.OperationRow, error) {
	row, err := s.find(ctx, sid)
	if err != nil {
		return store.OperationRow{}, err
	}
	defer s.mu.Unlock()
	o, ok := row.operations[operation]
	if !ok {
		return store.OperationRow{}, fmt.Errorf("operation %q of session %s: %w", operation, sid, store.ErrNotFound)
	}
	o.Body = bytes.Clone(o.Body)
	return o, nil
}

// Messages implements store.Store.
func (s *Store) Messages(ctx context.Context, sid id.Session, from, before int) ([]store.MessageRow, error) {
	row, err := s.find(ctx, sid)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var out []store.MessageRow
	for _, m := range row.messages {
		if m.Message >= from && (before == 0 || m.Message < before) {
			m.Body = bytes.Clone(m.Body)
			out = append(out, m)
		}
	}
	return out, nil
}

// Events implements store.Store.
func (s *Store) Events(ctx context.Context, sid id.Session, after uint64, limit int) ([]store.EventRow, error) {
	row, err := s.find(ctx, sid)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	at, found := slices.BinarySearchFunc(row.events, after, func(e store.EventRow, c uint64) int { return cmp.Compare(e.Cursor, c) })
	if found {
		at++
	}
	var out []store.EventRow
	for _, e := range row.events[at:] {
		if limit > 0 && len(out) == limit {
			break
		}
		e.Body = bytes.Clone(e.Body)
		out = append(out, e)
	}
	return out, nil
}

// Effects implements store.Store.
func (s *Store) Effects(ctx context.Context, sid id.Session) ([]store.EffectRow, error) {
	row, err := s.find(ctx, sid)
	if err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	out := slices.Clone(row.effects)
	for i := range out {
		out[i].Body = bytes.Clone(out[i].Body)
	}
	return out, nil
}

// Receipt implements store.Store.
func (s *Store) Receipt(ctx context.Context, sid id.Session, r id.Run, sequence int) (store.ReceiptRow, error) {
	row, err := s.find(ctx, sid)
	if err != nil {
		return store.ReceiptRow{}, err
	}
	defer s.mu.Unlock()
	rec, ok := row.receipts[receiptKey{r, sequence}]
	if !ok {
		return store.ReceiptRow{}, fmt.Errorf("receipt %d of run %s of session %s: %w", sequence, r, sid, store.ErrNotFound)
	}
	rec.Body = bytes.Clone(rec.Body)
	return rec, nil
}

// Sessions implements store.Store.
func (s *Store) Sessions(ctx context.Context, q store.Query) ([]store.SessionRow, error) {
	if err := s.enter(ctx); err != nil {
		return nil, err
	}
	defer s.mu.Unlock()
	var out []store.SessionRow
	for sid, row := range s.sessions {
		if row.selected(sid, q) {
			out = append(out, store.SessionRow{Session: sid, Version: row.version, Head: row.head})
		}
	}
	slices.SortFunc(out, func(a, b store.SessionRow) int {
		if q.Due() {
			return cmp.Or(a.Head.Wake.Compare(b.Head.Wake), cmp.Compare(a.Session, b.Session))
		}
		if q.Fresh && (a.Head.Messages == 0) != (b.Head.Messages == 0) {
			if a.Head.Messages == 0 {
				return -1
			}
			return 1
		}
		return cmp.Or(b.Head.Updated.Compare(a.Head.Updated), cmp.Compare(b.Session, a.Session))
	})
	out = out[min(max(q.Offset, 0), len(out)):]
	limit := q.Limit
	if limit == 0 {
		limit = 50
	}
	if limit > 0 && limit < len(out) {
		out = out[:limit]
	}
	out = slices.Clone(out)
	for n := range out {
		out[n].Head.Labels = maps.Clone(out[n].Head.Labels)
	}
	return out, nil
}

// Count implements store.Store.
func (s *Store) Count(ctx context.Context, q store.Query) (int, error) {
	if err := s.enter(ctx); err != nil {
		return 0, err
	}
	defer s.mu.Unlock()
	if q.Active && q.All() {
		return s.active, nil
	}
	n := 0
	for sid, row := range s.sessions {
		if row.selected(sid, q) {
			n++
		}
	}
	return n, nil
}

// selected reports whether a query wants the session.
func (row *session) selected(sid id.Session, q store.Query) bool {
	h := row.head
	if row.version == 0 || !strings.HasPrefix(string(sid), q.Prefix) || q.Unfinished && (!h.Unfinished || h.Away) ||
		q.Workspace != "" && q.Workspace != h.Workspace || q.Due() && !due(h, q) || q.Active && !h.Active() {
		return false
	}
	for name, want := range q.Labels {
		if have, ok := h.Labels[name]; !ok || have != want {
			return false
		}
	}
	return true
}

// due reports whether a session wants to be told the time between the bounds.
func due(h store.Head, q store.Query) bool {
	return !h.Wake.IsZero() && !h.Away && (q.DueBefore.IsZero() || !h.Wake.After(micro(q.DueBefore))) &&
		(q.DueAfter.IsZero() || h.Wake.After(micro(q.DueAfter)))
}

// Close implements store.Store.
func (s *Store) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return store.ErrClosed
	}
	s.closed, s.sessions = true, nil
	return nil
}

// micro rounds a time the way the contract says.
func micro(t time.Time) time.Time { return time.UnixMicro(t.UnixMicro()).UTC() }
