package identity

import "encoding/base64"

// Token names one change of identity from its beginning to its end. Whoever asks for the change mints it, so that asking again after
// an unknown outcome is the same change.
type Token string

// Delta is how what the model can do has changed.
type Delta struct {
	Previous Surface `json:"previous"`
	Current  Surface `json:"current"`
	Changed  bool    `json:"changed"`
}

// ToolDelta is what a change of identity did to the tools a model is offered.
type ToolDelta struct {
	Previous          CapabilityFilter `json:"previous,omitempty"`
	Current           CapabilityFilter `json:"current,omitempty"`
	VisibleSetChanged bool             `json:"committed_visible_set_changed"` // the model is offered other tools than before
	RevisionBumped    bool             `json:"revision_bumped"`               // exactly if VisibleSetChanged
}

// Report is what came of a change of identity. Unchanged: the target was the identity already, and nothing was done.
type Report struct {
	Previous  Identity  `json:"previous_identity"`
	New       Identity  `json:"new_identity"`
	Surface   Delta     `json:"capability_delta"`
	Tools     ToolDelta `json:"tool_visibility_delta"`
	Unchanged bool      `json:"unchanged"`
}

// Route is where a model call goes, as far as switches decide it. The zero value is nowhere.
type Route struct {
	Model    string `json:"model"`
	Realtime bool   `json:"realtime,omitempty"` // the model can be spoken to in real time
}

// IsZero reports whether r leads nowhere.
func (r Route) IsZero() bool { return r == Route{} }

// Approval is the answer to whether a switch or a picture may be. It is decided before the machine hears of it. The zero value
// is no answer, and is refused.
type Approval string

// The answers.
const (
	ApprovalNotRequired    Approval = "not_required"
	Approved               Approval = "approved"
	DeniedByUser           Approval = "denied_by_user"
	RequiredButUnavailable Approval = "required_but_unavailable" // nobody can be asked
)

// Granted reports whether the answer is yes.
func (a Approval) Granted() bool { return a == ApprovalNotRequired || a == Approved }

// Known reports whether a is one of the answers.
func (a Approval) Known() bool {
	return a.Granted() || a == DeniedByUser || a == RequiredButUnavailable
}

// Denial is why a switch or a picture was not to be.
type Denial string

// The reasons.
const (
	CapabilityPolicy               Denial = "capability_policy"
	ApprovalRequiredButUnavailable Denial = "approval_required_but_unavailable"
	DeniedDuringApproval           Denial = "denied_during_approval"
	ScopedOverrideConflict         Denial = "scoped_override_conflict" // another switch, or a picture's override, is in the way
	RealtimeTransportConflict      Denial = "realtime_transport_conflict"
	ReconfigureFailed              Denial = "reconfigure_failed" // the change of identity could not be carried out
	SessionEnded                   Denial = "session_ended"      // before the switch came into force
)

// Known reports whether d is one of the reasons.
func (d Denial) Known() bool {
	switch d {
	case CapabilityPolicy, ApprovalRequiredButUnavailable, DeniedDuringApproval, ScopedOverrideConflict, RealtimeTransportConflict,
		ReconfigureFailed, SessionEnded:
		return true
	}
	return false
}

// SwitchTerminal is how a switch ended.
type SwitchTerminal string

// The ends of a switch.
const (
	SwitchDenied                 SwitchTerminal = "denied"
	ConsumedAndRestored          SwitchTerminal = "consumed_and_restored"
	PersistentReconfigureApplied SwitchTerminal = "persistent_reconfigure_applied"
)

// SwitchEnd is a switch that is over.
type SwitchEnd struct {
	Request  string         `json:"request"`
	Target   Route          `json:"target"`
	Terminal SwitchTerminal `json:"terminal"`
	Denial   Denial         `json:"denial,omitempty"` // SwitchDenied
	Unused   int            `json:"unused,omitempty"` // ConsumedAndRestored: runs that were asked for and not had, since the session ended
}

// ApprovalParent is what an approval was for.
type ApprovalParent string

// What is approved.
const (
	ForSwitch ApprovalParent = "switch_turn"
	ForImage  ApprovalParent = "image_operation"
)

// ApprovalEnd is an approval that somebody was asked for and gave, or did not.
type ApprovalEnd struct {
	ID       string         `json:"id"` // of the switch or the picture
	Parent   ApprovalParent `json:"parent"`
	Approved bool           `json:"approved"`
}

// ImageTerminal is how the making of a picture ended.
type ImageTerminal string

// The ends of a picture.
const (
	Generated           ImageTerminal = "generated"
	ImageDenied         ImageTerminal = "denied"
	EmptyResult         ImageTerminal = "empty_result"
	RefusedByProvider   ImageTerminal = "refused_by_provider"
	SafetyFiltered      ImageTerminal = "safety_filtered"
	ImageFailed         ImageTerminal = "failed"
	ImageCancelled      ImageTerminal = "cancelled"
	ImageTimeout        ImageTerminal = "timeout"
	ScopedRestoreFailed ImageTerminal = "scoped_restore_failed" // the client of the session's own model could not be brought back
)

// Outcome reports whether whoever makes a picture may report t: the other ends are decided by the machine.
func (t ImageTerminal) Outcome() bool {
	switch t {
	case Generated, EmptyResult, RefusedByProvider, SafetyFiltered, ImageFailed, ImageCancelled, ImageTimeout:
		return true
	case ImageDenied, ScopedRestoreFailed:
	}
	return false
}

// Payload is what came of a picture, for whoever asked for it: any bytes, and nobody here looks into them.
type Payload string

// MarshalText encodes the bytes as base64, so that any survive.
func (p Payload) MarshalText() ([]byte, error) {
	return base64.StdEncoding.AppendEncode(nil, []byte(p)), nil
}

// UnmarshalText reads what MarshalText wrote.
func (p *Payload) UnmarshalText(text []byte) error {
	raw, err := base64.StdEncoding.AppendDecode(nil, text)
	*p = Payload(raw)
	return err
}

// ImageEnd is a picture that is over.
type ImageEnd struct {
	Operation string        `json:"operation"`
	Terminal  ImageTerminal `json:"terminal"`
	Denial    Denial        `json:"denial,omitempty"` // ImageDenied
	Payload   Payload       `json:"payload,omitempty"`
}
