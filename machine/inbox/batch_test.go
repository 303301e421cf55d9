package inbox

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/transcript"
	"pgregory.net/rapid"
)

// runsOf plays inputs that are admitted during a run, and lists the runs that follow.
func runsOf(t *testing.T, ins ...input.Input) []string {
	t.Helper()
	w := newWorld()
	for _, in := range ins {
		w.submit(in, Arrival{Running: true, Silent: silent(in)})
	}
	var out []string
	for {
		b := w.begin(false, true)
		if len(b.Items) == 0 {
			break
		}
		out = append(out, show(b.Items))
		w.finish(Consume, NoReason)
	}
	if err := w.err(); err != nil {
		t.Error(err)
	}
	return out
}

// Scenario: S65, S66, S67, S68, S69, S70
func TestR106_a_batch_is_all_of_one_class_from_the_head_of_its_lane_and_a_prompt_goes_alone(t *testing.T) {
	t.Parallel()
	none := input.Options{}
	only := input.Options{Overlay: overlay}
	for name, c := range map[string]struct {
		in   []input.Input
		want []string
	}{
		"messages go together":               {[]input.Input{message("a", 0), message("b", 0), ask("c", "x", 0), happening("d", 0)}, []string{"a b c d"}},
		"prompts do not":                     {[]input.Input{prompt("a", none), prompt("b", none)}, []string{"a", "b"}},
		"going on stands before a prompt":    {[]input.Input{goOn("a", "", input.Continuation{}), goOn("b", "", input.Continuation{}), prompt("c", none)}, []string{"a b", "c"}},
		"a message takes no prompt along":    {[]input.Input{message("a", 0), prompt("b", none), message("c", 0)}, []string{"a", "b", "c"}},
		"a prompt takes no message along":    {[]input.Input{prompt("a", none), message("b", 0), message("c", 0)}, []string{"a", "b c"}},
		"overlays split":                     {[]input.Input{step("a", none), step("b", only), step("c", only), step("d", none)}, []string{"a", "b c", "d"}},
		"an answer is not for messages":      {[]input.Input{answer("a", 0), message("b", 0), answer("c", 0)}, []string{"a", "b", "c"}},
		"nor a message for answers":          {[]input.Input{message("a", 0), answer("b", 0), answer("c", 0), message("d", 0)}, []string{"a", "b c", "d"}},
		"what steers goes first, together":   {[]input.Input{prompt("a", none), prompt("b", steering), message("c", input.HandlingSteer)}, []string{"b c", "a"}},
		"an answer that steers goes apart":   {[]input.Input{message("a", input.HandlingSteer), answer("b", input.HandlingSteer), message("c", input.HandlingSteer)}, []string{"a", "b", "c"}},
		"and first if it came first":         {[]input.Input{answer("a", input.HandlingSteer), message("b", input.HandlingSteer)}, []string{"a", "b"}},
		"going on is not a word":             {[]input.Input{message("a", 0), goOn("b", "", input.Continuation{}), message("c", 0)}, []string{"a", "b", "c"}},
		"a word to go on with is":            {[]input.Input{message("a", 0), goOn("b", "", input.Continuation{Turn: input.Entries{transcript.Notice{}}})}, []string{"a b"}},
		"dispatched to different places":     {[]input.Input{goOn("a", "1", input.Continuation{Overlay: scope.Overlay{Dispatch: "x"}}), goOn("b", "2", input.Continuation{Overlay: scope.Overlay{Dispatch: "y"}})}, []string{"a", "b"}},
		"what is silent rides with a prompt": {[]input.Input{prompt("a", none), ask("b", "ping", 0), prompt("c", none)}, []string{"a b", "c"}},
	} {
		if got := runsOf(t, c.in...); !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// Scenario: S71
func TestR106_an_input_whose_stamp_is_damaged_is_taken_alone(t *testing.T) {
	t.Parallel()
	damaged := func(b Box, in id.Input, lane Lane) Box {
		i, _ := b.Find(in, "")
		s := *i.Stamp
		s.Policy, s.Means = Policy{}, Semantics{Passenger: true}
		i.Stamp, i.Lane = &s, lane
		return b.Put(i)
	}
	for _, lane := range []Lane{Queue, Steer} {
		w := newWorld()
		h := []input.Handling{input.HandlingQueue, input.HandlingSteer}[lane]
		for _, in := range []input.Input{message("a", h), message("b", h), message("c", h), ask("d", "ping", 0)} {
			w.submit(in, Arrival{Silent: silent(in)})
		}
		b := damaged(w.box, "b", lane)
		if got := show(b.Next()); got != "a d" {
			t.Errorf("%s: %s is next to what is damaged", lane, got)
		}
		if i := b.Next()[0]; i.Unstamped() {
			t.Errorf("%s: %s is damaged", lane, i.ID)
		}
		b = damaged(w.box, "a", lane)
		if next := b.Next(); show(next) != "a" || !next[0].Unstamped() || Check(b) == nil {
			t.Errorf("%s: %s is next, %v", lane, show(next), Check(b))
		}
		if lane == Steer && show(damaged(w.box, "b", lane).Steers()) != "a c" {
			t.Error("what is damaged is taken in at a boundary")
		}
	}
}

// Scenario: S35, S39, S56, S57
func TestR107_passengers_start_nothing_block_nothing_and_ride_with_the_next(t *testing.T) {
	t.Parallel()
	mute := Arrival{WithoutWake: true}
	for _, driver := range []input.Input{prompt("d", input.Options{}), prompt("d", steering), message("d", 0), answer("d", 0), step("d", input.Options{Overlay: overlay})} {
		w := newWorld()
		w.submit(progress("p", "s"), idle)
		w.submit(ask("s", "ping", input.HandlingSteer), Arrival{Silent: true})
		w.submit(happening("e", 0), mute)
		if b := w.begin(false, true); len(b.Items) != 0 || w.box.Driving() != 0 || w.box.Riding() != 3 {
			t.Fatalf("%s starts a run", show(b.Items))
		}
		w.submit(driver, idle)
		w.submit(ask("l", "ping", 0), Arrival{Silent: true})
		b := w.begin(false, true)
		if show(b.Items) != "p s e d l" || b.ContextOnly {
			t.Errorf("a %s takes along %s", driver.Kind(), show(b.Items))
		}
		as := b.Appends()
		if last := as[len(as)-1]; last.Input != "d" || as[3].Input != "l" {
			t.Errorf("the last word has %s", last.Input)
		}
		if err := w.err(); err != nil {
			t.Error(err)
		}
	}
}

func TestR107_passengers_that_are_left_when_nothing_more_will_come_are_added_without_a_model(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.submit(ask("s", "ping", 0), Arrival{Silent: true})
	w.submit(prompt("m", input.Options{Overlay: overlay}), Arrival{WithoutWake: true})
	w.submit(progress("p", ""), idle)
	w.submit(answer("a", 0), idle)
	b := w.begin(true, true)
	if show(b.Items) != "s m p a" || b.ContextOnly {
		t.Fatalf("%+v", b)
	}
	w.finish(Consume, NoReason)
	w.submit(ask("t", "ping", 0), Arrival{Silent: true})
	w.submit(prompt("n", input.Options{Overlay: overlay}), Arrival{WithoutWake: true})
	if b = w.begin(true, true); show(b.Items) != "t n" || !b.ContextOnly || len(b.Appends()) != 2 {
		t.Errorf("%+v", b)
	}
	if o, err := b.Options(); err != nil || !o.IsZero() {
		t.Errorf("%+v %v", o, err)
	}
	w.finish(Consume, NoReason)
	if b = w.begin(true, true); len(b.Items) != 0 || w.box.Len() != 0 || w.err() != nil {
		t.Errorf("%+v: %v", b, w.err())
	}
}

// Scenario: S41
func TestR108_a_boundary_takes_in_what_steers_and_what_wants_another_run_waits_for_it(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.submit(prompt("s0", steering), idle)
	if b := w.begin(false, true); show(b.Items) != "s0" {
		t.Fatalf("a steer that finds nothing to steer begins no run: %s", show(b.Items))
	}
	if in := w.boundary(); in != nil {
		t.Errorf("%s is taken in twice", show(in))
	}
	w.submit(progress("p", "s"), idle)
	w.submit(ask("q", "ping", 0), Arrival{Silent: true})
	if in := w.boundary(); in != nil {
		t.Errorf("%s is taken in without anything that steers", show(in))
	}
	other := input.Options{Handling: input.HandlingSteer, Identity: identity.Request{Model: "m"}}
	for _, in := range []input.Input{answer("a", input.HandlingSteer), prompt("o", other), goOn("c", "", input.Continuation{Handling: input.HandlingSteer}),
		goOn("d", "", input.Continuation{Overlay: scope.Overlay{Dispatch: "d"}}), message("m", 0), prompt("s1", steering), message("s2", input.HandlingSteer)} {
		w.submit(in, idle)
	}
	w.said = nil
	if in := w.boundary(); show(in) != "p s1 s2" {
		t.Errorf("%s is taken in", show(in))
	}
	if len(w.said) != 3 || w.said[1] != "user: say s1" {
		t.Errorf("said %q", w.said)
	}
	w.finish(Consume, NoReason)
	var rest []string
	for b := w.begin(false, true); len(b.Items) > 0; b = w.begin(false, true) {
		rest = append(rest, show(b.Items))
		w.finish(Consume, NoReason)
	}
	if want := []string{"q a", "o", "c", "d", "m"}; !slices.Equal(rest, want) || w.err() != nil {
		t.Errorf("runs %q: %v", rest, w.err())
	}
}

func TestR108_what_only_makes_a_session_go_on_may_end_without_a_run(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.submit(goOn("c", "", input.Continuation{}), idle)
	w.submit(prompt("p", input.Options{}), idle)
	b := w.box.Batch(false)
	if show(b.Items) != "c" || b.Execution() != ResumePending || len(b.Appends()) != 0 {
		t.Fatalf("%+v", b)
	}
	if err := w.step(b.Items[0], Event{Kind: Consume}); err != nil || w.ended["c"].Phase != Consumed {
		t.Errorf("%v", err)
	}
	if b = w.box.Batch(false); b.Execution() != ContentTurn {
		t.Errorf("%+v", b)
	}
	if err := w.step(b.Items[0], Event{Kind: Consume}); err == nil {
		t.Error("a prompt ends without a run")
	}
}

// Scenario: S72
func TestR109_inputs_that_disagree_about_their_run_are_a_conflict_that_names_the_field(t *testing.T) {
	t.Parallel()
	who := func(r identity.Request) input.Options { return input.Options{Identity: r} }
	for field, c := range map[string][2]input.Options{
		"handling_mode":         {{Handling: input.HandlingQueue}, {Handling: input.HandlingSteer}},
		"tool_overlay":          {{Overlay: overlay}, {Overlay: scope.Overlay{Restricts: true}}},
		"model":                 {who(identity.Request{Model: "a"}), who(identity.Request{Model: "b"})},
		"provider":              {who(identity.Request{Provider: "a"}), who(identity.Request{Provider: "b"})},
		"self_hosted_server_id": {who(identity.Request{SelfHostedServer: "a"}), who(identity.Request{SelfHostedServer: "b"})},
		"provider_params":       {who(identity.Request{Params: `{"a":1}`}), who(identity.Request{ClearParams: true})},
		"auth_binding":          {who(identity.Request{ClearAuthBinding: true}), who(identity.Request{AuthBinding: identity.Binding{Realm: "r"}})},
		"keep_alive":            {{KeepAlive: input.On}, {KeepAlive: input.Off}},
		"render_metadata":       {{Render: input.Render{Class: input.ClassFlowStep}}, {Render: input.Render{Class: input.ClassUserPrompt}}},
	} {
		for _, order := range [][3]int{{0, 1, 0}, {1, 0, 1}, {0, 0, 1}} {
			var b Batch
			for n, which := range order {
				b.Items = append(b.Items, Judge(step(fmt.Sprint("i", n), c[which]), idle).Item)
			}
			o, err := b.Options()
			var conflict *input.Conflict
			second := id.Input(fmt.Sprint("i", slices.IndexFunc(order[:], func(w int) bool { return w != order[0] })))
			if !errors.As(err, &conflict) || conflict.Field != field || conflict.Input != second || fault.CodeOf(err) != fault.Invalid || !o.IsZero() {
				t.Errorf("%s: %+v %v", field, o, err)
			}
		}
	}
}

func TestR109_what_inputs_ask_for_is_one_request_and_passengers_ask_for_nothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	a := input.Options{Identity: identity.Request{Model: "m"}, Skills: []input.Skill{{Name: "x"}}, Instructions: []string{"one"}}
	b := input.Options{Handling: input.HandlingQueue, Identity: identity.Request{Model: "m", Params: `{"t":1}`}, KeepAlive: input.On, Skills: []input.Skill{{Name: "y"}},
		Instructions: []string{"two", "three"}}
	w.submit(step("p", input.Options{Identity: identity.Request{Model: "other"}}), Arrival{WithoutWake: true})
	w.submit(step("a", a), idle)
	w.submit(step("b", b), idle)
	w.submit(message("c", 0), idle)
	batch := w.box.Batch(false)
	got, err := batch.Options()
	if err != nil || show(batch.Items) != "p a b c" {
		t.Fatalf("%s: %v", show(batch.Items), err)
	}
	if got.Identity != b.Identity || got.Handling != b.Handling || got.KeepAlive != input.On || len(got.Skills) != 2 ||
		!slices.Equal(got.Instructions, []string{"one", "two", "three"}) {
		t.Errorf("%+v", got)
	}
	if !slices.Equal(a.Instructions, []string{"one"}) {
		t.Errorf("an input was changed: %v", a.Instructions)
	}
}

func TestR109_who_speaks_does_not_depend_on_the_order_or_on_repetition(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var items []Item
		for n := range rapid.IntRange(1, 6).Draw(t, "inputs") {
			in := message(fmt.Sprint(n), 0)
			in.Source = rapid.SampledFrom([]input.Source{ann, bob, {Kind: input.SourcePeer, Peer: peerID}, system, outside}).Draw(t, "source")
			in.Correlation = rapid.SampledFrom([]string{"", "x", "y"}).Draw(t, "correlation")
			items = append(items, Judge(in, idle).Item)
		}
		want := Batch{Items: items}.Voice()
		mixed := rapid.Permutation(append(slices.Clone(items), items...)).Draw(t, "order")
		if got := (Batch{Items: mixed}).Voice(); got != want {
			t.Fatalf("%+v, and in another order %+v", want, got)
		}
		for _, i := range items {
			if want.Peer != "" && i.Stamp.Source.Peer != "" && i.Stamp.Source.Peer != want.Peer {
				t.Fatalf("%s speaks for %s", want.Peer, i.Stamp.Source.Peer)
			}
		}
	})
	one := func(s input.Source) Item {
		in := message("i", 0)
		in.Source, in.Correlation = s, "c"
		return Judge(in, idle).Item
	}
	if v := (Batch{Items: []Item{one(ann), one(bob), one(ann), {}}}).Voice(); v != (Voice{Correlation: "c"}) {
		t.Errorf("%+v", v)
	}
	if v := (Batch{Items: []Item{one(ann), one(outside)}}).Voice(); v != (Voice{Correlation: "c", Peer: peerID, Display: "Ann", External: "door"}) {
		t.Errorf("%+v", v)
	}
}
