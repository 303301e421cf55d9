package driver_test

import "testing"

func TestR19_a_state_that_a_reader_keeps_is_never_changed(t *testing.T) {
	t.Parallel()
	w := registered(t)
	kept := w.d.Shared()
	before := shown(*kept)
	staged := w.stage(submit("a", "hello"))
	if w.d.Shared() != kept {
		t.Error("what is staged is current")
	}
	_, err := staged.Commit(t.Context())
	w.ok(err)
	same(t, shown(*kept), before)
	if now := w.d.Shared(); now == kept || now.Run() == "" {
		t.Error("what was committed is not current")
	}
	w.ok(w.d.Reload(t.Context()))
	same(t, shown(*kept), before)
}
