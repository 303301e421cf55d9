package driver

import (
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/store"
)

// Lease returns the lease the driver writes under.
func (d *Driver) Lease() store.Lease { return *d.lease }

// DecodeState is decodeState.
func DecodeState(s id.Session, l store.Loaded) (machine.State, error) { return decodeState(s, l) }

// Encode returns the control column of a state.
func Encode(st machine.State, term uint64) []byte {
	d := &Driver{lease: &store.Lease{Session: st.Session, Term: term}, state: &st}
	s := d.Stage()
	if err := s.complete(); err != nil {
		panic(err)
	}
	return s.batch.Control
}

// EncodeRegions returns the values and the kept operations of a state.
func EncodeRegions(st machine.State) ([]store.Value, []store.OperationRow) {
	b := &store.Batch{}
	all := machine.ServersRegion | machine.ModelRegion | machine.PeerRegion | machine.WorkRegion | machine.SaidRegion |
		machine.ToolsetRegion
	if err := encodeRegions(b, machine.Regions{}, machine.Commit{Next: st, Regions: all}); err != nil {
		panic(err)
	}
	return b.Values, b.Operations
}
