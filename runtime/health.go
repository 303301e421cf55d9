package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meerkat-go/meerkat/driver"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/inbox"
	"github.com/meerkat-go/meerkat/machine/lifecycle"
)

// Health is what a probe finds. The zero value is Healthy.
type Health uint8

// The findings. What cannot be read is not healthy.
const (
	Healthy Health = iota
	Degraded
	Unreadable
)

// String returns the public name.
func (h Health) String() string { return [...]string{"healthy", "degraded", "unreadable"}[h] }

// Diagnosis is a finding with its reasons.
type Diagnosis struct {
	Health  Health
	Reasons []string
	Error   error // Unreadable: what failed
}

// Bounds of a probe.
const (
	maxWait  = 120 * time.Second // work may be left so long while somebody could carry it out
	maxChurn = 2                 // so often an input may be begun and put back
)

// Probe looks at what waits and what runs of a session, live here or at rest, as it is committed now, within Config.Glance. Nothing of it is
// remembered from the last time. Times are counted from the last thing that happened in the session.
func (h *Host) Probe(ctx context.Context, sid id.Session) Diagnosis {
	st, err := h.glance(ctx, sid)
	var damage *driver.Damage
	switch {
	case errors.Is(err, ErrNotFound):
		return Diagnosis{Unreadable, []string{"no such session"}, err}
	case errors.As(err, &damage):
		d := Diagnosis{Health: Unreadable, Error: err}
		for _, f := range damage.Findings {
			d.Reasons = append(d.Reasons, f.Error())
		}
		return d
	case err != nil:
		return Diagnosis{Unreadable, []string{"the session cannot be read"}, err}
	}
	return diagnose(st, h.config.Now(), h.config.Executor != nil)
}

// diagnose looks for work that nobody does although somebody could. spare: an executor is attached as soon as the session is woken.
func diagnose(st machine.State, now time.Time, spare bool) Diagnosis {
	var d Diagnosis
	find := func(format string, args ...any) {
		d.Health, d.Reasons = Degraded, append(d.Reasons, fmt.Sprintf(format, args...))
	}
	if err := machine.Check(st); err != nil {
		find("a rule is broken: %v", err)
	}
	phase, left := st.Lifecycle.Phase, now.Sub(st.Updated)
	able := !st.Lifecycle.Away && (st.Attached() || spare) && (phase == lifecycle.Idle || phase == lifecycle.Retired)
	if n := st.Inbox.Driving(); n > 0 && able && left > maxWait {
		find("%d inputs have waited for %v while an executor is idle", n, left.Round(time.Second))
	}
	if phase == lifecycle.Running && !st.Lifecycle.Away && left > maxWait {
		find("run %s has not moved for %v", st.Run(), left.Round(time.Second))
	}
	for i := range st.Inbox.All() {
		if i.Phase == inbox.Queued && i.Attempts >= maxChurn {
			find("input %s was begun and put back %d times", i.ID, i.Attempts)
		}
	}
	return d
}
