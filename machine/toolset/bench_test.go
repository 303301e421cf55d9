package toolset

import (
	"fmt"
	"testing"

	"github.com/meerkat-go/meerkat/scope"
)

// A boundary at which nothing happened is paid by every model call.
func BenchmarkBoundary(b *testing.B) {
	var tools []scope.Entry
	for i := range 100 {
		tools = append(tools, plain(fmt.Sprintf("tool%03d", i), "s1"))
	}
	c := catalogueOf(append(tools, finder)...)
	s, err := Step(State{}, filtering(c, scope.Deny("tool007")))
	if err != nil {
		b.Fatal(err)
	}
	s = Boundary(s, c)
	for b.Loop() {
		if Boundary(s, c) != s {
			b.Fatal("something happened")
		}
	}
}
