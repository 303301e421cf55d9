// Package sqlite keeps sessions in one SQLite file: the embedded default.
//
// # Who does what
//
//	callers ──► requests ──► writer: one goroutine, one connection, many requests in one transaction, one sync
//	callers ──► readers: a few read-only connections, each lent to one call at a time
//	              writer ──► checkpointer: one goroutine, one connection, asleep while nothing is written
//
// The file is in WAL mode with synchronous=FULL: a transaction is one sync of the log, and the group shares it. Everything that is
// checked (lease, term, version) is checked against the rows inside the transaction, so several processes may share the file.
//
// # When something fails
//
//	a request is refused     its neighbours in the group do not notice: nothing was written for it
//	a statement fails        the group is rolled back and goes on without the request that broke
//	no space, I/O in a group the group is rolled back and each request is tried alone
//	COMMIT fails             no space, locked, read-only: not written. Anything else: ErrUnknown, and the connection is replaced
//	a caller leaves          what was handed over is carried through; Load of that session waits for it
//	a checkpoint fails       the log grows, nothing is lost; tried again after the next write, shown by Stats
package sqlite

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	vendor "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// Options says where the store is. The zero value of everything but Path is a good choice.
type Options struct {
	Path    string        // the database file; its folder is created if it is missing
	Readers int           // how many reads go on at the same time; 0: 4
	Wait    time.Duration // how long to wait for a lock of another process; 0: 60 s

	maxPages  int64 // for tests of a full disk: a bound on the size of the file; 0: none
	foldAbove int64 // for tests of a long log; 0: foldAbove
}

// Store is a store.Store. Make one with Open.
type Store struct {
	path     string
	options  Options
	mu       sync.RWMutex // held for reading while a request is handed over
	closed   bool
	requests chan *request
	written  chan struct{} // to the checkpointer: there is something to do
	drained  chan struct{} // closed by the writer when it ends
	writer   *writer
	readers  *readers
	wg       sync.WaitGroup // writer and checkpointer

	leftMu sync.Mutex
	left   map[id.Session][]*request // commits whose caller has left

	checkpoints checkpointer
}

var _ store.Store = (*Store)(nil)

// Open opens the store, creating the file (0600) and its folder (0700) if need be, and bringing the schema up to date. Errors wrap
// ErrReadOnly, ErrFull, ErrCorrupt, ErrFuture or ErrBusy. A file that is refused is left as it was.
func Open(ctx context.Context, o Options) (_ *Store, err error) {
	const doing = "open the session store"
	if err := ctx.Err(); err != nil {
		return nil, explain(o.Path, doing, err)
	}
	if o.Readers <= 0 {
		o.Readers = 4
	}
	if o.Wait <= 0 {
		o.Wait = 60 * time.Second
	}
	if o.foldAbove <= 0 {
		o.foldAbove = foldAbove
	}
	if o.Path, err = filepath.Abs(o.Path); err != nil {
		return nil, explain(o.Path, doing, err)
	}
	if err := create(o.Path); err != nil {
		return nil, explain(o.Path, doing, err)
	}
	s := &Store{path: o.Path, options: o, requests: make(chan *request, groupLimit), written: make(chan struct{}, 1), drained: make(chan struct{}),
		left: map[id.Session][]*request{}}
	s.readers = newReaders(o)
	openHere.add(o.Path, 1)
	if s.writer, err = s.openWriter(); err != nil {
		err = errors.Join(explain(o.Path, doing, err), s.readers.close())
		openHere.add(o.Path, -1)
		return nil, err
	}
	s.wg.Go(s.write)
	s.wg.Go(s.checkpoint)
	return s, nil
}

// createMu keeps a file that is being made from being opened in between: closing any descriptor of a file gives up all locks that
// the process holds on it.
var createMu sync.Mutex

// create makes the folder and the file if they are missing, with modes that keep others out.
func create(path string) error {
	createMu.Lock()
	defer createMu.Unlock()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, os.ErrExist) {
		if info, err := os.Stat(path); err != nil || !info.IsDir() {
			return err
		}
		return syscall.EISDIR
	}
	if err != nil {
		return err
	}
	return f.Close()
}

