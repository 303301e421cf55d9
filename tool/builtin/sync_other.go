//go:build !unix

package builtin

import "os"

// syncFolder does nothing: the system has no way to sync a folder.
func syncFolder(*os.Root, string) error { return nil }
