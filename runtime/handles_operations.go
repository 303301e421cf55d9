package runtime

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/store"
)

// OpsLifecycleRegistry returns the background operations of a session that lives here: the same handle for the life of its registration. False: there
// is no such session here.
func (h *Host) OpsLifecycleRegistry(sid id.Session) (executor.Operations, bool) {
	st, ok := h.live(sid)
	if !ok {
		return nil, false
	}
	return operations{hold{host: h, sid: sid, epoch: st.Lifecycle.Epoch}}, true
}

// live returns what was committed last of a session that is registered and lives here.
func (h *Host) live(sid id.Session) (machine.State, bool) {
	s := h.resident(sid)
	if s == nil {
		return machine.State{}, false
	}
	st := s.state()
	return st, st.Version > 0 && !st.Lifecycle.Away && s.reasonEnded() == nil
}

// operations implements executor.Operations.
type operations struct{ hold }

func (o operations) step(ctx context.Context, ev registry.Event) error {
	return about(string(ev.ID), o.say(ctx, ev.Kind.String()+" in", machine.Work{Event: ev}))
}

func (o operations) Register(ctx context.Context, op string, spec executor.OperationSpec) error {
	s := registry.Spec{Name: spec.Name, Source: spec.Source, Child: spec.Child, ExpectsPeer: spec.ExpectsPeer, Durable: spec.Durable, Yields: spec.Yields}
	switch spec.Work {
	case "", executor.BackgroundTool:
	case executor.MemberChild:
		s.Work = registry.MemberChild
	default:
		return o.failed("register in", fmt.Errorf("%w: work %q", ErrInvalid, spec.Work))
	}
	return o.step(ctx, registry.Event{Kind: registry.Register, ID: registry.ID(op), Spec: s})
}

func (o operations) Start(ctx context.Context, op string) error {
	return o.step(ctx, registry.Event{Kind: registry.Start, ID: registry.ID(op)})
}

func (o operations) Progress(ctx context.Context, op string) error {
	return o.step(ctx, registry.Event{Kind: registry.Progress, ID: registry.ID(op)})
}

func (o operations) Complete(ctx context.Context, op string, r executor.OperationResult) error {
	return o.step(ctx, registry.Event{Kind: registry.Complete, ID: registry.ID(op), Result: registry.Result(r)})
}

func (o operations) Fail(ctx context.Context, op, reason string) error {
	return o.step(ctx, registry.Event{Kind: registry.Fail, ID: registry.ID(op), Reason: reason})
}

func (o operations) Cancel(ctx context.Context, op, reason string) error {
	return o.step(ctx, registry.Event{Kind: registry.Cancel, ID: registry.ID(op), Reason: reason})
}

func (o operations) Abort(ctx context.Context, op, reason string) error {
	return o.step(ctx, registry.Event{Kind: registry.Abort, ID: registry.ID(op), Reason: reason})
}

func (o operations) Retire(ctx context.Context, op string) error {
	return o.step(ctx, registry.Event{Kind: registry.RequestRetire, ID: registry.ID(op)})
}

func (o operations) MarkRetired(ctx context.Context, op string) error {
	return o.step(ctx, registry.Event{Kind: registry.MarkRetired, ID: registry.ID(op)})
}

func (o operations) PeerReady(ctx context.Context, op string) error {
	return o.step(ctx, registry.Event{Kind: registry.PeerReady, ID: registry.ID(op)})
}

func (o operations) TerminateOwner(ctx context.Context, reason string) error {
	return o.step(ctx, registry.Event{Kind: registry.TerminateOwner, Reason: reason})
}

func (o operations) SetLimits(ctx context.Context, listed, active int) error {
	return o.step(ctx, registry.Event{Kind: registry.Configure, Keep: listed, Limit: active})
}

