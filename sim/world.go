package sim

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/feed"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/memory"
)

var sessions = []id.Session{"00000000-0000-7000-8000-00000000000a", "00000000-0000-7000-8000-00000000000b"}

// patience is how long a history may take. What is not at rest then never will be.
const patience = time.Hour

// world is one history under way.
type world struct {
	plan   Plan
	began  time.Time
	disk   *memory.Store
	oracle oracle
	over   chan struct{} // closed when everything that hangs may go

	mu        sync.Mutex
	processes []*process // the last is the owner
	counts    map[string]int
	refuse    time.Time // until then the store refuses commits
	deaf      time.Time // until then leases are not renewed
	poison    map[string]bool
	forked    bool // the fork is there
	log       []line
	breaches  []string

	others    sync.WaitGroup // processes that start or end
	listeners sync.WaitGroup
}

// Play plays a history to its end, in the bubble it is called in.
func Play(ctx context.Context, plan Plan) Result {
	w := &world{plan: plan, began: time.Now(), disk: memory.New(), over: make(chan struct{}), counts: map[string]int{}, poison: map[string]bool{}}
	w.oracle.w = w
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	w.start(nil)
	for _, s := range sessions {
		w.register(ctx, s)
	}
	var clients sync.WaitGroup
	for n := range 3 + int(w.roll("clients")%6) {
		clients.Go(func() { w.client(ctx, n) })
	}
	for n := range int(w.roll("meddlers") % 6) {
		clients.Go(func() { w.meddle(ctx, n) })
	}
	for n := range int(w.roll("callers") % 3) {
		clients.Go(func() { w.caller(ctx, n) })
	}
	for n := range int(w.roll("orchestrators") % 3) {
		clients.Go(func() { w.place(ctx, n) })
	}
	if w.roll("amends")%3 == 0 {
		clients.Go(func() { w.amend(ctx) })
	}
	for n := range int(w.roll("informants") % 3) {
		clients.Go(func() { w.inform(ctx, n) })
	}
	if w.roll("forks")%3 == 0 {
		clients.Go(func() { w.fork(ctx) })
	}
	watching, unwatch := context.WithCancel(ctx)
	w.others.Go(func() { w.watch(watching) })
	clients.Wait()
	w.rest(ctx)
	unwatch()
	w.oracle.atRest()
	w.end()
	return Result{Breaches: w.breaches, Commits: w.counts["commit"], Effects: w.counts["effect"], Log: written(w.log)}
}

// line is one thing that happened.
type line struct {
	at   time.Duration
	text string
}

// written puts what happened at the very same time into an order of its own: there is no other.
func written(log []line) []string {
	slices.SortStableFunc(log, func(a, b line) int { return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.text, b.text)) })
	out := make([]string, len(log))
	for n, l := range log {
		out[n] = fmt.Sprintf("%12s  %s", l.at, l.text)
	}
	return out
}

func (w *world) note(format string, args ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.log = append(w.log, line{time.Since(w.began), fmt.Sprintf(format, args...)})
}

// breach notes that a rule was broken.
func (w *world) breach(rule, format string, args ...any) {
	text := rule + ": " + fmt.Sprintf(format, args...)
	w.note("BREACH %s", text)
	w.mu.Lock()
	defer w.mu.Unlock()
	w.breaches = append(w.breaches, text)
}

// fault counts a point and returns what goes wrong there; empty: nothing.
func (w *world) fault(at string) string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.counts[at]++
	for _, f := range w.plan.Faults {
		if f.At == at && f.N == w.counts[at] {
			return f.Kind
		}
	}
	return ""
}

// process is one process of the world: a host, its executor, and its own way to the disk.
type process struct {
	w    *world
	name string
	host *runtime.Host
	hub  *feed.Hub
	dead chan struct{} // closed when it has been killed
	kill func()
}

// start makes a new owner after p, unless there is one. Those before it are taken for gone, whether they are or not.
func (w *world) start(after *process) *process {
	w.mu.Lock()
	n := len(w.processes)
	if n > 0 && w.processes[n-1] != after {
		w.mu.Unlock()
		return nil
	}
	p := &process{w: w, name: fmt.Sprint("p", n), hub: &feed.Hub{}, dead: make(chan struct{})}
	p.kill = sync.OnceFunc(func() {
		close(p.dead)
		w.note("%s is killed", p.name)
		w.others.Go(func() { p.drop() })
	})
	p.host = runtime.New(runtime.Config{Store: &disk{Store: w.disk, w: w, p: p}, Feed: p.hub, Owner: store.Owner{ID: p.name, PID: 1000 + n},
		Executor: w.plan.Mutant.executor(&hands{w: w, p: p}), Signals: post{w, p}, Gone: func(o store.Owner) bool { return w.owner().name != o.ID },
		StoreGrace: 3 * time.Second, Grace: 2 * time.Second, Fold: 1 + int(w.roll("fold")%8)})
	w.processes = append(w.processes, p)
	w.mu.Unlock()
	for _, s := range everyone {
		heard := p.hub.Subscribe(s, 0)
		w.listeners.Go(func() { w.oracle.listen(p, s, heard) })
	}
	w.note("%s starts", p.name)
	return p
}

