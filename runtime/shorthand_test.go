package runtime_test

import (
	"context"
	goruntime "runtime"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/meerkat-go/meerkat/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gone says of every holder that it has ended.
func gone(store.Owner) bool { return true }

func contextWithCancel(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithCancel(ctx)
}

// goroutines counts those that run code of this module's runtime package, in any bubble but that of other tests: the caller's own.
func goroutines() int {
	buf := make([]byte, 8<<20)
	buf = buf[:goruntime.Stack(buf, true)]
	mine := ""
	n := 0
	for _, g := range strings.Split(string(buf), "\n\n") {
		head, body, _ := strings.Cut(g, "\n")
		_, bubble, _ := strings.Cut(head, "synctest bubble ")
		bubble = strings.TrimSuffix(strings.TrimSuffix(bubble, ":"), "]")
		if mine == "" {
			mine = bubble // the first is the caller
		}
		if bubble == mine && strings.Contains(body, "runtime.(*") {
			n++
		}
	}
	return n
}
