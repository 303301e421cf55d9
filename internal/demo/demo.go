// Package demo tells what the product is for, on the screen and with real parts.
//
// A run of three steps is begun by a process of its own, which is killed with SIGKILL in the middle of the second. Another process
// comes back and goes on: once with steps that may be repeated under the same id, once with steps that may not. Only the model is
// played; the store, the tools, the processes and the signal are what a user gets.
//
// The first process tells the story (Run with no arguments). It starts acts: the same binary again, with arguments that only this
// package makes and reads.
package demo

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
)

// Plane is the part of control.Plane that the demo uses.
type Plane interface {
	CreateSession(ctx context.Context, req control.CreateSession) (control.Session, error)
	Submit(ctx context.Context, req control.Submit) (control.Receipt, error)
	Wait(ctx context.Context, session id.Session, input id.Input) (control.Outcome, error)
	Resume(ctx context.Context, session id.Session) (control.Session, error)
	Session(ctx context.Context, ref string) (control.Session, error)
	Events(ctx context.Context, session id.Session, after uint64) iter.Seq2[event.Event, error]
	Effects(ctx context.Context, session id.Session) ([]control.Effect, error)
}

// Parts is what the demo wants opened.
type Parts struct {
	StateDir string
	Tools    []tool.Tool
	Models   map[string]llm.Model
}

// Opener opens a realm and returns it with what closes it.
type Opener func(ctx context.Context, p Parts) (Plane, func() error, error)

// actArg leads the arguments of the processes that the demo starts of itself.
const actArg = "__act"

// Run tells the story on out, or plays the act that args name. Self is the path of the binary to start, whose command `demo` must
// come back here.
func Run(ctx context.Context, open Opener, out io.Writer, self string, args []string) error {
	if len(args) == 4 && args[0] == actArg {
		return play(ctx, open, out, act{dir: args[1], class: classes[args[2]], resume: args[3] == "resume"})
	}
	if len(args) > 0 {
		return fmt.Errorf("the demo takes no arguments, and %q was given", args)
	}
	dir, err := os.MkdirTemp("", "rkat-demo-")
	if err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	s := &stage{open: open, out: out, self: self, dir: dir}
	return errors.Join(s.tell(ctx), os.RemoveAll(dir))
}

// stage is where the story is told.
type stage struct {
	open Opener
	out  io.Writer
	self string
	dir  string
	err  error // the first failed write
}

func (s *stage) say(format string, args ...any) {
	if s.err == nil {
		_, s.err = fmt.Fprintf(s.out, format+"\n", args...)
	}
}

func (s *stage) tell(ctx context.Context) error {
	began := time.Now()
	s.say(`A run of three steps (fetch, build, publish) is begun, and its process is killed
in the middle of the second. Then another process comes back.

Only the model plays a script. Store, tools, processes and SIGKILL are real. A
step that is done has appended a line to steps.log in %s.`, s.dir)
	s.say("\n== 1. Steps that may be repeated under the same id (declared idempotent) ==")
	if err := s.round(ctx, run.Idempotent); err != nil {
		return err
	}
	s.say("\n== 2. Steps that may not be repeated (the careful default) ==")
	if err := s.round(ctx, run.Once); err != nil {
		return err
	}
	s.say(`
What happens is on disk before anybody is told of it. So a model reply is bought
once, a finished step is never made again, and one that may have been made is
repeated only if that is safe; otherwise the model is told, and decides.
(%.1f s. The folder of the demo has been removed.)`, time.Since(began).Seconds())
	return s.err
}

// round tells one killing and one coming back.
func (s *stage) round(ctx context.Context, class run.Class) error {
	dir := filepath.Join(s.dir, class.String())
	if err := os.MkdirAll(filepath.Join(dir, "begun"), 0o700); err != nil {
		return fmt.Errorf("make a folder for the demo: %w", err)
	}
	s.say("\n-- a process begins the run")
	if err := s.start(ctx, dir, class, false); err != nil {
		return err
	}
	s.say("\n-- what is on disk now")
	if err := s.show(ctx, dir, class); err != nil {
		return err
	}
	s.say("\n-- another process goes on")
	if err := s.start(ctx, dir, class, true); err != nil {
		return err
	}
	s.say("\n-- what is on disk at the end")
	if err := s.show(ctx, dir, class); err != nil {
		return err
	}
	return s.prove(ctx, dir, class)
}

// killAfter is how long a step is left at work before its process is killed.
const killAfter = 600 * time.Millisecond

