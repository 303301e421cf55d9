package jsonrpc2_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/internal/jsonrpc2"
)

func TestA_line_is_a_request_a_notification_or_an_answer(t *testing.T) {
	t.Parallel()
	for line, want := range map[string]string{
		`{"jsonrpc":"2.0","id":1,"method":"a","params":{}}`: `request a 1 {}`,
		`{"id":"1","method":"a"}`:                           `request a "1" `,
		`{"id":-7,"method":"a","params":null}`:              `request a -7 null`,
		`{"method":"a","other":1}`:                          `notification a `,
		`{"id":"srv-0","result":{"content":"x"}}`:           `answer "srv-0" {"content":"x"}`,
		`{"id":"srv-0","error":{"code":-1,"message":"no"}}`: `answer "srv-0" no`,
		`{"id":"srv-0","error":7}`:                          `answer "srv-0" an error that cannot be read`,
		`{}`:                                                `answer  `,
		`{"METHOD":"a","id":1}`:                             `answer 1 `,
		`[{"id":1,"method":"a"}]`:                           `refused -32700 `,
		`{"id":1,`:                                          `refused -32700 `,
		`7`:                                                 `refused -32700 `,
		`null`:                                              `refused -32700 `,
		"{\"id\":1,\"method\":\"\xff\"}":                    `refused -32700 `,
		`{"id":3,"method":7}`:                               `refused -32600 3`,
		`{"id":3,"method":""}`:                              `refused -32600 3`,
		`{"id":null,"method":"a"}`:                          `refused -32600 `,
		`{"id":{},"method":"a"}`:                            `refused -32600 `,
		`{"jsonrpc":"1.0","id":"x","method":"a"}`:           `refused -32600 "x"`,
		`{"id":"` + strings.Repeat("x", 300) + `","method":"a"}`:   `refused -32600 `,
		`{"id":1,"method":"a"} {"id":2,"method":"b"}`:              `refused -32700 `,
		strings.Repeat(`{"a":`, 20000) + strings.Repeat(`}`, 2000): `refused -32700 `,
	} {
		if got := kind(jsonrpc2.Parse([]byte(line))); got != want {
			t.Errorf("%.80s\n got %s\nwant %s", line, got, want)
		}
	}
}

func kind(m jsonrpc2.Message, err error) string {
	var bad *jsonrpc2.LineError
	switch {
	case errors.As(err, &bad):
		return fmt.Sprintf("refused %d %s", bad.Err.Code, bad.ID)
	case err != nil:
		return "error " + err.Error()
	case m.Err != nil:
		return fmt.Sprintf("answer %s %s", m.ID, m.Err.Message)
	case m.Answer():
		return fmt.Sprintf("answer %s %s", m.ID, m.Result)
	case m.Request():
		return fmt.Sprintf("request %s %s %s", m.Method, m.ID, m.Params)
	}
	return fmt.Sprintf("notification %s %s", m.Method, m.Params)
}

func TestLines_are_read_whatever_stands_between_them(t *testing.T) {
	t.Parallel()
	r := jsonrpc2.NewReader(strings.NewReader("\n\r\n  \n{\"method\":\"a\"}\r\nnonsense\n{\"method\":\"b\"}\n\n{\"method\":\"c\"}"), 0)
	var got []string
	for {
		m, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		got = append(got, kind(m, err))
	}
	if want := "notification a |refused -32700 |notification b |notification c "; strings.Join(got, "|") != want {
		t.Error(strings.Join(got, "|"))
	}
}

func TestA_line_has_a_longest_length(t *testing.T) {
	t.Parallel()
	fits := `{"method":"` + strings.Repeat("a", 100_000-13) + `"}`
	for _, end := range []string{"\n", "\r\n"} {
		r := jsonrpc2.NewReader(strings.NewReader(fits+end+fits+" "+end+`{"method":"b"}`), 100_000)
		if m, err := r.Next(); err != nil || len(m.Method) != 100_000-13 {
			t.Error(kind(m, err))
		}
		if got := kind(r.Next()); got != "refused -32700 " {
			t.Error(got)
		}
		if got := kind(r.Next()); got != "notification b " {
			t.Error(got)
		}
	}
}

// endless gives n bytes of one line, and then what follows.
type endless struct {
	n    int
	then io.Reader
}

func (e *endless) Read(p []byte) (int, error) {
	if e.n == 0 {
		return e.then.Read(p)
	}
	n := min(e.n, len(p))
	for i := range p[:n] {
		p[i] = 'x'
	}
	e.n -= n
	return n, nil
}

func TestA_line_of_100_MB_is_refused_and_takes_a_bounded_amount_of_memory(t *testing.T) {
	t.Parallel()
	r := jsonrpc2.NewReader(&endless{100 << 20, strings.NewReader("\n{\"method\":\"b\"}\n")}, 1<<20)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := kind(r.Next())
	runtime.ReadMemStats(&after)
	if got != "refused -32700 " {
		t.Error(got)
	}
	if n := after.TotalAlloc - before.TotalAlloc; n > 200<<20 { // of the whole process, whose other tests run meanwhile; kept, it would be twice that
		t.Errorf("%d bytes were allocated for a line that is longer than 1 MiB", n)
	}
	if got := kind(r.Next()); got != "notification b " {
		t.Error(got)
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{`{"id":1,"method":"a","params":{}}`, `{"id":"x","result":1}`, `[1]`, `{`, "\xff", `{"id":1e400,"method":"a"}`, `{"error":{"code":"x"}}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, line []byte) {
		m, err := jsonrpc2.Parse(line)
		var bad *jsonrpc2.LineError
		if err != nil && !errors.As(err, &bad) {
			t.Fatalf("%q: %v", line, err)
		}
		id := m.ID
		if bad != nil {
			id = bad.ID
		}
		if id != "" && !json.Valid([]byte(id)) {
			t.Errorf("%q: the id %q is no JSON", line, id)
		}
	})
}

func FuzzReader(f *testing.F) {
	f.Add([]byte("{\"method\":\"a\"}\n\r\n{"), 10)
	f.Fuzz(func(t *testing.T, input []byte, max int) {
		r := jsonrpc2.NewReader(strings.NewReader(string(input)), max%1000)
		for range strings.Count(string(input), "\n") + 2 {
			_, err := r.Next()
			var bad *jsonrpc2.LineError
			if errors.Is(err, io.EOF) {
				return
			}
			if err != nil && !errors.As(err, &bad) {
				t.Fatal(err)
			}
		}
		t.Errorf("%q has more messages than lines", input)
	})
}
