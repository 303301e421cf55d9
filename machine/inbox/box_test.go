package inbox

import (
	"fmt"
	"slices"
	"testing"

	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
	"pgregory.net/rapid"
)

// plain is a box as anybody would write it: a list, searched from end to end.
type plain []Item

func (p plain) put(i Item) plain {
	p = slices.DeleteFunc(slices.Clone(p), func(o Item) bool { return o.ID == i.ID })
	if i.Phase == Queued || i.Phase == Staged {
		p = append(p, i)
	}
	slices.SortFunc(p, func(a, b Item) int { return a.Seq.Compare(b.Seq) })
	return p
}

func (p plain) only(phase Phase, lane Lane) (out []Item) {
	for _, i := range p {
		if i.Phase == phase && (phase == Staged || i.Lane == lane) {
			out = append(out, i)
		}
	}
	return out
}

func same(a, b []Item) bool { return fmt.Sprint(a) == fmt.Sprint(b) }

func TestR31_a_box_holds_the_live_inputs_in_admission_order_and_older_boxes_stay_as_they_were(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		var b Box
		var want plain
		var old []func() error
		next := id.Seq(12)
		for range rapid.IntRange(0, 40).Draw(t, "steps") {
			n := rapid.IntRange(0, 12).Draw(t, "input")
			i := Item{ID: id.Input(fmt.Sprintf("i%d", n)), Key: fmt.Sprintf("k%d", n), Seq: id.Seq(n), Lane: Lane(n % 2),
				Content: transcript.TextBlocks("x")}
			if at, ok := b.Find(i.ID, ""); ok {
				i.Seq = at.Seq
			}
			if rapid.IntRange(0, 5).Draw(t, "moves") == 0 {
				next++
				i.Seq = next
			}
			i.Phase = Phase(rapid.IntRange(int(Queued), int(Coalesced)).Draw(t, "phase"))
			b, want = b.Put(i), want.put(i)
			was, then := b, want
			old = append(old, func() error { return agree(was, then) })
		}
		for _, check := range old {
			if err := check(); err != nil {
				t.Fatal(err)
			}
		}
	})
}

func agree(b Box, want plain) error {
	staged, steers, queue := want.only(Staged, 0), want.only(Queued, Steer), want.only(Queued, Queue)
	if got := slices.Collect(b.All()); !same(got, slices.Concat(staged, steers, queue)) {
		return fmt.Errorf("all %v, want %v, %v, %v", got, staged, steers, queue)
	}
	for range b.All() {
		break // a reader may stop early
	}
	if !same(b.Staged(), staged) || !same(b.Steers(), steers) || b.Len() != len(want) || b.Waiting() != len(steers)+len(queue) {
		return fmt.Errorf("staged %v steers %v, %d live, %d waiting; want %v", b.Staged(), b.Steers(), b.Len(), b.Waiting(), want)
	}
	next := steers
	if len(next) == 0 && len(queue) > 0 {
		next = queue[:1]
	}
	if !same(b.Next(), next) {
		return fmt.Errorf("next %v, want %v", b.Next(), next)
	}
	if len(want) > 0 && b.Front() >= want[0].Seq {
		return fmt.Errorf("%d is not before %d", b.Front(), want[0].Seq)
	}
	for n := range 13 {
		name := id.Input(fmt.Sprintf("i%d", n))
		at := slices.IndexFunc(want, func(i Item) bool { return i.ID == name })
		for _, found := range [][2]string{{string(name), ""}, {"other", fmt.Sprintf("k%d", n)}} {
			got, ok := b.Find(id.Input(found[0]), found[1])
			if ok != (at >= 0) || ok && (got.ID != name || got.Seq != want[at].Seq) {
				return fmt.Errorf("find %v: %v %t, want %t", found, got, ok, at >= 0)
			}
		}
	}
	return nil
}

func TestR33_an_id_and_a_key_of_the_same_text_are_two_names(t *testing.T) {
	t.Parallel()
	b := Box{}.Put(Item{ID: "a", Key: "b", Seq: 1, Phase: Queued}).Put(Item{ID: "c", Key: "a", Seq: 2, Phase: Queued})
	if i, ok := b.Find("a", "z"); !ok || i.Seq != 1 {
		t.Errorf("the id a leads to %v", i)
	}
	if i, ok := b.Find("z", "a"); !ok || i.Seq != 2 {
		t.Errorf("the key a leads to %v", i)
	}
	if _, ok := b.Find("b", "c"); ok {
		t.Error("an id was found by a key")
	}
}

func TestR33_an_input_that_ends_at_once_leaves_the_names_of_others_alone(t *testing.T) {
	t.Parallel()
	b := Box{}.Put(Item{ID: "a", Key: "k", Phase: Queued})
	after := b.Put(Item{ID: "b", Key: "k", Phase: Consumed})
	if i, ok := after.Find("", "k"); !ok || i.ID != "a" || after != b {
		t.Errorf("the key leads to %v", i)
	}
}

func TestA_request_to_go_on_is_next_before_all_others(t *testing.T) {
	t.Parallel()
	b := Box{}.Put(Item{ID: "c", Seq: 1, Phase: Queued, Continue: true}).Put(Item{ID: "s", Seq: 2, Phase: Queued, Lane: Steer})
	if next := b.Next(); len(next) != 1 || next[0].ID != "c" {
		t.Errorf("next %v", next)
	}
}
