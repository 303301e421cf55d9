package executor

import (
	"context"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
)

// Offerer is implemented by executors whose tools the session decides about: what a model is offered, and which of the calls it asks for are
// handed out. It is asked when the executor is attached, and may block as long as the host bears it. An error, or nil, says that nobody knows which
// tools there are (R123). It must not ask the session for anything. Tools that change later are told by Toolset.Offer.
type Offerer interface {
	Catalogue(ctx context.Context, s id.Session, p run.Profile) (*scope.Catalogue, error)
}

// Editor is implemented by offerers whose tools come and go while sessions live. OfferEdition returns another number than before when a catalogue may
// have become another one; it must not block. The host asks for the catalogue anew before the session decides about anything else, so that what there
// is now is offered from the next boundary on.
type Editor interface {
	Offerer
	OfferEdition() uint64
}

// Call says what a model call is made with.
type Call struct {
	Model   *identity.Identity // nil: the profile's model. With no more than its name: whoever has a model of that name. Not to be changed
	Gated   bool               // the session decides what is offered; if not, offer what you have
	Visible *scope.VisibleSet  // Gated: exactly this is offered, and what is asked for beside it is not run. Shared and never changed
}

// VisibleSide is one side of what may be seen: what is in force, or what is to be from the next boundary on.
type VisibleSide struct {
	Filter      scope.Filter
	Granted     scope.Names     // deferred tools that were asked for
	Authorities scope.Witnesses // of each of them, and of no other name
	Revision    uint64
}

// Visibility is both sides of what may be seen, with whose tools the names of their filters mean.
type Visibility struct {
	Active, Staged VisibleSide
	Witnesses      scope.Witnesses
}

// Toolset is about which tools the model is offered. What is staged is in force from the next boundary on, where a model is called. Refusals that
// are about names carry them: look for an error of package scope.
type Toolset interface {
	// Offer says which tools there are from now on, in place of what was said before.
	Offer(ctx context.Context, c *scope.Catalogue) error
	// Inherit restricts the session for ever. It is accepted once.
	Inherit(ctx context.Context, f scope.Filter, w scope.Witnesses) error
	// StageFilter stages another filter in place of the present one and returns its revision. Each name says whose tool is meant.
	StageFilter(ctx context.Context, f scope.Filter, w scope.Witnesses) (revision uint64, err error)
	// RequestDeferred asks for deferred tools, beside those that were asked for before.
	RequestDeferred(ctx context.Context, w scope.Witnesses) (revision uint64, err error)
	// ResetDeferred takes all such requests back.
	ResetDeferred(ctx context.Context) (revision uint64, err error)
	// Publish replaces both sides at once, and returns what is there then.
	Publish(ctx context.Context, v Visibility) (Visibility, error)

	// Visibility returns both sides.
	Visibility(ctx context.Context) (Visibility, error)
	// Catalogue returns the tools there are; nil: nobody knows.
	Catalogue(ctx context.Context) (*scope.Catalogue, error)
	// Visible returns what the model was offered last; nil: the session has not decided about it.
	Visible(ctx context.Context) (*scope.VisibleSet, error)
	// Search looks for deferrable tools by a text in their name or description; 0: the usual number of hits.
	Search(ctx context.Context, query string, limit int) (scope.Found, error)
	// Load asks for deferred tools by name, and answers for each of them, in order.
	Load(ctx context.Context, names []string) ([]scope.Loaded, error)
}

// ModelState says which model the session talks to.
type ModelState struct {
	Identity identity.Identity // zero: none was named yet; the profile's model answers
	Surface  identity.Surface
	Status   identity.Status
	Changing identity.Token // a change is under way
}

// Fallback asks for another model for good, because the present one fails.
type Fallback struct {
	Request identity.Request
	Attempt int // the outstanding attempt, as whoever asks sees it
}

// Models is about the model that the session talks to.
type Models interface {
	Current(ctx context.Context) (ModelState, error)
	// Reconfigure changes the identity: it is resolved, a client is made ready, and from the next call on the other model answers. It blocks
	// until that is decided; if ctx ends before, the change goes on.
	Reconfigure(ctx context.Context, r identity.Request) (identity.Report, error)
	// FallBack is accepted only between a failed attempt and the next one, which then is made with the other model.
	FallBack(ctx context.Context, f Fallback) (identity.Report, error)
	// Capabilities says what the model can do; false: nobody knows.
	Capabilities(ctx context.Context) (identity.Surface, bool, error)
}

// SwitchRequest asks for another model for some runs, or until changed.
type SwitchRequest struct {
	ID       string // of the request, minted by whoever asks, and never used twice
	Target   identity.Route
	Runs     int // beginning with the next; 0: until changed
	Approval identity.Approval
}

// SwitchStatus says how a switch stands.
type SwitchStatus struct {
	Request string
	Target  identity.Route
	Phase   string // pending_for_boundary, active_finite_override, applying_persistent_reconfigure; over: empty
	Runs    int
	Left    int                 // runs on the target, the present one included
	End     *identity.SwitchEnd // nil: it is not over. Not to be changed
}

// ImagePlan asks for a picture.
type ImagePlan struct {
	Operation string // minted by whoever asks, and never used twice
	Target    identity.Route
	Scoped    bool // the target answers while the picture is made
	Approval  identity.Approval
}

// ImageStatus says how a picture stands.
type ImageStatus struct {
	Operation string
	Target    identity.Route
	Phase     string // plan_resolved, scoped_override_active, restoring_scoped_override; over: absent
	Scoped    bool
	End       *identity.ImageEnd // nil: it is not over. Not to be changed
}

// RoutingStatus says which model answers, and why.
type RoutingStatus struct {
	Phase     string // no_baseline, at_baseline, or that of the switch
	Baseline  identity.Route
	Effective identity.Route // what answers a call that is begun now; zero: the profile's model
	Topology  uint64         // rises whenever that may be another one
	Switch    *SwitchStatus  // under way; nil: none
	Override  string         // the picture whose model answers; empty: none
	Images    []ImageStatus  // those that are not over, by name
}

// Routing is about switches to other models. A denial is no error: it is how a switch, or a picture, ends.
type Routing interface {
	Status(ctx context.Context) (RoutingStatus, error)
	SetBaseline(ctx context.Context, to identity.Route) error
	// Switch asks for another model. One until changed is waited for; if ctx ends before, it goes on.
	Switch(ctx context.Context, r SwitchRequest) (SwitchStatus, error)
	BeginImage(ctx context.Context, p ImagePlan) (ImageStatus, error)
	DenyImage(ctx context.Context, operation string, why identity.Denial) (ImageStatus, error)
	ActivateImage(ctx context.Context, operation string) (ImageStatus, error)
	CompleteImage(ctx context.Context, operation string, how identity.ImageTerminal, p identity.Payload) (ImageStatus, error)
	// RestoreImage says that the model before answers again, or that its client could not be brought back.
	RestoreImage(ctx context.Context, operation string, failed bool) (ImageStatus, error)
}
