package main

import (
	"bufio"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/llm/compat"
	"github.com/meerkat-go/meerkat/llm/llmtest"
	"github.com/meerkat-go/meerkat/llm/llmtest/fakeserver"
	"github.com/meerkat-go/meerkat/transcript"
)

// asCommand makes the test binary be the command.
const asCommand = "FAKEMODEL_AS_COMMAND"

func TestMain(m *testing.M) {
	if os.Getenv(asCommand) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// start runs the command in a process of its own and returns its URL.
func start(t *testing.T, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], args...)
	cmd.Env = append(os.Environ(), asCommand+"=1")
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait() // killed: that is its error
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(line)
}

func collect(t *testing.T, url string, req llm.Request) (transcript.Assistant, error) {
	t.Helper()
	m, err := compat.New(compat.Config{BaseURL: url, APIKey: "k"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(llm.CloseIdleConnections)
	return llm.Collect(m.Stream(t.Context(), req), nil)
}

func TestThe_command_answers_from_its_script_and_logs_each_request(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	scriptFile, logFile := filepath.Join(dir, "script.json"), filepath.Join(dir, "requests.jsonl")
	script := `{"rules": [
		{"when": {"user_contains": "folder", "tool_results": 0}, "reply": {"text": "looking", "tool_calls": [{"id": "c1", "name": "list", "args": {"path": "."}}]}},
		{"when": {"tool_results": 1, "last_result_contains": "a.txt"}, "times": 1, "reply": {"status": 503}},
		{"when": {"tool_results": 1, "last_result_contains": "a.txt"}, "reply": {"text": "one file"}}]}`
	if err := os.WriteFile(scriptFile, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	url := start(t, "-script", scriptFile, "-log", logFile)
	req := llmtest.Ask("what is in this folder?")
	first, err := collect(t, url, req)
	if err != nil || len(first.Blocks.ToolUses()) != 1 {
		t.Fatalf("%v, %v", first, err)
	}
	req.Rows = llmtest.Rows(req.Rows[0].Entry, first, transcript.ToolResult{Call: "c1", Name: "list", Content: transcript.TextBlocks("a.txt")})
	if _, err := collect(t, url, req); err == nil || llm.AsError(err).Kind != llm.Overloaded {
		t.Fatalf("the first time: %v", err)
	}
	last, err := collect(t, url, req)
	if err != nil || last.Blocks.Plain() != "one file" {
		t.Fatalf("%v, %v", last, err)
	}
	log, err := os.ReadFile(logFile)
	if err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(string(log)), "\n")
	if len(lines) != 3 {
		t.Fatalf("%d lines for three requests", len(lines))
	}
	for i, line := range lines {
		var r fakeserver.Request
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			t.Fatal(err)
		}
		if r.N != i+1 || r.Rule != i || r.ToolResults != min(i, 1) || r.User != "what is in this folder?" || len(r.Body) == 0 || r.Wire != fakeserver.Chat {
			t.Errorf("line %d: %s", i, line)
		}
	}
}

func TestWithout_a_script_the_command_greets(t *testing.T) {
	t.Parallel()
	got, err := collect(t, start(t), llmtest.Ask("hi"))
	if err != nil || got.Blocks.Plain() != "Hello from the fake model." {
		t.Errorf("%v, %v", got, err)
	}
}

func TestA_script_that_cannot_be_read_ends_the_command(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "script.json")
	for script, says := range map[string]string{`{"rules": [{"reply": {"txt": "a"}}]}`: "txt", `{"rules": [{"reply": {"fault": "boom"}}]}`: "boom", `{`: "EOF"} {
		if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := run("127.0.0.1:0", file, ""); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: %v", script, err)
		}
	}
}
