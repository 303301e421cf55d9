package process

import (
	"bytes"
	"errors"
	"os"
	"strconv"
	"strings"
	"syscall"

	"github.com/meerkat-go/meerkat/store"
)

// describe names the machine by its id and the namespace of process ids: a number means nothing in another container.
func describe() store.Owner {
	o := store.Owner{PID: os.Getpid(), Boot: line("/proc/sys/kernel/random/boot_id"), Started: started(os.Getpid())}
	ns, err := os.Readlink("/proc/self/ns/pid")
	machine := line("/etc/machine-id")
	if machine == "" {
		machine, _ = os.Hostname()
	}
	if err == nil && machine != "" && o.Boot != "" && o.Started != "" {
		o.Machine = machine + "/" + ns
	}
	return o
}

func line(path string) string {
	data, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(data))
}

// started is the 22nd field of the process's stat line: when it began, in ticks since boot. Empty: there is no such process, or it
// is a zombie, which runs nothing any more.
func started(pid int) string {
	data, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if err != nil {
		return ""
	}
	// The second field is the command in parentheses and may hold anything.
	fields := bytes.Fields(data[bytes.LastIndexByte(data, ')')+1:])
	if len(fields) < 20 || string(fields[0]) == "Z" || string(fields[0]) == "X" {
		return ""
	}
	return string(fields[19])
}

// ended asks the kernel first: a mount of /proc may hide the processes of other users, which then look as if they were gone.
func ended(pid int, since string) bool {
	if pid <= 0 {
		return false
	}
	if err := syscall.Kill(pid, 0); errors.Is(err, syscall.ESRCH) {
		return true
	}
	if _, err := os.Stat("/proc/" + strconv.Itoa(pid)); err != nil {
		return false // it is there, and hidden from us
	}
	return started(pid) != since
}
