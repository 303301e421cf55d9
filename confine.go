package meerkat

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
)

// presets are the sets of our tools, each with all that those before it have.
var presets = []string{"none", "safe", "workspace", "full"}

// confine refuses a profile that would let a session do more here than whoever runs this process allows.
func (c Config) confine(p run.Profile) error {
	if c.Most != "" && p.Tools != "" {
		most, asked := slices.Index(presets, c.Most), slices.Index(presets, p.Tools)
		if most < 0 {
			return fmt.Errorf("the most that tools may be is %q, which is no preset", c.Most)
		}
		if asked > most {
			return &control.Error{Code: fault.Forbidden, Message: fmt.Sprintf("sessions here have no more tools than those of the preset %s, and %s was asked for", c.Most, p.Tools)}
		}
	}
	if c.Within == "" || p.Workspace == "" {
		return nil
	}
	inside, err := within(c.Within, p.Workspace)
	if err != nil {
		return &control.Error{Code: fault.Invalid, Message: fmt.Sprintf("the workspace %s cannot be used: %v", p.Workspace, err)}
	}
	if !inside {
		return &control.Error{Code: fault.Forbidden, Message: "sessions here work in " + c.Within + " and nowhere else"}
	}
	return nil
}

// confined is tools of sessions, unless a session was allowed more when it was made than it would be now: then its runs fail.
func (c Config) confined(tools func(id.Session, run.Profile) (*tool.Registry, error)) func(id.Session, run.Profile) (*tool.Registry, error) {
	if c.Most == "" && c.Within == "" {
		return tools
	}
	return func(s id.Session, p run.Profile) (*tool.Registry, error) {
		if err := c.confine(p); err != nil {
			return nil, err
		}
		return tools(s, p)
	}
}

// within reports whether a folder is another or lies in it, wherever links lead.
func within(root, dir string) (bool, error) {
	root, err := filepath.EvalSymlinks(root)
	if err != nil {
		return false, err
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return false, err
	}
	rel, err := filepath.Rel(root, dir)
	return err == nil && rel != ".." && !strings.HasPrefix(rel, ".."+string(os.PathSeparator)), nil
}
