//go:build without_meerkat

package main

import (
	"context"
	"errors"
)

// openMeerkat is of a program that was built without this subject, to see what the others weigh alone.
func openMeerkat(context.Context, string, string) (subject, error) {
	return nil, errors.New("built without this subject")
}

// openMeerkatMemory is of a program that was built without this subject, to see what the others weigh alone.
func openMeerkatMemory(context.Context, string, string) (subject, error) {
	return nil, errors.New("built without this subject")
}
