package driver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/store"
)

// mangled is a store that gives back other rows of one session than were written.
type mangled struct {
	store.Store
	loaded   store.Loaded
	messages []store.MessageRow
	events   []store.EventRow
	effects  []store.EffectRow
}

func (m *mangled) Load(ctx context.Context, s id.Session) (store.Loaded, error) {
	if s != sid {
		return m.Store.Load(ctx, s)
	}
	return m.loaded, nil
}

func (m *mangled) Messages(ctx context.Context, s id.Session, from, before int) ([]store.MessageRow, error) {
	var out []store.MessageRow
	for _, r := range m.messages {
		if r.Message >= from && (before == 0 || r.Message < before) {
			out = append(out, r)
		}
	}
	return out, nil
}

func (m *mangled) Events(ctx context.Context, s id.Session, after uint64, limit int) ([]store.EventRow, error) {
	var out []store.EventRow
	for _, r := range m.events {
		if r.Cursor > after && (limit == 0 || len(out) < limit) {
			out = append(out, r)
		}
	}
	return out, nil
}

func (m *mangled) Effects(context.Context, id.Session) ([]store.EffectRow, error) {
	return m.effects, nil
}

// rowsOf copies all that a store holds of the session.
func rowsOf(w *world) *mangled {
	w.Helper()
	l, err := w.memory.Load(w.Context(), sid)
	w.ok(err)
	m := &mangled{Store: w.memory, loaded: l}
	m.messages, err = w.memory.Messages(w.Context(), sid, 1, 0)
	w.ok(err)
	m.events, err = w.memory.Events(w.Context(), sid, 0, 0)
	w.ok(err)
	m.effects, err = w.memory.Effects(w.Context(), sid)
	w.ok(err)
	return m
}

func (m *mangled) clone() *mangled {
	c := *m
	c.loaded.Values, c.loaded.Inputs = slices.Clone(m.loaded.Values), slices.Clone(m.loaded.Inputs)
	c.loaded.Effects, c.loaded.Operations = slices.Clone(m.loaded.Effects), slices.Clone(m.loaded.Operations)
	c.messages, c.events, c.effects = slices.Clone(m.messages), slices.Clone(m.events), slices.Clone(m.effects)
	return &c
}

// bodies are all rows, those that a session resumes from first.
func (m *mangled) bodies() (all []*[]byte, resumed int) {
	all = append(all, (*[]byte)(&m.loaded.Control))
	for n := range m.loaded.Values {
		all = append(all, &m.loaded.Values[n].Data)
	}
	for n := range m.loaded.Inputs {
		all = append(all, &m.loaded.Inputs[n].Body)
	}
	for n := range m.loaded.Effects {
		all = append(all, &m.loaded.Effects[n].Body)
	}
	for n := range m.loaded.Operations {
		all = append(all, &m.loaded.Operations[n].Body)
	}
	resumed = len(all)
	for n := range m.messages {
		all = append(all, &m.messages[n].Body)
	}
	for n := range m.events {
		all = append(all, &m.events[n].Body)
	}
	for n := range m.effects {
		all = append(all, &m.effects[n].Body)
	}
	return all, resumed
}

// The ways to mangle. Those before flip leave no row that anybody could have meant.
const (
	cut = iota
	empty
	otherType
	newer
	twice
	flip
	drop
	swap
	lose
	ways
)

// mangle does one thing to the rows, and says whether it had to be noticed, if by the one who opens the session.
func (m *mangled) mangle(way, which, at, what byte) (resumed, notice bool) {
	all, first := m.bodies()
	row := all[int(which)%len(all)]
	data := bytes.Clone(*row)
	place := int(at) * len(data) / 256
	resumed = int(which)%len(all) < first
	switch way % ways {
	case cut:
		*row, notice = data[:place], true
	case empty:
		*row, notice = [][]byte{nil, []byte("null"), []byte("{}"), []byte(`{"f":0}`)}[what%4], true
	case otherType:
		*row, notice = [][]byte{[]byte("[]"), []byte("7"), []byte(`"x"`), []byte("true"), []byte(`[{"f":1}]`), {0}, []byte("\xff\xfe"), []byte(`{"f":"1"}`)}[what%8], true
	case newer:
		*row, notice = bytes.Replace(data, []byte(`"f":1`), fmt.Appendf(nil, `"f":%d`, 2+int(what)), 1), true
	case twice: // a record written over another one
		*row, notice = slices.Concat(data, data[place:]), place < len(data)
	case flip:
		if place < len(data) {
			data[place] ^= 1 << (what % 8)
			*row = data
		}
	case drop:
		*row = without(data, int(at))
	case swap:
		other := all[int(what)%len(all)]
		*row, *other = *other, *row
	case lose:
		m.lose(int(at)%6, int(which))
	}
	return resumed, notice
}

