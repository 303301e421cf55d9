// Package interop holds our model adapters against the vendors' own SDKs: the same recorded streams read by theirs and by ours must
// agree, and the requests we send must decode into their types and come out of them unchanged.
//
// It is a module of its own so that the SDKs are no dependency of the product. It has tests only: cd interop && go test ./...
package interop
