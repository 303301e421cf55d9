//go:build without_dbos

package main

import (
	"context"
	"errors"
)

// openDBOSFull is of a program that was built without this subject, to see what the others weigh alone.
func openDBOSFull(context.Context, string, string) (subject, error) {
	return nil, errors.New("built without this subject")
}

// openDBOSNormal is of a program that was built without this subject, to see what the others weigh alone.
func openDBOSNormal(context.Context, string, string) (subject, error) {
	return nil, errors.New("built without this subject")
}
