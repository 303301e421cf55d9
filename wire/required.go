package wire

// first returns the first name whose value is missing.
func first(fields ...any) string {
	for n := 0; n < len(fields); n += 2 {
		if gone, _ := fields[n+1].(bool); gone {
			name, _ := fields[n].(string)
			return name
		}
	}
	return ""
}

func (p *CreateParams) missing() string { return first("prompt", absent(p.Prompt)) }
func (p *TurnParams) missing() string {
	return first("session_id", p.Session == "", "prompt", absent(p.Prompt))
}
func (p *SubmitParams) missing() string {
	return first("prompt", absent(p.Prompt) && !p.Continue)
}
func (p *InputParams) missing() string {
	return first("session_id", p.Session == "", "input_id", p.Input == "")
}
func (p *SessionParams) missing() string { return first("session_id", p.Session == "") }
func (p *HistoryParams) missing() string { return first("session_id", p.Session == "") }
func (p *ContextParams) missing() string {
	return first("session_id", p.Session == "", "text", p.Text == "")
}
func (p *ExternalEventParams) missing() string {
	return first("session_id", p.Session == "", "kind", p.Kind == "", "event_type", p.Type == "", "payload", len(p.Payload) == 0)
}
func (p *ForkParams) missing() string {
	return first("session_id", p.Session == "", "message_index", p.Index == nil)
}
func (p *ForkReplaceParams) missing() string {
	return first("session_id", p.Session == "", "message_index", p.Index == nil, "replacement", absent(p.Replacement))
}
func (p *StreamOpenParams) missing() string  { return first("session_id", p.Session == "") }
func (p *StreamCloseParams) missing() string { return first("stream_id", p.Stream == "") }
func (p *ToolsParams) missing() string       { return first("tools", p.Tools == nil) }
func (p *EventParams) missing() string       { return first("scope", p.Scope == nil) }
