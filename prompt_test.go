package meerkat_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

func Test_a_project_says_about_itself_what_stands_in_it_and_nothing_from_elsewhere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		make  func(t *testing.T, workspace, elsewhere string)
		notes string // empty: refused
	}{
		{"a file", func(t *testing.T, workspace, _ string) {
			file(t, filepath.Join(workspace, "AGENTS.md"), "build with make")
		}, "build with make"},
		{"a link inside", func(t *testing.T, workspace, _ string) {
			file(t, filepath.Join(workspace, "NOTES.md"), "build with make")
			link(t, "NOTES.md", filepath.Join(workspace, "AGENTS.md"))
		}, "build with make"},
		{"a link that leads out", func(t *testing.T, workspace, elsewhere string) {
			link(t, filepath.Join(elsewhere, "secret"), filepath.Join(workspace, "AGENTS.md"))
		}, ""},
		{"a folder that is a link that leads out", func(t *testing.T, workspace, elsewhere string) {
			file(t, filepath.Join(elsewhere, "AGENTS.md"), "a secret")
			link(t, elsewhere, filepath.Join(workspace, ".rkat"))
		}, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			workspace, elsewhere := t.TempDir(), t.TempDir()
			file(t, filepath.Join(elsewhere, "secret"), "a secret")
			c.make(t, workspace, elsewhere)
			p := open(t, echo{})
			s, err := p.CreateSession(t.Context(), control.CreateSession{Profile: run.Profile{Model: "echo", Workspace: workspace}})
			if c.notes == "" {
				if err == nil || strings.Contains(err.Error(), "a secret") {
					t.Fatalf("got %v, want a refusal", err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			rows, err := p.Transcript(t.Context(), s.ID, 1, 0)
			if err != nil || len(rows) != 1 {
				t.Fatalf("%v %v", rows, err)
			}
			if text := rows[0].Entry.(transcript.System).Text; !strings.Contains(text, c.notes) {
				t.Errorf("the system prompt says %q", text)
			}
		})
	}
}

func file(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func link(t *testing.T, to, at string) {
	t.Helper()
	if err := os.Symlink(to, at); err != nil {
		t.Fatal(err)
	}
}
