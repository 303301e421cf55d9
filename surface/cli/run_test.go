package cli

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
)

const footer = "[Session: 019a8c2e-41f0 | Turns: 2 | Tokens: 1234 in / 56 out]\n"

func TestIn_a_pipe_the_answer_is_printed_once_and_there_is_no_progress(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.start("run", "-m", "offline", "hello")
	p.happen(event.RunStarted{}, event.TurnStarted{}, event.TextDelta{Delta: "so "}, event.TextDelta{Delta: "it is"}, event.TextComplete{Content: "so it is"})
	p.ticks <- p.now
	p.want(p.complete("so it is"), 0, "so it is\n", footer)
	if p.closed != 1 {
		t.Errorf("the realm was closed %d times", p.closed)
	}
}

func TestOn_a_terminal_the_answer_streams_and_is_not_repeated(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.outTerm = true
	p.start("run", "-m", "offline", "hello")
	p.happen(event.TurnStarted{}, event.TextDelta{Delta: "I **lo"}, event.TextDelta{Delta: "ok**."}, event.TextComplete{Content: "I **look**."},
		event.TurnStarted{Number: 1}, event.TextDelta{Delta: "Done\x1b[2J"}, event.TextComplete{Content: "Done\x1b[2J"})
	p.want(p.complete("Done\x1b[2J"), 0, "I \x1b[1mlook\x1b[0m.\nDone␛[2J\n", footer)
}

func TestWhat_a_slow_screen_missed_of_a_reply_is_shown_when_it_is_complete(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.outTerm = true
	p.start("run", "-m", "offline", "hello")
	p.happen(event.TurnStarted{}, event.TextDelta{Delta: "one "}, event.Gap{From: 1}, event.TextComplete{Content: "one two"})
	p.want(p.complete("one two"), 0, "one two\n", footer)
}

func TestA_reply_that_broke_off_is_marked_and_shown_again(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.outTerm, p.errTerm = true, true
	p.start("run", "-m", "offline", "--quiet", "hello")
	p.happen(event.TurnStarted{}, event.TextDelta{Delta: "one tw"}, event.AttemptVoided{}, event.TextDelta{Delta: "one two"}, event.TextComplete{Content: "one two"})
	p.want(p.complete("one two"), 0, "one tw\none two\n", "[the reply broke off: what was shown of it does not count]\n")
}

func TestThe_progress_line_says_what_is_done_and_is_erased_before_anything_else(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.errTerm = true
	p.start("run", "-m", "offline", "hello")
	p.happen(event.TurnStarted{})
	p.ticks <- p.now
	p.happen(event.ToolCallRequested{Name: "read_file", Args: json.RawMessage(`{"path":"docs/` + strings.Repeat("long/", 20) + `x"}`)})
	p.ticks <- p.now
	code := p.complete("ok")
	const erase = "\r\x1b[K"
	p.want(code, 0, "ok\n", erase+"⠙ asking the model · 0s"+erase+"⠹ running read_file docs/long/long/long/long/long/lon… · 0s"+erase+footer)
}

func TestThe_progress_line_never_cuts_through_a_line_of_the_answer(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.outTerm, p.errTerm = true, true
	p.start("run", "-m", "offline", "hello")
	p.happen(event.TurnStarted{}, event.TextDelta{Delta: "half a line "})
	p.ticks <- p.now
	p.want(p.complete("half a line "), 0, "half a line\n", footer)
}

func TestA_retry_is_told(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.start("run", "-m", "offline", "hello")
	p.happen(event.Retrying{Attempt: 1, Max: 4, Kind: "rate_limited", Error: "busy", Delay: 1500 * time.Millisecond})
	p.want(p.complete("ok"), 0, "ok\n", "The model call failed (attempt 1 of 4): busy. Trying again in 1.5s.\n"+footer)
}

