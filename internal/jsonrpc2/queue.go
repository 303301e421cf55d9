package jsonrpc2

import (
	"bufio"
	"context"
	"io"
	"sync"
)

// Bounds of what waits to be written on one connection.
const (
	// MaxNotes is how many notifications may wait, and MaxNoteBytes how many bytes of them. One that would be more is dropped.
	MaxNotes     = 4096
	MaxNoteBytes = 16 << 20
	// MaxOwed is how many answers and requests may wait, and MaxOwedBytes how many bytes of them, before no more lines are read. None of them is
	// ever dropped.
	MaxOwed      = 4096
	MaxOwedBytes = 16 << 20
	// FreeWaiting is how many bytes may wait on one connection without a place in a Budget that it shares with others.
	FreeWaiting = 1 << 20
)

// entry is a line that waits to be written.
type entry struct {
	line    []byte
	note    bool
	written func() // called once it was written, or never will be; nil: nobody wants to know
	must    bool   // it is small, and is taken whatever else waits
	held    int    // of the budget
}

// queue is what waits to be written, in order.
type queue struct {
	mu        sync.Mutex
	waiting   []entry
	notes     int // of waiting, and of the one that is being written
	noteBytes int
	owed      int
	owedBytes int
	closed    bool          // nothing more is taken
	budget    *Budget       // what all connections share beyond FreeWaiting
	wake      chan struct{} // holds one: there is something to write, or no more to come
	room      chan struct{} // closed when something was written; nil: nobody waits
}

func newQueue() *queue { return &queue{wake: make(chan struct{}, 1)} }

// put takes an entry in, and reports whether it did: not if it is a notification too many, there is no room for it beside what waits on other
// connections, or the queue is closed.
func (q *queue) put(e entry) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.closed || e.note && (q.notes >= MaxNotes || q.noteBytes+len(e.line) > MaxNoteBytes) {
		return false
	}
	if size := len(e.line); !e.must && q.noteBytes+q.owedBytes+size > FreeWaiting {
		if !q.budget.take(size) {
			return false
		}
		e.held = size
	}
	q.count(e, 1)
	q.waiting = append(q.waiting, e)
	q.signal()
	return true
}

func (q *queue) count(e entry, sign int) {
	if e.note {
		q.notes += sign
		q.noteBytes += sign * len(e.line)
		return
	}
	q.owed += sign
	q.owedBytes += sign * len(e.line)
}

func (q *queue) signal() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}

// close takes nothing more.
func (q *queue) close() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.closed = true
	q.signal()
	q.freed()
}

func (q *queue) freed() {
	if q.room != nil {
		close(q.room)
		q.room = nil
	}
}

// take returns the next entry; ok is false if there is none now, over if there will be none.
func (q *queue) take() (e entry, ok, over bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.waiting) == 0 {
		q.waiting = nil // its array is that of the largest crowd there was
		return entry{}, false, q.closed
	}
	e = q.waiting[0]
	q.waiting[0] = entry{}
	q.waiting = q.waiting[1:]
	return e, true, false
}

// done says that an entry is off our hands.
func (q *queue) done(e entry) {
	q.mu.Lock()
	q.count(e, -1)
	q.freed()
	q.mu.Unlock()
	q.budget.give(e.held)
	if e.written != nil {
		e.written()
	}
}

// waitRoom blocks while more is owed than may be.
func (q *queue) waitRoom(ctx context.Context) error {
	for {
		q.mu.Lock()
		if q.closed || q.owed < MaxOwed && q.owedBytes < MaxOwedBytes {
			q.mu.Unlock()
			return nil
		}
		if q.room == nil {
			q.room = make(chan struct{})
		}
		room := q.room
		q.mu.Unlock()
		select {
		case <-room:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// write writes what waits until the queue is closed and empty, or writing fails; then what is left is let go.
func (q *queue) write(out io.Writer) error {
	w := bufio.NewWriterSize(out, 32<<10)
	err := q.writeAll(w)
	q.close()
	for {
		e, ok, _ := q.take()
		if !ok {
			return err
		}
		q.done(e)
	}
}

func (q *queue) writeAll(w *bufio.Writer) error {
	for {
		e, ok, over := q.take()
		switch {
		case ok:
			_, err := w.Write(e.line)
			q.done(e)
			if err != nil {
				return err
			}
		case over:
			return w.Flush()
		default:
			if err := w.Flush(); err != nil {
				return err
			}
			<-q.wake
		}
	}
}
