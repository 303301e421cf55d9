package sqlite

import (
	"bytes"
	"compress/gzip"
	"database/sql/driver"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

func TestFiles_and_folders_are_for_their_owner_alone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "one", "two")
	s := opened(t, Options{Path: filepath.Join(dir, "sessions.db")}, "a")
	if err := s.Commit(t.Context(), small("a", 0)); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]os.FileMode{filepath.Dir(dir): 0o700, dir: 0o700, s.Path(): 0o600, s.Path() + "-wal": 0o600, s.Path() + "-shm": 0o600} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has mode %o, want %o", path, got, want)
		}
	}
}

func TestA_path_may_hold_any_character(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "a b?c#d%41&e=f;'ü", "s?mode=ro.db")
	if err := opened(t, Options{Path: path}, "a").Close(); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Size() == 0 {
		t.Fatalf("%v, %v", info, err)
	}
}

func TestEvery_connection_that_writes_is_durable_and_leaves_checkpoints_alone(t *testing.T) {
	t.Parallel()
	s := opened(t, Options{})
	for query, want := range map[string]int64{"PRAGMA synchronous": 2, "PRAGMA wal_autocheckpoint": 0, "PRAGMA busy_timeout": 60_000,
		"PRAGMA application_id": applicationID, "PRAGMA user_version": schemaVersion} {
		if got, err := s.writer.conn.number(query); err != nil || got != want {
			t.Errorf("%s is %d, want %d (%v)", query, got, want, err)
		}
	}
}

func TestMany_open_a_new_file_at_once(t *testing.T) {
	t.Parallel()
	for range 5 {
		path := filepath.Join(t.TempDir(), "sessions.db")
		var wg sync.WaitGroup
		for n := range 8 {
			wg.Go(func() {
				s, err := Open(t.Context(), Options{Path: path})
				if err != nil {
					t.Error(err)
					return
				}
				sid := id.Session(fmt.Sprintf("s%d", n))
				_, err = s.Acquire(t.Context(), store.Claim{Session: sid, Owner: store.Owner{ID: "o"}, Now: time.Unix(0, 0), TTL: time.Hour, Create: true})
				err = errors.Join(err, s.Commit(t.Context(), small(sid, 0)), s.Close())
				if err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		s := opened(t, Options{Path: path})
		if got, err := s.Sessions(t.Context(), store.Query{}); err != nil || len(got) != 8 {
			t.Fatalf("%d sessions, %v", len(got), err)
		}
	}
}

func TestAn_idle_store_does_nothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := opened(t, Options{}, "a")
		for n := range uint64(3) {
			if err := s.Commit(t.Context(), small("a", n)); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Hour)
			synctest.Wait()
			if got := s.Stats(); got.Checkpoints != n+1 || got.CheckpointError != nil {
				t.Fatalf("%+v after %d commits", got, n+1)
			}
		}
	})
}

// In the bubble no time passes between commits, so the checkpointer sleeps as if the writer never paused.
func TestA_long_log_begins_anew(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := opened(t, Options{foldAbove: 50}, "a")
		v := uint64(0)
		commit := func() {
			if err := s.Commit(t.Context(), small("a", v)); err != nil {
				t.Fatal(err)
			}
			v++
		}
		for range 40 {
			commit()
		}
		time.Sleep(checkpointEvery)
		synctest.Wait()
		if got := s.Stats().LogPages; got <= 50 || !s.writer.fold.Load() {
			t.Fatalf("a log of %d pages does not call the writer: %t", got, s.writer.fold.Load())
		}
		for s.writer.fold.Store(false); v < 80; { // the log begins anew here, for the checkpointer reached its end
			commit()
		}
		s.writer.fold.Store(true)
		commit()
		log, _, err := passive(s.writer.conn)
		if err != nil || log > 20 {
			t.Fatalf("the writer left a log of %d pages, %v", log, err)
		}
	})
}

var writeFixture = flag.Bool("write-fixture", false, "write testdata/v<schema version>.db.gz unless it is there")

