package driver

import (
	"slices"
	"strings"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/store"
)

// recovered is the state that a session goes on from: one whose rows are what they say, and that breaks no rule. Otherwise it is *Damage.
//
// The second costs a look at everything that is live, once for each time the session is loaded: it is what keeps a row that was changed
// behind our back from being decided about.
func recovered(s id.Session, l store.Loaded) (machine.State, error) {
	st, err := decodeState(s, l)
	if err == nil {
		err = examine(st, l)
	}
	if err != nil {
		return machine.State{}, err
	}
	return st, nil
}

// examine looks for broken rules (docs/rules.md) in a state that could be decoded, and for the rows that break them.
func examine(st machine.State, l store.Loaded) error {
	err := machine.Check(st)
	if err == nil {
		return nil
	}
	bodies := make(map[id.Input][]byte, len(l.Inputs))
	for _, row := range l.Inputs {
		bodies[row.ID] = row.Body
	}
	d := &Damage{Session: st.Session}
	told := map[string]bool{}
	for i := range st.Inbox.All() {
		for _, reason := range reasons(inbox.Check(inbox.Box{}.Put(i))) {
			d.note(corrupt(inputRow(i.ID), bodies[i.ID], "%s", reason))
			told[reason] = true
		}
	}
	for _, reason := range reasons(err) {
		if !told[reason] {
			d.note(corrupt(sessionRow, l.Control, "%s", reason))
		}
	}
	return d.whole()
}

// reasons lists what joined errors say, each once.
func reasons(err error) []string {
	if err == nil {
		return nil
	}
	all := strings.Split(err.Error(), "\n")
	slices.Sort(all)
	return slices.Compact(all)
}

// loading is a state that is being put together from its rows. What is wrong with one row does not keep it from looking at the next.
type loading struct {
	state  machine.State
	damage Damage
}

// decodeState puts a state together from its rows. It looks at every one of them: what is wrong is told together, as *Damage.
func decodeState(s id.Session, l store.Loaded) (machine.State, error) {
	w := load(s, l)
	if err := w.damage.whole(); err != nil {
		return machine.State{}, err
	}
	return w.state, nil
}

func load(s id.Session, l store.Loaded) *loading {
	w := &loading{state: machine.State{Session: s}, damage: Damage{Session: s}}
	open := w.control(l)
	w.values(l)
	w.inputs(l.Inputs)
	for _, row := range l.Effects {
		e, err := decode[effectRecord](effectRow(row.ID), row.Body)
		switch {
		case err != nil:
			w.damage.note(err)
		case e.Directive.ID != row.ID:
			w.damage.note(corrupt(effectRow(row.ID), row.Body, "it says it is %s", e.Directive.ID))
		default:
			w.open(e.Directive, row.Body)
		}
	}
	for _, d := range open {
		w.open(d, l.Control)
	}
	return w
}

// control reads the control column, and returns what is open besides what has rows.
func (w *loading) control(l store.Loaded) []run.Directive {
	c, err := decode[controlRecord](sessionRow, l.Control)
	if err != nil {
		w.damage.note(err)
		return nil
	}
	w.state.Control = c.Control
	st := &w.state
	switch {
	case st.Version != l.Version:
		err = corrupt(sessionRow, l.Control, "version %d in a row of version %d", st.Version, l.Version)
	case !(st.Lifecycle.Phase <= lifecycle.Destroyed && st.Turn.Phase.Known() && st.Tail <= machine.TailReply &&
		st.Message >= 0 && st.Seq >= 0 && st.Turn.Pending >= 0 && st.Turn.Round >= 0):
		err = corrupt(sessionRow, l.Control, "no state has such values")
	}
	w.damage.note(err)
	return c.Open
}

// values reads the slowly changing parts, and with their head the operations of the background.
func (w *loading) values(l store.Loaded) {
	var head *registry.Head
	var headed []byte
	for _, v := range l.Values {
		h, err := decodeValue(&w.state, v)
		if w.damage.note(err); h != nil {
			head, headed = h, v.Data
		}
	}
	ops := make([]registry.Op, 0, len(l.Operations))
	for _, row := range l.Operations {
		o, err := decodeOperation(row)
		if err != nil {
			w.damage.note(err)
			continue
		}
		ops = append(ops, o)
	}
	if len(ops) == len(l.Operations) { // else what is missing is known already
		var err error
		w.state.Work, err = decodeWork(head, headed, ops)
		w.damage.note(err)
	}
}

// inputs reads the live inputs. One that would say nothing is damaged: none such is admitted.
func (w *loading) inputs(rows []store.InputRow) {
	for _, row := range rows {
		i, err := decodeLive(row)
		if err != nil {
			w.damage.note(err)
			continue
		}
		w.state.Inbox = w.state.Inbox.Put(i)
	}
}

func decodeLive(row store.InputRow) (inbox.Item, error) {
	what := inputRow(row.ID)
	rec, err := decode[inputRecord](what, row.Body)
	i := rec.Item
	switch {
	case err != nil:
		return i, err
	case i.ID != row.ID || i.Phase != inbox.Queued && i.Phase != inbox.Staged || i.Lane > inbox.Steer || i.Key != row.Key || i.Seq != row.Seq:
		return i, corrupt(what, row.Body, "it is not the live input its row says")
	// A prompt that was tried may have left its words in the transcript, and in older records nothing says so.
	case i.Kind() == input.KindPrompt && i.Phase == inbox.Queued && i.Attempts == 0 && !i.Said && !i.Continue && len(i.Content) == 0 && i.Says == nil:
		return i, corrupt(what, row.Body, "it waits, and what it says is gone")
	}
	return i, nil
}

// open puts an entry into the ledger. data is the row that it stands in.
func (w *loading) open(d run.Directive, data []byte) {
	if d.Kind < run.CallModel || d.Kind > run.Extract || d.Class > run.Idempotent || d.At.Message < 0 || d.At.Ordinal < 0 || !d.Held.Known() {
		w.damage.note(corrupt(effectRow(d.ID), data, "no directive has such values"))
		return
	}
	w.state.Open = w.state.Open.Set(d.ID, d)
}
