package files_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/meerkat-go/meerkat/internal/files"
)

func TestA_file_is_replaced_whole_and_nothing_is_left_beside_it(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	before, err := files.StampOf(path)
	if err != nil || before.There() {
		t.Fatalf("before: %v, %v", before, err)
	}
	for _, text := range []string{"one", "two"} { // of one length
		if err := files.Replace(path, []byte(text)); err != nil {
			t.Fatal(err)
		}
		now, err := files.StampOf(path)
		if err != nil || now.Same(before) || !now.Same(now) {
			t.Errorf("%s: it looks as it did, %v", text, err)
		}
		before = now
		if data, err := os.ReadFile(path); err != nil || string(data) != text {
			t.Errorf("got %q, %v", data, err)
		}
	}
	if err := files.Replace(dir, nil); err == nil {
		t.Error("a folder was replaced")
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 1 {
		t.Errorf("beside it: %v, %v", left, err)
	}
}

func TestA_lock_has_one_holder_and_whoever_waits_may_give_up(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "lock")
	unlock, err := files.Lock(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok, err := files.TryLock(path); ok || err != nil {
		t.Errorf("a second holder: %t, %v", ok, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := files.Lock(ctx, path); !errors.Is(err, context.Canceled) {
		t.Errorf("given up: %v", err)
	}
	if err := unlock(); err != nil {
		t.Fatal(err)
	}
	again, ok, err := files.TryLock(path)
	if !ok || err != nil {
		t.Fatalf("afterwards: %t, %v", ok, err)
	}
	if err := again(); err != nil {
		t.Error(err)
	}
}
