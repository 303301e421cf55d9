package jsonrpc

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/internal/jsonrpc2"
)

func TestA_line_of_100_MB_is_refused_and_the_next_one_is_read(t *testing.T) {
	t.Parallel()
	p := newWorld(t).connect()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	part := strings.Repeat("x", 1<<20)
	p.write(`{"jsonrpc":"2.0","id":1,"method":"session/create","params":{"prompt":"`)
	for range 100 {
		p.write(part)
	}
	p.send(`"}}`)
	p.answer(1).refused(t, jsonrpc2.CodeParse, "the line is too long")
	runtime.ReadMemStats(&after)
	if n := after.HeapSys - before.HeapSys; int64(n) > 200<<20 { // of the whole process, whose other tests run meanwhile
		t.Errorf("the heap grew by %d MiB", n>>20)
	}
	p.call(2, "runtime/health", "{}").ok(t)
}

func TestLong_lines_of_many_clients_have_a_bound_together(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.share()
	w.long = jsonrpc2.NewBudget(6 << 20) // two lines have room: one may be read while the one before it is let go
	first, other, second := w.connect(), w.connect(), w.connect()
	long := strings.Repeat("x", 2<<20)
	for _, p := range []*peer{first, other} {
		p.write(`{"jsonrpc":"2.0","id":1,"method":"session/list","params":{"x":"` + long)
	}
	second.send(request1(7, "session/list", `{"x":"`+long+`"}`))
	a := second.answer(7)
	a.refused(t, -32603, "too many long lines")
	if !strings.Contains(string(a.Err.Data), "overloaded") {
		t.Errorf("%s", a.Err.Data)
	}
	for _, p := range []*peer{first, other} {
		p.send(`"}}`)
		p.answer(1).ok(t)
	}
	for n := range 5 { // what was held is given back
		second.call(10+n, "session/list", `{"x":"`+long+`"}`).ok(t)
		second.call(20+n, "no/method", `{"x":"`+long+`"}`).refused(t, jsonrpc2.CodeMethod, "")
		second.send(`["` + long + `"]`)
		second.until(`"id":null`)
		second.send(`{"method":"cancel","params":{"x":"` + long + `"}}`)
	}
	second.send(`{"jsonrpc":"2.0","id":99,"method":"runtime/health"}`)
	second.answer(99).ok(t)
	first.leave()
	second.leave()
	if first.ended() != nil || second.ended() != nil {
		t.Error("a connection did not end well")
	}
	for range 3 {
		w.connect().call(1, "session/list", `{"x":"`+long+`"}`).ok(t)
	}
}

func (p *peer) write(text string) {
	p.t.Helper()
	if _, err := io.WriteString(p.conn, text); err != nil {
		p.t.Fatal(err)
	}
}

func TestWhoever_sends_half_a_line_holds_up_nobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	half := w.connect()
	half.write(`{"jsonrpc":"2.0","id":1,`)
	if got := w.connect().call(1, "session/list", "{}").ok(t); got["sessions"] == nil {
		t.Error(got)
	}
	began := time.Now()
	half.stop()
	if err := half.ended(); err != nil || time.Since(began) > Grace {
		t.Error(err, time.Since(began))
	}
}

func TestWhoever_does_not_read_holds_up_neither_his_run_nor_anybody_else(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, deaf := w.connect(), w.silent()
	s := p.create(1, "hello")
	deaf.send(request1(1, "session/stream_open", fmt.Sprintf(`{"session_id":%q}`, s)))
	for n := range 4 { // 2,000 deltas each: more than fit in the queue
		deaf.send(request1(10+n, "input/submit", fmt.Sprintf(`{"session_id":%q,"prompt":"say many words","input_id":"i%d"}`, s, n)))
	}
	for n := range 4 {
		for {
			a := p.call(100+n, "input/wait", fmt.Sprintf(`{"session_id":%q,"input_id":"i%d"}`, s, n))
			if a.Err != nil && a.Err.Code == -32001 {
				continue // not accepted yet
			}
			if got := a.ok(t); got["state"] != "consumed" {
				t.Error(got)
			}
			break
		}
	}
	deaf.stop()
	if err := deaf.ended(); err == nil {
		t.Error("nobody says that something was not sent")
	}
	p.call(200, "runtime/health", "{}").ok(t)
}

