package builtin

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
)

// start begins a command in a group of its own, reading its streams into bounded memory.
//
// The pipes are ours and not exec's, because their other ends may be held open by a process that left the group: then reading is
// ended by closing them, and the shell is reaped all the same.
func start(cmd *exec.Cmd) (*process, error) {
	p := &process{cmd: cmd, out: &tail{limit: 4 * shellChars}, err: &tail{limit: 4 * shellChars}, copied: make(chan struct{}),
		exited: make(chan struct{}), reaped: make(chan struct{}), reap: make(chan struct{})}
	var far []*os.File
	closeAll := func(files []*os.File) {
		for _, f := range files {
			f.Close()
		}
	}
	defer func() { closeAll(far) }()
	for range 2 {
		r, w, err := os.Pipe()
		if err != nil {
			closeAll(p.pipes)
			return nil, fmt.Errorf("make a pipe: %w", err)
		}
		p.pipes, far = append(p.pipes, r), append(far, w)
	}
	cmd.Stdout, cmd.Stderr = far[0], far[1]

	started := make(chan error)
	go p.own(started)
	if err := <-started; err != nil {
		closeAll(p.pipes)
		return nil, err
	}
	var copies sync.WaitGroup
	copies.Go(func() { drain(p.out, p.pipes[0]) })
	copies.Go(func() { drain(p.err, p.pipes[1]) })
	go func() { copies.Wait(); close(p.copied) }()
	return p, nil
}

// own starts the command and stays with it until it is reaped. It keeps its thread: the system ties the life of the command to the
// thread that started it (see newGroup).
func (p *process) own(started chan<- error) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	g, err := newGroup(p.cmd)
	if err == nil {
		if err = p.cmd.Start(); err != nil {
			for _, f := range p.cmd.ExtraFiles {
				f.Close()
			}
			g.close()
		}
	}
	if err != nil {
		started <- err
		return
	}
	p.group = g
	g.started(p.cmd)
	started <- nil
	reaped, err := awaitExit(p.cmd)
	close(p.exited)
	<-p.reap
	if !reaped {
		err = p.cmd.Wait()
	}
	p.waitErr = err
	g.close()
	close(p.reaped)
}

// drain copies until the other end is closed, or ours is.
func drain(to *tail, from *os.File) {
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		to.Write(buf[:n])
		if err != nil {
			if !errors.Is(err, io.EOF) && !errors.Is(err, os.ErrClosed) {
				fmt.Fprintf(to, "\n[reading the output failed: %v]\n", err)
			}
			return
		}
	}
}
