package runtime_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
)

// spoils changes the rows of a session behind everybody's back. Nobody may have its lease.
func (w *world) spoils(s id.Session, change func(l *store.Loaded)) {
	w.Helper()
	l, err := w.memory.Load(w.ctx, s)
	w.ok(err)
	change(&l)
	lease, err := w.memory.Acquire(w.ctx, store.Claim{Session: s, Owner: store.Owner{ID: "vandal"}, Now: time.Now(), TTL: time.Minute})
	w.ok(err)
	control := bytes.Replace(l.Control, fmt.Appendf(nil, `"version":%d`, l.Version), fmt.Appendf(nil, `"version":%d`, l.Version+1), 1)
	w.ok(w.memory.Commit(w.ctx, &store.Batch{Session: s, Term: lease.Term, From: l.Version, To: l.Version + 1, Control: control, Head: l.Head,
		Values: l.Values, Inputs: l.Inputs, Effects: l.Effects, Operations: l.Operations}))
	w.ok(w.memory.Release(w.ctx, lease))
}

// body exchanges something in the row of an input.
func body(in id.Input, old, new string) func(l *store.Loaded) {
	return func(l *store.Loaded) {
		for n, row := range l.Inputs {
			if row.ID == in {
				l.Inputs[n].Body = bytes.Replace(row.Body, []byte(old), []byte(new), 1)
			}
		}
	}
}

// blocked fails unless the session was refused for a damage in that row.
func (w *world) blocked(doing string, err error, row string) {
	w.Helper()
	var no *runtime.RecoveryError
	var d *driver.Damage
	if !errors.Is(err, runtime.ErrRepairBlocked) || !errors.As(err, &no) || !errors.As(err, &d) || fault.CodeOf(err) != fault.Corrupt {
		w.Errorf("%s: %v", doing, err)
		return
	}
	if no.Evidence == "" || no.Evidence != d.Evidence() || d.Findings[0].Row != row || errors.Is(err, runtime.ErrNotFound) {
		w.Errorf("%s: evidence %q, found %+v", doing, no.Evidence, d.Findings)
	}
}

// Scenario: S134, S139, S140
func TestR130_a_damaged_session_is_refused_with_evidence_until_it_is_mended(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		p.register(second)
		for _, in := range []id.Input{"a", "b", "c"} {
			p.submit(in, "say "+string(in))
		}
		p.close()
		w.spoils(sid, body("b", `"content":`, `"contented":`))
		before, err := w.memory.Load(w.ctx, sid)
		w.ok(err)
		q := w.host(nil)
		for name, do := range commands(w, q) {
			w.blocked(name, do(), "input b")
		}
		_, err = q.WakeSession(w.ctx, sid)
		w.blocked("wake", err, "input b")
		// Looking at it is refused, and looking at its parts is not.
		_, err = q.Status(w.ctx, sid)
		w.blocked("status", err, "input b")
		if d := q.Probe(w.ctx, sid); d.Health != runtime.Unreadable || len(d.Reasons) != 1 || !strings.Contains(d.Reasons[0], "input b") {
			w.Errorf("probe: %+v", d)
		}
		list, err := q.ListActiveInputs(w.ctx, sid)
		w.blocked("list", err, "input b")
		if !slices.Equal(list, []id.Input{"a", "c"}) {
			w.Errorf("active %v", list)
		}
		if how, err := q.InputState(w.ctx, sid, "a"); err != nil || how.Item.Content.Plain() != "say a" {
			w.Errorf("input a: %+v %v", how, err)
		}
		if _, err := q.InputByKey(w.ctx, sid, "c"); err != nil {
			w.Errorf("input c: %v", err)
		}
		// The other session goes on.
		_, h, err := q.AcceptWithCompletion(w.ctx, second, runtime.Input{ID: "x", Content: says("hello")})
		w.ok(err)
		w.ok(q.task(run.CallModel).replies("hi"))
		q.completed(h, "hi")
		after, err := w.memory.Load(w.ctx, sid)
		w.ok(err)
		if after.Version != before.Version || !bytes.Equal(after.Control, before.Control) || len(after.Inputs) != 3 {
			w.Error("something was written")
		}
		w.spoils(sid, body("b", `"contented":`, `"content":`))
		_, err = q.WakeSession(w.ctx, sid)
		w.ok(err)
		for _, in := range []id.Input{"a", "b", "c"} {
			w.ok(q.task(run.CallModel).replies("did " + string(in)))
			q.ended(in, "completed")
		}
		q.close()
	})
}

