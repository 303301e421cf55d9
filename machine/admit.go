package machine

import (
	"strings"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

func (b *step) submit(ev Submit) error {
	if ev.Key == "" {
		ev.Key = string(ev.ID)
	}
	if i, ok := b.s.Inbox.Find(ev.ID, ev.Key); ok {
		b.c.Verdict = Verdict{Input: i.ID, Run: i.Run, Duplicate: true}
		return nil
	}
	if ev.Prior != nil {
		b.c.Verdict = Verdict{Input: ev.Prior.Input, Duplicate: true}
		return nil
	}
	if err := b.lifecycle(lifecycle.Event{Kind: lifecycle.Admit}); err != nil {
		return err
	}
	ev.RequireIdle = ev.RequireIdle || ev.Continue || ev.Caller
	switch {
	case ev.RequireIdle && !b.idle():
		return b.refuse("submit", GuardIdle)
	case ev.Continue && b.s.Tail != TailPending:
		return b.refuse("submit", GuardPending)
	case !ev.Continue && len(ev.Content) == 0:
		return b.refuse("submit", GuardContent)
	}
	if ev.Continue {
		ev.Lane, ev.Content = inbox.Queue, nil // there is no run for it to steer, and nothing it could add
	}
	b.s.Seq++
	item := inbox.Item{ID: ev.ID, Key: ev.Key, Seq: b.s.Seq, Lane: ev.Lane, Continue: ev.Continue, Content: ev.Content}
	if b.s.Title == "" {
		b.s.Title = title(ev.Content.Plain())
	}
	if err := b.input(item, inbox.Event{Kind: inbox.Admit}, nil); err != nil {
		return err
	}
	b.tell(event.InputAccepted{Input: ev.ID, Lane: ev.Lane.String()}, transcript.Position{})
	b.c.Verdict = Verdict{Input: ev.ID}
	if ev.Caller {
		if err := b.begin([]inbox.Item{b.waiting(ev.ID)}, run.Whole, run.Once, true); err != nil {
			return err
		}
	} else if err := b.startNext(); err != nil {
		return err
	}
	if i, ok := b.s.Inbox.Find(ev.ID, ev.Key); ok {
		b.c.Verdict.Run = i.Run
	}
	return nil
}

// idle reports whether nothing runs and nothing waits.
func (b *step) idle() bool { return b.s.Lifecycle.Phase == lifecycle.Idle && b.s.Inbox.Len() == 0 }

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
	if err := b.begin(nil, run.Whole, run.Once, true); err != nil {
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
