package main

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// The scripts run the real command as processes of their own, over a real store, in an environment without a home, a key or a
// local model server.
func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"rkat": main})
}

func TestThe_command_does_what_the_scripts_say(t *testing.T) {
	t.Parallel()
	models := httptest.NewServer(http.HandlerFunc(modelServer))
	t.Cleanup(models.Close)
	testscript.Run(t, testscript.Params{
		Dir:                 "testdata/script",
		RequireExplicitExec: true,
		Setup: func(e *testscript.Env) error {
			e.Setenv("RKAT_STATE_DIR", e.WorkDir+"/.state")
			e.Setenv("RKAT_NO_PROBE", "1")
			e.Setenv("MODELS", models.URL)
			e.Setenv("GORACE", "atexit_sleep_ms=0") // a second for each process otherwise
			return os.MkdirAll(e.WorkDir+"/ws", 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"appears": appears, "lines": lines, "screen": screen, "prompt": prompt,
		},
	})
}

// appears waits until a file has something in it.
func appears(ts *testscript.TestScript, _ bool, args []string) {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for range 6000 {
		if data, err := os.ReadFile(ts.MkAbs(args[0])); err == nil && len(data) > 0 {
			return
		}
		<-tick.C
	}
	ts.Fatalf("%s does not appear", args[0])
}

// lines checks how many lines a file has.
func lines(ts *testscript.TestScript, _ bool, args []string) {
	if n := strings.Count(ts.ReadFile(args[0]), "\n"); strconv.Itoa(n) != args[1] {
		ts.Fatalf("%s has %d lines, not %s", args[0], n, args[1])
	}
}

// screen checks that an output fits a terminal of 24 lines and 80 columns.
func screen(ts *testscript.TestScript, _ bool, args []string) {
	all := strings.Split(strings.TrimSuffix(ts.ReadFile(args[0]), "\n"), "\n")
	if len(all) > 24 {
		ts.Fatalf("%s has %d lines", args[0], len(all))
	}
	for _, l := range all {
		if len([]rune(l)) > 80 {
			ts.Fatalf("%s has a line of %d columns: %s", args[0], len([]rune(l)), l)
		}
	}
}

// prompt writes a file of that many bytes.
func prompt(ts *testscript.TestScript, _ bool, args []string) {
	n, err := strconv.Atoi(args[1])
	ts.Check(err)
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), []byte(strings.Repeat("a", n)), 0o600))
}

// modelServer speaks Chat Completions as badly as the first part of the path says.
func modelServer(w http.ResponseWriter, r *http.Request) {
	how, what, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	if what == "v1/models" {
		fmt.Fprint(w, `{"data":[{"id":"first"},{"id":"second"}]}`)
		return
	}
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		return
	}
	if status, err := strconv.Atoi(how); err == nil {
		w.WriteHeader(status)
		fmt.Fprint(w, `{"error":{"message":"the server says no"}}`)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	fmt.Fprint(w, `data: {"choices":[{"index":0,"delta":{"role":"assistant","content":"four"}}]}`+"\n\n")
	if how == "ok" {
		fmt.Fprint(w, `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}],"usage":{"prompt_tokens":7,"completion_tokens":1}}`+"\n\ndata: [DONE]\n\n")
	}
}
