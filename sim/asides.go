package sim

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/transcript"
)

// What is said to a session besides its prompts: what wakes nobody, what is only to be known, another name for what was said before, another profile
// before anything is said, and a session that begins with what was said in this one.

// forked is a session that begins in the middle of another, if the history has one.
const forked = id.Session("00000000-0000-7000-8000-00000000000c")

// everyone is all sessions there may be.
var everyone = append(sessions[:len(sessions):len(sessions)], forked)

// exists reports whether a session is there by now.
func (w *world) exists(s id.Session) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return s != forked || w.forked
}

// passenger reports whether an input may wait for ever: it goes with a run, and starts none.
func passenger(i inbox.Item) bool { return !i.Unstamped() && i.Means().Passenger }

// waking returns how many inputs wait that somebody has to go on with.
func waking(all inbox.Box) int {
	n := 0
	for i := range all.All() {
		if !passenger(i) {
			n++
		}
	}
	return n
}

// quiet reports whether an input is submitted so that it wakes nobody.
func (w *world) quiet(in id.Input) bool { return w.roll("quiet", in)%6 == 0 }

// offer submits an input the way its client does.
func (w *world) offer(ctx context.Context, p *process, s id.Session, in runtime.Input) (v struct{ Duplicate bool }, err error) {
	if w.quiet(in.ID) {
		w.oracle.hushed(in.ID)
		if !w.plan.Mutant.wakes() {
			got, err := p.host.AcceptWithoutWake(ctx, s, in)
			v.Duplicate = got.Duplicate
			return v, err
		}
	}
	got, _, err := p.host.AcceptWithCompletion(ctx, s, in)
	v.Duplicate = got.Duplicate
	return v, err
}

// alias submits an input that is durable again, under its key and another id: it must lead to the first.
func (w *world) alias(ctx context.Context, n int, s id.Session, in id.Input) {
	for try := range 6 {
		p := w.route("alias", n, try)
		v, _, err := p.host.AcceptWithCompletion(ctx, s, runtime.Input{ID: in + " again", Key: key(in), Content: transcript.TextBlocks("do " + string(in))})
		if errors.Is(err, store.ErrExists) && !p.isDead() { // the store's own guard, which nobody should come to
			w.breach("R33", "the key of %s was given again, and taken for a new one: %v", in, err)
		}
		if err == nil && !p.isDead() {
			w.note("client %d submits %s again: %+v", n, in, v)
			if !v.Duplicate || v.Input != in {
				w.breach("R33", "the key of %s was given again, and led to %+v", in, v)
			}
			return
		}
		w.takes(500*time.Millisecond, "alias again", n, try)
	}
}

func key(in id.Input) string { return "key of " + string(in) }

// inform adds to what a session knows until that is durable, and then once more: the same is the same, and something else is refused.
func (w *world) inform(ctx context.Context, n int) {
	s := sessions[w.roll("informed", n)%uint64(len(sessions))]
	fact := transcript.Notice{Kind: "fact", Text: fmt.Sprint("fact ", n)}
	var first id.Input
	w.takes(1200*time.Millisecond, "inform", n)
	for try, more := 0, 2; try < 12 && more > 0; try++ {
		p := w.route("inform", n, try)
		v, err := p.host.AddContext(ctx, s, w.plan.Mutant.key(fact.Text, try), fact)
		w.note("informant %d tells %s to %s: %v", n, fact.Text, s, err)
		if err == nil && !p.isDead() {
			if first != "" && (!v.Duplicate || v.Input != first) {
				w.breach("R33", "%q was told to %s twice, and is two inputs", fact.Text, s)
			}
			first = v.Input
			more--
			w.oracle.told(s, v.Input, "accepted")
			w.oracle.informed(s, fact.Text, v.Input)
		}
		w.takes(500*time.Millisecond, "inform again", n, try)
	}
	if first == "" {
		return
	}
	p := w.owner()
	if _, err := p.host.AddContext(ctx, s, fact.Text, transcript.Notice{Kind: "fact", Text: "something else"}); err == nil && !p.isDead() {
		w.breach("R33", "what was told to %s as %q was told as something else too", s, fact.Text)
	}
}

// profile is what a session is registered with.
func (w *world) profile(s id.Session) run.Profile {
	p := run.Profile{Model: "m", Retry: run.RetryPolicy{Max: 2}}
	if w.roll("schema", s)%3 == 0 {
		p.Schema = []byte("{}")
	}
	return p
}

// amend gives a session another profile, if it comes before anything is said.
func (w *world) amend(ctx context.Context) {
	s := sessions[w.roll("amended")%uint64(len(sessions))]
	profile := w.profile(s)
	profile.Model = "amended"
	for try := range 3 {
		w.takes(300*time.Millisecond, "amend", try)
		p := w.route("amend", try)
		w.oracle.asked(s, "amend", "")
		err := p.host.AmendSession(ctx, s, profile)
		w.note("the profile of %s is amended: %v", s, err)
		if err == nil && !p.isDead() {
			w.oracle.amended(s, profile.Model)
			return
		}
	}
}

