package wire

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// Project says how an event is told, without an envelope. Every type of event is decided on here.
func Project(e event.Event) []Told {
	switch p := e.Payload.(type) {
	case event.TextDelta:
		return []Told{delta("text_delta", p.Delta)}
	case event.ReasoningDelta:
		return []Told{delta("reasoning_delta", p.Delta)}
	case event.RunStarted:
		return known(p.Type(), struct {
			Session id.Session `json:"session_id"`
			Prompt  string     `json:"prompt"`
			Inputs  []id.Input `json:"inputs,omitempty"`
		}{e.Session, p.Prompt, p.Inputs})
	case event.TurnStarted:
		return known(p.Type(), p)
	case event.TextComplete:
		return known(p.Type(), struct {
			Content string `json:"content"`
		}{p.Content})
	case event.ToolCallRequested, event.ToolExecutionStarted, event.ToolExecutionCompleted:
		return projectTool(p)
	case event.TurnCompleted, event.RunCompleted, event.RunFailed, event.ExtractionSucceeded, event.ExtractionFailed:
		return projectEnd(e)
	case event.Retrying:
		return known(p.Type(), retrying{Attempt: p.Attempt, Max: p.Max, Error: p.Error, Delay: ms(p.Delay), Kind: p.Kind})
	case event.BudgetWarning:
		return known(p.Type(), p)
	case event.ToolConfigChanged:
		return known(p.Type(), struct {
			Payload toolConfig `json:"payload"`
		}{toolConfigOf(p)})
	case event.BackgroundJobCompleted:
		p.Status = jobStatus(p.Status)
		return known(p.Type(), p)
	case event.Gap:
		return known(p.Type(), struct {
			Reason string `json:"reason"`
			From   uint64 `json:"from_cursor"`
		}{"the reader was too slow; events after the cursor " + strconv.FormatUint(p.From, 10) + " can be read again", p.From})
	}
	return projectAdditive(e.Payload)
}

// delta is the one event that is told often enough to be written by hand.
func delta(typ, text string) Told {
	out := make([]byte, 0, len(typ)+len(text)+32)
	out = append(out, `{"type":"`...)
	out = append(out, typ...)
	out = append(out, `","delta":`...)
	out = appendString(out, text)
	return Told{Type: typ, JSON: append(out, '}')}
}

func known(typ string, fields any) []Told    { return tell(typ, fields, false) }
func additive(typ string, fields any) []Told { return tell(typ, fields, true) }

// tell puts the type in front of the fields. Raw JSON in them that is not JSON would make an event that nobody can read: then its type is told alone.
func tell(typ string, fields any, additive bool) []Told {
	head := append([]byte(`{"type":"`), typ...)
	head = append(head, '"')
	rest, err := Marshal(fields)
	if err == nil && len(rest) > 2 && rest[0] == '{' {
		head = append(head, ',')
		head = append(head, rest[1:]...)
	} else {
		head = append(head, '}')
	}
	return []Told{{Type: typ, JSON: head, Additive: additive}}
}

func ms(d time.Duration) int64 { return max(d.Milliseconds(), 0) }

// retrying has the kind of failure beside what the contract wants.
type retrying struct {
	Attempt int    `json:"attempt"`
	Max     int    `json:"max_attempts"`
	Error   string `json:"error"`
	Delay   int64  `json:"delay_ms"`
	Kind    string `json:"failure_kind,omitempty"`
}

func projectTool(p event.Payload) []Told {
	switch p := p.(type) {
	case event.ToolCallRequested:
		return known(p.Type(), struct {
			Call id.Call         `json:"id"`
			Name string          `json:"name"`
			Args json.RawMessage `json:"args"`
		}{p.Call, p.Name, argsObject(p.Args)})
	case event.ToolExecutionStarted:
		return known(p.Type(), p)
	case event.ToolExecutionCompleted:
		content := []contentBlock{{Type: "text", Text: &p.Content}}
		completed := known(p.Type(), struct {
			Call     id.Call        `json:"id"`
			Name     string         `json:"name"`
			Result   string         `json:"result"`
			Content  []contentBlock `json:"content"`
			IsError  bool           `json:"is_error"`
			Duration int64          `json:"duration_ms"`
			Code     string         `json:"code,omitempty"`
		}{p.Call, p.Name, p.Content, content, p.IsError, ms(p.Duration), p.Code})
		return append(completed, known("tool_result_received", struct {
			Call    id.Call        `json:"id"`
			Name    string         `json:"name"`
			Content []contentBlock `json:"content"`
			IsError bool           `json:"is_error"`
		}{p.Call, p.Name, content, p.IsError})...)
	}
	return nil
}

// argsObject returns args if they are an object: the contract wants one. Others are told inside one.
func argsObject(args json.RawMessage) json.RawMessage {
	args = object(args)
	for _, c := range args {
		switch c {
		case ' ', '\t', '\n', '\r':
			continue
		case '{':
			return args
		}
		break
	}
	return json.RawMessage(append(append([]byte(`{"value":`), args...), '}'))
}

