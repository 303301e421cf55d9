package machine_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	given "github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

const session = id.Session("01890000-0000-7000-8000-000000000001")

// world is a session with all that was ever committed of it. It plays the store and the driver, and it is the oracle: every step
// it takes is taken twice, and checked against the rules and against all that came before.
type world struct {
	s        machine.State
	at       time.Time
	rows     []transcript.Row
	accepted []id.Input
	content  map[id.Input]string // as submitted
	ended    map[id.Input]machine.Ended
	names    map[string]id.Input // of ended inputs: i with the id, k with the key
	ends     map[id.Input]machine.InputChange
	runs     map[id.Run]bool // true: over
	round    map[id.Run]int  // highest round told of a run
	asked    map[id.Effect]run.Directive
	order    []id.Effect // of asked
	out      map[id.Call]int
	wanted   map[id.Run]bool // completed, and their output is still to come
	quick    bool            // leaves out what costs most: taking each step twice
}

func newWorld() *world {
	return &world{
		s:       machine.State{Session: session},
		at:      time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC),
		content: map[id.Input]string{},
		ended:   map[id.Input]machine.Ended{}, names: map[string]id.Input{}, ends: map[id.Input]machine.InputChange{}, runs: map[id.Run]bool{}, round: map[id.Run]int{},
		asked: map[id.Effect]run.Directive{}, out: map[id.Call]int{}, wanted: map[id.Run]bool{},
	}
}

func (w *world) clone() *world {
	c := *w
	c.rows, c.accepted, c.order = slices.Clip(w.rows), slices.Clip(w.accepted), slices.Clip(w.order)
	c.ended, c.names, c.runs, c.round = maps.Clone(w.ended), maps.Clone(w.names), maps.Clone(w.runs), maps.Clone(w.round)
	c.content, c.ends = maps.Clone(w.content), maps.Clone(w.ends)
	c.asked, c.out, c.wanted = maps.Clone(w.asked), maps.Clone(w.out), maps.Clone(w.wanted)
	return &c
}

// prior is what a driver looks up before an admission.
func (w *world) prior(in given.Input) *machine.Prior {
	if in.Key == "" {
		in.Key = string(in.ID)
	}
	for _, n := range []string{"k" + in.Key, "i" + string(in.ID)} {
		if p, ok := w.names[n]; ok {
			c := w.ends[p]
			return &machine.Prior{Item: c.Item, Ended: c.Ended}
		}
	}
	return nil
}

// known is a submit with its prior.
func (w *world) known(s machine.Submit) machine.Submit {
	s.Prior = w.prior(s.Input)
	return s
}

// tell steps the session. It returns the commit, or the refusal, and whatever breaks a rule.
func (w *world) tell(ev machine.Event) (c machine.Commit, refusal, breach error) {
	w.at = w.at.Add(time.Second)
	prev := w.s
	before := ""
	if !w.quick {
		before = encodeState(prev)
	}
	c, refusal = machine.Step(prev, w.at, ev)
	var errs []error
	if !w.quick {
		again, againRefusal := machine.Step(prev, w.at, ev)
		if encodeCommit(c) != encodeCommit(again) || fmt.Sprint(refusal) != fmt.Sprint(againRefusal) {
			errs = append(errs, fmt.Errorf("R20: the same step twice gives\n%s %v\n%s %v", encodeCommit(c), refusal, encodeCommit(again), againRefusal))
		}
		if after := encodeState(prev); after != before {
			errs = append(errs, fmt.Errorf("R19: a step changed its argument from\n%s to\n%s", before, after))
		}
	}
	if refusal != nil {
		var no *machine.Refusal
		if !errors.As(refusal, &no) || no.Sort == nil || no.Region == "" || no.Phase == "" || no.Event == "" || no.Guard == "" {
			errs = append(errs, fmt.Errorf("R18: %#v does not say who refuses what, and why", refusal))
		}
		if !w.quick && encodeCommit(c) != encodeCommit(machine.Commit{}) {
			errs = append(errs, fmt.Errorf("R18: what is refused has decided %s", encodeCommit(c)))
		}
		return c, refusal, errors.Join(errs...)
	}
	errs = append(errs, machine.CheckCommit(prev, c), machine.Check(c.Next))
	w.s = c.Next
	errs = append(errs, w.remember(c)...)
	return c, nil, errors.Join(errs...)
}

