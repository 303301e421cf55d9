package control

import (
	"context"
	"time"
)

// Info says what this server is.
type Info struct {
	Version  string
	Process  string // name under which it was started, such as meerkat-rpc
	PID      int
	Realm    string
	Instance string
	Started  time.Time
}

// Info says what serves this realm.
func (p *Plane) Info(context.Context) (Info, error) {
	if err := p.may(Reader); err != nil {
		return Info{}, err
	}
	in := p.About
	in.Realm, in.Instance = p.Realm, p.Instance
	return in, nil
}

// Ready reports whether the realm can take work: its store answers. Its error says why not.
func (p *Plane) Ready(ctx context.Context) error {
	_, err := p.Sessions(ctx, ListSessions{Limit: 1})
	return err
}
