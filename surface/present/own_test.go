package present_test

import (
	"encoding/json"
	"strings"
	"testing"

	"github.com/meerkat-go/meerkat/surface/present"
	"github.com/meerkat-go/meerkat/wire"
)

func TestOur_own_clients_may_ask_for_a_folder_a_set_of_tools_and_a_bound_on_rounds(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ params, refused string }{
		{`{"prompt":[],"initial_turn":"deferred","workspace":"/srv/work","tools_preset":"safe","max_rounds":7}`, ""},
		{`{"prompt":"x","workspace":"work"}`, "workspace"},
		{`{"prompt":"x","tools_preset":"all"}`, "tools_preset"},
		{`{"prompt":"x","max_rounds":0}`, "max_rounds"},
	} {
		var p wire.CreateParams
		if err := wire.Decode(json.RawMessage(c.params), &p); err != nil {
			t.Fatal(err)
		}
		got, _, err := present.CreateSession(p)
		if c.refused == "" && (err != nil || got.Profile.Workspace != "/srv/work" || got.Profile.Tools != "safe" || got.Profile.MaxRounds != 7 || len(got.Prompt) > 0 || !got.Deferred) {
			t.Errorf("%s: %+v, %v", c.params, got, err)
		}
		if c.refused != "" && (err == nil || !strings.Contains(err.Error(), c.refused)) {
			t.Errorf("%s: %v", c.params, err)
		}
	}
}
