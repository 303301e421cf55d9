package control

import (
	"context"
	"fmt"

	"github.com/meerkat-go/meerkat/fault"
)

// Level is how much a caller may do. Each level includes those before it, but for Owner, which is the process itself.
type Level uint8

// The levels.
const (
	Owner  Level = iota // the zero value: whoever opened the realm in his own process. May do everything
	Reader              // may look
	Writer              // may make sessions and give them work
	Admin               // may change settings too
)

var levels = [...]string{"owner", "read", "write", "admin"}

// String returns the public name.
func (l Level) String() string {
	if int(l) < len(levels) {
		return levels[l]
	}
	return "unknown"
}

// ParseLevel reads the public name of a level that a key may have.
func ParseLevel(name string) (Level, error) {
	for l := Reader; l <= Admin; l++ {
		if levels[l] == name {
			return l, nil
		}
	}
	return 0, &Error{Code: fault.Invalid, Message: fmt.Sprintf("there is no level %q: use read, write or admin", name)}
}

// Caller is who asks.
type Caller struct {
	Key   string // name of the key that was shown; empty: none was needed
	Level Level
}

// As returns the plane as this caller has it: what his level does not allow is refused with code forbidden.
func (p *Plane) As(c Caller) *Plane {
	q := *p
	q.caller = c
	return &q
}

// Caller says whose this plane is.
func (p *Plane) Caller() Caller { return p.caller }

// may refuses what the caller's level does not allow.
func (p *Plane) may(need Level) error {
	if p.caller.Level == Owner || p.caller.Level >= need {
		return nil
	}
	return &Error{Code: fault.Forbidden, Message: fmt.Sprintf("the key may not do this: it is for %s, and %s is needed", p.caller.Level, need)}
}

// Grant is what a key is good for.
type Grant struct {
	Key   string // its name, for logs; never the key itself
	Realm string
	Level Level
}

// Keys knows the keys of a server.
type Keys interface {
	// Required reports whether a key has to be shown at all.
	Required(ctx context.Context) (bool, error)
	// Verify finds what a token is good for. It takes as long for a wrong token as for a right one. ok is false for one that is not known or was
	// revoked.
	Verify(ctx context.Context, token string) (g Grant, ok bool, err error)
}

// Door lets callers in: whoever shows a good key gets the plane of the key's realm, and no way to name another.
type Door struct {
	Keys  Keys                                                    // nil: nobody needs one
	Realm string                                                  // for callers that need no key
	Open  func(ctx context.Context, realm string) (*Plane, error) // opens a realm, or returns the one that is open
}

// doorError is why nobody can be let in now. Whoever stands before the door is not told: he may be anybody.
type doorError struct{ cause error }

// Error tells no cause.
func (*doorError) Error() string {
	return "keys cannot be checked now, so nobody is let in: the server's log says why"
}

// Unwrap returns the cause.
func (e *doorError) Unwrap() error { return e.cause }

// FaultCode is Storage.
func (*doorError) FaultCode() fault.Code { return fault.Storage }

// Enter returns the plane for whoever shows the token. Codes: unidentified, and those of opening a realm.
func (d *Door) Enter(ctx context.Context, token string) (*Plane, error) {
	grant := Grant{Realm: d.Realm, Level: Admin}
	if d.Keys != nil {
		need, err := d.Keys.Required(ctx)
		if err != nil {
			return nil, &doorError{err}
		}
		if need {
			g, ok, err := d.Keys.Verify(ctx, token)
			if err != nil {
				return nil, &doorError{err}
			}
			if !ok {
				return nil, &Error{Code: fault.Unidentified, Message: "a good API key is needed ('rkat keys create' makes one)"}
			}
			grant = g
		}
	}
	p, err := d.Open(ctx, grant.Realm)
	if err != nil {
		return nil, err
	}
	return p.As(Caller{Key: grant.Key, Level: grant.Level}), nil
}
