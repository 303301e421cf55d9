package runtime

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/store"
)

// rank orders the letters of one drain: facts first, then control, then the rest.
type rank uint8

const (
	outcomes rank = iota // something has happened, whatever else is decided
	control
	work
)

// letter is one thing told to a session.
type letter struct {
	rank   rank
	event  machine.Event // nil: only local, or only a look
	local  func()        // what belongs to this process; run by the drainer, before staging
	after  func(error)   // run by the drainer once the event was decided, before anything is handed out
	minted bool          // a Submit whose id was made for this call
	own    bool          // the runtime's own: never dropped with a failed commit
	answer chan<- answer // holds one; nil: nobody waits
}

type answer struct {
	verdict machine.Verdict
	state   machine.State // that the decision led to
	err     error
}

// session is one live session of this process.
type session struct {
	host *Host
	id   id.Session
	slot *slot

	snapshot  atomic.Pointer[machine.State] // for readers: what was committed last
	lease     atomic.Pointer[store.Lease]   // nil once the session is lost
	leaseEnds atomic.Pointer[time.Time]     // by the host's clock: nothing is handed out after it
	heldBack  atomic.Bool                   // something was not handed out because of it

	mu       sync.Mutex // guards mail and its two flags, nothing else
	mail     []*letter
	busy     bool          // a drainer is at work
	ended    error         // why no more mail is taken
	gone     chan struct{} // closed with it
	cleaning atomic.Bool   // the executor is cleaning up
	parting  *parting      // the unregistration that is under way

	waiters waiters
	changes changes
	watches watches

	// The rest belongs to the drainer.
	driver   *driver.Driver // nil once the session is lost
	executor executor.Executor
	edition  uint64 // of what the executor offers, as it was asked last
	live     *activation
	quiet    []*stopping        // wait until the stop is done, nothing is running, and the executor has cleaned up
	leaving  []chan<- error     // wait until nothing is running, because the session is being unregistered
	sending  map[id.Effect]bool // signals that are on their way
	held     []*letter          // our own letters that could not be written; they go before all others
	unsure   *attempt           // a commit whose outcome is to be looked up before anything else is staged
	failing  time.Time          // since when the store has refused what must not be dropped, again and again
	failed   time.Time          // when it did so last; zero: it has written since
	look     bool               // a letter is on its way that makes the drainer look again
	alarm    time.Time          // when the clock was last told to wake it; zero: not at all
	pursuing bool               // somebody sees to what is owed about models
}

// attempt is a commit whose outcome is unknown.
type attempt struct {
	staged  *driver.Staged
	answers []answer  // to the first letters of the mail
	left    []*letter // those before them that were answered as unknown: only what is to be done after them is left
	told    []answer  // that they would have got
}

// put gives the session a letter and sees to it that somebody reads it.
func (s *session) put(l *letter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return s.ended
	}
	if submits(l.event) && len(s.mail) >= s.host.config.Mailbox {
		return ErrOverloaded
	}
	s.mail = append(s.mail, l)
	if !s.busy {
		s.busy = true
		s.host.drainers.add()
		go s.drain()
	}
	return nil
}

// submits reports whether an event is an input, whatever it is told through.
func submits(ev machine.Event) bool {
	if h, ok := ev.(machine.Handled); ok {
		ev = h.Event
	}
	_, ok := ev.(machine.Submit)
	return ok
}

// ask gives the session a letter and waits for the answer. If ctx ends first the letter is not taken back.
func (s *session) ask(ctx context.Context, l *letter) (machine.Verdict, error) {
	a := s.await(ctx, l)
	return a.verdict, a.err
}

// await is ask with all of the answer.
func (s *session) await(ctx context.Context, l *letter) answer {
	if err := ctx.Err(); err != nil {
		return answer{err: err}
	}
	ch := make(chan answer, 1)
	l.answer = ch
	if err := s.put(l); err != nil {
		return answer{err: err}
	}
	select {
	case a := <-ch:
		return a
	case <-ctx.Done():
	}
	select {
	case a := <-ch: // the answer may be what ended ctx
		return a
	default:
		return answer{err: errors.Join(store.ErrUnknown, ctx.Err())}
	}
}

