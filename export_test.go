package meerkat

import (
	"context"
	"time"
)

// Looker is a carrier that looks when it is told to.
func Looker(r *Runtime) func(context.Context) time.Duration { return newCarrier(r).look }
