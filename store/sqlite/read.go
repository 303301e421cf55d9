package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// readers lends read-only connections, made when they are needed.
type readers struct {
	options Options
	slots   chan struct{} // one token for each connection that is out
	mu      sync.Mutex
	idle    []*conn
	closed  bool
}

func newReaders(o Options) *readers {
	return &readers{options: o, slots: make(chan struct{}, o.Readers)}
}

// borrow waits for a connection.
func (r *readers) borrow(ctx context.Context) (*conn, error) {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		<-r.slots
		return nil, store.ErrClosed
	}
	if n := len(r.idle); n > 0 {
		c := r.idle[n-1]
		r.idle = r.idle[:n-1]
		return c, nil
	}
	c, err := connect(r.options.Path, readOnly, r.options.Wait.Milliseconds())
	if err != nil {
		<-r.slots
	}
	return c, err
}

// giveBack returns a connection for the next one.
func (r *readers) giveBack(c *conn) {
	r.mu.Lock()
	r.idle = append(r.idle, c)
	r.mu.Unlock()
	<-r.slots
}

// close waits for the connections that are out and closes all.
func (r *readers) close() error {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	for range cap(r.slots) {
		r.slots <- struct{}{}
	}
	var errs []error
	for _, c := range r.idle {
		errs = append(errs, c.close())
	}
	r.idle = nil
	for range cap(r.slots) {
		<-r.slots // so that later callers hear ErrClosed
	}
	return errors.Join(errs...)
}

// read lends f a connection. Of a session (if one is named) it sees what this store was handed before, whoever still waits for it.
func (s *Store) read(ctx context.Context, sid id.Session, doing string, f func(c *conn) error) error {
	if err := ctx.Err(); err != nil {
		return explain(s.path, doing, err)
	}
	if err := s.settle(ctx, sid); err != nil {
		return explain(s.path, doing, err)
	}
	c, err := s.readers.borrow(ctx)
	if err != nil {
		return explain(s.path, doing, err)
	}
	defer s.readers.giveBack(c)
	return explain(s.path, doing, f(c))
}

// ofSession is the key of a session in a query.
const ofSession = " WHERE session = (SELECT key FROM sessions WHERE session = ?) "

// Load implements store.Store.
func (s *Store) Load(ctx context.Context, sid id.Session) (l store.Loaded, err error) {
	err = s.read(ctx, sid, fmt.Sprintf("load session %s", sid), func(c *conn) (err error) {
		if _, err := c.exec("BEGIN"); err != nil { // one snapshot for all that follows
			return err
		}
		defer func() { err = errors.Join(err, rollback(c)) }()
		return load(ctx, c, string(sid), &l)
	})
	if err != nil {
		return store.Loaded{}, err
	}
	return l, nil
}

func load(ctx context.Context, c *conn, sid string, l *store.Loaded) (err error) {
	if err := c.query(ctx, func(row []driver.Value) error {
		l.Version, l.Control = uint64(integer(row[1])), blob(row[15])
		l.Head, err = head(row[2:])
		return err
	}, "SELECT "+listed+", control FROM sessions WHERE session = ? AND version > 0", sid); err != nil {
		return err
	}
	if l.Version == 0 {
		return store.ErrNotFound
	}
	if err := c.query(ctx, func(row []driver.Value) error {
		l.Values = append(l.Values, store.Value{Name: text(row[0]), Data: blob(row[1])})
		return nil
	}, "SELECT name, data FROM slow_values"+ofSession+"ORDER BY name", sid); err != nil {
		return err
	}
	if err := c.query(ctx, func(row []driver.Value) error {
		l.Inputs = append(l.Inputs, input(row))
		return nil
	}, "SELECT input, key, seq, live, body FROM inputs"+ofSession+"AND live = 1 ORDER BY seq, input", sid); err != nil {
		return err
	}
	if err := c.query(ctx, func(row []driver.Value) error {
		l.Effects = append(l.Effects, effect(row))
		return nil
	}, "SELECT version, ordinal, open, kind, run, body FROM effects"+ofSession+"AND open = 1 ORDER BY version, ordinal", sid); err != nil {
		return err
	}
	return c.query(ctx, func(row []driver.Value) error {
		l.Operations = append(l.Operations, operation(row))
		return nil
	}, "SELECT operation, kept, seq, body FROM operations"+ofSession+"AND kept = 1 ORDER BY operation", sid)
}

