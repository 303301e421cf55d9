package driver

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/transcript"
)

// Driver holds one live session: its lease, its current state, and its transcript once somebody has read it.
type Driver struct {
	store store.Store
	lease *store.Lease   // never changed
	state *machine.State // what it leads to is never changed, so that readers may have it
	cache cache
}

// Open loads a session under a lease that the caller holds and goes on holding. A session to which nothing was ever committed
// opens as not registered. One whose rows are damaged, or break a rule, is not opened: *Damage says all that is wrong. Nothing is written. Its
// decoded transcript is kept within the budget; nil: as long as the driver.
func Open(ctx context.Context, st store.Store, lease store.Lease, budget *Budget) (*Driver, error) {
	d := &Driver{store: st, lease: &lease, state: &machine.State{Session: lease.Session}}
	d.cache.budget = budget
	d.cache.read = func(ctx context.Context) ([]transcript.Row, error) {
		return Reader{st}.Transcript(ctx, lease.Session, 1, 0)
	}
	l, err := d.load(ctx)
	if err == nil && l.Version > 0 {
		var found machine.State
		found, err = recovered(lease.Session, l)
		d.state = &found
	}
	if err != nil {
		return nil, fmt.Errorf("load session %s: %w", lease.Session, err)
	}
	return d, nil
}

// load reads what is stored; of a session to which nothing was committed that is version 0.
func (d *Driver) load(ctx context.Context) (store.Loaded, error) {
	l, err := d.store.Load(ctx, d.lease.Session)
	if errors.Is(err, store.ErrNotFound) {
		return store.Loaded{}, nil
	}
	return l, err
}

// Reload takes the state from its rows again and forgets the decoded transcript. What belongs to this process stays. ErrFenced: what is stored is
// not ours. On an error nothing has changed.
func (d *Driver) Reload(ctx context.Context) error {
	l, err := d.load(ctx)
	if err != nil || l.Version == 0 && d.state.Version == 0 {
		return err
	}
	if l.Version != d.state.Version {
		return fmt.Errorf("reload session %s: version %d is stored, and this process wrote %d: %w", d.lease.Session, l.Version, d.state.Version,
			store.ErrFenced)
	}
	st, err := recovered(d.lease.Session, l)
	if err != nil {
		return fmt.Errorf("reload session %s: %w", d.lease.Session, err)
	}
	st.Transient = d.state.Transient
	d.state = &st
	d.cache.forget()
	return nil
}

// State returns the current state: what is durable, and what belongs to this process.
func (d *Driver) State() machine.State { return *d.state }

// Shared returns the current state in the one place it has in memory, for a reader to keep. It is not to be changed, and never is.
func (d *Driver) Shared() *machine.State { return d.state }

// Held returns the lease the driver writes under, likewise.
func (d *Driver) Held() *store.Lease { return d.lease }

// Transcript returns the rows before message upto. May be called beside everything else; the slice is not to be changed.
func (d *Driver) Transcript(ctx context.Context, upto int) ([]transcript.Row, error) {
	return d.cache.before(ctx, upto)
}

// Staged is a sequence of steps that do not count yet.
type Staged struct {
	d       *Driver
	state   machine.State
	batch   store.Batch // the rows of the steps; the rest is filled in by Commit
	commits []machine.Commit
}

// Stage begins a sequence on the current state.
func (d *Driver) Stage() *Staged { return &Staged{d: d, state: *d.state} }

// State returns the state after the steps so far.
func (s *Staged) State() machine.State { return s.state }

// Changed reports whether there is anything to write.
func (s *Staged) Changed() bool { return s.state.Version != s.d.state.Version }

// Step adds a step. A refusal, what cannot be encoded (ErrEncode), and a failed look-up leave the sequence as it was. minted says of
// a Submit that its id was made for this very call, so that no ended input can have it.
func (s *Staged) Step(ctx context.Context, at time.Time, ev machine.Event, minted bool) (machine.Commit, error) {
	handled, byHandle := ev.(machine.Handled)
	if byHandle {
		ev = handled.Event
	}
	if in, ok := ev.(machine.Submit); ok && !minted && in.Prior == nil {
		prior, err := s.prior(ctx, in)
		if err != nil {
			return machine.Commit{}, err
		}
		in.Prior = prior
		ev = in
	}
	if w, ok := ev.(machine.Work); ok && w.ID != "" && w.Past == registry.Absent {
		past, err := s.past(ctx, w.ID)
		if err != nil {
			return machine.Commit{}, err
		}
		w.Past = past
		ev = w
	}
	if ev = compact(ev); byHandle {
		handled.Event = ev
		ev = handled
	}
	c, err := machine.Step(s.state, at, ev)
	if err != nil {
		return c, err
	}
	if c.From != c.Next.Version {
		rows, err := encodeCommit(s.state.Regions, c)
		if err != nil {
			return machine.Commit{}, err
		}
		fold(&s.batch, rows)
		s.commits = append(s.commits, c)
	}
	s.state = c.Next
	return c, nil
}

