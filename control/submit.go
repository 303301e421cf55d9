package control

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/runtime"
	"github.com/meerkat-go/meerkat/transcript"
)

// maxName bounds ids and keys that callers choose, in bytes.
const maxName = 256

// Submit gives a session something to do. When it returns without an error the input is durable. What it asks of the session is done first, and stays
// done if the input itself is then refused.
func (p *Plane) Submit(ctx context.Context, req Submit) (Receipt, error) {
	if err := p.may(Writer); err != nil {
		return Receipt{}, err
	}
	if err := check(req); err != nil {
		return Receipt{}, err
	}
	if first, err := p.earlier(ctx, req); err != nil || first.Duplicate {
		return first, err
	}
	if err := p.prepare(ctx, req); err != nil {
		return Receipt{}, err
	}
	undo := func() {}
	if p.Callbacks != nil && req.Client != nil { // before, since the first call may come at once
		undo = p.Callbacks.Issue(req.Session, req.Client)
	}
	v, _, err := p.Host.AcceptWithCompletion(ctx, req.Session, req.input())
	if err != nil || v.Duplicate {
		undo()
	}
	if err != nil {
		return Receipt{}, err
	}
	if v.Duplicate && req.Key != "" {
		if err := p.same(ctx, req.Session, v.Input, req.digest()); err != nil {
			return Receipt{}, err
		}
	}
	return Receipt{Input: v.Input, Run: v.Run, Duplicate: v.Duplicate}, nil
}

// ErrKeyUsed refuses a submit whose idempotency key came with an input that said something else. Its code is invalid.
var ErrKeyUsed error = &Error{Code: fault.Invalid, Message: "the idempotency key was used for another input"}

// earlier finds the input that a submit which asks something of its session repeats: what was asked is not done twice.
func (p *Plane) earlier(ctx context.Context, req Submit) (Receipt, error) {
	key := cmp.Or(req.Key, string(req.Input))
	if key == "" || !req.Asks.ofSession() {
		return Receipt{}, nil
	}
	how, err := p.Host.InputByKey(ctx, req.Session, key)
	switch {
	case errors.Is(err, runtime.ErrNoInput): // or there is no session, as is found next
		return Receipt{}, nil
	case err != nil:
		return Receipt{}, fmt.Errorf("look for an input of the same key: %w", err)
	}
	out := Receipt{Input: how.Item.ID, Duplicate: true}
	if how.Ended == nil {
		out.Run = how.Item.Run
	}
	if req.Key != "" {
		err = p.same(ctx, req.Session, out.Input, req.digest())
	}
	if err != nil {
		return Receipt{}, err
	}
	return out, nil
}

// ofSession reports whether something is asked of the session itself.
func (a Asks) ofSession() bool { return len(a.fixed()) > 0 || a.model() }

// model reports whether another model is asked for, or the same with other parameters.
func (a Asks) model() bool { return a.Model != "" || a.Params != nil || a.ClearParams }

// same refuses a key that was used for an input which said something else: its sender would take the end of that one for the end of this.
func (p *Plane) same(ctx context.Context, s id.Session, first id.Input, digest string) error {
	how, err := p.Host.InputState(ctx, s, first)
	if err != nil {
		return fmt.Errorf("compare with the first input of the key: %w", err)
	}
	if st := how.Item.Stamp; st != nil && st.Correlation != "" && st.Correlation != digest {
		return ErrKeyUsed
	}
	return nil
}

// digest stands for what a submit says and asks for.
func (req Submit) digest() string {
	return digest(req.Lane == LaneSteer, req.Continue, req.Content, req.Asks.Instructions, req.Asks.Overlay)
}

func digest(parts ...any) string {
	h := sha256.New()
	// Writes to a hash do not fail, and neither does the encoding of what is made of text alone.
	_ = json.NewEncoder(h).Encode(parts)
	return hex.EncodeToString(h.Sum(nil)[:16])
}

// Check refuses what no session would take, whatever it is like; Submit does so too. So a session need not be made for a first input that cannot be.
func (req Submit) Check() error { return check(req) }

