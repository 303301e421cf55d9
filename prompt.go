package meerkat

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/meerkat-go/meerkat/run"
)

const instructions = `You are an agent that works on its own until the task is done.

Break the work into steps and use the tools you have; make calls that do not depend on each other together. Look before you change anything, and check what you changed. If something fails, find out why before you try again. Where a detail is missing, make a sensible assumption and say so. If a result says that its outcome is unknown, find out whether it took effect before you go on.

End with a short summary of what you found or did, or with what keeps you from going on.`

// maxProjectNotes bounds AGENTS.md.
const maxProjectNotes = 32 << 10

// systemPrompt is what a session is told that was created without a system prompt: how to work, where, and what the project says
// about itself in AGENTS.md.
func systemPrompt(p run.Profile) (string, error) {
	sections := []string{instructions}
	if p.Workspace == "" {
		return instructions, nil
	}
	sections = append(sections, "Your workspace is the folder "+p.Workspace+". Paths are relative to it.")
	notes, err := projectNotes(p.Workspace)
	if err != nil {
		return "", err
	}
	if notes != "" {
		sections = append(sections, "# Project instructions (AGENTS.md)\n\n"+notes)
	}
	return strings.Join(sections, "\n\n"), nil
}

// projectNotes reads AGENTS.md of a workspace, or of its .rkat folder. A missing or blank one says nothing; one that is too long is an
// error, since half of an instruction may be the opposite of it, and so is one that is a link out of the workspace: whoever wrote the
// project would choose which file of the user's is sent to the provider.
func projectNotes(workspace string) (notes string, err error) {
	root, err := os.OpenRoot(workspace)
	if errors.Is(err, os.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read project instructions: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	for _, name := range []string{"AGENTS.md", filepath.Join(".rkat", "AGENTS.md")} {
		// A pipe would keep whoever opens it waiting.
		if info, err := root.Stat(name); err == nil && !info.Mode().IsRegular() {
			continue
		}
		f, err := root.Open(name)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("read project instructions: %w", err)
		}
		data, err := io.ReadAll(io.LimitReader(f, maxProjectNotes+1))
		if err = errors.Join(err, f.Close()); err != nil {
			return "", fmt.Errorf("read project instructions: %w", err)
		}
		if len(data) > maxProjectNotes {
			return "", fmt.Errorf("project instructions in %s are longer than %d bytes: shorten them", name, maxProjectNotes)
		}
		if text := strings.TrimSpace(string(data)); text != "" {
			return text, nil
		}
	}
	return "", nil
}
