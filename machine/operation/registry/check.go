package registry

import (
	"errors"
	"fmt"
)

// Check says what is wrong with a state: nil, or joined errors that each begin with the number of a rule of docs/rules.md.
func Check(s State) error {
	var f findings
	f.live(s)
	f.feed(s)
	f.wait(s)
	return errors.Join(f...)
}

type findings []error

// want notes a breach of a rule unless ok.
func (f *findings) want(ok bool, rule, format string, args ...any) {
	if !ok {
		*f = append(*f, fmt.Errorf(rule+": "+format, args...))
	}
}

func (f *findings) live(s State) {
	for i, o := range s.Live.All() {
		f.want(o.ID == i, "R94", "operation %q is kept as %q", o.ID, i)
		f.want(o.Status != Absent && !o.Status.Terminal(), "R94", "operation %q is at work and of status %d", i, o.Status)
		f.want(o.Seq == 0 && o.Completed == 0 && o.Result == nil && o.Reason == "", "R94", "operation %q is at work and has an end", i)
		f.want(o.Status != Provisioning || o.Started == 0 && o.Progress == 0, "R94", "operation %q is %s and was at work", i, o.Status)
		f.peer(*o)
		_, twice := s.found.Get(i)
		f.want(!twice, "R94", "operation %q is at work and has ended", i)
	}
}

func (f *findings) peer(o Op) {
	f.want(o.Status <= Terminated && o.Work <= MemberChild, "R94", "operation %q of work %d has status %d", o.ID, o.Work, o.Status)
	f.want(!o.PeerReady || o.Work == MemberChild && o.ExpectsPeer, "R94", "operation %q has a peer nobody expected", o.ID)
}

// feed: the last completions without a gap, within the bounds, and the cursor over them.
func (f *findings) feed(s State) {
	f.want(s.Keep >= 0 && s.Limit >= 0, "R95", "bounds %d and %d", s.Keep, s.Limit)
	f.want(s.Feed.Len() <= s.Capacity(), "R95", "%d completions kept, at most %d may be", s.Feed.Len(), s.Capacity())
	f.want(Seq(s.Feed.Len()) <= s.Watermark, "R95", "%d completions kept of %d", s.Feed.Len(), s.Watermark)
	f.want(s.found.Len() == s.Feed.Len(), "R95", "%d completions kept, %d of them by id", s.Feed.Len(), s.found.Len())
	next := s.first()
	for seq, o := range s.Feed.All() {
		f.want(seq == next && o.Seq == seq, "R95", "completion %d is kept as %d where %d is due", o.Seq, seq, next)
		f.want(o.Status.Terminal(), "R94", "operation %q has ended and is %s", o.ID, o.Status)
		f.want((o.Result != nil) == (o.Status == Completed), "R94", "operation %q is %s; has it a result: %t", o.ID, o.Status, o.Result != nil)
		at, ok := s.found.Get(o.ID)
		f.want(ok && at == seq, "R95", "operation %q leads to completion %d, not %d", o.ID, at, seq)
		f.peer(*o)
		next++
	}
	f.want(s.Announced <= s.Watermark, "R97", "announced up to %d of %d", s.Announced, s.Watermark)
	f.want(s.Missed >= 0 && s.Missed <= s.gone(), "R97", "%d news missed of %d completions that are gone", s.Missed, s.gone())
	if o, ok := s.Feed.Get(s.Announced + 1); ok {
		f.want(o.news(), "R97", "completion %d is no news and holds the cursor", o.Seq)
	}
}

func (f *findings) wait(s State) {
	w := s.Wait
	if w == nil {
		return
	}
	f.want(w.Token != "" && len(w.IDs) > 0 && repeated(w.IDs) == "", "R96", "wait %q for %q", w.Token, w.IDs)
	named := 0
	for _, i := range w.IDs {
		end, ended := w.Ended.Get(i)
		_, live := s.Live.Get(i)
		f.want(ended != live, "R96", "operation %q is awaited; has it ended: %t; is it at work: %t", i, ended, live)
		if !ended {
			continue
		}
		named++
		f.want(end.Status.Terminal() && end.Status <= Terminated, "R96", "operation %q is said to have ended with status %d", i, end.Status)
		if seq, ok := s.found.Get(i); ok {
			o, _ := s.Feed.Get(seq)
			f.want(o.Status == end.Status && o.Reason == end.Reason, "R96", "operation %q ended as %s, the wait says %s", i, o.Status, end.Status)
		}
	}
	f.want(named == w.Ended.Len(), "R96", "the wait knows %d ends, %d of them awaited", w.Ended.Len(), named)
}
