package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// View looks at a store file as it is, for those who diagnose it. It changes nothing, and other processes may use the file meanwhile. It serves one
// goroutine at a time and must be closed.
type View struct {
	path string
	conn *conn
}

// ErrOlder says that a file is empty, of an older version or half made. Nothing is wrong with it: whoever opens it next brings it up to date.
var ErrOlder = errors.New("the store is brought up to date when it is opened next")

// OpenView opens a view. Errors are ErrOlder, store.ErrNotFound, or as those of Open.
func OpenView(ctx context.Context, path string) (_ *View, err error) {
	const doing = "look at the session store"
	if err := ctx.Err(); err != nil {
		return nil, explain(path, doing, err)
	}
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, explain(path, doing, fmt.Errorf("%w: there is no such file", store.ErrNotFound))
	case err == nil && info.Size() == 0:
		return nil, explain(path, doing, ErrOlder)
	}
	c, err := connect(path, readOnly, 10_000)
	if err != nil {
		return nil, explain(path, doing, err)
	}
	v := &View{path, c}
	if err := v.stand(); err != nil {
		return nil, errors.Join(explain(path, doing, err), c.close())
	}
	return v, nil
}

func (v *View) stand() error {
	state, err := inspect(v.conn)
	if halfMade(err) {
		return ErrOlder
	}
	if err != nil {
		return err
	}
	if current, err := state.current(); err != nil || !current {
		return errors.Join(err, older(current, err))
	}
	return nil
}

func older(current bool, err error) error {
	if err == nil && !current {
		return ErrOlder
	}
	return nil
}

// Close closes the view.
func (v *View) Close() error { return explain(v.path, "close the session store", v.conn.close()) }

// Sessions lists all sessions to which something was committed, by id.
func (v *View) Sessions(ctx context.Context) (out []id.Session, err error) {
	err = v.conn.query(ctx, func(row []driver.Value) error {
		out = append(out, id.Session(text(row[0])))
		return nil
	}, "SELECT session FROM sessions NOT INDEXED WHERE version > 0 ORDER BY session")
	return out, explain(v.path, "list sessions", err)
}

// Leases lists the leases that were not given back.
func (v *View) Leases(ctx context.Context) (out []store.Lease, err error) {
	err = v.conn.query(ctx, func(row []driver.Value) error {
		out = append(out, store.Lease{Session: id.Session(text(row[0])), Term: uint64(integer(row[1])), Expires: fromMicro(row[2]), Owner: store.Owner{
			ID: text(row[3]), Machine: text(row[4]), Boot: text(row[5]), PID: int(integer(row[6])), Started: text(row[7]), Address: text(row[8])}})
		return nil
	}, `SELECT s.session, l.term, l.expires, l.owner, l.machine, l.boot, l.pid, l.started, l.address
		FROM leases l JOIN sessions s ON s.key = l.session WHERE l.released = 0 ORDER BY s.session`)
	return out, explain(v.path, "list leases", err)
}

// Place is where a row stands.
type Place struct {
	Table string
	Row   int64 // SQLite's rowid
}

// history is how the rows are read that a session is not opened from. They are found without an index where a damaged one could hide some.
var history = []struct {
	table, query string
	row          func(row []driver.Value) any // a row after its rowid
}{
	{"inputs", "SELECT rowid, input, key, seq, live, body FROM inputs" + ofSession + "AND live <> 1 ORDER BY rowid", func(r []driver.Value) any { return input(r) }},
	{"effects", "SELECT rowid, version, ordinal, open, kind, run, body FROM effects" + ofSession + "AND open <> 1 ORDER BY rowid",
		func(r []driver.Value) any { return effect(r) }},
	{"operations", "SELECT rowid, operation, kept, seq, body FROM operations" + ofSession + "AND kept <> 1 ORDER BY rowid",
		func(r []driver.Value) any { return operation(r) }},
	{"messages", "SELECT rowid, message, ordinal, role, body FROM messages" + ofSession + "ORDER BY message, ordinal", func(r []driver.Value) any {
		return store.MessageRow{Message: int(integer(r[0])), Ordinal: int(integer(r[1])), Role: text(r[2]), Body: blob(r[3])}
	}},
	{"events", "SELECT rowid, cursor, body FROM events" + ofSession + "ORDER BY cursor", func(r []driver.Value) any {
		return store.EventRow{Cursor: uint64(integer(r[0])), Body: blob(r[1])}
	}},
	{"receipts", "SELECT rowid, run, sequence, body FROM receipts" + ofSession + "ORDER BY rowid", func(r []driver.Value) any {
		return store.ReceiptRow{Run: id.Run(text(r[0])), Sequence: int(integer(r[1])), Body: blob(r[2])}
	}},
}

// Session reads all of a session as of one moment: what it is opened from, and then, one by one, every other row of it as one of package store's
// kinds. What the file does not give out is the error.
func (v *View) Session(ctx context.Context, sid id.Session, each func(at Place, row any)) (l store.Loaded, err error) {
	err = func() (err error) {
		if _, err := v.conn.exec("SAVEPOINT look"); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, v.conn.script("RELEASE look")) }()
		if err := load(ctx, v.conn, string(sid), &l); err != nil {
			return err
		}
		for _, h := range history {
			if err := v.conn.query(ctx, func(row []driver.Value) error {
				each(Place{h.table, integer(row[0])}, h.row(row[1:]))
				return nil
			}, h.query, string(sid)); err != nil {
				return fmt.Errorf("%s: %w", h.table, err)
			}
		}
		return nil
	}()
	return l, explain(v.path, fmt.Sprintf("read session %s", sid), err)
}

// Miscounted reports whether the number of active sessions, which is kept beside them, is not how many there are.
func (v *View) Miscounted(ctx context.Context) (bool, error) {
	kept, counted := int64(-1), int64(0)
	err := v.conn.query(ctx, func(row []driver.Value) error {
		kept, counted = integer(row[0]), integer(row[1])
		return nil
	}, "SELECT coalesce((SELECT n FROM counts NOT INDEXED WHERE name = 'active'), -1), ("+countActive+")")
	return kept != counted, explain(v.path, "count sessions", err)
}

const countActive = "SELECT count(*) FROM sessions NOT INDEXED WHERE version > 0 AND past = 0 AND away = 0"

// Orphans counts the rows of sessions that are not there.
func (v *View) Orphans(ctx context.Context) (n int, err error) {
	err = v.conn.query(ctx, func([]driver.Value) error {
		n++
		return nil
	}, "PRAGMA foreign_key_check")
	return n, explain(v.path, "look for rows without a session", err)
}

// Problems is what SQLite says of the file's structure; none: it is whole. Rebuildable: only what can be made anew out of the tables is damaged, which
// is indexes and the lists of free pages; the tables themselves are whole, as far as SQLite can tell.
func (v *View) Problems(ctx context.Context) (problems []string, rebuildable bool, err error) {
	const doing = "check the session store"
	lines, err := integrity(ctx, v.conn, "main")
	if err != nil {
		return nil, false, explain(v.path, doing, err)
	}
	if len(lines) == 0 {
		return nil, false, nil
	}
	rebuildable, err = v.onlyDerived(ctx, lines)
	return lines, rebuildable, explain(v.path, doing, err)
}
