package faults

import (
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// terminal opens a pseudo-terminal: what a program sees, and what a person would.
func terminal(t *testing.T) (program, person *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { person.Close() })
	n, err := unix.IoctlGetInt(int(person.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(person.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		program, err = os.OpenFile("/dev/pts/"+strconv.Itoa(n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Fatal(err)
	}
	return program, person
}

// onTerminal runs rkat with a terminal for both its outputs and returns what the terminal got.
func (w *world) onTerminal(args ...string) string {
	w.t.Helper()
	program, person := terminal(w.t)
	p := w.Run(func(c *exec.Cmd) { c.Stdout, c.Stderr = program, program }, args...)
	program.Close()
	var got []byte
	var reading sync.WaitGroup
	reading.Go(func() { got, _ = io.ReadAll(person) }) // it ends with an error when the last writer has left
	if r := p.Wait(); r.Exit != 0 {
		w.t.Errorf("rkat %q ended with %d", args, r.Exit)
	}
	reading.Wait()
	return string(got)
}

// What a model, a tool or a file says is shown, never obeyed.
func Test_no_words_of_a_model_or_a_tool_steer_the_terminal(t *testing.T) {
	t.Parallel()
	const hostile = `one\u001b[31;7mtwo\u001b]0;three\u0007\u001bP1q\u009b2Jfour\u0008\u0008\u007f\u202efive\rsix\u001b]52;c;Zm9v\u0007`
	w := scripted(t, `{"when": {"results_since_user": 0}, "reply": {"text": "`+hostile+`", "reasoning": "`+hostile+`", "chunks": 40,
		"tool_calls": [{"id": "c1", "name": "shell", "args": {"command": "printf '`+hostile+`'"}}, {"id": "c2", "name": "x`+hostile+`", "args": {"path": "`+hostile+`"}}]}}`,
		`{"when": {"results_since_user": 2}, "times": 1, "reply": {"status": 500, "error": {"type": "api_error", "message": "`+hostile+`"}}}`,
		`{"reply": {"text": "# `+hostile+`\n\n* `+hostile+`\n\n`+"```"+hostile+`\n`+hostile+`\n`+"```"+`\n", "chunks": 60}}`)
	w.Env["TERM"] = "xterm-256color"
	for _, args := range [][]string{{"run", "--tools", "full", "go"}, {"run", "--tools", "full", "-v", "go"}, {"run", "--tools", "full", "--json", "go"},
		{"sessions"}, {"sessions", "show", "--full"}, {"sessions", "show", "--events"}, {"sessions", "show", "--effects"}, {"sessions", "show", "--json"}} {
		got := w.onTerminal(args...)
		if args[0] == "run" && !strings.Contains(got, "four") {
			t.Errorf("%q does not show the text: %q", args, got)
		}
		for _, sequence := range []string{"\x1b[31;7m", "\x1b]", "\x1bP", "\u009b", "\x9b2J", "\x07", "\b", "\x7f", "\u202e", "five\rsix"} {
			if strings.Contains(got, sequence) {
				t.Errorf("%q sends %q to the terminal", args, sequence)
			}
		}
	}
}
