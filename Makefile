# dbsts: every task of the project. `make help` lists them. Needs Go, make and git; tests and demo also need PostgreSQL
# binaries, Docker or npm, and fetch what is missing (see tests/servers). Nothing here needs root, and root may run all of it.

# Tools run as `go run module@version`: pinned here, not part of go.mod.
GOLANGCI    := go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0
GOVULNCHECK := go run golang.org/x/vuln/cmd/govulncheck@v1.9.0

# A checkout owned by somebody else makes git refuse, and stamping a binary with the commit fails with it.
export GOFLAGS += -buildvcs=false

ARCH ?= $(shell go env GOARCH)
# What Lambda runs; tests/template_test.go compares it with Architectures in template.yaml.
LAMBDA_ARCH := arm64
GOTEST   ?= go test
FUZZTIME ?= 20s
# Issuers, servers and targets that `make local` serves beside its own; relative paths in it start at .local.
CONFIG   ?=

FUNCTIONS := $(notdir $(wildcard functions/*))
# Goes into each deployment package when present: the configuration, and the CA file that it may name.
PACKAGED  := $(wildcard dbsts.yaml ca.pem)
# lambda.norpc leaves out the RPC path of the retired go1.x runtime; stripped as well, a function is half as large.
GOBUILD   := CGO_ENABLED=0 go build -trimpath -ldflags "-s -w"
FUNCTION  := -tags lambda.norpc
# The race detector needs cgo, hence a C compiler.
RACE      := $(if $(filter 1,$(shell go env CGO_ENABLED)),-race)

.DEFAULT_GOAL := help
.PHONY: help build test test-all attacks lint fmt bench fuzz vuln demo local clean

help: ## list the tasks
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile
	@echo "  variables: ARCH=arm64|amd64 (build), CONFIG=file (local), FUZZTIME=20s (fuzz)"

build: ## the Lambda binaries (bin/<function>/bootstrap, Linux, this machine's architecture) and bin/dbsts
	@for f in $(FUNCTIONS); do \
	  GOOS=linux GOARCH=$(ARCH) $(GOBUILD) $(FUNCTION) -o bin/$$f/bootstrap ./functions/$$f || exit 1; \
	done
	$(GOBUILD) -o bin/dbsts ./cmd/dbsts

test: ## unit, conformance and end-to-end tests on PostgreSQL 15 and 18; under 10 minutes
	$(GOTEST) -count=1 -timeout 9m ./...

test-all: ## every server version and the long schedules, under the race detector
	@$(if $(RACE),,echo "test-all: no C compiler, so no race detector" >&2; test -z "$$CI")
	DBSTS_TEST=all $(GOTEST) -count=1 -timeout 25m $(RACE) ./...

lint: ## golangci-lint; cfn-lint on template.yaml where that is installed
	$(GOLANGCI) run
	@if command -v cfn-lint >/dev/null; then cfn-lint template.yaml; else echo "cfn-lint is not installed: template.yaml not checked by it"; fi

fmt: ## format every Go file
	$(GOLANGCI) fmt

bench: ## every performance figure, as ratios in one run, then the micro-benchmarks; under 8 minutes
	go test -run '^$$' -bench . -benchtime 1x -timeout 30m ./functions/exchange
	go test -run '^$$' -bench . -benchtime 1x -timeout 30m ./tests/bench
	@for p in $$(grep -rl --include='*_test.go' '^func Benchmark' shared | xargs -r -n1 dirname | sort -u); do \
	  go test -run '^$$' -bench . -benchmem -benchtime 0.3s ./$$p || exit 1; \
	done

# Vectors that others wrote and the attacks of docs/security-model.md, with their counts; both are part of `make test` too.
attacks: ## every published vector and every known attack on the token endpoint, and how many were refused
	@$(GOTEST) -count=1 -v ./shared/identity ./tests/vectors ./functions/exchange -run 'Attack|Vector|Others|Wycheproof|RFC|Signature|ECDSA' > attacks.out || { cat attacks.out; exit 1; }
	@grep -hE 'attacks: |vectors?: |tried' attacks.out | sed 's/^ *[a-z_]*\.go:[0-9]*: //'; rm -f attacks.out

fuzz: ## each fuzz target for FUZZTIME
	@grep -ro --include='*_test.go' '^func Fuzz[A-Za-z0-9_]*' . | sed 's/:func /:/' | sort | while IFS=: read -r file target; do \
	  echo "$$target in $$file"; \
	  go test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) "$$(dirname "$$file")" </dev/null || exit 1; \
	done

vuln: ## known vulnerabilities in what we call; needs the internet
	$(GOVULNCHECK) ./...

# The local stack starts the binaries of `make build`, so it needs Linux; elsewhere run it in a container or a virtual machine.
demo: build ## the whole story from nothing: server, issuer, exchange, denial, revocation, sweep
	go run ./localstack demo

local: build ## the same stack, staying up; writes .local/env. CONFIG=file adds issuers, servers and targets
	go run ./localstack up $(if $(CONFIG),-config $(CONFIG))

clean: ## remove what was built; downloaded servers stay in /var/cache/dbsts or your cache folder
	rm -rf bin .aws-sam

# `sam build` calls one target per function, with ARTIFACTS_DIR set (BuildMethod: makefile in template.yaml).
define package
	GOOS=linux GOARCH=$(LAMBDA_ARCH) $(GOBUILD) $(FUNCTION) -o "$(ARTIFACTS_DIR)/bootstrap" ./functions/$(1)
	$(if $(PACKAGED),cp $(PACKAGED) "$(ARTIFACTS_DIR)/")
endef

.PHONY: build-ExchangeFunction build-RevokeFunction build-SweepFunction build-MigrateFunction
build-ExchangeFunction: ; $(call package,exchange)
build-RevokeFunction:   ; $(call package,revoke)
build-SweepFunction:    ; $(call package,sweep)
build-MigrateFunction:  ; $(call package,migrate)
