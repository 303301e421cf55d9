package meerkat_test

import (
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/internal/files"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// ward is a realm to be damaged: its first session has called a tool and was given a key, the others have each a turn behind them.
type ward struct {
	testing.TB
	dir, db  string
	sessions []id.Session
}

// lived is what a realm that has lived left in its folder, made once.
var lived = sync.OnceValues(func() (store []byte, sessions []id.Session) {
	ctx := context.Background()
	dir, err := os.MkdirTemp("", "ward")
	must(err)
	defer func() { must(os.RemoveAll(dir)) }()
	here, err := os.Getwd() // a folder that is still there when a session goes on
	must(err)
	rt, err := meerkat.Open(ctx, meerkat.Config{StateDir: filepath.Join(dir, "realm")})
	must(err)
	p := rt.Plane()
	for n := range 4 {
		s, err := p.CreateSession(ctx, control.CreateSession{Profile: run.Profile{Model: "offline", Workspace: here, Tools: "safe"}})
		must(err)
		sessions = append(sessions, s.ID)
		for turn := range 2 {
			in := control.Submit{Session: s.ID, Content: transcript.TextBlocks("count the lines in go.mod")}
			if n == 0 && turn == 0 {
				in.Key = "once"
			}
			got, err := p.Submit(ctx, in)
			must(err)
			_, err = p.Wait(ctx, s.ID, got.Input)
			must(err)
		}
	}
	must(rt.Close())
	store, err = os.ReadFile(filepath.Join(dir, "realm", "sessions.sqlite3"))
	must(err)
	return store, sessions
})

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func newWard(t testing.TB) *ward {
	t.Helper()
	data, sessions := lived()
	dir := filepath.Join(t.TempDir(), "realm")
	w := &ward{t, dir, filepath.Join(dir, "sessions.sqlite3"), sessions}
	w.ok(os.Mkdir(dir, 0o700))
	w.ok(os.WriteFile(w.db, data, 0o600))
	return w
}

func (w *ward) ok(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// open opens the file as any program could.
func (w *ward) open(path string) *sql.DB {
	w.Helper()
	db, err := sql.Open("sqlite", "file://"+(&url.URL{Path: path}).EscapedPath()+"?mode=rw&_pragma=busy_timeout(2000)")
	w.ok(err)
	db.SetMaxOpenConns(1)
	return db
}

// sql changes the file behind everybody's back. $N stands for the key of the Nth session.
func (w *ward) sql(statements string) {
	w.Helper()
	db := w.open(w.db)
	for n, s := range w.sessions {
		statements = strings.ReplaceAll(statements, fmt.Sprintf("$%d", n), "(SELECT key FROM sessions WHERE session = '"+string(s)+"')")
	}
	_, err := db.Exec(statements)
	w.ok(err)
	w.ok(db.Close())
}

// rows dumps all rows, by the session they belong to; what cannot be read is left out.
func (w *ward) rows() map[string]string {
	w.Helper()
	db := w.open(w.db)
	defer func() { w.ok(db.Close()) }()
	out := map[string]string{}
	for _, table := range []string{"sessions", "slow_values", "inputs", "effects", "operations", "messages", "events", "receipts"} {
		key := "session"
		if table == "sessions" {
			key = "key"
		}
		rows, err := db.Query("SELECT " + key + ", rowid, * FROM " + table + " NOT INDEXED ORDER BY rowid")
		if err != nil {
			continue
		}
		columns, err := rows.Columns()
		w.ok(err)
		for rows.Next() {
			row, to := make([]any, len(columns)), make([]any, len(columns))
			for n := range row {
				to[n] = &row[n]
			}
			w.ok(rows.Scan(to...))
			out[fmt.Sprint(row[0])] += fmt.Sprintf("%s %v\n", table, row)
		}
		_ = rows.Err() // a damaged page
		w.ok(rows.Close())
	}
	return out
}

func (w *ward) key(s id.Session) string {
	w.Helper()
	db := w.open(w.db)
	defer func() { w.ok(db.Close()) }()
	var key int64
	w.ok(db.QueryRow("SELECT key FROM sessions NOT INDEXED WHERE session = ?", string(s)).Scan(&key))
	return fmt.Sprint(key)
}

// whole says what SQLite finds wrong with the file.
func (w *ward) whole() string {
	w.Helper()
	db := w.open(w.db)
	defer func() { w.ok(db.Close()) }()
	var first string
	if err := db.QueryRow("PRAGMA integrity_check").Scan(&first); err != nil {
		return err.Error()
	}
	return first
}

// contents are all files of the folder but backups and locks.
func (w *ward) contents() map[string]string {
	w.Helper()
	list, err := os.ReadDir(w.dir)
	w.ok(err)
	out := map[string]string{}
	for _, f := range list {
		if f.IsDir() || f.Name() == "daemon.lock" {
			continue
		}
		data, err := os.ReadFile(filepath.Join(w.dir, f.Name()))
		w.ok(err)
		out[f.Name()] = string(data)
	}
	return out
}

func (w *ward) backups() []string {
	w.Helper()
	list, err := filepath.Glob(filepath.Join(w.dir, "backup-*"))
	w.ok(err)
	return list
}

func (w *ward) examine() control.Checkup {
	w.Helper()
	c, err := meerkat.Examine(w.Context(), w.dir)
	w.ok(err)
	return c
}

func (w *ward) repair() control.Checkup {
	w.Helper()
	c, err := meerkat.Repair(w.Context(), w.dir)
	w.ok(err)
	return c
}

// of finds what is said under a name; nil: nothing bad.
func of(c control.Checkup, name string) *control.Finding {
	n := slices.IndexFunc(c.Findings, func(f control.Finding) bool { return f.Name == name && (!f.OK || f.Done != "") })
	if n < 0 {
		return nil
	}
	return &c.Findings[n]
}

// goesOn takes a turn of a session.
func (w *ward) goesOn(s id.Session) error {
	w.Helper()
	rt, err := meerkat.Open(w.Context(), meerkat.Config{StateDir: w.dir})
	w.ok(err)
	defer func() { w.ok(rt.Close()) }()
	got, err := rt.Plane().Submit(w.Context(), control.Submit{Session: s, Content: transcript.TextBlocks("hello")})
	if err != nil {
		return err
	}
	how, err := rt.Plane().Wait(w.Context(), s, got.Input)
	if err == nil && how.Status != "completed" {
		err = fmt.Errorf("it ended as %s", how.Status)
	}
	return err
}

func TestA_whole_realm_is_well_and_its_repair_writes_nothing(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	before := w.contents()
	if c := w.examine(); !c.OK || c.Backup != "" {
		t.Fatalf("%+v", c)
	}
	if c := w.repair(); !c.OK || c.Backup != "" || len(w.backups()) > 0 {
		t.Fatalf("%+v", c)
	}
	after := w.contents()
	maps.DeleteFunc(after, func(name, _ string) bool { return strings.HasSuffix(name, "-wal") || strings.HasSuffix(name, "-shm") })
	if !maps.Equal(before, after) {
		t.Error("something was written")
	}
	empty := filepath.Join(t.TempDir(), "none")
	for _, look := range []func(context.Context, string) (control.Checkup, error){meerkat.Examine, meerkat.Repair} {
		if c, err := look(t.Context(), empty); err != nil || !c.OK {
			t.Errorf("where there is nothing: %+v, %v", c, err)
		}
	}
	if _, err := os.Stat(empty); err == nil {
		t.Error("a folder was made")
	}
}

func TestDamaged_rows_are_told_and_taken_out_only_where_nothing_is_decided_by_them(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, damage string
		row          string // the beginning of what is found first; empty: it is not a session's
		out          int    // rows that are taken out
		ok, goesOn   bool   // after the repair
	}{
		{"an event", "UPDATE events SET body = x'7b' WHERE session = $1 AND cursor = 3", "event 3", 1, true, true},
		{"two events", "UPDATE events SET body = x'7b' WHERE session = $1 AND cursor IN (2, 4)", "event 2", 2, true, true},
		{"the last event", "UPDATE events SET body = x'7b' WHERE rowid = (SELECT max(rowid) FROM events WHERE session = $1)", "event ", 0, false, true},
		{"an ended input", "UPDATE inputs SET body = substr(body, 1, 20) WHERE session = $1 AND seq = 1", "input ", 0, false, true},
		{"an ended input with a key", "UPDATE inputs SET body = x'00' WHERE session = $0 AND key <> ''", "input ", 0, false, true},
		{"an input that has no end", "UPDATE inputs SET body = CAST(json_remove(body, '$.ended') AS BLOB) WHERE session = $1 AND seq = 1", "input ", 0, false, true},
		{"a closed effect", "UPDATE effects SET body = x'ff' WHERE rowid = (SELECT min(rowid) FROM effects WHERE session = $1)", "effect ", 1, true, true},
		{"a message", "UPDATE messages SET body = x'7b' WHERE session = $1 AND message = 2", "message 2", 0, false, false},
		{"an input that came back to life", "UPDATE inputs SET live = 1 WHERE session = $1", "input ", 0, false, false},
		{"the control column", "UPDATE sessions SET control = x'7b7d' WHERE key = $1", "session", 0, false, false},
		{"the profile", "UPDATE slow_values SET data = x'5b' WHERE session = $1 AND name = 'profile'", "profile", 0, false, false},
		{"the version", "UPDATE sessions SET version = version + 1 WHERE key = $1", "session", 0, false, false},
		{"an event in a session that is lost anyway", "UPDATE events SET body = x'7b' WHERE session = $1 AND cursor = 3; UPDATE sessions SET control = x'7b7d' WHERE key = $1", "event 3", 0, false, false},
		{"an event beside a guard", "UPDATE events SET body = x'7b' WHERE session = $0 AND cursor = 3; UPDATE inputs SET body = x'00' WHERE session = $0 AND key <> ''", "input ", 1, false, true},
		{"an event of a newer version", `UPDATE events SET body = CAST(json_set(body, '$.f', 9) AS BLOB) WHERE session = $1 AND cursor = 3`, "event 3", 0, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWard(t)
			w.sql(c.damage)
			damaged := w.sessions[1]
			if strings.Contains(c.damage, "$0") {
				damaged = w.sessions[0]
			}
			before, file := w.rows(), w.contents()["sessions.sqlite3"]
			seen := w.examine()
			f := of(seen, "session")
			if seen.OK || f == nil || f.Session != damaged || !strings.HasPrefix(f.Rows[0].Row, c.row) || len(f.Rows[0].Digest) != 64 || f.Rows[0].Reason == "" || f.Advice == "" {
				t.Fatalf("seen %+v", seen)
			}
			got := w.repair()
			if got.OK != c.ok || (got.Backup != "") != (c.out > 0) {
				t.Fatalf("repaired %+v", got)
			}
			after := w.rows()
			for key, rows := range before {
				if (key != w.key(damaged) || c.out == 0) && after[key] != rows {
					t.Errorf("the rows of session %s are others", key)
				}
			}
			if now := strings.Count(after[w.key(damaged)], "\n"); now != strings.Count(before[w.key(damaged)], "\n")-c.out {
				t.Errorf("%d rows are left", now)
			}
			if c.out > 0 {
				w.keptAside(got, c.out, file)
			}
			if again := w.repair(); again.Backup != "" || again.OK != c.ok {
				t.Errorf("a second repair: %+v", again)
			}
			if how := w.whole(); how != "ok" {
				t.Error(how)
			}
			if err := w.goesOn(damaged); (err == nil) != c.goesOn {
				t.Errorf("it goes on: %v", err)
			}
			if err := w.goesOn(w.sessions[2]); err != nil {
				t.Errorf("another session: %v", err)
			}
		})
	}
}

