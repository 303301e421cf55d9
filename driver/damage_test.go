package driver_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	given "github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/store"
)

// changed puts what the store holds of the session, with a change, into a store of its own. Only what a session resumes from is taken along.
func (w *world) changed(change func(l *store.Loaded)) *world {
	w.Helper()
	l, err := w.memory.Load(w.Context(), sid)
	w.ok(err)
	change(&l)
	n := newWorld(w.TB)
	n.ok(n.memory.Commit(n.Context(), &store.Batch{Session: sid, Term: n.d.Lease().Term, To: l.Version, Control: l.Control, Head: l.Head,
		Values: l.Values, Inputs: l.Inputs, Effects: l.Effects, Operations: l.Operations}))
	return n
}

// refused opens the session and returns what is wrong with it. Nothing may have been written.
func (w *world) refused() *driver.Damage {
	w.Helper()
	before, err := w.memory.Load(w.Context(), sid)
	w.ok(err)
	commits := w.store.commits
	_, err = driver.Open(w.Context(), w.store, w.d.Lease(), nil)
	var d *driver.Damage
	if !errors.As(err, &d) || !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrFuture) || fault.CodeOf(err) != fault.Corrupt {
		w.Fatalf("opened with %v", err)
	}
	after, err := w.memory.Load(w.Context(), sid)
	w.ok(err)
	same(w.TB, after, before)
	if w.store.commits != commits {
		w.Fatal("something was written")
	}
	return d
}

