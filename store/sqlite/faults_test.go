package sqlite

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// opened makes a store with some leased sessions; the test closes nothing.
func opened(t *testing.T, o Options, sessions ...id.Session) *Store {
	t.Helper()
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "sessions.db")
	}
	s := mustOpen(t, o)
	t.Cleanup(func() {
		if err := s.Close(); err != nil && !errors.Is(err, store.ErrClosed) {
			t.Error(err)
		}
	})
	for _, sid := range sessions {
		if _, err := s.Acquire(t.Context(), store.Claim{Session: sid, Owner: store.Owner{ID: "o"}, Now: time.Unix(0, 0), TTL: time.Hour, Create: true}); err != nil {
			t.Fatal(err)
		}
	}
	return s
}

// small is a batch that fits anywhere.
func small(sid id.Session, from uint64) *store.Batch {
	return &store.Batch{Session: sid, Term: 1, From: from, To: from + 1, Control: []byte("c"), Events: []store.EventRow{{Cursor: from + 1, Body: []byte("e")}}}
}

// group makes requests as Commit does; they are carried out by calling apply while the writer has nothing to do.
func group(batches ...*store.Batch) []*request {
	var out []*request
	for _, b := range batches {
		out = append(out, &request{doing: "commit", session: b.Session, done: make(chan struct{}), do: func(c *conn) error { return writeBatch(c, b) }})
	}
	return out
}

// version is 0 where nothing was committed.
func version(t *testing.T, s *Store, sid id.Session) uint64 {
	t.Helper()
	ld, err := s.Load(t.Context(), sid)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	return ld.Version
}

// R14
func TestNeighbours_in_one_group_are_spared(t *testing.T) {
	t.Parallel()
	huge := func(sid id.Session, from uint64) *store.Batch {
		b := small(sid, from)
		b.Messages = []store.MessageRow{{Body: make([]byte, 4<<20)}}
		return b
	}
	twice := func(sid id.Session, from uint64) *store.Batch {
		b := small(sid, from)
		b.Events = append(b.Events, b.Events[0])
		return b
	}
	stale := func(sid id.Session, from uint64) *store.Batch { return small(sid, from+7) }
	for _, c := range []struct {
		name  string
		spoil func(sid id.Session, from uint64) *store.Batch
		want  error
	}{{"a batch that does not fit on the disk", huge, store.ErrFull}, {"a batch with a row that exists", twice, store.ErrExists},
		{"a batch with the wrong version", stale, store.ErrConflict}} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := opened(t, Options{maxPages: 200}, "a", "b", "c", "d")
			requests := group(small("a", 0), c.spoil("b", 0), small("c", 0), c.spoil("d", 0), small("a", 1), c.spoil("a", 2))
			s.apply(slices.Clone(requests))
			for i, r := range requests {
				if want := []error{nil, c.want, nil, c.want, nil, c.want}[i]; !errors.Is(r.err, want) {
					t.Errorf("request %d: got %v, want %v", i, r.err, want)
				}
			}
			for sid, want := range map[id.Session]uint64{"a": 2, "b": 0, "c": 1, "d": 0} {
				if got := version(t, s, sid); got != want {
					t.Errorf("session %s: version %d, want %d", sid, got, want)
				}
			}
			if err := s.Commit(t.Context(), small("b", 0)); err != nil {
				t.Fatalf("the store is of no use afterwards: %v", err)
			}
		})
	}
}

func TestA_full_disk_says_what_to_do(t *testing.T) {
	t.Parallel()
	s := opened(t, Options{maxPages: 200}, "a")
	b := small("a", 0)
	b.Control = make([]byte, 4<<20)
	err := s.Commit(t.Context(), b)
	if !errors.Is(err, store.ErrFull) || !strings.Contains(err.Error(), s.Path()) || !strings.Contains(err.Error(), "free some space") {
		t.Fatalf("got %v", err)
	}
}

// saboteur is a connection whose COMMIT goes wrong once.
type saboteur struct {
	driver.Conn
	commit func(real driver.Stmt) error
}

func sabotage(t *testing.T, c *conn, commit func(real driver.Stmt) error) {
	t.Helper()
	if err := c.statements["COMMIT"].Close(); err != nil {
		t.Fatal(err)
	}
	delete(c.statements, "COMMIT")
	c.raw = &saboteur{c.raw, commit}
}

