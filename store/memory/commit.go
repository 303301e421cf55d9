package memory

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"slices"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// Commit implements store.Store. Everything that can be wrong is found before the first row is changed.
func (s *Store) Commit(ctx context.Context, b *store.Batch) error {
	if err := s.enter(ctx); err != nil {
		return err
	}
	defer s.mu.Unlock()
	if err := b.Validate(); err != nil {
		return err
	}
	row := s.sessions[b.Session]
	if row == nil || row.released || row.lease.Term != b.Term {
		return fmt.Errorf("commit session %s version %d, term %d: %w", b.Session, b.To, b.Term, store.ErrFenced)
	}
	if row.version != b.From {
		return fmt.Errorf("commit session %s version %d on %d, stored is %d: %w", b.Session, b.To, b.From, row.version, store.ErrConflict)
	}
	if err := row.check(b); err != nil {
		return fmt.Errorf("commit session %s version %d: %w", b.Session, b.To, err)
	}
	was := row.version > 0 && row.head.Active()
	row.apply(b.Clone())
	switch now := row.head.Active(); {
	case now && !was:
		s.active++
	case was && !now:
		s.active--
	}
	return nil
}

// check finds rows that cannot be inserted, among those stored and among each other.
func (row *session) check(b *store.Batch) error {
	if err := row.checkKeys(b.Inputs); err != nil {
		return err
	}
	messages := map[[2]int]bool{}
	for _, m := range b.Messages {
		k := [2]int{m.Message, m.Ordinal}
		if _, found := slices.BinarySearchFunc(row.messages, m, compareMessages); found || messages[k] {
			return fmt.Errorf("message %d.%d: %w", m.Message, m.Ordinal, store.ErrExists)
		}
		messages[k] = true
	}
	events := map[uint64]bool{}
	for _, e := range b.Events {
		if _, found := slices.BinarySearchFunc(row.events, e, compareEvents); found || events[e.Cursor] {
			return fmt.Errorf("event %d: %w", e.Cursor, store.ErrExists)
		}
		events[e.Cursor] = true
	}
	receipts := map[receiptKey]bool{}
	for _, r := range b.Receipts {
		k := receiptKey{r.Run, r.Sequence}
		if _, found := row.receipts[k]; found || receipts[k] {
			return fmt.Errorf("receipt %d of run %s: %w", r.Sequence, r.Run, store.ErrExists)
		}
		receipts[k] = true
	}
	return nil
}

// checkKeys plays the inputs in order: a key is free once its holder has given it up.
func (row *session) checkKeys(inputs []store.InputRow) error {
	holder := map[string]id.Input{} // what the inputs so far have changed
	keyOf := map[id.Input]string{}
	for _, in := range inputs {
		if in.Key != "" {
			h, changed := holder[in.Key]
			if !changed {
				h = row.keys[in.Key]
			}
			if h != "" && h != in.ID {
				return fmt.Errorf("key %q of input %s is used by %s: %w", in.Key, in.ID, h, store.ErrExists)
			}
		}
		old, changed := keyOf[in.ID]
		if !changed {
			old = row.inputs[in.ID].Key
		}
		holder[old] = ""
		holder[in.Key] = in.ID
		keyOf[in.ID] = in.Key
	}
	return nil
}

// apply changes the rows; it owns the batch.
func (row *session) apply(b *store.Batch) {
	row.version, row.head = b.To, b.Head
	row.head.Created, row.head.Updated, row.head.Wake = micro(b.Head.Created), micro(b.Head.Updated), micro(b.Head.Wake)
	if len(b.Control) > 0 {
		row.control = b.Control
	}
	for _, v := range b.Values {
		row.values[v.Name] = v.Data
	}
	for _, in := range b.Inputs {
		if old := row.inputs[in.ID]; old.Key != "" {
			delete(row.keys, old.Key)
		}
		if in.Key != "" {
			row.keys[in.Key] = in.ID
		}
		row.inputs[in.ID] = in
	}
	for _, e := range b.Effects {
		row.effects = put(row.effects, e, compareEffects)
	}
	for _, o := range b.Operations {
		row.operations[o.ID] = o
	}
	for _, m := range b.Messages {
		row.messages = put(row.messages, m, compareMessages)
	}
	for _, e := range b.Events {
		row.events = put(row.events, e, compareEvents)
	}
	for _, r := range b.Receipts {
		row.receipts[receiptKey{r.Run, r.Sequence}] = store.ReceiptRow{Run: r.Run, Sequence: r.Sequence, Body: bytes.Clone(r.Body)}
	}
}

// put inserts a row in its place or replaces the one that is there.
func put[R any](rows []R, r R, compare func(a, b R) int) []R {
	at, found := slices.BinarySearchFunc(rows, r, compare)
	if found {
		rows[at] = r
		return rows
	}
	return slices.Insert(rows, at, r)
}

func compareEffects(a, b store.EffectRow) int { return a.ID.Compare(b.ID) }

func compareEvents(a, b store.EventRow) int { return cmp.Compare(a.Cursor, b.Cursor) }

func compareMessages(a, b store.MessageRow) int {
	return cmp.Or(cmp.Compare(a.Message, b.Message), cmp.Compare(a.Ordinal, b.Ordinal))
}
