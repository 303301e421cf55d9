package driver_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/id"
	given "github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/internal/golden"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/transcript"
)

// stored is everything a store holds of one session.
type stored struct {
	Version    uint64
	Control    json.RawMessage
	Values     map[string]json.RawMessage
	Inputs     []storedRow
	Effects    []storedRow
	Operations []storedRow `json:",omitempty"`
	Messages   []storedRow
	Events     []storedRow
	Receipts   []storedRow
}

// storedRow is a row with its columns.
type storedRow struct {
	Key  string // id, position, cursor or sequence
	More string `json:",omitempty"` // key, role, or run
	Seq  id.Seq `json:",omitempty"`
	Live bool   `json:",omitempty"` // or open, or kept
	Body json.RawMessage
}

// dump writes down what the store holds.
func (w *world) dump(runs []id.Run) stored {
	w.Helper()
	l, err := w.memory.Load(w.Context(), sid)
	w.ok(err)
	out := stored{Version: l.Version, Control: l.Control, Values: map[string]json.RawMessage{}}
	for _, v := range l.Values {
		out.Values[v.Name] = v.Data
	}
	names := []id.Input{"a", "s", "b", "c", "d"}
	for _, in := range l.Inputs {
		if !slices.Contains(names, in.ID) {
			names = append(names, in.ID)
		}
	}
	for _, in := range names {
		i, err := w.memory.InputByID(w.Context(), sid, in)
		if errors.Is(err, store.ErrNotFound) {
			continue
		}
		w.ok(err)
		out.Inputs = append(out.Inputs, storedRow{string(i.ID), i.Key, i.Seq, i.Live, i.Body})
	}
	effects, err := w.memory.Effects(w.Context(), sid)
	w.ok(err)
	for _, e := range effects {
		out.Effects = append(out.Effects, storedRow{e.ID.String(), string(e.Run), 0, e.Open, e.Body})
	}
	for _, o := range l.Operations {
		out.Operations = append(out.Operations, storedRow{o.ID, "", id.Seq(o.Seq), o.Kept, o.Body})
	}
	messages, err := w.memory.Messages(w.Context(), sid, 0, 0)
	w.ok(err)
	for _, m := range messages {
		out.Messages = append(out.Messages, storedRow{fmt.Sprintf("%d.%d", m.Message, m.Ordinal), m.Role, 0, false, m.Body})
	}
	events, err := w.memory.Events(w.Context(), sid, 0, 0)
	w.ok(err)
	for _, e := range events {
		out.Events = append(out.Events, storedRow{fmt.Sprint(e.Cursor), "", 0, false, e.Body})
	}
	for _, r := range runs {
		rec, err := w.memory.Receipt(w.Context(), sid, r, 1)
		w.ok(err)
		out.Receipts = append(out.Receipts, storedRow{"1", string(r), 0, false, rec.Body})
	}
	return out
}

// fill puts what was written down into an empty store.
func (w *world) fill(s stored) {
	w.Helper()
	lease := w.d.Lease()
	b := &store.Batch{Session: sid, Term: lease.Term, To: s.Version, Control: s.Control}
	for name, v := range s.Values {
		b.Values = append(b.Values, store.Value{Name: name, Data: v})
	}
	for _, r := range s.Inputs {
		b.Inputs = append(b.Inputs, store.InputRow{ID: id.Input(r.Key), Key: r.More, Seq: r.Seq, Live: r.Live, Body: r.Body})
	}
	for _, r := range s.Effects {
		var e id.Effect
		_, err := fmt.Sscanf(r.Key, "%d.%d", &e.Version, &e.Ordinal)
		w.ok(err)
		b.Effects = append(b.Effects, store.EffectRow{ID: e, Open: r.Live, Kind: "run_tool", Run: id.Run(r.More), Body: r.Body})
	}
	for _, r := range s.Operations {
		b.Operations = append(b.Operations, store.OperationRow{ID: r.Key, Kept: r.Live, Seq: uint64(r.Seq), Body: r.Body})
	}
	for _, r := range s.Messages {
		m := store.MessageRow{Role: r.More, Body: r.Body}
		_, err := fmt.Sscanf(r.Key, "%d.%d", &m.Message, &m.Ordinal)
		w.ok(err)
		b.Messages = append(b.Messages, m)
	}
	for _, r := range s.Events {
		e := store.EventRow{Body: r.Body}
		_, err := fmt.Sscan(r.Key, &e.Cursor)
		w.ok(err)
		b.Events = append(b.Events, e)
	}
	for _, r := range s.Receipts {
		b.Receipts = append(b.Receipts, store.ReceiptRow{Run: id.Run(r.More), Sequence: 1, Body: r.Body})
	}
	w.ok(w.memory.Commit(w.Context(), b))
}

