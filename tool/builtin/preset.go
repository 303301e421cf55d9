package builtin

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meerkat-go/meerkat/fault"
)

// Preset is a named choice of tools.
type Preset struct {
	Name     string
	Summary  string   // one sentence for people
	Tools    []string // sorted
	Confined bool     // to the workspace
}

func (p Preset) has(name string) bool { return slices.Contains(p.Tools, name) }

// Presets returns the presets, from the narrowest to the widest.
func Presets() []Preset {
	safe := []string{"datetime", "glob", "list_dir", "read_file", "search"}
	workspace := []string{"datetime", "edit_file", "glob", "list_dir", "read_file", "search", "write_file"}
	full := []string{"datetime", "edit_file", "glob", "list_dir", "read_file", "search", "shell", "write_file"}
	return []Preset{
		{"none", "No tools at all.", nil, true},
		{"safe", "Reads, lists and searches the workspace; changes nothing.", safe, true},
		{"workspace", "Reads and changes files inside the workspace; runs no commands.", workspace, true},
		{"full", "Reads and changes files anywhere the user can, and runs shell commands.", full, false},
	}
}

// Withheld returns the names of the tools that exist and that a preset leaves out, for tool.Registry.Withhold: a model that asks
// for one is told that it is denied, not that it does not exist.
func Withheld(name string) ([]string, error) {
	p, err := preset(name)
	if err != nil {
		return nil, err
	}
	all := Presets()
	var out []string
	for _, t := range all[len(all)-1].Tools {
		if !p.has(t) {
			out = append(out, t)
		}
	}
	return out, nil
}

// UnknownPresetError says that there is no preset of that name.
type UnknownPresetError struct{ Name string }

func (e *UnknownPresetError) Error() string {
	var names []string
	for _, p := range Presets() {
		names = append(names, p.Name)
	}
	return fmt.Sprintf("there is no tool preset %q; the presets are %s", e.Name, strings.Join(names, ", "))
}

// FaultCode says that the request is wrong.
func (e *UnknownPresetError) FaultCode() fault.Code { return fault.Invalid }

func preset(name string) (Preset, error) {
	if name == "" {
		name = "none"
	}
	for _, p := range Presets() {
		if p.Name == name {
			return p, nil
		}
	}
	return Preset{}, &UnknownPresetError{name}
}
