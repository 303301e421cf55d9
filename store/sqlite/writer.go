package sqlite

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"

	lib "modernc.org/sqlite/lib"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// groupLimit is how many requests share one transaction at most: enough to make the sync cheap, few enough that the first of them
// does not wait long.
const groupLimit = 256

// request is one write on its way through the writer.
type request struct {
	doing   string
	session id.Session // empty: not of one session
	do      func(c *conn) error
	err     error
	done    chan struct{} // closed when err is final
}

// refusal is the error of a request that has written nothing. Any other error of a request breaks its group.
type refusal struct{ error }

func (r refusal) Unwrap() error { return r.error }

// writer is the state of the writing goroutine, and its alone but for the counters.
type writer struct {
	conn                      *conn // nil: to be opened again
	groups, requests, largest atomic.Uint64
	fold                      atomic.Bool // the log is long: finish a checkpoint between two groups
}

// submit hands a request to the writer and waits for it. The request's do may be run more than once, and after submit has returned
// with ErrUnknown.
func (s *Store) submit(ctx context.Context, r *request) error {
	if err := ctx.Err(); err != nil {
		return explain(s.path, r.doing, err)
	}
	r.done = make(chan struct{})
	s.mu.RLock()
	if s.closed {
		s.mu.RUnlock()
		return explain(s.path, r.doing, store.ErrClosed)
	}
	select {
	case s.requests <- r:
		s.mu.RUnlock()
	case <-ctx.Done():
		s.mu.RUnlock()
		return explain(s.path, r.doing, ctx.Err())
	}
	select {
	case <-r.done:
		return r.err
	case <-ctx.Done():
	}
	select {
	case <-r.done:
		return r.err
	default:
		s.leave(r)
		return fmt.Errorf("%s (%s): %w: %w", r.doing, s.path, store.ErrUnknown, ctx.Err())
	}
}

// leave remembers a request whose caller did not wait for its end.
func (s *Store) leave(r *request) {
	s.leftMu.Lock()
	defer s.leftMu.Unlock()
	for sid, rs := range s.left { // rare, and keeps the map short
		rs = slices.DeleteFunc(rs, func(r *request) bool {
			select {
			case <-r.done:
				return true
			default:
				return false
			}
		})
		if s.left[sid] = rs; len(rs) == 0 {
			delete(s.left, sid)
		}
	}
	s.left[r.session] = append(s.left[r.session], r)
}

// settle waits for the requests of a session whose callers have left: what is read afterwards is decided.
func (s *Store) settle(ctx context.Context, sid id.Session) error {
	s.leftMu.Lock()
	rs := slices.Clone(s.left[sid])
	s.leftMu.Unlock()
	for _, r := range rs {
		select {
		case <-r.done:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// write is the writer: it lives until Close, and carries out everything that was handed over before.
func (s *Store) write() {
	defer close(s.drained)
	for first := range s.requests {
		group := append(make([]*request, 0, 16), first)
		for more := true; more && len(group) < groupLimit; {
			select {
			case r, ok := <-s.requests:
				if more = ok; ok {
					group = append(group, r)
				}
			default:
				more = false
			}
		}
		s.writer.groups.Add(1)
		s.writer.requests.Add(uint64(len(group)))
		s.writer.largest.Store(max(s.writer.largest.Load(), uint64(len(group))))
		s.apply(group)
		select {
		case s.written <- struct{}{}:
		default:
		}
	}
}

// apply carries out a group. A request that breaks is taken out and the rest is done again without it; where the failure may be
// anybody's (no space, I/O), each is done alone.
func (s *Store) apply(group []*request) {
	for len(group) > 0 {
		broken, err := s.attempt(group)
		switch {
		case err == nil:
			return
		case broken == nil: // nothing begun, or COMMIT failed
			if len(group) > 1 && resultCode(err) == lib.SQLITE_FULL {
				s.applyAlone(group)
				return
			}
			for _, r := range group {
				s.finish(r, err)
			}
			return
		case len(group) == 1 || resultCode(err) == lib.SQLITE_CONSTRAINT:
			s.finish(broken, err)
			group = slices.DeleteFunc(group, func(r *request) bool { return r == broken })
		default:
			s.applyAlone(group)
			return
		}
	}
}

func (s *Store) applyAlone(group []*request) {
	for _, r := range group {
		s.apply([]*request{r})
	}
}

// attempt runs a group in one transaction. On success it has finished every request. Otherwise nothing is written and none is
// finished (but see ErrUnknown); broken is the request whose statement failed, nil if it was none in particular.
func (s *Store) attempt(group []*request) (broken *request, err error) {
	w := s.writer
	if w.conn == nil {
		if w.conn, err = s.openConn(true); err != nil {
			w.conn = nil
			return nil, err
		}
	}
	if w.fold.CompareAndSwap(true, false) {
		s.checkpoints.record(passive(w.conn))
	}
	if err := s.begin(w.conn); err != nil {
		if resultCode(err) != lib.SQLITE_BUSY {
			s.replace()
		}
		return nil, err
	}
	refused := make([]error, len(group))
	for i, r := range group {
		err := r.do(w.conn)
		var no refusal
		if errors.As(err, &no) {
			refused[i] = no.error
		} else if err != nil {
			s.undo()
			return r, err
		}
	}
	if _, err := w.conn.exec("COMMIT"); err != nil {
		return nil, s.failedCommit(err)
	}
	for i, r := range group {
		s.finish(r, refused[i])
	}
	return nil, nil
}

// failedCommit sorts the error of a COMMIT. These codes come before anything was made durable. After any other (a sync that failed,
// say) the log may hold the whole transaction, and whether it is found depends on what happens next.
func (s *Store) failedCommit(err error) error {
	switch resultCode(err) {
	case lib.SQLITE_FULL, lib.SQLITE_BUSY, lib.SQLITE_READONLY, lib.SQLITE_CONSTRAINT:
		s.undo()
		return err
	}
	s.replace()
	return fmt.Errorf("%w: %w", store.ErrUnknown, err)
}

// undo rolls the transaction back.
func (s *Store) undo() {
	if err := rollback(s.writer.conn); err != nil {
		s.replace()
	}
}

// rollback ends the transaction of a connection, which SQLite may have done already.
func rollback(c *conn) error {
	_, err := c.exec("ROLLBACK")
	if err != nil && strings.Contains(err.Error(), "no transaction is active") {
		return nil
	}
	return err
}

// replace gives the writer's connection up, which rolls back what is open on it; the next group opens another one.
func (s *Store) replace() {
	if err := errors.Join(rollback(s.writer.conn), s.writer.conn.close()); err != nil {
		s.checkpoints.record(0, 0, err) // nothing depends on it, but it is not hidden
	}
	s.writer.conn = nil
}

// finish tells the caller.
func (s *Store) finish(r *request, err error) {
	r.err = explain(s.path, r.doing, err)
	close(r.done)
}
