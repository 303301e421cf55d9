package storetest

import (
	"math"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

func commits(t *testing.T, open func(t *testing.T) store.Store) {
	scenario(t, open, "what was committed is loaded", func(w world) {
		l := w.take(claim("s", "a"))
		one, two := full(l, 0), full(l, 1)
		w.commit(one)
		w.commit(two)
		w.same(w.load("s"), store.Loaded{Version: 2, Control: two.Control, Head: two.Head, Values: two.Values,
			Inputs: append(one.Inputs, two.Inputs...), Effects: []store.EffectRow{one.Effects[0], two.Effects[0]},
			Operations: []store.OperationRow{one.Operations[0], two.Operations[0]}})
	})
	scenario(t, open, "versions may skip", func(w world) {
		b := batch(w.take(claim("s", "a")), 0)
		b.To = 41
		w.commit(b)
		b.From, b.To = 41, math.MaxInt64
		w.commit(b)
		if v := w.load("s").Version; v != math.MaxInt64 {
			w.Fatalf("version %d", v)
		}
	})
	scenario(t, open, "parts that are empty are left as they are, and the head is not", func(w world) {
		l := w.take(claim("s", "a"))
		one := full(l, 0)
		w.commit(one)
		before := w.load("s")
		w.commit(&store.Batch{Session: "s", Term: l.Term, From: 1, To: 2, Control: []byte{}, Head: store.Head{Phase: "idle"}})
		before.Version, before.Head = 2, store.Head{Phase: "idle"}
		w.same(w.load("s"), before)
	})
	scenario(t, open, "a value is replaced whole and alone", func(w world) {
		l := w.take(claim("s", "a"))
		w.commit(full(l, 0))
		b := batch(l, 1)
		b.Values = []store.Value{{Name: "peer", Data: []byte("new")}, {Name: "toolset", Data: nil}}
		w.commit(b)
		w.same(w.load("s").Values, []store.Value{{Name: "model", Data: []byte("model of version 1")}, {Name: "peer", Data: []byte("new")}, {Name: "toolset"}})
	})
	scenario(t, open, "times keep their microseconds and come back in UTC", func(w world) {
		b := batch(w.take(claim("s", "a")), 0)
		b.Head.Created = time.Date(1999, 12, 31, 23, 59, 59, 123456789, time.FixedZone("", 3600))
		b.Head.Updated = time.Time{}
		b.Head.Wake = b.Head.Created
		w.commit(b)
		h := w.load("s").Head
		if want := time.Date(1999, 12, 31, 22, 59, 59, 123456000, time.UTC); h.Created != want || h.Updated != (time.Time{}) || h.Wake != want {
			w.Fatalf("got %v, %v, %v", h.Created, h.Updated, h.Wake)
		}
	})
	scenario(t, open, "bytes and text of every kind come back as they were", func(w world) {
		l := w.take(claim("s", "a"))
		odd := "zero \x00, quote ' \" `, percent %_, \u2028, 猫, 🦦, \\"
		binary := make([]byte, 0, 1<<14)
		for i := range 1 << 14 {
			binary = append(binary, byte(i*i>>3))
		}
		b := batch(l, 0)
		b.Control = binary
		b.Head.Title, b.Head.Workspace = odd, odd
		b.Values = []store.Value{{Name: odd, Data: binary}}
		b.Inputs = []store.InputRow{{ID: "i", Key: odd, Seq: math.MinInt64, Live: true, Body: binary}, {ID: "j", Seq: math.MaxInt64, Live: true}}
		b.Effects = []store.EffectRow{{ID: id.Effect{Version: math.MaxInt64, Ordinal: math.MaxUint32}, Open: true, Kind: odd, Run: id.Run(odd), Body: binary}}
		b.Operations = []store.OperationRow{{ID: odd, Kept: true, Seq: math.MaxInt64, Body: binary}}
		w.commit(b)
		w.same(w.load("s"), store.Loaded{Version: 1, Control: b.Control, Head: b.Head, Values: b.Values, Inputs: b.Inputs, Effects: b.Effects,
			Operations: b.Operations})
		in, err := w.Input(w.ctx, "s", odd)
		if err != nil {
			w.Fatal(err)
		}
		w.same(in, b.Inputs[0])
	})
	scenario(t, open, "what was handed in and what was handed out may be written over", func(w world) {
		l := w.take(claim("s", "a"))
		mine, want := full(l, 0), full(l, 0)
		w.commit(mine)
		scribble(mine.Control, mine.Values[0].Data, mine.Inputs[0].Body, mine.Effects[0].Body, mine.Operations[0].Body, mine.Messages[0].Body,
			mine.Events[0].Body, mine.Receipts[0].Body)
		mine.Values[0].Name, mine.Inputs[0].ID = "x", "x"
		for range 2 {
			got := w.load("s")
			w.same(got, store.Loaded{Version: 1, Control: want.Control, Head: want.Head, Values: want.Values, Inputs: want.Inputs, Effects: want.Effects[:1],
				Operations: want.Operations[:1]})
			messages, _ := w.Messages(w.ctx, "s", 0, 0)
			events, _ := w.Events(w.ctx, "s", 0, 0)
			effects, _ := w.Effects(w.ctx, "s")
			input, _ := w.Input(w.ctx, "s", "key-1")
			receipt, _ := w.Receipt(w.ctx, "s", "run", 1)
			operation, _ := w.Operation(w.ctx, "s", "op-0001")
			w.same([]any{messages, events, effects, input, receipt, operation},
				[]any{want.Messages, want.Events, want.Effects, want.Inputs[0], want.Receipts[0], want.Operations[0]})
			scribble(got.Control, got.Values[0].Data, got.Inputs[0].Body, got.Effects[0].Body, got.Operations[0].Body, messages[0].Body, events[0].Body,
				effects[0].Body, input.Body, receipt.Body, operation.Body)
			got.Values[0].Name, got.Inputs[0].ID, messages[0].Role, events[0].Cursor, effects[0].Kind = "x", "x", "x", 99, "x"
		}
	})
}

func scribble(bodies ...[]byte) {
	for _, b := range bodies {
		for i := range b {
			b[i] = '#'
		}
	}
}

func refusals(t *testing.T, open func(t *testing.T) store.Store) {
	// refused checks that a batch fails with a condition and leaves no trace, and that the right one still goes through.
	refused := func(sentence string, want error, spoil func(w world, b *store.Batch)) {
		scenario(t, open, sentence, func(w world) {
			l := w.take(claim("s", "a"))
			w.commit(full(l, 0))
			before := w.everything("s")
			b := full(l, 1)
			spoil(w, b)
			w.refuses(w.Commit(w.ctx, b), condition(want))
			w.same(w.everything("s"), before)
			if _, err := w.Receipt(w.ctx, "s", "run", 2); err == nil {
				w.Fatal("a receipt of the refused batch is there")
			}
			if _, err := w.InputByID(w.ctx, "s", "in-2"); err == nil {
				w.Fatal("an input of the refused batch is there")
			}
			if _, err := w.Operation(w.ctx, "s", "past-0002"); err == nil {
				w.Fatal("an operation of the refused batch is there")
			}
			w.commit(full(w.take(claim("s", "a")), 1))
		})
	}
	refused("an older version conflicts", store.ErrConflict, func(_ world, b *store.Batch) { b.From = 0 })
	refused("a version from the future conflicts", store.ErrConflict, func(_ world, b *store.Batch) { b.From, b.To = 7, 8 })
	refused("a lower term is fenced", store.ErrFenced, func(w world, _ *store.Batch) { w.take(claim("s", "a")) })
	refused("a term nobody handed out is fenced", store.ErrFenced, func(_ world, b *store.Batch) { b.Term++ })
	refused("a session that does not exist is fenced", store.ErrFenced, func(_ world, b *store.Batch) { b.Session = "other" })
	refused("a fenced batch hears so even if its version is wrong too", store.ErrFenced, func(_ world, b *store.Batch) { b.Term, b.From, b.To = 9, 7, 8 })
	refused("a conflict goes before broken rows", store.ErrConflict, func(_ world, b *store.Batch) {
		b.From, b.Messages[0].Message = 0, 2
	})
	refused("a message that is there already fails its batch", store.ErrExists, func(_ world, b *store.Batch) { b.Messages[1].Message = 3 })
	refused("a message twice in one batch fails it", store.ErrExists, func(_ world, b *store.Batch) { b.Messages[1] = b.Messages[0] })
	refused("an event that is there already fails its batch", store.ErrExists, func(_ world, b *store.Batch) { b.Events[1].Cursor = 1 })
	refused("an event twice in one batch fails it", store.ErrExists, func(_ world, b *store.Batch) { b.Events[1] = b.Events[0] })
	refused("a receipt that is there already fails its batch", store.ErrExists, func(_ world, b *store.Batch) { b.Receipts[0].Sequence = 1 })
	refused("a receipt twice in one batch fails it", store.ErrExists, func(_ world, b *store.Batch) {
		b.Receipts = append(b.Receipts, b.Receipts[0])
	})
	refused("a key that another input has fails its batch", store.ErrExists, func(_ world, b *store.Batch) { b.Inputs[0].Key = "key-1" })
	refused("a key twice in one batch fails it", store.ErrExists, func(_ world, b *store.Batch) {
		b.Inputs = append(b.Inputs, store.InputRow{ID: "another", Key: b.Inputs[0].Key})
	})
	refused("a batch that goes nowhere is invalid", store.ErrInvalid, func(_ world, b *store.Batch) { b.To = b.From })
	refused("a batch that goes back is invalid", store.ErrInvalid, func(_ world, b *store.Batch) { b.To = 0 })
	refused("a batch without a term is invalid", store.ErrInvalid, func(_ world, b *store.Batch) { b.Term = 0 })
	refused("a batch without a session is invalid", store.ErrInvalid, func(_ world, b *store.Batch) { b.Session = "" })
	refused("a version that no database can hold is invalid", store.ErrInvalid, func(_ world, b *store.Batch) { b.To = math.MaxUint64 })
	refused("an event without a cursor is invalid", store.ErrInvalid, func(_ world, b *store.Batch) { b.Events[0].Cursor = 0 })
	refused("a cursor that no database can hold is invalid", store.ErrInvalid, func(_ world, b *store.Batch) { b.Events[0].Cursor = 1 << 63 })
	refused("an effect that no database can hold is invalid", store.ErrInvalid, func(_ world, b *store.Batch) { b.Effects[0].ID.Version = 1 << 63 })
	refused("an operation without an id is invalid", store.ErrInvalid, func(_ world, b *store.Batch) { b.Operations[1].ID = "" })
	refused("a completion that no database can hold is invalid", store.ErrInvalid, func(_ world, b *store.Batch) { b.Operations[0].Seq = 1 << 63 })
	refused("a wake in or before 1970 is invalid", store.ErrInvalid, func(_ world, b *store.Batch) { b.Head.Wake = time.Unix(0, 999) })

	scenario(t, open, "rows of another session are no obstacle", func(w world) {
		w.commit(full(w.take(claim("s", "a")), 0))
		w.commit(full(w.take(claim("s2", "a")), 0))
		if len(w.everything("s")) != len(w.everything("s2")) {
			w.Fatal("the sessions differ")
		}
	})
}
