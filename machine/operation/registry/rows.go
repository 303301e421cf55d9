package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"time"
)

// UnmarshalJSON reads a state as it was encoded. A feed with a gap, or with an operation that ended twice, is an error.
func (s *State) UnmarshalJSON(data []byte) error {
	type plain State
	var p plain
	if err := json.Unmarshal(data, &p); err != nil {
		return err
	}
	in, err := State(p).indexed()
	if err != nil {
		return err
	}
	*s = in
	return nil
}

// indexed returns s with its feed found by id, if the feed is one.
func (s State) indexed() (State, error) {
	for i, o := range s.Live.All() {
		if o == nil || o.ID != i {
			return s, fmt.Errorf("operation %q at work is not what it should be", i)
		}
	}
	for n := range Seq(s.Feed.Len()) {
		o, ok := s.Feed.Get(s.Watermark - n)
		if !ok || o == nil || o.Seq != s.Watermark-n {
			return s, fmt.Errorf("completion %d of the feed is missing", s.Watermark-n)
		}
		s.found = s.found.Set(o.ID, o.Seq)
	}
	if s.found.Len() != s.Feed.Len() {
		return s, errors.New("an operation stands twice in the feed")
	}
	return s, nil
}

// Head is a state without its operations: the small part, for whoever keeps a row for each operation and writes those in Changed.
type Head struct {
	First     Seq   `json:"first"` // the completion the feed begins with
	Watermark Seq   `json:"watermark,omitzero"`
	Announced Seq   `json:"announced,omitzero"`
	Missed    int   `json:"missed,omitempty"`
	Wait      *Wait `json:"wait,omitempty"`
	Keep      int   `json:"keep,omitempty"`
	Limit     int   `json:"limit,omitempty"`
}

// Head returns the small part of s.
func (s State) Head() Head {
	return Head{s.first(), s.Watermark, s.Announced, s.Missed, s.Wait, s.Keep, s.Limit}
}

// Restore makes a state of its head and its operations, in any order: all that are at work, and those that ended from First on. Older ones
// may be among them and are left out. One that is missing is an error.
func Restore(h Head, ops iter.Seq[Op]) (State, error) {
	s := State{Watermark: h.Watermark, Announced: h.Announced, Missed: h.Missed, Wait: h.Wait, Keep: h.Keep, Limit: h.Limit}
	for o := range ops {
		switch {
		case !o.Status.Terminal():
			s.Live = s.Live.Set(o.ID, &o)
		case o.Seq >= h.First:
			s.Feed = s.Feed.Set(o.Seq, &o)
		}
	}
	if s.first() != h.First {
		return State{}, fmt.Errorf("of the completions %d to %d, %d are there", h.First, h.Watermark, s.Feed.Len())
	}
	return s.indexed()
}

// Changed returns what is different in after: those that ended since, in that order, then those at work, by id. Of one that began and ended
// between the two, its end. It is for the states before and after one event: an end that after does not keep any more is in Left.
func Changed(before, after State) []Op {
	var out []Op
	for seq := max(before.Watermark+1, after.first()); seq <= after.Watermark; seq++ {
		if o, ok := after.Feed.Get(seq); ok {
			out = append(out, *o)
		}
	}
	for i, o := range after.Live.All() {
		if was, ok := before.Live.Get(i); !ok || was != o {
			out = append(out, *o)
		}
	}
	return out
}

// Left returns what after keeps no more, each as it ended: those that left the feed, and of very many that ended at once those that had no
// place in it. Of a register that is gone it is everything: with the owner ends what is at work. It is for the states before and after one
// event, told at the time at.
func Left(before, after State, at time.Time) []Op {
	var out []Op
	gone := after == (State{})
	for seq := before.first(); seq <= before.Watermark && (gone || seq < after.first()); seq++ {
		if o, ok := before.Feed.Get(seq); ok {
			out = append(out, *o)
		}
	}
	end, seq := Op{Status: Terminated, Reason: whyOrphaned, Completed: millis(at)}, before.Watermark
	if !gone {
		if after.first() <= before.Watermark+1 {
			return out
		}
		_, o, _ := after.Feed.First() // what ends at once ends in the same way, in the order of the ids
		end = *o
	}
	for i, o := range before.Live.All() {
		if _, ok := after.Live.Get(i); ok {
			continue
		}
		if seq++; !gone && seq >= after.first() {
			break
		}
		left := *o
		left.Status, left.Reason, left.Completed, left.Seq = end.Status, end.Reason, end.Completed, seq
		out = append(out, left)
	}
	return out
}
