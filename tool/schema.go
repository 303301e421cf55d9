package tool

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/google/jsonschema-go/jsonschema"
)

const (
	maxFindings = 20  // more than this teaches a model nothing
	maxShown    = 120 // bytes of an offending value that are quoted
)

// schema checks objects against a JSON Schema: the arguments of a tool, or an output.
type schema struct {
	root     *jsonschema.Schema
	resolved *jsonschema.Resolved
}

// compile reads a schema. It must describe an object.
func compile(raw json.RawMessage) (*schema, error) {
	root := new(jsonschema.Schema)
	if err := json.Unmarshal(raw, root); err != nil {
		return nil, fmt.Errorf("read schema: %w", err)
	}
	if root.Type != "" && root.Type != "object" || len(root.Types) > 0 && !slices.Contains(root.Types, "object") {
		return nil, fmt.Errorf("schema describes %s, and an object is wanted", expected(root))
	}
	resolved, err := root.Resolve(nil)
	if err != nil {
		return nil, fmt.Errorf("resolve schema: %w", err)
	}
	s := &schema{root, resolved}
	if err := resolved.Validate(map[string]any{}); err != nil && strings.Contains(err.Error(), "cannot validate version") {
		return nil, err // the library tells an unknown draft only when it validates
	}
	return s, nil
}

// check returns everything that is wrong with args, each naming the property and what was expected; empty: they fit. The library
// stops at the first error and a model repairs faster with all of them, so only arguments that fail are taken apart.
func (s *schema) check(args map[string]any) []string {
	err := s.resolved.Validate(args)
	if err == nil {
		return nil
	}
	c := collector{root: s.root}
	c.visit("", s.root, args, 0)
	if len(c.found) == 0 {
		c.add("", reason(err))
	}
	return c.findings()
}

// arguments decodes args, which must be a JSON object.
func arguments(args json.RawMessage) (map[string]any, error) {
	var v any
	if err := json.Unmarshal(args, &v); err != nil {
		return nil, fmt.Errorf("the arguments are not valid JSON: %w", err)
	}
	m, ok := v.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the arguments must be a JSON object, got %s", kind(v))
	}
	return m, nil
}

// collector gathers findings over a tree of schemas.
type collector struct {
	root  *jsonschema.Schema
	found []string
}

func (c *collector) add(path, text string) {
	if path == "" {
		c.found = append(c.found, text)
		return
	}
	c.found = append(c.found, fmt.Sprintf("%q: %s", path, text))
}

func (c *collector) findings() []string {
	if n := len(c.found) - maxFindings; n > 0 {
		return append(c.found[:maxFindings:maxFindings], fmt.Sprintf("and %d more", n))
	}
	return c.found
}

// visit adds what is wrong with v. A schema that cannot be judged apart adds nothing; check falls back on the library's words.
func (c *collector) visit(path string, s *jsonschema.Schema, v any, depth int) {
	s = c.follow(s)
	err, ok := c.validate(s, v)
	if err == nil || !ok || depth > 20 {
		return
	}
	before := len(c.found)
	rest := *s
	switch v := v.(type) {
	case map[string]any:
		c.visitObject(path, s, v, depth)
		rest.Required, rest.AdditionalProperties, rest.Properties = nil, nil, nil
	case []any:
		c.visitItems(path, s, v, depth)
		rest.Items = nil
	}
	if len(c.found) > before {
		// What was told apart is taken out of the schema; anything still wrong is told as well.
		if err, ok = c.validate(&rest, v); err == nil || !ok {
			return
		}
	}
	c.add(path, describe(&rest, v, err))
}

