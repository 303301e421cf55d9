package machine

import (
	"fmt"
	"strings"

	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/transcript"
)

// ReasonNews is the reason of the continuation that a session gives itself when background work has ended and nothing else makes it go on.
const ReasonNews = "background_operation_ended"

// announce writes a notice for each background operation whose end the conversation was not told yet. The cursor moves in the same commit, so it is
// told once.
func (b *step) announce() error {
	if b.s.Work == nil || !b.s.Work.News() {
		return nil
	}
	news, missed := b.s.Work.Unannounced()
	if missed > 0 {
		b.notice("background_job", fmt.Sprintf("%d background operations ended and are not listed any more", missed))
	}
	for _, e := range news {
		b.notice("background_job", newsOf(e))
	}
	return b.work(registry.Event{Kind: registry.Announced, Upto: b.s.Work.Watermark})
}

func (b *step) notice(kind, text string) {
	b.add(transcript.Notice{Kind: kind, Text: text})
	b.s.Tail = TailPending
}

// newsOf says how an operation ended, briefly: whoever wants all of it asks for it.
func newsOf(e registry.Entry) string {
	text := fmt.Sprintf("background operation %q (%s) is %s", e.Name, e.ID, e.Outcome.Status)
	if detail := detailOf(e.Outcome); detail != "" {
		text += ":\n" + detail
	}
	return text
}

// detailOf is the beginning of what an operation came to.
func detailOf(o registry.Outcome) string {
	const most = 400
	detail := o.Reason
	if o.Result != nil {
		detail = o.Result.Content
	}
	if r := []rune(detail); len(r) > most {
		detail = string(r[:most]) + "…"
	}
	return strings.TrimSpace(detail)
}

// goOnWithNews makes an idle session go on by itself when background work has ended: one continuation for all of it.
func (b *step) goOnWithNews() error {
	if b.s.Work == nil || !b.s.Work.News() || b.s.Lifecycle.Phase != lifecycle.Idle || !b.s.Attached() || b.s.Transient.Draining {
		return nil
	}
	if err := b.announce(); err != nil {
		return err
	}
	return b.goOnBecause(input.Continuation{Reason: ReasonNews, Handling: input.HandlingSteer})
}
