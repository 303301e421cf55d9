// Package agent is our own executor: it takes directives, calls models and tools, and reports.
//
// It holds no state of a run and knows nothing of rounds, barriers or ends. What is to be done next is what the session hands out
// next. Concurrency limits, time limits and streaming are its own affair.
package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/transcript"
)

// Executor carries runs out at the finest grain: one report for each model call and each tool call.
type Executor struct {
	Models llm.Source
	// Tools returns what a session of this profile may use. It is asked for each model call and each tool call, so that what there is may change
	// while a run goes on: it must be quick, and the registry may be shared. Its error fails the run, as a model that is not configured does:
	// without tools nothing is asked of a model.
	Tools func(id.Session, run.Profile) (*tool.Registry, error)
	// Edition tells that Tools may answer otherwise than before: it returns another number then (executor.Editor). Nil: it never does.
	Edition func() uint64
	// Parallel bounds the tool calls of one session that run at once; 0: 10.
	Parallel int
}

// Profile implements executor.Executor.
func (e *Executor) Profile() executor.Profile { return executor.Profile{Grain: run.Fine} }

// Catalogue implements executor.Offerer: the tools that a session of this profile may be offered.
func (e *Executor) Catalogue(_ context.Context, s id.Session, p run.Profile) (*scope.Catalogue, error) {
	registry, err := e.Tools(s, p)
	if err != nil {
		return nil, err
	}
	return registry.Catalogue(), nil
}

// OfferEdition implements executor.Editor.
func (e *Executor) OfferEdition() uint64 {
	if e.Edition == nil {
		return 0
	}
	return e.Edition()
}

