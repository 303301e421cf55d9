package control

import (
	"context"

	"github.com/meerkat-go/meerkat/id"
)

// Retire takes no more input for a session. What it has is carried out; it says how many inputs those are, and how many were given up because
// nobody could carry them out.
func (p *Plane) Retire(ctx context.Context, s id.Session) (pending, abandoned int, err error) {
	if err := p.may(Admin); err != nil {
		return 0, 0, err
	}
	r, err := p.Host.Retire(ctx, s)
	return r.Pending, r.Abandoned, err
}

// Reset gives up what waits for a session at rest, which takes input again also if it was retired, and says how many inputs those were.
func (p *Plane) Reset(ctx context.Context, s id.Session) (abandoned int, err error) {
	if err := p.may(Admin); err != nil {
		return 0, err
	}
	return p.Host.Reset(ctx, s)
}

// Archive makes a record of a session: its run is ended, what waits is given up, its history can be read. Again: no error.
func (p *Plane) Archive(ctx context.Context, s id.Session) error {
	if err := p.may(Writer); err != nil {
		return err
	}
	return p.Host.Archive(ctx, s)
}

// Destroy ends a session for ever, and says how many inputs were given up. Its history can be read. Again: no error.
func (p *Plane) Destroy(ctx context.Context, s id.Session) (abandoned int, err error) {
	if err := p.may(Admin); err != nil {
		return 0, err
	}
	return p.Host.Destroy(ctx, s)
}
