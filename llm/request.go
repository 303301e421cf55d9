package llm

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
)

// Validate checks what every provider demands, so that a request that cannot succeed is refused before it is sent: a model is
// named, somebody has spoken, and each tool use is answered right behind the reply that asked for it, exactly once. Its error is
// an *Error of kind InvalidRequest.
func (r Request) Validate() error {
	if r.Model == "" {
		return invalid("no model is named")
	}
	var open []id.Call
	spoken := false
	for _, row := range r.Rows {
		result, isResult := row.Entry.(transcript.ToolResult)
		if isResult {
			i := slices.Index(open, result.Call)
			if i < 0 {
				return invalid("the result of tool call %s at message %d answers no open call", result.Call, row.At.Message)
			}
			open = slices.Delete(open, i, i+1)
			continue
		}
		if len(open) > 0 {
			return invalid("tool call %s has no result before message %d", open[0], row.At.Message)
		}
		switch e := row.Entry.(type) {
		case transcript.System:
		case transcript.User, transcript.Notice:
			spoken = true
		case transcript.Assistant:
			for _, u := range e.Blocks.ToolUses() {
				open = append(open, u.ID)
			}
		default:
			return invalid("message %d is a %T", row.At.Message, e)
		}
	}
	if len(open) > 0 {
		return invalid("tool call %s has no result", open[0])
	}
	if !spoken {
		return invalid("the conversation holds nothing to answer")
	}
	return nil
}

func invalid(format string, args ...any) error {
	return &Error{Kind: InvalidRequest, Message: fmt.Sprintf(format, args...)}
}

// CallIDs hands out the ids of the tool calls in one reply. Where a provider gives none, or one that the conversation has used
// already (some count from zero in each reply), it mints one, so that an id names one call for ever.
type CallIDs struct{ used map[id.Call]bool }

// NewCallIDs starts from the calls in the conversation of req.
func NewCallIDs(req Request) *CallIDs {
	c := &CallIDs{used: map[id.Call]bool{}}
	for _, row := range req.Rows {
		if a, ok := row.Entry.(transcript.Assistant); ok {
			for _, u := range a.Blocks.ToolUses() {
				c.used[u.ID] = true
			}
		}
	}
	return c
}

// Take returns given if it is a fresh id, and else a minted one.
func (c *CallIDs) Take(given string) id.Call {
	call := id.Call(given)
	if given == "" || c.used[call] {
		call = id.Call("call_" + id.New())
	}
	c.used[call] = true
	return call
}

// NoticeText is how a notice reads to a model: user content, marked as the runtime's words.
func NoticeText(n transcript.Notice) string {
	if n.Text == "" {
		return fmt.Sprintf("<system_notice kind=%q/>", n.Kind)
	}
	return fmt.Sprintf("<system_notice kind=%q>\n%s\n</system_notice>", n.Kind, n.Text)
}

// EncodeBody writes the body of a call, with extra laid over it (MergeExtra). Text stays as it is: nothing is escaped for HTML.
func EncodeBody(body map[string]any, extra json.RawMessage, fixed ...string) ([]byte, error) {
	if err := MergeExtra(body, extra, fixed...); err != nil {
		return nil, err
	}
	var out bytes.Buffer
	enc := json.NewEncoder(&out)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(body); err != nil {
		return nil, &Error{Kind: InvalidRequest, Message: "the request cannot be written as JSON", Err: err}
	}
	return out.Bytes(), nil
}

// MergeExtra lays the members of extra over body, a JSON object: a member of the same name is replaced, and a list "tools" is
// appended to the one in body. The adapter's own members, named in fixed, may not be touched. The error is an *Error of kind
// InvalidRequest.
func MergeExtra(body map[string]any, extra json.RawMessage, fixed ...string) error {
	if len(extra) == 0 {
		return nil
	}
	var over map[string]json.RawMessage
	if err := json.Unmarshal(extra, &over); err != nil {
		return invalid("the provider parameters are no JSON object: %v", err)
	}
	for name, value := range over {
		if slices.Contains(fixed, name) {
			return invalid("the provider parameter %q is set by the adapter", name)
		}
		if tools, ok := body[name].([]any); ok && name == "tools" {
			var more []json.RawMessage
			if err := json.Unmarshal(value, &more); err != nil {
				return invalid("the provider parameter \"tools\" is no list: %v", err)
			}
			for _, t := range more {
				tools = append(tools, t)
			}
			body[name] = tools
			continue
		}
		body[name] = value
	}
	return nil
}

// ObjectSchema returns the schema of a tool's arguments, or that of an object with any members where the tool has none. Providers
// refuse a schema that is not an object's. Its error is an *Error of kind InvalidRequest.
func ObjectSchema(t Tool) (json.RawMessage, error) {
	if t.Name == "" {
		return nil, invalid("a tool has no name")
	}
	if len(t.Schema) == 0 {
		return json.RawMessage(`{"type":"object","properties":{}}`), nil
	}
	var members map[string]json.RawMessage
	if err := json.Unmarshal(t.Schema, &members); err != nil || members == nil {
		return nil, invalid("the schema of tool %s is no JSON object", t.Name)
	}
	if _, ok := members["type"]; ok {
		return t.Schema, nil
	}
	members["type"] = json.RawMessage(`"object"`)
	return json.Marshal(members)
}
