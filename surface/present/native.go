package present

import (
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/transcript"
	"github.com/meerkat-go/meerkat/wire"
)

// Detail tells everything of a session.
func Detail(s control.Session) wire.Detail {
	out := wire.Detail{ID: s.ID, Phase: s.Phase, Created: s.Created, Updated: s.Updated, Title: s.Title, Model: s.Model, Workspace: s.Workspace,
		Messages: s.Messages, Tokens: s.Tokens, Unfinished: s.Unfinished, Pending: s.Pending, Waiting: s.Waiting, Cursor: s.Cursor, Labels: s.Labels,
		Deferred: s.Deferred}
	if s.Run != nil {
		r := wire.BoundRun(*s.Run)
		out.Run = &r
	}
	return out
}

// DetailList tells everything of sessions.
func DetailList(sessions []control.Session) wire.Details {
	out := wire.Details{Sessions: make([]wire.Detail, len(sessions))}
	for n, s := range sessions {
		out.Sessions[n] = Detail(s)
	}
	return out
}

// Receipt tells that an input is durable.
func Receipt(r control.Receipt) wire.Receipt { return wire.Receipt(r) }

// Outcome tells how an input ended.
func Outcome(o control.Outcome) wire.Outcome { return wire.Outcome(o) }

// InputStatus tells how an input stands.
func InputStatus(s control.InputStatus) wire.InputStatus {
	out := wire.InputStatus{Input: s.Input, State: s.State, Lane: s.Lane, Run: s.Run}
	if s.Outcome != nil {
		o := Outcome(*s.Outcome)
		out.Outcome = &o
	}
	return out
}

// Effects tells an effect ledger.
func Effects(effects []control.Effect) wire.Effects {
	out := wire.Effects{Effects: make([]wire.Effect, len(effects))}
	for n, e := range effects {
		out.Effects[n] = wire.Effect(e)
	}
	return out
}

// Rows tells rows of a transcript as they are kept.
func Rows(rows []transcript.Row) (wire.Rows, error) {
	out := wire.Rows{Rows: make([]wire.Row, len(rows))}
	for n, r := range rows {
		var err error
		if out.Rows[n], err = wire.NewRow(r); err != nil {
			return wire.Rows{}, err
		}
	}
	return out, nil
}
