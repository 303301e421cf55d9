package sim

import (
	"context"
	"fmt"
	"sync"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/feed"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/transcript"
)

// oracle watches. It reads the disk itself, and remembers what was done to the world outside.
type oracle struct {
	w *world

	mu       sync.Mutex
	terms    map[id.Session]uint64
	ran      map[string]int          // tool calls by session and id: how often they were started
	attempts map[string]bool         // by session, id and attempt
	heard    map[id.Input][]string   // what clients were told
	of       map[id.Input]id.Session // whose input it is
	lives    map[id.Session]*life
	quiet    map[id.Input]bool // submitted to wake nobody
}

func (o *oracle) reader() driver.Reader { return driver.Reader{Store: o.w.disk} }

func (o *oracle) acquired(p *process, l store.Lease) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.terms == nil {
		o.terms = map[id.Session]uint64{}
	}
	if l.Term <= o.terms[l.Session] {
		o.w.breach("R26", "%s got term %d of %s after %d", p.name, l.Term, l.Session, o.terms[l.Session])
	}
	o.terms[l.Session] = l.Term
}

// listen hears what one process tells of a session: what is durable, in order, and as it is stored.
func (o *oracle) listen(p *process, s id.Session, heard *feed.Subscription) {
	defer heard.Close()
	last := uint64(0)
	for {
		e, err := heard.Next(context.Background())
		if err != nil {
			return
		}
		if e.Cursor == 0 {
			continue // deltas and gaps are not durable
		}
		if e.Cursor <= last {
			o.w.breach("R28", "%s tells event %d of %s after %d", p.name, e.Cursor, s, last)
		}
		last = e.Cursor
		stored, err := o.reader().Events(context.Background(), s, e.Cursor-1, 1)
		if err != nil || len(stored) == 0 || stored[0].Cursor != e.Cursor || fmt.Sprint(stored[0].Payload) != fmt.Sprint(e.Payload) {
			o.w.breach("R24", "%s tells event %d of %s as %+v, stored is %+v, %v", p.name, e.Cursor, s, e.Payload, stored, err)
		}
	}
}

// committed checks every state that becomes durable.
func (o *oracle) committed(p *process, b *store.Batch) {
	o.mu.Lock()
	newest := o.terms[b.Session]
	o.mu.Unlock()
	if b.Term != newest {
		o.w.breach("R26", "%s wrote %s under term %d after term %d was handed out", p.name, b.Session, b.Term, newest)
	}
	st, err := o.reader().State(context.Background(), b.Session)
	if err != nil {
		o.w.breach("R29", "what %s wrote cannot be read: %v", p.name, err)
		return
	}
	o.w.note("%s wrote %s version %d: %s %s, open %v", p.name, b.Session[len(b.Session)-1:], b.To, st.Phase(), st.Turn.Phase, open(st))
	if err := machine.Check(st); err != nil {
		o.w.breach("state", "version %d of %s: %v", b.To, b.Session, err)
	}
	o.lived(p, b.Session, st)
}

