package driver

import (
	"fmt"
	"slices"
	"time"

	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/machine/peer"
	"github.com/meerkat-go/meerkat/machine/toolserver"
	"github.com/meerkat-go/meerkat/machine/toolset"
	"github.com/meerkat-go/meerkat/store"
)

// The names of the values that hold regions. They are stored.
const (
	serversValue = "toolservers"
	toolsetValue = "toolset"
	modelValue   = "model"
	peerValue    = "peer"
	workValue    = "work"
	saidValue    = "said"
)

type (
	// regionRecord is a region as it is stored; nil: it is not used any more.
	regionRecord[S any] struct {
		Format int `json:"f"`
		State  *S  `json:"s,omitempty"`
	}
	operationRecord struct {
		Format    int         `json:"f"`
		Operation registry.Op `json:"op"`
	}
)

func (r regionRecord[S]) version() int { return r.Format }
func (r operationRecord) version() int { return r.Format }

// encodeRegions adds the regions that a step changed. before is what they were.
func encodeRegions(b *store.Batch, before machine.Regions, c machine.Commit) error {
	r := c.Next.Regions
	if c.Regions&machine.ServersRegion != 0 {
		var durable *toolserver.Durable // what belongs to this process is never written
		if r.Servers != nil {
			durable = &r.Servers.Durable
		}
		if err := encodeRegion(b, serversValue, durable); err != nil {
			return err
		}
	}
	if c.Regions&machine.ToolsetRegion != 0 {
		if err := encodeRegion(b, toolsetValue, r.Toolset); err != nil {
			return err
		}
	}
	if c.Regions&machine.ModelRegion != 0 {
		if err := encodeRegion(b, modelValue, r.Model); err != nil {
			return err
		}
	}
	if c.Regions&machine.PeerRegion != 0 {
		if err := encodeRegion(b, peerValue, r.Peer); err != nil {
			return err
		}
	}
	if c.Regions&machine.SaidRegion != 0 {
		if err := encodeRegion(b, saidValue, r.Said); err != nil {
			return err
		}
	}
	if c.Regions&machine.WorkRegion != 0 {
		return encodeWork(b, before.Work, r.Work, c.Next.Updated)
	}
	return nil
}

func encodeRegion[S any](b *store.Batch, name string, state *S) error {
	data, err := encode(name, regionRecord[S]{format, state})
	if err != nil {
		return err
	}
	b.Values = append(b.Values, store.Value{Name: name, Data: data})
	return nil
}

// encodeWork writes the head of the register, the operations that have changed, and those that it keeps no more: their rows stay for
// look-ups alone.
func encodeWork(b *store.Batch, before, after *registry.State, at time.Time) error {
	var was, is registry.State
	var head *registry.Head
	if before != nil {
		was = *before
	}
	if after != nil {
		is = *after
		h := is.Head()
		head = &h
	}
	if err := encodeRegion(b, workValue, head); err != nil {
		return err
	}
	for _, o := range registry.Left(was, is, at) {
		if err := encodeOperation(b, o, false); err != nil {
			return err
		}
	}
	for _, o := range registry.Changed(was, is) {
		if err := encodeOperation(b, o, true); err != nil {
			return err
		}
	}
	return nil
}

func encodeOperation(b *store.Batch, o registry.Op, kept bool) error {
	body, err := encode("operation", operationRecord{format, o})
	if err != nil {
		return err
	}
	b.Operations = append(b.Operations, store.OperationRow{ID: string(o.ID), Kept: kept, Seq: uint64(o.Seq), Body: body})
	return nil
}

// decodeValue puts a value where it belongs in the state. The register of operations is not whole before its rows: its head is returned.
func decodeValue(st *machine.State, v store.Value) (work *registry.Head, err error) {
	switch v.Name {
	case profileValue:
		p, err := decode[profileRecord]("profile", v.Data)
		if err == nil {
			st.Profile = &p.Profile
		}
		return nil, err
	case serversValue:
		durable, err := decodeRegion(v, func(d toolserver.Durable) error { return toolserver.Check(toolserver.State{Durable: d}) })
		if err == nil && durable != nil {
			st.Servers = &toolserver.State{Durable: *durable}
		}
		return nil, err
	case toolsetValue:
		st.Toolset, err = decodeRegion(v, toolset.Check)
	case modelValue:
		st.Model, err = decodeRegion(v, model.Check)
	case peerValue:
		st.Peer, err = decodeRegion(v, peer.Check)
	case saidValue:
		st.Said, err = decodeRegion(v, machine.Said.Check)
	case workValue:
		work, err = decodeRegion(v, func(registry.Head) error { return nil })
	default:
		err = later(fmt.Sprintf("value %q", v.Name), v.Data, "this program knows no such part of a session")
	}
	return work, err
}

// decodeRegion reads a region that keeps its own rules; nil: it is not used.
func decodeRegion[S any](v store.Value, check func(S) error) (*S, error) {
	r, err := decode[regionRecord[S]](v.Name, v.Data)
	if err != nil || r.State == nil {
		return nil, err
	}
	if err := check(*r.State); err != nil {
		return nil, corrupt(v.Name, v.Data, "%v", err)
	}
	return r.State, nil
}

func decodeOperation(row store.OperationRow) (registry.Op, error) {
	what := fmt.Sprintf("operation %q", row.ID)
	r, err := decode[operationRecord](what, row.Body)
	if err != nil {
		return registry.Op{}, err
	}
	if o := r.Operation; string(o.ID) != row.ID || uint64(o.Seq) != row.Seq {
		return registry.Op{}, corrupt(what, row.Body, "it is not the operation its row says")
	}
	return r.Operation, nil
}

// decodeWork puts the register together from its head, which stands in data, and the operations it keeps; no head: it was never used, or is
// no more.
func decodeWork(head *registry.Head, data []byte, ops []registry.Op) (*registry.State, error) {
	if head == nil && len(ops) == 0 {
		return nil, nil
	}
	if head == nil {
		return nil, corrupt(workValue, nil, "there are operations and no register")
	}
	s, err := registry.Restore(*head, slices.Values(ops))
	if err == nil {
		err = registry.Check(s)
	}
	if err != nil {
		return nil, corrupt(workValue, data, "%v", err)
	}
	return &s, nil
}
