package main

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tmc/langchaingo/llms"
	"github.com/tmc/langchaingo/tools"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/executor/executortest"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

func TestThe_program_prints_the_answer_and_the_receipt(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := ask(t.Context(), &out, "how many candles?"); err != nil {
		t.Fatal(err)
	}
	if want := "In stock: 4 candles.\n8 tokens; the receipt names 1 input\n"; out.String() != want {
		t.Fatalf("it printed %q, want %q", out.String(), want)
	}
}

func TestThe_loop_keeps_the_contract_of_executors(t *testing.T) {
	t.Parallel()
	executortest.Run(t, executortest.Subject{
		New:   func(*testing.T) executor.Executor { return loop(clerk{}, shelf) },
		Hangs: func(*testing.T) executor.Executor { return loop(clerk{}, newDoor()) },
		First: run.Directive{ID: id.Effect{Version: 1}, Kind: run.ApplyRun, Attempt: 1, Run: "r", Upto: 2, Inputs: []id.Input{"a"}},
		Rows:  []transcript.Row{{At: transcript.Position{Message: 1}, Entry: transcript.User{Content: transcript.TextBlocks("how many candles?")}}},
	})
}

func TestAn_input_goes_through_model_tool_and_model_and_leaves_a_reply_and_a_receipt(t *testing.T) {
	bubble(t, func(w *world) {
		model := &heard{Model: clerk{}}
		w.runs(loop(model, shelf))
		r := w.submit("how many candles?")
		out := w.ended(r.Input, control.Completed)
		if out.Text != "In stock: 4 candles." || out.Run != r.Run || out.Usage != (transcript.Usage{Input: 2 + 4, Output: 2}) {
			w.Errorf("outcome %+v", out)
		}
		want := [][]string{
			{"system: You keep the stock.", "human: how many candles?"},
			{"system: You keep the stock.", "human: how many candles?", "ai: calls stock", "tool: 4 candles"},
		}
		if got := model.all(); !slices.EqualFunc(got, want, slices.Equal) {
			w.Errorf("the model was asked %q", got)
		}
		if got := w.conversation(); !slices.Equal(got, []string{"system: You keep the stock.", "user: how many candles?",
			"tool: stock(candles): 4 candles", "assistant: In stock: 4 candles."}) {
			w.Errorf("conversation %q", got)
		}
		receipt, err := w.rt.Host().LoadBoundaryReceipt(w.ctx, w.session, r.Run, 1)
		if err != nil || receipt.Boundary != "run_start" || !slices.Equal(receipt.Inputs, []id.Input{r.Input}) {
			w.Errorf("receipt %+v %v", receipt, err)
		}
	})
}

func TestThe_reply_is_shown_while_it_streams(t *testing.T) {
	bubble(t, func(w *world) {
		d := newDoor()
		w.runs(loop(clerk{}, d))
		r := w.submit("how many candles?")
		shown := w.follow()
		close(d.open)
		w.ended(r.Input, control.Completed)
		if got := <-shown; got != "In stock: 4 candles." {
			w.Errorf("shown while it streamed: %q", got)
		}
	})
}

func TestA_run_knows_what_was_said_before_it_and_the_same_input_twice_is_one(t *testing.T) {
	bubble(t, func(w *world) {
		model := &heard{Model: clerk{}}
		w.runs(loop(model, shelf))
		w.ended(w.submit("how many candles?").Input, control.Completed)
		again := control.Submit{Session: w.session, Key: "k", Content: transcript.TextBlocks("and {{.matches}} matches?")}
		first, err := w.Submit(w.ctx, again)
		w.ok(err)
		w.ended(first.Input, control.Completed)
		second, err := w.Submit(w.ctx, again)
		w.ok(err)
		if !second.Duplicate || second.Input != first.Input {
			w.Errorf("submitted again: %+v", second)
		}
		calls := model.all()
		if len(calls) != 4 || !slices.Equal(calls[2], []string{"system: You keep the stock.", "human: how many candles?", "ai: In stock: 4 candles.",
			"human: and {{.matches}} matches?"}) {
			w.Errorf("the model was asked %q", calls)
		}
	})
}

