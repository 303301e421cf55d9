package process

import (
	"os"
	"os/exec"
	"testing"

	"github.com/meerkat-go/meerkat/store"
)

func TestOnly_a_process_that_has_certainly_ended_is_gone(t *testing.T) {
	t.Parallel()
	self := Self()
	if self.Machine == "" {
		t.Skip("this machine cannot be told from others")
	}
	child := exec.CommandContext(t.Context(), "cat")
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	other := self
	other.PID, other.Started = child.Process.Pid, started(child.Process.Pid)
	change := func(o store.Owner, f func(*store.Owner)) store.Owner { f(&o); return o }
	for _, c := range []struct {
		name  string
		owner store.Owner
		gone  bool
	}{
		{"this process", self, false},
		{"one that lives", other, false},
		{"its number, given to another process since", change(other, func(o *store.Owner) { o.Started = "1" }), true},
		{"one of another machine", change(other, func(o *store.Owner) { o.Machine += "x"; o.Started = "1" }), false},
		{"one of an unknown machine", change(other, func(o *store.Owner) { o.Machine = ""; o.Started = "1" }), false},
		{"one of an earlier boot", change(self, func(o *store.Owner) { o.Boot += "x" }), true},
		{"one without a number", change(self, func(o *store.Owner) { o.PID = 0 }), false},
	} {
		if got := Gone(c.owner); got != c.gone {
			t.Errorf("%s: gone %t, want %t", c.name, got, c.gone)
		}
	}
	if err := in.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := child.Process.Wait(); err != nil {
		t.Fatal(err)
	}
	if !Gone(other) {
		t.Error("one that has ended is not gone")
	}
	if os.Getuid() == 0 && Gone(change(other, func(o *store.Owner) { o.PID, o.Started = 1, started(1) })) {
		t.Error("the first process is gone")
	}
}
