// Package id holds the typed identifiers of the system: minted at the edge, derived inside.
//
// An identifier that comes from outside (a session, an input) is minted by whoever calls us, or by New at the edge. One that
// is made by a decision (a run, an effect) is derived from the decision itself, so that a replay is equal byte for byte
// (docs/design/0001).
package id

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"github.com/google/uuid"
)

// Session names one conversation: a UUID version 7 in its textual form.
type Session string

// Input names one accepted piece of work of a session: a UUID version 7 minted by the submitter.
type Input string

// Run names one accepted batch of inputs on its way to a terminal. Derived, never minted.
type Run string

// Epoch names one registration of a session: new when it is made and when it is registered again after it was unregistered. It outlives
// crashes and takeovers. Derived.
type Epoch string

// Call names one tool call, as the model (or the adapter, if the model gives none) called it. It is the idempotency key that a
// tool is given.
type Call string

// Seq is the admission position of an input within its session; lower is older.
type Seq int64

// Compare orders positions of admission.
func (s Seq) Compare(o Seq) int { return cmp.Compare(s, o) }

// Effect names one thing asked of the world: the ordinal-th of the commit that brought the session to a version. Together with
// the session it is unique for ever and serves as an idempotency key.
type Effect struct {
	Version uint64 `json:"v"`
	Ordinal uint32 `json:"n"`
}

// String returns version.ordinal.
func (e Effect) String() string { return fmt.Sprintf("%d.%d", e.Version, e.Ordinal) }

// IsZero reports whether e names nothing.
func (e Effect) IsZero() bool { return e == Effect{} }

// Compare orders effects by version, then ordinal.
func (e Effect) Compare(o Effect) int {
	return cmp.Or(cmp.Compare(e.Version, o.Version), cmp.Compare(e.Ordinal, o.Ordinal))
}

// New mints a UUID version 7. For the edge only: nothing that decides may call it.
func New() string { return uuid.Must(uuid.NewV7()).String() }

// Named makes the identifier of what somebody has named, in a scope: a UUID version 8 that is a hash of both. Equal arguments give equal identifiers.
func Named(scope, name string) string {
	scoped := sha256.Sum256([]byte(scope))
	sum := sha256.Sum256(append(scoped[:], name...))
	u := uuid.UUID(sum[:16])
	u[6], u[8] = u[6]&0x0f|0x80, u[8]&0x3f|0x80
	return u.String()
}

// ParseSession accepts a UUID in its canonical textual form.
func ParseSession(s string) (Session, error) {
	u, err := uuid.Parse(s)
	if err != nil || len(s) != 36 {
		return "", fmt.Errorf("session id %q is not a UUID", s)
	}
	return Session(u.String()), nil
}

// Derive makes the identifier of something decided at the given time by the commit that leads to version: a UUID version 7 whose
// random bits are the hash of session, version and ordinal. Equal arguments give equal identifiers.
func Derive(at time.Time, session Session, version uint64, ordinal uint32) string {
	var tail [12]byte
	binary.BigEndian.PutUint64(tail[:8], version)
	binary.BigEndian.PutUint32(tail[8:], ordinal)
	buf := make([]byte, 0, 64)
	buf = append(buf, session...)
	buf = append(buf, tail[:]...)
	sum := sha256.Sum256(buf)
	var u uuid.UUID
	copy(u[6:], sum[:10])
	ms := uint64(at.UnixMilli())
	u[0], u[1], u[2] = byte(ms>>40), byte(ms>>32), byte(ms>>24)
	u[3], u[4], u[5] = byte(ms>>16), byte(ms>>8), byte(ms)
	u[6] = 0x70 | u[6]&0x0f
	u[8] = 0x80 | u[8]&0x3f
	return u.String()
}
