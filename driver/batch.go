package driver

import (
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/transcript"
)

// complete fills in what the batch says once, whatever the steps.
func (s *Staged) complete() error {
	open := make([]run.Directive, 0, 1)
	for _, d := range s.state.Open.All() {
		if !isRow(d) {
			open = append(open, d)
		}
	}
	term := s.d.lease.Term
	control, err := encode("session", controlRecord{format, term, s.state.Control, open})
	if err != nil {
		return err
	}
	b := &s.batch
	b.Inputs = latest(b.Inputs, func(r store.InputRow) id.Input { return r.ID })
	b.Effects = latest(b.Effects, func(r store.EffectRow) id.Effect { return r.ID })
	b.Values = latest(b.Values, func(v store.Value) string { return v.Name })
	b.Operations = latest(b.Operations, func(r store.OperationRow) string { return r.ID })
	b.Session, b.Term, b.From, b.To = s.state.Session, term, s.d.state.Version, s.state.Version
	b.Control, b.Head = control, head(s.state)
	return nil
}

// isRow says which directives are rows that can be queried: what goes out into the world. The rest is part of the control column.
func isRow(d run.Directive) bool { return d.Kind == run.RunTool || d.Kind == run.Deliver }

// fold adds the rows of one step to those of the steps before it.
func fold(to, rows *store.Batch) {
	to.Values = append(to.Values, rows.Values...)
	to.Inputs = append(to.Inputs, rows.Inputs...)
	to.Effects = append(to.Effects, rows.Effects...)
	to.Operations = append(to.Operations, rows.Operations...)
	to.Messages = append(to.Messages, rows.Messages...)
	to.Events = append(to.Events, rows.Events...)
	to.Receipts = append(to.Receipts, rows.Receipts...)
}

// encodeCommit makes the rows of one step. before is what its regions were.
func encodeCommit(before machine.Regions, c machine.Commit) (*store.Batch, error) {
	b := &store.Batch{}
	if c.Profile {
		data, err := encode("profile", profileRecord{format, *c.Next.Profile})
		if err != nil {
			return nil, err
		}
		b.Values = append(b.Values, store.Value{Name: profileValue, Data: data})
	}
	if c.Regions != 0 {
		if err := encodeRegions(b, before, c); err != nil {
			return nil, err
		}
	}
	for _, i := range c.Inputs {
		body, err := encode("input", inputRecord{format, i.Item, i.Ended})
		if err != nil {
			return nil, err
		}
		b.Inputs = append(b.Inputs, store.InputRow{ID: i.Item.ID, Key: i.Item.Key, Seq: i.Item.Seq, Live: i.Ended == nil, Body: body})
	}
	for _, d := range c.Opened {
		if err := effect(b, d, true, ""); err != nil {
			return nil, err
		}
	}
	for _, d := range c.Closed {
		if err := effect(b, d.Directive, false, d.Outcome); err != nil {
			return nil, err
		}
	}
	for _, r := range c.Rows {
		row, err := encodeRow(r)
		if err != nil {
			return nil, err
		}
		b.Messages = append(b.Messages, row)
	}
	for _, f := range c.Facts {
		row, err := encodeEvent(f)
		if err != nil {
			return nil, err
		}
		b.Events = append(b.Events, row)
	}
	for _, r := range c.Receipts {
		body, err := encode("receipt", receiptRecord{format, r})
		if err != nil {
			return nil, err
		}
		b.Receipts = append(b.Receipts, store.ReceiptRow{Run: r.Run, Sequence: r.Sequence, Body: body})
	}
	return b, nil
}

// effect adds a ledger row. Model calls have none: they stand in the control column while they are open, and nobody asks for
// them afterwards.
func effect(b *store.Batch, d run.Directive, open bool, outcome string) error {
	if !isRow(d) {
		return nil
	}
	body, err := encode("effect", effectRecord{format, d, outcome})
	if err != nil {
		return err
	}
	b.Effects = append(b.Effects, store.EffectRow{ID: d.ID, Open: open, Kind: d.Kind.String(), Run: d.Run, Body: body})
	return nil
}

// latest leaves of the rows with one key the last, at the place of the first. A stop ends thousands of inputs in one batch.
func latest[R any, K comparable](rows []R, key func(R) K) []R {
	if len(rows) < 2 {
		return rows
	}
	at := make(map[K]int, len(rows))
	out := rows[:0]
	for _, r := range rows {
		k := key(r)
		if n, ok := at[k]; ok {
			out[n] = r
			continue
		}
		at[k] = len(out)
		out = append(out, r)
	}
	return out
}

func head(s machine.State) store.Head {
	phase := s.Phase()
	if phase == "attached" {
		phase = lifecycle.Idle.String() // an executor is a matter of this process
	}
	h := store.Head{Created: s.Created, Updated: s.Updated, Phase: phase, Title: s.Title, Messages: s.Message,
		Tokens: s.Usage.Input + s.Usage.Output, Unfinished: s.Open.Len() > 0, Wake: wake(s), Away: s.Lifecycle.Away,
		Past: s.Lifecycle.Archived || s.Lifecycle.Phase == lifecycle.Destroyed}
	if s.Profile != nil {
		h.Model, h.Workspace, h.Labels = s.ModelName(), s.Profile.Workspace, s.Profile.Labels
	}
	return h
}

// wake returns when the session wants to be told the time, as it is stored: never too early, and never a time that means never.
func wake(s machine.State) time.Time {
	at, ok := s.Wake()
	if !ok {
		return time.Time{}
	}
	at = at.Add(time.Microsecond - 1).Truncate(time.Microsecond)
	if first := time.UnixMicro(1); at.Before(first) {
		return first
	}
	return at
}

// finished lists the inputs that ended in these commits.
func finished(commits []machine.Commit) map[id.Input]machine.InputChange {
	var out map[id.Input]machine.InputChange
	for _, c := range commits {
		for _, i := range c.Inputs {
			if i.Ended == nil {
				continue
			}
			if out == nil {
				out = map[id.Input]machine.InputChange{}
			}
			out[i.Item.ID] = i
		}
	}
	return out
}

// rows lists the transcript rows of these commits.
func rows(commits []machine.Commit) []transcript.Row {
	var out []transcript.Row
	for _, c := range commits {
		out = append(out, c.Rows...)
	}
	return out
}
