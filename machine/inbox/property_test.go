package inbox

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/scope"
	"pgregory.net/rapid"
)

// chooser draws the next number below n; rapid, or a seeded generator, stands behind it.
type chooser func(n int, what string) int

// model is the inbox as anybody would write it down: a list, and for each input what is due.
type model struct {
	items []*entry
}

type entry struct {
	in       input.Input
	seq      id.Seq
	phase    Phase
	attempts int
	rides    bool
	steers   bool
	said     bool
	run      id.Run
	by       id.Input
	reason   Reason
}

func (e *entry) kind() input.Kind { return e.in.Kind() }

func (e *entry) goesOn() bool {
	c, ok := e.in.Body.(input.Continuation)
	return ok && len(c.Turn) == 0
}

// checkpoint reports whether the input waits for a boundary within a run rather than for a run.
func (e *entry) checkpoint() bool {
	return e.steers && e.kind() != input.KindPeerTerminal && !e.in.Dispatched()
}

func (m *model) find(in id.Input) *entry {
	n := slices.IndexFunc(m.items, func(e *entry) bool { return e.in.ID == in })
	if n < 0 {
		return nil
	}
	return m.items[n]
}

// waiting lists what is queued and of a sort, in admission order.
func (m *model) waiting(of func(*entry) bool) []*entry {
	var out []*entry
	for _, e := range m.items {
		if e.phase == Queued && of(e) {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *entry) int { return cmp.Compare(a.seq, b.seq) })
	return out
}

// batch walks the lanes from end to end.
func (m *model) batch(draining bool) []*entry {
	riders := m.waiting(func(e *entry) bool { return e.rides })
	lane := m.waiting(func(e *entry) bool { return !e.rides && e.steers })
	if len(lane) == 0 {
		lane = m.waiting(func(e *entry) bool { return !e.rides && !e.steers })
	}
	if len(lane) == 0 {
		if draining {
			return riders
		}
		return nil
	}
	head := lane[0]
	out := []*entry{head}
	for _, e := range lane[1:] {
		alike := e.checkpoint() == head.checkpoint() && e.goesOn() == head.goesOn() && (e.kind() == input.KindPeerTerminal) == (head.kind() == input.KindPeerTerminal) &&
			e.in.Options().Overlay.Equal(head.in.Options().Overlay) && e.in.Options().Overlay.Dispatch == head.in.Options().Overlay.Dispatch
		prompts := !head.steers && (e.kind() == input.KindPrompt || head.kind() == input.KindPrompt)
		if !alike || prompts {
			break
		}
		out = append(out, e)
	}
	out = append(out, riders...)
	slices.SortFunc(out, func(a, b *entry) int { return cmp.Compare(a.seq, b.seq) })
	return out
}

// boundary lists what a running run takes in.
func (m *model) boundary() []*entry {
	fits := func(e *entry) bool { return e.checkpoint() && !e.goesOn() && !e.said && !e.in.Options().Particular() }
	steers := m.waiting(func(e *entry) bool { return !e.rides && fits(e) })
	if len(steers) == 0 {
		return m.waiting(func(e *entry) bool { return e.rides && fits(e) && e.in.Kind() == input.KindContinuation })
	}
	return m.waiting(func(e *entry) bool { return fits(e) })
}

func namesOf(entries []*entry) string {
	var out []string
	for _, e := range entries {
		out = append(out, string(e.in.ID))
	}
	return strings.Join(out, " ")
}

// draw makes an input, mostly an ordinary one.
func draw(n int, choose chooser) (input.Input, Arrival) {
	name := fmt.Sprintf("i%d", n)
	mode := input.Handling(choose(3, "mode"))
	key := []string{"", "s", "t"}[choose(3, "scope")]
	o := input.Options{Handling: mode}
	if choose(4, "overlay") == 0 {
		o.Overlay = overlay
	}
	if choose(6, "model") == 0 {
		o.Identity = identity.Request{Model: "m"}
	}
	var in input.Input
	switch choose(11, "kind") {
	case 10:
		in = news(name)
	case 0, 1:
		in = prompt(name, o)
	case 2:
		in = message(name, mode)
	case 3:
		in = ask(name, []string{"ping", "sum"}[choose(2, "intent")], mode)
	case 4, 5:
		in = progress(name, key)
	case 6:
		in = answer(name, mode)
	case 7:
		in = step(name, o)
	case 8:
		in = happening(name, mode)
	default:
		c := input.Continuation{Handling: mode, Overlay: scope.Overlay{Dispatch: []string{"", "", "d"}[choose(3, "dispatch")]}}
		if choose(2, "word") == 0 {
			c.Turn = prompt("go", input.Options{}).Entries()
		}
		in = goOn(name, key, c)
	}
	return in, Arrival{Silent: silent(in), WithoutWake: choose(6, "mute") == 0}
}

