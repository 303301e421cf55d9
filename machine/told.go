package machine

import (
	"fmt"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/input"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/machine/peer"
	"github.com/meerkat-go/meerkat/machine/toolserver"
	"github.com/meerkat-go/meerkat/transcript"
)

// What clients are told of the regions follows from the states before and after a step, here and nowhere else.

// ReasonTimeout is the reason of the continuation that a session is given when a peer did not answer in time.
const ReasonTimeout = "peer_request_timed_out"

// Waited is a wait for several operations that is over.
type Waited struct {
	Token string
	Ends  []registry.Awaited // in the order asked for
}

// tellServers tells what became of tool servers.
func (b *step) tellServers(was, is toolserver.State) {
	for _, c := range toolserver.Told(was, is) {
		b.tell(event.ToolConfigChanged{Operation: c.Op.String(), Target: c.Server, Phase: c.Phase.String(), Persisted: c.Phase.Persisted(),
			Turn: c.Turn, Cause: c.Cause, Error: c.Error}, transcript.Position{})
	}
}

// ended notes which operations of the background ended, and tells of those that are news.
func (b *step) ended(was, is registry.State) {
	page := is.Since(was.Watermark)
	all := page.Entries
	if page.Missed > 0 { // so many at once that the feed has no place for all
		all = nil
		for _, o := range registry.Left(was, is, b.at) {
			if o.Seq > was.Watermark {
				all = append(all, registry.Entry{Seq: o.Seq, ID: o.ID, Work: o.Work, Name: o.Name, Outcome: o.Outcome(), At: o.Completed})
			}
		}
		all = append(all, page.Entries...)
	}
	for _, e := range all {
		b.c.Operations = append(b.c.Operations, e)
		if e.Work == registry.BackgroundTool {
			b.tell(event.BackgroundJobCompleted{Job: string(e.ID), Name: e.Name, Status: e.Outcome.Status.String(), Detail: detailOf(e.Outcome)},
				transcript.Position{})
		}
	}
}

// unanswered tells which requests peers did not answer in time, and has the session go on knowing it if it takes work: one that waits for an
// answer would wait for ever.
func (b *step) unanswered(requests []peer.Request) error {
	var lines input.Entries
	for _, r := range requests {
		b.tell(event.PeerRequestTimedOut{Interaction: r.ID, Peer: r.Peer, Intent: r.Intent}, transcript.Position{})
		about := r.ID
		if r.Intent != "" {
			about += " (" + r.Intent + ")"
		}
		lines = append(lines, transcript.Notice{Kind: "peer_request",
			Text: fmt.Sprintf("peer %q did not answer the request %s in time; nobody waits for its answer any more", r.Peer, about)})
	}
	l := b.s.Lifecycle
	if len(lines) == 0 || !takesWork(l.Phase) || l.Stopping || l.Retiring || b.s.Transient.Draining {
		return nil
	}
	return b.goOnBecause(input.Continuation{Reason: ReasonTimeout, Handling: input.HandlingQueue, Turn: lines})
}

// goOnBecause gives the session an input of its own. Whoever is being answered asked for something else, and is told of that alone.
func (b *step) goOnBecause(c input.Continuation) error {
	in := input.Input{ID: id.Input(id.Derive(b.at, b.s.Session, b.version, b.ordinal)), Source: input.Source{Kind: input.SourceSystem},
		Durability: input.Derived, Visibility: input.Visibility{NoTranscript: true, NoOperator: true}, Body: c}
	b.ordinal++
	in.Key = string(in.ID)
	verdict := b.c.Verdict
	err := b.admit(Submit{}, in)
	b.c.Verdict = verdict
	return err
}

// endStreams lets go of the streams of inputs that ended.
func (b *step) endStreams() error {
	if b.s.Transient.Link.Streams.IsZero() {
		return nil
	}
	for _, i := range b.c.Inputs {
		if i.Ended == nil {
			continue
		}
		if err := b.endStream(string(i.Item.ID)); err != nil {
			return err
		}
	}
	return nil
}

func (b *step) endStream(of string) (err error) {
	b.s.Transient.Link, _, err = peer.StepStream(b.s.Transient.Link, peer.StreamEvent{Kind: peer.StreamComplete, ID: of})
	return err
}

// stopListening ends what others have begun with a session that is stopped: who follows an outcome has seen all there will be.
func (b *step) stopListening() error {
	for name := range b.s.Transient.Link.Streams.All() {
		if err := b.endStream(string(name)); err != nil {
			return err
		}
	}
	return b.peers(Linked{peer.LinkEvent{Kind: peer.Stop, Reason: peer.ExitSessionShutdown}})
}