func TestA_stream_that_is_not_read_ends_and_says_why(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, slow := w.connect(), w.silent()
	s := p.create(1, "hello")
	slow.send(request1(1, "session/stream_open", fmt.Sprintf(`{"session_id":%q}`, s)))
	for n := range 8 {
		p.call(10+n, "turn/start", fmt.Sprintf(`{"session_id":%q,"prompt":"say many words"}`, s)).ok(t)
	}
	dec := json.NewDecoder(slow.conn)
	for {
		var m struct {
			Method string
			Params struct {
				Outcome string
				Error   struct{ Code string }
			}
		}
		if err := slow.conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if err := dec.Decode(&m); err != nil {
			t.Fatal(err)
		}
		if m.Method == "session/stream_end" {
			if m.Params.Outcome != "terminal_error" || m.Params.Error.Code != "stream_queue_overflow" {
				t.Errorf("%+v", m)
			}
			return
		}
	}
}

func TestToo_many_open_requests_are_refused_until_some_are_answered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.connect()
	p.send(request1(1, "session/create", `{"prompt":"Write a long essay."}`))
	_, line := p.until("run_started")
	var e struct {
		Params struct {
			Session string `json:"session_id"`
			Event   struct{ Inputs []string }
		}
	}
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		t.Fatal(err)
	}
	wait := fmt.Sprintf(`{"session_id":%q,"input_id":%q}`, e.Params.Session, e.Params.Event.Inputs[0])
	for n := range MaxOpen - 1 {
		p.send(request1(10+n, "input/wait", wait))
	}
	p.send(request1(5000, "runtime/health", `{}`))
	a := p.answer(5000)
	a.refused(t, -32603, "too many requests")
	if !strings.Contains(string(a.Err.Data), `"reason":"overloaded","retry_after_ms":`) {
		t.Errorf("%s", a.Err.Data)
	}
	p.send(`{"jsonrpc":"2.0","method":"cancel","params":{"request_id":10}}`)
	p.answer(10).refused(t, -32005, "request cancelled")
	for n := 5001; ; n++ { // its place is free once the answer is off the server's hands
		if a := p.call(n, "runtime/health", `{}`); a.Err == nil {
			break
		}
	}
	p.send(request1(6000, "turn/interrupt", fmt.Sprintf(`{"session_id":%q}`, e.Params.Session)))
	for seen := 0; seen < MaxOpen-1; { // all are told
		if strings.Contains(p.next(), `"state":"`) {
			seen++
		}
		if seen == MaxOpen-2 {
			break
		}
	}
}

func TestAn_id_that_is_open_is_not_taken_twice(t *testing.T) {
	t.Parallel()
	p := newWorld(t).connect()
	p.send(request1(1, "session/create", `{"prompt":"Write a long essay."}`))
	p.until("text_delta")
	p.send(request1(1, "runtime/health", `{}`))
	p.answer(1).refused(t, jsonrpc2.CodeRequest, "another one with this id is open")
	p.send(`{"jsonrpc":"2.0","id":"1","method":"runtime/health"}`)
	if _, line := p.until(`"id":"1"`); read(t, line).Err != nil {
		t.Error(line)
	}
}

// ring is the keys of a server, of which there is one.
type ring struct{ revoked atomic.Bool }

// Required implements control.Keys.
func (*ring) Required(context.Context) (bool, error) { return true, nil }

// Verify implements control.Keys.
func (r *ring) Verify(_ context.Context, token string) (control.Grant, bool, error) {
	return control.Grant{Key: "k", Realm: "test", Level: control.Writer}, token == "good" && !r.revoked.Load(), nil
}

func TestNothing_is_done_for_whoever_has_not_shown_a_key(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Door.Keys = &ring{}
	p := w.connect()
	for n, m := range []string{"session/list", "session/create", "tools/register", "mob/list"} {
		p.call(10+n, m, `{"prompt":"x"}`).refused(t, jsonrpc2.CodeRequest, "authentication required")
	}
	p.send(`{"jsonrpc":"2.0","id":20,"method":"session/list","params":{"x":"` + strings.Repeat("x", strangerLine) + `"}}`)
	p.answer(20).refused(t, jsonrpc2.CodeParse, "too long")
	p.call(1, "initialize", `{}`).refused(t, jsonrpc2.CodeRequest, "key")
	p.call(2, "initialize", `{"api_key":"bad"}`).refused(t, jsonrpc2.CodeRequest, "key")
	p.call(3, "initialize", `{"api_key":7}`).refused(t, jsonrpc2.CodeParams, "api_key")
	p.call(4, "initialize", `{"api_key":"good"}`).ok(t)
	p.call(5, "session/create", `{"prompt":"`+strings.Repeat("x", 2*strangerLine)+`"}`).ok(t)
	p.call(6, "config/set", `{"config":{}}`).refused(t, jsonrpc2.CodeRequest, "admin")
}