// Input implements store.Store.
func (s *Store) Input(ctx context.Context, sid id.Session, key string) (store.InputRow, error) {
	return s.oneInput(ctx, sid, fmt.Sprintf("find input with key %q of session %s", key, sid), "AND key = ? AND key <> ''", key)
}

// InputByID implements store.Store.
func (s *Store) InputByID(ctx context.Context, sid id.Session, in id.Input) (store.InputRow, error) {
	return s.oneInput(ctx, sid, fmt.Sprintf("find input %s of session %s", in, sid), "AND input = ?", string(in))
}

func (s *Store) oneInput(ctx context.Context, sid id.Session, doing, condition, value string) (in store.InputRow, err error) {
	err = s.read(ctx, sid, doing, func(c *conn) error {
		found := false
		err := c.query(ctx, func(row []driver.Value) error {
			in, found = input(row), true
			return nil
		}, "SELECT input, key, seq, live, body FROM inputs"+ofSession+condition, string(sid), value)
		if err == nil && !found {
			return store.ErrNotFound
		}
		return err
	})
	return in, err
}

// Operation implements store.Store.
func (s *Store) Operation(ctx context.Context, sid id.Session, name string) (out store.OperationRow, err error) {
	err = s.read(ctx, sid, fmt.Sprintf("find operation %q of session %s", name, sid), func(c *conn) error {
		found := false
		err := c.query(ctx, func(row []driver.Value) error {
			out, found = operation(row), true
			return nil
		}, "SELECT operation, kept, seq, body FROM operations"+ofSession+"AND operation = ?", string(sid), name)
		if err == nil && !found {
			return store.ErrNotFound
		}
		return err
	})
	return out, err
}

// Messages implements store.Store.
func (s *Store) Messages(ctx context.Context, sid id.Session, from, before int) (out []store.MessageRow, err error) {
	err = s.read(ctx, sid, fmt.Sprintf("read messages of session %s", sid), func(c *conn) error {
		return c.query(ctx, func(row []driver.Value) error {
			out = append(out, store.MessageRow{Message: int(integer(row[0])), Ordinal: int(integer(row[1])), Role: text(row[2]), Body: blob(row[3])})
			return nil
		}, "SELECT message, ordinal, role, body FROM messages"+ofSession+
			"AND message >= ?2 AND message < iif(?3 = 0, 9223372036854775807, ?3) ORDER BY message, ordinal", string(sid), from, before)
	})
	return out, err
}

// Events implements store.Store.
func (s *Store) Events(ctx context.Context, sid id.Session, after uint64, limit int) (out []store.EventRow, err error) {
	after = min(after, 1<<63-1)
	err = s.read(ctx, sid, fmt.Sprintf("read events of session %s", sid), func(c *conn) error {
		return c.query(ctx, func(row []driver.Value) error {
			out = append(out, store.EventRow{Cursor: uint64(integer(row[0])), Body: blob(row[1])})
			return nil
		}, "SELECT cursor, body FROM events"+ofSession+"AND cursor > ?2 ORDER BY cursor LIMIT iif(?3 <= 0, -1, ?3)", string(sid), after, limit)
	})
	return out, err
}

// Effects implements store.Store.
func (s *Store) Effects(ctx context.Context, sid id.Session) (out []store.EffectRow, err error) {
	err = s.read(ctx, sid, fmt.Sprintf("read effects of session %s", sid), func(c *conn) error {
		return c.query(ctx, func(row []driver.Value) error {
			out = append(out, effect(row))
			return nil
		}, "SELECT version, ordinal, open, kind, run, body FROM effects"+ofSession+"ORDER BY version, ordinal", string(sid))
	})
	return out, err
}

