package registry

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/machine/fsm"
	"pgregory.net/rapid"
)

// plain is a register as anybody would write it: lists, searched from end to end.
type plain struct {
	live   []Op
	feed   []Op
	ended  int
	told   int   // completions up to this one are old
	lost   []int // news that left the feed before they were told
	token  string
	awaits []ID
	ends   map[ID]Outcome
	keep   int
	limit  int
}

// moves is what each event about one operation makes of its status; anything else is refused.
var moves = map[Kind]map[Status]Status{
	Register:      {Absent: Provisioning},
	Start:         {Provisioning: Running},
	Fail:          {Provisioning: Failed, Running: Failed, Retiring: Failed},
	Complete:      {Running: Completed, Retiring: Completed},
	Abort:         {Provisioning: Aborted},
	Cancel:        {Provisioning: Cancelled, Running: Cancelled, Retiring: Cancelled},
	RequestRetire: {Running: Retiring},
	MarkRetired:   {Running: Retired, Retiring: Retired},
	PeerReady:     {Running: Running, Retiring: Retiring},
	Progress:      {Running: Running, Retiring: Retiring},
	Terminate:     {Provisioning: Terminated, Running: Terminated, Retiring: Terminated},
}

func is(i ID) func(Op) bool { return func(o Op) bool { return o.ID == i } }

func (p *plain) find(e Event) Op {
	for _, o := range slices.Concat(p.live, p.feed) {
		if o.ID == e.ID {
			return o
		}
	}
	return Op{ID: e.ID, Status: e.Past}
}

// step returns why e is refused, or nothing.
func (p *plain) step(e Event) string {
	if e.Kind < RequestWaitAll {
		return p.one(e)
	}
	switch e.Kind {
	case RequestWaitAll:
		return p.await(e)
	case SatisfyWaitAll, CancelWaitAll:
		switch {
		case p.token == "":
			return WhyNobodyWaits
		case p.token != e.Token:
			return GuardThisWait
		case e.Kind == SatisfyWaitAll && len(p.ends) < len(p.awaits):
			return GuardAllEnded
		}
		p.token, p.awaits, p.ends = "", nil, nil
	case Announced:
		if int(e.Upto) > p.ended {
			return GuardInFeed
		}
		p.told = max(p.told, int(e.Upto))
		p.lost = slices.DeleteFunc(p.lost, func(n int) bool { return n <= p.told })
	case Configure:
		if e.Keep < 0 || e.Limit < 0 {
			return GuardBounds
		}
		p.keep, p.limit = e.Keep, e.Limit
		p.drop()
	default:
		p.all(e)
	}
	return ""
}

func (p *plain) one(e Event) string {
	o := p.find(e)
	to, ok := moves[e.Kind][o.Status]
	switch {
	case !ok && o.Status == Absent:
		return WhyUnknown
	case !ok && e.Kind == Register:
		return WhyDuplicate
	case !ok:
		return "illegal"
	case e.Kind == Register && e.ID == "":
		return GuardNamed
	case e.Kind == Register && p.limit > 0 && len(p.live) >= p.limit:
		return GuardRoom
	case e.Kind == PeerReady && (o.Work != MemberChild || !o.ExpectsPeer):
		return GuardPeerExpected
	case e.Kind == PeerReady && o.PeerReady:
		return GuardPeerOnce
	}
	o.Status = to
	switch e.Kind {
	case Register:
		o.Spec, o.Created = e.Spec, e.At.UnixMilli()
		p.live = append(p.live, o)
	case Start:
		o.Started = e.At.UnixMilli()
	case PeerReady:
		o.PeerReady = true
	case Progress:
		o.Progress++
	case Complete:
		o.Result = &e.Result
	case Fail, Abort, Cancel, Terminate:
		o.Reason = e.Reason
	}
	p.live = slices.DeleteFunc(p.live, is(o.ID))
	if !to.Terminal() {
		p.live = append(p.live, o)
		slices.SortFunc(p.live, func(a, b Op) int { return cmp.Compare(a.ID, b.ID) })
		return ""
	}
	p.ended++
	o.Seq, o.Completed = Seq(p.ended), e.At.UnixMilli()
	p.feed = append(p.feed, o)
	if slices.Contains(p.awaits, o.ID) {
		p.ends[o.ID] = Outcome{o.Status, o.Result, o.Reason}
	}
	p.drop()
	return ""
}

