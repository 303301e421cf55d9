package toolset

import (
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/scope"
)

func TestEach_rule_is_checked_R61_R62_R63_R64_R65_R66_R68_R69(t *testing.T) {
	t.Parallel()
	nobody := claims("a", scope.Witness{})
	for name, c := range map[string]struct {
		rule  string
		spoil func(*State)
	}{
		"active above the counter":   {"R62", func(s *State) { s.Active.Revision = 9 }},
		"staged above the counter":   {"R62", func(s *State) { s.Staged.Revision = 9 }},
		"a revision with two":        {"R62", func(s *State) { s.Staged.Restriction = Restriction{Filter: scope.Deny("c")} }},
		"a round of the future":      {"R61", func(s *State) { s.Round.Revision = 9 }},
		"a grant to nobody":          {"R64", func(s *State) { s.Active.Granted, s.Staged.Granted = nobody, nobody }},
		"a witness of nobody":        {"R63", func(s *State) { s.Inherited = Inherited{Restriction{scope.Deny("a"), nobody}, true} }},
		"a witness of no name":       {"R63", func(s *State) { s.Inherited = Inherited{Restriction{scope.Deny("b"), claims("a", source("s1"))}, true} }},
		"allowed and not restricted": {"R66", func(s *State) { s.Run, s.Overlay = "r1", scope.Overlay{Allowed: set("a"), Blocked: set("b")} }},
		"a dispatch context":         {"R66", func(s *State) { s.Run, s.Overlay = "r1", scope.Overlay{Blocked: set("b"), Dispatch: "d"} }},
		"an overlay of no run":       {"R66", func(s *State) { s.Overlay = scope.Overlay{Restricts: true} }},
		"a run without overlay":      {"R66", func(s *State) { s.Run = "r1" }},
		"a cause, and open":          {"R65", func(s *State) { s.Cause = "down" }},
		"failed, and offering":       {"R65", func(s *State) { s.Phase = FailedClosed }},
		"a capability of no model":   {"R68", func(s *State) { s.Capability = scope.Deny("a") }},
		"inherited and never set":    {"R69", func(s *State) { s.Inherited.Filter = scope.Deny("a") }},
	} {
		s := Boundary(must(t, State{}, filtering(abc, scope.Deny("b"))), abc)
		if err := Check(s); err != nil {
			t.Fatal(err)
		}
		c.spoil(&s)
		if err := Check(s); err == nil || !strings.HasPrefix(err.Error(), c.rule+": ") || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
