// Package sse reads streams of server-sent events.
//
// It follows the HTML standard: lines end in LF, CR or CRLF, an event ends at a blank line, an event without data is not an
// event, and one that is cut off by the end of the stream is not dispatched. Reading is bounded: a peer cannot make us hold more
// than one event of the given size.
package sse

import (
	"bufio"
	"bytes"
	"errors"
	"io"
)

// ErrTooLong is returned for a line or an event above the reader's bound.
var ErrTooLong = errors.New("sse: event is too long")

// DefaultMax is the bound of an event where none is given.
const DefaultMax = 16 << 20

// Event is one dispatched event.
type Event struct {
	Name string // the event field; empty: "message"
	ID   string // the last id seen on the stream, which a client resumes from
	Data []byte // the data lines, joined by LF; owned by the caller
}

// Reader reads events one after another. It is not safe for concurrent use.
type Reader struct {
	r      *bufio.Reader
	max    int
	id     string
	line   []byte
	begun  bool
	lastCR bool
}

// NewReader reads from r and refuses lines and events above max bytes; max 0 means DefaultMax.
func NewReader(r io.Reader, max int) *Reader {
	if max <= 0 {
		max = DefaultMax
	}
	return &Reader{r: bufio.NewReaderSize(r, 16<<10), max: max}
}

// Next returns the next event. At the end of the stream it returns io.EOF, and what the underlying reader says when that fails.
// After an error the reader must not be used again.
func (r *Reader) Next() (Event, error) {
	var ev Event
	hasData := false
	for {
		line, err := r.readLine()
		if err != nil {
			return Event{}, err
		}
		if len(line) == 0 {
			if hasData {
				ev.ID = r.id
				return ev, nil
			}
			ev = Event{}
			continue
		}
		field, value := split(line)
		switch field {
		case "data":
			if len(ev.Data)+len(value)+1 > r.max {
				return Event{}, ErrTooLong
			}
			if hasData {
				ev.Data = append(ev.Data, '\n')
			}
			ev.Data = append(ev.Data, value...)
			hasData = true
		case "event":
			ev.Name = string(value)
		case "id":
			if bytes.IndexByte(value, 0) < 0 {
				r.id = string(value)
			}
		}
	}
}

// split returns the field's name and value. A comment has an empty name.
func split(line []byte) (string, []byte) {
	field, value, _ := bytes.Cut(line, []byte{':'})
	return string(field), bytes.TrimPrefix(value, []byte{' '})
}

// readLine returns the next line without its end; it is valid until the next call. A line that the end of the stream cuts off is
// not returned.
func (r *Reader) readLine() ([]byte, error) {
	r.line = r.line[:0]
	for {
		chunk, err := r.r.Peek(1)
		if err != nil {
			return nil, err
		}
		if r.lastCR {
			r.lastCR = false
			if chunk[0] == '\n' {
				_, _ = r.r.Discard(1) // the byte was peeked: this cannot fail
				continue
			}
		}
		chunk, _ = r.r.Peek(r.r.Buffered())
		end := bytes.IndexAny(chunk, "\r\n")
		part := chunk
		if end >= 0 {
			part = chunk[:end]
		}
		if len(r.line)+len(part) > r.max {
			return nil, ErrTooLong
		}
		r.line = append(r.line, part...)
		if end < 0 {
			_, _ = r.r.Discard(len(chunk))
			continue
		}
		r.lastCR = chunk[end] == '\r'
		_, _ = r.r.Discard(end + 1)
		if !r.begun {
			r.begun = true
			return bytes.TrimPrefix(r.line, []byte("\xef\xbb\xbf")), nil
		}
		return r.line, nil
	}
}
