package sqlite

import (
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"

	vendor "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/meerkat-go/meerkat/store"
)

// integrity is what PRAGMA integrity_check finds in a schema, a line for each.
func integrity(ctx context.Context, c *conn, schema string) (lines []string, err error) {
	err = c.query(ctx, func(row []driver.Value) error {
		for line := range strings.SplitSeq(text(row[0]), "\n") {
			if line != "ok" && line != "" && !strings.HasPrefix(line, "***") {
				lines = append(lines, line)
			}
		}
		return nil
	}, "PRAGMA "+schema+".integrity_check(1000000)")
	if resultCode(err) == lib.SQLITE_CORRUPT {
		return append(lines, cutShort), nil // it looks at all trees first, and tells of them before it looks at rows
	}
	return lines, err
}

// cutShort is said where the check could not go on to the rows, since a tree was too damaged.
const cutShort = "the check of the rows could not be finished"

// onlyDerived decides whether what was found is about indexes and free pages only, and no table has less in it than one of its indexes, which would
// mean that rows are lost.
func (v *View) onlyDerived(ctx context.Context, lines []string) (bool, error) {
	tables, indexes := map[string]string{}, map[string]bool{} // a full index's name, its table; "Tree N" of all indexes
	if err := v.conn.query(ctx, func(row []driver.Value) error {
		indexes[fmt.Sprintf("Tree %d ", integer(row[2]))] = true
		if !strings.Contains(strings.ToUpper(text(row[3])), " WHERE ") {
			tables[text(row[0])] = text(row[1])
		}
		return nil
	}, "SELECT name, tbl_name, rootpage, coalesce(sql, '') FROM sqlite_schema WHERE type = 'index'"); err != nil {
		return false, err
	}
	for _, line := range lines {
		if !derived(line, indexes) {
			return false, nil
		}
	}
	for name, table := range tables {
		rows, err := v.conn.number("SELECT coalesce(sum(1), 0) FROM " + table + " NOT INDEXED")
		if err != nil {
			return false, nil // so it is a table after all
		}
		entries, err := v.conn.number("SELECT coalesce(sum(1), 0) FROM " + table + " INDEXED BY " + name)
		if err == nil && entries > rows {
			return false, nil
		}
	}
	return true, nil
}

func derived(line string, indexes map[string]bool) bool {
	switch {
	case strings.HasPrefix(line, "Tree "):
		root, _, ok := strings.Cut(strings.TrimPrefix(line, "Tree "), " ")
		return ok && indexes["Tree "+root+" "]
	case strings.HasPrefix(line, "Page "):
		return strings.HasSuffix(line, "never used")
	case strings.HasPrefix(line, "Freelist: "), strings.HasPrefix(line, "wrong # of entries in index "), strings.HasPrefix(line, "non-unique entry in index "):
		return true
	case strings.HasPrefix(line, "row "):
		return strings.Contains(line, " missing from index ") || strings.Contains(line, " values differ from index ")
	case strings.HasPrefix(line, "rowid not at end-of-record for row "), line == cutShort:
		return true
	}
	return false
}

// Mender changes a store file that nobody else has open. What is done between Begin and Commit is done whole or not at all. It serves one goroutine at
// a time and must be closed.
type Mender struct{ View }

// OpenMender opens a file for itself alone: store.ErrBusy if another process, or another part of this one, has it open. No copy of the file may be made
// by this process while the mender is open, since that drops its locks.
func OpenMender(ctx context.Context, path string) (*Mender, error) {
	const doing = "open the session store for repair"
	if err := ctx.Err(); err != nil {
		return nil, explain(path, doing, err)
	}
	c, err := connect(path, readWrite, 500)
	if err != nil {
		return nil, explain(path, doing, err)
	}
	m := &Mender{View{path, c}}
	err = c.script("PRAGMA locking_mode=EXCLUSIVE; PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; BEGIN EXCLUSIVE; COMMIT")
	if err == nil {
		err = m.stand()
	}
	if err != nil {
		return nil, errors.Join(explain(path, doing, err), c.close())
	}
	return m, nil
}