// eventful is a session with a record of every kind in it, each field filled in somewhere.
func eventful(t testing.TB) (*world, []id.Run) {
	w := newWorld(t)
	w.tell(machine.Register{System: "be brief", Profile: &run.Profile{Model: "p/m", Workspace: "/w", Tools: "full", MaxOutput: 100, MaxRounds: 9,
		Retry: run.RetryPolicy{Max: 2, Initial: time.Second, Cap: time.Minute}}})
	w.tell(attach(run.Fine))
	a := submit("a", "hello")
	a.Input.Key = "key of a"
	a.Input.Body = given.Prompt{Blocks: append(transcript.TextBlocks("hello"), transcript.Media{MediaType: "image/png", Data: []byte{1, 2, 3}})}
	w.tell(a, steer("s", "and quickly"))
	runs := []id.Run{w.d.State().Run()}
	w.tell(fail(w.model()))
	r := reply(w.model(), "let me see", "x", "ro1").Report.(run.ModelReplied)
	meta := &transcript.Meta{Provider: "p", Data: json.RawMessage(`{"signature":"<&>"}`)}
	r.Reply.Blocks = append(transcript.Blocks{transcript.Reasoning{Text: "hm", Meta: meta}}, r.Reply.Blocks...)
	w.tell(machine.Reported{Report: r})
	w.tell(settle(w.tool("ro1"), "second"))
	w.d = w.open("b")
	w.tell(machine.ExecutorLost{Run: runs[0], Reason: "gone"}, attach(run.Whole))
	w.tell(reply(w.model(), "all done"))
	w.tell(submit("b", "a whole run"))
	runs = append(runs, w.d.State().Run())
	whole := w.open1(run.ApplyRun, "")
	w.tell(machine.Reported{Report: run.RunApplied{ID: whole.ID, Failed: &run.Failure{Message: "it did not work"},
		Appends: []transcript.Entry{transcript.Notice{Kind: "k", Text: "a notice"}}}})
	w.tell(machine.Detach{ID: 1}, machine.Attach{Attachment: machine.Attachment{ID: 2}}, submit("c", "the last"))
	runs = append(runs, w.d.State().Run())
	w.tell(reply(w.model(), "", "x", "ro1", "ro2"))
	w.tell(settle(w.tool("ro2"), "early"), submit("d", "waits"), machine.CancelAfterBoundary{Run: w.d.State().Run()}, machine.Stop{Reason: "soon"})
	return w, runs
}

// formats are all that was ever stored, by the file that holds it, the newest last. A file is never changed: a new format gets one of its own.
var formats = []struct {
	file string
	made func(t testing.TB) (*world, []id.Run) // that is stored in it
	// older takes out what came later. Nil: sessions that are made like this one come out otherwise today, so that only what was stored is compared.
	older func(*machine.State, *inbox.Item)
}{
	{"testdata/formats/1.json", eventful, func(s *machine.State, i *inbox.Item) {
		s.Lifecycle.Epoch, i.Attempts, i.Said, i.Stamp = "", 0, false, nil
	}},
	{"testdata/formats/2.json", func(t testing.TB) (*world, []id.Run) { return regional(t), nil }, nil},
	{"testdata/formats/3.json", func(t testing.TB) (*world, []id.Run) { return tooled(t), nil }, nil},
}

// read puts a file of formats into a store.
func read(t *testing.T, file string) (*world, stored) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	var s stored
	var plain bytes.Buffer
	if err := errors.Join(json.Compact(&plain, data), json.Unmarshal(plain.Bytes(), &s)); err != nil {
		t.Fatal(err)
	}
	w := newWorld(t)
	w.fill(s)
	w.at = epoch.Add(time.Hour)
	return w, s
}

// write makes a file of formats, unless it is there.
func (w *world) write(file string, runs []id.Run) {
	w.Helper()
	if _, err := os.Stat(file); err == nil {
		return
	}
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	enc.SetIndent("", "\t")
	w.ok(enc.Encode(w.dump(runs)))
	w.ok(os.WriteFile(file, buf.Bytes(), 0o644))
}

