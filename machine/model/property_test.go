package model_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"

	"pgregory.net/rapid"

	gocmp "github.com/google/go-cmp/cmp"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/machine/model"
)

// plain says in the plainest way what the region should do. It has no phases and no tables: it keeps what a reader of the docs would
// note down on paper.
type plain struct {
	id      identity.Target
	status  identity.Status
	change  *model.Pending
	done    identity.Token
	base    identity.Route
	sw      *model.Switch
	inForce bool
	images  map[string]model.Image
	top     string // the picture that overrides
	ends    []any
	rises   uint64
	filter  identity.CapabilityFilter
	rev     model.Revisions
}

func (p *plain) effective() identity.Route {
	switch {
	case p.top != "":
		return p.images[p.top].Target
	case p.inForce:
		return p.sw.Target
	case p.base.Model != "":
		return p.base
	}
	return to(p.id)
}

func (p *plain) used(id string) bool {
	_, busy := p.images[id]
	return busy || p.sw != nil && p.sw.Request == id || slices.ContainsFunc(p.ends, func(end any) bool {
		switch end := end.(type) {
		case identity.SwitchEnd:
			return end.Request == id
		case identity.ImageEnd:
			return end.Operation == id
		}
		return false
	})
}

func (p *plain) setBase(r identity.Route) {
	if p.base != r {
		p.base, p.rises = r, p.rises+1
	}
}

func (p *plain) endSwitch(end identity.SwitchEnd) {
	if p.sw != nil && p.sw.Request == end.Request {
		p.sw, p.inForce = nil, false
	}
	p.ends = append(p.ends, end)
}

func (p *plain) become(t identity.Target, request string) {
	switch {
	case request != "":
		sw := *p.sw
		p.setBase(sw.Target)
		p.endSwitch(identity.SwitchEnd{Request: request, Target: sw.Target, Terminal: identity.PersistentReconfigureApplied})
	case p.base.Model != "" && p.base.Model == p.id.Identity.Model:
		p.setBase(to(t))
	}
	p.id, p.status, p.filter = t, identity.Resolved, t.Surface.Filter()
}

// bump is what happens to the revisions of the tools when other tools are offered.
func (p *plain) bump(f model.Tools) {
	if f.Before != f.After {
		pending := p.rev.Staged > p.rev.Active
		p.rev.Active = max(p.rev.Active, p.rev.Staged) + 1
		p.rev.Staged = p.rev.Active
		if pending {
			p.rev.Staged++
		}
	}
}

// tell reports whether an event of the identity is accepted. The facts are those that the world filled in.
func (p *plain) tell(e model.Event, f model.Tools) bool {
	current := model.Compared{Identity: p.id.Identity, Surface: p.id.Surface, Status: p.status, Filter: p.filter}
	switch e.Kind {
	case model.Hydrate:
		if p.change != nil || e.Target.Identity.Model == "" || e.Status == "" {
			return false
		}
		p.become(e.Target, "")
		p.status = e.Status
	case model.Begin:
		switch waits := p.sw != nil && !p.inForce; {
		case p.change != nil:
			return e.Token != "" && e.Token == p.change.Token
		case e.Token == "" || p.status == "" || e.Target.Identity.Model == "" || e.Previous != current:
			return false
		case waits && (p.sw.Runs > 0 || p.sw.Request != e.Request || p.sw.Target.Model != e.Target.Identity.Model), !waits && e.Request != "":
			return false
		case e.Target == p.id && p.status == identity.Resolved:
			if e.Request != "" {
				p.become(e.Target, e.Request)
			}
			return true
		}
		p.change = &model.Pending{Token: e.Token, Request: e.Request, Previous: e.Previous, Target: e.Target}
	case model.Commit:
		if c := p.change; c != nil && c.Token == e.Token {
			p.change, p.done = nil, e.Token
			p.bump(f)
			p.become(c.Target, c.Request)
			return true
		}
		return e.Token != "" && e.Token == p.done
	case model.Abort:
		if c := p.change; c != nil && c.Token == e.Token {
			p.change = nil
			if c.Request != "" {
				p.endSwitch(identity.SwitchEnd{Request: c.Request, Target: p.sw.Target, Terminal: identity.SwitchDenied, Denial: identity.ReconfigureFailed})
			}
		}
	case model.StickyFallback:
		if p.change != nil || p.status == "" || !e.Recovering || e.Attempt != e.CurrentAttempt || e.Previous != current || e.Seen != p.rev ||
			e.Target.Identity.Model == "" || e.Route.Model != e.Target.Identity.Model || e.Profile.Model != e.Target.Identity.Model {
			return false
		}
		p.bump(f)
		p.id, p.status, p.filter, p.base, p.rises = e.Target, identity.Resolved, e.Target.Surface.Filter(), e.Route, p.rises+1
	}
	return true
}

