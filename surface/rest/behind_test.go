package rest_test

import (
	"encoding/json"
	"errors"
	"testing"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/id"
	"github.com/meerkat-go/meerkat/transcript"
)

// behind carries out what stands behind a route. A nil error is a route that has nothing of its own behind it.
func behind(t *testing.T, p *control.Plane, session, name string) error {
	t.Helper()
	ctx, s := t.Context(), id.Session(session)
	var err error
	switch name {
	case "setConfig":
		_, err = p.SetConfig(ctx, json.RawMessage("{}"), nil)
	case "patchConfig":
		_, err = p.PatchConfig(ctx, json.RawMessage("{}"), nil)
	case "createSession":
		_, err = p.CreateSession(ctx, control.CreateSession{})
	case "archiveSession":
		err = p.Archive(ctx, s)
	case "destroySession":
		_, err = p.Destroy(ctx, s)
	case "forkSession":
		_, err = p.ForkAt(ctx, s, 1, nil)
	case "resumeSession":
		_, err = p.Resume(ctx, s)
	case "sendMessage", "submitInput":
		_, err = p.Submit(ctx, control.Submit{Session: s, Content: transcript.TextBlocks("x")})
	case "interrupt":
		_, err = p.Interrupting(ctx, s)
	case "cancelAtBoundary":
		err = p.CancelAfterBoundary(ctx, s, "r")
	case "injectContext":
		_, err = p.InjectContext(ctx, control.Context{Session: s, Text: "x"})
	case "externalEvent":
		_, err = p.ExternalEvent(ctx, control.ExternalEvent{Session: s, Type: "x"})
	default:
		return nil
	}
	if err == nil {
		return errors.New("nothing was refused")
	}
	return err
}
