package sdk

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"
)

// A shape says what a value of JSON must be like. Numbers are json.Number. Fields that a shape does not name are passed over, as the SDKs do.
type shape func(v any) error

func anything(any) error { return nil }

func text(v any) error {
	if _, is := v.(string); !is {
		return fmt.Errorf("%v is no string", v)
	}
	return nil
}

func truth(v any) error {
	if _, is := v.(bool); !is {
		return fmt.Errorf("%v is no boolean", v)
	}
	return nil
}

var digits = regexp.MustCompile(`^(0|[1-9][0-9]*)$`)

// whole is a number from 0 without fraction or exponent.
func whole(v any) error {
	if n, is := v.(json.Number); !is || !digits.MatchString(n.String()) {
		return fmt.Errorf("%v is no whole number", v)
	}
	return nil
}

func number(v any) error {
	if _, is := v.(json.Number); !is {
		return fmt.Errorf("%v is no number", v)
	}
	return nil
}

func table(v any) error {
	if _, is := v.(map[string]any); !is {
		return fmt.Errorf("%v is no object", v)
	}
	return nil
}

var uuids = regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`)

func uuid(v any) error {
	if s, is := v.(string); !is || !uuids.MatchString(s) {
		return fmt.Errorf("%v is no uuid in lower case", v)
	}
	return nil
}

func instant(v any) error {
	s, is := v.(string)
	if !is {
		return fmt.Errorf("%v is no time", v)
	}
	_, err := time.Parse(time.RFC3339Nano, s)
	return err
}

func just(want any) shape {
	return func(v any) error {
		if v != want {
			return fmt.Errorf("%v is not %v", v, want)
		}
		return nil
	}
}

func word(of ...string) shape {
	return func(v any) error {
		if s, is := v.(string); !is || !slices.Contains(of, s) {
			return fmt.Errorf("%v is none of %v", v, of)
		}
		return nil
	}
}

func list(of shape) shape {
	return func(v any) error {
		l, is := v.([]any)
		if !is {
			return fmt.Errorf("%v is no list", v)
		}
		for i, e := range l {
			if err := of(e); err != nil {
				return fmt.Errorf("[%d]: %w", i, err)
			}
		}
		return nil
	}
}

func each(of shape) shape {
	return func(v any) error {
		m, is := v.(map[string]any)
		if !is {
			return fmt.Errorf("%v is no object", v)
		}
		for k, e := range m {
			if err := of(e); err != nil {
				return fmt.Errorf("%s: %w", k, err)
			}
		}
		return nil
	}
}

func either(of ...shape) shape {
	return func(v any) error {
		var all []error
		for _, s := range of {
			err := s(v)
			if err == nil {
				return nil
			}
			all = append(all, err)
		}
		return errors.Join(all...)
	}
}

// fields says what an object has. A name with a question mark may be missing; what is there is never null.
type fields map[string]shape

func (f fields) with(more fields) fields {
	all := maps.Clone(f)
	maps.Copy(all, more)
	return all
}

func (f fields) check(v any) error {
	m, is := v.(map[string]any)
	if !is {
		return fmt.Errorf("%v is no object", v)
	}
	for name, s := range f {
		name, optional := strings.CutSuffix(name, "?")
		e, there := m[name]
		switch {
		case !there && optional:
		case !there:
			return fmt.Errorf("%s is missing", name)
		default:
			if err := s(e); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// tagged is an object whose tag says which fields it has.
func tagged(tag string, of map[string]fields) shape {
	return func(v any) error {
		m, is := v.(map[string]any)
		if !is {
			return fmt.Errorf("%v is no object", v)
		}
		name, is := m[tag].(string)
		f, known := of[name]
		if !is || !known {
			return fmt.Errorf("%s %v is not known", tag, m[tag])
		}
		if err := f.check(v); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	}
}

var (
	version = fields{"major": just(json.Number("0")), "minor": just(json.Number("6")), "patch": just(json.Number("29"))}.check
	usage   = fields{"input_tokens": whole, "output_tokens": whole, "cache_creation_tokens?": whole, "cache_read_tokens?": whole}
	stop    = word("end_turn", "tool_use", "max_tokens", "stop_sequence", "content_filter", "cancelled")
	cause   = word("unknown", "hook_denied", "hook_failure", "llm_failure", "tool_failure", "structured_output_validation_failed", "budget_exhausted",
		"time_budget_exceeded", "retry_exhausted", "turn_limit_reached", "runtime_apply_failure", "fatal_failure")
	class = word("llm", "store", "tool", "mcp", "session_not_found", "budget", "max_tokens", "content_filtered", "max_turns", "cancelled", "invalid_state",
		"operation_not_found", "depth_limit", "concurrency_limit", "config", "internal", "build", "auth", "callback_pending", "structured_output",
		"invalid_output_schema", "hook", "terminal", "no_pending_boundary")
	point = word("run_started", "run_completed", "run_failed", "pre_llm_request", "post_llm_response", "pre_tool_execution", "post_tool_execution",
		"turn_boundary")
	block = tagged("type", map[string]fields{
		"text":  {"text": text},
		"image": {"media_type": text, "source": word("inline", "blob")},
		"video": {"media_type": text, "duration_ms": whole, "source": just("inline"), "data": text},
	})
	content = either(text, list(block))
	warning = fields{"provider": text, "path": text, "message": text}.check
	skill   = fields{"source_uuid": text, "skill_name": text}.check
)

// bare are the events of the contract: what a client must find in each.
var bare = map[string]fields{
	"run_started":    {"session_id": uuid, "prompt": content},
	"turn_started":   {"turn_number": whole},
	"text_delta":     {"delta": text},
	"text_complete":  {"content": text},
	"turn_completed": {"stop_reason": stop, "usage": usage.check},
	"run_completed": {"session_id": uuid, "result": text, "usage": usage.check, "structured_output?": anything, "extraction_required?": truth,
		"terminal_cause_kind?": cause},
	"run_failed": {"session_id": uuid, "error_class": class, "error": text, "terminal_cause_kind?": cause,
		"error_report?": fields{"class": class, "message": text, "reason?": fields{"reason_type": text}.check}.check},
	"extraction_succeeded":         {"session_id": uuid, "structured_output": anything, "schema_warnings?": list(warning)},
	"extraction_failed":            {"session_id": uuid, "last_output": text, "attempts": whole, "reason": text},
	"reasoning_delta":              {"delta": text},
	"reasoning_complete":           {"content": text},
	"server_tool_content":          {"name": text, "content": anything, "id?": text},
	"tool_call_requested":          {"id": text, "name": text, "args": table},
	"tool_execution_started":       {"id": text, "name": text},
	"tool_execution_completed":     {"id": text, "name": text, "result": text, "content": list(block), "is_error": truth, "duration_ms": whole},
	"tool_result_received":         {"id": text, "name": text, "content": list(block), "is_error": truth},
	"tool_execution_timed_out":     {"id": text, "name": text, "timeout_ms": whole},
	"retrying":                     {"attempt": whole, "max_attempts": whole, "error": text, "delay_ms": whole, "retry?": retry},
	"budget_warning":               {"budget_type": word("tokens", "time", "tool_calls"), "used": whole, "limit": whole, "percent": number},
	"compaction_started":           {"input_tokens": whole, "estimated_history_tokens": whole, "message_count": whole},
	"compaction_completed":         {"summary_tokens": whole, "messages_before": whole, "messages_after": whole},
	"compaction_failed":            {"error": text},
	"hook_started":                 {"hook_id": text, "point": point},
	"hook_completed":               {"hook_id": text, "point": point, "duration_ms": whole},
	"hook_failed":                  {"hook_id": text, "point": point, "error": text},
	"hook_denied":                  {"hook_id": text, "point": point, "reason_code": text, "message": text},
	"skills_resolved":              {"skills": list(skill), "injection_bytes": whole},
	"skill_resolution_failed":      {"skill_key?": skill, "reference?": text, "error?": text},
	"background_job_completed":     {"job_id": text, "display_name": text, "terminal_status": text, "detail": text},
	"interaction_complete":         {"interaction_id": text, "result": text},
	"interaction_failed":           {"interaction_id": text, "error": text},
	"stream_truncated":             {"reason": text},
	"tool_config_changed":          {"payload": toolConfig},
	"assistant_image_appended":     {"image": table},
	"interaction_callback_pending": {"interaction_id": text, "tool_name": text, "args": anything},
	"transcript_rewrite_committed": {"session_id": uuid, "record": table},
}

var retry = fields{
	"failure": fields{"kind": word("rate_limited", "network_timeout", "call_timeout", "retryable_provider_error"), "message": text, "provider": text,
		"duration_ms?": whole, "retry_after_ms?": whole}.check,
	"plan": fields{"attempt": whole, "budget_capped": truth, "computed_delay_ms": whole, "max_retries": whole, "rate_limit_floor_applied": truth,
		"selected_delay_ms": whole, "retry_after_hint_ms?": whole}.check,
}.check

var toolConfig = fields{"operation": word("add", "remove", "reload"), "target": text, "status": text, "persisted": truth, "applied_at_turn?": whole,
	"domain?": word("tool_scope", "deferred_catalog"), "status_info?": fields{"kind": text}.check}.check

// envelope is what is around an event, without its payload.
var envelope = fields{"event_id": uuid, "source_id": text, "seq": whole, "timestamp_ms": whole,
	"source": tagged("type", map[string]fields{"session": {"session_id": uuid}, "runtime": {"runtime_id": text}, "interaction": {"interaction_id": text},
		"callback": {}, "external": {"source_id": text}})}

var (
	run = fields{"session_id": uuid, "session_ref?": text, "text": text, "turns": whole, "tool_calls": whole,
		"usage": usage.with(fields{"total_tokens": whole}).check, "terminal_cause_kind?": cause, "structured_output?": anything,
		"extraction_error?": fields{"last_output": text, "attempts": whole, "reason": text}.check, "schema_warnings?": list(warning)}.check
	deferred = fields{"session_id": uuid, "session_ref?": text}.check
	summary  = fields{"session_id": uuid, "session_ref?": text, "created_at": whole, "updated_at": whole, "message_count": whole, "total_tokens": whole,
		"is_active": truth, "labels?": each(text)}.check
	info = fields{"session_id": uuid, "session_ref?": text, "created_at": whole, "updated_at": whole, "message_count": whole, "is_active": truth,
		"model": text, "provider": text, "last_assistant_text?": text, "resolved_capabilities?": each(truth), "labels?": each(text)}.check
	said = fields{"block_type": word("text", "transcript", "reasoning", "tool_use", "server_tool_content", "image", "unknown"), "data?": table}.check
	line = tagged("role", map[string]fields{
		"system":          {"content": text, "created_at": instant},
		"system_notice":   {"kind": text, "body?": text, "blocks?": list(fields{"type": text}.check), "created_at": instant},
		"user":            {"content": content, "created_at": instant},
		"assistant":       {"content": text, "stop_reason": stop, "created_at": instant},
		"block_assistant": {"blocks": list(said), "stop_reason": stop, "created_at": instant},
		"tool_results": {"created_at": instant,
			"results": list(fields{"tool_use_id": text, "content": content, "is_error?": truth}.check)},
	})
	history = fields{"session_id": uuid, "session_ref?": text, "message_count": whole, "offset": whole, "limit?": whole, "has_more": truth,
		"messages": list(line)}.check
	settings = fields{"config": table, "generation": whole, "realm_id?": text, "instance_id?": text, "backend?": text, "resolved_paths?": table}.check
	forked   = fields{"source_session_id": uuid, "session_id": uuid, "session_ref?": text, "message_count": whole}.check
	status   = either(just("Available"), fields{"DisabledByPolicy": fields{"description": text}.check}.check,
		fields{"NotCompiled": fields{"feature": text}.check}.check, fields{"NotSupportedByProtocol": fields{"reason": text}.check}.check)
	scope    = fields{"type": just("session"), "session_id": uuid}.check
	place    = fields{"scope": scope, "sequence": whole}.check
	accepted = fields{"outcome_type": word("accepted", "deduplicated", "rejected"), "input_id?": text, "existing_id?": text, "reason?": text,
		"policy?": word("stage", "queue", "immediate"), "state?": table}.check
	flags = fields{"runtime_backed_sessions": truth, "mobs": just(false), "mcp_live": truth, "comms": truth, "blobs": truth, "session_events": just(true),
		"session_streams": just(true), "schedules": truth, "skills": truth, "event_replay": truth, "artifacts": truth, "approvals": truth,
		"external_members": truth, "secure_remote_rpc": truth}.check
	features = fields{"contract_version": version, "features": flags}.check
	health   = fields{"contract_version": version, "status": word("ok", "degraded", "unhealthy"),
		"checks?": each(word("ok", "degraded", "unhealthy"))}.check
	profile = fields{"model_family": text, "supports_temperature": truth, "supports_thinking": truth, "supports_reasoning": truth,
		"params_schema": anything, "beta_headers?": list(fields{"feature": text, "header_name": text, "header_value": text}.check), "vision?": truth,
		"image_input?": truth, "image_tool_results?": truth, "inline_video?": truth, "realtime?": truth, "supports_web_search?": truth,
		"image_generation?": truth}.check
	model = fields{"id": text, "display_name": text, "tier": word("recommended", "supported"), "context_window?": whole, "max_output_tokens?": whole,
		"server_id?": text, "profile?": profile}.check
	ids = word("sessions", "streaming", "structured_output", "hooks", "builtins", "shell", "comms", "memory_store", "schedule", "work_graph",
		"session_store", "session_compaction", "skills", "mcp_live")
)

// results says what each method answers. session/create is looked at where it is known how it was asked.
var results = map[string]shape{
	"initialize": fields{"server_info": fields{"name": text, "version": text}.check, "contract_version": just("0.6.29"), "methods": list(text)}.check,
	"capabilities/get": fields{"contract_version": version,
		"capabilities": list(fields{"id": ids, "description": text, "status": status}.check)}.check,
	"tools/register":         fields{"registered": whole}.check,
	"session/create":         run,
	"turn/start":             run,
	"turn/interrupt":         fields{"interrupted": just(true)}.check,
	"session/list":           fields{"sessions": list(summary)}.check,
	"session/read":           info,
	"session/history":        history,
	"session/archive":        fields{"archived": just(true)}.check,
	"session/fork_at":        forked,
	"session/fork_replace":   forked,
	"session/inject_context": fields{"status": word("applied", "staged", "duplicate")}.check,
	"session/external_event": accepted,
	"session/stream_open":    fields{"stream_id": uuid, "session_id": uuid, "opened": just(true)}.check,
	"session/stream_close":   fields{"stream_id": uuid, "closed": just(true), "already_closed": truth}.check,
	"config/get":             settings,
	"config/set":             settings,
	"config/patch":           settings,
	"models/catalog": fields{"contract_version": version,
		"providers": list(fields{"provider": text, "default_model_id": text, "models": list(model)}.check)}.check,
	"skills/list":          fields{"skills": list(anything)}.check,
	"runtime/capabilities": features,
	"runtime/health":       health,
	"runtime/host_info": fields{"host_id": text, "host_id_scope": word("process", "realm_instance"), "process_name": text, "process_version": text,
		"contract_version": version, "capabilities": features, "health": health, "realm": each(text),
		"endpoints": fields{"rest_base_url?": text, "rest_paths?": list(text), "rpc_methods?": list(text), "rpc_transport?": text}.check}.check,
	"events/latest_cursor": fields{"contract_version": version, "cursor": place}.check,
	"events/list_since": fields{"contract_version": version, "scope": scope, "from_cursor": place, "latest_cursor": place, "has_more": truth,
		"events?": list(fields{"event_id": place, "cursor": place, "timestamp_ms": whole, "source": scope, "session_id?": uuid, "run_id?": text,
			"event": fields{"type": text}.check}.check)}.check,
	"events/snapshot": fields{"contract_version": version, "scope": scope, "cursor": place,
		"snapshot": fields{"type": just("session"), "session": info}.check}.check,
}
