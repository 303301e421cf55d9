package builtin

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/tool"
)

const maxPath = 4096 // bytes; what systems take, and what a message can show

// folder is a workspace, and how far paths may lead from it.
type folder struct {
	dir      string // as the user named it, absolute and clean
	real     string // dir with links resolved
	confined bool
	escape   error // what os.Root says of a path that leads out
	// changes serialises write_file and edit_file, so that two edits of one file in the same round do not undo each other.
	changes sync.Mutex
}

// WorkspaceError says why a folder cannot be worked in.
type WorkspaceError struct {
	Dir string
	Err error
}

// Error says what is wrong with the folder.
func (e *WorkspaceError) Error() string {
	if errors.Is(e.Err, fs.ErrNotExist) {
		return fmt.Sprintf("the workspace folder %s does not exist: make it again, or begin a new session elsewhere", e.Dir)
	}
	return fmt.Sprintf("the workspace folder %s cannot be used: %v", e.Dir, e.Err)
}

// Unwrap returns the cause.
func (e *WorkspaceError) Unwrap() error { return e.Err }

// FaultCode says that the request is wrong.
func (e *WorkspaceError) FaultCode() fault.Code { return fault.Invalid }

func openFolder(dir string, confined bool) (*folder, error) {
	if !filepath.IsAbs(dir) {
		return nil, &WorkspaceError{dir, errors.New("an absolute path is needed")}
	}
	f := &folder{dir: filepath.Clean(dir), confined: confined}
	var err error
	if f.real, err = filepath.EvalSymlinks(f.dir); err != nil {
		return nil, &WorkspaceError{dir, plain(err)}
	}
	root, err := os.OpenRoot(f.real)
	if err != nil {
		return nil, &WorkspaceError{dir, plain(err)}
	}
	defer root.Close()
	// os does not export this error; asking for it is better than comparing text.
	_, err = root.Lstat("..")
	p, ok := errors.AsType[*fs.PathError](err)
	if !ok {
		return nil, &WorkspaceError{dir, fmt.Errorf("the system does not confine paths: %w", err)}
	}
	f.escape = p.Err
	return f, nil
}

// errOutside says that a path leads out of the workspace.
var errOutside = errors.New("this path is outside the workspace (a symbolic link may lead there); only files inside it can be used")

// spot is a place in the tree that a call may work in. Close it after use.
type spot struct {
	*folder
	root *os.Root
	rel  string // relative to root, clean
	name string // as shown to the model
}

func (s *spot) Close() error { return s.root.Close() }

// locate resolves what the model wrote. It touches only the folder itself: whether the place exists, and whether links on the way
// lead out, shows when it is used.
func (f *folder) locate(path string) (*spot, error) {
	if path == "" {
		path = "."
	}
	if strings.IndexByte(path, 0) >= 0 {
		return nil, errors.New("a path cannot contain a NUL byte")
	}
	if len(path) > maxPath {
		return nil, fmt.Errorf("a path has at most %d bytes; this one has %d", maxPath, len(path))
	}
	abs := filepath.Clean(path)
	if !filepath.IsAbs(abs) {
		abs = filepath.Join(f.dir, abs)
	}
	rel, inside := within(f.dir, abs)
	if !inside {
		rel, inside = within(f.real, abs)
	}
	base := f.real
	name := rel
	if !inside {
		if f.confined {
			return nil, fmt.Errorf("%s: %w", path, errOutside)
		}
		name = abs
	}
	if !f.confined {
		if inside {
			abs = filepath.Join(f.real, rel)
		}
		base = filepath.VolumeName(abs) + string(filepath.Separator)
		rel, _ = within(base, abs)
	}
	root, err := os.OpenRoot(base)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", f.dir, err)
	}
	return &spot{f, root, rel, name}, nil
}

// within returns path relative to dir, if it lies in dir. It compares names only; both are clean and absolute.
func within(dir, path string) (string, bool) {
	rel, err := filepath.Rel(dir, path)
	if err != nil || rel == ".." || strings.HasPrefix(rel, ".."+string(filepath.Separator)) {
		return "", false
	}
	return rel, true
}

// try calls op with the spot's path. os.Root takes no absolute link, not even one that leads to a place inside; then op is tried
// again with the links resolved, and os.Root judges the outcome as before.
func (s *spot) try(op func(rel string) error) error {
	err := op(s.rel)
	if err == nil || !errors.Is(err, s.escape) {
		return s.explain(err)
	}
	if rel, ok := s.resolve(s.rel); ok && rel != s.rel {
		err = op(rel)
	}
	return s.explain(err)
}