// Scenario: S90
func TestR38_a_steer_arrives_at_the_next_call_of_the_model_and_has_its_receipt(t *testing.T) {
	bubble(t, func(w *world) {
		model, d := &heard{Model: clerk{}}, newDoor()
		w.runs(loop(model, d))
		r := w.submit("how many candles?")
		<-d.behind
		aside := w.steer("also count the matches")
		close(d.open)
		if out := w.ended(r.Input, control.Completed); out.Text != "In stock: 4 candles, 12 matches." {
			w.Errorf("outcome %+v", out)
		}
		if out := w.ended(aside.Input, control.Completed); out.Run != r.Run {
			w.Errorf("the steer ended in %+v", out)
		}
		calls := model.all()
		second := []string{"system: You keep the stock.", "human: how many candles?", "ai: calls stock", "tool: 4 candles", "human: also count the matches"}
		if len(calls) != 3 || !slices.Equal(calls[1], second) || !slices.Equal(calls[2][:5], second) {
			w.Errorf("the model was asked %q", calls)
		}
		if got := w.conversation(); !slices.Equal(got[1:], []string{"user: how many candles?", "user: also count the matches", "tool: stock(candles): 4 candles",
			"tool: stock(matches): 12 matches", "assistant: In stock: 4 candles, 12 matches."}) {
			w.Errorf("conversation %q", got)
		}
		receipt, err := w.rt.Host().LoadBoundaryReceipt(w.ctx, w.session, r.Run, 2)
		if err != nil || receipt.Boundary != "run_checkpoint" || !slices.Equal(receipt.Inputs, []id.Input{aside.Input}) {
			w.Errorf("receipt %+v %v", receipt, err)
		}
		if w.ends() != 1 {
			w.Errorf("%d ends of one run", w.ends())
		}
	})
}

// leaving is a model that does something before it answers for good.
type leaving struct {
	clerk
	do func()
}

func (l leaving) GenerateContent(ctx context.Context, messages []llms.MessageContent, options ...llms.CallOption) (*llms.ContentResponse, error) {
	reply, err := l.clerk.GenerateContent(ctx, messages, options...)
	if err == nil && len(reply.Choices[0].ToolCalls) == 0 {
		l.do()
	}
	return reply, err
}

func TestR38_a_steer_that_comes_too_late_for_the_run_begins_the_next(t *testing.T) {
	bubble(t, func(w *world) {
		var late control.Receipt
		w.runs(loop(leaving{do: sync.OnceFunc(func() { late = w.steer("and how many matches?") })}, shelf))
		r := w.submit("how many candles?")
		if out := w.ended(r.Input, control.Completed); out.Text != "In stock: 4 candles." {
			w.Errorf("outcome %+v", out)
		}
		if out := w.ended(late.Input, control.Completed); out.Run == r.Run || out.Text != "In stock: 12 matches." {
			w.Errorf("the steer ended in %+v", out)
		}
	})
}

// Scenario: S41
func TestA_steer_where_nothing_runs_begins_a_run(t *testing.T) {
	bubble(t, func(w *world) {
		w.runs(loop(clerk{}, shelf))
		aside := w.steer("how many candles?")
		if out := w.ended(aside.Input, control.Completed); out.Run != aside.Run || out.Text != "In stock: 4 candles." {
			w.Errorf("the steer ended in %+v", out)
		}
		receipt, err := w.rt.Host().LoadBoundaryReceipt(w.ctx, w.session, aside.Run, 1)
		if err != nil || receipt.Boundary != "run_start" || !slices.Equal(receipt.Inputs, []id.Input{aside.Input}) {
			w.Errorf("receipt %+v %v", receipt, err)
		}
		if _, err := w.rt.Host().LoadBoundaryReceipt(w.ctx, w.session, aside.Run, 2); err == nil {
			w.Error("something was injected")
		}
	})
}

