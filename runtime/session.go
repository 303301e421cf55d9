package runtime

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/fsm"
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
	minted bool          // a Submit whose id was made for this call
	staged bool          // was part of a batch whose outcome is unknown: "duplicate" may mean itself
	own    bool          // the runtime's own: never dropped with a failed commit
	answer chan<- answer // holds one; nil: nobody waits
}

type answer struct {
	verdict machine.Verdict
	err     error
}

// session is one live session of this process.
type session struct {
	host *Host
	id   id.Session

	snapshot atomic.Pointer[machine.State] // for readers: what was committed last

	mu    sync.Mutex // guards mail and its two flags, nothing else
	mail  []*letter
	busy  bool  // a drainer is at work
	ended error // why no more mail is taken

	lease atomic.Pointer[store.Lease] // nil once the session is lost

	waiters waiters

	// The rest belongs to the drainer.
	driver    *driver.Driver
	executor  executor.Executor
	live      *activation
	quiet     []chan<- struct{} // wait until nothing is running and the session is stopped
	failing   time.Time         // since when the store has refused what must not be dropped
	leaseEnds atomic.Int64      // unix nanoseconds, host clock: nothing is handed out after it
}

// put gives the session a letter and sees to it that somebody reads it.
func (s *session) put(l *letter) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != nil {
		return s.ended
	}
	if _, submit := l.event.(machine.Submit); submit && len(s.mail) >= s.host.config.Mailbox {
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

// ask gives the session a letter and waits for the answer. If ctx ends first the letter is not taken back.
func (s *session) ask(ctx context.Context, l *letter) (machine.Verdict, error) {
	ch := make(chan answer, 1)
	l.answer = ch
	if err := s.put(l); err != nil {
		return machine.Verdict{}, err
	}
	select {
	case a := <-ch:
		return a.verdict, a.err
	case <-ctx.Done():
		return machine.Verdict{}, errors.Join(store.ErrUnknown, ctx.Err())
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
	for attempt := 1; ; attempt++ {
		if s.driver == nil { // the session has been lost
			s.answerAll(mail, s.reasonEnded())
			return
		}
		answers, told, err := s.try(mail)
		switch {
		case err == nil:
			s.failing = time.Time{}
			s.publish(told)
			s.reconcile()
			for n, l := range mail {
				l.reply(answers[n])
			}
			return
		case errors.Is(err, store.ErrFenced):
			s.lose(ErrOwnedElsewhere, mail)
			return
		case errors.Is(err, store.ErrUnknown), errors.Is(err, store.ErrConflict):
			for _, l := range mail {
				l.staged, l.minted = true, false
			}
			if attempt <= s.host.config.Retries {
				err = s.driver.Reload(s.host.ctx)
			}
		}
		if err != nil && attempt > s.host.config.Retries {
			s.storeFails(mail, err)
			return
		}
	}
}

// try stages the letters and commits once. On an error nothing of it counts.
func (s *session) try(mail []*letter) ([]answer, driver.Told, error) {
	staged := s.driver.Stage()
	answers := make([]answer, len(mail))
	for n, l := range mail {
		if l.event == nil {
			continue
		}
		c, err := staged.Step(s.host.ctx, s.host.config.Now(), l.event, l.minted)
		var refusal *machine.Refusal
		if err != nil && !errors.As(err, &refusal) {
			return nil, driver.Told{}, err
		}
		answers[n] = answer{c.Verdict, err}
		if l.staged {
			answers[n] = again(answers[n])
		}
	}
	told, err := staged.Commit(s.host.ctx)
	return answers, told, err
}

// again reads the answer to a letter that may have been written the first time: what says that it was done already is success.
func again(a answer) answer {
	a.verdict.Duplicate = false
	if errors.Is(a.err, fsm.ErrStale) {
		a.err = nil
	}
	return a
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

func (s *session) publish(told driver.Told) {
	st := s.driver.State()
	s.snapshot.Store(&st)
	s.host.config.Feed.Publish(s.id, told.Events...)
	s.waiters.resolve(told.Ended)
}

// storeFails answers mail whose batch the store keeps refusing. Nothing of it is durable, and nothing of it is forgotten: letters of
// our own go back into the mailbox; a report's sender tries again. After Config.StoreGrace the session is closed in memory.
func (s *session) storeFails(mail []*letter, err error) {
	now := s.host.config.Now()
	if s.failing.IsZero() {
		s.failing = now
	}
	if now.Sub(s.failing) >= s.host.config.StoreGrace {
		s.lose(errors.Join(ErrStore, err), mail)
		return
	}
	var kept []*letter
	for _, l := range mail {
		if l.own {
			kept = append(kept, l)
			continue
		}
		l.reply(answer{err: err})
	}
	if len(kept) > 0 {
		time.AfterFunc(s.host.config.StorePause, func() {
			for _, l := range kept {
				if err := s.put(l); err != nil {
					l.reply(answer{err: err})
				}
			}
		})
	}
}

// lose ends the session in memory, at once: what is stored stays as it is, for whoever owns it now or loads it next.
func (s *session) lose(why error, mail []*letter) {
	s.driver = nil
	if s.live != nil {
		s.live.cancel()
	}
	s.host.forget(s)
	s.answerAll(mail, why)
	s.end(why)
	s.tellQuiet()
}

// end takes no more mail, and answers what is there.
func (s *session) end(why error) {
	s.mu.Lock()
	s.ended = why
	rest := s.mail
	s.mail = nil
	s.mu.Unlock()
	s.lease.Store(nil)
	s.answerAll(rest, why)
	s.waiters.fail(why)
}

// tellQuiet answers those who wait for a stopped session to have nothing running.
func (s *session) tellQuiet() {
	for _, ch := range s.quiet {
		close(ch)
	}
	s.quiet = nil
}

func (s *session) reasonEnded() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}
