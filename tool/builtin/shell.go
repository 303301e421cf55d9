package builtin

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
	"github.com/meerkat-go/meerkat/tool"
	"github.com/meerkat-go/meerkat/transcript"
)

const (
	shellTimeout    = 30 * time.Second
	shellMaxTimeout = 600 * time.Second
	termGrace       = 2 * time.Second        // from TERM to KILL when the time is up
	pipeGrace       = 250 * time.Millisecond // for output that others still write when the shell has ended
	killGrace       = time.Second            // for a killed process to go; one that is stuck in the kernel is left to a goroutine
	shellChars      = 100_000                // characters kept of each stream
	shellText       = 96_000                 // bytes of both in a result; below what a registry keeps
)

type shellArgs struct {
	Command    string
	WorkingDir string `json:"working_dir"`
	Timeout    count  `json:"timeout_secs"`
}

// sheller runs commands. It is Once: nobody knows what a command does.
type sheller struct {
	folder *folder
	shell  string
	err    error // why there is no shell
	env    []string
}

func shell(f *folder, o Options) tool.Tool {
	s := &sheller{folder: f, env: withoutSecrets(o.Env)}
	for _, name := range slices.Sorted(maps.Keys(o.Extra)) { // the last of a name counts
		s.env = append(s.env, name+"="+o.Extra[name])
	}
	s.shell, s.err = findShell(o.Shell, o.Env)
	sp := spec("shell", fmt.Sprintf(`Runs a command in the user's shell, in the workspace, without input and without a terminal, and returns exit code, standard output and standard error. After timeout_secs (default %d, at most %d) the command and everything it started is stopped. Processes left in the background end with the command. Only the end of long output is kept, up to %d characters. API keys are not in its environment.`,
		shellTimeout/time.Second, shellMaxTimeout/time.Second, shellChars),
		run.Once, `{"type":"object","properties":{
		"command":{"type":"string","minLength":1,"description":"what to run, as typed at a prompt"},
		"working_dir":{"type":"string","description":"folder to run it in, relative to the workspace; default: the workspace itself"},
		"timeout_secs":{"type":"integer","minimum":1,"maximum":600,"description":"seconds until it is stopped; default 30"}
		},"required":["command"],"additionalProperties":false}`)
	sp.Kind = scope.Shell
	sp.Timeout = shellMaxTimeout + termGrace + 10*time.Second // its own limit comes first
	return builtin[shellArgs]{sp, s.run}
}

func (s *sheller) run(ctx context.Context, c tool.Call, a shellArgs) (tool.Result, error) {
	if s.err != nil {
		return tool.Result{}, s.err
	}
	if strings.IndexByte(a.Command, 0) >= 0 {
		return tool.Result{}, errors.New("a command cannot contain a NUL byte")
	}
	dir, err := s.dir(a.WorkingDir)
	if err != nil {
		return tool.Result{}, err
	}
	if err := ctx.Err(); err != nil {
		return tool.Result{}, err
	}
	cmd := exec.Command(s.shell, shellFlag(s.shell), a.Command)
	cmd.Dir = dir
	cmd.Env = append(append([]string{}, s.env...), "PWD="+dir, "RKAT_TOOL_CALL_ID="+string(c.ID))
	began := time.Now()
	p, err := start(cmd)
	if err != nil {
		return tool.Result{}, fmt.Errorf("start %s: %w", s.shell, err)
	}
	timeout := min(time.Duration(a.Timeout.or(int(shellTimeout/time.Second)))*time.Second, shellMaxTimeout)
	timedOut, err := p.wait(ctx, timeout)
	if err != nil {
		return tool.Result{}, fmt.Errorf("the command was stopped: %w", err)
	}
	return p.result(timedOut, timeout, time.Since(began)), nil
}

// dir returns the absolute folder to run in.
func (s *sheller) dir(path string) (string, error) {
	at, err := s.folder.locate(path)
	if err != nil {
		return "", err
	}
	defer at.Close()
	dir := ""
	err = at.try(func(rel string) error {
		info, err := at.root.Stat(rel)
		if err != nil {
			return err
		}
		if !info.IsDir() {
			return fmt.Errorf("%s: this is not a folder to run in", at.name)
		}
		dir = filepath.Join(at.root.Name(), rel)
		return nil
	})
	return dir, err
}

// process is a running command.
type process struct {
	cmd      *exec.Cmd
	group    *group
	out, err *tail
	pipes    []*os.File
	copied   chan struct{} // closed when both streams have ended
	exited   chan struct{} // closed when the shell has ended and is not reaped yet, so that its group still has its name
	reaped   chan struct{} // closed when nothing of it is left but what it detached
	reap     chan struct{} // closed by wait when the group has been stopped
	waitErr  error         // set before reaped is closed
}

// wait returns when the command has ended, its time is up, or ctx ends, and everything in its group has been stopped. The error
// is that of ctx.
func (p *process) wait(ctx context.Context, timeout time.Duration) (timedOut bool, err error) {
	timer := time.NewTimer(timeout)
	defer timer.Stop()
	select {
	case <-p.exited:
		// Those who still write, such as the far end of a pipe, get a moment.
		if p.settle(ctx, pipeGrace) {
			err = ctx.Err()
		}
	case <-timer.C:
		timedOut = true
		p.group.terminate()
		if p.settle(ctx, termGrace) {
			err = ctx.Err()
		}
	case <-ctx.Done():
		err = ctx.Err()
	}
	p.group.kill()
	p.finish()
	return timedOut, err
}

