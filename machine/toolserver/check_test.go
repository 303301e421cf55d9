package toolserver

import (
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/machine/pmap"
)

// rich has a server in each phase, calls, and intents.
func rich(t *testing.T) State {
	x := &session{t: t, now: zero}
	for _, name := range []string{"gone", "going", "on", "failed"} {
		x.adds(name)
	}
	x.does(Event{Kind: CallStarted, Server: "going"})
	x.does(Event{Kind: CallStarted, Server: "on"})
	x.does(Event{Kind: StageReload, Server: "on"})
	x.boundary()
	x.does(succeeded(x.owes()))
	for _, name := range []string{"gone", "going"} {
		x.does(Event{Kind: StageRemove, Server: name})
	}
	x.does(Event{Kind: StageAdd, Server: "on"})
	x.boundary()
	x.does(Event{Kind: FinalizeClean, Server: "gone"})
	x.does(Event{Kind: Lost, Server: "failed", Generation: x.s.Get("failed").Generation})
	x.does(Event{Kind: StageReload, Server: "failed"})
	x.does(Event{Kind: StageAdd, Server: "new"})
	return x.s
}

func TestR70_to_R77_a_state_that_breaks_a_rule_is_named_by_it(t *testing.T) {
	t.Parallel()
	good := rich(t)
	server := func(name string, spoil func(*Server)) State {
		s := good
		v := s.Get(name)
		spoil(&v)
		s.Servers = s.Servers.Set(pmap.Name(name), &v)
		return s
	}
	load := func(c Conn, l Load) State {
		s := good
		s.Transient.Calls = s.Transient.Calls.Set(c, l)
		return s
	}
	aligned, backwards, closed, nowhere := good, good, good, good
	nowhere.Phase = 77
	aligned.Transient.Aligned = good.Epoch + 1
	backwards.Timeout = -1
	closed.Phase = Closed
	on := good.Get("on")
	for what, c := range map[string]struct {
		rule string
		s    State
	}{
		"an intent without a number":         {"R70", server("new", func(v *Server) { v.Staged.Seq = 0 })},
		"an intent from the future":          {"R70", server("new", func(v *Server) { v.Staged.Seq = good.LastStage + 1 })},
		"two intents of one number":          {"R70", server("new", func(v *Server) { v.Staged.Seq = good.Get("failed").Staged.Seq })},
		"an intent after a shutdown":         {"R70", closed},
		"a reload of what is not active":     {"R70", server("new", func(v *Server) { v.Staged.Op = Reload })},
		"a connect without a task":           {"R71", server("on", func(v *Server) { v.Pending.Task = 0 })},
		"a connect without a lineage":        {"R71", server("on", func(v *Server) { v.Pending.Lineage = 0 })},
		"a connect to remove":                {"R71", server("on", func(v *Server) { v.Pending.Op = Remove })},
		"a connect of what is removed":       {"R71", server("gone", func(v *Server) { v.Pending = on.Pending })},
		"a connect before the connection":    {"R71", server("on", func(v *Server) { v.Pending.Task = 1 })},
		"an active one without connection":   {"R74", server("on", func(v *Server) { v.Generation = 0 })},
		"a connection from the future":       {"R74", server("on", func(v *Server) { v.Generation = good.LastTask + 1 })},
		"an active one that is not kept":     {"R76", server("on", func(v *Server) { v.Keep = false })},
		"a removed one that is kept":         {"R76", server("gone", func(v *Server) { v.Keep = true })},
		"a removal without its times":        {"R72", server("going", func(v *Server) { v.Drain = Drain{} })},
		"a removal that ends before":         {"R72", server("going", func(v *Server) { v.Drain.Until = v.Drain.Since.Add(-1) })},
		"a negative timeout":                 {"R72", backwards},
		"a lost one that is not connected":   {"R75", server("new", func(v *Server) { v.Outage.Lost = true })},
		"tries while connected":              {"R75", server("on", func(v *Server) { v.Outage.Tries = 1 })},
		"a delta without operation":          {"R75", server("on", func(v *Server) { v.Delta.Op = None })},
		"a delta from the future":            {"R75", server("on", func(v *Server) { v.Delta.Epoch = good.Epoch + 1 })},
		"two deltas of one epoch":            {"R75", server("on", func(v *Server) { v.Delta.Epoch = good.Get("gone").Delta.Epoch })},
		"a failure without a cause":          {"R75", server("failed", func(v *Server) { v.Delta.Cause = "" })},
		"an active one told to be drained":   {"R75", server("on", func(v *Server) { v.Delta.Phase = DeltaDraining })},
		"a removed one told to be added":     {"R75", server("gone", func(v *Server) { v.Delta.Op = Add })},
		"aligned with what is to come":       {"R75", aligned},
		"a place that was never given":       {"R77", server("on", func(v *Server) { v.Order = 0 })},
		"two in one place":                   {"R77", server("on", func(v *Server) { v.Order = 1 })},
		"a phase that is none":               {"R22", nowhere},
		"a server in no phase":               {"R22", server("on", func(v *Server) { v.Base = 77 })},
		"an operation that is none":          {"R22", server("on", func(v *Server) { v.Pending.Op = 77 })},
		"a delta of no phase":                {"R22", server("on", func(v *Server) { v.Delta.Phase = 77 })},
		"no call on a connection":            {"R73", load(Conn{"on", on.Generation}, Load{})},
		"a call on what is removed":          {"R73", load(Conn{"gone", 1}, Load{Running: 1})},
		"a call on what is to come":          {"R73", load(Conn{"on", on.Generation + 1}, Load{Running: 1, Until: zero})},
		"a replaced connection without end":  {"R74", load(Conn{"on", 3}, Load{Running: 1})},
		"the present connection with an end": {"R74", load(Conn{"on", on.Generation}, Load{Running: 1, Until: zero})},
	} {
		if err := Check(c.s); err == nil || !strings.HasPrefix(err.Error(), c.rule) && !strings.Contains(err.Error(), "\n"+c.rule) {
			t.Errorf("%s: %v, want %s", what, err, c.rule)
		}
	}
}
