package config

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/pelletier/go-toml/v2"

	"github.com/meerkat-go/meerkat/internal/files"
)

// Document is the settings of one realm: config.toml in its folder. Its users see JSON. A member that is null is one that is not set, since TOML has no
// null.
//
// Every write raises the generation by one, and so does somebody who edits the file by hand, as soon as it is looked at. Writes of several processes are
// made one after the other, and each is whole or not there. Secrets that stand in the document are shown as Redacted, and stay what they are where a
// write has that in their place. All methods may be called concurrently; each looks at the file anew.
type Document struct {
	Dir string                   // folder of the realm; it must exist to be written to
	Env func(name string) string // where bearer_token_env is looked up; nil: os.Getenv
	// NoEnv refuses bearer_token_env: whoever writes these settings says where a token is sent, and is not to have those of this process.
	NoEnv bool

	mu     sync.Mutex
	seen   files.Stamp // of the file that is parsed in view
	sum    string      // of what it said
	parsed *View
}

// Names of the files.
const (
	documentFile = "config.toml"
	stateFile    = "config_state.json"
	lockFile     = "config.lock"
)

// DefaultMaxTokens is what a reply may have where nobody says, in tokens.
const DefaultMaxTokens = 16384

// Redacted stands for a secret that is not shown.
const Redacted = "[redacted]"

// maxDocument bounds the file, in bytes.
const maxDocument = 4 << 20

// documentState is what is kept beside the document.
type documentState struct {
	Generation uint64 `json:"generation"`
	Sum        string `json:"sha256"` // of the file as of that generation
}

// content is the document as it was read.
type content struct {
	doc        map[string]any
	generation uint64
	sum        string
	edited     bool // it is not what was written last: somebody edited it by hand, or is writing it now
}

// Get returns the document as it counts, with the defaults that are always in it, and its generation.
func (d *Document) Get(ctx context.Context) (json.RawMessage, uint64, error) {
	c, err := d.read()
	if err == nil && c.edited {
		c, err = d.readAlone(ctx, c)
	}
	if err != nil {
		return nil, 0, err
	}
	return shown(c)
}

// Set replaces the document. expected nil: whatever its generation is. Errors of code invalid change nothing: another generation, and a document that
// does not hold.
func (d *Document) Set(ctx context.Context, doc json.RawMessage, expected *uint64) (json.RawMessage, uint64, error) {
	next, err := object(doc)
	if err != nil {
		return nil, 0, err
	}
	return d.change(ctx, expected, func(map[string]any) map[string]any { return without(next) })
}

// Patch merges into the document (RFC 7396), and is otherwise like Set.
func (d *Document) Patch(ctx context.Context, patch json.RawMessage, expected *uint64) (json.RawMessage, uint64, error) {
	p, err := object(patch)
	if err != nil {
		return nil, 0, err
	}
	return d.change(ctx, expected, func(old map[string]any) map[string]any { return merge(old, p) })
}

// change writes what make makes of the document.
func (d *Document) change(ctx context.Context, expected *uint64, make func(old map[string]any) map[string]any) (doc json.RawMessage, generation uint64, err error) {
	unlock, err := files.Lock(ctx, filepath.Join(d.Dir, lockFile))
	if err != nil {
		return nil, 0, fmt.Errorf("change the settings: %w", err)
	}
	defer func() { err = errors.Join(err, unlock()) }()
	old, err := d.read()
	if err != nil {
		return nil, 0, err
	}
	if expected != nil && *expected != old.generation {
		return nil, 0, &Error{What: fmt.Sprintf("Generation conflict: expected %d, current %d", *expected, old.generation),
			Advice: "Read the settings again, and make the change to those"}
	}
	next := make(old.doc)
	if err := unredact(next, old.doc); err != nil {
		return nil, 0, err
	}
	if _, err := d.parse(next); err != nil {
		return nil, 0, err
	}
	text, err := toml.Marshal(next)
	if err != nil {
		return nil, 0, &Error{What: "the settings cannot be written as TOML: " + err.Error(), Advice: "Leave out what is no value of TOML"}
	}
	if len(text) > maxDocument {
		return nil, 0, &Error{What: fmt.Sprintf("the settings have %d bytes, and %d are the most", len(text), maxDocument), Advice: "Make them smaller"}
	}
	c := content{doc: next, generation: old.generation + 1, sum: sum(text)}
	// The state first: a document without its state would look like one that was edited by hand, and get the same generation.
	if err := d.writeState(documentState{c.generation, c.sum}); err != nil {
		return nil, 0, err
	}
	if err := files.Replace(filepath.Join(d.Dir, documentFile), text); err != nil {
		return nil, 0, fmt.Errorf("change the settings: %w", err)
	}
	return shown(c)
}