// keptAside checks that a backup has everything as it was and every row that was taken out.
func (w *ward) keptAside(c control.Checkup, out int, file string) {
	w.Helper()
	data, err := os.ReadFile(filepath.Join(c.Backup, "sessions.sqlite3"))
	w.ok(err)
	if string(data) != file {
		w.Error("the backup is not what was there")
	}
	data, err = os.ReadFile(filepath.Join(c.Backup, "set-aside.jsonl"))
	w.ok(err)
	lines := bytes.Split(bytes.TrimSpace(data), []byte("\n"))
	if len(lines) != out {
		w.Errorf("%d rows are kept: %s", len(lines), data)
	}
	for _, line := range lines {
		var row struct {
			Session, Table, Digest string
			Columns                struct{ Body []byte }
		}
		w.ok(json.Unmarshal(line, &row))
		if row.Session == "" || row.Table == "" || len(row.Columns.Body) == 0 || len(row.Digest) != 64 {
			w.Errorf("kept as %s", line)
		}
	}
}

func TestWhat_is_derived_is_made_anew(t *testing.T) {
	t.Parallel()
	for _, index := range []string{"events_cursor", "inputs_id", "messages_place", "sessions_updated", "sqlite_autoindex_sessions_1"} {
		t.Run(index, func(t *testing.T) {
			t.Parallel()
			w := newWard(t)
			before := w.rows()
			w.flipIn(index, 40)
			if c := w.examine(); of(c, "store") == nil {
				t.Fatalf("not seen: %+v", c)
			}
			c := w.repair()
			if f := of(c, "store"); !c.OK || f == nil || f.Done == "" {
				t.Fatalf("repaired %+v", c)
			}
			if how := w.whole(); how != "ok" || !maps.Equal(before, w.rows()) {
				t.Errorf("afterwards: %s", how)
			}
			if c := w.repair(); !c.OK || c.Backup != "" {
				t.Errorf("a second repair: %+v", c)
			}
			for _, s := range w.sessions {
				if err := w.goesOn(s); err != nil {
					t.Error(err)
				}
			}
		})
	}
	w := newWard(t)
	w.sql("UPDATE counts SET n = 77")
	if c := w.repair(); !c.OK || of(c, "count") == nil || c.Backup == "" {
		t.Errorf("the count: %+v", c)
	}
	if c := w.examine(); !c.OK {
		t.Errorf("afterwards: %+v", c)
	}
}