// What was once stored is readable for ever.
// Scenario: S133
func TestR29_every_format_that_was_ever_written_is_read(t *testing.T) {
	t.Parallel()
	for _, f := range formats {
		made, runs := f.made(t)
		if golden.Update() {
			made.write(f.file, runs)
		}
		w, s := read(t, f.file)
		got, err := w.reader().State(t.Context(), sid)
		w.ok(err)
		w.ok(machine.Check(got))
		reads := w.reads(s)
		for what, read := range reads {
			if _, err := read(w); err != nil {
				t.Fatalf("%s: %s: %v", f.file, what, err)
			}
		}
		if f.older == nil {
			w.stores(s, got)
			continue
		}
		want := made.d.State()
		for i := range want.Inbox.All() {
			f.older(&want, &i)
			want.Inbox = want.Inbox.Put(i)
		}
		same(t, shown(got), shown(want))
		same(t, regions(t, got), regions(t, want))
		for _, read := range reads {
			got, _ := read(w)
			want, err := read(made)
			w.ok(err)
			for _, x := range []any{got, want} {
				if in, ok := x.(*machine.InputChange); ok {
					f.older(&machine.State{}, &in.Item)
				}
			}
			same(t, got, want)
		}
	}
}

// reads are all the ways to read what was stored, by row.
func (w *world) reads(s stored) map[string]func(*world) (any, error) {
	ctx := w.Context()
	out := map[string]func(*world) (any, error){
		"transcript": func(w *world) (any, error) { return w.reader().Transcript(ctx, sid, 1, 0) },
		"events":     func(w *world) (any, error) { return w.reader().Events(ctx, sid, 0, 0) },
		"effects":    func(w *world) (any, error) { return w.reader().Effects(ctx, sid) },
	}
	for _, r := range s.Inputs {
		out["input "+r.Key] = func(w *world) (any, error) {
			in, err := w.reader().Input(ctx, sid, id.Input(r.Key))
			return &in, err
		}
	}
	for _, r := range s.Operations {
		out["operation "+r.Key] = func(w *world) (any, error) { return w.reader().Operation(ctx, sid, registry.ID(r.Key)) }
	}
	for _, r := range s.Receipts {
		out["receipt of "+r.More] = func(w *world) (any, error) { return w.reader().Receipt(ctx, sid, id.Run(r.More), 1) }
	}
	return out
}

// stores checks that a state that was read is stored as it was.
func (w *world) stores(s stored, st machine.State) {
	w.Helper()
	same(w, string(driver.Encode(st, 1)), string(s.Control))
	values, operations := driver.EncodeRegions(st)
	for _, v := range values {
		if was, ok := s.Values[v.Name]; ok || string(v.Data) != `{"f":1}` {
			same(w, string(v.Data), string(was))
		}
	}
	was := map[string]string{}
	for _, r := range s.Operations {
		was[r.Key] = string(r.Body)
	}
	same(w, len(operations), len(was))
	for _, o := range operations {
		same(w, string(o.Body), was[o.ID])
	}
}

func TestR29_a_session_of_an_old_format_goes_on(t *testing.T) {
	t.Parallel()
	w, _ := read(t, formats[0].file)
	w.d = w.open("later")
	w.tell(settle(w.tool("x"), "first"), settle(w.tool("ro1"), "second"))
	if st := w.d.State(); st.Phase() != "stopped" {
		t.Fatalf("phase %s", st.Phase())
	}
	for _, f := range formats[1:] {
		w, _ = read(t, f.file)
		w.d = w.open("later")
		w.at = w.at.Add(time.Hour)
		w.tell(machine.Opened{}, machine.Tick{}, op(registry.Complete, "build"), submit("later", "hello"))
		st := w.d.State()
		_, live := st.Inbox.Find("later", "later")
		if o, ok := st.Work.Get("build"); !ok || o.Status != registry.Completed || st.Peer.Requests.Len() != 0 || !live {
			t.Fatalf("%s: %+v; %d requests; the input is live: %t", f.file, o, st.Peer.Requests.Len(), live)
		}
	}
}

