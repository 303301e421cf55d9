// Package builtin is the tools that come with the runtime: reading, finding, writing and editing files of a workspace, and a
// shell. Presets say which of them a session gets (docs/design/0004).
//
// Paths are resolved through os.Root, so that neither "..", nor a symbolic link, nor a link put in place while a call runs leads
// out of the workspace. Everything that can be long is bounded, and says so where it was cut.
package builtin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"strconv"
	"time"

	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/transcript"
)

// Source is what the tools of this package say of where they come from.
const Source = "builtin"

// Options says what the tools work with. The zero value gives no tools.
type Options struct {
	Preset    string   // the name of one of Presets; empty: none
	Workspace string   // absolute path of an existing folder; needed unless the preset is none
	Shell     string   // the program behind shell; empty: $SHELL if it can be used, then sh
	Env       []string // what shell commands inherit, before secrets are taken out; nil: the environment of this process
	// Extra is added to what shell commands inherit, in place of variables of the same name. It is given on purpose, so nothing is taken out of it.
	Extra map[string]string
	Now   func() time.Time
}

// New returns the tools of a preset, for one workspace. They hold nothing open between calls.
func New(o Options) ([]tool.Tool, error) {
	p, err := preset(o.Preset)
	if err != nil {
		return nil, err
	}
	if len(p.Tools) == 0 {
		return nil, nil
	}
	f, err := openFolder(o.Workspace, p.Confined)
	if err != nil {
		return nil, err
	}
	if o.Env == nil {
		o.Env = os.Environ()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	all := []tool.Tool{datetime(o.Now), editFile(f), glob(f), listDir(f), readFile(f), search(f), shell(f, o), writeFile(f)}
	var out []tool.Tool
	for _, t := range all {
		if p.has(t.Spec().Name) {
			out = append(out, t)
		}
	}
	return out, nil
}

// builtin is a tool made of its declaration and a function on its decoded arguments.
type builtin[A any] struct {
	spec tool.Spec
	do   func(ctx context.Context, c tool.Call, args A) (tool.Result, error)
}

func (b builtin[A]) Spec() tool.Spec { return b.spec }

func (b builtin[A]) Run(ctx context.Context, c tool.Call) (tool.Result, error) {
	var args A
	if err := json.Unmarshal(c.Args, &args); err != nil {
		return tool.Errorf(transcript.ResultInvalid, "%s: %v", b.spec.Name, err), nil
	}
	r, err := b.do(ctx, c, args)
	if err == nil {
		return r, nil
	}
	if ctx.Err() != nil {
		return tool.Result{}, err
	}
	return tool.Errorf(transcript.ResultFailed, "%s: %v", b.spec.Name, plain(err)), nil
}

// plain takes the system call's name off an error: "open x: no such file" and "openat x: ..." are the same to a reader.
func plain(err error) error {
	if p, ok := errors.AsType[*os.PathError](err); ok && error(p) == err {
		return fmt.Errorf("%s: %w", p.Path, p.Err)
	}
	return err
}

func spec(name, description string, class run.Class, schema string) tool.Spec {
	return tool.Spec{Name: name, Description: description, Schema: json.RawMessage(schema), Class: class, Source: Source}
}

// count is a whole number as models write it: 30 and 30.0 are the same in JSON Schema, and not to encoding/json.
type count int

func (n *count) UnmarshalJSON(data []byte) error {
	if string(data) == "null" {
		return nil
	}
	f, err := strconv.ParseFloat(string(data), 64)
	if err != nil || f != math.Trunc(f) || math.Abs(f) > 1<<53 {
		return fmt.Errorf("%s is not a whole number", data)
	}
	*n = count(f)
	return nil
}

// or returns n, or def if n was not given.
func (n count) or(def int) int {
	if n == 0 {
		return def
	}
	return int(n)
}

// thousands writes n with separators, as people read sizes.
func thousands[N int | int64](n N) string {
	s := strconv.FormatInt(int64(n), 10)
	for i := len(s) - 3; i > 0 && s[i-1] != '-'; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

func datetime(now func() time.Time) tool.Tool {
	return builtin[struct{}]{
		spec("datetime", "Tells the date and the time now, the time zone and the day of the week.", run.ReadOnly,
			`{"type":"object","properties":{},"additionalProperties":false}`),
		func(context.Context, tool.Call, struct{}) (tool.Result, error) {
			t := now()
			zone, _ := t.Zone()
			return tool.Text(fmt.Sprintf("%s (%s, %s)\nunix time: %d", t.Format(time.RFC3339), t.Weekday(), zone, t.Unix())), nil
		},
	}
}
