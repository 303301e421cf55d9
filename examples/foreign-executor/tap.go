package main

import (
	"context"
	"errors"
	"math"

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

	steers []steer
	usage  transcript.Usage
	lost   error // the session could not be asked
}

// steer is what was said to a running run, and how much of its prompt had been said by then. The loop makes its prompts anew from what it
// knows, and of steers it knows nothing.
type steer struct {
	after int
	text  string
}

// GenerateContent implements llms.Model.
func (t *tap) GenerateContent(ctx context.Context, messages []llms.MessageContent, options ...llms.CallOption) (*llms.ContentResponse, error) {
	if err := t.boundary(ctx, len(messages)); err != nil {
		return nil, err
	}
	p := t.bindings.Profile
	options = append(options, llms.WithModel(p.Model), llms.WithStreamingFunc(t.show))
	if p.MaxOutput > 0 {
		options = append(options, llms.WithMaxTokens(p.MaxOutput))
	}
	reply, err := t.Model.GenerateContent(ctx, t.steered(messages), options...)
	if err == nil {
		t.count(reply)
	}
	return reply, err
}

// boundary asks the session what there is before the next call of the model. What it is told is durable already. A loop whose tool did not
// hear the interrupt and came back late hears of it here.
func (t *tap) boundary(ctx context.Context, said int) error {
	b, err := t.bindings.Turn.Boundary(ctx, t.directive.ID)
	if err != nil {
		t.lost = err
		return err
	}
	if b.Cancel {
		return errCancelled
	}
	for _, s := range b.Steers {
		t.steers = append(t.steers, steer{said, s.Content.Plain()})
	}
	return nil
}

// steered puts each steer where it was said.
func (t *tap) steered(messages []llms.MessageContent) []llms.MessageContent {
	var out []llms.MessageContent
	n := 0
	said := func(by int) {
		for ; n < len(t.steers) && t.steers[n].after <= by; n++ {
			out = append(out, llms.TextParts(llms.ChatMessageTypeHuman, t.steers[n].text))
		}
	}
	for i, m := range messages {
		said(i)
		out = append(out, m)
	}
	said(math.MaxInt)
	return out
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