// rows lists which rows were found, and how often.
func rows(d *driver.Damage) []string {
	var out []string
	for _, f := range d.Findings {
		out = append(out, f.Row)
	}
	return slices.Compact(out)
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// waiting is a session without an executor in which three prompts, and something with a stamp, wait.
func waiting(t testing.TB) *world {
	w := newWorld(t)
	w.tell(machine.Register{Profile: &run.Profile{Model: "m"}})
	event := machine.Submit{Input: given.Input{ID: "e", Source: given.Source{Kind: given.SourceExternal}, Body: given.ExternalEvent{Type: "build", Payload: json.RawMessage(`{"n":1}`)}}}
	w.tell(submit("a", "one"), submit("b", "two"), submit("c", "three"), event)
	return w
}

// Scenario: S140
func TestR130_all_that_is_wrong_with_a_sessions_rows_is_told_at_once_and_the_rest_can_be_read(t *testing.T) {
	t.Parallel()
	whole := waiting(t)
	bad := map[string][]byte{}
	spoil := func(l *store.Loaded) {
		for n, row := range l.Inputs {
			switch row.ID {
			case "a":
				l.Inputs[n].Body = row.Body[:len(row.Body)-9]
			case "c":
				l.Inputs[n].Body = bytes.Replace(row.Body, []byte(`"phase":1`), []byte(`"phase":7`), 1)
			default:
				continue
			}
			bad["input "+string(row.ID)] = l.Inputs[n].Body
		}
		l.Values[0].Data = []byte("{")
		bad["profile"] = l.Values[0].Data
	}
	w := whole.changed(spoil)
	d := w.refused()
	if got := rows(d); d.Session != sid || len(got) != 3 || len(d.Findings) != 3 {
		t.Fatalf("found %+v", d.Findings)
	}
	for _, f := range d.Findings {
		if data, ok := bad[f.Row]; !ok || f.Digest != sum(data) || f.Reason == "" {
			t.Errorf("found %+v", f)
		}
	}
	if again := w.refused(); again.Evidence() != d.Evidence() {
		t.Error("the same damage has other evidence")
	}
	if _, err := w.reader().Input(t.Context(), sid, "a"); !errors.Is(err, store.ErrCorrupt) {
		t.Errorf("a damaged input: %v", err)
	}
	if how, err := w.reader().Input(t.Context(), sid, "b"); err != nil || how.Item.Content.Plain() != "two" {
		t.Errorf("an input that is whole: %+v %v", how, err)
	}
	live, err := w.reader().Live(t.Context(), sid)
	if len(live) != 2 || live[0].ID != "b" || live[1].ID != "e" || !errors.As(err, &d) {
		t.Errorf("live %+v %v", live, err)
	}
	// What has been mended is read by whoever comes next.
	l, err := whole.memory.Load(t.Context(), sid)
	w.ok(err)
	control := bytes.Replace(l.Control, fmt.Appendf(nil, `"version":%d`, l.Version), fmt.Appendf(nil, `"version":%d`, l.Version+1), 1)
	w.ok(w.memory.Commit(t.Context(), &store.Batch{Session: sid, Term: w.d.Lease().Term, From: l.Version, To: l.Version + 1, Control: control,
		Values: l.Values, Inputs: l.Inputs}))
	w.d = w.open("mended")
	if n := w.d.State().Inbox.Len(); n != 4 {
		t.Fatalf("%d inputs", n)
	}
}

// Every single-row fault is attributed to its row; what no row is to blame for alone, to the session.
// Scenario: S134, S135
func TestR130_a_row_that_contradicts_itself_or_its_session_is_damage(t *testing.T) {
	t.Parallel()
	replace := func(what id.Input, old, new string) func(l *store.Loaded) {
		return func(l *store.Loaded) {
			for n, row := range l.Inputs {
				if row.ID == what {
					l.Inputs[n].Body = bytes.Replace(row.Body, []byte(old), []byte(new), 1)
					if bytes.Equal(l.Inputs[n].Body, row.Body) {
						panic(fmt.Sprintf("%s is not in %s", old, row.Body))
					}
				}
			}
		}
	}
	control := func(old, new string) func(l *store.Loaded) {
		return func(l *store.Loaded) {
			was := l.Control
			if l.Control = bytes.Replace(was, []byte(old), []byte(new), 1); bytes.Equal(was, l.Control) {
				panic(fmt.Sprintf("%s is not in %s", old, was))
			}
		}
	}
	for name, c := range map[string]struct {
		change func(l *store.Loaded)
		rows   []string
		says   string
	}{
		"no content":              {replace("a", `"content":`, `"contents":`), []string{"input a"}, "what it says is gone"},
		"another id":              {replace("a", `"id":"a"`, `"id":"z"`), []string{"input a"}, "not the live input its row says"},
		"another key":             {replace("a", `"key":"a"`, `"key":"b"`), []string{"input a"}, "not the live input its row says"},
		"another place":           {replace("a", `"seq":1`, `"seq":9`), []string{"input a"}, "not the live input its row says"},
		"an end":                  {replace("a", `"phase":1`, `"phase":3`), []string{"input a"}, "not the live input its row says"},
		"no policy":               {replace("e", `"policy":{`, `"polite":{`), []string{"input e"}, "R102"},
		"another policy":          {replace("e", `"version":1`, `"version":9`), []string{"input e"}, "R102"},
		"a lane against policy":   {replace("e", `"phase":1`, `"lane":1,"phase":1`), []string{"input e"}, "R102"},
		"a run that waits":        {replace("a", `"phase":1`, `"phase":1,"run":"r"`), []string{"input a", "session"}, "R31"},
		"a run that is not bound": {replace("a", `"phase":1`, `"phase":2,"run":"r"`), []string{"session"}, "R31"},
		"too many attempts":       {replace("a", `"phase":1`, `"phase":1,"attempts":7`), []string{"input a"}, "R105"},
		"stopped with inputs":     {control(`"lifecycle":{"phase":1`, `"lifecycle":{"phase":3`), []string{"session"}, "R43"},
		"destroyed with inputs":   {control(`"lifecycle":{"phase":1`, `"lifecycle":{"phase":5`), []string{"session"}, "R55"},
		"running without a run":   {control(`"lifecycle":{"phase":1`, `"lifecycle":{"phase":2`), []string{"session"}, "R30"},
		"a phase there is not":    {control(`"lifecycle":{"phase":1`, `"lifecycle":{"phase":77`), []string{"session"}, "no state has such values"},
		"another version":         {control(`"version":`, `"version":9`), []string{"session"}, "in a row of version"},
		"a sequence given twice":  {control(`"seq":4`, `"seq":2`), []string{"session"}, "R33"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := waiting(t).changed(c.change)
			d := w.refused()
			if got := rows(d); !slices.Equal(got, c.rows) {
				t.Errorf("found in %q: %v", got, d)
			}
			if !strings.Contains(d.Error(), c.says) {
				t.Errorf("%v does not say %q", d, c.says)
			}
		})
	}
}