func TestVerbose_prints_each_event_as_a_line(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.start("run", "-m", "offline", "-v", "hello")
	p.happen(event.TurnStarted{Number: 3}, event.TextDelta{Delta: "x"})
	p.complete("ok")
	says(t, p.err.String(), "#1    turn_started {\"turn_number\":3}\n", "run_completed")
	if strings.Contains(p.err.String(), "text_delta") {
		t.Error("a delta is no line")
	}
}

func TestJSON_output_is_one_object_and_nothing_else(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.outTerm = true
	p.start("run", "-m", "offline", "--json", "hello")
	p.happen(event.TextDelta{Delta: "x"})
	if code := p.complete("the <answer>"); code != 0 {
		t.Errorf("exit code %d", code)
	}
	var got runResult
	if err := json.Unmarshal(p.out.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if got.Session != theSession || got.Text != "the <answer>" || got.Rounds != 2 || !strings.HasSuffix(got.Ref, ":"+string(theSession)) || got.Status != control.Completed {
		t.Errorf("got %+v", got)
	}
	if p.err.Len() > 0 {
		t.Errorf("stderr: %q", p.err.String())
	}
}

func TestHow_a_run_ends_is_the_exit_code(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name    string
		outcome control.Outcome
		code    int
		says    []string
	}{
		{"a wrong key", control.Outcome{Status: control.Failed, Cause: "llm_failure", Kind: "authentication_failed", Error: "openai: authentication_failed (HTTP 401): no"}, 1, []string{"Error: the run failed", "Check OPENAI_API_KEY"}},
		{"too many requests", control.Outcome{Status: control.Failed, Cause: "retry_exhausted", Kind: "rate_limited", Error: "anthropic: rate_limited (HTTP 429): no"}, 1, []string{"Wait a while", "rkat resume"}},
		{"a stream that was cut", control.Outcome{Status: control.Failed, Cause: "retry_exhausted", Kind: "incomplete_response", Error: "openai: incomplete_response"}, 1, []string{"connection"}},
		{"the limit of model calls", control.Outcome{Status: control.Failed, Cause: causeTurnLimit, Rounds: 7}, 2, []string{"Budget exhausted: the run was stopped after 7 model calls"}},
		{"a budget, with an answer", control.Outcome{Status: control.Completed, Cause: causeBudget, Text: "so far"}, 2, []string{"Budget exhausted: "}},
		{"somebody else's interrupt", control.Outcome{Status: control.Cancelled, Cause: "cancelled"}, 1, []string{"the run was cancelled", "rkat resume"}},
		{"given up", control.Outcome{Status: control.Abandoned, Error: "it fell"}, 1, []string{"given up: it fell"}},
		{"words that a terminal would obey", control.Outcome{Status: control.Failed, Error: "odd \x1b]0;x\a"}, 1, []string{"the run failed: odd ␛]0;x␇"}},
		{"nothing is known", control.Outcome{Status: control.Failed}, 1, []string{"no reason was given"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newProcess(t)
			p.start("run", "-m", "offline", "hello")
			c.outcome.Input, c.outcome.Run = theInput, theRun
			p.plane.outcomes <- c.outcome
			p.tell(event.RunFailed{})
			if code := <-p.done; code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			says(t, p.err.String(), c.says...)
		})
	}
}

func TestThe_first_interrupt_stops_the_run_and_keeps_the_session(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.start("run", "-m", "offline", "hello")
	p.happen(event.RunStarted{}, event.TurnStarted{})
	p.signals <- os.Interrupt
	if r := <-p.plane.stopped; r != theRun {
		t.Errorf("interrupted %q", r)
	}
	p.plane.outcomes <- control.Outcome{Input: theInput, Run: theRun, Status: control.Cancelled, Cause: "cancelled"}
	p.tell(event.RunFailed{})
	p.want(<-p.done, ExitInterrupted, "", "Interrupting the run. (Ctrl-C again leaves at once.)\n"+
		"[Session: 019a8c2e-41f0 | Turns: 0 | Tokens: 0 in / 0 out]\nInterrupted. The session is kept: 'rkat resume 019a8c2e-41f0' goes on.\n")
}

