package main

import (
	"context"

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
