package cli

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/client"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
	"github.com/meerkat-go/meerkat/wire"
)

// server serves the plane of a process under test over HTTP, to those who show its key.
type server struct {
	*httptest.Server
	t      *testing.T
	plane  *plane
	key    string
	model  string
	asked  []wire.CreateParams
	cut    chan bool // ends the streams that are open
	cursor uint64
}

const serverKey = "rkat_test_key"

// atServer makes a process whose sessions are at a server.
func atServer(t *testing.T) (*process, *server) {
	t.Helper()
	p := newProcess(t)
	s := &server{t: t, plane: p.plane, key: serverKey, model: "served/model", cut: make(chan bool)}
	s.Server = httptest.NewServer(s.routes())
	t.Cleanup(func() { s.CloseClientConnections(); s.Close() })
	p.env["RKAT_API_KEY"] = serverKey
	p.env["RKAT_STATE_DIR"] = filepath.Join(t.TempDir(), "must", "not", "be", "made")
	p.app.FindServers = nil // nothing of this machine is asked
	p.app.Models = nil
	p.app.Open = nil
	p.app.Dial = func(c client.Config) (*client.Client, error) {
		c.Patience = -1
		return client.New(c)
	}
	return p, s
}

func (s *server) routes() http.Handler {
	mux := http.NewServeMux()
	give := func(w http.ResponseWriter, v any, err error) {
		if err != nil {
			w.WriteHeader(http.StatusNotFound)
			v = map[string]string{"error": err.Error(), "fault": "not_found"}
		}
		if err := json.NewEncoder(w).Encode(v); err != nil {
			s.t.Log(err)
		}
	}
	mux.HandleFunc("GET /runtime/host_info", func(w http.ResponseWriter, r *http.Request) {
		give(w, wire.HostInfo{Realm: wire.HostRealm{Realm: "theirs"}}, nil)
	})
	mux.HandleFunc("POST /sessions", func(w http.ResponseWriter, r *http.Request) {
		var in wire.CreateParams
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			s.t.Error(err)
		}
		s.asked = append(s.asked, in)
		s.plane.sessions = []control.Session{{ID: theSession, Phase: "idle", Model: s.model}}
		give(w, wire.DeferredResult{Session: theSession}, nil)
	})
	mux.HandleFunc("GET /sessions", func(w http.ResponseWriter, r *http.Request) {
		out := wire.Details{}
		for _, x := range s.plane.sessions {
			out.Sessions = append(out.Sessions, detail(x))
		}
		give(w, out, nil)
	})
	mux.HandleFunc("GET /sessions/{id}/detail", func(w http.ResponseWriter, r *http.Request) {
		x, err := s.plane.Session(r.Context(), r.PathValue("id"))
		give(w, detail(x), err)
	})
	mux.HandleFunc("POST /sessions/{id}/inputs", func(w http.ResponseWriter, r *http.Request) {
		var in wire.SubmitParams
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil || r.Header.Get("Idempotency-Key") == "" {
			s.t.Errorf("%+v, %v, key %q", in, err, r.Header.Get("Idempotency-Key"))
		}
		req := control.Submit{Session: id.Session(r.PathValue("id")), Continue: in.Continue}
		if !in.Continue {
			var text string
			if err := json.Unmarshal(in.Prompt, &text); err != nil {
				s.t.Error(err)
			}
			req.Content = transcript.TextBlocks(text)
		}
		got, err := s.plane.Submit(r.Context(), req)
		give(w, wire.Receipt(got), err)
	})
	mux.HandleFunc("GET /sessions/{id}/inputs/{input}", func(w http.ResponseWriter, r *http.Request) {
		o, err := s.plane.Wait(r.Context(), theSession, theInput)
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		give(w, wire.InputStatus{Input: o.Input, State: "consumed", Outcome: (*wire.Outcome)(&o)}, nil)
	})
	mux.HandleFunc("POST /sessions/{id}/resume", func(w http.ResponseWriter, r *http.Request) { give(w, detail(s.plane.taken), nil) })
	mux.HandleFunc("POST /sessions/{id}/interrupt", func(w http.ResponseWriter, r *http.Request) {
		var in struct {
			Run id.Run `json:"run_id"`
		}
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			s.t.Error(err)
		}
		give(w, struct{}{}, s.plane.Interrupt(r.Context(), theSession, in.Run))
	})
	mux.HandleFunc("DELETE /sessions/{id}", func(w http.ResponseWriter, r *http.Request) {
		give(w, struct{}{}, s.plane.Archive(r.Context(), theSession))
	})
	mux.HandleFunc("GET /sessions/{id}/transcript", func(w http.ResponseWriter, r *http.Request) {
		rows, err := s.plane.Transcript(r.Context(), theSession, 1, 0)
		out := wire.Rows{}
		for _, x := range rows {
			row, err := wire.NewRow(x)
			if err != nil {
				s.t.Error(err)
			}
			out.Rows = append(out.Rows, row)
		}
		give(w, out, err)
	})
	mux.HandleFunc("GET /sessions/{id}/events", s.stream)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer "+s.key {
			w.WriteHeader(http.StatusUnauthorized)
			fmt.Fprint(w, `{"error":"a good API key is needed","fault":"unidentified"}`)
			return
		}
		mux.ServeHTTP(w, r)
	})
}

