package main

import (
	"os"

	"golang.org/x/sys/unix"
)

func sync1(f *os.File) error { return unix.Fdatasync(int(f.Fd())) }
