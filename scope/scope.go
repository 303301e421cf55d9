// Package scope says which tools a model may see: filters over names, and who stands behind a name.
package scope
