//go:build without_eino

package main

import (
	"context"
	"errors"
)

// openEino is of a program that was built without this subject, to see what the others weigh alone.
func openEino(context.Context, string, string) (subject, error) {
	return nil, errors.New("built without this subject")
}
