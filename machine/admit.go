package machine

import (
	"errors"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/machine/peer"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

func (b *step) submit(ev Submit) error {
	in := ev.Input
	if ev.Continue {
		in.Body, ev.WithoutWake = input.Continuation{Reason: "continue"}, false
	}
	if in.Key == "" {
		in.Key = string(in.ID)
	}
	if i, ok := b.s.Inbox.Find(in.ID, in.Key); ok {
		b.c.Verdict = Verdict{Input: i.ID, Run: i.Run, Duplicate: true}
		return nil
	}
	if p := ev.Prior; p != nil && !b.gone(p, in) {
		b.c.Verdict = Verdict{Input: p.Item.ID, Duplicate: true}
		return nil
	}
	if err := b.lifecycle(lifecycle.Event{Kind: lifecycle.Admit}); err != nil {
		return err
	}
	if err := b.fits(ev); err != nil {
		return err
	}
	if ev.Prior != nil {
		b.release(*ev.Prior)
	}
	return b.admit(ev, in)
}

// gone reports whether an ended input has no claim on its key any more: so long after its end, or where the key counts only while it lives. Its
// id is its own for ever.
func (b *step) gone(p *Prior, in input.Input) bool {
	if p.Item.ID == in.ID || p.Ended == nil {
		return false
	}
	return in.LiveKey() || b.at.Sub(p.Ended.At) >= KeyLife
}

// KeyLife is how long an ended input keeps its key.
const KeyLife = 24 * time.Hour

// release takes the key from an ended input, in the commit that gives it to another.
func (b *step) release(p Prior) {
	p.Item.Key = ""
	b.c.Inputs = append(b.c.Inputs, InputChange(p))
	b.dirty = true
}

// fits refuses what may not be admitted now, or ever.
func (b *step) fits(ev Submit) error {
	if !ev.Continue {
		if err := ev.Input.Validate(); err != nil {
			return &Refusal{Sort: errors.Join(fsm.ErrGuard, err), Region: "inbox", Phase: b.s.Lifecycle.Phase.String(), Event: "submit",
				Guard: GuardContent}
		}
	}
	switch {
	case (ev.RequireIdle || ev.Continue || ev.Caller) && !b.idle():
		return b.refuse("submit", GuardIdle)
	case ev.Continue && b.s.Tail != TailPending:
		return b.refuse("submit", GuardPending)
	case !ev.Continue && beyond(ev.Input.Options()):
		return b.refuse("submit", GuardAsked)
	case !ev.Continue && ev.Input.Kind() == input.KindPrompt && !ev.Input.Says():
		return b.refuse("submit", GuardContent)
	}
	return b.mayRestrict(ev.Input.Options().Overlay)
}

// beyond reports whether something is asked of a run that no run can be given yet. It is refused rather than forgotten.
func beyond(o input.Options) bool {
	return len(o.Skills) > 0 || len(o.Instructions) > 0 || o.KeepAlive != 0 || o.Identity != (identity.Request{}) && o.Identity.Model == ""
}

// admit puts an input on record, in the place its policy gives it, and goes on with what it leads to.
func (b *step) admit(ev Submit, in input.Input) error {
	intent, asks := in.Intent()
	running := b.s.Lifecycle.Phase == lifecycle.Running
	j := inbox.Judge(in, inbox.Arrival{Running: running, Silent: asks && peer.Silent(get(b.s.Peer), intent), WithoutWake: ev.WithoutWake})
	item := j.Item
	item.Continue = ev.Continue
	if ev.Continue {
		item.Lane = inbox.Queue // there is no run for it to steer
	}
	if b.s.Title == "" && item.Kind() == input.KindPrompt {
		b.s.Title = title(item.Content.Plain())
	}
	if err := b.replace(j, item); err != nil {
		return err
	}
	b.tell(event.InputAccepted{Input: in.ID, Lane: item.Lane.String()}, transcript.Position{})
	b.c.Verdict = Verdict{Input: in.ID, Consumed: j.Plan == inbox.ConsumeNow}
	if err := b.place(j, item); err != nil {
		return err
	}
	if running && j.Signal >= inbox.SignalYield && b.s.Work != nil {
		if err := b.work(registry.Event{Kind: registry.Yield, Reason: "interrupted by new input"}); err != nil {
			return err
		}
	}
	var err error
	if ev.Caller {
		err = b.begin(inbox.Batch{Items: []inbox.Item{b.waiting(in.ID)}}, run.Whole, run.Once, true)
	} else {
		err = b.startNext()
	}
	if i, ok := b.s.Inbox.Find(in.ID, in.Key); ok {
		b.c.Verdict.Run = i.Run
	}
	return err
}

// replace ends the inputs whose place the newcomer takes.
func (b *step) replace(j inbox.Judgement, item inbox.Item) error {
	kind, status := inbox.Supersede, StatusSuperseded
	if j.Plan == inbox.CoalesceInto {
		kind, status = inbox.Coalesce, StatusCoalesced
	}
	for _, old := range b.s.Inbox.Targets(item) {
		how := &Ended{Status: status, By: item.ID, At: b.at}
		if err := b.input(old, inbox.Event{Kind: kind, By: item.ID, Scope: item.Scope()}, how); err != nil {
			return err
		}
	}
	return nil
}

// place admits the item: at its place in a lane, or as consumed.
func (b *step) place(j inbox.Judgement, item inbox.Item) error {
	if j.Plan == inbox.QueueFront {
		item.Seq = b.s.Inbox.Front()
		return b.input(item, inbox.Event{Kind: inbox.Admit}, nil)
	}
	b.s.Seq++
	item.Seq = b.s.Seq
	if j.Plan != inbox.ConsumeNow {
		return b.input(item, inbox.Event{Kind: inbox.Admit}, nil)
	}
	return b.input(item, inbox.Event{Kind: inbox.AdmitConsumed}, &Ended{Status: StatusCompleted, At: b.at})
}

// idle reports whether nothing runs, and nothing waits that could start a run.
func (b *step) idle() bool { return b.s.Lifecycle.Phase == lifecycle.Idle && b.s.Inbox.Driving() == 0 }

func (b *step) waiting(in id.Input) inbox.Item {
	i, _ := b.s.Inbox.Find(in, "")
	return i
}

// serve begins a run without inputs that whoever asked for it carries out.
func (b *step) serve() error {
	if err := b.lifecycle(lifecycle.Event{Kind: lifecycle.Admit}); err != nil {
		return err
	}
	if !b.idle() {
		return b.refuse("serve", GuardIdle)
	}
	if err := b.begin(inbox.Batch{}, run.Whole, run.Once, true); err != nil {
		return err
	}
	b.c.Verdict.Run = b.s.Lifecycle.Run
	return nil
}

// title is the first line of a text that says something, for listings. What stands before it inside a tag of its own, as piped input
// does, is what the text is about and not the text.
func title(text string) string {
	const most = 80
	if tag, rest, ok := strings.Cut(text, "\n"); ok && strings.HasPrefix(tag, "<") && strings.HasSuffix(tag, ">") {
		if _, behind, ok := strings.Cut(rest, "\n</"+tag[1:]+"\n"); ok && strings.TrimSpace(behind) != "" {
			text = behind
		}
	}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		if line == "" {
			continue
		}
		r := []rune(strings.ToValidUTF8(line[:min(len(line), 4*most+4)], ""))
		if len(r) > most {
			return string(r[:most-1]) + "…"
		}
		return string(r)
	}
	return ""
}
