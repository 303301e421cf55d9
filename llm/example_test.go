package llm_test

import (
	"context"
	"fmt"

	"github.com/meerkat-go/meerkat/llm"
	"github.com/meerkat-go/meerkat/llm/llmtest"
	"github.com/meerkat-go/meerkat/llm/llmtest/script"
	"github.com/meerkat-go/meerkat/transcript"
)

// A directory finds the model a name means; Collect puts its reply together while it streams.
func Example() {
	scripted := func(string) (llm.Model, error) {
		return llmtest.New(script.Rule{Reply: script.Reply{Text: "Hello, world.", Chunks: 2}}), nil
	}
	source := &llm.Directory{Providers: map[string]llm.Provider{"scripted": {Open: scripted}}}

	model, info, err := source.Model(context.Background(), "scripted/greeter")
	if err != nil {
		fmt.Println(err)
		return
	}
	request := llm.Request{Model: "greeter", Rows: []transcript.Row{{At: transcript.Position{Message: 1}, Entry: transcript.User{Content: transcript.TextBlocks("hi")}}}}
	reply, err := llm.Collect(model.Stream(context.Background(), request), func(p llm.Part) {
		if p, ok := p.(llm.TextPart); ok {
			fmt.Printf("%q\n", p.Text)
		}
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(info.Name, reply.Stop, reply.Usage.Output)
	// Output:
	// "Hello,"
	// " world."
	// scripted/greeter end_turn 5
}
