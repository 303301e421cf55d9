package runtime_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/anishathalye/porcupine"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/memory"
	"github.com/meerkat-go/meerkat/store/storetest"
)

// Several callers give commands to one session at the same time. Their answers must be those that the commands would have got one after
// the other, each at some time between its call and its answer. What one session does is told below once more, in a naive way and
// apart from the machine: no store, no commits, no executor, only what a caller can know.

var histories = flag.Uint64("histories", 200, "check so many histories of commands at the same time")

// commander is what the histories are made with: a host, or one that is broken on purpose.
type commander interface {
	RegisterSession(context.Context, id.Session, runtime.Registration) error
	UnregisterSession(context.Context, id.Session) error
	AcceptWithCompletion(context.Context, id.Session, runtime.Input) (machine.Verdict, *runtime.Completion, error)
	Prepare(context.Context, id.Session, runtime.Input) (runtime.Prepared, error)
	PrepareServiceTurn(context.Context, id.Session) (runtime.Prepared, error)
	Commit(context.Context, runtime.Prepared, run.RunApplied) error
	Fail(context.Context, runtime.Prepared, run.Failure) error
	InterruptCurrentRun(context.Context, id.Session, id.Run, string) error
	StopRuntimeExecutor(context.Context, id.Session, string, time.Duration) error
	Retire(context.Context, id.Session) (runtime.Retirement, error)
	Reset(context.Context, id.Session) (int, error)
	Recycle(context.Context, id.Session) (int, error)
	Destroy(context.Context, id.Session) (int, error)
	BindPlacement(context.Context, id.Session, id.Epoch, machine.Placement) error
	State(context.Context, id.Session) (machine.State, error)
}

// asks is one command as it was given.
type asks struct {
	what    string
	input   id.Input // submit, prepare
	key     string
	run     id.Run   // commit, fail, interrupt
	epoch   id.Epoch // bind
	runtime string
	profile bool // register
	token   int  // of a command that is told in two parts: that it was taken, and that it is done
}

func (a asks) String() string {
	switch a.what {
	case "submit", "prepare":
		return fmt.Sprintf("%s %s/%s", a.what, a.input, a.key)
	case "commit", "fail", "interrupt":
		return fmt.Sprintf("%s %s", a.what, a.run)
	case "bind":
		return fmt.Sprintf("bind %s under %s", a.runtime, a.epoch)
	}
	return a.what
}

// told is an answer.
type told struct {
	why       string // refused: the condition
	input     id.Input
	run       id.Run
	duplicate bool
	abandoned int
	pending   int
	view      view // look
}

func (t told) String() string {
	switch {
	case t.why != "":
		return t.why
	case t.view != view{}:
		return fmt.Sprintf("%+v", t.view)
	}
	return fmt.Sprintf("input=%s run=%s duplicate=%t abandoned=%d pending=%d", t.input, t.run, t.duplicate, t.abandoned, t.pending)
}

// view is what can be seen of a session.
type view struct {
	phase    string
	stopping bool
	draining bool
	run      id.Run
	mine     id.Input
	waiting  string
	place    string
	epoch    id.Epoch
}

// conditions are told apart by the first that fits.
var conditions = []struct {
	err error
	why string
}{
	{runtime.ErrUnregistered, "unregistered"}, {runtime.ErrUnregisterInProgress, "in progress"}, {runtime.ErrNotFound, "not found"},
	{runtime.ErrDestroyed, "destroyed"}, {runtime.ErrStopped, "stopped"}, {runtime.ErrRetired, "retired"}, {runtime.ErrStopping, "stopping"},
	{runtime.ErrNotRunning, "not running"}, {runtime.ErrNotCurrent, "not current"}, {runtime.ErrBusy, "busy"}, {runtime.ErrExists, "exists"},
	{runtime.ErrDuplicate, "duplicate"}, {runtime.ErrBound, "bound"}, {runtime.ErrStaleEpoch, "stale epoch"}, {runtime.ErrNotReady, "not ready"},
	{store.ErrFull, "store"}, {context.DeadlineExceeded, "goes on"},
}