// prior looks for an ended input of the same id, or else key: in this very sequence, then in the store. The id goes first: it is its input's for
// ever, while the key may have passed to another. A live one is in the state.
func (s *Staged) prior(ctx context.Context, ev machine.Submit) (*machine.Prior, error) {
	in, key := ev.Input.ID, ev.Input.Key
	if key == "" {
		key = string(in)
	}
	if _, live := s.state.Inbox.Find(in, key); live {
		return nil, nil
	}
	ended := finished(s.commits)
	if i, ok := ended[in]; ok {
		return &machine.Prior{Item: i.Item, Ended: i.Ended}, nil
	}
	for _, i := range ended {
		if i.Item.Key == key {
			return &machine.Prior{Item: i.Item, Ended: i.Ended}, nil
		}
	}
	if s.d.state.Version == 0 {
		return nil, nil
	}
	row, err := s.d.store.InputByID(ctx, s.state.Session, in)
	if errors.Is(err, store.ErrNotFound) {
		row, err = s.d.store.Input(ctx, s.state.Session, key)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("look up input %s: %w", in, err)
	case row.Live: // and not in the state: so the state is not what is stored
		return nil, fmt.Errorf("look up input %s: it is live, and this process did not write it: %w", in, store.ErrFenced)
	}
	rec, err := decode[inputRecord](inputRow(row.ID), row.Body)
	return &machine.Prior{Item: rec.Item, Ended: rec.Ended}, err
}

// past looks for the end of an operation that the state does not know any more: in this very sequence, then in the store.
func (s *Staged) past(ctx context.Context, o registry.ID) (registry.Status, error) {
	if w := s.state.Work; w != nil {
		if known, ok := w.Get(o); ok {
			return known.Status, nil
		}
	}
	if s.d.state.Version == 0 {
		return registry.Absent, nil
	}
	row, found := store.OperationRow{}, false
	for _, r := range s.batch.Operations {
		if r.ID == string(o) {
			row, found = r, true
		}
	}
	if !found {
		var err error
		row, err = s.d.store.Operation(ctx, s.state.Session, string(o))
		switch {
		case errors.Is(err, store.ErrNotFound):
			return registry.Absent, nil
		case err != nil:
			return registry.Absent, fmt.Errorf("look up operation %q: %w", o, err)
		}
	}
	op, err := decodeOperation(row)
	if err == nil && row.Kept && !op.Status.Terminal() { // and not in the state: so the state is not what is stored
		err = fmt.Errorf("look up operation %q: it is at work, and this process did not write it: %w", o, store.ErrFenced)
	}
	return op.Status, err
}

// Told is what others learn of a commit.
type Told struct {
	Events []event.Event // complete with their texts
	Ended  map[id.Input]machine.InputChange

	Operations []registry.Entry // of the background that ended, in that order
	Waits      []machine.Waited // for them, that are over
}

// Commit writes the sequence as one batch and makes it current. With nothing to write it only takes over what belongs to this
// process; that proves nothing about the lease. For its errors see the package comment.
func (s *Staged) Commit(ctx context.Context) (Told, error) {
	if !s.Changed() {
		s.takeOver()
		return Told{}, nil
	}
	if err := s.complete(); err != nil {
		return Told{}, err
	}
	if err := s.d.store.Commit(ctx, &s.batch); err != nil {
		return Told{}, fmt.Errorf("commit session %s at version %d: %w", s.state.Session, s.batch.To, err)
	}
	return s.accept(ctx), nil
}

// Confirm finds out what became of a Commit that returned ErrUnknown or ErrConflict. True: the sequence was written and is current,
// and what is to be told is returned as by Commit. False: it was not written, and the same events may be staged again. ErrFenced: what
// is stored is not ours. Any other error says that it is not known yet: then Confirm is to be called again before anything is staged.
func (s *Staged) Confirm(ctx context.Context) (Told, bool, error) {
	l, err := s.d.load(ctx)
	if err != nil {
		return Told{}, false, fmt.Errorf("look up the commit of session %s at version %d: %w", s.state.Session, s.batch.To, err)
	}
	switch {
	// The control record holds the term, so nobody else can have written the same bytes.
	case l.Version == s.batch.To && bytes.Equal(l.Control, s.batch.Control):
		return s.accept(ctx), true, nil
	case l.Version == s.batch.From:
		return Told{}, false, nil
	}
	return Told{}, false, fmt.Errorf("session %s is at version %d, which this process did not write: %w", s.state.Session, l.Version, store.ErrFenced)
}

// accept makes the sequence current: it is durable.
func (s *Staged) accept(ctx context.Context) Told {
	s.takeOver()
	s.d.cache.add(rows(s.commits))
	told := Told{Ended: finished(s.commits)}
	for _, c := range s.commits {
		told.Operations, told.Waits = append(told.Operations, c.Operations...), append(told.Waits, c.Waits...)
		for _, f := range c.Facts {
			told.Events = append(told.Events, complete(f, func(p transcript.Position) (transcript.Row, bool) { return s.d.row(ctx, p) }))
		}
	}
	return told
}

// takeOver makes the staged state the current one, in a place of its own: a reader that keeps it keeps nothing of the sequence.
func (s *Staged) takeOver() {
	st := s.state
	s.d.state = &st
}

// row finds a committed row: at hand, or for an outcome that was held over a restart in the store. If the store fails now the event
// goes out without its text; whoever reads it by its cursor gets it whole.
func (d *Driver) row(ctx context.Context, p transcript.Position) (transcript.Row, bool) {
	if r, ok := d.cache.at(p); ok {
		return r, true
	}
	rows, err := Reader{d.store}.Transcript(ctx, d.lease.Session, p.Message, p.Message+1)
	if err != nil || p.Ordinal >= len(rows) {
		return transcript.Row{}, false
	}
	return rows[p.Ordinal], true
}