func (p *plain) drop() {
	for len(p.feed) > max(4*cmp.Or(p.keep, 256), 1024) {
		if o := p.feed[0]; o.Work == BackgroundTool && int(o.Seq) > p.told {
			p.lost = append(p.lost, int(o.Seq))
		}
		p.feed = p.feed[1:]
	}
}

func (p *plain) all(e Event) {
	for _, o := range slices.Clone(p.live) {
		one := Event{Kind: Terminate, At: e.At, ID: o.ID, Reason: e.Reason}
		switch {
		case e.Kind == TerminateOwner:
			one.Reason = cmp.Or(e.Reason, "its owner is gone")
		case e.Kind == ProcessLost && o.Work == BackgroundTool && !o.Durable:
			one.Reason = cmp.Or(e.Reason, "process lost")
		case e.Kind == Yield && o.Yields && o.Status != Provisioning:
			one.Kind, one.Reason = Cancel, cmp.Or(e.Reason, "interrupted by new input")
		default:
			continue
		}
		p.one(one)
	}
	if e.Kind == ProcessLost {
		p.token, p.awaits, p.ends = "", nil, nil
	}
}

func (p *plain) await(e Event) string {
	ends := map[ID]Outcome{}
	seen := map[ID]int{}
	missing := false
	for _, i := range e.IDs {
		seen[i]++
		o := p.find(Event{ID: i})
		missing = missing || o.Status == Absent
		if o.Status.Terminal() {
			ends[i] = Outcome{o.Status, o.Result, o.Reason}
		}
	}
	switch {
	case p.token != "":
		return WhyWaiting
	case e.Token == "":
		return GuardToken
	case len(e.IDs) == 0:
		return GuardSome
	case len(seen) < len(e.IDs):
		return GuardDistinct
	case missing:
		return GuardKnown
	}
	p.token, p.awaits, p.ends = e.Token, e.IDs, ends
	return ""
}

// full makes no difference between nothing and an empty list.
func full[T any](list []T) []T { return append([]T{}, list...) }

// agree compares what a state answers with what the plain register has.
func agree(s State, p *plain) error {
	var errs []error
	same := func(what string, got, want any) {
		if !reflect.DeepEqual(got, want) {
			errs = append(errs, fmt.Errorf("%s: %+v, want %+v", what, got, want))
		}
	}
	kept := p.feed[max(len(p.feed)-cmp.Or(p.keep, 256), 0):]
	same("list", full(slices.Collect(s.List())), full(slices.Concat(p.live, kept)))
	same("active", s.Active(), len(p.live))
	var feed, news []Entry
	for _, o := range p.feed {
		e := Entry{o.Seq, o.ID, o.Work, o.Name, Outcome{o.Status, o.Result, o.Reason}, o.Completed}
		feed = append(feed, e)
		if o.Work == BackgroundTool && int(o.Seq) > p.told {
			news = append(news, e)
		}
	}
	got, missed := s.Unannounced()
	same("news", got, news)
	if missed < len(p.lost) || missed > 0 && len(p.lost) == 0 && p.told == 0 {
		errs = append(errs, fmt.Errorf("%d news are said to be missed, %d are", missed, len(p.lost)))
	}
	same("news to tell", s.News(), len(news)+missed > 0)
	for _, back := range []int{0, 3, len(p.feed) + 2} {
		page, cursor := s.Since(Seq(max(p.ended-back, 0))), max(p.ended-back, 0)
		behind := feed[max(len(feed)-p.ended+cursor, 0):]
		same(fmt.Sprintf("%d back", back), full(page.Entries), full(behind))
		same("watermark", int(page.Watermark), p.ended)
		same("missed", page.Missed, p.ended-cursor-len(behind))
	}
	var awaited []Awaited
	for _, i := range p.awaits {
		awaited = append(awaited, Awaited{i, p.ends[i]})
	}
	same("somebody waits", s.Wait != nil, p.token != "")
	answer, over := s.WaitSatisfied()
	same("the wait is over", over, p.token != "" && len(p.ends) == len(p.awaits))
	if over {
		same("awaited", answer, awaited)
	}
	for n, o := range slices.Concat(p.live, p.feed) {
		got, ok := s.Get(o.ID)
		same("get", ok, n < len(p.live) || slices.ContainsFunc(kept, is(o.ID)))
		same("barrier", s.BarrierMet([]ID{"", o.ID}), n >= len(p.live))
		if ok {
			same("got", got, o)
		}
	}
	return errors.Join(errs...)
}