func why(err error) string {
	if err == nil {
		return ""
	}
	for _, c := range conditions {
		if errors.Is(err, c.err) {
			return c.why
		}
	}
	return err.Error()
}

// recorder writes a history down.
type recorder struct {
	clock atomic.Int64
	mu    sync.Mutex
	ops   []porcupine.Operation
}

func (r *recorder) note(client int, call, back int64, a asks, t told) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ops = append(r.ops, porcupine.Operation{ClientId: client, Input: a, Output: t, Call: call, Return: back})
}

// client is one caller: what it prepared, and what it saw last.
type client struct {
	n    int
	to   commander
	rec  *recorder
	rng  *rand.Rand
	ctx  context.Context
	mine []runtime.Prepared
	seen machine.State
	toks *atomic.Int64
}

// does gives one command and writes it down with its answer.
func (c *client) does(what string) {
	in := c.rng.IntN(6)
	if c.rng.IntN(200) == 0 {
		what = "destroy"
	}
	a := asks{what: what, input: id.Input(fmt.Sprint("i", in)), key: fmt.Sprint("k", in/2)}
	call := c.rec.clock.Add(1)
	t := c.give(&a)
	back := c.rec.clock.Add(1)
	switch {
	case a.what == "stop" || a.what == "unregister":
		c.inTwo(call, back, a, t)
	default:
		c.rec.note(c.n, call, back, a, t)
	}
}

var commandNames = strings.Fields("submit submit submit submit submit submit prepare prepare prepare prepare prepare serve serve commit commit commit " +
	"commit fail interrupt interrupt interrupt retire reset reset recycle recycle recycle bind bind bind bind stop unregister unregister make " +
	"register register register register register register register register register look look look look look look look look")

// inTwo notes a command that is taken at one time and done at another, which others can tell apart.
func (c *client) inTwo(call, back int64, a asks, t told) {
	a.token = int(c.toks.Add(1))
	done := a
	done.what += " done"
	switch t.why {
	case "": // taken, and done
		c.rec.note(c.n, call, back, a, t)
		c.rec.note(c.n, call, back, done, t)
	case "goes on": // taken; that it is done nobody has heard
		c.rec.note(c.n, call, back, a, told{})
	case "unregistered", "destroyed": // refused, or taken and overtaken
		a.what += " perhaps"
		c.rec.note(c.n, call, back, a, told{})
		c.rec.note(c.n, call, back, done, t)
	default:
		c.rec.note(c.n, call, back, a, t)
	}
}

// give carries the command out. It fills in what the command was about.
func (c *client) give(a *asks) (t told) {
	ctx, cancel := context.WithTimeout(c.ctx, time.Second)
	defer cancel()
	var err error
	switch a.what {
	case "make", "register":
		r := runtime.Registration{}
		if a.profile = a.what == "make"; a.profile {
			r.Profile = &run.Profile{Model: "m"}
		}
		err = c.to.RegisterSession(ctx, sid, r)
	case "submit":
		var v machine.Verdict
		v, _, err = c.to.AcceptWithCompletion(ctx, sid, runtime.Input{ID: a.input, Key: a.key, Content: says("x")})
		t = told{input: v.Input, run: v.Run, duplicate: v.Duplicate}
	case "prepare":
		var p runtime.Prepared
		p, err = c.to.Prepare(ctx, sid, runtime.Input{ID: a.input, Key: a.key, Content: says("x")})
		t = c.keeps(p, err)
	case "serve":
		var p runtime.Prepared
		p, err = c.to.PrepareServiceTurn(ctx, sid)
		t = c.keeps(p, err)
	case "commit", "fail", "interrupt":
		p := runtime.Prepared{Session: sid, Run: "of nobody"}
		if n := len(c.mine); n > 0 {
			p = c.mine[n-1]
		}
		if a.what == "interrupt" {
			p.Run = c.seen.Run()
		}
		a.run = p.Run
		switch a.what {
		case "commit":
			err = c.to.Commit(ctx, p, run.RunApplied{})
		case "fail":
			err = c.to.Fail(ctx, p, run.Failure{Message: "it broke"})
		default:
			err = c.to.InterruptCurrentRun(ctx, sid, a.run, "enough")
		}
	case "bind":
		a.epoch, a.runtime = c.seen.Lifecycle.Epoch, fmt.Sprint("east-", c.rng.IntN(2))
		err = c.to.BindPlacement(ctx, sid, a.epoch, machine.Placement{Runtime: a.runtime})
	default:
		t, err = c.ends(ctx, a.what)
	}
	t.why = why(err)
	return t
}

