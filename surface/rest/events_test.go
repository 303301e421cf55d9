package rest_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/surface/rest"
	"github.com/meerkat-go/meerkat/wire"
)

func TestA_stream_tells_what_happens_and_each_durable_event_has_its_cursor(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.session()
	r := w.events("/sessions/"+s+"/events", nil)
	if got := r.resp.Header.Get("Content-Type"); got != "text/event-stream" {
		t.Fatal(got)
	}
	first := r.next()
	var loaded struct {
		Session  string `json:"session_id"`
		Messages int    `json:"message_count"`
	}
	if err := json.Unmarshal(first.Data, &loaded); err != nil || first.Name != "session_loaded" || first.ID != "" || loaded.Session != s || loaded.Messages == 0 {
		t.Fatalf("%s %s %v", first.Name, first.Data, err)
	}
	w.submit(s, "to be seen")
	events := r.until("run_completed")
	holds(t, events, "input_accepted", "run_started", "turn_started", "text_delta", "text_complete", "turn_completed", "run_completed")
	last, seq := "", 0.0
	for _, e := range events {
		var env map[string]any
		if err := json.Unmarshal(e.Data, &env); err != nil {
			t.Fatal(err)
		}
		if typ := env["payload"].(map[string]any)["type"]; typ != e.Name {
			t.Fatalf("event %s has payload %v", e.Name, typ)
		}
		if env["seq"].(float64) <= seq {
			t.Fatalf("seq %v after %v", env["seq"], seq)
		}
		seq = env["seq"].(float64)
		cursor, durable := env["cursor"].(float64)
		if durable && strconv.Itoa(int(cursor)) != e.ID {
			t.Fatalf("%s: id %q and cursor %v", e.Name, e.ID, cursor)
		}
		if !durable && e.ID != last {
			t.Fatalf("%s is not durable and has the id %s", e.Name, e.ID)
		}
		last = e.ID
	}
}

func TestA_stream_begins_where_its_reader_left(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.session()
	all := w.events("/sessions/"+s+"/events?after=0", nil).until("run_completed")
	if all[1].Name != "session_registered" || all[1].ID != "1" {
		t.Fatalf("%v", namesOf(all))
	}
	third := w.events("/sessions/"+s+"/events?after=0", map[string]string{"Last-Event-ID": "3"}).until("run_completed")
	if third[1].ID != "4" {
		t.Fatalf("the first after 3 is %s", third[1].ID)
	}
	for _, c := range []struct{ path, id string }{{"?after=99999", ""}, {"", "99999"}, {"", "x"}, {"?after=-1", ""}, {"?after=1.5", ""}, {"?after=18446744073709551616", ""},
		{"?format=xml", ""}} {
		w.do(request{method: "GET", path: "/sessions/" + s + "/events" + c.path, header: map[string]string{"Last-Event-ID": c.id}}).refused(t, 400, "BAD_REQUEST")
	}
}

func TestAn_event_of_our_own_form_is_what_the_realm_keeps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.session()
	events := w.events("/sessions/"+s+"/events?after=0&format=native", nil).until("run_completed")
	for n, e := range events[1:] {
		var got wire.NativeEvent
		if err := json.Unmarshal(e.Data, &got); err != nil || got.Type != e.Name || got.Cursor != uint64(n+1) || string(got.Session) != s {
			t.Fatalf("%d: %+v %v", n, got, err)
		}
		if _, err := got.Event(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestA_stream_ends_with_its_session(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, end := range []request{{method: "DELETE", path: ""}, {method: "POST", path: "/destroy"}} {
		s := w.session()
		r := w.events("/sessions/"+s+"/events", nil)
		r.next()
		w.do(request{method: end.method, path: "/sessions/" + s + end.path}).is(t, 200)
		r.until("done")
		if _, err := r.in.Next(); err != io.EOF {
			t.Fatalf("after the end: %v", err)
		}
		// Whoever comes later is told what he missed, and that this is all.
		late := w.events("/sessions/"+s+"/events?after=0", nil)
		got := late.until("done")
		holds(t, got, "session_registered", "run_completed")
		w.events("/sessions/"+s+"/events", nil).until("done")
	}
}

func TestA_stream_ends_when_the_server_goes_down(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.session()
	r := w.events("/sessions/"+s+"/events", nil)
	r.next()
	answer := make(chan reply, 1)
	watch := w.events("/sessions/"+s+"/events", nil)
	go func() { answer <- w.post("/sessions/"+s+"/messages", `{"prompt":"wait"}`) }()
	watch.until("turn_started")
	w.goDown()
	r.until("done")
	p := (<-answer).refused(t, 503, "SERVICE_UNAVAILABLE")
	if d := p["details"].(map[string]any); d["input_id"] == "" || d["session_id"] != s {
		t.Fatalf("%v", p)
	}
	close(w.gate)
	late := w.events("/sessions/"+s+"/events?after=0", nil)
	late.until("done")
}

func TestA_stream_with_nothing_to_tell_shows_that_it_is_there(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *rest.Config) { c.Heartbeat = time.Millisecond })
	s := w.session()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	resp := w.open(ctx, request{method: "GET", path: "/sessions/" + s + "/events"})
	defer resp.Body.Close()
	seen, buf := "", make([]byte, 512)
	for strings.Count(seen, ": keep-alive\n\n") < 3 {
		n, err := resp.Body.Read(buf)
		if err != nil {
			t.Fatal(err)
		}
		seen += string(buf[:n])
	}
}

