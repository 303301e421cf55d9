package faults

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/meerkat-go/meerkat/internal/programs"
)

// A model call that can never succeed fails the run at once and says what to do. The session is kept, and goes on when it is mended.
func Test_a_model_that_refuses_ends_the_run_and_keeps_the_session(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		reply string
		says  []string
	}{
		"a wrong key": {`{"status": 401, "error": {"type": "authentication_error", "code": "invalid_api_key", "message": "Incorrect API key provided: {{key}}."}}`,
			[]string{"HTTP 401", "does not accept the key", "API_KEY", "rkat resume"}},
		"a key without the right": {`{"status": 403, "error": {"type": "permission_error", "message": "not for {{key}}"}}`,
			[]string{"HTTP 403", "not allowed", "API_KEY", "rkat resume"}},
		"a model that is not there": {`{"status": 404, "error": {"type": "not_found_error", "code": "model_not_found", "message": "no such model"}}`,
			[]string{"HTTP 404", "does not have this model", "rkat models"}},
		"a request that is refused": {`{"status": 400, "error": {"type": "invalid_request_error", "message": "temperature is out of range"}}`,
			[]string{"HTTP 400", "temperature is out of range", "refused the request"}},
		"a page where a model should be": {`{"status": 405, "body": "<html><body>nginx</body></html>"}`, []string{"HTTP 405"}},
	} {
		for provider, model := range map[string]string{"openai": "openai/fake-1", "anthropic": "anthropic/claude-opus-5"} {
			t.Run(name+", "+provider, func(t *testing.T) {
				t.Parallel()
				w := scripted(t, `{"times": 1, "reply": `+c.reply+`}`)
				w.bothWires()
				r := w.rkat(1, c.says, "run", "--model", model, "go")
				if strings.Contains(r.Stderr, "Trying again") || w.requests() != 1 {
					t.Errorf("what cannot succeed was tried %d times\n%s", w.requests(), r)
				}
				w.answered(w.Rkat("resume"), "Fine.")
				if s := w.show(); s.Unfinished || s.roles() != "system user block_assistant" {
					t.Errorf("the session holds %q, unfinished %v", s.roles(), s.Unfinished)
				}
			})
		}
	}
}

// bothWires lets the Anthropic adapter speak to the same fake model.
func (w *world) bothWires() {
	w.Env["ANTHROPIC_BASE_URL"] = strings.TrimSuffix(w.Env["OPENAI_BASE_URL"], "/v1")
	w.Env["ANTHROPIC_API_KEY"] = programs.Key
}

// A model call that may succeed next time is tried again, visibly, and nothing of the failed attempt is in the conversation.
func Test_a_model_call_that_fails_in_passing_is_tried_again(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ reply, says string }{
		"a rate limit with a hint":     {`{"status": 429, "retry_after": "0.7", "error": {"type": "rate_limit_error", "message": "slow down"}}`, "Trying again in 700ms"},
		"a failing server":             {`{"status": 500, "error": {"type": "api_error", "message": "oops"}}`, "HTTP 500"},
		"an overloaded server":         {`{"status": 529, "error": {"type": "overloaded_error", "message": "too many"}}`, "HTTP 529"},
		"a dropped connection":         {`{"fault": "drop"}`, "connection"},
		"a stream that is cut":         {`{"text": "half a loaf is better", "fault": "cut"}`, "the stream ended"},
		"a stream without its end":     {`{"text": "half a loaf is better", "fault": "no_end"}`, "the stream ended"},
		"a connection that breaks":     {`{"text": "half a loaf is better", "fault": "reset"}`, "connection"},
		"garbage in the stream":        {`{"text": "half a loaf is better", "fault": "garbage"}`, "cannot be read"},
		"an error event in the stream": {`{"text": "half a loaf", "fault": "error", "error": {"type": "overloaded_error", "message": "too many"}}`, "too many"},
		"an event without an end":      {`{"text": "half a loaf", "fault": "long"}`, "longer"},
		"a reply of nothing":           {`{}`, "empty_completion"},
		"arguments that are not JSON":  {`{"tool_calls": [{"id": "c1", "name": "read_file", "args": "{not json"}]}`, "no JSON object"},
	} {
		for provider, model := range map[string]string{"openai": "openai/fake-1", "anthropic": "anthropic/claude-opus-5"} {
			t.Run(name+", "+provider, func(t *testing.T) {
				t.Parallel()
				w := scripted(t, `{"times": 1, "reply": `+c.reply+`}`)
				w.bothWires()
				r := w.Rkat("run", "--model", model, "go")
				if r.Stdout != "Fine.\n" {
					t.Errorf("the answer is %q", r.Stdout)
				}
				w.held(r, 0, "attempt 1 of 4", "Trying again in", c.says)
				if s := w.show(); s.roles() != "system user block_assistant" || w.requests() != 2 {
					t.Errorf("the session holds %q after %d requests", s.roles(), w.requests())
				}
			})
		}
	}
}

func Test_a_server_that_keeps_failing_ends_the_run_after_four_attempts(t *testing.T) {
	t.Parallel()
	w := scripted(t, `{"times": 4, "reply": {"status": 503, "error": {"type": "api_error", "message": "maintenance"}}}`)
	w.rkat(1, []string{"attempt 3 of 4", "HTTP 503", "maintenance", "Try again later", "rkat resume"}, "run", "go")
	if n := w.requests(); n != 4 {
		t.Errorf("%d requests", n)
	}
	w.answered(w.Rkat("resume"), "Fine.")
}