// reason maps a refusal to what the plain register says.
func reason(err error) (string, error) {
	if err == nil {
		return "", nil
	}
	no, ok := errors.AsType[*Refusal](err)
	if !ok || !errors.Is(err, fsm.ErrPhase) && !errors.Is(err, fsm.ErrGuard) {
		return "", fmt.Errorf("refused by %w", err)
	}
	switch no.Guard {
	case WhyEnded, WhyProvisioning, WhyStarted, WhyRetiring:
		return "illegal", nil
	}
	return no.Guard, nil
}

// some returns an id: at work, ended lately, ended long ago, or not known yet.
func some(s State, pick func(int) int) ID {
	fresh := ID(fmt.Sprintf("%03d", int(s.Watermark)+s.Active()))
	switch at := slices.Collect(s.List()); {
	case pick(8) == 0:
		return fresh
	case len(at) > 0 && pick(30) == 0:
		return at[pick(len(at))].ID
	case s.Active() > 0 && pick(8) > 0:
		return at[pick(s.Active())].ID
	case len(at) > 0:
		return at[len(at)-1-pick(min(len(at), 3))].ID
	}
	return fresh
}

func draw(s State, choose func(int, string) int, at int) Event {
	pick := func(n int) int { return choose(n, "choice") }
	e := Event{At: time.UnixMilli(int64(at)), ID: some(s, pick), Reason: []string{"", "because"}[pick(2)]}
	switch pick(12) {
	case 0, 1, 2: // most events are about one
		e.Kind = RequestWaitAll + Kind(choose(len(kinds)-int(RequestWaitAll), "kind"))
		if _, over := s.WaitSatisfied(); over && pick(2) == 0 {
			e.Kind = SatisfyWaitAll
		}
	case 3, 4, 5:
		e.Kind, e.ID = Register, ID(fmt.Sprintf("%03d", int(s.Watermark)+s.Active()))
	case 6, 7:
		e.Kind = Start
	case 8:
		e.Kind = PeerReady
	default:
		e.Kind = Kind(choose(int(RequestWaitAll), "kind"))
	}
	if pick(40) == 0 {
		e.ID = ""
	}
	e.Spec = Spec{Work: Work(pick(2)), Name: string(e.ID), Child: "s", ExpectsPeer: pick(3) > 0, Durable: pick(3) == 0, Yields: pick(3) == 0}
	e.Result = Result{Content: fmt.Sprint("done at ", at), IsError: pick(2) == 0, Duration: time.Second, Tokens: at}
	e.Token = []string{"w", "w", "w", "w", "x", ""}[pick(6)]
	for range []int{1, 1, 2, 3, 0}[pick(5)] {
		e.IDs = append(e.IDs, some(s, pick))
	}
	e.Upto = Seq(max(int(s.Watermark)-pick(4)+1, 0))
	if pick(20) == 0 {
		e.Upto = Seq(pick(int(s.Watermark) + 2))
	}
	e.Keep, e.Limit = pick(5)-1, []int{0, 0, 6, -1}[pick(4)]
	if _, known := s.find(e.ID); !known && pick(20) == 0 {
		e.Past = ended[pick(len(ended))]
	}
	return e
}

// crowded is a register whose feed is nearly full, and the plain one that is equal to it.
var crowded = sync.OnceValue(func() State {
	s := State{}
	for n := range LeastCapacity - 2 {
		i := ID(fmt.Sprint(n))
		s, _ = Step(s, Event{Kind: Register, ID: i, At: time.UnixMilli(1), Spec: Spec{Work: Work(n % 2)}})
		s, _ = Step(s, Event{Kind: Cancel, ID: i, At: time.UnixMilli(2)})
	}
	return s
})