// settle waits until the shell has ended and the streams are closed, but not longer than d. It reports whether ctx ended.
func (p *process) settle(ctx context.Context, d time.Duration) (cancelled bool) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	for _, ch := range []chan struct{}{p.exited, p.copied} {
		select {
		case <-ch:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return true
		}
	}
	return false
}

// finish reaps the killed shell and closes the streams, whoever may still hold their other ends.
func (p *process) finish() {
	close(p.reap)
	timer := time.NewTimer(killGrace)
	defer timer.Stop()
	select {
	case <-p.reaped:
	case <-timer.C:
	}
	select {
	case <-p.copied:
	case <-time.After(20 * time.Millisecond): // what is already in the pipe
	}
	for _, f := range p.pipes {
		f.Close()
	}
	<-p.copied
}

// result puts the outcome into words.
func (p *process) result(timedOut bool, limit, took time.Duration) tool.Result {
	var b strings.Builder
	took = took.Round(time.Millisecond)
	state := p.state()
	switch {
	case timedOut:
		fmt.Fprintf(&b, "exit_code: none\ntimed_out: true (stopped after %s, with everything it started)\n", limit)
	default:
		fmt.Fprintf(&b, "exit_code: %s\ntimed_out: false\n", state)
	}
	fmt.Fprintf(&b, "duration: %s\n", took)
	out, err := p.out.read(shellChars), p.err.read(shellChars)
	// Standard error is the shorter as a rule and says what went wrong: it gets at least a third.
	err = err.fit(max(shellText/3, shellText-len(out.text)))
	out = out.fit(shellText - len(err.text))
	section(&b, "stdout", out)
	section(&b, "stderr", err)
	r := tool.Text(b.String())
	if timedOut {
		r.IsError, r.Code = true, transcript.ResultTimeout
	}
	return r
}

func (p *process) state() string {
	select {
	case <-p.reaped:
	default:
		return "unknown (the process is stuck in the system and cannot be stopped)"
	}
	if p.cmd.ProcessState == nil {
		return fmt.Sprintf("unknown (%v)", p.waitErr)
	}
	if p.cmd.ProcessState.Exited() {
		return fmt.Sprint(p.cmd.ProcessState.ExitCode())
	}
	return fmt.Sprintf("none (%s)", p.cmd.ProcessState)
}

func section(b *strings.Builder, name string, s streamText) {
	text := s.String()
	if text == "" {
		fmt.Fprintf(b, "%s: (empty)\n", name)
		return
	}
	fmt.Fprintf(b, "%s:\n%s", name, text)
	if !strings.HasSuffix(text, "\n") {
		b.WriteByte('\n')
	}
}

// findShell returns the program that runs commands: the one asked for, the user's own, or sh.
func findShell(asked string, env []string) (string, error) {
	if asked != "" {
		path, err := exec.LookPath(asked)
		if err != nil {
			return "", fmt.Errorf("the configured shell %q cannot be used: %w", asked, err)
		}
		return path, nil
	}
	if runtime.GOOS == "windows" {
		return exec.LookPath("cmd")
	}
	for _, kv := range env {
		own, ok := strings.CutPrefix(kv, "SHELL=")
		if !ok {
			continue
		}
		switch filepath.Base(own) { // what accounts without a login have is no shell
		case "nologin", "false", "true", "":
			continue
		}
		if path, err := exec.LookPath(own); err == nil {
			return path, nil
		}
	}
	path, err := exec.LookPath("sh")
	if err != nil {
		return "", fmt.Errorf("there is no shell to run commands with: %w", err)
	}
	return path, nil
}

func shellFlag(shell string) string {
	if strings.EqualFold(strings.TrimSuffix(filepath.Base(shell), ".exe"), "cmd") {
		return "/C"
	}
	return "-c"
}

// providers are the prefixes of variables that hold what model providers take as a credential.
var providers = []string{"OPENAI", "ANTHROPIC", "GEMINI", "GOOGLE", "AZURE_OPENAI", "MISTRAL", "GROQ", "OPENROUTER", "XAI", "DEEPSEEK",
	"TOGETHER", "FIREWORKS", "COHERE", "CEREBRAS", "PERPLEXITY", "NVIDIA", "MOONSHOT", "DASHSCOPE", "HUGGINGFACE", "HF", "CLAUDE_CODE"}

var secretEnds = []string{"_API_KEY", "_KEY", "_TOKEN", "_SECRET", "_AUTH_TOKEN", "_OAUTH_TOKEN"}

// withoutSecrets takes out what a command has no business with: everything named RKAT_*, and the credentials of model providers. A
// command can still read files; this keeps keys out of a transcript by accident, not by force.
func withoutSecrets(env []string) []string {
	var out []string
	for _, kv := range env {
		name, _, _ := strings.Cut(kv, "=")
		if !secret(strings.ToUpper(name)) {
			out = append(out, kv)
		}
	}
	return out
}

func secret(name string) bool {
	if strings.HasPrefix(name, "RKAT_") {
		return true
	}
	for _, p := range providers {
		if rest, ok := strings.CutPrefix(name, p); ok {
			for _, end := range secretEnds {
				if strings.HasPrefix(rest, "_") && strings.HasSuffix(rest, end) {
					return true
				}
			}
		}
	}
	return false
}
