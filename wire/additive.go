package wire

import "github.com/meerkat-go/meerkat/event"

// projectAdditive tells what the contract has no event for, in its own JSON. A type that is in neither list is not told, and a test says so.
func projectAdditive(p event.Payload) []Told {
	switch p := p.(type) {
	case event.StoreFailing:
		return additive(p.Type(), struct {
			Error    string `json:"error"`
			Patience int64  `json:"patience_ms"`
		}{p.Error, ms(p.Patience)})
	case event.SessionRegistered, event.SessionStopped, event.SessionRevived, event.SessionUnregistered, event.SessionRetired, event.SessionArchived,
		event.SessionReset, event.SessionRecycled, event.SessionDestroyed,
		event.InputAccepted, event.InputEnded, event.Steered, event.Resumed, event.AttemptVoided,
		event.ToolCallHeld, event.ToolCallDecided, event.PeerRequestTimedOut, event.Published,
		event.ModelChanged, event.ModelChangeBegun, event.ModelChangeAborted, event.ModelSwitchChanged, event.ApprovalDecided,
		event.ImageOperationChanged, event.ModelRoutingChanged:
		return additive(p.Type(), p)
	}
	return nil
}
