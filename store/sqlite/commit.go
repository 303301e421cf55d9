package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// Commit implements store.Store.
func (s *Store) Commit(ctx context.Context, b *store.Batch) error {
	doing := fmt.Sprintf("commit session %s version %d", b.Session, b.To)
	if err := b.Validate(); err != nil {
		return explain(s.path, doing, err)
	}
	if ctx.Done() != nil {
		b = b.Clone() // the writer may be at it when the caller has left
	}
	return s.submit(ctx, &request{doing: doing, session: b.Session, do: func(c *conn) error { return writeBatch(c, b) }})
}

// standingRow is what decides about a write to a session.
type standingRow struct {
	found        bool
	key, version int64
	active       bool // something was committed to it, and it is neither a record nor away
	leased       bool // it was handed out and not released
	lease        store.Lease
}

// findSession reads the standing of a session, inside the caller's transaction.
func findSession(c *conn, sid id.Session) (r standingRow, err error) {
	err = c.query(context.Background(), func(row []driver.Value) error {
		r.found, r.key, r.version = true, integer(row[0]), integer(row[1])
		r.active = r.version > 0 && integer(row[11]) == 0 && integer(row[12]) == 0
		r.leased = row[2] != nil && integer(row[3]) == 0
		r.lease = store.Lease{Session: sid, Term: uint64(integer(row[2])), Expires: fromMicro(row[4]), Owner: store.Owner{ID: text(row[5]),
			Machine: text(row[6]), Boot: text(row[7]), PID: int(integer(row[8])), Started: text(row[9]), Address: text(row[10])}}
		return nil
	}, `SELECT s.key, s.version, l.term, l.released, l.expires, l.owner, l.machine, l.boot, l.pid, l.started, l.address, s.past, s.away
		FROM sessions s LEFT JOIN leases l ON l.session = s.key WHERE s.session = ?`, string(sid))
	return r, err
}

// writeBatch checks lease, term and version before it writes anything, so that a refusal cannot harm its neighbours.
func writeBatch(c *conn, b *store.Batch) error {
	at, err := findSession(c, b.Session)
	if err != nil {
		return err
	}
	if !at.leased || at.lease.Term != b.Term {
		return refusal{fmt.Errorf("term %d, stored is %d: %w", b.Term, at.lease.Term, store.ErrFenced)}
	}
	if uint64(at.version) != b.From {
		return refusal{fmt.Errorf("from version %d, stored is %d: %w", b.From, at.version, store.ErrConflict)}
	}
	h := b.Head
	labels, err := labelsJSON(h.Labels)
	if err != nil {
		return err
	}
	if _, err := c.exec(`UPDATE sessions SET version = ?, control = iif(length(?2) > 0, ?2, control), created = ?, updated = ?, phase = ?,
		title = ?, model = ?, workspace = ?, messages = ?, tokens = ?, unfinished = ?, wake = ?, away = ?, past = ?, labels = ? WHERE key = ?`,
		b.To, b.Control, h.Created.UnixMicro(), h.Updated.UnixMicro(), h.Phase,
		h.Title, h.Model, h.Workspace, h.Messages, h.Tokens, h.Unfinished, wakeMicro(h.Wake), h.Away, h.Past, labels, at.key); err != nil {
		return err
	}
	if err := recount(c, at.active, h.Active()); err != nil {
		return err
	}
	if err := upsertRows(c, at.key, b); err != nil {
		return err
	}
	return insertRows(c, at.key, b)
}

// recount keeps the number of active sessions. It changes when a session begins or ends, and not with its turns.
func recount(c *conn, was, is bool) error {
	if was == is {
		return nil
	}
	by := 1
	if was {
		by = -1
	}
	_, err := c.exec("UPDATE counts SET n = n + ? WHERE name = 'active'", by)
	return err
}

// labelsJSON writes labels, keys sorted.
func labelsJSON(labels map[string]string) (string, error) {
	if len(labels) == 0 {
		return "{}", nil
	}
	text, err := json.Marshal(labels)
	return string(text), err
}

// upsertRows writes the rows that change in their life.
func upsertRows(c *conn, key int64, b *store.Batch) error {
	for _, v := range b.Values {
		if _, err := c.exec(`INSERT INTO slow_values (session, name, data) VALUES (?, ?, ?)
			ON CONFLICT (session, name) DO UPDATE SET data = excluded.data`, key, v.Name, v.Data); err != nil {
			return fmt.Errorf("value %s: %w", v.Name, err)
		}
	}
	for _, in := range b.Inputs {
		if _, err := c.exec(`INSERT INTO inputs (session, input, key, seq, live, body) VALUES (?, ?, ?, ?, ?, ?)
			ON CONFLICT (session, input) DO UPDATE SET key = excluded.key, seq = excluded.seq, live = excluded.live, body = excluded.body`,
			key, string(in.ID), in.Key, int64(in.Seq), in.Live, in.Body); err != nil {
			return fmt.Errorf("input %s with key %q: %w", in.ID, in.Key, err)
		}
	}
	for _, e := range b.Effects {
		if _, err := c.exec(`INSERT INTO effects (session, version, ordinal, open, kind, run, body) VALUES (?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (session, version, ordinal) DO UPDATE SET open = excluded.open, kind = excluded.kind, run = excluded.run,
			body = excluded.body`, key, e.ID.Version, e.ID.Ordinal, e.Open, e.Kind, string(e.Run), e.Body); err != nil {
			return fmt.Errorf("effect %s: %w", e.ID, err)
		}
	}
	for _, o := range b.Operations {
		if _, err := c.exec(`INSERT INTO operations (session, operation, kept, seq, body) VALUES (?, ?, ?, ?, ?)
			ON CONFLICT (session, operation) DO UPDATE SET kept = excluded.kept, seq = excluded.seq, body = excluded.body`,
			key, o.ID, o.Kept, o.Seq, o.Body); err != nil {
			return fmt.Errorf("operation %q: %w", o.ID, err)
		}
	}
	return nil
}

// insertRows writes the rows that are written once.
func insertRows(c *conn, key int64, b *store.Batch) error {
	for _, m := range b.Messages {
		if _, err := c.exec("INSERT INTO messages (session, message, ordinal, role, body) VALUES (?, ?, ?, ?, ?)",
			key, m.Message, m.Ordinal, m.Role, m.Body); err != nil {
			return fmt.Errorf("message %d.%d: %w", m.Message, m.Ordinal, err)
		}
	}
	for _, e := range b.Events {
		if _, err := c.exec("INSERT INTO events (session, cursor, body) VALUES (?, ?, ?)", key, e.Cursor, e.Body); err != nil {
			return fmt.Errorf("event %d: %w", e.Cursor, err)
		}
	}
	for _, r := range b.Receipts {
		if _, err := c.exec("INSERT INTO receipts (session, run, sequence, body) VALUES (?, ?, ?, ?)",
			key, string(r.Run), r.Sequence, r.Body); err != nil {
			return fmt.Errorf("receipt %d of run %s: %w", r.Sequence, r.Run, err)
		}
	}
	return nil
}

// fromMicro reads a time that was written with UnixMicro.
func fromMicro(v driver.Value) time.Time { return time.UnixMicro(integer(v)).UTC() }

// wakeMicro writes a time of which zero means never.
func wakeMicro(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// fromWake reads what wakeMicro wrote.
func fromWake(v driver.Value) time.Time {
	if integer(v) == 0 {
		return time.Time{}
	}
	return fromMicro(v)
}
