package faults

import (
	"bytes"
	"database/sql"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/internal/programs"
)

// kept is a world with one finished session in its store.
func kept(t *testing.T, rules ...string) *world {
	t.Helper()
	w := scripted(t, rules...)
	w.answered(w.Rkat("run", "go"), "Fine.")
	return w
}

// file returns what the database file holds.
func (w *world) file() []byte {
	w.t.Helper()
	data, err := os.ReadFile(w.Database())
	if err != nil {
		w.t.Fatal(err)
	}
	return data
}

func (w *world) setFile(data []byte) {
	w.t.Helper()
	if err := os.WriteFile(w.Database(), data, 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// A store that is damaged, foreign or of a later version is refused by every command, with words, and left as it was; work goes on
// elsewhere.
func Test_R29_a_store_that_cannot_be_used_is_refused_and_left_alone(t *testing.T) {
	t.Parallel()
	noise := make([]byte, 4096)
	random := rand.New(rand.NewPCG(1, 2))
	for i := range noise {
		noise[i] = byte(random.Uint32())
	}
	for name, c := range map[string]struct {
		damage func(w *world, file []byte) []byte
		says   []string
	}{
		"random bytes in the header": {func(_ *world, f []byte) []byte { copy(f, noise[:100]); return f }, []string{"store is corrupt", "Nothing was changed"}},
		"another file altogether":    {func(*world, []byte) []byte { return bytes.Repeat([]byte("this is a letter\n"), 500) }, []string{"store is corrupt", "Nothing was changed"}},
		"half of it is missing":      {func(_ *world, f []byte) []byte { return f[:len(f)/2] }, []string{"store is corrupt", "Nothing was changed"}},
		"its last page is missing":   {func(_ *world, f []byte) []byte { return f[:len(f)-4096] }, []string{"store is corrupt", "Nothing was changed"}},
		"its first page is noise":    {func(_ *world, f []byte) []byte { copy(f[100:], noise); return f }, []string{"store is corrupt", "Nothing was changed"}},
		"a newer version": {func(w *world, _ []byte) []byte {
			w.database(func(db *sql.DB) error { _, err := db.Exec("PRAGMA user_version=99"); return err })
			return w.file()
		}, []string{"schema is version 99", "newer version"}},
		"a database of another program": {func(w *world, _ []byte) []byte {
			w.database(func(db *sql.DB) error { _, err := db.Exec("PRAGMA application_id=1"); return err })
			return w.file()
		}, []string{"another program"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := kept(t)
			w.broken = true
			damaged := c.damage(w, w.file())
			w.setFile(damaged)
			for _, args := range [][]string{{"run", "go"}, {"resume"}, {"resume", "last", "on"}, {"sessions"}, {"sessions", "show"}, {"run", "--json", "go"}} {
				r := w.rkat(1, c.says, args...)
				if !strings.Contains(r.Stderr, w.Database()) || !strings.Contains(r.Stderr, "RKAT_STATE_DIR") && !strings.Contains(r.Stderr, "later one") {
					t.Errorf("it does not say which file, and what to do\n%s", r)
				}
			}
			if r := w.Rkat("doctor"); r.Exit != 1 || !strings.Contains(r.Stdout, c.says[0]) {
				t.Errorf("doctor says\n%s", r)
			}
			if now := w.file(); !bytes.Equal(now, damaged) {
				t.Error("the file was changed")
			}
			if w.requests() != 1 {
				t.Errorf("%d requests", w.requests())
			}
			w.Env["RKAT_STATE_DIR"] = filepath.Join(w.Dir, "elsewhere")
			w.answered(w.Rkat("run", "go"), "Fine.")
		})
	}
}

// Damage in the middle of the file may be out of sight for a while. Whoever meets it says so, and doctor finds it.
func Test_damage_in_the_middle_of_the_store_is_found_by_doctor_and_never_passed_over(t *testing.T) {
	t.Parallel()
	w := kept(t)
	w.broken = true
	data := w.file()
	for at := 4096; at < len(data); at += 4096 {
		copy(data[at:], bytes.Repeat([]byte{0xa5}, 4096))
	}
	w.setFile(data)
	for _, args := range [][]string{{"run", "go"}, {"sessions"}, {"resume", "last", "on"}} {
		w.rkat(1, []string{"store is corrupt", "Nothing was changed"}, args...)
	}
	if r := w.Rkat("doctor"); r.Exit != 1 || !strings.Contains(r.Stdout, "store is corrupt") {
		t.Errorf("doctor says\n%s", r)
	}
}

func Test_doctor_finds_damage_wherever_it_is(t *testing.T) {
	t.Parallel()
	w := kept(t)
	w.broken = true
	whole := w.file()
	if r := w.Rkat("doctor"); r.Exit != 0 || !strings.Contains(r.Stdout, "1 session") {
		t.Errorf("of a whole store doctor says\n%s", r)
	}
	found, pages := 0, 0
	for at := 4096; at < len(whole); at += 4096 {
		damaged := bytes.Clone(whole)
		copy(damaged[at:], bytes.Repeat([]byte{0xa5}, 64)) // where a page says what it is
		w.setFile(damaged)
		pages++
		if r := w.Rkat("doctor"); r.Exit == 1 && (strings.Contains(r.Stdout, "store is corrupt") || strings.Contains(r.Stdout, "free pages are damaged")) {
			found++
		}
		if !bytes.Equal(w.file(), damaged) {
			t.Errorf("doctor changed the file")
		}
	}
	if found != pages || pages == 0 {
		t.Errorf("of %d damaged pages doctor found %d", pages, found)
	}
}

func Test_an_empty_file_is_a_store_that_was_never_begun(t *testing.T) {
	t.Parallel()
	w := kept(t)
	w.setFile(nil)
	w.answered(w.Rkat("run", "go"), "Fine.")
	w.show()
}

func Test_a_folder_where_the_store_should_be(t *testing.T) {
	t.Parallel()
	w := scripted(t)
	w.broken = true
	if err := os.MkdirAll(w.Database(), 0o700); err != nil {
		t.Fatal(err)
	}
	w.rkat(1, []string{w.Database(), "folder"}, "run", "go")
}

func Test_a_state_folder_that_is_a_file(t *testing.T) {
	t.Parallel()
	w := scripted(t)
	if err := os.WriteFile(w.State, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.rkat(2, []string{w.State, "RKAT_STATE_DIR"}, "run", "go")
}

// ordinary runs a command as a user whom modes bind: another one if the test is root.
func (w *world) ordinary(args ...string) programs.Result {
	w.t.Helper()
	return w.Run(func(c *exec.Cmd) { bind(c) }, args...).Wait()
}

func Test_a_state_folder_that_cannot_be_written_is_named_before_anything_is_asked(t *testing.T) {
	t.Parallel()
	w := scripted(t)
	w.open()
	closed := filepath.Join(w.Dir, "closed")
	if err := os.Mkdir(closed, 0o555); err != nil {
		t.Fatal(err)
	}
	w.Env["RKAT_STATE_DIR"] = filepath.Join(closed, "state")
	w.held(w.ordinary("run", "go"), 2, closed, "permission denied", "RKAT_STATE_DIR", "--state-root")
	w.held(w.ordinary("run", "--model", "offline", "go"), 2, closed, "permission denied")
	if r := w.ordinary("doctor"); r.Exit != 1 || !strings.Contains(r.Stdout, "permission denied") {
		t.Error(r)
	}
	if w.requests() != 0 {
		t.Errorf("%d requests", w.requests())
	}
}

func Test_a_store_that_may_only_be_read_is_refused_for_work(t *testing.T) {
	t.Parallel()
	w := kept(t)
	w.open()
	for path, mode := range map[string]fs.FileMode{w.Database(): 0o444, filepath.Dir(w.Database()): 0o777, w.State: 0o777} {
		if err := os.Chmod(path, mode); err != nil {
			t.Fatal(err)
		}
	}
	before := w.file()
	w.held(w.ordinary("run", "go"), 1, w.Database(), "RKAT_STATE_DIR")
	if !bytes.Equal(before, w.file()) {
		t.Error("it was changed")
	}
	if err := os.Chmod(w.Database(), 0o600); err != nil {
		t.Fatal(err)
	}
	w.answered(w.Rkat("resume", "last", "on"), "Fine.")
}

// open lets others look into this world's folders.
func (w *world) open() {
	w.t.Helper()
	for dir := w.Dir; dir != filepath.Clean(os.TempDir()) && dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o755); err != nil {
			w.t.Fatal(err)
		}
	}
	if err := os.Chmod(w.Workspace, 0o755); err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.t.Fatal(err)
	}
}
