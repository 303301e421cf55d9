//go:build !unix

package builtin

const nonBlock = 0
