package sdk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"os/exec"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/internal/programs"
)

// patience bounds what a test waits for. Nothing is expected to take so long.
const patience = 30 * time.Second

// A note is a session/event as it came.
type note struct {
	at      int // its place among all lines of the connection
	session string
	kind    string
	event   map[string]any // the bare event, with the envelope's fields beside
	closed  bool           // no stream of a turn was open for it, so an SDK would throw it away
}

// A stream is one that was opened with session/stream_open.
type stream struct {
	events []map[string]any // envelopes
	end    map[string]any   // nil: it has not ended
	endAt  int
}

// A reply answers a request.
type reply struct {
	at     int
	result map[string]any
	err    *failure
}

// A failure is an error as an SDK throws it.
type failure struct {
	code, message string
	details       any
	raw           map[string]any
}

func (f *failure) Error() string { return fmt.Sprintf("%s: %s (%v)", f.code, f.message, f.details) }

// An asked request waits for its answer.
type asked struct {
	c      *client
	id     int
	method string
	params map[string]any
	came   chan reply
}

// answer is what a tool of the client says. silent: nothing, ever.
type answer struct {
	content string
	wrong   bool
	err     string
	silent  bool
}

type handler func(args map[string]any) answer

// A client is one connection.
type client struct {
	t       *testing.T
	in      io.WriteCloser
	process *programs.Running // nil: over TCP
	stdio   bool
	writing sync.Mutex
	gate    sync.Mutex // held by a test: nothing is read

	mu        sync.Mutex
	next      int
	at        int
	open      map[string]*asked
	taking    map[string]int // open streams of turns by session
	buffering int            // creations that stream and have not answered
	seqs      map[string]int64
	lossy     bool // a reader who was slow: gaps are to be expected
	notes     []note
	streams   map[string]*stream
	tools     map[string]handler
	calls     []map[string]any // of tools, as they came
	wrong     []string
	more      chan struct{}
	over      chan struct{} // closed when nothing more comes
	busy      sync.WaitGroup
}

func newClient(t *testing.T, in io.WriteCloser, out io.Reader) *client {
	c := &client{t: t, in: in, next: 1, open: map[string]*asked{}, taking: map[string]int{}, seqs: map[string]int64{}, streams: map[string]*stream{},
		tools: map[string]handler{}, more: make(chan struct{}), over: make(chan struct{})}
	c.busy.Go(func() { c.read(out) })
	return c
}

// spawn starts the real program, by a link that is called rkat-rpc, as an SDK does.
func spawn(t *testing.T, w *programs.World, args ...string) *client {
	t.Helper()
	theirIn, ourIn, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	ourOut, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	p := w.Run(func(cmd *exec.Cmd) {
		asRPC(t)(cmd)
		cmd.Stdin, cmd.Stdout = theirIn, theirOut
	}, args...)
	if err := errors.Join(theirIn.Close(), theirOut.Close()); err != nil { // the process has its own
		t.Fatal(err)
	}
	c := newClient(t, ourIn, ourOut)
	c.process, c.stdio = p, true
	t.Cleanup(func() {
		_ = c.in.Close() // a test may have closed it
		if c.process != nil {
			p.Wait()
		}
		c.busy.Wait()
		_ = ourOut.Close()
		c.verdict()
	})
	return c
}

// dial connects to a server that listens.
func dial(t *testing.T, address string) *client {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, patience)
	if err != nil {
		t.Fatal(err)
	}
	c := newClient(t, conn, conn)
	t.Cleanup(func() {
		_ = conn.Close() // a test may have closed it
		c.busy.Wait()
		c.verdict()
	})
	return c
}

// verdict says what was wrong with what came.
func (c *client) verdict() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range c.wrong {
		c.t.Error(w)
	}
}

func (c *client) complain(format string, args ...any) {
	if len(c.wrong) < 20 {
		c.wrong = append(c.wrong, fmt.Sprintf(format, args...))
	}
}

