//go:build unix

package builtin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/transcript"
)

// fifo makes a named pipe in the workspace: whoever writes to it is known to have come that far.
func (d *desk) fifo(name string) {
	d.t.Helper()
	if err := syscall.Mkfifo(d.path(name), 0o600); err != nil {
		d.t.Fatal(err)
	}
}

// next reads a line from a named pipe, waiting until somebody writes it.
func (d *desk) next(name string) string {
	d.t.Helper()
	f, err := os.Open(d.path(name))
	if err != nil {
		d.t.Fatal(err)
	}
	defer f.Close()
	line, err := bufio.NewReader(f).ReadString('\n')
	if err != nil {
		d.t.Fatalf("nothing was written to %s: %v", name, err)
	}
	return strings.TrimSpace(line)
}

// gone waits until a process has ended. A killed process that nobody has reaped yet has ended.
func gone(t *testing.T, pid string) {
	t.Helper()
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatalf("pid %q: %v", pid, err)
	}
	poll := time.NewTicker(2 * time.Millisecond) // the system does not tell the end of a process that is not a child
	defer poll.Stop()
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); <-poll.C {
		if err := syscall.Kill(n, 0); errors.Is(err, syscall.ESRCH) {
			return
		}
		if stat, err := os.ReadFile("/proc/" + pid + "/stat"); err == nil && strings.Contains(string(stat), ") Z ") {
			return
		}
	}
	t.Errorf("process %s is still there", pid)
}

func Test_shell_tells_exit_code_and_both_streams(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "full")
	text := d.ok("shell", args{"command": "echo out; echo err >&2; exit 3"})
	contains(t, text, "exit_code: 3\ntimed_out: false\n", "stdout:\nout\n", "stderr:\nerr\n")
	contains(t, d.ok("shell", args{"command": "true"}), "exit_code: 0\n", "stdout: (empty)\nstderr: (empty)\n")
	contains(t, d.ok("shell", args{"command": "kill -9 $$"}), "exit_code: none (signal: killed)\n")
	contains(t, d.ok("shell", args{"command": "no-such-program-here"}), "exit_code: 127\n")
	contains(t, d.ok("shell", args{"command": "cat; echo ended"}), "ended") // no input
}

func Test_shell_runs_where_it_is_told(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "full")
	d.put("sub/x", "")
	contains(t, d.ok("shell", args{"command": "pwd"}), d.dir+"\n")
	contains(t, d.ok("shell", args{"command": "pwd", "working_dir": "sub"}), d.path("sub")+"\n")
	d.refused("shell", args{"command": "pwd", "working_dir": "sub/x"}, "not a folder")
	d.refused("shell", args{"command": "pwd", "working_dir": "sup"}, "not found", "sub")
	d.refused("shell", args{"command": "a\x00b"}, "NUL")
}

func Test_a_confined_shell_does_not_start_outside(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "safe")
	d.link(d.outside(), "away")
	f, err := openFolder(d.dir, true)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"..", "/", "away"} {
		a, err := json.Marshal(args{"command": "pwd", "working_dir": dir})
		if err != nil {
			t.Fatal(err)
		}
		r, err := shell(f, Options{Shell: "sh"}).Run(t.Context(), tool.Call{Args: a})
		if err != nil || !r.IsError || !strings.Contains(r.Content.Plain(), "outside the workspace") {
			t.Errorf("%s: %+v, %v", dir, r, err)
		}
	}
}