// Scenario: S93
func TestA_loop_that_never_asks_at_its_boundaries_is_steered_by_the_next_run(t *testing.T) {
	bubble(t, func(w *world) {
		begun, leave := make(chan id.Run, 2), make(chan struct{})
		w.runs(executor.Whole{Do: func(_ context.Context, d run.Directive, _ executor.Bindings) (run.RunApplied, error) {
			begun <- d.Run
			<-leave
			return run.RunApplied{Appends: said(map[string]any{output: "done"}, "deaf", transcript.Usage{})}, nil
		}})
		r := w.submit("how many candles?")
		<-begun
		aside := w.steer("also count the matches")
		synctest.Wait()
		if in, err := w.rt.Host().ListActiveInputs(w.ctx, w.session); err != nil || !slices.Equal(in, []id.Input{r.Input, aside.Input}) {
			w.Errorf("active %v %v", in, err)
		}
		close(leave)
		w.ended(r.Input, control.Completed)
		if out := w.ended(aside.Input, control.Completed); out.Run == r.Run || out.Run != <-begun {
			w.Errorf("the steer ended in %+v", out)
		}
		if n := w.ends(); n != 2 {
			w.Errorf("%d ends of two runs", n)
		}
	})
}

// cut is a session that cannot be asked at a boundary.
type cut struct {
	executor.Turn
	err error
}

func (c cut) Boundary(context.Context, id.Effect) (run.Boundary, error) { return run.Boundary{}, c.err }

func TestA_session_that_cannot_be_asked_keeps_the_run_open_and_one_that_is_over_is_no_failure(t *testing.T) {
	t.Parallel()
	d := run.Directive{ID: id.Effect{Version: 1}, Kind: run.ApplyRun, Attempt: 1, Run: "r", Upto: 1, Inputs: []id.Input{"a"}}
	for _, c := range []struct{ err, want error }{{errBroken, errBroken}, {executor.ErrStale, nil}} {
		model, turn := &heard{Model: clerk{}}, executortest.NewTurn(nil, d)
		if c.err == executor.ErrStale {
			turn.Withdraw(d.ID)
		}
		err := loop(model, shelf).Apply(t.Context(), executor.Run{Run: d.Run}, executor.Bindings{Turn: cut{turn, c.err},
			Transcript: func(context.Context, int) ([]transcript.Row, error) {
				return []transcript.Row{{Entry: transcript.User{Content: transcript.TextBlocks("how many candles?")}}}, nil
			}})
		if !errors.Is(err, c.want) || len(turn.Reports()) > 0 || len(model.all()) > 0 {
			t.Errorf("%v: returned %v, reported %v, the model was asked %q", c.err, err, turn.Reports(), model.all())
		}
	}
}

func TestR38_a_run_that_begins_again_still_knows_how_it_was_steered(t *testing.T) {
	bubble(t, func(w *world) {
		model, d := &heard{Model: &moody{Model: clerk{}, after: 1, panics: 1}}, newDoor()
		w.runs(loop(model, d))
		r := w.submit("how many candles?")
		<-d.behind
		aside := w.steer("also count the matches")
		close(d.open) // the steer is taken in, and the model panics
		if out := w.ended(aside.Input, control.Completed); out.Run != r.Run {
			w.Errorf("the steer ended in %+v", out)
		}
		w.ended(r.Input, control.Completed)
		calls := model.all()
		if len(calls) < 3 || !slices.Equal(calls[2], []string{"system: You keep the stock.", "human: how many candles?", "human: also count the matches"}) {
			w.Errorf("the model was asked %q", calls)
		}
	})
}

