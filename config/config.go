// Package config turns the environment and the command line into one typed Config.
//
// Load reads nothing but what it is handed and looks at folders; it writes nothing and touches no network. Model servers, which
// nobody configured or whose models nobody named, are asked by functions of their own.
package config

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"github.com/meerkat-go/meerkat/fault"
)

// Config is everything a process is told from outside.
type Config struct {
	Workspace string     // absolute folder the tools work in, symbolic links resolved
	Realm     string     // name of the realm; derived from Workspace unless given
	Named     bool       // the realm's name was given
	StateRoot string     // folder of all realms
	StateDir  string     // folder of this realm: StateRoot/Realm
	Model     string     // asked for by name; empty: nobody said
	Providers []Provider // configured ones, in order of preference
	NoProbe   bool       // do not look for local model servers
}

// Kind is a provider's wire format.
type Kind string

// The wire formats.
const (
	Anthropic Kind = "anthropic" // Anthropic Messages
	Compat    Kind = "compat"    // OpenAI Chat Completions and everything that speaks it
)

// Provider is somebody who answers for models.
type Provider struct {
	Name    string // first part of a model's full name: provider/name
	Kind    Kind
	BaseURL string // without a trailing slash
	Key     string // empty: none is sent
	Origin  string // the variable it comes from, for people
}

// Default base URLs.
const (
	AnthropicURL = "https://api.anthropic.com"
	OpenAIURL    = "https://api.openai.com/v1"
)

// Hosted reports whether the provider is the vendor's own service, whose models are those of the catalogue.
func (p Provider) Hosted() bool { return p.BaseURL == AnthropicURL || p.BaseURL == OpenAIURL }

