package agent

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/transcript"
)

// extract makes one try at an output: a model call without tools, told nobody while it comes, and judged here. What is asked and answered is not
// part of the transcript.
func (w *worker) extract(ctx context.Context, d run.Directive) (run.Report, error) {
	form, err := tool.NewForm(w.bindings.Profile.Schema)
	if err != nil {
		return run.Extracted{ID: d.ID, Attempt: d.Attempt, Error: fmt.Sprintf("the schema cannot be used: %v", err)}, nil
	}
	rows, err := w.rows(ctx, d)
	if err != nil {
		return nil, err
	}
	call, ok := w.call(d)
	if !ok {
		return nil, executor.ErrStale
	}
	reply, err := w.ask(ctx, d, request{call: call, rows: append(plainRows(rows), outputRows(d, form)...)})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		return failed(d, err), nil
	}
	r := run.Extracted{ID: d.ID, Attempt: d.Attempt, Text: reply.Blocks.Plain()}
	if reply.Usage != nil {
		r.Usage = *reply.Usage
	}
	switch {
	case len(reply.Blocks.ToolUses()) > 0:
		r.Error = "the model asked for a tool"
		return r, nil
	case strings.TrimSpace(r.Text) == "":
		r.Error = "the model said nothing"
		return r, nil
	}
	output, wrong := form.Read(r.Text)
	if len(wrong) == 0 {
		r.Verdict, r.Output = run.OutputValid, output
		return r, nil
	}
	if reply.Stop == transcript.StopMaxTokens {
		wrong = append(wrong, "it was cut off, because it was as long as a reply may be")
	}
	r.Verdict, r.Error = run.OutputInvalid, strings.Join(wrong, "; ")
	return r, nil
}

// outputRows is what a model is asked for, and what was wrong with what it said the last time.
func outputRows(d run.Directive, form *tool.Form) []transcript.Row {
	entries := []transcript.Entry{user("Give your answer as one JSON object that fits this JSON Schema. Say nothing but the JSON: no explanation, " +
		"no code fence.\n\n" + string(form.Schema()))}
	if m := d.Misfit; m != nil {
		if strings.TrimSpace(m.Text) != "" {
			entries = append(entries, transcript.Assistant{Blocks: transcript.TextBlocks(m.Text), Stop: transcript.StopEndTurn})
		}
		entries = append(entries, user("That does not fit the schema: "+m.Error+". Give the whole JSON object again, corrected, and nothing else."))
	}
	rows := make([]transcript.Row, len(entries))
	for n, e := range entries {
		rows[n] = transcript.Row{At: transcript.Position{Message: d.Upto + n}, Entry: e}
	}
	return rows
}

func user(text string) transcript.Entry { return transcript.User{Content: transcript.TextBlocks(text)} }

// plainRows puts tool calls and their results into words: a provider that is offered no tools may take neither. Thinking that belongs to them goes
// with them. A conversation without any is left as it is.
func plainRows(rows []transcript.Row) []transcript.Row {
	calls := func(r transcript.Row) bool {
		a, ok := r.Entry.(transcript.Assistant)
		return ok && len(a.Blocks.ToolUses()) > 0
	}
	if !slices.ContainsFunc(rows, calls) {
		return slices.Clip(rows)
	}
	out := make([]transcript.Row, 0, len(rows))
	for _, r := range rows {
		switch e := r.Entry.(type) {
		case transcript.Assistant:
			e.Blocks = slices.DeleteFunc(slices.Clone(e.Blocks), func(b transcript.Block) bool {
				switch b := b.(type) {
				case transcript.Text:
					return b.Text == ""
				case transcript.Media:
					return false
				}
				return true
			})
			if len(e.Blocks) == 0 {
				continue
			}
			r.Entry = e
		case transcript.ToolResult:
			r.Entry = transcript.Notice{Kind: "tool_result", Text: e.Name + ": " + e.Content.Plain()}
		}
		out = append(out, r)
	}
	return out
}

// usual is how long a reply of a model may be whose own limit nobody knows.
const usual = 16384

// room is how many tokens a reply may have: what the profile says, and no more than a budget leaves. 0: what is usual for the model.
func room(p run.Profile, d run.Directive, info llm.Info) int {
	if info.MaxOutput > 0 {
		p.MaxOutput = min(p.MaxOutput, info.MaxOutput) // what nobody could send
	}
	if d.MaxOutput == 0 {
		return p.MaxOutput
	}
	switch { // a budget bounds a reply, and makes none longer
	case p.MaxOutput > 0 || d.MaxOutput < info.MaxOutput:
		return d.MaxOutput
	case info.MaxOutput > 0:
		return 0
	}
	return min(d.MaxOutput, usual)
}