// admit notes an input, and what it replaces.
func (m *model) admit(in input.Input, a Arrival, seq id.Seq) {
	replaces := map[input.Kind]Phase{input.KindPeerProgress: Coalesced, input.KindContinuation: Superseded}[in.Kind()]
	if replaces != 0 && in.Supersession != "" {
		for _, e := range m.items {
			if e.phase == Queued && e.kind() == in.Kind() && e.in.Supersession == in.Supersession {
				e.phase, e.by = replaces, in.ID
			}
		}
	}
	e := &entry{in: in, seq: seq, phase: Queued, rides: a.Silent || a.WithoutWake || in.Kind() == input.KindPeerProgress}
	if in.Kind() == input.KindOperation {
		e.phase, e.seq = Consumed, 0
	}
	e.steers = !a.Silent && (in.Options().Handling == input.HandlingSteer || in.Kind() == input.KindPeerProgress || in.Dispatched())
	m.items = append(m.items, e)
}

// compare says in what the box and the model differ.
func (m *model) compare(w *world) error {
	var errs []error
	differ := func(what, got, want string) {
		if got != want {
			errs = append(errs, fmt.Errorf("R106: %s %q, want %q", what, got, want))
		}
	}
	live := 0
	for _, e := range m.items {
		i, ok := w.box.Find(e.in.ID, "")
		if !ok {
			i = w.ended[e.in.ID]
		} else {
			live++
		}
		if i.Phase != e.phase || i.Attempts != e.attempts || i.Seq != e.seq || i.Run != e.run || i.By != e.by || i.Reason != e.reason || i.Said != e.said {
			errs = append(errs, fmt.Errorf("R31: %+v, want %s at %d after %d attempts, run %q, by %q, for %s, said %t", i, e.phase, e.seq, e.attempts, e.run,
				e.by, e.reason, e.said))
		}
	}
	if w.box.Len() != live {
		errs = append(errs, fmt.Errorf("R31: %d live, want %d", w.box.Len(), live))
	}
	differ("next are", show(w.box.Batch(false).Items), namesOf(m.batch(false)))
	differ("next of a retired session are", show(w.box.Batch(true).Items), namesOf(m.batch(true)))
	differ("a boundary takes", show(w.box.Steers()), namesOf(m.boundary()))
	if d := len(m.waiting(func(e *entry) bool { return !e.rides })); d != w.box.Driving() {
		errs = append(errs, fmt.Errorf("R107: %d drive, want %d", w.box.Driving(), d))
	}
	return errors.Join(errs...)
}

// wander plays a number of moves on a world and on the model, and returns the first difference, or the first breach of a rule.
func wander(moves int, choose chooser) error {
	w, m := newWorld(), &model{}
	var way []string
	made := 0
	for range moves {
		way = append(way, makes(w, m, &made, choose))
		if err := errors.Join(w.err(), m.compare(w)); err != nil {
			return fmt.Errorf("%w\nafter\n%s", err, strings.Join(way, "\n"))
		}
	}
	// Whatever has happened, runs that come to their end bring everything to an end, and a session that takes no more says the rest.
	for range 3 * moves {
		w.finish(Consume, NoReason)
		w.begin(true, true)
	}
	if err := w.err(); err != nil || w.box.Len() > 0 {
		return fmt.Errorf("R51: %d inputs are left: %w\nafter\n%s", w.box.Len(), err, strings.Join(way, "\n"))
	}
	return nil
}

func each(entries []*entry, do func(*entry)) {
	for _, e := range entries {
		do(e)
	}
}

