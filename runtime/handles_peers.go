package runtime

import (
	"context"
	"fmt"

	"github.com/meerkat-go/meerkat/executor"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/peer"
)

// known is what is committed of the session's peers.
func (h hold) known(ctx context.Context, command string) (peer.State, error) {
	_, st, err := h.look(ctx, command)
	if err != nil || st.Peer == nil {
		return peer.State{}, err
	}
	return *st.Peer, nil
}

// peers implements executor.Peers.
type peers struct{ hold }

func (p peers) step(ctx context.Context, name string, ev peer.Event) error {
	return about(name, p.say(ctx, ev.Kind.String()+" in", machine.Peers{Event: ev}))
}

func (p peers) SetLocal(ctx context.Context, who executor.Peer) error {
	return p.step(ctx, who.ID, peer.Event{Kind: peer.SetLocal, Peer: peer.Peer(who)})
}

func (p peers) Add(ctx context.Context, who executor.Peer) error {
	return p.step(ctx, who.ID, peer.Event{Kind: peer.AddDirect, Peer: peer.Peer(who)})
}

func (p peers) Remove(ctx context.Context, who string) error {
	return p.step(ctx, who, peer.Event{Kind: peer.RemoveDirect, Peer: peer.Peer{ID: who}})
}

func (p peers) ApplyOverlay(ctx context.Context, epoch uint64, all []executor.Peer) error {
	ev := peer.Event{Kind: peer.ApplyOverlay, Epoch: epoch, Peers: make([]peer.Peer, len(all))}
	for n, who := range all {
		ev.Peers[n] = peer.Peer(who)
	}
	return p.step(ctx, "", ev)
}

func (p peers) List(ctx context.Context) ([]executor.Peer, error) {
	s, err := p.known(ctx, "list the peers of")
	var out []executor.Peer
	for who := range peer.Effective(s) {
		out = append(out, executor.Peer(who))
	}
	return out, err
}

func (p peers) Trust(ctx context.Context) ([]executor.TrustedPeer, error) {
	s, err := p.known(ctx, "list who is trusted by")
	var out []executor.TrustedPeer
	for t := range peer.Trust(s) {
		out = append(out, executor.TrustedPeer{Peer: executor.Peer(t.Peer), Private: t.Private})
	}
	return out, err
}

// supervision implements executor.Supervision.
type supervision struct{ hold }

func (s supervision) step(ctx context.Context, ev peer.BridgeEvent) error {
	return about(ev.Peer.ID, s.say(ctx, ev.Kind.String()+" in", machine.Supervised{BridgeEvent: ev}))
}

func (s supervision) Current(ctx context.Context) (executor.Supervisor, error) {
	st, err := s.known(ctx, "read the supervisor of")
	v := st.Supervisor
	return executor.Supervisor{Peer: executor.Peer(v.Current.Peer), Epoch: v.Current.Epoch, Published: v.Published}, err
}

func (s supervision) Bind(ctx context.Context, sender string, who executor.Peer, epoch uint64) error {
	return s.step(ctx, peer.BridgeEvent{Kind: peer.Bind, Sender: sender, Peer: peer.Peer(who), Epoch: epoch})
}

func (s supervision) Authorize(ctx context.Context, sender string, who executor.Peer, epoch uint64) error {
	return s.step(ctx, peer.BridgeEvent{Kind: peer.Authorize, Sender: sender, Peer: peer.Peer(who), Epoch: epoch})
}

func (s supervision) Revoke(ctx context.Context, who string, epoch uint64) error {
	return s.step(ctx, peer.BridgeEvent{Kind: peer.Revoke, Sender: who, Peer: peer.Peer{ID: who}, Epoch: epoch})
}

func (s supervision) Owed(ctx context.Context) ([]executor.TrustOwed, error) {
	st, err := s.known(ctx, "read what is owed to the trust of")
	var out []executor.TrustOwed
	for o := range st.Supervisor.Owes() {
		out = append(out, executor.TrustOwed{Peer: o.Authority.Peer, Epoch: o.Authority.Epoch, Withdraw: o.Withdraw})
	}
	return out, err
}

func (s supervision) Published(ctx context.Context, who string, epoch uint64) error {
	return s.step(ctx, peer.BridgeEvent{Kind: peer.Published, Peer: peer.Peer{ID: who}, Epoch: epoch})
}

func (s supervision) PublishFailed(ctx context.Context, who string, epoch uint64) error {
	return s.step(ctx, peer.BridgeEvent{Kind: peer.PublishFailed, Peer: peer.Peer{ID: who}, Epoch: epoch})
}

