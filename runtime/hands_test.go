package runtime_test

import (
	"context"
	"errors"
	goruntime "runtime"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/transcript"
)

// lost tells in how many ways an executor may be gone in the middle of a call.
var lost = map[string]func() error{
	"returns early":  func() error { return nil },
	"fails":          func() error { return errors.New("broken") },
	"panics":         func() error { panic("broken") },
	"ends goroutine": func() error { goruntime.Goexit(); return nil },
}

// Scenario: S27
func TestR04_R35_an_executor_that_is_lost_in_the_middle_of_calls(t *testing.T) {
	t.Parallel()
	for name, leave := range lost {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				var applied atomic.Int64
				p := w.registered(func(c *runtime.Config) {
					h := c.Executor
					c.Executor = scripted{apply: func(ctx context.Context, r executor.Run, b executor.Bindings) error {
						if applied.Add(1) > 1 {
							return h.Apply(ctx, r, b)
						}
						n := 0
						for d := range b.Turn.Directives(ctx) {
							if d.Kind == run.CallModel {
								w.ok(task{d, b.Turn, ctx, b.Call}.replies("", call{"x", run.Once}, call{"y", run.Idempotent}))
							} else if n++; n == 2 {
								return leave()
							}
						}
						return nil
					}}
				})
				p.submit("a", "hello")
				y := p.task(run.RunTool)
				if y.Call.Name != "y" || y.Attempt != 2 {
					w.Fatalf("handed out %+v", y.Directive)
				}
				w.ok(y.settles("ok"))
				w.ok(p.task(run.CallModel).replies("done"))
				p.ended("a", "completed")
				if got := p.results(); !slices.Equal(got, []string{"x: outcome_unknown", "y: ok"}) {
					w.Fatalf("results %q", got)
				}
				p.close()
			})
		})
	}
}

func TestR04_a_run_that_kills_every_executor_ends(t *testing.T) {
	t.Parallel()
	for name, leave := range lost {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				var applied atomic.Int64
				p := w.registered(func(c *runtime.Config) {
					c.Executor = scripted{apply: func(context.Context, executor.Run, executor.Bindings) error {
						applied.Add(1)
						return leave()
					}}
				})
				p.submit("a", "hello")
				p.ended("a", "failed")
				if n := applied.Load(); n != 6 {
					w.Fatalf("applied %d times", n)
				}
				p.close()
			})
		})
	}
}

// Scenario: S101
func TestAn_executor_that_hangs_delays_the_next_run_by_the_grace_time(t *testing.T) {
	bubble(t, func(w *world) {
		free := make(chan struct{})
		var applied atomic.Int64
		p := w.registered(func(c *runtime.Config) {
			h := c.Executor
			c.Executor = scripted{apply: func(ctx context.Context, r executor.Run, b executor.Bindings) error {
				if applied.Add(1) == 1 {
					<-free
					return nil
				}
				return h.Apply(ctx, r, b)
			}}
		})
		r := p.submit("a", "hello").Run
		p.submit("b", "next")
		began := time.Now()
		w.ok(p.InterruptCurrentRun(w.ctx, sid, r, "enough")) // R40: at once
		p.ended("a", "cancelled")
		if time.Since(began) != 0 {
			w.Fatal("the interrupt took time")
		}
		m := p.task(run.CallModel)
		if took := time.Since(began); took != 5*time.Second || p.Abandoned() != 1 {
			w.Fatalf("after %v, %d abandoned", took, p.Abandoned())
		}
		close(free) // comes back, and disturbs nobody
		synctest.Wait()
		w.ok(m.replies("done"))
		p.ended("b", "completed")
		p.close()
	})
}

// Scenario: S100
func TestR45_an_executor_may_call_the_host_from_inside(t *testing.T) {
	bubble(t, func(w *world) {
		var p *place
		p = w.registered(func(c *runtime.Config) {
			c.Executor = scripted{apply: func(ctx context.Context, r executor.Run, b executor.Bindings) error {
				for d := range b.Turn.Directives(ctx) {
					for range 3 {
						p.steer("s", "more")
						_, err := p.State(ctx, r.Session)
						w.ok(err)
						_, err = p.WakeSession(ctx, r.Session)
						w.ok(err)
						if has, err := p.SessionHasExecutor(ctx, r.Session); err != nil || !has {
							w.Error("no executor", err)
						}
						w.is(p.RegisterSession(ctx, r.Session, runtime.Registration{Profile: &run.Profile{}}), runtime.ErrExists)
						if got, err := p.EnsureSessionWithExecutor(ctx, r.Session, hands{}); err != nil || got != runtime.AlreadyAttached {
							w.Errorf("attached: %v, %v", got, err)
						}
					}
					w.ok(p.CancelAfterBoundary(ctx, r.Session, d.Run))
					w.ok(p.InterruptCurrentRun(ctx, r.Session, d.Run, "from inside"))
					w.is(task{d, b.Turn, ctx, b.Call}.replies("too late"), executor.ErrStale)
				}
				return nil
			}}
		})
		p.submit("a", "hello")
		p.ended("a", "cancelled")
		p.ended("s", "cancelled")
		p.close()
	})
}