// staged lists the inputs of the bound run.
func (m *model) staged() []*entry {
	var out []*entry
	for _, e := range m.items {
		if e.phase == Staged {
			out = append(out, e)
		}
	}
	slices.SortFunc(out, func(a, b *entry) int { return cmp.Compare(a.seq, b.seq) })
	return out
}

func (e *entry) drives() bool { return !e.rides }

func makes(w *world, m *model, made *int, choose chooser) string {
	switch choose(14, "move") {
	case 0, 1, 2, 3, 4:
		in, a := draw(*made, choose)
		*made++
		w.submit(in, a)
		m.admit(in, a, w.seq)
		return fmt.Sprintf("submit %+v %+v", in, a)
	case 5, 6:
		return begins(w, m, choose)
	case 7:
		if w.run == "" {
			return "no boundary"
		}
		each(m.boundary(), func(e *entry) { e.phase, e.run = Consumed, w.run })
		w.boundary()
		return "boundary"
	case 8, 9:
		others, seq := len(m.waiting((*entry).drives)) > 0, w.seq
		each(m.staged(), func(e *entry) {
			if others {
				seq++
			}
			if e.attempts == MaxAttempts {
				e.phase, e.reason = Abandoned, MaxAttemptsExhausted
				return
			}
			if e.phase, e.run = Queued, ""; others {
				e.seq = seq
			}
		})
		w.fail()
		return "fail"
	case 10:
		how, why := []Kind{Consume, Abandon}[choose(2, "end")], NoReason
		phase := Consumed
		if how == Abandon {
			phase, why = Abandoned, Cancelled
		}
		each(m.staged(), func(e *entry) { e.phase, e.reason = phase, why })
		w.finish(how, why)
		return "finish " + how.String()
	case 11:
		return defers(w, m, choose)
	case 12:
		return lapses(w, m)
	}
	head := m.batch(false)
	if len(head) == 0 {
		return "nothing to refuse"
	}
	i, _ := w.box.Find(head[0].in.ID, "")
	w.refuse(i)
	if head[0].attempts++; head[0].attempts == MaxAttempts {
		head[0].phase, head[0].reason = Abandoned, MaxAttemptsExhausted
	} else {
		head[0].seq = w.seq
	}
	return "refuse " + string(i.ID)
}

func begins(w *world, m *model, choose chooser) string {
	if w.run != "" {
		return "busy"
	}
	draining, said := choose(4, "draining") == 0, choose(2, "said") == 0
	next := m.batch(draining)
	w.begin(draining, said)
	each(next, func(e *entry) {
		e.phase, e.said, e.run = Staged, e.said || said, w.run
		e.attempts++
	})
	return "begin"
}

// defers moves any input behind all others. What does not wait stays as it is.
func defers(w *world, m *model, choose chooser) string {
	if len(m.items) == 0 {
		return "nothing to defer"
	}
	e := m.items[choose(len(m.items), "input")]
	i, live := w.box.Find(e.in.ID, "")
	if !live {
		i = w.ended[e.in.ID]
	}
	w.seq++
	next, err := Table.Step(i, Event{Kind: Defer, Seq: w.seq})
	if err != nil {
		w.note("R105: %s: %w", i.ID, err)
	}
	if e.phase == Queued {
		e.seq = w.seq
	}
	if live {
		w.box = w.box.Put(next)
		return "defer " + string(i.ID)
	}
	w.ended[i.ID] = next
	return "defer what is over"
}

// lapses ends what only makes a session go on, without a run.
func lapses(w *world, m *model) string {
	for i := range w.box.All() {
		e := m.find(i.ID)
		err := w.step(i, Event{Kind: Consume})
		ends := e.phase == Staged || e.goesOn() && e.phase == Queued
		if (err == nil) != ends {
			w.note("R108: %s %s %s: %v", i.ID, e.kind(), e.phase, err)
		}
		if ends {
			e.phase = Consumed
		}
	}
	w.run = ""
	return "lapse"
}

func TestR106_R107_R108_a_box_does_what_a_list_would(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		choose := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(t, what) }
		if err := wander(rapid.IntRange(1, 60).Draw(t, "moves"), choose); err != nil {
			t.Fatal(err)
		}
	})
}
