package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"syscall"

	vendor "modernc.org/sqlite"
	lib "modernc.org/sqlite/lib"

	"github.com/meerkat-go/meerkat/store"
)

// resultCode returns SQLite's primary result code of an error, or SQLITE_OK for an error that is not SQLite's.
func resultCode(err error) int {
	var e *vendor.Error
	if errors.As(err, &e) {
		return e.Code() & 0xff
	}
	return lib.SQLITE_OK
}

// explain wraps an error with what was being attempted, the file, the condition of package store and what a user can do about it.
// Errors that are conditions already, and the ends of contexts, only get the first two.
func explain(path, doing string, err error) error {
	if err == nil {
		return nil
	}
	advice, condition := classify(err)
	if condition == nil {
		return fmt.Errorf("%s (%s): %w", doing, path, err)
	}
	return fmt.Errorf("%s (%s): %w: %s: %w", doing, path, condition, advice, err)
}

// classify finds the condition that an error of SQLite or the file system amounts to; nil if it is one already.
func classify(err error) (advice string, condition error) {
	switch {
	case hasCondition(err), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return "", nil
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return adviceFull, store.ErrFull
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENOTDIR),
		errors.Is(err, syscall.EISDIR):
		return adviceReadOnly, store.ErrReadOnly
	}
	var e *vendor.Error
	if errors.As(err, &e) && e.Code() == lib.SQLITE_IOERR_SHMSIZE { // the log's index cannot grow: what a full disk does
		return adviceFull, store.ErrFull
	}
	switch resultCode(err) {
	case lib.SQLITE_FULL:
		return adviceFull, store.ErrFull
	case lib.SQLITE_READONLY, lib.SQLITE_CANTOPEN, lib.SQLITE_PERM:
		return adviceReadOnly, store.ErrReadOnly
	case lib.SQLITE_CORRUPT, lib.SQLITE_NOTADB:
		return adviceCorrupt, store.ErrCorrupt
	case lib.SQLITE_BUSY, lib.SQLITE_LOCKED:
		return "another program keeps the file locked: end it, or try again", store.ErrBusy
	case lib.SQLITE_CONSTRAINT:
		return "this is a defect of Meerkat, please report it", store.ErrExists
	}
	return "check the disk and the system's log, then try again", store.ErrFailed
}

const (
	adviceFull     = "free some space on that disk, or raise the quota, and try again"
	adviceReadOnly = "make the folder and the file writable for this user, or choose another place"
	adviceCorrupt  = "move the file with its -wal and -shm companions away and restore a backup, or try the recovery of the sqlite3 program"
)

// hasCondition reports whether an error already is one of package store's.
func hasCondition(err error) bool {
	for _, c := range []error{store.ErrNotFound, store.ErrConflict, store.ErrFenced, store.ErrUnknown, store.ErrFull, store.ErrReadOnly,
		store.ErrCorrupt, store.ErrFuture, store.ErrClosed, store.ErrBusy, store.ErrFailed, store.ErrExists, store.ErrInvalid} {
		if errors.Is(err, c) {
			return true
		}
	}
	var held *store.HeldError
	return errors.As(err, &held)
}
