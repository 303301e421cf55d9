package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// asProgram in the environment makes the test binary the example itself.
const asProgram = "EMBED_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// embed runs the program in a folder, with a home that is empty and nothing else in the environment, and returns what it printed.
func embed(t *testing.T, folder string) (stdout, stderr string, err error) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	home := t.TempDir()
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Dir, cmd.Env = folder, []string{"HOME=" + home, asProgram + "=1"}
	var out, complaint bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &complaint
	err = cmd.Run()
	if left, readErr := os.ReadDir(home); readErr != nil || len(left) > 0 {
		t.Errorf("the program left %v in its home (%v)", left, readErr)
	}
	return out.String(), complaint.String(), err
}

func TestThe_program_answers_in_a_folder_with_a_file_and_leaves_nothing_there(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "notes.txt"), []byte("milk\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	out, complaint, err := embed(t, folder)
	want := "This folder has **1 entry**: 0 folders and 1 file.\n\n## Files\n\n- Text (1): `notes.txt`\n"
	if err != nil || out != want || complaint != "" {
		t.Fatalf("%v, stderr %q, stdout:\n%s", err, complaint, out)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) != 1 {
		t.Fatalf("the folder holds %v (%v)", left, err)
	}
}

func TestThe_program_answers_in_an_empty_folder(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	out, complaint, err := embed(t, folder)
	if err != nil || out != "This folder is empty: there is no file and no folder in it.\n" || complaint != "" {
		t.Fatalf("%v, stderr %q, stdout:\n%s", err, complaint, out)
	}
	if left, err := os.ReadDir(folder); err != nil || len(left) > 0 {
		t.Fatalf("the folder holds %v (%v)", left, err)
	}
}

func TestThe_program_says_what_went_wrong_and_fails(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "AGENTS.md"), bytes.Repeat([]byte("x"), 33<<10), 0o600); err != nil {
		t.Fatal(err)
	}
	out, complaint, err := embed(t, folder)
	if err == nil || out != "" || !strings.Contains(complaint, "AGENTS.md are longer than") {
		t.Fatalf("%v, stdout %q, stderr %q", err, out, complaint)
	}
}
