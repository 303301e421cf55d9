package registry

import "cmp"

// Seq numbers the operations of a session by their ends, from 1, without a gap. A cursor is the number of the last that was seen.
type Seq uint64

// Compare orders completions.
func (s Seq) Compare(o Seq) int { return cmp.Compare(s, o) }

// Bounds of what is kept of operations that ended.
const (
	DefaultRetention = 256  // had by Get, unless configured otherwise
	LeastCapacity    = 1024 // of the feed
)

// Retention is how many ended operations Get has.
func (s State) Retention() int { return cmp.Or(s.Keep, DefaultRetention) }

// Capacity is how many completions the feed keeps.
func (s State) Capacity() int { return max(4*s.Retention(), LeastCapacity) }

// first is the number of the oldest completion in the feed, or of the next one if it is empty.
func (s State) first() Seq { return s.Watermark - Seq(s.Feed.Len()) + 1 }

// kept is the number of the oldest completion that Get has.
func (s State) kept() Seq {
	return s.Watermark - Seq(min(s.Feed.Len(), s.Retention())) + 1
}

// gone is how many completions behind the cursor the feed does not keep any more.
func (s State) gone() int { return int(max(s.first(), s.Announced+1) - s.Announced - 1) }

// trim drops what the feed has no room for, the oldest first. News that nobody was told of are counted.
func (s State) trim() State {
	for s.Feed.Len() > s.Capacity() {
		seq, o, _ := s.Feed.First()
		s.Feed, s.found = s.Feed.Delete(seq), s.found.Delete(o.ID)
		if seq > s.Announced && o.news() {
			s.Missed++
		}
	}
	return s
}

// hush moves the cursor over completions that are no news.
func (s State) hush() State {
	for {
		o, ok := s.Feed.Get(s.Announced + 1)
		if !ok || o.news() {
			return s
		}
		s.Announced++
	}
}

// announced moves the cursor on. It never goes back.
func announced(s State, e Event) State {
	if e.Upto <= s.Announced {
		return s
	}
	s.Announced = e.Upto
	s.Missed = min(s.Missed, s.gone())
	return s.hush()
}

// Entry is one completion of the feed.
type Entry struct {
	Seq     Seq
	ID      ID
	Work    Work
	Name    string
	Outcome Outcome
	At      int64 // milliseconds since 1970
}

func (o Op) entry() Entry {
	return Entry{Seq: o.Seq, ID: o.ID, Work: o.Work, Name: o.Name, Outcome: o.Outcome(), At: o.Completed}
}

// Page is the feed behind a cursor.
type Page struct {
	Entries   []Entry
	Watermark Seq // of the same instant: the cursor to go on from
	Missed    int // completions behind the cursor that the feed does not keep any more
}

// Since returns the completions behind a cursor. One that is ahead of the feed has none; the watermark tells.
func (s State) Since(cursor Seq) Page {
	p := Page{Watermark: s.Watermark}
	if cursor >= s.Watermark {
		return p
	}
	from := max(cursor+1, s.first())
	p.Missed = int(from - cursor - 1)
	p.Entries = make([]Entry, 0, s.Watermark-from+1)
	for seq := from; seq <= s.Watermark; seq++ {
		if o, ok := s.Feed.Get(seq); ok {
			p.Entries = append(p.Entries, o.entry())
		}
	}
	return p
}

// News reports whether there is something to announce, in constant time.
func (s State) News() bool { return s.Announced < s.Watermark }

// Unannounced returns the news: the ends of background tools that the conversation was not told of, in order, and how many more there were
// that the feed does not keep any more. Whoever tells them answers with Announced up to the watermark of the same state.
func (s State) Unannounced() (news []Entry, missed int) {
	for seq := max(s.Announced+1, s.first()); seq <= s.Watermark; seq++ {
		if o, ok := s.Feed.Get(seq); ok && o.news() {
			news = append(news, o.entry())
		}
	}
	return news, s.Missed
}
