// Package crash kills the real program at random moments and counts what was lost or done twice: the real binary, a real SQLite file,
// and a fake model as a process of its own.
//
//	go test ./internal/crash                      # a few kills
//	go test ./internal/crash -v -kills 1000       # as many as you like; -seed replays the moments
//
// The moments come from a seed, what happens at them does not: the clock decides. A failure prints the seed and keeps the workspace.
package crash