func (s *server) stream(w http.ResponseWriter, r *http.Request) {
	after, err := strconv.ParseUint(r.URL.Query().Get("after"), 10, 64)
	if err != nil {
		s.t.Error(err)
	}
	w.WriteHeader(200)
	w.(http.Flusher).Flush()
	s.plane.watched <- true
	for {
		select {
		case e := <-s.plane.events:
			if e.Cursor > 0 && e.Cursor <= after {
				s.t.Errorf("event %d was told before", e.Cursor)
			}
			n, err := wire.Native(e)
			if err != nil {
				s.t.Error(err)
			}
			data, err := json.Marshal(n)
			if err != nil {
				s.t.Error(err)
			}
			fmt.Fprintf(w, "event: %s\ndata: %s\n\n", n.Type, data)
			w.(http.Flusher).Flush()
		case <-s.cut:
			panic(http.ErrAbortHandler)
		case <-r.Context().Done():
			return
		}
	}
}

// happen tells events as the server has them: durable ones at cursors that grow.
func (s *server) happen(payloads ...event.Payload) {
	for _, p := range payloads {
		e := event.Event{Session: theSession, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Run: theRun, Payload: p}
		if _, delta := p.(event.TextDelta); !delta {
			s.cursor++
			e.Cursor = s.cursor
		}
		s.plane.events <- e
	}
}

// complete ends the run with a reply.
func (s *server) complete(text string) {
	s.plane.outcomes <- control.Outcome{Input: theInput, Run: theRun, Status: control.Completed, Text: text, Rounds: 2, Calls: 1, Usage: transcript.Usage{Input: 1234, Output: 56}}
	s.happen(event.RunCompleted{Result: text})
}

func detail(x control.Session) wire.Detail {
	return wire.Detail{ID: x.ID, Phase: x.Phase, Model: x.Model, Title: x.Title, Messages: x.Messages, Cursor: x.Cursor, Run: (*wire.BoundRun)(x.Run),
		Unfinished: x.Unfinished, Pending: x.Pending, Waiting: x.Waiting}
}

// untouched fails if a folder was made on this machine.
func untouched(t *testing.T, p *process) {
	t.Helper()
	if _, err := os.Stat(p.env["RKAT_STATE_DIR"]); !os.IsNotExist(err) {
		t.Errorf("the state folder: %v", err)
	}
}

func TestA_run_at_a_server_looks_as_one_here_and_leaves_nothing_on_this_machine(t *testing.T) {
	t.Parallel()
	p, s := atServer(t)
	p.outTerm = true
	p.start("run", "--server", s.URL, "hello")
	s.happen(event.TurnStarted{}, event.TextDelta{Delta: "so "}, event.TextDelta{Delta: "it is"}, event.TextComplete{Content: "so it is"})
	s.complete("so it is")
	p.want(<-p.done, 0, "so it is\n", "Using served/model. (Choose another with --model.)\n"+footer)
	untouched(t, p)
	if in := s.asked[0]; in.ToolsPreset != "" || in.Workspace != "" || in.Model != "" || in.InitialTurn != "deferred" {
		t.Errorf("asked for %+v", in)
	}
	if got := s.plane.submitted[0]; got.Content.Plain() != "hello" || got.Session != theSession {
		t.Errorf("submitted %+v", got)
	}
}

