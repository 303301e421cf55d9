package jsonrpc

import (
	"encoding/json"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/surface/present"
	"github.com/meerkat-go/meerkat/transcript"
)

// replacement reads what is to stand in a fork in place of a message, or of one block of it.
func replacement(raw json.RawMessage) (*control.Replacement, error) {
	var p struct {
		Type    string          `json:"type"`
		Message json.RawMessage `json:"message"`
		Result  int             `json:"result_index"`
		Index   int             `json:"block_index"`
		Block   json.RawMessage `json:"block"`
	}
	if err := json.Unmarshal(raw, &p); err != nil {
		return nil, invalid("replacement is an object with a type")
	}
	if p.Index < 0 || p.Result < 0 {
		return nil, invalid("replacement: an index is not negative")
	}
	out := &control.Replacement{Block: p.Index, Result: p.Result}
	var err error
	switch p.Type {
	case "message":
		out.Entry, err = entryOf(p.Message)
	case "user_content_block":
		out.With, err = contentBlock(p.Block)
	case "tool_result_content_block":
		out.Kind = control.ResultBlock
		out.With, err = contentBlock(p.Block)
	case "assistant_block":
		out.Kind = control.AssistantBlock
		out.With, err = assistantBlock(p.Block)
	default:
		err = invalid("replacement: there is no type %q: use message, user_content_block, assistant_block or tool_result_content_block", shorten(p.Type))
	}
	if err != nil {
		return nil, err
	}
	return out, nil
}

// entryOf reads a message that somebody may put into a transcript.
func entryOf(raw json.RawMessage) (transcript.Entry, error) {
	var m struct {
		Role    string            `json:"role"`
		Content json.RawMessage   `json:"content"`
		Blocks  []json.RawMessage `json:"blocks"`
	}
	if err := json.Unmarshal(raw, &m); err != nil {
		return nil, invalid("replacement: message is an object with a role")
	}
	switch m.Role {
	case "user":
		said, err := present.Content(m.Content)
		return transcript.User{Content: said}, err
	case "system", "assistant":
		var text string
		if err := json.Unmarshal(m.Content, &text); err != nil {
			return nil, invalid("replacement: the content of a message of role %s is a string", m.Role)
		}
		if m.Role == "system" {
			return transcript.System{Text: text}, nil
		}
		return transcript.Assistant{Blocks: transcript.TextBlocks(text), Stop: transcript.StopEndTurn}, nil
	case "block_assistant":
		var blocks transcript.Blocks
		for _, b := range m.Blocks {
			block, err := assistantBlock(b)
			if err != nil {
				return nil, err
			}
			blocks = append(blocks, block)
		}
		return transcript.Assistant{Blocks: blocks, Stop: transcript.StopEndTurn}, nil
	}
	return nil, invalid("replacement: a message of role %q cannot be put in: use user, assistant, block_assistant or system", shorten(m.Role))
}

// contentBlock reads one block of what somebody says.
func contentBlock(raw json.RawMessage) (transcript.Block, error) {
	if !hasParams(raw) {
		return nil, invalid("replacement: block is missing")
	}
	list := append(append(json.RawMessage("["), raw...), ']')
	blocks, err := present.Content(list)
	if err != nil {
		return nil, err
	}
	if len(blocks) != 1 {
		return nil, invalid("replacement: block is one block")
	}
	return blocks[0], nil
}

// assistantBlock reads a block of a reply. Only text can be made up: calls and reasoning are what a model did.
func assistantBlock(raw json.RawMessage) (transcript.Block, error) {
	var b struct {
		Type string `json:"block_type"`
		Data struct {
			Text *string `json:"text"`
		} `json:"data"`
	}
	if json.Unmarshal(raw, &b) != nil || b.Type != "text" || b.Data.Text == nil {
		return nil, invalid(`replacement: a block of a reply is {"block_type":"text","data":{"text":…}}`)
	}
	return transcript.Text{Text: *b.Data.Text}, nil
}
