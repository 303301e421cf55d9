package main

import (
	"context"
	"errors"

	"github.com/tmc/langchaingo/llms"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// errCancelled ends the loop where a cancel at the boundary was asked for.
var errCancelled = errors.New("cancelled at the boundary")

// tap stands between the loop and its model, the one place where a foreign loop comes by before each model call: here it asks the
// session what has happened meanwhile, shows what streams, and counts.
type tap struct {
	llms.Model
	directive run.Directive
	bindings  executor.Bindings

	usage transcript.Usage
	lost  error // the session could not be asked
}

// GenerateContent implements llms.Model.
func (t *tap) GenerateContent(ctx context.Context, messages []llms.MessageContent, options ...llms.CallOption) (*llms.ContentResponse, error) {
	if err := ctx.Err(); err != nil {
		return nil, err // a tool that does not look at its context came back late
	}
	p := t.bindings.Profile
	options = append(options, llms.WithModel(p.Model), llms.WithStreamingFunc(t.show))
	if p.MaxOutput > 0 {
		options = append(options, llms.WithMaxTokens(p.MaxOutput))
	}
	reply, err := t.Model.GenerateContent(ctx, messages, options...)
	if err == nil {
		t.count(reply)
	}
	return reply, err
}

func (t *tap) show(_ context.Context, chunk []byte) error {
	t.bindings.Delta(executor.Delta{ID: t.directive.ID, Kind: executor.DeltaText, Text: string(chunk)})
	return nil
}

// count adds what a reply says it has used.
func (t *tap) count(reply *llms.ContentResponse) {
	if len(reply.Choices) == 0 {
		return
	}
	info := reply.Choices[0].GenerationInfo
	in, _ := info["PromptTokens"].(int)
	out, _ := info["CompletionTokens"].(int)
	t.usage = t.usage.Add(transcript.Usage{Input: in, Output: out})
}
