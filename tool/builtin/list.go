package builtin

import (
	"context"
	"fmt"
	"io/fs"
	"strings"

	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
)

type listArgs struct {
	Path  string
	Depth count
	Limit count
}

func listDir(f *folder) tool.Tool {
	return builtin[listArgs]{
		spec("list_dir", `Lists a folder of the workspace: one entry a line, sorted by name; folders end in "/", files show their size in bytes, links where they lead. With depth above 1 the folders below are listed too. What is inside .git is not listed. Long lists are cut and the number of entries left out is told.`,
			run.ReadOnly, `{"type":"object","properties":{
			"path":{"type":"string","description":"folder to list, relative to the workspace; default: the workspace itself"},
			"depth":{"type":"integer","minimum":1,"maximum":10,"description":"levels to list; default 1"},
			"limit":{"type":"integer","minimum":1,"maximum":2000,"description":"entries to show; default 500"}
			},"additionalProperties":false}`),
		func(ctx context.Context, _ tool.Call, a listArgs) (tool.Result, error) { return doList(ctx, f, a) },
	}
}

func doList(ctx context.Context, f *folder, a listArgs) (tool.Result, error) {
	s, err := f.locate(a.Path)
	if err != nil {
		return tool.Result{}, err
	}
	defer s.Close()
	var out strings.Builder
	var total, shown int
	var w *walk
	err = s.try(func(rel string) error {
		info, err := s.root.Stat(rel)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return fmt.Errorf("%s: this is %s of %s bytes, not a folder; read_file shows what is in a file", s.name, kindOf(info.Mode()), thousands(info.Size()))
		}
		out.Reset()
		total, shown = 0, 0
		w = &walk{ctx: ctx, root: s.root, depth: a.Depth.or(1), visit: func(name, rel string, d fs.DirEntry) bool {
			total++
			if shown < a.Limit.or(500) && out.Len() < maxText {
				shown++
				out.WriteString(entryLine(s, name, rel, d))
			}
			return true
		}}
		return w.from(rel)
	})
	if err != nil {
		return tool.Result{}, err
	}
	if total == 0 {
		return tool.Text(fmt.Sprintf("%s: the folder is empty", s.name)), nil
	}
	if total > shown || w.capped {
		more := ""
		if w.capped {
			more = "at least "
		}
		fmt.Fprintf(&out, "[%s%s of %s entries left out]\n", more, thousands(total-shown), thousands(total))
	}
	out.WriteString(unreadNote(w.unread, "folder"))
	return tool.Text(out.String()), nil
}

func entryLine(s *spot, name, rel string, d fs.DirEntry) string {
	switch {
	case d.IsDir():
		return name + "/\n"
	case d.Type()&fs.ModeSymlink != 0:
		target, err := s.root.Readlink(rel)
		if err != nil {
			return name + " (a symbolic link)\n"
		}
		note := ""
		if _, err := s.root.Stat(rel); err != nil {
			note = " (leads to nothing, or out of the workspace)"
			if r, ok := s.resolve(rel); ok {
				if _, err := s.root.Stat(r); err == nil {
					note = ""
				}
			}
		}
		return name + " -> " + target + note + "\n"
	case d.Type().IsRegular():
		info, err := s.root.Lstat(rel)
		if err != nil {
			return name + " (gone)\n"
		}
		return fmt.Sprintf("%s  %s\n", name, thousands(info.Size()))
	}
	return name + " (" + kindOf(d.Type()) + ")\n"
}

func unreadNote(n int, what string) string {
	switch n {
	case 0:
		return ""
	case 1:
		return "[1 " + what + " could not be read]\n"
	}
	return fmt.Sprintf("[%s %ss could not be read]\n", thousands(n), what)
}
