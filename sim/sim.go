// Package sim plays whole histories of the runtime in a seeded world and watches that no rule of docs/rules.md is broken.
//
// A history is two sessions, their clients and whoever interferes, on a process with the real runtime over the memory store: callers that
// carry a run out themselves, or forget it; an orchestrator that places sessions and does not always listen; meddlers that interrupt, stop,
// retire, reset, unregister and destroy; who amends a session before it runs, tells it facts, or lets another begin with what was said in it. The executor reports step by step, or has a loop of its own and takes steers at its boundaries.
// Every model call, tool, signal and commit takes a virtual time that is hashed from the seed and its own name, never drawn from a shared
// generator, so that real goroutines do the same things in the same order again. A history without faults counts its commits and its
// effects; then it is played again and dies at them: before, after, with the outcome hidden, or as a zombie that lives on beside
// the next owner. Executors leave, break and hang; the store refuses for a while; leases are not renewed.
//
// The oracle never sleeps (oracle.go, and life.go for the life of each session). What it finds is told with the one command that plays the
// history again:
//
//	go test ./sim -v -seed 17 -faults commit:5:kill-before,effect:2:panic
//
// go run ./cmd/rkat-sim hunts for longer (sim/hunt).
//
// Play must run in a bubble of testing/synctest.
package sim

import (
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Point is where in a history something may go wrong: the n-th commit, or the n-th effect of the world outside, from 1.
type Point struct {
	At string // commit, effect
	N  int
}

// Fault is something that goes wrong at a point.
type Fault struct {
	Point
	Kind string
}

// The kinds of fault, by what they happen to.
var (
	CommitFaults = []string{"kill-before", "kill-after", "hide-written", "hide-lost", "refuse", "refuse-long", "zombie-before", "zombie-after", "no-renewal"}
	EffectFaults = []string{"kill", "zombie", "panic", "leave", "hang", "hang-for-ever", "leave-while-refused", "poison"}
)

// Plan is all that a history depends on.
type Plan struct {
	Seed   uint64
	Faults []Fault
	Mutant Mutant // what is broken on purpose; zero: nothing
}

// String returns the arguments that play the plan again.
func (p Plan) String() string {
	var faults []string
	for _, f := range p.Faults {
		faults = append(faults, fmt.Sprintf("%s:%d:%s", f.At, f.N, f.Kind))
	}
	s := fmt.Sprintf("-seed %d", p.Seed)
	if len(faults) > 0 {
		s += " -faults " + strings.Join(faults, ",")
	}
	return s
}

// ParseFaults reads what Plan.String wrote.
func ParseFaults(s string) ([]Fault, error) {
	var out []Fault
	for one := range strings.SplitSeq(s, ",") {
		if one == "" {
			continue
		}
		parts := strings.Split(one, ":")
		if len(parts) != 3 {
			return nil, fmt.Errorf("%q is no fault: point:n:kind", one)
		}
		n, err := strconv.Atoi(parts[1])
		kinds := map[string][]string{"commit": CommitFaults, "effect": EffectFaults}[parts[0]]
		if err != nil || !slices.Contains(kinds, parts[2]) {
			return nil, fmt.Errorf("there is no fault %q", one)
		}
		out = append(out, Fault{Point{parts[0], n}, parts[2]})
	}
	return out, nil
}

// Draw makes a plan with so many faults, at points of the clean history that had that many commits and effects.
func Draw(seed, salt uint64, commits, effects, faults int) Plan {
	p := Plan{Seed: seed}
	for n := range faults {
		h := dice(seed, "fault", salt, n)
		f := Fault{Point{"commit", 1 + int(h>>8)%max(commits, 1)}, CommitFaults[int(h>>40)%len(CommitFaults)]}
		if h&1 == 1 {
			f = Fault{Point{"effect", 1 + int(h>>8&math.MaxInt32)%max(effects, 1)}, EffectFaults[int(h>>40)%len(EffectFaults)]}
		}
		p.Faults = append(p.Faults, f)
	}
	return p
}

// Result is what came of a history.
type Result struct {
	Breaches []string // each begins with the number of a rule
	Commits  int
	Effects  int
	Log      []string // what happened, in order
}

// dice hashes what is to be decided.
func dice(seed uint64, what ...any) uint64 {
	h := fnv.New64a()
	fmt.Fprint(h, seed)
	for _, x := range what {
		fmt.Fprint(h, "/", x)
	}
	// FNV's high bits hardly depend on the last bytes: mix.
	v := h.Sum64()
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}

func (w *world) roll(what ...any) uint64 { return dice(w.plan.Seed, what...) }

// takes lets the time pass that something takes: at most so long, and hardly ever as long as anything else.
func (w *world) takes(most time.Duration, what ...any) {
	time.Sleep(w.long(most, what...))
}

func (w *world) long(most time.Duration, what ...any) time.Duration {
	return 1 + time.Duration(w.roll(what...)%uint64(most))
}
