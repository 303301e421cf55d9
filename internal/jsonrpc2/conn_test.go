package jsonrpc2_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/meerkat-go/meerkat/internal/jsonrpc2"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// echo answers each request with its params.
type echo struct {
	*jsonrpc2.Conn
	written  atomic.Int64
	requests atomic.Int64
	notes    atomic.Int64
}

func (e *echo) Request(m jsonrpc2.Message) {
	e.requests.Add(1)
	e.Answer(m.ID, m.Params, func() { e.written.Add(1) })
}

func (e *echo) Notification(jsonrpc2.Message) { e.notes.Add(1) }

// pair is a connection that runs, and the other end of it.
type pair struct {
	*echo
	far  net.Conn
	in   *bufio.Reader
	over chan error
	stop context.CancelFunc
}

func connect(t *testing.T) *pair {
	t.Helper()
	near, far := net.Pipe()
	ctx, stop := context.WithCancel(context.Background())
	p := &pair{echo: &echo{Conn: jsonrpc2.New(near, near)}, far: far, in: bufio.NewReader(far), over: make(chan error, 1), stop: stop}
	go func() {
		err := p.Run(ctx, p.echo, func() {}, time.Second)
		p.over <- errors.Join(err, near.Close())
	}()
	t.Cleanup(func() {
		stop()
		_ = far.Close()
		select {
		case <-p.over:
		default:
		}
	})
	return p
}

func (p *pair) send(t *testing.T, line string) {
	t.Helper()
	if _, err := io.WriteString(p.far, line+"\n"); err != nil {
		t.Fatal(err)
	}
}

func (p *pair) expect(t *testing.T, want string) {
	t.Helper()
	got, err := p.in.ReadString('\n')
	if err != nil || strings.TrimSuffix(got, "\n") != want {
		t.Fatalf("got %s%v, want %s", got, err, want)
	}
}

func (p *pair) end(t *testing.T) error {
	t.Helper()
	err := <-p.over
	p.over <- err
	return err
}

func TestIds_are_echoed_as_they_were_sent(t *testing.T) {
	t.Parallel()
	p := connect(t)
	for _, id := range []string{`1`, `"1"`, `-3`, `"a\"b"`, `12345678901234567890`} {
		p.send(t, `{"id":`+id+`,"method":"m","params":[ 1 , 2 ]}`)
		p.expect(t, `{"jsonrpc":"2.0","id":`+id+`,"result":[ 1 , 2 ]}`)
	}
}

