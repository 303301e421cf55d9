package registry

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// kept plays what whoever keeps rows does: what is kept, and what is only remembered.
func kept(before, after State, at time.Time, keeps, remembers map[ID]Op) {
	for _, o := range Left(before, after, at) {
		delete(keeps, o.ID)
		remembers[o.ID] = o
	}
	for _, o := range Changed(before, after) {
		keeps[o.ID] = o
	}
}

func TestR115_of_very_many_that_end_at_once_each_is_remembered_as_it_ended(t *testing.T) {
	t.Parallel()
	const many = LeastCapacity + 500
	at := time.UnixMilli(77)
	var s State
	keeps, remembers := map[ID]Op{}, map[ID]Op{}
	for n := range many {
		next := must(t, s, register(ID(fmt.Sprintf("%04d", n)), Spec{Work: Work(n % 2), Durable: n%10 == 0}))
		kept(s, next, at, keeps, remembers)
		s = next
	}
	next := must(t, s, Event{Kind: ProcessLost, Reason: "gone", At: at})
	kept(s, next, at, keeps, remembers)
	ended, lived := 0, next.Live.Len()
	for _, o := range remembers {
		ended++
		if o.Status != Terminated || o.Reason != "gone" || o.Completed != 77 || o.Work != BackgroundTool || o.Durable || o.Seq == 0 {
			t.Fatalf("remembered as %+v", o)
		}
	}
	for n := range many { // the numbers are those the ends have
		i := ID(fmt.Sprintf("%04d", n))
		before, left := remembers[i]
		if after, ok := keeps[i]; ok == left {
			t.Fatalf("%s is kept: %t, remembered: %t; %+v", i, ok, left, after)
		}
		if left && (before.Seq >= next.first() || before.Seq > Seq(n+1)) {
			t.Fatalf("%s ended as number %d", i, before.Seq)
		}
	}
	if len(keeps) != next.Live.Len()+next.Feed.Len() || ended+len(keeps) != many || lived == 0 {
		t.Fatalf("%d are kept of %d, %d are remembered", len(keeps), lived+next.Feed.Len(), ended)
	}
	before := next
	next = must(t, before, Event{Kind: TerminateOwner, Reason: "closed", At: at.Add(time.Second)})
	kept(before, next, at, keeps, remembers)
	if len(keeps) != next.Feed.Len() || len(remembers)+len(keeps) != many {
		t.Fatalf("%d are kept, %d are remembered", len(keeps), len(remembers))
	}
	seqs := map[Seq]bool{}
	for _, rows := range []map[ID]Op{keeps, remembers} {
		for _, o := range rows {
			seqs[o.Seq] = true
		}
	}
	if len(seqs) != many || seqs[0] || seqs[many+1] {
		t.Fatalf("%d ends have %d numbers", many, len(seqs))
	}
}

func TestR115_of_a_register_that_is_gone_all_is_remembered_and_what_was_at_work_has_ended(t *testing.T) {
	t.Parallel()
	s := must(t, State{}, work(Spec{}, "a", "b", "c")...)
	s = must(t, s, on(Complete, "b"))
	keeps, remembers := map[ID]Op{}, map[ID]Op{}
	kept(State{}, s, time.UnixMilli(1), keeps, remembers)
	kept(s, State{}, time.UnixMilli(9), keeps, remembers)
	var got []string
	for _, o := range remembers {
		got = append(got, fmt.Sprint(o.ID, " ", o.Status, " ", o.Seq, " ", o.Reason))
	}
	slices.Sort(got)
	if want := "a terminated 2 its owner is gone; b completed 1 ; c terminated 3 its owner is gone"; strings.Join(got, "; ") != want || len(keeps) > 0 {
		t.Fatalf("%q; %d are kept", got, len(keeps))
	}
	if out := Left(State{}, State{}, time.UnixMilli(9)); len(out) > 0 {
		t.Fatalf("of nothing is left %v", out)
	}
}

func TestR22_a_status_or_a_work_that_is_none_is_found(t *testing.T) {
	t.Parallel()
	s := must(t, State{}, work(Spec{}, "a", "b")...)
	s = must(t, s, on(Complete, "b"), Event{Kind: RequestWaitAll, Token: "w", IDs: []ID{"b"}})
	for what, spoil := range map[string]func(s *State){
		"at work":  func(s *State) { o, _ := s.find("a"); o.Status = 77; s.Live = s.Live.Set("a", &o) },
		"its work": func(s *State) { o, _ := s.find("a"); o.Work = 77; s.Live = s.Live.Set("a", &o) },
		"ended": func(s *State) {
			o, _ := s.find("b")
			o.Status, o.Result = 77, nil
			s.Feed = s.Feed.Set(1, &o)
		},
		"awaited": func(s *State) {
			w := *s.Wait
			w.Ended = w.Ended.Set("b", Outcome{Status: 77})
			s.Wait = &w
		},
	} {
		bad := s
		spoil(&bad)
		if err := Check(bad); err == nil {
			t.Errorf("%s: nothing was found", what)
		}
	}
}
