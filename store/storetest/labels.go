package storetest

import (
	"maps"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// counts fails unless a query selects so many, and lists as many.
func (w world) counts(q store.Query, want int) {
	w.Helper()
	n, err := w.Count(w.ctx, q)
	if q.Limit, q.Offset = -1, 0; err != nil || n != want || len(strings.Fields(list(w, q))) != want {
		w.Fatalf("%+v: %d, %v, and %q are listed; want %d", q, n, err, list(w, q), want)
	}
}

// change commits another head to a session.
func (w world) change(sid id.Session, shape func(h *store.Head)) {
	w.Helper()
	was := w.load(sid)
	b := batch(w.take(claim(sid, "a")), was.Version)
	b.Head = was.Head
	shape(&b.Head)
	w.commit(b)
}

func labelled(t *testing.T, open func(t *testing.T) store.Store) {
	scenario(t, open, "sessions are found by labels, all of which must be there", func(w world) {
		labels := map[id.Session]map[string]string{"a": {"team": "x", "env": "test"}, "b": {"team": "x"}, "c": {"team": "xx"}, "d": nil,
			"e": {`"$.te'am"`: `%x_"`, "": "", "n": "1"}, "f": {"env": "team"}}
		populate(w, map[id.Session]int{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6}, func(sid id.Session, h *store.Head) { h.Labels = maps.Clone(labels[sid]) })
		expect(w, store.Query{Labels: map[string]string{"team": "x"}}, "b a")
		expect(w, store.Query{Labels: map[string]string{"team": "x", "env": "test"}}, "a")
		expect(w, store.Query{Labels: map[string]string{"team": "x", "env": ""}}, "")
		expect(w, store.Query{Labels: map[string]string{`"$.te'am"`: `%x_"`}}, "e")
		expect(w, store.Query{Labels: map[string]string{"": ""}}, "e")
		expect(w, store.Query{Labels: map[string]string{"n": "1"}}, "e")
		expect(w, store.Query{Labels: map[string]string{}}, "f e d c b a")
		expect(w, store.Query{Labels: map[string]string{"team": "x"}, Limit: 1, Offset: 1}, "a")
		w.counts(store.Query{Labels: map[string]string{"team": "x"}, Limit: 1, Offset: 1}, 2)
		for sid, want := range labels {
			w.same(w.load(sid).Head.Labels, want)
		}
		w.change("b", func(h *store.Head) { h.Labels = map[string]string{"team": "y"} })
		w.change("a", func(h *store.Head) { h.Labels = nil })
		expect(w, store.Query{Labels: map[string]string{"team": "x"}}, "")
		expect(w, store.Query{Labels: map[string]string{"team": "y"}}, "b")
	})
	scenario(t, open, "what is asked for and what was told share nothing with the store", func(w world) {
		b := batch(w.take(claim("s", "a")), 0)
		b.Head.Labels = map[string]string{"a": "1"}
		w.commit(b)
		b.Head.Labels["a"] = "2"
		w.load("s").Head.Labels["a"] = "3"
		got, err := w.Sessions(w.ctx, store.Query{})
		if err != nil {
			w.Fatal(err)
		}
		got[0].Head.Labels["a"] = "4"
		w.same(w.load("s").Head.Labels, map[string]string{"a": "1"})
	})
	scenario(t, open, "a record, and what is not registered, are not active", func(w world) {
		w.take(claim("place", "a"))
		w.counts(store.Query{Active: true}, 0)
		populate(w, map[id.Session]int{"a": 1, "b": 2, "c": 3, "d": 4}, func(sid id.Session, h *store.Head) { h.Past, h.Away = sid == "b", sid == "c" })
		expect(w, store.Query{Active: true}, "d a")
		w.counts(store.Query{Active: true}, 2)
		w.counts(store.Query{}, 4)
		w.counts(store.Query{Active: true, Prefix: "a"}, 1)
		w.change("c", func(h *store.Head) { h.Away = false })
		w.change("a", func(h *store.Head) { h.Past, h.Away = true, true })
		w.counts(store.Query{Active: true}, 2)
		w.change("a", func(h *store.Head) { h.Away = false })
		w.change("d", func(h *store.Head) { h.Title = "same" })
		expect(w, store.Query{Active: true}, "d c")
		w.counts(store.Query{Active: true}, 2)
		refused := batch(w.take(claim("d", "a")), 7)
		refused.Head.Past = true
		w.refuses(w.Commit(w.ctx, refused), store.ErrConflict)
		w.counts(store.Query{Active: true}, 2)
	})
	scenario(t, open, "those in which nothing was said come first where that is asked for", func(w world) {
		populate(w, map[id.Session]int{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6}, func(sid id.Session, h *store.Head) {
			if h.Messages = 1; sid == "b" || sid == "d" || sid == "e" {
				h.Messages = 0
			}
			h.Past = sid == "d"
			h.Labels = map[string]string{"half": map[bool]string{true: "1", false: "2"}[sid < "d"]}
		})
		all := strings.Fields("e d b f c a")
		expect(w, store.Query{Fresh: true}, strings.Join(all, " "))
		expect(w, store.Query{}, "f e d c b a")
		for limit := 1; limit <= 7; limit++ {
			for offset := range 8 {
				page := all[min(offset, 6):min(offset+limit, 6)]
				expect(w, store.Query{Fresh: true, Limit: limit, Offset: offset}, strings.Join(page, " "))
			}
		}
		expect(w, store.Query{Fresh: true, Limit: -1, Offset: 2}, "b f c a")
		expect(w, store.Query{Fresh: true, Active: true, Labels: map[string]string{"half": "2"}}, "e f")
		expect(w, store.Query{Fresh: true, Active: true, Labels: map[string]string{"half": "1"}, Offset: 1}, "c a")
		w.counts(store.Query{Fresh: true}, 6)
	})
}
