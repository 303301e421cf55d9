// Package access keeps the API keys of a state root: who may come in to a server, to which realm, and what he may do there.
//
// What is kept is the hash of a secret of 256 random bits, so the file lets nobody in who reads it. A key is shown once, when it is made.
package access

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/internal/files"
)

// Key is what is kept of a key. Nothing of it opens a door.
type Key struct {
	ID      string     `json:"id"`
	Name    string     `json:"name"`
	Realm   string     `json:"realm"`
	Level   string     `json:"level"` // read, write or admin
	Created time.Time  `json:"created_at"`
	Revoked *time.Time `json:"revoked_at,omitempty"`
	Last4   string     `json:"last4"`  // the token's last letters, so that somebody can tell which of his it is
	SHA256  string     `json:"sha256"` // of the secret, in hex
}

// document is the file of keys.
type document struct {
	Version int   `json:"version"`
	Keys    []Key `json:"keys"`
}

const (
	version = 1
	prefix  = "rkat_"
	maxKeys = 4096    // what is more is a mistake
	maxName = 100     // bytes
	maxFile = 4 << 20 // bytes; what is larger is no file of keys
)

// File is the file of keys of a state root. Its methods may be called concurrently, and by several processes: what one changes counts in the others
// from their next look on. A file that cannot be read lets nobody in.
type File struct {
	path string

	mu    sync.Mutex
	stamp files.Stamp
	read  bool // stamp, keys and err are of one look at the file
	keys  map[string]held
	err   error
	seen  bool // there were keys once: there have to be from then on
}

// held is a key as it is checked.
type held struct {
	grant   control.Grant
	hash    [sha256.Size]byte
	revoked bool
}

var _ control.Keys = (*File)(nil)

// Of returns the file of keys of a state root. It looks at nothing yet.
func Of(stateRoot string) *File { return &File{path: filepath.Join(stateRoot, "keys.json")} }

// Path is where the keys are kept.
func (f *File) Path() string { return f.path }

// Required reports whether a key has to be shown: there is one, or was one. A revoked key counts, so that revoking the last one shuts the door and does
// not open it.
func (f *File) Required(context.Context) (bool, error) {
	keys, err := f.current()
	return len(keys) > 0, err
}

// Verify implements control.Keys.
func (f *File) Verify(_ context.Context, token string) (control.Grant, bool, error) {
	keys, err := f.current()
	if err != nil {
		return control.Grant{}, false, err
	}
	id, secret := split(token)
	hash := sha256.Sum256(secret)
	k, known := keys[id] // of one that is not known the hash is zero, which no secret has
	same := subtle.ConstantTimeCompare(hash[:], k.hash[:]) == 1
	if !same || !known || k.revoked {
		return control.Grant{}, false, nil
	}
	return k.grant, true, nil
}

// split takes a token apart. What is no token has no id.
func split(token string) (id string, secret []byte) {
	rest, ok := strings.CutPrefix(token, prefix)
	id, text, cut := strings.Cut(rest, "_")
	secret, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if !ok || !cut || err != nil || len(secret) != sha256.Size {
		return "", make([]byte, sha256.Size)
	}
	return id, secret
}

// current returns the keys as the file has them now. It reads the file only if it was changed.
func (f *File) current() (map[string]held, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	stamp, err := files.StampOf(f.path)
	if err != nil {
		return nil, fmt.Errorf("look at the keys: %w", err)
	}
	if f.read && stamp.Same(f.stamp) {
		return f.keys, f.err
	}
	f.keys, f.err = f.load()
	var failed *fs.PathError
	f.stamp, f.read = stamp, !errors.As(f.err, &failed) // that the file could not be read passes, and is not remembered
	switch {
	case f.err == nil && len(f.keys) > 0:
		f.seen = true
	case f.err == nil && f.seen:
		f.err = fmt.Errorf("the keys in %s are gone: nobody is let in until there are keys again, or the server is started anew", f.path)
	}
	return f.keys, f.err
}

// load reads the keys for checking.
func (f *File) load() (map[string]held, error) {
	if info, err := os.Stat(f.path); err == nil && runtime.GOOS != "windows" && info.Mode().Perm()&0o022 != 0 {
		return nil, f.damaged(fmt.Errorf("others may write it (mode %v): make it 0600", info.Mode().Perm()))
	}
	doc, err := f.parse()
	if err != nil {
		return nil, err
	}
	out := make(map[string]held, len(doc.Keys))
	for _, k := range doc.Keys {
		h, err := k.held()
		if err != nil {
			return nil, f.damaged(err)
		}
		if _, twice := out[k.ID]; twice {
			return nil, f.damaged(fmt.Errorf("there are two keys %q", k.ID))
		}
		out[k.ID] = h
	}
	return out, nil
}