// each reads a session in every way there is.
func (w *world) each() map[string]error {
	ctx, r := context.Background(), w.reader()
	runs := w.runs()
	errs := map[string]error{}
	_, errs["state"] = r.State(ctx, sid)
	_, errs["open"] = driver.Open(ctx, w.memory, w.d.Lease(), nil)
	_, errs["transcript"] = r.Transcript(ctx, sid, 1, 0)
	_, errs["events"] = r.Events(ctx, sid, 0, 0)
	_, errs["effects"] = r.Effects(ctx, sid)
	_, errs["input"] = r.Input(ctx, sid, "a")
	_, errs["receipt"] = r.Receipt(ctx, sid, runs, 1)
	_, errs["operation"] = r.Operation(ctx, sid, "o")
	return errs
}

func (w *world) runs() id.Run {
	for _, e := range w.told {
		if e.Run != "" {
			return e.Run
		}
	}
	return ""
}

func TestR29_records_of_a_later_format_and_damaged_ones_are_refused_with_words(t *testing.T) {
	t.Parallel()
	made, runs := eventful(t)
	made.tell(asks("q", time.Hour), op(registry.Register, "o"))
	whole := made.dump(runs)
	later := func(b json.RawMessage) json.RawMessage {
		return bytes.Replace(bytes.Clone(b), []byte(`"f":1`), []byte(`"f":2`), 1)
	}
	kinds := map[string]struct {
		change func(s *stored, f func(json.RawMessage) json.RawMessage)
		fails  string
	}{
		"session": {func(s *stored, f func(json.RawMessage) json.RawMessage) { s.Control = f(s.Control) }, "state open"},
		"profile": {func(s *stored, f func(json.RawMessage) json.RawMessage) {
			s.Values = maps.Clone(s.Values)
			s.Values["profile"] = f(s.Values["profile"])
		}, "state open"},
		"peer": {func(s *stored, f func(json.RawMessage) json.RawMessage) {
			s.Values = maps.Clone(s.Values)
			s.Values["peer"] = f(s.Values["peer"])
		}, "state open"},
		"work": {func(s *stored, f func(json.RawMessage) json.RawMessage) {
			s.Values = maps.Clone(s.Values)
			s.Values["work"] = f(s.Values["work"])
		}, "state open"},
		"operation": {func(s *stored, f func(json.RawMessage) json.RawMessage) { all(s.Operations, f) }, "state open operation"},
		"input":     {func(s *stored, f func(json.RawMessage) json.RawMessage) { all(s.Inputs, f) }, "state open input"},
		"effect":    {func(s *stored, f func(json.RawMessage) json.RawMessage) { all(s.Effects, f) }, "state open effects"},
		"message":   {func(s *stored, f func(json.RawMessage) json.RawMessage) { all(s.Messages, f) }, "transcript events"},
		"event":     {func(s *stored, f func(json.RawMessage) json.RawMessage) { all(s.Events, f) }, "events"},
		"receipt":   {func(s *stored, f func(json.RawMessage) json.RawMessage) { all(s.Receipts, f) }, "receipt"},
	}
	damage := map[string]struct {
		f    func(json.RawMessage) json.RawMessage
		want error
	}{
		"of a later format": {later, store.ErrFuture},
		"cut off":           {func(b json.RawMessage) json.RawMessage { return b[:len(b)/2] }, store.ErrCorrupt},
		"empty":             {func(json.RawMessage) json.RawMessage { return nil }, store.ErrCorrupt},
		"without a format":  {func(json.RawMessage) json.RawMessage { return json.RawMessage("{}") }, store.ErrCorrupt},
		"of zeros":          {func(b json.RawMessage) json.RawMessage { return make([]byte, len(b)) }, store.ErrCorrupt},
	}
	for kind, k := range kinds {
		for what, d := range damage {
			if kind == "session" && what == "empty" {
				continue // an empty control column is none; the store keeps the old one
			}
			t.Run(kind+" "+what, func(t *testing.T) {
				t.Parallel()
				s := whole
				s.Inputs, s.Effects, s.Operations = clone(s.Inputs), clone(s.Effects), clone(s.Operations)
				s.Messages, s.Events, s.Receipts = clone(s.Messages), clone(s.Events), clone(s.Receipts)
				k.change(&s, d.f)
				w := newWorld(t)
				w.told = made.told
				w.fill(s)
				for read, err := range w.each() {
					switch bad := strings.Contains(" "+k.fails+" ", " "+read+" "); {
					case bad && !errors.Is(err, d.want):
						t.Errorf("%s: got %v, want %v", read, err, d.want)
					case !bad && err != nil:
						t.Errorf("%s: %v", read, err)
					case bad && !strings.Contains(err.Error(), kind):
						t.Errorf("%s: %q does not say which record", read, err)
					}
				}
			})
		}
	}
}