// pass waits for who holds the gate.
func (c *client) pass() {
	c.gate.Lock()
	defer c.gate.Unlock()
}

func (c *client) read(out io.Reader) {
	r := bufio.NewReaderSize(out, 64<<10)
	defer close(c.over)
	for {
		c.pass()
		l, err := r.ReadBytes('\n')
		c.mu.Lock()
		if len(l) > 0 {
			c.at++
			c.take(l)
		}
		if err != nil {
			if len(l) > 0 {
				c.complain("the last line has no end: %q", l)
			}
			for _, a := range c.open {
				close(a.came)
			}
			clear(c.open)
			close(c.more)
			c.more = make(chan struct{})
			c.mu.Unlock()
			return
		}
		close(c.more)
		c.more = make(chan struct{})
		c.mu.Unlock()
	}
}

func decode(l []byte) (map[string]any, error) {
	d := json.NewDecoder(bytes.NewReader(l))
	d.UseNumber()
	var m map[string]any
	if err := d.Decode(&m); err != nil {
		return nil, err
	}
	if m == nil {
		return nil, errors.New("no object")
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, errors.New("more than one value")
	}
	return m, nil
}

// take looks at one line. The caller holds mu.
func (c *client) take(l []byte) {
	if len(l) > 64<<20 {
		c.complain("a line of %d bytes", len(l))
	}
	m, err := decode(l)
	if err != nil {
		c.complain("no line of JSON (%v): %q", err, l)
		return
	}
	if m["jsonrpc"] != "2.0" {
		c.complain("no version 2.0: %s", l)
	}
	method, named := m["method"].(string)
	_, id := m["id"]
	if c.at == 1 && c.stdio && (named || m["id"] != json.Number("1")) {
		c.complain("the first line does not answer the first request: %s", l)
	}
	switch {
	case named && id:
		c.serve(m, method, l)
	case named:
		c.notice(method, m, l)
	default:
		c.answer(m, l)
	}
}

// answer takes an answer to a request.
func (c *client) answer(m map[string]any, l []byte) {
	id, there := m["id"]
	if !there {
		c.complain("an answer without an id: %s", l)
		return
	}
	key, err := json.Marshal(id)
	if err != nil {
		c.complain("%v: %s", err, l)
		return
	}
	a := c.open[string(key)]
	if a == nil {
		c.complain("an answer that nobody waits for: %s", l)
		return
	}
	delete(c.open, string(key))
	result, good := m["result"]
	raw, bad := m["error"]
	r := reply{at: c.at}
	switch {
	case good == bad:
		c.complain("neither a result nor an error, or both: %s", l)
	case good:
		want := results[a.method]
		if a.params["initial_turn"] == "deferred" {
			want = deferred
		}
		if want != nil {
			if err := want(result); err != nil {
				c.complain("the result of %s: %v: %s", a.method, err, l)
			}
		}
		if r.result, _ = result.(map[string]any); r.result == nil {
			c.complain("the result of %s is no object: %s", a.method, l)
			r.result = map[string]any{}
		}
		if r.result["session_id"] != nil && r.result["session_ref"] != nil {
			if ref, _ := r.result["session_ref"].(string); !strings.HasSuffix(ref, fmt.Sprint(":", r.result["session_id"])) {
				c.complain("a session_ref of another session: %s", l)
			}
		}
	default:
		r.err = c.failed(raw, l)
	}
	a.came <- r
}

var errorShape = fields{"code": number, "message": text}.check

