package sim

import (
	"context"
	"fmt"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
)

// life is what the oracle remembers of one session: what was asked of it, and what became of it.
type life struct {
	state    machine.State // stored last
	asked    map[string]bool
	epochs   map[id.Epoch]bool
	own      map[id.Effect]bool // runs that their callers carry out
	steers   map[string]bool    // what was said at a boundary
	places   map[machine.Placement]bool
	took     map[run.Signal]int // by whoever placed it
	owed     map[run.Signal]int
	told     map[id.Run]bool // whose end was told
	facts    map[string]id.Input
	finished bool // destroyed
}

// of returns what is remembered of a session; called with the oracle locked.
func (o *oracle) life(s id.Session) *life {
	if o.lives == nil {
		o.lives = map[id.Session]*life{}
	}
	l := o.lives[s]
	if l == nil {
		l = &life{asked: map[string]bool{}, epochs: map[id.Epoch]bool{}, own: map[id.Effect]bool{}, steers: map[string]bool{},
			places: map[machine.Placement]bool{}, took: map[run.Signal]int{}, owed: map[run.Signal]int{}, facts: map[string]id.Input{}, told: map[id.Run]bool{}}
		o.lives[s] = l
	}
	return l
}

// asked notes that somebody is about to ask something of a session.
func (o *oracle) asked(s id.Session, what string, r id.Run) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.life(s).asked[about(what, r)] = true
}

// about names what is asked, with the run if it is about one.
func about(what string, r id.Run) string {
	if what == "interrupt" || what == "cancel" {
		what += " " + string(r)
	}
	return what
}

func (o *oracle) wanted(s id.Session, what string, r id.Run) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.life(s).asked[about(what, r)]
}

func (o *oracle) places(s id.Session, at machine.Placement) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.life(s).places[at] = true
}

func (o *oracle) prepared(s id.Session, p runtime.Prepared) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.life(s).own[p.Directive.ID] = true
}

// took notes a signal that was taken.
func (o *oracle) took(s id.Session, sig run.Signal) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.life(s)
	l.took[sig]++
	if sig.Kind != run.RuntimeBound && l.owed[sig] == 0 {
		o.w.breach("R59", "%s of %s was told, and is not owed", sig.Kind, s)
	}
	if !l.places[placeOf(sig)] {
		o.w.breach("R59", "%s of %s was told to %s, where nobody put it", sig.Kind, s, sig.Runtime)
	}
}

func placeOf(sig run.Signal) machine.Placement {
	return machine.Placement{Runtime: sig.Runtime, Fence: sig.Fence, Generation: sig.Generation}
}

// steered checks what an executor with a loop of its own is given at a boundary: it is part of its run, and said once.
func (o *oracle) steered(s id.Session, d run.Directive, at run.Boundary) {
	if at.Cancel && len(at.Steers) > 0 {
		o.w.breach("R38", "%d steers go into run %s of %s, which is to end", len(at.Steers), d.Run, s)
	}
	for _, x := range at.Steers {
		text := x.Content.Plain()
		if x.Input != "" {
			how, err := o.reader().Input(context.Background(), s, x.Input)
			if err != nil || how.Ended == nil || how.Ended.Run != d.Run || how.Ended.Status != machine.StatusCompleted {
				o.w.breach("R38", "steer %s was given to run %s of %s, and is %+v, %v", x.Input, d.Run, s, how.Ended, err)
			}
		}
		o.mu.Lock()
		again := o.life(s).steers[text]
		o.life(s).steers[text] = true
		o.mu.Unlock()
		if again {
			o.w.breach("R38", "%q was said to an executor of %s twice", text, s)
		}
	}
}

// lived checks what became of a session in one commit, and that somebody wanted it so.
func (o *oracle) lived(p *process, s id.Session, next machine.State) {
	ctx := context.Background()
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.life(s)
	prev := l.state
	l.state = next
	events, err := o.reader().Events(ctx, s, prev.Cursor, 0)
	if err != nil {
		o.w.breach("R29", "%v", err)
		return
	}
	breach := func(rule, format string, args ...any) {
		o.w.breach(rule, "version %d of %s: %s", next.Version, s, fmt.Sprintf(format, args...))
	}
	if l.finished && (next.Lifecycle.Phase != lifecycle.Destroyed || len(events) > 0) {
		breach("R55", "it was destroyed, and is %s with %d more events", next.Phase(), len(events))
	}
	away := prev.Lifecycle.Away
	for _, e := range events {
		switch e.Payload.(type) {
		case event.SessionDestroyed:
			l.finished = true
		case event.SessionUnregistered:
			away = true
		}
		if _, ok := e.Payload.(event.RunStarted); ok {
			if text := o.unwanted(e.Run, next.Inbox); text != "" {
				breach("R107", "%s", text)
			}
		}
		if text := l.uncalled(e); text != "" {
			breach("asked", "%s, which nobody asked for", text)
		}
	}
	if l.finished && next.Lifecycle.Phase != lifecycle.Destroyed {
		breach("R55", "it was destroyed, and is %s", next.Phase())
	}
	if was, is := prev.Profile, next.Profile; was != nil && is != nil && !is.Equal(*was) && !l.asked["amend"] {
		breach("R136", "its profile changed, and nobody amended it")
	}
	began := prev.Version == 0 || away && !next.Lifecycle.Away && !l.finished
	switch epoch := next.Lifecycle.Epoch; {
	case began && (epoch == "" || l.epochs[epoch]):
		breach("R53", "it was registered, and has epoch %q, which is not new", epoch)
	case !began && epoch != prev.Lifecycle.Epoch && !(away && l.finished):
		breach("R53", "epoch %q became %q, and nobody registered it", prev.Lifecycle.Epoch, epoch)
	}
	l.epochs[next.Lifecycle.Epoch] = true
	l.kept(prev, next, events, breach)
	l.signals(p, s, prev, next, events, breach)
}

