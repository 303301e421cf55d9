package toolserver

import (
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/machine/fsm"
	"pgregory.net/rapid"
)

// world is a session's tool servers, the plain model beside them, and a host that does what is owed and wanted.
type world struct {
	s     State
	plain *plain
	now   time.Time
	begun map[Conn]Connect // connects under way, answered or not
	open  map[Conn]bool    // connections
	quick bool             // leave out what costs time and finds no fault of a table: encodings
}

var zero = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func newWorld() *world {
	return &world{plain: newPlain(), now: zero, begun: map[Conn]Connect{}, open: map[Conn]bool{}}
}

func encode(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// tell steps the state and the model, lets the host follow, and says what is wrong; refused: the event was.
func (w *world) tell(e Event) (refused bool, breach error) {
	e.Now = w.now
	before := w.s
	next, err := Step(before, e)
	if ok := w.plain.step(e); ok != (err == nil) {
		return false, fmt.Errorf("%+v: %v, the plain model says %t", e, err, ok)
	}
	var no *fsm.Refusal
	switch {
	case err != nil && (next != before || !errors.As(err, &no) || no.Guard == ""):
		return false, fmt.Errorf("R18: %s was refused by %v and changed something", e.Kind, err)
	case err == nil && !w.quick && next != before && encode(next) == encode(before):
		return false, fmt.Errorf("R21: %s changed nothing, and the state is another one", e.Kind)
	}
	w.s = next
	return err != nil, errors.Join(w.plain.same(next), Check(next), w.rises(before), w.codes(before, e, next, err), w.follow(e))
}

// codes holds that a state comes back from its encoding, and that the one that came back decides alike (R22). A step
// that changed its argument would show here, since the argument is encoded after it.
func (w *world) codes(before State, e Event, next State, err error) error {
	if w.quick {
		return nil
	}
	text := encode(before)
	var loaded State
	if err := json.Unmarshal([]byte(text), &loaded); err != nil || encode(loaded) != text {
		return fmt.Errorf("R22: %s comes back as %s (%w)", text, encode(loaded), err)
	}
	again, againErr := Step(loaded, e)
	if encode(again) != encode(next) || fmt.Sprint(againErr) != fmt.Sprint(err) {
		return fmt.Errorf("R22: a loaded state decides otherwise: %s, not %s", encode(again), encode(next))
	}
	return nil
}

// rises holds that nothing seen is taken back: the epoch covers every delta, and one process never aligns backwards.
func (w *world) rises(before State) error {
	if w.s.Epoch < before.Epoch || w.s.LastTask < before.LastTask || w.s.LastStage < before.LastStage || w.s.LastOrder < before.LastOrder {
		return fmt.Errorf("R75: from %+v down to %+v", before.Counters, w.s.Counters)
	}
	told := Told(before, w.s)
	if len(told) > 0 && told[len(told)-1].Epoch > w.s.Epoch || uint64(len(told)) > w.s.Epoch-before.Epoch {
		return fmt.Errorf("R75: told %v between epoch %d and %d", told, before.Epoch, w.s.Epoch)
	}
	if visible := fmt.Sprint(Visible(w.s)); visible != fmt.Sprint(Visible(before)) && w.s.Epoch == before.Epoch {
		return fmt.Errorf("R75: visible %s at the same epoch", visible)
	}
	return nil
}

// follow is what a host does after a step.
func (w *world) follow(e Event) error {
	switch e.Kind {
	case Opened:
		clear(w.open)
		clear(w.begun)
	case PendingSucceeded:
		w.open[Conn{Server: e.Server, Generation: e.Task}] = true // accepted or not, there is a connection
	}
	for _, c := range Owed(w.s) {
		w.begun[Conn{Server: c.Server, Generation: c.Task}] = c
	}
	for c := range w.open {
		if !slices.Contains(Wanted(w.s, c.Server), c.Generation) {
			delete(w.open, c)
		}
	}
	if w.s.Phase == Closed {
		if len(w.open) > 0 {
			return fmt.Errorf("R74: %v are open after the shutdown", w.open)
		}
		return nil
	}
	for _, c := range Visible(w.s) {
		if _, ok := w.open[c]; !ok {
			return fmt.Errorf("R74: the host closed %v, whose tools are offered", c)
		}
	}
	for c := range w.s.Transient.Calls.All() {
		if _, ok := w.open[c]; !ok {
			return fmt.Errorf("R74: the host closed %v under its calls", c)
		}
	}
	return nil
}

// apt are kinds that lead a server on from where it is.
func apt(v Server) []Kind {
	var out []Kind
	if v.Pending.Op != None {
		out = append(out, PendingSucceeded, PendingFailed, Lost, CallStarted)
	} else if v.Staged.Op != None {
		out = append(out, ApplyBoundary, ApplyBoundary, CallStarted)
	}
	switch v.Base {
	case Absent, Removed:
		return append(out, Register, StageAdd, StageAdd, StageRemove)
	case Active:
		return append(out, CallStarted, CallStarted, CallFinished, StageReload, StageRemove, Lost)
	}
	return append(out, CallFinished, FinalizeForced, FinalizeClean, StageAdd, StageRemove)
}

// draw makes an event out of a few choices: mostly one that fits, sometimes one that does not.
func (w *world) draw(choose func(n int, what string) int) Event {
	e := Event{Kind: Kind(choose(int(Revive)+1, "kind")), Server: []string{"a", "b", "c"}[choose(3, "server")], Turn: choose(3, "turn")}
	if choose(10, "nameless") == 0 {
		e.Server = ""
	}
	v := w.s.Get(e.Server)
	if kinds := apt(v); choose(4, "apt") > 0 {
		e.Kind = kinds[choose(len(kinds), "apt kind")]
	}
	e.Config, e.Error, e.Retry = []string{"x", "y"}[choose(2, "config")], "broken", choose(8, "retry") == 0
	e.Seq, e.Task, e.Lineage = v.Staged.Seq, v.Pending.Task, v.Pending.Lineage
	e.Generation = v.Generation
	if choose(4, "number") == 0 {
		off := uint64(choose(3, "off"))
		e.Seq, e.Task, e.Generation = e.Seq-min(e.Seq, off), e.Task-min(e.Task, off), e.Generation-min(e.Generation, off)
	}
	if choose(6, "lineage") == 0 {
		e.Lineage--
	}
	e.Epoch = w.s.Epoch + 1 - min(w.s.Epoch, uint64(choose(3, "epoch")))
	e.Timeout, e.Retries = time.Duration(choose(3, "timeout"))*10*time.Second, choose(4, "retries")-1
	e.TearingDown = choose(12, "down") == 0
	if choose(8, "cause") == 0 {
		e.Cause = "denied"
	}
	w.now = w.now.Add([]time.Duration{0, 0, time.Second, 11 * time.Second, 31 * time.Second}[choose(5, "time")])
	return e
}

// boundary is Boundary in the words of the model.
func (w *world) boundary() error {
	was := w.s
	next, dropped := Boundary(was, w.now, 7)
	var went []string
	if e, ok := Reconnect(was, w.now); ok {
		if refused, err := w.tell(e); err != nil || refused {
			return fmt.Errorf("a reconnect that is due: refused %t, %w", refused, err)
		}
	}
	for {
		first, seq := "", ^uint64(0)
		for name, v := range w.plain.known {
			if v.Staged.Op != None && v.Staged.Seq < seq && !slices.Contains(went, name) {
				first, seq = name, v.Staged.Seq
			}
		}
		if first == "" {
			break
		}
		went = append(went, first)
		drop := w.s.Get(first)
		refused, err := w.tell(Event{Kind: ApplyBoundary, Server: first, Seq: seq, Turn: 7})
		if err != nil {
			return err
		}
		if !refused && drop.Staged.Op == Remove && drop.Base != Active {
			if len(dropped) == 0 || dropped[0] != first {
				return fmt.Errorf("R70: dropped %v, want %s", dropped, first)
			}
			dropped = dropped[1:]
		}
	}
	if encode(next) != encode(w.s) || len(dropped) > 0 {
		return fmt.Errorf("R70: the boundary makes %s, one after the other %s; dropped beyond that %v", encode(next), encode(w.s), dropped)
	}
	return nil
}

// wander tells so many events and crosses boundaries between them.
func wander(w *world, n int, choose func(n int, what string) int) error {
	for range n {
		if choose(6, "boundary") == 0 {
			if err := w.boundary(); err != nil {
				return err
			}
			continue
		}
		e := w.draw(choose)
		if _, err := w.tell(e); err != nil {
			return fmt.Errorf("%s %+v: %w", e.Kind, e, err)
		}
		if w.quick {
			continue
		}
		if err := reopened(w.s); err != nil {
			return err
		}
	}
	return nil
}

// reopened holds R76: a process that has the durable part begins as one that has it all.
func reopened(s State) error {
	var kept Durable
	if err := json.Unmarshal([]byte(encode(s.Durable)), &kept); err != nil {
		return err
	}
	whole, err := Step(s, Event{Kind: Opened})
	loaded, loadedErr := Step(State{Durable: kept}, Event{Kind: Opened})
	if err != nil || loadedErr != nil || encode(whole) != encode(loaded) {
		return fmt.Errorf("R76: %v, %v: what was written begins as %s, not as %s", err, loadedErr, encode(loaded), encode(whole))
	}
	for name, v := range s.Servers.All() {
		now, due := whole.Get(string(name)), (v.Keep || v.Pending.Op != None) && s.Phase == Operating
		if due != (now.Pending.Op != None && now.Pending.Task > s.LastTask) && s.Phase == Operating {
			return fmt.Errorf("R76: %s was %+v and begins as %+v", name, *v, now)
		}
	}
	if whole.Transient != (Transient{}) || len(Visible(whole)) > 0 {
		return fmt.Errorf("R76: begins with %s", encode(whole))
	}
	return nil
}

func TestR71_to_R77_any_sequence_of_events_is_decided_as_the_plain_model_does_and_keeps_the_rules(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		choose := func(n int, what string) int { return rapid.IntRange(0, n-1).Draw(t, what) }
		if err := wander(newWorld(), rapid.IntRange(0, 60).Draw(t, "steps"), choose); err != nil {
			t.Fatal(err)
		}
	})
}

// behaves takes some walks and says what it noticed.
func behaves() error {
	for seed := range uint64(8) {
		r := rand.New(rand.NewPCG(seed, 1))
		w := newWorld()
		w.quick = true
		if err := wander(w, 400, func(n int, _ string) int { return r.IntN(n) }); err != nil {
			return err
		}
	}
	return nil
}
