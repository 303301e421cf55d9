package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/inbox"
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
	maxWait  = 120 * time.Second // an input may wait so long while somebody could carry it out
	maxChurn = 2                 // so often an input may be begun and put back
)

// Probe looks at what waits and what runs of a session, live here or at rest, as it is committed now. Nothing of it is remembered from the last
// time.
func (h *Host) Probe(ctx context.Context, sid id.Session) Diagnosis {
	st, err := h.State(ctx, sid)
	if errors.Is(err, ErrNotFound) {
		return Diagnosis{Unreadable, []string{"no such session"}, err}
	}
	if err != nil {
		return Diagnosis{Unreadable, []string{"the session cannot be read"}, err}
	}
	return diagnose(st, h.config.Now())
}

func diagnose(st machine.State, now time.Time) Diagnosis {
	var d Diagnosis
	find := func(format string, args ...any) {
		d.Health, d.Reasons = Degraded, append(d.Reasons, fmt.Sprintf(format, args...))
	}
	if err := machine.Check(st); err != nil {
		find("a rule is broken: %v", err)
	}
	for i := range st.Inbox.All() {
		age := now.Sub(st.Updated)
		switch {
		case i.Phase == inbox.Queued && st.Run() == "" && st.Attached() && age > maxWait:
			find("input %s has waited for %v while an executor is idle", i.ID, age.Round(time.Second))
		case i.Phase == inbox.Staged && age > maxWait && st.Open.Len() > 0:
			find("run %s has not moved for %v", st.Run(), age.Round(time.Second))
		}
	}
	return d
}
