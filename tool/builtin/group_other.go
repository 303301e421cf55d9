//go:build !unix

package builtin

import (
	"os/exec"
	"strconv"
)

// group is a command and what descends from it. There are no process groups here; the system's own tool ends a tree.
type group struct{ cmd *exec.Cmd }

func newGroup(cmd *exec.Cmd) (*group, error) { return &group{cmd}, nil }

func (g *group) started(*exec.Cmd) {}

func (g *group) terminate() { g.kill() }

func (g *group) kill() {
	_ = exec.Command("taskkill", "/T", "/F", "/PID", strconv.Itoa(g.cmd.Process.Pid)).Run() // fails when it has ended
	_ = g.cmd.Process.Kill()
}

func (g *group) close() {}

func awaitExit(cmd *exec.Cmd) (reaped bool, err error) { return true, cmd.Wait() }