// find returns an operation of the state, or its row if the state knows it no more.
func (o operations) find(ctx context.Context, st machine.State, op string) (registry.Op, error) {
	if st.Work != nil {
		if known, ok := st.Work.Get(registry.ID(op)); ok {
			return known, nil
		}
	}
	row, err := o.host.reader().Operation(ctx, o.sid, registry.ID(op))
	if errors.Is(err, store.ErrNotFound) {
		return row, &executor.Refused{Of: registry.Operations.Region, ID: op, Status: registry.Absent.String(), Action: "find", Why: executor.WhyUnknown,
			Err: failed("look for an operation of", o.sid, fmt.Errorf("%w: %q", ErrNoOperation, op))}
	}
	return row, o.failed("look for an operation of", err)
}

func (o operations) Get(ctx context.Context, op string) (executor.Operation, error) {
	s, st, err := o.look(ctx, "read an operation of")
	if err != nil {
		return executor.Operation{}, err
	}
	known, err := o.find(ctx, st, op)
	if err != nil {
		return executor.Operation{}, err
	}
	return s.operation(known), nil
}

func (o operations) List(ctx context.Context) ([]executor.Operation, error) {
	s, st, err := o.look(ctx, "list the operations of")
	if err != nil || st.Work == nil {
		return nil, err
	}
	var out []executor.Operation
	for op := range st.Work.List() {
		out = append(out, s.operation(op))
	}
	return out, nil
}

func (o operations) Watch(ctx context.Context, op string) (<-chan executor.OperationOutcome, error) {
	s, _, err := o.look(ctx, "watch an operation of")
	if err != nil {
		return nil, err
	}
	// Whoever ends it from now on finds the watcher; whoever has ended it before is found by the look that follows.
	one := s.watches.add(ctx, registry.ID(op))
	known, err := o.find(ctx, s.state(), op)
	switch {
	case err != nil:
		s.watches.forget(registry.ID(op), one)
		return nil, err
	case known.Status.Terminal():
		s.watches.resolve(registry.ID(op), endOf(known.Outcome()))
	}
	return one.ch, nil
}

func (o operations) WaitAll(ctx context.Context, token string, ops []string) ([]executor.Awaited, error) {
	const command = "wait for operations of"
	s, _, err := o.look(ctx, command)
	if err != nil {
		return nil, err
	}
	token, over := s.watches.await(token)
	defer s.watches.abandon(token)
	ids := make([]registry.ID, len(ops))
	for n, op := range ops {
		ids[n] = registry.ID(op)
	}
	a, err := o.tell(ctx, command, machine.Work{Event: registry.Event{Kind: registry.RequestWaitAll, Token: token, IDs: ids}})
	switch {
	case errors.Is(err, errUnknown): // it may have begun, and nobody would end it
		o.stopWaiting(s, token)
		return nil, err
	case err != nil:
		return nil, err
	case a.verdict.Waited != nil:
		return awaited(a.verdict.Waited.Ends), nil
	}
	for err == nil {
		next := s.watches.next()
		if s.state().Lifecycle.Epoch != o.epoch { // the session may have come back without leaving memory, and its waits do not
			err = ErrStaleEpoch
			break
		}
		select {
		case ends := <-over:
			return awaited(ends), nil
		case <-next:
		case <-s.gone:
			err = s.reasonEnded()
		case <-ctx.Done():
			o.stopWaiting(s, token)
			err = ctx.Err()
		}
	}
	select {
	case ends := <-over: // the last of them may be what ended ctx, or the session
		return awaited(ends), nil
	default:
		return nil, o.failed(command, err)
	}
}

// stopWaiting ends a wait that nobody is interested in any more. A session that takes no mail has no wait left.
func (o operations) stopWaiting(s *session, token string) {
	ev := machine.Work{Event: registry.Event{Kind: registry.CancelWaitAll, Token: token}}
	_ = s.put(&letter{rank: control, own: true, event: machine.Handled{Epoch: o.epoch, Event: ev}})
}

func (o operations) Since(ctx context.Context, cursor uint64) (executor.CompletionPage, error) {
	_, st, err := o.look(ctx, "read the feed of")
	if err != nil || st.Work == nil {
		return executor.CompletionPage{}, err
	}
	page := st.Work.Since(registry.Seq(cursor))
	return executor.CompletionPage{Entries: entries(page.Entries), Watermark: uint64(page.Watermark), Missed: page.Missed}, nil
}

