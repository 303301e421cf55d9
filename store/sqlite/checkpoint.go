package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"sync"
	"time"
)

// checkpointEvery is how long the log collects before a checkpoint folds it into the database. A checkpoint inside the writer would
// make every thousandth commit wait for it.
const checkpointEvery = 250 * time.Millisecond

// foldAbove is the length of the log, in pages, above which the writer helps. While it writes without a pause the checkpointer never
// reaches the end of the log, and only from its end can the log begin anew.
const foldAbove = 16384 // 64 MiB

// Stats tells how the store is doing.
type Stats struct {
	Groups, Requests uint64 // transactions, and the requests carried out in them
	LargestGroup     uint64
	Checkpoints      uint64
	LogPages         int64 // length of the log at the last checkpoint
	CheckpointError  error // of the last checkpoint; nil: it went well
}

// Stats returns the counters since Open.
func (s *Store) Stats() Stats {
	c := &s.checkpoints
	c.mu.Lock()
	defer c.mu.Unlock()
	return Stats{s.writer.groups.Load(), s.writer.requests.Load(), s.writer.largest.Load(), c.count, c.logPages, c.err}
}

// checkpointer is the state of the checkpointing goroutine.
type checkpointer struct {
	conn *conn // made at the first checkpoint

	mu       sync.Mutex // guards what follows
	count    uint64
	logPages int64
	err      error
}

// checkpoint folds the log a while after something was written, and sleeps otherwise.
func (s *Store) checkpoint() {
	for {
		select {
		case <-s.written:
		case <-s.drained:
			return
		}
		wait := time.NewTimer(checkpointEvery)
		select {
		case <-wait.C:
		case <-s.drained:
			wait.Stop()
			return
		}
		select {
		case <-s.written: // covered by what follows
		default:
		}
		c := &s.checkpoints
		if c.conn == nil {
			conn, err := s.openConn(false)
			if err != nil {
				c.record(0, 0, err)
				continue
			}
			c.conn = conn
		}
		log, done, err := passive(c.conn)
		c.record(log, done, err)
		if log > s.options.foldAbove {
			s.writer.fold.Store(true)
		}
	}
}

// record keeps the result of a checkpoint, or of what was done in its place, for Stats.
func (c *checkpointer) record(log, _ int64, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.count++
	c.logPages, c.err = log, err
}

// passive folds as much of the log as it can without making anybody wait.
func passive(c *conn) (log, done int64, err error) {
	err = c.query(context.Background(), func(row []driver.Value) error {
		log, done = integer(row[1]), integer(row[2])
		if integer(row[0]) != 0 {
			return errors.New("checkpoint: another one is going on")
		}
		return nil
	}, "PRAGMA wal_checkpoint(PASSIVE)")
	return log, done, err
}
