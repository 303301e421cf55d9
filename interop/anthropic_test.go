package interop

import (
	"encoding/json"
	"testing"

	sdk "github.com/anthropics/anthropic-sdk-go"
	"github.com/anthropics/anthropic-sdk-go/option"
	"github.com/google/go-cmp/cmp"

	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/llm/anthropic"
	"github.com/meerkat-go/meerkat/transcript"
)

// anthropicOracle reads a stream with the vendor's SDK.
func anthropicOracle(t *testing.T, url string) (reply, error) {
	t.Helper()
	client := sdk.NewClient(option.WithBaseURL(url), option.WithAPIKey("k"), option.WithMaxRetries(0))
	stream := client.Messages.NewStreaming(t.Context(), sdk.MessageNewParams{Model: "claude-opus-5", MaxTokens: 100,
		Messages: []sdk.MessageParam{sdk.NewUserMessage(sdk.NewTextBlock("hi"))}})
	defer stream.Close()
	var message sdk.Message
	for stream.Next() {
		if err := message.Accumulate(stream.Current()); err != nil {
			return reply{}, err
		}
	}
	if err := stream.Err(); err != nil {
		return reply{}, err
	}
	out := reply{Stop: map[sdk.StopReason]transcript.StopReason{sdk.StopReasonEndTurn: transcript.StopEndTurn, sdk.StopReasonToolUse: transcript.StopToolUse,
		sdk.StopReasonMaxTokens: transcript.StopMaxTokens, sdk.StopReasonStopSequence: transcript.StopSequence,
		sdk.StopReasonRefusal: transcript.StopFiltered}[message.StopReason],
		Input: int(message.Usage.InputTokens), Output: int(message.Usage.OutputTokens), CacheRead: int(message.Usage.CacheReadInputTokens),
		CacheWrite: int(message.Usage.CacheCreationInputTokens)}
	for _, b := range message.Content {
		switch b := b.AsAny().(type) {
		case sdk.TextBlock:
			out.Text += b.Text
		case sdk.ThinkingBlock:
			out.Thoughts = append(out.Thoughts, b.Thinking+"|"+b.Signature)
		case sdk.RedactedThinkingBlock:
			out.Thoughts = append(out.Thoughts, "|"+b.Data)
		case sdk.ToolUseBlock:
			out.Calls = append(out.Calls, call{b.ID, b.Name, canonical(t, b.Input)})
		}
	}
	return out, nil
}

// anthropicThoughts reads what our adapter keeps of thinking blocks.
func anthropicThoughts(t *testing.T, blocks transcript.Blocks) []string {
	t.Helper()
	var out []string
	for _, b := range blocks {
		if r, ok := b.(transcript.Reasoning); ok {
			var kept struct{ Signature, Redacted string }
			if err := json.Unmarshal(r.Meta.Data, &kept); err != nil {
				t.Fatal(err)
			}
			out = append(out, r.Text+"|"+kept.Signature+kept.Redacted)
		}
	}
	return out
}

func TestAnthropic_streams_read_the_same_by_the_vendors_SDK_and_by_ours(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"text.sse", "tools.sse", "thinking.sse", "limit.sse", "stop_sequence.sse", "refusal.sse", "whole_input.sse"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, "../llm/anthropic/testdata/"+name)
			theirs, err := anthropicOracle(t, url)
			if err != nil {
				t.Fatal(err)
			}
			m, err := anthropic.New(anthropic.Config{BaseURL: url})
			if err != nil {
				t.Fatal(err)
			}
			got, err := llm.Collect(m.Stream(t.Context(), ask()), nil)
			if err != nil {
				t.Fatal(err)
			}
			ours := ofOurs(t, got)
			ours.Thoughts = anthropicThoughts(t, got.Blocks)
			if d := cmp.Diff(theirs, ours); d != "" {
				t.Errorf("theirs (-) and ours (+): %s", d)
			}
		})
	}
}

func TestAnthropic_error_events_fail_both(t *testing.T) {
	t.Parallel()
	url := serve(t, "../llm/anthropic/testdata/error.sse")
	if _, err := anthropicOracle(t, url); err == nil {
		t.Error("the vendor's SDK takes an error event for success")
	}
	m, err := anthropic.New(anthropic.Config{BaseURL: url})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := llm.Collect(m.Stream(t.Context(), ask()), nil); err == nil {
		t.Error("ours takes an error event for success")
	}
}

// This is why the product has adapters of its own. If it fails, the vendor has mended it.
func TestAnthropic_truncation_is_noticed_by_ours_alone(t *testing.T) {
	t.Parallel()
	url := serve(t, "../llm/anthropic/testdata/truncated.sse")
	if _, err := anthropicOracle(t, url); err != nil {
		t.Errorf("the vendor's SDK notices now: %v", err)
	}
	m, err := anthropic.New(anthropic.Config{BaseURL: url})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := llm.Collect(m.Stream(t.Context(), ask()), nil); err == nil || llm.AsError(err).Kind != llm.Truncated {
		t.Errorf("ours: %v", err)
	}
}

func TestAnthropic_requests_pass_through_the_vendors_types_unchanged(t *testing.T) {
	t.Parallel()
	var params sdk.MessageNewParams
	roundTrip(t, "../llm/anthropic/testdata/request.json", &params)
	if len(params.Messages) != 3 || len(params.Tools) != 2 || len(params.System) != 2 || params.MaxTokens != 16384 {
		t.Errorf("the vendor's type holds %d messages, %d tools, %d system blocks", len(params.Messages), len(params.Tools), len(params.System))
	}
	if b := params.Messages[1].Content; b[0].OfThinking == nil || b[1].OfRedactedThinking == nil || b[2].OfText == nil || b[3].OfToolUse == nil {
		t.Errorf("the blocks of the reply are not what they are meant to be: %+v", b)
	}
	if b := params.Messages[2].Content; b[0].OfToolResult == nil || !b[1].OfToolResult.IsError.Value {
		t.Errorf("the results are not what they are meant to be: %+v", b)
	}
}