// failed reads an error as the SDKs do: data wins over message, message over code.
func (c *client) failed(raw any, l []byte) *failure {
	if err := errorShape(raw); err != nil {
		c.complain("an error: %v: %s", err, l)
	}
	e, _ := raw.(map[string]any)
	f := &failure{raw: e, code: fmt.Sprint(e["code"]), message: fmt.Sprint(e["message"])}
	data, object := e["data"].(map[string]any)
	if v, there := e["data"]; there && v == nil {
		c.complain("data that is null: %s", l)
	}
	if !object {
		var in map[string]any
		if json.Unmarshal([]byte(f.message), &in) != nil {
			return f
		}
		data = in
	}
	if v, there := data["code"]; there {
		f.code = fmt.Sprint(v)
	}
	if v, there := data["message"]; there {
		f.message = fmt.Sprint(v)
	}
	f.details = any(data)
	if v, there := data["reason"]; there {
		f.details = v
	}
	if v, there := data["details"]; there {
		f.details = v
	}
	return f
}

// notice takes a notification.
func (c *client) notice(method string, m map[string]any, l []byte) {
	params, _ := m["params"].(map[string]any)
	switch method {
	case "session/stream_event":
		c.streamed(params, l)
		return
	case "session/stream_end":
		c.streamEnded(params, l)
		return
	case "session/event":
	default:
		c.complain("a notification that the contract does not know: %s", l)
	}
	session, named := params["session_id"].(string)
	event, is := params["event"].(map[string]any)
	if !named || !is {
		c.complain("a notification that would end the stream of a turn: %s", l)
		return
	}
	n := note{at: c.at, session: session, event: event, closed: c.taking[session] == 0 && c.buffering == 0}
	n.kind, _ = event["type"].(string)
	c.notes = append(c.notes, n)
	if err := superset(event); err != nil {
		c.complain("%v: %s", err, l)
		return
	}
	seq, err := event["seq"].(json.Number).Int64()
	if err != nil || seq != c.seqs[session]+1 && (!c.lossy || seq <= c.seqs[session]) {
		c.complain("seq after %d: %s", c.seqs[session], l)
	}
	c.seqs[session] = seq
	if event["source_id"] != "session:"+session {
		c.complain("a source_id of another session: %s", l)
	}
}

// superset says whether both readers of an event find in it what they look for.
func superset(event map[string]any) error {
	if _, there := event["event"]; there {
		return errors.New("an event that would be taken for a wrapper")
	}
	if err := tagged("type", bare)(event); err != nil {
		return fmt.Errorf("the bare event is malformed: %w", err)
	}
	if err := envelope.check(event); err != nil {
		return fmt.Errorf("the envelope: %w", err)
	}
	payload, _ := event["payload"].(map[string]any)
	if payload == nil {
		return errors.New("no payload")
	}
	if err := tagged("type", bare)(payload); err != nil {
		return fmt.Errorf("the payload is malformed: %w", err)
	}
	for k, v := range payload {
		if k == "payload" || payload["type"] == "tool_config_changed" {
			continue
		}
		if !reflect.DeepEqual(event[k], v) {
			return fmt.Errorf("%s is %v in the payload and %v beside it", k, v, event[k])
		}
	}
	return nil
}

func (c *client) stream(params map[string]any) *stream {
	id, _ := params["stream_id"].(string)
	if c.streams[id] == nil {
		c.streams[id] = &stream{}
	}
	return c.streams[id]
}

func (c *client) streamed(params map[string]any, l []byte) {
	if err := (fields{"stream_id": uuid, "sequence": whole, "session_id": uuid, "event": table}).check(params); err != nil {
		c.complain("%v: %s", err, l)
		return
	}
	s, event := c.stream(params), params["event"].(map[string]any)
	if s.end != nil {
		c.complain("an event after the end of its stream: %s", l)
	}
	if err := envelope.with(fields{"payload": tagged("type", bare)}).check(event); err != nil {
		c.complain("%v: %s", err, l)
		return
	}
	for k := range event {
		if !slices.Contains([]string{"event_id", "source", "source_id", "seq", "timestamp_ms", "payload", "cursor", "run_id", "round"}, k) {
			c.complain("%s has no place in a plain envelope: %s", k, l)
		}
	}
	if want := json.Number(strconv.Itoa(len(s.events) + 1)); params["sequence"] != want {
		c.complain("sequence is not %v: %s", want, l)
	}
	s.events = append(s.events, event)
}