// Receipt implements store.Store.
func (s *Store) Receipt(ctx context.Context, sid id.Session, r id.Run, sequence int) (out store.ReceiptRow, err error) {
	err = s.read(ctx, sid, fmt.Sprintf("read receipt %d of run %s of session %s", sequence, r, sid), func(c *conn) error {
		found := false
		err := c.query(ctx, func(row []driver.Value) error {
			out, found = store.ReceiptRow{Run: r, Sequence: sequence, Body: blob(row[0])}, true
			return nil
		}, "SELECT body FROM receipts"+ofSession+"AND run = ? AND sequence = ?", string(sid), string(r), sequence)
		if err == nil && !found {
			return store.ErrNotFound
		}
		return err
	})
	return out, err
}

// Sessions implements store.Store.
func (s *Store) Sessions(ctx context.Context, q store.Query) (out []store.SessionRow, err error) {
	if q.Limit == 0 {
		q.Limit = 50
	}
	q.Offset = max(q.Offset, 0)
	err = s.read(ctx, "", "list sessions", func(c *conn) (err error) {
		if !q.Fresh || q.Due() {
			out, err = list(ctx, c, q, anyMessages)
			return err
		}
		if _, err := c.exec("BEGIN"); err != nil { // one snapshot for both parts
			return err
		}
		defer func() { err = errors.Join(err, rollback(c)) }()
		out, err = freshFirst(ctx, c, q)
		return err
	})
	return out, err
}

// freshFirst lists sessions in which nothing was said yet, then the others: each part is found by an index of its own.
func freshFirst(ctx context.Context, c *conn, q store.Query) ([]store.SessionRow, error) {
	out, err := list(ctx, c, q, noMessages)
	if err != nil || len(out) == q.Limit {
		return out, err
	}
	before := q.Offset + len(out) // how many there are of the first part
	if len(out) == 0 && q.Offset > 0 {
		if before, err = count(ctx, c, q, noMessages); err != nil {
			return nil, err
		}
	}
	if q.Limit > 0 {
		q.Limit -= len(out)
	}
	q.Offset = max(q.Offset-before, 0)
	rest, err := list(ctx, c, q, someMessages)
	return append(out, rest...), err
}

func list(ctx context.Context, c *conn, q store.Query, part string) (out []store.SessionRow, err error) {
	query, args := listing(q, part)
	err = c.query(ctx, func(row []driver.Value) error {
		h, err := head(row[2:])
		out = append(out, store.SessionRow{Session: id.Session(text(row[0])), Version: uint64(integer(row[1])), Head: h})
		return err
	}, query, args...)
	return out, err
}

// Count implements store.Store.
func (s *Store) Count(ctx context.Context, q store.Query) (n int, err error) {
	err = s.read(ctx, "", "count sessions", func(c *conn) (err error) {
		if q.Active && q.All() {
			return c.query(ctx, func(row []driver.Value) error {
				n = int(integer(row[0]))
				return nil
			}, "SELECT n FROM counts WHERE name = 'active'")
		}
		n, err = count(ctx, c, q, anyMessages)
		return err
	})
	return n, err
}

func count(ctx context.Context, c *conn, q store.Query, part string) (n int, err error) {
	where, args := conditions(q)
	err = c.query(ctx, func(row []driver.Value) error {
		n = int(integer(row[0]))
		return nil
	}, "SELECT count(*) FROM sessions WHERE version > 0"+part+where, args...)
	return n, err
}

// The parts of a listing.
const (
	anyMessages  = ""
	noMessages   = " AND messages = 0"
	someMessages = " AND messages <> 0"
)

