// Package faults breaks the world around the real program and looks at what it says and keeps: the real binary, a real SQLite file, and
// a fake model as a process of its own.
//
// Each test names one thing that goes wrong: a model that refuses, breaks off or talks nonsense; a tool that floods, hangs or is not
// there; a disk that is full, a file that is damaged; input that is none; a signal, a second rkat, a pipe that nobody reads. Whatever it
// is, every output is held to the same: at most one error, which says what happened and what to do, in words for people, without the
// key; and every state folder to the same: no key in it, a whole database, and sessions that can be shown.
package faults