func TestWhat_is_asked_of_a_session_at_a_server_gets_there(t *testing.T) {
	t.Parallel()
	p, s := atServer(t)
	p.env["RKAT_SERVER"] = s.URL
	p.start("run", "-m", "big", "-C", "/srv/work", "--tools", "safe", "--max-rounds", "7", "--max-tokens", "9", "-d", "90s", "--max-tool-calls", "3",
		"--system", "be brief", "--schema", `{"type":"object"}`, "--json", "hello")
	s.complete(`yes`)
	if code := <-p.done; code != 0 {
		t.Fatalf("exit code %d: %s", code, p.err.String())
	}
	in := s.asked[0]
	if in.Model != "big" || in.Workspace != "/srv/work" || in.ToolsPreset != "safe" || *in.MaxRounds != 7 || *in.MaxTokens != 9 ||
		time.Duration(*in.Budget.Duration) != 90*time.Second || *in.Budget.Calls != 3 || in.Budget.Tokens != nil || in.System != "be brief" || string(in.OutputSchema) != `{"type":"object"}` {
		t.Errorf("asked for %+v", in)
	}
	says(t, p.out.String(), `"session_ref": "theirs:`+string(theSession)+`"`)
}

func TestCtrl_C_interrupts_at_the_server_and_a_second_leaves(t *testing.T) {
	t.Parallel()
	p, s := atServer(t)
	p.start("run", "--server", s.URL, "hello")
	s.happen(event.RunStarted{}, event.TurnStarted{}, event.InputAccepted{})
	p.signals <- os.Interrupt
	if r := <-s.plane.stopped; r != theRun {
		t.Errorf("stopped %s", r)
	}
	p.signals <- os.Interrupt
	if code := <-p.done; code != ExitInterrupted {
		t.Errorf("exit code %d", code)
	}
	says(t, p.err.String(), "Left at once. 'rkat resume 019a8c2e-41f0 --server "+s.URL+"' goes on.")
}

func TestA_terminated_command_leaves_the_run_to_its_server_and_says_how_to_come_back(t *testing.T) {
	t.Parallel()
	p, s := atServer(t)
	p.env["RKAT_SERVER"] = s.URL
	p.start("run", "hello")
	s.happen(event.TurnStarted{}, event.InputAccepted{})
	p.signals <- syscall.SIGTERM
	if code := <-p.done; code != ExitTerminated {
		t.Errorf("exit code %d", code)
	}
	says(t, p.err.String(), "The run goes on at the server: 'rkat attach 019a8c2e-41f0' shows it.")
	select {
	case r := <-s.plane.stopped:
		t.Errorf("run %s was interrupted", r)
	default:
	}
}

func TestA_connection_that_breaks_is_told_and_nothing_of_the_answer_is_lost(t *testing.T) {
	t.Parallel()
	p, s := atServer(t)
	p.outTerm = true
	p.start("run", "--server", s.URL, "hello")
	<-s.plane.watched
	s.happen(event.TurnStarted{}, event.TextDelta{Delta: "one "}, event.InputAccepted{})
	s.cut <- true
	<-s.plane.watched // it is back
	s.happen(event.TextDelta{Delta: "three"}, event.TextComplete{Content: "one two three"})
	s.complete("one two three")
	if code := <-p.done; code != 0 {
		t.Errorf("exit code %d", code)
	}
	if got := p.out.String(); got != "one \n" && got != "one two three\n" && !strings.HasSuffix(got, "two three\n") {
		t.Errorf("stdout %q", got)
	}
	says(t, p.err.String(), "The connection to "+s.URL+" is lost (the server cannot be reached: ", "what runs there goes on.", "Connected again.")
}

func TestA_server_that_is_lost_for_good_ends_the_command_and_not_the_run(t *testing.T) {
	t.Parallel()
	p, s := atServer(t)
	p.start("run", "--server", s.URL, "hello")
	s.happen(event.TurnStarted{}, event.InputAccepted{})
	if err := s.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	s.CloseClientConnections()
	if code := <-p.done; code != ExitFailed {
		t.Errorf("exit code %d", code)
	}
	says(t, p.err.String(), "Error: ", "What was accepted goes on there: 'rkat attach 019a8c2e-41f0 --server "+s.URL+"' shows it.")
}

