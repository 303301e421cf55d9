package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/json"
	"fmt"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/store"
)

// Acquire implements store.Store.
func (s *Store) Acquire(ctx context.Context, claim store.Claim) (store.Lease, error) {
	var got store.Lease
	err := s.submit(ctx, &request{doing: fmt.Sprintf("acquire session %s", claim.Session), session: claim.Session, do: func(c *conn) (err error) {
		got, err = acquire(c, claim)
		return err
	}})
	if err != nil {
		return store.Lease{}, err // got may be the writer's still
	}
	return got, nil
}

// acquire decides about a claim inside the writer's transaction.
func acquire(c *conn, claim store.Claim) (store.Lease, error) {
	at, err := findSession(c, claim.Session)
	if err != nil {
		return store.Lease{}, err
	}
	if !claim.Create && at.version == 0 {
		return store.Lease{}, refusal{store.ErrNotFound}
	}
	held := at.leased && at.lease.Expires.After(claim.Now) && at.lease.Owner.ID != claim.Owner.ID
	if held && (claim.Break == 0 || claim.Break != at.lease.Term) {
		return store.Lease{}, refusal{&store.HeldError{Lease: at.lease}}
	}
	if !at.found {
		if _, err := c.exec("INSERT INTO sessions (session) VALUES (?)", string(claim.Session)); err != nil {
			return store.Lease{}, err
		}
		if at, err = findSession(c, claim.Session); err != nil {
			return store.Lease{}, err
		}
	}
	o, expires := claim.Owner, claim.Now.Add(claim.TTL).UnixMicro()
	if _, err := c.exec(`INSERT INTO leases (session, term, expires, owner, machine, boot, pid, started, address)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (session) DO UPDATE SET term = excluded.term, released = 0,
		expires = excluded.expires, owner = excluded.owner, machine = excluded.machine, boot = excluded.boot, pid = excluded.pid,
		started = excluded.started, address = excluded.address`,
		at.key, at.lease.Term+1, expires, o.ID, o.Machine, o.Boot, o.PID, o.Started, o.Address); err != nil {
		return store.Lease{}, err
	}
	return store.Lease{Session: claim.Session, Term: at.lease.Term + 1, Owner: o, Expires: time.UnixMicro(expires).UTC()}, nil
}

// Renew implements store.Store.
func (s *Store) Renew(ctx context.Context, owner store.Owner, now time.Time, ttl time.Duration, held []store.Lease) ([]id.Session, error) {
	if len(held) == 0 {
		return nil, nil
	}
	pairs := make([][2]any, len(held))
	for i, l := range held {
		pairs[i] = [2]any{l.Session, l.Term}
	}
	list, err := json.Marshal(pairs)
	if err != nil {
		return nil, err
	}
	var lost []id.Session
	err = s.submit(ctx, &request{doing: fmt.Sprintf("renew %d leases", len(held)), do: func(c *conn) error {
		lost = nil
		return renew(c, owner.ID, now.Add(ttl), string(list), len(held), &lost)
	}})
	if err != nil {
		return nil, err
	}
	return lost, nil
}

// renew moves the expiries, and asks which were lost only if some were.
func renew(c *conn, owner string, expires time.Time, list string, n int, lost *[]id.Session) error {
	changed, err := c.exec(`UPDATE leases SET expires = ?1 FROM json_each(?2) j JOIN sessions s ON s.session = j.value ->> 0
		WHERE leases.session = s.key AND leases.term = j.value ->> 1 AND leases.owner = ?3 AND leases.released = 0`,
		expires.UnixMicro(), list, owner)
	if err != nil || changed == int64(n) {
		return err
	}
	return c.query(context.Background(), func(row []driver.Value) error {
		*lost = append(*lost, id.Session(text(row[0])))
		return nil
	}, `SELECT j.value ->> 0 FROM json_each(?1) j WHERE NOT EXISTS (SELECT 1 FROM sessions s JOIN leases l ON l.session = s.key
		WHERE s.session = j.value ->> 0 AND l.term = j.value ->> 1 AND l.owner = ?2 AND l.released = 0) ORDER BY j.key`, list, owner)
}

// Release implements store.Store.
func (s *Store) Release(ctx context.Context, l store.Lease) error {
	return s.submit(ctx, &request{doing: fmt.Sprintf("release session %s", l.Session), session: l.Session, do: func(c *conn) error {
		_, err := c.exec("UPDATE leases SET released = 1 WHERE session = (SELECT key FROM sessions WHERE session = ?) AND term = ?",
			string(l.Session), l.Term)
		return err
	}})
}