func (c *collector) visitObject(path string, s *jsonschema.Schema, v map[string]any, depth int) {
	for _, name := range s.Required {
		if _, ok := v[name]; !ok {
			c.add(join(path, name), "missing; expected "+expectedOf(s.Properties[name]))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(v)) {
		if p, ok := s.Properties[name]; ok {
			c.visit(join(path, name), p, v[name], depth+1)
		} else if forbids(s, name) {
			c.add(join(path, name), unknownProperty(s, name))
		} else if s.AdditionalProperties != nil && !patterned(s, name) {
			c.visit(join(path, name), s.AdditionalProperties, v[name], depth+1)
		}
	}
}

func (c *collector) visitItems(path string, s *jsonschema.Schema, v []any, depth int) {
	if s.Items == nil {
		return
	}
	for i := len(s.PrefixItems); i < len(v) && len(c.found) <= maxFindings; i++ {
		c.visit(path+"["+strconv.Itoa(i)+"]", s.Items, v[i], depth+1)
	}
}

// follow replaces a schema that is only a reference into the definitions by what it refers to.
func (c *collector) follow(s *jsonschema.Schema) *jsonschema.Schema {
	for range 10 {
		var next *jsonschema.Schema
		if name, ok := strings.CutPrefix(s.Ref, "#/$defs/"); ok {
			next = c.root.Defs[name]
		} else if name, ok := strings.CutPrefix(s.Ref, "#/definitions/"); ok {
			next = c.root.Definitions[name]
		}
		if next == nil {
			break
		}
		s = next
	}
	return s
}

// validate judges v by s alone; ok is false where s cannot stand alone, as with a reference to a place outside the definitions.
func (c *collector) validate(s *jsonschema.Schema, v any) (err error, ok bool) {
	sub := *s
	sub.ID, sub.Schema, sub.Defs, sub.Definitions = "", "", nil, nil
	wrapper := &jsonschema.Schema{
		Schema:      c.root.Schema,
		Defs:        c.root.Defs,
		Definitions: c.root.Definitions,
		Properties:  map[string]*jsonschema.Schema{"v": sub.CloneSchemas()},
	}
	resolved, err := wrapper.Resolve(nil)
	if err != nil {
		return err, false
	}
	return resolved.Validate(map[string]any{"v": v}), true
}

func join(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

// forbids reports whether s takes no property of that name.
func forbids(s *jsonschema.Schema, name string) bool {
	a := s.AdditionalProperties
	return a != nil && a.Not != nil && isEmpty(a.Not) && !patterned(s, name)
}

func isEmpty(s *jsonschema.Schema) bool {
	data, err := json.Marshal(s)
	return err == nil && (string(data) == "{}" || string(data) == "true")
}

func patterned(s *jsonschema.Schema, name string) bool {
	for p := range s.PatternProperties {
		if re, err := regexp.Compile(p); err == nil && re.MatchString(name) {
			return true
		}
	}
	return false
}

func unknownProperty(s *jsonschema.Schema, name string) string {
	known := slices.Sorted(maps.Keys(s.Properties))
	if len(known) == 0 {
		return "unknown property; none is taken"
	}
	text := "unknown property"
	if near := Near(name, known); len(near) > 0 {
		text += "; did you mean " + quoteAll(near, " or ") + "?"
	}
	return text + " Known: " + quoteAll(known, ", ")
}

// describe says what was expected of v, and what was found.
func describe(s *jsonschema.Schema, v any, err error) string {
	want := expected(s)
	got := "got " + kind(v)
	if shown := quote(v); shown != "" {
		got += " " + shown
	}
	if want == "" || !simple(s) {
		return reason(err) + " (" + got + ")"
	}
	return "expected " + want + ", " + got
}

// simple reports whether expected says all that s demands.
func simple(s *jsonschema.Schema) bool {
	return s.Ref == "" && s.DynamicRef == "" && s.AllOf == nil && s.AnyOf == nil && s.OneOf == nil && s.Not == nil && s.If == nil &&
		s.DependentRequired == nil && s.DependentSchemas == nil && s.DependencyStrings == nil && s.DependencySchemas == nil &&
		s.PropertyNames == nil && s.PatternProperties == nil && s.UnevaluatedProperties == nil && s.MinProperties == nil &&
		s.MaxProperties == nil && s.PrefixItems == nil && s.ItemsArray == nil && s.Contains == nil && s.UnevaluatedItems == nil
}

func expectedOf(s *jsonschema.Schema) string {
	if s == nil {
		return "a value"
	}
	text := expected(s)
	if text == "" {
		text = "a value"
	}
	if s.Description != "" {
		text += " (" + shorten(s.Description) + ")"
	}
	return text
}

// expected puts the common keywords into words.
func expected(s *jsonschema.Schema) string {
	var parts []string
	switch {
	case s.Const != nil:
		parts = append(parts, quote(*s.Const))
	case s.Enum != nil:
		vals := make([]string, len(s.Enum))
		for i, e := range s.Enum {
			vals[i] = quote(e)
		}
		parts = append(parts, "one of "+strings.Join(vals, ", "))
	case s.Type != "":
		parts = append(parts, s.Type)
	case len(s.Types) > 0:
		parts = append(parts, strings.Join(s.Types, " or "))
	}
	if s.Type == "array" && s.Items != nil && s.Items.Type != "" {
		parts[0] += " of " + s.Items.Type
	}
	number := func(label string, p *float64) {
		if p != nil {
			parts = append(parts, label+strconv.FormatFloat(*p, 'g', -1, 64))
		}
	}
	number("at least ", s.Minimum)
	number("at most ", s.Maximum)
	number("above ", s.ExclusiveMinimum)
	number("below ", s.ExclusiveMaximum)
	number("a multiple of ", s.MultipleOf)
	count := func(label, unit string, p *int) {
		if p != nil {
			parts = append(parts, fmt.Sprintf("%s %d %s", label, *p, unit))
		}
	}
	count("at least", "characters", s.MinLength)
	count("at most", "characters", s.MaxLength)
	count("at least", "items", s.MinItems)
	count("at most", "items", s.MaxItems)
	if s.Pattern != "" {
		parts = append(parts, "matching "+s.Pattern)
	}
	if s.UniqueItems {
		parts = append(parts, "without repeated items")
	}
	return strings.Join(parts, ", ")
}

// kind names the JSON type of v.
func kind(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case bool:
		return "boolean"
	case float64:
		if v == float64(int64(v)) {
			return "integer"
		}
		return "number"
	case string:
		return "string"
	case []any:
		return "array"
	case map[string]any:
		return "object"
	}
	return fmt.Sprintf("%T", v)
}

func quote(v any) string {
	if v == nil {
		return "" // kind has said it
	}
	data, err := json.Marshal(v)
	if err != nil {
		return ""
	}
	return shorten(string(data))
}

func shorten(s string) string {
	if len(s) <= maxShown {
		return s
	}
	cut := maxShown
	for cut > 0 && !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

func quoteAll(names []string, sep string) string {
	out := make([]string, len(names))
	for i, n := range names {
		out[i] = strconv.Quote(n)
	}
	return strings.Join(out, sep)
}

// reason takes the library's path prefixes off an error: the finding names the property already.
func reason(err error) string {
	for {
		inner := errors.Unwrap(err)
		if inner == nil || !strings.HasPrefix(err.Error(), "validating ") {
			break
		}
		err = inner
	}
	return shorten(err.Error())
}