// take returns all waiting mail in the order it is to be read, or none and lets the drainer go.
func (s *session) take() []*letter {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.mail) == 0 {
		s.busy = false
		return nil
	}
	mail := s.mail
	s.mail = nil
	slices.SortStableFunc(mail, func(a, b *letter) int { return int(a.rank) - int(b.rank) })
	if fold := s.host.config.Fold; len(mail) > fold {
		s.mail = slices.Clone(mail[fold:])
		mail = mail[:fold]
	}
	return mail
}

func (s *session) drain() {
	defer s.host.drainers.done()
	for mail := s.take(); mail != nil; mail = s.take() {
		s.advance(mail)
	}
}

// advance does the four verbs for some mail: stage, commit, tell, reconcile.
func (s *session) advance(mail []*letter) {
	for _, l := range mail {
		if l.local != nil {
			l.local()
			l.local = nil
		}
	}
	mail, s.held = slices.Concat(s.held, s.reoffer(mail)), nil
	began := s.host.config.Now()
	for attempt := 1; ; attempt++ {
		if s.driver == nil { // the session has been lost
			s.answerAll(mail, s.reasonEnded())
			return
		}
		var err error
		mail, err = s.write(mail)
		switch {
		case err == nil && len(mail) == 0:
			return
		case err == nil: // the session was lost while some of it was told: the rest is answered above
		case errors.Is(err, store.ErrFenced):
			s.lose(ErrOwnedElsewhere, mail)
			return
		case attempt > s.host.config.Retries:
			s.storeFails(mail, err, began)
			return
		}
	}
}

// write settles what is unsure, then stages the letters and commits once. On an error the letters it returns are still to be written.
func (s *session) write(mail []*letter) ([]*letter, error) {
	if u := s.unsure; u != nil {
		told, written, err := u.staged.Confirm(s.host.ctx)
		if err != nil {
			return mail, err
		}
		s.unsure = nil
		if written {
			n := len(u.answers)
			s.failed = time.Time{}
			s.done(slices.Concat(u.left, mail[:n]), slices.Concat(u.told, u.answers), told)
			if mail = mail[n:]; len(mail) == 0 || s.driver == nil {
				return mail, nil
			}
		}
	}
	staged, answers, err := s.stage(mail)
	if err != nil {
		return mail, err
	}
	changed := staged.Changed()
	told, err := staged.Commit(s.host.ctx)
	switch {
	case errors.Is(err, store.ErrUnknown), errors.Is(err, store.ErrConflict):
		s.unsure = &attempt{staged: staged, answers: answers}
		return mail, err
	case err != nil:
		return mail, err
	case changed: // nothing written proves nothing
		s.failed = time.Time{}
	}
	s.done(mail, answers, told)
	return nil, nil
}

// stage takes the steps of the letters. A refusal answers its letter; any other error is the store's, and nothing of it counts.
func (s *session) stage(mail []*letter) (*driver.Staged, []answer, error) {
	staged := s.driver.Stage()
	answers := make([]answer, len(mail))
	for n, l := range mail {
		if l.event == nil {
			continue
		}
		c, err := staged.Step(s.host.ctx, s.host.config.Now(), l.event, l.minted)
		if err != nil && !refused(err) {
			return nil, nil, err
		}
		answers[n] = answer{c.Verdict, c.Next, err}
	}
	return staged, answers, nil
}

// refused reports whether an error is the answer to one letter, which no store could change.
func refused(err error) bool {
	var r *machine.Refusal
	return errors.As(err, &r) || errors.Is(err, driver.ErrEncode)
}