func (c *client) keeps(p runtime.Prepared, err error) told {
	if err == nil {
		c.mine = append(c.mine, p)
	}
	return told{input: p.Input, run: p.Run}
}

// ends are the commands about the session as a whole, and the look at it.
func (c *client) ends(ctx context.Context, what string) (t told, err error) {
	switch what {
	case "stop":
		err = c.to.StopRuntimeExecutor(ctx, sid, "enough", 0)
	case "unregister":
		err = c.to.UnregisterSession(ctx, sid)
	case "retire":
		var r runtime.Retirement
		r, err = c.to.Retire(ctx, sid)
		t.abandoned, t.pending = r.Abandoned, r.Pending
	case "reset":
		t.abandoned, err = c.to.Reset(ctx, sid)
	case "recycle":
		t.pending, err = c.to.Recycle(ctx, sid)
	case "destroy":
		t.abandoned, err = c.to.Destroy(ctx, sid)
	case "look":
		var st machine.State
		if st, err = c.to.State(ctx, sid); err == nil {
			c.seen, t.view = st, viewOf(st)
		}
	default:
		panic(what)
	}
	return t, err
}

func viewOf(st machine.State) view {
	v := view{phase: st.Phase(), stopping: st.Lifecycle.Stopping, draining: st.Transient.Draining, run: st.Run(),
		place: st.Transient.Placement.Runtime, epoch: st.Lifecycle.Epoch}
	for i := range st.Inbox.All() {
		if i.Phase == inbox.Staged {
			v.mine = i.ID
		} else {
			v.waiting += string(i.ID) + " "
		}
	}
	return v
}

// history plays a few callers at one session of a host, over a store that is slow and sometimes hides what it did.
func history(t *testing.T, seed uint64, of func(*runtime.Host) commander) (ops []porcupine.Operation) {
	synctest.Test(t, func(t *testing.T) {
		m := memory.New()
		w := &world{T: t, memory: m, store: &flaky{Faulty: storetest.Faulty{Store: m}}, ctx: t.Context()}
		p := w.host(func(c *runtime.Config) { c.Executor, c.StorePause = nil, time.Millisecond })
		var faults atomic.Uint64
		w.store.decide(func(*store.Batch) storetest.Fault {
			n := faults.Add(1)
			dice := rand.New(rand.NewPCG(seed, n)).IntN(40)
			f := storetest.Fault{Delay: time.Duration(dice%6) * time.Millisecond}
			if n%2 == 0 { // never so often that the host gives up, and callers hear nothing that could be checked
				f.Hide = map[int]storetest.Hiding{30: storetest.HideLost, 31: storetest.HideWritten, 32: storetest.HideWritten}[dice]
			}
			return f
		})
		rec, toks := &recorder{}, new(atomic.Int64)
		var all sync.WaitGroup
		for n := range 4 {
			c := &client{n: n, to: of(p.Host), rec: rec, rng: rand.New(rand.NewPCG(seed, uint64(n))), ctx: w.ctx, toks: toks}
			all.Go(func() {
				if n == 0 && seed%4 > 0 {
					c.does("make")
				}
				for range 20 {
					pass(time.Duration(1+c.rng.IntN(3)) * time.Millisecond)
					c.does(commandNames[c.rng.IntN(len(commandNames))])
				}
			})
		}
		all.Wait()
		w.store.decide(nil)
		pass(time.Second) // for what a broken host does later
		p.close()
		ops = rec.ops
	})
	return ops
}

