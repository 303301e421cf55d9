//go:build unix && !linux

package builtin

import (
	"os/exec"
	"syscall"
)

// tieToParent does nothing: the system has no such tie, and the watcher does it alone.
func tieToParent(*syscall.SysProcAttr) {}

// awaitExit returns when a command has ended and is reaped: the standard library offers no way here to wait without reaping. Its
// group is signalled afterwards by a number that others could have got in that moment; only if the group is empty, though.
func awaitExit(cmd *exec.Cmd) (reaped bool, err error) { return true, cmd.Wait() }

func sweep(int) {}