// started checks what is begun in the world outside.
func (o *oracle) started(p *process, s id.Session, d run.Directive) {
	st, err := o.reader().State(context.Background(), s)
	if err != nil {
		o.w.breach("R29", "%v", err)
		return
	}
	o.mu.Lock()
	own := o.life(s).own[d.ID]
	o.mu.Unlock()
	if own || d.Caller {
		o.w.breach("R127", "%s starts %s of %s, which its caller carries out", p.name, d.ID, s)
	}
	key := fmt.Sprint(s, d.ID)
	at, isOpen := st.Open.Get(d.ID)
	// A process that was overtaken cannot know it yet; one that owns the session must.
	if p == o.w.owner() && (!isOpen || at.Attempt != d.Attempt) {
		o.w.breach("R36", "%s starts %s %s attempt %d, which is not open", p.name, d.Kind, d.ID, d.Attempt)
	}
	if d.Kind != run.RunTool {
		for _, x := range st.Open.All() {
			if isOpen && x.Kind == run.RunTool {
				o.w.breach("R37", "the model is called while %s is open", x.ID)
			}
		}
	}
	if d.Kind != run.RunTool && d.Kind != run.ApplyRun {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.ran == nil {
		o.ran, o.attempts = map[string]int{}, map[string]bool{}
	}
	if o.ran[key]++; o.ran[key] > 1 && d.Class == run.Once {
		o.w.breach("R35", "%s of class once was started %d times", d.ID, o.ran[key])
	}
	attempt := fmt.Sprint(key, "/", d.Attempt)
	if o.attempts[attempt] {
		o.w.breach("R04", "attempt %d of %s was started twice", d.Attempt, d.ID)
	}
	o.attempts[attempt] = true
}

// shown checks what a model is given: a well formed transcript that ends with something to answer.
func (o *oracle) shown(ctx context.Context, s id.Session, d run.Directive, b executor.Bindings) {
	rows, err := b.Transcript(ctx, d.Upto)
	if err != nil {
		return // it will not be answered from this
	}
	if text := wellFormed(rows); text != "" {
		o.w.breach("R08", "the model of %s at %s is shown: %s", s, d.ID, text)
	}
	if len(rows) == 0 || rows[len(rows)-1].At.Message != d.Upto-1 {
		o.w.breach("R08", "the model of %s at %s is shown %d rows, not those before %d", s, d.ID, len(rows), d.Upto)
		return
	}
	if _, reply := rows[len(rows)-1].Entry.(transcript.Assistant); reply {
		o.w.breach("R34", "the model of %s is asked again after its reply at %d", s, d.Upto-1)
	}
}

// wellFormed says what is wrong with a transcript in which nothing is open.
func wellFormed(rows []transcript.Row) string {
	var due []id.Call // results that are to come, in order
	for _, r := range rows {
		result, ok := r.Entry.(transcript.ToolResult)
		switch {
		case ok && (len(due) == 0 || due[0] != result.Call):
			return fmt.Sprintf("R37: a result of %s at %v, due is %v", result.Call, r.At, due)
		case ok:
			due = due[1:]
		case len(due) > 0:
			return fmt.Sprintf("R37: at %v, due is the result of %v", r.At, due)
		}
		if a, ok := r.Entry.(transcript.Assistant); ok {
			for _, u := range a.Blocks.ToolUses() {
				due = append(due, u.ID)
			}
		}
	}
	if len(due) > 0 {
		return fmt.Sprintf("R37: no result of %v", due)
	}
	return ""
}

// told notes what a client heard of an input.
func (o *oracle) told(s id.Session, in id.Input, what string) {
	how, err := o.reader().Input(context.Background(), s, in)
	switch {
	case err != nil:
		o.w.breach("R24", "a client heard that %s is %s, and it is not there: %v", in, what, err)
	case what != "accepted" && (how.Ended == nil || how.Ended.Status != what):
		o.w.breach("R31", "a client heard that %s is %s, stored is %+v", in, what, how.Ended)
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.heard == nil {
		o.heard, o.of = map[id.Input][]string{}, map[id.Input]id.Session{}
	}
	o.heard[in], o.of[in] = append(o.heard[in], what), s
}

// stopped checks what is promised when a stop returns.
func (o *oracle) stopped(p *process, s id.Session) {
	if p != o.w.owner() {
		return
	}
	st, err := o.reader().State(context.Background(), s)
	if err == nil && st.Run() != "" && st.Lifecycle.Stopping {
		o.w.breach("R43", "the stop of %s returned while run %s goes on", s, st.Run())
	}
}

// atRest checks the whole of what is stored, at the end.
func (o *oracle) atRest() {
	for _, s := range everyone {
		if !o.w.exists(s) {
			continue
		}
		o.sessionAtRest(s)
		o.toldOfAll(s)
	}
	for in, all := range o.heard {
		for _, what := range all {
			if what == "accepted" {
				continue
			}
			if how, err := o.reader().Input(context.Background(), o.of[in], in); err != nil || how.Ended == nil || how.Ended.Status != what {
				o.w.breach("R31", "%s was told as %s and is %+v, %v", in, what, how.Ended, err)
			}
		}
	}
}

func (o *oracle) sessionAtRest(s id.Session) {
	ctx := context.Background()
	events, err := o.reader().Events(ctx, s, 0, 0)
	if err != nil {
		o.w.breach("R29", "%v", err)
		return
	}
	starts, ends, outputs := map[id.Run]int{}, map[id.Run]int{}, map[id.Run]int{}
	accepted, ended := map[id.Input]int{}, map[id.Input]int{}
	for n, e := range events {
		if e.Cursor != uint64(n+1) {
			o.w.breach("R28", "event %d of %s has cursor %d", n+1, s, e.Cursor)
		}
		switch x := e.Payload.(type) {
		case event.RunStarted:
			starts[e.Run]++
		case event.RunFailed:
			ends[e.Run]++
		case event.RunCompleted:
			ends[e.Run]++
			if x.ExtractionRequired {
				outputs[e.Run]++
			}
		case event.ExtractionSucceeded, event.ExtractionFailed:
			outputs[e.Run]--
		case event.InputAccepted:
			accepted[x.Input]++
		case event.InputEnded:
			ended[x.Input]++
		}
	}
	for r := range starts {
		if starts[r] != 1 || ends[r] != 1 {
			o.w.breach("R32", "run %s of %s has %d starts and %d ends", r, s, starts[r], ends[r])
		}
	}
	for r, n := range outputs {
		if n != 0 {
			o.w.breach("R110", "run %s of %s wanted an output, and what came of it is told %d times too seldom", r, s, n)
		}
	}
	st, err := o.reader().State(ctx, s)
	if err != nil {
		o.w.breach("R29", "%v", err)
		return
	}
	for i := range st.Inbox.All() { // whoever rests has none that would wake it
		ended[i.ID]++
	}
	for in := range accepted {
		if accepted[in] != 1 || ended[in] != 1 {
			o.w.breach("R31", "input %s of %s was accepted %d times and ended %d times", in, s, accepted[in], ended[in])
		}
	}
	rows, err := o.reader().Transcript(ctx, s, 1, 0)
	if err != nil {
		o.w.breach("R29", "%v", err)
	}
	if text := wellFormed(rows); text != "" {
		o.w.breach("R37", "at rest, %s: %s", s, text)
	}
	o.known(s, rows)
	asked := map[string]int{}
	for _, r := range rows {
		if u, ok := r.Entry.(transcript.User); ok {
			asked[u.Content.Plain()]++
		}
	}
	for text, n := range asked {
		if n != 1 {
			o.w.breach("R33", "%q stands %d times in the transcript of %s", text, n, s)
		}
	}
}
