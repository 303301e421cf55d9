// Package siege attacks the real servers from outside, as an enemy and as bad luck would: killed right after they acknowledged, flooded, starved of
// disk, and asked by tenants for what is not theirs.
//
//	go test ./internal/siege                         # a few seconds of each
//	go test ./internal/siege -v -siege 5m -run kill  # as long as you like
package siege