// start runs an act as a process of its own and repeats what it says. The first act is killed in the middle of the step build.
func (s *stage) start(ctx context.Context, dir string, class run.Class, resume bool) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	what := "begin"
	if resume {
		what = "resume"
	}
	cmd := exec.CommandContext(ctx, s.self, "demo", actArg, dir, class.String(), what)
	var complaints strings.Builder
	cmd.Stderr = &complaints
	says, err := cmd.StdoutPipe()
	if err != nil {
		return fmt.Errorf("start a process of the demo: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start a process of the demo: %w", err)
	}
	pid := cmd.Process.Pid
	killed := false
	for lines := bufio.NewScanner(says); lines.Scan(); {
		if said, ok := strings.CutPrefix(lines.Text(), "  "); ok { // the rest of a long line
			s.say("   %*s   %s", len(fmt.Sprint(pid)), "", said)
			continue
		}
		s.say("   [%d] %s", pid, lines.Text())
		if !resume && lines.Text() == begunLine("build") {
			killed = true
			if err := s.kill(ctx, cmd); err != nil {
				return err
			}
		}
	}
	err = cmd.Wait()
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("a process of the demo: %w", ctx.Err())
	case killed:
		return nil
	case err != nil:
		return fmt.Errorf("a process of the demo failed: %w: %s", err, strings.TrimSpace(complaints.String()))
	case !resume:
		return fmt.Errorf("the process was to be killed in the middle of build, and came to an end before: %s", strings.TrimSpace(complaints.String()))
	}
	return nil
}

func (s *stage) kill(ctx context.Context, cmd *exec.Cmd) error {
	select {
	case <-time.After(killAfter): // long enough to be seen to be in the middle
	case <-ctx.Done():
	}
	if err := cmd.Process.Kill(); err != nil {
		return fmt.Errorf("kill a process of the demo: %w", err)
	}
	s.say("   SIGKILL to process %d, in the middle of build", cmd.Process.Pid)
	return nil
}

// show prints the file of finished steps and the ledger of effects.
func (s *stage) show(ctx context.Context, dir string, class run.Class) error {
	log, err := readLog(dir)
	if err != nil {
		return err
	}
	s.say("   steps.log: %s", orNothing(strings.Join(log, ", ")))
	effects, err := s.effects(ctx, dir, class)
	if err != nil {
		return err
	}
	step := 0
	for _, e := range effects {
		if e.Kind != run.RunTool.String() {
			continue
		}
		how := e.Outcome
		switch {
		case e.Open:
			how = "open: no outcome is known"
		case how == "" || how == "ok":
			how = "done"
		}
		name := "?"
		if step < len(steps) {
			name = steps[step]
		}
		step++
		s.say("   ledger:    %-8s attempt %d  %-10s  %s", name, e.Attempt, e.Class, how)
	}
	return nil
}

// effects reads the ledger the way any reader does, through the plane.
func (s *stage) effects(ctx context.Context, dir string, class run.Class) (effects []control.Effect, err error) {
	p, closePlane, err := s.open(ctx, act{dir: dir, class: class}.parts(io.Discard))
	if err != nil {
		return nil, fmt.Errorf("open the store of the demo: %w", err)
	}
	defer func() { err = errors.Join(err, closePlane()) }()
	session, err := p.Session(ctx, "last")
	if err != nil {
		return nil, fmt.Errorf("find the session of the demo: %w", err)
	}
	return p.Effects(ctx, session.ID)
}

// prove counts, and fails if the promise was not kept.
func (s *stage) prove(_ context.Context, dir string, class run.Class) error {
	log, err := readLog(dir)
	if err != nil {
		return err
	}
	calls, err := readLines(filepath.Join(dir, "models.log"))
	if err != nil {
		return err
	}
	want := strings.Join(steps, ", ")
	if class == run.Once {
		want = "fetch, publish"
	}
	if got := strings.Join(log, ", "); got != want || len(calls) != 4 {
		return fmt.Errorf("the promise was not kept: done were %s with %d model calls, and %s with 4 was right", orNothing(got), len(calls), want)
	}
	if class == run.Once {
		s.say("   build may have taken effect: it was not repeated, and the model was told.\n   Model calls: 4, none twice.")
	} else {
		s.say("   Each step is done, each once. Model calls: 4, none twice.")
	}
	return s.err
}

func orNothing(s string) string {
	if s == "" {
		return "(nothing)"
	}
	return s
}
