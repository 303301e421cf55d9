package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// populate makes sessions, updated at the given seconds.
func populate(w world, updated map[id.Session]int, shape func(sid id.Session, h *store.Head)) {
	for sid, at := range updated {
		b := batch(w.take(claim(sid, "a")), 0)
		b.Head.Updated = epoch.Add(time.Duration(at) * time.Second)
		if shape != nil {
			shape(sid, &b.Head)
		}
		w.commit(b)
	}
}

func list(w world, q store.Query) string {
	w.Helper()
	got, err := w.Sessions(w.ctx, q)
	if err != nil {
		w.Fatal(err)
	}
	var names []string
	for _, r := range got {
		names = append(names, string(r.Session))
	}
	return strings.Join(names, " ")
}

func expect(w world, q store.Query, want string) {
	w.Helper()
	if got := list(w, q); got != want {
		w.Fatalf("%+v: got %q, want %q", q, got, want)
	}
}

func listings(t *testing.T, open func(t *testing.T) store.Store) {
	scenario(t, open, "a listing shows the head as it was last committed", func(w world) {
		l := w.take(claim("s", "a"))
		w.commit(full(l, 0))
		two := full(l, 1)
		w.commit(two)
		got, err := w.Sessions(w.ctx, store.Query{})
		if err != nil {
			w.Fatal(err)
		}
		w.same(got, []store.SessionRow{{Session: "s", Version: 2, Head: two.Head}})
	})
	scenario(t, open, "the most recently updated is first, and of equals the highest id", func(w world) {
		populate(w, map[id.Session]int{"old": 1, "b": 5, "c": 5, "a": 5, "new": 9}, nil)
		expect(w, store.Query{}, "new c b a old")
		populate(w, map[id.Session]int{"d": 5}, nil)
		b := batch(w.take(claim("old", "a")), 1)
		b.Head.Updated = epoch.Add(time.Hour)
		w.commit(b)
		expect(w, store.Query{}, "old new d c b a")
	})
	scenario(t, open, "pages do not overlap and leave nothing out", func(w world) {
		all := map[id.Session]int{}
		for i := range 120 {
			all[id.Session(fmt.Sprintf("s%03d", i))] = i / 7
		}
		populate(w, all, nil)
		if got := strings.Fields(list(w, store.Query{})); len(got) != 50 || got[0] != "s119" {
			w.Fatalf("the first page is %v", got)
		}
		var pages []string
		for off := 0; off < 140; off += 13 {
			pages = append(pages, strings.Fields(list(w, store.Query{Limit: 13, Offset: off}))...)
		}
		expect(w, store.Query{Limit: -1}, strings.Join(pages, " "))
		if len(pages) != 120 {
			w.Fatalf("%d sessions on all pages", len(pages))
		}
		expect(w, store.Query{Limit: 2, Offset: -3}, "s119 s118")
		expect(w, store.Query{Offset: 1000}, "")
	})
	scenario(t, open, "a prefix is taken literally", func(w world) {
		populate(w, map[id.Session]int{"ab": 1, "abc": 2, "a%": 3, "a_": 4, "A": 5, "b": 6, "aé": 7, "aéx": 8, "a~": 9, "a\U0010ffffz": 10}, nil)
		for prefix, want := range map[string]string{"ab": "abc ab", "abc": "abc", "a%": "a%", "a_": "a_", "A": "A", "abcd": "", "aé": "aéx aé", "a~": "a~",
			"a": "a\U0010ffffz a~ aéx aé a_ a% abc ab", "a\U0010ffff": "a\U0010ffffz"} {
			expect(w, store.Query{Prefix: prefix}, want)
		}
		expect(w, store.Query{Prefix: "a", Limit: 2, Offset: 4}, "a_ a%")
	})
	scenario(t, open, "filters are taken together", func(w world) {
		populate(w, map[id.Session]int{"a1": 1, "a2": 2, "a3": 3, "b4": 4}, func(sid id.Session, h *store.Head) {
			h.Unfinished = sid != "a2"
			h.Workspace = map[bool]string{true: "/x", false: "/y"}[sid != "a3"]
		})
		expect(w, store.Query{Unfinished: true}, "b4 a3 a1")
		expect(w, store.Query{Workspace: "/x"}, "b4 a2 a1")
		expect(w, store.Query{Workspace: "/"}, "")
		expect(w, store.Query{Prefix: "a", Unfinished: true, Workspace: "/x"}, "a1")
		b := batch(w.take(claim("b4", "a")), 1)
		b.Head.Updated = epoch
		w.commit(b)
		expect(w, store.Query{Unfinished: true}, "a3 a1")
	})
	scenario(t, open, "a session that is not registered is listed, but nobody is to go on with it", func(w world) {
		populate(w, map[id.Session]int{"a": 1, "b": 2}, func(sid id.Session, h *store.Head) { h.Unfinished, h.Away = true, sid == "b" })
		expect(w, store.Query{}, "b a")
		expect(w, store.Query{Unfinished: true}, "a")
		b := batch(w.take(claim("b", "a")), 1)
		b.Head.Unfinished = true
		w.commit(b)
		expect(w, store.Query{Unfinished: true}, "b a")
	})
}

