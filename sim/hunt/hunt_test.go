package hunt_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/meerkat-go/meerkat/sim/hunt"
)

const kind = "RKAT_TEST_HUNT_WORKER"

// The test binary is its own worker.
func TestMain(m *testing.M) {
	if how := os.Getenv(kind); how != "" {
		worker(how)
	}
	goleak.VerifyTestMain(m)
}

// worker plays three histories; in the third of seed 5 it does what it is there for.
func worker(how string) {
	seed, _ := strconv.ParseUint(os.Getenv(kind+"_SEED"), 10, 64)
	say := func(l hunt.Line) { _ = json.NewEncoder(os.Stdout).Encode(l) }
	for ; ; seed++ {
		for n := range 3 {
			l := hunt.Line{Seed: seed, Plan: fmt.Sprintf("-seed %d -faults commit:%d:refuse", seed, n)}
			say(l)
			if seed == 5 && n == 2 {
				switch how {
				case "breach":
					l.Breaches = []string{"R24: it is gone"}
				case "dies":
					panic("deadlock: all wait")
				case "stands":
					<-time.After(time.Hour) // it is killed before
				}
			}
			l.Done, l.Commits, l.Effects = true, 10, 3
			say(l)
		}
		if seed >= 7 {
			<-time.After(time.Hour)
		}
	}
}

func config(how string, out *bytes.Buffer) hunt.Config {
	return hunt.Config{For: time.Minute, Seed: 4, Parallel: 1, Progress: time.Hour, Patience: time.Minute, Most: 1, Out: out,
		Worker: func(ctx context.Context, first uint64) *exec.Cmd {
			cmd := exec.CommandContext(ctx, os.Args[0])
			cmd.Env = append(os.Environ(), kind+"="+how, fmt.Sprintf("%s_SEED=%d", kind, first))
			return cmd
		}}
}

func TestA_finding_is_told_with_the_command_that_plays_it_again(t *testing.T) {
	t.Parallel()
	for how, says := range map[string]string{"breach": "R24: it is gone", "dies": "deadlock: all wait", "stands": "nothing came of it"} {
		t.Run(how, func(t *testing.T) {
			t.Parallel()
			var out bytes.Buffer
			c := config(how, &out)
			if how == "stands" {
				c.Patience = 2 * time.Second
			}
			r, err := hunt.Run(t.Context(), c)
			if err != nil || len(r.Findings) != 1 || r.Findings[0].Plan != "-seed 5 -faults commit:2:refuse" || !strings.Contains(strings.Join(r.Findings[0].What, "\n"), says) {
				t.Fatalf("%+v %v", r, err)
			}
			if r.Histories < 5 || r.Commits != 10*r.Histories || r.Effects != 3*r.Histories {
				t.Errorf("counted %s", r)
			}
			if want := "go test ./sim -v -seed 5 -faults commit:2:refuse\n"; !strings.Contains(out.String(), want) {
				t.Errorf("said %q", out.String())
			}
		})
	}
}

func TestA_hunt_goes_on_behind_a_history_that_took_its_process_with_it(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := config("dies", &out)
	c.Most, c.For = 2, 3*time.Second
	r, err := hunt.Run(t.Context(), c)
	if err != nil || len(r.Findings) != 1 || r.Histories != 3+2+3+3 {
		t.Fatalf("%s %v", r, err)
	}
}

func TestA_worker_that_says_nothing_is_no_finding_but_an_error(t *testing.T) {
	t.Parallel()
	var out bytes.Buffer
	c := config("", &out)
	c.Worker = func(ctx context.Context, first uint64) *exec.Cmd {
		return exec.CommandContext(ctx, os.Args[0]+".missing")
	}
	if r, err := hunt.Run(t.Context(), c); err == nil || len(r.Findings) > 0 {
		t.Fatalf("%s %v", r, err)
	}
}
