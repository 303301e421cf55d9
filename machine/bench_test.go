package machine_test

import (
	"fmt"
	"testing"

	"github.com/meerkat-go/meerkat/id"
	given "github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/run"
)

// must steps a state, for setting a scene.
func must(tb testing.TB, s machine.State, evs ...machine.Event) machine.State {
	tb.Helper()
	for _, ev := range evs {
		c, err := machine.Step(s, newWorld().at, ev)
		if err != nil {
			tb.Fatal(err)
		}
		s = c.Next
	}
	return s
}

// after is a session, attached, with a number of inputs behind it and a number that wait while a run is bound.
func after(tb testing.TB, past, waiting int) machine.State {
	s := must(tb, machine.State{Session: session}, machine.Register{}, machine.Attach{Attachment: machine.Attachment{ID: 1}})
	for n := range past {
		s = must(tb, s, input(fmt.Sprintf("past-%d", n)))
		s = must(tb, s, machine.Reported{Report: answer(first(s))})
	}
	if waiting > 0 {
		s = must(tb, s, input("running"))
		for n := range waiting {
			s = must(tb, s, input(fmt.Sprintf("waiting-%d", n)))
		}
	}
	return s
}

func input(name string) machine.Submit {
	return prompt(id.Input(name), "what is in this folder?", inbox.Queue)
}

// prompt is what the operator says.
func prompt(in id.Input, text string, lane inbox.Lane) machine.Submit {
	body := given.Prompt{Text: text}
	if lane == inbox.Steer {
		body.Run.Handling = given.HandlingSteer
	}
	return machine.Submit{Input: given.Input{ID: in, Body: body}}
}

func first(s machine.State) run.Directive {
	_, d, _ := s.Open.First()
	return d
}

func step(b *testing.B, s machine.State, ev machine.Event, refused bool) {
	b.Helper()
	at := newWorld().at
	b.ReportAllocs()
	for b.Loop() {
		if _, err := machine.Step(s, at, ev); (err != nil) != refused {
			b.Fatal(err)
		}
	}
}

func BenchmarkStep(b *testing.B) {
	three := []string{"once", "read_only", "idempotent"}
	for _, past := range []int{10, 10_000} {
		idle := after(b, past, 0)
		calling := must(b, idle, input("now"))
		replied := (&world{}).replyWithCalls(first(calling).ID, three)
		out := must(b, calling, machine.Reported{Report: replied})
		one := must(b, calling, machine.Reported{Report: (&world{}).replyWithCalls(first(calling).ID, three[:1])})
		for _, c := range []struct {
			name    string
			s       machine.State
			ev      machine.Event
			refused bool
		}{
			{"input that starts a run", idle, input("now"), false},
			{"input that waits", calling, input("next"), false},
			{"reply with three calls", calling, machine.Reported{Report: replied}, false},
			{"first of three calls settled", out, machine.Reported{Report: answer(first(out))}, false},
			{"last call settled", one, machine.Reported{Report: answer(first(one))}, false},
			{"final reply", calling, machine.Reported{Report: answer(first(calling))}, false},
			{"refusal", calling, machine.Interrupt{Run: "another"}, true},
			{"stale report", calling, machine.Reported{Report: run.ToolSettled{}}, true},
		} {
			b.Run(fmt.Sprintf("%s/past=%d", c.name, past), func(b *testing.B) { step(b, c.s, c.ev, c.refused) })
		}
	}
	for _, waiting := range []int{1, 100, 10_000} {
		s := after(b, 0, waiting)
		b.Run(fmt.Sprintf("input that waits/waiting=%d", waiting), func(b *testing.B) { step(b, s, input("next"), false) })
		b.Run(fmt.Sprintf("final reply and the next run/waiting=%d", waiting), func(b *testing.B) {
			step(b, s, machine.Reported{Report: answer(first(s))}, false)
		})
	}
}
