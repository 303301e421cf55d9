package runtime

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/feed"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/model"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/store"
)

// Config says what a host works with. Store, Owner and Feed are required; every other zero value means the default named with it.
type Config struct {
	Store    store.Store
	Feed     *feed.Hub
	Owner    store.Owner
	Executor executor.Executor      // attached to every session that is opened; nil: sessions wait for EnsureSessionWithExecutor
	Models   Models                 // what is known of models, and who makes clients for them; nil: sessions keep the model of their profile
	Signals  Signals                // who hears what became of a placed session; nil: nobody, and nobody is owed anything
	Gone     func(store.Owner) bool // has the holder of a lease certainly ended? nil: nobody knows
	Now      func() time.Time       // time.Now

	LeaseTTL   time.Duration // 10 s; renewed every 3/10 of it
	Grace      time.Duration // 5 s: how long a cancelled executor may take to let go
	Glance     time.Duration // 250 ms: how long Status and Probe may wait for the store
	StorePause time.Duration // 100 ms: between attempts at a store that refuses
	StoreGrace time.Duration // 15 s: how long the store may refuse what must not be dropped
	Retries    int           // 3: attempts at a failed commit before its letters are answered
	Mailbox    int           // 256: letters that may wait for one session before it takes no more submits
	Fold       int           // 64: letters in one commit

	Transcripts int64 // 64 MiB: decoded transcripts kept in memory, of all sessions together

	// Tend wakes sessions at rest when they want to be told the time, whoever left them: for a process that stays. Sessions that live in the host are
	// told it in any case.
	Tend bool
}

func (c Config) withDefaults() Config {
	set(&c.LeaseTTL, 10*time.Second)
	set(&c.Grace, 5*time.Second)
	set(&c.Glance, 250*time.Millisecond)
	set(&c.StorePause, 100*time.Millisecond)
	set(&c.StoreGrace, 15*time.Second)
	set(&c.Retries, 3)
	set(&c.Mailbox, 256)
	set(&c.Fold, 64)
	set(&c.Transcripts, 64<<20)
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.Gone == nil {
		c.Gone = func(store.Owner) bool { return false }
	}
	return c
}

func set[T comparable](v *T, to T) {
	var zero T
	if *v == zero {
		*v = to
	}
}

// Host keeps the sessions of one process going. All methods may be called concurrently.
type Host struct {
	config Config
	ctx    context.Context // of commits; ends last
	stop   context.CancelFunc
	work   context.Context // of activations
	halt   context.CancelFunc

	mu      sync.Mutex // guards the table, nothing else
	table   map[id.Session]*slot
	lingers map[id.Session][]*activation // executors of sessions that were lost, until they return
	closing atomic.Bool
	// settling: nothing new is handed out.
	settling atomic.Bool

	renewals    chan struct{} // closed when the renewer has ended; nil: it never ran
	clock       clock
	budget      driver.Budget
	attachments atomic.Uint64
	abandoned   atomic.Int64
	drainers    tally
	activations tally
	calls       tally // of foreign code other than executors at work, and who waits for them
}

// slot is a place in the table: opened once, for whoever came first.
type slot struct {
	ready   chan struct{}
	opening opening // what whoever came first wanted
	session *session
	err     error
}

// opening says what a session is opened for.
type opening uint8

const (
	existing  opening = iota // it must be registered
	returning                // it may have been unregistered
	creating                 // it need not exist
)

// New makes a host. It must be closed.
func New(c Config) *Host {
	h := &Host{config: c.withDefaults(), table: map[id.Session]*slot{}, lingers: map[id.Session][]*activation{}}
	h.budget.Max = h.config.Transcripts
	h.ctx, h.stop = context.WithCancel(context.Background())
	h.work, h.halt = context.WithCancel(h.ctx)
	if h.config.Tend {
		h.clock.mu.Lock()
		h.lookAt(h.config.Now())
		h.clock.mu.Unlock()
	}
	return h
}

// Abandoned returns how many executors were given up because they did not let go.
func (h *Host) Abandoned() int64 { return h.abandoned.Load() }

