// Package scenarios keeps the register of acceptance scenarios: what a session must do, which test shows it, and what nobody shows yet.
//
// The scenarios are in list.txt, with how to write them. A test that shows one says so on a comment line of its own, in its doc
// comment or anywhere inside, a table row or a subtest included:
//
//	// Scenario: S34, S90-S92
//
// A line "# Scenario: S34" does the same in a golden script of the machine, and the comment of a function of a conformance suite that
// is handed a *testing.T. Cite only what the test shows: that it fails if the scenario does not hold. Where only tests together show
// all of a scenario, each cites it; where a part is left, the scenario's "missing" mark in list.txt names it.
//
// docs/scenarios.md is made from both, and a test fails while it is not what they say. This writes it:
//
//	go test ./internal/scenarios -update
//
// There is nothing here to import.
package scenarios
