package faults

import (
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/internal/programs"
)

// stdin gives a command an input.
func stdin(r io.Reader) func(*exec.Cmd) { return func(c *exec.Cmd) { c.Stdin = r } }

// endless is an input that never ends.
type endless struct{}

func (endless) Read(p []byte) (int, error) {
	return copy(p, bytes.Repeat([]byte("and so on "), len(p)/10+1)), nil
}

func Test_a_prompt_that_is_none_is_wrong_use_and_leaves_no_session(t *testing.T) {
	t.Parallel()
	w := scripted(t)
	for _, args := range [][]string{{"run"}, {"run", ""}, {"run", " \n\t"}} {
		w.rkat(2, []string{"there is no prompt", "rkat run"}, args...)
	}
	w.rkat(2, []string{"prompt is empty"}, "resume", "last", "")
	w.held(w.Run(stdin(strings.NewReader("  \n")), "run").Wait(), 2, "there is no prompt")
	w.held(w.Run(stdin(strings.NewReader("a\x00b")), "run", "look").Wait(), 2, "byte 2 is zero", "Name a binary file")
	w.held(w.Run(stdin(strings.NewReader("caf\xe9")), "run", "look").Wait(), 2, "UTF-8", "Convert it")
	w.held(w.Run(stdin(bytes.NewReader(make([]byte, 10_000_000))), "run", "look").Wait(), 2, "Nothing was sent or written")
	w.held(w.Run(stdin(endless{}), "run", "look").Wait(), 2, "8 MiB", "Put the text into a file")
	w.nothing()
}

// nothing holds that there is no session and that no model was asked.
func (w *world) nothing() {
	w.t.Helper()
	if r := w.rkat(0, nil, "sessions"); !strings.Contains(r.Stdout, "No sessions") || w.requests() != 0 {
		w.t.Errorf("%d requests, and sessions\n%s", w.requests(), r)
	}
}

func Test_a_prompt_of_some_megabytes_arrives_whole(t *testing.T) {
	t.Parallel()
	w := scripted(t)
	text := strings.Repeat("0123456789abcde\n", 7<<20/16)
	w.answered(w.Run(stdin(strings.NewReader(text)), "run", "summarise").Wait(), "Fine.")
	data, err := os.ReadFile(w.Log)
	if err != nil {
		t.Fatal(err)
	}
	if got := bytes.Count(data, []byte(`0123456789abcde\\n`)) + bytes.Count(data, []byte(`0123456789abcde\n`)); got < 7<<20/16 {
		t.Errorf("%d lines arrived", got)
	}
	w.answered(w.Rkat("resume", "last", "and now"), "Fine.")
}

func Test_a_closed_standard_input_is_no_input(t *testing.T) {
	t.Parallel()
	w := scripted(t)
	w.answered(w.shell(`exec "$0" run go <&-`), "Fine.")
}

// shell runs a line of shell in this world; $0 is rkat.
func (w *world) shell(line string) programs.Result {
	w.t.Helper()
	return w.Run(func(c *exec.Cmd) {
		rkat := c.Path
		c.Path, c.Args = "/bin/sh", []string{"sh", "-c", line, rkat}
	}, "run").Wait()
}

func Test_an_input_that_does_not_come_is_asked_for_and_can_be_given_up(t *testing.T) {
	t.Parallel()
	w := scripted(t)
	r, open, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	defer r.Close()
	p := w.Run(stdin(r), "run", "go")
	p.Await("Waiting for the end of standard input. (To go without it: --stdin off)")
	p.Signal(os.Interrupt)
	w.held(p.Wait(), 130)
	w.nothing()
	w.answered(w.Run(stdin(r), "run", "--stdin", "off", "go").Wait(), "Fine.")
}

func Test_an_answer_that_nobody_reads_is_kept(t *testing.T) {
	t.Parallel()
	long := `{"reply": {"text": "` + strings.Repeat(`0123456789\n`, 20_000) + `", "chunks": 200}}`
	for name, line := range map[string]string{
		"a pipe that is closed":               `"$0" run go | true`,
		"a pipe that is closed in the middle": `"$0" run go | head -1`,
		"the same while it streams":           `"$0" run --stream go | head -1`,
		"standard output is closed":           `"$0" run go >&-`,
		"both are closed":                     `"$0" run go >&- 2>&-`,
		"JSON into a pipe that is closed":     `"$0" run --json go | head -1`,
		"standard error is a full disk":       `"$0" run go 2>/dev/full; true`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := scripted(t, `{"times": 1, `+long[1:])
			if r := w.shell(line); strings.Contains(r.Stderr, "goroutine") || r.Exit != 0 {
				t.Error(r)
			}
			if s := w.show(); s.Unfinished {
				w.rkat(0, nil, "resume")
			}
			if s := w.show(); s.Unfinished || s.roles() != "system user block_assistant" || w.requests() > 2 {
				t.Errorf("the session holds %q, unfinished %v, after %d requests", s.roles(), s.Unfinished, w.requests())
			}
		})
	}
	t.Run("a full disk", func(t *testing.T) {
		t.Parallel()
		w := scripted(t)
		r := w.shell(`exec "$0" run go >/dev/full`)
		w.held(r, 1, "cannot be written", "no space left", "rkat sessions show last")
		if s := w.show(); s.roles() != "system user block_assistant" {
			t.Errorf("the session holds %q", s.roles())
		}
	})
}

