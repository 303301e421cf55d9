//go:build linux || darwin

package files

import "syscall"

// Free is how many bytes this user may still write to the disk that a folder is on; ok is false where that is not known.
func Free(dir string) (bytes uint64, ok bool) {
	var st syscall.Statfs_t
	if err := syscall.Statfs(dir, &st); err != nil {
		return 0, false
	}
	return st.Bavail * uint64(st.Bsize), true
}
