package driver

import (
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/store"
)

// DecodeState is decodeState.
func DecodeState(s id.Session, l store.Loaded) (machine.State, error) { return decodeState(s, l) }

// Encode returns the control column of a state.
func Encode(st machine.State, term uint64) []byte {
	d := &Driver{lease: store.Lease{Session: st.Session, Term: term}, state: st}
	s := d.Stage()
	if err := s.complete(); err != nil {
		panic(err)
	}
	return s.batch.Control
}
