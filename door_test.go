package meerkat_test

import (
	"context"
	"errors"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

func TestA_turn_tells_all_of_its_run_and_then_what_it_came_to(t *testing.T) {
	t.Parallel()
	p := open(t, echo{})
	s := create(t, p)
	var told []string
	accepted := false
	r, err := p.Turn(t.Context(), say(s, "hello"), func(control.Receipt) { accepted = true }, func(e event.Event) error {
		if !accepted {
			t.Error("an event was told before the input was durable")
		}
		told = append(told, e.Payload.Type())
		return nil
	})
	if err != nil || r.Text != "echo: hello" || r.Session != s || r.Total != r.Usage {
		t.Fatalf("%+v %v", r, err)
	}
	all := strings.Join(told, " ")
	if !strings.HasPrefix(all, "input_accepted run_started turn_started") || !strings.Contains(all, "text_delta") || !strings.HasSuffix(all, "run_completed input_ended") {
		t.Error(all)
	}
	if r, err = p.Turn(t.Context(), say(s, "again"), nil, nil); err != nil || r.Text != "echo: again" {
		t.Errorf("%+v %v", r, err)
	}
}

func TestWho_leaves_a_turn_leaves_a_run_that_goes_on(t *testing.T) {
	t.Parallel()
	gate := make(chan struct{})
	p := open(t, echo{gate})
	s := create(t, p)
	ctx, cancel := context.WithCancel(t.Context())
	req := say(s, "hello")
	req.Input = "one"
	_, err := p.Turn(ctx, req, nil, func(e event.Event) error {
		if _, ok := e.Payload.(event.TurnStarted); ok {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	st, err := p.Input(t.Context(), s, "one")
	if err != nil || st.Outcome != nil || st.Lane != control.LaneQueue || st.Run == "" {
		t.Errorf("%+v %v", st, err)
	}
	close(gate)
	if o, err := p.Wait(t.Context(), s, "one"); err != nil || o.Status != control.Completed {
		t.Errorf("%+v %v", o, err)
	}
	if st, err = p.Input(t.Context(), s, "one"); err != nil || st.State != "consumed" || st.Outcome == nil || st.Outcome.Text != "echo: hello" {
		t.Errorf("%+v %v", st, err)
	}
	if _, err = p.Input(t.Context(), s, "two"); fault.CodeOf(err) != fault.NotFound {
		t.Error(err)
	}
}

func TestA_turn_whose_run_is_interrupted_is_a_cancelled_error(t *testing.T) {
	t.Parallel()
	p := open(t, echo{make(chan struct{})})
	s := create(t, p)
	last := ""
	_, err := p.Turn(t.Context(), say(s, "hello"), nil, func(e event.Event) error {
		last = e.Payload.Type()
		if _, ok := e.Payload.(event.TurnStarted); ok {
			if had, err := p.Interrupting(t.Context(), s); !had || err != nil {
				t.Error(had, err)
			}
		}
		return nil
	})
	var failed *control.RunError
	if !errors.As(err, &failed) || fault.CodeOf(err) != fault.Cancelled || failed.Error() != "request cancelled" || last != "input_ended" {
		t.Errorf("%v after %s", err, last)
	}
	if had, err := p.Interrupting(t.Context(), s); had || err != nil {
		t.Error("a session at rest has nothing to interrupt:", had, err)
	}
	if _, err := p.Interrupting(t.Context(), "0190aaaa-0000-7000-8000-000000000000"); fault.CodeOf(err) != fault.NotFound {
		t.Error(err)
	}
}

func TestThe_events_of_a_session_end_when_it_becomes_a_record(t *testing.T) {
	t.Parallel()
	p := open(t, echo{})
	s := create(t, p)
	for live := range 2 { // as it happens, and read back
		archived := false
		for e, err := range p.Events(t.Context(), s, 0) {
			if err != nil {
				t.Fatal(err)
			}
			_, is := e.Payload.(event.SessionArchived)
			if archived = archived || is; live == 0 && e.Cursor == 1 {
				if err := p.Archive(t.Context(), s); err != nil {
					t.Fatal(err)
				}
			}
		}
		if !archived {
			t.Errorf("%d: nobody was told that it is a record", live)
		}
	}
}

func TestSomething_that_happened_outside_starts_a_run_unless_it_is_to_wait(t *testing.T) {
	t.Parallel()
	p := open(t, echo{})
	s := create(t, p)
	e := control.ExternalEvent{Session: s, Type: "deploy", Payload: []byte(`{"body":"it is out"}`), NoWake: true}
	if r, err := p.ExternalEvent(t.Context(), e); err != nil || r.Run != "" {
		t.Fatalf("%+v %v", r, err)
	}
	e.NoWake = false
	r, err := p.ExternalEvent(t.Context(), e)
	if err != nil || r.Run == "" {
		t.Fatalf("%+v %v", r, err)
	}
	if o, err := p.Wait(t.Context(), s, r.Input); err != nil || o.Status != control.Completed {
		t.Errorf("%+v %v", o, err)
	}
	e.Key = "k"
	first, err := p.ExternalEvent(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	if again, err := p.ExternalEvent(t.Context(), e); err != nil || !again.Duplicate || again.Input != first.Input {
		t.Errorf("%+v %v", again, err)
	}
	e.Payload = []byte(`{"body":"it is back"}`)
	if r, err := p.ExternalEvent(t.Context(), e); !errors.Is(err, control.ErrKeyUsed) {
		t.Errorf("something else under the same key: %+v %v", r, err)
	}
	e.Type = " "
	if _, err := p.ExternalEvent(t.Context(), e); fault.CodeOf(err) != fault.Invalid {
		t.Error(err)
	}
}

// Every operation, and the level it needs.
func TestWhat_a_key_may_not_do_is_forbidden(t *testing.T) {
	t.Parallel()
	owner := open(t, echo{})
	s := create(t, owner)
	ctx := t.Context()
	ops := []struct {
		name string
		need control.Level
		do   func(p *control.Plane) error
	}{
		{"Session", control.Reader, func(p *control.Plane) error { _, err := p.Session(ctx, string(s)); return err }},
		{"Sessions", control.Reader, func(p *control.Plane) error { _, err := p.Sessions(ctx, control.ListSessions{}); return err }},
		{"Transcript", control.Reader, func(p *control.Plane) error { _, err := p.Transcript(ctx, s, 0, 0); return err }},
		{"History", control.Reader, func(p *control.Plane) error { _, err := p.History(ctx, s, 0, 0); return err }},
		{"EventsSince", control.Reader, func(p *control.Plane) error { _, err := p.EventsSince(ctx, s, 0, 0); return err }},
		{"Events", control.Reader, func(p *control.Plane) error {
			for _, err := range p.Events(ctx, s, 0) {
				return err
			}
			return nil
		}},
		{"Effects", control.Reader, func(p *control.Plane) error { _, err := p.Effects(ctx, s); return err }},
		{"Input", control.Reader, func(p *control.Plane) error { _, err := p.Input(ctx, s, "x"); return err }},
		{"Wait", control.Reader, func(p *control.Plane) error { _, err := p.Wait(ctx, s, "x"); return err }},
		{"Models", control.Reader, func(p *control.Plane) error { _, err := p.Models(ctx); return err }},
		{"Config", control.Reader, func(p *control.Plane) error { _, err := p.Config(ctx); return err }},
		{"Info", control.Reader, func(p *control.Plane) error { _, err := p.Info(ctx); return err }},
		{"CreateSession", control.Writer, func(p *control.Plane) error {
			_, err := p.CreateSession(ctx, control.CreateSession{Profile: run.Profile{Model: "echo"}})
			return err
		}},
		{"Submit", control.Writer, func(p *control.Plane) error { _, err := p.Submit(ctx, say(s, "x")); return err }},
		{"Turn", control.Writer, func(p *control.Plane) error { _, err := p.Turn(ctx, say(s, "x"), nil, nil); return err }},
		{"Resume", control.Writer, func(p *control.Plane) error { _, err := p.Resume(ctx, s); return err }},
		{"Interrupt", control.Writer, func(p *control.Plane) error { return p.Interrupt(ctx, s, "r") }},
		{"Interrupting", control.Writer, func(p *control.Plane) error { _, err := p.Interrupting(ctx, s); return err }},
		{"Cancelling", control.Writer, func(p *control.Plane) error { _, err := p.Cancelling(ctx, s); return err }},
		{"CancelAfterBoundary", control.Writer, func(p *control.Plane) error { return p.CancelAfterBoundary(ctx, s, "r") }},
		{"ForkAt", control.Writer, func(p *control.Plane) error { _, err := p.ForkAt(ctx, s, 0, nil); return err }},
		{"InjectContext", control.Writer, func(p *control.Plane) error { _, err := p.InjectContext(ctx, control.Context{Session: s}); return err }},
		{"ExternalEvent", control.Writer, func(p *control.Plane) error {
			_, err := p.ExternalEvent(ctx, control.ExternalEvent{Session: s})
			return err
		}},
		{"RegisterTools", control.Writer, func(p *control.Plane) error { _, err := p.RegisterTools(ctx, nil, nil); return err }},
		{"Archive", control.Writer, func(p *control.Plane) error { return p.Archive(ctx, "0190aaaa-0000-7000-8000-000000000000") }},
		{"SetConfig", control.Admin, func(p *control.Plane) error { _, err := p.SetConfig(ctx, nil, nil); return err }},
		{"PatchConfig", control.Admin, func(p *control.Plane) error { _, err := p.PatchConfig(ctx, nil, nil); return err }},
		{"Retire", control.Admin, func(p *control.Plane) error {
			_, _, err := p.Retire(ctx, "0190aaaa-0000-7000-8000-000000000000")
			return err
		}},
		{"Reset", control.Admin, func(p *control.Plane) error {
			_, err := p.Reset(ctx, "0190aaaa-0000-7000-8000-000000000000")
			return err
		}},
		{"Destroy", control.Admin, func(p *control.Plane) error {
			_, err := p.Destroy(ctx, "0190aaaa-0000-7000-8000-000000000000")
			return err
		}},
		{"Stop", control.Admin, func(p *control.Plane) error { return p.Stop(ctx, "0190aaaa-0000-7000-8000-000000000000", "", 0) }},
	}
	for _, level := range []control.Level{control.Reader, control.Writer, control.Admin} {
		p := owner.As(control.Caller{Key: "k", Level: level})
		for _, op := range ops {
			refused := fault.CodeOf(op.do(p)) == fault.Forbidden
			if refused != (level < op.need) {
				t.Errorf("%s with a key for %s: refused %v", op.name, level, refused)
			}
		}
	}
}

// keyring knows one key.
type keyring struct{ err error }

func (k keyring) Required(context.Context) (bool, error) { return true, k.err }
func (k keyring) Verify(_ context.Context, token string) (control.Grant, bool, error) {
	return control.Grant{Key: "ci", Realm: "theirs", Level: control.Reader}, token == "good", nil
}

func TestThe_door_leads_to_the_realm_of_the_key_and_to_no_other(t *testing.T) {
	t.Parallel()
	planes := map[string]*control.Plane{"ours": open(t, echo{}), "theirs": open(t, echo{})}
	ours := create(t, planes["ours"])
	realms := func(_ context.Context, realm string) (*control.Plane, error) { return planes[realm], nil }
	door := control.Door{Realm: "ours", Open: realms}
	p, err := door.Enter(t.Context(), "")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Session(t.Context(), string(ours)); err != nil {
		t.Error(err)
	}
	door.Keys = keyring{}
	for _, token := range []string{"", "bad"} {
		if _, err := door.Enter(t.Context(), token); fault.CodeOf(err) != fault.Unidentified {
			t.Errorf("%q: %v", token, err)
		}
	}
	if p, err = door.Enter(t.Context(), "good"); err != nil {
		t.Fatal(err)
	}
	if _, err := p.Session(t.Context(), string(ours)); fault.CodeOf(err) != fault.NotFound {
		t.Error("another tenant's session is not there:", err)
	}
	if _, err := p.CreateSession(t.Context(), control.CreateSession{}); fault.CodeOf(err) != fault.Forbidden {
		t.Error(err)
	}
	door.Keys = keyring{errors.New("the file of keys is damaged")}
	if _, err := door.Enter(t.Context(), "good"); err == nil {
		t.Error("a door without its keys stays shut")
	}
}

func TestHistory_and_events_are_read_in_pages(t *testing.T) {
	t.Parallel()
	p := open(t, echo{})
	s := create(t, p)
	for _, text := range []string{"one", "two"} {
		if _, err := p.Turn(t.Context(), say(s, text), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	all, err := p.History(t.Context(), s, 0, 0)
	if err != nil || all.Total != 5 || len(all.Rows) != 5 || all.More {
		t.Fatalf("%+v %v", all, err)
	}
	page, err := p.History(t.Context(), s, 1, 2)
	if err != nil || len(page.Rows) != 2 || !page.More || page.Rows[0].Entry.(transcript.User).Content.Plain() != "one" {
		t.Errorf("%+v %v", page, err)
	}
	if beyond, err := p.History(t.Context(), s, 50, 2); err != nil || len(beyond.Rows) != 0 || beyond.More {
		t.Errorf("%+v %v", beyond, err)
	}
	if _, err := p.History(t.Context(), s, -1, 0); fault.CodeOf(err) != fault.Invalid {
		t.Error(err)
	}
	first, err := p.EventsSince(t.Context(), s, 0, 3)
	if err != nil || len(first.Events) != 3 || !first.More {
		t.Fatalf("%+v %v", first, err)
	}
	rest, err := p.EventsSince(t.Context(), s, 3, 0)
	if err != nil || rest.More || uint64(len(rest.Events)) != rest.Latest-3 {
		t.Errorf("%+v %v", rest, err)
	}
	if _, err := p.EventsSince(t.Context(), s, rest.Latest+1, 0); fault.CodeOf(err) != fault.Invalid {
		t.Error(err)
	}
}

func TestA_fork_has_what_was_said_up_to_a_message_and_goes_on_by_itself(t *testing.T) {
	t.Parallel()
	p := open(t, echo{})
	s := create(t, p)
	if _, err := p.ForkAt(t.Context(), s, 99, nil); fault.CodeOf(err) != fault.Invalid {
		t.Error(err)
	}
	for _, text := range []string{"one", "two"} {
		if _, err := p.Turn(t.Context(), say(s, text), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	fork, err := p.ForkAt(t.Context(), s, 3, nil) // system, one, its echo
	if err != nil || fork.Messages != 3 || fork.ID == s {
		t.Fatalf("%+v %v", fork, err)
	}
	if r, err := p.Turn(t.Context(), say(fork.ID, "three"), nil, nil); err != nil || r.Text != "echo: three" {
		t.Errorf("%+v %v", r, err)
	}
	other, err := p.ForkAt(t.Context(), s, 1, &control.Replacement{Kind: control.UserBlock, With: transcript.Text{Text: "eins"}})
	if err != nil || other.Messages != 2 || !other.Pending {
		t.Fatalf("%+v %v", other, err)
	}
	r, err := p.Turn(t.Context(), control.Submit{Session: other.ID, Continue: true}, nil, nil)
	if err != nil || r.Text != "echo: eins" {
		t.Errorf("%+v %v", r, err)
	}
	for _, bad := range []control.Replacement{{Kind: control.AssistantBlock, With: transcript.Text{}}, {Block: 1, With: transcript.Text{}}, {Kind: control.ResultBlock, Result: 3}} {
		if _, err := p.ForkAt(t.Context(), s, 1, &bad); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%+v: %v", bad, err)
		}
	}
	if st, err := p.Session(t.Context(), string(s)); err != nil || st.Messages != 5 {
		t.Errorf("the first is not as it was: %+v %v", st, err)
	}
}

func TestA_session_that_is_to_run_later_can_be_changed_until_it_does(t *testing.T) {
	t.Parallel()
	p := open(t, echo{})
	d, err := p.CreateSession(t.Context(), control.CreateSession{Profile: run.Profile{Model: "echo"}, System: "first", Deferred: true, Prompt: transcript.TextBlocks("kept")})
	if err != nil || !d.Deferred || d.Messages != 0 || d.Waiting != 1 {
		t.Fatalf("%+v %v", d, err)
	}
	create(t, p)
	if rows, err := p.Sessions(t.Context(), control.ListSessions{DeferredFirst: true}); err != nil || len(rows) != 2 || rows[0].ID != d.ID || !rows[0].Deferred {
		t.Errorf("%+v %v", rows, err)
	}
	if _, err := p.ForkAt(t.Context(), d.ID, 0, nil); fault.CodeOf(err) != fault.Busy {
		t.Error(err)
	}
	second, most := "second", 77
	req := say(d.ID, "said")
	req.RequireIdle, req.Asks = true, control.Asks{System: &second, MaxOutput: &most}
	if r, err := p.Turn(t.Context(), req, nil, nil); err != nil || r.Text != "echo: said" {
		t.Fatalf("%+v %v", r, err)
	}
	rows, err := p.Transcript(t.Context(), d.ID, 0, 0)
	var all []string
	for _, r := range rows {
		switch e := r.Entry.(type) {
		case transcript.System:
			all = append(all, e.Text)
		case transcript.User:
			all = append(all, e.Content.Plain())
		}
	}
	if got := strings.Join(all, " "); err != nil || got != "second kept said" {
		t.Error(got, err)
	}
	if _, err := p.Submit(t.Context(), req); fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), "Cannot override max_tokens, system_prompt") {
		t.Error(err)
	}
}

func TestContext_is_known_to_the_next_call_and_starts_nothing(t *testing.T) {
	t.Parallel()
	p := open(t, echo{})
	s := create(t, p)
	c := control.Context{Session: s, Text: "it rains", Source: "weather", Key: "k"}
	for _, want := range []string{control.ContextStaged, control.ContextDuplicate} {
		if got, err := p.InjectContext(t.Context(), c); got != want || err != nil {
			t.Errorf("%s %v, want %s", got, err, want)
		}
	}
	c.Text = "it snows"
	if _, err := p.InjectContext(t.Context(), c); fault.CodeOf(err) != fault.Invalid {
		t.Error(err)
	}
	c.Text = " "
	if _, err := p.InjectContext(t.Context(), c); fault.CodeOf(err) != fault.Invalid {
		t.Error(err)
	}
	if st, err := p.Session(t.Context(), string(s)); err != nil || st.Run != nil || st.Waiting != 1 {
		t.Errorf("%+v %v", st, err)
	}
	if _, err := p.Turn(t.Context(), say(s, "go"), nil, nil); err != nil {
		t.Fatal(err)
	}
	rows, err := p.Transcript(t.Context(), s, 2, 3)
	if err != nil || len(rows) != 1 || rows[0].Entry != transcript.Entry(transcript.Notice{Kind: "context", Text: "[weather] it rains"}) {
		t.Errorf("%+v %v", rows, err)
	}
}

func TestA_key_that_was_used_for_something_else_is_refused(t *testing.T) {
	t.Parallel()
	p := open(t, echo{})
	s := create(t, p)
	req := say(s, "hello")
	req.Key = "k"
	first, err := p.Turn(t.Context(), req, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	again, err := p.Turn(t.Context(), req, nil, nil)
	if err != nil || again.Input != first.Input || again.Text != "echo: hello" {
		t.Errorf("%+v %v", again, err)
	}
	req.Content = transcript.TextBlocks("another")
	if _, err := p.Submit(t.Context(), req); fault.CodeOf(err) != fault.Invalid || !strings.Contains(err.Error(), "another input") {
		t.Error(err)
	}
}

func TestHelp_is_a_session_without_tools_whose_model_knows_what_there_is(t *testing.T) {
	t.Parallel()
	p := open(t, echo{})
	create, submit, err := control.Help{Question: "how do I make a key?", About: "a script", Model: "echo", Plan: true}.Session()
	if err != nil {
		t.Fatal(err)
	}
	s, err := p.CreateSession(t.Context(), create)
	if err != nil {
		t.Fatal(err)
	}
	submit.Session = s.ID
	if r, err := p.Turn(t.Context(), submit, nil, nil); err != nil || r.Text != "echo: how do I make a key?\n\nWhat it is for: a script" {
		t.Errorf("%+v %v", r, err)
	}
	rows, err := p.Transcript(t.Context(), s.ID, 1, 2)
	if err != nil || !strings.Contains(rows[0].Entry.(transcript.System).Text, "rkat keys create") {
		t.Errorf("%+v %v", rows, err)
	}
	if _, _, err := (control.Help{Question: " "}).Session(); fault.CodeOf(err) != fault.Invalid {
		t.Error(err)
	}
}

func TestEvents_are_read_in_pieces_that_have_a_size(t *testing.T) {
	t.Parallel()
	p := open(t, echo{})
	s := create(t, p)
	big := strings.Repeat("x", 2<<20)
	for range 3 {
		if _, err := p.Turn(t.Context(), say(s, big), nil, nil); err != nil {
			t.Fatal(err)
		}
	}
	var cursors []uint64
	for after := uint64(0); ; {
		page, err := p.EventsSince(t.Context(), s, after, 0)
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range page.Events {
			cursors = append(cursors, e.Cursor)
		}
		if !page.More {
			if len(cursors) < 20 || uint64(len(cursors)) != page.Latest {
				t.Errorf("%d events of %d", len(cursors), page.Latest)
			}
			break
		}
		after = cursors[len(cursors)-1]
	}
	for n, c := range cursors {
		if c != uint64(n+1) {
			t.Fatalf("event %d is at %d", n, c)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	next := uint64(1)
	for e, err := range p.Events(ctx, s, 0) {
		if err != nil || e.Cursor != next {
			t.Fatalf("%d %v, want %d", e.Cursor, err, next)
		}
		if next++; int(next) > len(cursors) {
			cancel()
		}
	}
}
