package rest

import (
	"encoding"
	"encoding/json"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"
)

// object is a piece of the document.
type object = map[string]any

// schemas makes schemas of the types that routes take and give, each named type once.
type schemas struct{ named object }

var (
	marshaler     = reflect.TypeFor[json.Marshaler]()
	textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()
	rawMessage    = reflect.TypeFor[json.RawMessage]()
	timeType      = reflect.TypeFor[time.Time]()
	bytesType     = reflect.TypeFor[[]byte]()
)

// of returns the schema of a type, or where it stands. What writes itself may be anything that JSON has.
func (s *schemas) of(t reflect.Type) object {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	switch {
	case t == timeType:
		return object{"type": "string", "format": "date-time"}
	case t == rawMessage, t.Kind() == reflect.Interface:
		return object{}
	case t == bytesType:
		return object{"type": "string", "contentEncoding": "base64"}
	case t.Implements(marshaler), reflect.PointerTo(t).Implements(marshaler):
		return object{}
	case t.Implements(textMarshaler):
		return object{"type": "string"}
	}
	switch t.Kind() {
	case reflect.String:
		return object{"type": "string"}
	case reflect.Bool:
		return object{"type": "boolean"}
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return object{"type": "integer"}
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return object{"type": "integer", "minimum": 0}
	case reflect.Float32, reflect.Float64:
		return object{"type": "number"}
	case reflect.Slice, reflect.Array:
		return object{"type": "array", "items": s.of(t.Elem())}
	case reflect.Map:
		return object{"type": "object", "additionalProperties": s.of(t.Elem())}
	case reflect.Struct:
		return s.ref(t)
	}
	return object{}
}

// ref names a struct's schema, and makes it when it is asked for first.
func (s *schemas) ref(t reflect.Type) object {
	if t.Name() == "" {
		return s.fields(t, nil)
	}
	name := strings.ToUpper(t.Name()[:1]) + t.Name()[1:]
	if pkg := t.PkgPath(); !strings.HasSuffix(pkg, "/wire") && !strings.HasSuffix(pkg, "/rest") {
		dir := pkg[strings.LastIndexByte(pkg, '/')+1:]
		name = strings.ToUpper(dir[:1]) + dir[1:] + name
	}
	if _, ok := s.named[name]; !ok {
		s.named[name] = nil // it may contain itself
		s.named[name] = s.fields(t, nil)
	}
	return object{"$ref": "#/components/schemas/" + name}
}

// fields is the schema of a struct: a field is required if its type always writes it, unless it is named as optional.
func (s *schemas) fields(t reflect.Type, optional []string) object {
	props, required := object{}, map[string]bool{}
	s.collect(t, props, required)
	for _, name := range optional {
		delete(required, name)
	}
	out := object{"type": "object", "properties": props}
	if len(required) > 0 {
		out["required"] = slices.Sorted(maps.Keys(required))
	}
	return out
}

func (s *schemas) collect(t reflect.Type, props object, required map[string]bool) {
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("json"), ",")
		if f.Anonymous && name == "" {
			s.collect(f.Type, props, required)
			continue
		}
		if !f.IsExported() || name == "-" {
			continue
		}
		if name == "" {
			name = f.Name
		}
		props[name] = s.of(f.Type)
		delete(required, name)
		if !strings.Contains(options, "omitempty") && !strings.Contains(options, "omitzero") {
			required[name] = true
		}
	}
}
