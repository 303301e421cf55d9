// Command rkat runs agents from the command line.
package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"runtime/debug"
	"strings"

	"github.com/meerkat-go/meerkat"
	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/surface/cli"
)

// version is set by the linker for a release: -X main.version=1.2.3.
var version = "dev"

// main goes by the name it was called by: rkat-rpc and rkat-rest are servers for programs that know no other way to start one, also with a
// version or a platform behind the name. Where a client knows rkat itself and nothing else, it runs rkat rpc.
func main() {
	switch name := filepath.Base(os.Args[0]); {
	case strings.HasPrefix(name, "rkat-rpc"):
		os.Exit(runRPC(os.Args[1:]))
	case strings.HasPrefix(name, "rkat-rest"):
		os.Exit(runREST(os.Args[1:]))
	case len(os.Args) > 1 && os.Args[1] == "rpc":
		os.Exit(runRPC(os.Args[2:]))
	}
	os.Exit(run())
}

func run() int {
	world, err := cli.Process()
	if err != nil {
		fmt.Fprintln(os.Stderr, "Error: the working folder cannot be read:", err)
		return cli.ExitFailed
	}
	model := ""
	if testModel(os.Getenv) != nil {
		model = testName
	}
	return cli.Main(context.Background(), world, cli.App{
		Model:       model,
		Open:        open,
		Examine:     meerkat.Examine,
		Repair:      meerkat.Repair,
		Demo:        showDemo,
		Keys:        keys,
		Serve:       serveCommand,
		Models:      models,
		FindServers: func(ctx context.Context) []config.Server { return config.FindServers(ctx, config.UsualPlaces()) },
		ListModels:  config.ListModels,
		Version:     version,
		Commit:      commit(),
	})
}

// open opens the realm that the settings name.
func open(ctx context.Context, c config.Config) (cli.Runtime, error) {
	rt, err := meerkat.Open(ctx, meerkat.Config{StateDir: c.StateDir, Providers: c.Providers, Every: testModel(os.Getenv)})
	if err != nil {
		return cli.Runtime{}, err
	}
	return cli.Runtime{Plane: rt.Plane(), CheckModel: rt.CheckModel, Close: rt.Close}, nil
}

func models(c config.Config) []cli.Model {
	var out []cli.Model
	for _, m := range meerkat.Models(c.Providers) {
		out = append(out, cli.Model(m))
	}
	return out
}

// commit is the revision the binary was built from; empty: not known.
func commit() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return ""
	}
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" {
			return s.Value
		}
	}
	return ""
}
