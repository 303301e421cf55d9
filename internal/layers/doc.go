// Package layers holds the rules of the house as tests: which package may import which, how large a file may grow, what stays out
// of the pure core, which rule of docs/rules.md is held by which test.
//
// There is nothing here to import. The tables are in the test files: imports_test.go for the layers, code_test.go for the Go
// files, docs_test.go for the documents. Each refusal gives its reason. If a rule is in the way, either the change is in the wrong
// place (ARCHITECTURE.md says where things go) or the table is changed in the same commit, with the reason.
package layers
