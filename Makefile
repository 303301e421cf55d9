# What CI runs is what you run: make check.

GO      ?= go
TIMEOUT ?= 15m

.DEFAULT_GOAL := help
.PHONY: help check fmt vet staticcheck test explore layers sim hunt interop examples smoke cross build bench golden clean

help: ## show this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

check: fmt vet staticcheck layers explore cross smoke interop examples sim test ## everything CI runs

fmt: ## fail if gofmt would change a file
	@out=$$(gofmt -l .); test -z "$$out" || { echo "gofmt would change:"; echo "$$out"; exit 1; }

vet: ## go vet
	$(GO) vet ./...

staticcheck: ## staticcheck, at the version go.mod pins
	$(GO) tool staticcheck ./...

test: ## all tests, with the race detector
	$(GO) test -race -timeout $(TIMEOUT) ./...

explore: ## small worlds visited to the end, and a fault planted in every rule of every table: without the race detector
	$(GO) test -timeout $(TIMEOUT) ./machine/...

layers: ## the rules of the house: imports, sizes, documents
	$(GO) test ./internal/layers

sim: ## a short simulation: seeded crashes, zombies, lost leases
	$(GO) test -short -timeout $(TIMEOUT) ./sim

hunt: ## play seeds of the simulation for ten minutes; a finding is printed with the command that replays it
	$(GO) run ./cmd/rkat-sim -for 10m

interop: ## our wire formats against the official SDKs (a module of its own)
	cd interop && $(GO) vet ./... && $(GO) test -timeout $(TIMEOUT) ./...

examples: ## the examples that are modules of their own; the others are among the tests
	cd examples/foreign-executor && $(GO) vet ./... && $(GO) test -timeout $(TIMEOUT) ./...

smoke: ## the README's own commands, in an empty folder with an empty home
	scripts/smoke.sh

cross: ## does it build elsewhere, and without cgo
	CGO_ENABLED=0 GOOS=linux GOARCH=arm64 $(GO) build ./...
	CGO_ENABLED=0 GOOS=darwin GOARCH=arm64 $(GO) build ./...

build: ## bin/rkat
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/rkat ./cmd/rkat

bench: ## every benchmark, five times, as benchstat reads it
	$(GO) test -run '^$$' -bench . -benchmem -count 5 ./...

golden: ## rewrite golden files and diagrams; read the diff afterwards
	@for p in $$($(GO) list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' ./... | awk '/internal\/golden/ {print $$1}'); do $(GO) test $$p -update; done

clean: ## remove what was built
	rm -rf bin
