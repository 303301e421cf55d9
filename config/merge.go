package config

import (
	"encoding/json"
	"fmt"
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
var secrets = []string{"bearer_token", "api_key", "secret", "client_secret", "password", "token", "access_token", "refresh_token"}

func secret(key string) bool { return slices.Contains(secrets, strings.ToLower(key)) }

// redacted is a document to be shown. It shares nothing with the one that is kept.
func redacted(doc map[string]any) map[string]any {
	out := map[string]any{}
	for k, v := range doc {
		text, is := v.(string)
		if secret(k) && is && text != "" {
			out[k] = Redacted
			continue
		}
		out[k] = redactedValue(v)
	}
	return out
}

func redactedValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return redacted(v)
	case []any:
		out := make([]any, len(v))
		for n, x := range v {
			out[n] = redactedValue(x)
		}
		return out
	}
	return v
}

// unredact puts the secrets back that a writer has not seen, from the same place in the document that is there. A place that had none is refused: the
// secret would be the word that stands for it.
func unredact(path string, next, old any) error {
	switch next := next.(type) {
	case map[string]any:
		was, _ := old.(map[string]any)
		for k, v := range next {
			if text, is := v.(string); is && text == Redacted && secret(k) {
				kept, had := was[k].(string)
				if !had {
					return &Error{What: join(path, k) + " is " + Redacted + ", and there is no secret in its place", Advice: "Give the secret, or leave the member out"}
				}
				next[k] = kept
				continue
			}
			if err := unredact(join(path, k), v, was[k]); err != nil {
				return err
			}
		}
	case []any:
		was, _ := old.([]any)
		for n, v := range next {
			var before any
			if n < len(was) {
				before = was[n]
			}
			if err := unredact(fmt.Sprintf("%s[%d]", path, n), v, before); err != nil {
				return err
			}
		}
	}
	return nil
}
