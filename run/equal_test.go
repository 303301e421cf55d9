package run_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/scope"
)

// differ fails unless a value that is zero but for one field, whichever that is, is equal to itself alone.
func differ[T any](t *testing.T, set map[string]any, equal func(a, b T) bool) {
	t.Helper()
	var zero T
	if !equal(zero, zero) {
		t.Error("nothing differs from nothing")
	}
	shape := reflect.TypeFor[T]()
	for n := range shape.NumField() {
		f := shape.Field(n)
		v := reflect.New(shape)
		switch to, ok := set[f.Name]; {
		case ok:
			v.Elem().Field(n).Set(reflect.ValueOf(to))
		case f.Type.Kind() == reflect.String:
			v.Elem().Field(n).SetString("x")
		case f.Type.Kind() == reflect.Int:
			v.Elem().Field(n).SetInt(1)
		case f.Type == reflect.TypeFor[json.RawMessage]():
			v.Elem().Field(n).Set(reflect.ValueOf(json.RawMessage(`{}`)))
		case f.Type == reflect.TypeFor[map[string]string]():
			v.Elem().Field(n).Set(reflect.ValueOf(map[string]string{"a": "b"}))
		default:
			t.Fatalf("%s: say here what another value of it is, and compare it", f.Name)
		}
		one := v.Elem().Interface().(T)
		if equal(one, zero) || equal(zero, one) || !equal(one, one) {
			t.Errorf("%s is not compared", f.Name)
		}
	}
}

func TestProfiles_are_equal_if_all_they_say_is(t *testing.T) {
	t.Parallel()
	differ(t, map[string]any{"Retry": run.RetryPolicy{Cap: time.Second}, "Budget": run.Budget{Calls: 1}, "Client": []run.ToolDef{{Name: "x"}}, "Filter": scope.Deny("x")}, run.Profile.Equal)
	differ(t, nil, run.ToolDef.Equal)
}
