package runtime_test

import (
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
)

// codes are the public codes of all conditions, which docs/commands.md explains.
var codes = map[string]struct {
	err  error
	code fault.Code
}{
	"ErrNotFound":             {runtime.ErrNotFound, fault.NotFound},
	"ErrNoInput":              {runtime.ErrNoInput, fault.NotFound},
	"ErrArchived":             {runtime.ErrArchived, fault.NotFound},
	"ErrUnregistered":         {runtime.ErrUnregistered, fault.NotFound},
	"ErrDestroyed":            {runtime.ErrDestroyed, fault.NotFound},
	"ErrBusy":                 {runtime.ErrBusy, fault.Busy},
	"ErrNotReady":             {runtime.ErrNotReady, fault.NotReady},
	"ErrStopped":              {runtime.ErrStopped, fault.NotReady},
	"ErrRetired":              {runtime.ErrRetired, fault.NotReady},
	"ErrNotCallers":           {runtime.ErrNotCallers, fault.NotReady},
	"ErrClosed":               {runtime.ErrClosed, fault.NotReady},
	"ErrNotRunning":           {runtime.ErrNotRunning, fault.NotRunning},
	"ErrNotCurrent":           {runtime.ErrNotCurrent, fault.NotRunning},
	"ErrInvalid":              {runtime.ErrInvalid, fault.Invalid},
	"ErrExists":               {runtime.ErrExists, fault.Invalid},
	"ErrBegun":                {runtime.ErrBegun, fault.Invalid},
	"ErrBound":                {runtime.ErrBound, fault.Invalid},
	"ErrAmbiguous":            {runtime.ErrAmbiguous, fault.Invalid},
	"ErrDuplicate":            {runtime.ErrDuplicate, fault.Invalid},
	"ErrNotRoutable":          {runtime.ErrNotRoutable, fault.Invalid},
	"ErrStaleEpoch":           {runtime.ErrStaleEpoch, fault.Stale},
	"ErrStaleExecutor":        {runtime.ErrStaleExecutor, fault.Stale},
	"ErrMoved":                {runtime.ErrMoved, fault.Stale},
	"ErrDecided":              {runtime.ErrDecided, fault.Stale},
	"ErrCallbacks":            {runtime.ErrCallbacks, fault.Invalid},
	"ErrNoOperation":          {runtime.ErrNoOperation, fault.NotFound},
	"ErrStopping":             {runtime.ErrStopping, fault.InProgress},
	"ErrUnregisterInProgress": {runtime.ErrUnregisterInProgress, fault.InProgress},
	"ErrOperationLimit":       {runtime.ErrOperationLimit, fault.Overloaded},
	"ErrLate":                 {runtime.ErrLate, fault.Stale},
	"ErrOverloaded":           {runtime.ErrOverloaded, fault.Overloaded},
	"ErrNotTold":              {runtime.ErrNotTold, fault.Overloaded},
	"ErrOwnedElsewhere":       {runtime.ErrOwnedElsewhere, fault.OwnedElsewhere},
	"ErrRecoveryBackoff":      {runtime.ErrRecoveryBackoff, fault.Storage},
	"ErrStore":                {runtime.ErrStore, fault.Storage},
	"ErrUnread":               {runtime.ErrUnread, fault.Storage},
	"ErrRepairBlocked":        {runtime.ErrRepairBlocked, fault.Corrupt},
	"ErrUnregisterUnknown":    {runtime.ErrUnregisterUnknown, fault.OutcomeUnknown},
	"ErrInterruptUnknown":     {runtime.ErrInterruptUnknown, fault.OutcomeUnknown},
	"ErrNoModels":             {runtime.ErrNoModels, fault.NotReady},
	"ErrModelClient":          {runtime.ErrModelClient, fault.Provider},
	"ErrModelMoved":           {runtime.ErrModelMoved, fault.Stale},
	"ErrIDUsed":               {runtime.ErrIDUsed, fault.Invalid},
	"ErrSignal":               {runtime.ErrSignal, fault.Internal},
	"ErrCleanup":              {runtime.ErrCleanup, fault.Internal},
}

func TestR135_every_condition_has_its_public_code(t *testing.T) {
	t.Parallel()
	for name, c := range codes {
		if got := fault.CodeOf(c.err); got != c.code {
			t.Errorf("%s has code %s, want %s", name, got, c.code)
		}
		wrapped := &runtime.CommandError{Command: "try", Session: sid, Cause: c.err, Refusal: &machine.Refusal{Sort: errors.New("no")}}
		if got := fault.CodeOf(wrapped); got != c.code || !errors.Is(wrapped, c.err) {
			t.Errorf("%s, wrapped, has code %s", name, got)
		}
	}
	// What may have happened is never told as what did not.
	if fault.CodeOf(errors.Join(store.ErrUnknown, runtime.ErrOwnedElsewhere)) != fault.OutcomeUnknown {
		t.Error("an unknown outcome is told as something else")
	}
	all := declared(t)
	for _, name := range all {
		if _, ok := codes[name]; !ok {
			t.Errorf("%s has no row in this table", name)
		}
	}
	if len(all) != len(codes) {
		t.Errorf("%d conditions, and %d rows", len(all), len(codes))
	}
}

// The document has a row for each code, with exactly the conditions that have it.
func TestR135_the_document_of_errors_is_true(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("../docs/errors.md")
	if err != nil {
		t.Fatal(err)
	}
	told := map[string]string{}
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| ([^|]*)\\|").FindAllStringSubmatch(string(text), -1) {
		for _, name := range regexp.MustCompile(`Err\w+`).FindAllString(row[2], -1) {
			told[name] = row[1]
		}
	}
	want := map[string]string{}
	for name, c := range codes {
		want[name] = c.code.String()
	}
	if d := cmp.Diff(want, told); d != "" {
		t.Errorf("-want +told:\n%s", d)
	}
}

// declared lists the conditions of the package.
func declared(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, name := range files {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		f, err := parser.ParseFile(token.NewFileSet(), name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Err") {
				out = append(out, v.Names[0].Name)
			}
			return true
		})
	}
	return out
}