// Apply implements executor.Executor: it carries out what is open until nothing is.
func (e *Executor) Apply(ctx context.Context, r executor.Run, b executor.Bindings) error {
	parallel := e.Parallel
	if parallel <= 0 {
		parallel = 10
	}
	w := &worker{executor: e, session: r.Session, bindings: b, slots: make(chan struct{}, parallel)}
	// An answer that cannot be reported ends the activation: its directive stays open for the next one.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for d := range b.Turn.Directives(ctx) {
		wg.Go(func() {
			report, err := w.carryOut(ctx, d)
			if err == nil {
				err = b.Turn.Report(ctx, report)
			}
			if err != nil && !errors.Is(err, executor.ErrStale) {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// worker is one activation.
type worker struct {
	executor *Executor
	session  id.Session
	bindings executor.Bindings
	slots    chan struct{}
}

// registry returns the tools as they are now.
func (w *worker) registry() (*tool.Registry, error) {
	return w.executor.Tools(w.session, w.bindings.Profile)
}

// carryOut does what a directive asks for. An error means that there is nothing to report: ctx ended, or the directive is not for us.
func (w *worker) carryOut(ctx context.Context, d run.Directive) (run.Report, error) {
	switch d.Kind {
	case run.CallModel:
		return w.callModel(ctx, d)
	case run.RunTool:
		return w.runTool(ctx, d)
	case run.Extract:
		return w.extract(ctx, d)
	case run.ApplyRun, run.Deliver:
	}
	return nil, fmt.Errorf("this executor cannot carry out %s", d.Kind)
}

func (w *worker) callModel(ctx context.Context, d run.Directive) (run.Report, error) {
	rows, err := w.rows(ctx, d)
	if err != nil {
		return nil, err
	}
	call, ok := w.call(d)
	if !ok {
		return nil, executor.ErrStale
	}
	registry, err := w.registry()
	if err != nil {
		return run.ModelFailed{ID: d.ID, Attempt: d.Attempt, Failure: run.Failure{Kind: string(llm.NotConfigured), Message: err.Error()}}, nil
	}
	reply, err := w.ask(ctx, d, request{call, pending(rows, call), offered(registry, call), w.bindings.Delta})
	if ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	if err != nil {
		w.bindings.Delta(executor.Delta{ID: d.ID, Kind: executor.DeltaRestart})
		return failed(d, err), nil
	}
	calls := reply.Blocks.ToolUses()
	intents := make([]run.Intent, len(calls))
	for n, c := range calls {
		class, refusal := registry.Check(c.Name, c.Args)
		intents[n] = run.Intent{Call: c, Class: class, Refusal: refusal}
	}
	return run.ModelReplied{ID: d.ID, Reply: reply, Calls: intents}, nil
}

// call says what a model call is made with, at the moment in which it is made.
func (w *worker) call(d run.Directive) (executor.Call, bool) {
	if w.bindings.Call == nil {
		return executor.Call{Model: d.Model}, true
	}
	return w.bindings.Call(d.ID)
}

// pending tells the model of sources of tools that are still being connected, in this call alone: in the next it may be otherwise.
func pending(rows []transcript.Row, c executor.Call) []transcript.Row {
	if c.Visible == nil || c.Visible.Pending.Len() == 0 {
		return rows
	}
	text := "Still being connected, and not to be used yet: " + strings.Join(slices.Collect(c.Visible.Pending.All()), ", ") + "."
	return append(slices.Clip(rows), transcript.Row{Entry: transcript.Notice{Kind: "mcp_pending", Text: text}})
}

// rows waits until a model may be called, and reads what it is to answer.
func (w *worker) rows(ctx context.Context, d run.Directive) ([]transcript.Row, error) {
	if err := until(ctx, d.NotBefore); err != nil {
		return nil, err
	}
	rows, err := w.bindings.Transcript(ctx, d.Upto)
	if err != nil { // the store's failure, not the model's: whoever comes next tries again
		return nil, fmt.Errorf("read the transcript: %w", err)
	}
	return rows, nil
}

func failed(d run.Directive, err error) run.Report {
	f := llm.AsError(err)
	return run.ModelFailed{ID: d.ID, Attempt: d.Attempt, Failure: run.Failure{Kind: string(f.Kind), Message: f.Error(),
		Retryable: f.Kind.Retryable(), RetryAfter: f.RetryAfter}}
}

// until waits for a time: the delay of a retry is data, and whoever carries the attempt out keeps it.
func until(ctx context.Context, at time.Time) error {
	wait := time.Until(at)
	if at.IsZero() || wait <= 0 {
		return nil
	}
	t := time.NewTimer(wait)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// request is what a model is asked, and who sees the reply while it comes.
type request struct {
	call  executor.Call
	rows  []transcript.Row
	tools []llm.Tool
	show  func(executor.Delta) // nil: nobody
}

// ask makes one model call. An adapter that panics has failed like any other.
func (w *worker) ask(ctx context.Context, d run.Directive, r request) (reply transcript.Assistant, err error) {
	var none transcript.Assistant
	name, params := w.bindings.Profile.Model, string(w.bindings.Profile.Params) // where the session has decided about its model, it has decided about both
	if m := r.call.Model; m != nil {
		name, params = llm.NameOf(*m), string(m.Params)
	}
	defer func() {
		if p := recover(); p != nil {
			reply, err = none, &llm.Error{Kind: llm.Unclassified, Message: fmt.Sprintf("the adapter of %s panicked: %v", name, p)}
		}
	}()
	model, info, err := w.executor.Models.Model(ctx, name)
	if err != nil {
		return none, err
	}
	req := llm.Request{Model: strings.TrimPrefix(info.Name, info.Provider+"/"), Rows: r.rows, Tools: r.tools, MaxOutput: room(w.bindings.Profile, d, info),
		ID: fmt.Sprintf("%s/%d", d.ID, d.Attempt), Extra: json.RawMessage(params)}
	if info.CallTimeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, info.CallTimeout)
		defer cancel()
	}
	show := r.show
	if show == nil {
		show = func(executor.Delta) {}
	}
	reply, err = llm.Collect(model.Stream(ctx, req), func(p llm.Part) {
		switch p := p.(type) {
		case llm.TextPart:
			show(executor.Delta{ID: d.ID, Kind: executor.DeltaText, Text: p.Text})
		case llm.ReasoningPart:
			if p.Text != "" {
				show(executor.Delta{ID: d.ID, Kind: executor.DeltaReasoning, Text: p.Text})
			}
		case llm.CallPart, llm.UsagePart, llm.Done:
		}
	})
	if err != nil && errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return none, &llm.Error{Kind: llm.CallTimeout, Provider: info.Provider, Message: "no complete reply within " + info.CallTimeout.String(), Err: err}
	}
	if err != nil {
		return none, err
	}
	reply.Model = info.Name
	return reply, nil
}

// offered lists the tools that the model is told of: exactly those that the session offers, if it decides about them.
func offered(registry *tool.Registry, c executor.Call) []llm.Tool {
	specs := registry.Specs()
	out := make([]llm.Tool, 0, len(specs))
	for _, s := range specs {
		if !c.Gated || c.Visible.Offers(s.Name, s.Witness()) {
			out = append(out, llm.Tool{Name: s.Name, Description: s.Description, Schema: s.Schema})
		}
	}
	return out
}

func (w *worker) runTool(ctx context.Context, d run.Directive) (run.Report, error) {
	select {
	case w.slots <- struct{}{}:
		defer func() { <-w.slots }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	registry, err := w.registry()
	if err != nil {
		r := tool.Errorf(transcript.ResultFailed, "%v", err)
		return run.ToolSettled{ID: d.ID, Result: transcript.ToolResult{Content: r.Content, IsError: r.IsError, Code: r.Code}}, nil
	}
	began := time.Now()
	args := d.Call.Args
	if len(args) == 0 {
		args = json.RawMessage("{}")
	}
	r, err := registry.Run(ctx, tool.Call{ID: d.Call.ID, Name: d.Call.Name, Args: args, Attempt: d.Attempt})
	switch {
	case ctx.Err() != nil && err != nil:
		return nil, context.Cause(ctx)
	case errors.Is(err, tool.ErrOutcomeUnknown):
		r = tool.Errorf(transcript.ResultOutcomeUnknown, "outcome unknown: %v", err)
	case err != nil:
		r = tool.Errorf(transcript.ResultFailed, "%v", err)
	}
	return run.ToolSettled{ID: d.ID, Duration: time.Since(began), Result: transcript.ToolResult{Content: r.Content, IsError: r.IsError, Code: r.Code}}, nil
}