func TestA_key_comes_from_the_environment_or_from_a_file_that_nobody_else_reads(t *testing.T) {
	t.Parallel()
	file := func(mode os.FileMode, text string) string {
		path := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, c := range []struct {
		name, env, file string
		code            int
		says            string
	}{
		{"from the environment", serverKey, "", 0, ""},
		{"from a file", "", file(0o600, serverKey+"\n"), 0, ""},
		{"a file counts before the environment", "wrong", file(0o400, serverKey), 0, ""},
		{"none", "", "", 1, "Set RKAT_API_KEY, or name a file"},
		{"a wrong one", "secret-but-wrong", "", 1, "a good API key is needed"},
		{"a file that others may read", "", file(0o644, serverKey), 2, "chmod 600"},
		{"a file that is not there", "", "/nowhere/key", 2, "no such file"},
		{"an empty file", "", file(0o600, "\n"), 2, "there is no API key in"},
		{"two lines", "", file(0o600, "a\nsecret"), 2, "not copied as it is"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p, s := atServer(t)
			s.plane.sessions = []control.Session{{ID: theSession, Phase: "idle", Title: "the title"}}
			p.env["RKAT_API_KEY"] = c.env
			args := []string{"sessions", "--server", s.URL}
			if c.file != "" {
				args = append(args, "--key-file", c.file)
			}
			if code := p.run(args...); code != c.code {
				t.Errorf("exit code %d: %s", code, p.err.String())
			}
			says(t, p.err.String(), c.says)
			if c.code == 0 {
				says(t, p.out.String(), "the title")
			}
			if strings.Contains(p.err.String()+p.out.String(), "secret") {
				t.Errorf("a key is shown: %s", p.err.String())
			}
			untouched(t, p)
		})
	}
}

func TestFlags_of_this_machine_mean_nothing_at_a_server_and_are_refused(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		args []string
		says string
	}{
		{[]string{"run", "-r", "other", "x"}, "--server excludes --realm"},
		{[]string{"sessions", "--state-root", "/x"}, "--server excludes --realm"},
		{[]string{"sessions", "--all"}, "Leave one of --all and --server out"},
		{[]string{"run", "-C", "here", "x"}, "no folder of a server"},
		{[]string{"attach", "--server", "http://example.org"}, "everybody on the way can read it"},
		{[]string{"attach", "--server", "example.org"}, "no URL of a server"},
	} {
		p, s := atServer(t)
		p.env["RKAT_SERVER"] = s.URL
		if code := p.run(c.args...); code != ExitUsage {
			t.Errorf("%q: exit code %d", c.args, code)
		}
		says(t, p.err.String(), c.says)
		untouched(t, p)
	}
}

func TestAn_empty_server_is_this_process_whatever_the_environment_says(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.env["RKAT_SERVER"] = "http://127.0.0.1:1"
	p.start("run", "-m", "offline", "--server", "", "hello")
	p.want(p.complete("ok"), 0, "ok\n", footer)
}

func TestSessions_of_a_server_are_shown_gone_on_with_and_ended(t *testing.T) {
	t.Parallel()
	p, s := atServer(t)
	p.env["RKAT_SERVER"] = s.URL
	s.plane.sessions = []control.Session{{ID: theSession, Phase: "idle", Messages: 3}}
	if code := p.run("sessions", "show"); code != 0 {
		t.Errorf("exit code %d: %s", code, p.err.String())
	}
	says(t, p.out.String(), "── user\nhello\n", "── assistant (offline)")
	if code := p.run("sessions", "show", "ffff"); code != 1 {
		t.Errorf("exit code %d", code)
	}
	says(t, p.err.String(), `there is no session "ffff" here`)
	s.plane.taken = s.plane.sessions[0]
	p.start("resume", "last", "and now?")
	s.complete("that")
	if code := <-p.done; code != 0 {
		t.Errorf("exit code %d: %s", code, p.err.String())
	}
	p.out.Reset()
	if code := p.run("sessions", "archive", "last"); code != 0 {
		t.Errorf("exit code %d: %s", code, p.err.String())
	}
	says(t, p.out.String(), "is archived")
	untouched(t, p)
}

func TestA_server_that_is_not_there_is_told(t *testing.T) {
	t.Parallel()
	p, s := atServer(t)
	s.Close()
	if code := p.run("run", "--json", "--server", s.URL, "x"); code != ExitFailed {
		t.Errorf("exit code %d", code)
	}
	says(t, p.err.String(), "the server cannot be reached", "that 'rkat serve' runs there")
	says(t, p.out.String(), `"code": "overloaded"`)
	untouched(t, p)
}
