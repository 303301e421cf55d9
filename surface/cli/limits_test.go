package cli

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/run"
)

// end tells the end of the run and returns the exit code.
func (p *process) end(o control.Outcome, last event.Payload) int {
	o.Input, o.Run, o.Rounds, o.Usage.Input, o.Usage.Output = theInput, theRun, 2, 1234, 56
	p.plane.outcomes <- o
	p.tell(last)
	return <-p.done
}

func TestA_schema_is_a_file_or_given_as_it_is_and_the_output_is_what_is_printed(t *testing.T) {
	t.Parallel()
	for name, schema := range map[string]string{"a file": "wanted.json", "as it is": ` {"type":"object"} `} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProcess(t)
			if err := os.WriteFile(filepath.Join(p.world.Dir, "wanted.json"), []byte(`{"type":"object"}`), 0o600); err != nil {
				t.Fatal(err)
			}
			p.start("run", "-m", "offline", "--schema", schema, "count")
			p.happen(event.TurnStarted{}, event.TextComplete{Content: "three"}, event.RunCompleted{Result: "three", ExtractionRequired: true})
			code := p.end(control.Outcome{Status: control.Completed, Text: "three", Output: json.RawMessage("{\"n\":3,\"s\":\"\u009b\"}")},
				event.ExtractionSucceeded{Output: json.RawMessage(`{"n":3}`)})
			p.want(code, 0, "{\n  \"n\": 3,\n  \"s\": \"\\u009b\"\n}\n", footer)
			if got := string(p.plane.created[0].Profile.Schema); strings.TrimSpace(got) != `{"type":"object"}` {
				t.Errorf("asked for %s", got)
			}
		})
	}
}

func TestAn_output_that_is_missing_is_an_error_beside_the_answer(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.start("run", "-m", "offline", "--schema", "{}", "count")
	p.happen(event.RunCompleted{ExtractionRequired: true})
	none := &run.NoOutput{Attempts: 3, Reason: "structured_output_validation_failed: it is not valid JSON"}
	code := p.end(control.Outcome{Status: control.Completed, Text: "three", NoOutput: none}, event.ExtractionFailed{Reason: none.Reason})
	p.want(code, 1, "three\n", "Error: there is an answer, and no output that fits the schema: structured_output_validation_failed: it is not valid "+
		"JSON. The answer is kept. Ask again with 'rkat run --resume', or for less.\n"+footer)
}

func TestJSON_output_has_the_output_in_it(t *testing.T) {
	t.Parallel()
	p := newProcess(t)
	p.start("run", "-m", "offline", "--json", "--schema", "{}", "count")
	p.end(control.Outcome{Status: control.Completed, Text: "three", Output: json.RawMessage(`{"n":3}`)}, event.RunCompleted{})
	var got struct {
		Text   string
		Output map[string]int `json:"structured_output"`
	}
	if err := json.Unmarshal(p.out.Bytes(), &got); err != nil || got.Text != "three" || got.Output["n"] != 3 {
		t.Errorf("%v, %+v of %s", err, got, p.out.String())
	}
}

func TestA_budget_that_is_used_up_ends_with_what_there_is_and_code_2(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o    control.Outcome
		out  string
		says string
	}{
		"tokens": {control.Outcome{Status: control.Completed, Text: "so far", Cause: "budget_exhausted", Error: "the session has used 60 of at most 50 tokens"},
			"so far\n", "Budget exhausted: the session has used 60 of at most 50 tokens. What was done so far is kept."},
		"time": {control.Outcome{Status: control.Failed, Text: "so far", Cause: "time_budget_exceeded", Error: "the run may take 1m0s"}, "",
			"Budget exhausted: the run may take 1m0s. What was done so far is kept."},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := newProcess(t)
			p.start("run", "-m", "offline", "--max-tokens-total", "50", "--max-tool-calls", "7", "-d", "1m", "x")
			if code := p.end(c.o, event.RunCompleted{}); code != 2 || p.out.String() != c.out {
				t.Errorf("exit code %d, printed %q", code, p.out.String())
			}
			says(t, p.err.String(), c.says)
			if got := p.plane.created[0].Profile.Budget; got != (run.Budget{Tokens: 50, Calls: 7, Duration: time.Minute}) {
				t.Errorf("budget %+v", got)
			}
		})
	}
}

func TestLimits_that_make_no_sense_are_a_wrong_call(t *testing.T) {
	t.Parallel()
	for says1, args := range map[string][]string{
		"a limit cannot be negative":     {"--max-tool-calls", "-1"},
		"the schema cannot be read":      {"--schema", "nowhere.json"},
		"what --schema says is no JSON":  {"--schema", "{"},
		"--schema is settled when":       {"--resume", "--schema", "{}"},
		"--max-duration is settled when": {"--resume", "--max-duration", "3s"},
	} {
		p := newProcess(t)
		if code := p.run(append([]string{"run", "x"}, args...)...); code != 2 {
			t.Errorf("%v: exit code %d", args, code)
		}
		says(t, p.err.String(), says1)
	}
}