// Close folds the log into the file and closes it. The index that a dead process left beside the log goes: it would speak of a log that is no more, and
// nobody else has it, since nobody else has the file.
func (m *Mender) Close() error {
	err := errors.Join(rollback(m.conn), m.conn.forget()) // a query that met damage may be under way still
	if err == nil {
		err = m.conn.script("PRAGMA wal_checkpoint(TRUNCATE)")
	}
	if gone := os.Remove(m.path + "-shm"); !errors.Is(gone, os.ErrNotExist) {
		err = errors.Join(err, gone)
	}
	return explain(m.path, "close the session store", errors.Join(err, m.conn.close()))
}

// Begin begins a transaction.
func (m *Mender) Begin() error {
	return explain(m.path, "begin a repair", m.conn.script("BEGIN IMMEDIATE"))
}

// Commit makes it durable.
func (m *Mender) Commit() error { return explain(m.path, "commit a repair", m.conn.script("COMMIT")) }

// Rollback undoes it.
func (m *Mender) Rollback() error { return explain(m.path, "undo a repair", rollback(m.conn)) }

// Row reads a row as it is stored, by the names of its columns. Blobs are []byte.
func (m *Mender) Row(ctx context.Context, at Place) (map[string]any, error) {
	const doing = "read a row"
	if !asideFrom(at.Table) {
		return nil, explain(m.path, doing, fmt.Errorf("%w: nothing is taken from table %q", store.ErrInvalid, at.Table))
	}
	var columns []string
	err := m.conn.query(ctx, func(row []driver.Value) error {
		columns = append(columns, text(row[0]))
		return nil
	}, "SELECT name FROM pragma_table_info(?)", at.Table)
	out := map[string]any{}
	if err == nil {
		err = m.conn.query(ctx, func(row []driver.Value) error {
			for n, name := range columns {
				out[name] = row[n]
			}
			return nil
		}, "SELECT "+strings.Join(columns, ", ")+" FROM "+at.Table+" NOT INDEXED WHERE rowid = ?", at.Row)
	}
	if err == nil && len(out) == 0 {
		err = store.ErrNotFound
	}
	return out, explain(m.path, doing, err)
}

// asideFrom reports whether rows of a table may be taken out: of those that nothing is decided by.
func asideFrom(table string) bool {
	return slices.Contains([]string{"effects", "events"}, table)
}

// Remove takes a row out, if its body still has that digest (SHA-256 in hex).
func (m *Mender) Remove(ctx context.Context, at Place, digest string) error {
	row, err := m.Row(ctx, at)
	if err != nil {
		return err
	}
	body, _ := row["body"].([]byte)
	if sum := sha256.Sum256(body); hex.EncodeToString(sum[:]) != digest {
		return explain(m.path, "set a row aside", fmt.Errorf("%w: it has changed", store.ErrConflict))
	}
	n, err := m.conn.exec("DELETE FROM "+at.Table+" WHERE rowid = ?", at.Row)
	if err == nil && n != 1 {
		err = store.ErrNotFound
	}
	return explain(m.path, "set a row aside", err)
}

// Recount writes down how many sessions are active.
func (m *Mender) Recount() error {
	return explain(m.path, "count sessions", m.conn.script("INSERT INTO counts (name, n) VALUES ('active', ("+countActive+
		")) ON CONFLICT (name) DO UPDATE SET n = excluded.n"))
}

// Rebuild makes the file anew, out of its tables alone: first in a file of its own at a path where nothing is, and once that is proved to be whole and
// to hold as many rows, over the old content, in one transaction. ErrCorrupt: the tables do not give it; nothing was changed.
func (m *Mender) Rebuild(ctx context.Context, into string) error {
	err := m.rebuild(ctx, into)
	if resultCode(err) == lib.SQLITE_CONSTRAINT {
		err = fmt.Errorf("%w: rows contradict each other: %s", store.ErrCorrupt, err.Error())
	}
	return explain(m.path, "rebuild the session store", err)
}

