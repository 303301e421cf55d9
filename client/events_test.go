package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/fault"
)

// said is a durable event as a server sends it.
func said(cursor uint64) string {
	return fmt.Sprintf("id: %d\nevent: text_complete\ndata: {\"session_id\":%q,\"cursor\":%d,\"time\":\"2026-01-02T03:04:05Z\",\"type\":\"text_complete\",\"payload\":{\"content\":\"%d\"}}\n\n",
		cursor, theSession, cursor, cursor)
}

const delta = "event: text_delta\ndata: {\"session_id\":\"s\",\"time\":\"2026-01-02T03:04:05Z\",\"type\":\"text_delta\",\"payload\":{\"delta\":\"x\"}}\n\n"

// after reads the cursor of a request.
func after(t *testing.T, r *http.Request) uint64 {
	t.Helper()
	n, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
	if err != nil || r.URL.Query().Get("format") != "native" {
		t.Errorf("asked %s", r.URL)
	}
	return n
}

// stream is an answer of the body given.
func stream(body io.Reader) *http.Response {
	return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(body)}
}

func TestNo_event_is_lost_doubled_or_moved_by_a_server_that_breaks_wherever_it_can(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const last = 200
		rnd := rand.New(rand.NewPCG(1, 2))
		connections := 0
		c := at(t, func(r *http.Request) (*http.Response, error) {
			connections++
			switch rnd.IntN(6) {
			case 0:
				return nil, io.ErrUnexpectedEOF
			case 1:
				return answer(503, `{"error":"going down"}`, "Retry-After", "1"), nil
			}
			from := after(t, r)
			var b strings.Builder
			b.WriteString("event: session_loaded\ndata: {}\n\n: keep-alive\n\n")
			for n := from - min(from, uint64(rnd.IntN(3))); n < min(from+uint64(rnd.IntN(12)), last); n++ { // some again
				b.WriteString(said(n+1) + delta)
			}
			text := b.String()
			return stream(strings.NewReader(text[:len(text)-rnd.IntN(len(text)/2)])), nil // and somewhere it ends
		})
		lost, back := 0, 0
		c.lost = func(err error) {
			if err != nil {
				lost++
			} else {
				back++
			}
		}
		next, gaps := uint64(1), 0
		for e, err := range c.Events(t.Context(), theSession, 0) {
			switch {
			case err != nil:
				t.Fatal(err)
			case e.Type == "stream_truncated":
				gaps++
			case e.Cursor == 0:
			case e.Cursor != next:
				t.Fatalf("event %d, want %d", e.Cursor, next)
			default:
				next++
			}
			if next > last {
				break
			}
		}
		if connections < 20 || lost != connections-1 || gaps == 0 || back != gaps {
			t.Errorf("%d connections, %d lost, %d back, %d gaps", connections, lost, back, gaps)
		}
	})
}

func TestA_stream_that_says_nothing_is_taken_up_again_and_one_that_lives_is_left_alone(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		connections := 0
		c := at(t, func(r *http.Request) (*http.Response, error) {
			connections++
			from := after(t, r)
			pr, pw := io.Pipe()
			context.AfterFunc(r.Context(), func() { pr.CloseWithError(r.Context().Err()) })
			go func() {
				if from == 0 {
					for range 40 { // ten minutes of heartbeats, then nothing
						if _, err := io.WriteString(pw, ": keep-alive\n\n"); err != nil {
							return
						}
						time.Sleep(15 * time.Second)
					}
					_, _ = io.WriteString(pw, said(1)[:20])
					return
				}
				pw.CloseWithError(io.EOF)
			}()
			if from == 0 && connections == 2 {
				return stream(strings.NewReader(said(1))), nil
			}
			return stream(pr), nil
		})
		began := time.Now()
		for e, err := range c.Events(t.Context(), theSession, 0) {
			if err != nil {
				t.Fatal(err)
			}
			if e.Cursor == 1 {
				break
			}
		}
		if took := time.Since(began); connections != 2 || took < 10*time.Minute || took > 12*time.Minute {
			t.Errorf("%d connections in %s", connections, took)
		}
	})
}

func TestA_server_that_ends_every_stream_at_once_is_not_stormed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		connections := 0
		c := at(t, func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/detail") {
				return answer(200, `{"phase":"idle"}`), nil
			}
			connections++
			return stream(strings.NewReader(delta + "event: done\ndata: {}\n\n")), nil
		})
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
		defer cancel()
		for _, err := range c.Events(ctx, theSession, 0) {
			if err != nil {
				t.Fatal(err)
			}
		}
		if connections < 50 || connections > 300 {
			t.Errorf("%d connections in ten minutes", connections)
		}
	})
}

func TestWhat_trying_again_does_not_mend_ends_the_stream_with_its_error(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		a    func(int) *http.Response
		code fault.Code
	}{
		{"a key that was revoked meanwhile", func(n int) *http.Response {
			if n == 1 {
				return stream(strings.NewReader(said(1)))
			}
			return answer(401, `{"error":"no good key","fault":"unidentified"}`)
		}, fault.Unidentified},
		{"no such session", func(int) *http.Response { return answer(404, `{"error":"none"}`) }, fault.NotFound},
		{"a cursor from the future", func(int) *http.Response { return answer(400, `{"error":"ahead"}`) }, fault.Invalid},
		{"events that are missing again and again", func(int) *http.Response { return stream(strings.NewReader(said(3))) }, fault.Corrupt},
		{"what are no events", func(int) *http.Response { return stream(strings.NewReader("data: {}\n\n")) }, fault.Internal},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				n := 0
				cl := at(t, func(*http.Request) (*http.Response, error) { n++; return c.a(n), nil })
				var last error
				for e, err := range cl.Events(t.Context(), theSession, 0) {
					if last = err; e.Cursor > 1 {
						t.Errorf("event %d was told", e.Cursor)
					}
				}
				if fault.CodeOf(last) != c.code || n > 3 {
					t.Errorf("got %v (%s) after %d requests", last, fault.CodeOf(last), n)
				}
			})
		})
	}
}

func TestA_stream_ends_where_its_session_does(t *testing.T) {
	t.Parallel()
	c := to(t, func(w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/detail") {
			fmt.Fprint(w, `{"phase":"archived","last_cursor":2}`)
			return
		}
		fmt.Fprint(w, said(1)+said(2)+"event: done\ndata: {}\n\n")
	})
	var got []uint64
	for e, err := range c.Events(t.Context(), theSession, 0) {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, e.Cursor)
	}
	if len(got) != 2 {
		t.Errorf("got %v", got)
	}
}

func TestA_reader_that_leaves_closes_its_connection(t *testing.T) {
	t.Parallel()
	closed := make(chan bool)
	c := to(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, said(1))
		w.(http.Flusher).Flush()
		<-r.Context().Done()
		close(closed)
	})
	for e, err := range c.Events(t.Context(), theSession, 0) {
		if err != nil || e.Cursor != 1 {
			t.Errorf("%+v, %v", e, err)
		}
		break
	}
	<-closed
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	for e, err := range c.Events(ctx, theSession, 0) {
		t.Errorf("told %+v, %v", e, err)
	}
}
