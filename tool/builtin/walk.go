package builtin

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

const (
	maxScan = 200_000 // entries looked at in one call
	maxText = 80_000  // bytes of one listing; below what a registry keeps of a result
)

// readNames returns the sorted names in a folder, and whether there are more than limit.
func readNames(root *os.Root, rel string, limit int) (names []string, more bool, err error) {
	entries, more, err := readEntries(root, rel, limit)
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, more, err
}

// readEntries returns the entries of a folder sorted by name, at most limit of them, and whether there are more.
func readEntries(root *os.Root, rel string, limit int) (entries []fs.DirEntry, more bool, err error) {
	dir, err := root.OpenFile(rel, os.O_RDONLY|nonBlock, 0)
	if err != nil {
		return nil, false, err
	}
	defer dir.Close()
	entries, err = dir.ReadDir(limit + 1)
	if err != nil && !errors.Is(err, io.EOF) {
		return nil, false, err
	}
	if len(entries) > limit {
		entries, more = entries[:limit], true
	}
	slices.SortFunc(entries, func(a, b fs.DirEntry) int { return strings.Compare(a.Name(), b.Name()) })
	return entries, more, nil
}

// walk goes through a tree in a fixed order, without following links and without entering .git.
type walk struct {
	ctx    context.Context
	root   *os.Root
	depth  int // levels to go down; 0: all
	unread int // folders that could not be read
	seen   int
	capped bool // maxScan was reached: there may be more
	// visit is told of each entry: its path relative to the start with forward slashes, and relative to root. Returning false ends
	// the walk.
	visit func(shown, rel string, d fs.DirEntry) bool
}

// from walks the folder at rel. The folder itself must be readable; what cannot be read below it is counted.
func (w *walk) from(rel string) error {
	_, err := w.folder("", rel, 1)
	return err
}

func (w *walk) folder(shown, rel string, level int) (bool, error) {
	if err := w.ctx.Err(); err != nil {
		return false, err
	}
	entries, more, err := readEntries(w.root, rel, maxScan-w.seen)
	if err != nil {
		return false, err
	}
	w.seen += len(entries)
	for _, e := range entries {
		name, below := path.Join(shown, e.Name()), filepath.Join(rel, e.Name())
		if !w.visit(name, below, e) {
			return false, nil
		}
		if !e.IsDir() || e.Name() == ".git" || w.depth > 0 && level >= w.depth {
			continue
		}
		if w.seen >= maxScan {
			w.capped = true
			continue
		}
		goOn, err := w.folder(name, below, level+1)
		if err != nil {
			if w.ctx.Err() != nil {
				return false, err
			}
			w.unread++
		} else if !goOn {
			return false, nil
		}
	}
	w.capped = w.capped || more
	return true, nil
}
