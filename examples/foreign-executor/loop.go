package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/tmc/langchaingo/agents"
	"github.com/tmc/langchaingo/chains"
	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/prompts"
	"github.com/tmc/langchaingo/schema"
	"github.com/tmc/langchaingo/tools"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// Loop lends langchaingo's agent loop to sessions: it calls the model, runs the tools it asks for, and calls it again, until there is
// an answer. Of sessions it knows nothing, and it keeps nothing between two runs: what was said stands in the transcript.
type Loop struct {
	Model llms.Model
	Tools []tools.Tool
	// Class says what the tools do to the world: whether a run may begin again from its question when nobody knows how far it came.
	Class run.Class
}

// Executor is the loop as the control plane wants it.
func (l Loop) Executor() executor.Executor { return executor.Whole{Class: l.Class, Do: l.carryOut} }

// The names under which langchaingo hands things on.
const (
	scratchpad = "agent_scratchpad"  // what the tools of the run have said so far
	output     = "output"            // the final answer
	steps      = "intermediateSteps" // every tool call with its result
)

// carryOut does one run. It runs on the caller's goroutine and starts none, so all it did has ended when it returns.
func (l Loop) carryOut(ctx context.Context, d run.Directive, b executor.Bindings) (run.RunApplied, error) {
	rows, err := b.Transcript(ctx, d.Upto)
	if err != nil {
		return run.RunApplied{}, err
	}
	if d.Attempt > 1 { // what an attempt has shown that came to no end is void
		b.Delta(executor.Delta{ID: d.ID, Kind: executor.DeltaRestart})
	}
	model := &tap{Model: l.Model, directive: d, bindings: b}
	loop := agents.NewExecutor(&agents.OpenAIFunctionsAgent{LLM: model, Tools: l.Tools, OutputKey: output,
		Prompt: prompts.NewChatPromptTemplate([]prompts.MessageFormatter{messages(rows), prompts.MessagesPlaceholder{VariableName: scratchpad}}),
	}, agents.WithMaxIterations(rounds(b.Profile)), agents.WithReturnIntermediateSteps())
	out, err := chains.Call(ctx, loop, nil)
	report := run.RunApplied{Usage: model.usage}
	switch {
	case ctx.Err() != nil:
		return run.RunApplied{}, ctx.Err() // interrupted, or this process lets the session go: nobody wants the report
	case errors.Is(model.lost, executor.ErrStale):
		return report, nil // the run is over: the report is as stale as the question was, and nobody minds
	case model.lost != nil:
		return run.RunApplied{}, model.lost // not the loop's failure: the run stays open
	case errors.Is(err, errCancelled):
		return report, nil // what was used is reported; the session knows that it asked for the end
	case err != nil:
		report.Failed = &run.Failure{Kind: "foreign_loop", Message: err.Error()}
		return report, nil
	}
	report.Appends = said(out, b.Profile.Model, model.usage)
	return report, nil
}

// rounds is how often the loop may call the model in one run.
func rounds(p run.Profile) int {
	if p.MaxRounds > 0 {
		return p.MaxRounds
	}
	return 100
}

// said is what a finished run adds to the conversation: a notice for each call of a tool, since the session has not seen them, and
// the answer.
func said(out map[string]any, model string, usage transcript.Usage) []transcript.Entry {
	var entries []transcript.Entry
	calls, _ := out[steps].([]schema.AgentStep)
	for _, c := range calls {
		entries = append(entries, transcript.Notice{Kind: "tool", Text: fmt.Sprintf("%s(%s): %s", c.Action.Tool, c.Action.ToolInput, c.Observation)})
	}
	answer, _ := out[output].(string)
	return append(entries, transcript.Assistant{Blocks: transcript.TextBlocks(answer), Stop: transcript.StopEndTurn, Model: model, Usage: &usage})
}

// messages is a transcript as langchaingo wants it: at the head of every prompt, as it is and with no templates in it.
type messages []transcript.Row

// FormatMessages implements prompts.MessageFormatter. Notices are for people, and a run of a loop like this leaves no calls behind.
func (m messages) FormatMessages(map[string]any) ([]llms.ChatMessage, error) {
	var out []llms.ChatMessage
	for _, row := range m {
		switch e := row.Entry.(type) {
		case transcript.System:
			out = append(out, llms.SystemChatMessage{Content: e.Text})
		case transcript.User:
			out = append(out, llms.HumanChatMessage{Content: e.Content.Plain()})
		case transcript.Assistant:
			out = append(out, llms.AIChatMessage{Content: e.Blocks.Plain()})
		case transcript.Notice, transcript.ToolResult:
		}
	}
	return out, nil
}

// GetInputVariables implements prompts.MessageFormatter.
func (messages) GetInputVariables() []string { return nil }
