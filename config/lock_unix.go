//go:build unix

package config

import (
	"os"
	"syscall"
)

// lock takes a lock on a file that other processes take too, and waits for it. It is gone with the process that holds it.
func lock(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX)
		if err != syscall.EINTR {
			break
		}
	}
	if err != nil {
		_ = f.Close() // nothing was written through it
		return nil, err
	}
	return func() { _ = f.Close() }, nil // which gives the lock up
}