// at is so many seconds after the epoch.
func at(seconds int) time.Time { return epoch.Add(time.Duration(seconds) * time.Second) }

func wakes(t *testing.T, open func(t *testing.T) store.Store) {
	// waking makes sessions that want to be told the time at the given seconds; 0: never.
	waking := func(w world, wake map[id.Session]int) {
		populate(w, wake, func(sid id.Session, h *store.Head) {
			h.Updated = epoch
			if wake[sid] != 0 {
				h.Wake = at(wake[sid])
			}
		})
	}
	move := func(w world, sid id.Session, shape func(h *store.Head)) {
		b := batch(w.take(claim(sid, "a")), w.load(sid).Version)
		b.Head = w.load(sid).Head
		shape(&b.Head)
		w.commit(b)
	}
	scenario(t, open, "R116 those that want to be told the time are listed by it, and of equals the lowest id is first", func(w world) {
		waking(w, map[id.Session]int{"late": 30, "b": 20, "a": 20, "c": 20, "early": -100, "never": 0})
		expect(w, store.Query{DueBefore: at(30)}, "early a b c late")
		expect(w, store.Query{DueBefore: at(20)}, "early a b c")
		expect(w, store.Query{DueBefore: at(20).Add(-time.Microsecond)}, "early")
		expect(w, store.Query{DueBefore: at(-101)}, "")
		expect(w, store.Query{DueAfter: at(20)}, "late")
		expect(w, store.Query{DueAfter: at(20).Add(-time.Microsecond)}, "a b c late")
		expect(w, store.Query{DueAfter: at(-100), DueBefore: at(20)}, "a b c")
		expect(w, store.Query{DueAfter: at(30)}, "")
		got, err := w.Sessions(w.ctx, store.Query{DueAfter: at(-100), Limit: 1})
		if err != nil || len(got) != 1 || !got[0].Head.Wake.Equal(at(20)) {
			w.Fatalf("the next of all is %+v, %v", got, err)
		}
	})
	scenario(t, open, "R116 what is asked for last counts, and who is not registered is not told", func(w world) {
		waking(w, map[id.Session]int{"a": 10, "b": 20, "c": 0})
		all := store.Query{DueBefore: at(1000)}
		move(w, "a", func(h *store.Head) { h.Wake = at(99) })
		expect(w, all, "b a")
		move(w, "b", func(h *store.Head) { h.Away = true })
		move(w, "c", func(h *store.Head) { h.Wake = at(1) })
		expect(w, all, "c a")
		move(w, "b", func(h *store.Head) { h.Away = false })
		move(w, "a", func(h *store.Head) { h.Wake = time.Time{} })
		expect(w, all, "c b")
		expect(w, store.Query{}, "c b a")
	})
	scenario(t, open, "R116 filters and pages go with it", func(w world) {
		waking(w, map[id.Session]int{"x1": 4, "x2": 3, "y1": 2, "y2": 1, "x3": 0})
		all := store.Query{DueBefore: at(1000)}
		with := func(change func(q *store.Query)) store.Query { q := all; change(&q); return q }
		expect(w, with(func(q *store.Query) { q.Prefix = "x" }), "x2 x1")
		expect(w, with(func(q *store.Query) { q.Workspace = "/w" }), "")
		expect(w, with(func(q *store.Query) { q.Limit = 2 }), "y2 y1")
		expect(w, with(func(q *store.Query) { q.Limit, q.Offset = 2, 1 }), "y1 x2")
		expect(w, with(func(q *store.Query) { q.Unfinished = true }), "")
		move(w, "y1", func(h *store.Head) { h.Unfinished, h.Workspace = true, "/w" })
		expect(w, with(func(q *store.Query) { q.Unfinished, q.Workspace = true, "/w" }), "y1")
	})
	scenario(t, open, "R116 a place that is only kept, and a batch that was refused, ask for nothing", func(w world) {
		l := w.take(claim("s", "a"))
		expect(w, store.Query{DueBefore: at(1000)}, "")
		b := batch(l, 0)
		b.Term, b.Head.Wake = b.Term+1, at(1)
		w.refuses(w.Commit(w.ctx, b), store.ErrFenced)
		expect(w, store.Query{DueBefore: at(1000)}, "")
	})
}
