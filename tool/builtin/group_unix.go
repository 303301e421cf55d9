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
// pipe; when our end closes without a word, it kills the group. So that there is no moment in which the command runs and the watcher
// does not know it, the command waits at a gate until the watcher has been told.
type group struct {
	id      int
	watcher *exec.Cmd
	line    *os.File // to the watcher
	gate    *os.File // to the command
}

const (
	// POSIX leaves "kill -KILL -- -1" open, and dash refuses it.
	watch = `read -r group || exit; read -r _ || kill -KILL "-$group"`
	gate  = `read -r _ <&3 || exit 125; exec 3<&-; exec "$0" "$@"`
)

// newGroup prepares cmd to lead a group.
func newGroup(cmd *exec.Cmd) (*group, error) {
	attr := &syscall.SysProcAttr{Setsid: true}
	tieToParent(attr)
	cmd.SysProcAttr = attr
	watched, line, err := os.Pipe()
	if err != nil {
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	defer watched.Close()
	entry, open, err := os.Pipe()
	if err != nil {
		line.Close()
		return nil, fmt.Errorf("make a pipe: %w", err)
	}
	g := &group{line: line, gate: open, watcher: exec.Command("/bin/sh", "-c", watch)}
	g.watcher.Stdin, g.watcher.Dir, g.watcher.Env = watched, "/", []string{}
	g.watcher.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := g.watcher.Start(); err != nil {
		line.Close()
		open.Close()
		entry.Close()
		return nil, fmt.Errorf("start the watcher of the command: %w", err)
	}
	cmd.Args = append([]string{"/bin/sh", "-c", gate, cmd.Path}, cmd.Args[1:]...)
	cmd.Path, cmd.ExtraFiles = "/bin/sh", []*os.File{entry}
	return g, nil
}

// started names the group to the watcher and opens the gate. A watcher that somebody has ended cannot be told; the group is then
// stopped by us alone. A command that has ended by now needs no gate.
func (g *group) started(cmd *exec.Cmd) {
	g.id = cmd.Process.Pid
	cmd.ExtraFiles[0].Close()
	_, _ = fmt.Fprintf(g.line, "%d\n", g.id)
	_, _ = g.gate.WriteString("\n")
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
	_ = g.gate.Close()
}
