// Package scope says which tools a model may see: filters over names, who stands behind a name, and what is seen in the end.
//
// A tool is called by its name, but a name is not a tool: a server goes away and another brings a tool of the same name. So whatever
// is decided about a name for longer than a moment goes with a Witness, which says whose tool was meant. The region
// machine/toolset decides with these words (docs/machine/toolset.md); they are values, sorted, and never changed.
//
//	Filter       all, only these, all but these; several at once let through what every one of them does
//	Witness      whose tool a name stood for when something was decided about it
//	Overlay      a restriction for one run
//	Catalogue    the tools there are at one moment
//	VisibleSet   what a model was offered in one round, and so what it may call
package scope