func (c *client) streamEnded(params map[string]any, l []byte) {
	if err := (fields{"stream_id": uuid, "session_id": uuid, "ended": just(true), "outcome": word("explicit_close", "remote_end", "terminal_error"),
		"error?": fields{"code": text, "message": text}.check}).check(params); err != nil {
		c.complain("%v: %s", err, l)
	}
	if _, there := params["error"]; there != (params["outcome"] == "terminal_error") {
		c.complain("an error goes with terminal_error and with nothing else: %s", l)
	}
	s := c.stream(params)
	if s.end != nil {
		c.complain("a second end of a stream: %s", l)
	}
	s.end, s.endAt = params, c.at
}

// serve answers a request of the server's.
func (c *client) serve(m map[string]any, method string, l []byte) {
	id, _ := m["id"].(string)
	if !strings.HasPrefix(id, "srv-") || !digits.MatchString(strings.TrimPrefix(id, "srv-")) {
		c.complain("an id of the server's that is not srv-N: %s", l)
	}
	if method != "tool/execute" {
		c.complain("a request that an SDK does not know: %s", l)
		return
	}
	params, _ := m["params"].(map[string]any)
	if err := (fields{"tool_use_id": text, "name": text, "arguments": table}).check(params); err != nil {
		c.complain("%v: %s", err, l)
		return
	}
	c.calls = append(c.calls, maps.Clone(params))
	do := c.tools[params["name"].(string)]
	c.busy.Go(func() {
		a := answer{content: fmt.Sprintf("Unknown tool: %v", params["name"]), wrong: true}
		if do != nil {
			a = do(params["arguments"].(map[string]any))
		}
		switch {
		case a.silent:
		case a.err != "":
			c.write(map[string]any{"jsonrpc": "2.0", "id": id, "error": map[string]any{"code": -32000, "message": a.err}})
		default:
			c.write(map[string]any{"jsonrpc": "2.0", "id": id, "result": map[string]any{"content": a.content, "is_error": a.wrong}})
		}
	})
}

// write sends one line. One that cannot be sent any more is lost, as it is with an SDK.
func (c *client) write(m any) {
	l, err := json.Marshal(m)
	if err != nil {
		c.t.Error(err)
		return
	}
	c.line(string(l) + "\n")
}

func (c *client) line(l string) {
	c.writing.Lock()
	defer c.writing.Unlock()
	if _, err := io.WriteString(c.in, l); err != nil && !errors.Is(err, os.ErrClosed) && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, net.ErrClosed) {
		c.t.Errorf("write: %v", err)
	}
}

// expect makes an id known that a test sends by hand.
func (c *client) expect(key, method string) *asked {
	a := &asked{c: c, method: method, came: make(chan reply, 1)}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.open[key] = a
	return a
}

type object = map[string]any

// ask sends a request.
func (c *client) ask(method string, params object) *asked {
	if params == nil {
		params = object{}
	}
	a := &asked{c: c, method: method, params: params, came: make(chan reply, 1)}
	c.mu.Lock()
	a.id = c.next
	c.next++
	c.open[strconv.Itoa(a.id)] = a
	switch {
	case method == "turn/start":
		c.taking[fmt.Sprint(params["session_id"])]++
	case method == "session/create":
		c.buffering++
	}
	c.mu.Unlock()
	c.write(object{"jsonrpc": "2.0", "id": a.id, "method": method, "params": params})
	return a
}

// get waits for the answer.
func (a *asked) get() reply {
	a.c.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case r, came := <-a.came:
		a.c.mu.Lock()
		switch {
		case a.method == "turn/start":
			a.c.taking[fmt.Sprint(a.params["session_id"])]--
		case a.method == "session/create":
			a.c.buffering--
		}
		a.c.mu.Unlock()
		if !came {
			return reply{err: &failure{code: "CONNECTION_CLOSED"}}
		}
		return r
	case <-timer.C:
		a.c.t.Fatalf("%s with %v got no answer", a.method, a.params)
	}
	return reply{}
}

