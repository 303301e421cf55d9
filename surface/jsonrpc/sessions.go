package jsonrpc

import (
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/surface/present"
	"github.com/meerkat-go/meerkat/wire"
)

func listSessions(r *request) (any, error) {
	var p wire.ListParams
	if hasParams(r.params) {
		if err := wire.Decode(r.params, &p); err != nil {
			return nil, err
		}
	}
	q := control.ListSessions{Labels: p.Labels, DeferredFirst: true}
	limit, offset, err := pageOf(p.Limit, p.Offset)
	if err != nil {
		return nil, err
	}
	q.Limit, q.Offset = limit, offset
	if p.Limit != nil && limit == 0 {
		return present.List(r.plane.Realm, nil), nil // none were asked for; to control 0 is what was not said
	}
	all, err := r.plane.Sessions(r.ctx, q)
	if err != nil {
		return nil, err
	}
	return present.List(r.plane.Realm, all), nil
}

func pageOf(limit, offset *int) (l, o int, err error) {
	if limit != nil {
		l = *limit
	}
	if offset != nil {
		o = *offset
	}
	if l < 0 || o < 0 {
		return 0, 0, invalid("offset and limit are not negative")
	}
	return l, o, nil
}

func readSession(r *request) (any, error) {
	s, err := r.session()
	if err != nil {
		return nil, err
	}
	found, err := r.plane.Session(r.ctx, string(s))
	if err != nil {
		return nil, about(s, err)
	}
	info, err := r.describe(found)
	return info, about(s, err)
}

// lookBack is how many messages are looked at, from the end, for the last reply.
const lookBack = 32

// describe tells a session with what it said at last, while it rests, and what its model can do.
func (r *request) describe(s control.Session) (wire.SessionInfo, error) {
	info := present.SessionInfo(r.plane.Realm, s)
	if !info.Active && s.Messages > 0 {
		rows, err := r.plane.Transcript(r.ctx, s.ID, s.Messages-lookBack+1, 0)
		if err != nil {
			return info, err
		}
		info.LastText = present.LastText(rows)
	}
	models, err := r.plane.Models(r.ctx)
	if err != nil {
		return info, err
	}
	for _, m := range models {
		if m.ID == info.Model && m.Provider == info.Provider {
			info.Can = present.Abilities(m.Surface)
		}
	}
	return info, nil
}

func readHistory(r *request) (any, error) {
	var p wire.HistoryParams
	if err := wire.Decode(r.params, &p); err != nil {
		return nil, err
	}
	s, err := r.locate(p.Session)
	if err != nil {
		return nil, err
	}
	limit, offset, err := pageOf(p.Limit, p.Offset)
	if err != nil {
		return nil, err
	}
	h, err := r.plane.History(r.ctx, s, offset, limit)
	if err != nil {
		return nil, about(s, err)
	}
	out := present.History(r.plane.Realm, h)
	if p.Limit != nil && limit == 0 {
		out.Messages, out.Limit, out.More = out.Messages[:0], p.Limit, offset < h.Total
	}
	return out, nil
}

func archiveSession(r *request) (any, error) {
	s, err := r.session()
	if err != nil {
		return nil, err
	}
	if err := r.plane.Archive(r.ctx, s); err != nil {
		return nil, about(s, err)
	}
	return wire.Archived{Archived: true}, nil
}

func forkAt(r *request) (any, error) {
	var p wire.ForkParams
	if err := wire.DecodeStrict(r.params, &p); err != nil {
		return nil, err
	}
	return r.fork(p, nil)
}

func forkReplace(r *request) (any, error) {
	var p wire.ForkReplaceParams
	if err := wire.DecodeStrict(r.params, &p); err != nil {
		return nil, err
	}
	with, err := replacement(p.Replacement)
	if err != nil {
		return nil, err
	}
	return r.fork(p.ForkParams, with)
}

func (r *request) fork(p wire.ForkParams, with *control.Replacement) (any, error) {
	s, err := r.locate(p.Session)
	if err != nil {
		return nil, err
	}
	if p.Running != "" && p.Running != "reject" {
		return nil, invalid("running_behavior is reject")
	}
	if *p.Index < 0 {
		return nil, invalid("message_index is not negative")
	}
	made, err := r.plane.ForkAt(r.ctx, s, *p.Index, with)
	if err != nil {
		return nil, about(s, err)
	}
	return wire.ForkResult{Source: s, Session: made.ID, Ref: wire.Ref(r.plane.Realm, made.ID), Messages: made.Messages}, nil
}

func injectContext(r *request) (any, error) {
	var p wire.ContextParams
	if err := wire.Decode(r.params, &p); err != nil {
		return nil, err
	}
	s, err := r.locate(p.Session)
	if err != nil {
		return nil, err
	}
	what, err := present.Context(s, p)
	if err != nil {
		return nil, err
	}
	status, err := r.plane.InjectContext(r.ctx, what)
	if err != nil {
		return nil, about(s, err)
	}
	return wire.ContextResult{Status: status}, nil
}

func externalEvent(r *request) (any, error) {
	var p wire.ExternalEventParams
	if err := wire.Decode(r.params, &p); err != nil {
		return nil, err
	}
	s, err := r.locate(p.Session)
	if err != nil {
		return nil, err
	}
	e, err := present.ExternalEvent(s, p)
	if err != nil {
		return nil, err
	}
	got, err := r.plane.ExternalEvent(r.ctx, e)
	if err != nil {
		return nil, about(s, err)
	}
	return present.Accepted(got), nil
}