// route reports whether an event of routing is accepted.
func (p *plain) route(e model.RoutingEvent) bool {
	switch e.Kind {
	case model.SetBaseline:
		if e.Target.Model == "" {
			return false
		}
		p.setBase(e.Target)
		return true
	case model.RequestFinite, model.RequestUntilChanged:
		return p.request(e)
	case model.CompleteUntilChanged, model.AbortUntilChanged:
		if p.sw == nil || p.sw.Runs > 0 || p.sw.Request != e.Request || p.change != nil && p.change.Request == e.Request {
			return false
		}
		if end := (identity.SwitchEnd{Request: e.Request, Target: p.sw.Target}); e.Kind == model.AbortUntilChanged {
			end.Terminal, end.Denial = identity.SwitchDenied, identity.ReconfigureFailed
			p.endSwitch(end)
		} else if end.Terminal = identity.PersistentReconfigureApplied; p.change != nil || p.status != identity.Resolved || p.id.Identity.Model != end.Target.Model {
			return false
		} else {
			p.setBase(end.Target)
			p.endSwitch(end)
		}
		return true
	case model.AdmitRun:
		switch {
		case p.sw == nil || p.sw.Runs == 0:
		case !p.inForce:
			p.inForce, p.sw.Left, p.rises = true, p.sw.Runs, p.rises+1
		case p.sw.Left > 1:
			p.sw.Left--
		default:
			p.rises++
			p.endSwitch(identity.SwitchEnd{Request: p.sw.Request, Target: p.sw.Target, Terminal: identity.ConsumedAndRestored})
		}
		return true
	case model.CancelRouting:
		if e.Cause == model.NoCause {
			return false
		}
		p.cancel(e.Cause)
		return true
	}
	return p.picture(e)
}

func (p *plain) request(e model.RoutingEvent) bool {
	if p.base.Model == "" || e.Target.Model == "" || !e.Approval.Known() || e.Request == "" || p.used(e.Request) || e.Kind == model.RequestFinite && e.Runs < 1 {
		return false
	}
	end := identity.SwitchEnd{Request: e.Request, Target: e.Target, Terminal: identity.SwitchDenied}
	switch {
	case e.Approval == identity.RequiredButUnavailable:
		end.Denial = identity.ApprovalRequiredButUnavailable
	case e.Approval == identity.DeniedByUser:
		end.Denial = identity.DeniedDuringApproval
		p.ends = append(p.ends, identity.ApprovalEnd{ID: e.Request, Parent: identity.ForSwitch})
	case p.sw != nil || p.top != "":
		end.Denial = identity.ScopedOverrideConflict
	default:
		if e.Approval == identity.Approved {
			p.ends = append(p.ends, identity.ApprovalEnd{ID: e.Request, Parent: identity.ForSwitch, Approved: true})
		}
		p.sw = &model.Switch{Request: e.Request, Target: e.Target}
		if e.Kind == model.RequestFinite {
			p.sw.Runs = e.Runs
		}
		return true
	}
	p.endSwitch(end)
	return true
}

