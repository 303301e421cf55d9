package model

import (
	"errors"
	"fmt"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine/pmap"
)

// Check says what is wrong with a state between two steps: nil, or joined errors that each begin with the number of a rule of
// docs/rules.md. It is for tests, simulations and doctors; the tables do not need it.
func Check(s State) error {
	var f findings
	f.identity(s)
	f.switches(s)
	f.images(s.Routing)
	if s.Routing.Ends > 0 {
		f.ends(s.Routing)
	}
	return errors.Join(f...)
}

type findings []error

// want notes a breach of a rule unless ok.
func (f *findings) want(ok bool, rule, format string, args ...any) {
	if !ok {
		*f = append(*f, fmt.Errorf(rule+": "+format, args...))
	}
}

func (f *findings) identity(s State) {
	f.want(int(s.Phase) < len(phases) && int(s.Routing.Phase) < len(routingPhases), "R22", "phases %d and %d", s.Phase, s.Routing.Phase)
	f.want((s.Phase == Unknown) == (s.Identity.Model == ""), "R81", "phase %d with model %q", s.Phase, s.Identity.Model)
	f.want((s.Phase == Reconfiguring) == (s.Pending != nil), "R78", "phase %d, and a change of identity is pending: %v", s.Phase, s.Pending != nil)
	if s.Pending == nil {
		return
	}
	p := s.Pending
	f.want(p.Token != "", "R78", "a change of identity has no token")
	f.want(p.Previous == s.Current(), "R79", "change %s rests on %v, in force is %v", p.Token, p.Previous, s.Current())
	r := s.Routing
	own := r.Phase == Applying && r.current().Request == p.Request && r.current().Target.Model == p.Target.Identity.Model
	f.want(p.Request == "" || own, "R85", "change %s is for switch %q, under way is %q", p.Token, p.Request, r.current().Request)
}

func (f *findings) switches(s State) {
	r, sw := s.Routing, s.Routing.current()
	f.want((r.Phase == NoBaseline) == r.Baseline.IsZero(), "R83", "phase %s with baseline %v", r.Phase, r.Baseline)
	f.want(r.Phase != NoBaseline || r.Switch == nil && r.Images.Len() == 0, "R83", "something is under way without a baseline")
	under := r.Phase == PendingFinite || r.Phase == ActiveFinite || r.Phase == Applying
	f.want(under == (r.Switch != nil), "R85", "phase %s, and a switch is under way: %v", r.Phase, r.Switch != nil)
	if !under {
		return
	}
	f.want(sw.Request != "" && sw.Target.Model != "", "R85", "switch %q to %q", sw.Request, sw.Target.Model)
	f.want((sw.Runs == 0) == (r.Phase == Applying), "R85", "switch %s for %d runs in phase %s", sw.Request, sw.Runs, r.Phase)
	if r.Phase == ActiveFinite {
		f.want(sw.Left >= 1 && sw.Left <= sw.Runs, "R84", "switch %s has %d runs left of %d", sw.Request, sw.Left, sw.Runs)
	} else {
		f.want(sw.Left == 0, "R84", "switch %s is not in force and has %d runs left", sw.Request, sw.Left)
	}
	_, ended := r.SwitchEnd(sw.Request)
	f.want(!ended, "R86", "switch %s is under way and over", sw.Request)
}

func (f *findings) images(r Routing) {
	if r.Override != "" {
		i := r.image(r.Override)
		f.want(i.Phase == ScopedActive || i.Phase == Restoring, "R87", "%s overrides the model in phase %d", r.Override, i.Phase)
	}
	for name, i := range r.Images.All() {
		own := r.Override == string(name)
		f.want(i.Target.Model != "", "R87", "picture %s has no model", name)
		switch i.Phase {
		case PlanResolved:
			f.want(!own && i.Terminal == "" && i.Payload == "", "R87", "picture %s is planned and has begun", name)
		case ScopedActive:
			f.want(own && i.Scoped && i.Terminal == "" && i.Payload == "", "R87", "picture %s is active without its override", name)
		case Restoring:
			f.want(own && i.Scoped && i.Terminal.Outcome(), "R87", "picture %s is made without its override", name)
		default:
			f.want(false, "R87", "picture %s is in phase %d", name, i.Phase)
		}
		_, ended := r.ImageEnd(string(name))
		f.want(!ended, "R86", "picture %s is under way and over", name)
	}
}

func (f *findings) ends(r Routing) {
	requests, answers, pictures := map[string]bool{}, map[string]bool{}, map[string]bool{}
	f.want(last(r.Switches) <= r.Ends && last(r.Approvals) <= r.Ends && last(r.Pictures) <= r.Ends, "R86", "ends beyond number %d", r.Ends)
	for n, end := range r.Switches.All() {
		f.want(!requests[end.Request], "R86", "switch %s ended twice", end.Request)
		f.want(end.Request != "" && end.Terminal != "" && (end.Terminal == "denied") == (end.Denial != ""), "R86", "end %d of a switch: %v", n, end)
		requests[end.Request] = true
	}
	for n, end := range r.Approvals.All() {
		key := string(end.Parent) + " " + end.ID
		f.want(!answers[key], "R86", "approval of %s decided twice", key)
		f.want(end.ID != "" && end.Parent != "", "R86", "approval %d: %v", n, end)
		answers[key] = true
	}
	for n, end := range r.Pictures.All() {
		f.want(!pictures[end.Operation], "R86", "picture %s ended twice", end.Operation)
		f.want(end.Operation != "" && end.Terminal != "" && (end.Terminal == "denied") == (end.Denial != ""), "R86", "end %d of a picture: %v", n, end)
		pictures[end.Operation] = true
	}
	f.want(len(requests) <= Keep && len(answers) <= Keep && len(pictures) <= Keep, "R86",
		"%d switches, %d approvals and %d pictures are kept", len(requests), len(answers), len(pictures))
}

// last returns the highest number among ends.
func last[V any](ends pmap.Map[id.Seq, V]) (n id.Seq) {
	for n = range ends.All() {
	}
	return n
}