func TestWhat_cannot_be_read_is_answered_and_reading_goes_on(t *testing.T) {
	t.Parallel()
	p := connect(t)
	p.send(t, `nonsense`)
	p.expect(t, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error: invalid character 'o' in literal null (expecting 'u') at byte 2"}}`)
	p.send(t, `[]`)
	p.expect(t, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"Parse error: an array is no message; batches are not supported"}}`)
	p.send(t, `{"id":4,"method":"m","params":"<&>"}`)
	p.expect(t, `{"jsonrpc":"2.0","id":4,"result":"<&>"}`)
}

func TestThe_end_of_the_input_ends_the_connection_in_good_order(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	c := &echo{}
	c.Conn = jsonrpc2.New(strings.NewReader(`{"id":1,"method":"m","params":1}`), &out)
	err := c.Run(t.Context(), c, func() { c.Notify("late", 2) }, time.Second)
	want := "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":1}\n{\"jsonrpc\":\"2.0\",\"method\":\"late\",\"params\":2}\n"
	if err != nil || out.String() != want || c.written.Load() != 1 {
		t.Errorf("%v %q", err, out.String())
	}
}

func TestA_call_is_answered_refused_or_abandoned(t *testing.T) {
	t.Parallel()
	p := connect(t)
	type answer struct {
		value string
		err   error
	}
	calls := make([]chan answer, 3)
	ctx, cancel := context.WithCancelCause(t.Context())
	for n := range calls {
		calls[n] = make(chan answer, 1)
		go func() {
			v, err := p.Call(ctx, "ask", n)
			calls[n] <- answer{string(v), err}
		}()
		p.expect(t, fmt.Sprintf(`{"jsonrpc":"2.0","id":"srv-%d","method":"ask","params":%d}`, n, n))
	}
	p.send(t, `{"id":"srv-9","result":"nobody asked"}`)
	p.send(t, `{"id":0,"result":"nobody asked"}`)
	p.send(t, `{"id":"srv-1","error":{"code":-1,"message":"no"}}`)
	p.send(t, `{"id":"srv-0","result":"yes"}`)
	p.send(t, `{"id":"srv-0","result":"again"}`)
	var refused *jsonrpc2.Error
	if got := <-calls[1]; !errors.As(got.err, &refused) || refused.Message != "no" {
		t.Error(got)
	}
	if got := <-calls[0]; got.err != nil || got.value != `"yes"` {
		t.Error(got)
	}
	enough := errors.New("enough")
	cancel(enough)
	if got := <-calls[2]; !errors.Is(got.err, enough) {
		t.Error(got)
	}
	p.send(t, `{"id":"srv-2","result":"late"}`)
	p.send(t, `{"id":1,"method":"m","params":1}`)
	p.expect(t, `{"jsonrpc":"2.0","id":1,"result":1}`)
}

func TestWhoever_waits_for_an_answer_hears_that_the_connection_has_ended(t *testing.T) {
	t.Parallel()
	p := connect(t)
	failed := make(chan error, 1)
	go func() {
		_, err := p.Call(context.Background(), "ask", nil)
		failed <- err
	}()
	p.expect(t, `{"jsonrpc":"2.0","id":"srv-0","method":"ask","params":null}`)
	if err := p.far.Close(); err != nil {
		t.Fatal(err)
	}
	if err := <-failed; !errors.Is(err, jsonrpc2.ErrClosed) {
		t.Error(err)
	}
	if err := p.end(t); err != nil {
		t.Error(err)
	}
	if _, err := p.Call(t.Context(), "ask", nil); !errors.Is(err, jsonrpc2.ErrClosed) {
		t.Error(err)
	}
	if p.Notify("n", nil) || p.Tell("n", nil) == nil {
		t.Error("a connection that has ended takes something to send")
	}
}

func TestNotifications_are_dropped_where_nobody_reads_and_answers_are_not(t *testing.T) {
	t.Parallel()
	p := connect(t)
	taken := 0
	for range 2 * jsonrpc2.MaxNotes {
		if p.Notify("n", 1) {
			taken++
		}
	}
	if taken < jsonrpc2.MaxNotes || taken > jsonrpc2.MaxNotes+1000 { // some are in the writer's hands
		t.Errorf("%d were taken", taken)
	}
	if p.Tell("sure", 2) != nil {
		t.Error("what must not be dropped is")
	}
	for range taken {
		p.expect(t, `{"jsonrpc":"2.0","method":"n","params":1}`)
	}
	p.expect(t, `{"jsonrpc":"2.0","method":"sure","params":2}`)
}

func TestNotifications_are_bounded_by_their_bytes_too(t *testing.T) {
	t.Parallel()
	p := connect(t)
	taken := 0
	for range 40 {
		if p.Notify("n", strings.Repeat("x", 1<<20)) {
			taken++
		}
	}
	if taken < 14 || taken > 17 {
		t.Errorf("%d of 1 MiB each were taken", taken)
	}
}

func TestNobody_who_does_not_read_makes_us_read_for_ever(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := connect(t)
		sent := make(chan int, 1)
		go func() {
			n := 0
			for ; n < 3*jsonrpc2.MaxOwed; n++ {
				if _, err := io.WriteString(p.far, `{"id":1,"method":"m","params":"`+strings.Repeat("x", 100)+"\"}\n"); err != nil {
					break
				}
			}
			sent <- n
		}()
		synctest.Wait()
		if n := p.requests.Load(); n < jsonrpc2.MaxOwed || n > jsonrpc2.MaxOwed+1000 {
			t.Errorf("%d requests were read", n)
		}
		for range 3 * jsonrpc2.MaxOwed {
			p.expect(t, `{"jsonrpc":"2.0","id":1,"result":"`+strings.Repeat("x", 100)+`"}`)
		}
		if n := <-sent; n != 3*jsonrpc2.MaxOwed {
			t.Errorf("%d were sent", n)
		}
		p.stop()
		_ = p.end(t)
	})
}

func TestA_connection_that_is_stopped_does_not_wait_for_a_reader_for_ever(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := connect(t)
		p.Notify("n", 1)
		synctest.Wait()
		began := time.Now()
		p.stop()
		if err := p.end(t); err == nil {
			t.Error("what was not sent is passed over")
		}
		if d := time.Since(began); d != time.Second {
			t.Errorf("it took %v", d)
		}
	})
}