func (c *saboteur) Prepare(query string) (driver.Stmt, error) {
	s, err := c.Conn.Prepare(query)
	if query == "COMMIT" && err == nil {
		s = &sabotaged{s, c.commit}
	}
	return s, err
}

type sabotaged struct {
	driver.Stmt
	commit func(real driver.Stmt) error
}

func (s *sabotaged) ExecContext(context.Context, []driver.NamedValue) (driver.Result, error) {
	return nil, s.commit(s.Stmt)
}

func TestA_commit_that_fails_in_an_unknown_way_is_unknown(t *testing.T) {
	t.Parallel()
	broken := errors.New("the disk went away")
	for _, c := range []struct {
		name   string
		commit func(real driver.Stmt) error
		want   uint64
	}{
		{"though it was written", func(real driver.Stmt) error {
			_, err := real.(driver.StmtExecContext).ExecContext(context.Background(), nil)
			return errors.Join(broken, err)
		}, 1},
		{"and it was not", func(driver.Stmt) error { return broken }, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s := opened(t, Options{}, "a", "b")
			first := s.writer.conn
			sabotage(t, first, c.commit)
			requests := group(small("a", 0), small("b", 0), small("b", 5))
			s.apply(slices.Clone(requests))
			for _, r := range requests {
				if !errors.Is(r.err, store.ErrUnknown) || !errors.Is(r.err, broken) {
					t.Fatalf("got %v", r.err)
				}
			}
			if got := version(t, s, "a"); got != c.want {
				t.Fatalf("version %d", got)
			}
			if err := s.Commit(t.Context(), small("b", c.want)); err != nil {
				t.Fatalf("the store is of no use afterwards: %v", err)
			}
			if s.writer.conn == first {
				t.Fatal("the connection was kept")
			}
		})
	}
}

func TestA_commit_that_surely_failed_is_not_unknown(t *testing.T) {
	t.Parallel()
	tiny := opened(t, Options{maxPages: 200}, "a")
	b := small("a", 0)
	b.Control = make([]byte, 4<<20)
	full := tiny.Commit(t.Context(), b)
	s := opened(t, Options{}, "a", "b")
	left := 1
	sabotage(t, s.writer.conn, func(driver.Stmt) error {
		if left--; left == 0 {
			return full
		}
		return errors.New("COMMIT was tried again though it surely failed")
	})
	only := group(small("a", 0))
	s.apply(only)
	if !errors.Is(only[0].err, store.ErrFull) || errors.Is(only[0].err, store.ErrUnknown) || version(t, s, "a") != 0 {
		t.Fatalf("got %v", only[0].err)
	}
}

// locked keeps the file locked, as another process may, until release is called.
func locked(t *testing.T, path string) (release func()) {
	t.Helper()
	c, err := connect(path, readWrite, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.exec("BEGIN IMMEDIATE"); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := errors.Join(rollback(c), c.close()); err != nil {
			t.Error(err)
		}
	}
}

func TestA_commit_that_was_handed_over_is_carried_through_and_a_load_waits_for_it(t *testing.T) {
	t.Parallel()
	s := opened(t, Options{}, "a", "b")
	release := locked(t, s.Path())
	ctx, cancel := context.WithCancel(t.Context())
	result := make(chan error)
	b := small("a", 0)
	go func() { result <- s.Commit(ctx, b) }()
	for s.writer.requests.Load() < 3 { // two leases before
		select {
		case err := <-result:
			t.Fatalf("it came back: %v", err)
		default:
		}
	}
	cancel()
	if err := <-result; !errors.Is(err, store.ErrUnknown) || !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v", err)
	}
	clear(b.Control)
	b.Events[0].Body = nil
	ctx, cancel = context.WithCancel(t.Context())
	go func() { _, err := s.Load(ctx, "a"); result <- err }()
	cancel()
	if err := <-result; !errors.Is(err, context.Canceled) {
		t.Fatalf("a load of what is not decided came back with %v", err)
	}
	if _, err := s.Load(t.Context(), "b"); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("another session waits too: %v", err)
	}
	release()
	ld, err := s.Load(t.Context(), "a")
	if err != nil || ld.Version != 1 || string(ld.Control) != "c" {
		t.Fatalf("got %+v, %v", ld, err)
	}
}