// naive is what a session is to its callers. All of it can be compared, so that states that were reached by different ways are one.
type naive struct {
	phase    string // none, idle, running, stopped, retired, destroyed
	away     bool   // unregistered
	draining bool   // being unregistered
	stopping bool   // what runs ends in stopped
	retiring bool   // what runs ends in retired
	run      id.Run
	mine     id.Input // of the run; empty: none
	waiting  string   // the inputs that wait, each with a space behind it
	first    string   // every key that was used, with the input that used it
	place    string
	epoch    id.Epoch // empty: of this registration nobody has seen it
	former   string   // epochs of earlier ones
	taken    string   // stops and unregistrations that were taken and are not done, as their callers know it
}

func (s naive) waits() int { return strings.Count(s.waiting, " ") }

// over ends what runs.
func (s naive) over() naive {
	s.run, s.mine, s.phase = "", "", "idle"
	switch {
	case s.stopping:
		s.phase, s.waiting, s.place = "stopped", "", ""
	case s.retiring:
		if s.phase = "retired"; !s.draining { // nobody could carry it out
			s.waiting = ""
		}
	}
	s.stopping, s.retiring = false, false
	return s
}

// known returns the input that used a key first.
func (s naive) known(key string) (id.Input, bool) {
	for _, pair := range strings.Fields(s.first) {
		if k, in, _ := strings.Cut(pair, "="); k == key {
			return id.Input(in), true
		}
	}
	return "", false
}

// mark names what was taken and is not done.
func mark(kind string, n int) string { return fmt.Sprintf("%s%d ", kind, n) }

// closed says why a session takes nothing new in its phase; empty: it does.
func (s naive) closed() string {
	switch {
	case s.stopping:
		return "stopping"
	case s.retiring, s.phase == "retired":
		return "retired"
	case s.phase == "stopped", s.phase == "destroyed":
		return s.phase
	}
	return ""
}

// step returns the states in which a session may be after it gave this answer to this command; none: it cannot have.
func (s naive) step(a asks, t told) []naive {
	if t.why == "unregistered" && !strings.HasSuffix(a.what, " done") { // it was about to leave, or had just left
		return only(s, s.draining || s.away)
	}
	switch a.what {
	case "look":
		return s.look(t)
	case "make", "register":
		return s.register(a, t)
	case "destroy":
		return s.destroy(t)
	case "interrupt", "commit", "fail":
		return s.concludes(a, t)
	case "stop done", "unregister done":
		return s.done(a, t)
	case "stop perhaps", "unregister perhaps":
		a.what = strings.TrimSuffix(a.what, " perhaps")
		return append(s.step(a, t), s)
	}
	switch {
	case s.phase == "none" || s.away && a.what != "unregister":
		return only(s, t.why == "not found")
	case s.draining && a.what != "unregister":
		return only(s, t.why == "in progress")
	}
	switch a.what {
	case "submit", "prepare", "serve":
		return s.work(a, t)
	case "bind":
		return s.bind(a, t)
	case "stop", "unregister":
		return s.take(a, t)
	}
	return s.changes(a, t)
}

// only is the state, if the answer fits.
func only(s naive, fits bool) []naive {
	if !fits {
		return nil
	}
	return []naive{s}
}

// refused is the state as it was, if the answer is that refusal; sure is whether it had to be.
func refused(s naive, t told, must string) (_ []naive, sure bool) {
	if must == "" {
		return nil, t.why != ""
	}
	return only(s, t.why == must), true
}

func (s naive) look(t told) []naive {
	if s.phase == "none" {
		return only(s, t.why == "not found")
	}
	v := view{phase: s.phase, stopping: s.stopping, draining: s.draining, run: s.run, mine: s.mine, waiting: s.waiting, place: s.place, epoch: s.epoch}
	switch {
	case s.away:
		v.phase = "unregistered"
	case s.retiring:
		v.phase = "retired"
	}
	if s.epoch == "" && !strings.Contains(s.former, string(t.view.epoch)) { // R53: a new one
		s.epoch, v.epoch = t.view.epoch, t.view.epoch
	}
	return only(s, t.why == "" && t.view == v && v.epoch != "")
}

