package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/transcript"
)

// Content is what somebody says: in JSON a string, if it is one text, and else a list of blocks tagged by type.
type Content transcript.Blocks

type contentBlock struct {
	Type      string  `json:"type"`
	Text      *string `json:"text,omitempty"`
	MediaType string  `json:"media_type,omitempty"`
	Source    string  `json:"source,omitempty"`
	Data      *string `json:"data,omitempty"`
}

// MarshalJSON writes the form that UnmarshalJSON reads.
func (c Content) MarshalJSON() ([]byte, error) {
	if len(c) == 1 {
		if t, ok := c[0].(transcript.Text); ok {
			return Marshal(t.Text)
		}
	}
	return contentList(transcript.Blocks(c))
}

// contentList writes a list of blocks also where it is one text. Blocks of other sorts than text and media are told by their text.
func contentList(blocks transcript.Blocks) ([]byte, error) {
	list := make([]contentBlock, 0, len(blocks))
	text := func(s string) contentBlock { return contentBlock{Type: "text", Text: &s} }
	for _, b := range blocks {
		switch b := b.(type) {
		case transcript.Text:
			list = append(list, text(b.Text))
		case transcript.Reasoning:
			list = append(list, text(b.Text))
		case transcript.Media:
			data := base64.StdEncoding.EncodeToString(b.Data)
			list = append(list, contentBlock{Type: "image", MediaType: b.MediaType, Source: "inline", Data: &data})
		case transcript.ToolUse:
			list = append(list, text(b.Name+" "+string(b.Args)))
		}
	}
	return Marshal(list)
}

// UnmarshalJSON reads a string or a list of blocks. What cannot be taken is an *Error that says which block and why.
func (c *Content) UnmarshalJSON(data []byte) error {
	blocks, err := DecodeContent(data)
	if err != nil {
		return err
	}
	*c = Content(blocks)
	return nil
}

// DecodeContent reads content. It is an *Error of code invalid if it is neither a string nor a list of text and inline images.
func DecodeContent(raw json.RawMessage) (transcript.Blocks, error) {
	raw = bytes.TrimSpace(raw)
	switch {
	case absent(raw):
		return nil, &Error{Code: fault.Invalid, Message: "it is missing"}
	case raw[0] == '"':
		var s string
		if err := json.Unmarshal(raw, &s); err != nil {
			return nil, &Error{Code: fault.Invalid, Message: err.Error()}
		}
		return transcript.TextBlocks(s), nil
	case raw[0] != '[':
		return nil, &Error{Code: fault.Invalid, Message: "it is neither a string nor a list of blocks"}
	}
	var list []contentBlock
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, &Error{Code: fault.Invalid, Message: err.Error()}
	}
	out := make(transcript.Blocks, len(list))
	for n, b := range list {
		block, err := b.block()
		if err != nil {
			return nil, &Error{Code: fault.Invalid, Message: fmt.Sprintf("block %d: %v", n, err)}
		}
		out[n] = block
	}
	return out, nil
}

func (b contentBlock) block() (transcript.Block, error) {
	switch b.Type {
	case "text":
		if b.Text == nil {
			return nil, fmt.Errorf("a text block needs text")
		}
		return transcript.Text{Text: *b.Text}, nil
	case "image":
		switch {
		case b.Source == "blob":
			return nil, fmt.Errorf("images by blob_id cannot be taken: this server keeps no blobs; send the image inline")
		case b.Source != "inline":
			return nil, fmt.Errorf("an image has source \"inline\", not %q", b.Source)
		case !strings.HasPrefix(b.MediaType, "image/"):
			return nil, fmt.Errorf("media_type %q is not that of an image", b.MediaType)
		case b.Data == nil || *b.Data == "":
			return nil, fmt.Errorf("an inline image needs data")
		}
		data, err := base64.StdEncoding.DecodeString(*b.Data)
		if err != nil {
			return nil, fmt.Errorf("the data is not base64: %w", err)
		}
		return transcript.Media{MediaType: b.MediaType, Data: data}, nil
	case "video":
		return nil, fmt.Errorf("videos cannot be taken: no model here is shown any")
	}
	return nil, fmt.Errorf("there is no block of type %q", b.Type)
}
