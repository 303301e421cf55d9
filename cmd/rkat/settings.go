package main

import (
	"cmp"
	"context"
	"net"
	"os"
	"strconv"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/llm/offline"
)

// load turns flags into settings.
func (f *serverFlags) load(env func(string) string) (config.Config, error) {
	switch {
	case f.realm != "" && f.isolated:
		return config.Config{}, usageError("--realm and --isolated cannot both be given")
	case f.backend == "jsonl":
		return config.Config{}, usageError("the backend jsonl is not supported: one commit needs one file. Use --realm-backend sqlite, or leave it out")
	case f.backend != "" && f.backend != "sqlite":
		return config.Config{}, usageError("there is no backend %q: use sqlite", f.backend)
	case f.liveWS != "" || f.liveScheme != "" || f.liveWebRTC || f.liveTimeout != 0:
		return config.Config{}, usageError("live sessions are not supported by this version: leave out the --live flags")
	}
	given := f.realm != ""
	if !given {
		f.realm = "realm-" + id.New()
	}
	dir, _ := os.Getwd() // where it was deleted, a folder has to be named
	c, err := config.Load(config.Source{Env: env, Dir: dir, Workspace: f.contextRoot, Realm: f.realm, StateRoot: f.stateRoot})
	c.Named = given
	return c, err
}

// address is where HTTP is served if no flag says: as the settings of the realm do, or where it always was.
func (h *house) address(ctx context.Context) (string, error) {
	v, err := (&config.Document{Dir: h.config.StateDir}).View(ctx)
	if err != nil {
		return "", err
	}
	return net.JoinHostPort(cmp.Or(v.RESTHost, "127.0.0.1"), strconv.Itoa(cmp.Or(v.RESTPort, 8080))), nil
}

// testModel is the model that says ok to everything, if RKAT_TEST_CLIENT asks for it.
func testModel(env func(string) string) llm.Model {
	if env("RKAT_TEST_CLIENT") == "1" {
		return offline.Steady{}
	}
	return nil
}

// testName is what the test model is called where nobody names a model.
const testName = "test"

// modelFor is the model of sessions whose maker names none, where the settings do not either: the default of the first provider there is.
func modelFor(c config.Config, every llm.Model) string {
	if c.Model != "" {
		return c.Model
	}
	if every != nil {
		return testName
	}
	for _, m := range meerkat.Models(c.Providers) {
		if m.Default && m.Configured {
			return m.Name
		}
	}
	return ""
}
