package machine_test

import (
	"errors"
	"testing"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	given "github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
)

// What an input asks of its run is given to that run alone, or refused: it is never forgotten (R109).
func TestR109_a_run_has_the_model_that_its_inputs_ask_for_and_what_cannot_be_given_is_refused(t *testing.T) {
	t.Parallel()
	asks := func(in id.Input, o given.Options) machine.Submit {
		return machine.Submit{Input: given.Input{ID: in, Body: given.Prompt{Text: "hello", Run: o}}}
	}
	w := newWorld()
	tell := func(ev machine.Event) machine.Commit {
		t.Helper()
		c, refusal, breach := w.tell(ev)
		if refusal != nil || breach != nil {
			t.Fatal(refusal, breach)
		}
		return c
	}
	tell(machine.Register{})
	tell(machine.Attach{Attachment: machine.Attachment{ID: 1}})
	for _, o := range []given.Options{{Skills: []given.Skill{{Name: "s"}}}, {Instructions: []string{"be brief"}}, {Identity: identity.Request{Params: "{}"}}} {
		_, refusal, breach := w.tell(asks("no", o))
		var no *machine.Refusal
		if !errors.As(refusal, &no) || no.Guard != machine.GuardAsked || breach != nil {
			t.Fatalf("%+v: %v, %v", o, refusal, breach)
		}
	}
	tell(asks("i1", given.Options{Identity: identity.Request{Model: "painter"}}))
	tell(asks("i2", given.Options{}))
	for _, want := range []string{"painter", "painter", ""} {
		_, d, _ := w.s.Open.First()
		got := ""
		if d.Model != nil {
			got = d.Model.Model
		}
		if got != want {
			t.Fatalf("%s is of model %q, want %q", d.ID, got, want)
		}
		if want == "painter" && d.Round == 0 {
			c := tell(machine.Reported{Report: w.replyWithCalls(d.ID, []string{"once"})})
			d = c.Opened[0]
		}
		tell(machine.Reported{Report: answer(run.Directive{ID: d.ID, Kind: d.Kind})})
	}
}
