package meerkat_test

import (
	"context"
	"errors"
	"iter"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// echo is a model that answers with the last user message, once gate lets it.
type echo struct{ gate chan struct{} }

func (e echo) Stream(ctx context.Context, req llm.Request) iter.Seq2[llm.Part, error] {
	return func(yield func(llm.Part, error) bool) {
		if e.gate != nil {
			select {
			case <-e.gate:
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			}
		}
		text := ""
		for _, r := range req.Rows {
			if u, ok := r.Entry.(transcript.User); ok {
				text = u.Content.Plain()
			}
		}
		_ = yield(llm.TextPart{Text: "echo: "}, nil) && yield(llm.TextPart{Text: text}, nil) && yield(llm.Done{Stop: transcript.StopEndTurn}, nil)
	}
}

func open(t *testing.T, m llm.Model) *control.Plane {
	t.Helper()
	rt, err := meerkat.Open(t.Context(), meerkat.Config{Models: map[string]llm.Model{"echo": m}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := rt.Close(); err != nil {
			t.Error(err)
		}
	})
	return rt.Plane()
}

func create(t *testing.T, p *control.Plane) id.Session {
	t.Helper()
	s, err := p.CreateSession(t.Context(), control.CreateSession{Profile: run.Profile{Model: "echo"}})
	if err != nil {
		t.Fatal(err)
	}
	return s.ID
}

func say(s id.Session, text string) control.Submit {
	return control.Submit{Session: s, Content: transcript.TextBlocks(text)}
}

// Scenario: S63, S64
func Test_a_turn_is_submitted_waited_for_and_read_back(t *testing.T) {
	t.Parallel()
	p := open(t, echo{})
	s := create(t, p)
	r, err := p.Submit(t.Context(), say(s, "hello"))
	if err != nil || r.Run == "" || r.Duplicate {
		t.Fatalf("%+v %v", r, err)
	}
	out, err := p.Wait(t.Context(), s, r.Input)
	if err != nil || out.Status != control.Completed || out.Text != "echo: hello" || out.Rounds != 1 {
		t.Fatalf("%+v %v", out, err)
	}
	again, err := p.Wait(t.Context(), s, r.Input)
	if err != nil || !reflect.DeepEqual(again, out) {
		t.Fatalf("an input that ended says %+v %v, then %+v", again, err, out)
	}
	rows, err := p.Transcript(t.Context(), s, 0, 0)
	if err != nil || len(rows) != 3 { // system, user, reply
		t.Fatalf("%d rows, %v", len(rows), err)
	}
	got, err := p.Session(t.Context(), "last")
	if err != nil || got.ID != s || got.Phase != "attached" || got.Title != "hello" || got.Run != nil || got.Pending {
		t.Fatalf("%+v %v", got, err)
	}
}

func Test_a_key_that_was_used_is_answered_with_the_first_input(t *testing.T) { // R06, R33
	t.Parallel()
	p := open(t, echo{})
	s := create(t, p)
	req := say(s, "once")
	req.Key = "k"
	first, err := p.Submit(t.Context(), req)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Wait(t.Context(), s, first.Input); err != nil {
		t.Fatal(err)
	}
	second, err := p.Submit(t.Context(), req)
	if err != nil || !second.Duplicate || second.Input != first.Input {
		t.Fatalf("%+v %v", second, err)
	}
}

func Test_what_cannot_be_meant_is_refused_with_a_public_code_and_writes_nothing(t *testing.T) {
	t.Parallel()
	p := open(t, echo{})
	s := create(t, p)
	absent := id.Session(id.New())
	submit := func(change func(*control.Submit)) func() error {
		return func() error {
			req := say(s, "x")
			change(&req)
			_, err := p.Submit(t.Context(), req)
			return err
		}
	}
	tests := map[string]struct {
		do   func() error
		want fault.Code
	}{
		"an empty prompt":     {submit(func(r *control.Submit) { r.Content = transcript.TextBlocks(" \n") }), fault.Invalid},
		"a prompt of 10 MB":   {submit(func(r *control.Submit) { r.Content = transcript.TextBlocks(strings.Repeat("x", 10<<20)) }), fault.Invalid},
		"a key of a kilobyte": {submit(func(r *control.Submit) { r.Key = strings.Repeat("k", 1024) }), fault.Invalid},
		"an id of a kilobyte": {submit(func(r *control.Submit) { r.Input = id.Input(strings.Repeat("i", 1024)) }), fault.Invalid},
		"a huge system prompt": {func() error {
			_, err := p.CreateSession(t.Context(), control.CreateSession{System: strings.Repeat("x", 9<<20), Profile: run.Profile{Model: "echo"}})
			return err
		}, fault.Invalid},
		"an unknown lane":         {submit(func(r *control.Submit) { r.Lane = "fast" }), fault.Invalid},
		"continuing with text":    {submit(func(r *control.Submit) { r.Continue = true }), fault.Invalid},
		"nothing to continue":     {submit(func(r *control.Submit) { r.Continue, r.Content = true, nil }), fault.Invalid},
		"a call as input":         {submit(func(r *control.Submit) { r.Content = transcript.Blocks{transcript.ToolUse{ID: "c"}} }), fault.Invalid},
		"an unknown session":      {submit(func(r *control.Submit) { r.Session = absent }), fault.NotFound},
		"waking an unknown one":   {func() error { _, err := p.Resume(t.Context(), absent); return err }, fault.NotFound},
		"waiting in an unknown":   {func() error { _, err := p.Wait(t.Context(), absent, "i"); return err }, fault.NotFound},
		"an unknown input":        {func() error { _, err := p.Wait(t.Context(), s, "i"); return err }, fault.NotFound},
		"an unknown reference":    {func() error { _, err := p.Session(t.Context(), "nothing"); return err }, fault.NotFound},
		"the 9th session back":    {func() error { _, err := p.Session(t.Context(), "~9"); return err }, fault.NotFound},
		"a reference of nonsense": {func() error { _, err := p.Session(t.Context(), "~x"); return err }, fault.Invalid},
		"interrupting no run":     {func() error { return p.Interrupt(t.Context(), s, "r") }, fault.NotRunning},
		"an unknown model": {func() error {
			_, err := p.CreateSession(t.Context(), control.CreateSession{Profile: run.Profile{Model: "ech"}})
			return err
		}, fault.Invalid},
		"an unknown preset": {func() error {
			_, err := p.CreateSession(t.Context(), control.CreateSession{Profile: run.Profile{Model: "echo", Tools: "most"}})
			return err
		}, fault.Invalid},
		"an id that is taken": {func() error {
			_, err := p.CreateSession(t.Context(), control.CreateSession{ID: s, Profile: run.Profile{Model: "echo"}})
			return err
		}, fault.Invalid},
		"an id that is none": {func() error {
			_, err := p.CreateSession(t.Context(), control.CreateSession{ID: "x", Profile: run.Profile{Model: "echo"}})
			return err
		}, fault.Invalid},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			if err := tt.do(); err == nil || fault.CodeOf(err) != tt.want {
				t.Fatalf("code %v of %v, want %v", fault.CodeOf(err), err, tt.want)
			}
		})
	}
	list, err := p.Sessions(t.Context(), control.ListSessions{})
	if err != nil || len(list) != 1 || list[0].Messages != 1 {
		t.Fatalf("after the refusals: %+v %v", list, err)
	}
}