// without leaves out a field, somewhere.
func without(data []byte, n int) []byte {
	var v map[string]any
	if json.Unmarshal(data, &v) != nil || len(v) == 0 {
		return data
	}
	in := v
	for {
		keys := slices.Sorted(maps.Keys(in))
		k := keys[n%len(keys)]
		n /= len(keys)
		deeper, ok := in[k].(map[string]any)
		if !ok || len(deeper) == 0 || n == 0 {
			delete(in, k)
			break
		}
		in = deeper
	}
	out, _ := json.Marshal(v)
	return out
}

func (m *mangled) lose(kind, n int) {
	switch kind {
	case 0:
		m.loaded.Inputs = lost(m.loaded.Inputs, n)
	case 1:
		m.loaded.Effects = lost(m.loaded.Effects, n)
	case 2:
		m.loaded.Values = lost(m.loaded.Values, n)
	case 3:
		m.loaded.Operations = lost(m.loaded.Operations, n)
	case 4:
		m.messages = lost(m.messages, n)
	case 5:
		m.events = lost(m.events, n)
	}
}

func lost[T any](all []T, n int) []T {
	if len(all) == 0 {
		return all
	}
	n %= len(all)
	return slices.Delete(all, n, n+1)
}

// told checks that an error is one about rows.
func told(t *testing.T, doing string, err error) {
	t.Helper()
	if err != nil && !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrFuture) {
		t.Fatalf("%s: an error without a condition: %v", doing, err)
	}
}

// Rows that were mangled at random are damage, each named, or a state that keeps all rules and can go on; what no writer could have written is always
// damage. Nobody who only reads is hurt either.
func FuzzR130_mangled_rows_are_damage_or_a_sound_session(f *testing.F) {
	full, _ := eventful(f)
	worlds := []*world{full, waiting(f), regional(f), tooled(f)}
	var stored []*mangled
	for _, w := range worlds {
		stored = append(stored, rowsOf(w))
	}
	for n := range worlds {
		for way := range byte(ways) {
			for which := range byte(12) {
				f.Add(byte(n), []byte{way, which * 5, 31 * which, which})
			}
		}
	}
	f.Fuzz(func(t *testing.T, which byte, program []byte) {
		if len(program) > 32 {
			return
		}
		n := int(which) % len(worlds)
		m := stored[n].clone()
		must := false
		for p := range slices.Chunk(program, 4) {
			if len(p) == 4 {
				resumed, notice := m.mangle(p[0], p[1], p[2], p[3])
				must = must && p[0]%ways < twice || len(program) == 4 && resumed && notice
			}
		}
		d, err := driver.Open(t.Context(), m, worlds[n].d.Lease(), nil)
		var damage *driver.Damage
		switch {
		case err != nil && (!errors.As(err, &damage) || len(damage.Findings) == 0 || damage.Evidence() == ""):
			t.Fatalf("not opened, and not as damage: %v", err)
		case err == nil && must:
			t.Fatalf("%v was taken", program)
		case err == nil:
			st := d.State()
			if err := machine.Check(st); err != nil {
				t.Fatal(err)
			}
			decides(t, st, submit("z", "hello"), machine.Stop{}, machine.Destroy{}, machine.ExecutorLost{Run: st.Run()}, machine.Interrupt{Run: st.Run()})
			_, err := d.Transcript(t.Context(), st.Message+1)
			told(t, "read what was said, live", err)
		}
		m.read(t)
	})
}

// read reads everything as those do who only look.
func (m *mangled) read(t *testing.T) {
	t.Helper()
	r := driver.Reader{Store: m}
	_, err := r.State(t.Context(), sid)
	told(t, "read the state", err)
	_, err = r.Live(t.Context(), sid)
	told(t, "read what waits", err)
	rows, err := r.Transcript(t.Context(), sid, 1, 0)
	told(t, "read what was said", err)
	if len(rows) > 0 && rows[0].At.Message != 1 {
		t.Fatal("the beginning is gone, and nobody said so")
	}
	for n := 1; n < len(rows); n++ {
		if was, is := rows[n-1].At, rows[n].At; is.Message > was.Message+1 {
			t.Fatalf("message %d is gone, and nobody said so", was.Message+1)
		}
	}
	_, err = r.Events(t.Context(), sid, 0, 0) // one that is missing shows in the cursors
	told(t, "read the events", err)
	_, err = r.Effects(t.Context(), sid)
	told(t, "read the ledger", err)
}