func (k Key) held() (held, error) {
	level, err := control.ParseLevel(k.Level)
	if err != nil {
		return held{}, fmt.Errorf("key %q: %w", k.ID, err)
	}
	hash, err := hex.DecodeString(k.SHA256)
	if err != nil || len(hash) != sha256.Size {
		return held{}, fmt.Errorf("key %q has no hash", k.ID)
	}
	if k.ID == "" || k.Realm == "" {
		return held{}, errors.New("a key has no id or no realm")
	}
	return held{grant: control.Grant{Key: k.Name, Realm: k.Realm, Level: level}, hash: [sha256.Size]byte(hash), revoked: k.Revoked != nil}, nil
}

// parse reads the file. One that does not exist has no keys.
func (f *File) parse() (document, error) {
	doc := document{Version: version}
	data, err := os.ReadFile(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return doc, nil
	}
	if err != nil {
		return document{}, fmt.Errorf("read the keys: %w", err)
	}
	if len(data) > maxFile {
		return document{}, f.damaged(fmt.Errorf("it has %d bytes", len(data)))
	}
	doc = document{}
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&doc); err != nil {
		return document{}, f.damaged(err)
	}
	if dec.More() {
		return document{}, f.damaged(errors.New("something follows the keys"))
	}
	if doc.Version != version {
		return document{}, f.damaged(fmt.Errorf("it is of version %d, and this program knows %d", doc.Version, version))
	}
	return doc, nil
}

func (f *File) damaged(err error) error {
	return fmt.Errorf("the file of keys %s cannot be used, so nobody is let in: %w", f.path, err)
}

// change reads the keys, lets do change them, and writes them, while no other process does.
func (f *File) change(ctx context.Context, do func(*document) error) (err error) {
	if err := os.MkdirAll(filepath.Dir(f.path), 0o700); err != nil {
		return fmt.Errorf("make the folder of the keys: %w", err)
	}
	unlock, err := files.Lock(ctx, f.path+".lock")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, unlock()) }()
	doc, err := f.parse()
	if err != nil {
		return err
	}
	if err := do(&doc); err != nil {
		return err
	}
	data, err := json.MarshalIndent(doc, "", "  ")
	if err != nil {
		return fmt.Errorf("write the keys: %w", err)
	}
	return files.Replace(f.path, append(data, '\n'))
}

// Create makes a key and returns it with its token, which is kept nowhere.
func (f *File) Create(ctx context.Context, name, realm string, level control.Level) (Key, string, error) {
	if strings.TrimSpace(name) == "" || len(name) > maxName || strings.ContainsFunc(name, func(r rune) bool { return r < ' ' || r == 0x7f }) {
		return Key{}, "", &control.Error{Code: fault.Invalid, Message: fmt.Sprintf("a key has a name of up to %d letters, without control characters", maxName)}
	}
	if _, err := control.ParseLevel(level.String()); err != nil {
		return Key{}, "", err
	}
	secret, tag := make([]byte, sha256.Size), make([]byte, 6)
	_, _ = rand.Read(secret) // never fails: it would end the process
	_, _ = rand.Read(tag)
	hash := sha256.Sum256(secret)
	k := Key{ID: hex.EncodeToString(tag), Name: name, Realm: realm, Level: level.String(), Created: time.Now().UTC().Truncate(time.Second), SHA256: hex.EncodeToString(hash[:])}
	token := prefix + k.ID + "_" + base64.RawURLEncoding.EncodeToString(secret)
	k.Last4 = token[len(token)-4:]
	err := f.change(ctx, func(d *document) error {
		if len(d.Keys) >= maxKeys {
			return &control.Error{Code: fault.Invalid, Message: fmt.Sprintf("there are %d keys already, which is the most", maxKeys)}
		}
		for _, other := range d.Keys {
			if other.ID == k.ID {
				return errors.New("two keys came out alike: try again")
			}
		}
		d.Keys = append(d.Keys, k)
		return nil
	})
	if err != nil {
		return Key{}, "", err
	}
	return k, token, nil
}

// List returns all keys, the revoked ones too, in the order in which they were made.
func (f *File) List(context.Context) ([]Key, error) {
	doc, err := f.parse()
	return doc.Keys, err
}

// Revoke makes a key worthless, for good. Again: no error.
func (f *File) Revoke(ctx context.Context, id string) (Key, error) {
	var out Key
	err := f.change(ctx, func(d *document) error {
		for n := range d.Keys {
			k := &d.Keys[n]
			if k.ID != id {
				continue
			}
			if k.Revoked == nil {
				now := time.Now().UTC().Truncate(time.Second)
				k.Revoked = &now
			}
			out = *k
			return nil
		}
		return &control.Error{Code: fault.NotFound, Message: fmt.Sprintf("there is no key %q", id)}
	})
	return out, err
}