// do is a request that succeeds.
func (c *client) do(method string, params object) object {
	c.t.Helper()
	return c.ask(method, params).good()
}

func (a *asked) good() object {
	a.c.t.Helper()
	r := a.get()
	if r.err != nil {
		a.c.t.Fatalf("%s with %v: %v", a.method, a.params, r.err)
	}
	return r.result
}

// bad is an answer that is an error of this code.
func (a *asked) bad(code string) *failure {
	a.c.t.Helper()
	r := a.get()
	if r.err == nil {
		a.c.t.Fatalf("%s with %v succeeded: %v", a.method, a.params, r.result)
	}
	if r.err.code != code {
		a.c.t.Errorf("%s with %v: %v, and not %s", a.method, a.params, r.err, code)
	}
	return r.err
}

func (c *client) fails(code, method string, params object) *failure {
	c.t.Helper()
	return c.ask(method, params).bad(code)
}

// until waits until something holds of what came.
func (c *client) until(what string, holds func() bool) {
	c.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	for {
		c.mu.Lock()
		yes, more := holds(), c.more
		c.mu.Unlock()
		if yes {
			return
		}
		select {
		case <-more:
		case <-c.over:
			c.mu.Lock()
			yes = holds()
			c.mu.Unlock()
			if !yes {
				c.t.Fatalf("the connection ended before %s", what)
			}
			return
		case <-timer.C:
			c.t.Fatalf("it never came to pass that %s", what)
		}
	}
}

// sees waits for an event of a kind, the nth of the session.
func (c *client) sees(session, kind string, n int) {
	c.t.Helper()
	c.until(fmt.Sprintf("%s came (%d)", kind, n), func() bool {
		count := 0
		for _, e := range c.notes {
			if e.session == session && e.kind == kind {
				count++
			}
		}
		return count >= n
	})
}

// events are those of a session after one place and before another.
func (c *client) events(session string, after, before int) []note {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []note
	for _, n := range c.notes {
		if n.session == session && n.at > after && n.at < before {
			out = append(out, n)
		}
	}
	return out
}

func kinds(l []note) string {
	var out []string
	for _, n := range l {
		out = append(out, n.kind)
	}
	return strings.Join(out, " ")
}

// connect does what both SDKs do first.
func (c *client) connect() *client {
	c.t.Helper()
	c.do("initialize", nil)
	c.do("capabilities/get", nil)
	c.mu.Lock()
	var defs []any
	for name := range c.tools {
		defs = append(defs, tool(name))
	}
	c.mu.Unlock()
	if len(defs) > 0 {
		if r := c.do("tools/register", object{"tools": defs}); r["registered"] != json.Number(strconv.Itoa(len(defs))) {
			c.t.Errorf("registered: %v", r)
		}
	}
	return c
}

func tool(name string) object {
	return object{"name": name, "description": "Does " + name + ".",
		"input_schema": object{"type": "object", "properties": object{"k": object{"type": "string"}}}}
}

// leave ends the process as an SDK does: the input ends, and typescript sends SIGTERM at once. It must be over within 5 seconds.
func (c *client) leave(signal bool) programs.Result {
	c.t.Helper()
	began := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if err := c.in.Close(); err != nil {
		c.t.Error(err)
	}
	if signal {
		c.process.Signal(syscall.SIGTERM)
	}
	return c.ended(ctx, began)
}

func (c *client) ended(ctx context.Context, began time.Time) programs.Result {
	c.t.Helper()
	select {
	case <-c.over:
	case <-ctx.Done():
		c.t.Error("an SDK would have killed the process")
		c.process.Signal(syscall.SIGKILL)
	}
	r := c.process.Wait()
	c.process = nil
	if took := time.Since(began); took > 5*time.Second {
		c.t.Errorf("it took %v to end", took)
	}
	return r
}
