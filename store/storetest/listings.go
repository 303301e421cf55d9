package storetest

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

func listings(t *testing.T, open func(t *testing.T) store.Store) {
	// populate makes sessions, updated at the given seconds.
	populate := func(w world, updated map[id.Session]int, shape func(sid id.Session, h *store.Head)) {
		for sid, at := range updated {
			b := batch(w.take(claim(sid, "a")), 0)
			b.Head.Updated = epoch.Add(time.Duration(at) * time.Second)
			if shape != nil {
				shape(sid, &b.Head)
			}
			w.commit(b)
		}
	}
	list := func(w world, q store.Query) string {
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
	expect := func(w world, q store.Query, want string) {
		w.Helper()
		if got := list(w, q); got != want {
			w.Fatalf("%+v: got %q, want %q", q, got, want)
		}
	}
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
}
