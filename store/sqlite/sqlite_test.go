package sqlite

import (
	"context"
	"path/filepath"
	"testing"

	"go.uber.org/goleak"

	"github.com/meerkat-go/meerkat/store"
	"github.com/meerkat-go/meerkat/store/storetest"
)

func TestMain(m *testing.M) {
	storetest.CrashChild(openAt)
	goleak.VerifyTestMain(m)
}

func openAt(ctx context.Context, path string) (store.Store, error) {
	return Open(ctx, Options{Path: path})
}

// reopen opens the store in a place of its own, as often as it is called.
func reopen(t *testing.T) func(t *testing.T) store.Store {
	path := filepath.Join(t.TempDir(), "realm", "sessions.db")
	return func(t *testing.T) store.Store { return mustOpen(t, Options{Path: path}) }
}

func mustOpen(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// Scenario: S138
func TestSQLite_keeps_the_contract(t *testing.T) {
	t.Parallel()
	storetest.Run(t, func(t *testing.T) store.Store { return reopen(t)(t) })
}

func TestSQLite_keeps_what_it_was_given(t *testing.T) {
	t.Parallel()
	storetest.RunDurable(t, reopen)
}

func TestNothing_acknowledged_is_lost_when_the_process_is_killed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "sessions.db")
	times := 20
	if testing.Short() {
		times = 3
	}
	storetest.RunCrash(t, path, times, openAt, func(t *testing.T) {
		if err := Check(t.Context(), path); err != nil {
			t.Fatal(err)
		}
	})
}

func TestTwo_processes_share_a_file(t *testing.T) {
	t.Parallel()
	storetest.RunShared(t, filepath.Join(t.TempDir(), "sessions.db"), openAt)
}
