package machine

import (
	"bytes"
	"cmp"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/transcript"
)

// How a session begins: with nothing, with a system prompt, with one that is written when it first runs, or with what was said elsewhere.

// Amend replaces the profile of a session in which nothing was said yet (R136).
type Amend struct {
	Profile    run.Profile
	Model      identity.Target  // what its model is; zero: nobody knows
	Status     identity.Status  // of it
	Attachment uint64           // the executor that was asked for its tools; 0: none was
	Catalogue  *scope.Catalogue // what it answered
}

func (Amend) machineEvent() {}

// Guards whose refusals callers tell apart.
const (
	GuardFresh = "nothing was said in the session yet"
	GuardSeed  = "what it begins with is a conversation, and has its own system prompt"
)

func (b *step) amend(ev Amend) error {
	if err := b.in("amend", lifecycle.Idle, lifecycle.Running); err != nil {
		return err
	}
	if b.s.Message > 0 || b.s.Lifecycle.Run != "" {
		return b.refuse("amend", GuardFresh)
	}
	var was run.Profile
	if b.s.Profile != nil {
		was = *b.s.Profile
	}
	p := ev.Profile
	if b.s.Profile == nil || !p.Equal(was) {
		b.s.Profile, b.c.Profile, b.dirty = &p, true, true
	}
	if ev.Attachment != 0 && ev.Attachment == b.s.Transient.Attachment.ID {
		b.s.Transient.Attachment.Catalogue = ev.Catalogue
	}
	if p.Model == was.Model && bytes.Equal(p.Params, was.Params) { // one that was changed since stays
		return nil
	}
	if ev.Model != (identity.Target{}) {
		return b.identity(model.Event{Kind: model.Hydrate, Target: ev.Model, Status: ev.Status})
	}
	if get(b.s.Model).Phase == model.Reconfiguring {
		return b.refuse("amend", model.GuardBusy)
	}
	if b.s.Model != nil { // nobody knows the new one, so its name is all there is
		b.s.Model = nil
		b.c.Regions |= ModelRegion
	}
	return nil
}

// preamble writes the system prompt that the profile has kept, before anything else is said (R136).
func (b *step) preamble() {
	if b.s.Message > 0 || b.s.Profile == nil || b.s.Profile.System == "" {
		return
	}
	b.s.Message++
	b.write(transcript.Position{Message: b.s.Message}, transcript.System{Text: b.s.Profile.System})
}

// seed writes what a session begins with, as if it had been said in it (R137). Each message gets the next number, and the results of one reply stay
// one message; a call whose result is not among them has not been executed here and never will be.
func (b *step) seed(rows []transcript.Row) error {
	for len(rows) > 0 {
		r := rows[0]
		rows = rows[1:]
		if r.Time.IsZero() {
			r.Time = b.at
		}
		var calls []transcript.ToolUse
		switch e := r.Entry.(type) {
		case transcript.System:
			if b.s.Message > 0 {
				return b.refuse("register", GuardSeed)
			}
		case transcript.Notice:
			b.s.Tail = TailPending
		case transcript.User:
			b.s.Tail = TailPending
			b.s.Title = cmp.Or(b.s.Title, title(e.Content.Plain()))
		case transcript.Assistant:
			b.s.Tail = TailReply
			calls = e.Blocks.ToolUses()
		default: // a result without its call, or nothing
			return b.refuse("register", GuardSeed)
		}
		b.s.Message++
		b.row(transcript.Row{At: transcript.Position{Message: b.s.Message}, Time: r.Time, Entry: r.Entry})
		if len(calls) == 0 {
			continue
		}
		results, rest := resultsOf(rows)
		rows = rest
		if err := b.seedResults(calls, results, r); err != nil {
			return err
		}
	}
	return nil
}

// resultsOf takes the results from the head of rows.
func resultsOf(rows []transcript.Row) (results, rest []transcript.Row) {
	n := 0
	for n < len(rows) {
		if _, ok := rows[n].Entry.(transcript.ToolResult); !ok {
			break
		}
		n++
	}
	return rows[:n], rows[n:]
}

// seedResults writes one result for each call, in the order of the calls.
func (b *step) seedResults(calls []transcript.ToolUse, results []transcript.Row, reply transcript.Row) error {
	found := map[id.Call]transcript.Row{}
	for _, r := range results {
		result, _ := r.Entry.(transcript.ToolResult)
		if _, twice := found[result.Call]; twice {
			return b.refuse("register", GuardSeed)
		}
		found[result.Call] = r
	}
	b.s.Message++
	used := 0
	for n, c := range calls {
		r, ok := found[c.ID]
		if !ok {
			d := run.Directive{Call: c}
			r = transcript.Row{Time: reply.Time, Entry: errorResult(d, transcript.ResultNotExecuted,
				"not executed: this conversation was taken up before the call had a result")}
		} else {
			used++
			delete(found, c.ID)
		}
		if r.Time.IsZero() {
			r.Time = b.at
		}
		b.row(transcript.Row{At: transcript.Position{Message: b.s.Message, Ordinal: n}, Time: r.Time, Entry: r.Entry})
	}
	if used != len(results) {
		return b.refuse("register", GuardSeed)
	}
	b.s.Tail = TailPending
	return nil
}

// row puts a row on record that was not said in a run of this session.
func (b *step) row(r transcript.Row) {
	r.Time = r.Time.UTC()
	b.c.Rows = append(b.c.Rows, r)
	b.dirty = true
}

// create carries out the registration of a session that is new.
func (b *step) create(ev Register) error {
	b.s.Created = b.at
	told := event.SessionRegistered{}
	if ev.Profile != nil {
		p := *ev.Profile
		b.s.Profile, b.c.Profile = &p, true
		told.Model, told.Workspace = p.Model, p.Workspace
	}
	switch {
	case ev.System != "" && len(ev.Seed) > 0:
		return b.refuse("register", GuardSeed)
	case ev.System != "":
		b.add(transcript.System{Text: ev.System})
	default:
		if err := b.seed(ev.Seed); err != nil {
			return err
		}
	}
	if ev.Model != (identity.Target{}) {
		if err := b.identity(model.Event{Kind: model.Hydrate, Target: ev.Model, Status: ev.Status}); err != nil {
			return err
		}
	}
	b.tell(told, transcript.Position{})
	return nil
}