func TestA_run_that_completes_all_the_same_is_a_success(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.plane.interrupted = errors.New("too late")
	p.start("run", "-m", "offline", "--quiet", "hello")
	p.happen(event.RunStarted{})
	p.signals <- os.Interrupt
	<-p.plane.stopped
	if code := p.complete("ok"); code != 0 {
		t.Errorf("exit code %d", code)
	}
}

func TestThe_second_interrupt_leaves_at_once(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.start("run", "-m", "offline", "hello")
	p.happen(event.RunStarted{})
	p.signals <- os.Interrupt
	p.signals <- os.Interrupt
	if code := <-p.done; code != ExitInterrupted {
		t.Errorf("exit code %d", code)
	}
	says(t, p.err.String(), "Left at once. 'rkat resume 019a8c2e-41f0' goes on.")
	if p.closed != 0 {
		t.Error("it waited for the realm to be closed")
	}
}

func TestA_request_to_terminate_leaves_the_run_unfinished_and_says_so(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.start("run", "-m", "offline", "hello")
	p.happen(event.RunStarted{})
	p.signals <- syscall.SIGTERM
	if code := <-p.done; code != ExitTerminated {
		t.Errorf("exit code %d", code)
	}
	says(t, p.err.String(), "unfinished", "rkat resume 019a8c2e-41f0")
	if p.closed != 1 || len(p.plane.stopped) != 0 {
		t.Errorf("closed %d times, interrupted %d times", p.closed, len(p.plane.stopped))
	}
}

func TestStandard_input_is_input(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, stdin string
		piped       bool
		args        []string
		want        string
	}{
		{"a pipe goes before the prompt", "line\n", true, []string{"do", "it"}, "<stdin>\nline\n</stdin>\n\ndo it"},
		{"a pipe alone is the prompt", "do it\n", true, nil, "do it\n"},
		{"an empty pipe is nothing", "\n", true, []string{"do it"}, "do it"},
		{"a terminal is not read", "line\n", false, []string{"do it"}, "do it"},
		{"off leaves a pipe alone", "line\n", true, []string{"--stdin", "off", "do it"}, "do it"},
		{"blob reads whatever it is", "line\n", false, []string{"--stdin", "blob", "do it"}, "<stdin>\nline\n</stdin>\n\ndo it"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newProcess(t)
			p.world.Stdin, p.world.Piped = strings.NewReader(c.stdin), c.piped
			p.start(append([]string{"run", "-m", "offline"}, c.args...)...)
			if code := p.complete("ok"); code != 0 {
				t.Fatalf("exit code %d: %s", code, p.err.String())
			}
			if got := p.plane.submitted[0].Content.Plain(); got != c.want {
				t.Errorf("submitted %q, want %q", got, c.want)
			}
		})
	}
}