// remember files what a commit says, as a store would, and holds it against what was filed before.
func (w *world) remember(c machine.Commit) (errs []error) {
	breach := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	for _, r := range c.Rows {
		if slices.ContainsFunc(w.rows, func(old transcript.Row) bool { return old.At == r.At }) {
			breach("R27: a second row at %v", r.At)
		}
		w.rows = append(w.rows, r)
	}
	slices.SortFunc(w.rows, func(a, b transcript.Row) int { return a.At.Compare(b.At) })
	for _, x := range c.Inputs {
		if _, over := w.ended[x.Item.ID]; over {
			if x.Item.Key != "" {
				breach("R06: input %s goes on after its end", x.Item.ID)
			}
			delete(w.names, "k"+w.ends[x.Item.ID].Item.Key)
			w.ends[x.Item.ID] = x
			continue
		}
		if (x.Item.Phase == inbox.Queued || x.Item.Phase == inbox.Consumed) && !slices.Contains(w.accepted, x.Item.ID) {
			w.accepted = append(w.accepted, x.Item.ID)
			for _, l := range inbox.Appends([]inbox.Item{x.Item}) {
				w.content[x.Item.ID] += text(l.Entry) + "\n"
			}
		}
		if x.Ended != nil {
			w.ended[x.Item.ID] = *x.Ended
			w.ends[x.Item.ID] = x
			w.names["i"+string(x.Item.ID)], w.names["k"+x.Item.Key] = x.Item.ID, x.Item.ID
		}
	}
	for _, d := range c.Opened {
		old, again := w.asked[d.ID]
		if again && (d.Class != old.Class || d.Attempt < old.Attempt) {
			breach("R05: %v was issued as %v", d, old)
		}
		if again && !d.Class.Repeatable() && old.Attempt > 0 {
			breach("R35: %s of class %s is handed out twice", d.ID, d.Class)
		}
		if !again {
			w.order = append(w.order, d.ID)
		}
		w.asked[d.ID] = d
		if d.Kind != run.RunTool {
			if err := wellFormed(w.rows, d.Upto-1); err != nil {
				breach("R37: %s is asked for while %w", d.ID, err)
			}
		}
	}
	for _, e := range c.Facts {
		errs = append(errs, w.fact(e)...)
	}
	if w.s.Lifecycle.Run == "" {
		if err := wellFormed(w.rows, w.s.Message); err != nil {
			breach("R37: at rest %w", err)
		}
		for in, item := range inboxOf(w.s) {
			if item.Phase == inbox.Staged {
				breach("R31: input %s is staged and no run is bound", in)
			}
		}
		if len(w.wanted) > 0 {
			breach("R110: runs %v were to have an output, and nobody said what came of it", w.wanted)
		}
		if len(w.out) > 0 {
			breach("R52: calls %v were asked for and their outcomes never told", w.out)
		}
	}
	for _, in := range w.accepted {
		_, isLive := inboxOf(w.s)[in]
		if _, over := w.ended[in]; over == isLive {
			breach("R31: input %s: ended %t, live %t", in, over, isLive)
		}
	}
	return errs
}

