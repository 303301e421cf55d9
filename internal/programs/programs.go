// Package programs runs the real programs for tests: it builds them once, gives each test a world of its own to run them in, and
// starts the fake model as a process.
//
// A world has a home, a workspace and a state folder under the test's temporary folder, and an environment that holds nothing of the
// caller's but PATH. Everything a world started has ended when its test ends.
package programs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
)

// Key is the API key that each world is configured with. It must not turn up in anything that is printed or stored.
const Key = "sk-test-0123456789-do-not-print"

// Limit is how long a program may take before a test gives it up. It only bounds a test that hangs.
const Limit = time.Minute

// Programs is the folder with the built programs.
type Programs string

// Build compiles commands of this module, named by their folders, into a new temporary folder. Remove it with Remove.
func Build(commands ...string) (Programs, error) {
	dir, err := os.MkdirTemp("", "rkat-programs-")
	if err != nil {
		return "", err
	}
	// Tests run them as other users too.
	if err := os.Chmod(dir, 0o755); err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	for _, c := range commands {
		out, err := exec.Command("go", "build", "-o", dir, "github.com/meerkat-go/meerkat/"+c).CombinedOutput()
		if err != nil {
			return "", errors.Join(fmt.Errorf("build %s: %w\n%s", c, err, out), os.RemoveAll(dir))
		}
	}
	return Programs(dir), nil
}

// Remove deletes the programs.
func (p Programs) Remove() error { return os.RemoveAll(string(p)) }

// Path returns the path of a program.
func (p Programs) Path(name string) string { return filepath.Join(string(p), name) }

// World is a place to run rkat in: one workspace, one state folder, one model.
type World struct {
	Dir       string            // everything of this world is below it
	Workspace string            // the working folder
	State     string            // of all realms
	Log       string            // what the model was asked, a line for each request
	Env       map[string]string // the whole environment; a test may change it

	t        testing.TB
	programs Programs
}

// NewWorld makes a world with an empty workspace and no model.
func (p Programs) NewWorld(t testing.TB) *World {
	t.Helper()
	dir := t.TempDir()
	w := &World{Dir: dir, Workspace: filepath.Join(dir, "work"), State: filepath.Join(dir, "state"), Log: filepath.Join(dir, "requests.jsonl"),
		t: t, programs: p}
	w.Env = map[string]string{"PATH": os.Getenv("PATH"), "HOME": dir, "RKAT_STATE_DIR": w.State, "RKAT_REALM": "r", "RKAT_NO_PROBE": "1"}
	if err := os.Mkdir(w.Workspace, 0o700); err != nil {
		t.Fatal(err)
	}
	return w
}

// Database is the path of the file that holds the sessions.
func (w *World) Database() string { return filepath.Join(w.State, "r", "sessions.sqlite3") }

// Write makes a file of the workspace.
func (w *World) Write(name, text string) {
	w.t.Helper()
	if err := os.WriteFile(filepath.Join(w.Workspace, name), []byte(text), 0o600); err != nil {
		w.t.Fatal(err)
	}
}

// Model starts the fake model with a script in its JSON form, configures rkat for it, and returns its address.
func (w *World) Model(script string) string {
	w.t.Helper()
	file := filepath.Join(w.Dir, "script.json")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, w.programs.Path("fakemodel"), "-script", file, "-log", w.Log)
	var complaint strings.Builder
	cmd.Stderr = &complaint
	out, err := cmd.StdoutPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		cancel()
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		cancel()
		_ = cmd.Wait() // it says that it was killed
	})
	var url string
	if _, err := fmt.Fscanln(out, &url); err != nil {
		cancel()
		_ = cmd.Wait() // so that what it complained of is all there
		w.t.Fatalf("the fake model: %v\n%s", err, complaint.String())
	}
	w.Env["OPENAI_BASE_URL"], w.Env["OPENAI_API_KEY"] = url+"/v1", Key
	return url
}

// Command makes a command that runs rkat in this world. It is killed when ctx ends.
func (w *World) Command(ctx context.Context, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, w.programs.Path("rkat"), args...)
	cmd.Dir, cmd.WaitDelay = w.Workspace, 5*time.Second
	cmd.Env = []string{} // an empty one, where nil would be the caller's
	for k, v := range w.Env {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	return cmd
}

// Result is what a program said and how it ended.
type Result struct {
	Args           []string
	Stdout, Stderr string
	Exit           int // -1: a signal ended it
}

// String is for messages of tests.
func (r Result) String() string {
	return fmt.Sprintf("rkat %q ended with %d\n--- stdout\n%s\n--- stderr\n%s", r.Args, r.Exit, excerpt(r.Stdout), excerpt(r.Stderr))
}

func excerpt(s string) string {
	const most = 4000
	if len(s) <= most {
		return s
	}
	return fmt.Sprintf("%s\n[%d bytes more]", s[:most], len(s)-most)
}

// Rkat runs rkat to its end without input.
func (w *World) Rkat(args ...string) Result {
	w.t.Helper()
	p := w.Start(args...)
	return p.Wait()
}

// Main builds the program and a scripted model, runs the tests of a package with them, and removes them again: for its TestMain, which exits with the
// code. Where the system is none of those named, nothing is built and the tests are to skip themselves.
func Main(m interface{ Run() int }, built *Programs, systems ...string) (code int) {
	if !slices.Contains(systems, runtime.GOOS) {
		return m.Run()
	}
	var err error
	if *built, err = Build("cmd/rkat", "llm/llmtest/fakemodel"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := built.Remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	return m.Run()
}

// Unix are the systems whose signals the tests send.
var Unix = []string{"linux", "darwin", "freebsd"}
