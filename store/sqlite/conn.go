package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"path/filepath"
	"strings"

	vendor "modernc.org/sqlite"
)

// conn is one connection with its prepared statements. It serves one goroutine at a time. It stands on the driver and not on
// database/sql, whose pool, locks and conversions are of no use to connections that have a fixed owner each.
//
// No statement gets a context that can end: the driver would interrupt it from a goroutine of its own, and a write that has begun
// is carried through anyway. Readers look at their context between rows.
type conn struct {
	brief      bool // it waits for locks only briefly
	raw        driver.Conn
	statements map[string]driver.Stmt
}

// access says what a connection may do to the file.
type access string

const (
	readOnly  access = "ro"
	readWrite access = "rw" // never creates: the file is made by create, with its mode
)

// connect opens a connection to an existing file. busy is how long it waits for a lock, in milliseconds.
func connect(path string, mode access, busy int64) (*conn, error) {
	slashed := filepath.ToSlash(path)
	if !strings.HasPrefix(slashed, "/") {
		slashed = "/" + slashed // a Windows drive
	}
	dsn := fmt.Sprintf("file://%s?mode=%s&_busy_timeout=%d&_dqs=0&_error_rc=1", (&url.URL{Path: slashed}).EscapedPath(), mode, busy)
	connector, err := vendor.NewConnector(dsn)
	if err != nil {
		return nil, err
	}
	raw, err := connector.Connect(context.Background())
	if err != nil {
		return nil, err
	}
	return &conn{raw: raw, statements: map[string]driver.Stmt{}}, nil
}

// close frees the connection. An open transaction is rolled back.
func (c *conn) close() error {
	var errs []error
	for _, s := range c.statements {
		errs = append(errs, s.Close())
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

// prepare returns the statement for a query, which stays prepared as long as the connection lives.
func (c *conn) prepare(query string) (driver.Stmt, error) {
	if s, ok := c.statements[query]; ok {
		return s, nil
	}
	s, err := c.raw.Prepare(query)
	if err != nil {
		return nil, err
	}
	c.statements[query] = s
	return s, nil
}

// exec runs one statement and returns how many rows it changed.
func (c *conn) exec(query string, args ...any) (int64, error) {
	s, err := c.prepare(query)
	if err != nil {
		return 0, err
	}
	res, err := s.(driver.StmtExecContext).ExecContext(context.Background(), named(args))
	if err != nil {
		return 0, err
	}
	return res.RowsAffected()
}

// script runs several statements that are not worth keeping.
func (c *conn) script(text string) error {
	_, err := c.raw.(driver.ExecerContext).ExecContext(context.Background(), text, nil)
	return err
}

// query calls each for every row. The row belongs to each only during the call; what it holds may be kept.
func (c *conn) query(ctx context.Context, each func(row []driver.Value) error, query string, args ...any) (err error) {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.(driver.StmtQueryContext).QueryContext(context.Background(), named(args))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	row := make([]driver.Value, len(rows.Columns()))
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		switch err := rows.Next(row); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := each(row); err != nil {
			return err
		}
	}
}

// number reads one integer: a pragma, a count.
func (c *conn) number(query string) (n int64, err error) {
	err = c.query(context.Background(), func(row []driver.Value) error {
		n = integer(row[0])
		return nil
	}, query)
	return n, err
}

// named makes driver arguments of integers, strings, byte slices and booleans.
func named(args []any) []driver.NamedValue {
	out := make([]driver.NamedValue, len(args))
	for i, a := range args {
		out[i] = driver.NamedValue{Ordinal: i + 1, Value: a}
		switch v := a.(type) {
		case int:
			out[i].Value = int64(v)
		case uint64:
			out[i].Value = int64(v)
		case uint32:
			out[i].Value = int64(v)
		case []byte:
			if v == nil {
				out[i].Value = []byte{} // NULL is not among our values
			}
		}
	}
	return out
}

// The columns are STRICT and NOT NULL, so a value of another kind can only come of a damaged or foreign file; it reads as zero here
// and is found by Check.

func integer(v driver.Value) int64 { n, _ := v.(int64); return n }

func text(v driver.Value) string { s, _ := v.(string); return s }

func blob(v driver.Value) []byte { b, _ := v.([]byte); return b }
