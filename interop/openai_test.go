package interop

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	sdk "github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"

	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/llm/compat"
	"github.com/meerkat-go/meerkat/transcript"
)

// openaiOracle reads a stream with the vendor's SDK.
func openaiOracle(t *testing.T, url string) (reply, error) {
	t.Helper()
	client := sdk.NewClient(option.WithBaseURL(url+"/v1"), option.WithAPIKey("k"), option.WithMaxRetries(0))
	stream := client.Chat.Completions.NewStreaming(t.Context(), sdk.ChatCompletionNewParams{Model: "gpt-5.6-sol",
		Messages:      []sdk.ChatCompletionMessageParamUnion{sdk.UserMessage("hi")},
		StreamOptions: sdk.ChatCompletionStreamOptionsParam{IncludeUsage: sdk.Bool(true)}})
	defer stream.Close()
	var acc sdk.ChatCompletionAccumulator
	for stream.Next() {
		acc.AddChunk(stream.Current())
	}
	if err := stream.Err(); err != nil {
		return reply{}, err
	}
	choice := acc.Choices[0]
	out := reply{Text: choice.Message.Content, Stop: map[string]transcript.StopReason{"stop": transcript.StopEndTurn, "length": transcript.StopMaxTokens,
		"tool_calls": transcript.StopToolUse, "content_filter": transcript.StopFiltered}[choice.FinishReason],
		Input: int(acc.Usage.PromptTokens), Output: int(acc.Usage.CompletionTokens), CacheRead: int(acc.Usage.PromptTokensDetails.CachedTokens)}
	for _, c := range choice.Message.ToolCalls {
		out.Calls = append(out.Calls, call{c.ID, c.Function.Name, canonical(t, []byte(c.Function.Arguments))})
	}
	return out, nil
}

func oursOpenAI(t *testing.T, url string) (transcript.Assistant, error) {
	t.Helper()
	m, err := compat.New(compat.Config{BaseURL: url})
	if err != nil {
		t.Fatal(err)
	}
	return llm.Collect(m.Stream(t.Context(), ask()), nil)
}

func TestOpenAI_streams_read_the_same_by_the_vendors_SDK_and_by_ours(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"text.sse", "tools.sse", "limit.sse", "filtered.sse", "reasoning.sse", "no_done.sse", "no_usage.sse", "calls_id_late.sse"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := serve(t, "../llm/compat/testdata/"+name)
			theirs, err := openaiOracle(t, url)
			if err != nil {
				t.Fatal(err)
			}
			got, err := oursOpenAI(t, url)
			if err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(theirs, ofOurs(t, got)); d != "" {
				t.Errorf("theirs (-) and ours (+): %s", d)
			}
		})
	}
}

func TestOpenAI_errors_in_the_stream_fail_both(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"error.sse", "error_openrouter.sse", "error_text.sse"} {
		url := serve(t, "../llm/compat/testdata/"+name)
		if _, err := openaiOracle(t, url); err == nil {
			t.Errorf("%s: the vendor's SDK takes it for success", name)
		}
		if _, err := oursOpenAI(t, url); err == nil {
			t.Errorf("%s: ours takes it for success", name)
		}
	}
}

// This is why the product has adapters of its own. If it fails, the vendor has mended it.
func TestOpenAI_truncation_is_noticed_by_ours_alone(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"truncated.sse", "done_alone.sse"} {
		url := serve(t, "../llm/compat/testdata/"+name)
		if _, err := openaiOracle(t, url); err != nil {
			t.Errorf("%s: the vendor's SDK notices now: %v", name, err)
		}
		if _, err := oursOpenAI(t, url); err == nil || llm.AsError(err).Kind != llm.Truncated {
			t.Errorf("%s: ours: %v", name, err)
		}
	}
}

func TestOpenAI_requests_pass_through_the_vendors_types_unchanged(t *testing.T) {
	t.Parallel()
	var params sdk.ChatCompletionNewParams
	roundTrip(t, "../llm/compat/testdata/request.json", &params)
	if len(params.Messages) != 9 || len(params.Tools) != 2 || params.MaxCompletionTokens.Value != 500 || !params.StreamOptions.IncludeUsage.Value {
		t.Errorf("the vendor's type holds %d messages, %d tools, a limit of %d", len(params.Messages), len(params.Tools), params.MaxCompletionTokens.Value)
	}
	m := params.Messages
	if m[0].OfSystem == nil || m[1].OfUser == nil || m[2].OfAssistant == nil || len(m[2].OfAssistant.ToolCalls) != 2 || m[3].OfTool == nil || m[4].OfTool == nil {
		t.Errorf("the messages are not what they are meant to be: %+v", m)
	}
}