// flipIn changes bytes at the end of the root page of a table or index, where its cells are.
func (w *ward) flipIn(name string, many int) {
	w.Helper()
	db := w.open(w.db)
	var root, size int64
	w.ok(db.QueryRow("SELECT rootpage FROM sqlite_schema WHERE name = ?", name).Scan(&root))
	w.ok(db.QueryRow("PRAGMA page_size").Scan(&size))
	w.ok(db.Close())
	data, err := os.ReadFile(w.db)
	w.ok(err)
	page := data[(root-1)*size : root*size]
	for n := range many {
		page[len(page)-1-n] ^= 0x55
	}
	w.ok(os.WriteFile(w.db, data, 0o600))
}

// wardSeed lets other damage be tried than the usual.
var wardSeed = flag.Uint64("ward-seed", 0, "the first seed of the damage that is done to stores")

func TestFlipped_bytes_are_never_a_reason_to_lose_what_can_be_read(t *testing.T) {
	t.Parallel()
	times := uint64(60)
	if testing.Short() {
		times = 12
	}
	seen, mended := 0, 0
	for n := range times {
		seed := n + *wardSeed
		w := newWard(t)
		rnd := rand.New(rand.NewPCG(seed, 5))
		data, err := os.ReadFile(w.db)
		w.ok(err)
		pristine := w.count()
		data = mangle(data, rnd)
		w.ok(os.WriteFile(w.db, data, 0o600))
		found := w.examine()
		before := w.rows()
		c, err := meerkat.Repair(t.Context(), w.dir)
		if err != nil {
			t.Errorf("seed %d: %v", seed, err)
			continue
		}
		if !found.OK {
			seen++
		}
		after := w.rows()
		sick := map[string]bool{}
		for _, f := range found.Findings {
			if f.Session != "" {
				sick[string(f.Session)] = true
			}
		}
		for _, s := range w.sessions {
			if sick[string(s)] {
				continue
			}
			for key, rows := range before {
				if strings.Contains(rows, string(s)) && after[key] != rows {
					t.Errorf("seed %d: session %s has changed", seed, s)
				}
			}
		}
		if len(w.backups()) > 0 != (c.Backup != "") {
			t.Errorf("seed %d: backups %v, and told is %q", seed, w.backups(), c.Backup)
		}
		if c.Backup == "" && w.contents()["sessions.sqlite3"] != string(data) {
			t.Errorf("seed %d: it was changed without a backup", seed)
		}
		if c.Backup != "" {
			mended++
			if kept, err := os.ReadFile(filepath.Join(c.Backup, "sessions.sqlite3")); err != nil || !bytes.Equal(kept, data) {
				t.Errorf("seed %d: the backup is not what was there: %v", seed, err)
			}
		}
		if c.OK {
			if now := w.count() + taken(c); now != pristine {
				t.Errorf("seed %d: there were %d rows and are %d: %+v", seed, pristine, now, c)
			}
			if how := w.whole(); how != "ok" {
				t.Errorf("seed %d: %s", seed, how)
			}
		}
		now := w.contents()["sessions.sqlite3"]
		if again, err := meerkat.Repair(t.Context(), w.dir); err != nil || again.Backup != "" || w.contents()["sessions.sqlite3"] != now || again.OK != c.OK {
			t.Errorf("seed %d: a second repair: %+v, %v; the first: %+v", seed, again, err, c)
		}
	}
	t.Logf("%d of %d were seen, %d mended", seen, times, mended)
}