// Scenario: S98
func TestR42_a_cancel_at_the_boundary_ends_the_run_before_the_next_call_of_the_model(t *testing.T) {
	bubble(t, func(w *world) {
		model, d := &heard{Model: clerk{}}, newDoor()
		w.runs(loop(model, d))
		r := w.submit("how many candles?")
		inside := <-d.behind
		w.ok(w.CancelAfterBoundary(w.ctx, w.session, r.Run))
		w.ok(w.CancelAfterBoundary(w.ctx, w.session, r.Run))
		synctest.Wait()
		if inside.Err() != nil {
			w.Error("the tool was stopped, and it may end its work")
		}
		close(d.open)
		if out := w.ended(r.Input, control.Cancelled); out.Usage.Output != 1 {
			w.Errorf("outcome %+v", out)
		}
		if n := len(model.all()); n != 1 || w.ends() != 1 {
			w.Errorf("%d calls of the model, %d ends", n, w.ends())
		}
		w.ended(w.submit("how many matches?").Input, control.Completed)
	})
}

func TestR40_an_interrupt_ends_the_run_and_the_context_of_the_loop(t *testing.T) {
	bubble(t, func(w *world) {
		model, d := &heard{Model: clerk{}}, newDoor()
		w.runs(loop(model, d))
		r := w.submit("how many candles?")
		inside := <-d.behind
		w.ok(w.Interrupt(w.ctx, w.session, r.Run))
		w.ended(r.Input, control.Cancelled)
		synctest.Wait()
		if inside.Err() == nil || len(model.all()) != 1 {
			w.Errorf("the loop goes on: %v, %d calls", inside.Err(), len(model.all()))
		}
		close(d.open)
		w.ended(w.submit("how many matches?").Input, control.Completed)
		if n := w.ends(); n != 2 {
			w.Errorf("%d ends of two runs", n)
		}
	})
}

func TestR40_a_tool_that_does_not_hear_the_interrupt_cannot_delay_the_end_nor_say_anything_after_it(t *testing.T) {
	bubble(t, func(w *world) {
		model, d := &heard{Model: clerk{}}, newDoor()
		d.deaf = true
		w.runs(loop(model, d))
		r := w.submit("how many candles?")
		<-d.behind
		w.ok(w.Interrupt(w.ctx, w.session, r.Run))
		w.ended(r.Input, control.Cancelled)
		next := w.submit("how many matches?")
		synctest.Wait()
		if n := len(model.all()); n != 1 {
			w.Errorf("%d calls of the model while the old run's tool still holds the loop", n)
		}
		close(d.open)
		w.ended(next.Input, control.Completed)
		if got := w.conversation(); !slices.Equal(got[1:], []string{"user: how many candles?", "user: how many matches?",
			"tool: stock(matches): 12 matches", "assistant: In stock: 12 matches."}) {
			w.Errorf("conversation %q", got)
		}
	})
}

// Scenario: S105
func TestR43_a_stop_waits_for_the_run_and_lets_nothing_in_meanwhile(t *testing.T) {
	bubble(t, func(w *world) {
		d := newDoor()
		w.runs(loop(clerk{}, d))
		r := w.submit("how many candles?")
		<-d.behind
		stopped := later(func() error { return w.Stop(w.ctx, w.session, "closing time", 0) })
		w.pending(stopped)
		if _, err := w.Submit(w.ctx, control.Submit{Session: w.session, Content: transcript.TextBlocks("and matches?")}); fault.CodeOf(err) != fault.InProgress {
			w.Errorf("submitted during a stop: %v", err)
		}
		close(d.open)
		w.ended(r.Input, control.Completed)
		w.ok(<-stopped)
		if s, err := w.Session(w.ctx, string(w.session)); err != nil || s.Phase != "stopped" || s.Run != nil {
			w.Errorf("%+v %v", s, err)
		}
	})
}