func Test_a_reader_gets_every_durable_event_in_order_from_any_cursor(t *testing.T) { // R28, R46
	t.Parallel()
	p := open(t, echo{})
	s := create(t, p)
	for range 3 {
		r, err := p.Submit(t.Context(), say(s, "x"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := p.Wait(t.Context(), s, r.Input); err != nil {
			t.Fatal(err)
		}
	}
	last, err := p.Session(t.Context(), string(s))
	if err != nil {
		t.Fatal(err)
	}
	read := func(after uint64) []event.Event {
		var out []event.Event
		for e, err := range p.Events(t.Context(), s, after) {
			if err != nil {
				t.Fatal(err)
			}
			out = append(out, e)
			if e.Cursor == last.Cursor {
				break
			}
		}
		return out
	}
	all := read(0)
	for n, e := range all {
		if e.Cursor != uint64(n+1) {
			t.Fatalf("event %d has cursor %d", n, e.Cursor)
		}
	}
	for after := range all {
		if got := read(uint64(after)); len(got) != len(all)-after {
			t.Fatalf("after %d: %d events of %d", after, len(got), len(all))
		}
	}
}

func Test_live_events_complete_with_their_texts_follow_what_was_replayed(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	p := open(t, echo{gate})
	s := create(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	var seen []event.Event
	done := make(chan struct{})
	go func() {
		defer close(done)
		for e, err := range p.Events(ctx, s, 0) {
			if err != nil {
				t.Error(err)
			}
			seen = append(seen, e)
			switch e.Payload.(type) {
			case event.TurnStarted:
				close(gate)
			case event.InputEnded:
				cancel()
			}
		}
	}()
	if _, err := p.Submit(t.Context(), say(s, "hi")); err != nil {
		t.Fatal(err)
	}
	<-done
	var streamed, complete, result, prompt string
	for _, e := range seen {
		switch x := e.Payload.(type) {
		case event.TextDelta:
			streamed += x.Delta
		case event.TextComplete:
			complete = x.Content
		case event.RunCompleted:
			result = x.Result
		case event.RunStarted:
			prompt = x.Prompt
		}
	}
	if want := "echo: hi"; streamed != want || complete != want || result != want || prompt != "hi" {
		t.Fatalf("streamed %q, complete %q, result %q, prompt %q", streamed, complete, result, prompt)
	}
	if !slices.IsSortedFunc(seen, func(a, b event.Event) int {
		if a.Cursor == 0 || b.Cursor == 0 {
			return 0
		}
		return int(a.Cursor) - int(b.Cursor)
	}) {
		t.Fatal("out of order")
	}
}

// Scenario: S64
func Test_an_interrupt_ends_the_run_and_the_session_can_go_on(t *testing.T) { // R40, R41
	t.Parallel()
	gate := make(chan struct{})
	p := open(t, echo{gate})
	s := create(t, p)
	r, err := p.Submit(t.Context(), say(s, "long"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Interrupt(t.Context(), s, "another"); fault.CodeOf(err) != fault.NotRunning {
		t.Fatalf("another run: %v", err)
	}
	if err := p.Interrupt(t.Context(), s, r.Run); err != nil {
		t.Fatal(err)
	}
	out, err := p.Wait(t.Context(), s, r.Input)
	if err != nil || out.Status != control.Cancelled {
		t.Fatalf("%+v %v", out, err)
	}
	got, err := p.Session(t.Context(), string(s)[:13])
	if err != nil || !got.Pending || got.Unfinished {
		t.Fatalf("%+v %v", got, err)
	}
	close(gate)
	again, err := p.Submit(t.Context(), control.Submit{Session: s, Continue: true})
	if err != nil {
		t.Fatal(err)
	}
	if out, err := p.Wait(t.Context(), s, again.Input); err != nil || out.Text != "echo: long" {
		t.Fatalf("%+v %v", out, err)
	}
}

func Test_a_stopped_session_takes_no_input(t *testing.T) { // R43
	t.Parallel()
	p := open(t, echo{make(chan struct{})})
	s := create(t, p)
	running, err := p.Submit(t.Context(), say(s, "hangs"))
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := p.Submit(t.Context(), say(s, "waits"))
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Stop(t.Context(), s, "enough", 1); err != nil {
		t.Fatal(err)
	}
	if out, err := p.Wait(t.Context(), s, running.Input); err != nil || out.Status != control.Cancelled {
		t.Errorf("the running one: %+v %v", out, err)
	}
	if out, err := p.Wait(t.Context(), s, waiting.Input); err != nil || out.Status != control.Abandoned {
		t.Errorf("the waiting one: %+v %v", out, err)
	}
	if _, err := p.Submit(t.Context(), say(s, "more")); fault.CodeOf(err) != fault.NotReady {
		t.Errorf("after the stop: %v", err)
	}
	var coded fault.Coded
	if err := p.Stop(t.Context(), s, "again", 0); err != nil && !errors.As(err, &coded) {
		t.Errorf("a second stop: %v", err)
	}
}
