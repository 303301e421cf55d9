package inbox

import (
	"fmt"
	"testing"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/input"
)

// filled is a box with prompts, and others, that wait.
func filled(waiting int) Box {
	var b Box
	for n := range waiting {
		in := prompt(fmt.Sprint("i", n), input.Options{})
		switch n % 4 {
		case 1:
			in = message(fmt.Sprint("i", n), 0)
		case 2:
			in = goOn(fmt.Sprint("i", n), fmt.Sprint("s", n), input.Continuation{})
		}
		i, _ := Table.Step(Judge(in, idle).Item, Event{Kind: Admit})
		i.Seq = id.Seq(n + 1)
		b = b.Put(i)
	}
	return b
}

// No test runs beside this one, since it counts allocations: it does not call t.Parallel.
func TestR106_what_an_input_costs_does_not_grow_with_what_waits(t *testing.T) {
	cost := map[string][2]float64{}
	for n, waiting := range []int{16, 16_384} {
		b := filled(waiting)
		in := goOn("new", "s2", input.Continuation{})
		quiet := Box{}
		for n := range waiting {
			i, _ := Table.Step(Judge(ask(fmt.Sprint("q", n), "ping", 0), Arrival{Silent: true}).Item, Event{Kind: Admit})
			i.Seq = id.Seq(n + 1)
			quiet = quiet.Put(i)
		}
		steer, _ := Table.Step(Judge(prompt("steer", steering), idle).Item, Event{Kind: Admit})
		quiet = quiet.Put(steer)
		note := func(what string, do func()) {
			c := cost[what]
			c[n] = testing.AllocsPerRun(20, do)
			cost[what] = c
		}
		note("next", func() { b.Batch(false) })
		note("targets", func() { b.Targets(Judge(in, idle).Item) })
		note("boundary", func() { quiet.Steers() })
		note("front", func() { b.Front() })
		note("put", func() {
			i, _ := Table.Step(Judge(in, idle).Item, Event{Kind: Admit})
			i.Seq = id.Seq(waiting + 1)
			b.Put(i)
		})
		note("stage", func() {
			i, _ := Table.Step(b.Next()[0], Event{Kind: Stage, Run: "r"})
			b.Put(i)
		})
	}
	for what, c := range cost {
		// A path of a tree of 16,384 is ten nodes longer than one of a tree of 16; an input lies in up to five trees.
		if c[1] > c[0]+100 || (what == "next" || what == "targets" || what == "front" || what == "boundary") && c[0] != c[1] {
			t.Errorf("%s costs %v allocations where 16 wait, and %v where 16,384 do", what, c[0], c[1])
		}
	}
	t.Log(cost)
}

func BenchmarkBox(b *testing.B) {
	for _, waiting := range []int{1, 100, 10_000} {
		box := filled(waiting)
		in := Judge(message("new", 0), idle).Item
		in.Phase, in.Seq = Queued, id.Seq(waiting+1)
		b.Run(fmt.Sprintf("put/waiting=%d", waiting), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				box.Put(in)
			}
		})
		b.Run(fmt.Sprintf("batch/waiting=%d", waiting), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				box.Batch(false)
			}
		})
	}
	b.Run("judge", func(b *testing.B) {
		b.ReportAllocs()
		in := message("new", 0)
		for b.Loop() {
			Judge(in, idle)
		}
	})
}
