package tool_test

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/tool"
)

// greet is a tool.
type greet struct{}

func (greet) Spec() tool.Spec {
	return tool.Spec{
		Name:        "greet",
		Description: "Greets somebody.",
		Schema:      json.RawMessage(`{"type":"object","properties":{"name":{"type":"string"}},"required":["name"],"additionalProperties":false}`),
		Class:       run.ReadOnly,
	}
}

func (greet) Run(_ context.Context, c tool.Call) (tool.Result, error) {
	var args struct{ Name string }
	if err := json.Unmarshal(c.Args, &args); err != nil {
		return tool.Result{}, err
	}
	return tool.Text("Hello, " + args.Name), nil
}

// A registry judges what a model asks for, and carries it out.
func Example() {
	r, err := tool.NewRegistry(tool.Limits{}, greet{})
	if err != nil {
		fmt.Println(err)
		return
	}
	_, refusal := r.Check("greet", json.RawMessage(`{"nam":"Ada"}`))
	fmt.Println(refusal.Code)
	fmt.Println(refusal.Message)

	result, err := r.Run(context.Background(), tool.Call{ID: "1", Name: "greet", Args: json.RawMessage(`{"name":"Ada"}`), Attempt: 1})
	fmt.Println(result.Content.Plain(), err)
	// Output:
	// invalid_arguments
	// The arguments of greet do not fit its schema:
	// - "name": missing; expected string
	// - "nam": unknown property; did you mean "name"? Known: "name"
	// Hello, Ada <nil>
}