// A reader whose connection breaks again and again, wherever it likes, is told every durable event once.
func TestNothing_is_lost_or_doubled_in_a_storm_of_reconnects(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.session()
	const turns, readers, breaks = 30, 4, 50
	var wg sync.WaitGroup
	wg.Go(func() {
		for n := range turns {
			in := w.submit(s, fmt.Sprintf("turn %d", n))
			w.get("/sessions/" + s + "/inputs/" + in + "?wait=60")
		}
	})
	seen := make([][]string, readers)
	for n := range readers {
		wg.Go(func() { seen[n] = w.stormy(s, breaks, turns+1) })
	}
	wg.Wait()
	want := w.stormy(s, 0, turns+1)
	for n, got := range seen {
		if !slices.Equal(got, want) {
			t.Errorf("reader %d has %d events, and there are %d", n, len(got), len(want))
		}
	}
}

// stormy reads all durable events of a session, until so many runs are completed, through connections that break.
func (w *world) stormy(s string, breaks, runs int) []string {
	var got []string
	last, completed := "0", 0
	for completed < runs {
		r := w.events("/sessions/"+s+"/events", map[string]string{"Last-Event-ID": last})
		left := -1
		if breaks > 0 {
			left = rand.IntN(20)
			breaks--
		}
		var pending []string // what was told since the last id: after a break it is told again
		for left != 0 && completed < runs {
			e, err := r.in.Next()
			if err != nil {
				w.t.Error(err)
				return got
			}
			left--
			var env struct {
				ID     string `json:"event_id"`
				Cursor uint64 `json:"cursor"`
			}
			if err := json.Unmarshal(e.Data, &env); err != nil {
				w.t.Error(err)
				return got
			}
			if env.Cursor == 0 {
				continue
			}
			pending = append(pending, env.ID+" "+e.Name)
			if strconv.FormatUint(env.Cursor, 10) != e.ID {
				continue // the first half of two
			}
			got, pending, last = append(got, pending...), nil, e.ID
			for _, p := range got[len(got)-1:] {
				if strings.HasSuffix(p, " run_completed") {
					completed++
				}
			}
		}
		r.stop()
	}
	return got
}

// A client that never reads is let go when it does not take what is written to it, and holds up nobody meanwhile.
func TestA_client_that_never_reads_is_let_go(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *rest.Config) {
		c.WriteTimeout = 50 * time.Millisecond
		c.StreamsPerKey = 2
		c.Heartbeat = time.Hour
	})
	s := w.session()
	conn, err := net.Dial("tcp", w.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if err := conn.(*net.TCPConn).SetReadBuffer(1 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET /sessions/%s/events HTTP/1.1\r\nHost: localhost\r\n\r\n", s); err != nil {
		t.Fatal(err)
	}
	quick := w.events("/sessions/"+s+"/events", nil)
	w.get("/sessions/"+s+"/events").refused(t, 429, "TOO_MANY_STREAMS")
	for strings.Count(w.log.String(), "i/o timeout") == 0 {
		w.post("/sessions/"+s+"/messages", `{"prompt":"long 20000"}`).is(t, 200)
		quick.until("run_completed")
	}
	w.events("/sessions/"+s+"/events", nil).next() // its place is free
}

func TestStreams_are_bounded_altogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *rest.Config) { c.Streams = 1 })
	s := w.session()
	r := w.events("/sessions/"+s+"/events", nil)
	r.next()
	w.get("/sessions/"+s+"/events").refused(t, 503, "SERVICE_UNAVAILABLE")
	w.do(request{method: "HEAD", path: "/sessions/" + s + "/events"})
	r.stop()
	for {
		resp := w.open(t.Context(), request{method: "GET", path: "/sessions/" + s + "/events?after=0"})
		resp.Body.Close()
		if resp.StatusCode == 200 {
			return
		}
	}
}

// A reader who is slower than what he reads loses deltas, is told so, and gets every durable event in order.
func TestA_slow_reader_is_told_of_its_gap_and_misses_nothing_durable(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	s := w.session()
	r := w.events("/sessions/"+s+"/events?after=0", nil)
	const pieces = 100_000
	w.post("/sessions/"+s+"/messages", fmt.Sprintf(`{"prompt":"long %d"}`, pieces)).is(t, 200) // nothing is read meanwhile
	in := w.submit(s, "and on")
	cursor, deltas, gap, done := uint64(0), 0, false, false
	for !done {
		e := r.next()
		var env wire.NativeEvent
		if err := json.Unmarshal(e.Data, &env); err != nil {
			t.Fatal(err)
		}
		switch e.Name {
		case "text_delta":
			deltas++
		case "stream_truncated":
			gap = true
		case "input_ended":
			done = strings.Contains(string(e.Data), in)
		}
		if env.Cursor > cursor+1 {
			t.Fatalf("event %d follows %d", env.Cursor, cursor)
		}
		cursor = max(cursor, env.Cursor)
	}
	if deltas < pieces && !gap {
		t.Errorf("%d of %d deltas came, and nobody said so", deltas, pieces)
	}
}
