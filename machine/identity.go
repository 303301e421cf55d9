package machine

import "github.com/meerkat-go/meerkat/machine/model"

// identity steps the model a session talks to.
func (b *step) identity(e model.Event) error {
	next, err := model.IdentityTable.Step(get(b.s.Model), e)
	if err == nil {
		put(b, &b.s.Model, ModelRegion, next)
	}
	return err
}
