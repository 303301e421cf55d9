package main

import (
	"context"
	"log/slog"

	"github.com/meerkat-go/meerkat/access"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/surface/cli"
)

// keyring shows the keys of a state root to the command line.
type keyring struct{ file *access.File }

func keys(stateRoot string) cli.Keys { return keyring{access.Of(stateRoot)} }

func (k keyring) Create(ctx context.Context, name, realm string, level control.Level) (cli.Key, string, error) {
	key, token, err := k.file.Create(ctx, name, realm, level)
	return shown(key), token, err
}

func (k keyring) List(ctx context.Context) ([]cli.Key, error) {
	list, err := k.file.List(ctx)
	var out []cli.Key
	for _, key := range list {
		out = append(out, shown(key))
	}
	return out, err
}

func (k keyring) Revoke(ctx context.Context, id string) (cli.Key, error) {
	key, err := k.file.Revoke(ctx, id)
	return shown(key), err
}

// shown leaves the hash out.
func shown(k access.Key) cli.Key {
	return cli.Key{ID: k.ID, Name: k.Name, Realm: k.Realm, Level: k.Level, Created: k.Created, Revoked: k.Revoked, Last4: k.Last4}
}

// watched tells the log why nobody can be let in: callers are not told.
type watched struct {
	control.Keys
	log *slog.Logger
}

// Required implements control.Keys.
func (w watched) Required(ctx context.Context) (bool, error) {
	need, err := w.Keys.Required(ctx)
	return need, w.tell(err)
}

// Verify implements control.Keys.
func (w watched) Verify(ctx context.Context, token string) (control.Grant, bool, error) {
	g, ok, err := w.Keys.Verify(ctx, token)
	return g, ok, w.tell(err)
}

func (w watched) tell(err error) error {
	if err != nil {
		w.log.Error("keys cannot be checked, so nobody is let in", "error", err)
	}
	return err
}
