package meerkat

import (
	"slices"
	"sync"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/tool/builtin"
	"github.com/meerkat-go/meerkat/tool/callback"
)

// toolboxes makes the registry of each preset and workspace once, and keeps it: sessions that share a folder share the order in which
// they change its files. So a process holds one for each folder it has worked in, about 72 kB each, and nothing open. What clients
// carry out comes on top of it, for a session that has such tools.
type toolboxes struct {
	extra   []tool.Tool
	clients callback.Desk

	mu    sync.Mutex
	made  map[[2]string]*tool.Registry
	mixed map[id.Session]mixture // of sessions that have more than their preset; at most maxMixed
}

// mixture is what a session has with the tools of clients, as of a revision of those.
type mixture struct {
	revision uint64
	registry *tool.Registry
}

// maxMixed bounds the mixtures that are kept. What is dropped is made anew when it is needed: 20 µs, and its schemas are read again.
const maxMixed = 1024

func newToolboxes(extra []tool.Tool) *toolboxes {
	return &toolboxes{extra: extra, made: map[[2]string]*tool.Registry{}, mixed: map[id.Session]mixture{}}
}

// check refuses a profile whose tools cannot be had.
func (t *toolboxes) check(p run.Profile) error {
	if _, err := t.base(p); err != nil {
		return err
	}
	return callback.Check(p.Client)
}

// of returns what a session may use now.
func (t *toolboxes) of(s id.Session, p run.Profile) (*tool.Registry, error) {
	base, err := t.base(p)
	if err != nil {
		return nil, err
	}
	revision := t.clients.Revision()
	own := len(p.Client) > 0 || len(p.Env) > 0 || !p.Filter.IsZero()
	if revision == 0 && !own {
		return base, nil
	}
	t.mu.Lock()
	m, ok := t.mixed[s]
	t.mu.Unlock()
	if ok && m.revision == revision {
		return m.registry, nil
	}
	more := t.clients.Tools(s, p.Client)
	if len(more) == 0 && !own {
		return base, nil
	}
	if len(p.Env) > 0 {
		shell, err := shellWith(p)
		if err != nil {
			return nil, err
		}
		more = append(shell, more...)
	}
	r, err := base.With(more...)
	if err != nil {
		return nil, err
	}
	if !p.Filter.IsZero() {
		r = r.Withhold(kept(r, p.Filter)...)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.mixed) >= maxMixed {
		for s := range t.mixed {
			delete(t.mixed, s)
			break
		}
	}
	t.mixed[s] = mixture{revision, r}
	return r, nil
}

// kept lists the tools that a filter keeps from a session.
func kept(r *tool.Registry, f scope.Filter) []string {
	var out []string
	for _, s := range r.Specs() {
		if !f.Lets(s.Name) {
			out = append(out, s.Name)
		}
	}
	return out
}

// shellWith returns the shell of a profile, if it has one, with the environment that the profile adds.
func shellWith(p run.Profile) ([]tool.Tool, error) {
	tools, err := builtin.New(builtin.Options{Preset: p.Tools, Workspace: p.Workspace, Extra: p.Env})
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(tools, func(x tool.Tool) bool { return x.Spec().Name != "shell" }), nil
}

// base returns the tools of a preset in a workspace, and those of whoever embeds the library.
func (t *toolboxes) base(p run.Profile) (*tool.Registry, error) {
	key := [2]string{p.Tools, p.Workspace}
	t.mu.Lock()
	defer t.mu.Unlock()
	if r, ok := t.made[key]; ok {
		return r, nil
	}
	tools, err := builtin.New(builtin.Options{Preset: p.Tools, Workspace: p.Workspace})
	if err != nil {
		return nil, err
	}
	r, err := tool.NewRegistry(tool.Limits{}, append(tools, t.extra...)...)
	if err != nil {
		return nil, err
	}
	withheld, err := builtin.Withheld(p.Tools)
	if err != nil {
		return nil, err
	}
	r = r.Withhold(withheld...)
	t.made[key] = r
	return r, nil
}
