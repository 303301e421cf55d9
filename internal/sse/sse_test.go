package sse

import (
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/google/go-cmp/cmp"
)

func readAll(r *Reader) ([]Event, error) {
	var out []Event
	for {
		ev, err := r.Next()
		if err != nil {
			return out, err
		}
		out = append(out, ev)
	}
}

func TestEvents_are_read_as_the_standard_says(t *testing.T) {
	t.Parallel()
	ev := func(name, id, data string) Event { return Event{Name: name, ID: id, Data: []byte(data)} }
	for _, c := range []struct {
		name, in string
		want     []Event
	}{
		{"data lines are joined by a line feed", "data: a\ndata: b\n\n", []Event{ev("", "", "a\nb")}},
		{"every kind of line end ends a line", "data: a\r\n\r\ndata: b\r\rdata: c\n\n", []Event{ev("", "", "a"), ev("", "", "b"), ev("", "", "c")}},
		{"a comment is no event", ": keep alive\n\n: again\ndata: a\n\n", []Event{ev("", "", "a")}},
		{"an event without data is no event", "event: ping\n\ndata: a\n\n", []Event{ev("", "", "a")}},
		{"an id stays until the next one", "id: 7\ndata: a\n\ndata: b\n\n", []Event{ev("", "7", "a"), ev("", "7", "b")}},
		{"one space after the colon is not data", "data:  a\ndata:b\n\n", []Event{ev("", "", " a\nb")}},
		{"a byte order mark is skipped", "\xef\xbb\xbfdata: a\n\n", []Event{ev("", "", "a")}},
		{"what the end cuts off is not dispatched", "data: a\n\ndata: b\n", []Event{ev("", "", "a")}},
		{"a field without colon has an empty value", "data\n\n", []Event{{}}},
		{"an event has its name", "event: message_stop\ndata: {}\n\n", []Event{ev("message_stop", "", "{}")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			for _, r := range []io.Reader{strings.NewReader(c.in), iotest.OneByteReader(strings.NewReader(c.in))} {
				got, err := readAll(NewReader(r, 0))
				if err != io.EOF {
					t.Fatalf("the end is reported as %v", err)
				}
				if d := cmp.Diff(c.want, got); d != "" {
					t.Error(d)
				}
			}
		})
	}
}

func TestA_line_above_the_bound_is_refused(t *testing.T) {
	t.Parallel()
	if _, err := NewReader(strings.NewReader("data: "+strings.Repeat("x", 200)+"\n\n"), 100).Next(); !errors.Is(err, ErrTooLong) {
		t.Fatalf("got %v", err)
	}
}

func TestAn_event_of_many_lines_above_the_bound_is_refused(t *testing.T) {
	t.Parallel()
	if _, err := NewReader(strings.NewReader(strings.Repeat("data: 0123456789\n", 20)+"\n"), 100).Next(); !errors.Is(err, ErrTooLong) {
		t.Fatalf("got %v", err)
	}
}

func TestA_failing_stream_fails_the_reader(t *testing.T) {
	t.Parallel()
	broken := errors.New("broken")
	r := NewReader(io.MultiReader(strings.NewReader("data: a\n\ndata"), iotest.ErrReader(broken)), 0)
	got, err := readAll(r)
	if len(got) != 1 || !errors.Is(err, broken) {
		t.Fatalf("got %v, %v", got, err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add("event: a\r\ndata: b\rdata\n\n")
	f.Add("\xef\xbb\xbfid: 1\n: c\n\ndata: x\n\n")
	f.Fuzz(func(t *testing.T, in string) {
		whole, err := readAll(NewReader(strings.NewReader(in), 64))
		if err != io.EOF && !errors.Is(err, ErrTooLong) {
			t.Fatalf("unexpected error %v", err)
		}
		bytewise, err2 := readAll(NewReader(iotest.OneByteReader(strings.NewReader(in)), 64))
		if err != err2 {
			t.Fatalf("errors differ by how the bytes arrive: %v, %v", err, err2)
		}
		if d := cmp.Diff(whole, bytewise); d != "" {
			t.Fatalf("events differ by how the bytes arrive: %s", d)
		}
		for _, ev := range whole {
			if len(ev.Data) > 64 {
				t.Fatalf("an event of %d bytes passed the bound", len(ev.Data))
			}
		}
	})
}
