package meerkat_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/run"
	"github.com/meerkat-go/meerkat/transcript"
)

// The whole product in thirty lines: a session with tools in a folder, on disk, answered by the built-in stand-in for a model.
func Example() {
	folder, err := os.MkdirTemp("", "example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(folder)
	if err := os.WriteFile(filepath.Join(folder, "notes.txt"), []byte("milk\nbread\nfour candles\n"), 0o600); err != nil {
		log.Fatal(err)
	}

	ctx := context.Background()
	rt, err := meerkat.Open(ctx, meerkat.Config{StateDir: filepath.Join(folder, "state")})
	if err != nil {
		log.Fatal(err)
	}
	defer rt.Close()
	plane := rt.Plane()
	session, err := plane.CreateSession(ctx, control.CreateSession{
		Profile: run.Profile{Model: "offline", Workspace: folder, Tools: "safe"}})
	if err != nil {
		log.Fatal(err)
	}
	receipt, err := plane.Submit(ctx, control.Submit{Session: session.ID, Content: transcript.TextBlocks("count the lines in notes.txt")})
	if err != nil {
		log.Fatal(err) // nothing was accepted
	}
	outcome, err := plane.Wait(ctx, session.ID, receipt.Input) // the input is durable: it would survive the end of this process
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(outcome.Status, outcome.Rounds, outcome.Calls)
	fmt.Println(outcome.Text)
	// Output:
	// completed 2 1
	// `notes.txt` has **3 lines**.
}
