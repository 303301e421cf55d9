package wire_test

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/meerkat-go/meerkat/internal/golden"
	"github.com/meerkat-go/meerkat/transcript"
	"github.com/meerkat-go/meerkat/wire"
	"github.com/meerkat-go/meerkat/wire/wiretest"
)

func rows() []transcript.Row {
	row := func(m, o int, e transcript.Entry) transcript.Row {
		return transcript.Row{At: transcript.Position{Message: m, Ordinal: o}, Time: noon.Add(time.Duration(m) * time.Second), Entry: e}
	}
	image := transcript.Media{MediaType: "image/png", Data: []byte{1, 2}}
	return []transcript.Row{
		row(1, 0, transcript.System{Text: "be kind"}),
		row(2, 0, transcript.Notice{Kind: "mcp_pending", Text: "wait"}),
		row(3, 0, transcript.Notice{Kind: "tried_again"}),
		row(4, 0, transcript.User{Content: transcript.TextBlocks("hello \u2028 <b>")}),
		row(5, 0, transcript.User{Content: transcript.Blocks{transcript.Text{Text: "look"}, image}}),
		row(6, 0, transcript.User{}),
		row(7, 0, transcript.Assistant{Stop: transcript.StopToolUse, Model: "m", Blocks: transcript.Blocks{
			transcript.Reasoning{Text: "hm", Meta: &transcript.Meta{Provider: "anthropic", Data: json.RawMessage(`{"signature":"sig"}`)}},
			transcript.Reasoning{Meta: &transcript.Meta{Provider: "anthropic", Data: json.RawMessage(`{"redacted":"x"}`)}},
			transcript.Text{Text: "I look", Meta: &transcript.Meta{Provider: "else", Data: json.RawMessage(`{"a":1}`)}},
			transcript.ToolUse{ID: "c1", Name: "lookup", Args: json.RawMessage(`{"k":1}`)},
			transcript.ToolUse{ID: "c2", Name: "lookup", Args: json.RawMessage(`{"broken`)},
			image,
		}}),
		row(8, 0, transcript.ToolResult{Call: "c1", Name: "lookup", Content: transcript.TextBlocks("42")}),
		row(8, 1, transcript.ToolResult{Call: "c2", Name: "lookup", IsError: true, Code: transcript.ResultInvalid}),
		row(9, 0, transcript.ToolResult{Call: "c3", Content: transcript.Blocks{image}}),
		row(10, 0, transcript.Assistant{Stop: "odd"}),
	}
}

func TestRows_are_told_as_messages_of_the_contract(t *testing.T) {
	t.Parallel()
	messages := wire.Messages(rows())
	if len(messages) != 10 {
		t.Errorf("%d messages of 11 rows, two of which are results of one message", len(messages))
	}
	h := wire.SessionHistory{Session: session, Total: 10, Messages: messages}
	data := wiretest.Check(t, "session_history", h)
	if found, err := wiretest.Nulls(data); err != nil || len(found) > 0 {
		t.Errorf("null at %v, %v", found, err)
	}
	var file []byte
	for _, m := range messages {
		line, err := wire.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		wiretest.Check(t, "rewrite_message", line)
		file = append(append(file, line...), '\n')
	}
	golden.Equal(t, "testdata/messages.golden", file)
}

func TestMessages_come_back_as_they_were(t *testing.T) {
	t.Parallel()
	want := wire.Messages(rows())
	data, err := wire.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var got []wire.Message
	decode(t, data, &got)
	again, err := wire.Marshal(got)
	if err != nil || string(again) != string(data) {
		t.Errorf("%v\n%s\n%s", err, data, again)
	}
}

func TestContent_is_a_text_or_blocks(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want transcript.Blocks // nil: refused
	}{
		{`"hi"`, transcript.TextBlocks("hi")},
		{` "" `, transcript.TextBlocks("")},
		{`[]`, transcript.Blocks{}},
		{`[{"type":"text","text":"a"},{"type":"image","media_type":"image/png","source":"inline","data":"AQI="}]`,
			transcript.Blocks{transcript.Text{Text: "a"}, transcript.Media{MediaType: "image/png", Data: []byte{1, 2}}}},
		{``, nil}, {`null`, nil}, {`1`, nil}, {`{}`, nil}, {`[1]`, nil}, {`["a"]`, nil}, {`"`, nil}, {`[`, nil},
		{`[{"type":"text"}]`, nil},
		{`[{"type":"image","media_type":"image/png","source":"blob","blob_id":"b"}]`, nil},
		{`[{"type":"image","media_type":"image/png","source":"url","data":"AQI="}]`, nil},
		{`[{"type":"image","media_type":"text/html","source":"inline","data":"AQI="}]`, nil},
		{`[{"type":"image","media_type":"image/png","source":"inline","data":"%"}]`, nil},
		{`[{"type":"image","media_type":"image/png","source":"inline"}]`, nil},
		{`[{"type":"video","media_type":"video/mp4","duration_ms":1,"source":"inline","data":"AQI="}]`, nil},
		{`[{"type":"odd"}]`, nil}, {`[{}]`, nil}, {`[null]`, nil},
	} {
		got, err := wire.DecodeContent(json.RawMessage(c.text))
		if (err == nil) != (c.want != nil) || c.want != nil && !cmp.Equal(got, c.want) {
			t.Errorf("%s: %v, %v", c.text, got, err)
		}
		if err == nil {
			wiretest.Check(t, "content", wire.Content(got))
		}
	}
}

func TestA_duration_is_in_parts_or_in_seconds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		text string
		want time.Duration // below 0: refused
	}{
		{`{"secs":2,"nanos":500000000}`, 2500 * time.Millisecond}, {`{"secs":2}`, 2 * time.Second}, {`1.5`, 1500 * time.Millisecond}, {`30`, 30 * time.Second},
		{`{"nanos":1}`, -1}, {`{"secs":-1,"nanos":0}`, -1}, {`{"secs":1,"nanos":1000000000}`, -1}, {`{"secs":18446744073709551615,"nanos":0}`, -1},
		{`-1`, -1}, {`1e300`, -1}, {`"5s"`, -1}, {`[]`, -1},
	} {
		d := wire.Duration(-1)
		err := json.Unmarshal([]byte(c.text), &d)
		if (err == nil) != (c.want >= 0) || err == nil && time.Duration(d) != c.want {
			t.Errorf("%s: %v, %v", c.text, time.Duration(d), err)
		}
	}
}