// owner is the process that is meant to own everything.
func (w *world) owner() *process {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.processes[len(w.processes)-1]
}

// succeed starts the next process after p, unless there is one. It goes on with what is unfinished.
func (w *world) succeed(p *process) {
	next := w.start(p)
	if next == nil {
		return
	}
	w.others.Go(func() {
		w.takes(100*time.Millisecond, "boot", next.name)
		rows, err := w.disk.Sessions(context.Background(), store.Query{Unfinished: true})
		for _, r := range rows {
			_, err = next.host.WakeSession(context.Background(), r.Session)
		}
		if err != nil {
			w.note("%s wakes what is unfinished: %v", next.name, err) // clients wake it again
		}
	})
}

func (p *process) isDead() bool {
	select {
	case <-p.dead:
		return true
	default:
		return false
	}
}

// drop lets the goroutines of a process that is no more end.
func (p *process) drop() {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if err := p.host.Close(ctx); err != nil && !errors.Is(err, context.Canceled) {
		p.w.note("%s: %v", p.name, err)
	}
	p.hub.Close()
}

func (w *world) register(ctx context.Context, s id.Session) {
	for n := 0; ctx.Err() == nil; n++ {
		p := w.owner()
		profile := w.profile(s)
		err := p.host.RegisterSession(ctx, s, runtime.Registration{Profile: &profile})
		if !p.isDead() && (err == nil || errors.Is(err, runtime.ErrExists)) {
			return
		}
		w.takes(time.Second, "register", s, n)
	}
}

// rest waits until nothing is under way and nothing waits.
func (w *world) rest(ctx context.Context) {
	if ctx.Err() != nil {
		w.breach("R51", "the clients were not answered in all the time there was")
		return
	}
	busy := ""
	for n := 0; ; n++ {
		before := busy
		busy = ""
		for _, s := range everyone {
			if !w.exists(s) {
				continue
			}
			st, err := driver.Reader{Store: w.disk}.State(ctx, s)
			if ctx.Err() != nil {
				break
			}
			if err != nil {
				w.breach("R29", "session %s cannot be read: %v", s, err)
				return
			}
			if w.resting(st) {
				continue
			}
			busy = fmt.Sprintf("session %s is %s, turn %s, %d inputs, open %v", s, st.Phase(), st.Turn.Phase, waking(st.Inbox), open(st))
			if st.Lifecycle.Phase == lifecycle.Stopped || st.Lifecycle.Away {
				_ = w.owner().host.RegisterSession(ctx, s, runtime.Registration{}) // tried again
			}
			if _, err := w.owner().host.WakeSession(ctx, s); err != nil {
				w.note("wake: %v", err)
			}
		}
		if ctx.Err() != nil {
			w.breach("R51", "nothing moves any more: %s", cmp.Or(busy, before))
			return
		}
		if busy == "" {
			return
		}
		w.takes(time.Second, "rest", n)
	}
}

// resting reports whether nothing is under way in a session, nothing waits but what may, and nobody is owed anything.
func (w *world) resting(st machine.State) bool {
	if st.Lifecycle.Away || st.Lifecycle.Phase == lifecycle.Stopped {
		return false
	}
	return st.Run() == "" && waking(st.Inbox) == 0 && st.Open.Len() == 0
}

func open(st machine.State) []string {
	var out []string
	for _, d := range st.Open.All() {
		out = append(out, fmt.Sprintf("%s %s/%d", d.Kind, d.ID, d.Attempt))
	}
	return out
}

// end closes everything: the owner in an orderly way, the rest as it is.
func (w *world) end() {
	close(w.over)
	w.others.Wait()
	for n, p := range w.processes {
		if n < len(w.processes)-1 {
			p.drop()
			continue
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
		if err := p.host.Close(ctx); err != nil {
			w.breach("R45", "the last process does not close: %v", err)
		}
		cancel()
		p.hub.Close()
	}
	w.others.Wait()
	w.listeners.Wait()
	time.Sleep(10 * time.Second) // whoever was given up comes back by then
}
