package runtime

import (
	"context"
	"fmt"
)

// Settle hands nothing more to executors, in any session, and returns when what they were given is answered. A run that has more to do stays as it is,
// durable, for the next process; commands still work, and what they accept is kept. Close is to follow. If ctx ends first, executors are still at work.
func (h *Host) Settle(ctx context.Context) error {
	h.settling.Store(true)
	h.stopClock()
	for _, s := range h.sessions() {
		s.own(func() {}) // so that it looks
	}
	if err := within(ctx, h.activations.wait); err != nil {
		return fmt.Errorf("wait until runs are at rest: %w", err)
	}
	return nil
}

// rest lets an executor go that has answered all it was given, while the host settles.
func (s *session) rest() {
	if s.live == nil {
		return
	}
	for eff := range s.driver.State().Open.All() {
		if s.live.given[eff] > 0 {
			return
		}
	}
	s.live.end()
}