// listing builds the query for a listing: of few shapes, so that each is prepared once.
func listing(q store.Query, part string) (string, []any) {
	where, args := conditions(q)
	order := " ORDER BY updated DESC, session DESC"
	if q.Due() {
		order = " ORDER BY wake, session"
	}
	return "SELECT " + listed + " FROM sessions WHERE version > 0" + part + where + order + " LIMIT ? OFFSET ?", append(args, q.Limit, q.Offset)
}

// conditions are what a query wants of a session, beside that something was committed to it.
func conditions(q store.Query) (string, []any) {
	var b strings.Builder
	var args []any
	if q.Prefix != "" {
		b.WriteString(" AND session >= ? AND substr(session, 1, length(?)) = ?")
		args = append(args, q.Prefix, q.Prefix, q.Prefix)
		if end, ok := after(q.Prefix); ok {
			b.WriteString(" AND session < ?")
			args = append(args, end)
		}
	}
	if q.Unfinished {
		b.WriteString(" AND unfinished = 1 AND away = 0")
	}
	if q.Workspace != "" {
		b.WriteString(" AND workspace = ?")
		args = append(args, q.Workspace)
	}
	if q.Active {
		b.WriteString(" AND past = 0 AND away = 0")
	}
	for _, name := range slices.Sorted(maps.Keys(q.Labels)) {
		b.WriteString(" AND iif(labels = '{}', 0, EXISTS (SELECT 1 FROM json_each(labels) WHERE json_each.key = ? AND json_each.value = ?))")
		args = append(args, name, q.Labels[name])
	}
	if q.Due() {
		b.WriteString(" AND wake > 0 AND away = 0")
	}
	if !q.DueBefore.IsZero() {
		b.WriteString(" AND wake <= ?")
		args = append(args, q.DueBefore.UnixMicro())
	}
	if !q.DueAfter.IsZero() {
		b.WriteString(" AND wake > ?")
		args = append(args, q.DueAfter.UnixMicro())
	}
	return b.String(), args
}

// after returns the least string above all that begin with an ASCII prefix.
func after(prefix string) (string, bool) {
	last := prefix[len(prefix)-1]
	if last >= 0x7f {
		return "", false
	}
	return prefix[:len(prefix)-1] + string(rune(last+1)), true
}

// listed are the columns of a listing, in the order in which head and its callers take them.
const listed = "session, version, created, updated, phase, title, model, workspace, messages, tokens, unfinished, wake, away, past, labels"

func head(row []driver.Value) (store.Head, error) {
	h := store.Head{Created: fromMicro(row[0]), Updated: fromMicro(row[1]), Phase: text(row[2]), Title: text(row[3]), Model: text(row[4]),
		Workspace: text(row[5]), Messages: int(integer(row[6])), Tokens: int(integer(row[7])), Unfinished: integer(row[8]) != 0,
		Wake: fromWake(row[9]), Away: integer(row[10]) != 0, Past: integer(row[11]) != 0}
	if t := text(row[12]); t != "{}" {
		if err := json.Unmarshal([]byte(t), &h.Labels); err != nil {
			return h, fmt.Errorf("%w: labels: %w", store.ErrCorrupt, err)
		}
	}
	return h, nil
}

func input(row []driver.Value) store.InputRow {
	return store.InputRow{ID: id.Input(text(row[0])), Key: text(row[1]), Seq: id.Seq(integer(row[2])), Live: integer(row[3]) != 0, Body: blob(row[4])}
}

func operation(row []driver.Value) store.OperationRow {
	return store.OperationRow{ID: text(row[0]), Kept: integer(row[1]) != 0, Seq: uint64(integer(row[2])), Body: blob(row[3])}
}

func effect(row []driver.Value) store.EffectRow {
	return store.EffectRow{ID: id.Effect{Version: uint64(integer(row[0])), Ordinal: uint32(integer(row[1]))}, Open: integer(row[2]) != 0,
		Kind: text(row[3]), Run: id.Run(text(row[4])), Body: blob(row[5])}
}