// fork lets a session begin with what was said in another so far, and has it answer.
func (w *world) fork(ctx context.Context) {
	s := sessions[w.roll("forked")%uint64(len(sessions))]
	w.takes(2*time.Second, "fork")
	rows, err := w.oracle.reader().Transcript(ctx, s, 1, 0)
	if err != nil || len(rows) == 0 {
		w.note("nothing of %s is forked: %v", s, err)
		return
	}
	rows = rows[:1+w.roll("fork at")%uint64(len(rows))]
	profile := w.profile(forked)
	for try := 0; ; try++ {
		p := w.owner()
		err := p.host.RegisterSession(ctx, forked, runtime.Registration{Profile: &profile, Seed: rows})
		w.note("%s is forked at its row %d: %v", s, len(rows), err)
		if !p.isDead() && (err == nil || try > 0 && errors.Is(err, runtime.ErrExists)) {
			break
		}
		if ctx.Err() != nil {
			return // told when it comes to rest
		}
		w.takes(time.Second, "fork again", try)
	}
	w.mu.Lock()
	w.forked = true
	w.mu.Unlock()
	w.oracle.seeded(rows)
	if in := id.Input("in the fork"); w.submit(ctx, 90, forked, in, false) && !w.quiet(in) {
		w.await(ctx, 90, forked, in)
	}
}

// hushed notes that an input is submitted to wake nobody.
func (o *oracle) hushed(in id.Input) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.quiet == nil {
		o.quiet = map[id.Input]bool{}
	}
	o.quiet[in] = true
}

// informed notes which input a fact became.
func (o *oracle) informed(s id.Session, text string, in id.Input) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.life(s).facts[text] = in
}

// amended checks that a profile that was taken is in force.
func (o *oracle) amended(s id.Session, model string) {
	st, err := o.reader().State(context.Background(), s)
	if err != nil || st.Profile == nil || st.Profile.Model != model {
		o.w.breach("R136", "the profile of %s was amended, and is %+v, %v", s, st.Profile, err)
	}
}

// seeded checks that a fork begins with all that it was given, in order. Only results that were missing may stand between.
func (o *oracle) seeded(seed []transcript.Row) {
	rows, err := o.reader().Transcript(context.Background(), forked, 1, 0)
	if err != nil {
		o.w.breach("R29", "%v", err)
		return
	}
	at := 0
	for _, want := range seed {
		for at < len(rows) && !reflect.DeepEqual(rows[at].Entry, want.Entry) {
			if result, ok := rows[at].Entry.(transcript.ToolResult); !ok {
				o.w.breach("R137", "the fork has %+v where %+v was said", rows[at].Entry, want.Entry)
				return
			} else if !result.IsError {
				o.w.breach("R137", "the fork has a result of %s that nobody gave it", result.Call)
			}
			at++
		}
		if at++; at > len(rows) {
			o.w.breach("R137", "the fork lacks %+v", want.Entry)
			return
		}
	}
}

// known checks at rest that what was to be known is said once if it was taken in, and not at all otherwise.
func (o *oracle) known(s id.Session, rows []transcript.Row) {
	said := map[string]int{}
	for _, r := range rows {
		if n, ok := r.Entry.(transcript.Notice); ok && n.Kind == "fact" {
			said[n.Text]++
		}
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	for text, in := range o.life(s).facts {
		how, err := o.reader().Input(context.Background(), s, in)
		want := 0
		if how.Ended != nil && how.Ended.Run != "" {
			want = 1
		}
		if err != nil || said[text] != want && !how.Item.Said {
			o.w.breach("R33", "%q is said %d times in %s, its input is %+v, %v", text, said[text], s, how, err)
		}
	}
}

// unwanted says which run was started by nothing but inputs that were to wake nobody.
func (o *oracle) unwanted(r id.Run, live inbox.Box) string {
	woken, hushed := 0, 0
	for i := range live.All() {
		switch {
		case i.Run != r:
		case o.quiet[i.ID]:
			hushed++
		default:
			woken++
		}
	}
	if woken == 0 && hushed > 0 {
		return fmt.Sprintf("run %s was started by %d inputs that were to wake nobody", r, hushed)
	}
	return ""
}

// wakes reports whether inputs that are to wake nobody do.
func (m Mutant) wakes() bool { return m == QuietWakes }

// key is the key under which something is told.
func (m Mutant) key(key string, try int) string {
	if m == KeyOfItsOwn {
		return fmt.Sprint(key, try)
	}
	return key
}

// aside breaks what a batch says of profiles and forks.
func (m Mutant) aside(b *store.Batch) {
	switch {
	case m == AmendLost && b.From > 0:
		b.Values = nil
	case m == ForkShort && b.Session == forked && b.From == 0 && len(b.Messages) > 1:
		b.Messages = append(b.Messages[:len(b.Messages)-2], b.Messages[len(b.Messages)-1])
	}
}
