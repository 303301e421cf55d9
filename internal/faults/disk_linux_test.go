package faults

import (
	"fmt"
	"os"
	"strings"
	"syscall"
	"testing"
)

// disk puts the state folder on a file system of a size, which can be changed.
func (w *world) disk(t *testing.T, size string) (resize func(size string)) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("only root can mount")
	}
	if err := os.Mkdir(w.State, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", w.State, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		if os.Getenv("RKAT_CI") != "" {
			t.Fatalf("mount: %v", err)
		}
		t.Skipf("root may not mount here: %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(w.State, 0); err != nil {
			t.Errorf("unmount: %v", err)
		}
	})
	return func(size string) {
		t.Helper()
		if err := syscall.Mount("tmpfs", w.State, "tmpfs", syscall.MS_REMOUNT, "size="+size); err != nil {
			t.Fatalf("remount: %v", err)
		}
	}
}

func Test_a_disk_that_is_full_from_the_start(t *testing.T) {
	t.Parallel()
	w := scripted(t)
	resize := w.disk(t, "16k")
	for range 3 {
		r := w.rkat(1, []string{"Free some space", "RKAT_STATE_DIR"}, "run", "go")
		if w.requests() != 0 {
			t.Fatalf("a model was asked\n%s", r)
		}
	}
	resize("8m")
	w.answered(w.Rkat("run", "go"), "Fine.")
}

// The disk fills up in the middle of a run: what was durable stays, the run ends with words, and goes on when there is room.
func Test_a_disk_that_fills_up_in_the_middle_of_a_run_loses_nothing(t *testing.T) {
	t.Parallel()
	const calls = 6 // what they say is more than the disk holds, wherever in its files the store keeps it
	var script []string
	for n := range calls {
		script = append(script, fmt.Sprintf(`{"when": {"tool_results": %d}, "reply": {"tool_calls": [{"id": "a%d", "name": "shell", "args": `+
			`{"command": "echo a%d >> ran.log; yes 0123456789 | head -c 90000"}}]}}`, n, n+1, n+1))
	}
	w := scripted(t, script...)
	w.Env["RKAT_REALM"] = "r"
	resize := w.disk(t, "480k")
	w.rkat(1, []string{"cannot be kept", "Trying again for up to 15", "no space", "Free some space", "rkat resume"}, "run", "--tools", "full", "go")
	asked := w.requests()
	w.whole()
	resize("64m")
	before := w.show()
	w.answered(w.Rkat("resume"), "Fine.")
	after := w.show()
	if after.Unfinished || len(after.Messages) != 3+2*calls || len(before.Messages) > len(after.Messages) {
		t.Errorf("the session holds %q", after.roles())
	}
	data, err := os.ReadFile(w.Workspace + "/ran.log")
	if err != nil {
		t.Fatal(err)
	}
	for n := range calls {
		call := fmt.Sprintf("a%d", n+1)
		times := strings.Count(string(data), call)
		if code, _ := after.result(n); times > 1 || times == 0 && code != "outcome_unknown" {
			t.Errorf("call %s ran %d times and ended as %q", call, times, code)
		}
	}
	t.Logf("%d requests before the disk was full, %d in all", asked, w.requests())
}
