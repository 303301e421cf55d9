package rehearsal

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// placeholders calls f with the inside of each {{…}} of text, in order, and returns text with each replaced by what f returned.
func placeholders(text string, f func(name string) (string, error)) (string, error) {
	var b strings.Builder
	for {
		before, rest, found := strings.Cut(text, "{{")
		b.WriteString(before)
		if !found {
			return b.String(), nil
		}
		name, after, closed := strings.Cut(rest, "}}")
		if !closed {
			return "", fmt.Errorf("{{ without }}; write {{open}} for two opening braces")
		}
		s, err := f(name)
		if err != nil {
			return "", err
		}
		b.WriteString(s)
		text = after
	}
}

// checkTemplate returns an error if text has a placeholder that no conversation could fill.
func checkTemplate(text string) error {
	_, err := placeholders(text, func(name string) (string, error) {
		switch name {
		case "user", "results", "turn", "round", "reply", "open":
			return "", nil
		}
		if tool, ok := strings.CutPrefix(name, "tool:"); ok && tool != "" {
			return "", nil
		}
		return "", fmt.Errorf("unknown placeholder {{%s}}; known: {{user}}, {{tool:NAME}}, {{results}}, {{turn}}, {{round}}, {{reply}}, {{open}}", name)
	})
	return err
}

// fill replaces the placeholders of text.
func (c *conversation) fill(text string) (string, error) {
	return placeholders(text, func(name string) (string, error) {
		switch name {
		case "user":
			return c.user, nil
		case "results":
			return c.list(), nil
		case "turn":
			return strconv.Itoa(c.turn()), nil
		case "round":
			return strconv.Itoa(c.round), nil
		case "reply":
			return strconv.Itoa(c.reply), nil
		case "open":
			return "{{", nil
		}
		tool := strings.TrimPrefix(name, "tool:")
		for i := len(c.results) - 1; i >= 0; i-- {
			if c.results[i].tool == tool {
				return c.results[i].text, nil
			}
		}
		return "", fmt.Errorf("it shows {{%s}}, and the conversation has no result of %s", name, tool)
	})
}

// fillArgs replaces the placeholders in the strings of a JSON object. Without any, the object stays as it was written.
func (c *conversation) fillArgs(args json.RawMessage) (string, error) {
	if len(args) == 0 {
		return "{}", nil
	}
	var b bytes.Buffer
	if err := json.Compact(&b, args); err != nil {
		return "", fmt.Errorf("compact arguments: %w", err)
	}
	if !bytes.Contains(args, []byte("{{")) {
		return b.String(), nil
	}
	dec := json.NewDecoder(&b)
	dec.UseNumber()
	var v any
	if err := dec.Decode(&v); err != nil {
		return "", fmt.Errorf("decode arguments: %w", err)
	}
	var failed error
	v = eachString(v, func(s string) string {
		out, err := c.fill(s)
		if err != nil && failed == nil {
			failed = err
		}
		return out
	})
	if failed != nil {
		return "", failed
	}
	out, err := json.Marshal(v)
	if err != nil {
		return "", fmt.Errorf("encode arguments: %w", err)
	}
	return string(out), nil
}

// eachString returns decoded JSON with every string value replaced by f of it. Keys stay.
func eachString(v any, f func(string) string) any {
	switch v := v.(type) {
	case string:
		return f(v)
	case []any:
		for i := range v {
			v[i] = eachString(v[i], f)
		}
	case map[string]any:
		for k := range v {
			v[k] = eachString(v[k], f)
		}
	}
	return v
}
