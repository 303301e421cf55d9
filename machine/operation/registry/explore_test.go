package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

// The small world: a background tool that yields, a member of a team, one wait, and every event but those that set bounds.
func worldEvents() []Event {
	var out []Event
	for k := Register; k < RequestWaitAll; k++ {
		out = append(out, Event{Kind: k, ID: "a", Spec: Spec{Yields: true}},
			Event{Kind: k, ID: "b", Spec: Spec{Work: MemberChild, ExpectsPeer: true}})
	}
	for _, ids := range [][]ID{{"a"}, {"b", "a"}, {"a", "a"}, {}} {
		out = append(out, Event{Kind: RequestWaitAll, Token: "w", IDs: ids})
	}
	for k := SatisfyWaitAll; k < Configure; k++ {
		if k == Announced {
			out = append(out, Event{Kind: k, Upto: 1}, Event{Kind: k, Upto: 2})
			continue
		}
		out = append(out, Event{Kind: k, Token: "w"})
	}
	return out
}

type place struct {
	s    State
	from *place
	by   Event
}

func (p *place) path() string {
	var names []string
	for ; p.from != nil; p = p.from {
		names = append([]string{fmt.Sprintf("%s %s %v", p.by.Kind, p.by.ID, p.by.IDs)}, names...)
	}
	return strings.Join(names, ", ")
}

// explore goes everywhere in the small world, the nearest places first, and returns how many there are. It stops at the first that is wrong.
func explore() (int, error) {
	events := worldEvents()
	first := &place{}
	seen := map[string]bool{}
	queue := []*place{first}
	for len(queue) > 0 {
		at := queue[0]
		queue = queue[1:]
		for _, e := range events {
			next, err := Step(at.s, e)
			p := &place{s: next, from: at, by: e}
			if wrong := edge(at.s, e, next, err); wrong != nil {
				return len(seen), fmt.Errorf("after %s: %w", p.path(), wrong)
			}
			if next == at.s {
				continue
			}
			key, err := json.Marshal(next)
			if err == nil && !seen[string(key)] {
				seen[string(key)] = true
				_, err = encoded(next)
				err = errors.Join(err, Check(next), rests(next))
				if within(next) {
					queue = append(queue, p)
				}
			}
			if err != nil {
				return len(seen), fmt.Errorf("after %s: %w", p.path(), err)
			}
		}
	}
	return len(seen), nil
}

// within reports whether the search goes on here: progress could be reported for ever.
func within(s State) bool {
	for _, o := range s.Live.All() {
		if o.Progress > 0 {
			return false
		}
	}
	return true
}

// edge holds what is true of every step.
func edge(before State, e Event, after State, err error) error {
	if err != nil {
		if after != before {
			return fmt.Errorf("R18: refused by %w, and changed", err)
		}
		return nil
	}
	for seq, o := range before.Feed.All() {
		if now, ok := after.Feed.Get(seq); !ok || now != o {
			return fmt.Errorf("R94: operation %s had ended and changed", o.ID)
		}
	}
	for i := range before.Live.All() {
		if _, ok := after.find(i); !ok {
			return fmt.Errorf("R94: operation %s is gone", i)
		}
	}
	if after.Announced < before.Announced || after.Watermark < before.Watermark {
		return fmt.Errorf("R97: a cursor went back: %d of %d, %d of %d", before.Announced, before.Watermark, after.Announced, after.Watermark)
	}
	was, _ := before.Unannounced()
	now, _ := after.Unannounced()
	if len(now) < len(was) && e.Kind != Announced {
		return fmt.Errorf("R97: news was dropped: %v, now %v", was, now)
	}
	same := before.Wait != nil && after.Wait != nil && before.Wait.Token == after.Wait.Token
	if before.Wait != nil && !same && e.Kind != SatisfyWaitAll && e.Kind != CancelWaitAll && e.Kind != ProcessLost {
		return errors.New("R96: the wait was dropped")
	}
	changed := map[ID]bool{}
	for _, o := range Changed(before, after) {
		changed[o.ID] = true
	}
	for o := range after.List() {
		old, ok := before.find(o.ID)
		if changed[o.ID] != (!ok || old != o) {
			return fmt.Errorf("operation %s: is said to have changed: %t", o.ID, changed[o.ID])
		}
	}
	return nil
}

// rests brings a state to rest.
func rests(s State) error {
	s, err := Step(s, Event{Kind: TerminateOwner})
	if err != nil || s.Active() > 0 || !s.BarrierMet([]ID{"a", "b"}) {
		return fmt.Errorf("R94: %d are at work without an owner: %w", s.Active(), err)
	}
	if s.Wait != nil {
		if _, over := s.WaitSatisfied(); !over {
			return errors.New("R96: all have ended and the wait is not over")
		}
		if s, err = Step(s, Event{Kind: SatisfyWaitAll, Token: "w"}); err != nil {
			return err
		}
	}
	if s, err = Step(s, Event{Kind: Announced, Upto: s.Watermark}); err != nil || s.News() {
		return fmt.Errorf("R97: all was announced and there is news: %w", err)
	}
	return Check(s)
}

func TestR94_every_state_of_a_small_world_is_sound_and_comes_to_rest(t *testing.T) {
	t.Parallel()
	n, err := explore()
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d states", n)
	if n < 1000 {
		t.Errorf("only %d states: part of the world was not reached", n)
	}
}