func (w *world) fact(e event.Event) (errs []error) {
	breach := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	if e.Run != "" {
		if over, known := w.runs[e.Run]; over && ofRun(e.Payload) {
			breach("R32: %T is told of run %s after its end", e.Payload, e.Run)
		} else if _, start := e.Payload.(event.RunStarted); known == start {
			breach("R32: %T is told of run %s, known before: %t", e.Payload, e.Run, known)
		}
		if e.Round < w.round[e.Run] {
			breach("R28: %T is told of round %d after round %d", e.Payload, e.Round, w.round[e.Run])
		}
		w.round[e.Run] = e.Round
	}
	switch p := e.Payload.(type) {
	case event.ExtractionSucceeded, event.ExtractionFailed:
		if !w.wanted[e.Run] {
			breach("R110: %T is told of run %s, and no output is awaited", e.Payload, e.Run)
		}
		delete(w.wanted, e.Run)
	case event.RunStarted:
		w.runs[e.Run] = false
		if len(p.Inputs) == 0 {
			break // the caller's own
		}
		among := func(in id.Input) bool { return strings.Contains(w.content[in], w.says(e.At)+"\n") }
		if !e.At.IsZero() && !slices.ContainsFunc(p.Inputs, among) && !strings.HasPrefix(w.says(e.At), "an earlier message") {
			breach("R23: run of %v starts with %q at %v", p.Inputs, w.says(e.At), e.At)
		}
	case event.Steered:
		if !strings.Contains(w.content[p.Input], w.says(e.At)+"\n") {
			breach("R38: the steer %s is told as %q at %v", p.Input, w.says(e.At), e.At)
		}
	case event.RunFailed:
		w.runs[e.Run] = true
	case event.RunCompleted:
		w.runs[e.Run] = true
		if p.ExtractionRequired {
			w.wanted[e.Run] = true
		}
	case event.ToolCallRequested:
		if _, twice := w.out[p.Call]; twice {
			breach("R52: call %s is asked for twice", p.Call)
		}
		w.out[p.Call] = e.Round
	case event.ToolExecutionCompleted:
		if round, ok := w.out[p.Call]; !ok || round != e.Round {
			breach("R52: the outcome of call %s is told in round %d; asked for: %t, in round %d", p.Call, e.Round, ok, round)
		}
		delete(w.out, p.Call)
	}
	if !e.At.IsZero() && !slices.ContainsFunc(w.rows, func(r transcript.Row) bool { return r.At == e.At }) {
		breach("R23: %T points to %v, where no row is", e.Payload, e.At)
	}
	return errs
}

// ofRun reports whether an event tells of what a run does, and so may not come after its end. What becomes of its output may, and of its session.
func ofRun(p event.Payload) bool {
	switch p.(type) {
	case event.RunStarted, event.Steered, event.TurnStarted, event.TextComplete, event.ToolCallRequested, event.ToolExecutionStarted,
		event.ToolExecutionCompleted, event.TurnCompleted, event.RunCompleted, event.RunFailed:
		return true
	}
	return false
}

// says returns what a person said at a position.
func (w *world) says(at transcript.Position) string {
	for _, r := range w.rows {
		if r.At == at {
			return text(r.Entry)
		}
	}
	return ""
}

func text(e transcript.Entry) string {
	switch e := e.(type) {
	case transcript.User:
		return e.Content.Plain()
	case transcript.Notice:
		return e.Text
	}
	return ""
}

// wellFormed reports whether messages 1 to last are all there, and each call of a reply has exactly one result in the next message.
func wellFormed(rows []transcript.Row, last int) error {
	var calls []transcript.ToolUse
	for m := 1; m <= last; m++ {
		var here []transcript.Row
		for _, r := range rows {
			if r.At.Message == m {
				here = append(here, r)
			}
		}
		if len(here) == 0 {
			return fmt.Errorf("message %d is missing", m)
		}
		results := 0
		for n, r := range here {
			if res, ok := r.Entry.(transcript.ToolResult); ok {
				if results++; n >= len(calls) || calls[n].ID != res.Call || r.At.Ordinal != n {
					return fmt.Errorf("%v answers %s out of place", r.At, res.Call)
				}
			}
		}
		if results != len(calls) || results > 0 && results != len(here) {
			return fmt.Errorf("message %d has %d results for %d calls", m, results, len(calls))
		}
		calls = nil
		if a, ok := here[0].Entry.(transcript.Assistant); ok {
			calls = a.Blocks.ToolUses()
		}
	}
	if len(calls) > 0 {
		return fmt.Errorf("message %d leaves %d calls unanswered", last, len(calls))
	}
	return nil
}