// fixture is the content of a version's fixture: what a store of that version was given.
func fixture(version int) (loaded store.Loaded, batch *store.Batch) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 1000, time.UTC)
	b := &store.Batch{Session: "0195f000-0000-7000-8000-000000000001", Term: 1, To: 7, Control: []byte("control"),
		Head:     store.Head{Created: at, Updated: at.Add(time.Hour), Phase: "idle", Title: "title", Model: "model", Workspace: "/w", Messages: 2, Tokens: 3, Unfinished: true},
		Values:   []store.Value{{Name: "model", Data: []byte("value")}},
		Inputs:   []store.InputRow{{ID: "live", Key: "key", Seq: 1, Live: true, Body: []byte("live input")}, {ID: "ended", Seq: 2, Body: []byte("ended input")}},
		Effects:  []store.EffectRow{{ID: id.Effect{Version: 5, Ordinal: 1}, Kind: "tool", Run: "run", Body: []byte("closed")}, {ID: id.Effect{Version: 7}, Open: true, Kind: "tool", Run: "run", Body: []byte("open")}},
		Messages: []store.MessageRow{{Message: 0, Role: "user", Body: []byte("question")}, {Message: 1, Role: "assistant", Body: []byte("answer")}},
		Events:   []store.EventRow{{Cursor: 1, Body: []byte("event")}},
		Receipts: []store.ReceiptRow{{Run: "run", Sequence: 1, Body: []byte("receipt")}}}
	loaded = store.Loaded{Version: 7, Control: b.Control, Values: b.Values, Inputs: b.Inputs[:1], Effects: b.Effects[1:]}
	if version >= 2 {
		b.Head.Wake = at.Add(2 * time.Hour)
		b.Operations = []store.OperationRow{{ID: "past", Seq: 1, Body: []byte("past operation")}, {ID: "kept", Kept: true, Seq: 2, Body: []byte("operation")}}
		loaded.Operations = b.Operations[1:]
	}
	if version >= 3 {
		b.Head.Labels, b.Head.Past = map[string]string{"a": "b", "c\"d": "é"}, true
	}
	loaded.Head = b.Head
	return loaded, b
}

func TestEvery_schema_ever_released_loads(t *testing.T) {
	t.Parallel()
	for v := 1; v <= schemaVersion; v++ {
		t.Run(fmt.Sprintf("version %d", v), func(t *testing.T) {
			t.Parallel()
			if v == schemaVersion && *writeFixture {
				saveFixture(t, packed(v))
			}
			path := unpacked(t, v)
			s := opened(t, Options{Path: path})
			want, batch := fixture(v)
			got, err := s.Load(t.Context(), batch.Session)
			if d := cmp.Diff(want, got); err != nil || d != "" {
				t.Fatalf("%v\n%s", err, d)
			}
			ended, err1 := s.InputByID(t.Context(), batch.Session, "ended")
			messages, err2 := s.Messages(t.Context(), batch.Session, 0, 0)
			events, err3 := s.Events(t.Context(), batch.Session, 0, 0)
			effects, err4 := s.Effects(t.Context(), batch.Session)
			receipt, err5 := s.Receipt(t.Context(), batch.Session, "run", 1)
			if err := errors.Join(err1, err2, err3, err4, err5); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff([]any{batch.Inputs[1], batch.Messages, batch.Events, batch.Effects, batch.Receipts[0]}, []any{ended, messages, events, effects, receipt}); d != "" {
				t.Fatal(d)
			}
			for _, want := range batch.Operations {
				got, err := s.Operation(t.Context(), batch.Session, want.ID)
				if d := cmp.Diff(want, got); err != nil || d != "" {
					t.Fatalf("%v\n%s", err, d)
				}
			}
			l, err := s.Acquire(t.Context(), store.Claim{Session: batch.Session, Owner: store.Owner{ID: "p"}, Now: time.Unix(7200, 0), TTL: time.Hour})
			if err != nil || l.Term != 2 {
				t.Fatalf("%+v, %v", l, err)
			}
			if n, err := s.Count(t.Context(), store.Query{Active: true}); err != nil || (n == 1) == batch.Head.Past {
				t.Fatalf("%d are active, %v", n, err)
			}
			goesOn(t, s, l, len(batch.Operations) > 0)
			labelled, err := s.Sessions(t.Context(), store.Query{Labels: map[string]string{"a": "b"}})
			n, err2 := s.Count(t.Context(), store.Query{Active: true})
			if err := errors.Join(err, err2); err != nil || len(labelled) != 1 || n != 0 {
				t.Fatalf("%+v, %d are active, %v", labelled, n, err)
			}
		})
	}
}

// goesOn commits to the session of a fixture what the current version has.
func goesOn(t *testing.T, s *Store, l store.Lease, waits bool) {
	t.Helper()
	due := store.Query{DueBefore: time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC)}
	if got, err := s.Sessions(t.Context(), due); err != nil || (len(got) == 1) != waits {
		t.Fatalf("%d sessions are due, %v", len(got), err)
	}
	_, b := fixture(schemaVersion)
	b = &store.Batch{Session: l.Session, Term: l.Term, From: 7, To: 8, Head: b.Head, Operations: b.Operations}
	if err := s.Commit(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	got, err := s.Load(t.Context(), l.Session)
	if err != nil || len(got.Operations) != 1 {
		t.Fatalf("%d operations, %v", len(got.Operations), err)
	}
	if got, err := s.Sessions(t.Context(), due); err != nil || len(got) != 1 || !got[0].Head.Wake.Equal(b.Head.Wake) {
		t.Fatalf("%+v are due, %v", got, err)
	}
	if err := Check(t.Context(), s.Path()); err != nil {
		t.Fatal(err)
	}
}

