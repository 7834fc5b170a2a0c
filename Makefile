# `make` alone lists the targets.

SHELL := /usr/bin/env bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

MODULE := github.com/understudy-dev/understudy

# Every file with one of these build tags is vetted and linted too.
TAGS := envtest,e2e

# What the binaries say they are: the tag, or the last tag and the commit.
VERSION ?= $(shell git describe --tags --always --dirty --match 'v*' 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X main.version=$(VERSION)

# What binaries and image are for: amd64 or arm64. An image for another machine has that in its name.
HOST_ARCH := $(shell go env GOHOSTARCH)
ARCH ?= $(HOST_ARCH)
# TAG is that of the image, and part of its file's name unless it is dev.
TAG ?= dev
IMAGE_FILE := dist/images/understudy$(if $(filter-out dev,$(TAG)),-$(TAG))$(if $(filter-out $(HOST_ARCH),$(ARCH)),-$(ARCH)).tar

# No stamp of git: it would make other images of the same source, and git refuses to tell root of a clone that is
# somebody else's.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

# Whoever became root by plain su has a PATH without nft and its like.
export PATH := $(PATH):/usr/local/sbin:/usr/sbin:/sbin

# Tools are pinned in modules of their own; go keeps the built ones in its cache.
CONTROLLER_GEN := go tool -modfile=hack/tools/go.mod controller-gen
BUF            := go tool -modfile=hack/tools/buf/go.mod buf
HELM           := go tool -modfile=hack/tools/helm/go.mod helm
GOLANGCI_LINT  := go tool -modfile=hack/tools/golangci-lint/go.mod golangci-lint-kube-api-linter

CHART := charts/understudy

# With the metadata of the pod template: without it, the API server would drop the labels of host pods.
CRD_OPTIONS := crd:generateEmbeddedObjectMeta=true

# The packages that have a suite with the build tag $(1).
packages-tagged = $(shell git grep -lE --untracked '^//go:build .*\b$(1)\b' -- '*_test.go' | xargs -r dirname | sort -u | sed 's|^|./|')

##@ General

.PHONY: help
help: ## List the targets.
	@awk 'BEGIN { FS = ":.*## "; print "Usage: make TARGET" } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z][a-z0-9-]*:.*## / { printf "  %-18s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: clean
clean: ## Remove what was built in the clone (bin, dist).
	rm -rf bin dist

##@ Write code

.PHONY: generate
generate: deepcopy manifests proto surface ## Generate all that is generated.

.PHONY: deepcopy
deepcopy: ## Generate the deep copies of the kinds.
	$(CONTROLLER_GEN) object:headerFile=hack/boilerplate.go.txt paths=./api/v1alpha1/...

.PHONY: manifests
manifests: ## Generate CRDs and the manager's role from markers, and the chart's copies of them.
	$(CONTROLLER_GEN) $(CRD_OPTIONS) paths=./api/v1alpha1/... output:crd:dir=config/crd/bases
	$(CONTROLLER_GEN) rbac:roleName=understudy-manager paths=./controllers/... output:rbac:dir=config/rbac
	@# Takes the descriptions of the pod template out again: more than kubectl apply can remember.
	go run ./hack/chart

.PHONY: proto
proto: ## Generate Go from the provider protocol.
	$(BUF) generate

.PHONY: surface
surface: ## Generate docs/callback-surface.md; fails for a callback that no test shows.
	go run ./hack/surface

.PHONY: fmt
fmt: ## Format Go and proto.
	$(GOLANGCI_LINT) fmt ./...
	$(BUF) format --write

.PHONY: tidy
tidy: ## Tidy every module.
	@for module in $$(git ls-files --cached --others --exclude-standard -- go.mod '*/go.mod'); do \
		echo "go mod tidy ($$module)"; go -C "$$(dirname "$$module")" mod tidy; done

##@ Check

.PHONY: vet
vet: ## Run go vet, with every build tag.
	go vet -tags $(TAGS) ./...

.PHONY: arm64
arm64: ## Compile all programs for arm64, and throw them away.
	CGO_ENABLED=0 GOARCH=arm64 go build -trimpath -o /dev/null ./cmd/...

.PHONY: lint
lint: ## Run all the linters (.golangci.yml).
	$(GOLANGCI_LINT) run ./...

.PHONY: lint-fix
lint-fix: ## Mend what the linters can mend by themselves.
	$(GOLANGCI_LINT) run --fix ./...

.PHONY: api-lint
api-lint: ## Run the Kubernetes API linter alone (part of lint).
	$(GOLANGCI_LINT) run --enable-only kubeapilinter ./api/v1alpha1/...

.PHONY: proto-lint
proto-lint: ## Lint the protocol, and refuse what breaks it (BREAKING_AGAINST=COMMIT compares with another).
	$(BUF) lint
	$(BUF) format --diff --exit-code
	BUF="$(BUF)" hack/verify-breaking $(BREAKING_AGAINST)

.PHONY: chart-lint
chart-lint: ## Lint the chart and render it with each set of values.
	HELM="$(HELM)" hack/verify-chart $(CHART)

.PHONY: verify
verify: ## All checks: generated files, headers, format, vet, arm64, lint, protocol, chart, modules, mutants.
	@MAKE="$(MAKE)" hack/verify

##@ Test

.PHONY: test
test: test-unit test-integration ## Unit tests, then the suites against a real API server.

.PHONY: test-unit
test-unit: ## Unit tests with the race detector.
	go test -race -short ./...
	go test -run 'Schedules|Random' ./internal/simulation ./monitor/core ./monitor/engine ./cmd/init/machine
	go test -run 'Conformance|EachBreakIsCaught|Wrong' ./provider/conformance ./provider/application

# Schedules of make simulate: SCHEDULES=1000000 makes a million.
SCHEDULES ?= 10000

.PHONY: simulate
simulate: ## Let an adversary try to break the promises, in virtual time; results in dist/simulate.json (SCHEDULES).
	go run ./hack/simulate --schedules $(SCHEDULES) --json dist/simulate.json --record dist/simulate-violation

.PHONY: simulate-mutants
simulate-mutants: ## Break one rule after the other: the simulation must catch each; results in dist/mutants.json.
	go run ./hack/mutants

.PHONY: conformance
conformance: ## Judge every provider that we ship against the protocol; results in dist/conformance.
	@mkdir -p dist/conformance
	CGO_ENABLED=0 go build -trimpath -o dist/conformance/bin/ ./cmd/provider ./examples/provider-minimal ./examples/provider-sdk
	hack/conformance dist/conformance

.PHONY: test-integration
test-integration: ## Suites with the tag envtest, against a real API server (built on first use).
	@packages="$(call packages-tagged,envtest)"; \
	[[ -n $$packages ]] || { echo "no suite has the tag envtest"; exit 0; }; \
	KUBEBUILDER_ASSETS="$$(go run ./hack/localcluster assets)"; export KUBEBUILDER_ASSETS; \
	set -x; go test -race -tags envtest $$packages; \
	: What a flood costs is judged without the race detector.; \
	go test -tags envtest -run TestAdversary ./monitor

.PHONY: test-e2e
test-e2e: ## End to end on a local cluster of real kubelets (root).
	go test ./test/e2e/... -tags e2e -timeout 40m -v -count 1

.PHONY: bench-callbacks
bench-callbacks: ## Measure the callbacks against a real API server: a table, and dist/bench/callbacks.json.
	@KUBEBUILDER_ASSETS="$$(go run ./hack/localcluster assets)"; export KUBEBUILDER_ASSETS; \
	set -x; go run ./hack/bench-callbacks

##@ Build

.PHONY: build
build: ## Build static binaries into bin (ARCH=arm64: for that).
	CGO_ENABLED=0 GOARCH=$(ARCH) go build -trimpath -ldflags "$(LDFLAGS)" -o bin/ ./cmd/...

.PHONY: images
images: build ## Build the image of our programs into dist/images, a tarball, without a container engine (ARCH too).
	@mkdir -p dist/images
	go run ./hack/images binary bin/manager bin/monitor bin/init bin/provider \
		--name understudy:$(TAG) --entrypoint /manager -o $(IMAGE_FILE)

.PHONY: demo-images
demo-images: ## Build the images of examples and tests into dist/images (Debian, root).
	@mkdir -p dist/images
	CGO_ENABLED=0 go build -trimpath -ldflags "-s -w" -o bin/programs/ \
		./test/programs/... ./examples/provider-minimal
	@# A signal to stop with that nobody expects: what runs in it must be stopped in order all the same.
	go run ./hack/images binary bin/programs/* \
		--name demo-programs:dev --entrypoint /hello --stop-signal SIGQUIT -o dist/images/demo-programs.tar
	go run ./hack/images debian --packages redis-server,redis-tools \
		--name demo-redis:dev --entrypoint redis-server -o dist/images/demo-redis.tar

.PHONY: postgres-image
postgres-image: ## Build the image of examples/fencing into dist/images (Debian, root).
	@mkdir -p dist/images
	go run ./hack/images debian --packages postgresql \
		--name demo-postgres:dev -o dist/images/demo-postgres.tar

.PHONY: chart
chart: ## Package the Helm chart into dist.
	$(HELM) package $(CHART) --destination dist

##@ See it run

.PHONY: demo
demo: ## Bring up a local cluster and show a failover (root).
	go run ./hack/demo

.PHONY: demo-down
demo-down: ## Take this machine's local cluster down, whoever brought it up.
	go run ./hack/localcluster down
