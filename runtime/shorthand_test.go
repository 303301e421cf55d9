package runtime_test

import (
	"fmt"
	goruntime "runtime"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/storetest"
)

// delayed is a commit that takes its time, so that mail gathers behind it.
var delayed = storeFault{Delay: time.Second}

type storeFault = storetest.Fault

// pass lets time go by, in the bubble's clock.
func pass(d time.Duration) { <-time.After(d) }

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// gone says of every holder that it has ended.
func gone(store.Owner) bool { return true }

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

// check is an error that shows what was found, unless ok.
func check(ok bool, found ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf("found %v", found)
}