func Test_a_session_that_is_not_there_is_named_with_those_near_it(t *testing.T) {
	t.Parallel()
	w := scripted(t)
	w.rkat(1, []string{"no sessions of", "rkat run"}, "resume")
	w.rkat(1, []string{"no sessions of"}, "sessions", "show", "last")
	w.answered(w.Rkat("run", "go"), "Fine.")
	id := w.show().ID
	for _, c := range [][]string{
		{"resume", "01234567-89ab"}, {"resume", "01234567-89ab-7def-8123-456789abcdef", "go on"}, {"sessions", "show", "nonesuch"},
		{"run", "--resume=01234567-89ab", "go on"}, {"resume", "~7"}, {"sessions", "show", "../../etc/passwd"}, {"sessions", "show", "%"},
		{"sessions", "show", "x' OR '1'='1"},
	} {
		w.rkat(1, []string{"there is no session", "rkat sessions"}, c...)
	}
	w.rkat(1, []string{"there is no session", "Did you mean " + id[:13]}, "resume", id[:12]+flip(id[12:13]))
	if w.requests() != 1 {
		t.Errorf("%d requests", w.requests())
	}
}

// flip is another hexadecimal digit.
func flip(digit string) string {
	if digit == "0" {
		return "1"
	}
	return "0"
}

func Test_places_that_are_not_there(t *testing.T) {
	t.Parallel()
	w := scripted(t)
	w.rkat(2, []string{"does not exist", "--workspace"}, "run", "-C", "nowhere", "go")
	w.Write("file", "x")
	w.rkat(2, []string{"is not a folder", "--workspace"}, "run", "-C", "file", "go")
	w.held(w.shell(`d=$(mktemp -d); cd "$d"; rmdir "$d"; exec "$0" run go`), 2, "working folder", "does not exist")
	w.rkat(2, []string{"not a name for a realm"}, "run", "-r", "../up", "go")
	delete(w.Env, "HOME")
	w.answered(w.Rkat("run", "go"), "Fine.") // RKAT_STATE_DIR says where
	delete(w.Env, "RKAT_STATE_DIR")
	w.rkat(2, []string{"HOME is not set", "RKAT_STATE_DIR"}, "run", "go")
	w.Env["HOME"] = "relative"
	w.rkat(2, []string{"HOME", "RKAT_STATE_DIR"}, "run", "go")
}

func Test_a_session_whose_workspace_is_gone_is_not_gone_on_with_elsewhere(t *testing.T) {
	t.Parallel()
	w := scripted(t)
	w.answered(w.Rkat("run", "go"), "Fine.")
	if err := os.Rename(w.Workspace, filepath.Join(w.Dir, "moved")); err != nil {
		t.Fatal(err)
	}
	there := func(c *exec.Cmd) { c.Dir = w.Dir }
	w.held(w.Run(there, "resume", "last", "go on").Wait(), 1, w.Workspace, "does not exist", "again")
	if err := os.Rename(filepath.Join(w.Dir, "moved"), w.Workspace); err != nil {
		t.Fatal(err)
	}
	w.answered(w.Run(there, "resume", "last", "go on").Wait(), "Fine.")
	if w.requests() != 2 {
		t.Errorf("%d requests", w.requests())
	}
}

func Test_the_words_of_a_hostile_model_do_not_steer_what_they_are_piped_into_as_JSON(t *testing.T) {
	t.Parallel()
	const words = `a\u001b[31mred\u001b]0;title\u0007\u0000\u007f\u009b31mB\u202eC\rD`
	w := scripted(t, `{"when": {"results_since_user": 0}, "reply": {"text": "`+words+`",
		"tool_calls": [{"id": "c\u001b[1m", "name": "x\u001b[2J\u009b2J", "args": {"path": "\u001b[3m\u009b3m"}}]}}`, `{"reply": {"text": "`+words+`"}}`)
	for _, args := range [][]string{{"run", "--json", "go"}, {"run", "-v", "--quiet=false", "--json", "go"}, {"sessions", "show", "--json"},
		{"sessions", "show", "--events"}, {"sessions", "show", "--effects"}, {"sessions", "show", "--full"}, {"sessions"}, {"sessions", "--json"}} {
		r := w.rkat(0, nil, args...)
		for _, c := range []string{"\x1b", "\x07", "\x00", "\x7f", "\u009b", "\r"} {
			if strings.Contains(r.Stdout+r.Stderr, c) {
				t.Errorf("%q prints %q", args, c)
			}
		}
	}
}