// done tells what is durable now, answers the letters it came from, and makes the world follow it.
func (s *session) done(mail []*letter, answers []answer, told driver.Told) {
	was, st := s.state(), s.driver.State()
	s.snapshot.Store(s.driver.Shared())
	s.host.config.Feed.Publish(s.id, told.Events...)
	s.waiters.resolve(told.Ended)
	s.watches.note(was, st, told)
	s.host.follow(s, st)
	s.waiters.suspend(st)
	for n, l := range mail {
		if l.after != nil {
			l.after(answers[n].err)
		}
	}
	for n, l := range mail {
		l.reply(answers[n])
	}
	if s.driver != nil {
		s.reconcile()
	}
}

func (l *letter) reply(a answer) {
	if l.answer != nil {
		l.answer <- a
	}
}

func (s *session) answerAll(mail []*letter, err error) {
	for _, l := range mail {
		l.reply(answer{err: err})
	}
}

// storeFails answers mail whose batch the store keeps refusing. Nothing of it is forgotten: letters of our own are held, to be written
// before anything else; a report's sender tries again. What may have been written is looked up later, whoever asks. If what must not
// be dropped is refused for Config.StoreGrace the session is closed in memory.
func (s *session) storeFails(mail []*letter, err error, began time.Time) {
	mayBe := s.mayBe()
	now, must := s.host.config.Now(), s.unsure != nil
	for _, l := range mail {
		_, report := l.event.(machine.Reported)
		must = must || report || l.own && l.event != nil
	}
	grace := s.host.config.StoreGrace
	if must {
		if began.Sub(s.failed) > grace+10*s.host.config.StorePause { // the failure before has nothing to do with this one
			s.failing = now
			s.host.config.Feed.Publish(s.id, event.Event{Session: s.id, Time: now,
				Payload: event.StoreFailing{Error: err.Error(), Patience: grace}})
		}
		s.failed = now
	}
	if must && now.Sub(s.failing) >= grace {
		s.lose(errors.Join(ErrStore, err), mail)
		return
	}
	var held []answer
	for n, l := range mail {
		switch {
		case l.own && l.event != nil:
			s.held = append(s.held, l)
			if n < mayBe {
				held = append(held, s.unsure.answers[n])
			}
		case n < mayBe:
			l.reply(answer{err: errors.Join(store.ErrUnknown, err)})
			s.unsure.left, s.unsure.told = append(s.unsure.left, &letter{after: l.after}), append(s.unsure.told, s.unsure.answers[n])
		default:
			l.reply(answer{err: err})
		}
	}
	if s.unsure != nil {
		s.unsure.answers = held
	}
	if (s.unsure != nil || len(s.held) > 0) && !s.look {
		s.look = true
		time.AfterFunc(s.host.config.StorePause, func() { s.own(func() { s.look = false }) })
	}
}

// mayBe returns how many of the first letters of the mail may have been written.
func (s *session) mayBe() int {
	if s.unsure == nil {
		return 0
	}
	return len(s.unsure.answers)
}

// lose ends the session in memory, at once: what is stored stays as it is, for whoever owns it now or loads it next.
func (s *session) lose(why error, mail []*letter) {
	if n := min(s.mayBe(), len(mail)); n > 0 {
		s.answerAll(mail[:n], errors.Join(store.ErrUnknown, why))
		mail = mail[n:]
	}
	s.driver, s.unsure = nil, nil
	if s.live != nil {
		s.live.cancel()
		s.host.linger(s.live)
	}
	s.host.remove(s.id, s.slot)
	s.answerAll(mail, why)
	s.end(why)
}

// end takes no more mail, and answers what is there.
func (s *session) end(why error) {
	s.mu.Lock()
	if s.ended != nil {
		s.mu.Unlock()
		return
	}
	s.ended = why
	rest := s.mail
	s.mail = nil
	s.mu.Unlock()
	close(s.gone)
	s.lease.Store(nil)
	s.host.forget(s)
	s.answerAll(rest, why)
	s.waiters.fail(why)
	s.watches.close(why)
}

func (s *session) reasonEnded() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}