func TestA_file_that_stays_locked_is_busy_and_nothing_is_written(t *testing.T) {
	t.Parallel()
	s := opened(t, Options{Wait: 20 * time.Millisecond}, "a")
	release := locked(t, s.Path())
	err := s.Commit(t.Context(), small("a", 0))
	if !errors.Is(err, store.ErrBusy) || errors.Is(err, store.ErrUnknown) {
		t.Fatalf("got %v", err)
	}
	release()
	if got := version(t, s, "a"); got != 0 {
		t.Fatalf("version %d", got)
	}
	if err := s.Commit(t.Context(), small("a", 0)); err != nil {
		t.Fatal(err)
	}
}

func TestA_newer_schema_is_refused_and_the_file_left_as_it_was(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sessions.db")
	if err := opened(t, Options{Path: path}, "a").Close(); err != nil {
		t.Fatal(err)
	}
	change(t, path, fmt.Sprintf("PRAGMA user_version=%d", schemaVersion+1))
	before := contents(t, path)
	_, err := Open(t.Context(), Options{Path: path})
	if !errors.Is(err, store.ErrFuture) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "newer program") {
		t.Fatalf("got %v", err)
	}
	if err := Check(t.Context(), path); !errors.Is(err, store.ErrFuture) {
		t.Fatalf("check: %v", err)
	}
	if !bytes.Equal(before, contents(t, path)) {
		t.Fatal("the file was changed")
	}
}

func TestFiles_that_are_no_store_are_refused_and_left_as_they_were(t *testing.T) {
	t.Parallel()
	for name, make := range map[string]func(t *testing.T, path string){
		"text": func(t *testing.T, path string) { put(t, path, bytes.Repeat([]byte("not a database "), 1000)) },
		"database of another program": func(t *testing.T, path string) {
			put(t, path, nil)
			change(t, path, "CREATE TABLE t (x); PRAGMA user_version=1")
		},
		"database with another application id": func(t *testing.T, path string) { put(t, path, nil); change(t, path, "PRAGMA application_id=77") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "x.db")
			make(t, path)
			before := contents(t, path)
			if s, err := Open(t.Context(), Options{Path: path}); !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("got %v, %v", s, err)
			}
			if err := Check(t.Context(), path); !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("check: %v", err)
			}
			if !bytes.Equal(before, contents(t, path)) {
				t.Fatal("the file was changed")
			}
		})
	}
}

func TestA_damaged_file_is_found(t *testing.T) {
	t.Parallel()
	for name, damage := range map[string]func(b []byte) []byte{
		"truncated": func(b []byte) []byte { return b[:len(b)/2] },
		"a page overwritten": func(b []byte) []byte {
			for at := 4096; at < len(b); at += 4096 {
				copy(b[at:at+8], "garbage!")
			}
			return b
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			path := filepath.Join(t.TempDir(), "sessions.db")
			s := opened(t, Options{Path: path}, "a")
			for v := range uint64(200) {
				if err := s.Commit(t.Context(), small("a", v)); err != nil {
					t.Fatal(err)
				}
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			if err := Check(t.Context(), path); err != nil {
				t.Fatalf("before: %v", err)
			}
			put(t, path, damage(contents(t, path)))
			err := Check(t.Context(), path)
			if !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "backup") {
				t.Fatalf("check: %v", err)
			}
			s, err = Open(t.Context(), Options{Path: path})
			if err == nil {
				_, err = s.Load(t.Context(), "a")
				err = errors.Join(err, s.Commit(t.Context(), small("a", 200)), s.Close())
			}
			if !errors.Is(err, store.ErrCorrupt) {
				t.Fatalf("use: %v", err)
			}
		})
	}
}

func TestA_place_that_cannot_be_written_is_refused(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	put(t, filepath.Join(dir, "file"), nil)
	for _, path := range []string{filepath.Join(dir, "file", "sessions.db"), dir} {
		if s, err := Open(t.Context(), Options{Path: path}); !errors.Is(err, store.ErrReadOnly) || !strings.Contains(err.Error(), "writable") {
			t.Fatalf("%s: got %v, %v", path, s, err)
		}
	}
	if err := Check(t.Context(), filepath.Join(dir, "none.db")); !errors.Is(err, store.ErrNotFound) {
		t.Fatalf("check: %v", err)
	}
	if _, err := os.Stat(filepath.Join(dir, "none.db")); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("check made a file: %v", err)
	}
}

func put(t *testing.T, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}

// contents reads a file that no store in this process has open.
func contents(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// change runs statements on a file.
func change(t *testing.T, path, statements string) {
	t.Helper()
	c, err := connect(path, readWrite, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.script(statements), c.close()); err != nil {
		t.Fatal(err)
	}
}