func (p *plain) picture(e model.RoutingEvent) bool {
	op := e.Operation
	i, known := p.images[op]
	end := func(terminal identity.ImageTerminal, why identity.Denial, bytes identity.Payload) {
		if delete(p.images, op); p.top == op {
			p.top, p.rises = "", p.rises+1
		}
		p.ends = append(p.ends, identity.ImageEnd{Operation: op, Terminal: terminal, Denial: why, Payload: bytes})
	}
	switch e.Kind {
	case model.BeginImage:
		if op == "" || e.Target.Model == "" || !e.Approval.Known() || p.base.Model == "" || p.used(op) {
			return false
		}
		no := e.Approval == identity.DeniedByUser
		switch {
		case p.top != "":
			end(identity.ImageDenied, identity.ScopedOverrideConflict, "")
			return true
		case e.Approval == identity.RequiredButUnavailable:
			end(identity.ImageDenied, identity.ApprovalRequiredButUnavailable, "")
			return true
		case no || e.Approval == identity.Approved:
			p.ends = append(p.ends, identity.ApprovalEnd{ID: op, Parent: identity.ForImage, Approved: !no})
		}
		if no {
			end(identity.ImageDenied, identity.DeniedDuringApproval, "")
		} else {
			p.images[op] = model.Image{Phase: model.PlanResolved, Target: e.Target, Scoped: e.Scoped}
		}
		return true
	case model.DenyImagePlan:
		if !known || i.Phase != model.PlanResolved || e.Denial == "" {
			return false
		}
		end(identity.ImageDenied, e.Denial, "")
	case model.ActivateImage:
		if !known || i.Phase != model.PlanResolved || !i.Scoped || p.top != "" {
			return false
		}
		i.Phase = model.ScopedActive
		p.images[op], p.top, p.rises = i, op, p.rises+1
	case model.CompleteImage:
		if !known || !e.Terminal.Outcome() || i.Phase == model.Restoring || i.Scoped && i.Phase != model.ScopedActive {
			return false
		}
		if i.Scoped {
			i.Phase, i.Terminal, i.Payload = model.Restoring, e.Terminal, e.Payload
			p.images[op] = i
		} else {
			end(e.Terminal, "", e.Payload)
		}
	case model.RestoreImage:
		switch {
		case !known || p.top != op || !e.Failed && i.Phase != model.Restoring:
			return false
		case e.Failed:
			i.Terminal = identity.ScopedRestoreFailed
		}
		end(i.Terminal, "", i.Payload)
	}
	return true
}

func (p *plain) cancel(c model.Cause) {
	if p.top != "" {
		if i := p.images[p.top]; i.Phase == model.Restoring {
			p.picture(model.RoutingEvent{Kind: model.RestoreImage, Operation: p.top})
		} else {
			op := p.top
			p.top, p.rises = "", p.rises+1
			delete(p.images, op)
			p.ends = append(p.ends, identity.ImageEnd{Operation: op, Terminal: identity.ImageCancelled})
		}
	}
	if c == model.RunEnded {
		return
	}
	p.change = nil
	for _, op := range sorted(p.images) {
		p.ends = append(p.ends, identity.ImageEnd{Operation: op, Terminal: identity.ImageCancelled})
	}
	clear(p.images)
	switch {
	case p.inForce:
		p.rises++
		p.endSwitch(identity.SwitchEnd{Request: p.sw.Request, Target: p.sw.Target, Terminal: identity.ConsumedAndRestored, Unused: p.sw.Left - 1})
	case p.sw != nil:
		p.endSwitch(identity.SwitchEnd{Request: p.sw.Request, Target: p.sw.Target, Terminal: identity.SwitchDenied, Denial: identity.SessionEnded})
	}
}

func sorted[K cmp.Ordered](m map[K]model.Image) []K { return slices.Sorted(maps.Keys(m)) }

