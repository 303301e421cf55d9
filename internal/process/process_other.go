//go:build !linux

package process

import (
	"os"

	"github.com/meerkat-go/meerkat/store"
)

// describe leaves the machine out: without a start time a reused process id would look like a living owner, or a living one like a
// dead one. Leases then run out by time.
func describe() store.Owner { return store.Owner{PID: os.Getpid()} }

func ended(int, string) bool { return false }
