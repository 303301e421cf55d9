package rest

import (
	"encoding/json"
	"reflect"
	"regexp"
	"strconv"
	"strings"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/wire"
)

var parameter = regexp.MustCompile(`\{([^}]+)\}`)

// document describes the routes as OpenAPI 3.1.
func document(routes []route) ([]byte, error) {
	s := &schemas{named: object{}}
	paths := object{}
	for _, rt := range routes {
		item, ok := paths[rt.pattern].(object)
		if !ok {
			item = object{}
			paths[rt.pattern] = item
		}
		item[strings.ToLower(rt.method)] = operation(s, rt)
	}
	problem := s.of(reflect.TypeFor[Problem]())
	doc := object{
		"openapi": "3.1.0",
		"info": object{"title": "Meerkat", "version": wire.Contract,
			"description": "Sessions with models and tools, over HTTP. Errors are problem details (RFC 9457). Fields and events that a client does not know are to be passed over."},
		"servers": []object{{"url": "/"}},
		"paths":   paths,
		"components": object{
			"schemas":         s.named,
			"responses":       object{"Problem": object{"description": "What is wrong", "content": object{"application/problem+json": object{"schema": problem}}}},
			"securitySchemes": object{"bearer": object{"type": "http", "scheme": "bearer"}, "apiKey": object{"type": "apiKey", "in": "header", "name": "X-API-Key"}},
		},
	}
	return json.Marshal(doc)
}

func operation(s *schemas, rt route) object {
	op := object{"operationId": rt.name, "summary": rt.summary,
		"responses": object{strconv.Itoa(rt.status): success(s, rt), "default": object{"$ref": "#/components/responses/Problem"}}}
	if rt.public {
		op["security"] = []object{}
	} else {
		op["security"] = []object{{"bearer": []string{}}, {"apiKey": []string{}}, {}}
		op["x-level"] = rt.level.String()
		if rt.level == control.Owner {
			op["x-level"] = control.Reader.String()
		}
	}
	var params []object
	for _, m := range parameter.FindAllStringSubmatch(rt.pattern, -1) {
		params = append(params, object{"name": m[1], "in": "path", "required": true, "schema": object{"type": "string"}})
	}
	for _, p := range rt.params {
		schema := object{"type": p.kind}
		if p.kind == "integer" || p.kind == "number" {
			schema["minimum"] = 0
		}
		if p.many {
			schema = object{"type": "array", "items": schema}
		}
		params = append(params, object{"name": p.name, "in": p.in, "required": false, "description": p.about, "schema": schema})
	}
	if len(params) > 0 {
		op["parameters"] = params
	}
	if rt.in != nil {
		op["requestBody"] = object{"required": !rt.bodyless, "content": object{"application/json": object{"schema": body(s, rt)}}}
	}
	return op
}

// body is the schema of what a route takes.
func body(s *schemas, rt route) object {
	if rt.in.Kind() != reflect.Struct {
		return object{"type": "object"}
	}
	return s.fields(rt.in, rt.optional)
}

func success(s *schemas, rt route) object {
	media := rt.media
	if media == "" {
		media = "application/json"
	}
	schema := object{"type": "string"}
	switch {
	case rt.media != "":
	case len(rt.forms) > 0:
		var any []object
		for _, f := range rt.forms {
			any = append(any, s.of(f))
		}
		schema = object{"anyOf": any}
	default:
		schema = s.of(rt.out)
	}
	return object{"description": rt.summary, "content": object{media: object{"schema": schema}}}
}
