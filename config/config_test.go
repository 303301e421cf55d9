package config

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func load(t *testing.T, env map[string]string, s Source) (Config, error) {
	t.Helper()
	s.Env = func(name string) string { return env[name] }
	if s.Dir == "" {
		s.Dir = t.TempDir()
	}
	return Load(s)
}

func TestKeys_and_addresses_come_from_the_environment(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		env  map[string]string
		want []Provider
	}{
		{"nothing", nil, nil},
		{"an Anthropic key", map[string]string{"ANTHROPIC_API_KEY": "a"}, []Provider{{"anthropic", Anthropic, AnthropicURL, "a", "ANTHROPIC_API_KEY"}}},
		{"our own variable wins", map[string]string{"OPENAI_API_KEY": "a", "RKAT_OPENAI_API_KEY": "b"}, []Provider{{"openai", Compat, OpenAIURL, "b", "RKAT_OPENAI_API_KEY"}}},
		{"a server without a key", map[string]string{"OPENAI_BASE_URL": "http://h/v1/"}, []Provider{{"openai", Compat, "http://h/v1", "", "OPENAI_BASE_URL"}}},
		{"blank is not set", map[string]string{"OPENAI_API_KEY": " ", "OPENAI_BASE_URL": ""}, nil},
		{"both, Anthropic first", map[string]string{"OPENAI_API_KEY": "o", "ANTHROPIC_API_KEY": "a\n", "RKAT_ANTHROPIC_BASE_URL": "https://h"},
			[]Provider{{"anthropic", Anthropic, "https://h", "a", "ANTHROPIC_API_KEY"}, {"openai", Compat, OpenAIURL, "o", "OPENAI_API_KEY"}}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			env := map[string]string{"RKAT_STATE_DIR": "/s"}
			for k, v := range c.env {
				env[k] = v
			}
			got, err := load(t, env, Source{})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(c.want, got.Providers); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestFlags_win_over_the_environment(t *testing.T) {
	t.Parallel()
	env := map[string]string{"RKAT_MODEL": "m", "RKAT_REALM": "r", "RKAT_STATE_DIR": "/s", "HOME": "/h"}
	got, err := load(t, env, Source{})
	if err != nil || got.Model != "m" || got.Realm != "r" || got.StateDir != "/s/r" {
		t.Errorf("%+v, %v", got, err)
	}
	got, err = load(t, env, Source{Dir: "/", Model: "n", Realm: "q", StateRoot: "t"})
	if err != nil || got.Model != "n" || got.Realm != "q" || got.StateDir != "/t/q" {
		t.Errorf("%+v, %v", got, err)
	}
	delete(env, "RKAT_STATE_DIR")
	if got, err = load(t, env, Source{}); err != nil || got.StateRoot != "/h/.rkat/realms" {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestA_realm_is_derived_from_its_folder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	a, b, link := filepath.Join(dir, "my proj"), filepath.Join(dir, "other", "my proj"), filepath.Join(dir, "link")
	if err := errors.Join(os.MkdirAll(a, 0o700), os.MkdirAll(b, 0o700), os.Symlink(a, link)); err != nil {
		t.Fatal(err)
	}
	env := map[string]string{"RKAT_STATE_DIR": "/s"}
	realm := func(dir string) string {
		c, err := load(t, env, Source{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return c.Realm
	}
	if !strings.HasPrefix(realm(a), "my-proj-") || realm(a) == realm(b) || realm(a) != realm(link) {
		t.Errorf("%s %s %s", realm(a), realm(b), realm(link))
	}
	for _, folder := range []string{"/", "/..", "/é", "/" + strings.Repeat("long", 30), "/.hidden"} {
		if name := RealmOf(folder); !validRealm(name) {
			t.Errorf("the realm of %s would be %q", folder, name)
		}
	}
}

func TestSettings_that_cannot_be_used_say_what_to_do(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		env  map[string]string
		s    Source
		says string
	}{
		{"no home", nil, Source{}, "Set RKAT_STATE_DIR"},
		{"a relative home", map[string]string{"HOME": "x"}, Source{}, "Set RKAT_STATE_DIR"},
		{"a folder that is not there", nil, Source{Workspace: "/nonexistent/x"}, "does not exist"},
		{"a workspace that is a file", nil, Source{Workspace: file}, "is not a folder"},
		{"a realm that is a path", map[string]string{"HOME": "/h"}, Source{Realm: "../x"}, "not a name for a realm"},
		{"an address without a scheme", map[string]string{"HOME": "/h", "OPENAI_BASE_URL": "localhost:1"}, Source{}, "OPENAI_BASE_URL"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			_, err := load(t, c.env, c.s)
			var ce *Error
			if !errors.As(err, &ce) || !strings.Contains(err.Error(), c.says) || ce.Advice == "" {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestThe_state_folder_is_made_and_tried(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	dir := filepath.Join(root, "a", "realm")
	if err := MakeState(dir); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
	file := filepath.Join(root, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	err := MakeState(filepath.Join(file, "realm"))
	var ce *Error
	if !errors.As(err, &ce) || !strings.Contains(ce.Advice, "RKAT_STATE_DIR") {
		t.Errorf("got %v", err)
	}
	realms, err := Realms(filepath.Join(root, "a"))
	if diff := cmp.Diff([]string{"realm"}, realms); diff != "" || err != nil {
		t.Error(diff, err)
	}
	if realms, err = Realms(filepath.Join(root, "nothing")); err != nil || realms != nil {
		t.Errorf("%v, %v", realms, err)
	}
}

// modelServer answers a listing with the given body.
func modelServer(t *testing.T, status int, body string) string {
	t.Helper()
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v1/models" {
			t.Errorf("asked for %s", r.URL.Path)
		}
		w.WriteHeader(status)
		fmt.Fprint(w, body)
	}))
	t.Cleanup(s.Close)
	return s.URL + "/v1"
}

func TestLocal_servers_are_found_in_their_order(t *testing.T) {
	t.Parallel()
	hang := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { <-hang }))
	t.Cleanup(func() { close(hang); silent.Close() })
	places := []Place{
		{"gone", "http://127.0.0.1:1/v1"},
		{"silent", silent.URL + "/v1"},
		{"a", modelServer(t, 200, `{"data":[{"id":"nomic-embed-text"},{"id":"llama"},{"id":"qwen"}]}`)},
		{"website", modelServer(t, 200, `<html>`)},
		{"empty", modelServer(t, 200, `{"data":[]}`)},
		{"locked", modelServer(t, 401, `{"data":[{"id":"x"}]}`)},
		{"b", modelServer(t, 200, `{"data":[{"id":"phi"}]}`)},
	}
	var got []string
	for _, s := range FindServers(context.Background(), places) {
		got = append(got, s.Provider.Name+": "+strings.Join(s.Models, " "))
	}
	if diff := cmp.Diff([]string{"a: llama qwen", "b: phi"}, got); diff != "" {
		t.Error(diff)
	}
}

func TestA_server_that_cannot_be_asked_is_an_error_that_names_it(t *testing.T) {
	t.Parallel()
	for _, url := range []string{modelServer(t, 500, ""), modelServer(t, 200, "[]"), "http://127.0.0.1:1/v1", "http://bad url"} {
		if _, err := ListModels(context.Background(), Provider{Name: "openai", BaseURL: url, Key: "k"}); err == nil || !strings.Contains(err.Error(), "openai") {
			t.Errorf("%s: %v", url, err)
		}
	}
}

func TestNothing_that_may_be_a_key_is_shown(t *testing.T) {
	t.Parallel()
	for _, address := range []string{"https://secret@h/v1", "https://u:secret@h/v1", "https://h/v1?key=secret"} {
		if got := (Provider{BaseURL: address}).Address(); got != "https://h/v1" {
			t.Errorf("%s is shown as %s", address, got)
		}
	}
	_, err := load(t, map[string]string{"HOME": "/h", "OPENAI_BASE_URL": "sk-secret"}, Source{})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
	_, err = ListModels(t.Context(), Provider{Name: "openai", BaseURL: "http://u:secret@h:port/v1"})
	if err == nil || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v", err)
	}
}