func (s supervision) Withdrawn(ctx context.Context, who string, epoch uint64) error {
	return s.step(ctx, peer.BridgeEvent{Kind: peer.Withdrawn, Peer: peer.Peer{ID: who}, Epoch: epoch})
}

// interactions implements executor.Interactions.
type interactions struct{ hold }

func (i interactions) step(ctx context.Context, ev peer.RequestEvent) (answer, error) {
	a, err := i.tell(ctx, ev.Kind.String()+" in", machine.Asked{RequestEvent: ev})
	return a, about(ev.ID, err)
}

func (i interactions) just(ctx context.Context, ev peer.RequestEvent) error {
	_, err := i.step(ctx, ev)
	return err
}

// begin is the event with which a request is opened.
func begin(kind peer.RequestKind, r executor.PeerRequest) peer.RequestEvent {
	return peer.RequestEvent{Kind: kind, ID: r.ID, Peer: r.Peer, Intent: r.Intent, Handling: r.Handling, Patience: r.Patience}
}

func (i interactions) Sent(ctx context.Context, r executor.PeerRequest) error {
	return i.just(ctx, begin(peer.RequestSent, r))
}

func (i interactions) Received(ctx context.Context, r executor.PeerRequest) error {
	return i.just(ctx, begin(peer.RequestReceived, r))
}

func (i interactions) Progressed(ctx context.Context, request, who string) error {
	return i.just(ctx, peer.RequestEvent{Kind: peer.Progressed, ID: request, Peer: who})
}

func (i interactions) Answered(ctx context.Context, request, who string) (executor.PeerRequest, error) {
	a, err := i.step(ctx, peer.RequestEvent{Kind: peer.Answered, ID: request, Peer: who})
	if err != nil {
		return executor.PeerRequest{}, err
	}
	return requestOf(*a.verdict.Request), nil
}

func (i interactions) TimedOut(ctx context.Context, request string) error {
	return i.just(ctx, peer.RequestEvent{Kind: peer.TimedOut, ID: request})
}

func (i interactions) Replied(ctx context.Context, request string) error {
	return i.just(ctx, peer.RequestEvent{Kind: peer.Replied, ID: request})
}

func requestOf(r peer.Request) executor.PeerRequest {
	return executor.PeerRequest{ID: r.ID, Peer: r.Peer, Intent: r.Intent, Handling: r.Handling, Inbound: r.Phase == peer.Received,
		Accepted: r.Phase == peer.AcceptedProgress, Deadline: r.Deadline}
}

func (i interactions) Open(ctx context.Context) ([]executor.PeerRequest, error) {
	s, err := i.known(ctx, "list the requests of")
	var out []executor.PeerRequest
	for r := range s.Requests.All() {
		out = append(out, requestOf(r))
	}
	return out, err
}

func (i interactions) stream(ctx context.Context, kind peer.StreamKind, of string) (peer.StreamPhase, error) {
	a, err := i.tell(ctx, kind.String()+" a stream of", machine.Streamed{StreamEvent: peer.StreamEvent{Kind: kind, ID: of}})
	return a.verdict.Stream, about(of, err)
}

func (i interactions) end(ctx context.Context, kind peer.StreamKind, of string) error {
	_, err := i.stream(ctx, kind, of)
	return err
}

func (i interactions) Reserve(ctx context.Context, of string) error {
	return i.end(ctx, peer.StreamReserve, of)
}

func (i interactions) Attach(ctx context.Context, of string) error {
	now, err := i.stream(ctx, peer.StreamAttach, of)
	if err == nil && now == peer.Expired {
		return &executor.Refused{Of: peer.Streams.Region, ID: of, Status: now.String(), Action: peer.StreamAttach.String(), Why: executor.WhyLate,
			Err: failed("attach a stream of", i.sid, fmt.Errorf("%w: %s", ErrLate, of))}
	}
	return err
}

// ErrLate says that the subscriber of a stream came too late.
var ErrLate = fault.New(fault.Stale, "the reservation of the stream is over")

func (i interactions) Complete(ctx context.Context, of string) error {
	return i.end(ctx, peer.StreamComplete, of)
}

func (i interactions) Close(ctx context.Context, of string) error {
	return i.end(ctx, peer.StreamClose, of)
}

func (i interactions) Expire(ctx context.Context, of string) error {
	return i.end(ctx, peer.StreamExpire, of)
}
