package peer_test

import (
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/machine/fsm/fsmtest"
	"github.com/meerkat-go/meerkat/machine/peer"
)

// The tables are swapped for faulty ones, so this test may not run beside others: it does not call t.Parallel, and those that do
// wait until it is over.
// Scenario: M6
func TestR17_a_fault_in_any_rule_of_the_peer_tables_is_noticed_by_what_it_does(t *testing.T) {
	for _, alone := range [][]string{
		fsmtest.Survey(t, &peer.Table, peerCells, behaves("peers")),
		fsmtest.Survey(t, &peer.Bridge, bridgeCells, behaves("bridge")),
		fsmtest.Survey(t, &peer.Calls, requestCells, behaves("requests")),
		fsmtest.Survey(t, &peer.Drain, drainCells, behaves("drain")),
		fsmtest.Survey(t, &peer.Streams, streamCells, behaves("streams")),
	} {
		// What shows in the cells alone is a guard that only chooses between two reasons for a refusal.
		for _, fault := range alone {
			if !strings.Contains(fault, "without the guard reason is named") {
				t.Errorf("no session behaves otherwise for %s", fault)
			}
		}
	}
}
