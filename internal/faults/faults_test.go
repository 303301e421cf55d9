package faults

import (
	"database/sql"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"

	_ "modernc.org/sqlite" // the database is looked at as a stranger would

	"github.com/meerkat-go/meerkat/internal/programs"
)

var built programs.Programs

// parallel is how many tests go on at once: most of their time they wait for a retry, a signal, another process.
const parallel = "8"

func TestMain(m *testing.M) {
	flag.Parse()
	if err := flag.Set("test.parallel", parallel); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(programs.Main(m, &built, programs.Unix...))
}

// world is a world whose outputs and whose state are held to what every output and every state must be.
type world struct {
	*programs.World
	t      *testing.T
	broken bool // the test broke the store: it is not expected to be whole in the end
}

func newWorld(t *testing.T) *world {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("signals, process groups and modes are those of Unix")
	}
	w := &world{World: built.NewWorld(t), t: t}
	t.Cleanup(w.look)
	return w
}

// scripted is a world with a model that plays rules, and then says "Fine.".
func scripted(t *testing.T, rules ...string) *world {
	t.Helper()
	w := newWorld(t)
	w.Model(`{"rules": [` + strings.Join(append(rules, `{"reply": {"text": "Fine."}}`), ",\n") + `]}`)
	return w
}

// look is what holds of every state folder when a test is over.
func (w *world) look() {
	err := filepath.WalkDir(w.State, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := os.ReadFile(path)
		if err == nil && strings.Contains(string(data), programs.Key) {
			w.t.Errorf("%s holds the key", path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.t.Error(err)
	}
	if _, err := os.Stat(w.Database()); err == nil && !w.broken {
		w.whole()
	}
}

// whole asks SQLite itself whether the database is.
func (w *world) whole() {
	w.t.Helper()
	w.database(func(db *sql.DB) error {
		var said string
		if err := db.QueryRow("PRAGMA integrity_check").Scan(&said); err != nil {
			return err
		}
		if said != "ok" {
			w.t.Errorf("the database is damaged: %s", said)
		}
		return nil
	})
}

// database works on the file with nothing of ours in between.
func (w *world) database(work func(*sql.DB) error) {
	w.t.Helper()
	db, err := sql.Open("sqlite", w.Database())
	if err == nil {
		err = errors.Join(work(db), db.Close())
	}
	if err != nil {
		w.t.Error(err)
	}
}

// rkat runs a command that must end with a code, say the wanted on standard error, and nothing that no user should see.
func (w *world) rkat(exit int, says []string, args ...string) programs.Result {
	w.t.Helper()
	return w.held(w.Rkat(args...), exit, says...)
}

// jargon is what tells a user nothing but that a programmer was here.
var jargon = regexp.MustCompile(`goroutine \d|panic|\.go:\d|0x[0-9a-f]{6}|nil pointer|context (canceled|deadline)|\bEOF\b|SQLITE_|\bfork/exec\b|getwd|` +
	`dial tcp|json: |strconv\.|%!|errno|exit status|broken pipe: broken`)

// held holds a result to what was expected of it and to what holds of all.
func (w *world) held(r programs.Result, exit int, says ...string) programs.Result {
	w.t.Helper()
	var wrong []string
	if r.Exit != exit {
		wrong = append(wrong, fmt.Sprintf("exit code %d, not %d", r.Exit, exit))
	}
	for _, s := range says {
		if !strings.Contains(r.Stderr, s) {
			wrong = append(wrong, fmt.Sprintf("standard error does not say %q", s))
		}
	}
	if strings.Contains(r.Stdout+r.Stderr, programs.Key[:12]) {
		wrong = append(wrong, "the key was printed")
	}
	if found := jargon.FindString(r.Stderr); found != "" {
		wrong = append(wrong, fmt.Sprintf("%q is no word for users", found))
	}
	errs := strings.Count("\n"+r.Stderr, "\nError: ")
	if failed := exit == 1 || exit == 2; failed && errs != 1 || !failed && errs != 0 {
		wrong = append(wrong, fmt.Sprintf("%d errors with exit code %d", errs, exit))
	}
	if len(wrong) > 0 {
		w.t.Errorf("%s\n%s", strings.Join(wrong, "; "), r)
	}
	return r
}

// answered holds a result to a success with an answer.
func (w *world) answered(r programs.Result, text string) {
	w.t.Helper()
	if w.held(r, 0); r.Stdout != text+"\n" {
		w.t.Errorf("the answer is not %q\n%s", text, r)
	}
}

// said is the last session of a world, as rkat sessions show tells it.
type said struct {
	ID         string `json:"session_id"`
	Unfinished bool   `json:"unfinished"`
	Messages   []struct {
		Role  string `json:"role"`
		Entry struct {
			Code    string          `json:"code"`
			Content json.RawMessage `json:"content"` // text, or blocks
		} `json:"entry"`
	} `json:"messages"`
}

func (w *world) show() said {
	w.t.Helper()
	r := w.rkat(0, nil, "sessions", "show", "last", "--json")
	var s said
	if err := json.Unmarshal([]byte(r.Stdout), &s); err != nil {
		w.t.Fatalf("sessions show: %v\n%s", err, r)
	}
	return s
}

// roles is the conversation in one line.
func (s said) roles() string {
	var out []string
	for _, m := range s.Messages {
		out = append(out, m.Role)
	}
	return strings.Join(out, " ")
}

// result is the code and the text of the n-th tool result.
func (s said) result(n int) (code, text string) {
	for _, m := range s.Messages {
		if m.Role != "tool_result" {
			continue
		}
		if n--; n < 0 {
			if json.Unmarshal(m.Entry.Content, &text) != nil {
				text = string(m.Entry.Content)
			}
			return m.Entry.Code, text
		}
	}
	return "", ""
}

// requests counts what the model was asked.
func (w *world) requests() int {
	w.t.Helper()
	data, err := os.ReadFile(w.Log)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		w.t.Fatal(err)
	}
	return strings.Count(string(data), "\n")
}
