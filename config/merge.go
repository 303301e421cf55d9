package config

import (
	"encoding/json"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/pelletier/go-toml/v2"
)

// numbers turns JSON's numbers into those of TOML. One that fits neither an integer nor a float is refused.
func numbers(doc map[string]any) (map[string]any, error) {
	out, err := number("", doc)
	if err != nil {
		return nil, err
	}
	return out.(map[string]any), nil
}

func number(path string, v any) (any, error) {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			y, err := number(join(path, k), x)
			if err != nil {
				return nil, err
			}
			v[k] = y
		}
	case []any:
		for n, x := range v {
			y, err := number(fmt.Sprintf("%s[%d]", path, n), x)
			if err != nil {
				return nil, err
			}
			v[n] = y
		}
	case json.Number:
		if i, err := v.Int64(); err == nil {
			return i, nil
		}
		f, err := v.Float64()
		if err != nil {
			return nil, wrong(path, "a number that can be kept", string(v))
		}
		return f, nil
	}
	return v, nil
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// plainMap turns what TOML has and JSON has not into text: dates and times.
func plainMap(doc map[string]any) map[string]any { return plainValue(doc).(map[string]any) }

func plainValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for k, x := range v {
			v[k] = plainValue(x)
		}
	case []any:
		for n, x := range v {
			v[n] = plainValue(x)
		}
	case time.Time:
		return v.Format(time.RFC3339Nano)
	case toml.LocalDate, toml.LocalTime, toml.LocalDateTime:
		return fmt.Sprint(v)
	}
	return v
}

// merge merges a patch into a document (RFC 7396). Neither is changed.
func merge(doc map[string]any, patch map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range doc {
		out[k] = v
	}
	for k, v := range patch {
		switch v := v.(type) {
		case nil:
			delete(out, k)
		case map[string]any:
			old, _ := out[k].(map[string]any)
			out[k] = merge(old, v)
		default:
			out[k] = without(v)
		}
	}
	return out
}

// without leaves out members that are null: they are not set.
func without[V any](v V) V {
	out, _ := drop(v).(V)
	return out
}

func drop(v any) any {
	switch v := v.(type) {
	case map[string]any:
		out := map[string]any{}
		for k, x := range v {
			if x != nil {
				out[k] = drop(x)
			}
		}
		return out
	case []any:
		out := make([]any, len(v))
		for n, x := range v {
			out[n] = drop(x)
		}
		return out
	}
	return v
}

// secrets are members whose text is never shown, wherever they stand.
var secrets = []string{"token", "apikey", "accesskey", "privatekey", "secretkey", "secret", "password", "passwd", "passphrase", "authorization", "credential", "credentials", "cookie"}

// secret goes by how a member's name ends, however it is written: bearer_token and clientSecret, but neither max_tokens nor bearer_token_env.
func secret(key string) bool {
	key = strings.ToLower(strings.NewReplacer("_", "", "-", "").Replace(key))
	return slices.ContainsFunc(secrets, func(s string) bool { return strings.HasSuffix(key, s) })
}

// hidden is a text as it is shown: a secret not at all, and an address without the password in it.
func hidden(key, text string) string {
	if text == "" {
		return ""
	}
	if secret(key) {
		return Redacted
	}
	if !strings.Contains(text, "@") || !strings.Contains(text, "://") {
		return text
	}
	u, err := url.Parse(text)
	if err != nil || u.User == nil {
		return text
	}
	u.User = nil
	scheme, rest, _ := strings.Cut(u.String(), "://")
	return scheme + "://" + Redacted + "@" + rest
}

// redacted is a document to be shown. It shares nothing with the one that is kept.
func redacted(doc map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range doc {
		out[k] = redactedValue(k, v)
	}
	return out
}

func redactedValue(key string, v any) any {
	switch v := v.(type) {
	case string:
		return hidden(key, v)
	case map[string]any:
		return redacted(v)
	case []any:
		out := make([]any, len(v))
		for n, x := range v {
			out[n] = redactedValue(key, x)
		}
		return out
	}
	return v
}

// unredact puts the secrets back that a writer has not seen, from the same place in the document that is there. A place that had none is refused: the
// secret would be the word that stands for it.
func unredact(next, old map[string]any) error {
	_, err := restored("", "", next, old)
	return err
}

// restored is what a value is with its secrets in it. Tables and lists are changed as they stand.
func restored(path, key string, next, old any) (any, error) {
	switch next := next.(type) {
	case string:
		if !strings.Contains(next, Redacted) {
			return next, nil
		}
		if kept, _ := old.(string); kept != "" && hidden(key, kept) == next {
			return kept, nil
		}
		if secret(key) && next == Redacted || strings.Contains(next, "://"+Redacted+"@") {
			return nil, &Error{What: path + " is " + Redacted + ", and there is no secret in its place", Advice: "Give the secret, or leave the member out"}
		}
	case map[string]any:
		was, _ := old.(map[string]any)
		for k, v := range next {
			x, err := restored(join(path, k), k, v, was[k])
			if err != nil {
				return nil, err
			}
			next[k] = x
		}
	case []any:
		was, _ := old.([]any)
		for n, v := range next {
			var before any
			if n < len(was) {
				before = was[n]
			}
			x, err := restored(fmt.Sprintf("%s[%d]", path, n), key, v, before)
			if err != nil {
				return nil, err
			}
			next[n] = x
		}
	}
	return next, nil
}
