package inbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/transcript"
)

// world plays the session around an inbox: it has runs, and does with inputs what the region says. Everything it does is checked.
type world struct {
	box   Box
	seq   id.Seq
	runs  int
	run   id.Run // bound; empty: none
	ended map[id.Input]Item
	said  []string // what stands in the transcript, in order
	keys  map[string]bool
	errs  []error
	quick bool // leaves out what costs most: writing and reading each item
	says  bool // in an exploration: what inputs say stands as soon as they are staged
}

func newWorld() *world { return &world{ended: map[id.Input]Item{}, keys: map[string]bool{}} }

func (w *world) clone() *world {
	c := *w
	c.ended, c.keys, c.said, c.errs = map[id.Input]Item{}, map[string]bool{}, slices.Clip(w.said), slices.Clip(w.errs)
	for in, i := range w.ended {
		c.ended[in] = i
	}
	for k := range w.keys {
		c.keys[k] = true
	}
	return &c
}

func (w *world) note(format string, args ...any) {
	w.errs = append(w.errs, fmt.Errorf(format, args...))
}

// step moves an input along. A refusal is returned, all else that is wrong is noted.
func (w *world) step(i Item, e Event) error {
	next, err := Table.Step(i, e)
	if err != nil {
		return err
	}
	if _, over := w.ended[i.ID]; over {
		w.note("R31: input %s goes on after its end", i.ID)
	}
	if next.Phase.Terminal() {
		w.ended[i.ID] = next
		w.errs = append(w.errs, CheckEnded(next))
	}
	w.box = w.box.Put(next)
	w.errs = append(w.errs, Check(w.box))
	if !w.quick {
		w.errs = append(w.errs, comesBack(next))
	}
	return nil
}

// comesBack says what is lost when an item is written and read.
func comesBack(i Item) error {
	data, err := json.Marshal(i)
	if err != nil {
		return err
	}
	var out Item
	if err := json.Unmarshal(data, &out); err != nil {
		return err
	}
	again, err := json.Marshal(out)
	switch {
	case err != nil:
		return err
	case string(again) != string(data):
		return fmt.Errorf("R22: %s comes back as %s", data, again)
	}
	for _, kind := range []Kind{Stage, Rollback, Refuse, Consume, Abandon} {
		e := Event{Kind: kind, Run: "r"}
		a, aErr := Table.Step(i, e)
		b, bErr := Table.Step(out, e)
		if a.Phase != b.Phase || fmt.Sprint(aErr) != fmt.Sprint(bErr) || i.Scope() != out.Scope() || i.rides() != out.rides() || i.atBoundary() != out.atBoundary() {
			return fmt.Errorf("R22: %s decides otherwise when it comes back", data)
		}
	}
	return nil
}

// submit admits an input as a session does: the same id or key is a duplicate, what it replaces ends in the same step.
func (w *world) submit(in input.Input, a Arrival) Judgement {
	if err := in.Validate(); err != nil {
		w.note("R100: %w", err)
	}
	a.Running = w.run != ""
	j := Judge(in, a)
	if _, dup := w.box.Find(j.Item.ID, j.Item.Key); dup {
		return j
	}
	i := j.Item
	for _, old := range w.box.Targets(i) {
		e := Event{Kind: Supersede, By: i.ID, Scope: i.Scope()}
		if j.Plan == CoalesceInto {
			e.Kind = Coalesce
		}
		if err := w.step(old, e); err != nil {
			w.note("R104: %w", err)
		}
	}
	e := Event{Kind: Admit}
	switch j.Plan {
	case ConsumeNow:
		e.Kind = AdmitConsumed
	case QueueFront:
		i.Seq = w.box.Front()
	case QueueBack, CoalesceInto, SupersedeThem, RecordOnly:
		w.seq++
		i.Seq = w.seq
	}
	if err := w.step(i, e); err != nil {
		w.note("admission: %w", err)
	}
	return j
}

// write puts what inputs add into the transcript. What has a key is added once.
func (w *world) write(as []Append) {
	for _, a := range as {
		if a.Key != "" && w.keys[a.Key] {
			continue
		}
		w.keys[a.Key] = true
		text := ""
		switch e := a.Entry.(type) {
		case transcript.User:
			text = "user: " + e.Content.Plain()
		case transcript.Notice:
			text = e.Kind + ": " + e.Text
		}
		w.said = append(w.said, text)
	}
}