// open returns the live session, waking it if it is at rest: lease, load, decide about what an earlier process left open, attach.
func (h *Host) open(ctx context.Context, sid id.Session, o opening) (*session, error) {
	for {
		sl, err := h.place(sid, o)
		if err != nil {
			return nil, err
		}
		select {
		case <-sl.ready:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
		if o > sl.opening && errors.Is(sl.err, ErrNotFound) {
			continue // whoever came first only looked for it
		}
		return sl.session, sl.err
	}
}

// place returns the session's slot, in which it is live or being woken.
func (h *Host) place(sid id.Session, o opening) (*slot, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closing.Load() {
		return nil, ErrClosed
	}
	if sl := h.table[sid]; sl != nil {
		return sl, nil
	}
	sl := &slot{ready: make(chan struct{}), opening: o}
	h.table[sid] = sl
	h.startRenewing()
	h.drainers.add()
	go func() { // not the caller's: who else waits for it must not depend on the caller
		defer h.drainers.done()
		sl.session, sl.err = h.wake(sid, sl)
		if sl.err != nil {
			h.remove(sid, sl)
		}
		close(sl.ready)
		if sl.session != nil && h.ctx.Err() != nil {
			sl.session.end(ErrClosed) // Close gave up before it was ready
		}
	}()
	return sl, nil
}

func (h *Host) wake(sid id.Session, sl *slot) (*session, error) {
	if err := h.outwait(sid); err != nil {
		return nil, err
	}
	asked := h.config.Now()
	lease, err := h.acquire(sid, asked, sl.opening == creating)
	if err != nil {
		return nil, h.unrecovered(err)
	}
	d, err := driver.Open(h.ctx, h.config.Store, lease, &h.budget)
	if st := d.State; err == nil && (st().Version == 0 && sl.opening != creating || st().Lifecycle.Away && sl.opening == existing) {
		err = ErrNotFound
		if st().Lifecycle.Archived {
			err = ErrArchived
		}
	}
	if err != nil {
		return nil, errors.Join(h.unrecovered(err), h.config.Store.Release(h.ctx, lease))
	}
	s := &session{host: h, id: sid, slot: sl, driver: d, gone: make(chan struct{})}
	s.lease.Store(d.Held())
	s.holdUntil(asked.Add(h.config.LeaseTTL))
	s.snapshot.Store(d.Shared())
	if d.State().Version == 0 {
		return s, nil // RegisterSession goes on from here
	}
	if err := s.resume(h.ctx); err != nil {
		s.discard(err)
		return nil, h.unrecovered(err)
	}
	return s, nil
}

// linger remembers an executor that may still be at work on a session this process has lost, until it returns.
func (h *Host) linger(a *activation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	select {
	case <-a.done:
	default:
		h.lingers[a.session.id] = append(h.lingers[a.session.id], a)
	}
}

// unlinger forgets an executor that has returned.
func (h *Host) unlinger(a *activation) {
	h.mu.Lock()
	defer h.mu.Unlock()
	sid := a.session.id
	list := slices.DeleteFunc(h.lingers[sid], func(b *activation) bool { return a == b })
	if h.lingers[sid] = list; len(list) == 0 {
		delete(h.lingers, sid)
	}
}

// outwait waits until no executor of an earlier life is at work on the session, and gives up those that do not let go.
func (h *Host) outwait(sid id.Session) error {
	h.mu.Lock()
	list := h.lingers[sid]
	delete(h.lingers, sid)
	h.mu.Unlock()
	if len(list) == 0 {
		return nil
	}
	t := time.NewTimer(h.config.Grace)
	defer t.Stop()
	for n, a := range list {
		select {
		case <-a.done:
		case <-t.C:
			for _, a := range list[n:] {
				select {
				case <-a.done:
				default:
					a.giveUp()
				}
			}
			return nil
		case <-h.work.Done():
			return ErrClosed
		}
	}
	return nil
}

// discard takes a session out of memory that never got going, and gives its lease up.
func (s *session) discard(why error) {
	lease := s.lease.Load()
	s.host.remove(s.id, s.slot)
	s.end(why)
	if lease != nil {
		// If the lease cannot be given up now it runs out by itself.
		_ = s.host.config.Store.Release(s.host.ctx, *lease)
	}
}

// resume begins the session's life in this process: what an earlier one left open is decided about, and that is durable before anything can
// be handed out.
func (s *session) resume(ctx context.Context) error {
	opened := machine.Opened{Reason: "the process that carried the run out has ended"}
	l := &letter{rank: outcomes}
	if ex := s.host.config.Executor; ex != nil {
		a := s.attachment(ex, s.state().Profile)
		opened.Attachment, l.after = a.event.(machine.Attach).Attachment, a.after
	}
	l.event = opened
	if _, err := s.ask(ctx, l); err != nil {
		return err
	}
	if m := modelOf(s.state()); m.Phase != model.Unknown { // more may be known of it by now
		var no *machine.Refusal
		if err := s.hydrate(ctx); err != nil && !errors.As(err, &no) {
			return err
		}
	}
	return nil
}

// attachment is the letter that wires an executor in, unless there is one.
func (s *session) attachment(ex executor.Executor, profile *run.Profile) *letter {
	p, edition := ex.Profile(), editionOf(ex)
	l := &letter{rank: control, event: machine.Attach{Attachment: machine.Attachment{
		ID: s.host.attachments.Add(1), Grain: p.Grain, Class: p.Class, Catalogue: s.offer(ex, profile)}}}
	l.after = func(err error) {
		if err == nil {
			s.executor, s.edition = ex, edition
		}
	}
	return l
}

// acquire takes the lease, also from a holder that has certainly ended.
func (h *Host) acquire(sid id.Session, now time.Time, create bool) (store.Lease, error) {
	claim := store.Claim{Session: sid, Owner: h.config.Owner, Now: now, TTL: h.config.LeaseTTL, Create: create}
	lease, err := h.config.Store.Acquire(h.ctx, claim)
	var held *store.HeldError
	if errors.As(err, &held) && h.config.Gone(held.Lease.Owner) {
		claim.Break = held.Lease.Term
		lease, err = h.config.Store.Acquire(h.ctx, claim)
	}
	switch {
	case errors.Is(err, store.ErrNotFound):
		return lease, ErrNotFound
	case err != nil:
		return lease, fmt.Errorf("take over session %s: %w", sid, err)
	}
	return lease, nil
}

// resident returns the session if it is live in this process.
func (h *Host) resident(sid id.Session) *session {
	h.mu.Lock()
	sl := h.table[sid]
	h.mu.Unlock()
	if sl == nil {
		return nil
	}
	select {
	case <-sl.ready:
		return sl.session
	default:
		return nil
	}
}

// remove takes a session out of the table, whether it is ready or not. Another may have its place already.
func (h *Host) remove(sid id.Session, sl *slot) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.table[sid] == sl {
		delete(h.table, sid)
	}
}

