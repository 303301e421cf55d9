package builtin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"strings"

	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
)

type globArgs struct {
	Pattern string
	Path    string
	Limit   count
}

func glob(f *folder) tool.Tool {
	return builtin[globArgs]{
		spec("glob", `Finds files of the workspace by name. In a pattern * stands for any part of a name, ? for one character, [a-z] for one of a set, ** for any number of folders, {a,b} for one of several. "*.go" looks only in the folder itself, "**/*.go" at any depth. A pattern that ends in "/" finds folders. Links are not followed and .git is left out. Returns sorted paths, a line each; a long list is cut and says so.`,
			run.ReadOnly, `{"type":"object","properties":{
			"pattern":{"type":"string","minLength":1,"description":"such as **/*.go or docs/*.{md,txt}"},
			"path":{"type":"string","description":"folder to start from, relative to the workspace; default: the workspace itself"},
			"limit":{"type":"integer","minimum":1,"maximum":2000,"description":"paths to show; default 300"}
			},"required":["pattern"],"additionalProperties":false}`),
		func(ctx context.Context, _ tool.Call, a globArgs) (tool.Result, error) { return doGlob(ctx, f, a) },
	}
}

func doGlob(ctx context.Context, f *folder, a globArgs) (tool.Result, error) {
	if filepath.IsAbs(a.Pattern) {
		return tool.Result{}, errors.New("a pattern is relative; name the folder to start from in path")
	}
	folders := strings.HasSuffix(a.Pattern, "/")
	p, err := parsePattern(a.Pattern)
	if err != nil {
		return tool.Result{}, err
	}
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
			return fmt.Errorf("%s: this is not a folder", s.name)
		}
		out.Reset()
		total, shown = 0, 0
		w = &walk{ctx: ctx, root: s.root, visit: func(name, _ string, d fs.DirEntry) bool {
			if d.IsDir() != folders || !p.match(name) {
				return true
			}
			total++
			if shown < a.Limit.or(300) && out.Len() < maxText {
				shown++
				out.WriteString(path.Join(filepath.ToSlash(s.name), name))
				if folders {
					out.WriteByte('/')
				}
				out.WriteByte('\n')
			}
			return true
		}}
		return w.from(rel)
	})
	if err != nil {
		return tool.Result{}, err
	}
	if total == 0 {
		fmt.Fprintf(&out, "no match for %s in %s (%s entries looked at)\n", a.Pattern, s.name, thousands(w.seen))
	}
	if total > shown {
		fmt.Fprintf(&out, "[%s of %s matches left out; narrow the pattern or the path]\n", thousands(total-shown), thousands(total))
	}
	if w.capped {
		fmt.Fprintf(&out, "[only the first %s entries were looked at: there may be more matches]\n", thousands(maxScan))
	}
	out.WriteString(unreadNote(w.unread, "folder"))
	return tool.Text(out.String()), nil
}

// pattern is a parsed glob pattern: alternatives, each a list of segments.
type pattern [][]string

const maxAlternatives = 100

// parsePattern checks a pattern and spreads its braces.
func parsePattern(text string) (pattern, error) {
	alternatives, err := spread(strings.TrimPrefix(strings.TrimSuffix(text, "/"), "./"))
	if err != nil {
		return nil, err
	}
	var p pattern
	for _, alt := range alternatives {
		var segs []string
		for seg := range strings.SplitSeq(alt, "/") {
			if seg == "" || seg == "." {
				continue
			}
			if seg == ".." {
				return nil, errors.New(`a pattern cannot contain ".."; name the folder to start from in path`)
			}
			if _, err := path.Match(seg, ""); err != nil {
				return nil, fmt.Errorf("pattern %q: %q is malformed", text, seg)
			}
			if seg == "**" && len(segs) > 0 && segs[len(segs)-1] == "**" {
				continue
			}
			segs = append(segs, seg)
		}
		p = append(p, segs)
	}
	return p, nil
}

// spread replaces {a,b} by its alternatives, innermost last.
func spread(text string) ([]string, error) {
	open := strings.IndexByte(text, '{')
	if open < 0 {
		return []string{text}, nil
	}
	depth, start := 0, open+1
	var parts []string
	for i := open; i < len(text); i++ {
		switch text[i] {
		case '{':
			depth++
		case ',':
			if depth == 1 {
				parts = append(parts, text[start:i])
				start = i + 1
			}
		case '}':
			if depth--; depth > 0 {
				continue
			}
			parts = append(parts, text[start:i])
			return combine(text[:open], parts, text[i+1:])
		}
	}
	return nil, fmt.Errorf("pattern %q: { without }", text)
}

func combine(before string, parts []string, after string) ([]string, error) {
	var out []string
	for _, p := range parts {
		more, err := spread(before + p + after)
		if err != nil {
			return nil, err
		}
		if out = append(out, more...); len(out) > maxAlternatives {
			return nil, fmt.Errorf("the braces of a pattern stand for more than %d patterns", maxAlternatives)
		}
	}
	return out, nil
}

// match reports whether a relative path with forward slashes fits.
func (p pattern) match(name string) bool {
	segs := strings.Split(name, "/")
	for _, alt := range p {
		if matchSegments(alt, segs) {
			return true
		}
	}
	return false
}

// matchSegments is linear in len(pat) × len(segs), however many ** there are.
func matchSegments(pat, segs []string) bool {
	fits := make([]bool, len(segs)+1) // fits[j]: the pattern so far takes the first j segments
	fits[0] = true
	for _, p := range pat {
		next := make([]bool, len(segs)+1)
		if p == "**" {
			for j, any := 0, false; j <= len(segs); j++ {
				any = any || fits[j]
				next[j] = any
			}
		} else {
			for j, seg := range segs {
				if fits[j] {
					ok, err := path.Match(p, seg)
					next[j+1] = err == nil && ok // parsePattern has refused malformed ones
				}
			}
		}
		fits = next
	}
	return fits[len(segs)]
}