// Scenario: S135
func TestR130_a_session_that_is_over_with_inputs_that_live_is_damaged_and_left_as_it_is(t *testing.T) {
	for name, phase := range map[string]string{"stopped": `"phase":3`, "destroyed": `"phase":5`} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(w *world) {
				p := w.registered(func(c *runtime.Config) { c.Executor = nil })
				p.submit("a", "hello")
				p.close()
				w.spoils(sid, func(l *store.Loaded) {
					l.Control = bytes.Replace(l.Control, []byte(`"lifecycle":{"phase":1`), []byte(`"lifecycle":{`+phase), 1)
				})
				before, err := w.memory.InputByID(w.ctx, sid, "a")
				w.ok(err)
				q := w.host(nil)
				w.blocked("register", q.RegisterSession(w.ctx, sid, runtime.Registration{}), "session")
				_, err = q.Destroy(w.ctx, sid)
				w.blocked("destroy", err, "session")
				after, err := w.memory.InputByID(w.ctx, sid, "a")
				w.ok(err)
				if !after.Live || !bytes.Equal(after.Body, before.Body) {
					w.Error("the input was changed")
				}
				q.close()
			})
		})
	}
}

// Scenario: S21, S136
func TestR131_a_store_that_is_away_is_told_as_that_and_leaves_the_session_as_it_was(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		p.task(run.CallModel)
		before := p.state()
		p.close()
		q := w.host(nil)
		backoff := func(err, why error) {
			w.Helper()
			var no *runtime.RecoveryError
			if !errors.Is(err, runtime.ErrRecoveryBackoff) || !errors.Is(err, why) || !errors.As(err, &no) || no.RetryAfter <= 0 ||
				errors.Is(err, runtime.ErrRepairBlocked) || errors.Is(err, runtime.ErrNotFound) || fault.CodeOf(err) != fault.Storage {
				w.Errorf("got %v", err)
			}
		}
		w.store.loads(func() error { return store.ErrFailed })
		for name, do := range commands(w, q) {
			if err := do(); name != "archive" || errors.Is(err, runtime.ErrRecoveryBackoff) {
				backoff(err, store.ErrFailed)
			}
		}
		if _, err := q.ContainsSession(w.ctx, sid); !errors.Is(err, store.ErrFailed) {
			w.Errorf("it is not there: %v", err)
		}
		if _, err := q.SessionHasExecutor(w.ctx, sid); !errors.Is(err, store.ErrFailed) {
			w.Errorf("it has no executor: %v", err)
		}
		w.store.loads(nil)
		w.store.decide(always(full)) // it can be read, and what an earlier process left open cannot be decided about
		backoff(q.RegisterSession(w.ctx, sid, runtime.Registration{}), store.ErrFull)
		w.store.decide(nil)
		if st := q.state(); st.Version != before.Version || st.Lifecycle != before.Lifecycle || st.Cursor != before.Cursor {
			w.Errorf("%+v was %+v", st.Lifecycle, before.Lifecycle)
		}
		w.ok(q.RegisterSession(w.ctx, sid, runtime.Registration{}))
		if st := q.state(); st.Lifecycle.Epoch != before.Lifecycle.Epoch {
			w.Error("a new epoch")
		}
		w.ok(q.task(run.CallModel).replies("hi"))
		q.ended("a", "completed")
		q.close()
	})
}

// Scenario: S132
func TestR24_an_ephemeral_input_ends_with_its_process_and_can_be_asked_for(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		p.accept(runtime.Input{ID: "e", Of: &input.Input{Durability: input.Ephemeral, Body: input.Prompt{Text: "as long as it lasts"}}})
		p.submit("a", "hello")
		p.close()
		q := w.host(nil)
		_, err := q.WakeSession(w.ctx, sid)
		w.ok(err)
		w.ok(q.task(run.CallModel).replies("hi"))
		q.ended("a", "completed")
		q.nothing()
		if how := q.ended("e", "abandoned"); how.Ended.Cause != "never_executed" {
			w.Fatalf("%+v", how.Ended)
		}
		q.close()
	})
}

// whole is a host whose executor has a loop of its own, and may do a run again.
func whole(c *runtime.Config) {
	c.Executor = scripted{executor.Profile{Grain: run.Whole, Class: run.Idempotent}, c.Executor.Apply}
}

// does says that the run was carried out.
func (t task) does() error { return t.turn.Report(t.ctx, run.RunApplied{ID: t.ID}) }

// refuses says that nothing of the run was done.
func (t task) refuses() error {
	return t.turn.Report(t.ctx, run.RunRefused{ID: t.ID, Attempt: t.Attempt, Failure: run.Failure{Kind: "setup", Message: "not now"}})
}

