// Package files replaces files in one step, keeps processes from writing the same one at the same time, and sees that one was changed.
package files

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/gofrs/flock"
)

// Lock waits until no other holder, in this process or another, has the lock of that path, and takes it. The file holds nothing and stays; the lock
// ends with unlock, or with the process.
func Lock(ctx context.Context, path string) (unlock func() error, err error) {
	l := flock.New(path, flock.SetPermissions(0o600))
	if _, err := l.TryLockContext(ctx, 5*time.Millisecond); err != nil {
		return nil, fmt.Errorf("lock %s: %w", path, errors.Join(err, l.Close()))
	}
	return l.Close, nil
}

// TryLock takes the lock of a path if nobody has it; ok is false if somebody does.
func TryLock(path string) (unlock func() error, ok bool, err error) {
	l := flock.New(path, flock.SetPermissions(0o600))
	ok, err = l.TryLock()
	if err != nil || !ok {
		err = errors.Join(err, l.Close())
		if err != nil {
			err = fmt.Errorf("lock %s: %w", path, err)
		}
		return nil, false, err
	}
	return l.Close, true, nil
}

// Replace writes a file of mode 0600, so that whoever reads it sees all of the old text or all of the new, also after a crash.
func Replace(path string, data []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+"-*") // mode 0600
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	defer func() {
		if err != nil {
			err = fmt.Errorf("write %s: %w", path, errors.Join(err, os.Remove(f.Name())))
		}
	}()
	_, err = f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	if err := syncDir(dir); err != nil {
		return fmt.Errorf("write %s: %w", path, err) // it is in place, and may not survive the machine
	}
	return nil
}

// syncDir makes a rename in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// Stamp is how a file looked when it was read. The zero value is a file that is not there.
type Stamp struct {
	info fs.FileInfo
	at   time.Time // of the look
}

// StampOf looks at a file. It reads nothing of it. A file that does not exist has the zero stamp.
func StampOf(path string) (Stamp, error) {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Stamp{}, nil
	}
	return Stamp{info, time.Now()}, err
}

// tick is how coarse the times of files may be.
const tick = 2 * time.Second

// Settled reports whether the file had been left alone for a while when it was looked at. One that had not may be written again and look the same.
func (s Stamp) Settled() bool { return s.info == nil || s.at.Sub(s.info.ModTime()) > tick }

// There reports whether the file was there.
func (s Stamp) There() bool { return s.info != nil }

// Same reports whether both are of one file that was not changed between: its identity, size and time are the same.
func (s Stamp) Same(o Stamp) bool {
	if s.info == nil || o.info == nil {
		return s.info == nil && o.info == nil
	}
	return os.SameFile(s.info, o.info) && s.info.Size() == o.info.Size() && s.info.ModTime().Equal(o.info.ModTime())
}
