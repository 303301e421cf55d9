package sqlite

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// Found by killing the program while it made its first file: the next one only looked, could not roll the journal back, and said that
// the folder was not writable.
func Test_a_file_whose_maker_died_half_way_is_rolled_back_and_opened(t *testing.T) { // R29
	t.Parallel()
	dir := t.TempDir()
	made, left := filepath.Join(dir, "made"), filepath.Join(dir, "left")
	if err := create(made); err != nil {
		t.Fatal(err)
	}
	c, err := connect(made, readWrite, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.close(); err != nil {
			t.Error(err)
		}
	}()
	// A transaction larger than its cache writes to the file before it ends; a copy taken now is what a dead process leaves.
	err = c.script(`PRAGMA journal_mode=DELETE; CREATE TABLE before (x); PRAGMA cache_size=10; PRAGMA cache_spill=1; BEGIN;
		CREATE TABLE half (x); WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i+1 FROM n WHERE i < 2000)
		INSERT INTO half SELECT hex(randomblob(500)) FROM n;`)
	if err != nil {
		t.Fatal(err)
	}
	for from, to := range map[string]string{made: left, made + "-journal": left + "-journal"} {
		copyFile(t, from, to)
	}
	s := &Store{path: left, options: Options{Path: left, Readers: 1}}
	s.readers = newReaders(s.options)
	defer s.readers.close()
	r, err := s.readers.borrow(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	_, err = stand(r)
	s.readers.giveBack(r)
	if !halfMade(err) {
		t.Fatalf("the copy holds no journal to roll back (%v): the test proves nothing", err)
	}
	state, err := s.finishRollback()
	if err != nil || state.empty {
		t.Fatalf("%+v %v", state, err)
	}
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	in, err := os.Open(from)
	if err != nil {
		t.Fatal(err)
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(out, in); err != nil {
		t.Fatal(err)
	}
	if err := out.Close(); err != nil {
		t.Fatal(err)
	}
}