// Address is the base URL as it may be shown: without a name, a password or a query, each of which may be a key.
func (p Provider) Address() string {
	u, err := url.Parse(p.BaseURL)
	if err != nil {
		return "an address that cannot be read"
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// Provider returns the provider of that name.
func (c Config) Provider(name string) (Provider, bool) {
	for _, p := range c.Providers {
		if p.Name == name {
			return p, true
		}
	}
	return Provider{}, false
}

// Source is where a Config is read from. Env must be set.
type Source struct {
	Env       func(string) string // the environment; an empty value counts as not set
	Dir       string              // the working folder, absolute; empty: it was deleted
	Workspace string              // flag; empty: Dir
	Realm     string              // flag; empty: RKAT_REALM, then derived from the workspace
	StateRoot string              // flag; empty: RKAT_STATE_DIR, then ~/.rkat/realms
	Model     string              // flag; empty: RKAT_MODEL
}

// Error is a setting that cannot be used.
type Error struct {
	What   string // what is wrong
	Advice string // what to do
	Err    error  // cause; may be nil
}

// Error says what is wrong and what to do.
func (e *Error) Error() string { return e.What + ". " + e.Advice }

// Unwrap returns the cause.
func (e *Error) Unwrap() error { return e.Err }

// FaultCode is Invalid.
func (e *Error) FaultCode() fault.Code { return fault.Invalid }

// Load reads a Config. Its errors are *Error.
func Load(s Source) (Config, error) {
	var c Config
	var err error
	if c.Workspace, err = workspace(s); err != nil {
		return Config{}, err
	}
	if c.Realm, err = realm(s, c.Workspace); err != nil {
		return Config{}, err
	}
	c.Named = first(s.Realm, s.Env("RKAT_REALM")) != ""
	if c.StateRoot, err = stateRoot(s); err != nil {
		return Config{}, err
	}
	c.StateDir = filepath.Join(c.StateRoot, c.Realm)
	c.Model = first(s.Model, s.Env("RKAT_MODEL"))
	c.NoProbe = s.Env("RKAT_NO_PROBE") != "" && s.Env("RKAT_NO_PROBE") != "0"
	if c.Providers, err = providers(s.Env); err != nil {
		return Config{}, err
	}
	return c, nil
}

func workspace(s Source) (string, error) {
	dir, err := absolute(s, first(s.Workspace, s.Dir), "--workspace")
	if err != nil {
		return "", err
	}
	real, err := filepath.EvalSymlinks(dir)
	if errors.Is(err, os.ErrNotExist) {
		return "", &Error{"the workspace folder " + dir + " does not exist", "Create it, or name another with --workspace", err}
	}
	if err != nil {
		return "", &Error{"the workspace folder " + dir + " cannot be used: " + err.Error(), "Name another with --workspace", err}
	}
	info, err := os.Stat(real)
	if err != nil || !info.IsDir() {
		return "", &Error{"the workspace " + dir + " is not a folder", "Name a folder with --workspace", err}
	}
	return real, nil
}

// absolute completes a path that stands relative to the working folder.
func absolute(s Source, path, flag string) (string, error) {
	if filepath.IsAbs(path) {
		return path, nil
	}
	if s.Dir == "" {
		return "", &Error{"the working folder does not exist any more", "Change to another folder, or name one in full with " + flag, nil}
	}
	return filepath.Join(s.Dir, path), nil
}

func realm(s Source, workspace string) (string, error) {
	name := first(s.Realm, s.Env("RKAT_REALM"))
	if name == "" {
		return RealmOf(workspace), nil
	}
	return name, CheckRealm(name)
}

// CheckRealm refuses what is not a name for a realm. Such a name is one element of a path, and none that means another folder.
func CheckRealm(name string) error {
	if validRealm(name) {
		return nil
	}
	return &Error{fmt.Sprintf("%.100q is not a name for a realm", name),
		"Use up to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit", nil}
}

// RealmOf derives the name of the default realm from a workspace folder: readable, the same every time, and different for
// different folders.
func RealmOf(workspace string) string {
	sum := sha256.Sum256([]byte(workspace))
	base := strings.Map(func(r rune) rune {
		if realmRune(r) {
			return r
		}
		return '-'
	}, filepath.Base(workspace))
	base = strings.TrimLeft(base, ".-_")
	if base == "" {
		base = "root"
	}
	return base[:min(len(base), 40)] + "-" + hex.EncodeToString(sum[:5])
}

func realmRune(r rune) bool {
	return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '.' || r == '-' || r == '_'
}

func validRealm(name string) bool {
	if name == "" || len(name) > 64 || strings.ContainsRune(".-_", rune(name[0])) {
		return false
	}
	return !strings.ContainsFunc(name, func(r rune) bool { return !realmRune(r) })
}

func stateRoot(s Source) (string, error) {
	if dir := first(s.StateRoot, s.Env("RKAT_STATE_DIR")); dir != "" {
		dir, err := absolute(s, dir, "--state-root")
		return filepath.Clean(dir), err
	}
	home := s.Env("HOME")
	if home == "" || !filepath.IsAbs(home) {
		return "", &Error{"there is no place to keep sessions: HOME is not set",
			"Set RKAT_STATE_DIR to a folder that can be written, or pass --state-root", nil}
	}
	return filepath.Join(home, ".rkat", "realms"), nil
}

func providers(env func(string) string) ([]Provider, error) {
	var out []Provider
	key, origin := lookup(env, "RKAT_ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY")
	base, baseOrigin := lookup(env, "RKAT_ANTHROPIC_BASE_URL", "ANTHROPIC_BASE_URL")
	if key != "" || base != "" {
		p, err := provider("anthropic", Anthropic, base, baseOrigin, AnthropicURL)
		if err != nil {
			return nil, err
		}
		p.Key, p.Origin = key, first(origin, baseOrigin)
		out = append(out, p)
	}
	key, origin = lookup(env, "RKAT_OPENAI_API_KEY", "OPENAI_API_KEY")
	base, baseOrigin = lookup(env, "RKAT_OPENAI_BASE_URL", "OPENAI_BASE_URL")
	if key != "" || base != "" {
		p, err := provider("openai", Compat, base, baseOrigin, OpenAIURL)
		if err != nil {
			return nil, err
		}
		p.Key, p.Origin = key, first(origin, baseOrigin)
		out = append(out, p)
	}
	return out, nil
}

func provider(name string, kind Kind, base, origin, fallback string) (Provider, error) {
	if base == "" {
		return Provider{Name: name, Kind: kind, BaseURL: fallback}, nil
	}
	if !strings.HasPrefix(base, "http://") && !strings.HasPrefix(base, "https://") {
		return Provider{}, &Error{origin + " is not an address", // not shown: it may be a key that was put into the wrong variable
			"Give a full one, such as http://127.0.0.1:11434/v1", nil}
	}
	return Provider{Name: name, Kind: kind, BaseURL: strings.TrimRight(base, "/")}, nil
}

func lookup(env func(string) string, names ...string) (value, name string) {
	for _, n := range names {
		if v := strings.TrimSpace(env(n)); v != "" {
			return v, n
		}
	}
	return "", ""
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}

// MakeState makes the realm's folder, for its owner alone, and finds out whether it can be written.
func MakeState(dir string) error {
	advice := "Set RKAT_STATE_DIR to a folder that can be written, or pass --state-root"
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return &Error{"the state folder " + dir + " cannot be made: " + cause(err), advice, err}
	}
	f, err := os.CreateTemp(dir, ".writable-*")
	if err != nil {
		return &Error{"the state folder " + dir + " cannot be written: " + cause(err), advice, err}
	}
	if err := errors.Join(f.Close(), os.Remove(f.Name())); err != nil {
		return &Error{"the state folder " + dir + " cannot be written: " + cause(err), advice, err}
	}
	return nil
}

// cause is the reason without the path, which is told already.
func cause(err error) string {
	var pe *os.PathError
	if errors.As(err, &pe) {
		return pe.Err.Error()
	}
	return err.Error()
}

// Realms lists the realms under a state root, in order of name. A root that does not exist has none.
func Realms(root string) ([]string, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list realms: %w", err)
	}
	var out []string
	for _, e := range entries {
		if e.IsDir() && validRealm(e.Name()) {
			out = append(out, e.Name())
		}
	}
	return out, nil
}