// settle is a fair driver: it sees to it that an executor is there and answers everything open, until nothing is.
func (w *world) settle(most int) error {
	for ev := w.serve(); ev != nil; ev = w.serve() {
		if _, refusal, breach := w.tell(ev); refusal != nil || breach != nil {
			return errors.Join(refusal, breach)
		}
	}
	for range most {
		_, d, ok := w.s.Open.First()
		if !ok {
			if n := w.s.Inbox.Driving(); n > 0 || w.s.Lifecycle.Run != "" {
				return fmt.Errorf("R51: nothing is open, %d inputs are live and run %q is bound", n, w.s.Lifecycle.Run)
			}
			return nil
		}
		ev := spoken(w.s, d)
		if ev == nil {
			ev = machine.Reported{Report: answer(d)}
		}
		if _, refusal, breach := w.tell(ev); refusal != nil || breach != nil {
			return errors.Join(refusal, breach)
		}
	}
	return fmt.Errorf("R51: not at rest after %d answers", most)
}

// serve is what makes a session go on, whatever state it is left in.
func (w *world) serve() machine.Event {
	l := w.s.Lifecycle
	switch {
	case l.Phase == lifecycle.Unregistered, l.Phase == lifecycle.Destroyed, l.Away && l.Archived:
		return nil
	case l.Away:
		return machine.Register{}
	case w.s.Transient.Draining:
		return machine.Drain{Over: true}
	case w.s.Attached(), l.Phase == lifecycle.Stopped:
		return nil
	case l.Phase == lifecycle.Retired:
		return machine.Opened{Attachment: machine.Attachment{ID: 99}}
	}
	return machine.Attach{Attachment: machine.Attachment{ID: 99}}
}

// answer is a good answer to anything.
func answer(d run.Directive) run.Report {
	reply := transcript.Assistant{Blocks: transcript.TextBlocks("done"), Stop: transcript.StopEndTurn}
	switch d.Kind {
	case run.CallModel:
		return run.ModelReplied{ID: d.ID, Reply: reply}
	case run.RunTool:
		return run.ToolSettled{ID: d.ID, Result: transcript.ToolResult{Content: transcript.TextBlocks("ok")}}
	case run.Deliver:
		return run.Delivered{ID: d.ID}
	case run.Extract:
		return run.Extracted{ID: d.ID, Attempt: d.Attempt, Verdict: run.OutputValid, Output: []byte(`{"n":1}`)}
	default:
		return run.RunApplied{ID: d.ID, Appends: []transcript.Entry{reply}}
	}
}

func inboxOf(s machine.State) map[id.Input]inbox.Item {
	m := map[id.Input]inbox.Item{}
	for i := range s.Inbox.All() {
		m[i.ID] = i
	}
	return m
}

// encodeState writes all of a state, maps in key order.
func encodeState(s machine.State) string {
	return encode(struct {
		Session   id.Session
		Control   machine.Control
		Transient machine.Transient
		Profile   *run.Profile
		Inbox     []inbox.Item
		Open      []run.Directive
		Regions   machine.Regions
	}{s.Session, s.Control, s.Transient, s.Profile, slices.Collect(s.Inbox.All()), openOf(s), s.Regions})
}

func openOf(s machine.State) []run.Directive {
	var out []run.Directive
	for _, d := range s.Open.All() {
		out = append(out, d)
	}
	return out
}

func encodeCommit(c machine.Commit) string {
	var types []string
	for _, e := range c.Facts {
		types = append(types, e.Payload.Type())
	}
	for _, r := range c.Rows {
		types = append(types, transcript.Role(r.Entry))
	}
	next := encodeState(c.Next)
	c.Next = machine.State{}
	return encode(c) + encode(types) + next
}

func encode(v any) string {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(data)
}
