package machine

import (
	"slices"

	"github.com/meerkat-go/meerkat/event"
	"github.com/meerkat-go/meerkat/machine/operation/registry"
	"github.com/meerkat-go/meerkat/machine/peer"
	"github.com/meerkat-go/meerkat/machine/toolserver"
)

// ends: the operations that ended are listed, each once, in the order of their numbers, and told if they are news.
func (f *findings) ends(prev State, c Commit) {
	was, is := get(prev.Work), get(c.Next.Work)
	due := int(is.Watermark - was.Watermark)
	if c.Next.Work == nil {
		due = was.Active()
	}
	f.want(len(c.Operations) == due, "R118", "%d operations are listed as ended, and %d did", len(c.Operations), due)
	told, news := map[string]int{}, 0
	for _, e := range c.Facts {
		if e, ok := e.Payload.(event.BackgroundJobCompleted); ok {
			told[e.Job]++
			news++
		}
	}
	for n, e := range c.Operations {
		f.want(e.Seq == was.Watermark+registry.Seq(n)+1, "R118", "end %d is listed as %d, after %d", n, e.Seq, was.Watermark)
		f.want(e.Outcome.Status.Terminal(), "R118", "operation %q is listed as ended, and is %s", e.ID, e.Outcome.Status)
		if e.Work == registry.BackgroundTool {
			f.want(told[string(e.ID)] == 1, "R118", "the end of operation %q is told %d times", e.ID, told[string(e.ID)])
			news--
		}
	}
	f.want(news == 0, "R118", "%d ends are told that are none", news)
	for _, w := range c.Waits {
		f.want(prev.Work != nil && was.Wait != nil && was.Wait.Token == w.Token && is.Wait == nil && len(w.Ends) == len(was.Wait.IDs), "R96",
			"wait %q is over, and was not waited for", w.Token)
	}
}

// changes: what became of tool servers, and of requests to peers, is told.
func (f *findings) changes(prev State, c Commit) {
	var lapsed []string
	of := map[string][]string{}
	for _, e := range c.Facts {
		switch e := e.Payload.(type) {
		case event.ToolConfigChanged:
			if e.Domain != "" {
				continue
			}
			of[e.Target] = append(of[e.Target], e.Phase)
		case event.PeerRequestTimedOut:
			lapsed = append(lapsed, e.Interaction)
		}
	}
	was, is := get(prev.Servers), get(c.Next.Servers)
	if c.Next.Servers != nil {
		for _, t := range toolserver.Told(was, is) {
			f.want(slices.Contains(of[t.Server], t.Phase.String()), "R118", "server %q is %s, and nobody is told", t.Server, t.Phase)
			delete(of, t.Server)
		}
	}
	f.want(len(of) == 0, "R118", "%v of servers is told and did not happen", of)
	before, after := get(prev.Peer).Requests, get(c.Next.Peer).Requests
	for _, id := range lapsed {
		_, asked := before.Outbound(id)
		_, still := after.Outbound(id)
		f.want(asked && !still, "R118", "request %q is told to have timed out: open before %t, after %t", id, asked, still)
	}
}

// waiting: what is over is not waited for, and what is followed is open.
func (f *findings) waiting(s State) {
	_, over := get(s.Work).WaitSatisfied()
	f.want(!over, "R96", "a wait is over and still there")
	for name, st := range s.Transient.Link.Streams.All() {
		f.want(st.Phase == peer.Reserved || st.Phase == peer.Attached, "R92", "stream %q is %s", name, st.Phase)
	}
}
