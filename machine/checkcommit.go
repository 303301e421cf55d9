package machine

import (
	"errors"
	"slices"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// CheckCommit says what is wrong with a commit that Step made from prev, as Check does for states: the lists must tell the very
// difference between the two states, and keep what may never change.
func CheckCommit(prev State, c Commit) error {
	var f findings
	f.version(prev, c)
	f.cursors(prev, c)
	f.ledgerDiff(prev, c)
	f.positions(prev, c)
	f.inputDiff(prev, c)
	f.runs(prev, c)
	f.told(prev, c)
	f.ends(prev, c)
	f.changes(prev, c)
	f.offers(prev, c)
	f.words(prev, c)
	return errors.Join(f...)
}

func (f *findings) version(prev State, c Commit) {
	lists := len(c.Inputs) + len(c.Rows) + len(c.Opened) + len(c.Closed) + len(c.Receipts) + len(c.Facts)
	changed := changedRegions(prev.Regions, c.Next.Regions)
	f.want(changed == c.Regions, "R23", "regions %b have changed, and the commit says %b", changed, c.Regions)
	same := changed == 0 && sameControl(prev.Control, c.Next.Control) && prev.Inbox == c.Next.Inbox && prev.Open == c.Next.Open
	f.want(c.From == prev.Version, "R21", "from version %d, the state has %d", c.From, prev.Version)
	switch c.Next.Version {
	case c.From:
		f.want(lists == 0 && same && !c.Profile, "R21", "something changed and the version did not")
	case c.From + 1:
		f.want(lists > 0 || !same || c.Profile, "R21", "nothing changed and the version did")
	default:
		f.want(false, "R21", "version %d after %d", c.Next.Version, c.From)
	}
	f.want(c.Profile == (prev.Profile != c.Next.Profile), "R23", "the profile is new: %t, and the commit says %t",
		prev.Profile != c.Next.Profile, c.Profile)
	f.want(c.Next.Session == prev.Session, "R20", "session %q became %q", prev.Session, c.Next.Session)
}

// changedRegions compares what is durable of the regions.
func changedRegions(a, b Regions) (out Region) {
	note := func(bit Region, same bool) {
		if !same {
			out |= bit
		}
	}
	note(ServersRegion, get(a.Servers).Durable == get(b.Servers).Durable)
	note(ToolsetRegion, get(a.Toolset) == get(b.Toolset))
	note(ModelRegion, get(a.Model) == get(b.Model))
	note(PeerRegion, get(a.Peer) == get(b.Peer))
	note(WorkRegion, get(a.Work) == get(b.Work))
	note(SaidRegion, get(a.Said) == get(b.Said))
	return out
}

// sameControl compares what a version stands for, and neither the version nor its time.
func sameControl(a, b Control) bool {
	if !slices.Equal(a.Held, b.Held) {
		return false
	}
	return a.Created == b.Created && a.Lifecycle == b.Lifecycle && a.Turn == b.Turn && a.Seq == b.Seq && a.Message == b.Message &&
		a.Cursor == b.Cursor && a.Tail == b.Tail && a.Reply == b.Reply && a.Told == b.Told && a.Usage == b.Usage && a.Title == b.Title
}

func (f *findings) cursors(prev State, c Commit) {
	for n, e := range c.Facts {
		f.want(e.Cursor == prev.Cursor+uint64(n)+1, "R28", "fact %d has cursor %d, before it was %d", n, e.Cursor, prev.Cursor)
		f.want(e.Session == prev.Session, "R28", "fact %d is of session %q", n, e.Session)
		f.want(e.Run != "" || e.Round == 0, "R28", "fact %d is outside a run and in round %d", n, e.Round)
	}
	f.want(c.Next.Cursor == prev.Cursor+uint64(len(c.Facts)), "R28", "cursor %d after %d and %d facts", c.Next.Cursor, prev.Cursor, len(c.Facts))
}

// ledgerDiff: opened and closed are the difference of the ledgers. A directive that is issued again keeps all but its attempt.
func (f *findings) ledgerDiff(prev State, c Commit) {
	seen := map[id.Effect]bool{}
	for _, d := range c.Opened {
		f.want(!seen[d.ID], "R01", "%s is opened twice", d.ID)
		seen[d.ID] = true
		now, ok := c.Next.Open.Get(d.ID)
		f.want(ok && now.Attempt == d.Attempt, "R01", "%s was opened and is not open", d.ID)
		old, again := prev.Open.Get(d.ID)
		if !again {
			first := d.Attempt == 1 || d.Held != run.NoHold
			f.want(d.ID.Version == c.From+1 && first, "R20", "%s is opened at attempt %d by version %d", d.ID, d.Attempt, c.From+1)
			continue
		}
		f.want(d.Class == old.Class, "R05", "%s had class %s and is issued again as %s", d.ID, old.Class, d.Class)
		released := f.moved(old, d)
		f.want(d.Class.Repeatable() || released, "R35", "%s is issued again and of class %s", d.ID, d.Class)
		upto := old.Upto
		if d.Kind == run.ApplyRun {
			upto = c.Next.Message + 1 // with what was said to the run meanwhile
		}
		f.want(d.At == old.At && d.Upto == upto, "R07", "%s has moved", d.ID)
		f.want(d.Kind == old.Kind && d.Run == old.Run && d.Round == old.Round && d.Call.ID == old.Call.ID, "R01", "%s has become another", d.ID)
		f.want(d.Attempt > old.Attempt || d.NotBefore == old.NotBefore, "R39", "%s was to wait until %v and is issued for %v", d.ID, old.NotBefore, d.NotBefore)
		f.want(d.Attempt > old.Attempt || released || d.Kind != run.RunTool && d.Kind != run.ApplyRun && d.Attempt == old.Attempt, "R04",
			"%s is issued again at attempt %d after %d", d.ID, d.Attempt, old.Attempt)
	}
	for _, x := range c.Closed {
		_, was := prev.Open.Get(x.Directive.ID)
		_, is := c.Next.Open.Get(x.Directive.ID)
		f.want(was && !is && !seen[x.Directive.ID], "R36", "%s is closed: open before %t, after %t", x.Directive.ID, was, is)
		f.want(x.Outcome != "", "R36", "%s is closed without an outcome", x.Directive.ID)
		seen[x.Directive.ID] = true
	}
	for key := range prev.Open.All() {
		_, is := c.Next.Open.Get(key)
		f.want(is || seen[key], "R36", "%s has vanished", key)
	}
	for key := range c.Next.Open.All() {
		_, was := prev.Open.Get(key)
		f.want(was || seen[key], "R01", "%s is open and was not opened", key)
	}
}

// positions: a row lies at a new message, or where the call it answers had its place reserved; no message is left empty.
func (f *findings) positions(prev State, c Commit) {
	reserved := map[transcript.Position]bool{}
	filled := map[int]bool{}
	for _, x := range c.Closed {
		if x.Directive.Kind == run.RunTool {
			reserved[x.Directive.At] = true
		}
	}
	for _, d := range c.Opened {
		filled[d.At.Message] = true
	}
	rows := map[transcript.Position]bool{}
	for _, r := range c.Rows {
		_, result := r.Entry.(transcript.ToolResult)
		f.want(!rows[r.At], "R27", "two rows at %v", r.At)
		rows[r.At], filled[r.At.Message] = true, true
		if r.At.Message > prev.Message {
			f.want(r.At.Message <= c.Next.Message && (result || r.At.Ordinal == 0), "R27", "a row at %v, the last message is %d", r.At, c.Next.Message)
		} else {
			f.want(result && reserved[r.At], "R07", "a row at %v, which no call had reserved", r.At)
		}
	}
	for at := range reserved {
		f.want(rows[at], "R07", "the call at %v is closed and has no result", at)
	}
	for m := prev.Message + 1; m <= c.Next.Message; m++ {
		f.want(filled[m], "R27", "message %d is left empty", m)
	}
	f.want(c.Next.Message >= prev.Message, "R27", "message %d after %d", c.Next.Message, prev.Message)
}

// inputDiff: the changes are the difference of the inboxes. An input that ends was live, and says so once.
func (f *findings) inputDiff(prev State, c Commit) {
	was, is := live(prev), live(c.Next)
	here := map[id.Input]bool{} // admitted by this commit
	ended, told, last := map[id.Input]bool{}, map[id.Input]int{}, map[id.Input]inbox.Item{}
	for _, e := range c.Facts {
		if e, ok := e.Payload.(event.InputEnded); ok {
			told[e.Input]++
		}
	}
	for _, x := range c.Inputs {
		i := x.Item
		last[i.ID] = i
		_, before := was[i.ID]
		before = before || here[i.ID]
		_, after := is[i.ID]
		if x.Ended == nil {
			f.want((after || told[i.ID] == 1) && !ended[i.ID], "R31", "input %s changes and is not live", i.ID)
			here[i.ID] = true
			continue
		}
		if i.Key == "" && !before && !after { // one that had ended gives its key up
			f.want(i.Phase.Terminal() && told[i.ID] == 0, "R33", "input %s gives up its key in phase %s", i.ID, i.Phase)
			continue
		}
		fresh := i.Phase == inbox.Consumed && i.Seq > prev.Seq // it wanted nothing but to be told
		f.want((before || fresh) && !after && !ended[i.ID], "R31", "input %s ends: live before %t, after %t, ended already %t", i.ID, before, after, ended[i.ID])
		f.want(told[i.ID] == 1, "R31", "the end of input %s is told %d times", i.ID, told[i.ID])
		want := map[string]inbox.Phase{StatusCompleted: inbox.Consumed, StatusFailed: inbox.Consumed, StatusSuperseded: inbox.Superseded,
			StatusCoalesced: inbox.Coalesced, StatusCancelled: inbox.Abandoned, StatusAbandoned: inbox.Abandoned}[x.Ended.Status]
		f.want(i.Phase == want, "R31", "input %s ends %s as %s", i.ID, x.Ended.Status, i.Phase)
		*f = append(*f, inbox.CheckEnded(i))
		ended[i.ID] = true
	}
	for in := range told {
		f.want(ended[in], "R31", "the end of input %s is told and did not happen", in)
	}
	for in := range was {
		_, still := is[in]
		f.want(still || ended[in], "R31", "input %s has vanished", in)
	}
	for in, i := range is {
		old, before := was[in]
		changed, noted := last[in]
		f.want(before && old.Phase == i.Phase && old.Run == i.Run || noted && changed.Phase == i.Phase && changed.Run == i.Run, "R31",
			"input %s has changed and the commit does not say so", in)
		f.want(before || i.Seq > prev.Seq || i.Seq == prev.Inbox.Front(), "R33", "input %s is new and has seq %d of %d", in, i.Seq, prev.Seq)
	}
}

// runs: a run that was bound and is not any more has one terminal, one that is bound and was not has one start.
func (f *findings) runs(prev State, c Commit) {
	before, after := prev.Lifecycle.Run, c.Next.Lifecycle.Run
	ends, starts := map[id.Run]int{}, map[id.Run]int{}
	for _, e := range c.Facts {
		switch e.Payload.(type) {
		case event.RunCompleted, event.RunFailed:
			ends[e.Run]++
		case event.RunStarted:
			starts[e.Run]++
		}
	}
	// A run may begin and end within one step. One that looks for its output has told its end (R110).
	due := func(r id.Run) (start, end int) {
		start, end = 1, 1
		if r == before {
			start = 0
		}
		if r == after && !c.Next.Turn.Answered || r == before && prev.Turn.Answered {
			end = 0
		}
		return start, end
	}
	for _, r := range []id.Run{before, after} {
		if start, end := due(r); r != "" {
			f.want(starts[r] == start && ends[r] == end, "R32", "run %q to %q: %s starts %d times and ends %d times", before, after, r, starts[r], ends[r])
		}
	}
	for r := range starts {
		start, end := due(r)
		f.want(starts[r] == start && ends[r] == end, "R32", "run %q to %q: %s starts %d times and ends %d times", before, after, r, starts[r], ends[r])
	}
	for r := range ends {
		f.want(r == before || starts[r] == 1, "R32", "run %q to %q: %s ends and was not bound", before, after, r)
	}
	receipts, of := prev.Turn.Receipts, prev.Turn.Run
	for _, r := range c.Receipts {
		if r.Run != of {
			receipts, of = 0, r.Run
		}
		f.want(r.Sequence == receipts+1, "R32", "receipt %d of run %s after %d", r.Sequence, r.Run, receipts)
		f.want(len(r.Inputs) > 0 && r.Messages <= c.Next.Message, "R32", "receipt %d of run %s proves nothing", r.Sequence, r.Run)
		receipts = r.Sequence
	}
}

// told: outcomes of calls are told in the order of the calls (R52).
func (f *findings) told(prev State, c Commit) {
	message, next := prev.Message, prev.Told
	for _, e := range c.Facts {
		if _, ok := e.Payload.(event.ToolExecutionCompleted); !ok {
			continue
		}
		if e.At.Message != message {
			message, next = e.At.Message, 0
		}
		f.want(e.At.Ordinal == next, "R52", "the outcome at %v is told where %d is due", e.At, next)
		next++
	}
}