// readAlone reads the document while nobody writes it. c is what was read without that care, which is all there is where the folder cannot be written.
func (d *Document) readAlone(ctx context.Context, c content) (_ content, err error) {
	unlock, err := files.Lock(ctx, filepath.Join(d.Dir, lockFile))
	switch {
	case ctx.Err() != nil:
		return content{}, fmt.Errorf("read the settings: %w", err)
	case err != nil:
		return c, nil
	}
	defer func() { err = errors.Join(err, unlock()) }()
	return d.read()
}

func (d *Document) writeState(s documentState) error {
	data, err := json.Marshal(s)
	if err == nil {
		err = files.Replace(filepath.Join(d.Dir, stateFile), data)
	}
	if err != nil {
		return fmt.Errorf("write the generation of the settings: %w", err)
	}
	return nil
}

// read reads the document and its generation. A document that somebody has edited by hand is of the next one.
func (d *Document) read() (content, error) {
	path := filepath.Join(d.Dir, documentFile)
	text, err := readSmall(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return content{}, fmt.Errorf("read the settings: %w", err)
	}
	c := content{doc: map[string]any{}, sum: sum(text)}
	if err := toml.Unmarshal(text, &c.doc); err != nil {
		return content{}, tomlError(path, err)
	}
	c.doc = plainMap(c.doc)
	var st documentState
	data, err := readSmall(filepath.Join(d.Dir, stateFile))
	switch {
	case err == nil:
		if err := json.Unmarshal(data, &st); err != nil {
			return content{}, &Error{What: "the file " + stateFile + " is damaged: " + err.Error(), Advice: "Remove it: generations begin anew", Err: err}
		}
	case !errors.Is(err, os.ErrNotExist):
		return content{}, fmt.Errorf("read the generation of the settings: %w", err)
	}
	c.generation = st.Generation
	if c.sum == st.Sum || st.Sum == "" && len(text) == 0 {
		return c, nil
	}
	c.generation++
	c.edited = true
	return c, nil
}

func tomlError(path string, err error) error {
	var at *toml.DecodeError
	if errors.As(err, &at) {
		row, column := at.Position()
		return &Error{What: fmt.Sprintf("the settings in %s cannot be read: line %d, column %d: %s", path, row, column, at.Error()), Advice: "Mend the file", Err: err}
	}
	return &Error{What: fmt.Sprintf("the settings in %s cannot be read: %v", path, err), Advice: "Mend the file", Err: err}
}

func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxDocument {
		return nil, &Error{What: fmt.Sprintf("%s has %d bytes, and %d are the most", path, info.Size(), maxDocument), Advice: "Make it smaller"}
	}
	return os.ReadFile(path)
}

func sum(data []byte) string {
	s := sha256.Sum256(data)
	return hex.EncodeToString(s[:])
}

// shown is the document as its readers get it.
func shown(c content) (json.RawMessage, uint64, error) {
	doc := redacted(c.doc)
	if _, ok := doc["max_tokens"]; !ok {
		doc["max_tokens"] = DefaultMaxTokens
	}
	data, err := json.Marshal(doc)
	if err != nil {
		return nil, 0, fmt.Errorf("show the settings: %w", err)
	}
	return data, c.generation, nil
}

// object reads a JSON object, whole numbers as such.
func object(data json.RawMessage) (map[string]any, error) {
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.UseNumber()
	var out map[string]any
	if err := dec.Decode(&out); err != nil || out == nil {
		return nil, &Error{What: "the settings are not a JSON object", Advice: `Send one, such as {"max_tokens": 4096}`, Err: err}
	}
	if _, err := dec.Token(); err == nil {
		return nil, &Error{What: "something follows the JSON object", Advice: "Send one object"}
	}
	return numbers(out)
}
