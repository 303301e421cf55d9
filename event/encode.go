package event

import (
	"encoding/json"
	"fmt"
)

// Encode returns the JSON of a payload without its type, which is stored beside it.
func Encode(p Payload) ([]byte, error) { return json.Marshal(p) }

var decoders = map[string]func([]byte) (Payload, error){
	"session_registered":       decode[SessionRegistered],
	"input_accepted":           decode[InputAccepted],
	"input_ended":              decode[InputEnded],
	"run_started":              decode[RunStarted],
	"steered":                  decode[Steered],
	"turn_started":             decode[TurnStarted],
	"text_delta":               decode[TextDelta],
	"reasoning_delta":          decode[ReasoningDelta],
	"attempt_voided":           decode[AttemptVoided],
	"text_complete":            decode[TextComplete],
	"tool_call_requested":      decode[ToolCallRequested],
	"tool_call_held":           decode[ToolCallHeld],
	"tool_call_decided":        decode[ToolCallDecided],
	"tool_execution_started":   decode[ToolExecutionStarted],
	"tool_execution_completed": decode[ToolExecutionCompleted],
	"retrying":                 decode[Retrying],
	"resumed":                  decode[Resumed],
	"turn_completed":           decode[TurnCompleted],
	"run_completed":            decode[RunCompleted],
	"run_failed":               decode[RunFailed],
	"extraction_succeeded":     decode[ExtractionSucceeded],
	"extraction_failed":        decode[ExtractionFailed],
	"budget_warning":           decode[BudgetWarning],
	"session_stopped":          decode[SessionStopped],
	"session_revived":          decode[SessionRevived],
	"session_unregistered":     decode[SessionUnregistered],
	"session_retired":          decode[SessionRetired],
	"session_archived":         decode[SessionArchived],
	"session_reset":            decode[SessionReset],
	"session_recycled":         decode[SessionRecycled],
	"session_destroyed":        decode[SessionDestroyed],
	"model_changed":            decode[ModelChanged],
	"model_change_begun":       decode[ModelChangeBegun],
	"model_change_aborted":     decode[ModelChangeAborted],
	"model_switch_changed":     decode[ModelSwitchChanged],
	"approval_decided":         decode[ApprovalDecided],
	"image_operation_changed":  decode[ImageOperationChanged],
	"model_routing_changed":    decode[ModelRoutingChanged],
	"published":                decode[Published],
	"tool_config_changed":      decode[ToolConfigChanged],
	"background_job_completed": decode[BackgroundJobCompleted],
	"peer_request_timed_out":   decode[PeerRequestTimedOut],
	"store_failing":            decode[StoreFailing],
	"stream_truncated":         decode[Gap],
}

// Known reports whether this version has a payload of that type.
func Known(typ string) bool { _, ok := decoders[typ]; return ok }

// Decode reads what Encode wrote.
func Decode(typ string, data []byte) (Payload, error) {
	d, ok := decoders[typ]
	if !ok {
		return nil, fmt.Errorf("event: unknown type %q", typ)
	}
	return d(data)
}

func decode[P Payload](data []byte) (Payload, error) {
	var p P
	if err := json.Unmarshal(data, &p); err != nil {
		return nil, fmt.Errorf("event: decode %s: %w", p.Type(), err)
	}
	return p, nil
}
