// Package process tells who this process is, and whether the process that holds a lease is gone.
package process

import (
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// Self describes this process as an owner of leases, under a fresh id.
func Self() store.Owner {
	o := describe()
	o.ID = id.New()
	return o
}

// Gone reports whether an owner has certainly ended: it ran on this machine, in this boot, and there is no such process any more.
// What cannot be told is false; the owner's leases then run out by themselves.
func Gone(o store.Owner) bool {
	self := describe()
	if o.Machine == "" || o.Machine != self.Machine {
		return false
	}
	if o.Boot != self.Boot {
		return o.Boot != "" && self.Boot != ""
	}
	return ended(o.PID, o.Started)
}