func packed(version int) string { return filepath.Join("testdata", fmt.Sprintf("v%d.db.gz", version)) }

// unpacked puts the fixture of a version at a place of its own.
func unpacked(t *testing.T, version int) (path string) {
	t.Helper()
	f, err := os.Open(packed(version))
	if err != nil {
		t.Fatalf("%v; a new version needs go test ./store/sqlite -write-fixture, once", err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(z)
	if err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "sessions.db")
	put(t, path, b)
	return path
}

// saveFixture writes the fixture of the current version. One that is there stays: it was written by a version that is gone.
func saveFixture(t *testing.T, packed string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "fixture.db")
	s := mustOpen(t, Options{Path: path})
	_, b := fixture(schemaVersion)
	_, err := s.Acquire(t.Context(), store.Claim{Session: b.Session, Owner: store.Owner{ID: "o", Machine: "m", Boot: "b", PID: 1, Started: "s", Address: "a"},
		Now: time.Unix(0, 0), TTL: time.Hour, Create: true})
	if err := errors.Join(err, s.Commit(t.Context(), b), s.Close()); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	_, err = z.Write(contents(t, path))
	if err := errors.Join(err, z.Close(), os.MkdirAll("testdata", 0o755)); err != nil {
		t.Fatal(err)
	}
	f, err := os.OpenFile(packed, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	_, err = f.Write(out.Bytes())
	if err := errors.Join(err, f.Close()); err != nil {
		t.Fatal(err)
	}
}

// The driver is machine code translated for one version of its C library: another one, chosen by some other dependency, may link and
// corrupt.
func TestThe_driver_has_exactly_the_libc_it_was_made_for(t *testing.T) {
	t.Parallel()
	ours := contents(t, filepath.Join("..", "..", "go.mod"))
	cache, err := exec.CommandContext(t.Context(), "go", "env", "GOMODCACHE").Output()
	if err != nil {
		t.Fatal(err)
	}
	version := required(t, ours, "modernc.org/sqlite")
	theirs := contents(t, filepath.Join(strings.TrimSpace(string(cache)), "cache", "download", "modernc.org", "sqlite", "@v", version+".mod"))
	if got, want := required(t, ours, "modernc.org/libc"), required(t, theirs, "modernc.org/libc"); got != want {
		t.Errorf("go.mod has libc %s and modernc.org/sqlite %s is made for %s: go get modernc.org/libc@%s", got, version, want, want)
	}
}

// required finds the version of a module in a go.mod file.
func required(t *testing.T, file []byte, module string) string {
	t.Helper()
	for line := range strings.Lines(string(file)) {
		if f := strings.Fields(strings.TrimPrefix(strings.TrimSpace(line), "require ")); len(f) >= 2 && f[0] == module {
			return f[1]
		}
	}
	t.Fatalf("%s is not required", module)
	return ""
}

func TestMany_open_a_file_of_an_older_schema_at_once(t *testing.T) {
	t.Parallel()
	path := unpacked(t, 1)
	want, batch := fixture(1)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			s, err := Open(t.Context(), Options{Path: path})
			if err != nil {
				t.Error(err)
				return
			}
			got, err := s.Load(t.Context(), batch.Session)
			if err := errors.Join(err, s.Close()); err != nil {
				t.Error(err)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Error(d)
			}
		})
	}
	wg.Wait()
}

// What is asked for on the way of every start and every timer must not grow with the number of sessions.
func TestR116_who_wants_to_be_told_the_time_is_found_by_an_index(t *testing.T) {
	t.Parallel()
	s := opened(t, Options{}, "a")
	for _, c := range []struct {
		query store.Query
		index string
	}{
		{store.Query{DueBefore: time.Unix(9, 0)}, "sessions_wake (wake>? AND wake<?)"},
		{store.Query{DueAfter: time.Unix(9, 0), Limit: 1}, "sessions_wake (wake>?)"},
		{store.Query{Unfinished: true}, "sessions_unfinished"},
		{store.Query{}, "sessions_updated"},
		{store.Query{Fresh: true}, "sessions_fresh"},
		{store.Query{Fresh: true, Active: true, Labels: map[string]string{"a": "b"}}, "sessions_fresh"},
	} {
		part := anyMessages
		if c.query.Fresh {
			part = noMessages
		}
		query, args := listing(c.query, part)
		plan := ""
		err := s.read(t.Context(), "", "explain", func(r *conn) error {
			return r.query(t.Context(), func(row []driver.Value) error {
				plan += text(row[3]) + "\n"
				return nil
			}, "EXPLAIN QUERY PLAN "+query, args...)
		})
		if err != nil || !strings.Contains(plan, c.index) {
			t.Errorf("%+v: %v\n%s", c.query, err, plan)
		}
	}
}
