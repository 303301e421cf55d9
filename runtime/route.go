package runtime

import (
	"context"
	"fmt"
	"strings"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
)

// What an orchestrator may route. Everything else is a command of its own, or nobody's to give: a run is interrupted by InterruptCurrentRun, which
// names it.
const (
	RouteBind    = "bind"
	RouteIngest  = "ingest"
	RouteRetire  = "retire"
	RouteDestroy = "destroy"
)

// Routed is a word of an orchestrator as it arrives: a command by its name, with the fields that its sender filled in. What a command needs
// and does not have is refused by name.
type Routed struct {
	Command    string
	Pinned     id.Session // the session that the door it came in by is for; empty: the door is for all
	Session    id.Session // that it names. Needed by all but an ingest that names a runtime id
	Runtime    string     // needed by bind; elsewhere: where the session must be
	Fence      *uint64    // likewise
	Generation *uint64    // likewise
	Epoch      *id.Epoch  // of the registration it is meant for. Needed by bind; elsewhere: it must be the current one
	Input      *Input     // needed by ingest
}

// Routing is what came of a routed command.
type Routing struct {
	Session id.Session
	Verdict machine.Verdict // ingest, retire, destroy
}

// RouteError says why something was not routed. No session was told.
type RouteError struct {
	Command string
	Missing []string // fields that it needs; empty: something else is wrong
	Reason  string
}

// Error says it in words.
func (e *RouteError) Error() string {
	if len(e.Missing) > 0 {
		return fmt.Sprintf("%s %v: it has no %s", e.Command, ErrNotRoutable, strings.Join(e.Missing, ", no "))
	}
	return fmt.Sprintf("%q %v: %s", e.Command, ErrNotRoutable, e.Reason)
}

// Unwrap returns ErrNotRoutable.
func (e *RouteError) Unwrap() error { return ErrNotRoutable }

// Route carries out what an orchestrator sends. A *RouteError says that it was refused here; ErrNotFound and ErrAmbiguous that no one session is
// meant; ErrMoved and ErrStaleEpoch that the session is not where, or not what, its sender thinks. Other errors are those of the command.
func (h *Host) Route(ctx context.Context, r Routed) (Routing, error) {
	if missing := r.missing(); len(missing) > 0 {
		return Routing{}, &RouteError{Command: r.Command, Missing: missing}
	}
	switch r.Command {
	case RouteBind, RouteIngest, RouteRetire, RouteDestroy:
	default:
		return Routing{}, &RouteError{Command: r.Command, Reason: "bind, ingest, retire and destroy can be"}
	}
	sid, err := h.target(r)
	if err != nil {
		return Routing{}, err
	}
	out := Routing{Session: sid}
	switch r.Command {
	case RouteBind:
		err = h.BindPlacement(ctx, sid, *r.Epoch, machine.Placement{Runtime: r.Runtime, Fence: *r.Fence, Generation: *r.Generation})
	case RouteIngest:
		out.Verdict, err = h.routed(ctx, sid, existing, r, r.Input.letter(false))
	case RouteRetire:
		out.Verdict, err = h.routed(ctx, sid, existing, r, &letter{rank: control, event: machine.Retire{}})
	case RouteDestroy:
		out.Verdict, err = h.routed(ctx, sid, returning, r, &letter{rank: control, event: machine.Destroy{}})
	}
	return out, failed("route "+r.Command+" to", sid, err)
}

// missing lists the fields that a command needs and does not have.
func (r Routed) missing() []string {
	var out []string
	need := func(there bool, name string) {
		if !there {
			out = append(out, name)
		}
	}
	named := r.Session != "" || r.Pinned != ""
	switch r.Command {
	case RouteBind:
		need(named, "session")
		need(r.Runtime != "", "runtime")
		need(r.Fence != nil, "fence")
		need(r.Generation != nil, "generation")
		need(r.Epoch != nil, "epoch")
	case RouteIngest:
		need(named || r.Runtime != "", "session or runtime")
		need(r.Input != nil, "input")
	case RouteRetire, RouteDestroy:
		need(named, "session")
	}
	return out
}

// target finds the session that is meant.
func (h *Host) target(r Routed) (id.Session, error) {
	switch {
	case r.Pinned != "" && r.Session != "" && r.Session != r.Pinned:
		return "", &RouteError{Command: r.Command, Reason: fmt.Sprintf("it is for session %s, at a door of session %s", r.Session, r.Pinned)}
	case r.Pinned != "":
		return r.Pinned, nil
	case r.Session != "":
		return r.Session, nil
	}
	return h.SessionOf(r.Runtime)
}

// routed gives a letter to a session that is what, and where, its sender says.
func (h *Host) routed(ctx context.Context, sid id.Session, o opening, r Routed, l *letter) (machine.Verdict, error) {
	s, err := h.open(ctx, sid, o)
	if err != nil {
		return machine.Verdict{}, err
	}
	if r.Epoch != nil {
		l.event = machine.Handled{Epoch: *r.Epoch, Event: l.event}
	}
	var moved error
	l.local = func() {
		if s.driver == nil {
			return
		}
		if moved = r.elsewhere(sid, s.driver.State().Transient.Placement); moved != nil {
			l.event = nil
		}
	}
	v, err := s.ask(ctx, l)
	if err == nil {
		err = moved
	}
	if err != nil && o == returning {
		s.unlessRegistered(ctx, err, false)
	}
	return v, err
}

// elsewhere refuses what is meant for a session at another place than it has. Its own runtime id is always that of a session.
func (r Routed) elsewhere(sid id.Session, at machine.Placement) error {
	switch {
	case r.Runtime != "" && r.Runtime != at.Runtime && r.Runtime != RuntimeOf(sid):
	case r.Fence != nil && *r.Fence != at.Fence:
	case r.Generation != nil && *r.Generation != at.Generation:
	default:
		return nil
	}
	return fmt.Errorf("%w: it is at %q, fence %d, generation %d", ErrMoved, at.Runtime, at.Fence, at.Generation)
}
