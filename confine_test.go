package meerkat_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/run"
)

func TestSessions_of_a_realm_apart_stay_in_its_workspace_with_no_more_than_its_tools(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	realms := meerkat.OpenRealms(root, meerkat.Config{Most: "workspace", Model: "echo", Models: map[string]llm.Model{"echo": echo{}}})
	realms.Apart = true
	t.Cleanup(func() {
		if err := realms.Close(); err != nil {
			t.Error(err)
		}
	})
	p, err := realms.Plane(t.Context(), "a")
	if err != nil {
		t.Fatal(err)
	}
	own := filepath.Join(root, "a", "workspace")
	if err := os.MkdirAll(filepath.Join(own, "sub"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(root, filepath.Join(own, "link")); err != nil {
		t.Fatal(err)
	}
	yes := true
	s, err := p.CreateSession(t.Context(), control.CreateSession{Builtins: &yes})
	if err != nil || s.Workspace != own {
		t.Fatalf("%+v %v", s, err)
	}
	if _, err := p.CreateSession(t.Context(), control.CreateSession{Profile: run.Profile{Model: "rehearsal:/etc/passwd"}}); fault.CodeOf(err) != fault.Invalid {
		t.Error("any file can be read as a script:", err)
	}
	for _, c := range []struct {
		tools, workspace string
		want             fault.Code
		ok               bool
	}{
		{"workspace", filepath.Join(own, "sub"), 0, true},
		{"safe", own, 0, true},
		{"none", root, fault.Forbidden, false}, // what the folder says of itself would be told
		{"full", own, fault.Forbidden, false},
		{"safe", root, fault.Forbidden, false},
		{"safe", own + "/..", fault.Forbidden, false},
		{"safe", filepath.Join(own, "link"), fault.Forbidden, false},
		{"safe", filepath.Join(own, "link", "a", "workspace"), 0, true}, // it leads back
		{"safe", filepath.Join(own, "missing"), fault.Invalid, false},
	} {
		_, err := p.CreateSession(t.Context(), control.CreateSession{Profile: run.Profile{Tools: c.tools, Workspace: c.workspace}})
		if (err == nil) != c.ok || err != nil && fault.CodeOf(err) != c.want {
			t.Errorf("%s in %s: %v", c.tools, c.workspace, err)
		}
	}
}
