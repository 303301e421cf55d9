package meerkat_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// fromREADME is the program of the README, word for word.
func fromREADME(ctx context.Context, dir, folder string) error {
	rt, err := meerkat.Open(ctx, meerkat.Config{StateDir: dir})
	if err != nil {
		return err
	}
	defer rt.Close()
	p := rt.Plane()
	s, err := p.CreateSession(ctx, control.CreateSession{Profile: run.Profile{Model: "offline", Workspace: folder, Tools: "safe"}})
	if err != nil {
		return err
	}
	receipt, err := p.Submit(ctx, control.Submit{Session: s.ID, Content: transcript.TextBlocks("what is in this folder?")})
	if err != nil {
		return err // once Submit has returned without an error, the input is durable
	}
	out, err := p.Wait(ctx, s.ID, receipt.Input)
	if err != nil {
		return err
	}
	fmt.Println(out.Text)
	return nil
}

func ExampleOpen() {
	dir, err := os.MkdirTemp("", "meerkat-*")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	folder := filepath.Join(dir, "folder")
	if err := os.Mkdir(folder, 0o700); err != nil {
		fmt.Println(err)
		return
	}
	if err := os.WriteFile(filepath.Join(folder, "notes.txt"), []byte("one\n"), 0o600); err != nil {
		fmt.Println(err)
		return
	}
	if err := fromREADME(context.Background(), filepath.Join(dir, "state"), folder); err != nil {
		fmt.Println(err)
	}
	// Output:
	// This folder has **1 entry**: 0 folders and 1 file.
	//
	// ## Files
	//
	// - Text (1): `notes.txt`
}

func TestThe_program_in_the_README_is_the_one_that_is_tested(t *testing.T) {
	t.Parallel()
	shown := between(t, "README.md", "```go\n", "```")
	tested := between(t, "readme_test.go", "dir, folder string) error {\n", "\treturn nil\n}\n")
	if got := strings.ReplaceAll("\n"+tested, "\n\t", "\n")[1:]; got != shown {
		t.Errorf("the README shows:\n%s\nand what is tested is:\n%s", shown, got)
	}
}

// between returns what stands in a file between two marks.
func between(t *testing.T, path, begin, end string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(data), begin)
	text, _, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatalf("%s has nothing between %q and %q", path, begin, end)
	}
	return text
}
