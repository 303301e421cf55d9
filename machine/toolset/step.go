package toolset

import (
	"errors"
	"fmt"
	"strings"

	"github.com/meerkat-go/meerkat/machine/fsm"
	"github.com/meerkat-go/meerkat/scope"
)

// about lists the guards that can name names.
var about = []guard{noControl, givenIdentified, givenMatch, namesKnown, namesWitnessed, namesTrue, wantedProven, wantedTrue, wantedKeep,
	toolsIdentified, deferrablesProven, namesCovered, authoritiesProven, authoritiesTrue,
	inheritedWitnessed, allowedKnown}

// Step returns what comes of e in s. The error is a *fsm.Refusal; where names are the reason, it is also the error of package scope
// that carries them. A revision that was minted is the Staged.Revision of the state returned.
func Step(s State, e Event) (State, error) {
	next, err := Table.Step(s, e)
	var no *fsm.Refusal
	if err == nil || !errors.As(err, &no) {
		return next, err
	}
	for _, g := range about {
		if g.name != no.Guard {
			continue
		}
		if names := g.offenders(s, e); names.Len() > 0 {
			return next, fmt.Errorf("%w: %w", err, g.err(names))
		}
	}
	return next, err
}

// Boundary is what comes of s when a model is about to be called and these are the tools there are. It cannot fail: a catalogue that is
// missing or not sound leaves the model without tools.
func Boundary(s State, c *scope.Catalogue) State {
	next, err := Step(s, Event{Kind: CommitBoundary, Catalogue: c})
	if err != nil {
		next, _ = Step(s, Event{Kind: FailClosed, Cause: Because(err)}) // has no guard
	}
	return next
}

// Because says why Step refused something, whatever the state was like: the guard, and the names that broke it.
func Because(err error) string {
	var no *fsm.Refusal
	if !errors.As(err, &no) {
		return err.Error()
	}
	return no.Guard + strings.TrimPrefix(err.Error(), no.Error())
}
