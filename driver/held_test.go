package driver_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/store"
)

// A call that waits is a row of its own, and so is what was said about it.
func TestR128_R129_what_waits_for_a_word_is_a_row_and_what_was_said_stays_in_it(t *testing.T) {
	t.Parallel()
	w := registered(t)
	w.tell(submit("i", "go"))
	w.tell(reply(w.model(), "", "ask", "ask_client", "client", "ro"))
	asked, led := w.tool("ask"), w.tool("ask_client")
	entry := func(name string) driver.Effect {
		t.Helper()
		all, err := w.reader().Effects(t.Context(), sid)
		w.ok(err)
		for _, e := range all {
			if e.Directive.Call.Name == name {
				return e
			}
		}
		t.Fatalf("no row of %s", name)
		return driver.Effect{}
	}
	if e := entry("ask"); !e.Open || e.Directive.Held != run.Approval || e.Directive.Attempt != 0 {
		t.Fatalf("stored: %+v", e)
	}
	before := shown(w.d.State())
	w.d = w.open("b")
	same(t, shown(w.d.State()), before)

	w.tell(machine.Decide{Effect: led.ID, Granted: true, By: "ann"}, machine.Decide{Effect: asked.ID, By: "bob", Message: "no"})
	before = shown(w.d.State())
	w.d = w.open("c")
	same(t, shown(w.d.State()), before)
	if e := entry("ask_client"); !e.Open || e.Directive.Held != run.Callback || !e.Directive.Decision.Granted || e.Directive.Decision.By != "ann" {
		t.Fatalf("stored: %+v", e)
	}
	e := entry("ask")
	if d := e.Directive.Decision; e.Open || e.Outcome != "access_denied" || d == nil || d.Granted || d.By != "bob" || d.Message != "no" || d.At.IsZero() {
		t.Fatalf("stored: %+v", e)
	}
}

func TestR128_a_row_that_waits_for_what_nobody_knows_is_damaged(t *testing.T) {
	t.Parallel()
	w := registered(t)
	w.tell(submit("i", "go"))
	w.tell(reply(w.model(), "", "ask"))
	s := w.dump([]id.Run{w.runs()})
	for n := range s.Effects {
		s.Effects[n].Body = []byte(strings.Replace(string(s.Effects[n].Body), `"held":1`, `"held":9`, 1))
	}
	v := newWorld(t)
	v.fill(s)
	if _, err := v.reader().State(t.Context(), sid); !errors.Is(err, store.ErrCorrupt) || !strings.Contains(err.Error(), "no directive has such values") {
		t.Fatalf("got %v", err)
	}
}