// openWriter makes the writer's connection: file inspected read-only first, then in WAL mode and with the current schema.
func (s *Store) openWriter() (*writer, error) {
	r, err := s.readers.borrow(context.Background())
	if err != nil {
		return nil, err
	}
	state, err := inspect(r)
	s.readers.giveBack(r)
	if halfMade(err) {
		state, err = s.finishRollback()
	}
	if err != nil {
		return nil, err
	}
	current, err := state.current()
	if err != nil {
		return nil, err
	}
	c, err := s.openConn(true)
	if err != nil {
		return nil, err
	}
	if !current {
		if err := migrate(c); err != nil {
			return nil, errors.Join(err, c.close())
		}
	}
	return &writer{conn: c}, nil
}

// halfMade reports whether a read-only look failed because of what a process left that died while it made the file: a journal that has
// to be rolled back by somebody who may write.
func halfMade(err error) bool {
	var e *vendor.Error
	return errors.As(err, &e) && e.Code() == lib.SQLITE_READONLY_ROLLBACK
}

// finishRollback undoes what was half made, as any program does that opens the file for writing, and looks again.
func (s *Store) finishRollback() (state standing, err error) {
	c, err := connect(s.path, readWrite, s.options.Wait.Milliseconds())
	if err != nil {
		return standing{}, err
	}
	state, err = inspect(c)
	return state, errors.Join(err, c.close())
}

// openConn makes a connection that writes. Only the writer's waits for locks: a checkpoint never does.
func (s *Store) openConn(writes bool) (*conn, error) {
	wait := int64(0)
	if writes {
		wait = s.options.Wait.Milliseconds()
	}
	c, err := connect(s.path, readWrite, wait)
	if err != nil {
		return nil, err
	}
	set := "PRAGMA synchronous=FULL; PRAGMA wal_autocheckpoint=0; PRAGMA journal_size_limit=67108864;"
	if s.options.maxPages > 0 {
		set += fmt.Sprintf("PRAGMA max_page_count=%d", s.options.maxPages)
	}
	// Of a file that is still empty. A commit touches about a dozen pages and the log takes whole ones: half the size is half the bytes
	// of every commit. A file that has pages keeps theirs.
	if err := c.script("PRAGMA page_size=2048"); err != nil {
		return nil, errors.Join(err, c.close())
	}
	if err := enterWAL(c); err != nil {
		return nil, errors.Join(err, c.close())
	}
	if err := c.script(set); err != nil {
		return nil, errors.Join(err, c.close())
	}
	return c, nil
}

// begin takes the lock for writing, and waits for it as long as it may. SQLite's own waiting looks ten times a second in the end: beside another
// process that commits without a pause it can look for ever and never find the file free. So it may wait only briefly, and we look again soon, at
// times of no rhythm.
func (s *Store) begin(c *conn) error {
	if !c.brief {
		if err := c.script(fmt.Sprintf("PRAGMA busy_timeout=%d", briefly)); err != nil {
			return err
		}
		c.brief = true
	}
	until := time.Now().Add(s.options.Wait)
	for {
		_, err := c.exec("BEGIN IMMEDIATE")
		if err == nil || resultCode(err) != lib.SQLITE_BUSY || !time.Now().Before(until) {
			return err
		}
		time.Sleep(time.Duration(rand.Int64N(int64(2 * time.Millisecond))))
	}
}

// briefly is how long SQLite itself waits for the lock, in milliseconds.
const briefly = 10

// Path returns the absolute path of the file.
func (s *Store) Path() string { return s.path }

// Close implements store.Store. When the last process closes the file, the log is folded into it and removed.
func (s *Store) Close() error {
	s.mu.Lock()
	if s.closed {
		s.mu.Unlock()
		return fmt.Errorf("close the session store (%s): %w", s.path, store.ErrClosed)
	}
	s.closed = true
	s.mu.Unlock()
	close(s.requests)
	s.wg.Wait()
	err := s.readers.close()
	for _, c := range []*conn{s.checkpoints.conn, s.writer.conn} { // the writer's last: it folds the log
		if c != nil {
			err = errors.Join(err, c.close())
		}
	}
	openHere.add(s.path, -1)
	return explain(s.path, "close the session store", err)
}