func clone(rows []storedRow) []storedRow { return append([]storedRow(nil), rows...) }

func all(rows []storedRow, f func(json.RawMessage) json.RawMessage) {
	for n := range rows {
		rows[n].Body = f(rows[n].Body)
	}
}

// anything draws something to say to a session as it is.
func anything(t *rapid.T, s machine.State, n int) machine.Event {
	in := id.Input(fmt.Sprint("in", rapid.IntRange(0, 12).Draw(t, "input")))
	var open []run.Directive
	for _, d := range s.Open.All() {
		open = append(open, d)
	}
	switch k := rapid.IntRange(0, 18).Draw(t, "kind"); {
	case k > 13:
		return anywhere(t, s)
	case k < 6 && len(open) > 0:
		d := rapid.SampledFrom(open).Draw(t, "directive")
		switch {
		case d.Held.ForApproval():
			return machine.Decide{Effect: d.ID, Granted: k%2 == 0, By: "<ann>", Message: "why not"}
		case d.Kind == run.RunTool:
			return settle(d, "ok")
		case d.Kind == run.ApplyRun:
			return machine.Reported{Report: run.RunApplied{ID: d.ID}}
		case d.Kind == run.Extract && k > 0:
			return machine.Reported{Report: run.Extracted{ID: d.ID, Attempt: d.Attempt, Verdict: run.OutputVerdict(k % 3), Output: json.RawMessage(`{ "n": "<1>" }`),
				Text: "hm", Error: "no", Usage: transcript.Usage{Input: 1}}}
		case k == 0:
			return fail(d)
		case k < 4 && d.Round < 5:
			return reply(d, "hm", rapid.SliceOfN(rapid.SampledFrom([]string{"x", "ro", "ask", "client", "ask_client"}), 1, 4).Draw(t, "calls")...)
		}
		return reply(d, "done")
	case k == 6:
		return steer(in, "and")
	case k == 7 && s.Run() != "":
		return machine.Interrupt{Run: s.Run(), Reason: "why not"}
	case k == 8 && s.Run() != "":
		return machine.CancelAfterBoundary{Run: s.Run()}
	case k == 9 && n%5 == 0:
		return machine.Stop{Reason: "why not"}
	case k == 10:
		return machine.Register{}
	case k == 11 && s.Run() != "":
		return machine.ExecutorLost{Run: s.Run(), Reason: "lost"}
	case k == 12:
		return machine.Attach{Attachment: machine.Attachment{ID: 1, Grain: run.Grain(n % 7 / 6), Class: run.Idempotent}}
	}
	given := submit(in, "text of "+string(in))
	given.Input.Key = rapid.SampledFrom([]string{"", "k1", "k2"}).Draw(t, "key")
	return given
}

// A state that was stored and loaded is the state: the same to look at, the same bytes when it is stored again, and it decides the
// same.
// Scenario: S143
func TestR22_the_stored_form_is_canonical_and_a_loaded_state_decides_as_the_original(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(rt *rapid.T) {
		w := newWorld(t)
		p := &run.Profile{Model: "m", Workspace: "/w"}
		if rapid.Bool().Draw(rt, "limits") {
			p.Schema, p.Budget = json.RawMessage(`{"type": "object"}`), run.Budget{Tokens: 200, Calls: 9, Duration: time.Minute}
		}
		w.tell(machine.Register{Profile: p, System: "be brief"})
		w.tell(attach(run.Fine))
		for n := range rapid.IntRange(1, 40).Draw(rt, "steps") {
			staged := w.d.Stage()
			w.at = w.at.Add(time.Second)
			for range rapid.IntRange(1, 3).Draw(rt, "group") {
				var refusal *machine.Refusal // also that of a region
				_, err := staged.Step(t.Context(), w.at, anything(rt, staged.State(), n), false)
				if err != nil && !errors.As(err, &refusal) {
					rt.Fatal(err)
				}
			}
			if _, err := staged.Commit(t.Context()); err != nil {
				rt.Fatal(err)
			}
			original := w.d.State()
			loaded, err := w.reader().State(t.Context(), sid)
			if err != nil {
				rt.Fatal(err)
			}
			same(t, shown(loaded), shown(original))
			same(t, regions(t, used(loaded)), regions(t, used(original)))
			if again := driver.Encode(loaded, w.d.Lease().Term); !bytes.Equal(again, driver.Encode(original, w.d.Lease().Term)) {
				rt.Fatalf("stored again it is\n%s", again)
			}
			loaded.Transient = original.Transient
			if loaded.Servers != nil {
				servers := *loaded.Servers
				servers.Transient = original.Servers.Transient
				loaded.Servers = &servers
			}
			ev := anything(rt, original, n)
			c1, err1 := machine.Step(original, w.at, ev)
			c2, err2 := machine.Step(loaded, w.at, ev)
			same(t, fmt.Sprint(err2), fmt.Sprint(err1))
			same(t, shown(c2.Next), shown(c1.Next))
			same(t, regions(t, used(c2.Next)), regions(t, used(c1.Next)))
			same(t, c2.Regions, c1.Regions)
			c1.Next, c2.Next = machine.State{}, machine.State{}
			same(t, fmt.Sprintf("%+v", c2.Rows), fmt.Sprintf("%+v", c1.Rows))
			same(t, c2.Facts, c1.Facts)
			same(t, c2.Opened, c1.Opened)
		}
	})
}

