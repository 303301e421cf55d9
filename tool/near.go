package tool

import (
	"slices"

	"github.com/meerkat-go/meerkat/internal/near"
)

// Near returns up to three of the names that somebody who wrote name may have meant, the likeliest first and equals by name. Name
// itself is not one of them.
func Near(name string, among []string) []string {
	others := slices.DeleteFunc(slices.Sorted(slices.Values(among)), func(n string) bool { return n == name })
	return near.Names(name, others, 3)
}
