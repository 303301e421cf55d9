package cli

import (
	"bytes"
	"context"
	"errors"
	"io"
	"iter"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
)

const (
	theSession = id.Session("019a8c2e-41f0-7000-8000-000000000001")
	theInput   = id.Input("019a8c2e-41f1-7000-8000-000000000002")
	theRun     = id.Run("run-1")
)

// plane stands in for the product. What happens in a run is sent by the test, one thing at a time; all else is kept.
type plane struct {
	events   chan event.Event
	outcomes chan control.Outcome
	stopped  chan id.Run
	watched  chan bool // somebody begins to read the events

	sessions    []control.Session
	past        []event.Event // what was committed before the test
	submitted   []control.Submit
	created     []control.CreateSession
	taken       control.Session
	submitErr   error
	interrupted error
}

func (p *plane) CreateSession(_ context.Context, req control.CreateSession) (control.Session, error) {
	p.created = append(p.created, req)
	return control.Session{ID: theSession, Model: req.Profile.Model, Workspace: req.Profile.Workspace}, nil
}

func (p *plane) Submit(_ context.Context, req control.Submit) (control.Receipt, error) {
	p.submitted = append(p.submitted, req)
	return control.Receipt{Input: theInput, Run: theRun}, p.submitErr
}

func (p *plane) Wait(ctx context.Context, _ id.Session, _ id.Input) (control.Outcome, error) {
	select {
	case o := <-p.outcomes:
		return o, nil
	case <-ctx.Done():
		return control.Outcome{}, ctx.Err()
	}
}

func (p *plane) Resume(context.Context, id.Session) (control.Session, error) { return p.taken, nil }

func (p *plane) Interrupt(_ context.Context, _ id.Session, r id.Run) error {
	p.stopped <- r
	return p.interrupted
}

func (p *plane) Archive(_ context.Context, s id.Session) error {
	p.sessions = []control.Session{{ID: s, Phase: "archived"}}
	return nil
}

func (p *plane) Destroy(_ context.Context, s id.Session) (int, error) {
	p.sessions = []control.Session{{ID: s, Phase: "destroyed"}}
	return 1, nil
}

func (p *plane) Session(_ context.Context, ref string) (control.Session, error) {
	for _, s := range p.sessions {
		if ref == "last" || strings.HasPrefix(string(s.ID), ref) {
			return s, nil
		}
	}
	return control.Session{}, fault.New(fault.NotFound, "no such session")
}

func (p *plane) Sessions(context.Context, control.ListSessions) ([]control.Session, error) {
	return p.sessions, nil
}

func (p *plane) Transcript(context.Context, id.Session, int, int) ([]transcript.Row, error) {
	return []transcript.Row{
		{At: transcript.Position{Message: 1}, Entry: transcript.User{Content: transcript.TextBlocks("hello")}},
		{At: transcript.Position{Message: 2}, Entry: transcript.Assistant{Blocks: transcript.TextBlocks("hi \x1b[2J"), Model: "offline"}},
		{At: transcript.Position{Message: 3}, Entry: transcript.ToolResult{Name: "list", Content: transcript.TextBlocks(strings.Repeat("x\n", 40))}},
	}, nil
}

func (p *plane) Events(ctx context.Context, _ id.Session, after uint64) iter.Seq2[event.Event, error] {
	return func(yield func(event.Event, error) bool) {
		for _, e := range p.past {
			if after < e.Cursor && !yield(e, nil) {
				return
			}
		}
		p.watched <- true
		for {
			select {
			case e := <-p.events:
				if !yield(e, nil) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func (p *plane) Effects(context.Context, id.Session) ([]control.Effect, error) {
	return []control.Effect{{ID: id.Effect{Version: 3}, Kind: "run_tool", Name: "shell", Class: "once", Attempt: 1, Open: true}}, nil
}

// process is a command that runs in a test.
type process struct {
	t        *testing.T
	plane    *plane
	world    World
	app      App
	env      map[string]string
	out, err bytes.Buffer
	outTerm  bool
	errTerm  bool
	signals  chan os.Signal
	ticks    chan time.Time
	now      time.Time
	done     chan int
	closed   int
}

func newProcess(t *testing.T) *process {
	t.Helper()
	p := &process{t: t, env: map[string]string{"RKAT_STATE_DIR": t.TempDir()}, signals: make(chan os.Signal), ticks: make(chan time.Time), done: make(chan int, 1),
		now:   time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		plane: &plane{events: make(chan event.Event), outcomes: make(chan control.Outcome, 1), stopped: make(chan id.Run, 8), watched: make(chan bool, 8)}}
	p.world = World{Stdin: strings.NewReader(""), Stdout: &p.out, Stderr: &p.err, Dir: t.TempDir(), Signals: p.signals,
		Env: func(name string) string { return p.env[name] }, Now: func() time.Time { return p.now },
		Terminal: func(w io.Writer) (int, bool) { return 60, w == &p.out && p.outTerm || w == &p.err && p.errTerm },
		Tick:     func() (<-chan time.Time, func()) { return p.ticks, func() {} }}
	p.app = App{Version: "1.2.3", Commit: "abcdef",
		Open: func(context.Context, config.Config) (Runtime, error) {
			return Runtime{Plane: p.plane, Close: func() error { p.closed++; return nil },
				CheckModel: func(_ context.Context, name string) error {
					if name == "nonsense" {
						return fault.New(fault.NotFound, `model_not_found: no model is called "nonsense"`)
					}
					return nil
				}}, nil
		},
		Models: func(config.Config) []Model {
			return []Model{{Name: "anthropic/best", Provider: "anthropic", Default: true}, {Name: "openai/best", Provider: "openai", Default: true}}
		},
		FindServers: func(context.Context) []config.Server { return nil },
		ListModels: func(context.Context, config.Provider) ([]string, error) {
			return nil, errors.New("connection refused")
		}}
	return p
}

// start runs a command; the test then says what happens.
func (p *process) start(args ...string) {
	p.world.Args = args
	go func() { p.done <- Main(p.t.Context(), p.world, p.app) }()
}

// run runs a command that needs nothing to happen.
func (p *process) run(args ...string) int {
	p.start(args...)
	return <-p.done
}

// happen tells events and returns when they have been shown: the one after them has been taken.
func (p *process) happen(payloads ...event.Payload) {
	for _, x := range append(payloads, event.InputAccepted{}) {
		p.tell(x)
	}
}

// tell tells an event that may be the last one.
func (p *process) tell(x event.Payload) {
	p.plane.events <- event.Event{Session: theSession, Cursor: 1, Time: p.now, Run: theRun, Payload: x}
}

// complete ends the run with a reply.
func (p *process) complete(text string) int {
	p.plane.outcomes <- control.Outcome{Input: theInput, Run: theRun, Status: control.Completed, Text: text, Rounds: 2, Calls: 1, Usage: transcript.Usage{Input: 1234, Output: 56}}
	p.tell(event.RunCompleted{Result: text})
	return <-p.done
}

func (p *process) want(code, want int, out, err string) {
	p.t.Helper()
	if code != want {
		p.t.Errorf("exit code %d, want %d", code, want)
	}
	if got := p.out.String(); got != out {
		p.t.Errorf("stdout:\n%q\nwant:\n%q", got, out)
	}
	if got := p.err.String(); got != err {
		p.t.Errorf("stderr:\n%q\nwant:\n%q", got, err)
	}
}

// says fails unless all parts are in the text.
func says(t *testing.T, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%q is not in:\n%s", part, text)
		}
	}
}
