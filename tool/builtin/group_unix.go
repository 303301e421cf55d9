//go:build unix

package builtin

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"
)

// group is the processes of one command. The command leads a session of its own, and so a process group: signals reach whatever
// it starts, and a program that wants to ask for a password finds no terminal instead of waiting for one.
//
// Should this process be killed, nobody is left to stop the group. A watcher, a tiny shell in another session, holds one end of a
// pipe; when our end closes without a word, it kills the group.
type group struct {
	id      int
	watcher *exec.Cmd
	line    *os.File
}

const watch = `read -r group || exit; read -r _ || kill -KILL -- "-$group"`

// newGroup prepares cmd to lead a group.
func newGroup(cmd *exec.Cmd) (*group, error) {
	attr := &syscall.SysProcAttr{Setsid: true}
	tieToParent(attr)
	cmd.SysProcAttr = attr
	r, w, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer r.Close()
	g := &group{line: w, watcher: exec.Command("/bin/sh", "-c", watch)}
	g.watcher.Stdin, g.watcher.Dir, g.watcher.Env = r, "/", []string{}
	g.watcher.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := g.watcher.Start(); err != nil {
		w.Close()
		return nil, fmt.Errorf("start the watcher of the command: %w", err)
	}
	return g, nil
}

// started names the group. A watcher that is gone cannot be told; the group is then stopped by us alone.
func (g *group) started(pid int) {
	g.id = pid
	_, _ = fmt.Fprintf(g.line, "%d\n", pid)
}

// terminate asks the group to end.
func (g *group) terminate() { _ = syscall.Kill(-g.id, syscall.SIGTERM) }

// kill ends the group. It is called before the leader is reaped, so that the group's number cannot have passed to others; that it
// has no members left is no error.
func (g *group) kill() {
	_ = syscall.Kill(-g.id, syscall.SIGKILL)
	sweep(g.id)
}

// close ends the watcher. It is killed, not told: it must not outlive this call, and has nothing to tidy up.
func (g *group) close() {
	_ = g.watcher.Process.Kill()
	_ = g.watcher.Wait()
	_ = g.line.Close()
}