// count is how many rows there are.
func (w *ward) count() (n int) {
	w.Helper()
	for _, rows := range w.rows() {
		n += strings.Count(rows, "\n")
	}
	return n
}

// taken is how many rows a repair took out.
func taken(c control.Checkup) (n int) {
	for _, f := range c.Findings {
		for _, r := range f.Rows {
			if strings.HasPrefix(r.Done, "taken out") {
				n++
			}
		}
	}
	return n
}

// mangle does to a file what disks and people do.
func mangle(data []byte, rnd *rand.Rand) []byte {
	const size = 2048
	page := func() []byte { // any but the first
		n := 1 + rnd.IntN(len(data)/size-1)
		return data[n*size : (n+1)*size]
	}
	switch rnd.IntN(8) {
	case 0:
		clear(page())
	case 1:
		copy(page(), page())
	case 2:
		return data[:len(data)/2+rnd.IntN(len(data)/2)]
	case 3:
		copy(page()[rnd.IntN(size):], page()[:rnd.IntN(size)])
	default:
		for range 1 + rnd.IntN(6) {
			data[100+rnd.IntN(len(data)-100)] ^= byte(1 + rnd.IntN(255))
		}
	}
	return data
}

func TestA_log_that_has_lost_something_is_told_before_its_traces_go(t *testing.T) {
	t.Parallel()
	const frame = 24 + 2048
	for _, c := range []struct {
		name   string
		damage func(wal []byte) []byte // nil: the file goes
		lost   bool
	}{
		{"nothing", func(wal []byte) []byte { return wal }, false},
		{"half of it", func(wal []byte) []byte { return wal[:len(wal)/2] }, true},
		{"its last page", func(wal []byte) []byte { return wal[:len(wal)-frame] }, true},
		{"a byte in the middle", func(wal []byte) []byte { wal[32+2*frame+100] ^= 1; return wal }, true},
		{"its header", func(wal []byte) []byte { wal[17] ^= 1; return wal }, true},
		{"all of it", func([]byte) []byte { return []byte{} }, true},
		{"the file", nil, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			w := newWard(t)
			wal := w.die(c.damage)
			got := w.examine()
			if f := of(got, "log"); got.OK == c.lost || (f != nil) != c.lost {
				t.Fatalf("seen %+v", got)
			}
			if again := w.examine(); again.OK != got.OK {
				t.Error("the second look took the traces away")
			}
			got = w.repair()
			if !got.OK || (got.Backup != "") != c.lost {
				t.Fatalf("repaired %+v", got)
			}
			if c.lost && c.damage != nil {
				if kept, err := os.ReadFile(filepath.Join(got.Backup, "sessions.sqlite3-wal")); err != nil || !bytes.Equal(kept, wal) {
					t.Errorf("the log was not kept: %v", err)
				}
			}
			if again := w.repair(); !again.OK || again.Backup != "" {
				t.Errorf("a second repair: %+v", again)
			}
			if err := w.goesOn(w.sessions[0]); err != nil {
				t.Error(err)
			}
		})
	}
}

