package cli

import "os"

// exitOf is the exit code of a command that a signal ended.
func exitOf(s os.Signal) int {
	if s == os.Interrupt {
		return ExitInterrupted
	}
	return ExitTerminated
}
