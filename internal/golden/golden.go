// Package golden compares what a test produced with a file under testdata, and rewrites the file when asked to.
//
//	go test ./machine -update
//
// A rewritten file is part of the change: it is read in review like code.
package golden

import (
	"bytes"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"testing"
)

var update = flag.Bool("update", false, "rewrite golden files with what the tests produce")

// Update reports whether golden files are being rewritten. A test that also reads its input from the golden file asks it.
func Update() bool { return *update }

// Equal fails the test unless the file at path, relative to the package's folder, holds exactly got. With -update it writes the
// file instead, creating folders as needed.
func Equal(t testing.TB, path string, got []byte) {
	t.Helper()
	if *update {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatalf("golden file: %v", err)
		}
		if err := os.WriteFile(path, got, 0o644); err != nil {
			t.Fatalf("golden file: %v", err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("golden file: %v (run the test with -update to write it)", err)
	}
	if diff := firstDifference(want, got); diff != "" {
		t.Errorf("%s is not what the test produced:\n%s\nIf the new text is right, run the test with -update.", path, diff)
	}
}

// firstDifference shows the first line in which two texts differ, with its number; empty: they are equal.
func firstDifference(want, got []byte) string {
	if bytes.Equal(want, got) {
		return ""
	}
	w, g := bytes.Split(want, []byte("\n")), bytes.Split(got, []byte("\n"))
	for i := 0; ; i++ {
		switch {
		case i >= len(w):
			return fmt.Sprintf("line %d: the file has ended\n  test: %q", i+1, g[i])
		case i >= len(g):
			return fmt.Sprintf("line %d: the test's text has ended\n  file: %q", i+1, w[i])
		case !bytes.Equal(w[i], g[i]):
			return fmt.Sprintf("line %d\n  file: %q\n  test: %q", i+1, w[i], g[i])
		}
	}
}