// Scenario: S130, S143
func TestR105_what_waits_is_listed_in_the_order_in_which_it_is_taken_and_keeps_it(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(whole)
		for _, in := range []id.Input{"a", "b", "c"} {
			p.submit(in, "say "+string(in))
		}
		listed := func(h *place, want ...id.Input) {
			w.Helper()
			list, err := h.ListActiveInputs(w.ctx, sid)
			w.ok(err)
			if !slices.Equal(list, want) {
				w.Fatalf("active %v, want %v", list, want)
			}
		}
		listed(p, "a", "b", "c")
		w.ok(p.task(run.ApplyRun).refuses()) // a goes behind
		p.task(run.ApplyRun)
		listed(p, "b", "c", "a")
		p.steer("s", "by the way") // of the lane that goes first
		_, err := p.AcceptWithoutWake(w.ctx, sid, runtime.Input{ID: "aside", Content: says("nothing urgent")})
		w.ok(err)
		want := []id.Input{"b", "s", "c", "a", "aside"}
		listed(p, want...)
		p.close()
		q := w.host(whole) // at rest, and after a restart
		listed(q, want...)
		_, err = q.WakeSession(w.ctx, sid)
		w.ok(err)
		listed(q, want...)
		m := q.task(run.ApplyRun)
		if list := q.state().Inbox.Staged(); len(list) != 1 || list[0].ID != "b" {
			w.Fatalf("staged %v", list)
		}
		w.ok(m.does())
		order := []id.Input{"s", "c", "a"}
		for _, in := range order {
			w.ok(q.task(run.ApplyRun).does())
			q.ended(in, "completed")
		}
		listed(q)
		q.close()
	})
}

// Scenario: S146
func TestR134_a_session_is_degraded_by_what_nobody_does_although_somebody_could(t *testing.T) {
	bubble(t, func(w *world) {
		health := func(h *place, want runtime.Health, why string) {
			w.Helper()
			d := h.Probe(w.ctx, sid)
			if d.Health != want || (len(d.Reasons) > 0) != (want != runtime.Healthy) || !strings.Contains(strings.Join(d.Reasons, "; "), why) {
				w.Errorf("%+v, want %s because %s", d, want, why)
			}
		}
		p := w.registered(func(c *runtime.Config) { c.Executor = nil })
		_, err := p.AcceptWithoutWake(w.ctx, sid, runtime.Input{ID: "aside", Content: says("x")})
		w.ok(err)
		q := w.host(whole)
		pass(time.Hour)
		health(q, runtime.Healthy, "") // what rides along waits for something to ride with
		p.submit("a", "hello")
		pass(2 * time.Minute)
		health(q, runtime.Healthy, "")
		pass(time.Second)
		health(q, runtime.Degraded, "waited for 2m1s")
		health(p, runtime.Healthy, "") // here nobody could
		p.close()
		_, err = q.WakeSession(w.ctx, sid)
		w.ok(err)
		health(q, runtime.Healthy, "")
		m := q.task(run.ApplyRun)
		q.submit("b", "more")
		w.ok(m.refuses())
		w.ok(q.task(run.ApplyRun).refuses()) // b
		health(q, runtime.Healthy, "")
		w.ok(q.task(run.ApplyRun).refuses()) // a
		m = q.task(run.ApplyRun)
		health(q, runtime.Degraded, "input a was begun and put back 2 times")
		w.ok(m.does())
		w.ok(q.task(run.ApplyRun).does())
		health(q, runtime.Healthy, "")
		q.close()
	})
}

// A store that does not answer at all, and does not care whose time it is.
func TestR134_a_look_at_a_session_is_bounded_and_says_when_it_does_not_know(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		m := p.task(run.CallModel)
		q := w.host(nil)
		release := make(chan struct{})
		w.store.loads(func() error { <-release; return nil })
		began := time.Now()
		st, err := p.Status(w.ctx, sid) // live here: it needs no store
		if err != nil || st.Phase != "running" || time.Since(began) != 0 {
			w.Errorf("live: %+v %v", st, err)
		}
		if d := p.Probe(w.ctx, sid); d.Health != runtime.Healthy {
			w.Errorf("live: %+v", d)
		}
		_, err = q.Status(w.ctx, sid)
		w.is(err, runtime.ErrUnread)
		if took := time.Since(began); took != 250*time.Millisecond || fault.CodeOf(err) != fault.Storage || errors.Is(err, runtime.ErrNotFound) {
			w.Errorf("%v after %v", err, took)
		}
		if d := q.Probe(w.ctx, sid); d.Health != runtime.Unreadable || !errors.Is(d.Error, runtime.ErrUnread) {
			w.Errorf("probe: %+v", d)
		}
		hasty, cancel := context.WithTimeout(w.ctx, 100*time.Millisecond)
		defer cancel()
		if _, err := q.Status(hasty, sid); !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, runtime.ErrUnread) {
			w.Errorf("a caller in a hurry: %v", err)
		}
		patient := later(func() error { _, err := q.ReadStatus(w.ctx, sid); return err })
		pass(time.Minute)
		w.pending(patient)
		w.ok(m.replies("hi")) // and commands went on
		close(release)
		w.ok(<-patient)
		p.ended("a", "completed")
		q.close()
		p.close()
	})
}

