package access_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/meerkat-go/meerkat/access"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
)

func create(t *testing.T, f *access.File, name, realm string, l control.Level) (access.Key, string) {
	t.Helper()
	k, token, err := f.Create(t.Context(), name, realm, l)
	if err != nil {
		t.Fatal(err)
	}
	return k, token
}

func verify(t *testing.T, f *access.File, token string) (control.Grant, bool) {
	t.Helper()
	g, ok, err := f.Verify(t.Context(), token)
	if err != nil {
		t.Fatal(err)
	}
	return g, ok
}

func TestA_key_lets_its_holder_into_its_realm_at_its_level(t *testing.T) {
	t.Parallel()
	f := access.Of(t.TempDir())
	if need, err := f.Required(t.Context()); need || err != nil {
		t.Fatalf("without a key one is needed: %t, %v", need, err)
	}
	_, token := create(t, f, "laptop", "acme", control.Writer)
	if g, ok := verify(t, f, token); !ok || g != (control.Grant{Key: "laptop", Realm: "acme", Level: control.Writer}) {
		t.Errorf("got %+v, %t", g, ok)
	}
	if need, err := f.Required(t.Context()); !need || err != nil {
		t.Errorf("with a key one is needed: %t, %v", need, err)
	}
}

func TestWhat_is_no_key_lets_nobody_in(t *testing.T) {
	t.Parallel()
	f := access.Of(t.TempDir())
	k, token := create(t, f, "a", "r", control.Reader)
	_, other := create(t, f, "b", "r", control.Admin)
	zero := strings.Repeat("A", 43)
	for _, wrong := range []string{"", "rkat", "rkat_", "rkat__", "rkat_" + k.ID, "rkat_" + k.ID + "_", "rkat__" + zero, "rkat_unknown_" + zero, "rkat_" + k.ID + "_" + zero,
		token + "A", token[:len(token)-1], " " + token, "Bearer " + token, strings.ToUpper(token), "rkat_" + k.ID + other[strings.LastIndex(other[:20], "_"):],
		strings.Repeat("x", 1<<20), "rkat_" + k.ID + "_\x00"} {
		if g, ok := verify(t, f, wrong); ok {
			t.Errorf("%.60q lets in: %+v", wrong, g)
		}
	}
}

func TestNeither_secret_nor_token_is_kept(t *testing.T) {
	t.Parallel()
	f := access.Of(t.TempDir())
	k, token := create(t, f, "a", "r", control.Reader)
	data, err := os.ReadFile(f.Path())
	if err != nil {
		t.Fatal(err)
	}
	secret := strings.TrimPrefix(token, "rkat_"+k.ID+"_")
	if bytes.Contains(data, []byte(secret)) {
		t.Error("the file holds the secret")
	}
	if info, err := os.Stat(f.Path()); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode %v, %v", info.Mode(), err)
	}
}

func TestA_key_revoked_by_another_process_is_worthless_at_once(t *testing.T) {
	t.Parallel()
	root := t.TempDir()
	server, operator := access.Of(root), access.Of(root)
	k, token := create(t, operator, "a", "r", control.Admin)
	if _, ok := verify(t, server, token); !ok {
		t.Fatal("a good key is refused")
	}
	for range 2 {
		if got, err := operator.Revoke(t.Context(), k.ID); err != nil || got.Revoked == nil {
			t.Fatalf("got %+v, %v", got, err)
		}
	}
	if _, ok := verify(t, server, token); ok {
		t.Error("a revoked key lets in")
	}
	if need, err := server.Required(t.Context()); !need || err != nil {
		t.Errorf("revoking the last key opened the door: %t, %v", need, err)
	}
	if _, err := operator.Revoke(t.Context(), "nobody"); fault.CodeOf(err) != fault.NotFound {
		t.Errorf("a key that is not there: %v", err)
	}
}

func TestA_damaged_file_lets_nobody_in_and_is_not_written(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func([]byte) []byte{
		"cut":                  func(b []byte) []byte { return b[:len(b)/2] },
		"empty":                func([]byte) []byte { return nil },
		"null":                 func([]byte) []byte { return []byte("null") },
		"more behind it":       func(b []byte) []byte { return append(b, '{') },
		"of another version":   func(b []byte) []byte { return bytes.Replace(b, []byte(`"version": 1`), []byte(`"version": 2`), 1) },
		"a level of its own":   func(b []byte) []byte { return bytes.Replace(b, []byte(`"admin"`), []byte(`"owner"`), 1) },
		"no hash":              func(b []byte) []byte { return bytes.Replace(b, []byte(`"sha256": "`), []byte(`"sha256": "x`), 1) },
		"a field nobody knows": func(b []byte) []byte { return bytes.Replace(b, []byte(`"realm"`), []byte(`"realms"`), 1) },
	} {
		f := access.Of(t.TempDir())
		k, token := create(t, f, "a", "r", control.Admin)
		data, err := os.ReadFile(f.Path())
		if err != nil {
			t.Fatal(err)
		}
		bad := change(data)
		if err := os.WriteFile(f.Path(), bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, ok, err := f.Verify(t.Context(), token); ok || err == nil {
			t.Errorf("%s: let in %t, %v", name, ok, err)
		}
		if _, err := f.Required(t.Context()); err == nil {
			t.Errorf("%s: nobody is told", name)
		}
		_, rerr := f.Revoke(t.Context(), k.ID)
		after, err := os.ReadFile(f.Path())
		if err != nil {
			t.Fatal(err)
		}
		if rerr != nil && !bytes.Equal(after, bad) {
			t.Errorf("%s: it was written over", name)
		}
	}
}

func TestOnce_there_were_keys_there_have_to_be(t *testing.T) {
	t.Parallel()
	f := access.Of(t.TempDir())
	_, token := create(t, f, "a", "r", control.Admin)
	if _, ok := verify(t, f, token); !ok {
		t.Fatal("a good key is refused")
	}
	if err := os.Remove(f.Path()); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Required(t.Context()); err == nil {
		t.Error("with its file gone the door stands open")
	}
}

func TestA_file_that_others_may_write_counts_for_nothing(t *testing.T) {
	t.Parallel()
	f := access.Of(t.TempDir())
	_, token := create(t, f, "a", "r", control.Admin)
	if err := os.Chmod(f.Path(), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, ok, err := f.Verify(t.Context(), token); ok || err == nil {
		t.Errorf("let in %t, %v", ok, err)
	}
}

func TestKeys_made_by_many_at_once_are_all_there(t *testing.T) {
	t.Parallel()
	root := filepath.Join(t.TempDir(), "not", "there", "yet")
	var wg sync.WaitGroup
	for range 16 {
		wg.Go(func() {
			if _, _, err := access.Of(root).Create(context.Background(), "k", "r", control.Reader); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	list, err := access.Of(root).List(t.Context())
	if err != nil || len(list) != 16 {
		t.Errorf("%d keys, %v", len(list), err)
	}
}

func TestA_key_needs_a_name_and_a_level(t *testing.T) {
	t.Parallel()
	f := access.Of(t.TempDir())
	for _, name := range []string{"", " ", "a\nb", strings.Repeat("x", 101)} {
		if _, _, err := f.Create(t.Context(), name, "r", control.Reader); fault.CodeOf(err) != fault.Invalid {
			t.Errorf("%.20q: %v", name, err)
		}
	}
	if _, _, err := f.Create(t.Context(), "a", "r", control.Owner); fault.CodeOf(err) != fault.Invalid {
		t.Errorf("a key for an owner: %v", err)
	}
}