func TestR43_a_stop_that_loses_its_patience_interrupts(t *testing.T) {
	bubble(t, func(w *world) {
		d := newDoor()
		w.runs(loop(clerk{}, d))
		r := w.submit("how many candles?")
		inside := <-d.behind
		began := time.Now()
		w.ok(w.Stop(w.ctx, w.session, "closing time", time.Minute))
		if waited := time.Since(began); waited != time.Minute || inside.Err() == nil {
			w.Errorf("stopped after %v, the loop's context says %v", waited, inside.Err())
		}
		w.ended(r.Input, control.Cancelled)
	})
}

// moody is a model that panics when it has answered often enough, in the middle of a reply and as often as it is asked to.
type moody struct {
	llms.Model
	after, panics int
}

func (m *moody) GenerateContent(ctx context.Context, messages []llms.MessageContent, options ...llms.CallOption) (*llms.ContentResponse, error) {
	reply, err := m.Model.GenerateContent(ctx, messages, options...)
	if m.after--; m.after < 0 && m.panics > 0 {
		m.panics--
		panic("out of its mind")
	}
	return reply, err
}

func TestR04_after_a_panic_a_run_that_may_be_repeated_begins_again_and_is_counted(t *testing.T) {
	bubble(t, func(w *world) {
		d := newDoor()
		w.runs(loop(&moody{Model: clerk{}, after: 1, panics: 1}, d))
		r := w.submit("how many candles?")
		shown := w.follow()
		close(d.open)
		w.ended(r.Input, control.Completed)
		if n := tally(w, func(p event.Resumed) bool { return p.Reissued == 1 }); n != 1 || w.ends() != 1 {
			w.Errorf("issued again %d times, %d ends", n, w.ends())
		}
		if got := w.conversation(); len(got) != 4 {
			w.Errorf("conversation %q", got)
		}
		if got := <-shown; got != "In stock: 4 candles." {
			w.Errorf("shown while it streamed: %q", got)
		}
	})
}

func TestR35_after_a_panic_a_run_that_must_not_be_repeated_is_given_up_and_the_session_is_not(t *testing.T) {
	bubble(t, func(w *world) {
		once := Loop{Model: &moody{Model: clerk{}, panics: 1}, Tools: []tools.Tool{shelf}}
		w.runs(once.Executor())
		out := w.ended(w.submit("how many candles?").Input, control.Abandoned)
		if !strings.Contains(out.Error, "outcome unknown") || !strings.Contains(out.Error, "out of its mind") {
			w.Errorf("error %q", out.Error)
		}
		w.ended(w.submit("how many matches?").Input, control.Completed)
	})
}

// broken is a tool, or a model, that fails.
type broken struct{ stock }

var errBroken = errors.New("the shelf has fallen over")

func (broken) Call(context.Context, string) (string, error) { return "", errBroken }

func TestA_loop_that_fails_ends_the_run_with_its_words_and_its_bill(t *testing.T) {
	bubble(t, func(w *world) {
		w.runs(loop(clerk{}, broken{}))
		out := w.ended(w.submit("how many candles?").Input, control.Failed)
		if !strings.Contains(out.Error, errBroken.Error()) || out.Usage.Output != 1 {
			w.Errorf("outcome %+v", out)
		}
	})
}

func TestThe_profile_says_which_model_is_called_how_often_and_how_long_it_may_answer(t *testing.T) {
	bubble(t, func(w *world) {
		model := &heard{Model: restless{}}
		w.runs(loop(model, shelf))
		s, err := w.CreateSession(w.ctx, control.CreateSession{Profile: run.Profile{Model: "clerk", MaxRounds: 3, MaxOutput: 20}})
		w.ok(err)
		w.session = s.ID
		out := w.ended(w.submit("how many candles?").Input, control.Failed)
		if n := len(model.all()); n != 3 || out.Usage.Output != 3 || model.with.Model != "clerk" || model.with.MaxTokens != 20 {
			w.Errorf("%d calls with %+v, outcome %+v", n, model.with, out)
		}
	})
}

// restless is a model that never has enough.
type restless struct{ clerk }