func (h *Host) sessions() []*session {
	h.mu.Lock()
	defer h.mu.Unlock()
	var out []*session
	for _, sl := range h.table {
		select {
		case <-sl.ready:
			if sl.session != nil {
				out = append(out, sl.session)
			}
		default:
		}
	}
	return out
}

// startRenewing begins renewing leases; called with the table locked.
func (h *Host) startRenewing() {
	if h.renewals != nil {
		return
	}
	h.renewals = make(chan struct{})
	go func() {
		defer close(h.renewals)
		tick := time.NewTicker(h.config.LeaseTTL * 3 / 10)
		defer tick.Stop()
		for {
			select {
			case <-tick.C:
				h.renew()
			case <-h.work.Done():
				return
			}
		}
	}()
}

// renew moves the expiry of all leases in one statement. A failure is not the end: until the leases run out there are more attempts,
// and after that sessions hand nothing out.
func (h *Host) renew() {
	live := h.sessions()
	var leases []store.Lease
	of := map[id.Session]*session{}
	for _, s := range live {
		st := s.lease.Load()
		if st != nil {
			leases, of[s.id] = append(leases, *st), s
		}
	}
	if len(leases) == 0 {
		return
	}
	asked := h.config.Now()
	ctx, cancel := context.WithTimeout(h.ctx, h.config.LeaseTTL)
	defer cancel()
	lost, err := h.config.Store.Renew(ctx, h.config.Owner, asked, h.config.LeaseTTL, leases)
	if err != nil {
		return
	}
	for _, sid := range lost {
		s := of[sid]
		delete(of, sid)
		s.own(func() {
			if s.driver != nil {
				s.lose(ErrOwnedElsewhere, nil)
			}
		})
	}
	for _, s := range of {
		s.holdUntil(asked.Add(h.config.LeaseTTL))
		if s.heldBack.Swap(false) {
			s.own(func() { // here or in the iterator
				if s.live != nil {
					s.live.signal()
				}
			})
		}
	}
}

// Close lets go of everything in an orderly way: executors are cancelled and waited for, what is in the mailboxes is committed,
// leases are given up. Runs that are under way stay unfinished, for the next process. If ctx ends first the rest is dropped as if
// the process had died.
func (h *Host) Close(ctx context.Context) error {
	h.mu.Lock()
	if h.closing.Swap(true) {
		h.mu.Unlock()
		return nil
	}
	renewals := h.renewals
	h.mu.Unlock()
	h.stopClock()
	h.halt()
	idle := func() {
		h.drainers.wait() // one may have looked at closing before it was set, and put an executor to work
		h.activations.wait()
		h.calls.wait()
		h.drainers.wait()
		if renewals != nil {
			<-renewals
		}
	}
	err := within(ctx, idle)
	if err != nil {
		h.stop() // before looking: what is not ready yet sees it
	}
	var leases []store.Lease
	for _, s := range h.sessions() {
		if lease := s.lease.Load(); lease != nil {
			leases = append(leases, *lease)
		}
		s.end(ErrClosed)
	}
	if err == nil { // a letter may have come in between
		err = within(ctx, h.drainers.wait)
	}
	if err == nil {
		for _, l := range leases {
			err = errors.Join(err, h.config.Store.Release(h.ctx, l))
		}
	}
	h.stop()
	if err != nil {
		return fmt.Errorf("close host: %w", err)
	}
	return nil
}

// within waits for something until ctx ends.
func within(ctx context.Context, wait func()) error {
	done := make(chan struct{})
	go func() { defer close(done); wait() }()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