func TestR31_two_reports_of_one_answer_at_once_are_one(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).replies("", call{"x", run.Once}))
		x := p.task(run.RunTool)
		const n = 20
		got := make(chan error, n)
		for range n {
			go func() { got <- x.settles("ok") }()
		}
		wanted := 0
		for range n {
			if err := <-got; err == nil {
				wanted++
			} else {
				w.is(err, executor.ErrStale)
			}
		}
		if wanted != 1 || len(p.results()) != 1 {
			w.Fatalf("%d wanted, results %q", wanted, p.results())
		}
		w.ok(p.task(run.CallModel).replies("done"))
		p.close()
	})
}

func TestR40_an_interrupt_beats_a_reply_that_waits_beside_it_and_results_are_kept(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		r := p.submit("a", "hello").Run
		m := p.task(run.CallModel)
		w.store.decide(next(1, delayed))
		first := later(func() error { p.steer("s", "more"); return nil })
		reply := later(func() error { return m.replies("final") })
		stop := later(func() error { return p.InterruptCurrentRun(w.ctx, sid, r, "") })
		w.ok(<-first)
		w.ok(<-stop)
		w.is(<-reply, executor.ErrStale)
		p.ended("a", "cancelled")

		r = p.state().Run() // the steer's
		w.ok(p.task(run.CallModel).replies("", call{"x", run.Once}, call{"y", run.Once}))
		x := p.task(run.RunTool)
		p.task(run.RunTool)
		w.store.decide(next(1, delayed))
		first = later(func() error { p.submit("b", "more"); return nil })
		stop = later(func() error { return p.InterruptCurrentRun(w.ctx, sid, r, "") })
		result := later(func() error { return x.settles("it ran") })
		w.ok(<-first)
		w.ok(<-stop)
		w.ok(<-result)
		if got := p.results(); !slices.Equal(got, []string{"x: it ran", "y: cancelled"}) {
			w.Fatalf("results %q", got)
		}
		w.ok(p.task(run.CallModel).replies("done"))
		p.ended("b", "completed")
		p.close()
	})
}

// Scenario: S24, S25
func TestAn_executor_is_attached_once_and_the_one_that_was_attached_is_used(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		p.submit("a", "hello")
		p.nothing()
		used := make(chan int, 100)
		ex := func(n int) executor.Executor {
			return scripted{profile: executor.Profile{Grain: run.Grain(n % 2)}, apply: func(ctx context.Context, r executor.Run, b executor.Bindings) error {
				used <- n
				return hands{p.tasks}.Apply(ctx, r, b)
			}}
		}
		w.store.decide(next(1, delayed))
		first := later(func() error { p.submit("b", "more"); return nil })
		var results []<-chan error
		attached := make(chan int, 10)
		for n := range 10 {
			results = append(results, later(func() error {
				got, err := p.EnsureSessionWithExecutor(w.ctx, sid, ex(n))
				if got == runtime.Attached {
					attached <- n
				}
				return err
			}))
		}
		w.ok(<-first)
		for _, ch := range results {
			w.ok(<-ch)
		}
		synctest.Wait()
		if len(attached) != 1 {
			w.Fatalf("%d attached", len(attached))
		}
		n := <-attached
		t := <-p.tasks
		if got := <-used; got != n || (t.Kind == run.ApplyRun) != (n%2 == 1) {
			w.Fatalf("executor %d was attached, %d works on %s", n, got, t.Kind)
		}
		p.interrupt(w)
		p.interrupt(w)
		p.close()
	})
}