func (restless) GenerateContent(context.Context, []llms.MessageContent, ...llms.CallOption) (*llms.ContentResponse, error) {
	return &llms.ContentResponse{Choices: []*llms.ContentChoice{{GenerationInfo: map[string]any{"CompletionTokens": 1},
		ToolCalls: []llms.ToolCall{{ID: "again", FunctionCall: &llms.FunctionCall{Name: "stock", Arguments: argument("candles")}}}}}}, nil
}

func TestR36_an_executor_that_answers_twice_is_heard_once(t *testing.T) {
	bubble(t, func(w *world) {
		again := make(chan error, 1)
		twice := executor.Whole{Do: func(ctx context.Context, d run.Directive, b executor.Bindings) (run.RunApplied, error) {
			report := run.RunApplied{ID: d.ID, Appends: said(map[string]any{output: "first"}, "clerk", transcript.Usage{})}
			if err := b.Turn.Report(ctx, report); err != nil {
				return report, err
			}
			report.Appends = said(map[string]any{output: "second"}, "clerk", transcript.Usage{})
			again <- b.Turn.Report(ctx, report)
			return report, nil // and a third time, by Whole
		}}
		w.runs(twice)
		out := w.ended(w.submit("how many candles?").Input, control.Completed)
		w.is(<-again, executor.ErrStale)
		synctest.Wait()
		if got := w.conversation(); out.Text != "first" || len(got) != 3 || w.ends() != 1 {
			w.Errorf("%q, %d ends, conversation %q", out.Text, w.ends(), got)
		}
	})
}

func TestR36_an_executor_that_answers_after_the_interrupt_is_not_heard(t *testing.T) {
	bubble(t, func(w *world) {
		begun, late := make(chan struct{}), make(chan error, 1)
		stubborn := executor.Whole{Do: func(ctx context.Context, d run.Directive, b executor.Bindings) (run.RunApplied, error) {
			close(begun)
			<-ctx.Done()
			report := run.RunApplied{ID: d.ID, Appends: said(map[string]any{output: "too late"}, "clerk", transcript.Usage{})}
			late <- b.Turn.Report(context.WithoutCancel(ctx), report)
			return report, nil
		}}
		w.runs(stubborn)
		r := w.submit("how many candles?")
		<-begun
		w.ok(w.Interrupt(w.ctx, w.session, r.Run))
		w.ended(r.Input, control.Cancelled)
		w.is(<-late, executor.ErrStale)
		if got := w.conversation(); len(got) != 2 || w.ends() != 1 {
			w.Errorf("%d ends, conversation %q", w.ends(), got)
		}
	})
}

func TestR24_a_run_that_its_process_left_unfinished_is_finished_by_the_next(t *testing.T) {
	t.Parallel()
	dir, d := t.TempDir(), newDoor()
	rt, err := meerkat.Open(t.Context(), meerkat.Config{StateDir: dir, Executor: loop(clerk{}, d)})
	if err != nil {
		t.Fatal(err)
	}
	s, err := rt.Plane().CreateSession(t.Context(), control.CreateSession{Profile: run.Profile{Model: "clerk"}})
	if err != nil {
		t.Fatal(err)
	}
	r, err := rt.Plane().Submit(t.Context(), control.Submit{Session: s.ID, Content: transcript.TextBlocks("how many candles?")})
	if err != nil {
		t.Fatal(err)
	}
	inside := <-d.behind
	if err := rt.Close(); err != nil || inside.Err() == nil {
		t.Fatalf("closed: %v; the loop's context: %v", err, inside.Err())
	}
	again, err := meerkat.Open(t.Context(), meerkat.Config{StateDir: dir, Executor: loop(clerk{}, shelf)})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := again.Close(); err != nil {
			t.Error(err)
		}
	}()
	if out, err := again.Plane().Wait(t.Context(), s.ID, r.Input); err != nil || out.Run != r.Run || out.Text != "In stock: 4 candles." {
		t.Fatalf("%+v %v", out, err)
	}
}