// die writes something as a process that is killed then, damages the log, and returns what is left of it.
func (w *ward) die(damage func([]byte) []byte) []byte {
	w.Helper()
	db := w.open(w.db)
	for n := range 8 {
		_, err := db.Exec("PRAGMA wal_autocheckpoint=0; UPDATE sessions SET title = ?; UPDATE sessions SET title = 'again'", fmt.Sprint("title ", n))
		w.ok(err)
	}
	left := w.contents()
	w.ok(db.Close())
	wal := []byte(left["sessions.sqlite3-wal"])
	if damage == nil {
		delete(left, "sessions.sqlite3-wal")
	} else {
		wal = damage(wal)
		left["sessions.sqlite3-wal"] = string(wal)
	}
	for name, data := range left {
		w.ok(os.WriteFile(filepath.Join(w.dir, name), []byte(data), 0o600))
	}
	return wal
}

func TestNothing_is_repaired_while_somebody_else_has_the_realm(t *testing.T) {
	t.Parallel()
	refused := func(w *ward, how string) {
		t.Helper()
		before := w.rows()
		if c, err := meerkat.Repair(t.Context(), w.dir); fault.CodeOf(err) != fault.OwnedElsewhere {
			t.Errorf("%s: %+v, %v", how, c, err)
		}
		if !maps.Equal(before, w.rows()) || len(w.backups()) > 0 {
			t.Errorf("%s: something was written", how)
		}
	}
	damage := "UPDATE events SET body = x'7b' WHERE session = $1 AND cursor = 3"
	w := newWard(t)
	w.sql(damage)
	unlock, ok, err := files.TryLock(filepath.Join(w.dir, "daemon.lock"))
	if w.ok(err); !ok {
		t.Fatal("locked")
	}
	refused(w, "a server")
	w.ok(unlock())
	rt, err := meerkat.Open(t.Context(), meerkat.Config{StateDir: w.dir})
	w.ok(err)
	refused(w, "this process")
	w.ok(rt.Close())
	db := w.open(w.db)
	var n int
	w.ok(db.QueryRow("SELECT count(*) FROM sessions").Scan(&n))
	refused(w, "another program")
	w.ok(db.Close())
	if c := w.repair(); !c.OK {
		t.Errorf("afterwards: %+v", c)
	}
}

