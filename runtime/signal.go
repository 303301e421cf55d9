package runtime

import (
	"context"
	"maps"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/run"
)

// Signals is whoever places sessions and wants to know what becomes of them there. A signal that is not taken is told again until it is, also
// by another process: it may come twice. It is called outside all locks and may call the host.
type Signals interface {
	Signal(ctx context.Context, s id.Session, sig run.Signal) error
}

// signal sends what is owed and not on its way. The drainer's.
func (s *session) signal(st machine.State) {
	maps.DeleteFunc(s.sending, func(eff id.Effect, _ bool) bool { // what was taken is not on its way any more
		_, open := st.Open.Get(eff)
		return !open
	})
	for eff, d := range st.Open.All() {
		if d.Kind != run.Deliver || s.sending[eff] || s.host.closing.Load() {
			continue
		}
		if s.sending == nil {
			s.sending = map[id.Effect]bool{}
		}
		s.sending[eff] = true
		s.host.calls.add()
		go func() {
			defer s.host.calls.done()
			s.send(d)
		}()
	}
}

// send tells a signal until it is taken, or this process lets the session go.
func (s *session) send(d run.Directive) {
	to, pause := s.host.config.Signals, s.host.config.StorePause
	for to != nil {
		err := s.host.bounded(func(ctx context.Context) error { return to.Signal(ctx, s.id, d.Signal) })
		if err == nil {
			break
		}
		select {
		case <-time.After(pause):
			pause = min(2*pause, s.host.config.LeaseTTL)
		case <-s.gone:
			return
		case <-s.host.work.Done():
			return
		}
	}
	l := &letter{rank: outcomes, own: true, event: machine.Reported{Report: run.Delivered{ID: d.ID}}}
	// A session that takes no mail any more has left this process, and the next one tells the signal again.
	_ = s.put(l)
}
