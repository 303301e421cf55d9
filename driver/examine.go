package driver

import (
	"errors"
	"fmt"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// Examine says what would keep a session from being opened from these rows: *Damage with all of it, or nil. It looks at what Open looks at, broken
// rules included, and at nothing else.
func Examine(s id.Session, l store.Loaded) error {
	_, err := recovered(s, l)
	return err
}

// Use says what becomes of a session without one of its rows that cannot be read.
type Use uint8

// What a row is good for.
const (
	Needed  Use = iota // nobody can say what was meant: the session or a part of its conversation is not what it was
	Guarded            // the session goes on beside it; but without it something that was done could be done again
	Past               // it tells what was, and nothing is decided by it
)

// ExamineRow looks at one row beside those that a session is opened from: a message, an event, a receipt, and inputs, effects and operations that have
// ended. It returns nil if the row is whole.
func ExamineRow(s id.Session, row any) (*Finding, Use) {
	var err error
	use := Past
	switch row := row.(type) {
	case store.InputRow:
		use = Guarded // its id and its key: whoever says it again under them is told that it was
		err = examineEnded(row)
	case store.EffectRow:
		var rec effectRecord
		if rec, err = decode[effectRecord](effectRow(row.ID), row.Body); err == nil && rec.Directive.ID != row.ID {
			err = corrupt(effectRow(row.ID), row.Body, "it says it is %s", rec.Directive.ID)
		}
	case store.OperationRow:
		use = Guarded
		_, err = decodeOperation(row)
	case store.MessageRow:
		use = Needed
		_, err = decodeRow(row)
	case store.EventRow:
		_, err = decodeEvent(s, row)
	case store.ReceiptRow:
		use = Guarded
		what := fmt.Sprintf("receipt %s.%d", row.Run, row.Sequence)
		_, err = decode[receiptRecord](what, row.Body)
	}
	var f *Finding
	if !errors.As(err, &f) {
		return nil, Past
	}
	if errors.Is(f, store.ErrFuture) {
		use = Needed // it is whole, for a newer program
	}
	return f, use
}

func examineEnded(row store.InputRow) error {
	what := inputRow(row.ID)
	rec, err := decode[inputRecord](what, row.Body)
	switch {
	case err != nil:
		return err
	case rec.Item.ID != row.ID || rec.Item.Seq != row.Seq:
		return corrupt(what, row.Body, "it is not the input its row says")
	case rec.Ended == nil:
		return corrupt(what, row.Body, "its row says that it has ended, and it does not say how")
	}
	return nil
}

// Unreadable is a finding about what the file itself does not give out.
func Unreadable(row string, err error) *Finding { return corrupt(row, nil, "%v", err) }