func Test_shell_passes_no_secrets_and_names_the_call(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	tools, err := New(Options{Preset: "full", Workspace: dir, Shell: "sh", Env: []string{"PATH=" + os.Getenv("PATH"), "HOME=/home/somebody",
		"OPENAI_API_KEY=s1", "OPENAI_BASE_URL=kept1", "ANTHROPIC_API_KEY=s2", "ANTHROPIC_AUTH_TOKEN=s3", "GEMINI_API_KEY=s4", "GOOGLE_API_KEY=s5",
		"RKAT_ANYTHING=s6", "rkat_lower=s7", "HF_TOKEN=s8", "AZURE_OPENAI_API_KEY=s9", "GITHUB_TOKEN=kept2", "CLAUDE_CODE_OAUTH_TOKEN=s0"}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := tool.NewRegistry(tool.Limits{}, tools...)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Run(t.Context(), tool.Call{ID: "call-77", Name: "shell", Args: json.RawMessage(`{"command":"env"}`)})
	if err != nil {
		t.Fatal(err)
	}
	text := got.Content.Plain()
	contains(t, text, "HOME=/home/somebody", "kept1", "kept2", "RKAT_TOOL_CALL_ID=call-77\n")
	for i := range 10 {
		if strings.Contains(text, fmt.Sprintf("=s%d", i)) {
			t.Errorf("secret %d is in the environment:\n%s", i, text)
		}
	}
}

func Test_shell_adds_what_a_session_was_given_to_its_environment(t *testing.T) {
	t.Parallel()
	tools, err := New(Options{Preset: "full", Workspace: t.TempDir(), Shell: "sh", Env: []string{"PATH=" + os.Getenv("PATH"), "WHO=realm"},
		Extra: map[string]string{"WHO": "session", "OPENAI_API_KEY": "on purpose", "RKAT_TOOL_CALL_ID": "no"}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := tool.NewRegistry(tool.Limits{}, tools...)
	if err != nil {
		t.Fatal(err)
	}
	got, err := r.Run(t.Context(), tool.Call{ID: "c1", Name: "shell", Args: json.RawMessage(`{"command":"env"}`)})
	if err != nil {
		t.Fatal(err)
	}
	text := got.Content.Plain()
	contains(t, text, "WHO=session\n", "OPENAI_API_KEY=on purpose\n", "RKAT_TOOL_CALL_ID=c1\n")
	if strings.Contains(text, "WHO=realm") {
		t.Error(text)
	}
}

func Test_huge_output_is_read_in_bounded_memory_and_its_end_is_kept(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "full")
	text := d.ok("shell", args{"command": "head -c 100000000 /dev/zero | tr '\\0' 'x'; echo; echo the end; yes e | head -c 30000000 >&2"})
	contains(t, text, "exit_code: 0", "of 100,000,009 bytes are cut", "xxx\nthe end\n", "of 30,000,000 bytes are cut", "e\ne\n")
	if strings.Contains(text, "cut here") {
		t.Error("the registry had to cut what the shell had cut already")
	}
}

func Test_binary_output_is_described_and_odd_bytes_are_flagged(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "full")
	contains(t, d.ok("shell", args{"command": "head -c 5000 /dev/zero"}), "[binary output, 5,000 bytes, not shown]")
	contains(t, d.ok("shell", args{"command": `printf 'a long enough caf\351 text'`}), "[not valid UTF-8: 1 bytes are shown as \uFFFD]", "caf\uFFFD text")
	contains(t, d.ok("shell", args{"command": `printf 'grüße 世界'`}), "stdout:\ngrüße 世界\n")
}

func Test_a_timeout_ends_a_group_that_ignores_being_asked(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "full")
	d.fifo("pids")
	pids := make(chan string, 1)
	go func() { pids <- d.next("pids") }()
	r := d.call("shell", args{"timeout_secs": 1,
		"command": `trap '' TERM; (trap '' TERM; sh -c 'trap "" TERM; sleep 1000 & echo $$ $! > pids; echo began; wait') & wait; sleep 1000`})
	if !r.IsError || r.Code != transcript.ResultTimeout {
		t.Errorf("code %q, error %v", r.Code, r.IsError)
	}
	contains(t, r.Content.Plain(), "exit_code: none\ntimed_out: true", "began\n")
	for pid := range strings.FieldsSeq(<-pids) {
		gone(t, pid)
	}
}

func Test_a_timeout_lets_a_command_tidy_up(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "full")
	text := d.call("shell", args{"timeout_secs": 1, "command": `trap 'echo tidy > tidied; exit' TERM; sleep 1000 & wait`}).Content.Plain()
	contains(t, text, "timed_out: true")
	if d.read("tidied") != "tidy\n" {
		t.Error("it could not tidy up")
	}
}