func (s naive) register(a asks, t told) []naive {
	must := ""
	switch {
	case s.phase == "none" && !a.profile:
		must = "not found"
	case s.draining:
		must = "in progress"
	case s.phase == "destroyed":
		must = "destroyed"
	case s.phase != "none" && a.profile:
		must = "exists"
	}
	if out, sure := refused(s, t, must); sure {
		return out
	}
	switch {
	case s.phase == "none":
		s.phase = "idle"
	case s.away:
		s.former += string(s.epoch) + " "
		s.away, s.epoch, s.place = false, "", ""
		if s.phase == "running" { // whoever was to carry it out cannot be told any more
			s = s.over()
		} else if s.phase == "stopped" {
			s.phase = "idle"
		}
	case s.phase == "stopped":
		s.phase = "idle"
	}
	return []naive{s}
}

func (s naive) destroy(t told) []naive {
	must := ""
	if s.phase == "none" {
		must = "not found"
	}
	if out, sure := refused(s, t, must); sure {
		return out
	}
	n := s.waits()
	if s.mine != "" {
		n++
	}
	if t.abandoned != n {
		return nil
	}
	s.phase, s.run, s.mine, s.waiting, s.place = "destroyed", "", "", "", ""
	s.away, s.draining, s.stopping, s.retiring = false, false, false, false
	return []naive{s}
}

// concludes are the ends of a run that its caller carries out, or somebody else cuts short.
func (s naive) concludes(a asks, t told) []naive {
	must := ""
	switch {
	case s.phase == "none" || s.away:
		return only(s, t.why == "not found" || a.what != "interrupt" && t.why == "not running")
	case s.phase == "destroyed" && a.what == "interrupt":
		must = "destroyed"
	case s.run == "":
		must = "not running"
	case s.run != a.run:
		must = "not current"
	}
	if out, sure := refused(s, t, must); sure {
		return out
	}
	return []naive{s.over()}
}

// work is what is given to a session to do.
func (s naive) work(a asks, t told) []naive {
	first, again := s.known(a.key)
	again = again && a.what != "serve"
	must := ""
	switch {
	case again && a.what == "prepare":
		must = "duplicate"
	case again:
		r := id.Run("")
		if first == s.mine {
			r = s.run
		}
		return only(s, t == told{input: first, run: r, duplicate: true})
	case s.closed() != "":
		must = s.closed()
	case a.what != "submit" && (s.phase != "idle" || s.waiting != ""):
		must = "busy"
	}
	if out, sure := refused(s, t, must); sure {
		return out
	}
	if t.duplicate || a.what != "serve" && t.input != a.input || (t.run == "") != (a.what == "submit") {
		return nil
	}
	if a.what != "serve" {
		s.first += a.key + "=" + string(a.input) + " "
	}
	switch a.what {
	case "submit":
		s.waiting += string(a.input) + " "
	case "prepare":
		s.phase, s.run, s.mine = "running", t.run, a.input
	case "serve":
		s.phase, s.run = "running", t.run
	}
	return []naive{s}
}

func (s naive) bind(a asks, t told) []naive {
	switch {
	case s.phase == "stopped" || s.phase == "destroyed":
		return only(s, t.why == s.phase)
	case s.epoch == "" && t.why == "stale epoch":
		return []naive{s}
	case s.epoch == "" && !strings.Contains(s.former, string(a.epoch)):
		s.epoch = a.epoch
	case s.epoch != a.epoch:
		return only(s, t.why == "stale epoch")
	}
	if s.place != "" && s.place != a.runtime {
		return only(s, t.why == "bound")
	}
	s.place = a.runtime
	return only(s, t.why == "")
}

