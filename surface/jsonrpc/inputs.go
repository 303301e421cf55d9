package jsonrpc

import (
	"context"

	"github.com/meerkat-go/meerkat/surface/present"
	"github.com/meerkat-go/meerkat/wire"
)

// submitInput gives a session something to do, and does not wait for it.
func submitInput(r *request) (any, error) {
	var p wire.SubmitParams
	if err := wire.Decode(r.params, &p); err != nil {
		return nil, err
	}
	s, err := r.locate(p.Session)
	if err != nil {
		return nil, err
	}
	submit, err := present.Submit(s, p)
	if err != nil {
		return nil, err
	}
	submit.Client = r.client
	got, err := r.plane.Submit(r.ctx, submit)
	if err != nil {
		return nil, about(s, err)
	}
	return present.Receipt(got), nil
}

func getInput(r *request) (any, error) {
	var p wire.InputParams
	if err := wire.Decode(r.params, &p); err != nil {
		return nil, err
	}
	s, err := r.locate(p.Session)
	if err != nil {
		return nil, err
	}
	st, err := r.plane.Input(r.ctx, s, p.Input)
	if err != nil {
		return nil, err
	}
	return present.InputStatus(st), nil
}

// waitInput answers when the input has ended. It can be cancelled, which ends the waiting alone.
func waitInput(r *request) (any, error) {
	var p wire.InputParams
	if err := wire.Decode(r.params, &p); err != nil {
		return nil, err
	}
	s, err := r.locate(p.Session)
	if err != nil {
		return nil, err
	}
	if err := r.begin(); err != nil {
		return nil, err
	}
	r.undoing(func() { r.end(errCancelled) })
	if _, err := r.plane.Wait(r.ctx, s, p.Input); err != nil {
		if r.ctx.Err() != nil {
			err = context.Cause(r.ctx)
		}
		return nil, err
	}
	st, err := r.plane.Input(r.ctx, s, p.Input)
	if err != nil {
		return nil, err
	}
	return present.InputStatus(st), nil
}