// differs compares what the region has with what the plain one noted down.
func (p *plain) differs(w *world) string {
	s, r := w.s, w.s.Routing
	images := map[string]model.Image{}
	for name, i := range r.Images.All() {
		images[string(name)] = i
	}
	var ends []any
	for n := r.Ends; n > 0; n-- {
		if end, ok := r.Switches.Get(n); ok {
			ends = append(ends, end)
		} else if end, ok := r.Approvals.Get(n); ok {
			ends = append(ends, end)
		} else if end, ok := r.Pictures.Get(n); ok {
			ends = append(ends, end)
		}
	}
	slices.Reverse(ends)
	effective, _ := s.Effective()
	got := []any{s.Identity, s.Surface, s.Status(), s.Pending, s.Done, r.Baseline, r.Switch, r.Phase == model.ActiveFinite, images, r.Override, ends, r.Topology,
		w.filter, w.rev, effective}
	want := []any{p.id.Identity, p.id.Surface, p.status, p.change, p.done, p.base, p.sw, p.inForce, p.images, p.top, p.ends, p.rises,
		p.filter, p.rev, p.effective()}
	if reflect.DeepEqual(want, got) {
		return ""
	}
	return gocmp.Diff(want, got)
}

type chooser func(n int) int

func pick[T any](choose chooser, from ...T) T { return from[choose(len(from))] }

// draw makes an event: mostly one that fits, sometimes nonsense.
func draw(w *world, choose chooser) (*model.Event, *model.RoutingEvent) {
	target := pick(choose, opus, opus, terse, haiku, gpt)
	if choose(3) > 0 {
		e := routingEvent(w, choose, to(target))
		return nil, &e
	}
	e := model.Event{Kind: model.Kind(choose(5)), Token: pick(choose, "t1", "t2", identity.Token("")), Previous: w.s.Current(), Target: target,
		Status: pick(choose, identity.Resolved, identity.Resolved, identity.Unresolved, ""), Profile: target.Identity, Route: to(target), Seen: w.rev,
		Attempt: 1, CurrentAttempt: 1, Recovering: true}
	if e.Kind == model.Hydrate && choose(2) == 0 {
		e.Kind = model.Begin
	}
	if p, owed := w.s.OwedPrepare(); owed && choose(2) == 0 {
		e.Kind, e.Token = pick(choose, model.Commit, model.Abort), p.Token
	}
	if sw, owed := w.s.OwedApply(); owed && choose(4) > 0 {
		e.Request = sw.Request
		for _, t := range []identity.Target{opus, haiku, gpt} {
			if t.Identity.Model == sw.Target.Model && choose(4) > 0 {
				e.Target = t
			}
		}
	}
	switch choose(16) {
	case 0:
		e.Previous.Identity = terse.Identity
	case 1:
		e.Previous.Surface.WebSearch = true
	case 2:
		e.Previous.Status = identity.Unresolved
	case 3:
		e.Previous.Filter = identity.ViewImage
	case 4:
		e.Target.Identity.Model, e.Profile.Model, e.Route.Model = "", "", ""
	case 5:
		e.Recovering = false
	case 6:
		e.Attempt = 2
	case 7:
		e.Route = to(pick(choose, opus, gpt))
	case 8:
		e.Profile = pick(choose, opus, gpt).Identity
	case 9:
		e.Seen.Active++
	case 10:
		e.Request = "q1"
	}
	return &e, nil
}

