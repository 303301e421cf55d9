package transcript

import (
	"bytes"
	"encoding/json"
	"fmt"
)

// Role returns the role an entry has in stored and public JSON.
func Role(e Entry) string {
	switch e.(type) {
	case System:
		return "system"
	case Notice:
		return "system_notice"
	case User:
		return "user"
	case Assistant:
		return "block_assistant"
	case ToolResult:
		return "tool_result"
	}
	panic(fmt.Sprintf("transcript: entry %T", e))
}

// EncodeEntry returns the JSON of an entry without its role, which is stored beside it. Raw JSON in it (Args, Meta) comes back as it
// was but for white space between tokens.
func EncodeEntry(e Entry) ([]byte, error) { return marshal(e) }

// marshal leaves <, > and & as they are: what a model wrote is shown to it again byte for byte.
func marshal(v any) ([]byte, error) {
	var buf bytes.Buffer
	enc := json.NewEncoder(&buf)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte("\n")), nil
}

// DecodeEntry reads what EncodeEntry wrote.
func DecodeEntry(role string, data []byte) (Entry, error) {
	switch role {
	case "system":
		return decode[System](role, data)
	case "system_notice":
		return decode[Notice](role, data)
	case "user":
		return decode[User](role, data)
	case "block_assistant":
		return decode[Assistant](role, data)
	case "tool_result":
		return decode[ToolResult](role, data)
	}
	return nil, fmt.Errorf("transcript: unknown role %q", role)
}

func decode[E Entry](role string, data []byte) (Entry, error) {
	var e E
	if err := json.Unmarshal(data, &e); err != nil {
		return nil, fmt.Errorf("transcript: decode %s: %w", role, err)
	}
	return e, nil
}

type taggedBlock struct {
	Type string          `json:"block_type"`
	Data json.RawMessage `json:"data"`
}

// MarshalJSON writes a list that is exactly one plain text block as a string, and any other as an array of tagged blocks.
func (b Blocks) MarshalJSON() ([]byte, error) {
	if len(b) == 1 {
		if t, ok := b[0].(Text); ok && t.Meta == nil {
			return marshal(t.Text)
		}
	}
	out := make([]taggedBlock, len(b))
	for i, x := range b {
		switch x.(type) {
		case Text:
			out[i].Type = "text"
		case Reasoning:
			out[i].Type = "reasoning"
		case ToolUse:
			out[i].Type = "tool_use"
		case Media:
			out[i].Type = "image"
		default:
			return nil, fmt.Errorf("transcript: block %T", x)
		}
		data, err := marshal(x)
		if err != nil {
			return nil, fmt.Errorf("transcript: encode %s block: %w", out[i].Type, err)
		}
		out[i].Data = data
	}
	return marshal(out)
}

// UnmarshalJSON reads both forms that MarshalJSON writes. An unknown block type is an error: nothing is dropped silently.
func (b *Blocks) UnmarshalJSON(data []byte) error {
	if len(data) > 0 && data[0] == '"' {
		var s string
		if err := json.Unmarshal(data, &s); err != nil {
			return err
		}
		*b = TextBlocks(s)
		return nil
	}
	var tagged []taggedBlock
	if err := json.Unmarshal(data, &tagged); err != nil {
		return fmt.Errorf("transcript: decode blocks: %w", err)
	}
	out := make(Blocks, len(tagged))
	for i, t := range tagged {
		var err error
		switch t.Type {
		case "text":
			out[i], err = decodeBlock[Text](t.Data)
		case "reasoning":
			out[i], err = decodeBlock[Reasoning](t.Data)
		case "tool_use":
			out[i], err = decodeBlock[ToolUse](t.Data)
		case "image":
			out[i], err = decodeBlock[Media](t.Data)
		default:
			err = fmt.Errorf("unknown block type %q", t.Type)
		}
		if err != nil {
			return fmt.Errorf("transcript: decode block %d: %w", i, err)
		}
	}
	*b = out
	return nil
}

func decodeBlock[B Block](data []byte) (Block, error) {
	var x B
	err := json.Unmarshal(data, &x)
	return x, err
}
