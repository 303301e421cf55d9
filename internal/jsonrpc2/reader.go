package jsonrpc2

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"sync/atomic"
)

// MaxLine is how long a line may be, in bytes, where nothing else is said.
const MaxLine = 32 << 20

// Reader reads messages. One goroutine at a time.
type Reader struct {
	in  *bufio.Reader
	max atomic.Int64
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
		line, err := r.line()
		if err != nil {
			return Message{}, err
		}
		if len(bytes.TrimSpace(line)) > 0 {
			return Parse(line)
		}
	}
}

// line reads to the next newline. What stands before the end of the input without one is a line too.
func (r *Reader) line() ([]byte, error) {
	var kept []byte
	for {
		part, err := r.in.ReadSlice('\n')
		max := int(r.max.Load())         // looked up late: it may have changed while nothing came
		if len(kept)+len(part) > max+2 { // the newline and a carriage return do not count
			return nil, r.discard(max, err)
		}
		kept = append(kept, part...)
		switch {
		case err == nil:
			return trim(kept, max)
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(kept) > 0:
			return trim(kept, max)
		default:
			return nil, err
		}
	}
}

func trim(line []byte, max int) ([]byte, error) {
	line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
	if len(line) > max {
		return nil, tooLong(max)
	}
	return line, nil
}

func tooLong(max int) *LineError {
	return refuse("", CodeParse, "Parse error: the line is too long: %d bytes are the most", max)
}

// discard reads on to the end of a line that is too long; err is what came with its last part.
func (r *Reader) discard(max int, err error) error {
	for errors.Is(err, bufio.ErrBufferFull) {
		_, err = r.in.ReadSlice('\n')
	}
	if err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	return tooLong(max)
}
