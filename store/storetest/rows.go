package storetest

import (
	"fmt"
	"math"
	"testing"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// condition is the condition behind one of the package's variables.
func condition(err error) *fault.Condition { return err.(*fault.Condition) }

func inputs(t *testing.T, open func(t *testing.T) store.Store) {
	put := func(w world, l store.Lease, from uint64, rows ...store.InputRow) error {
		b := batch(l, from)
		b.Inputs = rows
		return w.Commit(w.ctx, b)
	}
	scenario(t, open, "an input is found by its key and by its id, live or ended", func(w world) {
		l := w.take(claim("s", "a"))
		row := store.InputRow{ID: "i", Key: "k", Seq: 3, Live: true, Body: []byte("x")}
		for v, live := range []bool{true, false} {
			row.Live = live
			row.Body = fmt.Appendf(nil, "body %d", v)
			if err := put(w, l, uint64(v), row); err != nil {
				w.Fatal(err)
			}
			byKey, err1 := w.Input(w.ctx, "s", "k")
			byID, err2 := w.InputByID(w.ctx, "s", "i")
			if err1 != nil || err2 != nil {
				w.Fatal(err1, err2)
			}
			w.same([]store.InputRow{byKey, byID}, []store.InputRow{row, row})
		}
		if got := w.load("s").Inputs; len(got) != 0 {
			w.Fatalf("an ended input is loaded: %v", got)
		}
	})
	scenario(t, open, "an input that is not there is not found", func(w world) {
		l := w.take(claim("s", "a"))
		if err := put(w, l, 0, store.InputRow{ID: "i"}, store.InputRow{ID: "j"}); err != nil {
			w.Fatalf("two inputs without a key: %v", err)
		}
		for _, sid := range []id.Session{"s", "none"} {
			_, err := w.Input(w.ctx, sid, "k")
			w.refuses(err, store.ErrNotFound)
			_, err = w.Input(w.ctx, sid, "")
			w.refuses(err, store.ErrNotFound)
			_, err = w.InputByID(w.ctx, sid, "k")
			w.refuses(err, store.ErrNotFound)
		}
		w.commit(batch(w.take(claim("s2", "a")), 0))
		_, err := w.InputByID(w.ctx, "s2", "i")
		w.refuses(err, store.ErrNotFound)
	})
	scenario(t, open, "a key is free for another input once its holder has given it up", func(w world) {
		l := w.take(claim("s", "a"))
		if err := put(w, l, 0, store.InputRow{ID: "i", Key: "k"}, store.InputRow{ID: "n", Key: "other"}); err != nil {
			w.Fatal(err)
		}
		w.refuses(put(w, l, 1, store.InputRow{ID: "j", Key: "k"}, store.InputRow{ID: "i"}), store.ErrExists)
		if err := put(w, l, 1, store.InputRow{ID: "i"}, store.InputRow{ID: "j", Key: "k"}); err != nil {
			w.Fatal(err)
		}
		if in, err := w.Input(w.ctx, "s", "k"); err != nil || in.ID != "j" {
			w.Fatalf("got %v, %v", in, err)
		}
		if err := put(w, l, 2, store.InputRow{ID: "j", Key: "moved"}, store.InputRow{ID: "i", Key: "k"}, store.InputRow{ID: "i", Key: "k"}); err != nil {
			w.Fatal(err)
		}
		if in, err := w.Input(w.ctx, "s", "moved"); err != nil || in.ID != "j" {
			w.Fatalf("got %v, %v", in, err)
		}
		w.refuses(put(w, l, 3, store.InputRow{ID: "n", Key: "moved"}), store.ErrExists)
	})
	scenario(t, open, "live inputs are loaded by their place", func(w world) {
		l := w.take(claim("s", "a"))
		if err := put(w, l, 0, store.InputRow{ID: "b", Seq: 9, Live: true}, store.InputRow{ID: "c", Seq: -1, Live: true}, store.InputRow{ID: "d", Seq: 1},
			store.InputRow{ID: "a", Seq: 9, Live: true}, store.InputRow{ID: "e", Seq: 2, Live: true}); err != nil {
			w.Fatal(err)
		}
		var got []id.Input
		for _, in := range w.load("s").Inputs {
			got = append(got, in.ID)
		}
		w.same(got, []id.Input{"c", "e", "a", "b"})
	})
}

func operations(t *testing.T, open func(t *testing.T) store.Store) {
	row := func(name string, kept bool, seq uint64) store.OperationRow {
		return store.OperationRow{ID: name, Kept: kept, Seq: seq, Body: fmt.Appendf(nil, "%s %t %d", name, kept, seq)}
	}
	put := func(w world, l store.Lease, from uint64, rows ...store.OperationRow) {
		w.Helper()
		b := batch(l, from)
		b.Operations = rows
		w.commit(b)
	}
	scenario(t, open, "R115 operations are replaced by their id, and the kept ones are loaded in order of their ids", func(w world) {
		l := w.take(claim("s", "a"))
		put(w, l, 0, row("c", true, 0), row("B", true, 0), row("a", true, 1), row("d", false, 2), row("c", true, 3))
		w.same(w.load("s").Operations, []store.OperationRow{row("B", true, 0), row("a", true, 1), row("c", true, 3)})
		put(w, l, 1, row("a", false, 1), row("e", true, 0))
		put(w, l, 2)
		w.same(w.load("s").Operations, []store.OperationRow{row("B", true, 0), row("c", true, 3), row("e", true, 0)})
		put(w, l, 3, row("d", true, 9))
		w.same(w.load("s").Operations, []store.OperationRow{row("B", true, 0), row("c", true, 3), row("d", true, 9), row("e", true, 0)})
	})
	scenario(t, open, "R115 an operation is found by its id, kept or not, and only in its session", func(w world) {
		l := w.take(claim("s", "a"))
		w.commit(batch(w.take(claim("t", "a")), 0))
		for v, want := range []store.OperationRow{row("a", true, 0), row("a", true, 7), row("a", false, 7)} {
			put(w, l, uint64(v), want)
			got, err := w.Operation(w.ctx, "s", "a")
			if err != nil {
				w.Fatal(err)
			}
			w.same(got, want)
		}
		for sid, name := range map[id.Session]string{"s": "A", "t": "a", "none": "a"} {
			_, err := w.Operation(w.ctx, sid, name)
			w.refuses(err, store.ErrNotFound)
		}
		_, err := w.Operation(w.ctx, "s", "")
		w.refuses(err, store.ErrNotFound)
	})
}

func rows(t *testing.T, open func(t *testing.T) store.Store) {
	scenario(t, open, "effects are replaced by their id and read in order", func(w world) {
		l := w.take(claim("s", "a"))
		row := func(v uint64, n uint32, open bool) store.EffectRow {
			return store.EffectRow{ID: id.Effect{Version: v, Ordinal: n}, Open: open, Kind: "tool", Run: "r", Body: fmt.Appendf(nil, "%d.%d %t", v, n, open)}
		}
		b := batch(l, 0)
		b.Effects = []store.EffectRow{row(10, 0, true), row(9, 10, true), row(9, 9, true), row(2, 0, false)}
		w.commit(b)
		w.same(w.load("s").Effects, []store.EffectRow{row(9, 9, true), row(9, 10, true), row(10, 0, true)})
		b = batch(l, 1)
		b.Effects = []store.EffectRow{row(9, 9, false), row(11, 0, true)}
		w.commit(b)
		w.same(w.load("s").Effects, []store.EffectRow{row(9, 10, true), row(10, 0, true), row(11, 0, true)})
		got, err := w.Effects(w.ctx, "s")
		if err != nil {
			w.Fatal(err)
		}
		w.same(got, []store.EffectRow{row(2, 0, false), row(9, 9, false), row(9, 10, true), row(10, 0, true), row(11, 0, true)})
	})
	scenario(t, open, "a receipt is found by run and sequence", func(w world) {
		l := w.take(claim("s", "a"))
		b := batch(l, 0)
		b.Receipts = []store.ReceiptRow{{Run: "r", Sequence: 1, Body: []byte("r1")}, {Run: "r", Sequence: 2, Body: []byte("r2")}, {Run: "q", Sequence: 1, Body: []byte("q1")}}
		w.commit(b)
		for _, want := range b.Receipts {
			got, err := w.Receipt(w.ctx, "s", want.Run, want.Sequence)
			if err != nil {
				w.Fatal(err)
			}
			w.same(got, want)
		}
		for _, k := range []struct {
			s id.Session
			r id.Run
			n int
		}{{"s", "r", 3}, {"s", "q", 2}, {"none", "r", 1}} {
			_, err := w.Receipt(w.ctx, k.s, k.r, k.n)
			w.refuses(err, store.ErrNotFound)
		}
	})
}

// Scenario: S139
func reading(t *testing.T, open func(t *testing.T) store.Store) {
	scenario(t, open, "messages are read by a range, in order, whatever the order they came in", func(w world) {
		l := w.take(claim("s", "a"))
		b := batch(l, 0)
		row := func(m, o int) store.MessageRow {
			return store.MessageRow{Message: m, Ordinal: o, Role: "user", Body: fmt.Appendf(nil, "%d.%d", m, o)}
		}
		b.Messages = []store.MessageRow{row(10, 0), row(2, 1), row(2, 0)}
		w.commit(b)
		b = batch(l, 1)
		b.Messages = []store.MessageRow{row(0, 0), row(2, 10), row(3, 0)}
		w.commit(b)
		all := []store.MessageRow{row(0, 0), row(2, 0), row(2, 1), row(2, 10), row(3, 0), row(10, 0)}
		for _, c := range []struct {
			from, before int
			want         []store.MessageRow
		}{{0, 0, all}, {-5, 0, all}, {1, 0, all[1:]}, {2, 3, all[1:4]}, {2, 2, nil}, {3, 1, nil}, {10, 0, all[5:]}, {11, 0, nil}, {0, 10, all[:5]}, {0, math.MaxInt, all}} {
			got, err := w.Messages(w.ctx, "s", c.from, c.before)
			if err != nil {
				w.Fatal(err)
			}
			w.same(got, c.want)
		}
	})
	scenario(t, open, "events are read from a cursor on, at most so many", func(w world) {
		l := w.take(claim("s", "a"))
		b := batch(l, 0)
		for c := range uint64(10) {
			b.Events = append(b.Events, store.EventRow{Cursor: c + 1, Body: fmt.Appendf(nil, "event %d", c+1)})
		}
		w.commit(b)
		for _, c := range []struct {
			after uint64
			limit int
			want  []store.EventRow
		}{{0, 0, b.Events}, {0, -1, b.Events}, {0, 3, b.Events[:3]}, {3, 3, b.Events[3:6]}, {8, 3, b.Events[8:]}, {10, 3, nil}, {11, 3, nil}, {math.MaxUint64, 0, nil}} {
			got, err := w.Events(w.ctx, "s", c.after, c.limit)
			if err != nil {
				w.Fatal(err)
			}
			w.same(got, c.want)
		}
	})
	scenario(t, open, "a session that does not exist has no rows", func(w world) {
		messages, err1 := w.Messages(w.ctx, "none", 0, 0)
		events, err2 := w.Events(w.ctx, "none", 0, 10)
		effects, err3 := w.Effects(w.ctx, "none")
		if err1 != nil || err2 != nil || err3 != nil || len(messages)+len(events)+len(effects) > 0 {
			w.Fatal(messages, events, effects, err1, err2, err3)
		}
		_, err := w.Load(w.ctx, "none")
		w.refuses(err, store.ErrNotFound)
	})
	scenario(t, open, "no row of one session is read by another", func(w world) {
		w.commit(full(w.take(claim("s", "a")), 0))
		l := w.take(claim("t", "a"))
		w.commit(batch(l, 0))
		got := w.everything("t")
		w.same([]any{got["messages"], got["events"], got["effects"]}, []any{[]store.MessageRow{}, []store.EventRow{}, []store.EffectRow{}})
		if ld := w.load("t"); len(ld.Values)+len(ld.Inputs)+len(ld.Effects)+len(ld.Operations) > 0 {
			w.Fatalf("got %+v", ld)
		}
	})
}