// take is the first half of a stop or of an unregistration.
func (s naive) take(a asks, t told) []naive {
	must := ""
	switch {
	case s.away:
		must = "not found"
	case s.phase == "destroyed":
		must = "destroyed"
	}
	if out, sure := refused(s, t, must); sure {
		return out
	}
	switch {
	case a.what == "unregister": // also for whoever joins
		s.taken += mark("leave", a.token)
		s.draining = true
	case s.phase == "running":
		s.taken += mark("stop", a.token)
		s.stopping = true
	default:
		s.taken += mark("stop", a.token)
		s.phase, s.waiting, s.place = "stopped", "", ""
	}
	return []naive{s}
}

// done is the second half.
func (s naive) done(a asks, t told) []naive {
	if t.why != "" { // overtaken by whatever came meanwhile
		return only(s, t.why == "destroyed" && s.phase == "destroyed" || t.why == "unregistered" && (s.away || s.draining))
	}
	stop, leave, gone := mark("stop", a.token), mark("leave", a.token), mark("gone", a.token)
	switch {
	case strings.Contains(s.taken, stop):
		s.taken = strings.Replace(s.taken, stop, "", 1)
		return only(s, !s.stopping)
	case strings.Contains(s.taken, gone):
		s.taken = strings.Replace(s.taken, gone, "", 1)
		return []naive{s}
	case !strings.Contains(s.taken, leave) || !s.draining:
		return nil
	}
	s.taken = strings.ReplaceAll(strings.Replace(s.taken, leave, "", 1), "leave", "gone")
	s.away, s.draining, s.place = true, false, ""
	return []naive{s}
}

// changes are the commands that change the phase in one step.
func (s naive) changes(a asks, t told) []naive {
	must, n := "", s.waits()
	switch {
	case s.phase == "destroyed":
		must = "destroyed"
	case a.what == "retire" && s.stopping:
		must = "stopping"
	case a.what != "retire" && s.phase == "running":
		must = "not ready"
	case a.what != "retire" && s.phase == "stopped":
		must = "stopped"
	}
	if out, sure := refused(s, t, must); sure {
		return out
	}
	fits := false
	switch {
	case a.what == "reset":
		fits = t.abandoned == n
		s.phase, s.waiting, s.place = "idle", "", ""
	case a.what == "recycle":
		fits = t.pending == n
		s.phase, s.place = "idle", ""
	case s.retiring || s.phase == "retired": // retired again
		fits = t.abandoned == 0 && t.pending == 0
	case s.phase == "running":
		if s.retiring = true; s.mine != "" {
			n++
		}
		fits = t.pending == n && t.abandoned == 0
	default:
		fits = t.abandoned == n && t.pending == 0
		s.phase, s.waiting = "retired", ""
	}
	return only(s, fits)
}

// model puts it into the form in which it is checked.
func model() porcupine.Model {
	m := porcupine.NondeterministicModel{
		Init: func() []any { return []any{naive{phase: "none"}} },
		Step: func(state, input, output any) (next []any) {
			for _, s := range state.(naive).step(input.(asks), output.(told)) {
				next = append(next, s)
			}
			return next
		},
	}
	return m.ToModel()
}

// linear checks a history, and tells it if it has no order.
func linear(ops []porcupine.Operation) (porcupine.CheckResult, string) {
	result := porcupine.CheckOperationsTimeout(model(), ops, time.Minute)
	if result == porcupine.Ok {
		return result, ""
	}
	slices.SortFunc(ops, func(a, b porcupine.Operation) int { return int(a.Call - b.Call) })
	var out strings.Builder
	for _, o := range ops {
		fmt.Fprintf(&out, "%3d-%-3d caller %d %v: %v\n", o.Call, o.Return, o.ClientId, o.Input, o.Output)
	}
	return result, out.String()
}

// Scenario: S2, S112
func TestR126_commands_at_the_same_time_have_an_order_that_explains_all_answers(t *testing.T) {
	t.Parallel()
	most := *histories
	if testing.Short() {
		most /= 4
	}
	answers := map[string]int{}
	for seed := range most {
		ops := history(t, seed, func(h *runtime.Host) commander { return h })
		if result, text := linear(ops); result != porcupine.Ok {
			t.Fatalf("history %d is %s\n%s", seed, result, text)
		}
		for _, o := range ops {
			answers[o.Input.(asks).what+" "+o.Output.(told).why]++
		}
	}
	for _, what := range slices.Compact(slices.Sorted(slices.Values(commandNames))) {
		if !testing.Short() && answers[what+" "] == 0 {
			t.Errorf("%s was never carried out: %v", what, answers)
		}
	}
}

