package memory_test

import (
	"testing"

	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/memory"
	"github.com/meerkat-go/meerkat/store/storetest"
)

// Scenario: S138
func TestMemory_keeps_the_contract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(*testing.T) store.Store { return memory.New() })
}
