package meerkat_test

import (
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm/llmtest"
	"github.com/meerkat-go/meerkat/llm/llmtest/script"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

var count = json.RawMessage(`{"type":"object","properties":{"n":{"type":"integer"}},"required":["n"]}`)

// said answers the last thing a user said by a part of it.
func said(part, text string, times int) script.Rule {
	return script.Rule{When: script.When{UserContains: part}, Times: times, Reply: script.Reply{Text: text}}
}

// history is what was told of a session, by name.
func history(t *testing.T, rt *meerkat.Runtime, s id.Session) (names []string, all []event.Event) {
	t.Helper()
	for e, err := range rt.Plane().Events(t.Context(), s, 0) {
		if err != nil {
			t.Fatal(err)
		}
		names, all = append(names, e.Payload.Type()), append(all, e)
		if _, over := e.Payload.(event.InputEnded); over {
			break
		}
	}
	return names, all
}

func TestR110_R111_a_run_ends_with_an_output_that_fits_and_the_conversation_knows_nothing_of_the_search(t *testing.T) {
	t.Parallel()
	m := llmtest.New(said("fits this JSON Schema", "three", 1), said("does not fit", "```json\n{\"n\": 3}\n```", 0), said("how many", "There are three.", 0))
	rt := openRuntime(t, m)
	a, err := rt.Ask(t.Context(), run.Profile{Model: "echo", Schema: count}, "how many are there?")
	if err != nil || a.Text != "There are three." || string(a.Output) != `{"n":3}` || a.NoOutput != nil || a.Rounds != 1 || a.Usage.Input != 30 {
		t.Fatalf("%+v, %v", a, err)
	}
	names, all := history(t, rt, a.Session)
	i := slices.Index(names, "run_completed")
	if got := strings.Join(names[i-1:], " "); got != "turn_completed run_completed extraction_succeeded input_ended" {
		t.Errorf("told %s", got)
	}
	if done := all[i].Payload.(event.RunCompleted); !done.ExtractionRequired || done.Result != a.Text {
		t.Errorf("%+v", done)
	}
	rows, err := rt.Plane().Transcript(t.Context(), a.Session, 1, 0)
	if last := rows[len(rows)-1].Entry.(transcript.Assistant); err != nil || last.Blocks.Plain() != a.Text || len(m.Requests()) != 3 {
		t.Errorf("%v ends the conversation after %d calls, %v", last, len(m.Requests()), err)
	}
	again, err := rt.Plane().Wait(t.Context(), a.Session, a.Input)
	if err != nil || string(again.Output) != `{"n":3}` {
		t.Errorf("read again: %+v, %v", again, err)
	}
}

func TestR110_a_run_without_the_output_it_wanted_is_completed(t *testing.T) {
	t.Parallel()
	rt := openRuntime(t, llmtest.New(said("how many", "There are three.", 0), said("JSON", "three", 0)))
	a, err := rt.Ask(t.Context(), run.Profile{Model: "echo", Schema: count, SchemaRetries: -1}, "how many are there?")
	if err != nil || a.Status != control.Completed || a.Text != "There are three." || a.Output != nil || a.NoOutput == nil || a.NoOutput.Attempts != 1 ||
		a.NoOutput.Last != "three" || !strings.HasPrefix(a.NoOutput.Reason, "structured_output_validation_failed: ") {
		t.Fatalf("%+v %+v, %v", a, a.NoOutput, err)
	}
}

// Scenario: S89
func TestR112_a_model_that_never_ends_is_stopped_by_the_budget_and_what_it_did_counts(t *testing.T) {
	t.Parallel()
	m := llmtest.New(script.Rule{Reply: script.Reply{Text: "once more", ToolCalls: []script.Call{{Name: "again"}}}}) // 15 tokens each
	rt := openRuntime(t, m)
	a, err := rt.Ask(t.Context(), run.Profile{Model: "echo", Budget: run.Budget{Tokens: 50}}, "go on for ever")
	if err != nil || a.Status != control.Completed || a.Cause != "budget_exhausted" || a.Text != "once more" || a.Rounds != 4 {
		t.Fatalf("%+v, %v", a, err)
	}
	if last := m.Requests()[3]; last.MaxOutput != 5 { // R113
		t.Errorf("the last call may have %d tokens", last.MaxOutput)
	}
	names, _ := history(t, rt, a.Session)
	if !slices.Contains(names, "budget_warning") {
		t.Errorf("nobody was warned: %v", names)
	}
	receipt, err := rt.Plane().Submit(t.Context(), control.Submit{Session: a.Session, Content: transcript.TextBlocks("more")})
	if err != nil {
		t.Fatal(err)
	}
	if o, err := rt.Plane().Wait(t.Context(), a.Session, receipt.Input); err != nil || o.Status != control.Failed || o.Cause != "budget_exhausted" || len(m.Requests()) != 4 {
		t.Errorf("%+v, %v after %d calls", o, err, len(m.Requests()))
	}
}

func TestR114_a_run_does_not_wait_beyond_its_time(t *testing.T) {
	t.Parallel()
	rt := openRuntime(t, llmtest.New(script.Rule{Reply: script.Reply{Status: 429, RetryAfter: "3600"}}))
	a, err := rt.Ask(t.Context(), run.Profile{Model: "echo", Budget: run.Budget{Duration: time.Minute}}, "quickly")
	var not *meerkat.NotCompleted
	if !errors.As(err, &not) || fault.CodeOf(err) != fault.Budget || a.Status != control.Failed || a.Cause != "time_budget_exceeded" {
		t.Fatalf("%+v, %v", a, err)
	}
}

func TestA_profile_that_no_run_could_keep_to_is_refused(t *testing.T) {
	t.Parallel()
	p := open(t, echo{})
	for name, profile := range map[string]run.Profile{
		"a schema of a text":    {Schema: json.RawMessage(`{"type":"string"}`)},
		"a schema that is none": {Schema: json.RawMessage(`{"type":`)},
		"tokens below zero":     {Budget: run.Budget{Tokens: -1}},
		"calls below zero":      {Budget: run.Budget{Calls: -1}},
		"time below zero":       {Budget: run.Budget{Duration: -1}},
	} {
		profile.Model = "echo"
		if _, err := p.CreateSession(t.Context(), control.CreateSession{Profile: profile}); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%s: %v", name, err)
		}
	}
}
