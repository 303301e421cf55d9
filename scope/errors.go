package scope

import (
	"fmt"
	"strings"

	"github.com/meerkat-go/meerkat/fault"
)

// Errors about names. Each carries all the names it is about; use errors.As. Nothing was changed.
type (
	// UnknownTools says that there are no such tools to be filtered. Control tools are not to be filtered, so they are among them.
	UnknownTools struct{ Names Names }
	// MissingWitnesses says that deferred tools were named without a provenance.
	MissingWitnesses struct{ Names Names }
	// InvalidWitnesses says that deferred tools were named as another's than they are, or in two ways at once.
	InvalidWitnesses struct{ Names Names }
	// MissingFilterWitnesses says that names of a filter came without saying whose tool is meant.
	MissingFilterWitnesses struct{ Names Names }
	// InvalidFilterWitnesses says that names of a filter came as another's than they are.
	InvalidFilterWitnesses struct{ Names Names }
	// AmbiguousTools says that several tools have one name, or a tool has none (the empty name).
	AmbiguousTools struct{ Names Names }
	// UnknownKind says that there is no such kind of source.
	UnknownKind struct{ Kind string }
)

func (e *UnknownTools) Error() string { return "unknown tools: " + listed(e.Names) }
func (e *MissingWitnesses) Error() string {
	return "no provenance given for tools: " + listed(e.Names)
}
func (e *InvalidWitnesses) Error() string {
	return "not the tools that were meant: " + listed(e.Names)
}
func (e *MissingFilterWitnesses) Error() string {
	return "no owner given for tools: " + listed(e.Names)
}
func (e *InvalidFilterWitnesses) Error() string {
	return "not the tools that the filter means: " + listed(e.Names)
}
func (e *AmbiguousTools) Error() string {
	return "tools without a name of their own: " + listed(e.Names)
}
func (e *UnknownKind) Error() string { return fmt.Sprintf("%q is not a kind of tool source", e.Kind) }

func (e *UnknownTools) FaultCode() fault.Code           { return fault.Invalid }
func (e *MissingWitnesses) FaultCode() fault.Code       { return fault.Invalid }
func (e *InvalidWitnesses) FaultCode() fault.Code       { return fault.Invalid }
func (e *MissingFilterWitnesses) FaultCode() fault.Code { return fault.Invalid }
func (e *InvalidFilterWitnesses) FaultCode() fault.Code { return fault.Invalid }
func (e *AmbiguousTools) FaultCode() fault.Code         { return fault.Invalid }
func (e *UnknownKind) FaultCode() fault.Code            { return fault.Invalid }

func listed(names Names) string {
	quoted := make([]string, 0, names.Len())
	for n := range names.All() {
		quoted = append(quoted, fmt.Sprintf("%q", n))
	}
	return strings.Join(quoted, ", ")
}
