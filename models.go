package meerkat

import (
	"github.com/meerkat-go/meerkat/config"
	"github.com/meerkat-go/meerkat/llm/catalog"
)

// ModelInfo is what is known of a model by name.
type ModelInfo struct {
	Name       string // provider/name, or that of a built-in model
	Provider   string
	Default    bool // taken where nobody names a model of this provider
	Configured bool // can be used with the given providers
	Context    int  // tokens; 0: unknown
	MaxOutput  int  // tokens; 0: unknown
	Note       string
}

// Models lists the models known by name: those of the catalogue, the default of each provider first, then the built-in ones. A
// provider may have others.
func Models(providers []config.Provider) []ModelInfo {
	configured := map[string]bool{}
	for _, p := range providers {
		configured[p.Name] = true
	}
	var out []ModelInfo
	for _, k := range catalog.Models() {
		first, _ := catalog.Default(k.Provider)
		out = append(out, ModelInfo{Name: k.Name, Provider: k.Provider, Default: k.Name == first.Name, Configured: configured[k.Provider],
			Context: k.Context, MaxOutput: k.MaxOutput})
	}
	return append(out,
		ModelInfo{Name: "offline", Provider: "offline", Configured: true, Note: "built in: rules instead of a model, see docs/offline.md"},
		ModelInfo{Name: "rehearsal/SCRIPT", Provider: "rehearsal", Configured: true, Note: "built in: plays a script, see docs/rehearsal.md"})
}