// resolve follows every link on the way to rel, as far as rel exists; false if it leads out.
func (s *spot) resolve(rel string) (string, bool) {
	base, rest := s.root.Name(), ""
	for {
		real, err := filepath.EvalSymlinks(filepath.Join(base, rel))
		if err == nil {
			return within(base, filepath.Join(real, rest))
		}
		if rel == "." {
			return "", false
		}
		rel, rest = filepath.Dir(rel), filepath.Join(filepath.Base(rel), rest)
	}
}

// explain puts an error into words for the model, with the path as it knows it.
func (s *spot) explain(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, s.escape):
		return fmt.Errorf("%s: %w", s.name, errOutside)
	case errors.Is(err, fs.ErrNotExist):
		return s.missing(err)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: permission denied", s.name)
	}
	if p, ok := errors.AsType[*fs.PathError](err); ok {
		return fmt.Errorf("%s: %w", s.name, p.Err)
	}
	if l, ok := errors.AsType[*os.LinkError](err); ok {
		return fmt.Errorf("%s: %w", s.name, l.Err)
	}
	return err
}

// notFound is an error that keeps its cause and tells what is there instead.
type notFound struct {
	text string
	err  error
}

func (e *notFound) Error() string { return e.text }
func (e *notFound) Unwrap() error { return e.err }

// missing says what is there instead of a path that is not.
func (s *spot) missing(cause error) error {
	if info, err := s.root.Lstat(s.rel); err == nil && info.Mode()&fs.ModeSymlink != 0 {
		return &notFound{s.name + ": this symbolic link leads to nothing", cause}
	}
	dir := filepath.Dir(s.rel)
	shown := filepath.Dir(s.name)
	for dir != "." {
		if info, err := s.root.Stat(dir); err == nil {
			if !info.IsDir() {
				return &notFound{fmt.Sprintf("%s: not found: %s is a file", s.name, shown), cause}
			}
			break
		}
		dir, shown = filepath.Dir(dir), filepath.Dir(shown)
	}
	text := fmt.Sprintf("%s: not found", s.name)
	names, _, err := readNames(s.root, dir, maxScan)
	if err != nil {
		return &notFound{text, cause}
	}
	rest, _ := within(shown, s.name)
	first, _, more := strings.Cut(rest, string(filepath.Separator))
	where := "the workspace"
	if shown != "." {
		where = shown
	}
	if more {
		text += fmt.Sprintf("; %s has no folder %q", where, first)
	}
	if near := tool.Near(first, names); len(near) > 0 {
		text += fmt.Sprintf("; near names in %s: %s", where, strings.Join(near, ", "))
	}
	return &notFound{text, cause}
}

// openRegular opens an ordinary file for reading. It never waits: a FIFO or device is refused, even one that is put in place of a
// file at this moment.
func (s *spot) openRegular() (*os.File, fs.FileInfo, error) {
	var file *os.File
	var info fs.FileInfo
	err := s.try(func(rel string) error {
		i, err := s.root.Stat(rel)
		if err != nil {
			return err
		}
		if err := onlyRegular(i); err != nil {
			return err
		}
		if file, err = s.root.OpenFile(rel, os.O_RDONLY|nonBlock, 0); err != nil {
			return err
		}
		if info, err = file.Stat(); err == nil {
			err = onlyRegular(info)
		}
		if err != nil {
			file.Close()
		}
		return err
	})
	if err != nil {
		if k, ok := errors.AsType[*notRegularError](err); ok {
			return nil, nil, fmt.Errorf("%s: %w", s.name, k)
		}
		return nil, nil, err
	}
	return file, info, nil
}

// notRegularError says that a place holds something else than a file.
type notRegularError struct{ mode fs.FileMode }

func (e *notRegularError) Error() string {
	if e.mode.IsDir() {
		return "this is a folder; list_dir shows what is in it"
	}
	return "this is " + kindOf(e.mode) + ", not a file"
}

func onlyRegular(i fs.FileInfo) error {
	if i.Mode().IsRegular() {
		return nil
	}
	return &notRegularError{i.Mode()}
}

// kindOf names what a mode stands for, with its article.
func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeSymlink != 0:
		return "a symbolic link"
	case m&fs.ModeNamedPipe != 0:
		return "a named pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	case m.IsRegular():
		return "a file"
	}
	return "a special file"
}