func Test_a_rate_limit_without_a_hint_is_waited_for_visibly_and_the_wait_can_be_interrupted(t *testing.T) {
	t.Parallel()
	w := scripted(t, `{"times": 1, "reply": {"status": 429, "error": {"type": "rate_limit_error", "message": "slow down"}}}`)
	p := w.Start("run", "go")
	p.Await("Trying again in 30s")
	p.Signal(os.Interrupt)
	w.held(p.Wait(), 130, "HTTP 429", "Interrupted", "rkat resume")
	w.answered(w.Rkat("resume"), "Fine.")
}

// The delay is part of the state (R39), so whoever comes back waits on, and is told.
func Test_a_wait_that_outlives_its_process_is_told_by_the_next(t *testing.T) {
	t.Parallel()
	w := scripted(t, `{"times": 1, "reply": {"status": 429, "retry_after": "100000", "error": {"type": "rate_limit_error", "message": "come back tomorrow"}}}`)
	p := w.Start("run", "go")
	p.Await("Trying again in 27h46m40s")
	p.Signal(syscall.SIGTERM)
	w.held(p.Wait(), 143, "rkat resume")
	p = w.Start("resume")
	p.Await("The model call is tried again (attempt 2) in 27h46m")
	p.Signal(os.Interrupt)
	w.held(p.Wait(), 130, "Interrupted")
	w.answered(w.Rkat("resume"), "Fine.")
}

func Test_an_unknown_model_or_provider_is_refused_before_anything_is_written(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		model string
		says  []string
	}{
		{"nonesuch", []string{`"nonesuch" cannot be used`, "rkat models"}},
		{"nobody/some-model", []string{`"nobody/some-model" cannot be used`, "anthropic", "openai", "rkat models"}},
		{"anthropic/claude-opus-5", []string{"ANTHROPIC_API_KEY"}},
		{"offlin", []string{"offline"}},
	} {
		t.Run(c.model, func(t *testing.T) {
			t.Parallel()
			w := scripted(t)
			w.rkat(1, c.says, "run", "--model", c.model, "go")
			if r := w.rkat(0, nil, "sessions"); !strings.Contains(r.Stdout, "No sessions") || w.requests() != 0 {
				t.Errorf("there are traces of it\n%s", r)
			}
		})
	}
}

func Test_no_server_at_the_address(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Env["OPENAI_BASE_URL"], w.Env["OPENAI_API_KEY"] = "http://127.0.0.1:1/v1", programs.Key
	w.rkat(1, []string{"127.0.0.1:1", "--model openai/NAME"}, "run", "go")
	w.rkat(1, []string{"127.0.0.1:1", "attempt 3 of 4", "connection refused", "rkat resume"}, "run", "--model", "openai/fake-1", "go")
	if s := w.show(); s.roles() != "system user" {
		t.Errorf("the session holds %q", s.roles())
	}
}

func Test_a_password_in_the_address_is_not_shown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Env["OPENAI_BASE_URL"] = "http://somebody:" + programs.Key + "@127.0.0.1:1/v1"
	w.rkat(1, []string{"127.0.0.1:1", "connection refused"}, "run", "go")
	w.rkat(1, []string{"127.0.0.1:1", "connection refused"}, "run", "--model", "openai/fake-1", "go")
	w.answeredBy("doctor", "127.0.0.1:1")
	w.answeredBy("models", "")
}

// answeredBy holds the output of a command that tells about settings.
func (w *world) answeredBy(command, says string) {
	w.t.Helper()
	if r := w.rkat(0, nil, command); !strings.Contains(r.Stdout, says) {
		w.t.Errorf("it does not say %q\n%s", says, r)
	}
}

func Test_an_address_that_is_none_is_a_wrong_setting(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Env["OPENAI_BASE_URL"] = "localhost:11434"
	w.rkat(2, []string{"OPENAI_BASE_URL", "http://127.0.0.1:11434/v1"}, "run", "go")
}

func Test_a_key_that_no_header_can_carry_is_refused_without_being_shown(t *testing.T) {
	t.Parallel()
	w := scripted(t)
	w.Env["OPENAI_API_KEY"] = programs.Key + "\n" + programs.Key
	w.rkat(1, []string{"the key holds"}, "run", "--model", "openai/fake-1", "go")
	if w.requests() != 0 {
		t.Error("it was sent")
	}
}

func Test_a_model_that_never_begins_to_answer_is_interrupted_at_once(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		signal os.Signal
		exit   int
		says   string
	}{
		"by Ctrl-C":  {os.Interrupt, 130, "Interrupted"},
		"by SIGTERM": {syscall.SIGTERM, 143, "unfinished"},
		"by SIGHUP":  {syscall.SIGHUP, 143, "unfinished"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := scripted(t, `{"times": 1, "reply": {"fault": "hang"}}`)
			p := w.Start("run", "go")
			programs.Eventually(t, "the model was asked", func() bool { return w.requests() == 1 })
			p.Signal(c.signal)
			w.held(p.Wait(), c.exit, c.says, "rkat resume")
			w.answered(w.Rkat("resume"), "Fine.")
			if s := w.show(); s.Unfinished {
				t.Error("it is unfinished still")
			}
		})
	}
}

func Test_a_run_that_makes_the_model_call_for_ever_ends_at_its_limit(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Model(`{"rules": [{"reply": {"tool_calls": [{"name": "list_dir", "args": {}}]}}]}`)
	r := w.Rkat("run", "--max-rounds", "3", "go")
	if r.Exit != 2 || !strings.Contains(r.Stderr, "Budget exhausted: ") || !strings.Contains(r.Stderr, "3 model calls") || w.requests() != 3 {
		t.Errorf("%d requests\n%s", w.requests(), r)
	}
	if s := w.show(); s.Unfinished {
		t.Error("it is unfinished")
	}
}
