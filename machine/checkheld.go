package machine

import (
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/operation"
	"github.com/meerkat-go/meerkat/run"
)

// held: what waits for a word is a call that was never handed out; what was handed out had the word, if it was to wait for one.
func (f *findings) held(d run.Directive) {
	f.want(d.Held.Known() && (d.Held == run.NoHold || d.Kind == run.RunTool), "R128", "entry %s of kind %s is held for %d", d.ID, d.Kind, d.Held)
	f.want((d.Attempt == 0) == (d.Held != run.NoHold) && d.Attempt >= 0, "R128", "entry %s has attempt %d, and is held for %q", d.ID, d.Attempt, d.Held)
	f.want(d.Decision == nil || d.Decision.Granted && d.Decision.By != "" && !d.Held.ForApproval(), "R129", "entry %s is held for %q, and decided: %+v",
		d.ID, d.Held, d.Decision)
	if d.Kind == run.RunTool || d.Kind == run.ApplyRun {
		f.add(operation.Check(operationOf(d)))
	}
}

// moved says what is wrong with an entry that was held before, and reports whether it was.
func (f *findings) moved(old, d run.Directive) bool {
	if old.Held == run.NoHold {
		f.want(d.Held == run.NoHold && d.Decision == old.Decision, "R128", "%s was handed out, and is held for %q", d.ID, d.Held)
		return false
	}
	next, attempt := run.NoHold, 1
	if old.Held == run.ApprovedCallback {
		next, attempt = run.Callback, 0
	}
	f.want(old.Held.ForApproval() && d.Held == next && d.Attempt == attempt && old.Decision == nil && d.Decision != nil, "R129",
		"%s was held for %q, and is opened as held for %q at attempt %d, decided: %+v", d.ID, old.Held, d.Held, d.Attempt, d.Decision)
	return true
}

// words: a decision stands where it is told, and nowhere else; what is denied was never handed out; and who is not asked decides nothing.
func (f *findings) words(prev State, c Commit) {
	said := map[id.Effect]*run.Decision{}
	for _, d := range c.Opened {
		if old, _ := prev.Open.Get(d.ID); d.Decision != nil && old.Decision == nil {
			said[d.ID] = d.Decision
		}
	}
	for _, x := range c.Closed {
		d := x.Directive
		old, _ := prev.Open.Get(d.ID)
		f.want(d.Held == old.Held && d.Attempt == old.Attempt, "R128", "%s is closed as held for %q at attempt %d, and was held for %q at %d", d.ID, d.Held,
			d.Attempt, old.Held, old.Attempt)
		if d.Decision != nil && old.Decision == nil {
			said[d.ID] = d.Decision
			f.want(!d.Decision.Granted && d.Held.ForApproval(), "R129", "%s is allowed, and closed", d.ID)
		}
	}
	for _, e := range c.Facts {
		told, ok := e.Payload.(event.ToolCallDecided)
		if !ok {
			continue
		}
		w := said[told.Effect]
		f.want(w != nil && w.Granted == told.Granted && w.By == told.By && w.Message == told.Message && w.At.Equal(e.Time), "R129", "the decision about %s is told as %+v, and is %+v",
			told.Effect, told, w)
		delete(said, told.Effect)
	}
	f.want(len(said) == 0, "R129", "decisions are not told: %v", said)
}