func projectEnd(e event.Event) []Told {
	switch p := e.Payload.(type) {
	case event.TurnCompleted:
		out := struct {
			Stop     string           `json:"stop_reason"`
			Usage    transcript.Usage `json:"usage"`
			Measured *bool            `json:"usage_measured,omitempty"`
		}{Stop: stopReason(p.Stop)}
		if p.Usage != nil {
			out.Usage = *p.Usage
		} else {
			out.Measured = new(bool)
		}
		return known(p.Type(), out)
	case event.RunCompleted:
		return known(p.Type(), struct {
			Session    id.Session       `json:"session_id"`
			Result     string           `json:"result"`
			Usage      transcript.Usage `json:"usage"`
			Cause      string           `json:"terminal_cause_kind,omitempty"`
			Extraction bool             `json:"extraction_required,omitempty"`
			Rounds     int              `json:"turns"`
			Calls      int              `json:"tool_calls"`
		}{e.Session, p.Result, p.Usage, CauseKind(p.Cause), p.ExtractionRequired, p.Rounds, p.Calls})
	case event.RunFailed:
		class := errorClass(p.Class)
		return known(p.Type(), struct {
			Session id.Session       `json:"session_id"`
			Class   string           `json:"error_class"`
			Error   string           `json:"error"`
			Report  errorReport      `json:"error_report"`
			Cause   string           `json:"terminal_cause_kind,omitempty"`
			Kind    string           `json:"failure_kind,omitempty"`
			Usage   transcript.Usage `json:"usage"`
			Rounds  int              `json:"turns"`
			Calls   int              `json:"tool_calls"`
		}{e.Session, class, p.Error, errorReport{class, p.Error}, CauseKind(p.Cause), p.Kind, p.Usage, p.Rounds, p.Calls})
	case event.ExtractionSucceeded:
		return known(p.Type(), struct {
			Session id.Session      `json:"session_id"`
			Output  json.RawMessage `json:"structured_output"`
		}{e.Session, object(p.Output)})
	case event.ExtractionFailed:
		return known(p.Type(), struct {
			Session  id.Session `json:"session_id"`
			Last     string     `json:"last_output"`
			Attempts int        `json:"attempts"`
			Reason   string     `json:"reason"`
		}{e.Session, p.Last, max(p.Attempts, 0), p.Reason})
	}
	return nil
}

type errorReport struct {
	Class   string `json:"class"`
	Message string `json:"message"`
}

// CauseKind returns the contract's word for a terminal cause; empty where it has none to say, as of a run that was cancelled.
func CauseKind(cause string) string {
	switch cause {
	case "":
		return ""
	case run.CauseLLMFailure, run.CauseToolFailure, run.CauseRetryExhausted, run.CauseTurnLimit, run.CauseBudget, run.CauseTime, run.CauseRuntimeApply,
		run.CauseFatal, "hook_denied", "hook_failure", "structured_output_validation_failed":
		return cause
	case "cancelled":
		return ""
	}
	return "unknown"
}

func errorClass(class string) string {
	switch class {
	case "llm", "store", "tool", "mcp", "session_not_found", "budget", "max_tokens", "content_filtered", "max_turns", "cancelled", "invalid_state",
		"operation_not_found", "depth_limit", "concurrency_limit", "config", "internal", "build", "auth", "callback_pending", "structured_output",
		"invalid_output_schema", "hook", "terminal", "no_pending_boundary":
		return class
	case "skill":
		return "config"
	case "policy_indeterminate":
		return "tool"
	}
	return "internal"
}

func jobStatus(s string) string {
	switch s {
	case "completed", "failed", "aborted", "cancelled", "retired", "terminated":
		return s
	}
	return "terminated"
}

// toolConfig is the inner payload of tool_config_changed.
type toolConfig struct {
	Operation string         `json:"operation"`
	Target    string         `json:"target"`
	Status    string         `json:"status"`
	Persisted bool           `json:"persisted"`
	Turn      int            `json:"applied_at_turn,omitempty"`
	Domain    string         `json:"domain,omitempty"`
	Info      map[string]any `json:"status_info,omitempty"`
	Deferred  *toolsDeferred `json:"deferred_catalog_delta,omitempty"`
	Applied   *toolsApplied  `json:"boundary_applied,omitempty"`
	Cause     string         `json:"cause,omitempty"`
	Error     string         `json:"error,omitempty"`
}

type (
	toolsApplied  = event.ToolsApplied
	toolsDeferred = event.ToolsDeferred
)

func toolConfigOf(p event.ToolConfigChanged) toolConfig {
	out := toolConfig{Operation: p.Operation, Target: p.Target, Status: p.Phase, Persisted: p.Persisted, Turn: max(p.Turn, 0), Domain: p.Domain,
		Deferred: p.Deferred, Applied: p.Applied, Cause: p.Cause, Error: p.Error}
	switch p.Operation {
	case "add", "remove", "reload":
	default:
		out.Operation = "reload"
	}
	if p.Domain != event.ToolScope && p.Domain != event.DeferredCatalog {
		out.Domain = ""
	}
	switch {
	case p.Applied != nil:
		out.Info = map[string]any{"kind": "boundary_applied", "base_changed": p.Applied.BaseChanged, "visible_changed": p.Applied.VisibleChanged,
			"revision": p.Applied.Revision}
	case p.Deferred != nil:
		out.Info = map[string]any{"kind": "deferred_catalog_delta", "added_hidden_count": len(p.Deferred.Added),
			"removed_hidden_count": len(p.Deferred.Removed), "pending_source_count": len(p.Deferred.Pending)}
	case p.Phase == "warning_failed_closed":
		out.Info = map[string]any{"kind": "warning_failed_closed", "error": p.Error}
	case p.Domain == "", p.Domain == event.ClientTools:
		out.Info = externalInfo(p)
	}
	return out
}

func externalInfo(p event.ToolConfigChanged) map[string]any {
	switch p.Phase {
	case "pending", "applied", "draining", "forced", "failed":
		info := map[string]any{"kind": "external_tool_delta", "phase": p.Phase}
		if p.Error != "" {
			info["detail"] = p.Error
		}
		return info
	}
	return map[string]any{"kind": "legacy_status", "status": p.Phase}
}
