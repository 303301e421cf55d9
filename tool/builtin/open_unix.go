//go:build unix

package builtin

import "syscall"

// nonBlock makes an open return at once where the other end of a FIFO is missing.
const nonBlock = syscall.O_NONBLOCK