// uncalled says what an event tells that nobody asked for; empty: it needs nobody, or somebody did.
func (l *life) uncalled(e event.Event) string {
	need, what := []string{}, ""
	switch x := e.Payload.(type) {
	case event.SessionStopped:
		need = []string{"stop"}
	case event.SessionRetired:
		need = []string{"retire"}
	case event.SessionReset:
		need = []string{"reset"}
	case event.SessionRecycled:
		need = []string{"recycle"}
	case event.SessionDestroyed:
		need = []string{"destroy"}
	case event.SessionUnregistered:
		need = []string{"unregister"}
	case event.RunFailed:
		if x.Class != "cancelled" {
			return ""
		}
		need, what = []string{"interrupt " + string(e.Run), "cancel " + string(e.Run), "stop", "destroy"}, "run "+string(e.Run)+" was cancelled"
	case event.InputEnded:
		need, what = map[string][]string{machine.CauseStopped: {"stop"}, machine.CauseReset: {"reset"}, machine.CauseRetired: {"retire", "abandon"},
			machine.CauseDestroyed: {"destroy"}}[x.Reason], fmt.Sprintf("input %s was given up as %s", x.Input, x.Reason)
	}
	if len(need) == 0 {
		return ""
	}
	for _, n := range need {
		if l.asked[n] {
			return ""
		}
	}
	if what == "" {
		what = fmt.Sprintf("%T", e.Payload)
	}
	return what
}

// kept checks that nothing is lost from one state to the next: what was there is there, or its end is told.
func (l *life) kept(prev, next machine.State, events []event.Event, breach func(string, string, ...any)) {
	due := map[id.Input]bool{}
	for i := range prev.Inbox.All() {
		due[i.ID] = true
	}
	for _, e := range events {
		switch x := e.Payload.(type) {
		case event.InputAccepted:
			due[x.Input] = true
		case event.InputEnded:
			delete(due, x.Input)
		case event.RunCompleted, event.RunFailed:
			l.told[e.Run] = true
		}
	}
	for i := range next.Inbox.All() {
		if !due[i.ID] {
			breach("R31", "input %s is live, and was not accepted, or has ended", i.ID)
		}
		delete(due, i.ID)
	}
	rule := "R31"
	if next.Lifecycle.Away {
		rule = "R57"
	}
	for in := range due {
		breach(rule, "input %s is gone, and its end was not told", in)
	}
	if r := prev.Run(); r != "" && r != next.Run() && !l.told[r] {
		breach("R32", "run %s was bound and is not, and its end was not told", prev.Run())
	}
}

// signals checks what is owed to whoever placed the session: exactly what became of it there.
func (l *life) signals(p *process, s id.Session, prev, next machine.State, events []event.Event, breach func(string, string, ...any)) {
	var ends []run.SignalKind
	moved := false // something else happened in the same commit that may have taken it from its place
	for _, e := range events {
		switch e.Payload.(type) {
		case event.SessionRetired:
			ends = append(ends, run.RuntimeRetired)
		case event.SessionDestroyed:
			ends = append(ends, run.RuntimeDestroyed)
		case event.SessionReset, event.SessionRecycled, event.SessionStopped, event.SessionUnregistered, event.SessionRevived:
			moved = true
		}
	}
	var opened []run.SignalKind
	for eff, d := range next.Open.All() {
		if _, old := prev.Open.Get(eff); d.Kind != run.Deliver || old {
			continue
		}
		opened = append(opened, d.Signal.Kind)
		l.owed[d.Signal]++
		if !l.places[placeOf(d.Signal)] {
			breach("R59", "%s is owed to %s, where nobody put it", d.Signal.Kind, d.Signal.Runtime)
		}
	}
	if len(opened) > len(ends) {
		breach("R59", "owed is %v, and what happened is %v", opened, ends)
	}
	// Until the commit is told, what the process shows is the state before it, place included.
	if st, err := p.host.State(context.Background(), s); err == nil && !moved && len(ends) == 1 && len(opened) == 0 &&
		st.Transient.Placement != (machine.Placement{}) && st.Version == prev.Version {
		breach("R59", "%s is owed to %s, and nobody is to tell it", ends[0], st.Transient.Placement.Runtime)
	}
}

// toldOfAll checks at the end that everything that was owed was told.
func (o *oracle) toldOfAll(s id.Session) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l := o.life(s)
	for sig, n := range l.owed {
		if l.took[sig] < n {
			o.w.breach("R59", "%s of %s is owed %d times to %s, and was taken %d times", sig.Kind, s, n, sig.Runtime, l.took[sig])
		}
	}
}
