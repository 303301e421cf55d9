// Command foreign-executor runs an agent loop that is not ours under our control plane: langchaingo's, with a scripted model and a
// tool. The session has what every session has: inputs that are durable once they are accepted, steering, interruption, stopping,
// receipts, and a run that goes on after a crash.
//
// loop.go is the executor, tap.go is where the loop meets the session, clerk.go is the model and its tool. README.md says how to
// bring another loop.
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"

	"github.com/tmc/langchaingo/tools"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/run"
)

func main() {
	if err := ask(context.Background(), os.Stdout, "how many candles?"); err != nil {
		log.Fatal(err)
	}
}

// ask opens a realm whose runs are carried out by the foreign loop, asks, and prints what the session has of it.
func ask(ctx context.Context, w io.Writer, question string) error {
	loop := Loop{Model: clerk{}, Tools: []tools.Tool{stock{"candles": 4, "matches": 12}}, Class: run.ReadOnly}
	rt, err := meerkat.Open(ctx, meerkat.Config{Executor: loop.Executor()})
	if err != nil {
		return err
	}
	defer rt.Close()
	answer, err := rt.Ask(ctx, run.Profile{Model: "clerk"}, question)
	if err != nil {
		return err
	}
	receipt, err := rt.Host().LoadBoundaryReceipt(ctx, answer.Session, answer.Run, 1)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n%d tokens; the receipt names %d input\n", answer.Text, answer.Usage.Input+answer.Usage.Output, len(receipt.Inputs))
	return err
}
