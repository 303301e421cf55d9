package toolset

import (
	"errors"
	"fmt"

	"github.com/meerkat-go/meerkat/scope"
)

// Check says what is wrong with a state: nil, or joined errors that each begin with the number of a rule of docs/rules.md.
func Check(s State) error {
	var f findings
	a, st := s.Active, s.Staged
	f.want(a.Revision <= s.Next && st.Revision <= s.Next, "R62", "revisions %d and %d above the counter %d", a.Revision, st.Revision, s.Next)
	f.want(a.Revision != st.Revision || a.same(st), "R62", "revision %d means %v and %v", a.Revision, a, st)
	f.want(s.Round.Revision <= a.Revision, "R61", "the round is of revision %d while %d is in force", s.Round.Revision, a.Revision)
	f.want(named(a.Granted, unproven).IsZero() && named(st.Granted, unproven).IsZero(), "R64", "granted without a provenance: %v and %v", a.Granted, st.Granted)
	for _, r := range []Restriction{a.Restriction, st.Restriction, s.Inherited.Restriction} {
		f.want(named(r.Witnesses, unidentified).IsZero(), "R63", "witnesses that say nothing: %v", named(r.Witnesses, unidentified))
		f.want(r.Witnesses.Names().Without(r.Filter.Names()).IsZero(), "R63", "witnesses of names that no filter mentions: %v", r.Witnesses.Names())
	}
	f.overlay(s)
	f.want((s.Phase == FailedClosed) || s.Cause == "", "R65", "open, and the cause of a failure is %q", s.Cause)
	f.want(s.Phase == Open || s.Round.Visible.Len() == 0, "R65", "failed closed, and %d tools are offered", s.Round.Visible.Len())
	f.want(s.Capability.Equal(CapabilityBaseFilter(true)) || s.Capability.Equal(CapabilityBaseFilter(false)), "R68", "capability filter %v", s.Capability)
	f.want(s.Inherited.Set || s.Inherited == Inherited{}, "R69", "inherited %v and never set", s.Inherited)
	return errors.Join(f...)
}

type findings []error

// want notes a breach of a rule unless ok.
func (f *findings) want(ok bool, rule, format string, args ...any) {
	if !ok {
		*f = append(*f, fmt.Errorf(rule+": "+format, args...))
	}
}

func (f *findings) overlay(s State) {
	o := s.Overlay
	f.want(o.Restricts || o.Allowed == scope.Names{}, "R66", "allowed %v without restricting", o.Allowed)
	f.want(o.Dispatch == "", "R66", "what is for the runtime alone is kept")
	f.want(o.IsZero() == (s.Run == ""), "R66", "overlay %v of run %q", o, s.Run)
}
