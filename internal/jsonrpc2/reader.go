package jsonrpc2

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"sync/atomic"
)

// MaxLine is how long a line may be, in bytes, where nothing else is said.
const MaxLine = 32 << 20

// FreeLine is how long a line may be without a place in a Budget, in bytes.
const FreeLine = 256 << 10

// Budget bounds the bytes of long lines that are in memory at once, on all connections that share it. Nil: there is no bound.
type Budget struct{ left atomic.Int64 }

// NewBudget makes a budget of so many bytes.
func NewBudget(n int64) *Budget {
	b := &Budget{}
	b.left.Store(n)
	return b
}

func (b *Budget) take(n int) bool {
	if b == nil || b.left.Add(int64(-n)) >= 0 {
		return true
	}
	b.give(n)
	return false
}

func (b *Budget) give(n int) {
	if b != nil {
		b.left.Add(int64(n))
	}
}

// Reader reads messages. One goroutine at a time.
type Reader struct {
	in     *bufio.Reader
	max    atomic.Int64
	budget *Budget
}

// NewReader reads from in. max 0: MaxLine.
func NewReader(in io.Reader, max int) *Reader {
	r := &Reader{in: bufio.NewReaderSize(in, 64<<10)}
	r.SetMax(max)
	return r
}

// SetMax says how long a line may be from the next one on; 0: MaxLine. Any goroutine may call it.
func (r *Reader) SetMax(max int) {
	if max <= 0 {
		max = MaxLine
	}
	r.max.Store(int64(max))
}

// Next returns the next message. Empty lines are passed over, and a carriage return at the end of one. After a *LineError reading can go on; any
// other error ends it. A line that is too long is read to its end and not kept.
func (r *Reader) Next() (Message, error) {
	for {
		line, held, err := r.line()
		if err != nil {
			r.budget.give(held)
			return Message{}, err
		}
		if len(bytes.TrimSpace(line)) == 0 {
			r.budget.give(held)
			continue
		}
		m, err := Parse(line)
		if err != nil {
			r.budget.give(held)
			return Message{}, err
		}
		m.held, m.budget = held, r.budget
		return m, nil
	}
}

// line reads to the next newline, and says how much of the budget it holds. What stands before the end of the input without one is a line too.
func (r *Reader) line() (kept []byte, held int, err error) {
	const step = 1 << 20
	for {
		part, err := r.in.ReadSlice('\n')
		max := int(r.max.Load()) // looked up late: it may have changed while nothing came
		size := len(kept) + len(part)
		if size > max+2 { // the newline and a carriage return do not count
			if len(kept) == 0 {
				kept = part
			}
			return nil, held, r.discard(err, tooLong(kept, max))
		}
		if size > FreeLine && size > held {
			if !r.budget.take(step) {
				return nil, held, r.discard(err, tooMany(kept))
			}
			held += step
		}
		kept = append(kept, part...)
		switch {
		case err == nil, errors.Is(err, io.EOF) && len(kept) > 0:
			kept, err = trim(kept, max)
			return kept, held, err
		case errors.Is(err, bufio.ErrBufferFull):
		default:
			return nil, held, err
		}
	}
}

func trim(line []byte, max int) ([]byte, error) {
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if len(line) > max {
		return nil, tooLong(line, max)
	}
	return line, nil
}

func tooLong(begun []byte, max int) *LineError {
	return refuse(idOf(begun), CodeParse, "Parse error: the line is too long: %d bytes are the most", max)
}

func tooMany(begun []byte) *LineError {
	e := refuse(idOf(begun), -32603, "too many long lines are being read: send it again")
	e.Err.Data = json.RawMessage(`{"reason":"overloaded","retry_after_ms":1000}`)
	return e
}

// idOf finds the id in the beginning of a line, where clients write it; empty: it is not there.
func idOf(begun []byte) ID {
	d := json.NewDecoder(bytes.NewReader(begun[:min(len(begun), 4<<10)]))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return ""
	}
	for {
		name, err := d.Token()
		if err != nil {
			return ""
		}
		var value json.RawMessage
		if d.Decode(&value) != nil {
			return ""
		}
		if name == "id" {
			id, _ := parseID(value) // one that is none is as good as none
			return id
		}
	}
}

// discard reads on to the end of a line that is not kept, and returns what is said of it; err is what came with its last part.
func (r *Reader) discard(err error, why *LineError) error {
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.in.ReadSlice('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return why
}