func TestR134_a_failed_look_up_is_not_remembered_as_a_no(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		q := w.host(nil)
		for _, ask := range []func(context.Context, id.Session) (bool, error){q.ContainsSession, q.SessionHasExecutor} {
			w.store.loads(func() error { return store.ErrFailed })
			_, err := ask(w.ctx, sid)
			w.is(err, store.ErrFailed)
			w.store.loads(nil)
			for s, want := range map[id.Session]bool{sid: true, unknown: false} {
				if yes, err := ask(w.ctx, s); err != nil || yes != want {
					w.Errorf("%s: %t, %v", s, yes, err)
				}
			}
		}
		w.ok(p.StopRuntimeExecutor(w.ctx, sid, "", 0))
		if has, err := q.SessionHasExecutor(w.ctx, sid); has || err != nil {
			w.Errorf("stopped: %t %v", has, err)
		}
		q.close()
		p.close()
	})
}

func TestR134_who_waits_is_counted_by_input(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		p.submit("a", "hello")
		_, h := p.accept(runtime.Input{ID: "b", Content: says("more")})
		m := p.task(run.CallModel)
		if list := p.Waiters(sid); list != nil {
			w.Fatalf("nobody waits: %v", list)
		}
		var all []<-chan error
		for _, in := range []id.Input{"b", "a", "b"} {
			all = append(all, later(func() error { _, err := p.Wait(w.ctx, sid, in); return err }))
		}
		all = append(all, later(func() error { _, err := h.Wait(w.ctx); return err }))
		if list := p.Waiters(sid); !slices.Equal(list, []runtime.Waiting{{Input: "a", Count: 1}, {Input: "b", Count: 3}}) {
			w.Fatalf("waiters %v", list)
		}
		w.ok(m.replies("hi"))
		w.ok(<-all[1])
		if list := p.Waiters(sid); !slices.Equal(list, []runtime.Waiting{{Input: "b", Count: 3}}) {
			w.Fatalf("waiters %v", list)
		}
		w.ok(p.task(run.CallModel).replies("hi"))
		for _, n := range []int{0, 2, 3} {
			w.ok(<-all[n])
		}
		if p.Waiters(sid) != nil || p.Waiters(unknown) != nil {
			w.Fatal("somebody still waits")
		}
		p.close()
	})
}

func TestR27_receipts_of_a_run_are_numbered_from_1_in_the_order_of_its_boundaries(t *testing.T) {
	bubble(t, func(w *world) {
		p := w.registered(nil)
		v := p.submit("a", "hello")
		m := p.task(run.CallModel)
		for n := range 3 {
			p.steer(id.Input(fmt.Sprint("s", n)), "and")
			w.ok(m.replies("", call{"x", run.Once}))
			w.ok(p.task(run.RunTool).settles("ok"))
			m = p.task(run.CallModel)
		}
		w.ok(m.replies("done"))
		p.ended("a", "completed")
		next := p.submit("b", "again")
		p.task(run.CallModel)
		q := w.host(nil)
		for _, h := range []*place{p, q} {
			want := []id.Input{"a", "s0", "s1", "s2"}
			messages := 0
			for n, in := range want {
				r, err := h.LoadBoundaryReceipt(w.ctx, sid, v.Run, n+1)
				w.ok(err)
				if r.Run != v.Run || r.Sequence != n+1 || !slices.Equal(r.Inputs, []id.Input{in}) || r.Messages <= messages {
					w.Errorf("receipt %d: %+v", n+1, r)
				}
				messages = r.Messages
			}
			for _, n := range []int{0, -1, len(want) + 1} {
				if _, err := h.LoadBoundaryReceipt(w.ctx, sid, v.Run, n); !errors.Is(err, store.ErrNotFound) {
					w.Errorf("receipt %d: %v", n, err)
				}
			}
			if r, err := h.LoadBoundaryReceipt(w.ctx, sid, next.Run, 1); err != nil || !slices.Equal(r.Inputs, []id.Input{"b"}) {
				w.Errorf("of the next run: %+v %v", r, err)
			}
		}
		q.close()
		p.close()
	})
}
