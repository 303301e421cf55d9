package machine

import (
	"strings"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/transcript"
)

// Names of guards that callers tell apart.
const (
	GuardExists   = "session does not exist yet"
	GuardIdle     = "nothing is running or waiting"
	GuardPending  = "the transcript waits for a reply"
	GuardContent  = "there is content"
	GuardPlace    = "session is not bound elsewhere"
	GuardAttached = "no executor is attached"
	GuardCurrent  = "run is the current one"
	GuardRunning  = "a run is bound"
	GuardStopping = lifecycle.GuardNotStopping
)

func (b *step) register(ev Register) error {
	fresh := b.s.Lifecycle.Phase == lifecycle.Unregistered
	if !fresh && ev.Profile != nil {
		return b.refuse("register", GuardExists)
	}
	if err := b.lifecycle(lifecycle.Event{Kind: lifecycle.Register}); err != nil {
		return err
	}
	if !fresh {
		return b.startNext()
	}
	b.s.Created = b.at
	told := event.SessionRegistered{}
	if ev.Profile != nil {
		p := *ev.Profile
		b.s.Profile, b.c.Profile = &p, true
		told.Model, told.Workspace = p.Model, p.Workspace
	}
	if ev.System != "" {
		b.add(transcript.System{Text: ev.System})
	}
	b.tell(told, transcript.Position{})
	return nil
}

func (b *step) bind(ev Bind) error {
	if b.s.Lifecycle.Phase == lifecycle.Unregistered || b.s.Lifecycle.Phase == lifecycle.Stopped {
		return b.refuse("bind", "session is idle or running")
	}
	if have := b.s.Transient.Placement; have != (Placement{}) && have != ev.Placement {
		return b.refuse("bind", GuardPlace)
	}
	b.s.Transient.Placement = ev.Placement
	return nil
}

func (b *step) attach(ev Attach) error {
	if b.s.Attached() {
		return b.refuse("attach", GuardAttached)
	}
	if b.s.Lifecycle.Phase == lifecycle.Unregistered {
		return b.refuse("attach", "session is registered")
	}
	b.s.Transient.Attachment = ev.Attachment
	return b.startNext()
}

func (b *step) detach(ev Detach) {
	if b.s.Transient.Attachment.ID == ev.ID {
		b.s.Transient.Attachment = Attachment{}
	}
}

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
	idle := b.s.Lifecycle.Phase == lifecycle.Idle && b.s.Inbox.Len() == 0
	switch {
	case (ev.RequireIdle || ev.Continue) && !idle:
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
	if err := b.startNext(); err != nil {
		return err
	}
	if i, ok := b.s.Inbox.Find(ev.ID, ev.Key); ok {
		b.c.Verdict.Run = i.Run
	}
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