// Rows of a newer version are no damage, also where their shape is another one.
func TestR29_a_later_format_of_another_shape_is_told_as_later(t *testing.T) {
	t.Parallel()
	w := waiting(t).changed(func(l *store.Loaded) { l.Inputs[0].Body = []byte(`{"f":2,"item":"elsewhere"}`) })
	if d := w.refused(); !errors.Is(d, store.ErrFuture) || errors.Is(d, store.ErrCorrupt) {
		t.Fatal(d)
	}
}

// Only the first findings are spelled out, and the rest is counted.
func TestDamage_of_many_rows_is_told_in_one_line(t *testing.T) {
	t.Parallel()
	w := waiting(t).changed(func(l *store.Loaded) {
		for n := range l.Inputs {
			l.Inputs[n].Body = []byte("{}")
		}
	})
	d := w.refused()
	if text := d.Error(); len(d.Findings) != 4 || !strings.HasSuffix(text, "; and 1 more") || strings.Contains(text, "\n") {
		t.Fatalf("%d findings: %s", len(d.Findings), text)
	}
}

// Whatever is changed in the rows, the session is opened as one that breaks no rule, or not at all. Values are exchanged for others of their
// kind, at any place of any row.
func TestR130_no_session_is_opened_that_breaks_a_rule(t *testing.T) {
	t.Parallel()
	full, _ := eventful(t)
	worlds := []*world{full, waiting(t), regional(t), tooled(t)}
	rapid.Check(t, func(rt *rapid.T) {
		spoilt := ""
		w := rapid.SampledFrom(worlds).Draw(rt, "session").changed(func(l *store.Loaded) {
			rows := []*[]byte{&l.Control}
			for n := range l.Inputs {
				rows = append(rows, &l.Inputs[n].Body)
			}
			for n := range l.Effects {
				rows = append(rows, &l.Effects[n].Body)
			}
			for n := range l.Operations {
				rows = append(rows, &l.Operations[n].Body)
			}
			for n := range l.Values {
				rows = append(rows, &l.Values[n].Data)
			}
			row := rapid.SampledFrom(rows).Draw(rt, "row")
			var v any
			if err := json.Unmarshal(*row, &v); err != nil {
				rt.Fatal(err)
			}
			*row, _ = json.Marshal(spoil(rt, v))
			spoilt = string(*row)
		})
		d, err := driver.Open(t.Context(), w.store, w.d.Lease(), nil)
		var damage *driver.Damage
		switch {
		case errors.As(err, &damage):
			if len(damage.Findings) == 0 {
				rt.Fatal("damage without a finding")
			}
		case err != nil:
			rt.Fatal(err)
		default:
			if err := machine.Check(d.State()); err != nil {
				rt.Fatalf("opened from %s: %v", spoilt, err)
			}
		}
	})
}

// spoil changes one value somewhere in v.
func spoil(t *rapid.T, v any) any {
	switch v := v.(type) {
	case map[string]any:
		keys := slices.Sorted(func(yield func(string) bool) {
			for k := range v {
				if !yield(k) {
					return
				}
			}
		})
		if len(keys) == 0 {
			return v
		}
		k := rapid.SampledFrom(keys).Draw(t, "key")
		if rapid.IntRange(0, 5).Draw(t, "gone") == 0 {
			delete(v, k)
			return v
		}
		v[k] = spoil(t, v[k])
		return v
	case []any:
		if len(v) == 0 || rapid.IntRange(0, 5).Draw(t, "cut") == 0 {
			return v[:len(v)/2]
		}
		n := rapid.IntRange(0, len(v)-1).Draw(t, "element")
		v[n] = spoil(t, v[n])
		return v
	case float64:
		return rapid.SampledFrom([]float64{v + 1, v - 1, 0, 1, 2, 3, 4, 5, 6, 7, 8, 77, -1, 255}).Draw(t, "number")
	case string:
		return rapid.SampledFrom([]string{"", "a", "b", "d", "x", v + "x"}).Draw(t, "text")
	case bool:
		return !v
	}
	return v
}
