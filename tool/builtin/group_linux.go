package builtin

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"syscall"

	"golang.org/x/sys/unix"
)

// tieToParent makes the kernel kill the command when the thread that started it ends, as it does when this process is killed. That
// covers the command itself at once; the watcher covers what it started.
func tieToParent(attr *syscall.SysProcAttr) { attr.Pdeathsig = syscall.SIGKILL }

// awaitExit returns when a command has ended, and leaves it to be reaped: until then its number, and so its group's, is its own.
func awaitExit(cmd *exec.Cmd) (reaped bool, err error) {
	for {
		err := unix.Waitid(unix.P_PID, cmd.Process.Pid, nil, unix.WEXITED|unix.WNOWAIT, nil)
		if !errors.Is(err, unix.EINTR) {
			return false, err
		}
	}
}

// sweep kills what has left the group but not the session, as the background jobs of an interactive shell do. It looks only at
// processes numbered after the leader, which are few; after the numbers have wrapped around, one may be missed.
func sweep(session int) {
	proc, err := os.Open("/proc")
	if err != nil {
		return // no /proc: the group was killed, which is what is promised
	}
	defer proc.Close()
	names, err := proc.Readdirnames(-1)
	if err != nil {
		return
	}
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil || pid <= session {
			continue
		}
		stat, err := os.ReadFile("/proc/" + name + "/stat")
		if err != nil {
			continue // it has ended
		}
		// pid (name) state ppid pgrp session ...; the name may hold anything.
		fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
		if len(fields) > 3 && string(fields[3]) == strconv.Itoa(session) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
}