func (o operations) WaitForAdvance(ctx context.Context, cursor uint64) (uint64, error) {
	return o.until(ctx, "wait for the feed of", func(st machine.State) (uint64, bool) {
		if st.Work == nil {
			return 0, false
		}
		return uint64(st.Work.Watermark), uint64(st.Work.Watermark) > cursor
	})
}

// until blocks until something holds of the committed state, and returns what goes with it.
func (h hold) until(ctx context.Context, command string, holds func(machine.State) (uint64, bool)) (uint64, error) {
	s, _, err := h.look(ctx, command)
	if err != nil {
		return 0, err
	}
	for {
		next := s.watches.next()
		st := s.state()
		if err := s.reasonEnded(); err != nil {
			return 0, h.failed(command, err)
		}
		if err := h.good(st); err != nil {
			return 0, h.failed(command, err)
		}
		if n, ok := holds(st); ok {
			return n, nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return 0, h.failed(command, ctx.Err())
		}
	}
}

// operation shows an operation as it stands.
func (s *session) operation(o registry.Op) executor.Operation {
	spec := executor.OperationSpec{Work: executor.Work(o.Work.String()), Name: o.Name, Source: o.Source, Child: o.Child, ExpectsPeer: o.ExpectsPeer,
		Durable: o.Durable, Yields: o.Yields}
	out := executor.Operation{ID: string(o.ID), OperationSpec: spec, Status: executor.OperationStatus(o.Status.String()), PeerReady: o.PeerReady,
		Progress: o.Progress, Watchers: s.watches.count(o.ID), Created: at(o.Created), Started: at(o.Started), Completed: at(o.Completed),
		Elapsed: o.Elapsed(s.host.config.Now()), Seq: uint64(o.Seq)}
	if o.Status.Terminal() {
		out.Outcome = endOf(o.Outcome())
	}
	return out
}

// at is a time that is stored in milliseconds; 0: none.
func at(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}

func endOf(o registry.Outcome) executor.OperationOutcome {
	out := executor.OperationOutcome{Status: executor.OperationStatus(o.Status.String()), Reason: o.Reason}
	if o.Result != nil {
		r := executor.OperationResult(*o.Result)
		out.Result = &r
	}
	return out
}

func awaited(ends []registry.Awaited) []executor.Awaited {
	out := make([]executor.Awaited, len(ends))
	for n, a := range ends {
		out[n] = executor.Awaited{ID: string(a.ID), Outcome: endOf(a.Outcome)}
	}
	return out
}

func entries(all []registry.Entry) []executor.Completion {
	out := make([]executor.Completion, len(all))
	for n, e := range all {
		out[n] = executor.Completion{Seq: uint64(e.Seq), ID: string(e.ID), Work: executor.Work(e.Work.String()), Name: e.Name,
			Outcome: endOf(e.Outcome), At: at(e.At)}
	}
	return out
}

// completions implements executor.Completions.
type completions struct{ hold }

func (c completions) Cursors(ctx context.Context) (executor.CompletionCursors, error) {
	_, st, err := c.look(ctx, "read the cursors of")
	if err != nil || st.Work == nil {
		return executor.CompletionCursors{}, err
	}
	return executor.CompletionCursors{Announced: uint64(st.Work.Announced), Watermark: uint64(st.Work.Watermark), Missed: st.Work.Missed}, nil
}

func (c completions) News(ctx context.Context) ([]executor.Completion, error) {
	_, st, err := c.look(ctx, "read the news of")
	if err != nil || st.Work == nil {
		return nil, err
	}
	news, _ := st.Work.Unannounced()
	return entries(news), nil
}

func (c completions) Announce(ctx context.Context, upto uint64) error {
	return c.say(ctx, "announce what ended in", machine.Work{Event: registry.Event{Kind: registry.Announced, Upto: registry.Seq(upto)}})
}
