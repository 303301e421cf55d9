package identity

import (
	"errors"
	"fmt"

	"github.com/meerkat-go/meerkat/fault"
)

// Why a request for another identity is refused: compare with errors.Is. Waiting changes none of them.
var (
	ErrNoModel              = errors.New("no model is named")
	ErrProviderWithoutModel = errors.New("a provider is named without a model")
	ErrClearAndValue        = errors.New("a value is both cleared and given")
	ErrProvider             = errors.New("no such provider")
	ErrWrongProvider        = errors.New("the model belongs to another provider")
	ErrServer               = errors.New("a server is named for a model that is not self-hosted")
	ErrNotRegistered        = errors.New("no self-hosted server has this model")
	ErrUnknownModel         = errors.New("nothing is known of what the model can do")
	ErrParams               = errors.New("the provider's parameters are malformed")
)

// Invalid is a request that the rules of Resolve refuse. Nothing has changed.
type Invalid struct {
	Why    error  // one of those above
	Field  string // public name of the field that is wrong
	Detail string // what it was and what would be right; may be empty
}

// Error names all of it.
func (e *Invalid) Error() string {
	if e.Detail == "" {
		return fmt.Sprintf("%s: %s", e.Field, e.Why)
	}
	return fmt.Sprintf("%s: %s: %s", e.Field, e.Why, e.Detail)
}

// Unwrap returns the reason.
func (e *Invalid) Unwrap() error { return e.Why }

// FaultCode is Invalid.
func (e *Invalid) FaultCode() fault.Code { return fault.Invalid }

// Request asks for another identity. What is zero is left out, and stays as it is. The zero value asks for what is there already.
type Request struct {
	Model            string
	Provider         Provider // not without Model
	SelfHostedServer string   // for a self-hosted model
	Params           Params   // NoParams clears them, as ClearParams does
	ClearParams      bool
	AuthBinding      Binding
	ClearAuthBinding bool
}

// Lookups is what is known of models outside the session. A nil function knows nothing.
type Lookups struct {
	// Owner says which provider a model belongs to; the zero Provider: the registry does not say, and any may be right.
	Owner func(model string) Provider
	// Server says which server has a self-hosted model: the one that is asked for, or any if none is ("").
	Server func(model, server string) (string, bool)
	// Surface says what a model can do.
	Surface func(Identity) (Surface, bool)
}

// Target is an identity that was resolved, and what its model can do.
type Target struct {
	Identity Identity `json:"identity"`
	Surface  Surface  `json:"surface"`
}

// Resolve works out the identity that a request means, starting from the current one, which it does not change. What is left out is
// inherited; that goes for the provider too, so a model of another provider is named with its provider (Owner knows it). A
// session that has no provider yet takes the model's owner. A server is inherited with its model and looked up for another one.
// A target that equals the current identity is no error: nothing is to be done (R81).
//
// Errors are *Invalid, the first that applies in the order of the rules in docs/machine/model.md.
func Resolve(current Identity, r Request, look Lookups) (Target, error) {
	if err := r.coherent(); err != nil {
		return Target{}, err
	}
	id := inherit(current, r)
	if id.Model == "" {
		return Target{}, &Invalid{Why: ErrNoModel, Field: "model"}
	}
	if err := settleProvider(&id, look); err != nil {
		return Target{}, err
	}
	if err := settleServer(&id, current, r, look); err != nil {
		return Target{}, err
	}
	if look.Surface != nil {
		if surface, ok := look.Surface(id); ok {
			return Target{id, surface}, nil
		}
	}
	return Target{}, &Invalid{Why: ErrUnknownModel, Field: "model", Detail: id.Model}
}

// coherent refuses what contradicts itself.
func (r Request) coherent() error {
	switch {
	case r.Provider != "" && r.Model == "":
		return &Invalid{Why: ErrProviderWithoutModel, Field: "provider", Detail: string(r.Provider)}
	case r.ClearParams && r.Params != "":
		return &Invalid{Why: ErrClearAndValue, Field: "provider_params"}
	case r.ClearAuthBinding && !r.AuthBinding.IsZero():
		return &Invalid{Why: ErrClearAndValue, Field: "auth_binding"}
	case r.Provider != "" && !r.Provider.Known():
		return &Invalid{Why: ErrProvider, Field: "provider", Detail: string(r.Provider)}
	}
	if canonical, err := ParseParams([]byte(r.Params)); err != nil {
		return err
	} else if canonical != r.Params {
		return &Invalid{Why: ErrParams, Field: "provider_params", Detail: "the text is not canonical"}
	}
	return nil
}

// inherit fills in what the request leaves out.
func inherit(id Identity, r Request) Identity {
	if r.Model != "" {
		id.Model = r.Model
	}
	if r.Provider != "" {
		id.Provider = r.Provider
	}
	switch {
	case r.ClearParams || r.Params == NoParams:
		id.Params = ""
	case r.Params != "":
		id.Params = r.Params
	}
	switch {
	case r.ClearAuthBinding:
		id.AuthBinding = Binding{}
	case !r.AuthBinding.IsZero():
		id.AuthBinding = r.AuthBinding
	}
	return id
}

func settleProvider(id *Identity, look Lookups) error {
	var owner Provider
	if look.Owner != nil {
		owner = look.Owner(id.Model)
	}
	if id.Provider == "" {
		id.Provider = owner
	}
	switch {
	case id.Provider == "":
		return &Invalid{Why: ErrProvider, Field: "provider", Detail: "none is named, and nobody is known to own " + id.Model}
	case owner != "" && owner != id.Provider:
		return &Invalid{Why: ErrWrongProvider, Field: "provider", Detail: fmt.Sprintf("%s belongs to %s, not to %s", id.Model, owner, id.Provider)}
	}
	return nil
}

func settleServer(id *Identity, current Identity, r Request, look Lookups) error {
	if id.Provider != SelfHosted {
		if id.SelfHostedServer = ""; r.SelfHostedServer != "" {
			return &Invalid{Why: ErrServer, Field: "self_hosted_server_id", Detail: fmt.Sprintf("%s is of %s", id.Model, id.Provider)}
		}
		return nil
	}
	asked := r.SelfHostedServer
	if asked == "" && id.Model == current.Model {
		asked = current.SelfHostedServer
	}
	if look.Server != nil {
		if server, ok := look.Server(id.Model, asked); ok && server != "" && (asked == "" || server == asked) {
			id.SelfHostedServer = server
			return nil
		}
	}
	if asked == "" {
		return &Invalid{Why: ErrNotRegistered, Field: "model", Detail: id.Model}
	}
	return &Invalid{Why: ErrNotRegistered, Field: "self_hosted_server_id", Detail: fmt.Sprintf("%s at %s", id.Model, asked)}
}
