package inbox

import (
	"errors"
	"fmt"

	"github.com/meerkat-go/meerkat/id"
)

// Check says what is wrong with a box: nil, or joined errors that each begin with the number of a rule of docs/rules.md.
func Check(b Box) error {
	var f findings
	seen := map[id.Seq]id.Input{}
	scoped, found, facts := 0, 0, 0
	for _, m := range b.lanes() {
		for s, i := range m.All() {
			other, twice := seen[s]
			f.want(!twice && s == i.Seq, "R106", "input %s stands at %d, which is that of input %s, or not its own %d", i.ID, s, other, i.Seq)
			seen[s] = i.ID
			f.want(b.at(*i) == m, "R106", "input %s of lane %s stands among others", i.ID, i.Lane)
			byID, _ := b.names.Get(idOf(i.ID))
			byKey, _ := b.names.Get(keyOf(i.Key))
			f.want(byID == s && byKey == s, "R33", "input %s at %d is found at %d by its id and at %d by its key", i.ID, s, byID, byKey)
			if i.Phase == Queued && i.Scope() != (Scope{}) {
				scoped++
				same, _ := b.scopes.Get(i.Scope())
				_, ok := same.Get(s)
				f.want(ok, "R104", "input %s is not found by its scope", i.ID)
			}
			for _, index := range [...]struct{ ready, of *lane }{{&b.ready, &b.steers}, {&b.along, &b.riders}} {
				_, boundary := index.ready.Get(s)
				if boundary {
					found++
				}
				f.want(boundary == (m == index.of && i.atBoundary()), "R108", "input %s may be taken in at a boundary, or may not, and stands otherwise", i.ID)
			}
			_, fact := b.facts.Get(s)
			if fact {
				facts++
			}
			f.want(fact == (m == &b.riders && i.fact()), "R108", "input %s goes in by itself: %t, and stands otherwise", i.ID, i.fact())
			f.live(*i)
		}
	}
	f.want(found == b.ready.Len()+b.along.Len() && facts == b.facts.Len(), "R108", "inputs that are gone may be taken in at a boundary")
	f.want(b.names.Len() == 2*len(seen), "R33", "%d names for %d inputs", b.names.Len(), len(seen))
	for s, same := range b.scopes.All() {
		scoped -= same.Len()
		f.want(same.Len() > 0, "R104", "nothing is of scope %v", s)
	}
	f.want(scoped == 0, "R104", "the scopes lead to %d inputs that are gone", -scoped)
	return errors.Join(f...)
}

// CheckEnded says what is wrong with an input that has ended.
func CheckEnded(i Item) error {
	var f findings
	f.want(i.Phase.Terminal(), "R31", "input %s has ended and is %s", i.ID, i.Phase)
	f.want(i.Content == nil && i.Says == nil && (i.Stamp == nil || i.Stamp.Options == nil), "R31", "input %s has ended and keeps what it said", i.ID)
	replaced := i.Phase == Superseded || i.Phase == Coalesced
	f.want((i.By != "") == replaced && i.By != i.ID, "R104", "input %s is %s by %q", i.ID, i.Phase, i.By)
	f.want(i.Reason == NoReason || i.Phase == Abandoned, "R31", "input %s is %s because of %s", i.ID, i.Phase, i.Reason)
	f.want(i.Reason != MaxAttemptsExhausted || i.Attempts == MaxAttempts, "R105", "input %s was given up after %d attempts", i.ID, i.Attempts)
	f.want(i.Attempts <= MaxAttempts, "R105", "input %s had %d attempts", i.ID, i.Attempts)
	return errors.Join(f...)
}

type findings []error

// want notes a breach of a rule unless ok.
func (f *findings) want(ok bool, rule, format string, args ...any) {
	if !ok {
		*f = append(*f, fmt.Errorf(rule+": "+format, args...))
	}
}

// live: what must hold of an input that is in a box.
func (f *findings) live(i Item) {
	f.want((i.Run == "") == (i.Phase == Queued), "R31", "input %s is %s with run %q", i.ID, i.Phase, i.Run)
	f.want(i.By == "" && i.Reason == NoReason, "R31", "input %s lives, and has ended by %q for %s", i.ID, i.By, i.Reason)
	f.want(!i.Said || i.Content == nil && i.Says == nil, "R31", "input %s has said what it says, and keeps it", i.ID)
	f.want(i.Attempts >= 0 && (i.Attempts < MaxAttempts || i.Phase == Staged && i.Attempts == MaxAttempts), "R105", "input %s is %s at attempt %d",
		i.ID, i.Phase, i.Attempts)
	if i.Stamp == nil {
		return
	}
	p, m := i.Stamp.Policy, i.Stamp.Means
	f.want(p.Version > 0 && p.Version <= PolicyVersion, "R102", "input %s is stamped by policy %d", i.ID, p.Version)
	f.want(i.Lane == p.lane() && m.Boundary == p.boundary(), "R102", "input %s is in lane %s with boundary %s, and its policy says %+v", i.ID, i.Lane,
		m.Boundary, p)
	f.want(!m.Passenger || p.Wake == WakeNone, "R103", "input %s rides along and would wake", i.ID)
	f.want(p.plan() != ConsumeNow && p.plan() != RecordOnly, "R102", "input %s is live, and its policy would not have it", i.ID)
}