func TestWrong_use_is_refused_before_anything_is_written(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		stdin io.Reader
		args  []string
		code  int
		says  string
	}{
		{"no prompt", nil, []string{"run"}, 2, "there is no prompt"},
		{"a blank prompt", nil, []string{"run", " \n"}, 2, "there is no prompt"},
		{"an empty pipe and no prompt", strings.NewReader(""), []string{"run"}, 2, "there is no prompt"},
		{"a prompt that is too long", strings.NewReader(strings.Repeat("a", maxPrompt+1)), []string{"run", "x"}, 2, "longer than 8 MiB. Nothing was sent"},
		{"a long prompt and a long input", strings.NewReader(strings.Repeat("a", maxPrompt-1)), []string{"run", "xxx"}, 2, "longer than 8 MiB"},
		{"a binary pipe", strings.NewReader("a\x00b"), []string{"run", "x"}, 2, "not text: byte 2 is zero"},
		{"a pipe that is not UTF-8", strings.NewReader("a\xffb"), []string{"run", "x"}, 2, "not text in UTF-8"},
		{"an unknown flag", nil, []string{"run", "--nope", "x"}, 2, "See 'rkat run --help'"},
		{"an unknown preset", nil, []string{"run", "--tools", "all", "x"}, 2, "Say none, safe, workspace or full"},
		{"an unknown output", nil, []string{"run", "-o", "xml", "x"}, 2, "Say text or json"},
		{"quiet and verbose", nil, []string{"run", "-q", "-v", "x"}, 2, "exclude"},
		{"a model for a session that has one", nil, []string{"run", "--resume", "-m", "offline", "x"}, 2, "settled when a session begins"},
		{"a model that nobody knows", nil, []string{"run", "-m", "nonsense", "x"}, 1, `the model "nonsense" cannot be used: no model is called "nonsense"`},
		{"a folder that does not exist", nil, []string{"run", "-C", "nowhere", "x"}, 2, "does not exist"},
		{"an unknown command", nil, []string{"rum"}, 2, "Did you mean 'rkat run'?"},
		{"a word that is no command", nil, []string{"hello"}, 2, `rkat run "hello"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			p := newProcess(t)
			p.env["RKAT_MODEL"] = "offline"
			if c.stdin != nil {
				p.world.Stdin, p.world.Piped = c.stdin, true
			}
			if code := p.run(c.args...); code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			says(t, p.err.String(), "Error: ", c.says)
			if p.out.Len() > 0 || len(p.plane.created)+len(p.plane.submitted) > 0 {
				t.Errorf("stdout %q, created %v, submitted %d", p.out.String(), p.plane.created, len(p.plane.submitted))
			}
		})
	}
}

func TestA_prompt_alone_is_a_run(t *testing.T) {
	t.Parallel()
	for _, args := range [][]string{{"what is here?"}, {"-m", "offline", "hello"}, {"--model=offline", "hello"}, {"-moffline", "hello"}, {"-C", ".", "say it"}, {"--json", "two words"}} {
		p := newProcess(t)
		p.env["RKAT_MODEL"] = "offline"
		p.start(args...)
		if code := p.complete("ok"); code != 0 || len(p.plane.submitted) != 1 {
			t.Errorf("%q: exit code %d: %s", args, code, p.err.String())
		}
	}
	p := newProcess(t)
	if code := p.run("-r", "mine", "sessions"); code != 0 || p.out.String() != "No sessions found.\n" {
		t.Errorf("a command after a global flag: exit code %d, %q, %q", code, p.out.String(), p.err.String())
	}
}

func TestThe_flags_of_run_are_the_profile_of_the_session(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.start("run", "-m", "offline", "--yolo", "--system", "be brief", "--max-rounds", "3", "--max-tokens", "99", "x")
	p.complete("ok")
	got := p.plane.created[0]
	if got.System != "be brief" || got.Profile.Tools != "full" || got.Profile.MaxRounds != 3 || got.Profile.MaxOutput != 99 || got.Profile.Model != "offline" {
		t.Errorf("got %+v", got)
	}
}

func TestA_failed_submission_is_an_error(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.plane.submitErr = syscall.ENOSPC
	if code := p.run("run", "-m", "offline", "x"); code != 1 {
		t.Errorf("exit code %d", code)
	}
	says(t, p.err.String(), "Free some space")
}

func TestA_resumed_session_finishes_its_run_and_then_takes_the_prompt(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.env["RKAT_REALM"] = "r"
	makeRealm(t, p)
	p.plane.sessions = []control.Session{{ID: theSession, Cursor: 7}}
	p.plane.past = []event.Event{{Session: theSession, Cursor: 7, Payload: event.TurnStarted{}}}
	p.plane.taken = control.Session{ID: theSession, Run: &control.Run{ID: theRun, Inputs: nil}}
	p.plane.taken.Run.Inputs = append(p.plane.taken.Run.Inputs, theInput)
	p.start("resume", "last", "and then")
	<-p.plane.watched
	p.happen(event.Resumed{Unknown: 1})
	p.plane.outcomes <- control.Outcome{Input: theInput, Run: theRun, Status: control.Completed, Text: "first"}
	p.tell(event.RunCompleted{})
	<-p.plane.watched // the second run: until then events may still go to the reader of the first
	code := p.complete("second")
	p.want(code, 0, "first\nsecond\n", "The run goes on after an interruption. 1 tool call may have taken effect before it and will not be repeated; the model is told.\n"+footer)
	if got := p.plane.submitted; len(got) != 1 || got[0].Content.Plain() != "and then" {
		t.Errorf("submitted %+v", got)
	}
}

func TestResume_finishes_all_that_waits_and_sends_no_prompt_after_an_interrupt(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.env["RKAT_REALM"] = "r"
	makeRealm(t, p)
	second := control.Session{ID: theSession, Run: &control.Run{ID: "run-2", Inputs: []id.Input{"input-2"}}}
	p.plane.sessions = []control.Session{second}
	p.plane.taken = control.Session{ID: theSession, Run: &control.Run{ID: theRun, Inputs: []id.Input{theInput}}}
	p.start("resume", "last", "and then")
	<-p.plane.watched
	p.plane.outcomes <- control.Outcome{Input: theInput, Run: theRun, Status: control.Failed, Error: "odd"}
	p.tell(event.RunFailed{})
	<-p.plane.watched // the second run: until then events may still go to the reader of the first
	p.happen(event.TurnStarted{})
	p.signals <- os.Interrupt
	if r := <-p.plane.stopped; r != "run-2" {
		t.Errorf("interrupted %q", r)
	}
	p.plane.outcomes <- control.Outcome{Input: "input-2", Run: "run-2", Status: control.Cancelled}
	p.plane.events <- event.Event{Run: "run-2", Payload: event.RunFailed{}}
	if code := <-p.done; code != ExitInterrupted {
		t.Errorf("exit code %d", code)
	}
	says(t, p.err.String(), "A run ended before the next one: the run failed: odd.", "The prompt was not sent.", "Interrupted.")
	if len(p.plane.submitted) > 0 {
		t.Errorf("submitted %+v", p.plane.submitted)
	}
}

func TestResume_continues_what_waits_for_a_reply(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.env["RKAT_REALM"] = "r"
	makeRealm(t, p)
	p.plane.sessions = []control.Session{{ID: theSession}}
	p.plane.taken = control.Session{ID: theSession, Pending: true}
	p.start("resume")
	p.want(p.complete("done"), 0, "done\n", footer)
	if got := p.plane.submitted; len(got) != 1 || !got[0].Continue || len(got[0].Content) != 0 {
		t.Errorf("submitted %+v", got)
	}
}

func TestResume_says_when_there_is_nothing_to_do(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.env["RKAT_REALM"] = "r"
	if code := p.run("resume"); code != 1 {
		t.Errorf("without a session: exit code %d", code)
	}
	says(t, p.err.String(), "there are no sessions of", "rkat run")
	makeRealm(t, p)
	p.err.Reset()
	p.plane.sessions = []control.Session{{ID: theSession}}
	p.plane.taken = p.plane.sessions[0]
	if code := p.run("resume"); code != 0 {
		t.Errorf("at rest: exit code %d", code)
	}
	says(t, p.err.String(), "nothing to resume")
	p.err.Reset()
	if code := p.run("resume", "019a8c2f"); code != 1 {
		t.Errorf("unknown: exit code %d", code)
	}
	says(t, p.err.String(), `there is no session "019a8c2f" here. Did you mean 019a8c2e-41f0?`)
}

func makeRealm(t *testing.T, p *process) {
	t.Helper()
	if err := os.MkdirAll(p.env["RKAT_STATE_DIR"]+"/"+p.env["RKAT_REALM"], 0o700); err != nil {
		t.Fatal(err)
	}
}

func TestWords_that_name_a_session(t *testing.T) {
	t.Parallel()
	for word, want := range map[string]bool{"last": true, "~1": true, "~": false, "~x": false, "019a8c2e": true, "019a8c2e-41f0": true, "dead": false,
		"deadbeef": true, "continue": false, "now do it": false, "": false, "2024": true} {
		if got := isRef(word); got != want {
			t.Errorf("isRef(%q) = %v", word, got)
		}
	}
}
