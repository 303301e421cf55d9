package sqlite

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"

	"github.com/meerkat-go/meerkat/store"
)

// nobody runs f with the rights of another user as far as files are concerned, if we have the right to become one. The rights belong
// to a thread, and the thread ends with the goroutine.
func nobody(t *testing.T, f func()) {
	t.Helper()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		if os.Geteuid() == 0 {
			if err := syscall.Setfsuid(65534); err != nil {
				done <- err
				return
			}
		}
		f()
		done <- nil
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

func TestA_folder_or_file_without_the_right_to_write_says_so(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	kept := filepath.Join(dir, "kept.db")
	if err := opened(t, Options{Path: kept}, "a").Close(); err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(os.Chmod(kept, 0o444), os.Chmod(dir, 0o555)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Error(err)
		}
	})
	for name, path := range map[string]string{"new file": filepath.Join(dir, "new.db"), "new folder": filepath.Join(dir, "sub", "new.db"), "file that is there": kept} {
		var err error
		nobody(t, func() {
			var s *Store
			if s, err = Open(t.Context(), Options{Path: path}); err == nil {
				err = s.Close()
			}
		})
		if !errors.Is(err, store.ErrReadOnly) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "writable") {
			t.Errorf("%s: got %v", name, err)
		}
	}
}