func (m *Mender) rebuild(ctx context.Context, into string) (err error) {
	if err := m.blank(into); err != nil {
		return err
	}
	if _, err := m.conn.exec("ATTACH ? AS fresh", into); err != nil {
		return err
	}
	err = m.fill(ctx)
	if err != nil {
		return errors.Join(err, rollback(m.conn), m.detach())
	}
	if err := m.detach(); err != nil {
		return err
	}
	return m.replace(into)
}

// blank makes an empty store with pages of the same size.
func (m *Mender) blank(into string) (err error) {
	size, err := m.conn.number("PRAGMA page_size")
	if err != nil {
		return err
	}
	if err := create(into); err != nil {
		return err
	}
	c, err := connect(into, readWrite, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	if err := c.script(fmt.Sprintf("PRAGMA page_size=%d", size)); err != nil {
		return err
	}
	return migrate(c)
}

// fill copies every table, and proves it.
func (m *Mender) fill(ctx context.Context) error {
	var tables []string
	if err := m.conn.query(ctx, func(row []driver.Value) error {
		tables = append(tables, text(row[0]))
		return nil
	}, "SELECT name FROM fresh.sqlite_schema WHERE type = 'table' ORDER BY rowid"); err != nil {
		return err
	}
	if err := m.conn.script("BEGIN; DELETE FROM fresh.counts"); err != nil {
		return err
	}
	for _, table := range tables {
		if err := m.copyTable(ctx, table); err != nil {
			return fmt.Errorf("table %s: %w", table, err)
		}
	}
	if err := m.conn.script("COMMIT"); err != nil {
		return err
	}
	lines, err := integrity(ctx, m.conn, "fresh")
	if err == nil && len(lines) > 0 {
		err = fmt.Errorf("%w: what was made anew is damaged: %s", store.ErrCorrupt, lines[0])
	}
	return err
}

func (m *Mender) copyTable(ctx context.Context, table string) error {
	var columns, keys []string
	if err := m.conn.query(ctx, func(row []driver.Value) error {
		columns = append(columns, text(row[0]))
		if integer(row[1]) > 0 {
			keys = append(keys, text(row[0])+" "+text(row[2]))
		}
		return nil
	}, "SELECT name, pk, type FROM pragma_table_info(?, 'fresh')", table); err != nil {
		return err
	}
	if len(keys) != 1 || !strings.HasSuffix(keys[0], " INTEGER") { // else the key is the rowid
		columns = append(columns, "rowid")
	}
	list := strings.Join(columns, ", ")
	if _, err := m.conn.exec("INSERT INTO fresh." + table + " (" + list + ") SELECT " + list + " FROM main." + table + " NOT INDEXED ORDER BY rowid"); err != nil {
		return err
	}
	var counts [2]int64
	for n, schema := range []string{"main.", "fresh."} {
		var err error
		if counts[n], err = m.conn.number("SELECT coalesce(sum(1), 0) FROM " + schema + table + " NOT INDEXED"); err != nil {
			return err
		}
	}
	if counts[0] != counts[1] {
		return fmt.Errorf("%w: it had %d rows and the copy has %d", store.ErrCorrupt, counts[0], counts[1])
	}
	return nil
}

// detach lets the other file go; statements on it would hold it.
func (m *Mender) detach() error {
	return errors.Join(m.conn.forget(), m.conn.script("DETACH fresh"))
}

// replace writes a file's pages over ours, in one transaction of SQLite's.
func (m *Mender) replace(with string) error {
	if err := m.conn.forget(); err != nil {
		return err
	}
	raw, ok := m.conn.raw.(interface {
		NewRestore(source string) (*vendor.Backup, error)
	})
	if !ok {
		return errors.New("this build's SQLite cannot restore a file")
	}
	b, err := raw.NewRestore("file://" + (&url.URL{Path: filepath.ToSlash(with)}).EscapedPath() + "?mode=ro")
	if err != nil {
		return err
	}
	for more := true; more && err == nil; {
		more, err = b.Step(-1)
	}
	return errors.Join(err, b.Finish())
}

// forget lets go of prepared statements.
func (c *conn) forget() error {
	var errs []error
	for query, s := range c.statements {
		errs = append(errs, s.Close())
		delete(c.statements, query)
	}
	return errors.Join(errs...)
}
