package jsonrpc

import (
	"slices"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/surface/present"
	"github.com/meerkat-go/meerkat/wire"
)

func hostInfo(r *request) (any, error) {
	if err := noParams(r); err != nil {
		return nil, err
	}
	info, err := r.plane.Info(r.ctx)
	if err != nil {
		return nil, err
	}
	at := wire.Endpoints{RPCTransport: r.client.transport, RPCMethods: slices.Clone(listed)}
	return present.HostInfo(info, r.plane.Backend, nil, r.plane.Ready(r.ctx), at), nil
}

func hostCapabilities(r *request) (any, error) {
	if err := noParams(r); err != nil {
		return nil, err
	}
	return present.HostCapabilities(), nil
}

func hostHealth(r *request) (any, error) {
	if err := noParams(r); err != nil {
		return nil, err
	}
	return present.HostHealth(r.plane.Ready(r.ctx)), nil
}

// scope reads whose events are meant.
func (r *request) scope() (wire.EventParams, id.Session, error) {
	var p wire.EventParams
	if err := wire.Decode(r.params, &p); err != nil {
		return p, "", err
	}
	if p.Scope.Type != "session" {
		return p, "", invalid("scope: there are events of sessions only")
	}
	s, err := r.locate(string(p.Scope.Session))
	if err != nil {
		return p, "", err
	}
	if p.Cursor != nil {
		of, err := r.locate(string(p.Cursor.Scope.Session))
		if err != nil || p.Cursor.Scope.Type != "session" || of != s {
			return p, "", invalid("cursor: it is of another scope")
		}
	}
	return p, s, nil
}

func latestCursor(r *request) (any, error) {
	_, s, err := r.scope()
	if err != nil {
		return nil, err
	}
	found, err := r.plane.Session(r.ctx, string(s))
	if err != nil {
		return nil, about(s, err)
	}
	return present.LatestCursor(found), nil
}

func listEvents(r *request) (any, error) {
	p, s, err := r.scope()
	if err != nil {
		return nil, err
	}
	limit, _, err := pageOf(p.Limit, nil)
	if err != nil {
		return nil, err
	}
	after := uint64(0)
	if p.Cursor != nil {
		after = p.Cursor.Sequence
	}
	page, err := r.plane.EventsSince(r.ctx, s, after, limit)
	if err != nil {
		return nil, about(s, err)
	}
	return present.EventList(page, control.Session{ID: s}), nil
}

func snapshot(r *request) (any, error) {
	_, s, err := r.scope()
	if err != nil {
		return nil, err
	}
	found, err := r.plane.Session(r.ctx, string(s))
	if err != nil {
		return nil, about(s, err)
	}
	info, err := r.describe(found)
	if err != nil {
		return nil, about(s, err)
	}
	return present.EventSnapshot(info, found.Cursor), nil
}
