package machine_test

import (
	"testing"

	"github.com/meerkat-go/meerkat/machine"
	"github.com/meerkat-go/meerkat/machine/toolserver"
)

// A session that was stopped may be retired, and recycled or reset from there. It takes work again, so its tool servers must as well.
func TestR74_a_session_that_comes_back_from_stopped_by_way_of_retired_may_have_tool_servers(t *testing.T) {
	t.Parallel()
	for name, back := range map[string]machine.Event{"recycled": machine.Recycle{}, "reset": machine.Reset{}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			add := func(server string) machine.Event {
				return machine.Servers{Event: toolserver.Event{Kind: toolserver.StageAdd, Server: server, Config: "c"}}
			}
			for _, ev := range []machine.Event{machine.Register{}, add("files"), machine.Stop{}, machine.Retire{}, back, add("more")} {
				if _, refusal, breach := w.tell(ev); refusal != nil || breach != nil {
					t.Fatalf("%s: %v %v", machine.Name(ev), refusal, breach)
				}
			}
		})
	}
}