func TestWhat_is_beside_the_sessions_is_looked_at(t *testing.T) {
	t.Parallel()
	for name, spoil := range map[string]func(w *ward){
		"settings": func(w *ward) { w.ok(os.WriteFile(filepath.Join(w.dir, "config.toml"), []byte("= broken"), 0o600)) },
		"keys":     func(w *ward) { w.ok(os.WriteFile(filepath.Join(filepath.Dir(w.dir), "keys.json"), []byte("{"), 0o600)) },
		"store":    func(w *ward) { w.sql("PRAGMA user_version=99") },
		"orphans": func(w *ward) {
			w.sql("PRAGMA foreign_keys=0; UPDATE events SET session = 999 WHERE session = $1 AND cursor = 1")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWard(t)
			spoil(w)
			before := w.contents()["sessions.sqlite3"]
			for _, c := range []control.Checkup{w.examine(), w.repair()} {
				if f := of(c, name); c.OK || f == nil || f.Advice == "" || f.Done != "" || c.Backup != "" {
					t.Errorf("%+v", c)
				}
			}
			if w.contents()["sessions.sqlite3"] != before {
				t.Error("it was changed")
			}
		})
	}
	w := newWard(t)
	w.ok(os.WriteFile(w.db, []byte("this is no database, but long enough to be taken for one"+strings.Repeat(".", 1000)), 0o600))
	if c := w.repair(); c.OK || of(c, "store") == nil || c.Backup != "" {
		t.Errorf("no database: %+v", c)
	}
}

func TestWhoever_follows_a_session_gets_past_an_event_that_was_taken_out(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.sql("UPDATE events SET body = x'7b' WHERE session = $1 AND cursor = 3")
	if c := w.repair(); !c.OK {
		t.Fatalf("%+v", c)
	}
	s := w.sessions[1]
	rt, err := meerkat.Open(t.Context(), meerkat.Config{StateDir: w.dir})
	w.ok(err)
	defer func() { w.ok(rt.Close()) }()
	got, err := rt.Plane().Submit(t.Context(), control.Submit{Session: s, Content: transcript.TextBlocks("hello")})
	w.ok(err)
	_, err = rt.Plane().Wait(t.Context(), s, got.Input)
	w.ok(err)
	state, err := rt.Plane().Session(t.Context(), string(s))
	w.ok(err)
	before := uint64(0)
	for e, err := range rt.Plane().Events(t.Context(), s, 0) {
		if w.ok(err); e.Cursor <= before || e.Cursor == 3 {
			t.Errorf("event %d after %d", e.Cursor, before)
		}
		if before = e.Cursor; before >= state.Cursor {
			break
		}
	}
}

func TestA_repair_that_cannot_copy_everything_changes_nothing(t *testing.T) {
	t.Parallel()
	w := newWard(t)
	w.sql("UPDATE events SET body = x'7b' WHERE session = $1 AND cursor = 3")
	w.ok(os.Mkdir(filepath.Join(w.dir, "config_state.json"), 0o700)) // no file can be copied from it
	before := w.rows()
	if c, err := meerkat.Repair(t.Context(), w.dir); err == nil {
		t.Errorf("repaired: %+v", c)
	}
	if !maps.Equal(before, w.rows()) || len(w.backups()) > 0 {
		t.Error("something was written")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := meerkat.Repair(ctx, w.dir); err == nil || len(w.backups()) > 0 {
		t.Errorf("given up: %v", err)
	}
}