// Whatever a store hands back, it is a state or an error.
func FuzzDecodeState(f *testing.F) {
	w, _ := eventful(f)
	l, err := w.memory.Load(f.Context(), sid)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(l.Version, []byte(l.Control), l.Values[0].Data, l.Inputs[0].Body, l.Effects[0].Body)
	for _, control := range []string{`"lifecycle":{"phase":77}`, `"turn":{"phase":77}`, `"tail":77`, `"held":[{"o":-1}]`, `"turn":{"pending":-1,"round":-1}`, `"message":-1`} {
		f.Add(uint64(1), []byte(`{"f":1,"c":{"version":1,`+control+`}}`), []byte(`{"f":1}`), []byte(`{"f":1,"item":{"id":"a","phase":1}}`), []byte(`{"f":1,"d":{"id":{"v":1},"kind":2}}`))
	}
	plain := []byte(`{"f":1,"c":{"version":1,"lifecycle":{"phase":1}}}`)
	for _, item := range []string{`{"id":"a","phase":77}`, `{"id":"a","phase":1,"lane":77}`, `{"id":"a","phase":3}`, `{"id":"b","phase":1}`} {
		f.Add(uint64(1), plain, []byte(`{"f":1}`), []byte(`{"f":1,"item":`+item+`}`), []byte(`{"f":1,"d":{"id":{"v":1},"kind":2}}`))
	}
	for _, d := range []string{`{"id":{"v":1},"kind":77}`, `{"id":{"v":1},"kind":2,"class":77}`, `{"id":{"v":1},"kind":2,"at":{"m":-1,"o":-1}}`, `{"kind":2}`} {
		f.Add(uint64(1), plain, []byte(`{"f":1}`), []byte(`{"f":1,"item":{"id":"a","phase":1}}`), []byte(`{"f":1,"d":`+d+`}`))
	}
	f.Fuzz(func(t *testing.T, version uint64, control, profile, input, effect []byte) {
		st, err := driver.DecodeState(sid, store.Loaded{Version: version, Control: control, Values: []store.Value{{Name: "profile", Data: profile}},
			Inputs: []store.InputRow{{ID: "a", Body: input}}, Effects: []store.EffectRow{{ID: id.Effect{Version: 1}, Body: effect}}})
		if err != nil {
			if !errors.Is(err, store.ErrCorrupt) && !errors.Is(err, store.ErrFuture) {
				t.Fatalf("an error without a condition: %v", err)
			}
			return
		}
		// What is read can be looked at, and decides.
		_ = machine.Check(st)
		_ = st.Phase()
		for _, ev := range []machine.Event{submit("z", "hello"), machine.Stop{}, machine.ExecutorLost{Run: st.Run()}, machine.Interrupt{Run: st.Run()}} {
			if c, err := machine.Step(st, epoch, ev); err == nil {
				_ = driver.Encode(c.Next, 1)
			}
		}
		data := driver.Encode(st, 1)
		again, err := driver.DecodeState(sid, store.Loaded{Version: version, Control: data})
		if err != nil {
			t.Fatalf("what was encoded is not read: %v", err)
		}
		if !bytes.Equal(driver.Encode(again, 1), data) {
			t.Fatal("not canonical")
		}
	})
}