// begin binds a run, if anything can start one. Said: what its inputs say stands from then on.
func (w *world) begin(draining, said bool) Batch {
	if w.run != "" {
		return Batch{}
	}
	batch := w.box.Batch(draining)
	if len(batch.Items) == 0 {
		return batch
	}
	w.runs++
	w.run = id.Run(fmt.Sprintf("r%d", w.runs))
	if said {
		w.write(batch.Appends())
	}
	for _, i := range batch.Items {
		if err := w.step(i, Event{Kind: Stage, Run: w.run, Said: said}); err != nil {
			w.note("R106: %w", err)
		}
	}
	return batch
}

// boundary takes in what steers.
func (w *world) boundary() []Item {
	if w.run == "" {
		return nil
	}
	in := w.box.Steers()
	w.write(Appends(in))
	for _, i := range in {
		if err := w.step(i, Event{Kind: Consume, Run: w.run}); err != nil {
			w.note("R108: %w", err)
		}
	}
	return in
}

// finish ends the run, and its inputs with it.
func (w *world) finish(kind Kind, why Reason) {
	for _, i := range w.box.Staged() {
		if err := w.step(i, Event{Kind: kind, Reason: why}); err != nil {
			w.note("R31: %w", err)
		}
	}
	w.run = ""
}

// fail ends a run of which nothing was carried out: its inputs wait again, behind what can go on.
func (w *world) fail() {
	others := w.box.Driving() > 0
	for _, i := range w.box.Staged() {
		if err := w.step(i, Event{Kind: Rollback, Seq: w.behind(others)}); err != nil {
			w.note("R105: %w", err)
		}
	}
	w.run = ""
}

// behind is the place behind all, or none where an input may keep its own.
func (w *world) behind(others bool) id.Seq {
	if !others {
		return 0
	}
	w.seq++
	return w.seq
}

// refuse says that an input cannot be part of a run.
func (w *world) refuse(i Item) {
	if err := w.step(i, Event{Kind: Refuse, Seq: w.behind(true)}); err != nil {
		w.note("R105: %w", err)
	}
}

// err returns what was noted.
func (w *world) err() error { return errors.Join(w.errs...) }

// show lists inputs by id.
func show(items []Item) string {
	var out []string
	for _, i := range items {
		out = append(out, string(i.ID))
	}
	return strings.Join(out, " ")
}

// Inputs to play with.

const peerID, requestID = "0190a0a0-0000-7000-8000-00000000000a", "0190a0a0-0000-7000-8000-00000000000b"

var (
	ann     = input.Source{Kind: input.SourcePeer, Peer: peerID, Display: "Ann"}
	bob     = input.Source{Kind: input.SourcePeer, Peer: requestID, Display: "Bob"}
	system  = input.Source{Kind: input.SourceSystem}
	outside = input.Source{Kind: input.SourceExternal, Name: "door"}
	overlay = scope.Overlay{Blocked: scope.NamesOf("shell")}
)

// silent reports whether an input is a request that the session has declared silent.
func silent(in input.Input) bool {
	intent, asks := in.Intent()
	return asks && intent == "ping"
}

func made(name string, b input.Body, s input.Source) input.Input {
	return input.Input{ID: id.Input(name), Body: b, Source: s}
}

func prompt(name string, o input.Options) input.Input {
	return made(name, input.Prompt{Text: "say " + name, Run: o}, input.Source{})
}

func message(name string, h input.Handling) input.Input {
	return made(name, input.Peer{Convention: input.Message{}, Body: name, Handling: h}, ann)
}

func ask(name, intent string, h input.Handling) input.Input {
	return made(name, input.Peer{Convention: input.Request{ID: requestID, Intent: intent}, Body: name, Handling: h}, ann)
}

func progress(name, key string) input.Input {
	in := made(name, input.Peer{Convention: input.Progress{Request: requestID, Phase: name}}, ann)
	in.Supersession, in.Durability = key, input.Ephemeral
	return in
}

func answer(name string, h input.Handling) input.Input {
	return made(name, input.Peer{Convention: input.Terminal{Request: requestID}, Body: name, Handling: h}, ann)
}

func step(name string, o input.Options) input.Input {
	return made(name, input.FlowStep{Step: name, Instructions: name, Run: o}, input.Source{Kind: input.SourceFlow, Flow: "f"})
}

func happening(name string, h input.Handling) input.Input {
	return made(name, input.ExternalEvent{Type: name, Handling: h}, outside)
}

func goOn(name, key string, c input.Continuation) input.Input {
	in := made(name, c, system)
	in.Supersession, in.Durability = key, input.Derived
	return in
}

func news(name string) input.Input { return made(name, input.Operation{Operation: name}, system) }

var steering = input.Options{Handling: input.HandlingSteer}