// cancelled runs a command that writes pids to the FIFO "pids", cancels it then, and returns the pids.
func (d *desk) cancelled(command string) string {
	d.t.Helper()
	d.fifo("pids")
	a, err := json.Marshal(args{"command": command, "timeout_secs": 600})
	if err != nil {
		d.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(d.t.Context())
	defer cancel()
	ended := make(chan error)
	go func() {
		_, err := d.registry.Run(ctx, tool.Call{ID: "c", Name: "shell", Args: a})
		ended <- err
	}()
	pids := d.next("pids")
	cancel()
	if err := <-ended; !errors.Is(err, context.Canceled) {
		d.t.Errorf("the error is %v", err)
	}
	if d.registry.Leaked() != 0 {
		d.t.Error("the call was left behind")
	}
	return pids
}

func Test_an_interrupt_kills_the_whole_group_at_once(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "full")
	for pid := range strings.FieldsSeq(d.cancelled(`trap '' TERM INT HUP; (trap '' TERM; sleep 1000) & sleep 1000 & echo $$ $! > pids; wait; sleep 1000`)) {
		gone(t, pid)
	}
}

func Test_an_interrupt_does_not_wait_for_a_stranger_who_holds_the_streams(t *testing.T) {
	t.Parallel()
	if runtime.GOOS != "linux" {
		t.Skip("setsid is a program of Linux")
	}
	d := newDesk(t, "full")
	// A daemon that leaves the session is out of reach; the call must return all the same.
	pid := d.cancelled(`setsid sh -c 'echo $$ > pids; exec sleep 1000' & wait`)
	n, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(n, syscall.SIGKILL); err != nil {
		t.Errorf("the daemon was expected to be alive: %v", err)
	}
	gone(t, pid)
}

func Test_background_processes_end_with_their_command(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "full")
	text := d.ok("shell", args{"command": `sleep 1000 & echo pid $!`})
	_, rest, ok := strings.Cut(text, "pid ")
	if !ok {
		t.Fatal(text)
	}
	pid, _, _ := strings.Cut(rest, "\n")
	gone(t, pid)
}

func Test_jobs_of_an_interactive_shell_end_too(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/proc/self/stat"); err != nil {
		t.Skip("no /proc here")
	}
	d := newDesk(t, "full")
	for pid := range strings.FieldsSeq(d.cancelled(`set -m; sleep 1000 & echo $! > pids; wait`)) {
		gone(t, pid)
	}
}

// Test_the_group_dies_with_a_killed_process runs this test binary as the process that is killed.
func Test_the_group_dies_with_a_killed_process(t *testing.T) {
	t.Parallel()
	if dir := os.Getenv("MEERKAT_TEST_VICTIM"); dir != "" {
		d := deskAt(t, "full", dir)
		d.ok("shell", args{"command": `(trap '' TERM; sleep 1000) & sleep 1000 & echo $$ $! > pids; wait`, "timeout_secs": 600})
		return
	}
	d := newDesk(t, "full")
	d.fifo("pids")
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	victim := exec.Command(self, "-test.run=^Test_the_group_dies_with_a_killed_process$")
	victim.Env = append(os.Environ(), "MEERKAT_TEST_VICTIM="+d.dir)
	victim.Dir = t.TempDir()
	if err := victim.Start(); err != nil {
		t.Fatal(err)
	}
	pids := d.next("pids")
	if err := victim.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = victim.Wait() // it was killed; that is its error
	for pid := range strings.FieldsSeq(pids) {
		gone(t, pid)
	}
}