// The hosts that are broken on purpose.
type (
	hasty     struct{ *runtime.Host } // answers before it has done anything
	losing    struct{ *runtime.Host } // answers, and does nothing
	forgetful struct{ *runtime.Host } // takes a duplicate for news
	twofold   struct{ *runtime.Host } // does a thing once more, later
	harsh     struct{ *runtime.Host } // gives up what waits when it is only to let go of a session
	blurred   struct {                // shows what was seen before
		*runtime.Host
		mu   *sync.Mutex
		last *machine.State
	}
)

func (h hasty) Recycle(_ context.Context, s id.Session) (int, error) {
	later := context.Background()
	st, err := h.State(later, s)
	if err != nil || st.Phase() != "retired" {
		return h.Host.Recycle(later, s)
	}
	go func() {
		pass(2 * time.Millisecond)
		_, _ = h.Host.Recycle(later, s) // nobody is there any more who could be told
	}()
	return st.Inbox.Len(), nil
}

func (l losing) BindPlacement(ctx context.Context, s id.Session, e id.Epoch, p machine.Placement) error {
	if st, err := l.State(ctx, s); err == nil && st.Lifecycle.Epoch == e && st.Phase() == "idle" && st.Transient.Placement.Runtime == "" {
		return nil
	}
	return l.Host.BindPlacement(ctx, s, e, p)
}

func (f forgetful) AcceptWithCompletion(ctx context.Context, s id.Session, in runtime.Input) (machine.Verdict, *runtime.Completion, error) {
	v, c, err := f.Host.AcceptWithCompletion(ctx, s, in)
	if v.Duplicate {
		v = machine.Verdict{Input: in.ID}
	}
	return v, c, err
}

func (t twofold) Reset(ctx context.Context, s id.Session) (int, error) {
	n, err := t.Host.Reset(ctx, s)
	if err == nil {
		go func() {
			pass(2 * time.Millisecond)
			_, _ = t.Host.Reset(context.Background(), s) // what came meanwhile is given up as well
		}()
	}
	return n, err
}

func (x harsh) UnregisterSession(ctx context.Context, s id.Session) error {
	_, _ = x.Reset(ctx, s) // whether it worked shows in what waits
	return x.Host.UnregisterSession(ctx, s)
}

func (b blurred) State(ctx context.Context, s id.Session) (machine.State, error) {
	st, err := b.Host.State(ctx, s)
	b.mu.Lock()
	defer b.mu.Unlock()
	old := *b.last
	*b.last = st
	if err == nil && old.Version > 0 {
		st = old
	}
	return st, err
}

// A check that finds nothing wrong with a broken host would be worth nothing.
func TestR126_a_host_that_is_broken_on_purpose_is_found_out(t *testing.T) {
	for name, of := range map[string]func(*runtime.Host) commander{
		"it answers before it has done anything": func(h *runtime.Host) commander { return hasty{h} },
		"it answers and does nothing":            func(h *runtime.Host) commander { return losing{h} },
		"it takes a duplicate for news":          func(h *runtime.Host) commander { return forgetful{h} },
		"it does a thing twice":                  func(h *runtime.Host) commander { return twofold{h} },
		"it gives up what only had to wait":      func(h *runtime.Host) commander { return harsh{h} },
		"it shows what was, and not what is":     func(h *runtime.Host) commander { return blurred{h, new(sync.Mutex), new(machine.State)} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := range uint64(200) {
				if result, _ := linear(history(t, seed, of)); result == porcupine.Illegal {
					t.Logf("after %d histories", seed+1)
					return
				}
			}
			t.Fatal("nobody noticed")
		})
	}
}