func check(req Submit) error {
	if len(req.Input) > maxName || len(req.Key) > maxName {
		return &Error{Code: fault.Invalid, Message: fmt.Sprintf("an input's id and its key have at most %d bytes", maxName)}
	}
	if err := content(req.Content); err != nil {
		return err
	}
	a := req.Asks
	switch {
	case req.Lane != "" && req.Lane != LaneQueue && req.Lane != LaneSteer:
		return &Error{Code: fault.Invalid, Message: fmt.Sprintf("there is no lane %q: use %s or %s", req.Lane, LaneQueue, LaneSteer)}
	case req.Continue && len(req.Content) > 0:
		return &Error{Code: fault.Invalid, Message: "to continue is to add nothing"}
	case req.Continue && (len(a.Instructions) > 0 || !a.Overlay.IsZero()):
		return &Error{Code: fault.Invalid, Message: "to continue is to ask for nothing else"}
	case !req.Continue && strings.TrimSpace(req.Content.Plain()) == "":
		return &Error{Code: fault.Invalid, Message: "the input says nothing"}
	case a.Provider != "" && a.Model == "":
		return &Error{Code: fault.Invalid, Message: "provider without model: say which of its models"}
	case a.ClearParams && a.Params != nil:
		return &Error{Code: fault.Invalid, Message: "provider_params are both given and cleared"}
	}
	return nil
}

// input is the submit as the runtime takes it.
func (req Submit) input() runtime.Input {
	in := runtime.Input{ID: req.Input, Key: req.Key, Steer: req.Lane == LaneSteer, Content: req.Content, Continue: req.Continue,
		RequireIdle: req.RequireIdle}
	if len(req.Asks.Instructions) == 0 && req.Asks.Overlay.IsZero() && (req.Key == "" || req.Continue) {
		return in
	}
	body := input.Prompt{Blocks: req.Content, Run: input.Options{Overlay: req.Asks.Overlay}}
	if in.Steer {
		body.Run.Handling = input.HandlingSteer
	}
	for _, text := range req.Asks.Instructions {
		body.Appends = append(body.Appends, transcript.Notice{Kind: "instructions", Text: text})
	}
	in.Of = &input.Input{Body: body}
	if req.Key != "" {
		in.Of.Correlation = req.digest()
	}
	return in
}

// prepare does what a submit asks of the session itself: another model, or what a session that has said nothing was made with.
func (p *Plane) prepare(ctx context.Context, req Submit) error {
	a := req.Asks
	fixed := a.fixed()
	if !a.ofSession() {
		return nil
	}
	st, err := p.Host.ReadStatus(ctx, req.Session)
	if err != nil {
		return err
	}
	if req.RequireIdle && st.Run != "" {
		return fmt.Errorf("change session %s: %w", req.Session, runtime.ErrBusy)
	}
	if len(fixed) > 0 {
		if err := p.amend(ctx, req.Session, st, a); err != nil {
			return err
		}
	}
	if !a.model() {
		return nil
	}
	params, err := identity.ParseParams(a.Params)
	if err != nil {
		return err
	}
	r := identity.Request{ClearParams: a.ClearParams, Params: params}
	if a.Model != "" {
		r = p.request(named(a.Provider, a.Model), r)
	}
	_, err = p.Host.ReconfigureSessionLLMIdentity(ctx, req.Session, r)
	return err
}

// request resolves a model's name.
func (p *Plane) request(name string, r identity.Request) identity.Request {
	of := identity.Request{Model: name}
	if p.Named != nil {
		of = p.Named(name)
	}
	of.ClearParams, of.Params = r.ClearParams, r.Params
	return of
}

// amend changes what a session was made with that has said nothing yet.
func (p *Plane) amend(ctx context.Context, s id.Session, st runtime.Status, a Asks) error {
	f := a.amended(st.Profile)
	if p.Validate != nil {
		if err := p.Validate(ctx, f); err != nil {
			return err
		}
	}
	err := p.Host.AmendSession(ctx, s, f)
	if errors.Is(err, runtime.ErrBegun) {
		return &Error{Code: fault.Invalid, Message: fmt.Sprintf("Cannot override %s: the session has begun", strings.Join(a.fixed(), ", "))}
	}
	return err
}

// Input says how an input stands, live or ended. Code not_found: there is none.
func (p *Plane) Input(ctx context.Context, s id.Session, in id.Input) (InputStatus, error) {
	if err := p.may(Reader); err != nil {
		return InputStatus{}, err
	}
	how, err := p.Host.InputState(ctx, s, in)
	if err != nil {
		return InputStatus{}, err
	}
	i := how.Item
	out := InputStatus{Input: i.ID, State: i.Phase.String(), Lane: i.Lane.String(), Run: i.Run}
	if how.Ended == nil {
		return out, nil
	}
	o, err := p.outcome(ctx, s, in, how)
	if err != nil {
		return InputStatus{}, err
	}
	out.Run, out.Outcome = o.Run, &o
	return out, nil
}