func (p *plain) crowd() {
	for n := range LeastCapacity - 2 {
		p.ended++
		p.feed = append(p.feed, Op{ID: ID(fmt.Sprint(n)), Spec: Spec{Work: Work(n % 2)}, Status: Cancelled, Created: 1, Completed: 2, Seq: Seq(p.ended)})
	}
}

// wander takes steps, each compared with those of the plain register, and at the end looks at all the states it has passed.
func wander(choose func(int, string) int, crowd bool, steps int) error {
	var s State
	p := &plain{}
	if crowd {
		s = crowded()
		p.crowd()
	}
	type stop struct {
		s    State
		text string
	}
	var passed []stop
	rows := map[ID]Op{}
	for _, o := range Changed(State{}, s) {
		rows[o.ID] = o
	}
	for at := range steps {
		e := draw(s, choose, at+10)
		next, err := Step(s, e)
		got, broken := reason(err)
		want := p.step(e)
		if broken != nil || got != want {
			return fmt.Errorf("%s %+v: %q (%w), want %q", e.Kind, e, got, broken, want)
		}
		if err != nil && next != s {
			return fmt.Errorf("R18: %s was refused and changed the state", e.Kind)
		}
		for _, o := range Left(s, next, e.At) {
			delete(rows, o.ID)
		}
		for _, o := range Changed(s, next) {
			rows[o.ID] = o
		}
		if n := next.Live.Len() + next.Feed.Len(); len(rows) != n {
			return fmt.Errorf("R115: after %s %+v %d operations are kept, and %d rows", e.Kind, e, n, len(rows))
		}
		s = next
		if crowd && at%16 > 0 { // many entries to compare
			continue
		}
		if err := errors.Join(agree(s, p), Check(s)); err != nil {
			return fmt.Errorf("after %s %+v: %w", e.Kind, e, err)
		}
		if !crowd && at%4 == 0 || at%128 == 0 {
			text, err := encoded(s)
			if err != nil {
				return err
			}
			passed = append(passed, stop{s, text})
			if err := restored(s, rows); err != nil {
				return fmt.Errorf("after %s: %w", e.Kind, err)
			}
		}
	}
	for _, was := range passed {
		if text, err := encoded(was.s); err != nil || text != was.text {
			return fmt.Errorf("R19: a state has changed since: %w", err)
		}
	}
	return nil
}

// restored makes a state again of its head and the rows that were written so far.
func restored(s State, rows map[ID]Op) error {
	text, err := json.Marshal(s.Head())
	if err != nil {
		return err
	}
	var head Head
	if err := json.Unmarshal(text, &head); err != nil {
		return err
	}
	read, err := Restore(head, maps.Values(rows))
	if err != nil {
		return err
	}
	want, _ := json.Marshal(s)
	if got, _ := json.Marshal(read); string(got) != string(want) {
		return fmt.Errorf("R22: restored from rows it is\n%s\nand was\n%s", got, want)
	}
	return Check(read)
}

// encoded returns the stored form of a state, after a look whether it can be read again.
func encoded(s State) (string, error) {
	text, err := json.Marshal(s)
	if err != nil {
		return "", err
	}
	var read State
	if err := json.Unmarshal(text, &read); err != nil {
		return "", err
	}
	again, err := json.Marshal(read)
	if err != nil || string(again) != string(text) {
		return "", fmt.Errorf("R22: read and written again it is\n%s\nand was\n%s %w", again, text, err)
	}
	if !slices.EqualFunc(slices.Collect(s.List()), slices.Collect(read.List()), func(a, b Op) bool { return reflect.DeepEqual(a, b) }) {
		return "", fmt.Errorf("R22: read again it lists otherwise: %s", text)
	}
	return string(text), Check(read)
}

func TestR94_a_register_does_what_plain_lists_would_do(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		choose := func(n int, label string) int { return rapid.IntRange(0, n-1).Draw(t, label) }
		if err := wander(choose, false, rapid.IntRange(1, 60).Draw(t, "steps")); err != nil {
			t.Fatal(err)
		}
	})
}

func TestR95_a_full_feed_does_what_plain_lists_would_do(t *testing.T) {
	t.Parallel()
	for seed := range uint64(3) {
		r := rand.New(rand.NewPCG(seed, 95))
		if err := wander(func(n int, _ string) int { return r.IntN(n) }, true, 200); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}
