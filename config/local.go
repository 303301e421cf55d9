package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"
)

// Server is a model server that answered.
type Server struct {
	Provider Provider
	Models   []string // as it lists them; never empty
}

// Place is where a model server may listen.
type Place struct {
	Name string // provider name
	URL  string // base URL
}

// UsualPlaces returns where servers listen on this machine by default: Ollama, LM Studio, llama.cpp.
func UsualPlaces() []Place {
	return []Place{
		{"ollama", "http://127.0.0.1:11434/v1"},
		{"lmstudio", "http://127.0.0.1:1234/v1"},
		{"llamacpp", "http://127.0.0.1:8080/v1"},
	}
}

// ProbeWait is how long a server on this machine may take to answer. A refused connection takes none of it.
const ProbeWait = 200 * time.Millisecond

// FindServers asks all places at once and returns those that answered with a model, in the order of places.
func FindServers(ctx context.Context, places []Place) []Server {
	ctx, cancel := context.WithTimeout(ctx, ProbeWait)
	defer cancel()
	found := make([][]string, len(places))
	done := make(chan struct{})
	for i, p := range places {
		go func() {
			defer func() { done <- struct{}{} }()
			if models, err := listModels(ctx, p.provider(), nil); err == nil {
				found[i] = models
			}
		}()
	}
	for range places {
		<-done
	}
	var out []Server
	for i, models := range found {
		if len(models) > 0 {
			out = append(out, Server{places[i].provider(), models})
		}
	}
	return out
}

func (p Place) provider() Provider {
	return Provider{Name: p.Name, Kind: Compat, BaseURL: p.URL, Origin: "found on this machine"}
}

// plain takes what a user needs from an error of the network: what the system said, without the call it said it to.
func plain(err error) error {
	var whole *url.Error
	if errors.As(err, &whole) {
		err = whole.Err
	}
	var op *net.OpError
	if errors.As(err, &op) {
		err = op.Err
	}
	var call *os.SyscallError
	if errors.As(err, &call) {
		err = call.Err
	}
	return err
}

// maxList bounds a model list: what is larger is not one.
const maxList = 4 << 20

// ListModels asks an OpenAI-compatible server which models it has, leaving out those that only embed. It goes through the
// proxy that the environment names.
func ListModels(ctx context.Context, p Provider) ([]string, error) {
	return listModels(ctx, p, &http.Transport{DisableKeepAlives: true, Proxy: http.ProxyFromEnvironment})
}

func listModels(ctx context.Context, p Provider, transport *http.Transport) ([]string, error) {
	if transport == nil { // no proxy: it would be asked about a place on this machine
		transport = &http.Transport{DisableKeepAlives: true}
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, p.BaseURL+"/models", nil)
	if err != nil {
		return nil, fmt.Errorf("list models of %s: %w", p.Name, plain(err))
	}
	if p.Key != "" {
		req.Header.Set("Authorization", "Bearer "+p.Key)
	}
	resp, err := (&http.Client{Transport: transport}).Do(req)
	if err != nil {
		return nil, fmt.Errorf("list models of %s: %w", p.Name, plain(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("list models of %s: HTTP %d", p.Name, resp.StatusCode)
	}
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxList)).Decode(&list); err != nil {
		return nil, fmt.Errorf("list models of %s: %w", p.Name, err)
	}
	var out []string
	for _, m := range list.Data {
		if m.ID != "" && !strings.Contains(strings.ToLower(m.ID), "embed") {
			out = append(out, m.ID)
		}
	}
	return out, nil
}
