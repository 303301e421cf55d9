// Command embed is the library in ten lines: it asks an agent about the folder it is started in, and prints the answer.
//
// The model is the built-in stand-in, so that nothing has to be set up. For a real one, name it and say who answers:
// Config.Providers, as package config reads them from the environment. With a StateDir the session outlives the process.
package main

import (
	"context"
	"fmt"
	"log"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/run"
)

func main() {
	rt, err := meerkat.Open(context.Background(), meerkat.Config{})
	if err != nil {
		log.Fatal(err)
	}
	answer, err := rt.Ask(context.Background(), run.Profile{Model: "offline", Workspace: ".", Tools: "safe"}, "what is in this folder?")
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer.Text)
	if err := rt.Close(); err != nil {
		log.Fatal(err)
	}
}
