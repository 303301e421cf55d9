package jsonrpc

import (
	"cmp"
	"errors"
	"slices"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/surface/present"
	"github.com/meerkat-go/meerkat/wire"
)

// method is how a request is carried out.
type method struct {
	name   string
	long   bool // it waits for a run: it can be cancelled, and is not waited for when the connection ends
	large  bool // its answer may be: not too many at once
	inline bool // within the reading of lines, so that later lines see what it did
	call   func(r *request) (any, error)
}

// listed are the methods that a client is told of, the contract's first, in its order.
var listed = []string{"initialized", "initialize",
	"session/create", "session/list", "session/read", "session/history", "session/fork_at", "session/fork_replace", "session/archive",
	"turn/start", "turn/interrupt", "config/get", "config/set", "config/patch", "capabilities/get", "runtime/host_info", "runtime/capabilities",
	"runtime/health", "models/catalog", "session/external_event", "session/inject_context", "events/latest_cursor", "events/list_since",
	"events/snapshot", "session/stream_open", "session/stream_close", "skills/list", "help/ask",
	// Ours.
	"input/submit", "input/get", "input/wait", "turn/cancel"}

// methods is every method that there is, but for initialize, which needs no plane.
var methods = table(
	method{name: "tools/register", inline: true, call: registerTools},
	method{name: "session/create", long: true, call: createSession},
	method{name: "session/list", large: true, call: listSessions},
	method{name: "session/read", large: true, call: readSession},
	method{name: "session/history", large: true, call: readHistory},
	method{name: "session/fork_at", call: forkAt},
	method{name: "session/fork_replace", call: forkReplace},
	method{name: "session/archive", call: archiveSession},
	method{name: "session/inject_context", call: injectContext},
	method{name: "session/external_event", call: externalEvent},
	method{name: "session/stream_open", call: openStream},
	method{name: "session/stream_close", call: closeStream},
	method{name: "help/ask", long: true, call: askHelp},
	method{name: "turn/start", long: true, call: startTurn},
	method{name: "turn/interrupt", call: interruptTurn},
	method{name: "turn/cancel", call: cancelTurn},
	method{name: "input/submit", call: submitInput},
	method{name: "input/get", call: getInput},
	method{name: "input/wait", long: true, call: waitInput},
	method{name: "config/get", call: getConfig},
	method{name: "config/set", call: setConfig},
	method{name: "config/patch", call: patchConfig},
	method{name: "capabilities/get", call: getCapabilities},
	method{name: "models/catalog", large: true, call: listModels},
	method{name: "skills/list", call: listSkills},
	method{name: "runtime/host_info", call: hostInfo},
	method{name: "runtime/capabilities", call: hostCapabilities},
	method{name: "runtime/health", call: hostHealth},
	method{name: "events/latest_cursor", call: latestCursor},
	method{name: "events/list_since", large: true, call: listEvents},
	method{name: "events/snapshot", large: true, call: snapshot},
)

func table(all ...method) map[string]*method {
	out := make(map[string]*method, len(all))
	for n := range all {
		out[all[n].name] = &all[n]
	}
	return out
}

// initialize comes in, if need be with a key, and says what there is.
func (c *client) initialize(params []byte) (any, error) {
	var p struct {
		Key string `json:"api_key"`
	}
	if hasParams(params) {
		if err := wire.Decode(params, &p); err != nil {
			return nil, err
		}
	}
	if p.Key != "" || c.current() == nil {
		if err := c.enter(p.Key); err != nil {
			return nil, err
		}
	}
	info, err := c.current().Info(c.ctx)
	if err != nil {
		return nil, err
	}
	server := wire.ServerInfo{Name: cmp.Or(info.Process, "meerkat-rpc"), Version: cmp.Or(info.Version, wire.Contract)}
	return wire.Initialized{Server: server, Contract: wire.Contract, Methods: slices.Clone(listed)}, nil
}

// hasParams reports whether there are any: methods that need none take nothing, null, or an object.
func hasParams(params []byte) bool { return len(params) > 0 && string(params) != "null" }

// noParams refuses params that are no object where none are needed.
func noParams(r *request) error {
	if !hasParams(r.params) {
		return nil
	}
	return wire.Decode(r.params, &struct{}{})
}

func getCapabilities(r *request) (any, error) {
	if err := noParams(r); err != nil {
		return nil, err
	}
	return present.Capabilities(), nil
}

func listModels(r *request) (any, error) {
	if err := noParams(r); err != nil {
		return nil, err
	}
	all, err := r.plane.Models(r.ctx)
	if err != nil {
		return nil, err
	}
	return present.Models(all), nil
}

func listSkills(r *request) (any, error) {
	if err := noParams(r); err != nil {
		return nil, err
	}
	_, err := r.plane.Skills(r.ctx)
	if err == nil {
		err = errors.New("skills cannot be told yet")
	}
	if fault.CodeOf(err) == fault.Unavailable { // of this one method the contract says that it is an internal error
		err = &control.Error{Message: err.Error()}
	}
	return nil, err
}
