//go:build unix

package builtin

import (
	"errors"
	"os"
	"syscall"
)

// syncFolder makes a rename in a folder durable. A file system that cannot sync folders is taken at its word.
func syncFolder(root *os.Root, rel string) error {
	dir, err := root.Open(rel)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOTSUP) {
		return err
	}
	return nil
}