func Test_the_shell_is_the_users_unless_that_is_none(t *testing.T) {
	t.Parallel()
	sh, err := exec.LookPath("sh")
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(t.TempDir(), "own")
	if err := os.WriteFile(own, []byte("#!/bin/sh\nexit 9\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	for env, want := range map[string]string{"SHELL=" + own: own, "SHELL=/usr/sbin/nologin": sh, "SHELL=/bin/false": sh, "SHELL=": sh, "SHELL=/no/such/shell": sh, "X=y": sh} {
		if got, err := findShell("", []string{env}); err != nil || got != want {
			t.Errorf("%s: %s, %v; want %s", env, got, err, want)
		}
	}
	if _, err := findShell("/no/such/shell", nil); err == nil || !strings.Contains(err.Error(), "/no/such/shell") {
		t.Errorf("a shell that was asked for and is missing: %v", err)
	}
}

func Test_pipes_and_devices_do_not_hang_a_tool(t *testing.T) {
	t.Parallel()
	d := newDesk(t, "full")
	if err := syscall.Mkfifo(d.path("pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, a := range []args{{"path": "pipe"}, {"path": "/dev/zero"}} {
		d.refused("read_file", a, "not a file")
		a["pattern"] = "x"
		d.refused("search", a, "not")
	}
	d.refused("write_file", args{"path": "pipe", "content": "x"}, "a named pipe")
	d.refused("edit_file", args{"path": "pipe", "old_string": "x", "new_string": "y"}, "a named pipe")
	contains(t, d.ok("search", args{"pattern": "x"}), "no match")
	contains(t, d.ok("list_dir", nil), "pipe (a named pipe)")
}

func Test_a_tail_keeps_the_end_however_it_is_written(t *testing.T) {
	t.Parallel()
	var whole strings.Builder
	tl := &tail{limit: 1000}
	for i := range 500 {
		part := strings.Repeat(string(rune('a'+i%26)), i%37+i%2*1100)
		whole.WriteString(part)
		if n, err := tl.Write([]byte(part)); n != len(part) || err != nil {
			t.Fatal(n, err)
		}
		kept, cut := tl.bytes()
		want := whole.String()[max(0, whole.Len()-1000):]
		if string(kept) != want || cut != int64(whole.Len()-len(want)) {
			t.Fatalf("after %d writes: %d bytes kept, %d cut of %d", i+1, len(kept), cut, whole.Len())
		}
	}
	wide := &tail{limit: 8}
	if _, err := wide.Write([]byte("世界世界")); err != nil {
		t.Fatal(err)
	}
	if got := wide.read(100); got.text != "世界" || got.cut != 6 || got.bad != 0 {
		t.Errorf("a character cut in two: %+v", got)
	}
	if got := wide.read(1); got.text != "界" || got.cut != 9 {
		t.Errorf("one character: %+v", got)
	}
}

func Benchmark_shell_true(b *testing.B) {
	tools, err := New(Options{Preset: "full", Workspace: b.TempDir(), Shell: "sh"})
	if err != nil {
		b.Fatal(err)
	}
	r, err := tool.NewRegistry(tool.Limits{}, tools...)
	if err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := r.Run(b.Context(), tool.Call{ID: "c", Name: "shell", Args: json.RawMessage(`{"command":"true"}`)}); err != nil {
			b.Fatal(err)
		}
	}
}

func Benchmark_interrupt_of_a_shell_with_children(b *testing.B) {
	dir := b.TempDir()
	tools, err := New(Options{Preset: "full", Workspace: dir, Shell: "sh"})
	if err != nil {
		b.Fatal(err)
	}
	r, err := tool.NewRegistry(tool.Limits{}, tools...)
	if err != nil {
		b.Fatal(err)
	}
	if err := syscall.Mkfifo(filepath.Join(dir, "began"), 0o600); err != nil {
		b.Fatal(err)
	}
	var took time.Duration
	worst := time.Duration(0)
	n := 0
	for b.Loop() {
		ctx, cancel := context.WithCancel(b.Context())
		ended := make(chan error)
		go func() {
			_, err := r.Run(ctx, tool.Call{ID: "c", Name: "shell", Args: json.RawMessage(`{"command":"trap '' TERM; sleep 1000 & echo > began; wait"}`)})
			ended <- err
		}()
		if _, err := os.ReadFile(filepath.Join(dir, "began")); err != nil {
			b.Fatal(err)
		}
		at := time.Now()
		cancel()
		<-ended
		took += time.Since(at)
		worst = max(worst, time.Since(at))
		n++
	}
	b.ReportMetric(float64(took.Microseconds())/float64(n), "µs/interrupt")
	b.ReportMetric(float64(worst.Microseconds()), "µs/worst")
}
