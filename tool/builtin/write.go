package builtin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
)

type writeArgs struct {
	Path    string
	Content string
}

// writeFile is Idempotent. A call's content is frozen with its intent, so writing it again under the same id leaves the same file.
// The price, taken with open eyes: what somebody else wrote into the file between a crash and the repeat is replaced, as it would
// have been had the call come a little later. Declaring it Once would end every interrupted write with an unknown outcome, and the
// model would write the file again anyway.
func writeFile(f *folder) tool.Tool {
	return builtin[writeArgs]{
		spec("write_file", `Writes a text file of the workspace: makes it, and the folders it lies in, or replaces all of its content. The file is replaced in one step, so nobody sees half of it. To change a part of a file use edit_file.`,
			run.Idempotent, `{"type":"object","properties":{
			"path":{"type":"string","minLength":1,"description":"file to write, relative to the workspace"},
			"content":{"type":"string","description":"the whole new content of the file"}
			},"required":["path","content"],"additionalProperties":false}`),
		func(ctx context.Context, c tool.Call, a writeArgs) (tool.Result, error) {
			s, err := f.locate(a.Path)
			if err != nil {
				return tool.Result{}, err
			}
			defer s.Close()
			f.changes.Lock()
			defer f.changes.Unlock()
			if err := ctx.Err(); err != nil {
				return tool.Result{}, err
			}
			var old fs.FileInfo
			err = s.try(func(rel string) error {
				if strings.HasSuffix(a.Path, "/") {
					return fmt.Errorf("%s: this names a folder, not a file", a.Path)
				}
				if err := s.root.MkdirAll(filepath.Dir(rel), 0o777); err != nil {
					return err
				}
				rel, info, err := s.target(rel)
				if err != nil {
					return err
				}
				old = info
				return s.replace(c, rel, info, []byte(a.Content))
			})
			if err != nil {
				return tool.Result{}, err
			}
			what := "made"
			if old != nil {
				what = fmt.Sprintf("replaced (it had %s bytes)", thousands(old.Size()))
			}
			return tool.Text(fmt.Sprintf("%s: %s, %s bytes in %s lines", s.name, what, thousands(len(a.Content)), thousands(lines(a.Content)))), nil
		},
	}
}

func lines(s string) int {
	n := strings.Count(s, "\n")
	if s != "" && !strings.HasSuffix(s, "\n") {
		n++
	}
	return n
}

// target returns where a file that is to be changed really lies, following links at the end of rel, and what is there now: nil if
// nothing is. A file that may not be written is refused here, because a rename would not ask.
func (s *spot) target(rel string) (string, fs.FileInfo, error) {
	for range 40 {
		info, err := s.root.Lstat(rel)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			return rel, nil, nil
		case err != nil:
			return "", nil, err
		case info.Mode()&fs.ModeSymlink == 0:
			if err := onlyRegular(info); err != nil {
				return "", nil, fmt.Errorf("%s: %w", s.name, err)
			}
			if info.Mode().Perm()&0o222 == 0 {
				return "", nil, fmt.Errorf("%s: the file is read-only (mode %v)", s.name, info.Mode().Perm())
			}
			return rel, info, nil
		}
		link, err := s.root.Readlink(rel)
		if err != nil {
			return "", nil, err
		}
		if rel, err = s.next(rel, link); err != nil {
			return "", nil, err
		}
	}
	return "", nil, fmt.Errorf("%s: too many symbolic links", s.name)
}

// next returns where a link at rel leads.
func (s *spot) next(rel, link string) (string, error) {
	if !filepath.IsAbs(link) {
		// Names are joined as the system would: the parent of the link may itself be reached through links.
		dir := filepath.Dir(rel)
		if r, ok := s.resolve(dir); ok {
			dir = r
		}
		to := filepath.Join(dir, link)
		if !filepath.IsLocal(to) {
			return "", fmt.Errorf("%s: %w", s.name, errOutside)
		}
		return to, nil
	}
	to, ok := within(s.root.Name(), filepath.Clean(link))
	if !ok {
		to, ok = within(s.dir, filepath.Clean(link))
	}
	if !ok {
		return "", fmt.Errorf("%s: %w", s.name, errOutside)
	}
	return to, nil
}

// replace puts data in place of the file at rel in one step: a file beside it is written, synced and renamed over it. The mode of
// old is kept; its owner and its hard links are not (docs/design/0004).
func (s *spot) replace(c tool.Call, rel string, old fs.FileInfo, data []byte) error {
	dir := filepath.Dir(rel)
	temp, name, err := s.beside(c, dir, rel)
	if err != nil {
		return err
	}
	err = func() error {
		defer temp.Close()
		if _, err := temp.Write(data); err != nil {
			return err
		}
		if old != nil {
			if err := temp.Chmod(old.Mode().Perm()); err != nil {
				return err
			}
		}
		return temp.Sync()
	}()
	if err == nil {
		err = s.unchanged(rel, old)
	}
	if err == nil {
		err = s.root.Rename(name, rel)
	}
	if err != nil {
		return errors.Join(err, s.root.Remove(name))
	}
	if err := syncFolder(s.root, dir); err != nil {
		return fmt.Errorf("%s: written, but it may not last through a crash of the machine: sync its folder: %w", s.name, err)
	}
	return nil
}

// beside makes an empty file in dir. Its name derives from the call, so that a repeat after a crash finds and removes what the
// crash left.
func (s *spot) beside(c tool.Call, dir, rel string) (*os.File, string, error) {
	sum := sha256.Sum256([]byte(string(c.ID) + "\x00" + rel))
	name := filepath.Join(dir, fmt.Sprintf(".rkat-%x.tmp", sum[:8]))
	if c.Attempt > 1 {
		if err := s.root.Remove(name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, "", err
		}
	}
	temp, err := s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		// Another session has a call of this id, or a crash left its file: neither is ours to remove.
		name = filepath.Join(dir, ".rkat-"+id.New()+".tmp")
		temp, err = s.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	}
	return temp, name, err
}

// unchanged reports an error if the file at rel is not the one that was looked at.
func (s *spot) unchanged(rel string, old fs.FileInfo) error {
	now, err := s.root.Lstat(rel)
	if errors.Is(err, fs.ErrNotExist) {
		if old == nil {
			return nil
		}
		return fmt.Errorf("%s: the file was removed while it was being changed", s.name)
	}
	if err != nil {
		return err
	}
	if old == nil || !os.SameFile(old, now) || old.Size() != now.Size() || !old.ModTime().Equal(now.ModTime()) {
		return fmt.Errorf("%s: the file was changed by somebody else at this moment; nothing was written: read it again", s.name)
	}
	return nil
}
