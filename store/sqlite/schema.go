package sqlite

import (
	"context"
	"database/sql/driver"
	"embed"
	"errors"
	"fmt"

	"github.com/meerkat-go/meerkat/store"
)

// applicationID marks our files in SQLite's header: "MRKT".
const applicationID = 0x4d524b54

// schemaVersion is the number of the last file in schema/, kept in the header of each database. Files are never changed once
// released; a new version is a new file (docs/design/0003-sqlite-schema.md).
const schemaVersion = 3

//go:embed schema/*.sql
var schemas embed.FS

// standing is what a database says about its schema.
type standing struct {
	application, version int64
	empty                bool // no table, index, view or trigger in it
}

// inspect reads the standing of a file, in a transaction of its own: another process may just be making the schema. It is the first
// read of the file, so one that is no database fails here.
func inspect(c *conn) (s standing, err error) {
	if _, err := c.exec("BEGIN"); err != nil {
		return s, err
	}
	defer func() { err = errors.Join(err, rollback(c)) }()
	return stand(c)
}

// stand reads the standing inside the caller's transaction.
func stand(c *conn) (s standing, err error) {
	if s.application, err = c.number("PRAGMA application_id"); err != nil {
		return s, err
	}
	if s.version, err = c.number("PRAGMA user_version"); err != nil {
		return s, err
	}
	tables, err := c.number("SELECT count(*) FROM sqlite_schema")
	s.empty = tables == 0
	return s, err
}

// current reports whether the schema is the one this package knows, and refuses foreign files and those of a newer version.
func (s standing) current() (bool, error) {
	switch {
	case s.application == 0 && s.version == 0 && s.empty:
		return false, nil
	case s.application != applicationID:
		return false, fmt.Errorf("%w: this is a database of another program (application id %#x): choose another place",
			store.ErrCorrupt, s.application)
	case s.version > schemaVersion:
		return false, fmt.Errorf("%w: its schema is version %d and this program knows %d: use the newer program; nothing was changed",
			store.ErrFuture, s.version, schemaVersion)
	}
	return s.version == schemaVersion, nil
}

// migrate brings the schema up to date, in one transaction. Another process may be doing the same: who comes second finds it done.
func migrate(c *conn) (err error) {
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, rollback(c))
		}
	}()
	s, err := stand(c)
	if err != nil {
		return err
	}
	done, err := s.current()
	if err != nil {
		return err
	}
	for v := s.version + 1; !done && v <= schemaVersion; v++ {
		text, err := schemas.ReadFile(fmt.Sprintf("schema/%04d.sql", v))
		if err != nil {
			return err
		}
		if err := c.script(string(text)); err != nil {
			return fmt.Errorf("migrate the schema to version %d: %w", v, err)
		}
	}
	if !done {
		if err := c.script(fmt.Sprintf("PRAGMA application_id=%d; PRAGMA user_version=%d", applicationID, schemaVersion)); err != nil {
			return err
		}
	}
	_, err = c.exec("COMMIT")
	return err
}

// enterWAL puts a file into WAL mode and checks that it is: a file system without shared memory leaves it as it was.
func enterWAL(c *conn) error {
	mode := ""
	if err := c.query(context.Background(), func(row []driver.Value) error {
		mode = text(row[0])
		return nil
	}, "PRAGMA journal_mode=WAL"); err != nil {
		return err
	}
	if mode != "wal" {
		return fmt.Errorf("%w: the file stays in journal mode %q: its file system has no shared memory, choose a local disk",
			store.ErrReadOnly, mode)
	}
	return nil
}