func TestA_whole_executor_reports_its_run_once(t *testing.T) {
	bubble(t, func(w *world) {
		var runs []string
		ex := executor.Whole{Class: run.Once, Do: func(ctx context.Context, d run.Directive, b executor.Bindings) (run.RunApplied, error) {
			rows, err := b.Transcript(ctx, d.Upto)
			w.ok(err)
			runs = append(runs, rows[len(rows)-1].Entry.(transcript.User).Content.Plain())
			return run.RunApplied{Appends: []transcript.Entry{transcript.Assistant{Blocks: says("done"), Stop: transcript.StopEndTurn}},
				Usage: transcript.Usage{Input: 3, Output: 4}}, nil
		}}
		p := w.registered(func(c *runtime.Config) { c.Executor = ex })
		p.submit("a", "one")
		how := p.ended("a", "completed")
		p.submit("b", "two")
		p.ended("b", "completed")
		if !slices.Equal(runs, []string{"one", "two"}) || how.Ended.Usage.Output != 4 || how.Ended.Reply != 2 {
			w.Fatalf("runs %q, ended %+v", runs, how.Ended)
		}
		p.close()
	})
}

// Scenario: S141
func TestR35_a_whole_executor_that_fails_half_way(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name  string
		class run.Class
		want  string
		runs  int64
	}{{"and may not be repeated", run.Once, "abandoned", 1}, {"and may be repeated", run.Idempotent, "completed", 2}} {
		t.Run(c.name, func(t *testing.T) {
			bubble(t, func(w *world) {
				var runs atomic.Int64
				ex := executor.Whole{Class: c.class, Do: func(context.Context, run.Directive, executor.Bindings) (run.RunApplied, error) {
					if runs.Add(1) == 1 {
						return run.RunApplied{}, errors.New("lost its far side")
					}
					return run.RunApplied{}, nil
				}}
				p := w.registered(func(c *runtime.Config) { c.Executor = ex })
				p.submit("a", "one")
				p.ended("a", c.want)
				if runs.Load() != c.runs || count[event.RunStarted](p.events()) != 1 {
					w.Fatalf("%d runs", runs.Load())
				}
				p.close()
			})
		})
	}
}

func TestR23_a_registration_that_is_refused_leaves_nothing(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(nil)
		w.store.decide(always(full))
		w.is(p.RegisterSession(w.ctx, sid, runtime.Registration{Profile: &run.Profile{}}), store.ErrFull)
		w.store.decide(nil)
		there, err := p.ContainsSession(w.ctx, sid)
		if err != nil || there {
			w.Fatalf("contained: %t, %v", there, err)
		}
		_, _, err = p.AcceptWithCompletion(w.ctx, sid, runtime.Input{Content: says("hello")})
		w.is(err, runtime.ErrNotFound)
		q := w.host(nil) // no lease is left either
		q.register(sid)
		q.close()
		p.close()
	})
}

func TestA_registration_that_is_refused_does_not_end_one_that_waits_beside_it(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.host(nil)
		n := 0
		w.store.decide(func(*store.Batch) storeFault {
			n++
			f := full
			f.Delay = time.Second
			if n > 4 {
				f.Fail = nil
			}
			return f
		})
		reg := func() error {
			return p.RegisterSession(w.ctx, sid, runtime.Registration{Profile: &run.Profile{}})
		}
		first := later(reg)
		second := later(reg)
		w.is(<-first, store.ErrFull)
		w.ok(<-second)
		p.submit("a", "hello")
		w.ok(p.task(run.CallModel).replies("hi"))
		p.ended("a", "completed")
		p.close()
	})
}

func TestA_full_mailbox_refuses_submits_and_nothing_else(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Mailbox = 4 })
		r := p.submit("a", "hello").Run
		m := p.task(run.CallModel)
		w.store.decide(next(1, delayed))
		results := make(chan error, 20)
		for range 20 {
			go func() {
				_, _, err := p.AcceptWithCompletion(w.ctx, sid, runtime.Input{Content: says("more")})
				results <- err
			}()
		}
		synctest.Wait()
		reply := later(func() error { return m.replies("", call{"x", run.Once}) })
		cancel := later(func() error { return p.CancelAfterBoundary(w.ctx, sid, r) })
		refused := 0
		for range 20 {
			if err := <-results; err != nil {
				w.is(err, runtime.ErrOverloaded)
				refused++
			}
		}
		if refused < 10 || refused > 16 {
			w.Fatalf("%d refused", refused)
		}
		w.ok(<-cancel)
		w.ok(<-reply)
		w.ok(p.task(run.RunTool).settles("ok"))
		p.ended("a", "cancelled")
		w.ok(p.StopRuntimeExecutor(w.ctx, sid, "", time.Nanosecond))
		p.close()
	})
}
