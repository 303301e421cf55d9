package sdk

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/meerkat-go/meerkat/internal/programs"
)

// built holds the program.
var built programs.Programs

func TestMain(m *testing.M) {
	flag.Parse()
	os.Exit(buildAndRun(m))
}

func buildAndRun(m *testing.M) (code int) {
	var err error
	if built, err = programs.Build("cmd/rkat"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer func() {
		if err := built.Remove(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}()
	return m.Run()
}

// world has the model that says ok.
func world(t *testing.T) *programs.World {
	w := built.NewWorld(t)
	delete(w.Env, "RKAT_REALM")
	delete(w.Env, "RKAT_STATE_DIR")
	w.Env["RKAT_TEST_CLIENT"] = "1"
	return w
}

// scripted has a model that plays a script; it returns the model's name.
func scripted(t *testing.T, script string) (*programs.World, string) {
	w := world(t)
	delete(w.Env, "RKAT_TEST_CLIENT")
	file := filepath.Join(w.Dir, "script.json")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	return w, "rehearsal:" + file
}

// here names the realm and where it is kept, as options of connect do.
func here(w *programs.World) []string { return []string{"--realm", "here", "--state-root", w.State} }
