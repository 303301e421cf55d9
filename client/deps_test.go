package client

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

func TestA_client_links_no_runtime_no_store_and_no_driver_of_one(t *testing.T) {
	t.Parallel()
	tool, err := exec.LookPath("go")
	if err != nil && os.Getenv("RKAT_CI") == "" {
		t.Skip("needs the go command")
	}
	out, err := exec.CommandContext(t.Context(), tool, "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	const ours = "github.com/meerkat-go/meerkat/"
	for p := range strings.Lines(string(out)) {
		p = strings.TrimSpace(p)
		for _, banned := range []string{ours + "runtime", ours + "control", ours + "store", ours + "driver", ours + "machine", "modernc.org/", "github.com/spf13/"} {
			if strings.HasPrefix(p, banned) {
				t.Errorf("it links %s", p)
			}
		}
	}
}
