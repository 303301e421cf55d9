package llm

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/meerkat-go/meerkat/identity"
	"github.com/meerkat-go/meerkat/internal/near"
)

// Provider is somebody who answers for models. One that is known and not configured has no Open.
type Provider struct {
	Open    func(model string) (Model, error) // makes the adapter for a model by the provider's own name; touches no network
	Missing string                            // where Open is nil: what to set, such as ANTHROPIC_API_KEY
}

// Known is a model of the catalogue.
type Known struct {
	Info
	Surface identity.Surface // what it can do, as far as our adapters let it
}

// Directory is a Source over providers and a catalogue. Set it up, then use it; it is safe for concurrent use.
//
// A name is provider/model, where the model need not be of the catalogue: providers have new ones before we know them. It may also
// be a model's name alone, if the catalogue has it, or a provider's name alone, which is a provider with one nameless model. Where
// several providers have a model of that name, the first of the catalogue that is configured answers.
type Directory struct {
	Providers map[string]Provider // by name
	Catalog   []Known             // in order of preference
}

var _ Source = (*Directory)(nil)

// Model finds a model (Source).
func (d *Directory) Model(_ context.Context, name string) (Model, Info, error) {
	known, err := d.Lookup(name)
	if err != nil {
		return nil, Info{}, err
	}
	info := known.Info
	p := d.Providers[info.Provider]
	if p.Open == nil {
		message := fmt.Sprintf("no access to %s is configured", info.Provider)
		if p.Missing != "" {
			message += ": set " + p.Missing
		}
		return nil, Info{}, &Error{Kind: NotConfigured, Provider: info.Provider, Message: message}
	}
	m, err := p.Open(strings.TrimPrefix(info.Name, info.Provider+"/"))
	if err != nil {
		return nil, Info{}, err
	}
	return m, info, nil
}

// Lookup finds what is known of a model by any name that Model takes, whether or not its provider is configured. Its error is an
// *Error of kind UnknownModel that names what is near.
func (d *Directory) Lookup(name string) (Known, error) {
	name = strings.TrimSpace(name)
	if provider, model, ok := strings.Cut(name, "/"); ok && d.knows(provider) && model != "" {
		if i := slices.IndexFunc(d.Catalog, func(k Known) bool { return k.Name == name || undated(name) == k.Name }); i >= 0 {
			known := d.Catalog[i]
			known.Name = name // a dated name is another name for the provider
			return known, nil
		}
		return Known{Info: Info{Name: name, Provider: provider}}, nil
	}
	if known, ok := d.bare(name); ok {
		return known, nil
	}
	if _, ok := d.Providers[name]; ok {
		return Known{Info: Info{Name: name, Provider: name}}, nil
	}
	return Known{}, &Error{Kind: UnknownModel, Message: d.unknown(name)}
}

// knows reports whether a provider is in the directory or in its catalogue.
func (d *Directory) knows(provider string) bool {
	_, ok := d.Providers[provider]
	return ok || slices.ContainsFunc(d.Catalog, func(k Known) bool { return k.Provider == provider })
}

// bare finds a model by its name alone.
func (d *Directory) bare(name string) (Known, bool) {
	var found []Known
	for _, k := range d.Catalog {
		own := strings.TrimPrefix(k.Name, k.Provider+"/")
		if own == name || own == undated(name) {
			k.Name = k.Provider + "/" + name
			found = append(found, k)
		}
	}
	if len(found) == 0 {
		return Known{}, false
	}
	if i := slices.IndexFunc(found, func(k Known) bool { return d.Providers[k.Provider].Open != nil }); i >= 0 {
		return found[i], true
	}
	return found[0], true
}

// undated removes the date that providers append to the name of a model for a fixed version of it: -20260131.
func undated(name string) string {
	const date = len("-20260131")
	if len(name) <= date {
		return name
	}
	tail := name[len(name)-date:]
	if tail[0] != '-' || strings.Trim(tail[1:], "0123456789") != "" {
		return name
	}
	return name[:len(name)-date]
}

// unknown says that nobody knows a model, and what is near.
func (d *Directory) unknown(name string) string {
	if name == "" {
		return "no model is named"
	}
	message := fmt.Sprintf("no model is called %q", Excerpt(name, 200))
	if meant := d.Near(name); len(meant) > 0 {
		return message + "; did you mean " + strings.Join(meant, " or ") + "?"
	}
	providers := slices.Sorted(maps.Keys(d.Providers))
	if len(providers) == 0 {
		return message
	}
	return message + "; write provider/model, with one of the providers " + strings.Join(providers, ", ")
}

// Near lists up to three full names of the catalogue that somebody may have meant, the nearest first. It goes by what stands behind
// the last slash: a model's own name is rarer than its provider's.
func (d *Directory) Near(name string) []string {
	last := func(name string) string { return name[strings.LastIndex(name, "/")+1:] }
	var own []string
	full := map[string][]string{}
	for _, k := range d.Catalog {
		o := last(k.Name)
		if full[o] == nil {
			own = append(own, o)
		}
		full[o] = append(full[o], k.Name)
	}
	var out []string
	for _, o := range near.Names(last(name), own, 3) {
		out = append(out, full[o]...)
	}
	return out[:min(len(out), 3)]
}