// routingEvent draws names that are new, or known to the state.
func routingEvent(w *world, choose chooser, target identity.Route) model.RoutingEvent {
	r := w.s.Routing
	n := int(r.Ends) + choose(3) - 1
	e := model.RoutingEvent{Kind: model.RoutingKind(choose(12)), Request: fmt.Sprint("q", n), Operation: fmt.Sprint("o", n),
		Target: target, Runs: choose(4), Approval: pick(choose, identity.ApprovalNotRequired, identity.Approved, identity.Approved, identity.DeniedByUser, identity.RequiredButUnavailable),
		Scoped: choose(3) > 0, Denial: pick(choose, identity.CapabilityPolicy, ""), Terminal: pick(choose, identity.Generated, identity.ImageFailed, identity.ImageDenied),
		Payload: "p", Failed: choose(4) == 0, Cause: pick(choose, model.RunEnded, model.RunEnded, model.RunEnded, model.SessionEnded)}
	switch choose(16) {
	case 0:
		e.Target = identity.Route{}
	case 1:
		e.Approval = "perhaps"
	case 2:
		e.Cause = model.NoCause
	}
	if r.Phase == model.Applying && choose(4) == 0 {
		e.Kind = pick(choose, model.CompleteUntilChanged, model.AbortUntilChanged)
	}
	switch choose(8) {
	case 0:
		e.Request, e.Operation = "", ""
	case 1:
		e.Kind = model.AdmitRun
	case 2, 3, 4, 5:
		if r.Switch != nil {
			e.Request = r.Switch.Request
		}
		names := sorted(maps.Collect(r.Images.All()))
		if len(names) > 0 {
			e.Operation = string(names[choose(len(names))])
			e.Kind = pick(choose, e.Kind, e.Kind, model.DenyImagePlan, model.ActivateImage, model.CompleteImage, model.RestoreImage)
		}
		if r.Override != "" && choose(2) == 0 {
			e.Kind, e.Operation = pick(choose, model.CompleteImage, model.RestoreImage, model.CancelRouting), pick(choose, r.Override, e.Operation)
			if choose(3) == 0 {
				e.Kind, e.Operation = model.BeginImage, fmt.Sprint("o", r.Ends+1)
			}
		}
	}
	return e
}

// walk takes a random way through the region and the plain one, and says where they part.
func walk(choose chooser, steps int) error {
	w, p := &world{hidden: choose(4) == 0}, &plain{images: map[string]model.Image{}}
	if choose(8) > 0 {
		e := model.Event{Kind: model.Hydrate, Target: opus, Status: pick(choose, identity.Resolved, identity.Unresolved)}
		r := model.RoutingEvent{Kind: model.SetBaseline, Target: to(opus)}
		if err := w.tell(e); err != nil || !p.tell(e, model.Tools{}) {
			return fmt.Errorf("no session: %w", err)
		}
		if err := w.route(r); err != nil || !p.route(r) {
			return fmt.Errorf("no baseline: %w", err)
		}
	}
	for n := range steps {
		if choose(8) == 0 {
			w.rev.Staged++
			p.rev.Staged++
			if choose(2) == 0 {
				w.rev.Active, p.rev.Active = w.rev.Staged, p.rev.Staged
			}
		}
		if choose(16) == 0 {
			w = w.reloaded()
		}
		e, r := draw(w, choose)
		var err error
		var ok bool
		what := func() string {
			if e != nil {
				return fmt.Sprintf("%+v", *e)
			}
			return fmt.Sprintf("%+v", *r)
		}
		if e != nil {
			target := e.Target
			if p.change != nil && e.Kind == model.Commit {
				target = p.change.Target
			}
			ok = p.tell(*e, w.facts(target.Surface.Filter()))
			err = w.tell(*e)
		} else {
			ok = p.route(*r)
			err = w.route(*r)
		}
		if ok != (err == nil) {
			return fmt.Errorf("step %d, %s: accepted is to be %v, got %w", n, what(), ok, err)
		}
		if diff := p.differs(w); diff != "" {
			return fmt.Errorf("step %d, %s: %s", n, what(), diff)
		}
		if err := model.Check(w.s); err != nil {
			return fmt.Errorf("step %d, %s: %w", n, what(), err)
		}
	}
	return w.sound()
}

// walks takes some ways that are always the same.
func walks(ways, steps int) error {
	for seed := range uint64(ways) {
		r := rand.New(rand.NewPCG(seed, 7))
		if err := walk(r.IntN, steps); err != nil {
			return fmt.Errorf("way %d: %w", seed, err)
		}
	}
	return nil
}

// The region does on every way what the plain one says, keeps R78 to R87 in every state, and is the same after it was stored (R22).
func TestR83_the_tables_decide_as_a_plain_account_of_them_does(t *testing.T) {
	t.Parallel()
	if err := walks(300, 80); err != nil {
		t.Fatal(err)
	}
	rapid.Check(t, func(t *rapid.T) {
		if err := walk(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }, 30); err != nil {
			t.Fatal(err)
		}
	})
}
