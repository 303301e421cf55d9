package rest

import (
	"encoding/json"
	"net/http"
	"slices"

	"github.com/meerkat-go/meerkat/control"
	"github.com/meerkat-go/meerkat/fault"
	"github.com/meerkat-go/meerkat/surface/present"
	"github.com/meerkat-go/meerkat/wire"
)

func healthy(c *call) { c.h.send(c.w, http.StatusOK, "text/plain; charset=utf-8", []byte("ok")) }

// Readiness says that the server can take work.
type Readiness struct {
	Status string `json:"status"` // ready
}

func ready(c *call) (Readiness, error) {
	select {
	case <-c.h.Shutdown:
		return Readiness{}, errDown
	default:
	}
	check := c.h.Ready
	if check == nil {
		p, err := c.h.Door.Open(c.ctx(), c.h.Door.Realm)
		if err != nil {
			return Readiness{}, unready(err)
		}
		check = p.Ready
	}
	if err := check(c.ctx()); err != nil {
		return Readiness{}, unready(err)
	}
	return Readiness{Status: "ready"}, nil
}

// unready says no more than that: whoever asks has shown no key. The log has the reason.
func unready(err error) error {
	return &statusError{status: http.StatusServiceUnavailable, code: "SERVICE_UNAVAILABLE", fault: fault.CodeOf(err), message: "the server cannot take work now",
		after: retryAfter, cause: err}
}

func openapi(c *call) {
	doc, err := c.h.document()
	if err != nil {
		c.h.fail(c.w, c.r, err)
		return
	}
	c.h.send(c.w, http.StatusOK, "application/json", doc)
}

func capabilities(c *call) (wire.Capabilities, error) { return present.Capabilities(), nil }

func models(c *call) (wire.ModelsCatalog, error) {
	list, err := c.plane.Models(c.ctx())
	return present.Models(list), err
}

// SkillList is the skills that sessions may use.
type SkillList struct {
	Skills []control.Skill `json:"skills"`
}

func skills(c *call) (SkillList, error) {
	list, err := c.plane.Skills(c.ctx())
	return SkillList{Skills: list}, err
}

func hostInfo(c *call) (wire.HostInfo, error) {
	info, err := c.plane.Info(c.ctx())
	if err != nil {
		return wire.HostInfo{}, err
	}
	var paths []string
	for _, rt := range c.h.routes {
		if !slices.Contains(paths, rt.pattern) {
			paths = append(paths, rt.pattern)
		}
	}
	return present.HostInfo(info, c.plane.Backend, c.plane.Paths, c.plane.Ready(c.ctx()), wire.Endpoints{RESTPaths: paths}), nil
}

func hostCapabilities(*call) (wire.HostCapabilities, error) { return present.HostCapabilities(), nil }

func hostHealth(c *call) (wire.HostHealth, error) {
	return present.HostHealth(c.plane.Ready(c.ctx())), nil
}

func getConfig(c *call) (wire.ConfigEnvelope, error) {
	got, err := c.plane.Config(c.ctx())
	return present.Config(got), err
}

func setConfig(c *call, in json.RawMessage) (wire.ConfigEnvelope, error) {
	doc, expected, err := unwrap(in, "config")
	if err != nil {
		return wire.ConfigEnvelope{}, err
	}
	got, err := c.plane.SetConfig(c.ctx(), doc, expected)
	return present.Config(got), err
}

func patchConfig(c *call, in json.RawMessage) (wire.ConfigEnvelope, error) {
	doc, expected, err := unwrap(in, "patch")
	if err != nil {
		return wire.ConfigEnvelope{}, err
	}
	got, err := c.plane.PatchConfig(c.ctx(), doc, expected)
	return present.Config(got), err
}

// unwrap takes a document out of the object that may stand around it, with the generation it is meant for.
func unwrap(in json.RawMessage, field string) (doc json.RawMessage, expected *uint64, err error) {
	var outer map[string]json.RawMessage
	if err := json.Unmarshal(in, &outer); err != nil {
		return nil, nil, &control.Error{Code: fault.Invalid, Message: "the settings are an object"}
	}
	inner, ok := outer[field]
	if !ok {
		return in, nil, nil
	}
	if text, ok := outer["expected_generation"]; ok && string(text) != "null" {
		if err := json.Unmarshal(text, &expected); err != nil {
			return nil, nil, &control.Error{Code: fault.Invalid, Message: "expected_generation is a whole number from 0 on"}
		}
	}
	return inner, expected, nil
}
