package sim

import (
	"context"
	"fmt"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// disk is the way of one process to the store that all share. A killed process reaches nothing any more.
type disk struct {
	store.Store
	w *world
	p *process
}

func (d *disk) cut(doing string) error {
	if d.p.isDead() {
		return fmt.Errorf("%s: %w", doing, store.ErrClosed)
	}
	return nil
}

// Acquire implements store.Store.
func (d *disk) Acquire(ctx context.Context, c store.Claim) (store.Lease, error) {
	d.w.takes(5*time.Millisecond, "acquire", d.p.name, c.Session, c.Now)
	if err := d.cut("acquire"); err != nil {
		return store.Lease{}, err
	}
	l, err := d.Store.Acquire(ctx, c)
	if err == nil {
		d.w.oracle.acquired(d.p, l)
	}
	return l, err
}

// Renew implements store.Store.
func (d *disk) Renew(ctx context.Context, o store.Owner, now time.Time, ttl time.Duration, held []store.Lease) ([]id.Session, error) {
	d.w.mu.Lock()
	deaf := time.Now().Before(d.w.deaf)
	d.w.mu.Unlock()
	if deaf {
		return nil, fmt.Errorf("renew: %w", store.ErrFailed)
	}
	if err := d.cut("renew"); err != nil {
		return nil, err
	}
	return d.Store.Renew(ctx, o, now, ttl, held)
}

// Release implements store.Store.
func (d *disk) Release(ctx context.Context, l store.Lease) error {
	if err := d.cut("release"); err != nil {
		return err
	}
	return d.Store.Release(ctx, l)
}

// Load implements store.Store.
func (d *disk) Load(ctx context.Context, s id.Session) (store.Loaded, error) {
	if err := d.cut("load"); err != nil {
		return store.Loaded{}, err
	}
	d.w.mu.Lock()
	refuse := time.Now().Before(d.w.refuse) && d.w.roll("load", time.Since(d.w.began))%2 == 0
	d.w.mu.Unlock()
	if refuse {
		return store.Loaded{}, fmt.Errorf("load: %w", store.ErrFailed)
	}
	return d.Store.Load(ctx, s)
}

// Input implements store.Store.
func (d *disk) Input(ctx context.Context, s id.Session, key string) (store.InputRow, error) {
	if err := d.cut("look up"); err != nil {
		return store.InputRow{}, err
	}
	r, err := d.Store.Input(ctx, s, key)
	if d.w.plan.Mutant == KeyForgotten && err == nil {
		err = fmt.Errorf("key %q of %s: %w", key, s, store.ErrNotFound)
	}
	return r, d.w.plan.Mutant.lookedUp(s, key, err)
}

// InputByID implements store.Store.
func (d *disk) InputByID(ctx context.Context, s id.Session, in id.Input) (store.InputRow, error) {
	if err := d.cut("look up"); err != nil {
		return store.InputRow{}, err
	}
	r, err := d.Store.InputByID(ctx, s, in)
	return r, d.w.plan.Mutant.lookedUp(s, string(in), err)
}

// Commit implements store.Store.
func (d *disk) Commit(ctx context.Context, b *store.Batch) error {
	kind := d.w.fault("commit")
	doing := fmt.Sprintf("commit %s at version %d by %s", b.Session, b.To, d.p.name)
	d.w.takes(3*time.Millisecond, "commit", d.p.name, b.Session, b.From, b.To, time.Since(d.w.began))
	if kind != "" {
		d.w.note("%s: %s", doing, kind)
	}
	switch kind {
	case "kill-before":
		d.p.kill()
		d.w.succeed(d.p)
	case "zombie-before":
		d.w.succeed(d.p)
		d.w.takes(300*time.Millisecond, "late", doing)
	case "refuse", "refuse-long":
		most := 2 * time.Second
		if kind == "refuse-long" {
			most = 10 * time.Second
		}
		d.w.mu.Lock()
		d.w.refuse = time.Now().Add(d.w.long(most, "refuse", doing))
		d.w.mu.Unlock()
	case "no-renewal":
		d.w.mu.Lock()
		d.w.deaf = time.Now().Add(d.w.long(30*time.Second, "deaf", doing))
		d.w.mu.Unlock()
	}
	if err := d.cut(doing); err != nil {
		return err
	}
	d.w.mu.Lock()
	refused := time.Now().Before(d.w.refuse)
	d.w.mu.Unlock()
	switch {
	case refused:
		return fmt.Errorf("%s: %w", doing, store.ErrFull)
	case kind == "hide-lost":
		return d.w.plan.Mutant.unknown(d, fmt.Errorf("%s: %w", doing, store.ErrUnknown))
	}
	err := d.Store.Commit(ctx, d.w.plan.Mutant.batch(d, b))
	if err != nil {
		d.w.note("%v", err)
		return err
	}
	d.w.oracle.committed(d.p, b)
	return d.written(doing, kind)
}

// written is what the caller hears of a batch that is durable.
func (d *disk) written(doing, kind string) error {
	switch kind {
	case "kill-after":
		d.p.kill()
		d.w.succeed(d.p)
		return fmt.Errorf("%s: %w", doing, store.ErrClosed)
	case "zombie-after":
		d.w.succeed(d.p)
	case "hide-written":
		return d.w.plan.Mutant.unknown(d, fmt.Errorf("%s: %w", doing, store.ErrUnknown))
	}
	return nil
}