func TestA_connection_whose_key_was_revoked_ends(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	keys := &ring{}
	w.Door.Keys, w.recheck = keys, 5*time.Millisecond
	p := w.connect()
	p.call(1, "initialize", `{"api_key":"good"}`).ok(t)
	p.call(2, "session/list", `{}`).ok(t)
	keys.revoked.Store(true)
	if err := p.ended(); err == nil || !strings.Contains(err.Error(), "key") {
		t.Error(err)
	}
}

func TestA_connection_that_shows_no_key_ends(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.recheck = 5 * time.Millisecond
	waits := w.connect() // where nobody needs one
	keyed := newWorld(t)
	keyed.Door.Keys, keyed.recheck = &ring{}, 5*time.Millisecond
	p := keyed.connect()
	if err := p.ended(); err == nil || !strings.Contains(err.Error(), "no key") {
		t.Error(err)
	}
	waits.call(1, "session/list", `{}`).ok(t)
}

func TestClients_over_TCP_share_a_realm_and_one_that_leaves_takes_nothing_with_it(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var served sync.WaitGroup
	served.Go(func() {
		if err := w.Listen(ctx, l); err != nil {
			t.Error(err)
		}
	})
	dial := func() *peer {
		t.Helper()
		conn, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		p := &peer{t: t, conn: conn}
		p.listen()
		t.Cleanup(p.leave)
		return p
	}
	a, b := dial(), dial()
	a.call(1, "tools/register", `{"tools":[{"name":"lookup","description":"","input_schema":{"type":"object"}}]}`).ok(t)
	a.send(request1(2, "session/create", `{"prompt":"k1"}`))
	_, line := a.until("run_started")
	var e struct {
		Params struct {
			Session string `json:"session_id"`
			Event   struct{ Inputs []string }
		}
	}
	if err := json.Unmarshal([]byte(line), &e); err != nil {
		t.Fatal(err)
	}
	a.until("tool/execute")
	a.leave()
	got := b.call(1, "input/wait", fmt.Sprintf(`{"session_id":%q,"input_id":%q}`, e.Params.Session, e.Params.Event.Inputs[0])).ok(t)
	if how, _ := got["outcome"].(map[string]any); how["status"] != "completed" || how["turns"] != 2.0 {
		t.Error(got)
	}
	stop()
	served.Wait()
	if _, err := net.Dial("tcp", l.Addr().String()); err == nil {
		t.Error("somebody still listens")
	}
}

func TestMore_clients_than_there_are_places_are_told_so(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.MaxConnections = 1
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	var served sync.WaitGroup
	served.Go(func() { _ = w.Listen(ctx, l) })
	defer served.Wait()
	defer stop()
	var conns [2]net.Conn
	for n := range conns {
		if conns[n], err = net.Dial("tcp", l.Addr().String()); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = conns[n].Close() }()
	}
	said, err := io.ReadAll(conns[1])
	if err != nil || !strings.Contains(string(said), `"reason":"overloaded"`) {
		t.Errorf("%s %v", said, err)
	}
}

func TestAnswers_that_many_clients_do_not_read_have_a_bound_together(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.share()
	w.waiting = jsonrpc2.NewBudget(3 << 20)
	p, deaf := w.connect(), w.silent()
	s := p.create(1, strings.Repeat("x", 2<<20))
	read := fmt.Sprintf(`{"session_id":%q}`, s)
	deaf.send(request1(1, "session/history", read))
	deaf.send(request1(2, "session/history", read))
	for n := 2; ; n++ {
		a := p.call(n, "session/history", read)
		if a.Err != nil { // what the deaf one does not read leaves no room for it
			a.refused(t, -32603, "too many answers wait")
			break
		}
	}
	p.call(1<<20, "runtime/health", "{}").ok(t)
	deaf.stop()
	_ = deaf.ended() // something was not sent
	for n := 1<<20 + 1; ; n++ {
		if a := p.call(n, "session/history", read); a.Err == nil {
			break
		}
	}
}

func TestWhoever_takes_nothing_is_let_go_and_whoever_takes_little_is_not(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		near, far := net.Pipe()
		p := &patient{Conn: near}
		failed := make(chan error, 1)
		go func() {
			_, err := p.Write(make([]byte, 256<<10))
			failed <- err
		}()
		part := make([]byte, 64<<10)
		for range 3 {
			time.Sleep(Patience - time.Second)
			if _, err := io.ReadFull(far, part); err != nil {
				t.Fatal(err)
			}
		}
		began := time.Now()
		if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) || time.Since(began) != Patience {
			t.Error(err, time.Since(began))
		}
		if err := p.SetWriteDeadline(time.Unix(1, 0)); err != nil {
			t.Error(err)
		}
		if _, err := p.Write(part); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Error(err)
		}
		if err := errors.Join(near.Close(), far.Close()); err != nil {
			t.Error(err)
		}
	})
}
